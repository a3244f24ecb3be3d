package login

import (
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strings"

	"deputy/internal/audit"
	"deputy/internal/login/passkey"
	"deputy/internal/pages"
	"deputy/internal/store"
)

// profile shows how its person signs in.
func (l *Login) profile(w http.ResponseWriter, r *http.Request) {
	l.renderProfile(w, r, http.StatusOK, "")
}

// identity and passkey as the page shows them.
type (
	shownIdentity struct {
		Identity
		Title string
	}
	shownPasskey struct {
		passkey.Key
		Ref     string
		Foreign bool // enrolled under another name of this server: of no use here
	}
)

func (l *Login) renderProfile(w http.ResponseWriter, r *http.Request, status int, complaint string) {
	c, s, ok := l.person(r)
	if !ok {
		l.Ask(w, r)
		return
	}
	row, err := l.profileOf(c.User())
	if err != nil {
		l.fail(w, r, err)
		return
	}
	data := struct {
		User, Complaint, Browser, Suggest string
		Party                             bool
		Identities                        []shownIdentity
		Passkeys                          []shownPasskey
		Recovery                          int
		Ways                              []way
	}{User: row.User, Complaint: complaint, Suggest: s.Browser, Party: l.Passkeys != nil && l.Profiles != nil, Recovery: len(row.Recovery)}
	for _, i := range row.Identities {
		shown := shownIdentity{i, i.Issuer}
		for _, p := range l.Accounts {
			if p.Issuer() == i.Issuer {
				shown.Title = p.Title()
			}
		}
		data.Identities = append(data.Identities, shown)
	}
	for _, k := range row.Passkeys {
		data.Passkeys = append(data.Passkeys, shownPasskey{k, ref(k), l.Passkeys == nil || k.Party != l.Passkeys.ID()})
	}
	for _, p := range l.Accounts {
		data.Ways = append(data.Ways, way{Name: p.Name(), Title: p.Title()})
	}
	profilePage.Render(w, r, status, "profile.title", data)
}

// ref names a passkey in a form.
func ref(k passkey.Key) string { return base64.RawURLEncoding.EncodeToString(k.ID) }

