package vault

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"deputy/internal/audit"
	"deputy/internal/store"
	"deputy/vault/internal/oauth"
)

// leases remembers since when this process has seen which lease, by its own
// monotonic clock: a jump of the wall clock steals nothing.
type leases struct {
	mu   sync.Mutex
	seen map[string]time.Time
}

func (l *leases) age(owner string) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seen == nil || len(l.seen) > 10_000 {
		l.seen = map[string]time.Time{}
	}
	since, ok := l.seen[owner]
	if !ok {
		since = time.Now()
		l.seen[owner] = since
	}
	return time.Since(since)
}

// takeLease writes the lease, and returns the grant as it is: of generation
// gen and ours to refresh, or of a later one. It waits for a lease that
// another process holds.
func (v *Vault) takeLease(ctx context.Context, owner, user, id, grantID string, gen uint64) (now current, err error) {
	for {
		held := v.heldElsewhere(user, id, grantID, gen) // without the write lock, while one waits
		take := func(tx store.Tx) error {
			now, held = current{}, false
			c, err := v.rows.Get(tx, user, id)
			if err != nil {
				return err
			}
			c = c.clone()
			g := c.grant(grantID)
			if g == nil {
				return ErrNoAccount
			}
			if now, err = v.with(tx, c, *g); err != nil {
				return err
			}
			if g.Gen != gen {
				return nil
			}
			if g.State == reconnect {
				return v.ended(&c, g)
			}
			if held = v.alive(g.Work); held {
				return nil
			}
			if g.Work != nil {
				g.State = inDoubt // whoever held it is gone
			}
			now.grant = *g
			g.Work = &work{owner, time.Now().UTC()}
			return v.put(tx, c)
		}
		if !held {
			err = v.c.Store.Update(take)
		}
		switch {
		case errors.Is(err, store.ErrNotFound):
			return current{}, ErrNoAccount
		case err != nil:
			var missing *NotConnectedError
			if errors.As(err, &missing) || errors.Is(err, ErrNoAccount) || errors.Is(err, ErrRolledBack) {
				return current{}, err
			}
			// No place to store means no rotation: it would lose the grant.
			return current{}, &Fault{Provider: provider(id), Kind: Upstream, Cause: "the store cannot be written, so nothing was refreshed"}
		case !held:
			return now, nil
		}
		select {
		case <-time.After(leasePoll):
		case <-ctx.Done():
			return current{}, &Fault{Provider: provider(id), Kind: Upstream, Cause: "another process is refreshing this grant and does not end"}
		}
	}
}

// alive reports whether somebody else may still be at work. In this process
// only one refresh of a grant runs at a time, so where no other process has the
// store, whoever wrote the lease is gone.
func (v *Vault) alive(w *work) bool {
	return w != nil && v.c.Shared && v.leases.age(w.Owner) < leaseLimit
}

func (v *Vault) heldElsewhere(user, id, grantID string, gen uint64) bool {
	if !v.c.Shared {
		return false
	}
	c, err := v.load(user, id)
	if err != nil {
		return false
	}
	g := c.grant(grantID)
	return g != nil && g.Gen == gen && v.alive(g.Work)
}

// commit keeps new tokens, if they follow those that are kept. That is so even
// if another process has taken the lease over and was refused with the token
// that we had just used up: ours are the ones that are good.
//
// If the account is gone or a person has connected it again, the new tokens
// are ended. If another process has refreshed the same consent, they are left
// alone: the server may have given both of us the same.
func (v *Vault) commit(ctx context.Context, was current, t oauth.Tokens) (now current, err error) {
	mine, end, extent := false, true, oauth.OneToken
	write := func(tx store.Tx) error {
		mine, end, extent = false, true, oauth.OneToken
		c, err := v.rows.Get(tx, was.User, was.ID)
		if errors.Is(err, store.ErrNotFound) {
			extent = oauth.WholeGrant
			return nil
		}
		if err != nil {
			return err
		}
		c = c.clone()
		g := c.grant(was.grant.ID)
		if g == nil || !g.Given.Equal(was.grant.Given) {
			return nil
		}
		if g.Gen != was.grant.Gen {
			end = false
			return nil
		}
		mine = true
		if err := v.seal(tx, &c, g, t, was.tokens); err != nil {
			return err
		}
		if err := v.put(tx, c); err != nil {
			return err
		}
		if now, err = v.with(tx, c, *g); err != nil {
			return err
		}
		return v.c.Audit.Append(tx, audit.Line{Event: "refresh", User: c.User, Account: c.ID})
	}
	// The provider has replaced the tokens already: trying again is all that
	// stands between a full disk and a lost grant.
	for wait := 10 * time.Millisecond; ; wait *= 2 {
		if err = v.c.Store.Update(write); err == nil || wait > 3*time.Second || ctx.Err() != nil {
			break
		}
		time.Sleep(wait)
	}
	if err != nil {
		v.unkept.put(answer{was, t})
		f := &Fault{Provider: was.Provider, Kind: Upstream, Cause: "the store could not keep the new tokens"}
		v.limits.cool(was.grant.ID, f)
		return current{}, f
	}
	if mine {
		v.narrowed.forget(was.grant.ID)
		return now, nil
	}
	if end {
		v.end(ctx, was.Provider, secrets(t), extent)
	}
	return v.later(was)
}

