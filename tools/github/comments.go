package github

import (
	"context"
	"encoding/json"
	"strings"

	"deputy/approvals"
	"deputy/tools"
)

type addIssueCommentInput struct {
	repoInput
	IssueNumber int    `json:"issue_number" min:"1" max:"999999999" audit:"plain"`
	Body        string `json:"body" jsonschema:"Markdown."`
}

var addIssueComment = tools.Write(tools.Spec{
	Name:   "github_add_issue_comment",
	Title:  "Comment on a GitHub issue",
	Doc:    "Add one comment to an issue or pull request, as the user.",
	Scopes: scopes,
	Effect: tools.Publishes,
}, planComment, decodeComment)

var commentForm = form{"POST /repos/{owner}/{repo}/issues/{number}/comments", showComment}

// remark is the body of a comment.
type remark struct {
	Body string `json:"body"`
}

func planComment(ctx context.Context, a *tools.Account, in addIssueCommentInput) (plan tools.Plan[Comment], _ error) {
	c := remark{in.Body}
	if err := in.repo().check(); err != nil {
		return plan, err
	}
	if err := c.check(); err != nil {
		return plan, err
	}
	at, used, err := existing(ctx, a, in.repo(), in.IssueNumber)
	if err != nil {
		return plan, err
	}
	plan.Uses = []tools.Resource{used}
	plan.Request = commentForm.request(at, c)
	return plan, nil
}

func (c remark) check() error {
	if strings.TrimSpace(c.Body) == "" {
		return tools.BadInput("body", "is empty")
	}
	return checkText("body", c.Body)
}

func showComment(t target, raw []byte) (approvals.Preview, error) {
	c, err := reread[remark](raw)
	if err != nil || c.check() != nil {
		return approvals.Preview{}, errNotOurs
	}
	p := t.preview()
	p.Body, p.Notes = c.Body, notes(c.Body)
	return p, nil
}

// decodeComment reads where a comment now stands. It does not repeat the text.
func decodeComment(account string, answer []byte) (Comment, error) {
	var w wireComment
	if json.Unmarshal(answer, &w) != nil {
		return Comment{}, strange()
	}
	r, _, ok := locateIssue(w.IssueURL)
	if !ok {
		return Comment{}, strange()
	}
	return home{asked: r, repo: r, account: account}.comment(w, noText)
}
