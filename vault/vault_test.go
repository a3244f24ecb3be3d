package vault_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
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

// issuer is a provider reduced to what the vault sees of one: a token endpoint
// whose answers a test chooses, and an API that knows which tokens are good.
type issuer struct {
	*httptest.Server
	mu        sync.Mutex
	good      map[string]bool
	challenge string
	n         int
	tokenHits atomic.Int32
	apiHits   atomic.Int32
	lifetime  int
	login     string
	token     http.HandlerFunc // overrides the token endpoint
	api       http.HandlerFunc // overrides the API
	revoked   []string
}

func newIssuer(t *testing.T) *issuer {
	i := &issuer{good: map[string]bool{}, lifetime: 3600, login: "octo"}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		i.tokenHits.Add(1)
		if h := i.token; h != nil {
			h(w, r)
			return
		}
		i.grant(w, r)
	})
	mux.HandleFunc("POST /revoke", func(w http.ResponseWriter, r *http.Request) {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.revoked = append(i.revoked, r.FormValue("token"))
	})
	mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
		i.apiHits.Add(1)
		i.mu.Lock()
		good := i.good[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
		i.mu.Unlock()
		if !good {
			http.Error(w, `{"message":"bad credentials"}`, http.StatusUnauthorized)
			return
		}
		if i.api != nil && r.URL.Path != "/api/user" {
			i.api(w, r)
			return
		}
		fmt.Fprintf(w, `{"id": 7, "login": %q}`, i.login)
	})
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	return i
}

// grant issues the next pair. Refresh tokens are single use, and using one
// kills the old access token, as at GitHub.
func (i *issuer) grant(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch r.FormValue("grant_type") {
	case "authorization_code":
		sum := sha256.Sum256([]byte(r.FormValue("code_verifier")))
		if r.FormValue("code") != "good-code" || base64.RawURLEncoding.EncodeToString(sum[:]) != i.challenge {
			io.WriteString(w, `{"error":"bad_verification_code"}`)
			return
		}
	case "refresh_token":
		if !i.good[r.FormValue("refresh_token")] {
			io.WriteString(w, `{"error":"bad_refresh_token"}`)
			return
		}
		clear(i.good)
	}
	i.n++
	at, rt := fmt.Sprintf("canary-at-%d", i.n), fmt.Sprintf("canary-rt-%d", i.n)
	i.good[at], i.good[rt] = true, true
	fmt.Fprintf(w, `{"access_token":%q,"refresh_token":%q,"token_type":"bearer","expires_in":%d,"scope":"read write"}`, at, rt, i.lifetime)
}

type bank struct {
	*vault.Vault
	t      *testing.T
	issuer *issuer
	store  store.Store
	ledger *approvals.Ledger
	door   *authz.Door
	me     authz.Caller
}

func open(t *testing.T, i *issuer, change ...func(*vault.Provider)) *bank {
	t.Helper()
	p := vault.Provider{
		Name: "github", Title: "GitHub", APIURL: i.URL + "/api",
		OAuth: vault.Server{
			AuthURL: i.URL + "/auth", TokenURL: i.URL + "/token", RevokeURL: i.URL + "/revoke",
			ClientID: "id", ClientSecret: vault.NewSecret("client-secret-canary"), PKCE: true,
			Refusals: map[string]vault.Verdict{"bad_refresh_token": vault.GrantEnded, "bad_verification_code": vault.GrantEnded, "incorrect_client_credentials": vault.ClientBad},
		},
		Identity: vault.Identity{Path: "/user", Subject: []string{"id"}, Name: []string{"login"}},
		Reads:    []string{"GET /user", "GET /things/{id}"}, Writes: []string{"POST /things"},
		Fault: func(status int, _ []byte) vault.Kind {
			switch {
			case status == 401:
				return vault.Reconnect
			case status == 404:
				return vault.NotFound
			case status == 429:
				return vault.RateLimited
			case status >= 500:
				return vault.Upstream
			case status >= 300:
				return vault.BadInput
			}
			return ""
		},
	}
	for _, c := range change {
		c(&p)
	}
	b := openWith(t, p)
	b.issuer = i
	return b
}

