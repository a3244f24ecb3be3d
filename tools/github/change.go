package github

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"

	"deputy/approvals"
	"deputy/tools"
)

type issueWriteInput struct {
	Method string `json:"method" enum:"create,update" audit:"plain"`
	repoInput
	IssueNumber int      `json:"issue_number,omitempty" min:"1" max:"999999999" jsonschema:"The issue to update." audit:"plain"`
	Title       *string  `json:"title,omitempty"`
	Body        *string  `json:"body,omitempty" jsonschema:"Markdown."`
	Labels      []string `json:"labels,omitempty" jsonschema:"All labels it shall have."`
	Assignees   []string `json:"assignees,omitempty" jsonschema:"Logins of all it shall be assigned to."`
	State       string   `json:"state,omitempty" enum:"open,closed" audit:"plain"`
	StateReason string   `json:"state_reason,omitempty" enum:"completed,not_planned,reopened" jsonschema:"Only with a state." audit:"plain"`
}

var issueWrite = tools.Write(tools.Spec{
	Name:   "github_issue_write",
	Title:  "Write a GitHub issue",
	Doc:    "Create an issue, or update what is given of one: its title, text, labels, assignees or state.",
	Scopes: scopes,
	Effect: tools.Publishes,
}, planIssue, decodeIssue)

var (
	createForm = form{"POST /repos/{owner}/{repo}/issues", showCreate}
	updateForm = form{"PATCH /repos/{owner}/{repo}/issues/{number}", showUpdate}
)

// change is the body of both. An update leaves alone what is not in it, so
// empty and not given are different things.
type change struct {
	Title       *string  `json:"title,omitzero"`
	Body        *string  `json:"body,omitzero"`
	Labels      []string `json:"labels,omitzero"`
	Assignees   []string `json:"assignees,omitzero"`
	State       string   `json:"state,omitzero"`
	StateReason string   `json:"state_reason,omitzero"`
}

// planIssue reads what the change is about. The rules are asked about that, and
// the request goes to the name that GitHub gives it.
func planIssue(ctx context.Context, a *tools.Account, in issueWriteInput) (plan tools.Plan[Issue], _ error) {
	c := change{in.Title, in.Body, in.Labels, in.Assignees, in.State, in.StateReason}
	if err := in.repo().check(); err != nil {
		return plan, err
	}
	if in.Method == "create" {
		if in.IssueNumber != 0 {
			return plan, tools.BadInput("issue_number", "only an update has one: a new issue gets its number from GitHub")
		}
		if err := c.checkCreate(); err != nil {
			return plan, err
		}
		at, err := look(ctx, a, in.repo())
		if missing(err) || err == nil && at.moved() {
			return plan, tools.NotFound()
		} else if err != nil {
			return plan, err
		}
		plan.Uses = []tools.Resource{at.place()}
		plan.Request = createForm.request(target{repo: at.repo}, c)
		return plan, nil
	}
	if in.IssueNumber == 0 {
		return plan, tools.BadInput("issue_number", "is required for an update")
	}
	if err := c.checkUpdate(); err != nil {
		return plan, err
	}
	at, used, err := existing(ctx, a, in.repo(), in.IssueNumber)
	if err != nil {
		return plan, err
	}
	plan.Uses = []tools.Resource{used}
	plan.Request = updateForm.request(at, c)
	return plan, nil
}

// existing reads the issue that a write is about. If GitHub has it under
// another name or number there is no such issue: the person who is asked would
// read one name and the write would reach another.
func existing(ctx context.Context, a *tools.Account, asked repo, number int) (target, tools.Resource, error) {
	var w wireIssue
	at, err := visit(ctx, a, asked, tools.Path("/repos/{}/{}/issues/{}", asked.owner, asked.name, strconv.Itoa(number)), &w)
	if missing(err) {
		return target{}, nil, tools.NotFound()
	} else if err != nil {
		return target{}, nil, err
	}
	r, _, ok := locate(w.RepoURL)
	if !ok {
		return target{}, nil, strange()
	}
	if !r.is(asked) || w.Number != number {
		return target{}, nil, tools.NotFound()
	}
	used := r.issue(number)
	used.kind = at.kind(r)
	return target{r, number}, used, nil
}

