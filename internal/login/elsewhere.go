package login

import (
	"errors"
	"net/http"
	"strings"

	"deputy/internal/audit"
	"deputy/internal/login/upstream"
	"deputy/internal/pages"
	"deputy/internal/store"
)

func (l *Login) accounts(name string) (Accounts, bool) {
	for _, a := range l.Accounts {
		if a.Name() == name {
			return a, l.Profiles != nil && l.Sealer != nil
		}
	}
	return Accounts{}, false
}

// signInElsewhere sends the browser to a provider, to sign in or to step up.
// Linking begins with a form of ours instead: see linkAccount.
func (l *Login) signInElsewhere(w http.ResponseWriter, r *http.Request) {
	p, ok := l.accounts(r.PathValue("provider"))
	if !ok {
		pages.Message(w, r, http.StatusNotFound, "missing.title", "missing.page")
		return
	}
	a := attempt{For: signIn, Next: local(r.FormValue("next"))}
	var wish upstream.Wish
	if r.FormValue("again") != "" {
		_, s, ok := l.person(r)
		if !ok {
			l.Ask(w, r)
			return
		}
		a.For, a.Session, a.User = stepUp, s.ID, s.User
		wish = wishOf(needOf(r))
	}
	to, err := l.beginElsewhere(w, r, p, a, wish)
	if err != nil {
		l.fail(w, r, err)
		return
	}
	pages.Headers(w.Header())
	http.Redirect(w, r, to, http.StatusFound)
}

func (l *Login) beginElsewhere(w http.ResponseWriter, r *http.Request, p Accounts, a attempt, wish upstream.Wish) (string, error) {
	to, up, err := p.Begin(r.Context(), wish)
	if err != nil {
		return "", err
	}
	a.With, a.Upstream = p.Name(), &up
	return to, l.put(w, a, upstreamLife)
}

// linkAccount begins to add an account to the profile of whoever is signed in.
// It takes a form of ours: a link from elsewhere could otherwise, with the
// browser signed in to a stranger's account there, add that.
func (l *Login) linkAccount(w http.ResponseWriter, r *http.Request) {
	s, _, ok := l.manage(w, r)
	if !ok {
		return
	}
	p, ok := l.accounts(r.PostFormValue("provider"))
	if !ok {
		pages.Message(w, r, http.StatusNotFound, "missing.title", "missing.page")
		return
	}
	to, err := l.beginElsewhere(w, r, p, attempt{For: link, Session: s.ID, User: s.User, Next: "/profile"}, upstream.Wish{})
	if err != nil {
		l.fail(w, r, err)
		return
	}
	pages.Leave(w, r, to)
}

// cameBack takes a provider's answer. The attempt is used up before its code is
// traded, whatever comes of it.
func (l *Login) cameBack(w http.ResponseWriter, r *http.Request) {
	p, ok := l.accounts(r.PathValue("provider"))
	if !ok {
		pages.Message(w, r, http.StatusNotFound, "missing.title", "missing.page")
		return
	}
	a, err := l.take(w, r, p.Name())
	if err == nil && a.Upstream == nil {
		err = errElsewhere
	}
	if err == nil {
		err = l.Store.Update(func(tx store.Tx) error { return l.once(tx, a) })
	}
	if err == nil && a.For != signIn {
		_, err = l.sameSession(r, a)
	}
	var who upstream.Account
	if err == nil {
		who, err = p.Finish(r.Context(), *a.Upstream, r.URL.Query())
	}
	if err == nil {
		err = l.arrived(w, r, p, a, who)
	}
	if err != nil {
		if a.ID != "" {
			err = errors.Join(err, l.refuse(a, reason(err)))
		}
		l.fail(w, r, err)
		return
	}
	seeOther(w, r, a.Next)
}

// reason is an error's name in the log.
func reason(err error) string {
	_, key := explain(err)
	return strings.TrimPrefix(key, "failed.")
}

// arrived does what the attempt was for.
func (l *Login) arrived(w http.ResponseWriter, r *http.Request, p Accounts, a attempt, who upstream.Account) error {
	if a.For == link {
		return l.Store.Update(func(tx store.Tx) error {
			if err := l.Profiles.link(tx, a.User, who); err != nil {
				return err
			}
			return l.note(tx, audit.Line{Event: "identity_add", User: a.User, Session: a.Session, Channel: p.Name(), Account: who.Issuer + " " + who.Subject})
		})
	}
	user, err := l.recognise(p, a, who)
	if err != nil {
		return err
	}
	return l.begin(w, r, proof{User: user, AuthTime: who.AuthTime, ACR: acrOf(who), Via: p.Name()}, a.For)
}

// recognise finds whose account it is. For a step-up it is the person's own; at
// a sign-in somebody new may make a profile, if the list says so.
func (l *Login) recognise(p Accounts, a attempt, who upstream.Account) (user string, err error) {
	err = l.Store.Update(func(tx store.Tx) error {
		row, err := l.Profiles.byIdentity(tx, who)
		user = row.User
		switch {
		case err == nil && row.Disabled:
			return ErrDisabled
		case err == nil && a.For == stepUp && user != a.User, errors.Is(err, store.ErrNotFound) && a.For == stepUp:
			return errOther
		case errors.Is(err, store.ErrNotFound) && !p.Allow.Has(who):
			return ErrUninvited
		case errors.Is(err, store.ErrNotFound):
			if user, err = l.Profiles.nameFor(tx, p.Name(), who); err != nil {
				return err
			}
			if err := l.note(tx, audit.Line{Event: "profile_new", User: user, Channel: p.Name(), Account: who.Issuer + " " + who.Subject}); err != nil {
				return err
			}
		case err != nil:
			return err
		}
		return l.Profiles.link(tx, user, who)
	})
	return user, err
}

// acrOf keeps a provider's own words, but for those that are deputy's to give
// and for "0", by which a provider says that it means nothing (OpenID Connect
// Core §2).
func acrOf(who upstream.Account) string {
	if who.ACR == "" || who.ACR == "0" || len(who.ACR) > 200 || strings.HasPrefix(who.ACR, ownACR) {
		return ACRAccount
	}
	return who.ACR
}
