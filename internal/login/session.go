package login

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"deputy/authz"
	"deputy/internal/audit"
	"deputy/internal/store"
)

// session is one browser that a person is signed in with. Its row is found by
// the hash of what the browser holds.
type session struct {
	ID         string    `json:"id"`
	User       string    `json:"user"`
	Generation int       `json:"generation,omitempty"`
	AuthTime   time.Time `json:"auth_time,omitzero"` // when the person proved to be there
	ACR        string    `json:"acr"`                // how
	Made       time.Time `json:"made"`
	Seen       time.Time `json:"seen"`
	Expires    time.Time `json:"expires"`
	Browser    string    `json:"browser"` // as it calls itself
}

var sessions = store.Table[session]{Name: "login/session"}

const (
	sessionCookie = "deputy"
	sessionLife   = 12 * time.Hour
	sessionIdle   = 2 * time.Hour
	seenEvery     = time.Minute

	// browserAgent is the agent name of a person's own browser.
	browserAgent = "browser"
)

func (s session) over() bool {
	return time.Now().After(s.Expires) || time.Since(s.Seen) > sessionIdle
}

// proof is what a session begins with.
type proof struct {
	User     string
	AuthTime time.Time // zero: nobody says when
	ACR      string
	Via      string // the provider's name, for the log
}

// Person lets in the person whose session cookie the request carries.
func (l *Login) Person(r *http.Request) (authz.Caller, bool) {
	c, _, ok := l.person(r)
	return c, ok
}

func (l *Login) person(r *http.Request) (authz.Caller, session, bool) {
	s, err := l.session(r)
	if err != nil {
		return authz.Caller{}, session{}, false
	}
	c, err := l.Door.Caller(r.Context(), authz.Principal{
		User: s.User, Agent: browserAgent, Session: s.ID, AuthTime: s.AuthTime, ACR: s.ACR,
	})
	return c, s, err == nil
}

// session finds the request's session, if it is still one.
func (l *Login) session(r *http.Request) (s session, err error) {
	cookie, err := r.Cookie(l.cookie(sessionCookie, "", 0).Name)
	if err != nil {
		return s, ErrDenied
	}
	err = l.Store.View(func(tx store.Tx) error {
		if s, err = sessions.Get(tx, hashed(cookie.Value)); err != nil {
			return ErrDenied
		}
		return l.current(tx, s)
	})
	if err == nil && time.Since(s.Seen) > seenEvery {
		s.Seen = time.Now().UTC()
		err = l.Store.Update(func(tx store.Tx) error {
			if _, err := sessions.Get(tx, s.ID); err != nil { // ended just now
				return ErrDenied
			}
			return sessions.Put(tx, s, s.ID)
		})
	}
	return s, err
}

// current: its time is not over, and its profile has not ended it.
func (l *Login) current(tx store.Tx, s session) error {
	if s.over() {
		return ErrDenied
	}
	if l.Profiles == nil {
		return nil
	}
	row, err := l.Profiles.get(tx, s.User)
	if err == nil && (row.Disabled || row.Generation != s.Generation) {
		err = ErrDenied
	}
	return err
}

// begin starts a session. It always has a new name: what the browser held
// before is over and gains nothing (T18).
func (l *Login) begin(w http.ResponseWriter, r *http.Request, p proof, event string) error {
	if _, err := l.Door.Caller(r.Context(), authz.Principal{User: p.User, Agent: browserAgent}); err != nil {
		return ErrDenied
	}
	text, now := secret(), time.Now().UTC()
	s := session{
		ID: hashed(text), User: p.User, AuthTime: p.AuthTime, ACR: p.ACR,
		Made: now, Seen: now, Expires: now.Add(sessionLife), Browser: browser(r.UserAgent()),
	}
	err := l.Store.Update(func(tx store.Tx) error {
		if l.Profiles != nil {
			row, err := l.Profiles.get(tx, p.User)
			if err != nil {
				return err
			}
			if row.Disabled {
				return ErrDisabled
			}
			s.Generation = row.Generation
		}
		if old, err := r.Cookie(l.cookie(sessionCookie, "", 0).Name); err == nil {
			if err := sessions.Delete(tx, hashed(old.Value)); err != nil {
				return err
			}
		}
		return errors.Join(sessions.Put(tx, s, s.ID),
			l.note(tx, audit.Line{Event: event, User: p.User, Session: s.ID, Channel: p.Via, Outcome: p.ACR}))
	})
	if err == nil {
		http.SetCookie(w, l.cookie(sessionCookie, text, sessionLife))
	}
	return err
}

// sessionsOf lists where a person is signed in, last used first.
func (l *Login) sessionsOf(user string) (all []session, err error) {
	err = l.Store.View(func(tx store.Tx) error {
		all = nil
		return sessions.All(tx, func(s session) error {
			if s.User == user && l.current(tx, s) == nil {
				all = append(all, s)
			}
			return nil
		})
	})
	slices.SortFunc(all, func(a, b session) int { return b.Seen.Compare(a.Seen) })
	return all, err
}

// end ends the sessions of a person that match.
func (l *Login) end(tx store.Tx, user string, match func(session) bool) error {
	return sessions.DeleteIf(tx, func(s session) bool { return s.User == user && match(s) })
}

// everywhere is every session.
func everywhere(session) bool { return true }
