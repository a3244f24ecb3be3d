package login_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"deputy/authz"
	"deputy/internal/login"
	"deputy/internal/store"
)

func open(t *testing.T, public string) (*login.Login, store.Store) {
	t.Helper()
	u, err := url.Parse(public)
	if err != nil {
		t.Fatal(err)
	}
	s := store.NewMemory()
	door := authz.NewDoor(func(_ context.Context, p authz.Principal) error {
		if p.User != "anna" {
			return authz.ErrNobody
		}
		return nil
	})
	return &login.Login{Store: s, Door: door, Public: u}, s
}

func bearer(text string) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "Bearer "+text)
	return r
}

func TestBearer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, s := open(t, "http://localhost:1")
		text, err := l.Bearer("anna", "claude")
		if err != nil {
			t.Fatal(err)
		}
		c, err := l.Agent(bearer(text))
		if err != nil || c.User() != "anna" || c.Agent() != "claude" {
			t.Errorf("%+v, %v", c, err)
		}
		other, _ := open(t, "http://localhost:1")
		if _, err := other.Agent(bearer(text)); err == nil {
			t.Error("another home's bearer is good here")
		}
		for _, bad := range []string{"", text + "x", text[:len(text)-1], strings.ToUpper(text), "ya29.x"} {
			if _, err := l.Agent(bearer(bad)); err == nil {
				t.Errorf("%q is good", bad)
			}
		}
		s.View(func(tx store.Tx) error {
			return tx.Scan(nil, nil, func(k, v []byte) error {
				if strings.Contains(string(k)+string(v), strings.TrimPrefix(text, "dpt_")) {
					t.Error("the store holds the bearer")
				}
				return nil
			})
		})
		if gone, _ := l.Bearer("bo", "claude"); gone != "" {
			if _, err := l.Agent(bearer(gone)); err == nil {
				t.Error("the door is not asked")
			}
		}
		time.Sleep(91 * 24 * time.Hour)
		if _, err := l.Agent(bearer(text)); err == nil {
			t.Error("an expired bearer is good")
		}
		if err := l.Sweep(); err != nil {
			t.Fatal(err)
		}
		s.View(func(tx store.Tx) error {
			return tx.Scan(nil, nil, func(k, _ []byte) error { t.Errorf("left over: %q", k); return nil })
		})
	})
}

// signIn walks the page with a code and returns the cookies it set.
func signIn(l *login.Login, method, code, next string) *http.Response {
	mux := http.NewServeMux()
	l.Routes(mux)
	form := url.Values{"code": {code}, "next": {next}}.Encode()
	r := httptest.NewRequest(method, "/signin", strings.NewReader(form))
	if method == "GET" {
		r = httptest.NewRequest(method, "/signin?"+form, nil)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	return w.Result()
}

func TestSession(t *testing.T) { // T18
	synctest.Test(t, func(t *testing.T) {
		for public, want := range map[string]struct {
			name   string
			secure bool
		}{"http://localhost:1": {"deputy", false}, "https://deputy.example": {"__Host-deputy", true}} {
			l, _ := open(t, public)
			code, _ := l.Code("anna")
			resp := signIn(l, "POST", code, "/approvals/apr_1")
			if resp.StatusCode != 303 || resp.Header.Get("Location") != "/approvals/apr_1" {
				t.Fatalf("%d to %s", resp.StatusCode, resp.Header.Get("Location"))
			}
			c := resp.Cookies()[0]
			if c.Name != want.name || c.Secure != want.secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
				t.Errorf("cookie %+v", c)
			}
			r := httptest.NewRequest("GET", "/", nil)
			r.AddCookie(c)
			who, ok := l.Person(r)
			if !ok || who.User() != "anna" || time.Since(who.AuthTime()) != 0 || who.Session() == "" || who.Session() == c.Value {
				t.Errorf("%v %+v", ok, who)
			}
			if _, err := l.Agent(bearer(c.Value)); err == nil {
				t.Error("a session is a bearer")
			}
			if resp := signIn(l, "POST", code, "/"); resp.StatusCode != 401 || len(resp.Cookies()) != 0 {
				t.Errorf("a code used twice: %d", resp.StatusCode)
			}
			time.Sleep(13 * time.Hour)
			if _, ok := l.Person(r); ok {
				t.Error("an old session is good")
			}
			late, _ := l.Code("anna")
			time.Sleep(11 * time.Minute)
			if resp := signIn(l, "GET", late, "/"); resp.StatusCode != 401 {
				t.Errorf("an old code: %d", resp.StatusCode)
			}
		}
	})
}

func TestSignInStaysHere(t *testing.T) {
	l, _ := open(t, "http://localhost:1")
	for next, want := range map[string]string{
		"/approvals/x": "/approvals/x", "//evil.example": "/approvals", "https://evil.example": "/approvals", `/\evil.example`: "/approvals",
		"": "/approvals", "/a\r\nSet-Cookie: x": "/approvals", "javascript:1": "/approvals",
	} {
		code, _ := l.Code("anna")
		if got := signIn(l, "GET", code, next).Header.Get("Location"); got != want {
			t.Errorf("%q leads to %q, want %q", next, got, want)
		}
	}
}
