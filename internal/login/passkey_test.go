package login_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"deputy/internal/login"
	"deputy/internal/login/passkey"

	"github.com/descope/virtualwebauthn"
)

// TestPasskey: a person enrols one after the console's code, signs out, signs in
// with it and steps up with it.
func TestPasskey(t *testing.T) {
	for _, public := range []string{"http://localhost:8787", "https://deputy.example"} {
		synctest.Test(t, func(t *testing.T) {
			d := newDesk(t, public)
			b := d.browser()
			b.withCode("anna")
			if page := b.get("/profile").Body.String(); !strings.Contains(page, "You have no passkey yet") {
				t.Errorf("the offer is missing: %s", page)
			}
			if w := b.enrol(); w.Code != 303 {
				t.Fatalf("enrolling: %d %s", w.Code, w.Body)
			}
			if page := b.get("/profile").Body.String(); !strings.Contains(page, "laptop") {
				t.Errorf("the profile lacks it: %s", page)
			}
			b.post("/signout")
			if c := b.who(); !c.IsZero() {
				t.Fatalf("signed out, and still %s", c.User())
			}
			time.Sleep(time.Hour)
			if w := b.withPasskey("/signin"); w.Code != 303 || w.Header().Get("Location") != "/approvals/x" {
				t.Fatalf("signing in: %d %s", w.Code, w.Body)
			}
			c := b.who()
			if c.User() != "anna" || c.ACR() != login.ACRPasskey || time.Since(c.AuthTime()) != 0 || !d.Strong(c) {
				t.Errorf("%+v", c)
			}
			time.Sleep(time.Hour)
			need, err := d.FreshNeed("anna")
			if err != nil || need.ACR != login.ACRPasskey || need.Met(b.who()) {
				t.Errorf("an hour later: %+v, %v", need, err)
			}
			before := b.who().Session()
			if w := b.withPasskey("/signin/again"); w.Code != 303 || w.Header().Get("Location") != "/approvals/x" {
				t.Fatalf("stepping up: %d %s", w.Code, w.Body)
			}
			if !need.Met(b.who()) || b.who().Session() == before {
				t.Errorf("after it: %+v", b.who())
			}
			if p := d.profile("anna"); len(p.Passkeys) != 1 || p.Passkeys[0].Counter != b.cred.Counter || time.Since(p.Passkeys[0].Used) != 0 {
				t.Errorf("%+v", p.Passkeys)
			}
			for _, want := range []string{"signin anna urn:deputy:acr:code", "passkey_add anna", "signin anna urn:deputy:acr:passkey", "stepup anna urn:deputy:acr:passkey", "signout anna"} {
				if !strings.Contains(d.lines(), want) {
					t.Errorf("the log lacks %q:\n%s", want, d.lines())
				}
			}
		})
	}
}