// openWith opens a vault over a new memory store.
func openWith(t *testing.T, providers ...vault.Provider) *bank {
	t.Helper()
	kek, _ := seal.NewKEK(make([]byte, 32))
	box, err := seal.Open(t.TempDir(), kek)
	if err != nil {
		t.Fatal(err)
	}
	b := &bank{t: t, store: store.NewMemory()}
	b.door = authz.NewDoor(func(context.Context, authz.Principal) error { return nil })
	log := &audit.Log{Key: box.Key("audit")}
	b.ledger, err = approvals.Open(approvals.Config{Store: b.store, Sealer: box, Audit: log, Door: b.door, Channels: []string{"page"}})
	if err != nil {
		t.Fatal(err)
	}
	b.Vault, err = vault.Open(vault.Config{Store: b.store, Sealer: box, Audit: log, Ledger: b.ledger, Providers: providers, PublicURL: "http://localhost:8787", Timeout: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	b.me = b.person("anna", "browser-1")
	return b
}

func (b *bank) person(user, session string) authz.Caller {
	b.t.Helper()
	c, err := b.door.Caller(ctx, authz.Principal{User: user, Agent: "claude", Session: session})
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

// begin starts a connection and returns what the provider would send back.
func (b *bank) begin(c authz.Caller) url.Values {
	b.t.Helper()
	to, err := b.Begin(ctx, c, vault.Wish{Provider: "github", Scopes: []string{"read", "write"}})
	if err != nil {
		b.t.Fatal(err)
	}
	u, _ := url.Parse(to)
	q := u.Query()
	b.issuer.mu.Lock()
	b.issuer.challenge = q.Get("code_challenge")
	b.issuer.mu.Unlock()
	if q.Get("code_challenge_method") != "S256" || q.Get("redirect_uri") != "http://localhost:8787/connect/github/callback" {
		b.t.Errorf("authorization request: %v", q)
	}
	return url.Values{"state": {q.Get("state")}, "code": {"good-code"}}
}

func (b *bank) connect() vault.Connected {
	b.t.Helper()
	done, err := b.Finish(ctx, b.me, "github", b.begin(b.me))
	if err != nil {
		b.t.Fatal(err)
	}
	return done
}

func (b *bank) lease() *vault.Lease {
	b.t.Helper()
	l, err := b.Lease(ctx, b.me, "github", []string{"read"}, "")
	if err != nil {
		b.t.Fatal(err)
	}
	return l
}

func (b *bank) permit(body string) (approvals.Permit, approvals.Action) {
	b.t.Helper()
	return b.permitFor(approvals.Request{Method: "POST", Path: "/things", Body: []byte(body)})
}

func (b *bank) permitFor(r approvals.Request) (approvals.Permit, approvals.Action) {
	b.t.Helper()
	i, err := b.ledger.Ask(ctx, approvals.Action{
		Caller: b.me, Provider: "github", Account: "github/octo", Tool: "t", Need: approvals.ByRule, Request: r,
	})
	if err != nil {
		b.t.Fatal(err)
	}
	p, a, err := b.ledger.Redeem(ctx, i.ID)
	if err != nil {
		b.t.Fatal(err)
	}
	return p, a
}

func (b *bank) accounts() []vault.Account {
	all, err := b.Accounts(ctx, b.me)
	if err != nil {
		b.t.Fatal(err)
	}
	return all
}

func TestConnect(t *testing.T) {
	b := open(t, newIssuer(t))
	done := b.connect()
	if done.ID != "github/octo" || len(done.Missing) != 0 || !slices.Equal(done.Scopes, []string{"read", "write"}) {
		t.Errorf("%+v", done)
	}
	if body, err := b.lease().Read(ctx, "/user"); err != nil || !strings.Contains(string(body), "octo") {
		t.Errorf("Read: %s, %v", body, err)
	}
}

func TestConnectAttacks(t *testing.T) {
	for name, c := range map[string]struct {
		attack func(b *bank, answer url.Values) (authz.Caller, url.Values)
		want   error
		asks   int32 // requests to the token endpoint
	}{
		"T1 replayed state": {func(b *bank, a url.Values) (authz.Caller, url.Values) {
			if _, err := b.Finish(ctx, b.me, "github", a); err != nil {
				b.t.Fatal(err)
			}
			return b.me, a
		}, vault.ErrState, 1},
		"T1 guessed state": {func(b *bank, a url.Values) (authz.Caller, url.Values) {
			a.Set("state", "guess")
			return b.me, a
		}, vault.ErrState, 0},
		"T1 no state": {func(b *bank, a url.Values) (authz.Caller, url.Values) {
			a.Del("state")
			return b.me, a
		}, vault.ErrState, 0},
		"T2 another browser": {func(b *bank, a url.Values) (authz.Caller, url.Values) {
			return b.person("anna", "browser-2"), a
		}, vault.ErrNotStarter, 0},
		"T2 another person": {func(b *bank, a url.Values) (authz.Caller, url.Values) {
			return b.person("bo", "browser-1"), a
		}, vault.ErrNotStarter, 0},
		"T2 nobody": {func(b *bank, a url.Values) (authz.Caller, url.Values) { return authz.Caller{}, a }, vault.ErrNotStarter, 0},
		"T5 wrong issuer": {func(b *bank, a url.Values) (authz.Caller, url.Values) {
			a.Set("iss", "https://evil.example")
			return b.me, a
		}, vault.ErrMixedUp, 0},
		"T5 issuer on error": {func(b *bank, a url.Values) (authz.Caller, url.Values) {
			a.Set("iss", "https://evil.example")
			a.Set("error", "x")
			return b.me, a
		}, vault.ErrMixedUp, 0},
		"refused": {func(b *bank, a url.Values) (authz.Caller, url.Values) {
			a.Del("code")
			a.Set("error", "access_denied")
			a.Set("error_description", "<script>")
			return b.me, a
		}, vault.ErrRefused, 0},
	} {
		b := open(t, newIssuer(t), func(p *vault.Provider) { p.OAuth.Issuer = "https://issuer.example" })
		who, answer := c.attack(b, b.begin(b.me))
		_, err := b.Finish(ctx, who, "github", answer)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if got := b.issuer.tokenHits.Load(); got != c.asks {
			t.Errorf("%s: %d token requests, want %d", name, got, c.asks)
		}
		// T1: whatever happened, the state is used up.
		if _, err := b.Finish(ctx, b.me, "github", answer); err == nil && c.want != vault.ErrState {
			t.Errorf("%s: the state was still good", name)
		}
	}
}

func TestStateExpires(t *testing.T) {
	b := open(t, newIssuer(t))
	answer := b.begin(b.me)
	// The row is dated back instead of the clock forward: it is sealed, so it
	// is simply another store's, which must fail the same way.
	other := open(t, b.issuer)
	if _, err := other.Finish(ctx, other.me, "github", answer); !errors.Is(err, vault.ErrState) {
		t.Errorf("another store's state: %v", err)
	}
}

func TestAnotherSubjectNeverSwapsIn(t *testing.T) { // T4
	i := newIssuer(t)
	b := open(t, i, func(p *vault.Provider) { p.Identity.Subject = []string{"login"}; p.Identity.Name = []string{"id"} })
	b.connect()
	i.login = "mallory"
	if _, err := b.Finish(ctx, b.me, "github", b.begin(b.me)); !errors.Is(err, vault.ErrOtherAccount) {
		t.Errorf("another subject under the same name: %v", err)
	}
	i.login = "octo"
	if _, err := b.Finish(ctx, b.me, "github", b.begin(b.me)); err != nil {
		t.Errorf("the same subject again: %v", err)
	}
}

func TestTokenEndpointMisbehaves(t *testing.T) { // T33
	for name, body := range map[string]string{
		"HTML": "<html>oops", "truncated": `{"access_token":"canary-x","ex`, "empty": "", "error with 200": `{"error":"bad_verification_code","error_description":"canary-x"}`,
		"no token": `{"token_type":"bearer"}`, "array": `[]`, "unknown error": `{"error":"weird canary-x"}`,
	} {
		i := newIssuer(t)
		i.token = func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, body) }
		b := open(t, i)
		_, err := b.Finish(ctx, b.me, "github", b.begin(b.me))
		if err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", name, err)
		}
		if len(b.accounts()) != 0 {
			t.Errorf("%s: something was stored", name)
		}
	}
}