// later returns what somebody else made of a grant meanwhile.
func (v *Vault) later(was current) (current, error) {
	now, err := v.open(was.User, was.ID, was.grant.ID)
	switch {
	case err != nil:
		return current{}, err
	case now.grant.State == reconnect:
		return current{}, v.ended(&now.connection, &now.grant)
	case now.grant.Gen > was.grant.Gen:
		return now, nil
	}
	return current{}, &Fault{Provider: was.Provider, Kind: Upstream, Cause: "another process is refreshing this grant"}
}

// unkept holds, by grant, answers that the store did not take, for the next
// call to try again: sending the used refresh token once more would lose the
// grant.
type unkept struct {
	mu  sync.Mutex
	all map[string]answer
}

type answer struct {
	was current
	got oauth.Tokens
}

func (u *unkept) put(a answer) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.all == nil {
		u.all = map[string]answer{}
	}
	u.all[a.was.grant.ID] = a
}

func (u *unkept) take(grant string, gen uint64) (answer, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	a, ok := u.all[grant]
	delete(u.all, grant)
	return a, ok && a.was.grant.Gen == gen
}

// dropLease gives a lease back after a failure that may pass. If the request
// may have been carried out, the grant is in doubt.
func (v *Vault) dropLease(owner, user, id, grantID string, clean bool) {
	_ = v.change(user, id, grantID, func(_ *connection, g *grant) string {
		if g.Work == nil || g.Work.Owner != owner {
			return ""
		}
		g.Work = nil
		if !clean && g.State == active {
			g.State = inDoubt
			return "in_doubt"
		}
		return " "
	}, "the token endpoint did not answer a refresh")
}

// bury marks a grant as ended, if it is still of the generation that was
// refused and nobody else is refreshing it: whoever is may have used the
// refresh token up a moment ago, and not have kept the next one yet. It reports
// whether the grant is ended.
func (v *Vault) bury(owner string, c *connection, was *grant, why string) (ended bool) {
	_ = v.change(c.User, c.ID, was.ID, func(_ *connection, g *grant) string {
		ended = g.State == reconnect
		if ended || g.Gen != was.Gen || g.Work != nil && g.Work.Owner != owner {
			return ""
		}
		g.State, g.Work = reconnect, nil
		ended = true
		return "reconnect"
	}, why)
	v.narrowed.forget(was.ID)
	return ended
}

// change edits one grant. fn says what happened: "" is nothing, " " is not
// worth an audit line.
func (v *Vault) change(user, id, grantID string, fn func(*connection, *grant) string, why string) error {
	return v.c.Store.Update(func(tx store.Tx) error {
		c, err := v.rows.Get(tx, user, id)
		if err != nil {
			return err
		}
		c = c.clone()
		g := c.grant(grantID)
		if g == nil {
			return nil
		}
		event := fn(&c, g)
		if event == "" {
			return nil
		}
		if err := v.put(tx, c); err != nil {
			return err
		}
		if event == " " {
			return nil
		}
		return v.c.Audit.Append(tx, audit.Line{Event: event, User: user, Account: id, Outcome: why})
	})
}

// flagUnfinished marks every grant whose refresh an ended process left behind.
func (v *Vault) flagUnfinished() error {
	return v.c.Store.Update(func(tx store.Tx) error {
		var found []connection
		err := v.rows.All(tx, func(c connection) error {
			if slices.ContainsFunc(c.Grants, func(g grant) bool { return g.Work != nil }) {
				found = append(found, c.clone())
			}
			return nil
		})
		for _, c := range found {
			for i := range c.Grants {
				if g := &c.Grants[i]; g.Work != nil {
					g.Work = nil
					if g.State == active {
						g.State = inDoubt
					}
				}
			}
			if err == nil {
				err = v.put(tx, c)
			}
			if err == nil {
				err = v.c.Audit.Append(tx, audit.Line{Event: "in_doubt", User: c.User, Account: c.ID, Outcome: "deputy had ended in the middle of a refresh"})
			}
		}
		return err
	})
}
