package github

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"deputy/authz"

	"github.com/google/go-cmp/cmp"
)

var (
	open   = home{asked: repo{"octo", "hello"}, repo: repo{"octo", "hello"}, visibility: public, account: "octo-anna"}
	closed = home{asked: repo{"octo", "hello"}, repo: repo{"octo", "hello"}, account: "octo-anna"}
)

func TestLabels(t *testing.T) {
	app := json.RawMessage(`{}`)
	for _, c := range []struct {
		name string
		at   home
		w    wireIssue
		want string
	}{
		{"a stranger", open, wireIssue{Association: "NONE", User: &wireUser{"gull"}}, "untrusted/public"},
		{"who once helped", open, wireIssue{Association: "CONTRIBUTOR", User: &wireUser{"gull"}}, "untrusted/public"},
		{"an insider", open, wireIssue{Association: "MEMBER", User: &wireUser{"ben"}}, "trusted/public"},
		{"in private", closed, wireIssue{Association: "COLLABORATOR", User: &wireUser{"ben"}}, "trusted/private"},
		{"a stranger in private", closed, wireIssue{Association: "NONE", User: &wireUser{"gull"}}, "untrusted/private"},
		{"the account, in a repository not its own", open, wireIssue{Association: "NONE", User: &wireUser{"Octo-Anna"}}, "trusted/public"},
		{"an app in an insider's name", open, wireIssue{Association: "OWNER", User: &wireUser{"octo"}, App: &app}, "untrusted/public"},
		{"an account that is gone", open, wireIssue{}, "untrusted/public"},
		{"of another repository", open, wireIssue{Association: "OWNER", User: &wireUser{"gull"}, RepoURL: "https://api.github.com/repos/gull/trap"}, "untrusted/private"},
	} {
		c.w.Number = 3
		if c.w.RepoURL == "" {
			c.w.RepoURL = "https://api.github.com/repos/Octo/Hello"
		}
		i, err := c.at.issue(c.w, noText)
		if err != nil || i.Label().String() != c.want {
			t.Errorf("%s: %s, %v, want %s", c.name, i.Label(), err, c.want)
		}
	}
	nobody := home{asked: open.asked, repo: open.repo, visibility: public}
	if l := nobody.written(open.repo, &wireUser{}, "", false); l.Integrity != authz.Untrusted {
		t.Error("nobody's name is the account's")
	}
}

// A rule on octo/hello holds for Octo/Hello and for all that is in it.
func TestObjects(t *testing.T) {
	account := authz.Object("account:github/octo-anna")
	r := repo{"Octo", "Hello"}
	base := []string{"account:github/octo-anna account github_org:octo", "github_org:octo org github_repo:octo/hello"}
	private := []string{"kind:github/private kind github_repo:octo/hello"}
	both := append([]string{"kind:github/public kind github_repo:octo/hello"}, private...)
	known := r.place()
	known.kind = "private"
	for _, c := range []struct {
		want  authz.Object
		at    place
		facts []string
		kinds []string
	}{
		{"github_repo:octo/hello", r.place(), nil, both},
		{"github_repo:octo/hello", known, nil, private},
		{"github_issue:octo/hello/3", r.issue(3), []string{"github_repo:octo/hello repo github_issue:octo/hello/3"}, both},
		{"github_path:octo/hello/docs/Launch.md", r.file("docs/Launch.md"), []string{
			"github_repo:octo/hello parent github_path:octo/hello/docs",
			"github_path:octo/hello/docs parent github_path:octo/hello/docs/Launch.md"}, both},
		{"github_path:octo/hello/a%20b%3Ac%23d%25e", r.file("a b:c#d%e"), []string{"github_repo:octo/hello parent github_path:octo/hello/a%20b%3Ac%23d%25e"}, both},
		{"github_path:octo/hello/%2A", r.file("*"), []string{"github_repo:octo/hello parent github_path:octo/hello/%2A"}, both},
		{"github_path:octo/hello/a/%0A", r.file("a/\n"), []string{"github_repo:octo/hello parent github_path:octo/hello/a", "github_path:octo/hello/a parent github_path:octo/hello/a/%0A"}, both},
	} {
		var got []string
		for _, f := range c.at.Facts(account) {
			got = append(got, f.String())
		}
		if diff := cmp.Diff(slices.Concat(base, c.facts, c.kinds), got); c.at.Object() != c.want || diff != "" {
			t.Errorf("%s: %s %s", c.want, c.at.Object(), diff)
		}
	}
	pull := authz.Object("github_pull:octo/hello/7")
	if got := where(account, pull); !slices.Contains(got, pull.Is("issue", "github_issue:octo/hello/7")) || !slices.Contains(got, authz.Object("github_issue:octo/hello/7").Is("repo", "github_repo:octo/hello")) {
		t.Errorf("a pull request: %v", got)
	}
}