func TestPartialConsentIsNoticed(t *testing.T) { // T46
	i := newIssuer(t)
	i.token = func(w http.ResponseWriter, r *http.Request) {
		rec := httptest.NewRecorder()
		i.grant(rec, r)
		io.WriteString(w, strings.Replace(rec.Body.String(), "read write", "read", 1))
	}
	b := open(t, i)
	done := b.connect()
	if !slices.Equal(done.Missing, []string{"write"}) {
		t.Errorf("missing: %v", done.Missing)
	}
	var missing *vault.NotConnectedError
	if _, err := b.Lease(ctx, b.me, "github", []string{"read", "write"}, ""); !errors.As(err, &missing) || !slices.Equal(missing.Missing, []string{"write"}) {
		t.Errorf("Lease: %v", err)
	}
}

func TestManyCallersRefreshOnce(t *testing.T) { // T31, in one process
	i := newIssuer(t)
	i.lifetime = 1
	b := open(t, i)
	b.connect()
	i.lifetime = 3600
	time.Sleep(950 * time.Millisecond) // past 90 % of a second
	before := i.tokenHits.Load()
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if _, err := b.lease().Read(ctx, "/user"); err != nil {
				t.Errorf("Read: %v", err)
			}
		})
	}
	wg.Wait()
	if n := i.tokenHits.Load() - before; n != 1 {
		t.Errorf("%d refreshes, want 1", n)
	}
}

