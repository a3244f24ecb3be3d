package login_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"deputy/authz"
	"deputy/internal/login"
	"deputy/internal/store"
)

func newRecorder() *httptest.ResponseRecorder { return httptest.NewRecorder() }

// TestSessionsEnd: after twelve hours, after two without use, by their person,
// with their profile.
func TestSessionsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, here)
		b := d.browser()
		b.withCode("anna")
		for range 7 {
			time.Sleep(100 * time.Minute)
			if b.who().IsZero() {
				t.Fatal("one in use has ended")
			}
		}
		time.Sleep(30 * time.Minute)
		if !b.who().IsZero() {
			t.Error("one of more than twelve hours lasts")
		}
		b.withCode("anna")
		time.Sleep(2*time.Hour + time.Minute)
		if !b.who().IsZero() {
			t.Error("one that nobody uses lasts")
		}
		d.Sweep()
		d.Store.View(func(tx store.Tx) error {
			return tx.Scan(nil, nil, func(k, _ []byte) error {
				if strings.HasPrefix(string(k), "login/") && !strings.HasPrefix(string(k), "login/profile") {
					t.Errorf("left over: %q", k)
				}
				return nil
			})
		})
	})
}

// TestSessionsAreListedAndEnded by their person, and by nobody else.
func TestSessionsAreListedAndEnded(t *testing.T) {
	d := newDesk(t, here)
	d.Profiles.Add("bo")
	laptop, phone, bo := d.browser(), d.browser(), d.browser()
	phone.header.Set("User-Agent", "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Safari/605.1.15")
	laptop.withCode("anna")
	phone.withCode("anna")
	bo.withCode("bo")
	page := laptop.get("/sessions").Body.String()
	if !strings.Contains(page, "Firefox · Linux") || !strings.Contains(page, "Safari · iPhone") || strings.Count(page, `name="id"`) != 3 {
		t.Errorf("%s", page)
	}
	bo.post("/sessions/end", "id", phone.who().Session())
	if phone.who().IsZero() {
		t.Error("another person ended it")
	}
	laptop.post("/sessions/end", "id", phone.who().Session())
	if !phone.who().IsZero() || laptop.who().IsZero() {
		t.Error("ending one")
	}
	phone.withCode("anna")
	laptop.post("/sessions/end", "id", "all")
	if !phone.who().IsZero() || !laptop.who().IsZero() || bo.who().IsZero() {
		t.Error("signing out everywhere")
	}
	if w := laptop.get("/sessions"); w.Code != 401 {
		t.Errorf("nobody's sessions: %d", w.Code)
	}
}

// TestASessionIsNewEachTime: what a browser held before a sign-in or a step-up
// is worth nothing after it.
func TestASessionIsNewEachTime(t *testing.T) { // T18
	d := newDesk(t, "https://deputy.example")
	b := d.browser()
	b.cookies["__Host-deputy"] = "planted"
	b.withCode("anna")
	first := b.cookies["__Host-deputy"]
	if first == "planted" || first == "" {
		t.Fatalf("%q", first)
	}
	code, _ := d.Code("anna")
	if w := b.post("/signin/again", "code", code, "next", "/x"); w.Code != 303 || w.Header().Get("Location") != "/x" {
		t.Fatalf("%d", w.Code)
	}
	old := d.browser()
	old.cookies["__Host-deputy"] = first
	if !old.who().IsZero() || b.who().IsZero() {
		t.Error("the old one is good")
	}
	d.Profiles.Add("bo")
	theirs, _ := d.Code("bo")
	if w := b.post("/signin/again", "code", theirs, "next", "/x"); w.Code != 401 || b.who().User() != "anna" {
		t.Errorf("another's code steps up: %d %s", w.Code, b.who().User())
	}
}

// TestDisabled: sessions, codes, passkeys and recovery codes of a disabled
// profile open nothing, nor does the Door for what it had under way.
func TestDisabled(t *testing.T) {
	d := newDesk(t, here)
	d.Profiles.Add("bo")
	b := d.browser()
	b.withCode("bo")
	b.enrol()
	b.withPasskey("/signin")
	recovery := between(b.post("/profile/recovery").Body.String(), "<code>", "<")
	bearer, _ := d.Bearer("bo", "claude")
	code, _ := d.Code("bo")
	operator, err := d.Local(context.Background(), "anna", "cli", "")
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Disable(operator, "bo"); err != nil {
		t.Fatal(err)
	}
	if !b.who().IsZero() {
		t.Error("the session lasts")
	}
	if w := b.withPasskey("/signin"); w.Code != 403 {
		t.Errorf("the passkey: %d", w.Code)
	}
	for _, c := range []string{code, recovery} {
		if w := b.post("/signin", "code", c); w.Code != 401 {
			t.Errorf("a code: %d", w.Code)
		}
	}
	if _, err := d.Token(context.Background(), bearer); !errors.Is(err, authz.ErrNobody) {
		t.Errorf("the bearer: %v", err)
	}
	if err := d.Profiles.Add("bo"); !errors.Is(err, login.ErrDisabled) {
		t.Errorf("inviting: %v", err)
	}
	if err := d.Disable(operator, "anna"); !errors.Is(err, login.ErrOwner) {
		t.Errorf("the owner: %v", err)
	}
	if err := d.Disable(operator, "nobody"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("nobody: %v", err)
	}
	if err := d.Enable(operator, "bo"); err != nil {
		t.Fatal(err)
	}
	if !b.who().IsZero() {
		t.Error("an old session is good again")
	}
	if w := b.withPasskey("/signin"); w.Code != 303 {
		t.Errorf("signing in anew: %d %s", w.Code, w.Body)
	}
	if err := d.Reset(operator, "bo"); err != nil {
		t.Fatal(err)
	}
	if w := b.withPasskey("/signin"); w.Code != 403 || !b.who().IsZero() {
		t.Errorf("a forgotten passkey: %d", w.Code)
	}
	for _, want := range []string{"profile_disable bo", "profile_enable bo", "profile_reset bo"} {
		if !strings.Contains(d.lines(), want) {
			t.Errorf("the log lacks %q", want)
		}
	}
}

