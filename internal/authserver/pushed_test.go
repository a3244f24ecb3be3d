package authserver_test

import (
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestAPushedRequestIsGoodOnce (T7): for sixty seconds, for its client; signing in
// on the way does not use it up.
func TestAPushedRequestIsGoodOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		push := func() string {
			s := o.call("/oauth/par", wish())
			if s.Status != 201 || s.Life != 60 || !strings.HasPrefix(s.URI, "urn:ietf:params:oauth:request_uri:") {
				t.Fatalf("%d %s", s.Status, s.raw)
			}
			return "/oauth/authorize?" + url.Values{"client_id": {"app"}, "request_uri": {s.URI}}.Encode()
		}
		anna := o.browser("")
		at := push()
		own := anna.get(at).Header.Get("Location")
		if !strings.HasPrefix(own, "/oauth/authorize?resume=") || strings.Contains(own, "app.example") {
			t.Fatalf("leads to %q", own)
		}
		if p := anna.get(own); p.StatusCode != 401 || p.Header.Get("X-Next") != own {
			t.Fatalf("nobody is signed in: %d", p.StatusCode)
		}
		anna.signIn("anna", "")
		// What the address says beside it does not count (RFC 9101 §6.3).
		q := anna.post("/oauth/authorize", form("handle", anna.get(own+"&scope=gmail.send&redirect_uri=https://evil.example").handle(t), "decision", "allow")).to(t, site)
		if s := o.redeem(q.Get("code")); s.Status != 200 || s.Scope != "gmail.read" {
			t.Errorf("%s", s.raw)
		}
		if p := anna.get(at); p.StatusCode != 404 || p.Header.Get("Location") != "" {
			t.Errorf("the second time: %d", p.StatusCode)
		}
		at = push()
		if p := anna.get(strings.Replace(at, "client_id=app", "client_id=rival", 1)); p.StatusCode != 404 {
			t.Errorf("another client: %d", p.StatusCode)
		}
		at = push()
		time.Sleep(61 * time.Second)
		if p := anna.get(at); p.StatusCode != 404 {
			t.Errorf("after a minute: %d", p.StatusCode)
		}
		for _, uri := range []string{"", "https://evil.example/request", "urn:ietf:params:oauth:request_uri:", "urn:ietf:params:oauth:request_uri:x", "x"} {
			if p := anna.get("/oauth/authorize?" + url.Values{"client_id": {"app"}, "request_uri": {uri}}.Encode()); p.StatusCode != 404 {
				t.Errorf("%q: %d", uri, p.StatusCode)
			}
		}
		if s := o.call("/oauth/par", wish("request_uri", "urn:x")); s.Error != "invalid_request" {
			t.Errorf("a request in a request: %s", s.raw)
		}
		if s := o.call("/oauth/par", wish("client_id", "backend", "redirect_uri", "https://backend.example/cb")); s.Error != "invalid_client" {
			t.Errorf("without its secret: %s", s.raw)
		}
		full := false
		for range 1100 {
			time.Sleep(50 * time.Millisecond)
			full = full || o.call("/oauth/par", wish()).Status == 503
		}
		if !full {
			t.Error("pushed requests are without bound")
		}
		time.Sleep(time.Minute)
		if err := o.server.Sweep(); err != nil {
			t.Fatal(err)
		}
		push()
	})
}