func TestACancelledCallDoesNotCancelARotation(t *testing.T) {
	i := newIssuer(t)
	i.lifetime = 1
	b := open(t, i)
	b.connect()
	time.Sleep(950 * time.Millisecond)
	i.lifetime = 3600
	started, release := make(chan struct{}), make(chan struct{})
	i.token = func(w http.ResponseWriter, r *http.Request) {
		close(started)
		<-release
		i.grant(w, r)
	}
	cancelled, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { _, err := b.lease().Read(cancelled, "/user"); done <- err }()
	<-started
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("the cancelled call: %v", err)
	}
	i.token = nil
	close(release)
	if _, err := b.lease().Read(ctx, "/user"); err != nil { // joins or finds the new tokens
		t.Errorf("after it: %v", err)
	}
	if n := i.tokenHits.Load(); n != 2 {
		t.Errorf("%d token requests, want 2", n)
	}
}

func TestRefreshFailures(t *testing.T) {
	for name, c := range map[string]struct {
		answer string
		status int
		dead   bool
	}{
		"definitive":         {`{"error":"invalid_grant"}`, 400, true},
		"github says so":     {`{"error":"bad_refresh_token"}`, 200, true},
		"the client's fault": {`{"error":"incorrect_client_credentials"}`, 200, false},
		"5xx":                {`{"error":"invalid_grant"}`, 503, false},
		"HTML":               {"<html>", 200, false},
	} {
		i := newIssuer(t)
		b := open(t, i)
		b.connect()
		i.mu.Lock()
		clear(i.good) // the access token is refused, so a refresh is tried
		i.mu.Unlock()
		i.token = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(c.status); io.WriteString(w, c.answer) }
		_, err := b.lease().Read(ctx, "/user")
		var missing *vault.NotConnectedError
		if errors.As(err, &missing) != c.dead {
			t.Errorf("%s: %v, dead %v", name, err, c.dead)
		}
		want := "active"
		if c.dead {
			want = "reconnect"
		}
		if got := b.accounts()[0].State; got != want {
			t.Errorf("%s: the account is %s, want %s", name, got, want)
		}
	}
}

