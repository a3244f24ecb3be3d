package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// emulator stands for emulate: it hands out tokens, takes any bearer, and
// says what reached it.
type emulator struct {
	*httptest.Server
	issue string   // body of the next token answer
	seen  []string // "METHOD path body"
	auth  string   // Authorization of the last request
}

func (e *emulator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	switch r.URL.Path {
	case "/oauth2/token", "/api/oauth.v2.access", "/login/oauth/access_token":
		io.WriteString(w, e.issue)
		return
	case "/oauth2/v2/userinfo":
		io.WriteString(w, `{"email":"anna@example.test"}`)
		return
	case "/user":
		io.WriteString(w, `{"login":"anna"}`)
		return
	case "/api/search.messages":
		http.NotFound(w, r)
		return
	}
	e.auth = r.Header.Get("Authorization")
	e.seen = append(e.seen, r.Method+" "+r.URL.Path+" "+string(body))
	io.WriteString(w, `{"ok":true}`)
}

// scene is one gate with its emulator and a clock that stands still.
type scene struct {
	t    *testing.T
	up   *emulator
	gate *httptest.Server
	now  time.Time
}

func open(t *testing.T, kind Kind, set ...func(*Config)) *scene {
	t.Helper()
	s := &scene{t: t, up: &emulator{}, now: time.Date(2026, 7, 28, 12, 0, 0, 0, time.UTC)}
	s.up.Server = httptest.NewServer(s.up)
	t.Cleanup(s.up.Close)
	u, _ := url.Parse(s.up.URL)
	c := Config{Kind: kind, Upstream: u, Clients: map[string]string{"app": "secret"}, Now: func() time.Time { return s.now }}
	for _, f := range set {
		f(&c)
	}
	s.gate = httptest.NewServer(NewGate(c))
	t.Cleanup(s.gate.Close)
	return s
}

// do sends one request; head is "Name: value".
func (s *scene) do(method, path, body string, head ...string) (int, string) {
	s.t.Helper()
	r, _ := http.NewRequest(method, s.gate.URL+path, strings.NewReader(body))
	for _, h := range head {
		k, v, _ := strings.Cut(h, ": ")
		r.Header.Set(k, v)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, ""
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b)
}

// want fails unless the answer has this status and contains this text.
func (s *scene) want(status int, text string) func(int, string) {
	s.t.Helper()
	return func(got int, body string) {
		s.t.Helper()
		if got != status || !strings.Contains(body, text) {
			s.t.Errorf("got %d %q, want %d with %q", got, body, status, text)
		}
	}
}

func (s *scene) issue(path, answer string, form ...string) string {
	s.t.Helper()
	s.up.issue = answer
	status, body := s.do("POST", path, strings.Join(append(form, "client_id=app"), "&"), formType)
	if status != 200 {
		s.t.Fatalf("token: %d %s", status, body)
	}
	return body
}

func (s *scene) writes() []Write {
	s.t.Helper()
	_, body := s.do("GET", "/__gate/writes", "")
	var out struct{ Writes []Write }
	if err := json.Unmarshal([]byte(body), &out); err != nil {
		s.t.Fatal(err)
	}
	return out.Writes
}

const (
	formType = "Content-Type: application/x-www-form-urlencoded"
	jsonType = "Content-Type: application/json"
	basic    = "Authorization: Basic YXBwOnNlY3JldA==" // app:secret
)

func bearer(t string) string { return "Authorization: Bearer " + t }

