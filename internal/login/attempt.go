package login

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"deputy/internal/audit"
	"deputy/internal/login/passkey"
	"deputy/internal/login/upstream"
	"deputy/internal/store"
)

// attempt is a sign-in, an enrolment or a link under way. The browser keeps it,
// sealed, in a cookie of its own: another browser cannot finish it (T2), nothing
// is stored for those who never finish, and a finished one is not taken again
// (T1).
type attempt struct {
	ID      string    `json:"id"`
	For     string    `json:"for"`  // signIn, stepUp, enrol or link
	With    string    `json:"with"` // the provider's name, or "passkey"
	Session string    `json:"session,omitempty"`
	User    string    `json:"user,omitempty"`
	Next    string    `json:"next,omitempty"`
	Expires time.Time `json:"expires"`

	Passkey  *passkey.Challenge `json:"passkey,omitempty"`
	Upstream *upstream.Attempt  `json:"upstream,omitempty"`
}

// What an attempt is for.
const (
	signIn = "signin"
	stepUp = "stepup"
	enrol  = "enrol"
	link   = "link"
)

const (
	upstreamLife = 10 * time.Minute
	maxCookie    = 4 << 10 // browsers drop a longer one without a word (RFC 6265bis §5.6)
)

// Sentinels of attempts.
var (
	errElsewhere = errors.New("login: begun in another browser, or too long ago")
	errReplayed  = errors.New("login: finished before")
	errLong      = errors.New("login: the address to come back to is too long")
)

// used are the attempts that were finished, until they would have expired.
var used = store.Table[time.Time]{Name: "login/used"}

// attemptCookie is one for each way, so that two ways in two windows do not
// take each other's place.
func attemptCookie(with string) string { return "deputy-" + with }

// put seals an attempt and gives it to the browser.
func (l *Login) put(w http.ResponseWriter, a attempt, life time.Duration) error {
	a.ID, a.Expires = rand.Text(), time.Now().Add(life).UTC()
	plain, err := json.Marshal(a)
	if err != nil {
		return err
	}
	sealed, err := l.Sealer.Seal([]byte("login/attempt/"+a.With), plain)
	if err != nil {
		return err
	}
	c := l.cookie(attemptCookie(a.With), base64.RawURLEncoding.EncodeToString(sealed), life)
	if len(c.Name)+len(c.Value) > maxCookie {
		return errLong
	}
	http.SetCookie(w, c)
	return nil
}

// take opens the browser's attempt and takes it back.
func (l *Login) take(w http.ResponseWriter, r *http.Request, with string) (a attempt, err error) {
	cookie, err := r.Cookie(l.cookie(attemptCookie(with), "", 0).Name)
	if err != nil {
		return a, errElsewhere
	}
	http.SetCookie(w, l.cookie(attemptCookie(with), "", 0))
	sealed, err := base64.RawURLEncoding.DecodeString(cookie.Value)
	if err != nil {
		return a, errElsewhere
	}
	plain, err := l.Sealer.Open([]byte("login/attempt/"+with), sealed)
	if err != nil || json.Unmarshal(plain, &a) != nil || time.Now().After(a.Expires) {
		return attempt{}, errElsewhere
	}
	return a, nil
}

// once uses an attempt up.
func (l *Login) once(tx store.Tx, a attempt) error {
	if _, err := used.Get(tx, a.ID); err == nil {
		return errReplayed
	} else if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	return used.Put(tx, a.Expires, a.ID)
}

// sameSession: what a signed-in person began is finished in the same session,
// which is still one.
func (l *Login) sameSession(r *http.Request, a attempt) (session, error) {
	_, s, ok := l.person(r)
	if !ok || s.ID != a.Session || s.User != a.User {
		return session{}, errElsewhere
	}
	return s, nil
}

// refuse notes an attempt that came back wrong: replayed, from another browser,
// with a copied passkey.
func (l *Login) refuse(a attempt, why string) error {
	return l.noteAlone(audit.Line{Event: "signin_refused", User: a.User, Session: a.Session, Channel: a.With, Outcome: why})
}
