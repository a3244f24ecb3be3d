package gmail

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"deputy/approvals"
)

// manyRecipients is when a person should think of who they all are.
const manyRecipients = 10

// render reads a mail back from the bytes that would be sent. What it cannot
// account for to the last byte is not shown and not sent.
func render(_ string, r approvals.Request) (approvals.Preview, error) {
	l, thread, err := reread(r)
	if err != nil {
		return approvals.Preview{}, err
	}
	return l.preview(thread, r.Path == draftPath), nil
}

// reread is the letter in a request. Writing it again must give the same
// bytes: this is the strictest reading, and leaves no room for a further
// field, header or part, for one given twice, or for anything after the end.
func reread(r approvals.Request) (l letter, thread string, err error) {
	var w wireLetter
	var d wireDraft
	write := sending
	switch {
	case r.Method != "POST" || r.ContentType != jsonType:
		return l, "", errLetter
	case r.Path == sendPath && json.Unmarshal(r.Body, &w) == nil:
	case r.Path == draftPath && json.Unmarshal(r.Body, &d) == nil:
		w, write = d.Message, drafting
	default:
		return l, "", errLetter
	}
	raw, err := base64.RawURLEncoding.DecodeString(w.Raw)
	if err != nil {
		return l, "", errLetter
	}
	if l, err = parse(raw); err != nil {
		return l, "", err
	}
	again, err := write(l, w.ThreadID)
	if err != nil || !bytes.Equal(again.Body, r.Body) {
		return letter{}, "", errLetter
	}
	return l, w.ThreadID, nil
}

func (l letter) preview(thread string, draft bool) approvals.Preview {
	p := approvals.Preview{Body: l.Text}
	field := func(name, value string) {
		if value != "" {
			p.Fields = append(p.Fields, approvals.Field{Name: name, Value: value})
		}
	}
	note := func(format string, args ...any) {
		text, _ := approvals.Reveal(fmt.Sprintf(format, args...))
		p.Notes = append(p.Notes, text)
	}
	field("To", joinAddresses(l.To))
	field("Cc", joinAddresses(l.Cc))
	field("Bcc", joinAddresses(l.Bcc))
	field("Subject", l.Subject)
	field("In reply to", l.InReplyTo)
	field("Thread", thread)
	if l.HTML != "" {
		field("HTML version", htmlText(l.HTML))
		note("Most people will read the HTML version instead of the plain text.")
	}
	n := l.recipientCount()
	if n > manyRecipients {
		note("It goes to %d recipients.", n)
	}
	if n == 0 && draft {
		note("It has no recipient yet.")
	}
	if l.Subject == "" {
		note("It has no subject.")
	}
	seen := map[string]bool{}
	for _, list := range [][]address{l.To, l.Cc, l.Bcc} {
		for _, a := range list {
			for _, s := range a.suspicions() {
				if !seen[s] {
					seen[s] = true
					note("%s", s)
				}
			}
		}
	}
	return p
}
