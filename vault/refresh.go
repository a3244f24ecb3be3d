package vault

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"deputy/internal/audit"
	"deputy/internal/store"
)

// fresh returns the connection with a token that is good for a request. One
// refresh runs per connection and generation, whoever asks; it is detached
// from the asking call, because a cancelled rotation loses the grant. With
// than > 0 the caller has seen generation than refused and wants a later one.
func (v *Vault) fresh(ctx context.Context, user, id string, than uint64) (row, error) {
	r, err := v.load(user, id)
	if err != nil {
		return row{}, err
	}
	if r.State != active {
		return row{}, v.dead(r)
	}
	stale := than > 0 && r.Gen <= than
	due := !r.RefreshAt.IsZero() && !time.Now().Before(r.RefreshAt)
	if !stale && !due {
		return r, nil
	}
	if r.Refresh == "" {
		if stale {
			v.bury(user, id, r.Gen)
			return row{}, v.dead(r)
		}
		return r, nil // nothing to refresh with: use it while it lasts
	}
	done := v.refresh.DoChan(fmt.Sprintf("%s\x00%s\x00%d", user, id, r.Gen), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 15*time.Second)
		defer cancel()
		return v.renew(ctx, user, id, r.Gen)
	})
	select {
	case res := <-done:
		if res.Err == nil {
			return res.Val.(row), nil
		}
		var f *Fault
		if !stale && errors.As(res.Err, &f) && f.Kind == Upstream && time.Now().Before(r.Expires) {
			return r, nil // the token endpoint is down; the token still works
		}
		return row{}, res.Err
	case <-ctx.Done():
		return row{}, ctx.Err()
	}
}

// renew asks for new tokens and keeps them if the connection is still of
// generation gen: a login that came meanwhile wins.
func (v *Vault) renew(ctx context.Context, user, id string, gen uint64) (row, error) {
	r, err := v.load(user, id)
	if err != nil || r.Gen != gen {
		return r, err
	}
	p := v.routes[r.Provider]
	t, err := v.ask(ctx, p, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {r.Refresh}})
	var no refusal
	if errors.As(err, &no) {
		if no.grantIsDead() {
			v.bury(user, id, gen)
			return row{}, v.dead(r)
		}
		return row{}, &Fault{Provider: p.Name, Kind: Upstream, Cause: "the token endpoint refuses this client: check client_id and client_secret"}
	}
	if err != nil {
		return row{}, err
	}
	err = v.c.Store.Update(func(tx store.Tx) error {
		if r, err = v.rows.Get(tx, user, id); err != nil {
			return err
		}
		if r.Gen != gen {
			return nil
		}
		t.put(&r)
		if err := v.rows.Put(tx, r, user, id); err != nil {
			return err
		}
		return v.c.Audit.Append(tx, audit.Line{Event: "refresh", User: user, Account: id})
	})
	if errors.Is(err, store.ErrNotFound) {
		return row{}, ErrNoAccount
	}
	return r, err
}

// bury marks a connection dead if it is still of generation gen.
func (v *Vault) bury(user, id string, gen uint64) {
	_ = v.c.Store.Update(func(tx store.Tx) error {
		r, err := v.rows.Get(tx, user, id)
		if err != nil || r.Gen != gen || r.State != active {
			return err
		}
		r.State = reconnect
		if err := v.rows.Put(tx, r, user, id); err != nil {
			return err
		}
		return v.c.Audit.Append(tx, audit.Line{Event: "reconnect", User: user, Account: id})
	})
}

func (v *Vault) dead(r row) error {
	return &NotConnectedError{Provider: r.Provider, Account: r.ID, Missing: r.Scopes, Dead: true}
}
