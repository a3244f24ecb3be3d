package vault_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"deputy/approvals"
	"deputy/authz"
	"deputy/internal/store"
	"deputy/vault"
)

func TestEachToolHoldsTheNarrowestGrant(t *testing.T) { // T46
	o := newOP(t)
	p := o.company()
	p.Several = true
	b := o.bank(p)
	o.must(b, vault.Wish{Provider: "corp", Scopes: []string{"read"}})
	both := o.must(b, vault.Wish{Provider: "corp", Scopes: []string{"read", "send"}})
	if !slices.Equal(both.Scopes, []string{"openid", "read", "send"}) || len(b.accounts()) != 1 {
		t.Errorf("%+v", both)
	}
	got, l := o.read(b, "corp", "/me", "read")
	if has(got.scopes, "send") || l.Reach() != vault.Exact {
		t.Errorf("a tool that reads held %v, reach %q", got.scopes, l.Reach())
	}
	if got, _ := o.read(b, "corp", "/me", "read", "send"); !has(got.scopes, "send") {
		t.Errorf("a tool that sends held %v", got.scopes)
	}
	// What is missing is asked for by itself, not with what is there.
	var missing *vault.NotConnectedError
	if _, err := b.Lease(ctx, b.me, "corp", []string{"admin"}, ""); !errors.As(err, &missing) || !slices.Equal(missing.Missing, []string{"admin"}) || missing.Account != both.ID {
		t.Errorf("%+v", missing)
	}
	// The provider may give more than asked, or less: what it says is what is kept.
	o.gives = []string{"openid", "read", "surprise"}
	more := o.must(b, vault.Wish{Provider: "corp", Scopes: []string{"read", "calendar"}})
	if !slices.Equal(more.Missing, []string{"calendar"}) || !slices.Equal(more.Surplus, []string{"surprise"}) {
		t.Errorf("missing %v, surplus %v", more.Missing, more.Surplus)
	}
	if _, err := b.Lease(ctx, b.me, "corp", []string{"calendar"}, ""); !errors.As(err, &missing) {
		t.Errorf("a scope that was not given: %v", err)
	}
	if !strings.Contains(b.log(), "more was given than asked: surprise") {
		t.Error("the log does not say that more was given")
	}
}

func TestScopesAddUpWhereTheProviderHasOneGrant(t *testing.T) {
	o := newOP(t)
	b := o.bank(o.company())
	o.must(b, vault.Wish{Provider: "corp", Scopes: []string{"read"}})
	var missing *vault.NotConnectedError
	if _, err := b.Lease(ctx, b.me, "corp", []string{"send"}, ""); !errors.As(err, &missing) {
		t.Fatal(err)
	}
	o.must(b, vault.Wish{Provider: "corp", Scopes: []string{"read", "send"}})
	if got, _ := o.read(b, "corp", "/me", "read"); !has(got.scopes, "send") {
		t.Errorf("%v", got.scopes)
	}
}

func TestANarrowerTokenIsTriedVerifiedAndRecorded(t *testing.T) {
	o := newOP(t)
	p := o.company()
	p.Several, p.Narrow.Refresh = true, true
	b := o.bank(p)
	o.must(b, vault.Wish{Provider: "corp", Scopes: []string{"read", "send"}})
	// This one refuses to give less, so the grant is used whole, and said so.
	o.lifetime = 3600
	got, l := o.read(b, "corp", "/me", "read")
	if !has(got.scopes, "send") || l.Reach() != vault.Grant {
		t.Errorf("%v, reach %q", got.scopes, l.Reach())
	}
	// It took the attempt for a refresh: what it gave instead is not lost.
	o.mu.Lock()
	for name, tok := range o.tokens {
		if tok.kind == "access" {
			delete(o.tokens, name)
		}
	}
	o.mu.Unlock()
	if got, _ := o.read(b, "corp", "/me", "read"); got.via != "refresh" {
		t.Errorf("%+v", got)
	}

	o = newOP(t)
	o.narrows = true
	p = o.company()
	p.Several, p.Narrow.Refresh = true, true
	b = o.bank(p)
	o.must(b, vault.Wish{Provider: "corp", Scopes: []string{"read", "send"}})
	for range 3 {
		got, l := o.read(b, "corp", "/me", "read")
		if !slices.Equal(got.scopes, []string{"read"}) || l.Reach() != vault.Scopes {
			t.Errorf("%v, reach %q", got.scopes, l.Reach())
		}
	}
	if n := o.count("refresh_token"); n != 1 {
		t.Errorf("%d narrow refreshes for three reads", n)
	}
	if got, _ := o.read(b, "corp", "/me", "read", "send"); got.via != "code" {
		t.Errorf("the whole grant was lost: %+v", got)
	}
}