func TestUnknownTokensAreRefusedInTheProvidersWords(t *testing.T) {
	for _, c := range []struct {
		kind   Kind
		path   string
		status int
		text   string
	}{
		{Google, "/gmail/v1/users/me/messages", 401, `"status":"UNAUTHENTICATED"`},
		{Slack, "/api/conversations.list", 200, `"error":"invalid_auth"`},
		{GitHub, "/user/repos", 401, `"message":"Bad credentials"`},
	} {
		s := open(t, c.kind)
		s.want(c.status, c.text)(s.do("GET", c.path, "", bearer("forged")))
		if len(s.up.seen) > 0 {
			t.Errorf("%s: the provider saw %v", c.kind, s.up.seen)
		}
		s.want(200, `"refused":["forged"]`)(s.do("GET", "/__gate/tokens", ""))
	}
	s := open(t, Slack)
	s.want(200, `"error":"not_authed"`)(s.do("POST", "/api/users.list", ""))
	s = open(t, Google)
	s.want(401, "missing required")(s.do("GET", "/gmail/v1/users/me/messages", ""))
	s = open(t, GitHub)
	s.want(200, "ok")(s.do("GET", "/repos/anna/public", ""))
}

func TestTokensLiveAsLongAsTheProviderSays(t *testing.T) {
	s := open(t, Google)
	s.issue("/token", `{"access_token":"a1","refresh_token":"r1","expires_in":3600}`)
	const inbox = "/gmail/v1/users/me/messages"
	s.want(200, "ok")(s.do("GET", inbox, "", bearer("a1")))
	s.now = s.now.Add(time.Hour)
	s.want(401, "UNAUTHENTICATED")(s.do("GET", inbox, "", bearer("a1")))
	s.want(401, "UNAUTHENTICATED")(s.do("GET", inbox, "", bearer("r1")))

	s.issue("/token", `{"access_token":"a2","expires_in":3600}`, "grant_type=refresh_token", "refresh_token=r1")
	s.want(200, "ok")(s.do("GET", inbox, "", bearer("a2")))
	s.want(200, `"expired":1`)(s.do("POST", "/__gate/expire?token=a2", ""))
	s.want(401, "UNAUTHENTICATED")(s.do("GET", inbox, "", bearer("a2")))

	s = open(t, Google, func(c *Config) { c.TTL = time.Minute })
	if body := s.issue("/oauth2/token", `{"access_token":"a3","expires_in":3600}`); !strings.Contains(body, `"expires_in":60`) {
		t.Errorf("the client was told %s", body)
	}
	s.now = s.now.Add(time.Minute)
	s.want(401, "UNAUTHENTICATED")(s.do("GET", inbox, "", bearer("a3")))
}

func TestGoogleRevokesTheWholeGrant(t *testing.T) {
	for _, how := range []string{"form", "query"} {
		s := open(t, Google)
		s.issue("/token", `{"access_token":"a1","refresh_token":"r1"}`)
		s.issue("/token", `{"access_token":"a2"}`, "grant_type=refresh_token", "refresh_token=r1")
		if how == "form" {
			s.want(200, "{}")(s.do("POST", "/revoke", "token=a1", formType))
		} else {
			s.want(200, "{}")(s.do("POST", "/revoke?token=r1", ""))
		}
		for _, a := range []string{"a1", "a2"} {
			s.want(401, "UNAUTHENTICATED")(s.do("GET", "/gmail/v1/users/me/labels", "", bearer(a)))
		}
		s.want(400, "invalid_grant")(s.do("POST", "/token", "grant_type=refresh_token&refresh_token=r1", formType))
		s.want(400, "invalid_token")(s.do("POST", "/revoke", "token=r1", formType))
		s.want(400, "invalid_token")(s.do("POST", "/revoke", "token=never", formType))
	}
}

func TestGmailProfileAndScopes(t *testing.T) {
	s := open(t, Google)
	const g = "https://www.googleapis.com/auth/gmail."
	s.issue("/token", `{"access_token":"reader","scope":"`+g+`readonly"}`)
	s.issue("/token", `{"access_token":"sender","scope":"`+g+`send openid"}`)
	s.want(200, `"emailAddress":"anna@example.test"`)(s.do("GET", "/gmail/v1/users/me/profile", "", bearer("reader")))
	s.want(403, "insufficient")(s.do("GET", "/gmail/v1/users/me/profile", "", bearer("sender")))
	s.want(403, "insufficient")(s.do("POST", "/gmail/v1/users/me/messages/send", "{}", bearer("reader")))
	s.want(200, "ok")(s.do("POST", "/gmail/v1/users/me/messages/send", "{}", bearer("sender")))
	s.want(403, "insufficient")(s.do("GET", "/gmail/v1/users/me/messages/m1", "", bearer("sender")))
	s.want(401, "UNAUTHENTICATED")(s.do("GET", "/gmail/v1/users/me/profile", "", bearer("forged")))
	if len(s.writes()) != 1 {
		t.Errorf("writes: %+v", s.writes())
	}
}

