package githubfake

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

type issue struct {
	id          int64
	number      int
	title, body string
	user        *account
	association string
	labels      []string
	assignees   []*account
	state       string // "open" or "closed"
	reason      string // why it was closed or reopened; empty is null
	locked      string // why no one may comment; empty when one may
	isPull      bool
	draft       bool
	comments    []*comment
	subIssues   []*issue
	created     time.Time
	updated     time.Time
	closed      time.Time
	closedBy    *account
}

func (r *repo) issue(number string) *issue {
	n, err := strconv.Atoi(number)
	if err != nil || n < 1 || n > len(r.issues) {
		return nil
	}
	return r.issues[n-1]
}

func (f *Fake) listIssues(q *request) reply {
	state := cmp.Or(q.query.Get("state"), "open")
	if !slices.Contains([]string{"open", "closed", "all"}, state) {
		return invalid(fieldError{Resource: "Issue", Field: "state", Code: "invalid", Value: state})
	}
	var since time.Time
	if s := q.query.Get("since"); s != "" {
		var err error
		if since, err = time.Parse(time.RFC3339, s); err != nil {
			return invalid(fieldError{Resource: "Issue", Field: "since", Code: "invalid", Value: s})
		}
	}
	found := slices.DeleteFunc(slices.Clone(q.repo.issues), func(i *issue) bool {
		return state != "all" && i.state != state || i.updated.Before(since) ||
			!i.hasLabels(q.query.Get("labels")) || !i.assignedTo(q.query.Get("assignee")) ||
			q.query.Get("creator") != "" && !strings.EqualFold(q.query.Get("creator"), i.user.login)
	})
	slices.SortStableFunc(found, func(a, b *issue) int {
		c := 0
		switch q.query.Get("sort") {
		case "updated":
			c = a.updated.Compare(b.updated)
		case "comments":
			c = cmp.Compare(len(a.comments), len(b.comments))
		}
		if c == 0 {
			c = cmp.Or(a.created.Compare(b.created), cmp.Compare(a.number, b.number))
		}
		if q.query.Get("direction") == "asc" {
			return c
		}
		return -c
	})
	return listReply(q, q.showIssues(found))
}

func (i *issue) hasLabels(wanted string) bool {
	for label := range strings.SplitSeq(wanted, ",") {
		label = strings.TrimSpace(label)
		if label != "" && !slices.ContainsFunc(i.labels, func(l string) bool { return strings.EqualFold(l, label) }) {
			return false
		}
	}
	return true
}

func (i *issue) assignedTo(who string) bool {
	switch who {
	case "":
		return true
	case "none":
		return len(i.assignees) == 0
	case "*":
		return len(i.assignees) > 0
	}
	return slices.ContainsFunc(i.assignees, func(a *account) bool { return strings.EqualFold(a.login, who) })
}

func (f *Fake) getIssue(q *request) reply {
	return jsonReply(http.StatusOK, q.showIssue(q.issue))
}

func (f *Fake) listSubIssues(q *request) reply {
	return listReply(q, q.showIssues(q.issue.subIssues))
}

func (f *Fake) listLabels(q *request) reply { return listReply(q, q.showLabels(q.issue)) }

// createIssue does not guard against doubles, as GitHub does not: the same request twice makes
// two issues.
func (f *Fake) createIssue(q *request) reply {
	in, out, ok := parseFields(q.body, "Issue")
	if !ok {
		return out
	}
	if in.title = strings.TrimSpace(in.title); in.title == "" {
		in.fail("title", "missing_field", "")
	}
	people := f.assignable(q.repo, in)
	if len(in.errs) > 0 {
		return invalid(in.errs...)
	}
	now := f.now()
	i := &issue{
		id: f.id(), number: len(q.repo.issues) + 1, title: in.title, body: in.body, state: "open",
		user: f.world.anna, association: q.repo.association(f.world.anna),
		labels: in.labels, assignees: people, created: now, updated: now,
	}
	q.repo.issues = append(q.repo.issues, i)
	f.keep("issue", q, i, i.id, i.title, i.body)
	res := jsonReply(http.StatusCreated, q.showIssue(i))
	res.header.Set("Location", q.repo.apiURL(q)+"/issues/"+strconv.Itoa(i.number))
	return res
}

func (f *Fake) updateIssue(q *request) reply {
	in, out, ok := parseFields(q.body, "Issue")
	if !ok {
		return out
	}
	if in.title = strings.TrimSpace(in.title); in.has("title") && in.title == "" {
		in.fail("title", "missing_field", "")
	}
	if in.has("state") && in.state != "open" && in.state != "closed" {
		in.fail("state", "invalid", "")
	}
	reasons := []string{"", "completed", "not_planned", "duplicate", "reopened"}
	if in.has("state_reason") && !slices.Contains(reasons, in.reason) {
		in.fail("state_reason", "invalid", "")
	}
	people := f.assignable(q.repo, in)
	if len(in.errs) > 0 {
		return invalid(in.errs...)
	}
	i := q.issue
	if in.has("title") {
		i.title = in.title
	}
	if in.has("body") {
		i.body = in.body
	}
	if in.has("labels") {
		i.labels = in.labels
	}
	if in.has("assignees") || in.has("assignee") {
		i.assignees = people
	}
	now := f.now()
	switch {
	case in.state == "closed":
		if i.state == "open" {
			i.closed, i.closedBy = now, f.world.anna
		}
		i.state, i.reason = "closed", cmp.Or(in.reason, "completed")
	case in.state == "open" && i.state == "closed":
		i.state, i.reason, i.closed, i.closedBy = "open", "reopened", time.Time{}, nil
	}
	i.updated = now
	f.keep("update", q, i, i.id, i.title, i.body)
	return jsonReply(http.StatusOK, q.showIssue(i))
}

func (f *Fake) keep(kind string, q *request, i *issue, id int64, title, body string) {
	f.created = append(f.created, Created{
		Kind: kind, Repo: q.repo.fullName(), Number: i.number, ID: id, Title: title, Body: body, Raw: q.body,
	})
}

// assignable finds the people an issue may be given to: whoever belongs to the repository.
func (f *Fake) assignable(r *repo, in *fields) []*account {
	var people []*account
	for _, login := range in.assignees {
		n := slices.IndexFunc(f.world.accounts, func(a *account) bool { return strings.EqualFold(a.login, login) })
		if n < 0 || f.world.accounts[n].kind != "User" || r.association(f.world.accounts[n]) == "NONE" {
			in.errs = append(in.errs, fieldError{Resource: "Issue", Field: "assignees", Code: "invalid", Value: login})
			continue
		}
		people = append(people, f.world.accounts[n])
	}
	return people
}
