package login_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"deputy/internal/login"
	"deputy/internal/login/upstream"
)

const here = "http://localhost:8787"

// TestAccountElsewhere: whoever is on the list makes a profile by signing in,
// and comes back to it.
func TestAccountElsewhere(t *testing.T) {
	op := newIssuer(t, "oidc")
	op.people["s-bo"] = map[string]any{"email": "Bo@Example.com", "email_verified": true}
	d := newDesk(t, here, at(op, "email_domain:example.com", "sub:s-cy"))
	b := d.browser()
	if page := b.get("/signin?next=/approvals/x").Body.String(); !strings.Contains(page, "Sign in with oidc") {
		t.Errorf("%s", page)
	}
	if w := b.elsewhere("/signin/oidc?next=/approvals/x", "s-bo", op); w.Code != 303 || w.Header().Get("Location") != "/approvals/x" {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if op.asked.Get("scope") != "openid email" || op.asked.Get("code_challenge_method") != "S256" || op.asked.Get("nonce") == "" {
		t.Errorf("asked %v", op.asked)
	}
	c := b.who()
	if c.User() != "bo@example.com" || c.ACR() != login.ACRAccount || time.Since(c.AuthTime()) > 5*time.Second {
		t.Errorf("%+v", c)
	}
	again := d.browser()
	op.people["s-bo"]["email"] = "bo@elsewhere.example" // a person's address changes
	again.elsewhere("/signin/oidc", "s-bo", op)
	if again.who().User() != "bo@example.com" {
		t.Errorf("the second time it is %q", again.who().User())
	}
	cy := d.browser()
	cy.elsewhere("/signin/oidc", "s-cy", op)
	if cy.who().User() != "oidc-s-cy" {
		t.Errorf("%q", cy.who().User())
	}
	if w := d.browser().elsewhere("/signin/oidc", "s-mallory", op); w.Code != 403 || !strings.Contains(w.Body.String(), "login.allow") {
		t.Errorf("somebody else: %d %s", w.Code, w.Body)
	}
	if all, _ := d.Profiles.All(); len(all) != 3 { // the owner's is one
		t.Errorf("%+v", all)
	}
	for n, want := range map[int]int{2000: 302, 4000: 414} { // as OAuth requests are; longer than a cookie
		if w := b.get("/signin/oidc?next=/" + strings.Repeat("x", n)); w.Code != want {
			t.Errorf("back to an address of %d bytes: %d", n, w.Code)
		}
	}
	if w := b.get("/signin/nowhere"); w.Code != 404 {
		t.Errorf("no such provider: %d", w.Code)
	}
}

// TestWhoMayMakeAProfile: an address counts only if the provider has verified
// it, and only as a whole.
func TestWhoMayMakeAProfile(t *testing.T) {
	allow := upstream.Allow{"sub:1234", "email:bo@example.com", "email_domain:corp.example"}
	for email, want := range map[string]bool{
		"bo@example.com": true, "BO@example.COM": true, "x@corp.example": true, "": false, "x@example.com": false,
		"x@sub.corp.example": false, "x@corp.example.evil": false, "corp.example": false, "@": false, "bo@example.com.": false,
	} {
		if got := allow.Has(upstream.Account{Subject: "1", Email: email}); got != want {
			t.Errorf("%q: %v", email, got)
		}
	}
	if !allow.Has(upstream.Account{Subject: "1234"}) || allow.Has(upstream.Account{Subject: "12345"}) {
		t.Error("sub")
	}
	if (upstream.Allow)(nil).Has(upstream.Account{Subject: "1234"}) {
		t.Error("an empty list lets somebody in")
	}
}

// TestHostileIssuer: an answer that is not exactly right makes no session and no
// profile, and says nothing of itself.
func TestHostileIssuer(t *testing.T) {
	good := map[string]any{"email": "bo@example.com", "email_verified": true}
	set := func(k string, v any) func(*issuer) {
		return func(o *issuer) { o.claims = func(c map[string]any) { c[k] = v } }
	}
	for name, bend := range map[string]func(*issuer){
		"another nonce":                func(o *issuer) { set("nonce", "x")(o) },
		"no nonce":                     func(o *issuer) { o.claims = func(c map[string]any) { delete(c, "nonce") } },
		"another audience":             set("aud", "somebody"),
		"several audiences, none ours": set("aud", []string{"a", "b"}),
		"several audiences, no party":  set("aud", []string{"deputy", "b"}),
		"made for another party":       set("azp", "somebody"),
		"another issuer":               set("iss", "https://evil.example"),
		"expired":                      set("exp", time.Now().Add(-time.Second).Unix()),
		"not yet":                      set("nbf", time.Now().Add(time.Hour).Unix()),
		"no subject":                   set("sub", ""),
		"signed in tomorrow":           set("auth_time", time.Now().Add(24*time.Hour).Unix()),
		"an unverified address":        set("email_verified", false),
		"an address verified in words": set("email_verified", "true"),
		"no address":                   func(o *issuer) { o.claims = func(c map[string]any) { delete(c, "email") } },
		"two addresses in one":         set("email", "x@evil.example@example.com"),
		"a look-alike address":         set("email", "bo@example.com\u200b"),
		"alg none":                     func(o *issuer) { o.sign = unsigned },
		"the public key as a secret":   func(o *issuer) { o.sign = public },
		"another key":                  func(o *issuer) { o.sign = forged },
		"no JWT":                       func(o *issuer) { o.sign = func(*issuer, map[string]any) string { return "canary" } },
		"no ID token": func(o *issuer) {
			o.respond = func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				fmt.Fprint(w, `{"access_token":"canary","token_type":"Bearer"}`)
			}
		},
		"an endless answer": func(o *issuer) {
			o.respond = func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				fmt.Fprintf(w, `{"access_token":"canary%s"`, strings.Repeat("x", 1<<20))
			}
		},
		"a long answer": set("pad", strings.Repeat("x", 100<<10)),
		"a refusal with a token in it": func(o *issuer) {
			o.respond = func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "canary", http.StatusBadRequest) }
		},
		"a redirect": func(o *issuer) {
			o.respond = func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "/jwks", http.StatusTemporaryRedirect)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			op := newIssuer(t, "oidc")
			op.people["s-bo"] = good
			bend(op)
			d := newDesk(t, here, at(op, "email_domain:example.com"))
			b := d.browser()
			w := b.elsewhere("/signin/oidc", "s-bo", op)
			if w.Code < 400 || w.Code == 500 || strings.Contains(w.Body.String(), "canary") || strings.Contains(w.Body.String(), "evil") {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			if all, _ := d.Profiles.All(); !b.who().IsZero() || len(all) != 1 {
				t.Errorf("%v, %+v", b.who(), all)
			}
			if !strings.Contains(d.lines(), "signin_refused") {
				t.Errorf("the log does not tell:\n%s", d.lines())
			}
		})
	}
}