func TestAnAppsTokenIsForOneRepository(t *testing.T) {
	o := newOP(t)
	o.narrows, o.gives = true, []string{}
	p := o.company()
	p.App = true
	p.Narrow = vault.Narrow{ScopedURL: o.URL + "/apps", Permissions: map[string]string{"GET /repos/{owner}/{repo}/issues": "issues:read"}}
	b := o.bank(p)
	o.must(b, vault.Wish{Provider: "corp", Scopes: []string{"repo"}})
	for range 3 {
		got, l := o.read(b, "corp", "/repos/Anna/Harbor/issues?state=open", "repo")
		if !slices.Equal(got.scopes, []string{"anna/harbor", "issues:read"}) || l.Reach() != vault.Repository {
			t.Errorf("%+v, reach %q", got, l.Reach())
		}
	}
	minted := 0
	for _, tok := range o.tokens {
		if tok.via == "scoped" {
			minted++
		}
	}
	if minted != 1 {
		t.Errorf("%d scoped tokens for one repository", minted)
	}
	if got, l := o.read(b, "corp", "/me", "repo"); got.via != "code" || l.Reach() != vault.Grant {
		t.Errorf("a request without a repository: %+v, reach %q", got, l.Reach())
	}
	// GitHub ends scoped tokens with the grant: the next request gets a new one.
	o.mu.Lock()
	for name, tok := range o.tokens {
		if tok.kind == "access" {
			delete(o.tokens, name)
		}
	}
	o.mu.Unlock()
	if got, _ := o.read(b, "corp", "/repos/anna/harbor/issues", "repo"); got.via != "scoped" && got.via != "refresh" {
		t.Errorf("%+v", got)
	}
}

