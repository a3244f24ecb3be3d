package vault

import (
	"context"
	"errors"
	"slices"
	"time"

	"deputy/authz"
	"deputy/internal/store"
	"deputy/vault/internal/oauth"
)

// Account is a connected account as its user and tools may see it.
type Account struct {
	ID       string    `json:"account"` // "github/octo-anna"
	Provider string    `json:"provider"`
	Name     string    `json:"name"`
	Alias    string    `json:"alias,omitempty"` // what its user calls it
	Default  bool      `json:"default,omitempty"`
	Scopes   []string  `json:"scopes"` // of all its grants
	State    string    `json:"state"`  // active, in_doubt or reconnect
	Since    time.Time `json:"since"`

	Connected time.Time `json:"connected"` // the last time a person gave it
}

// The states of a grant. in_doubt: deputy ended in the middle of a refresh, so
// the provider may have replaced the tokens; the old ones are tried once more.
const (
	active    = "active"
	inDoubt   = "in_doubt"
	reconnect = "reconnect"
)

// connection is an account with its grants, as it is stored. It holds no
// token; it says of each grant which generation of tokens is the current one,
// so that an old row put back is noticed.
type connection struct {
	Account
	User    string  `json:"user"`
	Subject string  `json:"subject"` // the provider's own, which never changes
	Grants  []grant `json:"grants"`
}

// grant is one consent: tokens for one set of scopes.
type grant struct {
	ID        string    `json:"id"`
	Gen       uint64    `json:"gen"` // counts token answers
	Scopes    []string  `json:"scopes"`
	State     string    `json:"state"`
	Given     time.Time `json:"given"`
	Expires   time.Time `json:"expires,omitzero"`
	RefreshAt time.Time `json:"refresh_at,omitzero"` // zero: the token does not expire
	Renewable bool      `json:"renewable"`           // there is a refresh token
	Work      *work     `json:"work,omitempty"`      // a refresh is under way
}

// work is the lease of whoever refreshes, written before the request goes out.
// Owner names one attempt of one process; a lease that stays the same for
// longer than any attempt lasts belongs to a process that is gone.
type work struct {
	Owner string    `json:"owner"`
	Since time.Time `json:"since"`
}

// tokens is the secret half of a grant, in memory.
type tokens struct{ access, refresh, id oauth.Secret }

// tokenRow is the same as it is stored, and exists nowhere else. Its key, which
// it is sealed to, holds user, account, grant and generation.
type tokenRow struct {
	Access  string `json:"access"`
	Refresh string `json:"refresh,omitempty"`
	ID      string `json:"id,omitempty"` // the ID token, for providers that trade it
}

func (r tokenRow) tokens() tokens {
	return tokens{oauth.Hide(r.Access), oauth.Hide(r.Refresh), oauth.Hide(r.ID)}
}

func secrets(t oauth.Tokens) tokens { return tokens{t.Access, t.Refresh, oauth.Hide(t.IDToken)} }

// A row prints as its name, whoever prints it.
func (c connection) String() string   { return "connection " + c.ID }
func (c connection) GoString() string { return c.String() }

// clone is a connection whose grants can be changed.
func (c connection) clone() connection {
	c.Grants = slices.Clone(c.Grants)
	return c
}

// grant finds one by id.
func (c *connection) grant(id string) *grant {
	for i := range c.Grants {
		if c.Grants[i].ID == id {
			return &c.Grants[i]
		}
	}
	return nil
}

// sum fills in what the account says of all its grants.
func (c *connection) sum() {
	c.State, c.Scopes = active, nil
	for _, g := range c.Grants {
		c.Scopes = set(c.Scopes, g.Scopes)
		switch {
		case g.State == reconnect, g.State == inDoubt && c.State == active:
			c.State = g.State
		}
	}
}

// put writes a connection.
func (v *Vault) put(tx store.Tx, c connection) error {
	c.sum()
	return v.rows.Put(tx, c, c.User, c.ID)
}

