package authserver_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestCodeFlow: from a link to tokens that are verified, refreshed and listed.
func TestCodeFlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		anna := o.browser("")
		link := "/oauth/authorize?" + wish("scope", "gmail.send gmail.read").Encode()
		if p := anna.get(link, "Sec-Fetch-Site", "cross-site"); p.StatusCode != 401 || p.Header.Get("X-Next") != link {
			t.Fatalf("nobody is signed in: %d, next %q", p.StatusCode, p.Header.Get("X-Next"))
		}
		anna.signIn("anna", strong)
		since := time.Now()
		time.Sleep(3 * time.Second)
		p := anna.get(link, "Sec-Fetch-Site", "cross-site")
		for _, want := range []string{"The App", "registered by the operator", "app.example", "Read your mail", "Send mail for you", "anna"} {
			if !strings.Contains(p.text, want) {
				t.Errorf("the consent page lacks %q", want)
			}
		}
		if csp := p.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "frame-ancestors 'none'") || !strings.Contains(csp, "form-action 'self' https:;") || strings.Contains(p.text, "<script") {
			t.Errorf("the page's policy is %q", csp)
		}
		q := anna.post("/oauth/authorize", form("handle", p.handle(t), "decision", "allow")).to(t, site+"?")
		if q.Get("state") != "st&te=1" || q.Get("iss") != issuer || q.Get("code") == "" {
			t.Fatalf("the answer is %v", q)
		}
		tokens := o.redeem(q.Get("code"))
		if tokens.Status != 200 || tokens.Life != 600 || tokens.Scope != "gmail.read gmail.send" || tokens.Header.Get("Cache-Control") != "no-store" {
			t.Fatalf("%d %s", tokens.Status, tokens.raw)
		}
		a, err := o.server.Verify(t.Context(), tokens.Access)
		if err != nil || a.User != "anna" || a.Client != "app" || a.Resource != resource || a.ACR != strong || a.AuthTime.Unix() != since.Unix() ||
			strings.Join(a.Scopes, " ") != "gmail.read gmail.send" || a.Grant == "" || a.ID == "" || a.Actor != "" {
			t.Errorf("%+v, %v", a, err)
		}
		time.Sleep(10 * time.Minute)
		if o.valid(tokens.Access) {
			t.Error("the access token outlives its ten minutes")
		}
		again := o.refresh(tokens.Refresh, "scope", "gmail.read")
		if again.Status != 200 || again.Scope != "gmail.read" || again.Refresh == tokens.Refresh || !o.valid(again.Access) {
			t.Errorf("refresh: %d %s", again.Status, again.raw)
		}
		if more := o.refresh(again.Refresh, "scope", "gmail.read slack.read"); more.Error != "invalid_scope" {
			t.Errorf("more than was granted: %s", more.raw)
		}
		list, err := o.server.Grants(t.Context(), "anna")
		if err != nil || len(list) != 1 || list[0].Client != "app" || list[0].Live != 1 || !list[0].Last.After(list[0].First) || strings.Join(list[0].Scopes, " ") != "gmail.read gmail.send" {
			t.Errorf("%+v, %v", list, err)
		}
		if other, _ := o.server.Grants(t.Context(), "bo"); len(other) != 0 {
			t.Errorf("bo has %+v", other)
		}
		if got := o.lines("token"); len(got) != 2 || got[0].Channel != "code" || got[1].Channel != "refresh" || got[0].Agent != "app" || got[0].Session != a.Grant {
			t.Errorf("the log says %+v", got)
		}
		if got := o.lines("consent"); len(got) != 1 || got[0].Outcome != "given" || got[0].User != "anna" {
			t.Errorf("the log says %+v", got)
		}
	})
}