func TestAccountsHaveNames(t *testing.T) { // T4
	o := newOP(t)
	b := o.bank(o.company())
	anna := o.must(b, vault.Wish{Provider: "corp", Account: "work"})
	if anna.ID != "corp/anna@example.com" || anna.Alias != "work" || !anna.Default {
		t.Errorf("%+v", anna.Account)
	}
	// Somebody else signs in where anna has to come back: nothing changes.
	o.subject = "mallory"
	for _, name := range []string{"work", anna.ID, "corp/nobody@example.com", "slack/T0/U0"} {
		if _, err := o.connect(b, vault.Wish{Provider: "corp", Account: name}); !errors.Is(err, vault.ErrOtherAccount) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := b.accounts(); len(got) != 1 || got[0].ID != anna.ID {
		t.Errorf("%+v", got)
	}
	// As an account of its own it is welcome.
	other := o.must(b, vault.Wish{Provider: "corp", Account: "second"})
	if other.ID == anna.ID || other.Default {
		t.Errorf("%+v", other.Account)
	}
	lease := func(account string) string {
		l, err := b.Lease(ctx, b.me, "corp", nil, account)
		if err != nil {
			return err.Error()
		}
		return l.Account().ID
	}
	if lease("") != anna.ID || lease("second") != other.ID || lease(other.Name) != other.ID || lease("none") != vault.ErrNoAccount.Error() {
		t.Errorf("%s, %s, %s, %s", lease(""), lease("second"), lease(other.Name), lease("none"))
	}
	if err := b.Name(ctx, b.me, other.ID, "", true); err != nil || lease("") != other.ID {
		t.Errorf("the default is %s, %v", lease(""), err)
	}
	if err := b.Name(ctx, b.me, other.ID, "work", false); !errors.Is(err, vault.ErrNameTaken) {
		t.Errorf("a name for two: %v", err)
	}
	if err := b.Name(ctx, b.me, other.ID, "two words", false); !errors.Is(err, vault.ErrNameTaken) {
		t.Errorf("a name with a space: %v", err)
	}
	if err := b.Name(ctx, b.me, other.ID, "corp/anna@example.com", false); !errors.Is(err, vault.ErrNameTaken) {
		t.Errorf("a name that is an id: %v", err)
	}
	if err := b.Name(ctx, b.person("bo", "s"), anna.ID, "x", true); !errors.Is(err, vault.ErrNoAccount) {
		t.Errorf("bo names anna's: %v", err)
	}
	// A person may change the name they go by; the account stays the same.
	before := len(b.accounts())
	o.subject = "anna"
	if again := o.must(b, vault.Wish{Provider: "corp", Account: "work"}); again.ID != anna.ID || len(b.accounts()) != before {
		t.Errorf("%+v", again.Account)
	}
}

func TestFreezeStopsARunUnderWay(t *testing.T) {
	o := newOP(t)
	b := o.bank(o.company())
	account := o.must(b, vault.Wish{Provider: "corp", Scopes: []string{"read"}})
	_, l := o.read(b, "corp", "/me", "read")
	for _, f := range []vault.Freeze{{Kind: "all"}, {Kind: "user", Name: "anna"}, {Kind: "agent", Name: "claude"}, {Kind: "provider", Name: "corp"}, {Kind: "account", Name: account.ID}} {
		if err := b.Freeze(ctx, b.me, f); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Read(ctx, "/me"); !errors.Is(err, vault.ErrFrozen) {
			t.Errorf("%v: a lease that was there reads on: %v", f, err)
		}
		if _, err := b.Lease(ctx, b.me, "corp", []string{"read"}, ""); !errors.Is(err, vault.ErrFrozen) {
			t.Errorf("%v: a new lease: %v", f, err)
		}
		if f.Kind != "account" && f.Kind != "agent" {
			if _, err := b.Begin(ctx, b.me, vault.Wish{Provider: "corp"}); !errors.Is(err, vault.ErrFrozen) {
				t.Errorf("%v: a new connection: %v", f, err)
			}
		}
		if err := b.Thaw(ctx, b.me, f); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Read(ctx, "/me"); err != nil {
			t.Errorf("%v: thawed: %v", f, err)
		}
	}
	for _, other := range []vault.Freeze{{Kind: "user", Name: "bo"}, {Kind: "agent", Name: "other"}, {Kind: "provider", Name: "github"}, {Kind: "account", Name: "corp/x"}} {
		if err := b.Freeze(ctx, b.me, other); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.Read(ctx, "/me"); err != nil {
		t.Errorf("what others are forbidden: %v", err)
	}
	if all, err := b.FrozenNow(); err != nil || len(all) != 4 || all[0].By != "anna" {
		t.Errorf("%+v, %v", all, err)
	}
	// A yes given before does not outlive the stop, and its permit is not used up.
	i := newIssuer(t)
	gb := open(t, i)
	gb.connect()
	permit, action := gb.permit("x")
	lease := gb.lease()
	if err := gb.Freeze(ctx, gb.me, vault.Freeze{Kind: "all"}); err != nil {
		t.Fatal(err)
	}
	before := i.apiHits.Load()
	if _, err := lease.Send(ctx, permit, action); !errors.Is(err, vault.ErrFrozen) || i.apiHits.Load() != before {
		t.Errorf("sent while frozen: %v", err)
	}
}

func TestTheReportSaysWhatEnded(t *testing.T) {
	o := newOP(t)
	p := o.company()
	p.Several = true
	b := o.bank(p)
	o.must(b, vault.Wish{Provider: "corp", Scopes: []string{"read"}})
	account := o.must(b, vault.Wish{Provider: "corp", Scopes: []string{"send"}})
	b.used("corp_read", account.ID, 3)
	report, err := b.Disconnect(ctx, b.me, account.ID)
	if err != nil {
		t.Fatal(err)
	}
	if !report.Revoked || len(report.Grants) != 2 || !report.Grants[0].Revoked || report.Grants[0].Tokens != 1 || report.Calls["corp_read"] != 3 || report.LastCall.IsZero() {
		t.Errorf("%+v", report)
	}
	for name, tok := range o.tokens {
		if tok.kind == "refresh" {
			t.Errorf("%s lives on", name)
		}
	}
	b.store.View(func(tx store.Tx) error {
		return tx.Scan([]byte("vault/"), []byte("vault0"), func(k, _ []byte) error {
			t.Errorf("it left %q behind", k)
			return nil
		})
	})
}

// T37: a row that was put back from a copy is not taken for the current one.
func TestARolledBackRowIsRefused(t *testing.T) {
	for name, prefix := range map[string]string{"the tokens": "vault/token", "the connection": "vault/connection"} {
		o := newOP(t)
		o.lifetime = 1
		b := o.bank(o.company())
		o.must(b, vault.Wish{Provider: "corp", Scopes: []string{"read"}})
		old := b.rows(prefix)
		if prefix == "vault/token" {
			b.deleteRows(prefix)
		}
		time.Sleep(950 * time.Millisecond)
		if prefix == "vault/connection" {
			o.lifetime = 3600
			o.read(b, "corp", "/me", "read") // refreshed: the next generation
		}
		b.putRows(old)
		if prefix == "vault/token" { // the second generation, then the first one's tokens
			o.lifetime = 3600
			o.read(b, "corp", "/me", "read")
			b.deleteRows(prefix)
			b.putRows(old)
		}
		l, err := b.Lease(ctx, b.me, "corp", []string{"read"}, "")
		if err == nil {
			_, err = l.Read(ctx, "/me")
		}
		if !errors.Is(err, vault.ErrRolledBack) {
			t.Errorf("%s: %v, want ErrRolledBack", name, err)
		}
	}
}

func TestAStaticKeyIsAnAccount(t *testing.T) {
	var got http.Header
	o := newOP(t)
	api := o.Server
	mux := http.NewServeMux()
	mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) { got = r.Header.Clone(); fmt.Fprint(w, "{}") })
	api.Config.Handler = mux
	b := o.bank(vault.Provider{
		Name: "wiki", Title: "Wiki", APIURL: o.URL + "/api", Key: vault.NewSecret("key-canary"), KeyHeader: "X-Api-Key",
		Reads: []string{"GET /pages/{id}"}, Fault: func(int, []byte) vault.Kind { return "" },
	})
	l, err := b.Lease(ctx, b.me, "wiki", nil, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Read(ctx, "/pages/1"); err != nil || got.Get("X-Api-Key") != "key-canary" || got.Get("Authorization") != "" || l.Reach() != vault.Grant {
		t.Errorf("%v, %v, %q", err, got, l.Reach())
	}
	if got := b.accounts(); len(got) != 1 || got[0].ID != "wiki/key" {
		t.Errorf("%+v", got)
	}
	if _, err := b.Begin(ctx, b.me, vault.Wish{Provider: "wiki"}); !errors.Is(err, vault.ErrUnconfigured) {
		t.Errorf("connecting it: %v", err)
	}
}

func TestAnAnswerIsKeptForItsAccountAlone(t *testing.T) {
	o := newOP(t)
	b := o.bank(o.company())
	o.must(b, vault.Wish{Provider: "corp", Scopes: []string{"read"}})
	o.read(b, "corp", "/me", "read")
	l, _ := b.Lease(ctx, b.me, "corp", []string{"read"}, "")
	body, err := l.Read(ctx, "/me")
	if err != nil || !strings.Contains(string(body), `"login":"anna"`) {
		t.Errorf("the second answer (304): %s, %v", body, err)
	}
	// Another person's account at the same path gets its own answer.
	o.subject = "bo"
	bo := b.person("bo", "browser-1")
	b.me = bo
	o.must(b, vault.Wish{Provider: "corp", Scopes: []string{"read"}})
	l, _ = b.Lease(ctx, bo, "corp", []string{"read"}, "")
	if body, err := l.Read(ctx, "/me"); err != nil || !strings.Contains(string(body), `"login":"bo"`) {
		t.Errorf("bo got %s, %v", body, err)
	}
}

func TestABudgetAndAPauseAreKept(t *testing.T) {
	i := newIssuer(t)
	b := open(t, i, func(p *vault.Provider) { p.PerMinute = 5 })
	b.connect()
	var f *vault.Fault
	for n := range 6 {
		_, err := b.lease().Read(ctx, "/things/1")
		if n < 5 && err != nil {
			t.Errorf("request %d: %v", n, err)
		}
		if n == 5 && (!errors.As(err, &f) || f.Kind != vault.RateLimited || f.After <= 0 || f.After > 13*time.Second) {
			t.Errorf("over the budget: %v", err)
		}
	}
	b = open(t, i)
	b.connect()
	hits := 0
	i.api = func(w http.ResponseWriter, _ *http.Request) {
		hits++
		w.Header().Set("Retry-After", "30")
		w.WriteHeader(http.StatusTooManyRequests)
	}
	for range 3 {
		if _, err := b.lease().Read(ctx, "/things/1"); !errors.As(err, &f) || f.Kind != vault.RateLimited || f.After > 30*time.Second || f.After < 29*time.Second {
			t.Errorf("%v", err)
		}
	}
	if hits != 1 {
		t.Errorf("asked %d times although it said to wait", hits)
	}
	// The write that meets a pause has not used up its permit.
	permit, action := b.permit("x")
	i.api = nil
	i.api = func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "{}") }
	if _, err := b.lease().Send(ctx, permit, action); err != nil {
		t.Errorf("another endpoint is not paused: %v", err)
	}
}

