package vault

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"deputy/approvals"
	"deputy/authz"
	"deputy/internal/audit"
	"deputy/internal/store"

	"golang.org/x/sync/singleflight"
)

// Config is what a Vault stands on. All but Transport and Timeout is required.
type Config struct {
	Store     store.Store
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
	c       Config
	routes  map[string]*route
	rows    store.Table[row]
	states  store.Table[attempt]
	refresh singleflight.Group
	client  *http.Client // for token endpoints; API requests get a pinned one
}

// Open returns the vault kept in c.Store.
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
		c: c, routes: map[string]*route{},
		rows:   store.Table[row]{Name: "vault/connection", Sealer: c.Sealer},
		states: store.Table[attempt]{Name: "vault/state", Sealer: c.Sealer},
		client: &http.Client{Transport: c.Transport, Timeout: 10 * time.Second, CheckRedirect: noRedirect},
	}
	for _, p := range c.Providers {
		r, err := p.route()
		if err != nil {
			return nil, err
		}
		v.routes[p.Name] = r
	}
	// One sealed row is read at the start, so that a store from another home
	// is refused now and not in the middle of a call.
	return v, c.Store.View(func(tx store.Tx) error {
		return v.rows.All(tx, func(row) error { return store.ErrStop })
	})
}

// Account is a connection as its user and tools may see it.
type Account struct {
	ID       string    `json:"account"` // "github/octo-anna"
	Provider string    `json:"provider"`
	Name     string    `json:"name"`
	Scopes   []string  `json:"scopes"`
	State    string    `json:"state"` // active, or reconnect
	Since    time.Time `json:"since"`

	Connected time.Time `json:"connected"` // the last time a person gave it
}

const (
	active    = "active"
	reconnect = "reconnect"
)

// row is a connection as it is stored, sealed. Tokens are plain strings here
// and nowhere else; grant hides them.
type row struct {
	Account
	User      string    `json:"user"`
	Subject   string    `json:"subject"`
	Gen       uint64    `json:"gen"`
	Access    string    `json:"access"`
	Refresh   string    `json:"refresh,omitempty"`
	RefreshAt time.Time `json:"refresh_at,omitzero"` // zero: the token does not expire
	Expires   time.Time `json:"expires,omitzero"`
}

// String keeps a row out of logs even when somebody prints one.
func (r row) String() string   { return "connection " + r.ID }
func (r row) GoString() string { return r.String() }

// Accounts lists the caller's connections, by name.
func (v *Vault) Accounts(_ context.Context, c authz.Caller) ([]Account, error) {
	var out []Account
	err := v.each(c, func(r row) { out = append(out, r.Account) })
	return out, err
}

func (v *Vault) each(c authz.Caller, fn func(row)) error {
	if c.IsZero() {
		return authz.ErrNobody
	}
	return v.c.Store.View(func(tx store.Tx) error {
		return v.rows.All(tx, func(r row) error { fn(r); return nil }, c.User())
	})
}

// Providers names what can be connected, sorted.
func (v *Vault) Providers() []string { return slices.Sorted(maps.Keys(v.routes)) }

// Title is a provider's name as a person reads it.
func (v *Vault) Title(provider string) string {
	if r := v.routes[provider]; r != nil {
		return r.Title
	}
	return provider
}

// Origins names where each provider's requests go, for the policy version: a
// yes given while writes went to one host is no yes for another.
func (v *Vault) Origins() string {
	var b strings.Builder
	for _, name := range v.Providers() {
		fmt.Fprintf(&b, "%s=%s;", name, v.routes[name].APIURL)
	}
	return b.String()
}

// Lease lets the caller use one connected account for the given scopes. With
// no account named it is the only one, or the first connected. A
// *NotConnectedError says what is missing.
func (v *Vault) Lease(_ context.Context, c authz.Caller, provider string, scopes []string, account string) (*Lease, error) {
	r := v.routes[provider]
	if r == nil {
		return nil, fmt.Errorf("vault: no provider %q", provider)
	}
	var found *row
	err := v.each(c, func(candidate row) {
		switch {
		case candidate.Provider != provider:
		case account != "" && account != candidate.ID && account != candidate.Name:
		case found == nil || candidate.Since.Before(found.Since):
			found = &candidate
		}
	})
	if err != nil {
		return nil, err
	}
	if found == nil {
		if account != "" {
			return nil, ErrNoAccount
		}
		return nil, &NotConnectedError{Provider: provider, Missing: scopes}
	}
	if found.State != active {
		return nil, &NotConnectedError{Provider: provider, Account: found.ID, Missing: slices.Concat(found.Scopes, r.missing(found.Scopes, scopes)), Dead: true}
	}
	if missing := r.missing(found.Scopes, scopes); len(missing) > 0 {
		return nil, &NotConnectedError{Provider: provider, Account: found.ID, Missing: missing}
	}
	return &Lease{vault: v, route: r, caller: c, account: found.Account}, nil
}

// load reads one connection of the user.
func (v *Vault) load(user, id string) (r row, err error) {
	err = v.c.Store.View(func(tx store.Tx) error {
		r, err = v.rows.Get(tx, user, id)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return row{}, ErrNoAccount
	}
	return r, err
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
