package slackfake

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestUserOnlyAnswerHasNoTokenOnTop(t *testing.T) {
	for _, path := range []string{"/api/oauth.v2.access", "/api/oauth.v2.user.access"} {
		s := newScene(t, Config{})
		a := s.must(s.exchange(path, s.consent("/oauth/v2/authorize", "", "chat:write,channels:read")))
		if a["ok"] != true || a["access_token"] != nil || a["scope"] != nil || a["bot_user_id"] != nil {
			t.Errorf("%s: %v", path, a)
		}
		u := a["authed_user"].(map[string]any)
		if u["id"] != Anna || u["token_type"] != "user" || u["scope"] != "channels:read,chat:write" || u["expires_in"] != 43200.0 {
			t.Errorf("%s: authed_user %v", path, u)
		}
		if !strings.HasPrefix(u["access_token"].(string), "xoxe.xoxp-canary-") || !strings.HasPrefix(u["refresh_token"].(string), "xoxe-canary-") {
			t.Errorf("%s: tokens %v", path, u)
		}
		if team := a["team"].(map[string]any); team["id"] != Team || team["name"] != "Harbor" {
			t.Errorf("team %v", team)
		}
		if e, there := a["enterprise"]; !there || e != nil {
			t.Errorf("enterprise %v", e)
		}
	}
}

func TestUserTokenOnTop(t *testing.T) {
	s := newScene(t, Config{UserTokenOnTop: true})
	a := s.must(s.exchange("/api/oauth.v2.user.access", s.consent("/oauth/v2_user/authorize", "chat:write channels:read", "")))
	if u := a["authed_user"].(map[string]any); u["id"] != Anna || u["scope"] != "channels:read,chat:write" || u["access_token"] != nil {
		t.Errorf("authed_user %v", u)
	}
	if a["token_type"] != "user" || a["scope"] != nil || a["refresh_token"] == nil || a["expires_in"] != 43200.0 {
		t.Errorf("top %v", a)
	}
	s.must(s.get("auth.test", a["access_token"].(string), nil))

	// The other endpoint keeps its own form.
	a = s.must(s.exchange("/api/oauth.v2.access", s.consent("/oauth/v2/authorize", "", "chat:write")))
	if a["access_token"] != nil {
		t.Errorf("oauth.v2.access %v", a)
	}
}

func TestBotAndUserAreTwoTokens(t *testing.T) {
	s := newScene(t, Config{})
	a := s.must(s.exchange("/api/oauth.v2.access", s.consent("/oauth/v2/authorize", "chat:write,channels:history", "users:read")))
	u := a["authed_user"].(map[string]any)
	bot, user := a["access_token"].(string), u["access_token"].(string)
	if !strings.HasPrefix(bot, "xoxe.xoxb-canary-") || a["token_type"] != "bot" || a["scope"] != "channels:history,chat:write" || a["bot_user_id"] != Bot || a["app_id"] == nil {
		t.Errorf("bot %v", a)
	}
	if u["scope"] != "users:read" {
		t.Errorf("user %v", u)
	}
	if r := s.must(s.get("auth.test", bot, nil)); r["user_id"] != Bot || r["bot_id"] == nil {
		t.Errorf("bot is %v", r)
	}
	if r := s.must(s.get("auth.test", user, nil)); r["user_id"] != Anna || r["team_id"] != Team || r["user"] != "anna" {
		t.Errorf("user is %v", r)
	}
	// A bot reads and writes only where it is.
	s.refused(s.get("conversations.history", bot, url.Values{"channel": {Launch}}), "not_in_channel")
	s.refused(s.post("chat.postMessage", bot, url.Values{"channel": {Launch}, "text": {"x"}}), "not_in_channel")
	s.must(s.get("conversations.history", bot, url.Values{"channel": {General}}))
	s.refused(s.get("conversations.history", bot, url.Values{"channel": {Leadership}}), "channel_not_found")

	r := s.must(s.refresh(a["refresh_token"].(string)))
	if r["token_type"] != "bot" || r["bot_user_id"] != Bot || r["authed_user"] != nil {
		t.Errorf("bot refresh %v", r)
	}
	s.must(s.get("auth.test", user, nil))

	// The user-only endpoint gives no bot's token away.
	code := s.consent("/oauth/v2/authorize", "chat:write", "users:read")
	s.refused(s.exchange("/api/oauth.v2.user.access", code), "oauth_authorization_url_mismatch")
}