func TestLocate(t *testing.T) {
	for url, want := range map[string]string{
		"https://api.github.com/repos/octo/hello":                       "octo/hello ",
		"https://ghe.example/api/v3/repos/octo/hello/issues/3":          "octo/hello issues/3",
		"https://api.github.com/repos/repos/hello/contents/a?ref=/b":    "repos/hello contents/a",
		"https://api.github.com/repos/octo":                             "",
		"https://api.github.com/repos/../hello":                         "",
		"https://api.github.com/repos/o%2Fcto/hello":                    "",
		"https://github.com/octo/hello":                                 "",
		"":                                                              "",
		"https://api.github.com/x?next=https://evil/repos/octo/private": "",
	} {
		got := ""
		if r, rest, ok := locate(url); ok {
			got = r.String() + " " + rest
		}
		if got != want {
			t.Errorf("%s: %q, want %q", url, got, want)
		}
	}
	for _, url := range []string{"https://a/repos/o/r/issues/0", "https://a/repos/o/r/issues/x", "https://a/repos/o/r/pulls/1", "https://a/repos/o/r"} {
		if _, _, ok := locateIssue(url); ok {
			t.Errorf("%s is taken for an issue", url)
		}
	}
}

// Where a text is cut there is a whole character, and ranges that follow each
// other are the text.
func TestRanges(t *testing.T) {
	text := strings.Repeat("갈매기호 lies at berth 3.\n", 40)
	w := wireContent{Encoding: "base64", Content: base64.StdEncoding.EncodeToString([]byte("<!-- a -->" + text + "<!-- b"))}
	var whole strings.Builder
	in := getFileContentsInput{MaxBytes: 101}
	for range 100 {
		var f File
		if err := f.read(w, in); err != nil {
			t.Fatal(err)
		}
		whole.WriteString(f.Text)
		if !f.CommentsRemoved || len(f.Text) > 101 {
			t.Fatalf("%+v", f)
		}
		if f.NextOffset == 0 {
			break
		}
		in.Offset = f.NextOffset
	}
	if whole.String() != text {
		t.Errorf("the ranges make %q", whole.String())
	}

	// An offset within a character begins at the next one.
	var f File
	if err := f.read(wireContent{Encoding: "base64", Content: "6rCIIQ=="}, getFileContentsInput{Offset: 1}); err != nil || f.Text != "!" || f.Offset != 3 {
		t.Errorf("%+v %v", f, err)
	}
	for _, content := range []string{"AAECAw==", "/9j/4A=="} {
		f = File{}
		if err := f.read(wireContent{Encoding: "base64", Content: content}, getFileContentsInput{}); err != nil || !f.Binary || f.Text != "" {
			t.Errorf("%s: %+v %v", content, f, err)
		}
	}
	if err := f.read(wireContent{Encoding: "base64", Content: "?"}, getFileContentsInput{}); err == nil {
		t.Error("bad base64 is taken")
	}
}

// A link that leads to another file is judged by both paths: the result has the
// file's own, what it is within has the link's.
func TestContentsSayWhereTheyAre(t *testing.T) {
	raw := json.RawMessage(`{"type":"file","path":"secret.md","url":"https://api.github.com/repos/Octo/Hello/contents/secret.md?ref=main","encoding":"base64","content":"aGk="}`)
	files, err := open.files(raw, getFileContentsInput{Path: "link.md"})
	if err != nil || len(files) != 1 || files[0].Object() != "github_path:octo/hello/secret.md" || files[0].Text != "hi" {
		t.Fatalf("%+v %v", files, err)
	}
	for _, bad := range []string{`{}`, `null`, `7`, `[{}]`, `[null]`, `{"type":"file","path":"a"}`, `{"type":"file","url":"https://a/repos/o/r/contents/"}`} {
		if f, err := open.files(json.RawMessage(bad), getFileContentsInput{}); err == nil && len(f) > 0 {
			t.Errorf("%s is taken: %+v", bad, f)
		}
	}
}

// FuzzDecodeIssue: an answer is refused, or its issue is somewhere.
func FuzzDecodeIssue(f *testing.F) {
	f.Add("octo-anna", []byte(`{"number":3,"title":"hi","state":"open","repository_url":"https://api.github.com/repos/Octo/Hello","user":{"login":"octo-anna"},"labels":["a",{"name":"b"}],"pull_request":{},"author_association":"OWNER"}`))
	f.Add("", []byte(`{"number":3,"repository_url":"https://api.github.com/repos/../Hello","user":null,"labels":[null]}`))
	f.Add("x", []byte(`[]`))
	f.Fuzz(func(t *testing.T, account string, answer []byte) {
		i, err := decodeIssue(account, answer)
		if err != nil {
			return
		}
		o := string(i.Object())
		if !strings.HasPrefix(o, "github_issue:") || strings.ToLower(o) != o || strings.Count(o, "/") != 2 || i.Number < 1 {
			t.Errorf("%s is nowhere: %s", answer, o)
		}
		if i.Label().Confidentiality != authz.Private || i.Body != "" {
			t.Errorf("%+v", i)
		}
		if _, err := json.Marshal(i); err != nil {
			t.Error(err)
		}
	})
}

func TestSpell(t *testing.T) {
	for in, want := range map[authz.Object]authz.Object{
		"github_repo:Octo/Hello":                "github_repo:octo/hello",
		"github_issue:Octo/Hello/3":             "github_issue:octo/hello/3",
		"github_path:Octo/Hello/Docs/README.md": "github_path:octo/hello/Docs/README.md",
		"gmail_label:anna@example.com/Payroll":  "gmail_label:anna@example.com/Payroll",
		"slack_channel:T1/C1":                   "slack_channel:T1/C1",
	} {
		if got := Provider().Spell(in); got != want {
			t.Errorf("%s is spelled %s, want %s", in, got, want)
		}
	}
}