// TestAReplayedWayBack: a state is used once, before its code is traded.
func TestAReplayedWayBack(t *testing.T) { // T1
	op := newIssuer(t, "oidc")
	d := newDesk(t, here, at(op, "sub:s-bo"))
	b := d.browser()
	begun := b.get("/signin/oidc")
	kept := b.cookies["deputy-oidc"]
	back := b.back(op.visit(t, begun.Header().Get("Location"), "s-bo"))
	if w := b.get(back); w.Code != 303 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if w := b.get(back); w.Code != 403 {
		t.Errorf("again, as browsers do: %d", w.Code)
	}
	thief := d.browser()
	thief.cookies["deputy-oidc"] = kept
	if w := thief.get(back); w.Code != 400 || !thief.who().IsZero() || op.traded != 1 {
		t.Errorf("again, with the cookie: %d, %d traded", w.Code, op.traded)
	}
	if !strings.Contains(d.lines(), "signin_refused  replayed") {
		t.Errorf("the log does not tell:\n%s", d.lines())
	}
}

// TestTheWayBackIsOneBrowsers: an answer that lands in another browser signs
// nobody in there, so nobody can be signed in as somebody else by a link.
func TestTheWayBackIsOneBrowsers(t *testing.T) { // T2
	op := newIssuer(t, "oidc")
	d := newDesk(t, here, at(op, "sub:s-mallory", "sub:s-bo"))
	mallory, bo := d.browser(), d.browser()
	begun := mallory.get("/signin/oidc")
	back := mallory.back(op.visit(t, begun.Header().Get("Location"), "s-mallory"))
	if w := bo.get(back); w.Code != 403 || !bo.who().IsZero() {
		t.Errorf("with no attempt: %d", w.Code)
	}
	bo.get("/signin/oidc") // an attempt of their own
	if w := bo.get(back); w.Code != 400 || !bo.who().IsZero() || op.traded != 0 {
		t.Errorf("with another attempt: %d", w.Code)
	}
	code, _ := d.Code("anna")
	bo.header.Set("Sec-Fetch-Site", "cross-site")
	if w := bo.get("/signin?code=" + code); w.Code != 200 || !bo.who().IsZero() || !strings.Contains(w.Body.String(), "another site") {
		t.Errorf("a one-time code in another site's link: %d", w.Code)
	}
	bo.header.Set("Sec-Fetch-Site", "same-origin")
	if w := bo.post("/signin", "code", code); w.Code != 303 || bo.who().User() != "anna" {
		t.Errorf("… after the button: %d", w.Code)
	}
}