// askNewPasskey hands the script what to ask for an enrolment. The profile has
// its row from here on, since its id becomes the user handle.
func (l *Login) askNewPasskey(w http.ResponseWriter, r *http.Request) {
	s, row, ok := l.manage(w, r)
	if !ok {
		return
	}
	if l.Passkeys == nil {
		l.errJSON(w, r, ErrDenied)
		return
	}
	err := l.Store.Update(func(tx store.Tx) error {
		return l.Profiles.change(tx, s.User, func(p *Profile) error { row = *p; return nil })
	})
	if err != nil {
		l.errJSON(w, r, err)
		return
	}
	options, challenge, err := l.Passkeys.Enrol(row.owner())
	if err == nil {
		err = l.put(w, attempt{For: enrol, With: "passkey", Session: s.ID, User: s.User, Passkey: &challenge}, passkey.Life)
	}
	if err != nil {
		l.errJSON(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, options)
}

func (l *Login) addPasskey(w http.ResponseWriter, r *http.Request) {
	s, _, ok := l.manage(w, r)
	if !ok {
		return
	}
	a, err := l.take(w, r, "passkey")
	if err == nil && (a.For != enrol || a.Passkey == nil || l.Passkeys == nil) {
		err = errElsewhere
	}
	if err == nil {
		_, err = l.sameSession(r, a)
	}
	name := clip(strings.TrimSpace(r.PostFormValue("name")))
	if name == "" {
		name = s.Browser
	}
	if err == nil {
		err = l.Store.Update(func(tx store.Tx) error { return l.enrolled(tx, a, name, r.PostFormValue("answer")) })
	}
	l.backToProfile(w, r, err)
}

// maxPasskeys of one person.
const maxPasskeys = 20

func (l *Login) enrolled(tx store.Tx, a attempt, name, answer string) error {
	if err := l.once(tx, a); err != nil {
		return err
	}
	return l.Profiles.change(tx, a.User, func(row *Profile) error {
		key, err := l.Passkeys.Enrolled(row.owner(), *a.Passkey, []byte(answer))
		if err != nil {
			return err
		}
		key.Name = name
		// A credential id is one person's (WebAuthn Level 3 §7.1, step 26).
		_, err = l.Profiles.find(tx, func(p Profile) bool {
			return slices.ContainsFunc(p.Passkeys, func(k passkey.Key) bool { return string(k.ID) == string(key.ID) })
		})
		if !errors.Is(err, store.ErrNotFound) || len(row.Passkeys) >= maxPasskeys {
			return errors.Join(err, passkey.ErrAnswer)
		}
		row.Passkeys = append(row.Passkeys, key)
		return l.note(tx, audit.Line{Event: "passkey_add", User: a.User, Session: a.Session, Digest: hashed(string(key.ID))[:16]})
	})
}

func (l *Login) removePasskey(w http.ResponseWriter, r *http.Request) {
	s, _, ok := l.manage(w, r)
	if !ok {
		return
	}
	id := r.PostFormValue("id")
	l.backToProfile(w, r, l.Store.Update(func(tx store.Tx) error {
		return l.Profiles.change(tx, s.User, func(row *Profile) error {
			i := slices.IndexFunc(row.Passkeys, func(k passkey.Key) bool { return ref(k) == id })
			if i < 0 {
				return ErrDenied
			}
			gone := row.Passkeys[i]
			row.Passkeys = slices.Delete(row.Passkeys, i, i+1)
			if err := l.notLast(*row); err != nil {
				return err
			}
			return l.note(tx, audit.Line{Event: "passkey_remove", User: s.User, Session: s.ID, Digest: hashed(string(gone.ID))[:16]})
		})
	}))
}

func (l *Login) unlinkAccount(w http.ResponseWriter, r *http.Request) {
	s, _, ok := l.manage(w, r)
	if !ok {
		return
	}
	issuer, subject := r.PostFormValue("issuer"), r.PostFormValue("subject")
	l.backToProfile(w, r, l.Store.Update(func(tx store.Tx) error {
		return l.Profiles.change(tx, s.User, func(row *Profile) error {
			i := row.identity(issuer, subject)
			if i < 0 {
				return ErrDenied
			}
			row.Identities = slices.Delete(row.Identities, i, i+1)
			if err := l.notLast(*row); err != nil {
				return err
			}
			return l.note(tx, audit.Line{Event: "identity_remove", User: s.User, Session: s.ID, Account: issuer + " " + subject})
		})
	}))
}

// notLast refuses to leave a profile without a way in: a passkey of this
// server's name, an account of a provider that is configured, or a recovery
// code.
func (l *Login) notLast(row Profile) error {
	in := row.has(l.Passkeys) || len(row.Recovery) > 0
	for _, p := range l.Accounts {
		in = in || slices.ContainsFunc(row.Identities, func(i Identity) bool { return i.Issuer == p.Issuer() })
	}
	if !in {
		return ErrLastWay
	}
	return nil
}

// newRecovery shows ten codes, this once.
func (l *Login) newRecovery(w http.ResponseWriter, r *http.Request) {
	s, _, ok := l.manage(w, r)
	if !ok {
		return
	}
	codes, err := l.makeRecovery(s.User, s.ID)
	if err != nil {
		l.fail(w, r, err)
		return
	}
	recoveryPage.Render(w, r, http.StatusOK, "recovery.title", codes)
}

func (l *Login) backToProfile(w http.ResponseWriter, r *http.Request, err error) {
	if err == nil {
		seeOther(w, r, "/profile")
		return
	}
	status, key := explain(err)
	if status == http.StatusInternalServerError {
		pages.Message(w, r, status, "failed.title", key)
		return
	}
	l.renderProfile(w, r, status, key)
}
