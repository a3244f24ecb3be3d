package github

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"deputy/tools"
)

type listIssuesInput struct {
	repoInput
	State     string   `json:"state,omitempty" enum:"open,closed,all" jsonschema:"Open ones if not given." audit:"plain"`
	Labels    []string `json:"labels,omitempty" jsonschema:"Only issues that have all of these."`
	Since     string   `json:"since,omitempty" jsonschema:"Only issues updated since, like 2026-11-23T09:00:00Z." audit:"plain"`
	Sort      string   `json:"sort,omitempty" enum:"created,updated,comments" audit:"plain"`
	Direction string   `json:"direction,omitempty" enum:"asc,desc" audit:"plain"`
	Detail    string   `json:"detail,omitempty" enum:"summary,full" jsonschema:"full adds the beginning of each text." audit:"plain"`
	tools.Page
}

var listIssues = tools.Read(tools.Spec{
	Name:   "github_list_issues",
	Title:  "List GitHub issues",
	Doc:    "Issues and pull requests of a repository, newest first. Go on while there is a next_cursor. github_issue_read gives the whole text.",
	Scopes: scopes,
	Effect: tools.Reads,
}, issuesOfRepo)

// How many bytes of a text come along: none in a summary, the beginning in a
// list, and all that GitHub takes in ASCII where the text is what was asked for.
const (
	noText    = 0
	someText  = 4_000
	wholeText = 65_536
)

func issuesOfRepo(ctx context.Context, a *tools.Account, in listIssuesInput) (none tools.Found[Issue], _ error) {
	if err := in.check(); err != nil {
		return none, err
	}
	page := pageOf(in.Page)
	path := page.of(tools.Path("/repos/{}/{}/issues", in.Owner, in.Repo)).
		With("state", in.State).With("labels", strings.Join(in.Labels, ",")).With("since", in.Since).
		With("sort", in.Sort).With("direction", in.Direction)
	var list []wireIssue
	at, err := visit(ctx, a, in.repo(), path, &list)
	if err != nil {
		return nothing[Issue](in.repo(), err)
	}
	most := noText
	if in.Detail == "full" {
		most = someText
	}
	items := make([]Issue, len(list))
	for i, w := range list {
		if items[i], err = at.issue(w, most); err != nil {
			return none, err
		}
	}
	return tools.Items(items...).Within(at.asked.place()).Next(page.after(len(list), at)), nil
}

func (in listIssuesInput) check() error {
	if err := in.repo().check(); err != nil {
		return err
	}
	for i, l := range in.Labels {
		if strings.Contains(l, ",") { // GitHub would take it for two
			return tools.BadInput(fmt.Sprintf("labels[%d]", i), "a label with a comma cannot be searched for")
		}
	}
	if _, err := time.Parse(time.RFC3339, in.Since); in.Since != "" && err != nil {
		return tools.BadInput("since", "must be a time like 2026-11-23T09:00:00Z")
	}
	return nil
}

type issueReadInput struct {
	Method string `json:"method" enum:"get,get_comments,get_labels,get_sub_issues" audit:"plain"`
	repoInput
	IssueNumber int `json:"issue_number" min:"1" max:"999999999" audit:"plain"`
	tools.Page
}

var issueRead = tools.Read(tools.Spec{
	Name:   "github_issue_read",
	Title:  "Read a GitHub issue",
	Doc:    "An issue or pull request: its text (get), comments, labels or sub-issues. The lists go on while there is a next_cursor.",
	Scopes: scopes,
	Effect: tools.Reads,
}, partsOfIssue)

