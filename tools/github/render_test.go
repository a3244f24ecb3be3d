package github

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"deputy/approvals"
	"deputy/authz"
	"deputy/tools"

	"github.com/google/go-cmp/cmp"
)

func write(method, path, body string) approvals.Request {
	return approvals.Request{Method: method, Path: path, ContentType: "application/json", Body: []byte(body)}
}

// Only the one form in which deputy sends is shown.
func TestRenderIsStrict(t *testing.T) {
	const path = "/repos/octo-anna/harbor/issues"
	good := write("POST", path, `{"title":"hi"}`)
	if _, err := render("octo-anna", good); err != nil {
		t.Fatal(err)
	}
	plain := good
	plain.ContentType = "text/plain"
	charset := good
	charset.ContentType = "application/json; charset=utf-8"
	for name, r := range map[string]approvals.Request{
		"content type":          plain,
		"charset":               charset,
		"method":                write("PUT", path, `{"title":"hi"}`),
		"no method":             write("", path, `{"title":"hi"}`),
		"delete":                write("DELETE", path+"/1", ``),
		"patch of the list":     write("PATCH", path, `{"title":"hi"}`),
		"post to an issue":      write("POST", path+"/1", `{"title":"hi"}`),
		"number 0":              write("PATCH", path+"/0", `{"title":"hi"}`),
		"number 01":             write("PATCH", path+"/01", `{"title":"hi"}`),
		"number -1":             write("PATCH", path+"/-1", `{"title":"hi"}`),
		"no number":             write("PATCH", path+"/", `{"title":"hi"}`),
		"long number":           write("PATCH", path+"/12345678901234567890", `{"title":"hi"}`),
		"query":                 write("POST", path+"?x=1", `{"title":"hi"}`),
		"fragment":              write("POST", path+"#x", `{"title":"hi"}`),
		"dots":                  write("POST", "/repos/../harbor/issues", `{"title":"hi"}`),
		"escaped slash":         write("POST", "/repos/octo%2Fanna/harbor/issues", `{"title":"hi"}`),
		"other path":            write("POST", "/repos/octo-anna/harbor/pulls", `{"title":"hi"}`),
		"a host":                write("POST", "//evil.example/repos/octo-anna/harbor/issues", `{"title":"hi"}`),
		"unknown field":         write("POST", path, `{"title":"hi","milestone":1}`),
		"field twice":           write("POST", path, `{"title":"hi","title":"ho"}`),
		"field in caps":         write("POST", path, `{"Title":"hi"}`),
		"null":                  write("POST", path, `{"title":"hi","body":null}`),
		"after the end":         write("POST", path, `{"title":"hi"}{}`),
		"newline after the end": write("POST", path, "{\"title\":\"hi\"}\n"),
		"blanks":                write("POST", path, `{"title": "hi"}`),
		"other order":           write("POST", path, `{"body":"x","title":"hi"}`),
		"other escapes":         write("POST", path, `{"title":"\u0068i"}`),
		"no JSON":               write("POST", path, `title=hi`),
		"empty":                 write("POST", path, ``),
		"a list":                write("POST", path, `[]`),
		"no title":              write("POST", path, `{"body":"x"}`),
		"state of a new one":    write("POST", path, `{"title":"hi","state":"closed"}`),
		"nothing to change":     write("PATCH", path+"/1", `{}`),
		"unknown state":         write("PATCH", path+"/1", `{"state":"merged"}`),
		"reason alone":          write("PATCH", path+"/1", `{"state_reason":"completed"}`),
		"bidi in the title":     write("PATCH", path+"/1", "{\"title\":\"a\u202eb\"}"),
		"two lines":             write("PATCH", path+"/1", `{"title":"a\nb"}`),
		"long text":             write("PATCH", path+"/1", `{"body":"`+strings.Repeat("x", maxText+1)+`"}`),
		"a label that is empty": write("PATCH", path+"/1", `{"labels":[""]}`),
	} {
		if p, err := render("octo-anna", r); err == nil {
			t.Errorf("%s: it is shown: %v", name, p)
		}
	}
}

