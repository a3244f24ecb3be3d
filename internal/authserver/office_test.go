package authserver_test

import (
	"bytes"
	"context"
	crand "crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"deputy/authz"
	"deputy/internal/audit"
	"deputy/internal/authserver"
	"deputy/internal/authserver/clients"
	"deputy/internal/fetch"
	"deputy/internal/seal"
	"deputy/internal/store"
)

const (
	issuer   = "https://deputy.example"
	resource = issuer + "/mcp"
	site     = "https://app.example/callback"
	verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	strong   = "urn:test:strong"
)

// office is a deputy with people, clients and the hosts of clients, all in one
// process: requests go through the handlers and no network.
type office struct {
	testing.TB
	config authserver.Config
	server *authserver.Server
	store  store.Store
	mux    *http.ServeMux
	hosts  map[string]http.Handler // that serve documents and keys

	mu       sync.Mutex
	sessions map[string]authz.Principal
	gone     map[string]bool // may not act any more
	door     *authz.Door
	logged   bytes.Buffer
}

func newOffice(t testing.TB, change ...func(*authserver.Config)) *office {
	t.Helper()
	o := &office{TB: t, store: store.NewMemory(), sessions: map[string]authz.Principal{}, gone: map[string]bool{}, hosts: map[string]http.Handler{}}
	o.door = authz.NewDoor(func(context.Context, authz.Principal) error { return nil })
	kek, err := seal.NewKEK(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	box, err := seal.Open(t.TempDir(), kek)
	if err != nil {
		t.Fatal(err)
	}
	u, _ := url.Parse(issuer)
	o.config = authserver.Config{
		Issuer: u, Store: o.store, Sealer: box, Audit: &audit.Log{Key: []byte("k")}, Fetch: fetch.Client{Via: o},
		Log: slog.New(slog.NewTextHandler(&o.logged, nil)),
		People: authserver.People{
			Person: o.person, Ask: o.ask, StepUp: o.stepUp,
			Meets: func(c authz.Caller, acr string) bool { return c.ACR() == acr },
			May: func(_ context.Context, user string) error {
				o.mu.Lock()
				defer o.mu.Unlock()
				if o.gone[user] {
					return authz.ErrNobody
				}
				return nil
			},
		},
		Resources: []string{resource},
		Scopes: []authserver.Scope{
			{Name: "gmail.read", Title: "Read your mail", Default: true}, {Name: "gmail.send", Title: "Send mail for you"}, {Name: "slack.read", Title: "Read Slack"},
		},
		ACRValues: []string{strong},
		Clients: []clients.Client{
			{ID: "app", Name: "The App", Redirects: []string{site, "https://app.example/other?x=1"}},
			{ID: "rival", Name: "Rival", Redirects: []string{"https://rival.example/cb"}},
			{ID: "desk", Name: "Desk", Redirects: []string{"http://127.0.0.1/callback", "http://[::1]/callback", "http://localhost:33418", "com.example.desk:/back"}},
			{ID: "tv", Name: "Television", Grants: []string{clients.DeviceGrant, clients.RefreshGrant}},
			{ID: "backend", Name: "Back end", Secret: clients.NewSecret("s3cret/+ %"), Introspects: true,
				Redirects: []string{"https://backend.example/cb"}, Grants: []string{clients.CodeGrant, clients.RefreshGrant, clients.AssertionGrant}},
		},
	}
	for _, c := range change {
		c(&o.config)
	}
	if o.config.Store != o.store {
		o.store = o.config.Store
	}
	o.start()
	return o
}

// start begins a server over what is stored, as after a restart.
func (o *office) start() {
	o.Helper()
	var err error
	if o.server, err = authserver.New(o.config); err != nil {
		o.Fatal(err)
	}
	o.mux = http.NewServeMux()
	o.server.Routes(o.mux)
}

// RoundTrip serves deputy itself and the other hosts.
func (o *office) RoundTrip(r *http.Request) (*http.Response, error) {
	var h http.Handler = o.mux
	if "https://"+r.URL.Host != issuer {
		if h = o.hosts[r.URL.Host]; h == nil {
			return nil, errors.New("no such host")
		}
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	in := r.Clone(r.Context())
	if in.Body == nil {
		in.Body = http.NoBody
	}
	in.RequestURI, in.Host, in.RemoteAddr = r.URL.RequestURI(), r.URL.Host, "192.0.2.1:1234"
	w := httptest.NewRecorder()
	h.ServeHTTP(w, in)
	resp := w.Result()
	resp.Request = r
	return resp, nil
}

func (o *office) person(r *http.Request) (authz.Caller, bool) {
	cookie, err := r.Cookie("session")
	if err != nil {
		return authz.Caller{}, false
	}
	o.mu.Lock()
	p, ok := o.sessions[cookie.Value]
	o.mu.Unlock()
	if !ok {
		return authz.Caller{}, false
	}
	c, err := o.door.Caller(r.Context(), p)
	return c, err == nil
}

func (o *office) ask(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Next", r.URL.RequestURI())
	w.WriteHeader(http.StatusUnauthorized)
	io.WriteString(w, "sign in")
}

func (o *office) stepUp(w http.ResponseWriter, r *http.Request, n authserver.Need) {
	w.Header().Set("X-Next", r.URL.RequestURI())
	w.Header().Set("X-Need", n.MaxAge.String()+" "+n.ACR)
	w.WriteHeader(http.StatusForbidden)
	io.WriteString(w, "prove it")
}

// browser is one person's, or nobody's.
type browser struct {
	o    *office
	http *http.Client
}

func (o *office) browser(user string) *browser {
	jar, _ := cookiejar.New(nil)
	b := &browser{o, &http.Client{Transport: o, Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	if user != "" {
		b.signIn(user, "")
	}
	return b
}

func (b *browser) signIn(user, acr string) {
	b.o.mu.Lock()
	defer b.o.mu.Unlock()
	id := rand(16)
	b.o.sessions[id] = authz.Principal{User: user, Agent: "browser", Session: "s-" + id, AuthTime: time.Now(), ACR: acr}
	u, _ := url.Parse(issuer)
	b.http.Jar.SetCookies(u, []*http.Cookie{{Name: "session", Value: id, Path: "/"}})
}

// page is an answer, read.
type page struct {
	*http.Response
	text string
}

func (b *browser) do(r *http.Request, header ...string) page {
	b.o.Helper()
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := b.http.Do(r)
	if err != nil {
		b.o.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.o.Fatal(err)
	}
	return page{resp, string(body)}
}

func (b *browser) get(path string, header ...string) page {
	b.o.Helper()
	r, err := http.NewRequest("GET", issuer+path, nil)
	if err != nil {
		b.o.Fatal(err)
	}
	return b.do(r, header...)
}

func (b *browser) post(path string, form url.Values, header ...string) page {
	b.o.Helper()
	r, err := http.NewRequest("POST", issuer+path, strings.NewReader(form.Encode()))
	if err != nil {
		b.o.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.do(r, append([]string{"Origin", issuer, "Sec-Fetch-Site", "same-origin"}, header...)...)
}

// to is where an answer leads, which has to be prefix.
func (p page) to(t testing.TB, prefix string) url.Values {
	t.Helper()
	at := p.Header.Get("Location")
	if p.StatusCode != http.StatusSeeOther || !strings.HasPrefix(at, prefix) {
		t.Fatalf("%d to %q, want 303 to %s\n%s", p.StatusCode, at, prefix, p.text)
	}
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query()
}

var handleField = regexp.MustCompile(`name="handle" value="([^"]+)"`)

// handle is what the consent form on a page holds.
func (p page) handle(t testing.TB) string {
	t.Helper()
	m := handleField.FindStringSubmatch(p.text)
	if p.StatusCode != http.StatusOK || m == nil {
		t.Fatalf("%d: no consent is asked:\n%s", p.StatusCode, p.text)
	}
	return html.UnescapeString(m[1])
}

// wish is a request for a code, as a client would write it.
func wish(change ...string) url.Values {
	sum := sha256.Sum256([]byte(verifier))
	q := url.Values{
		"response_type": {"code"}, "client_id": {"app"}, "redirect_uri": {site}, "state": {"st&te=1"}, "scope": {"gmail.read"}, "resource": {resource},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	for i := 0; i < len(change); i += 2 {
		if change[i+1] == "-" {
			q.Del(change[i])
		} else {
			q.Set(change[i], change[i+1])
		}
	}
	return q
}

// code has the browser's person allow a wish.
func (b *browser) code(change ...string) string {
	b.o.Helper()
	q := wish(change...)
	p := b.get("/oauth/authorize?" + q.Encode())
	if p.StatusCode == http.StatusOK {
		p = b.post("/oauth/authorize", url.Values{"handle": {p.handle(b.o)}, "decision": {"allow"}})
	}
	code := p.to(b.o, q.Get("redirect_uri")).Get("code")
	if code == "" {
		b.o.Fatalf("no code: %s", p.Header.Get("Location"))
	}
	return code
}

// said is what a machine's endpoint answers.
type said struct {
	Status  int
	Header  http.Header
	Access  string  `json:"access_token"`
	Refresh string  `json:"refresh_token"`
	Scope   string  `json:"scope"`
	Life    int     `json:"expires_in"`
	Error   string  `json:"error"`
	Words   string  `json:"error_description"`
	URI     string  `json:"request_uri"`
	Device  string  `json:"device_code"`
	User    string  `json:"user_code"`
	Verify  string  `json:"verification_uri"`
	Active  *bool   `json:"active"`
	Subject string  `json:"sub"`
	Every   float64 `json:"interval"`
	ID      string  `json:"client_id"`
	raw     string
}

func (o *office) call(path string, form url.Values, header ...string) said {
	o.Helper()
	r, err := http.NewRequest("POST", issuer+path, strings.NewReader(form.Encode()))
	if err != nil {
		o.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := o.RoundTrip(r)
	if err != nil {
		o.Fatal(err)
	}
	return read(resp)
}

func read(resp *http.Response) said {
	body, _ := io.ReadAll(resp.Body)
	s := said{Status: resp.StatusCode, Header: resp.Header, raw: string(body)}
	json.Unmarshal(body, &s)
	return s
}

// form makes a form of pairs; "-" leaves one out.
func form(pairs ...string) url.Values {
	q := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "-" {
			q.Del(pairs[i])
		} else {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	return q
}

// redeem gets tokens for a code.
func (o *office) redeem(code string, change ...string) said {
	o.Helper()
	return o.call("/oauth/token", form(append([]string{
		"grant_type", "authorization_code", "code", code, "client_id", "app", "redirect_uri", site, "code_verifier", verifier, "resource", resource,
	}, change...)...))
}

func (o *office) refresh(token string, change ...string) said {
	o.Helper()
	return o.call("/oauth/token", form(append([]string{"grant_type", "refresh_token", "refresh_token", token, "client_id", "app"}, change...)...))
}

// tokens has a person allow the app, and the app get its tokens.
func (o *office) tokens(user string) said {
	o.Helper()
	t := o.redeem(o.browser(user).code())
	if t.Status != 200 || t.Access == "" || t.Refresh == "" {
		o.Fatalf("%d %s", t.Status, t.raw)
	}
	return t
}

func (o *office) valid(token string) bool {
	o.Helper()
	_, err := o.server.Verify(o.Context(), token)
	if err != nil && !errors.Is(err, authserver.ErrToken) {
		o.Fatal(err)
	}
	return err == nil
}

// lines are the audit log's, of one event.
func (o *office) lines(event string) (all []audit.Line) {
	o.Helper()
	err := o.store.View(func(tx store.Tx) error {
		return audit.Each(tx, func(raw json.RawMessage) error {
			var l audit.Line
			if err := json.Unmarshal(raw, &l); err != nil {
				return err
			}
			if l.Event == event {
				all = append(all, l)
			}
			return nil
		})
	})
	if err != nil {
		o.Fatal(err)
	}
	return all
}

// publish serves a document at an address.
func (o *office) publish(address, body string, header ...string) {
	u, _ := url.Parse(address)
	o.hosts[u.Host] = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		if r.URL.Path != u.Path {
			w.WriteHeader(404)
			return
		}
		io.WriteString(w, body)
	})
}

func rand(n int) string {
	b := make([]byte, n)
	crand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}

func newJSON(t testing.TB, address, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequest("POST", address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	return r
}

func parse(p page) said {
	s := said{Status: p.StatusCode, Header: p.Header, raw: p.text}
	json.Unmarshal([]byte(p.text), &s)
	return s
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func unb64(t testing.TB, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
