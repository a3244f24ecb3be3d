package login_test

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"deputy/authz"
	"deputy/internal/audit"
	"deputy/internal/login"
	"deputy/internal/login/passkey"
	"deputy/internal/login/upstream"
	"deputy/internal/seal"
	"deputy/internal/store"

	"github.com/descope/virtualwebauthn"
)

// desk is a home of anna's with every way in: the pages as they are served, and
// browsers to walk them with.
type desk struct {
	*login.Login
	t   *testing.T
	mux http.Handler
}

func newDesk(t *testing.T, public string, accounts ...login.Accounts) *desk {
	t.Helper()
	u, err := url.Parse(public)
	if err != nil {
		t.Fatal(err)
	}
	key := make([]byte, 32)
	rand.Read(key)
	kek, err := seal.NewKEK(key)
	if err != nil {
		t.Fatal(err)
	}
	box, err := seal.Open(t.TempDir(), kek)
	if err != nil {
		t.Fatal(err)
	}
	s := store.NewMemory()
	people := &login.Profiles{Store: s, Sealer: box, Owner: "anna"}
	d := &desk{t: t, Login: &login.Login{
		Store: s, Door: authz.NewDoor(people.MayEnter), Public: u,
		Sealer: box, Audit: &audit.Log{Key: box.Key("audit")}, Profiles: people, Accounts: accounts,
	}}
	d.Passkeys, _ = passkey.New(u)
	mux := http.NewServeMux()
	d.Routes(mux)
	mux.HandleFunc("GET /who", func(w http.ResponseWriter, r *http.Request) {
		if _, ok := d.Person(r); !ok {
			d.Ask(w, r)
		}
	})
	d.mux = http.NewCrossOriginProtection().Handler(mux)
	return d
}

// lines are the events in the log, with their outcomes.
func (d *desk) lines() (out string) {
	d.Store.View(func(tx store.Tx) error {
		return audit.Each(tx, func(raw json.RawMessage) error {
			var l audit.Line
			json.Unmarshal(raw, &l)
			out += l.Event + " " + l.User + " " + l.Outcome + "\n"
			return nil
		})
	})
	return out
}

func (d *desk) profile(user string) login.Profile {
	d.t.Helper()
	p, err := d.Profiles.Get(user)
	if err != nil {
		d.t.Fatal(err)
	}
	return p
}

// browser is one person's, with its cookies and passkeys.
type browser struct {
	d       *desk
	cookies map[string]string
	auth    virtualwebauthn.Authenticator
	cred    virtualwebauthn.Credential
	rp      virtualwebauthn.RelyingParty
	header  http.Header
}

func (d *desk) browser() *browser {
	return &browser{
		d: d, cookies: map[string]string{}, auth: virtualwebauthn.NewAuthenticator(), cred: newCredential(),
		rp:     virtualwebauthn.RelyingParty{ID: d.Public.Hostname(), Name: "deputy", Origin: d.Public.String()},
		header: http.Header{"User-Agent": {"Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"}},
	}
}

// newCredential is one whose coordinates begin with no zero byte: the library
// leaves such a byte out, and the key is then none (RFC 9053 §7.1.1).
func newCredential() virtualwebauthn.Credential {
	for {
		if c := virtualwebauthn.NewCredential(virtualwebauthn.KeyTypeEC2); len(c.Key.AttestationData()) == 77 {
			return c
		}
	}
}

func (b *browser) request(method, path string, form url.Values) *http.Request {
	r := httptest.NewRequest(method, path, strings.NewReader(form.Encode()))
	for k, v := range b.header {
		r.Header[k] = v
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	return r
}

func (b *browser) do(method, path string, form url.Values) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	b.d.mux.ServeHTTP(w, b.request(method, path, form))
	for _, c := range w.Result().Cookies() {
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		} else {
			b.cookies[c.Name] = c.Value
		}
	}
	return w
}

