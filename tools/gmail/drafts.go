package gmail

import (
	"context"

	"deputy/tools"
)

type draftInput struct {
	To       []string `json:"to,omitempty" jsonschema:"bo@example.com or Bo <bo@example.com>, one each."`
	Cc       []string `json:"cc,omitempty"`
	Bcc      []string `json:"bcc,omitempty"`
	Subject  string   `json:"subject,omitempty"`
	Body     string   `json:"body,omitempty" jsonschema:"Plain text."`
	HTMLBody string   `json:"html_body,omitempty" jsonschema:"The same as simple HTML, without styles and pictures."`
	ReplyTo  string   `json:"reply_to_message_id,omitempty" jsonschema:"Draft an answer to this message, by default to its sender and under its subject." audit:"plain"`
}

var createDraft = tools.Write(tools.Spec{
	Name:   "gmail_create_draft",
	Title:  "Draft a mail",
	Doc:    "Put a draft into the user's mailbox, for the user to finish and send.",
	Scopes: []string{compose, readonly},
	Effect: tools.Drafts,
}, planDraft, decodeDraft)

func planDraft(ctx context.Context, a *tools.Account, in draftInput) (tools.Plan[Draft], error) {
	var plan tools.Plan[Draft]
	l, err := compile(sendInput{in.To, in.Cc, in.Bcc, in.Subject, in.Body, in.HTMLBody})
	if err != nil {
		return plan, err
	}
	thread := ""
	if in.ReplyTo != "" {
		if err := checkID("reply_to_message_id", in.ReplyTo); err != nil {
			return plan, err
		}
		o, err := readOriginal(ctx, a, in.ReplyTo)
		if err != nil {
			return plan, err
		}
		answer, err := o.answer(false)
		if err != nil {
			return plan, err
		}
		plan.Uses, thread = o.uses(), o.message.ThreadID
		l.InReplyTo, l.References = answer.InReplyTo, answer.References
		if len(l.To) == 0 {
			l.To = answer.To
		}
		if l.Subject == "" {
			l.Subject = answer.Subject
		}
	} else if l.recipientCount() == 0 && l.Subject == "" && blank(l.Text) && l.HTML == "" {
		return plan, tools.BadInput("", "there is nothing to draft: give a recipient, a subject or a body")
	}
	plan.Request, err = drafting(l, thread)
	return plan, err
}