func TestAReadIsTriedTwiceAndAWriteOnce(t *testing.T) {
	i := newIssuer(t)
	b := open(t, i)
	b.connect()
	var mu sync.Mutex
	hits := 0
	i.api = func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if hits++; hits == 1 {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		fmt.Fprint(w, "{}")
	}
	if _, err := b.lease().Read(ctx, "/things/1"); err != nil || hits != 2 {
		t.Errorf("a read: %v, %d requests", err, hits)
	}
	hits = 0
	permit, action := b.permit("x")
	var f *vault.Fault
	if _, err := b.lease().Send(ctx, permit, action); !errors.As(err, &f) || f.Kind != vault.Unknown || hits != 1 {
		t.Errorf("a write: %v, %d requests", err, hits)
	}
	if err := permit.Spend(action); !errors.Is(err, approvals.ErrSpent) {
		t.Errorf("its permit came back: %v", err)
	}
}

// T45: who an account is, is its subject. Somebody to whom the company gave the
// same address does not get the first one's connection.
func TestAnAddressIsNotAPerson(t *testing.T) {
	o := newOP(t)
	b := o.bank(o.company())
	first := o.must(b, vault.Wish{Provider: "corp", Scopes: []string{"read"}})
	o.claims = func(c map[string]any) { c["sub"] = "somebody else" } // the address stays
	if c, err := o.connect(b, vault.Wish{Provider: "corp", Scopes: []string{"read"}}); !errors.Is(err, vault.ErrOtherAccount) {
		t.Errorf("%+v, %v", c, err)
	}
	if got, _ := o.read(b, "corp", "/me", "read"); got.subject != "anna" || first.ID != b.accounts()[0].ID {
		t.Errorf("%+v", got)
	}
}

// T8: where a provider sends a person back to is one address, made of
// public_url and the provider's name; nothing beside it takes a code.
func TestTheRedirectIsOneAddress(t *testing.T) {
	b := open(t, newIssuer(t))
	if got := b.RedirectURI("github"); got != "http://localhost:8787/connect/github/callback" {
		t.Errorf("%s", got)
	}
	mux := http.NewServeMux()
	vault.Page{
		Vault: b.Vault, Who: func(*http.Request) (authz.Caller, bool) { return b.me, true },
		SignIn: func(w http.ResponseWriter, _ *http.Request) {}, Scopes: func(string) []string { return nil },
	}.Routes(mux)
	answer := b.begin(b.me).Encode()
	for _, path := range []string{"/connect/github/callback/", "/connect/github/callback.evil", "/connect/github%2Fcallback", "/connect/github/callback%2F", "/connect/slack/../github/callback", "//connect/github/callback", "/connect/GitHub/callback", "/connect/github/Callback"} {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest("GET", "http://evil.example"+path+"?"+answer, nil))
		if w.Code == http.StatusOK || len(b.accounts()) != 0 {
			t.Errorf("%s: %d", path, w.Code)
		}
		answer = b.begin(b.me).Encode() // a state that was taken is gone
	}
}
