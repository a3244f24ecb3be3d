package slack

import (
	"bytes"
	"encoding/json"
	"errors"
	"regexp"

	"deputy/approvals"
	"deputy/authz"
)

var errNotOurs = errors.New("slack: the request is not a message in the one form deputy sends")

// render reads a message back from the bytes that would be sent. Bytes that
// are not exactly what a sendInput encodes to are not shown and not sent.
//
// The channel is named by its id alone: its name is not in the bytes, and may
// be another one by the time of the yes.
func render(account string, r approvals.Request) (approvals.Preview, error) {
	var none approvals.Preview
	team, user := whose(account)
	if team == "" || user == "" {
		return none, errNotOurs
	}
	if r.Method != "POST" || r.Path != postPath || r.ContentType != jsonType {
		return none, errNotOurs
	}
	var p post
	if json.Unmarshal(r.Body, &p) != nil {
		return none, errNotOurs
	}
	// Encoding again is the strictest reading: it leaves no room for a further
	// field, a repeated one, a switched-on one, or anything after the end.
	in := sendInput{ChannelID: p.Channel, Message: unescape(p.Text), ThreadTS: p.ThreadTS, Broadcast: p.Broadcast}
	if !bytes.Equal(in.request().Body, r.Body) || in.check() != nil {
		return none, errNotOurs
	}
	return in.preview(team), nil
}

func (in sendInput) preview(team string) approvals.Preview {
	p := approvals.Preview{
		Fields:  []approvals.Field{{Name: "Channel", Value: in.ChannelID}},
		Body:    in.Message,
		Changes: []authz.Object{channelObject(team, in.ChannelID)},
	}
	if in.ThreadTS != "" {
		p.Fields = append(p.Fields, approvals.Field{Name: "Thread", Value: in.ThreadTS})
	}
	if in.Broadcast {
		p.Fields = append(p.Fields, approvals.Field{Name: "Also to channel", Value: "yes"})
	}
	if looksLikeMention.MatchString(in.Message) {
		p.Notes = append(p.Notes, "What looks like a mention is shown as plain text; nobody is notified by it.")
	}
	if looksLikeLink.MatchString(in.Message) {
		p.Notes = append(p.Notes, "What looks like a link with a label is shown as plain text, brackets included.")
	}
	return p
}

var (
	looksLikeMention = regexp.MustCompile(`(^|[^\pL\pN_.+-])@[\pL\pN]|<[@!#]`)
	looksLikeLink    = regexp.MustCompile(`<[A-Za-z][A-Za-z0-9+.-]*:[^>]*>`)
)
