package vault

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"deputy/authz"
	"deputy/internal/audit"
	"deputy/internal/store"
	"deputy/vault/internal/oauth"
)

// keep stores a connection that was just made, and returns the tokens it
// replaces. Another subject than the one that was asked for, or that has the
// name, is refused: a silent swap would send a person's next message from
// somebody else's account.
func (v *Vault) keep(r *connection, g *grant, w Wish, t oauth.Tokens) (old []tokens, err error) {
	p, made := v.routes[r.Provider], *r
	err = v.c.Store.Update(func(tx store.Tx) error {
		*r, old = made, nil // it may run more than once
		var all []connection
		if err := v.rows.All(tx, func(c connection) error { all = append(all, c); return nil }, r.User); err != nil {
			return err
		}
		for _, o := range all { // a login can change; the subject does not
			if o.Provider == r.Provider && o.Subject == r.Subject && r.Subject != "" {
				r.ID = o.ID
			}
		}
		wanted, err := wanted(all, r, w.Account)
		if err != nil {
			return err
		}
		c := *r
		c.Default = !slices.ContainsFunc(all, func(o connection) bool { return o.Provider == r.Provider })
		if i := slices.IndexFunc(all, func(o connection) bool { return o.ID == r.ID }); i >= 0 {
			c = all[i].clone()
			if c.Subject != r.Subject {
				return ErrOtherAccount
			}
			c.Connected, c.Name = r.Connected, r.Name
		}
		if wanted {
			c.Alias = w.Account
		}
		next := *g
		old, err = v.place(tx, p, &c, &next)
		if err != nil {
			return err
		}
		if err := v.seal(tx, &c, c.grant(next.ID), t, tokens{}); err != nil {
			return err
		}
		if err := v.put(tx, c); err != nil {
			return err
		}
		c.sum()
		*r = c
		line := audit.Line{Event: "connect", User: r.User, Account: r.ID}
		if extra := p.surplus(g.Scopes, w.Scopes); len(extra) > 0 {
			line.Outcome = "more was given than asked: " + strings.Join(extra, " ")
		}
		return v.c.Audit.Append(tx, line)
	})
	return old, err
}

// wanted checks what came back against the account that was asked for. It
// reports whether the name is a new alias to be given.
func wanted(all []connection, r *connection, account string) (alias bool, err error) {
	if account == "" {
		return false, nil
	}
	for _, c := range all {
		if c.ID == account || c.Provider == r.Provider && (c.Alias == account || c.Name == account) {
			if c.ID != r.ID || c.Subject != r.Subject {
				return false, ErrOtherAccount
			}
			return false, nil
		}
	}
	if account == r.ID || account == r.Name {
		return false, nil
	}
	if strings.Contains(account, "/") { // an id, and not this one's
		return false, ErrOtherAccount
	}
	return true, nil
}

const maxGrants = 8 // of one account; GitHub keeps ten tokens

// place makes room for a new grant: in the place of one with the same scopes,
// of all where scopes add up, beside the others else. It returns the tokens
// that go.
func (v *Vault) place(tx store.Tx, p *route, c *connection, g *grant) (old []tokens, err error) {
	gone := func(o grant) bool {
		return !p.Several || slices.Equal(o.Scopes, g.Scopes) || o.State == reconnect && len(p.missing(g.Scopes, o.Scopes)) == 0
	}
	keep := slices.Clone(c.Grants[:0:0])
	for _, o := range c.Grants {
		if !gone(o) {
			keep = append(keep, o)
			continue
		}
		t, err := v.tokens.Get(tx, tokenKey(c, &o)...)
		if err == nil {
			old = append(old, t.tokens())
		} else if !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
		if err := v.tokens.Delete(tx, tokenKey(c, &o)...); err != nil {
			return nil, err
		}
		// Generations go on where they were, so that nothing of the old grant is
		// taken for the new one's.
		g.ID, g.Gen = o.ID, max(g.Gen, o.Gen+1)
	}
	if len(keep) >= maxGrants {
		oldest := slices.MinFunc(keep, func(a, b grant) int { return a.Given.Compare(b.Given) })
		if err := v.tokens.Delete(tx, tokenKey(c, &oldest)...); err != nil {
			return nil, err
		}
		keep = slices.DeleteFunc(keep, func(o grant) bool { return o.ID == oldest.ID })
	}
	c.Grants = append(keep, *g)
	return old, nil
}

// validAlias accepts what a person types and a rule can name.
func validAlias(name string) error {
	if len(name) > 128 || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == 0x7f || r > 0xffff }) {
		return fmt.Errorf("%w: an account's name has no spaces and at most 128 bytes", ErrNameTaken)
	}
	return nil
}

// Name sets an account's alias and whether it is its provider's default.
func (v *Vault) Name(_ context.Context, c authz.Caller, account, alias string, makeDefault bool) error {
	if c.IsZero() {
		return authz.ErrNobody
	}
	if err := validAlias(alias); err != nil {
		return err
	}
	if strings.Contains(alias, "/") { // ids have slashes, names have none
		return ErrNameTaken
	}
	return v.c.Store.Update(func(tx store.Tx) error {
		me, err := v.rows.Get(tx, c.User(), account)
		if errors.Is(err, store.ErrNotFound) {
			return ErrNoAccount
		}
		if err != nil {
			return err
		}
		var all []connection
		if err := v.rows.All(tx, func(o connection) error { all = append(all, o); return nil }, c.User()); err != nil {
			return err
		}
		for _, o := range all {
			switch {
			case o.Provider != me.Provider:
			case o.ID == me.ID:
				if o.Default = o.Default || makeDefault; alias != "" {
					o.Alias = alias
				}
				err = v.put(tx, o)
			case alias != "" && (o.Alias == alias || o.Name == alias || o.ID == alias):
				return ErrNameTaken
			case makeDefault && o.Default:
				o.Default = false
				err = v.put(tx, o)
			}
			if err != nil {
				return err
			}
		}
		return v.c.Audit.Append(tx, audit.Line{Event: "name", User: me.User, Account: me.ID, Outcome: alias})
	})
}