// TestNamesOfPeople: a name that rules are written for is plain.
func TestNamesOfPeople(t *testing.T) {
	d := newDesk(t, here)
	for name, good := range map[string]bool{
		"bo": true, "bo@example.com": true, "github-7": true, "anna": true,
		"": false, "Bo": false, "*": false, "b o": false, "bo#x": false, "user:bo": false, "bö": false, "-bo": false, strings.Repeat("b", 129): false,
	} {
		if err := d.Profiles.Add(name); (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// TestOtherSitesFormsAreRefused on every page that changes something.
func TestOtherSitesFormsAreRefused(t *testing.T) { // T19
	d := newDesk(t, here)
	b := d.browser()
	b.withCode("anna")
	for _, header := range [][2]string{{"Sec-Fetch-Site", "cross-site"}, {"Origin", "https://evil.example"}} {
		for _, path := range []string{
			"/signin", "/signin/passkey", "/signin/passkey/options", "/signin/again", "/signin/again/passkey", "/signout", "/profile/passkeys",
			"/profile/passkeys/options", "/profile/passkeys/remove", "/profile/recovery", "/profile/accounts", "/profile/accounts/remove", "/sessions/end",
		} {
			b.header.Set(header[0], header[1])
			if w := b.post(path, "id", "all"); w.Code != 403 {
				t.Errorf("%s with %s: %d", path, header[0], w.Code)
			}
			b.header.Del(header[0])
		}
	}
	if b.who().IsZero() {
		t.Error("the session has ended")
	}
}

// TestWhatPagesCarry: a page is not kept, not framed, says nothing to others,
// and loads its own script at most.
func TestWhatPagesCarry(t *testing.T) {
	d := newDesk(t, here)
	b := d.browser()
	b.withCode("anna")
	for _, path := range []string{"/signin", "/signin/again", "/profile", "/sessions", "/signin/nowhere"} {
		w := b.get(path)
		csp := w.Header().Get("Content-Security-Policy")
		if w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Referrer-Policy") != "same-origin" || w.Header().Get("X-Content-Type-Options") != "nosniff" ||
			!strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") || strings.Contains(csp, "unsafe") || strings.Contains(csp, "http") {
			t.Errorf("%s: %v", path, w.Header())
		}
		page := w.Body.String()
		if n := strings.Count(page, "<script"); n > 1 || n == 1 && !strings.Contains(page, `<script src="/passkey.js" defer></script>`) ||
			(n == 1) != strings.Contains(csp, "script-src 'self'") || strings.Contains(page, "style=") || strings.Contains(page, "onclick") {
			t.Errorf("%s: %s", path, page)
		}
	}
}

// TestNeeds: what is enough for what.
func TestNeeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		door := authz.NewDoor(func(context.Context, authz.Principal) error { return nil })
		for _, c := range []struct {
			need login.Need
			acr  string
			age  time.Duration
			want bool
		}{
			{login.Need{}, login.ACRRecovery, time.Hour, true},
			{login.Need{MaxAge: time.Minute}, login.ACRPasskey, 59 * time.Second, true},
			{login.Need{MaxAge: time.Minute}, login.ACRPasskey, 61 * time.Second, false},
			{login.Need{ACR: login.ACRCode}, login.ACRRecovery, 0, false},
			{login.Need{ACR: login.ACRCode}, login.ACRPasskey, 0, true},
			{login.Need{ACR: login.ACRAccount}, "urn:corp:mfa", 0, true},
			{login.Need{ACR: login.ACRPasskey}, "urn:corp:mfa", 0, false},
			{login.Need{ACR: "urn:corp:mfa"}, "urn:corp:mfa", 0, true},
			{login.Need{ACR: "urn:corp:mfa"}, "urn:corp:pwd", 0, false},
			{login.Need{ACR: "urn:corp:mfa"}, login.ACRPasskey, 0, false},
			{login.Need{ACR: login.ACRCode}, "", 0, true},
		} {
			who, err := door.Caller(t.Context(), authz.Principal{User: "anna", Agent: "browser", AuthTime: time.Now().Add(-c.age), ACR: c.acr})
			if err != nil || c.need.Met(who) != c.want {
				t.Errorf("%+v by %s of %v: %v", c.need, c.acr, c.age, !c.want)
			}
		}
		if (login.Need{}).Met(authz.Caller{}) {
			t.Error("nobody meets it")
		}
	})
}

// TestStoreHoldsNoCredential of a person: only hashes, and profiles are sealed.
func TestStoreHoldsNoCredential(t *testing.T) {
	d := newDesk(t, here)
	b := d.browser()
	b.withCode("anna")
	b.enrol()
	b.withPasskey("/signin")
	recovery := between(b.post("/profile/recovery").Body.String(), "<code>", "<")
	code, _ := d.Code("anna")
	d.Store.View(func(tx store.Tx) error {
		return tx.Scan(nil, nil, func(k, v []byte) error {
			for _, s := range []string{b.cookies["deputy"], recovery, strings.ReplaceAll(recovery, "-", ""), code, "laptop", "public_key"} {
				if strings.Contains(string(k)+string(v), s) {
					t.Errorf("%q holds %q", k, s)
				}
			}
			return nil
		})
	})
}
