package githubfake

import (
	"fmt"
	"hash/fnv"
	"net/http"
	"strconv"
	"strings"
	"time"
)

type comment struct {
	id               int64
	body             string
	user             *account
	association      string
	created, updated time.Time
}

func (f *Fake) listComments(q *request) reply {
	var since time.Time
	if s := q.query.Get("since"); s != "" {
		var err error
		if since, err = time.Parse(time.RFC3339, s); err != nil {
			return invalid(fieldError{Resource: "IssueComment", Field: "since", Code: "invalid", Value: s})
		}
	}
	var shown []map[string]any
	for _, c := range q.issue.comments {
		if !c.updated.Before(since) {
			shown = append(shown, q.showComment(c))
		}
	}
	return listReply(q, shown)
}

// createComment refuses on a locked issue. GitHub lets those with write access through; the fake
// lets no one, since a refusal is what the lock is in the demo world for.
func (f *Fake) createComment(q *request) reply {
	in, out, ok := parseFields(q.body, "IssueComment")
	if !ok {
		return out
	}
	if q.issue.locked != "" {
		return message(http.StatusForbidden, "Unable to create comment because issue is locked.")
	}
	if strings.TrimSpace(in.body) == "" {
		in.fail("body", "missing_field", "body can't be blank")
	}
	if len(in.errs) > 0 {
		return invalid(in.errs...)
	}
	now := f.now()
	c := &comment{
		id: f.id(), body: in.body, user: f.world.anna, association: q.repo.association(f.world.anna),
		created: now, updated: now,
	}
	q.issue.comments = append(q.issue.comments, c)
	q.issue.updated = now
	f.keep("comment", q, q.issue, c.id, "", c.body)
	res := jsonReply(http.StatusCreated, q.showComment(c))
	res.header.Set("Location", q.repo.apiURL(q)+"/issues/comments/"+strconv.FormatInt(c.id, 10))
	return res
}

func (q *request) showIssues(all []*issue) []map[string]any {
	shown := make([]map[string]any, len(all))
	for n, i := range all {
		shown[n] = q.showIssue(i)
	}
	return shown
}

// showIssue leaves out what no client of ours reads; what is there has GitHub's names and types.
func (q *request) showIssue(i *issue) map[string]any {
	api := fmt.Sprintf("%s/issues/%d", q.repo.apiURL(q), i.number)
	view := "issues"
	if i.isPull {
		view = "pull"
	}
	people := []map[string]any{}
	for _, a := range i.assignees {
		people = append(people, showAccount(a))
	}
	done := 0
	for _, s := range i.subIssues {
		if s.state == "closed" {
			done++
		}
	}
	out := map[string]any{
		"id": i.id, "node_id": nodeID("Issue", i.id), "number": i.number, "title": i.title, "body": orNull(i.body),
		"url": api, "repository_url": q.repo.apiURL(q), "comments_url": api + "/comments", "labels_url": api + "/labels{/name}",
		"html_url": fmt.Sprintf("%s/%s/%d", q.repo.htmlURL(), view, i.number),
		"user":     showAccount(i.user), "author_association": i.association,
		"labels": q.showLabels(i), "assignees": people, "assignee": nil, "milestone": nil,
		"state": i.state, "state_reason": orNull(i.reason), "comments": len(i.comments),
		"locked": i.locked != "", "active_lock_reason": orNull(i.locked),
		"created_at": stamp(i.created), "updated_at": stamp(i.updated), "closed_at": nil, "closed_by": nil,
		"sub_issues_summary": map[string]any{"total": len(i.subIssues), "completed": done},
	}
	if len(people) > 0 {
		out["assignee"] = people[0]
	}
	if i.closedBy != nil {
		out["closed_at"], out["closed_by"] = stamp(i.closed), showAccount(i.closedBy)
	}
	if i.isPull {
		pull := fmt.Sprintf("%s/pulls/%d", q.repo.apiURL(q), i.number)
		page := fmt.Sprintf("%s/pull/%d", q.repo.htmlURL(), i.number)
		out["draft"] = i.draft
		out["pull_request"] = map[string]any{
			"url": pull, "html_url": page, "diff_url": page + ".diff", "patch_url": page + ".patch", "merged_at": nil,
		}
	}
	return out
}

func (q *request) showComment(c *comment) map[string]any {
	issue := fmt.Sprintf("%s/issues/%d", q.repo.apiURL(q), q.issue.number)
	return map[string]any{
		"id": c.id, "node_id": nodeID("IssueComment", c.id), "body": c.body,
		"url":       fmt.Sprintf("%s/issues/comments/%d", q.repo.apiURL(q), c.id),
		"html_url":  fmt.Sprintf("%s/issues/%d#issuecomment-%d", q.repo.htmlURL(), q.issue.number, c.id),
		"issue_url": issue, "user": showAccount(c.user), "author_association": c.association,
		"created_at": stamp(c.created), "updated_at": stamp(c.updated),
	}
}

// showLabels gives each name a steady id and colour; a label that no one made before exists from
// its first use, as on GitHub.
func (q *request) showLabels(i *issue) []map[string]any {
	shown := []map[string]any{}
	for _, name := range i.labels {
		h := fnv.New32a()
		h.Write([]byte(q.repo.fullName() + "/" + name))
		id := int64(h.Sum32())
		shown = append(shown, map[string]any{
			"id": id, "node_id": nodeID("Label", id), "name": name, "default": name == "bug",
			"color": fmt.Sprintf("%06x", id&0xffffff), "description": nil,
			"url": q.repo.apiURL(q) + "/labels/" + escape(name),
		})
	}
	return shown
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}
