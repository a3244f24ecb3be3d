package githubfake

import (
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"strings"
	"testing"
	"time"
)

const (
	callbackURI = "http://127.0.0.1:7777/callback"
	verifier    = "a-verifier-of-at-least-forty-three-characters-0"
)

func challengeOf(v string) string {
	sum := sha256.Sum256([]byte(v))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// consent visits the authorize page and returns the query that the callback gets. An empty
// value removes a parameter.
func (s *scene) consent(scope string, change map[string]string) url.Values {
	s.Helper()
	a := s.visit(scope, change)
	to, err := url.Parse(s.want(a, 302).header.Get("Location"))
	if err != nil || !strings.HasPrefix(to.String(), callbackURI) {
		s.Fatalf("redirected to %v: %v", to, err)
	}
	return to.Query()
}

func (s *scene) visit(scope string, change map[string]string) answer {
	s.Helper()
	q := url.Values{
		"client_id": {DefaultClientID}, "redirect_uri": {callbackURI}, "state": {"st&1"}, "scope": {scope},
		"code_challenge": {challengeOf(verifier)}, "code_challenge_method": {"S256"},
	}
	for k, v := range change {
		q.Set(k, v)
		if v == "" {
			q.Del(k)
		}
	}
	return s.send("GET", "/login/oauth/authorize?"+q.Encode(), "")
}

func (s *scene) token(params map[string]string, headers ...string) answer {
	s.Helper()
	form := url.Values{"client_id": {DefaultClientID}, "client_secret": {DefaultClientSecret}}
	for k, v := range params {
		form.Set(k, v)
	}
	headers = append([]string{"Content-Type", "application/x-www-form-urlencoded", "Accept", "application/json"}, headers...)
	return s.send("POST", "/login/oauth/access_token", form.Encode(), headers...)
}

func (s *scene) redeem(code string, change map[string]string) answer {
	s.Helper()
	params := map[string]string{"code": code, "redirect_uri": callbackURI, "code_verifier": verifier}
	for k, v := range change {
		params[k] = v
	}
	return s.token(params)
}

// connect goes the whole way and returns the token answer.
func (s *scene) connect(scope string) map[string]any {
	s.Helper()
	m := s.want(s.redeem(s.consent(scope, nil).Get("code"), nil), 200).json(s)
	if m["access_token"] == nil {
		s.Fatalf("no token: %v", m)
	}
	return m
}

// refused wants GitHub's kind of refusal: 200 and an error.
func (s *scene) refused(a answer, kind string) {
	s.Helper()
	m := s.want(a, 200).json(s)
	if m["error"] != kind || m["error_description"] == nil || m["error_uri"] == nil || m["access_token"] != nil {
		s.Fatalf("want %s, got %v", kind, m)
	}
}

func (s *scene) app(method, path, body string) answer {
	s.Helper()
	basic := base64.StdEncoding.EncodeToString([]byte(DefaultClientID + ":" + DefaultClientSecret))
	return s.send(method, "/applications/"+DefaultClientID+"/"+path, body, "Authorization", "Basic "+basic)
}

func TestConnect(t *testing.T) {
	s := newScene(t, Config{})
	back := s.consent("repo read:user repo", nil)
	if back.Get("state") != "st&1" || back.Get("code") == "" {
		t.Fatalf("callback got %v", back)
	}
	m := s.redeem(back.Get("code"), nil).json(s)
	access, _ := m["access_token"].(string)
	refresh, _ := m["refresh_token"].(string)
	if !strings.HasPrefix(access, "ghu_canary") || !strings.HasPrefix(refresh, "ghr_canary") ||
		m["expires_in"] != 28800.0 || m["refresh_token_expires_in"] != 15811200.0 ||
		m["scope"] != "read:user,repo" || m["token_type"] != "bearer" {
		t.Fatalf("answer: %v", m)
	}
	a := s.want(s.as(access, "GET", "/user", ""), 200, `"login":"octo-anna"`, "Anna Kim")
	if got := a.header.Get("X-OAuth-Scopes"); got != "read:user, repo" {
		t.Errorf("scopes %q", got)
	}
	s.want(s.send("GET", "/user", "", "Authorization", "token "+access), 200)
	s.refused(s.redeem(back.Get("code"), nil), "bad_verification_code") // replay
	if all := s.Tokens(); len(all) != 2 || all[0] != access || all[1] != refresh {
		t.Errorf("tokens %v", all)
	}
	s.clock.advance(8 * time.Hour)
	s.want(s.as(access, "GET", "/user", ""), 401, "Bad credentials")
}

func TestFormEncodedAnswers(t *testing.T) {
	s := newScene(t, Config{})
	form := func(a answer) url.Values {
		if got := a.header.Get("Content-Type"); !strings.HasPrefix(got, "application/x-www-form-urlencoded") {
			t.Errorf("type %q", got)
		}
		v, err := url.ParseQuery(s.want(a, 200).body)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	code := s.consent("repo", nil).Get("code")
	params := map[string]string{"code": code, "code_verifier": verifier}
	if v := form(s.token(params, "Accept", "*/*")); v.Get("access_token") == "" || v.Get("expires_in") != "28800" {
		t.Errorf("answer %v", v)
	}
	if v := form(s.token(params, "Accept", "*/*")); v.Get("error") != "bad_verification_code" {
		t.Errorf("answer %v", v)
	}
}

func TestTokenRefusals(t *testing.T) {
	s := newScene(t, Config{})
	fresh := func() string { return s.consent("repo", nil).Get("code") }

	s.refused(s.redeem("invented", nil), "bad_verification_code")
	s.refused(s.redeem(fresh(), map[string]string{"client_secret": "wrong"}), "incorrect_client_credentials")
	s.refused(s.redeem(fresh(), map[string]string{"client_id": "wrong"}), "incorrect_client_credentials")
	s.refused(s.redeem(fresh(), map[string]string{"redirect_uri": callbackURI + "/"}), "redirect_uri_mismatch")
	s.refused(s.redeem(fresh(), map[string]string{"grant_type": "password"}), "unsupported_grant_type")
	s.refused(s.token(map[string]string{"grant_type": "refresh_token", "refresh_token": "x"}), "bad_refresh_token")

	// PKCE: a wrong or missing verifier spends the code.
	for _, wrong := range []string{"", verifier + "x"} {
		code := fresh()
		s.refused(s.redeem(code, map[string]string{"code_verifier": wrong}), "bad_verification_code")
		s.refused(s.redeem(code, nil), "bad_verification_code")
	}
	// Not enforced on a client that does not use it.
	plain := s.consent("repo", map[string]string{"code_challenge": "", "code_challenge_method": ""}).Get("code")
	s.want(s.redeem(plain, map[string]string{"code_verifier": ""}), 200, "ghu_canary")

	late := fresh()
	s.clock.advance(10 * time.Minute)
	s.refused(s.redeem(late, nil), "bad_verification_code")
	s.want(s.send("GET", "/login/oauth/access_token", ""), 404)

	// The secret may also come in the header.
	s.want(s.send("POST", "/login/oauth/access_token", "code="+fresh()+"&code_verifier="+verifier,
		"Content-Type", "application/x-www-form-urlencoded", "Authorization",
		"Basic "+base64.StdEncoding.EncodeToString([]byte(DefaultClientID+":"+DefaultClientSecret))), 200, "ghu_canary")
}

func TestAuthorizeRefusals(t *testing.T) {
	s := newScene(t, Config{})
	s.want(s.visit("repo", map[string]string{"client_id": "other"}), 404)
	for _, bad := range []string{"https://127.0.0.1/cb", "http://example.com/cb", "http://127.0.0.1.example.com/", "javascript:1"} {
		s.want(s.visit("repo", map[string]string{"redirect_uri": bad}), 400)
	}
	s.want(s.visit("repo", map[string]string{"redirect_uri": "http://[::1]:80/cb"}), 302)
	for _, method := range []string{"plain", ""} {
		if q := s.consent("repo", map[string]string{"code_challenge_method": method}); q.Get("error") != "invalid_request" || q.Get("code") != "" {
			t.Errorf("method %q: %v", method, q)
		}
	}

	// A registered URI is compared exactly, and is the only one that hears of the mismatch.
	r := newScene(t, Config{RedirectURI: callbackURI})
	if q := r.consent("repo", map[string]string{"redirect_uri": "http://127.0.0.1:7778/callback"}); q.Get("error") != "redirect_uri_mismatch" {
		t.Errorf("callback got %v", q)
	}
	if q := r.consent("repo", map[string]string{"redirect_uri": ""}); q.Get("code") == "" {
		t.Errorf("callback got %v", q)
	}
}

func TestDeny(t *testing.T) {
	s := newScene(t, Config{})
	pair := s.connect("repo")
	s.Deny()
	q := s.consent("repo", nil)
	if q.Get("error") != "access_denied" || q.Get("error_description") == "" || q.Get("state") != "st&1" || q.Get("code") != "" {
		t.Errorf("callback got %v", q)
	}
	s.want(s.as(pair["access_token"].(string), "GET", "/user", ""), 200)
}

func TestRefreshRotatesAndKillsTheOldPair(t *testing.T) {
	s := newScene(t, Config{TokenLifetime: time.Hour})
	old := s.connect("repo")
	refresh := func(m map[string]any) answer {
		return s.token(map[string]string{"grant_type": "refresh_token", "refresh_token": m["refresh_token"].(string)})
	}
	fresh := s.want(refresh(old), 200).json(s)
	if fresh["scope"] != "repo" || fresh["expires_in"] != 3600.0 {
		t.Errorf("answer %v", fresh)
	}
	s.want(s.as(old["access_token"].(string), "GET", "/user", ""), 401)
	s.want(s.as(fresh["access_token"].(string), "GET", "/user", ""), 200)
	s.refused(refresh(old), "bad_refresh_token")

	s.ExpireAccess()
	s.want(s.as(fresh["access_token"].(string), "GET", "/user", ""), 401)
	again := s.want(refresh(fresh), 200).json(s)
	s.want(s.as(again["access_token"].(string), "GET", "/user", ""), 200)

	s.clock.advance(refreshLifetime)
	s.refused(refresh(again), "bad_refresh_token")

	last := s.connect("repo")
	s.RevokeAll()
	s.want(s.as(last["access_token"].(string), "GET", "/user", ""), 401)
	s.refused(refresh(last), "bad_refresh_token")
	s.want(s.as(s.connect("repo")["access_token"].(string), "GET", "/user", ""), 200)
}

func TestOldOAuthApp(t *testing.T) {
	s := newScene(t, Config{TokenLifetime: -1})
	m := s.connect("repo")
	if m["expires_in"] != nil || m["refresh_token"] != nil || m["scope"] != "repo" {
		t.Errorf("answer %v", m)
	}
	s.clock.advance(300 * 24 * time.Hour)
	s.want(s.as(m["access_token"].(string), "GET", "/user", ""), 200)
	s.want(s.app("POST", "token/scoped", `{"access_token":"`+m["access_token"].(string)+`","target":"octo-anna"}`), 404)
}

func TestCheckAndRevoke(t *testing.T) {
	s := newScene(t, Config{})
	one, two := s.connect("repo"), s.connect("public_repo")
	body := func(m map[string]any) string { return `{"access_token":"` + m["access_token"].(string) + `"}` }

	s.want(s.app("POST", "token", body(one)), 200, `"scopes":["repo"]`, Login)
	s.want(s.app("POST", "token", `{"access_token":"invented"}`), 404)
	s.want(s.app("POST", "token", `{}`), 422, "missing_field")
	s.want(s.app("POST", "token", `{`), 400)
	s.want(s.send("DELETE", "/applications/"+DefaultClientID+"/token", body(one)), 401)
	s.want(s.app("GET", "nothing", body(one)), 404)

	s.want(s.app("DELETE", "token", body(one)), 204)
	s.want(s.app("DELETE", "token", body(one)), 404)
	s.want(s.as(one["access_token"].(string), "GET", "/user", ""), 401)
	s.refused(s.token(map[string]string{"grant_type": "refresh_token", "refresh_token": one["refresh_token"].(string)}), "bad_refresh_token")
	s.want(s.as(two["access_token"].(string), "GET", "/user", ""), 200)

	three := s.connect("repo")
	s.want(s.app("DELETE", "grant", body(two)), 204)
	s.want(s.as(three["access_token"].(string), "GET", "/user", ""), 401)
	if len(s.Calls()) != 3 || len(s.Writes()) != 0 {
		t.Error("calls about tokens were counted as API calls")
	}
}

func TestNarrowedToken(t *testing.T) {
	s := newScene(t, Config{})
	parent := s.Issue("repo")
	narrow := func(rest string) answer {
		return s.app("POST", "token/scoped", `{"access_token":"`+parent+`",`+rest+`}`)
	}
	m := s.want(narrow(`"target":"octo-anna","repositories":["harbor"],"permissions":{"issues":"read"}`), 200).json(s)
	child := m["token"].(string)
	if !strings.HasPrefix(child, "ghu_canary") || child == parent || m["expires_at"] == nil {
		t.Fatalf("answer %v", m)
	}
	s.want(s.as(child, "GET", "/repos/octo-anna/harbor/issues/1", ""), 200)
	s.want(s.as(child, "POST", "/repos/octo-anna/harbor/issues", `{"title":"x"}`), 403, "Resource not accessible by integration")
	s.want(s.as(child, "GET", "/repos/octo-anna/harbor/contents/README.md", ""), 403)
	s.want(s.as(child, "GET", "/repos/octo-anna/payroll", ""), 404)
	s.want(s.as(child, "GET", "/repos/northwind/portal", ""), 404)
	if l := s.as(child, "GET", "/user/repos", "").list(s); len(l) != 1 {
		t.Errorf("sees %d repositories", len(l))
	}

	all := s.want(narrow(`"target_id":4101,"permissions":{"issues":"write","contents":"read"}`), 200).json(s)["token"].(string)
	s.want(s.as(all, "POST", "/repos/octo-anna/payroll/issues", `{"title":"x"}`), 201)
	s.want(s.as(all, "GET", "/repos/octo-anna/payroll/contents/README.md", ""), 200)
	byID := s.want(narrow(`"target":"northwind","repository_ids":[720001]`), 200).json(s)["token"].(string)
	s.want(s.as(byID, "POST", "/repos/northwind/portal/issues/1/comments", `{"body":"x"}`), 201)
	s.want(s.as(byID, "GET", "/repos/octo-anna/harbor", ""), 404)

	for _, bad := range []string{
		`"repositories":["harbor"]`,
		`"target":"nobody"`,
		`"target":"octo-anna","repositories":["portal"]`,
		`"target":"northwind","repositories":["secret-plans"]`,
		`"target":"northwind","repository_ids":[720002]`,
		`"target":"octo-anna","permissions":{"issues":"admin"}`,
		`"target":"octo-anna","permissions":{"everything":"read"}`,
		`"target":"octo-anna","repositories":["harbor"],"repository_ids":[710001]`,
	} {
		s.want(narrow(bad), 422, `"errors":[`)
	}
	s.want(s.app("POST", "token/scoped", `{"access_token":"`+child+`","target":"octo-anna"}`), 422)

	// The child ends by itself, by its own revocation, or with the grant.
	s.want(s.app("DELETE", "token", `{"access_token":"`+child+`"}`), 204)
	s.want(s.as(child, "GET", "/user", ""), 401)
	s.want(s.app("DELETE", "token", `{"access_token":"`+parent+`"}`), 204)
	s.want(s.as(all, "GET", "/user", ""), 200)
	s.clock.advance(8 * time.Hour)
	s.want(s.as(all, "GET", "/user", ""), 401)
}