// TestPasskeyAnswers: what is not exactly the answer to this browser's question
// signs nobody in.
func TestPasskeyAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, "http://localhost:8787")
		b := d.browser()
		b.withCode("anna")
		b.enrol()
		b.post("/signout")
		// The handle is the browser's from here on.
		for name, attack := range map[string]func(b *browser) string{
			"without the person": func(b *browser) string {
				b.auth.Options.UserNotVerified = true
				return b.assert(b.post("/signin/passkey/options").Body.String())
			},
			"for another origin": func(b *browser) string {
				b.rp.Origin = "http://evil.example"
				return b.assert(b.post("/signin/passkey/options").Body.String())
			},
			"for another party": func(b *browser) string {
				b.rp.ID = "evil.example"
				return b.assert(b.post("/signin/passkey/options").Body.String())
			},
			"with another key": func(b *browser) string {
				id := b.cred.ID
				b.cred = newCredential()
				b.cred.ID = id
				return b.assert(b.post("/signin/passkey/options").Body.String())
			},
			"of nobody": func(b *browser) string {
				b.auth.Options.UserHandle = []byte("nobody")
				return b.assert(b.post("/signin/passkey/options").Body.String())
			},
			"to an older question": func(b *browser) string {
				first := b.post("/signin/passkey/options").Body.String()
				b.post("/signin/passkey/options")
				return b.assert(first)
			},
			"too late": func(b *browser) string {
				o := b.post("/signin/passkey/options").Body.String()
				time.Sleep(passkey.Life + time.Second)
				return b.assert(o)
			},
			"to a question for a step-up": func(b *browser) string {
				other := d.browser()
				other.withCode("anna")
				other.cred, other.auth = b.cred, b.auth
				o := other.post("/signin/again/options").Body.String()
				b.cookies["deputy-passkey"] = other.cookies["deputy-passkey"]
				return b.assert(o)
			},
			"nothing": func(b *browser) string { b.post("/signin/passkey/options"); return "" },
			"no JSON": func(b *browser) string { b.post("/signin/passkey/options"); return "{" },
			"too large": func(b *browser) string {
				b.post("/signin/passkey/options")
				return strings.Repeat(" ", passkey.MaxAnswer+1)
			},
			"no cookie": func(b *browser) string {
				o := b.post("/signin/passkey/options").Body.String()
				delete(b.cookies, "deputy-passkey")
				return b.assert(o)
			},
			"a changed cookie": func(b *browser) string {
				o := b.post("/signin/passkey/options").Body.String()
				sealed := []byte(b.cookies["deputy-passkey"])
				sealed[len(sealed)/2] ^= 1
				b.cookies["deputy-passkey"] = string(sealed)
				return b.assert(o)
			},
		} {
			thief := *b
			thief.cookies = map[string]string{}
			if w := thief.post("/signin/passkey", "answer", attack(&thief)); w.Code != 403 {
				t.Errorf("%s: %d %s", name, w.Code, w.Body)
			}
			if c := thief.who(); !c.IsZero() {
				t.Errorf("%s: it is %s", name, c.User())
			}
		}
	})
}

// TestAChallengeIsAnsweredOnce: the cookie and the answer, kept, are worth
// nothing.
func TestAChallengeIsAnsweredOnce(t *testing.T) { // T1
	d := newDesk(t, "http://localhost:8787")
	b := d.browser()
	b.withCode("anna")
	b.enrol()
	answer := b.assert(b.post("/signin/passkey/options").Body.String())
	kept := b.cookies["deputy-passkey"]
	if w := b.post("/signin/passkey", "answer", answer); w.Code != 303 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	thief := d.browser()
	thief.cookies["deputy-passkey"] = kept
	if w := thief.post("/signin/passkey", "answer", answer); w.Code != 400 || !thief.who().IsZero() {
		t.Errorf("again: %d", w.Code)
	}
	if !strings.Contains(d.lines(), "signin_refused  replayed") {
		t.Errorf("the log does not tell:\n%s", d.lines())
	}
}

