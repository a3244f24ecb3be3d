package issuers

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"deputy/approvals"
	"deputy/authz"
	"deputy/internal/audit"
	"deputy/internal/seal"
	"deputy/internal/store"
	"deputy/vault"
)

var ctx = context.Background()

// publicURL is deputy's. Nothing listens there: the browser stops at its door.
const publicURL = "http://localhost:8787"

// server is a third party's authorization server, and deputy's place in it.
type server struct {
	name, issuer   string
	client, secret string
	scopes         []string // asked with every grant
	want           []string // asked and needed by the API
	resource       string

	// The client that the API asks about tokens with.
	apiClient, apiSecret string

	person func(user string) map[string]string // fills in the forms

	from string // another server whose account this one's tokens are traded from
}

// bank is a few vaults over one store, as processes that share it.
type bank struct {
	t      *testing.T
	server server
	vaults []*vault.Vault
	door   *authz.Door
	tap    *tap
	api    *api
}

// open makes n vaults that know the server, and perhaps others.
func open(t *testing.T, s server, n int, others ...server) *bank {
	t.Helper()
	b := &bank{t: t, server: s, tap: &tap{}}
	b.api = newAPI(t, s)
	kek, err := seal.NewKEK(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	box, err := seal.Open(t.TempDir(), kek)
	if err != nil {
		t.Fatal(err)
	}
	b.door = authz.NewDoor(func(context.Context, authz.Principal) error { return nil })
	rows := store.NewMemory()
	ledger, err := approvals.Open(approvals.Config{Store: rows, Sealer: box, Audit: &audit.Log{Key: box.Key("audit")}, Door: b.door, Channels: []string{"page"}})
	if err != nil {
		t.Fatal(err)
	}
	providers := []vault.Provider{s.provider(b.api.URL)}
	for _, o := range others {
		providers = append(providers, o.provider(b.api.URL))
	}
	for range n {
		v, err := vault.Open(vault.Config{
			Store: rows, Shared: n > 1, Sealer: box, Audit: &audit.Log{Key: box.Key("audit")}, Ledger: ledger,
			Providers: providers, PublicURL: publicURL, Transport: b.tap,
		})
		if err != nil {
			t.Fatal(err)
		}
		b.vaults = append(b.vaults, v)
	}
	return b
}

// provider is the server as deputy knows one of `type: oidc`.
func (s server) provider(api string) vault.Provider {
	p := s.oidc(api)
	if s.from != "" {
		p.Discover, p.From, p.BaseScopes = false, s.from, nil
		p.OAuth.TokenURL, p.OAuth.Basic = s.issuer+"oauth/token", true
		p.Trade = vault.Trade{Audience: s.client, Scopes: s.want}
	}
	return p
}

func (s server) oidc(api string) vault.Provider {
	return vault.Provider{
		Name: s.name, Title: s.name, APIURL: api, Discover: true,
		OAuth:      vault.Server{Issuer: s.issuer, ClientID: s.client, ClientSecret: vault.NewSecret(s.secret), PKCE: true, Resource: s.resource},
		BaseScopes: s.scopes,
		Identity:   vault.Identity{IDToken: true, Subject: []string{"sub"}, Name: []string{"email", "preferred_username", "sub"}, Any: true},
		Reads:      []string{"GET /token"},
		Fault: func(status int, _ []byte) vault.Kind {
			switch {
			case status == http.StatusUnauthorized:
				return vault.Reconnect
			case status != http.StatusOK:
				return vault.Upstream
			}
			return ""
		},
	}
}

func (b *bank) caller(user string) authz.Caller {
	b.t.Helper()
	c, err := b.door.Caller(ctx, authz.Principal{User: user, Agent: "agent", Session: "browser of " + user})
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

func (b *bank) wish() vault.Wish {
	return vault.Wish{Provider: b.server.name, Scopes: b.server.want}
}

// begin starts a connection and returns where the browser is sent.
func (b *bank) begin(c authz.Caller, w vault.Wish) string {
	b.t.Helper()
	to, err := b.vaults[0].Begin(ctx, c, w)
	if err != nil {
		b.t.Fatal(err)
	}
	return to
}

// answer signs a person in at the server, in a browser of their own, and
// returns what comes back to deputy.
func (b *bank) answer(to, user string, change ...map[string]string) url.Values {
	b.t.Helper()
	fill := b.server.person(user)
	for _, c := range change {
		for k, v := range c {
			fill[k] = v
		}
	}
	back, page := newBrowser(b.t).open(to, fill)
	if back == nil {
		b.t.Fatalf("%s does not come back: %s", b.server.name, page)
	}
	if want := b.vaults[0].RedirectURI(b.server.name); !strings.HasPrefix(back.String(), want+"?") {
		b.t.Fatalf("came back to %s, want %s", back, want)
	}
	return back.Query()
}

// finish hands an answer to deputy.
func (b *bank) finish(c authz.Caller, answer url.Values) (vault.Connected, error) {
	return b.vaults[0].Finish(ctx, c, b.server.name, answer)
}

// connect is the whole way, for a person of the same name on both sides.
func (b *bank) connect(user string, change ...map[string]string) vault.Connected {
	b.t.Helper()
	c := b.caller(user)
	done, err := b.finish(c, b.answer(b.begin(c, b.wish()), user, change...))
	if err != nil {
		b.t.Fatal(err)
	}
	return done
}

// token is what the API says of the token that a read came with.
type token struct {
	Active   bool   `json:"active"`
	Subject  string `json:"sub"`
	Scope    string `json:"scope"`
	Audience any    `json:"aud"`
	Client   string `json:"client_id"`
}

// read performs one request with the caller's grant.
func (b *bank) read(v *vault.Vault, c authz.Caller) (t token, err error) {
	l, err := v.Lease(ctx, c, b.server.name, b.server.want, "")
	if err != nil {
		return token{}, err
	}
	body, err := l.Read(ctx, "/token")
	if err != nil {
		return token{}, err
	}
	return t, json.Unmarshal(body, &t)
}

func (b *bank) mustRead(user string) token {
	b.t.Helper()
	t, err := b.read(b.vaults[0], b.caller(user))
	if err != nil {
		b.t.Fatalf("read as %s: %v", user, err)
	}
	if t.Subject != user {
		b.t.Errorf("read with the token of %s, want %s", t.Subject, user)
	}
	return t
}

// storm lets many callers in every vault read at once.
func (b *bank) storm(users []string, each int) {
	b.t.Helper()
	var wg sync.WaitGroup
	for _, v := range b.vaults {
		for i := range each {
			user := users[i%len(users)]
			c := b.caller(user)
			wg.Go(func() {
				got, err := b.read(v, c)
				if err != nil || got.Subject != user {
					b.t.Errorf("read as %s in a storm: %+v, %v", user, got, err)
				}
			})
		}
	}
	wg.Wait()
}

// api is a resource server that believes the authorization server alone: each
// token is introspected (RFC 7662), and has to be for this API.
type api struct {
	*httptest.Server
	mu      sync.Mutex
	refused map[string]bool
	seen    map[string]int
}

func newAPI(t *testing.T, s server) *api {
	a := &api{refused: map[string]bool{}, seen: map[string]int{}}
	m := metadata(t, s.issuer)
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		bearer := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		a.mu.Lock()
		a.seen[bearer]++
		refused := a.refused[bearer]
		a.mu.Unlock()
		body := introspect(t, m["introspection_endpoint"].(string), s, bearer)
		var said token
		if err := json.Unmarshal(body, &said); err != nil {
			t.Errorf("introspection: %v", err)
		}
		if refused || !said.Active || s.resource != "" && said.Audience != s.resource {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Write(body)
	}))
	t.Cleanup(a.Close)
	return a
}