func TestSlackFormsAndRevocation(t *testing.T) {
	s := open(t, Slack)
	s.issue("/api/oauth.v2.access", `{"ok":true,"access_token":"xoxb-1","authed_user":{"access_token":"xoxp-1"}}`)
	s.want(200, "ok")(s.do("GET", "/api/conversations.history?channel=C1", "", bearer("xoxp-1")))
	s.want(200, "ok")(s.do("POST", "/api/users.list", "token=xoxp-1&limit=5", formType))
	want := []string{"POST /api/conversations.history channel=C1", "POST /api/users.list limit=5"}
	if !slices.Equal(s.up.seen, want) || s.up.auth != "Bearer xoxp-1" {
		t.Errorf("the provider saw %q with %q", s.up.seen, s.up.auth)
	}
	s.want(200, `"unknown_method"`)(s.do("POST", "/api/search.messages", "query=x", formType, bearer("xoxp-1")))
	if n := len(s.writes()); n != 0 {
		t.Errorf("reads were taken for %d writes", n)
	}
	s.want(200, `"revoked":false`)(s.do("GET", "/api/auth.revoke?test=1", "", bearer("xoxp-1")))
	s.want(200, `"revoked":true`)(s.do("GET", "/api/auth.revoke", "", bearer("xoxp-1")))
	s.want(200, "invalid_auth")(s.do("POST", "/api/users.list", "", bearer("xoxp-1")))
	s.want(200, `"ok":true`)(s.do("POST", "/api/users.list", "", bearer("xoxb-1")))
}

func TestGitHubApplicationEndpoints(t *testing.T) {
	s := open(t, GitHub)
	s.issue("/login/oauth/access_token", `{"access_token":"gho_1","scope":"repo,read:user"}`)
	s.issue("/login/oauth/access_token", "access_token=gho_2&scope=repo&token_type=bearer")
	s.issue("/login/oauth/access_token", `{"access_token":"gho_3"}`)
	one := `{"access_token":"gho_1"}`
	s.want(404, "Not Found")(s.do("DELETE", "/applications/app/token", one, "Authorization: Basic YXBwOndyb25n"))
	s.want(404, "Not Found")(s.do("DELETE", "/applications/app/token", one))
	s.want(200, `"login":"anna"`)(s.do("POST", "/applications/app/token", one, basic))
	s.want(204, "")(s.do("DELETE", "/applications/app/token", one, basic))
	s.want(404, "Not Found")(s.do("DELETE", "/applications/app/token", one, basic))
	s.want(401, "Bad credentials")(s.do("GET", "/user/repos", "", bearer("gho_1")))
	s.want(200, "ok")(s.do("GET", "/user/repos", "", "Authorization: token gho_2"))
	s.want(204, "")(s.do("DELETE", "/applications/app/grant", `{"access_token":"gho_2"}`, basic))
	s.want(401, "Bad credentials")(s.do("GET", "/user/repos", "", bearer("gho_3")))
}

