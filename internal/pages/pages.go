// Package pages renders deputy's HTML: one layout, one stylesheet, no script,
// nothing from another origin.
package pages

import (
	"bytes"
	"embed"
	"html/template"
	"io/fs"
	"net/http"
	"time"
)

//go:embed layout.html style.css
var files embed.FS

var layout = template.Must(template.New("layout.html").Funcs(template.FuncMap{
	"when": func(t time.Time) string { return t.Local().Format("2 Jan 15:04:05") },
}).ParseFS(files, "layout.html"))

// Page is a template inside the layout. Its file defines "main".
type Page struct{ t *template.Template }

// Parse reads one page from a package's embedded templates.
func Parse(fsys fs.FS, file string) Page {
	return Page{template.Must(template.Must(layout.Clone()).ParseFS(fsys, file))}
}

// csp allows our own stylesheet and forms to ourselves, and nothing else.
const csp = "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// Headers sets what every page carries: no framing, no sniffing, no caching,
// and no Referer for other sites, which could carry a code or an id away. (It
// is not "no-referrer": with that, browsers send our own forms with the origin
// "null".)
func Headers(h http.Header) {
	h.Set("Content-Security-Policy", csp)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

// Render writes the page with the given status.
func (p Page) Render(w http.ResponseWriter, status int, title string, data any) {
	var buf bytes.Buffer
	if err := p.t.Execute(&buf, struct {
		Title string
		Data  any
	}{title, data}); err != nil {
		http.Error(w, "this page cannot be shown", http.StatusInternalServerError)
		return
	}
	Headers(w.Header())
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	w.Write(buf.Bytes())
}

// message is the page that says one thing.
var message = Page{template.Must(template.Must(layout.Clone()).Parse(
	`{{define "main"}}<h1>{{.Title}}</h1><p>{{.Data}}</p>{{end}}`))}

// Message renders a page of one sentence.
func Message(w http.ResponseWriter, status int, title, text string) {
	message.Render(w, status, title, text)
}

// Style serves the stylesheet at /style.css.
func Style(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "max-age=3600")
	http.ServeFileFS(w, r, files, "style.css")
}
