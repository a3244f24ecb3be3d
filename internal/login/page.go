package login

import (
	"embed"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"deputy/internal/login/passkey"
	"deputy/internal/login/upstream"
	"deputy/internal/pages"
)

//go:embed templates passkey.js
var files embed.FS

var (
	signInPage   = pages.Parse(files, "templates/signin.html", pages.Passkeys, pages.Outside)
	stepUpPage   = pages.Parse(files, "templates/stepup.html", pages.Passkeys)
	profilePage  = pages.Parse(files, "templates/profile.html", pages.Passkeys)
	recoveryPage = pages.Parse(files, "templates/recovery.html")
	sessionsPage = pages.Parse(files, "templates/sessions.html")
)

// Routes adds the pages of people to mux. They stand behind protection against
// other sites' forms (http.CrossOriginProtection).
func (l *Login) Routes(mux *http.ServeMux) {
	mux.HandleFunc("GET /signin", l.signIn)
	mux.HandleFunc("POST /signin", l.signIn)
	mux.HandleFunc("POST /signin/passkey/options", l.askAnyPasskey)
	mux.HandleFunc("POST /signin/passkey", l.signInWithPasskey)
	mux.HandleFunc("GET /signin/{provider}", l.signInElsewhere)
	mux.HandleFunc("GET /signin/{provider}/callback", l.cameBack)
	mux.HandleFunc("POST /signout", l.signOut)

	mux.HandleFunc("GET /signin/again", l.stepUpPage)
	mux.HandleFunc("POST /signin/again", l.stepUpWithCode)
	mux.HandleFunc("POST /signin/again/options", l.askOwnPasskey)
	mux.HandleFunc("POST /signin/again/passkey", l.stepUpWithPasskey)

	mux.HandleFunc("GET /profile", l.profile)
	mux.HandleFunc("POST /profile/passkeys/options", l.askNewPasskey)
	mux.HandleFunc("POST /profile/passkeys", l.addPasskey)
	mux.HandleFunc("POST /profile/passkeys/remove", l.removePasskey)
	mux.HandleFunc("POST /profile/recovery", l.newRecovery)
	mux.HandleFunc("POST /profile/accounts", l.linkAccount)
	mux.HandleFunc("POST /profile/accounts/remove", l.unlinkAccount)

	mux.HandleFunc("GET /sessions", l.sessions)
	mux.HandleFunc("POST /sessions/end", l.endSessions)
	mux.HandleFunc("GET /passkey.js", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=3600")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		http.ServeFileFS(w, r, files, "passkey.js")
	})
}

// Ask shows the sign-in page in place of one that needs a person, and leads
// back to it.
func (l *Login) Ask(w http.ResponseWriter, r *http.Request) {
	next := r.URL.RequestURI()
	if r.Method != http.MethodGet {
		next = r.URL.Path
	}
	l.renderSignIn(w, r, http.StatusUnauthorized, next, "")
}

// way is an account elsewhere that can be signed in with.
type way struct{ Name, Title, Href string }

func (l *Login) renderSignIn(w http.ResponseWriter, r *http.Request, status int, next, complaint string) {
	data := struct {
		Next, Complaint, Code string
		Passkeys              bool
		Ways                  []way
	}{Next: next, Complaint: complaint, Passkeys: l.Passkeys != nil && l.Profiles != nil}
	if complaint == "signin.from_elsewhere" {
		data.Code = r.FormValue("code")
	}
	for _, p := range l.Accounts {
		data.Ways = append(data.Ways, way{p.Name(), p.Title(), "/signin/" + p.Name() + "?" + url.Values{"next": {next}}.Encode()})
	}
	signInPage.Render(w, r, status, "signin.title", data)
}

// signIn turns a one-time code, or a recovery code, into a session.
func (l *Login) signIn(w http.ResponseWriter, r *http.Request) {
	code, next := strings.TrimSpace(r.FormValue("code")), local(r.FormValue("next"))
	if code == "" {
		l.renderSignIn(w, r, http.StatusOK, next, "")
		return
	}
	// Another site's link could sign the browser in as somebody else, who then
	// gets what the person connects: it takes a press of the button.
	if r.Method == http.MethodGet && r.Header.Get("Sec-Fetch-Site") == "cross-site" {
		l.renderSignIn(w, r, http.StatusOK, next, "signin.from_elsewhere")
		return
	}
	p, err := l.codeProof(code)
	if err == nil {
		err = l.begin(w, r, p, "signin")
	}
	if err != nil {
		l.renderSignIn(w, r, http.StatusUnauthorized, next, "signin.bad_code")
		return
	}
	seeOther(w, r, next)
}

