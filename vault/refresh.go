package vault

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	mathrand "math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"

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
//	   commit, if the consent and the generation are still those
//
// A login that came meanwhile wins over a late refresh.
const (
	tokenTimeout = 10 * time.Second // of one token request
	attemptLimit = 15 * time.Second // from the lease to the answer
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
	done := v.renewals.DoChan(c.User+"\x00"+c.ID+"\x00"+g.ID+"\x00"+number(g.Gen), func() (any, error) {
		if !v.begin() {
			return current{}, &Fault{Provider: c.Provider, Kind: Upstream, Cause: "deputy is stopping"}
		}
		defer v.running.Done()
		// Who looked just before an earlier try failed does not try at once.
		if cause := v.limits.cooling(g.ID); cause != nil {
			return current{}, cause
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaseLimit+attemptLimit)
		defer cancel()
		return v.renew(ctx, c.User, c.ID, g.ID, g.Gen)
	})
	select {
	case r := <-done:
		now, _ := r.Val.(current)
		return now, r.Err
	case <-ctx.Done():
		return current{}, ctx.Err()
	}
}

// begin counts a refresh in, unless the vault is closing.
func (v *Vault) begin() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.stopping {
		v.running.Add(1)
	}
	return !v.stopping
}

// renew takes the lease, asks, and keeps the answer.
func (v *Vault) renew(ctx context.Context, user, id, grantID string, gen uint64) (current, error) {
	if a, ok := v.unkept.take(grantID, gen); ok {
		return v.commit(ctx, a.was, a.got)
	}
	owner := newID()
	now, err := v.takeLease(ctx, owner, user, id, grantID, gen)
	if err != nil || now.grant.Gen != gen {
		return now, err
	}
	r := v.routes[now.Provider]
	// The time runs from the lease on. Whoever finds it old takes it over, so a
	// request that is late by then must not leave.
	asking, cancel := context.WithTimeout(ctx, attemptLimit)
	defer cancel()
	server, err := r.server(asking)
	if err == nil {
		var t oauth.Tokens
		form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {oauth.Reveal(now.tokens.refresh)}}
		if server.Resource != "" {
			form.Set("resource", server.Resource)
		}
		t, err = oauth.Ask(asking, r.client, server, form)
		if err == nil {
			return v.commit(ctx, now, t)
		}
	}
	var no *oauth.Refusal
	if errors.As(err, &no) && no.Verdict == GrantEnded {
		why := "the provider refused the refresh token"
		if now.grant.State == inDoubt {
			why = "lost: deputy had ended in the middle of a refresh"
		}
		if !v.bury(owner, &now.connection, &now.grant, why) {
			return v.later(now)
		}
		return current{}, v.ended(&now.connection, &now.grant)
	}
	v.dropLease(owner, user, id, grantID, settled(err))
	f := r.fault(err)
	v.limits.cool(grantID, f)
	return current{}, f
}

// settled reports whether a failed request was certainly not carried out: it
// did not leave, or the answer says no. A server that failed, a proxy that
// speaks for one, and an answer that was cut off say nothing of the kind.
func settled(err error) bool {
	var u *oauth.Unavailable
	if !errors.As(err, &u) || u.Unsent {
		return true
	}
	busy := u.Status == http.StatusServiceUnavailable
	return u.Status != 0 && !u.Cut && (u.Status < 500 || busy)
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

// provider is the one in an account's id.
func provider(account string) string {
	name, _, _ := strings.Cut(account, "/")
	return name
}

// newID is 128 random bits.
func newID() string {
	var raw [16]byte
	rand.Read(raw[:])
	return hex.EncodeToString(raw[:])
}
