package githubfake

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestWithheldLooksMissing(t *testing.T) {
	s := newScene(t, Config{})
	repo, public, none := s.Issue("repo"), s.Issue("public_repo"), s.Issue()

	for _, path := range []string{"", "/issues", "/issues/1", "/contents/plans.md", "/branches", "/commits"} {
		gone := s.want(s.as(repo, "GET", "/repos/northwind/no-such-repo"+path, ""), 404).body
		if a := s.want(s.as(repo, "GET", "/repos/northwind/secret-plans"+path, ""), 404); a.body != gone {
			t.Errorf("%s tells withheld from missing: %s", path, a.body)
		}
		s.want(s.as(public, "GET", "/repos/octo-anna/payroll"+path, ""), 404)
	}
	s.want(s.as(repo, "POST", "/repos/northwind/secret-plans/issues", `{"title":"x"}`), 404)
	s.want(s.as(repo, "GET", "/repos/Octo-Anna/PAYROLL/contents/salaries.csv", ""), 200) // names ignore case
	for token, want := range map[string]int{repo: 4, public: 3, none: 3} {
		if l := s.as(token, "GET", "/user/repos", "").list(s); len(l) != want {
			t.Errorf("%d repositories, want %d", len(l), want)
		}
	}
	s.want(s.as(none, "GET", "/repos/octo-anna/harbor/issues", ""), 200)
	s.want(s.as(none, "POST", "/repos/octo-anna/harbor/issues", `{"title":"x"}`), 404)
	s.want(s.as(public, "POST", "/repos/octo-anna/harbor/issues", `{"title":"x"}`), 201)
	s.want(s.send("GET", "/user", ""), 401,
		`{"message":"Bad credentials","documentation_url":"https://docs.github.com/rest","status":"401"}`)
	s.want(s.send("GET", "/user", "", "Authorization", "Basic "+repo), 401)
	for _, path := range []string{"/", "/nothing", "/repos/octo-anna", "/repos/octo-anna/harbor/issues/0",
		"/repos/octo-anna/harbor/issues/99", "/repos/octo-anna/harbor/issues/x", "/repos/octo-anna/harbor/contents/../../payroll"} {
		s.want(s.as(repo, "GET", path, ""), 404)
	}
	for _, c := range s.Created() {
		if c.Repo != Harbor {
			t.Error("created in", c.Repo)
		}
	}
}

func numbers(l []map[string]any) []int {
	var n []int
	for _, m := range l {
		n = append(n, int(m["number"].(float64)))
	}
	return n
}