// codeProof is what a code proves: a recovery code less than one from the
// console.
func (l *Login) codeProof(code string) (proof, error) {
	c, err := l.findCode(code)
	if err == nil {
		return proof{User: c.User, AuthTime: time.Now().UTC(), ACR: ACRCode, Via: "code"}, nil
	}
	if !errors.Is(err, ErrDenied) || l.Profiles == nil {
		return proof{}, err
	}
	user, err := l.spendRecovery(code)
	return proof{User: user, AuthTime: time.Now().UTC(), ACR: ACRRecovery, Via: "recovery"}, err
}

func (l *Login) signOut(w http.ResponseWriter, r *http.Request) {
	if _, s, ok := l.person(r); ok {
		if err := l.endSession(s.User, func(o session) bool { return o.ID == s.ID }, "signout"); err != nil {
			l.fail(w, r, err)
			return
		}
	}
	http.SetCookie(w, l.cookie(sessionCookie, "", 0))
	seeOther(w, r, "/signin")
}

func seeOther(w http.ResponseWriter, r *http.Request, to string) {
	pages.Headers(w.Header())
	http.Redirect(w, r, to, http.StatusSeeOther)
}

func writeJSON(w http.ResponseWriter, status int, body []byte) {
	pages.Headers(w.Header())
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(body)
}

// fail says in words what did not work.
func (l *Login) fail(w http.ResponseWriter, r *http.Request, err error) {
	status, key := explain(err)
	pages.Message(w, r, status, "failed.title", key)
}

// explain is the one table from errors to what a person reads. Nothing that a
// provider or a link said is repeated.
func explain(err error) (int, string) {
	for _, c := range []struct {
		err    error
		status int
		key    string
	}{
		{errElsewhere, http.StatusForbidden, "failed.elsewhere"},
		{errReplayed, http.StatusBadRequest, "failed.replayed"},
		{errLong, http.StatusRequestURITooLong, "failed.long"},
		{upstream.ErrState, http.StatusBadRequest, "failed.replayed"},
		{upstream.ErrMixedUp, http.StatusBadRequest, "failed.mixed_up"},
		{upstream.ErrRefused, http.StatusForbidden, "failed.refused"},
		{upstream.ErrToken, http.StatusBadGateway, "failed.token"},
		{upstream.ErrNotNow, http.StatusUnauthorized, "failed.not_now"},
		{upstream.ErrWeak, http.StatusUnauthorized, "failed.weak"},
		{upstream.ErrSilent, http.StatusBadGateway, "failed.silent"},
		{ErrUninvited, http.StatusForbidden, "failed.uninvited"},
		{ErrTaken, http.StatusConflict, "failed.taken"},
		{ErrLastWay, http.StatusConflict, "failed.last_way"},
		{errOther, http.StatusForbidden, "failed.other"},
		{passkey.ErrCloned, http.StatusForbidden, "failed.cloned"},
		{passkey.ErrAnswer, http.StatusForbidden, "failed.passkey"},
		{ErrDenied, http.StatusForbidden, "failed.denied"},
		{ErrDisabled, http.StatusForbidden, "failed.denied"},
	} {
		if errors.Is(err, c.err) {
			return c.status, c.key
		}
	}
	return http.StatusInternalServerError, "failed.store"
}

// errJSON answers the script, which shows the text or goes where it is led.
func (l *Login) errJSON(w http.ResponseWriter, r *http.Request, err error) {
	status, key := explain(err)
	body, _ := json.Marshal(map[string]string{"error": pages.Text(r, key)})
	writeJSON(w, status, body)
}

// local keeps a redirect on this site.
func local(next string) string {
	if !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n\t") || len(next) > 8<<10 {
		return "/approvals"
	}
	return next
}