func TestWritesAreKeptByteForByte(t *testing.T) {
	s := open(t, GitHub, func(c *Config) { c.Tokens = []string{"seed"} })
	body := "{ \"body\":\t\"h\u00e9\u0000\" }\n"
	s.want(200, "ok")(s.do("POST", "/repos/o/r/issues/1/comments?x=1", body, jsonType, bearer("seed")))
	s.want(200, "ok")(s.do("GET", "/repos/o/r", "", bearer("seed")))
	s.want(401, "Bad")(s.do("POST", "/repos/o/r/issues", "{}", bearer("forged")))
	got := s.writes()
	if len(got) != 1 {
		t.Fatalf("writes: %+v", got)
	}
	w := got[0]
	if w.N != 1 || w.Method != "POST" || w.Path != "/repos/o/r/issues/1/comments" || w.Query != "x=1" ||
		w.ContentType != "application/json" || w.Status != 200 || !bytes.Equal(w.Body, []byte(body)) {
		t.Errorf("write: %+v", w)
	}
	s.want(200, `{"writes":[]}`)(s.do("GET", "/__gate/writes?since=1", ""))
	s.want(200, "")(s.do("POST", "/__gate/reset", ""))
	if len(s.writes()) != 0 {
		t.Error("reset left writes behind")
	}
	s.want(200, "ok")(s.do("GET", "/repos/o/r", "", bearer("seed")))
}

func TestFaults(t *testing.T) {
	s := open(t, Slack, func(c *Config) { c.Tokens = []string{"seed"} })
	post := func() (int, string) { return s.do("POST", "/api/chat.postMessage", "{}", jsonType, bearer("seed")) }
	s.want(200, "")(s.do("POST", "/__gate/fault?status=429,503&after=1", ""))
	s.want(200, "ok")(post())
	s.want(429, "ratelimited")(post())
	s.want(503, "service_unavailable")(post())
	s.want(200, "ok")(post())

	s.want(200, "")(s.do("POST", "/__gate/fault?status=502,drop&forward=true&path=chat.", ""))
	s.want(200, "ok")(s.do("POST", "/api/users.list", "", bearer("seed")))
	s.want(502, "internal_error")(post())
	s.want(0, "")(post())
	if n := len(s.writes()); n != 4 {
		t.Errorf("%d writes reached the provider, want 4", n)
	}
	for _, bad := range []string{"status=200", "status=x", "status=500&after=-1", ""} {
		s.want(400, "error")(s.do("POST", "/__gate/fault?"+bad, ""))
	}
}

func TestADeadProviderIsNotSilentAboutWrites(t *testing.T) {
	s := open(t, GitHub)
	s.up.Close()
	s.want(502, "gate: provider")(s.do("POST", "/repos/o/r/issues", "{}"))
	if w := s.writes(); len(w) != 1 || w[0].Status != 0 {
		t.Errorf("writes: %+v", w)
	}
}

func TestCommandLine(t *testing.T) {
	good := []string{"-kind", "github", "-upstream", "http://127.0.0.1:1", "-client", "a:b:c", "-token", "t", "-ttl", "5s"}
	o, err := parse(good, io.Discard)
	if err != nil || o.config.Clients["a"] != "b:c" || o.config.TTL != 5*time.Second || len(o.config.Tokens) != 1 {
		t.Errorf("%+v, %v", o, err)
	}
	for _, bad := range [][]string{
		{},
		{"-kind", "gitlab", "-upstream", "http://127.0.0.1:1"},
		{"-kind", "slack", "-upstream", "127.0.0.1:1"},
		{"-kind", "slack", "-upstream", "http://127.0.0.1:1", "-listen", "0.0.0.0:80"},
		{"-kind", "slack", "-upstream", "http://127.0.0.1:1", "-listen", "example.com:80"},
		{"-kind", "slack", "-upstream", "http://127.0.0.1:1", "-client", "id"},
		{"-kind", "slack", "-upstream", "http://127.0.0.1:1", "extra"},
		{"-nonsense"},
	} {
		var out strings.Builder
		if _, err := parse(bad, &out); err == nil || !strings.Contains(out.String(), "/__gate/writes") {
			t.Errorf("%q: %v, printed %q", bad, err, out.String())
		}
	}
	if _, err := parse([]string{"-h"}, io.Discard); err != flag.ErrHelp {
		t.Error(fmt.Errorf("-h: %w", err))
	}
}