func (c change) checkCreate() error {
	if c.Title == nil {
		return tools.BadInput("title", "is required for a new issue")
	}
	if c.State != "" || c.StateReason != "" {
		return tools.BadInput("state", "a new issue is open; it can be closed by an update")
	}
	return c.check()
}

func (c change) checkUpdate() error {
	if c.Title == nil && c.Body == nil && c.Labels == nil && c.Assignees == nil && c.State == "" && c.StateReason == "" {
		return tools.BadInput("", "an update must change something: title, body, labels, assignees or state")
	}
	reasons := map[string]string{"completed": "closed", "not_planned": "closed", "reopened": "open"}
	if c.State != "" && c.State != "open" && c.State != "closed" {
		return tools.BadInput("state", "must be open or closed")
	}
	if c.StateReason != "" && (c.State == "" || reasons[c.StateReason] != c.State) {
		return tools.BadInput("state_reason", "completed and not_planned need the state closed, reopened the state open")
	}
	return c.check()
}

func (c change) check() error {
	if c.Title != nil {
		if err := checkTitle(*c.Title); err != nil {
			return err
		}
	}
	if c.Body != nil {
		if err := checkText("body", *c.Body); err != nil {
			return err
		}
	}
	if err := checkLabels(c.Labels); err != nil {
		return err
	}
	return checkAssignees(c.Assignees)
}

func showCreate(t target, raw []byte) (approvals.Preview, error) {
	c, err := reread[change](raw)
	if err != nil || c.checkCreate() != nil {
		return approvals.Preview{}, errNotOurs
	}
	return c.preview(t), nil
}

func showUpdate(t target, raw []byte) (approvals.Preview, error) {
	c, err := reread[change](raw)
	if err != nil || c.checkUpdate() != nil {
		return approvals.Preview{}, errNotOurs
	}
	p := c.preview(t)
	var replaced []string
	for _, f := range []struct {
		name  string
		given bool
	}{{"text", c.Body != nil}, {"labels", c.Labels != nil}, {"assignees", c.Assignees != nil}} {
		if f.given {
			replaced = append(replaced, f.name)
		}
	}
	if len(replaced) > 0 {
		p.Notes = append(p.Notes, "Replaces all that the issue has now as its "+strings.Join(replaced, ", its ")+".")
	}
	return p, nil
}

func (c change) preview(t target) approvals.Preview {
	p := t.preview()
	add := func(name, value string) { p.Fields = append(p.Fields, approvals.Field{Name: name, Value: value}) }
	if c.Title != nil {
		add("Title", *c.Title)
	}
	if c.Labels != nil {
		add("Labels", listed(c.Labels))
	}
	if c.Assignees != nil {
		add("Assignees", listed(c.Assignees))
	}
	switch {
	case c.StateReason != "":
		add("State", c.State+" ("+c.StateReason+")")
	case c.State != "":
		add("State", c.State)
	}
	if c.Body != nil {
		if *c.Body == "" {
			add("Body", "(empty)")
		}
		p.Body, p.Notes = *c.Body, notes(*c.Body)
	}
	return p
}

// decodeIssue reads where an issue that was written now stands, without its
// text. Whether its repository is public the answer does not say.
func decodeIssue(account string, answer []byte) (Issue, error) {
	var w wireIssue
	if json.Unmarshal(answer, &w) != nil {
		return Issue{}, strange()
	}
	r, _, ok := locate(w.RepoURL)
	if !ok {
		return Issue{}, strange()
	}
	return home{asked: r, repo: r, account: account}.issue(w, noText)
}
