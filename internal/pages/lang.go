package pages

import (
	"fmt"
	"html/template"
	"net/http"
	"text/template/parse"

	"golang.org/x/text/language"
)

// Lang is a language that pages are written in (BCP 47).
type Lang string

// The languages. Texts are in one file each: en.go, ko.go.
const (
	English Lang = "en"
	Korean  Lang = "ko"
)

var (
	catalogue = map[Lang]map[string]string{English: english, Korean: korean}
	ordered   = []Lang{English, Korean}
	names     = map[Lang]string{English: "English", Korean: "한국어"}
	matcher   = language.NewMatcher([]language.Tag{language.English, language.Korean})
)

const langCookie = "lang"

// Language is the one a request is answered in: what was just chosen (?lang=),
// else what was chosen before, else what the browser asks for.
func Language(r *http.Request) Lang {
	if l := Lang(r.URL.Query().Get("lang")); catalogue[l] != nil {
		return l
	}
	if c, err := r.Cookie(langCookie); err == nil && catalogue[Lang(c.Value)] != nil {
		return Lang(c.Value)
	}
	accept := r.Header.Get("Accept-Language")
	tags, _, err := language.ParseAcceptLanguage(accept[:min(len(accept), 256)])
	if err != nil {
		return English
	}
	_, i, _ := matcher.Match(tags...)
	return ordered[i]
}

// Text is a text in the language of a request.
func Text(r *http.Request, key string, args ...any) string { return Language(r).text(key, args...) }

// text falls back on what it was given: some titles come from elsewhere.
func (l Lang) text(key string, args ...any) string {
	text, ok := catalogue[l][key]
	if !ok {
		return key
	}
	if len(args) == 0 {
		return text
	}
	return fmt.Sprintf(text, args...)
}

// remember keeps what was chosen for a year.
func (l Lang) remember(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Has("lang") && r.URL.Query().Get("lang") == string(l) {
		http.SetCookie(w, &http.Cookie{Name: langCookie, Value: string(l), Path: "/", MaxAge: 365 * 24 * 3600, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	}
}

// choice is a link to this page in another language.
type choice struct {
	Lang       Lang
	Name, Href string
}

// others are the languages to choose from. A page that answers a form, or whose
// address holds a credential, is not asked for again.
func (l Lang) others(r *http.Request) (out []choice) {
	q := r.URL.Query()
	if r.Method != http.MethodGet || q.Has("code") || q.Has("state") {
		return nil
	}
	for _, other := range ordered {
		if other != l {
			q.Set("lang", string(other))
			out = append(out, choice{other, names[other], "?" + q.Encode()})
		}
	}
	return out
}

// mustKnow panics on a template that says a text no language has.
func mustKnow(t *template.Template) *template.Template {
	for _, part := range t.Templates() {
		if part.Tree == nil {
			continue
		}
		for _, key := range keysIn(part.Tree.Root) {
			if english[key] == "" {
				panic(fmt.Sprintf("pages: template %s says %q, which is no key", part.Name(), key))
			}
		}
	}
	return t
}

// keysIn finds the keys that a template names: strings that are the first word
// after t.
func keysIn(n parse.Node) (keys []string) {
	switch n := n.(type) {
	case *parse.ListNode:
		if n != nil {
			for _, c := range n.Nodes {
				keys = append(keys, keysIn(c)...)
			}
		}
	case *parse.ActionNode:
		keys = keysIn(n.Pipe)
	case *parse.IfNode:
		keys = append(keysIn(n.Pipe), append(keysIn(n.List), keysIn(n.ElseList)...)...)
	case *parse.RangeNode:
		keys = append(keysIn(n.Pipe), append(keysIn(n.List), keysIn(n.ElseList)...)...)
	case *parse.WithNode:
		keys = append(keysIn(n.Pipe), append(keysIn(n.List), keysIn(n.ElseList)...)...)
	case *parse.TemplateNode:
		keys = keysIn(n.Pipe)
	case *parse.PipeNode:
		if n != nil {
			for _, c := range n.Cmds {
				keys = append(keys, keysIn(c)...)
			}
		}
	case *parse.CommandNode:
		for _, arg := range n.Args[1:] {
			keys = append(keys, keysIn(arg)...)
		}
		if f, ok := n.Args[0].(*parse.IdentifierNode); ok && f.Ident == "t" && len(n.Args) > 1 {
			if s, ok := n.Args[1].(*parse.StringNode); ok {
				keys = append(keys, s.Text)
			}
		}
	}
	return keys
}