// TestSignInMixUp: an answer from another issuer than the one asked is refused
// before its code goes anywhere.
func TestSignInMixUp(t *testing.T) { // T5
	op, hub := newIssuer(t, "oidc"), newIssuer(t, "github")
	d := newDesk(t, here, at(op, "sub:s-bo"), at(hub, "sub:1"))
	for name, c := range map[string]struct {
		from   *issuer
		tamper func(url.Values)
		path   func(string) string
		want   int
	}{
		"another iss":             {op, func(q url.Values) { q.Set("iss", hub.URL) }, nil, 400},
		"no iss where announced":  {op, func(q url.Values) { q.Del("iss") }, nil, 400},
		"another iss on an error": {op, func(q url.Values) { q.Set("iss", hub.URL); q.Del("code"); q.Set("error", "canary") }, nil, 400},
		"an error":                {op, func(q url.Values) { q.Del("code"); q.Set("error", "canary"); q.Set("error_description", "canary") }, nil, 403},
		"a code too many":         {op, func(q url.Values) { q.Add("code", "x") }, nil, 400},
		"another state":           {op, func(q url.Values) { q.Set("state", "x") }, nil, 400},
		"no state":                {op, func(q url.Values) { q.Del("state") }, nil, 400},
		"at another's callback":   {op, func(url.Values) {}, func(p string) string { return strings.Replace(p, "/oidc/", "/github/", 1) }, 403},
		"an iss GitHub is not":    {hub, func(q url.Values) { q.Set("iss", op.URL) }, nil, 400},
	} {
		b := d.browser()
		back := b.back(c.from.visit(t, b.get("/signin/"+c.from.name).Header().Get("Location"), "s-bo"), c.tamper)
		if c.path != nil {
			back = c.path(back)
		}
		if w := b.get(back); w.Code != c.want || strings.Contains(w.Body.String(), "canary") || !b.who().IsZero() {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	if op.traded+hub.traded != 0 {
		t.Errorf("%d codes were traded", op.traded+hub.traded)
	}
}

// TestAttemptsEnd after ten minutes.
func TestAttemptsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, here, login.Accounts{Provider: upstream.GitHub(upstream.Config{Name: "github", ClientID: "x", APIURL: "http://127.0.0.1:1", AuthURL: "http://127.0.0.1:1/a", TokenURL: "http://127.0.0.1:1/t"})})
		b := d.browser()
		to, _ := url.Parse(b.get("/signin/github").Header().Get("Location"))
		time.Sleep(10*time.Minute + time.Second)
		if w := b.get("/signin/github/callback?code=x&state=" + to.Query().Get("state")); w.Code != 403 {
			t.Errorf("%d", w.Code)
		}
	})
}

