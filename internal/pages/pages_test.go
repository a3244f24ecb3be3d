package pages

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

var verb = regexp.MustCompile(`%[a-z]`)

// TestEveryTextIsInEveryLanguage, with the same places for what is put into it.
func TestEveryTextIsInEveryLanguage(t *testing.T) {
	for lang, texts := range catalogue {
		for key, text := range texts {
			if strings.TrimSpace(text) == "" || strings.TrimSpace(text) != text {
				t.Errorf("%s: %s is blank or has blanks around it", lang, key)
			}
			if got, want := strings.Join(verb.FindAllString(text, -1), ""), strings.Join(verb.FindAllString(english[key], -1), ""); got != want {
				t.Errorf("%s: %s has %q where English has %q", lang, key, got, want)
			}
		}
		for key := range english {
			if texts[key] == "" {
				t.Errorf("%s lacks %s", lang, key)
			}
		}
	}
	for key, text := range korean {
		if !strings.ContainsFunc(text, func(r rune) bool { return r >= '가' && r <= '힣' }) {
			t.Errorf("%s is not Korean: %q", key, text)
		}
	}
}

// TestEveryKeyIsKnownAndUsed: what Go code and templates name is there, and what
// is there is named. (A template with an unknown key does not even parse.)
func TestEveryKeyIsKnownAndUsed(t *testing.T) {
	groups := map[string]bool{}
	for key := range english {
		group, _, _ := strings.Cut(key, ".")
		groups[group] = true
	}
	used := map[string]bool{}
	see := func(where, text string) {
		group, rest, ok := strings.Cut(text, ".")
		if !ok || rest == "js" || rest == "html" || !groups[group] || !regexp.MustCompile(`^[a-z_]+$`).MatchString(rest) {
			return
		}
		if used[text] = true; english[text] == "" {
			t.Errorf("%s names %q, which is no key", where, text)
		}
	}
	for _, dir := range []string{"../../approvals", "../../vault", "../../cmd/deputy", "../authserver", "../login", "."} {
		err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			switch name := e.Name(); {
			case strings.HasSuffix(name, ".html"):
				text, err := os.ReadFile(path)
				for _, m := range regexp.MustCompile(`"([a-z]+\.[a-z_]+)"`).FindAllStringSubmatch(string(text), -1) {
					see(path, m[1])
				}
				return err
			case !strings.HasSuffix(name, ".go"), strings.HasSuffix(name, "_test.go"), name == "en.go", name == "ko.go":
				return nil
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
					if text, err := strconv.Unquote(lit.Value); err == nil {
						see(path, text)
					}
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for key := range english {
		if !used[key] && !strings.HasPrefix(key, "state.") { // those are put together
			t.Errorf("nothing says %s", key)
		}
	}
}

func TestAnUnknownKeyDoesNotParse(t *testing.T) {
	for _, body := range []string{
		`{{t "no.such"}}`, `{{if t "no.such"}}{{end}}`, `{{with .Data}}{{t "no.such" .}}{{end}}`, `{{range .Data}}x{{else}}{{printf "%s" (t "no.such")}}{{end}}`,
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s parses", body)
				}
			}()
			Parse(fstest.MapFS{"x.html": {Data: []byte(`{{define "main"}}` + body + `{{end}}`)}}, "x.html")
		}()
	}
}

func TestLanguage(t *testing.T) {
	for _, c := range []struct {
		accept, cookie, query string
		want                  Lang
	}{
		{"", "", "", English}, {"ko-KR,ko;q=0.9,en;q=0.8", "", "", Korean}, {"en-GB,ko;q=0.5", "", "", English}, {"fr,ko;q=0.3", "", "", Korean},
		{"fr", "", "", English}, {"ko;q=0", "", "", English}, {"%%%", "", "", English}, {strings.Repeat("ko,", 5000), "", "", English},
		{"ko", "en", "", English}, {"en", "ko", "", Korean}, {"en", "xx", "", English}, {"en", "en", "lang=ko", Korean}, {"ko", "", "lang=xx", Korean},
	} {
		r := httptest.NewRequest("GET", "/?"+c.query, nil)
		r.Header.Set("Accept-Language", c.accept)
		r.AddCookie(&http.Cookie{Name: "lang", Value: c.cookie})
		if got := Language(r); got != c.want {
			t.Errorf("%.40q %q %q: %s", c.accept, c.cookie, c.query, got)
		}
	}
}

// TestChooser: another language is one link away, which keeps the page, and is
// remembered.
func TestChooser(t *testing.T) {
	get := func(method, target string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		Message(w, httptest.NewRequest(method, target, nil), 200, "missing.title", "missing.page")
		return w
	}
	if page := get("GET", "/x?next=/y").Body.String(); !strings.Contains(page, `href="?lang=ko&amp;next=%2Fy"`) || !strings.Contains(page, `<html lang="en">`) {
		t.Errorf("%s", page)
	}
	w := get("GET", "/x?lang=ko")
	if page := w.Body.String(); !strings.Contains(page, `<html lang="ko">`) || !strings.Contains(page, "찾을 수 없습니다") {
		t.Errorf("%s", page)
	}
	if c := w.Result().Cookies(); len(c) != 1 || c[0].Name != "lang" || c[0].Value != "ko" {
		t.Errorf("%v", c)
	}
	for _, target := range []string{"/signin?code=secret", "/connect/x/callback?state=secret"} {
		if page := get("GET", target).Body.String(); strings.Contains(page, "secret") {
			t.Errorf("%s is repeated: %s", target, page)
		}
	}
	if page := get("POST", "/x").Body.String(); strings.Contains(page, "lang=ko") {
		t.Error("an answer to a form can be asked for again")
	}
}

// TestLeave leads away without a redirect, and without letting the address be
// more than one.
func TestLeave(t *testing.T) {
	w := httptest.NewRecorder()
	Leave(w, httptest.NewRequest("POST", "/", nil), `https://idp.example/auth?a=1&b="><script>`)
	page := w.Body.String()
	if w.Code != 200 || strings.Contains(page, "<script") || !strings.Contains(page, `http-equiv="refresh"`) || !strings.Contains(page, "idp.example") {
		t.Errorf("%d %s", w.Code, page)
	}
}