// TestRedirectsAreExact (T8): none but a registered URI is led to, and an error
// never goes anywhere else.
func TestRedirectsAreExact(t *testing.T) {
	o := newOffice(t)
	anna := o.browser("anna")
	good := map[string][]string{
		"app": {site, "https://app.example/other?x=1"},
		"desk": {"http://127.0.0.1/callback", "http://127.0.0.1:1/callback", "http://127.0.0.1:65535/callback", "http://[::1]:4000/callback",
			"http://localhost", "http://localhost:9", "com.example.desk:/back"},
	}
	for client, uris := range good {
		for _, uri := range uris {
			q := wish("client_id", client, "redirect_uri", uri)
			if p := anna.get("/oauth/authorize?" + q.Encode()); p.StatusCode != 200 {
				t.Errorf("%s is refused: %d", uri, p.StatusCode)
			} else {
				p = anna.post("/oauth/authorize", form("handle", p.handle(t), "decision", "deny"))
				if got := p.to(t, uri); got.Get("error") != "access_denied" || got.Get("iss") != issuer {
					t.Errorf("%s: %v", uri, got)
				}
			}
		}
	}
	bad := map[string][]string{
		"app": {
			"", "-", site + "/", site + "/x", site + "x", site + "?", site + "?a=b", site + "#x", "https://app.example/Callback", "https://APP.example/callback",
			"HTTPS://app.example/callback", "https://app.example:443/callback", "https://app.example:8443/callback", "http://app.example/callback",
			"https://app.example.evil.example/callback", "https://evil.example/app.example/callback", "https://app.example@evil.example/callback",
			"https://user@app.example/callback", "https://app.example/callback%2f", "https://app.example%2fcallback", "https://app.example/%63allback",
			"https://app.example//callback", "https://app.example/./callback", "https://app.example/x/../callback", `https://app.example\callback`,
			"https://app.example\\@evil.example/callback", "https://app.example/callback\r\nX: y", " " + site, site + " ", "https://app.example./callback",
			"https://app.example/other?x=2", "https://app.example/other", "//app.example/callback", "/callback", "javascript:alert(1)", "data:text/html,x",
			"https://rival.example/cb", strings.Repeat("x", 5000), "http://127.0.0.1/callback",
		},
		"desk": {
			"https://127.0.0.1/callback", "http://127.0.0.1:/callback", "http://127.0.0.1:x/callback", "http://127.0.0.1:123456/callback", "http://127.0.0.1:1:2/callback",
			"http://127.0.0.1@evil.example/callback", "http://127.0.0.1:80@evil.example/callback", "http://x@127.0.0.1/callback", "http://127.0.0.2/callback",
			"http://127.1/callback", "http://0177.0.0.1/callback", "http://127.0.0.1.evil.example/callback", "http://localhost.evil.example", "http://localhost:1/x",
			"http://LOCALHOST:1", "http://127.0.0.1:1/callback/", "http://127.0.0.1:1/callback?x", "http://127.0.0.1:1/callback#x", "http://127.0.0.1:1/%63allback",
			"http://[::1]:4000/", "http://[::2]:4000/callback", "http://[::1%25lo]/callback", "http://[0:0:0:0:0:0:0:1]/callback", "com.example.desk:/back/x", "com.example.desk://back",
			"COM.example.desk:/back", "http://localhost:1/callback", "http://2130706433/callback",
		},
	}
	n := 0
	for client, uris := range bad {
		for _, uri := range uris {
			n++
			p := anna.get("/oauth/authorize?" + wish("client_id", client, "redirect_uri", uri).Encode())
			if p.StatusCode != http.StatusBadRequest || p.Header.Get("Location") != "" || uri != "" && uri != "-" && len(uri) > 8 && strings.Contains(p.text, uri) {
				t.Errorf("%s: %d to %q", uri, p.StatusCode, p.Header.Get("Location"))
			}
			if s := o.call("/oauth/par", wish("client_id", client, "redirect_uri", uri)); s.Error != "invalid_request" {
				t.Errorf("%s, pushed: %s", uri, s.raw)
			}
		}
	}
	t.Logf("%d refused", n)
	for _, id := range []string{"", "-", "nobody", "APP", "app ", "https://app.example", "https://app.example/", "http://app.example/x", "dcr_x"} {
		if p := anna.get("/oauth/authorize?" + wish("client_id", id).Encode()); p.StatusCode != 400 || p.Header.Get("Location") != "" {
			t.Errorf("client %q: %d to %q", id, p.StatusCode, p.Header.Get("Location"))
		}
	}
}