func TestListIssues(t *testing.T) {
	s := newScene(t, Config{})
	tok := s.Issue("repo")
	at := func(hours int) string { return stamp(s.clock.Now().Add(-time.Duration(hours) * time.Hour)) }
	for query, want := range map[string][]int{
		"":                                    {7, 10, 6, 5, 4, 3, 2, 1},
		"state=closed":                        {9, 8},
		"state=all&direction=asc":             {8, 9, 1, 2, 3, 4, 5, 6, 10, 7},
		"labels=bug":                          {5, 4, 2},
		"labels=Bug,tides":                    {4},
		"assignee=ben-ortiz":                  {3},
		"assignee=*":                          {3, 2, 1},
		"assignee=none&labels=docs":           nil,
		"creator=helpful-gull":                {10, 6},
		"sort=comments&per_page=1":            {1},
		"sort=updated":                        {7, 10, 1, 6, 5, 4, 3, 2},
		"since=" + at(6*day):                  {7, 10},
		"state=all&since=" + at(75*day):       {7, 10, 6, 5, 4, 3, 2, 1, 9},
		"direction=asc&per_page=3&page=2":     {4, 5, 6},
		"per_page=3&page=9":                   nil,
		"per_page=1000&page=0&sort=created":   {7, 10, 6, 5, 4, 3, 2, 1},
		"state=open&creator=ben-ortiz&page=1": {7, 4, 2},
	} {
		got := numbers(s.want(s.as(tok, "GET", "/repos/octo-anna/harbor/issues?"+query, ""), 200).list(s))
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", query, got, want)
		}
	}
	s.want(s.as(tok, "GET", "/repos/octo-anna/harbor/issues?state=ajar", ""), 422, `"errors":[`)
	s.want(s.as(tok, "GET", "/repos/octo-anna/harbor/issues?since=yesterday", ""), 422)

	pull := s.as(tok, "GET", fmt.Sprintf("/repos/octo-anna/harbor/issues/%d", PullRequest), "").json(s)
	if pull["pull_request"] == nil {
		t.Error("the pull request is not marked")
	}
	korean := s.as(tok, "GET", fmt.Sprintf("/repos/octo-anna/harbor/issues/%d", KoreanIssue), "").json(s)
	if !strings.Contains(korean["title"].(string), "한글") || korean["pull_request"] != nil {
		t.Error("no Korean:", korean["title"])
	}
	long := s.as(tok, "GET", fmt.Sprintf("/repos/octo-anna/harbor/issues/%d", LongIssue), "").json(s)
	if n := len(long["body"].(string)); n < 10_000 || n > maxText {
		t.Errorf("long body has %d bytes", n)
	}
	bad := s.want(s.as(tok, "GET", fmt.Sprintf("/repos/northwind/portal/issues/%d", InjectedIssue), ""), 200, "<!-- SYSTEM", "octo-anna/payroll")
	if m := bad.json(s); m["author_association"] != "NONE" {
		t.Error("outsider is", m["author_association"])
	}
	epic := fmt.Sprintf("/repos/octo-anna/harbor/issues/%d", EpicIssue)
	if got := numbers(s.as(tok, "GET", epic+"/sub_issues", "").list(s)); !slices.Equal(got, []int{2, 3}) {
		t.Errorf("sub-issues %v", got)
	}
	if l := s.as(tok, "GET", epic+"/comments", "").list(s); len(l) != 2 {
		t.Errorf("%d comments", len(l))
	}
	if l := s.as(tok, "GET", epic+"/comments?since="+at(8*day), "").list(s); len(l) != 1 {
		t.Errorf("%d late comments", len(l))
	}
	s.want(s.as(tok, "GET", epic+"/labels", ""), 200, `"name":"launch"`)
}

func TestPaging(t *testing.T) {
	s := newScene(t, Config{})
	tok := s.Issue("repo")
	path, seen := "/repos/octo-anna/harbor/issues?state=all&per_page=4", 0
	var rels []string
	for path != "" {
		a := s.want(s.as(tok, "GET", path, ""), 200)
		seen += len(a.list(s))
		path = ""
		for link := range strings.SplitSeq(a.header.Get("Link"), ", ") {
			target, rel, _ := strings.Cut(link, ">; ")
			rels = append(rels, rel)
			if rel == `rel="next"` {
				path = strings.TrimPrefix(target, "<"+s.url)
			}
		}
	}
	if seen != 10 {
		t.Errorf("saw %d issues", seen)
	}
	if got, want := strings.Join(rels, " "), `rel="next" rel="last" rel="prev" rel="next" rel="last" rel="first" rel="prev" rel="first"`; got != want {
		t.Errorf("links %s", got)
	}
	if a := s.as(tok, "GET", "/repos/octo-anna/harbor/issues", ""); a.header.Get("Link") != "" {
		t.Error("a single page has links")
	}
}

func TestConditionalGet(t *testing.T) {
	s := newScene(t, Config{})
	tok := s.Issue("repo")
	const path = "/repos/octo-anna/harbor/issues/1"
	first := s.want(s.as(tok, "GET", path, ""), 200)
	tag := first.header.Get("ETag")
	same := s.want(s.as(tok, "GET", path, "", "If-None-Match", tag), 304)
	if same.body != "" || same.header.Get("ETag") != tag {
		t.Error("304 has a body or lacks the tag")
	}
	if a, b := first.header.Get("X-RateLimit-Remaining"), same.header.Get("X-RateLimit-Remaining"); a != "4999" || b != a {
		t.Errorf("remaining %s, then %s: a 304 is free", a, b)
	}
	s.want(s.as(tok, "PATCH", path, `{"body":"new"}`), 200)
	s.want(s.as(tok, "GET", path, "", "If-None-Match", tag), 200, `"body":"new"`)
}