// Everything that can be said about an issue is in what the person reads.
func TestEveryFieldIsShown(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 11))
	coin := func() bool { return random.IntN(2) == 0 }
	pick := func(from ...string) string { return from[random.IntN(len(from))] }
	text := func() string {
		var b strings.Builder
		for range random.IntN(30) {
			b.WriteRune([]rune(`ab 갈é<>@#"',&[]()!/:.-\`)[random.IntN(22)])
		}
		return b.String() + "z"
	}
	several := func(one func() string) []string {
		out := []string{}
		for range random.IntN(4) {
			out = append(out, one())
		}
		return out
	}
	for range 2000 {
		at := target{repo{"octo-anna", pick("Harbor", "pay_roll", "a.b-c")}, 1 + random.IntN(999_999_999)}
		var c change
		if coin() {
			c.Title = new(text())
		}
		if coin() {
			c.Body = new(pick("", text()+"\n"+text()))
		}
		if coin() {
			c.Labels = several(text)
		}
		if coin() {
			c.Assignees = several(func() string { return pick("ben-ortiz", "gull", "Octo-Anna") })
		}
		switch random.IntN(3) {
		case 0:
			c.State, c.StateReason = "open", pick("", "reopened")
		case 1:
			c.State, c.StateReason = "closed", pick("", "completed", "not_planned")
		}
		if cmp.Equal(c, change{}) {
			continue
		}
		p, err := render("octo-anna", updateForm.request(at, c))
		if err != nil {
			t.Fatalf("%s: %v", encode(c), err)
		}
		shown := p.Text()
		has := func(what string) {
			if !strings.Contains(shown, what) {
				t.Errorf("%q is missing in %s", what, shown)
			}
		}
		has("Repository: " + at.repo.String() + "\n")
		has(fmt.Sprintf("Issue: #%d\n", at.number))
		if c.Title != nil {
			has("Title: " + *c.Title + "\n")
		}
		if c.Body != nil {
			has(*c.Body)
			if *c.Body == "" {
				has("Body: (empty)\n")
			}
		}
		if c.Labels != nil {
			has("Labels: " + listed(c.Labels) + "\n")
		}
		for _, l := range c.Labels {
			has(listed([]string{l}))
		}
		if c.Assignees != nil {
			has("Assignees: " + listed(c.Assignees) + "\n")
		}
		if c.State != "" {
			has("State: " + c.State)
			has(c.StateReason)
		}
		want := []authz.Object{authz.NewObject("github_issue", "octo-anna", strings.ToLower(at.repo.name), strconv.Itoa(at.number))}
		if diff := cmp.Diff(want, p.Changes); diff != "" {
			t.Errorf("changes: %s", diff)
		}
	}
}

// Two labels never look like one, nor one like two.
func TestListed(t *testing.T) {
	for want, names := range map[string][]string{
		"(none)":       {},
		"a, b":         {"a", "b"},
		`"a, b"`:       {"a, b"},
		`"a\"", "\"b"`: {`a"`, `"b`},
		`"a\\\", \"b"`: {`a\", "b`},
		`"(none)"`:     {"(none)"},
	} {
		if got := listed(names); got != want {
			t.Errorf("%q: %s, want %s", names, got, want)
		}
	}
}

func TestNotes(t *testing.T) {
	for text, want := range map[string]string{
		"plain":                                             "",
		"mail anna@example.com or a/@b":                     "",
		"@ben, (@ben) and @northwind/crew":                  "Mentioned, and so notified: @ben, @northwind/crew.",
		"closes #4":                                         "",
		"a <!-- b":                                          "A part of the text is an HTML comment: it is hidden on GitHub.",
		"[docs](docs/launch.md)":                            "",
		"[example.com](https://example.com/)":               "",
		"[here](https://Example.com/x)":                     "A link that reads “here” leads to example.com.",
		"[example.com](<//evil.example>)":                   "A link that reads “example.com” leads to evil.example.",
		"[example.com][1]\n\n[1]: https://evil.example":     "A link that reads “example.com” leads to evil.example.",
		`<a title=x href="https://evil.example/">safe</a>`:  "A link that reads “safe” leads to evil.example.",
		"![](https://px.example/?q=secret)":                 "An image is loaded from px.example.",
		"<img src=https://px.example/a.png>":                "An image is loaded from px.example.",
		"[a](https://example.com@evil.example/example.com)": "A link that reads “a” leads to evil.example.",
		"[a](https://%zz)":                                  "A link that reads “a” leads to https://%zz.",
	} {
		if got := strings.Join(notes(text), "\n"); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	var long strings.Builder
	for n := range maxNotes + 4 {
		fmt.Fprintf(&long, "@user%d [%s](//host%d.example) ", n, strings.Repeat("갈", 40), n)
	}
	got := strings.Join(notes(long.String()), "\n")
	for _, want := range []string{"@user7 and 4 more.", "There are 4 more such links and images.", strings.Repeat("갈", 20) + "…” leads to host7.example."} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in %q", want, got)
		}
	}
}

// The limits are GitHub's, and each refusal names its field.
func TestLimits(t *testing.T) {
	many := func(n int, s string) []string { return slices.Repeat([]string{s}, n) }
	long := func(n int) *string { return new(strings.Repeat("갈", n)) }
	for name, c := range map[string]struct {
		c     change
		field string
	}{
		"title":               {change{Title: long(maxTitle)}, ""},
		"longer title":        {change{Title: long(maxTitle + 1)}, "title"},
		"emoji":               {change{Title: new("👩\u200d🚀 \u2764\ufe0f")}, ""},
		"zero-width space":    {change{Title: new("a\u200bb")}, "title"},
		"carriage return":     {change{Title: new("a\rb")}, "title"},
		"body":                {change{Body: long(maxText)}, ""},
		"longer body":         {change{Body: long(maxText + 1)}, "body"},
		"lines":               {change{Body: new("a\r\n\tb\n")}, ""},
		"escape":              {change{Body: new("a\x1b[2Jb")}, "body"},
		"labels":              {change{Labels: many(maxLabels, *long(maxLabel))}, ""},
		"more labels":         {change{Labels: many(maxLabels+1, "a")}, "labels"},
		"longer label":        {change{Labels: []string{"a", *long(maxLabel + 1)}}, "labels[1]"},
		"label in two lines":  {change{Labels: []string{"a\nb"}}, "labels[0]"},
		"assignees":           {change{Assignees: many(maxAssignees, "a")}, ""},
		"more assignees":      {change{Assignees: many(maxAssignees+1, "a")}, "assignees"},
		"assignee by address": {change{Assignees: []string{"a@b"}}, "assignees[0]"},
	} {
		field := ""
		var bad *tools.InputError
		if errors.As(c.c.checkUpdate(), &bad) {
			field = bad.Field
		}
		if field != c.field {
			t.Errorf("%s: %q is refused, want %q", name, field, c.field)
		}
	}
}

// FuzzRender: whatever the bytes, it shows them or refuses them; and what it
// shows is the same the next time, and is all there is.
func FuzzRender(f *testing.F) {
	for _, r := range []approvals.Request{
		createForm.request(target{repo: repo{"octo", "hello"}}, json.RawMessage(`{"title":"hi","body":"@a <!-- -->","labels":["a,b"],"assignees":["x"]}`)),
		updateForm.request(target{repo{"Octo", "Hello"}, 7}, json.RawMessage(`{"body":"","labels":[],"state":"closed","state_reason":"completed"}`)),
		write("POST", "/repos/octo/hello/issues/7/comments", `{"body":"[a](//b.example)"}`),
		write("POST", "/repos/../../issues", `{"title":"hi"}`),
	} {
		f.Add(r.Method, r.Path, r.ContentType, r.Body)
	}
	f.Fuzz(func(t *testing.T, method, path, contentType string, body []byte) {
		r := approvals.Request{Method: method, Path: path, ContentType: contentType, Body: body}
		before := bytes.Clone(body)
		p, err := render("octo-anna", r)
		if !bytes.Equal(before, body) {
			t.Fatal("it changed the body")
		}
		if err != nil {
			if len(p.Fields)+len(p.Changes)+len(p.Notes) > 0 || p.Body != "" {
				t.Error("it refuses and shows")
			}
			return
		}
		again, err := render("octo-anna", r)
		if err != nil || !cmp.Equal(p, again) {
			t.Errorf("the second time it is %v, %v", again, err)
		}
		if len(p.Changes) != 1 || p.Changes[0].Part("github_repo", 2) == "" || strings.ToLower(string(p.Changes[0])) != string(p.Changes[0]) {
			t.Errorf("changes %v", p.Changes)
		}
		var said map[string]any
		if err := json.Unmarshal(body, &said); err != nil {
			t.Fatal(err)
		}
		for name, v := range said {
			if s, ok := v.(string); ok && !strings.Contains(p.Text(), s) {
				t.Errorf("%s %q is not shown", name, s)
			}
		}
	})
}
