package login

import (
	"crypto/rand"
	"errors"
	"slices"
	"strings"

	"deputy/internal/audit"
	"deputy/internal/store"
)

const recoveryCodes = 10

// makeRecovery gives a person ten new recovery codes; earlier ones are void. A
// code is 130 random bits, so a fast hash of it keeps it safe.
func (l *Login) makeRecovery(user, session string) (codes []string, err error) {
	hashes := make([]string, recoveryCodes)
	for i := range hashes {
		text := strings.ToLower(rand.Text()) // 26 letters and digits 2 to 7
		hashes[i] = hashed(text)
		codes = append(codes, text[:5]+"-"+text[5:10]+"-"+text[10:15]+"-"+text[15:20]+"-"+text[20:])
	}
	return codes, l.Store.Update(func(tx store.Tx) error {
		if err := l.Profiles.change(tx, user, func(row *Profile) error { row.Recovery = hashes; return nil }); err != nil {
			return err
		}
		return l.note(tx, audit.Line{Event: "recovery_new", User: user, Session: session})
	})
}

// spendRecovery uses a recovery code up and returns whose it was.
func (l *Login) spendRecovery(text string) (user string, err error) {
	want := hashed(strings.Map(func(r rune) rune {
		if r == '-' || r == ' ' {
			return -1
		}
		return r
	}, strings.ToLower(text)))
	err = l.Store.Update(func(tx store.Tx) error {
		row, err := l.Profiles.find(tx, func(p Profile) bool { return !p.Disabled && slices.Contains(p.Recovery, want) })
		if errors.Is(err, store.ErrNotFound) {
			return ErrDenied
		}
		if err != nil {
			return err
		}
		user = row.User
		if err := l.Profiles.change(tx, user, func(p *Profile) error {
			p.Recovery = slices.DeleteFunc(p.Recovery, func(h string) bool { return h == want })
			return nil
		}); err != nil {
			return err
		}
		return l.note(tx, audit.Line{Event: "recovery_use", User: user})
	})
	return user, err
}