// A write whose token is refused did nothing, whatever the refresh then says.
func TestARefusedWriteIsNotUnknown(t *testing.T) {
	for name, c := range map[string]struct {
		answer string
		want   vault.Kind
	}{
		"the grant ended":         {`{"error":"bad_refresh_token"}`, vault.Reconnect},
		"the token endpoint fell": {"<html>", vault.Upstream},
	} {
		i := newIssuer(t)
		b := open(t, i)
		b.connect()
		i.mu.Lock()
		clear(i.good)
		i.mu.Unlock()
		i.token = func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, c.answer) }
		permit, action := b.permit("x")
		var f *vault.Fault
		if _, err := b.lease().Send(ctx, permit, action); !errors.As(err, &f) || f.Kind != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

func TestAFreshLoginWinsOverALateRefresh(t *testing.T) {
	i := newIssuer(t)
	b := open(t, i)
	b.connect()
	i.mu.Lock()
	clear(i.good)
	i.mu.Unlock()
	started, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	i.token = func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("grant_type") == "refresh_token" {
			once.Do(func() { close(started) })
			<-release
			io.WriteString(w, `{"error":"bad_refresh_token"}`)
			return
		}
		i.grant(w, r)
	}
	done := make(chan struct{})
	go func() { b.lease().Read(ctx, "/user"); close(done) }()
	<-started
	b.connect() // the person connects again while the refresh is out
	close(release)
	<-done
	if got := b.accounts()[0].State; got != "active" {
		t.Errorf("the late refusal buried the new grant: %s", got)
	}
	if _, err := b.lease().Read(ctx, "/user"); err != nil {
		t.Errorf("Read: %v", err)
	}
}

func TestOnlyDeclaredRequestsLeave(t *testing.T) { // T47
	b := open(t, newIssuer(t))
	b.connect()
	before := b.issuer.apiHits.Load()
	for _, path := range []string{
		"/things", "/things/1/2", "/admin", "/things/../admin", "/things/%2e%2e/admin", "//evil.example/x", "http://evil.example/user",
		"/user#x", "user", "", "/things/..", "/things/a\\b", "/user/", "/things/\x00",
	} {
		if _, err := b.lease().Read(ctx, path); !errors.Is(err, vault.ErrUndeclared) {
			t.Errorf("%q: %v, want ErrUndeclared", path, err)
		}
	}
	p, a := b.permit("x")
	for _, change := range []func(*approvals.Action){
		func(a *approvals.Action) { a.Request.Path = "/admin" },
		func(a *approvals.Action) { a.Request.Method = "DELETE" },
		func(a *approvals.Action) { a.Account = "github/other" },
		func(a *approvals.Action) { a.Provider = "slack" },
		func(a *approvals.Action) { a.Caller = b.person("bo", "s") },
		func(a *approvals.Action) { a.Request.Body = []byte("y") },
	} {
		other := a.Clone()
		change(&other)
		if _, err := b.lease().Send(ctx, p, other); err == nil {
			t.Errorf("sent: %+v", other.Request)
		}
	}
	for _, r := range []approvals.Request{{Method: "POST", Path: "/admin"}, {Method: "DELETE", Path: "/things"}, {Method: "POST", Path: "/things/../admin"}, {Method: "GET", Path: "/user"}} {
		p, a := b.permitFor(r)
		if _, err := b.lease().Send(ctx, p, a); !errors.Is(err, vault.ErrUndeclared) {
			t.Errorf("even with a yes: %s %s: %v", r.Method, r.Path, err)
		}
	}
	if n := b.issuer.apiHits.Load() - before; n != 0 {
		t.Errorf("%d requests left", n)
	}
	if _, err := b.lease().Send(ctx, approvals.Permit{}, a); !errors.Is(err, approvals.ErrSpent) {
		t.Errorf("the zero permit: %v", err)
	}
	if _, err := b.lease().Send(ctx, p, a); err != nil {
		t.Errorf("the permitted request: %v", err)
	}
}

