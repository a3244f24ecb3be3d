package authserver_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"deputy/internal/authserver"
	"deputy/internal/authserver/clients"
)

// TestNothingWithoutAClick (T9): what a client gets rests on this person's yes to
// this client, for these scopes and this way back; never on a link alone.
func TestNothingWithoutAClick(t *testing.T) {
	o := newOffice(t)
	anna, bo := o.browser("anna"), o.browser("bo")
	asks := func(b *browser, why string, change ...string) {
		t.Helper()
		if p := b.get("/oauth/authorize?" + wish(change...).Encode()); p.StatusCode != 200 || p.Header.Get("Location") != "" {
			t.Errorf("%s: %d to %q without a click", why, p.StatusCode, p.Header.Get("Location"))
		}
	}
	rival := []string{"client_id", "rival", "redirect_uri", "https://rival.example/cb"}
	asks(anna, "the first time")
	anna.code()
	if q := anna.get("/oauth/authorize?"+wish().Encode()).to(t, site); q.Get("code") == "" {
		t.Errorf("the second time: %v", q)
	}
	asks(anna, "another client", rival...)
	asks(bo, "another person")
	asks(anna, "more scopes", "scope", "gmail.read gmail.send")
	asks(anna, "prompt=consent", "prompt", "consent")
	asks(anna, "another way back", "redirect_uri", "https://other.example/cb")
	if q := anna.get("/oauth/authorize?"+wish("scope", "slack.read", "prompt", "none").Encode()).to(t, site); q.Get("error") != "consent_required" {
		t.Errorf("prompt=none: %v", q)
	}
	anna.code("scope", "gmail.send")
	if q := anna.get("/oauth/authorize?"+wish("scope", "gmail.read gmail.send").Encode()).to(t, site); q.Get("code") == "" {
		t.Errorf("scopes that were allowed one by one: %v", q)
	}
	if err := o.server.Revoke(t.Context(), "anna", "app", "anna"); err != nil {
		t.Fatal(err)
	}
	asks(anna, "after taking it back")

	// A program on the machine is asked for each time: any could say its name.
	local := []string{"client_id", "desk", "redirect_uri", "http://127.0.0.1:4000/callback"}
	anna.code(local...)
	asks(anna, "a program on the machine", local...)
	p := anna.get("/oauth/authorize?" + wish(local...).Encode())
	for _, want := range []string{"A program on this computer, which calls itself “Desk”", "Any program on this computer", "127.0.0.1"} {
		if !strings.Contains(p.text, want) {
			t.Errorf("the page lacks %q:\n%s", want, p.text)
		}
	}
	if csp := p.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "form-action 'self' http://127.0.0.1:4000 https:;") {
		t.Errorf("the way back is barred: %s", csp)
	}
	own := anna.get("/oauth/authorize?" + wish("client_id", "desk", "redirect_uri", "com.example.desk:/back").Encode())
	if csp := own.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "form-action 'self' com.example.desk: https:;") {
		t.Errorf("the way back is barred: %s", csp)
	}
}