// TestWrongRequestsAreToldToTheClient: with the state, and with iss so that no
// client takes the answer for another server's (RFC 9207), errors too.
func TestWrongRequestsAreToldToTheClient(t *testing.T) {
	o := newOffice(t)
	anna := o.browser("anna")
	for _, c := range []struct {
		want   string
		change []string
	}{
		// PKCE cannot be talked away, or down.
		{"invalid_request", []string{"code_challenge", "-"}},
		{"invalid_request", []string{"code_challenge", ""}},
		{"invalid_request", []string{"code_challenge_method", "-"}},
		{"invalid_request", []string{"code_challenge_method", "plain"}},
		{"invalid_request", []string{"code_challenge_method", "s256"}},
		{"invalid_request", []string{"code_challenge", "short"}},
		{"invalid_request", []string{"code_challenge", verifier + "="}},
		// Only for us (RFC 8707).
		{"invalid_target", []string{"resource", "-"}},
		{"invalid_target", []string{"resource", ""}},
		{"invalid_target", []string{"resource", resource + "/"}},
		{"invalid_target", []string{"resource", issuer}},
		{"invalid_target", []string{"resource", "https://DEPUTY.example/mcp"}},
		{"invalid_target", []string{"resource", "https://gmail.example/"}},
		{"invalid_scope", []string{"scope", "gmail.read gmail.everything"}},
		{"invalid_scope", []string{"scope", "GMAIL.READ"}},
		{"unsupported_response_type", []string{"response_type", "token"}},
		{"unsupported_response_type", []string{"response_type", "code id_token"}},
		{"invalid_request", []string{"response_type", "-"}},
		{"invalid_request", []string{"response_mode", "fragment"}},
		{"invalid_request", []string{"response_mode", "form_post"}},
		{"request_not_supported", []string{"request", "eyJ"}},
		{"invalid_request", []string{"prompt", "none login"}},
		{"invalid_request", []string{"prompt", "create"}},
		{"invalid_request", []string{"max_age", "-5"}},
		{"invalid_request", []string{"max_age", "soon"}},
		{"unmet_authentication_requirements", []string{"acr_values", "urn:unknown"}},
	} {
		q := anna.get("/oauth/authorize?"+wish(c.change...).Encode()).to(t, site+"?")
		if q.Get("error") != c.want || q.Get("state") != "st&te=1" || q.Get("iss") != issuer || q.Has("code") {
			t.Errorf("%q: %v, want %s", c.change, q, c.want)
		}
		if s := o.call("/oauth/par", wish(c.change...)); s.Error != c.want || s.Status != 400 {
			t.Errorf("%q, pushed: %d %s, want %s", c.change, s.Status, s.raw, c.want)
		}
	}
	for _, twice := range []string{"resource", "scope", "code_challenge", "state"} {
		want := map[string]string{"resource": "invalid_target"}[twice]
		if want == "" {
			want = "invalid_request"
		}
		q := anna.get("/oauth/authorize?"+wish().Encode()+"&"+url.Values{twice: wish()[twice]}.Encode()).to(t, site+"?")
		if q.Get("error") != want {
			t.Errorf("%s twice: %v", twice, q)
		}
	}
	for _, twice := range []string{"client_id", "redirect_uri", "request_uri"} {
		if p := anna.get("/oauth/authorize?" + wish().Encode() + "&" + url.Values{twice: {"a", "b"}}.Encode()); p.StatusCode != 400 || p.Header.Get("Location") != "" {
			t.Errorf("%s twice: %d", twice, p.StatusCode)
		}
	}
	if p := anna.get("/oauth/authorize?" + wish("state", strings.Repeat("s", 9000)).Encode()); p.StatusCode != 400 {
		t.Errorf("a long query: %d", p.StatusCode)
	}
	if q := anna.get("/oauth/authorize?"+wish("state", strings.Repeat("s", 3000)).Encode()).to(t, site+"?"); q.Get("error") != "invalid_request" || q.Has("state") {
		t.Errorf("a long state: %v", q)
	}
	if q := anna.get("/oauth/authorize?"+wish("redirect_uri", "https://app.example/other?x=1", "resource", "-").Encode()).to(t, "https://app.example/other?x=1&"); q.Get("error") != "invalid_target" {
		t.Errorf("a redirect URI with a query: %v", q)
	}
}

// TestStepUp (T44): an old or weak sign-in is asked for again, and is not taken
// for a new one; with prompt=none the client is told instead.
func TestStepUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		anna := o.browser("anna")
		anna.code()
		time.Sleep(time.Hour)
		at := func(change ...string) page { return anna.get("/oauth/authorize?" + wish(change...).Encode()) }
		if q := at().to(t, site); q.Get("code") == "" {
			t.Errorf("an old sign-in is enough for who does not ask: %v", q)
		}
		if p := at("max_age", "60"); p.StatusCode != 403 || p.Header.Get("X-Need") != "1m0s " {
			t.Errorf("max_age: %d %q", p.StatusCode, p.Header.Get("X-Need"))
		}
		if p := at("acr_values", "urn:unknown "+strong); p.StatusCode != 403 || p.Header.Get("X-Need") != "0s "+strong {
			t.Errorf("acr_values: %d %q", p.StatusCode, p.Header.Get("X-Need"))
		}
		if q := at("max_age", "60", "prompt", "none").to(t, site); q.Get("error") != "login_required" {
			t.Errorf("max_age and none: %v", q)
		}
		if q := at("acr_values", strong, "prompt", "none").to(t, site); q.Get("error") != "unmet_authentication_requirements" {
			t.Errorf("acr_values and none: %v", q)
		}
		for _, change := range [][]string{{"prompt", "login"}, {"max_age", "0"}} {
			r := at(change...)
			if r.Header.Get("Location") == "" {
				t.Fatalf("%v: %d", change, r.StatusCode)
			}
			path := r.Header.Get("Location")
			if p := anna.get(path); p.StatusCode != 403 || p.Header.Get("X-Next") != path {
				t.Errorf("%v: %d %q", change, p.StatusCode, p.Header.Get("X-Next"))
			}
			time.Sleep(2 * time.Second)
			anna.signIn("anna", strong)
			if q := anna.get(path).to(t, site); q.Get("code") == "" {
				t.Errorf("%v: %v", change, q)
			}
			time.Sleep(11 * time.Minute)
			if p := anna.get(path); p.StatusCode != 404 {
				t.Errorf("%v: after its time, %d", change, p.StatusCode)
			}
		}
		anna.signIn("anna", strong)
		if q := at("max_age", "60", "acr_values", strong).to(t, site); q.Get("code") == "" {
			t.Errorf("a fresh, strong sign-in: %v", q)
		}
		if q := o.browser("").get("/oauth/authorize?"+wish("prompt", "none").Encode()).to(t, site); q.Get("error") != "login_required" {
			t.Errorf("nobody and none: %v", q)
		}
	})
}