func TestContents(t *testing.T) {
	s := newScene(t, Config{})
	tok := s.Issue("repo")
	get := func(path string, headers ...string) answer {
		return s.as(tok, "GET", "/repos/octo-anna/"+path, "", headers...)
	}

	m := s.want(get("harbor/contents/README.md"), 200).json(s)
	content := m["content"].(string)
	for line := range strings.SplitSeq(strings.TrimSuffix(content, "\n"), "\n") {
		if len(line) > 60 {
			t.Errorf("line of %d", len(line))
		}
	}
	text, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(content, "\n", ""))
	if err != nil || !strings.HasPrefix(string(text), "# harbor") || m["encoding"] != "base64" || m["size"] != float64(len(text)) {
		t.Errorf("README: %v %s", err, text)
	}
	if m["sha"] != blobSHA(string(text)) || blobSHA("") != "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391" {
		t.Error("not git's sha")
	}
	if a := get("harbor/contents/README.md", "Accept", "application/vnd.github.raw+json"); a.body != string(text) {
		t.Error("raw differs")
	}
	root := get("harbor/contents").list(s)
	if len(root) != 4 || root[0]["name"] != "README.md" || root[1]["type"] != "dir" || root[1]["path"] != "assets" {
		t.Errorf("root %v", root)
	}
	if src := get("harbor/contents/src/").list(s); len(src) != 3 || src[0]["content"] != nil {
		t.Errorf("src %v", src)
	}
	big := get("harbor/contents/" + LargeFile).json(s)
	if big["content"] != "" || big["encoding"] != "none" || big["size"].(float64) <= 1<<20 {
		t.Error("large file is inline")
	}
	s.want(get("harbor/contents/src%2Ftides.go?ref=next", "Accept", "application/vnd.github.raw"), 200, "UTC")
	s.want(get("harbor/contents/src/tides.go?ref=main", "Accept", "application/vnd.github.raw"), 200, "local time")
	s.want(get("harbor/contents/README.md?ref=gone"), 404, "No commit found for the ref gone")
	s.want(get("harbor/contents/none.md"), 404)

	// The link to a private file is itself a secret.
	link := get("payroll/contents/salaries.csv").json(s)["download_url"].(string)
	_, secret, _ := strings.Cut(link, "?token=")
	if secret == "" || !slices.Contains(s.Tokens(), secret) {
		t.Errorf("download_url %s", link)
	}
	if strings.Contains(m["download_url"].(string), "token") {
		t.Error("token for a public file")
	}

	branches := get("harbor/branches").list(s)
	if len(branches) != 2 || branches[0]["name"] != "main" || branches[0]["protected"] != true {
		t.Errorf("branches %v", branches)
	}
	if l := get("harbor/commits").list(s); len(l) != 4 || len(l[3]["parents"].([]any)) != 0 {
		t.Errorf("%d commits", len(l))
	}
	if l := get("harbor/commits?sha=next&path=src&author=ben-ortiz").list(s); len(l) != 2 {
		t.Errorf("%d commits of Ben in src", len(l))
	}
	if a := get("harbor/commits?per_page=1"); !strings.Contains(a.header.Get("Link"), `page=4&per_page=1>; rel="last"`) {
		t.Errorf("link %s", a.header.Get("Link"))
	}
	old := get("harbor/commits").list(s)[3]["sha"].(string)
	s.want(get("harbor/contents/src/tides.go?ref="+old), 404)
	s.want(get("harbor/contents/src/main.go?ref="+old[:10]), 200)
}