// TestTheFormIsForOnePersonOnce in one session (T20), and for no other site.
func TestTheFormIsForOnePerson(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		anna, bo := o.browser("anna"), o.browser("bo")
		h := anna.get("/oauth/authorize?" + wish().Encode()).handle(t)
		yes := form("handle", h, "decision", "allow")
		other := o.browser("anna") // the same person elsewhere
		unknown := bo.post("/oauth/authorize", form("handle", "AAAA", "decision", "allow"))
		for who, b := range map[string]*browser{"bo": bo, "anna elsewhere": other} {
			if p := b.post("/oauth/authorize", yes); p.StatusCode != 404 || p.text != unknown.text {
				t.Errorf("%s: %d, and not as if there were none", who, p.StatusCode)
			}
		}
		if p := o.browser("").post("/oauth/authorize", yes); p.StatusCode != 401 {
			t.Errorf("nobody: %d", p.StatusCode)
		}
		for _, header := range [][]string{{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, {"Sec-Fetch-Site", "same-site"}, {"Sec-Fetch-Site", "", "Origin", "https://evil.example"}, {"Sec-Fetch-Site", "", "Origin", "null"}} {
			if p := anna.post("/oauth/authorize", yes, header...); p.StatusCode != 403 {
				t.Errorf("%q: %d", header, p.StatusCode)
			}
			if p := anna.post("/device", form("user_code", "BCDF-GHJK"), header...); p.StatusCode != 403 {
				t.Errorf("device, %q: %d", header, p.StatusCode)
			}
		}
		if p := anna.post("/oauth/authorize", form("handle", h)); p.StatusCode != 400 {
			t.Errorf("neither yes nor no: %d", p.StatusCode)
		}
		for i := range len(h) { // every character counts
			flipped := h[:i] + string("AB"[b2i(h[i] == 'A')]) + h[i+1:]
			if i%17 == 0 {
				if p := anna.post("/oauth/authorize", form("handle", flipped, "decision", "allow")); p.StatusCode != 404 {
					t.Errorf("changed at %d: %d", i, p.StatusCode)
				}
			}
		}
		// What is sealed for one form is none for the other.
		if p := anna.post("/device", yes); p.StatusCode != 404 {
			t.Errorf("as an answer to a device: %d", p.StatusCode)
		}
		if p := anna.get("/oauth/authorize?resume=" + h); p.StatusCode != 404 {
			t.Errorf("as a way in: %d", p.StatusCode)
		}
		if q := anna.post("/oauth/authorize", yes).to(t, site); q.Get("code") == "" {
			t.Errorf("anna herself: %v", q)
		}
		time.Sleep(11 * time.Minute)
		if p := anna.post("/oauth/authorize", yes); p.StatusCode != 404 {
			t.Errorf("after its time: %d", p.StatusCode)
		}
	})
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// TestANoIsANo, in the log too.
func TestANoIsANo(t *testing.T) {
	o := newOffice(t)
	anna := o.browser("anna")
	h := anna.get("/oauth/authorize?" + wish().Encode()).handle(t)
	if q := anna.post("/oauth/authorize", form("handle", h, "decision", "deny")).to(t, site); q.Get("error") != "access_denied" || q.Get("iss") != issuer || q.Get("state") == "" || q.Has("code") {
		t.Errorf("%v", q)
	}
	if got := o.lines("consent"); len(got) != 1 || got[0].Outcome != "refused" || got[0].Agent != "app" {
		t.Errorf("%+v", got)
	}
	if list, _ := o.server.Grants(t.Context(), "anna"); len(list) != 0 {
		t.Errorf("%+v", list)
	}
}

// TestAfterOurOwnFormAPageLeadsOn: a sign-in form may lead to ourselves alone, so
// what follows it is a page and no redirect.
func TestAfterOurOwnFormAPageLeadsOn(t *testing.T) {
	o := newOffice(t)
	anna := o.browser("anna")
	anna.code()
	p := anna.get("/oauth/authorize?"+wish().Encode(), "Sec-Fetch-Site", "same-origin")
	if p.StatusCode != 200 || p.Header.Get("Location") != "" || !strings.Contains(p.text, `http-equiv="refresh"`) || !strings.Contains(p.text, `href="`+site+"?code=") {
		t.Errorf("%d %s", p.StatusCode, p.text)
	}
}

// TestNamesAreNotFacts: a document's name is shown as its own claim, without
// what could change how it is read; its host is what is verified.
func TestNamesAreNotFacts(t *testing.T) {
	o := newOffice(t)
	const id = "https://evil.example/client"
	o.publish(id, `{"client_id":"`+id+`","client_name":"Google\u202e <b>Gmail</b>\u200b\nsafe","redirect_uris":["https://evil.example/cb","http://127.0.0.1/cb"],
		"logo_uri":"https://evil.example/logo.png","grant_types":["authorization_code","refresh_token"]}`)
	anna := o.browser("anna")
	p := anna.get("/oauth/authorize?" + wish("client_id", id, "redirect_uri", "https://evil.example/cb").Encode())
	for _, want := range []string{"calls itself “Google &lt;b&gt;Gmail&lt;/b&gt;safe”", "<strong>evil.example</strong>"} {
		if !strings.Contains(p.text, want) {
			t.Errorf("the page lacks %q:\n%s", want, p.text)
		}
	}
	if strings.Contains(p.text, "logo") || strings.ContainsAny(p.text, "\u202e\u200b") {
		t.Errorf("the page shows what it should not:\n%s", p.text)
	}
	p = anna.get("/oauth/authorize?" + wish("client_id", id, "redirect_uri", "http://127.0.0.1:99/cb").Encode())
	if !strings.Contains(p.text, "A program on this computer, which calls itself") {
		t.Errorf("%s", p.text)
	}
	code := anna.code("client_id", id, "redirect_uri", "https://evil.example/cb")
	if s := o.redeem(code, "client_id", id, "redirect_uri", "https://evil.example/cb"); s.Status != 200 || s.Refresh == "" {
		t.Fatalf("%s", s.raw)
	}
	list, err := o.server.Grants(t.Context(), "anna")
	if err != nil || len(list) != 1 || list[0].Client != id || list[0].Host != "evil.example" || list[0].Kind != clients.Published {
		t.Errorf("%+v %v", list, err)
	}
	// In Korean too.
	if p = anna.get("/oauth/authorize?"+wish("scope", "slack.read").Encode(), "Accept-Language", "ko"); !strings.Contains(p.text, "허용") || !strings.Contains(p.text, `lang="ko"`) {
		t.Errorf("%s", p.text)
	}
}

