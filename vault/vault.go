package vault

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"deputy/approvals"
	"deputy/authz"
	"deputy/internal/audit"
	"deputy/internal/store"
	"deputy/vault/internal/oauth"

	"golang.org/x/sync/singleflight"
)

// Config is what a Vault stands on. All but Shared, Transport and Timeout is
// required.
type Config struct {
	Store     store.Store
	Shared    bool // other processes use Store at the same time
	Sealer    store.Sealer
	Audit     *audit.Log
	Ledger    *approvals.Ledger
	Providers []Provider
	PublicURL string // redirect URIs are built from this alone
	Transport http.RoundTripper
	Timeout   time.Duration // of one provider request; 0 = 30 s
}

// Vault keeps connections.
type Vault struct {
	c        Config
	routes   map[string]*route
	rows     store.Table[connection]
	tokens   store.Table[tokenRow]
	attempts store.Table[attempt]
	frozen   store.Table[[]Freeze]
	shares   store.Table[Share]

	renewals singleflight.Group
	running  sync.WaitGroup // refreshes under way
	leases   leases
	unkept   unkept
	narrowed narrowed
	limits   limits
	etags    etags

	mu       sync.Mutex
	stopping bool
	changed  chan struct{} // closed when a connection was made
}

// Open returns the vault kept in c.Store. A refresh that an earlier process
// did not finish is flagged, so that its grant is looked after before it is
// relied on.
func Open(c Config) (*Vault, error) {
	if c.Transport == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.MaxIdleConnsPerHost = 16
		c.Transport = t
	}
	if c.Timeout == 0 {
		c.Timeout = 30 * time.Second
	}
	v := &Vault{
		c: c, routes: map[string]*route{}, changed: make(chan struct{}),
		rows:     store.Table[connection]{Name: "vault/connection", Sealer: c.Sealer, Memo: &store.Memo[connection]{}},
		tokens:   store.Table[tokenRow]{Name: "vault/token", Sealer: c.Sealer, Memo: &store.Memo[tokenRow]{}},
		attempts: store.Table[attempt]{Name: "vault/attempt", Sealer: c.Sealer},
		frozen:   store.Table[[]Freeze]{Name: "vault/frozen", Sealer: c.Sealer, Memo: &store.Memo[[]Freeze]{}},
		shares:   store.Table[Share]{Name: "vault/share", Sealer: c.Sealer},
	}
	for _, p := range c.Providers {
		r, err := p.route()
		if err != nil {
			return nil, err
		}
		r.client = &http.Client{Transport: p.fenced(c.Transport), Timeout: tokenTimeout, CheckRedirect: oauth.NoRedirect}
		v.routes[p.Name] = r
	}
	for _, r := range v.routes {
		if r.From == "" {
			continue
		}
		from := v.routes[r.From]
		if from == nil || from.From != "" || !from.Key.IsZero() {
			return nil, fmt.Errorf("provider %s: from %q: want another provider that is connected itself", r.Name, r.From)
		}
		from.traded = from.traded || r.Trade.Assertion
	}
	if !c.Shared {
		return v, v.flagUnfinished()
	}
	// One sealed row is read at the start, so that a store from another home
	// is refused now and not in the middle of a call.
	return v, c.Store.View(func(tx store.Tx) error {
		return v.rows.All(tx, func(connection) error { return store.ErrStop })
	})
}

// Close lets refreshes that are under way end, and begins no other: what a
// provider has already replaced must not be lost to a restart.
func (v *Vault) Close(ctx context.Context) {
	v.mu.Lock()
	v.stopping = true
	v.mu.Unlock()
	done := make(chan struct{})
	go func() { v.running.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// Lease lets the caller use one connected account for the given scopes. With
// no account named it is the default one, or the first connected. A
// *NotConnectedError says what is missing.
func (v *Vault) Lease(_ context.Context, c authz.Caller, provider string, scopes []string, account string) (*Lease, error) {
	r := v.routes[provider]
	if r == nil {
		return nil, fmt.Errorf("vault: no provider %q", provider)
	}
	l := &Lease{vault: v, route: r, source: r, caller: c, need: scopes}
	if !r.Key.IsZero() {
		if l.account = r.keyAccount(); c.IsZero() {
			return nil, authz.ErrNobody
		}
		return l, v.Frozen(c, provider, l.account.ID)
	}
	if r.From != "" { // its scopes are settled by configuration; the grant is another's
		l.source, l.need = v.routes[r.From], nil
		account = strings.Replace(account, r.Name+"/", r.From+"/", 1)
	}
	found, err := v.find(c, l.source.Name, account)
	if err != nil {
		return nil, err
	}
	if found == nil {
		return nil, &NotConnectedError{Provider: l.source.Name, Missing: l.need}
	}
	l.account, l.sourceID = found.Account, found.ID
	if r.From != "" {
		l.account.ID, l.account.Provider = r.Name+"/"+found.Name, r.Name
	}
	if err := v.Frozen(c, provider, l.account.ID); err != nil {
		return nil, err
	}
	if l.source.choose(found, l.need) == nil {
		return nil, l.source.lacking(found, l.need)
	}
	return l, nil
}

// connections returns a channel that is closed when a connection is made.
func (v *Vault) connections() <-chan struct{} {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.changed
}

// announce wakes whoever waits for a connection.
func (v *Vault) announce() {
	v.mu.Lock()
	defer v.mu.Unlock()
	close(v.changed)
	v.changed = make(chan struct{})
}

// awaitPoll is how often a connection made by another process is looked for.
const awaitPoll = time.Second

// Await waits until the caller's user has connected what was wished for, after
// since, or ctx is done. It returns the account, if there is one.
func (v *Vault) Await(ctx context.Context, c authz.Caller, w Wish, since time.Time) (Account, bool) {
	for {
		changed := v.connections()
		var found *Account
		err := v.each(c, func(r connection) {
			named := w.Account == "" || w.Account == r.ID || w.Account == r.Alias || w.Account == r.Name
			if r.Provider == w.Provider && named && r.Connected.After(since) {
				found = &r.Account
			}
		})
		if err != nil || found != nil {
			if found == nil {
				return Account{}, false
			}
			return *found, true
		}
		select {
		case <-changed:
		case <-time.After(awaitPoll):
		case <-ctx.Done():
			return Account{}, false
		}
	}
}

func number(n uint64) string { return strconv.FormatUint(n, 10) }