func partsOfIssue(ctx context.Context, a *tools.Account, in issueReadInput) (none tools.Found[Part], _ error) {
	if err := in.repo().check(); err != nil {
		return none, err
	}
	var parts []Part
	var at home
	var err error
	page := pageOf(in.Page)
	path := tools.Path("/repos/{}/{}/issues/{}", in.Owner, in.Repo, strconv.Itoa(in.IssueNumber))
	switch in.Method {
	case "get":
		parts, at, err = issueItself(ctx, a, in.repo(), path)
	case "get_comments":
		parts, at, err = commentsOf(ctx, a, in.repo(), page.of(path.Tail("comments")))
	case "get_labels":
		parts, at, err = labelsOf(ctx, a, in.repo(), page.of(path.Tail("labels")), in.IssueNumber)
	case "get_sub_issues":
		parts, at, err = subIssuesOf(ctx, a, in.repo(), page.of(path.Tail("sub_issues")))
	}
	if err != nil {
		return nothing[Part](in.repo(), err)
	}
	found := tools.Items(parts...).Within(at.asked.issue(in.IssueNumber))
	if in.Method != "get" {
		found = found.Next(page.after(len(parts), at))
	}
	return found, nil
}

func issueItself(ctx context.Context, a *tools.Account, at repo, path *tools.PathBuilder) ([]Part, home, error) {
	var w wireIssue
	h, err := visit(ctx, a, at, path, &w)
	if err != nil {
		return nil, h, err
	}
	i, err := h.issue(w, wholeText)
	return []Part{{Issue: &i, place: i.place}}, h, err
}

func commentsOf(ctx context.Context, a *tools.Account, at repo, path *tools.PathBuilder) (parts []Part, _ home, _ error) {
	var list []wireComment
	h, err := visit(ctx, a, at, path, &list)
	if err != nil {
		return nil, h, err
	}
	for _, w := range list {
		c, err := h.comment(w, wholeText)
		if err != nil {
			return nil, h, err
		}
		parts = append(parts, Part{Comment: &c, place: c.place})
	}
	return parts, h, nil
}

func labelsOf(ctx context.Context, a *tools.Account, at repo, path *tools.PathBuilder, number int) (parts []Part, _ home, _ error) {
	var list []wireLabel
	h, err := visit(ctx, a, at, path, &list)
	if err != nil {
		return nil, h, err
	}
	in := h.repo.issue(number)
	in.label = h.kept(h.repo)
	for _, w := range list {
		parts = append(parts, Part{Tag: &Tag{w.Name, w.Description}, place: in})
	}
	return parts, h, nil
}

// subIssuesOf reads issues that may be in other repositories.
func subIssuesOf(ctx context.Context, a *tools.Account, at repo, path *tools.PathBuilder) (parts []Part, _ home, _ error) {
	var list []wireIssue
	h, err := visit(ctx, a, at, path, &list)
	if err != nil {
		return nil, h, err
	}
	for _, w := range list {
		i, err := h.issue(w, noText)
		if err != nil {
			return nil, h, err
		}
		parts = append(parts, Part{Issue: &i, place: i.place})
	}
	return parts, h, nil
}

// page is one of GitHub's numbered pages.
type page struct{ number, size int }

// pageOf reads our cursor, "2/30". It keeps the size, because a page's number
// means nothing with another one. The guard seals it: it is ours, or empty.
func pageOf(in tools.Page) page {
	p := page{1, in.Size(30)}
	if number, size, ok := strings.Cut(in.Cursor, "/"); ok {
		p.number, _ = strconv.Atoi(number)
		p.size, _ = strconv.Atoi(size)
	}
	return p
}

func (p page) of(path *tools.PathBuilder) *tools.PathBuilder {
	return path.With("per_page", strconv.Itoa(p.size)).With("page", strconv.Itoa(p.number))
}

// after is where a list goes on: nowhere after a page that was not full. A
// repository that has moved is not gone on with, because the rules are asked
// about a list under the name that the agent knows.
func (p page) after(got int, at home) string {
	if got < p.size || at.moved() {
		return ""
	}
	return fmt.Sprintf("%d/%d", p.number+1, p.size)
}

// cut keeps at most so many bytes of a text, and no half character.
func cut(text string, most int) (string, bool) {
	if len(text) <= most || most == noText {
		return text[:min(len(text), most)], false
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most], true
}
