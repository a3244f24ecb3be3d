// Package pages renders deputy's HTML: one layout, one stylesheet, in the
// reader's language, nothing from another origin. The only script there is asks
// the browser for a passkey, and only pages that say so load it.
package pages

import (
	"bytes"
	"embed"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"time"
)

//go:embed layout.html leave.html style.css
var files embed.FS

// Option changes what a page is made of.
type Option int

const (
	// Passkeys lets a page load /passkey.js, which talks to our own origin.
	Passkeys Option = iota

	// Outside leaves out the way around: nobody is signed in yet.
	Outside
)

// Page is a template inside the layout, once in each language. Its file defines
// "main", and says texts by their keys: {{t "inbox.title"}}.
type Page struct {
	in                map[Lang]*template.Template
	passkeys, outside bool
}

// Parse reads one page from a package's embedded templates. A key that no
// language knows is a panic, like a template that does not parse.
func Parse(fsys fs.FS, file string, options ...Option) Page {
	p := Page{in: map[Lang]*template.Template{}}
	for _, o := range options {
		p.passkeys = p.passkeys || o == Passkeys
		p.outside = p.outside || o == Outside
	}
	for lang := range catalogue {
		t := template.Must(template.New("layout.html").Funcs(lang.funcs()).ParseFS(files, "layout.html"))
		p.in[lang] = mustKnow(template.Must(t.ParseFS(fsys, file)))
	}
	return p
}

func (l Lang) funcs() template.FuncMap {
	return template.FuncMap{
		"t":    func(key string, args ...any) string { return l.text(key, args...) },
		"when": func(t time.Time) string { return t.Local().Format(l.text("format.when")) },
		"day":  func(t time.Time) string { return t.Local().Format(l.text("format.day")) },
	}
}

const (
	// csp allows our own stylesheet and forms to ourselves, and nothing else.
	csp = "default-src 'none'; style-src 'self'; " + formAction + "; base-uri 'none'; frame-ancestors 'none'"

	formAction = "form-action 'self'"

	// cspPasskeys adds our own script and requests to ourselves.
	cspPasskeys = csp + "; script-src 'self'; connect-src 'self'"
)

// Headers sets what every page carries: no framing, no sniffing, no caching,
// and no Referer for other sites, which could carry a code or an id away. (It
// is not "no-referrer": with that, browsers send our own forms with the origin
// "null".)
func Headers(h http.Header) {
	h.Set("Content-Security-Policy", csp)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

// view is what the layout sees.
type view struct {
	Title             string
	Lang              Lang
	Passkeys, Outside bool
	Languages         []choice
	Data              any
}

// Render writes the page with the given status. The title is a key, or a text
// that has no key because it comes from elsewhere.
func (p Page) Render(w http.ResponseWriter, r *http.Request, status int, title string, data any) {
	p.render(w, r, status, title, data, csp)
}

// RenderLeading is Render for a page whose form leads on to another site: the
// browser lets it go to the given sources too (CSP 3 §6.4.2, form-action).
func (p Page) RenderLeading(w http.ResponseWriter, r *http.Request, status int, title string, data any, to []string) {
	p.render(w, r, status, title, data, strings.Replace(csp, formAction, formAction+" "+strings.Join(to, " "), 1))
}

func (p Page) render(w http.ResponseWriter, r *http.Request, status int, title string, data any, policy string) {
	lang := Language(r)
	var buf bytes.Buffer
	if err := p.in[lang].Execute(&buf, view{lang.text(title), lang, p.passkeys, p.outside, lang.others(r), data}); err != nil {
		http.Error(w, "this page cannot be shown", http.StatusInternalServerError)
		return
	}
	Headers(w.Header())
	w.Header().Set("Content-Security-Policy", policy)
	if p.passkeys {
		w.Header().Set("Content-Security-Policy", cspPasskeys)
	}
	lang.remember(w, r)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	w.Write(buf.Bytes())
}

// message is the page that says one thing; leave the one that leads away.
var (
	message = parseText(`{{define "main"}}<h1>{{.Title}}</h1><p>{{.Data}}</p>{{end}}`)
	leave   = Parse(files, "leave.html")
)

func parseText(text string) Page {
	p := Page{in: map[Lang]*template.Template{}}
	for lang := range catalogue {
		t := template.Must(template.New("layout.html").Funcs(lang.funcs()).ParseFS(files, "layout.html"))
		p.in[lang] = template.Must(t.Parse(text))
	}
	return p
}

// Message renders a page of one sentence. Title and text are keys; args are for
// the text.
func Message(w http.ResponseWriter, r *http.Request, status int, title, text string, args ...any) {
	message.Render(w, r, status, title, Text(r, text, args...))
}

// Leave leads the browser to another site after a form was sent. It is a page
// and no redirect, because a form may lead to ourselves alone (form-action).
func Leave(w http.ResponseWriter, r *http.Request, to string) {
	host := to
	if u, err := url.Parse(to); err == nil {
		host = u.Host
	}
	leave.Render(w, r, http.StatusOK, "leave.title", struct{ To, Host string }{to, host})
}

// Style serves the stylesheet at /style.css.
func Style(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "max-age=3600")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	http.ServeFileFS(w, r, files, "style.css")
}
