package login

import (
	"net/http"

	"deputy/internal/audit"
	"deputy/internal/store"
)

// sessions shows where its person is signed in.
func (l *Login) sessions(w http.ResponseWriter, r *http.Request) {
	c, s, ok := l.person(r)
	if !ok {
		l.Ask(w, r)
		return
	}
	all, err := l.sessionsOf(c.User())
	if err != nil {
		l.fail(w, r, err)
		return
	}
	type shown struct {
		session
		Here bool
		How  string
	}
	var data []shown
	for _, o := range all {
		data = append(data, shown{o, o.ID == s.ID, howKey(o.ACR)})
	}
	sessionsPage.Render(w, r, http.StatusOK, "sessions.title", data)
}

// howKey says in words how a session began.
func howKey(acr string) string {
	switch acr {
	case ACRPasskey:
		return "how.passkey"
	case ACRCode:
		return "how.code"
	case ACRRecovery:
		return "how.recovery"
	}
	return "how.account"
}

// endSessions ends one of a person's sessions, or all.
func (l *Login) endSessions(w http.ResponseWriter, r *http.Request) {
	_, s, ok := l.person(r)
	if !ok {
		l.Ask(w, r)
		return
	}
	which, id := everywhere, r.PostFormValue("id")
	if id != "all" {
		which = func(o session) bool { return o.ID == id }
	}
	if err := l.endSession(s.User, which, "session_end"); err != nil {
		l.fail(w, r, err)
		return
	}
	seeOther(w, r, "/sessions")
}

func (l *Login) endSession(user string, which func(session) bool, event string) error {
	return l.Store.Update(func(tx store.Tx) error {
		if err := l.end(tx, user, which); err != nil {
			return err
		}
		return l.note(tx, audit.Line{Event: event, User: user})
	})
}