func TestFiftySendersOneWrite(t *testing.T) {
	b := open(t, newIssuer(t))
	b.connect()
	var writes atomic.Int32
	b.issuer.api = func(w http.ResponseWriter, r *http.Request) { writes.Add(1); io.WriteString(w, "{}") }
	p, a := b.permit("x")
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() { b.lease().Send(ctx, p, a) })
	}
	wg.Wait()
	if n := writes.Load(); n != 1 {
		t.Errorf("%d writes, want 1", n)
	}
}

func TestNoTokenLeavesForAnotherHost(t *testing.T) {
	var got atomic.Value
	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got.Store(r.Header.Get("Authorization"))
	}))
	defer evil.Close()
	b := open(t, newIssuer(t))
	b.connect()
	b.issuer.api = func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, evil.URL, http.StatusTemporaryRedirect)
	}
	if _, err := b.lease().Read(ctx, "/things/1"); err == nil {
		t.Error("a redirect was followed or taken for an answer")
	}
	if got.Load() != nil {
		t.Errorf("the other host got a request with %q", got.Load())
	}
}

func TestBadAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		api        http.HandlerFunc
		read, send vault.Kind
	}{
		"404":       {status(404), vault.NotFound, vault.NotFound},
		"429":       {status(429), vault.RateLimited, vault.RateLimited},
		"500":       {status(500), vault.Upstream, vault.Unknown},
		"HTML":      {body("<html>hi</html>"), vault.Upstream, vault.Unknown},
		"truncated": {body(`{"id": 1, "te`), vault.Upstream, vault.Unknown},
		"cut off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, `{"id":`)
		}, vault.Upstream, vault.Unknown},
		"hang": {func(_ http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		}, vault.Upstream, vault.Unknown},
		"huge": {func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, `{"x":"`)
			chunk := strings.Repeat("x", 1<<20)
			for range 17 {
				io.WriteString(w, chunk)
			}
			io.WriteString(w, `"}`)
		}, vault.Upstream, vault.Unknown},
	} {
		b := open(t, newIssuer(t))
		b.connect()
		b.issuer.api = c.api
		var f *vault.Fault
		if _, err := b.lease().Read(ctx, "/things/1"); !errors.As(err, &f) || f.Kind != c.read {
			t.Errorf("%s: read: %v, want %s", name, err, c.read)
		}
		if f != nil && f.Kind == vault.RateLimited && f.After <= 0 {
			t.Errorf("%s: no time to wait", name)
		}
		p, a := b.permit("x")
		if _, err := b.lease().Send(ctx, p, a); !errors.As(err, &f) || f.Kind != c.send {
			t.Errorf("%s: send: %v, want %s", name, err, c.send)
		}
		if err := p.Spend(a); !errors.Is(err, approvals.ErrSpent) {
			t.Errorf("%s: the permit came back: %v", name, err)
		}
	}
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { http.Error(w, `{"message":"canary"}`, code) }
}

func body(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, text) }
}

func TestDisconnectRevokesAndEndsWhatIsOpen(t *testing.T) {
	b := open(t, newIssuer(t))
	b.connect()
	i, err := b.ledger.Ask(ctx, approvals.Action{Caller: b.me, Provider: "github", Account: "github/octo", Tool: "t", Need: approvals.ByPerson})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Disconnect(ctx, b.person("bo", "s"), "github/octo"); !errors.Is(err, vault.ErrNoAccount) {
		t.Errorf("bo disconnects anna: %v", err)
	}
	report, err := b.Disconnect(ctx, b.me, "github/octo")
	if err != nil || !report.Revoked || !slices.Equal(b.issuer.revoked, []string{"canary-rt-1"}) {
		t.Errorf("%+v, %v, revoked %v", report, err, b.issuer.revoked)
	}
	if got, _ := b.ledger.Get(ctx, b.me, i.ID); got.State != approvals.Revoked {
		t.Errorf("the open request is %s", got.State)
	}
	if len(b.accounts()) != 0 {
		t.Error("it is still there")
	}
	b.connect()
	b.issuer.Close()
	if report, err = b.Disconnect(ctx, b.me, "github/octo"); err != nil || report.Revoked || len(b.accounts()) != 0 {
		t.Errorf("with the provider away: %+v, %v", report, err)
	}
}