// TestAClonedPasskeyIsRefused, and the log says so.
func TestAClonedPasskeyIsRefused(t *testing.T) {
	d := newDesk(t, "http://localhost:8787")
	b := d.browser()
	b.withCode("anna")
	b.enrol()
	b.withPasskey("/signin")
	b.withPasskey("/signin")
	clone := *b
	clone.cookies = map[string]string{}
	clone.cred.Counter = 0 // the copy was made before
	if w := clone.withPasskey("/signin"); w.Code != 403 || !strings.Contains(w.Body.String(), "copy") || !clone.who().IsZero() {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if !strings.Contains(d.lines(), "signin_refused anna cloned") {
		t.Errorf("the log does not tell:\n%s", d.lines())
	}
	if w := b.withPasskey("/signin"); w.Code != 303 {
		t.Errorf("the true one: %d", w.Code)
	}
}

// TestAddingAPasskeyTakesAFreshProof, and by passkey where there is one: who can
// make one-time codes on the person's machine adds none.
func TestAddingAPasskeyTakesAFreshProof(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, "http://localhost:8787")
		b := d.browser()
		b.withCode("anna")
		time.Sleep(login.Fresh + time.Second)
		b.header.Set("Accept", "application/json")
		if w := b.enrol(); w.Code != 401 || !strings.Contains(w.Body.String(), "/signin/again?") {
			t.Errorf("with an old sign-in: %d %s", w.Code, w.Body)
		}
		b.header.Del("Accept")
		b.withCode("anna")
		if w := b.enrol(); w.Code != 303 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		agent := d.browser()
		agent.withCode("anna")
		if w := agent.enrol(); w.Code != 303 || !strings.HasPrefix(w.Header().Get("Location"), "/signin/again?") || len(d.profile("anna").Passkeys) != 1 {
			t.Errorf("with another code: %d %s", w.Code, w.Body)
		}
		for _, form := range []string{"/profile/recovery", "/profile/accounts", "/profile/accounts/remove", "/profile/passkeys/remove"} {
			if w := agent.post(form); w.Code != 303 || !strings.HasPrefix(w.Header().Get("Location"), "/signin/again?") {
				t.Errorf("%s with a code: %d", form, w.Code)
			}
		}
		if d.Strong(agent.who()) {
			t.Error("a code is as strong as the passkey")
		}
		page := agent.get("/signin/again?next=/profile&acr=" + url.QueryEscape(login.ACRPasskey)).Body.String()
		if strings.Contains(page, `name="code"`) || !strings.Contains(page, "Confirm with a passkey") {
			t.Errorf("the step-up offers a code: %s", page)
		}
		// A second one, from the first.
		b.withPasskey("/signin")
		b.cred = virtualwebauthn.NewCredential(virtualwebauthn.KeyTypeRSA)
		if w := b.enrol(); w.Code != 303 || len(d.profile("anna").Passkeys) != 2 {
			t.Errorf("a second: %d %s", w.Code, w.Body)
		}
		// One and the same a second time: its id is somebody's.
		if w := b.enrol(); w.Code != 403 || len(d.profile("anna").Passkeys) != 2 {
			t.Errorf("the same again: %d", w.Code)
		}
	})
}

// TestAnEnrolmentBelongsToItsSession: an answer that another session brings adds
// nothing to either profile.
func TestAnEnrolmentBelongsToItsSession(t *testing.T) { // T2
	d := newDesk(t, "http://localhost:8787")
	if err := d.Profiles.Add("bo"); err != nil {
		t.Fatal(err)
	}
	anna, bo := d.browser(), d.browser()
	anna.withCode("anna")
	bo.withCode("bo")
	answer := bo.attest(bo.post("/profile/passkeys/options").Body.String())
	anna.cookies["deputy-passkey"] = bo.cookies["deputy-passkey"]
	if w := anna.post("/profile/passkeys", "answer", answer); w.Code != 403 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	answer = bo.attest(bo.post("/profile/passkeys/options").Body.String())
	begun := bo.cookies["deputy-passkey"]
	bo.withCode("bo") // the same person, in another session
	bo.cookies["deputy-passkey"] = begun
	if w := bo.post("/profile/passkeys", "answer", answer); w.Code != 403 {
		t.Errorf("another session: %d %s", w.Code, w.Body)
	}
	if len(d.profile("anna").Passkeys)+len(d.profile("bo").Passkeys) != 0 {
		t.Error("something was added")
	}
}

// TestTheLastWayIn stays, unless there are recovery codes.
func TestTheLastWayIn(t *testing.T) {
	d := newDesk(t, "http://localhost:8787")
	b := d.browser()
	b.withCode("anna")
	b.enrol()
	b.withPasskey("/signin")
	id := "id"
	ref := between(b.get("/profile").Body.String(), `name="id" value="`, `"`)
	if w := b.post("/profile/passkeys/remove", id, "other"); w.Code != 403 {
		t.Errorf("one that is none: %d", w.Code)
	}
	if w := b.post("/profile/passkeys/remove", id, ref); w.Code != 409 || len(d.profile("anna").Passkeys) != 1 {
		t.Errorf("the last: %d", w.Code)
	}
	b.post("/profile/recovery")
	if w := b.post("/profile/passkeys/remove", id, ref); w.Code != 303 || len(d.profile("anna").Passkeys) != 0 {
		t.Errorf("with recovery codes: %d %s", w.Code, w.Body)
	}
}