// refuseAll ends every token seen so far, as an API that was told early.
func (a *api) refuseAll() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for t := range a.seen {
		a.refused[t] = true
	}
}

// tokens is how many different ones the API has seen.
func (a *api) tokens() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.seen)
}

func introspect(t *testing.T, at string, s server, bearer string) []byte {
	req, err := http.NewRequest(http.MethodPost, at, strings.NewReader(url.Values{"token": {bearer}}.Encode()))
	if err != nil {
		t.Error(err)
		return nil
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(s.apiClient, s.apiSecret)
	status, body := do(t, req)
	if status != http.StatusOK {
		t.Errorf("introspection: HTTP %d: %s", status, body)
	}
	return body
}

// metadata is what the server says of itself, for the test's own use.
func metadata(t *testing.T, issuer string) (m map[string]any) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, strings.TrimSuffix(issuer, "/")+"/.well-known/openid-configuration", nil)
	if err != nil {
		t.Fatal(err)
	}
	_, body := do(t, req)
	if err := json.Unmarshal(body, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// do sends a test's own request, which no vault knows of.
func do(t *testing.T, req *http.Request) (int, []byte) {
	t.Helper()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Error(err)
		return 0, nil
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	return resp.StatusCode, body
}

// post sends a form as deputy's client: what a thief of its secret can do.
func (b *bank) post(endpoint string, form url.Values) (int, []byte) {
	b.t.Helper()
	at := metadata(b.t, b.server.issuer)[endpoint].(string)
	form.Set("client_id", b.server.client)
	req, err := http.NewRequest(http.MethodPost, at, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if b.server.secret != "" {
		req.SetBasicAuth(url.QueryEscape(b.server.client), url.QueryEscape(b.server.secret))
	}
	return do(b.t, req)
}

// tap is the wire between the vaults and the world: it notes every form that
// went out, can change what metadata says, and can hold up or lose the answer
// to a refresh. The hooks are set while nothing is under way.
type tap struct {
	mu   sync.Mutex
	sent []sent

	metadata  func([]byte) []byte
	refreshed func() error
}

type sent struct {
	form   url.Values
	status int
	answer []byte
}

func (w *tap) RoundTrip(req *http.Request) (*http.Response, error) {
	var form url.Values
	if req.Method == http.MethodPost && req.Body != nil {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		req = req.Clone(req.Context())
		req.Body = io.NopCloser(bytes.NewReader(body))
		if form, err = url.ParseQuery(string(body)); err != nil {
			return nil, err
		}
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil {
		return nil, err
	}
	if w.metadata != nil && strings.Contains(req.URL.Path, "/.well-known/") {
		answer = w.metadata(answer)
		resp.ContentLength = int64(len(answer))
	}
	resp.Body = io.NopCloser(bytes.NewReader(answer))
	if form != nil {
		w.mu.Lock()
		w.sent = append(w.sent, sent{form, resp.StatusCode, answer})
		w.mu.Unlock()
	}
	if w.refreshed != nil && form.Get("grant_type") == "refresh_token" {
		if err := w.refreshed(); err != nil {
			return nil, err
		}
	}
	return resp, nil
}

// asked lists the token requests of a kind that went out so far.
func (w *tap) asked(grantType string) (out []sent) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.sent {
		if s.form.Get("grant_type") == grantType {
			out = append(out, s)
		}
	}
	return out
}

// pushed lists the pushed authorization requests.
func (w *tap) pushed() (out []sent) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.sent {
		if s.form.Has("response_type") {
			out = append(out, s)
		}
	}
	return out
}

// refreshes checks that so many refreshes went out, that all were granted, and
// that no refresh token was used twice. It returns them.
func (b *bank) refreshes(want int) []sent {
	b.t.Helper()
	all := b.tap.asked("refresh_token")
	used := map[string]bool{}
	for _, s := range all {
		if s.status != http.StatusOK {
			b.t.Errorf("a refresh got HTTP %d: %s", s.status, s.answer)
		}
		if used[s.form.Get("refresh_token")] {
			b.t.Error("a refresh token was used twice")
		}
		used[s.form.Get("refresh_token")] = true
	}
	if len(all) != want {
		b.t.Errorf("%d refreshes, want %d", len(all), want)
	}
	return all
}

// briefly is how long a grant's first token lives where a test waits for its
// end; op.mjs has the same. Later ones last, so that a test that counts
// refreshes counts one.
const briefly = 3 * time.Second

// expire waits until every short-lived token is past its end.
func expire() { time.Sleep(briefly + 200*time.Millisecond) }
