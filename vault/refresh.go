package vault

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	mathrand "math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"deputy/internal/audit"
	"deputy/internal/store"
	"deputy/vault/internal/oauth"
)

// How a refresh goes, so that no grant is lost and none is used up twice:
//
//	1  one refresh per grant and generation in this process, whoever asks
//	2  a lease in the store: one among all processes; it is written before the
//	   request goes out, so that a crash leaves a trace
//	3  the request, detached from whoever asked, outside any transaction
//	4  new tokens, next generation, audit line and the end of the lease in one
//	   commit, if the lease is still ours and the generation still that one
//
// A login that came meanwhile wins over a late refresh.
const (
	tokenTimeout = 10 * time.Second // of one token request
	attemptLimit = 15 * time.Second // of one refresh, commit included
	leaseLimit   = 30 * time.Second // an unchanged lease older than this is a dead process's
	leasePoll    = 50 * time.Millisecond
)

// current is a grant with its tokens, as a request needs them.
type current struct {
	connection
	grant  grant
	tokens tokens
}

// fresh returns a grant that covers need, with a token that is good for a
// request. With than set, the caller has seen that generation of that grant
// refused and wants a later one.
func (v *Vault) fresh(ctx context.Context, l *Lease, than *current) (current, error) {
	now, err := v.look(l)
	if err != nil {
		return current{}, err
	}
	c, g := now.connection, &now.grant
	refused := than != nil && than.grant.ID == g.ID && g.Gen <= than.grant.Gen
	due := !g.RefreshAt.IsZero() && !time.Now().Before(g.RefreshAt)
	if !refused && !due && g.State == active {
		return now, nil
	}
	if cause := v.limits.cooling(g.ID); cause != nil {
		if !refused && time.Now().Before(g.Expires) {
			return now, nil
		}
		return current{}, cause
	}
	if !g.Renewable {
		if refused {
			v.bury("", &c, g, "the provider refused the token")
			return current{}, v.ended(&c, g)
		}
		return now, nil // nothing to refresh with: use it while it lasts
	}
	next, err := v.renewOnce(ctx, c, *g)
	if err != nil && !refused && usable(err) && time.Now().Before(g.Expires) {
		return now, nil // no refresh now; the token still works
	}
	return next, err
}

// look reads, at one moment, whether the lease is still good and the narrowest
// grant that covers it with its tokens.
func (v *Vault) look(l *Lease) (now current, err error) {
	err = v.c.Store.View(func(tx store.Tx) error {
		c, err := v.rows.Get(tx, l.caller.User(), l.sourceID)
		if errors.Is(err, store.ErrNotFound) {
			return ErrNoAccount
		}
		if err != nil {
			return err
		}
		if err := v.frozenIn(tx, l.caller, l.source.Name, c.ID); err != nil {
			return err
		}
		if l.route != l.source {
			if err := v.frozenIn(tx, l.caller, l.route.Name, l.account.ID); err != nil {
				return err
			}
		}
		g := l.source.choose(&c, l.need)
		if g == nil {
			return l.source.lacking(&c, l.need)
		}
		now, err = v.with(tx, c, *g)
		return err
	})
	return now, err
}

// with adds a grant's tokens. They are looked up under the generation that the
// connection names: a row of another one does not stand in.
func (v *Vault) with(tx store.Tx, c connection, g grant) (current, error) {
	t, err := v.tokens.Get(tx, tokenKey(&c, &g)...)
	if errors.Is(err, store.ErrNotFound) {
		return current{}, ErrRolledBack
	}
	return current{c, g, t.tokens()}, err
}

// usable reports whether err says nothing about the token one has.
func usable(err error) bool {
	var f *Fault
	return errors.As(err, &f) && (f.Kind == Upstream || f.Kind == RateLimited)
}

// open reads a grant's tokens, of the generation it has now.
func (v *Vault) open(user, id, grantID string) (now current, err error) {
	err = v.c.Store.View(func(tx store.Tx) error {
		c, err := v.rows.Get(tx, user, id)
		if errors.Is(err, store.ErrNotFound) {
			return ErrNoAccount
		}
		if err != nil {
			return err
		}
		g := c.grant(grantID)
		if g == nil {
			return ErrNoAccount
		}
		now, err = v.with(tx, c, *g)
		return err
	})
	return now, err
}

