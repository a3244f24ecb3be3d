package login

import (
	"errors"
	"net/http"
	"slices"

	"deputy/internal/audit"
	"deputy/internal/login/passkey"
	"deputy/internal/store"
)

// askAnyPasskey hands the script what to ask whoever is there.
func (l *Login) askAnyPasskey(w http.ResponseWriter, r *http.Request) {
	if l.Passkeys == nil || l.Profiles == nil {
		l.errJSON(w, r, ErrDenied)
		return
	}
	options, challenge, err := l.Passkeys.Ask()
	if err == nil {
		err = l.put(w, attempt{For: signIn, With: "passkey", Passkey: &challenge}, passkey.Life)
	}
	if err != nil {
		l.errJSON(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, options)
}

func (l *Login) signInWithPasskey(w http.ResponseWriter, r *http.Request) {
	a, err := l.take(w, r, "passkey")
	if err == nil && a.For != signIn {
		err = errElsewhere
	}
	var p proof
	if err == nil {
		p, err = l.answered(a, r.FormValue("answer"))
	}
	if err == nil {
		err = l.begin(w, r, p, "signin")
	}
	next := local(r.FormValue("next"))
	if err != nil {
		status, key := explain(err)
		l.renderSignIn(w, r, status, next, key)
		return
	}
	seeOther(w, r, next)
}

// answered judges a passkey's answer and keeps its counter, in one transaction,
// so that of two answers with one counter only the first counts.
func (l *Login) answered(a attempt, answer string) (p proof, err error) {
	if a.Passkey == nil || l.Passkeys == nil || l.Profiles == nil {
		return p, errElsewhere
	}
	err = l.Store.Update(func(tx store.Tx) error {
		if err := l.once(tx, a); err != nil {
			return err
		}
		row, key, err := l.verify(tx, *a.Passkey, []byte(answer))
		a.User = row.User
		if err != nil {
			return err
		}
		p = proof{User: row.User, AuthTime: key.Used, ACR: ACRPasskey, Via: "passkey"}
		return l.keep(tx, row.User, key)
	})
	if errors.Is(err, passkey.ErrCloned) {
		err = errors.Join(err, l.refuse(a, "cloned"))
	} else if errors.Is(err, errReplayed) {
		err = errors.Join(err, l.refuse(a, "replayed"))
	}
	return p, err
}

// verify judges an answer against the profile it names.
func (l *Login) verify(tx store.Tx, c passkey.Challenge, answer []byte) (row Profile, key passkey.Key, err error) {
	_, key, err = l.Passkeys.Answered(c, answer, func(handle []byte) (passkey.Owner, error) {
		row, err = l.Profiles.find(tx, func(p Profile) bool { return p.ID == string(handle) && !p.Disabled })
		return row.owner(), err
	})
	return row, key, err
}

// keep stores a passkey as its use left it.
func (l *Login) keep(tx store.Tx, user string, key passkey.Key) error {
	return l.Profiles.change(tx, user, func(row *Profile) error {
		i := slices.IndexFunc(row.Passkeys, func(k passkey.Key) bool { return string(k.ID) == string(key.ID) })
		if i < 0 {
			return passkey.ErrAnswer
		}
		row.Passkeys[i] = key
		return nil
	})
}

// AssertOver asks a person's passkey to sign over a digest of at least 16 bytes:
// the challenge is the digest itself, so the signature says yes to exactly that.
// It returns what the browser is to be asked; ErrDenied if there is no passkey.
func (l *Login) AssertOver(user string, digest []byte) (options []byte, err error) {
	row, err := l.profileOf(user)
	if err != nil {
		return nil, err
	}
	if !row.has(l.Passkeys) {
		return nil, ErrDenied
	}
	options, _, err = l.Passkeys.AskOwner(row.owner(), digest)
	return options, err
}

// Asserted judges the answer to AssertOver for the same person and digest. The
// digest is the caller's to use once.
func (l *Login) Asserted(user string, digest, answer []byte) error {
	row, err := l.profileOf(user)
	if err != nil {
		return err
	}
	if !row.has(l.Passkeys) {
		return ErrDenied
	}
	_, challenge, err := l.Passkeys.AskOwner(row.owner(), digest)
	if err != nil {
		return err
	}
	err = l.Store.Update(func(tx store.Tx) error {
		found, key, err := l.verify(tx, challenge, answer)
		if err != nil {
			return err
		}
		return errors.Join(l.keep(tx, found.User, key), l.note(tx, audit.Line{Event: "assert", User: user, Channel: "passkey", Outcome: ACRPasskey}))
	})
	if errors.Is(err, passkey.ErrCloned) {
		err = errors.Join(err, l.refuse(attempt{User: user, With: "passkey"}, "cloned"))
	}
	return err
}