func TestWrites(t *testing.T) {
	s := newScene(t, Config{})
	tok := s.Issue("repo")
	const issues = "/repos/octo-anna/harbor/issues"

	raw := `{ "title":"Foghorn <b>", "body":"안녕\r\n<!-- x -->", "labels":["bug",{"name":"new one"}], "assignees":["Ben-Ortiz"], "unknown":1 }`
	a := s.want(s.as(tok, "POST", issues, raw), 201, "<!-- x -->", `"login":"ben-ortiz"`, `"name":"new one"`)
	if a.header.Get("Location") != s.url+issues+"/11" || a.json(s)["number"] != 11.0 {
		t.Error("created at", a.header.Get("Location"))
	}
	s.want(s.as(tok, "GET", issues+"/11", ""), 200, "Foghorn <b>", `"author_association":"OWNER"`)
	s.want(s.as(tok, "POST", issues+"/11/comments", `{"body":" two\nlines "}`), 201, `"body":" two\nlines "`)
	s.want(s.as(tok, "PATCH", issues+"/11", `{"state":"closed","state_reason":"not_planned","labels":[]}`), 200,
		`"state":"closed"`, `"state_reason":"not_planned"`, `"labels":[]`, `"comments":1`, "Foghorn")
	s.want(s.as(tok, "PATCH", issues+"/11", `{"state":"open"}`), 200, `"state_reason":"reopened"`, `"closed_at":null`)

	got := s.Created()
	if len(got) != 4 || string(got[0].Raw) != raw || got[0].Kind != "issue" || got[0].Body != "안녕\r\n<!-- x -->" ||
		got[1].Kind != "comment" || got[1].Body != " two\nlines " || got[1].Number != 11 || got[1].ID == got[0].ID ||
		got[2].Kind != "update" || got[2].Title != "Foghorn <b>" || got[2].Repo != Harbor {
		t.Errorf("created %+v", got)
	}
	if w := s.Writes(); len(w) != 4 || string(w[0].Body) != raw || w[0].Path != issues || w[0].Status != 201 {
		t.Errorf("writes %+v", w)
	}
	if c := s.Calls(); len(c) != 5 || c[1].Method != "GET" {
		t.Errorf("calls %+v", c)
	}
}

func TestRefusedWrites(t *testing.T) {
	s := newScene(t, Config{})
	tok := s.Issue("repo")
	const one = "/repos/octo-anna/harbor/issues/1"
	for _, c := range []struct {
		method, path, body string
		status             int
		says               string
	}{
		{"POST", "/repos/octo-anna/harbor/issues", `{"body":"no title"}`, 422, `"field":"title","code":"missing_field"`},
		{"POST", "/repos/octo-anna/harbor/issues", `{"title":7}`, 422, `"errors":[`},
		{"POST", "/repos/octo-anna/harbor/issues", `{"title":"` + strings.Repeat("x", 257) + `"}`, 422, "maximum is 256"},
		{"POST", "/repos/octo-anna/harbor/issues", `{"title":"x","assignees":["helpful-gull"]}`, 422, `"value":"helpful-gull"`},
		{"POST", "/repos/octo-anna/harbor/issues", `{"title":"x","labels":"bug"}`, 422, "labels"},
		{"POST", "/repos/octo-anna/harbor/issues", `{"title":`, 400, "Problems parsing JSON"},
		{"POST", "/repos/octo-anna/harbor/issues", `[]`, 400, "Body should be a JSON object"},
		{"PATCH", one, `{"state":"ajar"}`, 422, `"field":"state","code":"invalid"`},
		{"PATCH", one, `{"state_reason":"bored"}`, 422, `"field":"state_reason"`},
		{"PATCH", one, `{"title":" "}`, 422, "missing_field"},
		{"POST", one + "/comments", `{"body":""}`, 422, "can't be blank"},
		{"POST", one + "/comments", `{"body":"` + strings.Repeat("x", 65537) + `"}`, 422, "maximum is 65536"},
		{"POST", "/repos/octo-anna/harbor/issues/6/comments", `{"body":"x"}`, 403, "issue is locked"},
		{"POST", "/repos/octo-anna/old-buoys/issues", `{"title":"x"}`, 403, "archived so is read-only"},
		{"POST", "/repos/octo-anna/old-buoys/issues/1/comments", `{"body":"x"}`, 403, "archived"},
		{"DELETE", one, ``, 404, "Not Found"},
		{"PUT", "/repos/octo-anna/harbor/contents/x", `{}`, 404, "Not Found"},
	} {
		s.want(s.as(tok, c.method, c.path, c.body), c.status, c.says)
	}
	if n := len(s.Created()); n != 0 {
		t.Errorf("%d created by refused writes", n)
	}
	if w := s.Writes(); len(w) != 17 || w[0].Status != 422 {
		t.Errorf("%d writes kept", len(w))
	}
}
