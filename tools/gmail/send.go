package gmail

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"deputy/approvals"
	"deputy/tools"
)

type sendInput struct {
	To       []string `json:"to" jsonschema:"bo@example.com or Bo <bo@example.com>, one each."`
	Cc       []string `json:"cc,omitempty"`
	Bcc      []string `json:"bcc,omitempty"`
	Subject  string   `json:"subject"`
	Body     string   `json:"body" jsonschema:"Plain text."`
	HTMLBody string   `json:"html_body,omitempty" jsonschema:"The same as simple HTML, without styles and pictures."`
}

var sendMessage = tools.Write(tools.Spec{
	Name:   "gmail_send_message",
	Title:  "Send a mail",
	Doc:    "Send a new mail as the user. To answer a mail use gmail_reply.",
	Scopes: []string{send},
	Effect: tools.Publishes,
}, planSend, decodeSent)

func planSend(_ context.Context, _ *tools.Account, in sendInput) (tools.Plan[Sent], error) {
	if len(in.To) == 0 {
		return tools.Plan[Sent]{}, tools.BadInput("to", "is empty")
	}
	l, err := compile(in)
	if err != nil {
		return tools.Plan[Sent]{}, err
	}
	if blank(l.Text) && l.HTML == "" {
		return tools.Plan[Sent]{}, tools.BadInput("body", "is empty")
	}
	r, err := sending(l, "")
	return tools.Plan[Sent]{Request: r}, err
}

type replyInput struct {
	MessageID string `json:"message_id" jsonschema:"The message that is answered." audit:"plain"`
	Body      string `json:"body" jsonschema:"Plain text. Nothing is quoted below it."`
	ReplyAll  bool   `json:"reply_all,omitempty" jsonschema:"To everybody who got the message." audit:"plain"`
}

var reply = tools.Write(tools.Spec{
	Name:   "gmail_reply",
	Title:  "Reply to a mail",
	Doc:    "Send one reply in the thread of message_id, as the user.",
	Scopes: []string{send, readonly},
	Effect: tools.Publishes,
}, planReply, decodeSent)

func planReply(ctx context.Context, a *tools.Account, in replyInput) (tools.Plan[Sent], error) {
	var none tools.Plan[Sent]
	text, err := checkText("body", in.Body)
	if err != nil {
		return none, err
	}
	if blank(text) {
		return none, tools.BadInput("body", "is empty")
	}
	o, err := readOriginal(ctx, a, in.MessageID)
	if err != nil {
		return none, err
	}
	l, err := o.answer(in.ReplyAll)
	if err != nil {
		return none, err
	}
	l.Text = text
	r, err := sending(l, o.message.ThreadID)
	return tools.Plan[Sent]{Request: r, Uses: o.uses()}, err
}

// compile checks everything a caller can say about a new mail.
func compile(in sendInput) (l letter, err error) {
	if l.To, err = recipients("to", in.To); err != nil {
		return l, err
	}
	if l.Cc, err = recipients("cc", in.Cc); err != nil {
		return l, err
	}
	if l.Bcc, err = recipients("bcc", in.Bcc); err != nil {
		return l, err
	}
	if n := l.recipientCount(); n > maxRecipients {
		return l, tools.BadInput("to", fmt.Sprintf("with cc and bcc there are %d recipients; a mail may have %d", n, maxRecipients))
	}
	if err := checkLine("subject", in.Subject); err != nil {
		return l, err
	}
	l.Subject = in.Subject
	if l.Text, err = checkText("body", in.Body); err != nil {
		return l, err
	}
	if l.HTML, err = checkText("html_body", in.HTMLBody); err != nil {
		return l, err
	}
	if why := beyondShowing(l.HTML); why != "" {
		return l, tools.BadInput("html_body", why)
	}
	return l, nil
}

// checkText refuses text that mail programs would change or not show.
func checkText(field, s string) (string, error) {
	s = strings.ReplaceAll(s, "\r\n", "\n")
	if !utf8.ValidString(s) {
		return "", tools.BadInput(field, "is not UTF-8")
	}
	for _, r := range s {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return "", tools.BadInput(field, fmt.Sprintf("contains the control character U+%04X; only newlines and tabs may be in it", r))
		}
	}
	return s, nil
}

func blank(s string) bool { return strings.TrimSpace(s) == "" }

const (
	sendPath  = me + "/messages/send"
	draftPath = me + "/drafts"
	jsonType  = "application/json"
)

// wireLetter is a mail on its way to Gmail.
type wireLetter struct {
	Raw      string `json:"raw"`
	ThreadID string `json:"threadId,omitempty"`
}

// wireDraft is the draft around it.
type wireDraft struct {
	Message wireLetter `json:"message"`
}

func sending(l letter, thread string) (approvals.Request, error) {
	w, err := wire(l, thread)
	return request(sendPath, w), err
}

func drafting(l letter, thread string) (approvals.Request, error) {
	w, err := wire(l, thread)
	return request(draftPath, wireDraft{w}), err
}

func wire(l letter, thread string) (wireLetter, error) {
	if thread != "" && !wellFormedID.MatchString(thread) {
		return wireLetter{}, errLetter
	}
	raw, err := build(l)
	return wireLetter{base64.RawURLEncoding.EncodeToString(raw), thread}, err
}

func request(path string, body any) approvals.Request {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	_ = enc.Encode(body) // strings alone
	return approvals.Request{Method: "POST", Path: path, ContentType: jsonType, Body: bytes.TrimSuffix(b.Bytes(), []byte("\n"))}
}
