package vault

import (
	"context"
	"errors"
	"slices"
	"time"

	"deputy/authz"
	"deputy/internal/audit"
	"deputy/internal/store"
)

// Share is a person's consent that a back end of the operator's may have
// tokens of one account, for some scopes.
type Share struct {
	Client  string    `json:"client"`
	Account string    `json:"account"`
	Scopes  []string  `json:"scopes"`
	Since   time.Time `json:"since"`
}

// Share lets a client have tokens of the caller's account, for the given
// scopes and no more.
func (v *Vault) Share(_ context.Context, c authz.Caller, client, account string, scopes []string) error {
	if c.IsZero() {
		return authz.ErrNobody
	}
	if _, err := v.load(c.User(), account); err != nil {
		return err
	}
	s := Share{client, account, set(scopes), time.Now().UTC()}
	return v.c.Store.Update(func(tx store.Tx) error {
		if err := v.shares.Put(tx, s, c.User(), account, client); err != nil {
			return err
		}
		return v.c.Audit.Append(tx, audit.Line{Event: "share", User: c.User(), Account: account, Agent: client})
	})
}

// Unshare takes it back. Tokens that were handed out live until they end.
func (v *Vault) Unshare(_ context.Context, c authz.Caller, client, account string) error {
	if c.IsZero() {
		return authz.ErrNobody
	}
	return v.c.Store.Update(func(tx store.Tx) error {
		if _, err := v.shares.Get(tx, c.User(), account, client); errors.Is(err, store.ErrNotFound) {
			return ErrNoAccount
		} else if err != nil {
			return err
		}
		if err := v.shares.Delete(tx, c.User(), account, client); err != nil {
			return err
		}
		return v.c.Audit.Append(tx, audit.Line{Event: "unshare", User: c.User(), Account: account, Agent: client})
	})
}

// Shares lists the caller's.
func (v *Vault) Shares(_ context.Context, c authz.Caller) (all []Share, err error) {
	if c.IsZero() {
		return nil, authz.ErrNobody
	}
	err = v.c.Store.View(func(tx store.Tx) error {
		return v.shares.All(tx, func(s Share) error { all = append(all, s); return nil }, c.User())
	})
	return all, err
}

// shared reports whether the caller consented that client has tokens of
// account for scopes.
func (v *Vault) shared(c authz.Caller, client, account string, scopes []string) (bool, error) {
	var s Share
	err := v.c.Store.View(func(tx store.Tx) (err error) {
		s, err = v.shares.Get(tx, c.User(), account, client)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	for _, want := range scopes {
		if !slices.Contains(s.Scopes, want) {
			return false, err
		}
	}
	return err == nil, err
}