func (b *browser) get(path string) *httptest.ResponseRecorder { return b.do("GET", path, nil) }

func (b *browser) post(path string, pairs ...string) *httptest.ResponseRecorder {
	form := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return b.do("POST", path, form)
}

// who is signed in; nobody is the zero Caller.
func (b *browser) who() authz.Caller {
	c, _ := b.d.Person(b.request("GET", "/who", nil))
	return c
}

// withCode signs in as the console's owner does.
func (b *browser) withCode(user string) {
	b.d.t.Helper()
	code, err := b.d.Code(user)
	if err != nil {
		b.d.t.Fatal(err)
	}
	if w := b.post("/signin", "code", code, "next", "/profile"); w.Code != 303 {
		b.d.t.Fatalf("signing in with a code: %d %s", w.Code, w.Body)
	}
}

// enrol adds the browser's passkey and returns what the server said at last.
func (b *browser) enrol() *httptest.ResponseRecorder {
	b.d.t.Helper()
	w := b.post("/profile/passkeys/options")
	if w.Code != 200 {
		return w
	}
	return b.post("/profile/passkeys", "answer", b.attest(w.Body.String()), "name", "laptop")
}

func (b *browser) attest(options string) string {
	b.d.t.Helper()
	o, err := virtualwebauthn.ParseAttestationOptions(options)
	if err != nil {
		b.d.t.Fatalf("%v: %s", err, options)
	}
	b.auth.Options.UserHandle = []byte(o.UserID)
	return virtualwebauthn.CreateAttestationResponse(b.rp, b.auth, b.cred, *o)
}

// assert answers what the options ask, with the counter one on.
func (b *browser) assert(options string) string {
	b.d.t.Helper()
	o, err := virtualwebauthn.ParseAssertionOptions(options)
	if err != nil {
		b.d.t.Fatalf("%v: %s", err, options)
	}
	b.cred.Counter++
	return virtualwebauthn.CreateAssertionResponse(b.rp, b.auth, b.cred, *o)
}

// withPasskey signs in, or steps up at "/signin/again".
func (b *browser) withPasskey(at string) *httptest.ResponseRecorder {
	b.d.t.Helper()
	if at == "/signin" {
		return b.post("/signin/passkey", "answer", b.assert(b.post("/signin/passkey/options").Body.String()), "next", "/approvals/x")
	}
	return b.post("/signin/again/passkey", "answer", b.assert(b.post("/signin/again/options").Body.String()), "next", "/approvals/x")
}

// elsewhere goes to a provider and comes back, as subject, and returns the
// answer to the callback. tamper may change what is brought back.
func (b *browser) elsewhere(from, subject string, op *issuer, tamper ...func(url.Values)) *httptest.ResponseRecorder {
	b.d.t.Helper()
	w := b.get(from)
	if w.Code != http.StatusFound {
		return w
	}
	return b.get(b.back(op.visit(b.d.t, w.Header().Get("Location"), subject), tamper...))
}

// back is the local part of the way back.
func (b *browser) back(to string, tamper ...func(url.Values)) string {
	u, err := url.Parse(to)
	if err != nil {
		b.d.t.Fatal(err)
	}
	q := u.Query()
	for _, f := range tamper {
		f(q)
	}
	return u.Path + "?" + q.Encode()
}

// link adds an account: the form, the page that leads away, the way back.
func (b *browser) link(provider, subject string, op *issuer) *httptest.ResponseRecorder {
	b.d.t.Helper()
	w := b.post("/profile/accounts", "provider", provider)
	to := op.linkIn(w.Body.String())
	if to == "" {
		return w
	}
	return b.get(b.back(op.visit(b.d.t, to, subject)))
}

// at lets people sign in at an issuer of the test's.
func at(op *issuer, allow ...string) login.Accounts {
	return login.Accounts{Provider: op.provider(), Allow: upstream.Allow(allow)}
}
