package login

import (
	"embed"
	"net/http"
	"strings"

	"deputy/internal/pages"
)

//go:embed signin.html
var files embed.FS

var signInPage = pages.Parse(files, "signin.html")

// Routes adds the sign-in page to mux.
func (l *Login) Routes(mux *http.ServeMux) {
	mux.HandleFunc("GET /signin", l.signIn)
	mux.HandleFunc("POST /signin", l.signIn)
}

// Ask shows the sign-in page in place of one that needs a person.
func (l *Login) Ask(w http.ResponseWriter, r *http.Request) {
	render(w, http.StatusUnauthorized, r.URL.RequestURI(), "")
}

func render(w http.ResponseWriter, status int, next, complaint string) {
	signInPage.Render(w, status, "Sign in", struct{ Next, Complaint string }{next, complaint})
}

// signIn turns a one-time code into a session. The session is always a new
// one: a cookie that was there before gains nothing (T18).
func (l *Login) signIn(w http.ResponseWriter, r *http.Request) {
	code, next := r.FormValue("code"), local(r.FormValue("next"))
	if code == "" {
		render(w, http.StatusOK, next, "")
		return
	}
	c, err := l.find(codes, strings.TrimSpace(code), true)
	if err == nil {
		err = l.startSession(w, c.User)
	}
	if err != nil {
		render(w, http.StatusUnauthorized, next, "This code was used, is too old, or was never one. Make a new one: deputy approvals open")
		return
	}
	pages.Headers(w.Header())
	http.Redirect(w, r, next, http.StatusSeeOther)
}

// local keeps a redirect on this site.
func local(next string) string {
	if !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n\t") {
		return "/approvals"
	}
	return next
}