// TestRecovery: ten codes, shown once, each good once, and weaker than any other
// way; they let the person add a passkey, and approve nothing.
func TestRecovery(t *testing.T) {
	d := newDesk(t, "http://localhost:8787")
	b := d.browser()
	b.withCode("anna")
	b.enrol()
	b.withPasskey("/signin")
	page := b.post("/profile/recovery").Body.String()
	var codes []string
	for _, part := range strings.Split(page, "<code>")[1:] {
		codes = append(codes, part[:strings.Index(part, "<")])
	}
	if len(codes) != 10 || strings.Contains(b.get("/profile").Body.String(), codes[0]) {
		t.Fatalf("%d codes", len(codes))
	}
	lost := d.browser()
	if w := lost.post("/signin", "code", strings.ToUpper(strings.ReplaceAll(codes[0], "-", " "))); w.Code != 303 {
		t.Fatalf("as somebody types it: %d", w.Code)
	}
	if c := lost.who(); c.User() != "anna" || c.ACR() != login.ACRRecovery || d.Strong(c) {
		t.Errorf("%+v", c)
	}
	if w := d.browser().post("/signin", "code", codes[0]); w.Code != 401 {
		t.Errorf("a second time: %d", w.Code)
	}
	if w := lost.enrol(); w.Code != 303 {
		t.Errorf("a new passkey: %d %s", w.Code, w.Body)
	}
	if left := len(d.profile("anna").Recovery); left != 9 || !strings.Contains(d.lines(), "recovery_use anna") {
		t.Errorf("%d left:\n%s", left, d.lines())
	}
	lost.withPasskey("/signin")
	lost.post("/profile/recovery")
	if w := d.browser().post("/signin", "code", codes[1]); w.Code != 401 {
		t.Errorf("one of the old ten: %d", w.Code)
	}
}

// TestNoNameNoPasskeys: at an IP address there are none, and the page says what
// to do.
func TestNoNameNoPasskeys(t *testing.T) {
	d := newDesk(t, "http://127.0.0.1:8787")
	if _, err := passkey.New(d.Public); !errors.Is(err, passkey.ErrAddress) || !strings.Contains(err.Error(), "localhost") {
		t.Errorf("%v", err)
	}
	b := d.browser()
	b.withCode("anna")
	if page := b.get("/profile").Body.String(); !strings.Contains(page, "http://localhost:PORT") || strings.Contains(page, "/profile/passkeys/options") {
		t.Errorf("%s", page)
	}
	if strings.Contains(d.browser().get("/signin").Body.String(), "/signin/passkey") {
		t.Error("the sign-in page offers one")
	}
	for _, path := range []string{"/signin/passkey/options", "/signin/again/options", "/profile/passkeys/options"} {
		if w := b.post(path); w.Code != 403 {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

// TestAssertOver: a signature over a digest of ours is good for that digest and
// person alone.
func TestAssertOver(t *testing.T) {
	d := newDesk(t, "http://localhost:8787")
	b := d.browser()
	b.withCode("anna")
	digest, other := make([]byte, 32), append(make([]byte, 31), 1)
	if _, err := d.AssertOver("anna", digest); !errors.Is(err, login.ErrDenied) {
		t.Errorf("without a passkey: %v", err)
	}
	b.enrol()
	options, err := d.AssertOver("anna", digest)
	if err != nil {
		t.Fatal(err)
	}
	answer := []byte(b.assert(string(options)))
	if err := d.Asserted("anna", other, answer); err == nil {
		t.Error("it is good for another digest")
	}
	if err := d.Asserted("bo", digest, answer); err == nil {
		t.Error("it is good for another person")
	}
	if err := d.Asserted("anna", digest, answer); err != nil {
		t.Error(err)
	}
	if err := d.Asserted("anna", digest, answer); !errors.Is(err, passkey.ErrCloned) {
		t.Errorf("the same counter again: %v", err)
	}
}

func between(text, begin, end string) string {
	_, rest, _ := strings.Cut(text, begin)
	mid, _, _ := strings.Cut(rest, end)
	return mid
}
