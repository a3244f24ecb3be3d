package login

import (
	"errors"

	"deputy/authz"
	"deputy/internal/audit"
	"deputy/internal/store"
)

// ErrOwner says that the home's owner cannot be shut out of it.
var ErrOwner = errors.New("login: this home belongs to them")

// Disable shuts a person out: every session ends, no credential of theirs opens
// a door, and what they had approved is not sent.
func (l *Login) Disable(by authz.Caller, user string) error {
	if user == l.Profiles.Owner {
		return ErrOwner
	}
	return l.operate(by, user, "profile_disable", func(tx store.Tx, row *Profile) error {
		row.Disabled = true
		row.Generation++
		return l.end(tx, user, everywhere)
	})
}

// Enable lets a person in again, who has to sign in anew.
func (l *Login) Enable(by authz.Caller, user string) error {
	return l.operate(by, user, "profile_enable", func(_ store.Tx, row *Profile) error {
		row.Disabled = false
		return nil
	})
}

// Reset forgets a person's passkeys and recovery codes, all of which are lost,
// and ends their sessions. A one-time code lets them in again.
func (l *Login) Reset(by authz.Caller, user string) error {
	return l.operate(by, user, "profile_reset", func(tx store.Tx, row *Profile) error {
		row.Passkeys, row.Recovery = nil, nil
		row.Generation++
		return l.end(tx, user, everywhere)
	})
}

func (l *Login) operate(by authz.Caller, user, event string, fn func(store.Tx, *Profile) error) error {
	return l.Store.Update(func(tx store.Tx) error {
		if _, err := l.Profiles.rows().Get(tx, user); user != l.Profiles.Owner && err != nil {
			return err
		}
		if err := l.Profiles.change(tx, user, func(row *Profile) error { return fn(tx, row) }); err != nil {
			return err
		}
		return l.note(tx, audit.Line{Event: event, User: user, By: by.User(), Agent: by.Agent()})
	})
}
