package login

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"deputy/authz"
	"deputy/internal/login/passkey"
	"deputy/internal/login/upstream"
	"deputy/internal/store"
)

// Profile is one person: a name that rules are written for, and every way the
// person proves to be it.
type Profile struct {
	User       string        `json:"user"` // in rules: user:anna. It never changes
	ID         string        `json:"id"`   // random; authenticators keep it as the user handle
	Made       time.Time     `json:"made"`
	Disabled   bool          `json:"disabled,omitempty"`
	Generation int           `json:"generation,omitempty"` // sessions of an earlier one are over
	Identities []Identity    `json:"identities,omitempty"`
	Passkeys   []passkey.Key `json:"passkeys,omitempty"`
	Recovery   []string      `json:"recovery,omitempty"` // hashes of codes not used yet
}

// Identity is an account elsewhere. Issuer and Subject are who it is; the label
// is for the person's eyes.
type Identity struct {
	Issuer  string    `json:"issuer"`
	Subject string    `json:"subject"`
	Label   string    `json:"label"`
	Added   time.Time `json:"added"`
	Used    time.Time `json:"used,omitzero"`
}

// Sentinels of profiles.
var (
	ErrTaken     = errors.New("login: this account belongs to another profile")
	ErrUninvited = errors.New("login: this account is not on the list of those who may sign in")
	ErrLastWay   = errors.New("login: this is the last way in")
	ErrDisabled  = errors.New("login: this profile is disabled")
	ErrName      = errors.New("login: not a name for a profile")
)

// Profiles are the people of a home. Its owner always is one.
type Profiles struct {
	Store  store.Store
	Sealer store.Sealer
	Owner  string
}

func (p *Profiles) rows() store.Table[Profile] {
	return store.Table[Profile]{Name: "login/profile", Sealer: p.Sealer}
}

// MayEnter is what the home's Door asks: the owner, and everybody with a profile
// that is not disabled.
func (p *Profiles) MayEnter(_ context.Context, who authz.Principal) error {
	if who.User == p.Owner {
		return nil
	}
	return p.Store.View(func(tx store.Tx) error {
		row, err := p.rows().Get(tx, who.User)
		if errors.Is(err, store.ErrNotFound) || err == nil && row.Disabled {
			return authz.ErrNobody
		}
		return err
	})
}

// Get returns a person's profile; one with nothing in it if there is none yet.
func (p *Profiles) Get(user string) (row Profile, err error) {
	err = p.Store.View(func(tx store.Tx) error { row, err = p.get(tx, user); return err })
	return row, err
}

func (p *Profiles) get(tx store.Tx, user string) (Profile, error) {
	row, err := p.rows().Get(tx, user)
	if errors.Is(err, store.ErrNotFound) {
		return Profile{User: user}, nil
	}
	return row, err
}

// All returns every profile in the order of names, the owner's too.
func (p *Profiles) All() (all []Profile, err error) {
	err = p.Store.View(func(tx store.Tx) error {
		all = nil
		return p.rows().All(tx, func(row Profile) error { all = append(all, row); return nil })
	})
	if err == nil && !slices.ContainsFunc(all, func(row Profile) bool { return row.User == p.Owner }) {
		all = append([]Profile{{User: p.Owner}}, all...)
	}
	return all, err
}

// change runs fn on a person's profile and keeps the result.
func (p *Profiles) change(tx store.Tx, user string, fn func(*Profile) error) error {
	row, err := p.get(tx, user)
	if err != nil {
		return err
	}
	if row.ID == "" {
		row.ID, row.Made = rand.Text(), time.Now().UTC()
	}
	if err := fn(&row); err != nil {
		return err
	}
	return p.rows().Put(tx, row, user)
}