// renewOnce runs one refresh for a generation; others wait for it. A caller
// that gives up does not stop it.
func (v *Vault) renewOnce(ctx context.Context, c connection, g grant) (current, error) {
	v.mu.Lock()
	if v.stopping {
		v.mu.Unlock()
		return current{}, &Fault{Provider: c.Provider, Kind: Upstream, Cause: "deputy is stopping"}
	}
	v.running.Add(1)
	v.mu.Unlock()
	done := v.renewals.DoChan(c.User+"\x00"+c.ID+"\x00"+g.ID+"\x00"+number(g.Gen), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaseLimit+attemptLimit)
		defer cancel()
		return v.renew(ctx, c.User, c.ID, g.ID, g.Gen)
	})
	answer := make(chan singleResult, 1)
	go func() {
		defer v.running.Done()
		r := <-done
		now, _ := r.Val.(current)
		answer <- singleResult{now, r.Err}
	}()
	select {
	case r := <-answer:
		return r.now, r.err
	case <-ctx.Done():
		return current{}, ctx.Err()
	}
}

type singleResult struct {
	now current
	err error
}

// renew takes the lease, asks, and keeps the answer.
func (v *Vault) renew(ctx context.Context, user, id, grantID string, gen uint64) (current, error) {
	owner := newID()
	now, err := v.takeLease(ctx, owner, user, id, grantID, gen)
	if err != nil || now.grant.Gen != gen {
		return now, err
	}
	r := v.routes[now.Provider]
	server, err := r.server(ctx)
	if err == nil {
		var t oauth.Tokens
		form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {oauth.Reveal(now.tokens.refresh)}}
		if server.Resource != "" {
			form.Set("resource", server.Resource)
		}
		asking, cancel := context.WithTimeout(ctx, attemptLimit)
		t, err = oauth.Ask(asking, r.client, server, form)
		cancel()
		if err == nil {
			return v.commit(ctx, owner, now, t)
		}
	}
	var no *oauth.Refusal
	if errors.As(err, &no) && no.Verdict == GrantEnded {
		why := "the provider refused the refresh token"
		if now.grant.State == inDoubt {
			why = "lost: deputy had ended in the middle of a refresh"
		}
		v.bury(owner, &now.connection, &now.grant, why)
		return current{}, v.ended(&now.connection, &now.grant)
	}
	v.dropLease(owner, user, id, grantID, unsent(err))
	f := r.fault(err)
	v.limits.cool(grantID, f)
	return current{}, f
}

// unsent reports whether the request cannot have reached the server, or was
// answered: in both cases nothing is in doubt.
func unsent(err error) bool {
	var u *oauth.Unavailable
	return !errors.As(err, &u) || u.Unsent || u.Status != 0
}

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
		held := ""
		err = v.c.Store.Update(func(tx store.Tx) error {
			now, held = current{}, ""
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
			if g.Work != nil && v.leases.age(g.Work.Owner) < leaseLimit {
				held = g.Work.Owner
				return nil
			}
			if g.Work != nil {
				g.State = inDoubt // whoever held it is gone
			}
			now.grant = *g
			g.Work = &work{owner, time.Now().UTC()}
			return v.put(tx, c)
		})
		switch {
		case errors.Is(err, store.ErrNotFound):
			return current{}, ErrNoAccount
		case err != nil:
			var missing *NotConnectedError
			if errors.As(err, &missing) || errors.Is(err, ErrNoAccount) || errors.Is(err, ErrRolledBack) {
				return current{}, err
			}
			// No place to store means no rotation: it would lose the grant.
			return current{}, &Fault{Provider: v.providerOf(id), Kind: Upstream, Cause: "the store cannot be written, so nothing was refreshed"}
		case held == "":
			return now, nil
		}
		select {
		case <-time.After(leasePoll):
		case <-ctx.Done():
			return current{}, &Fault{Provider: now.Provider, Kind: Upstream, Cause: "another process is refreshing this grant and does not end"}
		}
	}
}