// TestRegistrationIsOff, unless the operator turns it on; then it is bounded and
// makes public clients alone.
func TestRegistration(t *testing.T) {
	const good = `{"client_name":"Mine","redirect_uris":["http://localhost/cb"],"grant_types":["authorization_code","refresh_token"],"token_endpoint_auth_method":"none"}`
	post := func(o *office, body string) said {
		b := o.browser("")
		r := newJSON(t, issuer+"/oauth/register", body)
		p := b.do(r)
		return parse(p)
	}
	off := newOffice(t)
	if s := post(off, good); s.Status != 404 && s.Status != 405 {
		t.Errorf("off: %d", s.Status)
	}
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, func(c *authserver.Config) { c.Register = true })
		s := post(o, good)
		if s.Status != 201 || !strings.HasPrefix(s.ID, "dcr_") {
			t.Fatalf("%d %s", s.Status, s.raw)
		}
		for _, body := range []string{
			``, `[]`, `{}`, `{"redirect_uris":[]}`, `{"redirect_uris":["http://evil.example/cb"]}`, `{"redirect_uris":["javascript:x"]}`, `{"redirect_uris":["cursor://x"]}`,
			`{"redirect_uris":["https://a.example/#x"]}`, `{"redirect_uris":["https://*.example/"]}`, `{"redirect_uris":["https://u:p@a.example/"]}`,
			`{"redirect_uris":["https://a.example/"],"token_endpoint_auth_method":"client_secret_basic"}`, `{"redirect_uris":["https://a.example/"],"response_types":["token"]}`,
			`{"redirect_uris":["https://a.example/` + strings.Repeat("x", 70_000) + `"]}`,
		} {
			if s := post(o, body); s.Error != "invalid_client_metadata" {
				t.Errorf("%.60s: %s", body, s.raw)
			}
		}
		anna := o.browser("anna")
		mine := []string{"client_id", s.ID, "redirect_uri", "http://localhost:5/cb"}
		p := anna.get("/oauth/authorize?" + wish(mine...).Encode())
		if !strings.Contains(p.text, "it registered itself") || !strings.Contains(p.text, "calls itself “Mine”") {
			t.Errorf("%s", p.text)
		}
		if got := o.redeem(anna.code(mine...), mine...); got.Status != 200 {
			t.Errorf("%s", got.raw)
		}
		idle := post(o, good)
		time.Sleep(2 * time.Hour)
		if err := o.server.Sweep(); err != nil {
			t.Fatal(err)
		}
		if p := anna.get("/oauth/authorize?" + wish("client_id", idle.ID, "redirect_uri", "http://localhost:5/cb").Encode()); p.StatusCode != 400 {
			t.Errorf("a registration that nobody used: %d", p.StatusCode)
		}
		if p := anna.get("/oauth/authorize?" + wish(mine...).Encode()); p.StatusCode != 200 {
			t.Errorf("one that somebody used: %d", p.StatusCode)
		}
		full := 0
		for range 1200 {
			time.Sleep(10 * time.Second)
			if s := post(o, good); s.Status == 503 {
				full++
			}
		}
		if full == 0 {
			t.Error("registrations are without bound")
		}
	})
}