// TestLinking: a profile gains an account only from a live session of its own
// and a completed sign-in there, in one browser. An equal address is nothing.
func TestLinking(t *testing.T) { // T45
	op, hub := newIssuer(t, "oidc"), newIssuer(t, "github")
	d := newDesk(t, here, at(op, "email_domain:example.com"), at(hub, "sub:7"))
	op.people["s-anna"] = map[string]any{"email": "anna@example.com", "email_verified": true}
	op.people["s-evil"] = map[string]any{"email": "anna@example.com", "email_verified": true, "preferred_username": "anna"}

	anna := d.browser()
	anna.withCode("anna")
	if w := anna.link("oidc", "s-anna", op); w.Code != 303 || len(d.profile("anna").Identities) != 1 {
		t.Fatalf("linking: %d %s", w.Code, w.Body)
	}
	if w := anna.link("github", "42", hub); w.Code != 303 || len(d.profile("anna").Identities) != 2 {
		t.Fatalf("a second: %d %s", w.Code, w.Body)
	}
	evil := d.browser()
	evil.elsewhere("/signin/oidc", "s-evil", op)
	if who := evil.who().User(); who == "anna" || who == "" {
		t.Errorf("the same address is %q", who)
	}
	if len(d.profile("anna").Identities) != 2 {
		t.Error("anna's profile has grown")
	}
	// A second account with the same verified address gets a name of its own.
	op.people["s-evil2"] = op.people["s-evil"]
	evil2 := d.browser()
	evil2.elsewhere("/signin/oidc", "s-evil2", op)
	if evil2.who().User() == evil.who().User() || evil2.who().User() == "anna" {
		t.Errorf("two accounts are %q", evil2.who().User())
	}
	// An account of somebody's is nobody else's.
	if w := evil.link("oidc", "s-anna", op); w.Code != 409 || len(d.profile(evil.who().User()).Identities) != 1 {
		t.Errorf("another's account: %d", w.Code)
	}
	// Begun by one person, finished by another.
	page := evil.post("/profile/accounts", "provider", "github").Body.String()
	back := evil.back(hub.visit(t, hub.linkIn(page), "666"))
	anna.cookies["deputy-github"] = evil.cookies["deputy-github"]
	if w := anna.get(back); w.Code != 403 {
		t.Errorf("another's link: %d", w.Code)
	}
	// Begun, then signed out: one live session is not two.
	page = evil.post("/profile/accounts", "provider", "github").Body.String()
	evil.post("/signout")
	if w := evil.get(evil.back(hub.visit(t, hub.linkIn(page), "666"))); w.Code != 403 {
		t.Errorf("without a session here: %d", w.Code)
	}
	if w := d.browser().post("/profile/accounts", "provider", "github"); w.Code != 401 {
		t.Errorf("by nobody: %d", w.Code)
	}
	// A link from elsewhere begins none: the way there is a form of ours.
	if w := anna.get("/profile/accounts?provider=github"); w.Code != 405 {
		t.Errorf("by a link: %d", w.Code)
	}
	if all, _ := d.Profiles.All(); len(all) != 3 {
		t.Errorf("%+v", all)
	}
	again := d.browser()
	if w := again.elsewhere("/signin/github", "42", hub); w.Code != 303 || again.who().User() != "anna" {
		t.Errorf("with the linked account: %d, %q", w.Code, again.who().User())
	}
	if again.who().AuthTime().IsZero() == false {
		t.Error("GitHub says when somebody signed in")
	}
	// Removing one; the profile stays reachable by the other.
	if w := anna.post("/profile/accounts/remove", "issuer", op.URL, "subject", "s-anna"); w.Code != 303 || len(d.profile("anna").Identities) != 1 {
		t.Errorf("removing: %d %s", w.Code, w.Body)
	}
	if w := anna.post("/profile/accounts/remove", "issuer", upstream.GitHubIssuer, "subject", "42"); w.Code != 409 {
		t.Errorf("removing the last: %d", w.Code)
	}
}