// commit keeps new tokens, if the lease is still ours. If it is not, a person
// connected again or disconnected meanwhile, and the new tokens are ended.
func (v *Vault) commit(ctx context.Context, owner string, was current, t oauth.Tokens) (now current, err error) {
	mine, extent := false, oauth.OneToken
	write := func(tx store.Tx) error {
		mine, extent = false, oauth.OneToken
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
		if g == nil || g.Gen != was.grant.Gen || g.Work == nil || g.Work.Owner != owner {
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
		return current{}, &Fault{Provider: was.Provider, Kind: Upstream, Cause: "the store could not keep the new tokens"}
	}
	if mine {
		v.narrowed.forget(was.grant.ID)
		return now, nil
	}
	v.end(ctx, was.Provider, secrets(t), extent)
	if now, err = v.open(was.User, was.ID, was.grant.ID); err == nil && (now.grant.State == reconnect || now.grant.Gen <= was.grant.Gen) {
		err = ErrNoAccount
	}
	return now, err
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
// refresh token up a moment ago, and not have kept the next one yet.
func (v *Vault) bury(owner string, c *connection, was *grant, why string) {
	_ = v.change(c.User, c.ID, was.ID, func(_ *connection, g *grant) string {
		if g.Gen != was.Gen || g.State == reconnect || g.Work != nil && g.Work.Owner != owner {
			return ""
		}
		g.State, g.Work = reconnect, nil
		return "reconnect"
	}, why)
	v.narrowed.forget(was.ID)
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

// stamp makes a grant the next generation, of the given tokens.
func (g *grant) stamp(t oauth.Tokens, renewable bool) {
	now := time.Now()
	g.Gen++
	g.State, g.Work, g.Renewable = active, nil, renewable
	g.Expires, g.RefreshAt = time.Time{}, time.Time{}
	if t.Lifetime > 0 {
		g.Expires = now.Add(t.Lifetime)
		// Between 80 and 90 % of the lifetime, so that many grants made
		// together are not refreshed together.
		g.RefreshAt = now.Add(t.Lifetime * time.Duration(800+mathrand.IntN(101)) / 1000)
	}
	if t.Scopes != nil {
		g.Scopes = set(t.Scopes)
	}
}

// ended is the error for a grant that is over.
func (v *Vault) ended(c *connection, g *grant) error {
	return &NotConnectedError{Provider: c.Provider, Account: c.ID, Missing: g.Scopes, Dead: true}
}

// fault puts a failure of the authorization server into the vault's words.
func (r *route) fault(err error) *Fault {
	var u *oauth.Unavailable
	var no *oauth.Refusal
	var f *Fault
	switch {
	case errors.As(err, &f):
		return f
	case errors.As(err, &no) && (no.Code == "invalid_scope" || no.Code == "invalid_target"):
		return &Fault{Provider: r.Name, Kind: Upstream, Cause: "the authorization server refuses what is asked (" + no.Code + "): check scopes and resource"}
	case errors.As(err, &no) && no.Verdict == ClientBad:
		return &Fault{Provider: r.Name, Kind: Upstream, Cause: "the token endpoint refuses this client (" + no.Code + "): check client_id and client_secret"}
	case errors.As(err, &u) && u.After > 0:
		return &Fault{Provider: r.Name, Kind: RateLimited, Status: u.Status, After: u.After, Cause: u.Cause}
	case errors.As(err, &u):
		return &Fault{Provider: r.Name, Kind: Upstream, Status: u.Status, Cause: u.Cause}
	}
	return &Fault{Provider: r.Name, Kind: Upstream, Cause: "the authorization server failed"}
}

// providerOf is the provider in an account's id.
func (v *Vault) providerOf(account string) string {
	name, _, _ := strings.Cut(account, "/")
	return name
}

// newID is 128 random bits.
func newID() string {
	var raw [16]byte
	rand.Read(raw[:])
	return hex.EncodeToString(raw[:])
}