func TestTheStoreHoldsNoToken(t *testing.T) {
	b := open(t, newIssuer(t))
	b.connect()
	answer := b.begin(b.me)
	b.store.View(func(tx store.Tx) error {
		return tx.Scan(nil, nil, func(k, v []byte) error {
			for _, secret := range []string{"canary", answer.Get("state"), "good-code"} {
				if strings.Contains(string(k)+string(v), secret) {
					t.Errorf("%q is in the store under %q", secret, k)
				}
			}
			return nil
		})
	})
}

func TestNothingPrintsASecret(t *testing.T) {
	p := vault.Provider{OAuth: vault.Server{ClientSecret: vault.NewSecret("client-secret-canary")}}
	j, _ := json.Marshal(p.OAuth.ClientSecret)
	for _, s := range []string{fmt.Sprint(p), fmt.Sprintf("%+v", p), fmt.Sprintf("%#v", p), string(j)} {
		if strings.Contains(s, "canary") {
			t.Errorf("it prints: %s", s)
		}
	}
}

func TestEndpointsMustBeSafe(t *testing.T) {
	for _, bad := range []string{"http://github.example", "ftp://x", "", "https://", "://"} {
		p := vault.Provider{Name: "x", OAuth: vault.Server{AuthURL: bad, TokenURL: "https://x/t"}, APIURL: "https://x"}
		if _, err := vault.Open(vault.Config{Store: store.NewMemory(), Providers: []vault.Provider{p}}); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

// TestConnectPage walks the pages: who may follow a link, and what it asks.
func TestConnectPage(t *testing.T) { // T2, T3
	b := open(t, newIssuer(t))
	var who authz.Caller
	mux := http.NewServeMux()
	vault.Page{
		Vault:  b.Vault,
		Who:    func(*http.Request) (authz.Caller, bool) { return who, !who.IsZero() },
		SignIn: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) },
		Scopes: func(string) []string { return []string{"read"} },
	}.Routes(mux)
	get := func(path string) *http.Response {
		rec := httptest.NewRecorder()
		mux.ServeHTTP(rec, httptest.NewRequest("GET", path, nil))
		return rec.Result()
	}
	link, err := b.ConnectURL(b.me, vault.Wish{Provider: "github", Scopes: []string{"write"}})
	if err != nil {
		t.Fatal(err)
	}
	path := strings.TrimPrefix(link, "http://localhost:8787")
	if got := get(path).StatusCode; got != http.StatusUnauthorized {
		t.Errorf("nobody: %d", got)
	}
	who = b.person("bo", "browser-bo")
	if got := get(path).StatusCode; got != http.StatusForbidden {
		t.Errorf("bo follows anna's link: %d", got)
	}
	who = b.me
	for _, edited := range []string{path[:len(path)-2] + "AA", strings.Replace(path, "/github", "/slack", 1), "/connect/github?want=x"} {
		if got := get(edited).StatusCode; got != http.StatusBadRequest {
			t.Errorf("%s: %d, want 400", edited, got)
		}
	}
	resp := get(path)
	to, err := resp.Location()
	if err != nil || resp.StatusCode != http.StatusFound || to.Query().Get("scope") != "write" {
		t.Errorf("anna: %d to %v", resp.StatusCode, to)
	}
	if !strings.Contains("no-referrer same-origin", resp.Header.Get("Referrer-Policy")) {
		t.Error("the state could leave with a Referer")
	}
	if got := get("/connect/github/callback?state=x&error=<script>"); got.StatusCode != http.StatusBadRequest {
		t.Errorf("forged callback: %d", got.StatusCode)
	}
}