// TestStepUpElsewhere: an old sign-in there, a weaker one, somebody else's, or
// one that does not say when, is none.
func TestStepUpElsewhere(t *testing.T) { // T44
	op := newIssuer(t, "oidc")
	d := newDesk(t, here, at(op))
	b := d.browser()
	b.withCode("anna")
	b.link("oidc", "s-anna", op)
	another := d.browser()
	if err := d.Profiles.Add("bo"); err != nil {
		t.Fatal(err)
	}
	another.withCode("bo")
	another.link("oidc", "s-bo", op)

	need := login.Need{MaxAge: 5 * time.Minute, ACR: "urn:corp:mfa"}
	w := b.do("GET", "/who", nil)
	rec := newRecorder()
	d.StepUp(rec, b.request("GET", "/who?x=1", nil), need)
	page := b.get(rec.Header().Get("Location")).Body.String()
	from := strings.ReplaceAll(between(page, `href="/signin/oidc`, `"`), "&amp;", "&")
	if from == "" || w.Code != 200 {
		t.Fatalf("no way: %s", page)
	}
	from = "/signin/oidc" + from
	for name, bend := range map[string]func(map[string]any){
		"an old sign-in":         func(c map[string]any) { c["auth_time"] = time.Now().Add(-time.Hour).Unix() },
		"no word of when":        func(c map[string]any) { delete(c, "auth_time") },
		"a weaker one":           func(c map[string]any) { c["acr"] = "urn:corp:password" },
		"no word of how":         func(c map[string]any) { delete(c, "acr") },
		"one that sounds like":   func(c map[string]any) { c["acr"] = login.ACRPasskey },
		"another person's":       func(c map[string]any) { c["sub"] = "s-bo" },
		"a stranger's":           func(c map[string]any) { c["sub"] = "s-stranger" },
		"one of more than asked": func(c map[string]any) { c["acr"] = "urn:corp:mfa urn:corp:password" },
	} {
		op.claims = bend
		before := b.who()
		if w := b.elsewhere(from, "s-anna", op); w.Code < 400 || w.Code == 500 {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
		if need.Met(b.who()) || b.who().Session() != before.Session() {
			t.Errorf("%s counts: %+v", name, b.who())
		}
	}
	if op.asked.Get("prompt") != "login" || op.asked.Get("max_age") != "300" || op.asked.Get("acr_values") != "urn:corp:mfa" {
		t.Errorf("asked %v", op.asked)
	}
	op.claims = nil
	if w := b.elsewhere(from, "s-anna", op); w.Code != 303 || w.Header().Get("Location") != "/who?x=1" || !need.Met(b.who()) {
		t.Errorf("a true one: %d %s", w.Code, w.Body)
	}
	// What a provider calls itself is never what deputy gives.
	op.claims = func(c map[string]any) { c["acr"] = login.ACRPasskey }
	liar := d.browser()
	liar.elsewhere("/signin/oidc", "s-anna", op)
	if liar.who().ACR() != login.ACRAccount || d.Strong(liar.who()) && (login.Need{ACR: login.ACRPasskey}).Met(liar.who()) {
		t.Errorf("%+v", liar.who())
	}
	if w := d.browser().get("/signin/oidc?again=1"); w.Code != 401 {
		t.Errorf("nobody steps up: %d", w.Code)
	}
}

// TestGitHubSignsIn by the account's number, and proves no time.
func TestGitHubSignsIn(t *testing.T) {
	hub := newIssuer(t, "github")
	d := newDesk(t, here, at(hub, "sub:7"))
	b := d.browser()
	if w := b.elsewhere("/signin/github", "7", hub); w.Code != 303 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	c := b.who()
	if c.User() != "github-7" || c.ACR() != login.ACRAccount || !c.AuthTime().IsZero() || (login.Need{MaxAge: time.Hour}).Met(c) {
		t.Errorf("%+v", c)
	}
	if w := b.enrol(); w.Code != 303 {
		t.Errorf("a first passkey right after: %d %s", w.Code, w.Body)
	}
	for _, who := range []string{"8", "0", "-1", `"x"`, "7e1"} {
		if w := d.browser().elsewhere("/signin/github", who, hub); w.Code < 400 {
			t.Errorf("%s: %d", who, w.Code)
		}
	}
	if w := b.get("/signin/github?again=1&max_age=300"); w.Code != 401 {
		t.Errorf("a step-up: %d", w.Code)
	}
}

// TestDocumentsPointInside: what an issuer's metadata names is https, or at its
// own host.
func TestDocumentsPointInside(t *testing.T) {
	for _, inside := range []string{"http://169.254.169.254/token", "http://127.0.0.1:1/token", "https://127.0.0.1/jwks", "ftp://x/", ""} {
		op := newIssuer(t, "oidc")
		op.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"issuer":%q,"authorization_endpoint":%q,"token_endpoint":%q,"jwks_uri":%q}`, op.URL, op.URL+"/auth", inside, inside)
		})
		d := newDesk(t, here, at(op, "sub:x"))
		b := d.browser()
		w := b.get("/signin/oidc")
		if w.Code == 302 { // https somewhere: refused when it is dialed
			to, _ := url.Parse(w.Header().Get("Location"))
			w = b.get("/signin/oidc/callback?" + url.Values{"state": {to.Query().Get("state")}, "code": {"x"}, "iss": {op.URL}}.Encode())
		}
		if w.Code != 502 {
			t.Errorf("%q: %d %s", inside, w.Code, w.Body)
		}
	}
}
