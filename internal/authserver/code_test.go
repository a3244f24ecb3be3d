package authserver_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestACodeIsGoodOnce (T15): its second use fails and ends what came of the
// first.
func TestACodeIsGoodOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		anna := o.browser("anna")
		code := anna.code()
		first := o.redeem(code)
		bystander := o.redeem(anna.code())
		if !o.valid(first.Access) {
			t.Fatal("the first use gives nothing")
		}
		if second := o.redeem(code); second.Error != "invalid_grant" || second.Access != "" {
			t.Errorf("the second use: %s", second.raw)
		}
		if o.valid(first.Access) {
			t.Error("the access token lives on")
		}
		if s := o.refresh(first.Refresh); s.Error != "invalid_grant" {
			t.Errorf("the refresh token lives on: %s", s.raw)
		}
		if !o.valid(bystander.Access) {
			t.Error("another authorization ended with it")
		}
		if got := o.lines("reuse"); len(got) != 1 || got[0].Channel != "code" || got[0].User != "anna" || got[0].Agent != "app" {
			t.Errorf("the log says %+v", got)
		}
		late := anna.code()
		time.Sleep(61 * time.Second)
		if s := o.redeem(late); s.Error != "invalid_grant" {
			t.Errorf("after a minute: %s", s.raw)
		}
	})
}

// TestACodeIsForItsClient, its way back, its verifier and its resource. One wrong
// try spends it.
func TestACodeIsForItsClient(t *testing.T) {
	o := newOffice(t)
	anna := o.browser("anna")
	for name, c := range map[string]struct {
		want   string
		change []string
	}{
		"another client":       {"invalid_grant", []string{"client_id", "rival"}},
		"another way back":     {"invalid_grant", []string{"redirect_uri", "https://app.example/other?x=1"}},
		"no verifier":          {"invalid_grant", []string{"code_verifier", "-"}},
		"an empty verifier":    {"invalid_grant", []string{"code_verifier", ""}},
		"another verifier":     {"invalid_grant", []string{"code_verifier", strings.Repeat("a", 43)}},
		"the challenge itself": {"invalid_grant", []string{"code_verifier", wish().Get("code_challenge")}},
		"a longer verifier":    {"invalid_grant", []string{"code_verifier", verifier + "x"}},
		"another resource":     {"invalid_target", []string{"resource", issuer + "/other"}},
	} {
		code := anna.code()
		if s := o.redeem(code, c.change...); s.Error != c.want || s.Access != "" || strings.Contains(s.raw, code) {
			t.Errorf("%s: %s", name, s.raw)
		}
		if s := o.redeem(code); s.Error != "invalid_grant" {
			t.Errorf("%s, then the right way: %s", name, s.raw)
		}
	}
	if s := o.redeem(anna.code(), "redirect_uri", "-", "resource", "-"); s.Status != 200 { // OAuth 2.1 §4.1.3
		t.Errorf("without redirect_uri: %s", s.raw)
	}
	for name, s := range map[string]said{
		"no client":         o.redeem(anna.code(), "client_id", "-"),
		"unknown client":    o.redeem(anna.code(), "client_id", "nobody"),
		"a secret too many": o.redeem(anna.code(), "client_secret", "x"),
		"no secret":         o.redeem(anna.code(), "client_id", "backend"),
		"a wrong secret":    o.redeem(anna.code(), "client_id", "backend", "client_secret", "x"),
		"assertion":         o.redeem(anna.code(), "client_assertion", "eyJ"),
	} {
		if s.Error != "invalid_client" || s.Status != 401 {
			t.Errorf("%s: %d %s", name, s.Status, s.raw)
		}
	}
	for name, s := range map[string]said{
		"password":        o.call("/oauth/token", form("grant_type", "password", "client_id", "app")),
		"client":          o.call("/oauth/token", form("grant_type", "client_credentials", "client_id", "app")),
		"exchange, off":   o.call("/oauth/token", form("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange", "client_id", "app")),
		"assertions, off": o.call("/oauth/token", form("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer", "client_id", "app")),
	} {
		if s.Error != "unsupported_grant_type" {
			t.Errorf("%s: %s", name, s.raw)
		}
	}
	if s := o.call("/oauth/token", form("grant_type", "urn:ietf:params:oauth:grant-type:device_code", "client_id", "app")); s.Error != "unauthorized_client" {
		t.Errorf("a grant type that is not the client's: %s", s.raw)
	}
	twice := form("grant_type", "refresh_token", "client_id", "app")
	twice.Add("client_id", "rival")
	if s := o.call("/oauth/token", twice); s.Error != "invalid_request" {
		t.Errorf("twice: %s", s.raw)
	}
	if s := o.call("/oauth/token?grant_type=refresh_token&client_id=app", form()); s.Error != "invalid_request" {
		t.Errorf("in the address: %s", s.raw)
	}
	if s := o.call("/oauth/token", form("grant_type", "x"), "Content-Type", "application/json"); s.Error != "invalid_request" {
		t.Errorf("not a form: %s", s.raw)
	}
	if s := o.call("/oauth/token", form("grant_type", strings.Repeat("x", 70_000))); s.Error != "invalid_request" {
		t.Errorf("too long: %s", s.raw)
	}
}

// TestConfidentialClients prove themselves by Basic or in the form, not both.
func TestConfidentialClients(t *testing.T) {
	o := newOffice(t)
	anna := o.browser("anna")
	back := []string{"client_id", "backend", "redirect_uri", "https://backend.example/cb"}
	basic := func(id, secret string) []string {
		r, _ := http.NewRequest("POST", issuer, nil)
		r.SetBasicAuth(id, secret)
		return []string{"Authorization", r.Header.Get("Authorization")}
	}
	f := func(change ...string) map[string][]string {
		return form(append([]string{"grant_type", "authorization_code", "code", anna.code(back...), "code_verifier", verifier}, change...)...)
	}
	if s := o.call("/oauth/token", f(), basic("backend", "s3cret%2F%2B+%25")...); s.Status != 200 {
		t.Errorf("Basic: %s", s.raw)
	}
	if s := o.call("/oauth/token", f("client_id", "backend", "client_secret", "s3cret/+ %")); s.Status != 200 {
		t.Errorf("in the form: %s", s.raw)
	}
	if s := o.call("/oauth/token", f("client_secret", "s3cret/+ %"), basic("backend", "s3cret%2F%2B+%25")...); s.Error != "invalid_request" {
		t.Errorf("both: %s", s.raw)
	}
	if s := o.call("/oauth/token", f("client_id", "app"), basic("backend", "s3cret%2F%2B+%25")...); s.Error != "invalid_request" {
		t.Errorf("two names: %s", s.raw)
	}
	if s := o.call("/oauth/token", f(), basic("backend", "wrong")...); s.Error != "invalid_client" || s.Header.Get("WWW-Authenticate") == "" {
		t.Errorf("wrong: %s", s.raw)
	}
}