// find returns the profile for which is reports true. There are as many as
// there are people, and it is asked when one of them signs in.
func (p *Profiles) find(tx store.Tx, is func(Profile) bool) (found Profile, err error) {
	err = p.rows().All(tx, func(row Profile) error {
		if is(row) {
			found = row
			return store.ErrStop
		}
		return nil
	})
	if err == nil && found.User == "" {
		err = store.ErrNotFound
	}
	return found, err
}

// Known is whose profile an account elsewhere belongs to, found by issuer and
// subject and by nothing else, or ErrDenied.
func (p *Profiles) Known(issuer, subject string) (user string, err error) {
	err = p.Store.View(func(tx store.Tx) error {
		row, err := p.byIdentity(tx, upstream.Account{Issuer: issuer, Subject: subject})
		user = row.User
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		err = ErrDenied
	}
	return user, err
}

func (p *Profiles) byIdentity(tx store.Tx, a upstream.Account) (Profile, error) {
	return p.find(tx, func(row Profile) bool { return row.identity(a.Issuer, a.Subject) >= 0 })
}

func (row Profile) identity(issuer, subject string) int {
	return slices.IndexFunc(row.Identities, func(i Identity) bool { return i.Issuer == issuer && i.Subject == subject })
}

// link adds an account to a profile, or notes that it was used. An account
// belongs to one profile; an address equal to another's means nothing.
func (p *Profiles) link(tx store.Tx, user string, a upstream.Account) error {
	other, err := p.byIdentity(tx, a)
	if err == nil && other.User != user {
		return ErrTaken
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	return p.change(tx, user, func(row *Profile) error {
		now := time.Now().UTC()
		i := row.identity(a.Issuer, a.Subject)
		if i < 0 {
			i = len(row.Identities)
			row.Identities = append(row.Identities, Identity{Issuer: a.Issuer, Subject: a.Subject, Added: now})
		}
		row.Identities[i].Label, row.Identities[i].Used = clip(a.Label), now
		return nil
	})
}

// names of people who come by an invitation. The owner's, from the operating
// system or the configuration, need not be like it.
var names = regexp.MustCompile(`^[a-z0-9][a-z0-9._@+-]{0,127}$`)

// nameFor makes the name of a new profile: the address the provider has
// verified, else the account's own id. It is never one that somebody has: rules
// are written for it.
func (p *Profiles) nameFor(tx store.Tx, provider string, a upstream.Account) (string, error) {
	base := a.Email
	if !names.MatchString(base) {
		base = provider + "-" + a.Subject
	}
	if !names.MatchString(base) {
		sum := sha256.Sum256([]byte(a.Issuer + "\x00" + a.Subject))
		base = provider + "-" + hex.EncodeToString(sum[:8])
	}
	for n := 1; ; n++ {
		name := base
		if n > 1 {
			name = fmt.Sprintf("%s-%d", base, n)
		}
		_, err := p.rows().Get(tx, name)
		if errors.Is(err, store.ErrNotFound) && name != p.Owner {
			return name, nil
		}
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return "", err
		}
	}
}

// Add makes a profile for a name that the operator chose, or leaves the one
// there is.
func (p *Profiles) Add(user string) error {
	if user != p.Owner && !names.MatchString(user) {
		return fmt.Errorf("%w: %q: want small letters, digits and . _ @ + -, at most 128", ErrName, user)
	}
	return p.Store.Update(func(tx store.Tx) error {
		return p.change(tx, user, func(row *Profile) error {
			if row.Disabled {
				return ErrDisabled
			}
			return nil
		})
	})
}

// has reports whether a profile holds a passkey of this party.
func (row Profile) has(party *passkey.Party) bool {
	return party != nil && slices.ContainsFunc(row.Passkeys, func(k passkey.Key) bool { return k.Party == party.ID() })
}

func (row Profile) owner() passkey.Owner {
	return passkey.Owner{Handle: []byte(row.ID), Name: row.User, Keys: row.Passkeys}
}

// clip keeps a text that others chose short.
func clip(s string) string {
	if r := []rune(s); len(r) > 100 {
		return string(r[:100])
	}
	return s
}