// seal makes tokens a grant's next generation and removes the last one. Where
// the answer has no refresh token, the one that was used stays good: Google
// does not repeat it.
func (v *Vault) seal(tx store.Tx, c *connection, g *grant, t oauth.Tokens, used tokens) error {
	keep := tokenRow{Access: oauth.Reveal(t.Access), Refresh: oauth.Reveal(t.Refresh)}
	if keep.Refresh == "" {
		keep.Refresh = oauth.Reveal(used.refresh)
	}
	if r := v.routes[c.Provider]; r != nil && r.traded { // what is not needed is not kept
		if keep.ID = t.IDToken; keep.ID == "" {
			keep.ID = oauth.Reveal(used.id)
		}
	}
	if err := v.tokens.Delete(tx, tokenKey(c, g)...); err != nil {
		return err
	}
	g.stamp(t, keep.Refresh != "")
	return v.tokens.Put(tx, keep, tokenKey(c, g)...)
}

func tokenKey(c *connection, g *grant) []string {
	return []string{c.User, c.ID, g.ID, number(g.Gen)}
}

// each calls fn for every connection of the caller's user.
func (v *Vault) each(c authz.Caller, fn func(connection)) error {
	if c.IsZero() {
		return authz.ErrNobody
	}
	return v.c.Store.View(func(tx store.Tx) error {
		return v.rows.All(tx, func(r connection) error { fn(r); return nil }, c.User())
	})
}

// load reads one connection of the user.
func (v *Vault) load(user, id string) (c connection, err error) {
	err = v.c.Store.View(func(tx store.Tx) error {
		c, err = v.rows.Get(tx, user, id)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return connection{}, ErrNoAccount
	}
	return c, err
}

// Accounts lists the caller's accounts: static keys, then connections by name.
func (v *Vault) Accounts(_ context.Context, c authz.Caller) ([]Account, error) {
	var out []Account
	err := v.each(c, func(r connection) { out = append(out, r.Account) })
	for _, name := range v.Providers() {
		if r := v.routes[name]; !r.Key.IsZero() {
			out = append(out, r.keyAccount())
		}
	}
	return out, err
}

// keyAccount is the one account of a provider with a static key.
func (r *route) keyAccount() Account {
	return Account{ID: r.Name + "/key", Provider: r.Name, Name: "key", State: active, Default: true, Scopes: []string{}}
}

// find is the account a call is for: the one that is named, by id, name or
// alias, else the default, else the one connected first.
func (v *Vault) find(c authz.Caller, provider, account string) (*connection, error) {
	var found *connection
	err := v.each(c, func(r connection) {
		switch {
		case r.Provider != provider:
		case account != "" && account != r.ID && account != r.Name && account != r.Alias:
		case found == nil, r.Default && !found.Default, r.Default == found.Default && r.Since.Before(found.Since):
			found = &r
		}
	})
	if err == nil && found == nil && account != "" {
		err = ErrNoAccount
	}
	return found, err
}

// choose is the grant with the fewest scopes that covers what is needed, of
// those that live; nil if there is none.
func (p Provider) choose(c *connection, need []string) (best *grant) {
	for i := range c.Grants {
		g := &c.Grants[i]
		if g.State == reconnect || len(p.missing(g.Scopes, need)) > 0 {
			continue
		}
		if best == nil || len(g.Scopes) < len(best.Scopes) {
			best = g
		}
	}
	return best
}

// lacking is the error for a connection that has no living grant for need.
func (p Provider) lacking(c *connection, need []string) error {
	e := &NotConnectedError{Provider: p.Name, Account: c.ID, Missing: need}
	for _, g := range c.Grants {
		if g.State == reconnect && len(p.missing(g.Scopes, need)) == 0 {
			e.Dead = true
		}
	}
	switch {
	case p.Several: // a consent of its own, for just that
	case e.Dead: // the whole of it again
		e.Missing = set(c.Scopes, p.missing(c.Scopes, need))
	default:
		e.Missing = p.missing(c.Scopes, need)
	}
	return e
}