func TestCodes(t *testing.T) {
	s := newScene(t, Config{RedirectURI: callback})
	code := s.consent("/oauth/v2/authorize", "", "users:read")
	s.must(s.exchange("/api/oauth.v2.access", code))
	s.refused(s.exchange("/api/oauth.v2.access", code), "code_already_used")
	s.refused(s.exchange("/api/oauth.v2.access", "nonsense"), "invalid_code")

	code = s.consent("/oauth/v2/authorize", "", "users:read")
	s.clock.advance(10 * time.Minute)
	s.refused(s.exchange("/api/oauth.v2.access", code), "invalid_code")

	code = s.consent("/oauth/v2/authorize", "", "users:read")
	s.refused(s.token("/api/oauth.v2.access", url.Values{"code": {code}, "redirect_uri": {callback + "x"}}), "bad_redirect_uri")

	for field, word := range map[string]string{"client_secret": "bad_client_secret", "client_id": "invalid_client_id"} {
		code = s.consent("/oauth/v2/authorize", "", "users:read")
		s.refused(s.token("/api/oauth.v2.access", url.Values{"code": {code}, "redirect_uri": {callback}, field: {"wrong"}}), word)
		s.refused(s.token("/api/oauth.v2.access", url.Values{"code": {code}, "redirect_uri": {callback}, field: {""}}), word)
		s.must(s.exchange("/api/oauth.v2.access", code)) // the code was not spent
	}

	// The client may also introduce itself by Basic.
	code = s.consent("/oauth/v2/authorize", "", "users:read")
	form := url.Values{"code": {code}, "redirect_uri": {callback}}
	req, _ := http.NewRequest("POST", s.url+"/api/oauth.v2.access", strings.NewReader(form.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(DefaultClientID, DefaultClientSecret)
	s.must(s.do(req))
	if n := len(s.TokenCalls()); n != 12 || s.TokenCalls()[1].Error != "code_already_used" || len(s.Calls()) != 0 {
		t.Errorf("%d token calls, %d calls", n, len(s.Calls()))
	}
}

func TestConsentPage(t *testing.T) {
	s := newScene(t, Config{RedirectURI: callback})
	base := url.Values{"client_id": {DefaultClientID}, "redirect_uri": {callback}, "user_scope": {"users:read"}, "state": {"s t&"}}
	with := func(key, value string) url.Values {
		v := url.Values{}
		for k := range base {
			v.Set(k, base.Get(k))
		}
		v.Set(key, value)
		return v
	}
	for _, c := range []struct {
		q      url.Values
		status int
		error  string
	}{
		{base, 302, ""},
		{with("client_id", "other"), 400, ""},
		{with("redirect_uri", callback+"/"), 400, ""},
		{with("redirect_uri", "https://evil.example/"), 400, ""},
		{with("user_scope", ""), 302, "invalid_scope"},
		{with("code_challenge", "abc"), 302, "invalid_request"},
	} {
		status, to := s.authorize("/oauth/v2/authorize", c.q)
		if status != c.status {
			t.Errorf("%v: status %d", c.q, status)
			continue
		}
		if status == 302 {
			q := to.Query()
			if q.Get("error") != c.error || q.Get("state") != "s t&" || (q.Get("code") != "") != (c.error == "") {
				t.Errorf("%v: %s", c.q, to)
			}
		}
	}
	s.Deny()
	if _, to := s.authorize("/oauth/v2/authorize", base); to.Query().Get("error") != "access_denied" || to.Query().Has("code") {
		t.Errorf("denied: %s", to)
	}

	open := newScene(t, Config{})
	for uri, status := range map[string]int{
		"http://localhost:99/cb": 302, "http://127.0.0.1:1/": 302, "http://[::1]:1/": 302,
		"https://127.0.0.1/": 400, "http://10.0.0.1/": 400, "http://localhost.evil.example/": 400, "": 400,
	} {
		if got, _ := open.authorize("/oauth/v2_user/authorize", with("redirect_uri", uri)); got != status {
			t.Errorf("redirect to %q: status %d", uri, got)
		}
	}
}

func TestPKCE(t *testing.T) {
	s := newScene(t, Config{})
	const verifier = "a-verifier-of-more-than-forty-three-characters-in-length"
	consent := func() string {
		_, to := s.authorize("/oauth/v2_user/authorize", url.Values{
			"client_id": {DefaultClientID}, "redirect_uri": {callback}, "user_scope": {"users:read"},
			"code_challenge": {challengeOf(verifier)}, "code_challenge_method": {"S256"},
		})
		return to.Query().Get("code")
	}
	form := func(code, verifier string) url.Values {
		return url.Values{"code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier}, "client_secret": {""}}
	}
	code := consent()
	s.refused(s.token("/api/oauth.v2.user.access", form(code, "wrong")), "invalid_code")
	s.refused(s.token("/api/oauth.v2.user.access", form(code, verifier)), "code_already_used")

	a := s.must(s.token("/api/oauth.v2.user.access", form(consent(), verifier)))
	refresh := a["authed_user"].(map[string]any)["refresh_token"].(string)
	bare := url.Values{"grant_type": {"refresh_token"}, "client_secret": {""}}
	bare.Set("refresh_token", refresh)
	refresh = s.must(s.token("/api/oauth.v2.user.access", bare))["refresh_token"].(string)

	// Refresh tokens of such an app live for 30 days.
	s.clock.advance(30 * 24 * time.Hour)
	bare.Set("refresh_token", refresh)
	s.refused(s.token("/api/oauth.v2.user.access", bare), "invalid_refresh_token")

	// A confidential client's code and refresh token want the secret.
	user, refresh := s.connect("users:read")
	bare.Set("refresh_token", refresh)
	s.refused(s.token("/api/oauth.v2.access", bare), "bad_client_secret")
	s.must(s.get("auth.test", user, nil))
}

func TestRotation(t *testing.T) {
	s := newScene(t, Config{})
	access, refresh := s.connect("users:read")
	r := s.must(s.refresh(refresh))
	if r["token_type"] != "user" || r["scope"] != "users:read" || r["expires_in"] != 43200.0 || r["team"].(map[string]any)["id"] != Team {
		t.Errorf("refresh %v", r)
	}
	if u := r["authed_user"].(map[string]any); u["id"] != Anna || len(u) != 1 {
		t.Errorf("authed_user %v", u)
	}
	s.refused(s.get("auth.test", access, nil), "token_expired")
	s.refused(s.refresh(refresh), "invalid_refresh_token")
	access, refresh = r["access_token"].(string), r["refresh_token"].(string)
	s.must(s.get("auth.test", access, nil))

	s.clock.advance(12 * time.Hour)
	s.refused(s.get("auth.test", access, nil), "token_expired")
	r = s.must(s.refresh(refresh))
	access, refresh = r["access_token"].(string), r["refresh_token"].(string)
	s.must(s.get("auth.test", access, nil))

	s.ExpireAccess()
	s.refused(s.get("auth.test", access, nil), "token_expired")
	r = s.must(s.refresh(refresh))
	access, refresh = r["access_token"].(string), r["refresh_token"].(string)

	s.RevokeAll()
	s.refused(s.get("auth.test", access, nil), "token_revoked")
	s.refused(s.refresh(refresh), "invalid_refresh_token")
	if got := s.Tokens(); len(got) != 8 {
		t.Errorf("%d tokens issued, want 8: %v", len(got), got)
	}
	for _, token := range s.Tokens() {
		if !strings.Contains(token, "canary") {
			t.Errorf("token %q", token)
		}
	}
}

func TestALostRefreshHasRotated(t *testing.T) {
	s := newScene(t, Config{})
	_, refresh := s.connect("users:read")
	s.InjectToken(Fault{Status: 502, ApplyFirst: true}, Fault{Status: 503})
	if r := s.refresh(refresh); r.status != 502 {
		t.Errorf("answer %v", r)
	}
	if r := s.refresh(refresh); r.status != 503 || r.json["error"] != "service_unavailable" {
		t.Errorf("answer %v", r)
	}
	s.refused(s.refresh(refresh), "invalid_refresh_token")
}

func TestWithoutRotation(t *testing.T) {
	s := newScene(t, Config{TokenLifetime: -1})
	access, refresh := s.connect("users:read")
	if refresh != "" || !strings.HasPrefix(access, "xoxp-canary-") {
		t.Errorf("%q, %q", access, refresh)
	}
	s.clock.advance(1000 * 24 * time.Hour)
	s.must(s.get("auth.test", access, nil))
}

func TestRevoke(t *testing.T) {
	s := newScene(t, Config{})
	access, refresh := s.connect("users:read")
	if r := s.must(s.post("auth.revoke", access, url.Values{"test": {"1"}})); r["revoked"] != false {
		t.Errorf("dry run %v", r)
	}
	s.must(s.get("auth.test", access, nil))
	if r := s.must(s.post("auth.revoke", access, nil)); r["revoked"] != true {
		t.Errorf("revoke %v", r)
	}
	s.refused(s.get("auth.test", access, nil), "token_revoked")
	s.refused(s.refresh(refresh), "invalid_refresh_token")
	if len(s.Writes()) != 0 {
		t.Errorf("writes %v", s.Writes())
	}
}

func TestScopesAddUpUntilRevoked(t *testing.T) {
	s := newScene(t, Config{})
	first, _ := s.connect("users:read")
	second, _ := s.connect("chat:write")
	s.must(s.get("users.list", second, nil))
	s.refused(s.post("chat.postMessage", first, url.Values{"channel": {General}, "text": {"x"}}), "missing_scope")
	s.RevokeAll()
	third, _ := s.connect("chat:write")
	s.refused(s.get("users.list", third, nil), "missing_scope")
}
