package gmail

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"deputy/authz"
)

// Thread is a conversation, in a few lines.
type Thread struct {
	ID       string   `json:"thread_id"`
	Subject  string   `json:"subject,omitempty"`
	From     []string `json:"from,omitempty" jsonschema:"Everybody who wrote in it, first to last."`
	Date     string   `json:"date,omitempty" jsonschema:"Of the last message."`
	Messages int      `json:"messages,omitempty"`
	Unread   bool     `json:"unread,omitempty"`
	Labels   []string `json:"labels,omitempty"`
	Snippet  string   `json:"snippet,omitempty"`

	place
}

func (t Thread) Object() authz.Object { return authz.NewObject("gmail_thread", t.mailbox, t.ID) }

func (t Thread) Facts(account authz.Object) authz.Facts { return t.facts(account, t.Object()) }

// Message is one mail of a thread.
type Message struct {
	ID          string       `json:"message_id"`
	From        string       `json:"from,omitempty"`
	ReplyTo     string       `json:"reply_to,omitempty"`
	To          string       `json:"to,omitempty"`
	Cc          string       `json:"cc,omitempty"`
	Bcc         string       `json:"bcc,omitempty"`
	Date        string       `json:"date,omitempty"`
	Subject     string       `json:"subject,omitempty"`
	Labels      []string     `json:"labels,omitempty"`
	Snippet     string       `json:"snippet,omitempty"`
	Body        string       `json:"body,omitempty"`
	BodyCut     bool         `json:"body_cut,omitempty" jsonschema:"The body is longer; a larger max_bytes shows more."`
	Attachments []Attachment `json:"attachments,omitempty"`

	place
}

// Attachment is what a message says about a file that comes with it.
type Attachment struct {
	Name string `json:"name,omitempty"`
	Type string `json:"type,omitempty"`
	Size int    `json:"size,omitempty"`
}

func (m Message) Object() authz.Object { return authz.NewObject("gmail_message", m.mailbox, m.ID) }

func (m Message) Facts(account authz.Object) authz.Facts { return m.facts(account, m.Object()) }

// Sent says which message was sent. Nothing in it is anybody's words.
type Sent struct {
	ID       string `json:"message_id"`
	ThreadID string `json:"thread_id"`

	place
}

func (s Sent) Object() authz.Object { return authz.NewObject("gmail_message", s.mailbox, s.ID) }

func (s Sent) Facts(account authz.Object) authz.Facts { return s.facts(account, s.Object()) }

// Draft says which draft was made.
type Draft struct {
	DraftID  string `json:"draft_id"`
	ID       string `json:"message_id"`
	ThreadID string `json:"thread_id"`

	place
}

func (d Draft) Object() authz.Object { return authz.NewObject("gmail_message", d.mailbox, d.ID) }

func (d Draft) Facts(account authz.Object) authz.Facts { return d.facts(account, d.Object()) }

// place is what the rules go by: whose mailbox, under which labels, and
// whether the account's user wrote every word.
type place struct {
	mailbox string
	thread  string    // the thread a message is part of
	answers []Message // those before it in its thread that it may quote
	labels  []string  // ids and names
	senders []string  // addresses
	own     bool
}

// facts places an object in its mailbox, under its labels, with its senders.
func (p place) facts(account, object authz.Object) authz.Facts {
	out := where(account, object)
	mailbox := authz.NewObject("gmail_mailbox", p.mailbox)
	if thread := authz.NewObject("gmail_thread", p.mailbox, p.thread); object.Type() == "gmail_message" && p.thread != "" {
		out = append(out, thread.Is("mailbox", mailbox), object.Is("thread", thread))
	}
	for _, m := range p.answers {
		out = append(append(out, object.Is("answers", m.Object())), m.Facts(account)...)
	}
	for _, l := range p.labels {
		label := authz.NewObject("gmail_label", p.mailbox, l)
		out = append(out, label.Is("mailbox", mailbox), object.Is("label", label))
	}
	for _, s := range p.senders {
		out = append(out, sentBy(object, s)...)
	}
	return out
}

// where is what the name of an object says about where it is.
func where(account, o authz.Object) authz.Facts {
	mailbox := o.Part("gmail_mailbox", 1)
	facts := authz.Facts{mailbox.Is("account", account)}
	if o.Type() != "gmail_mailbox" {
		facts = append(facts, o.Is("mailbox", mailbox))
	}
	return facts
}

// Label is private: no mail is for the world. It is untrusted unless all of it
// is the user's own.
func (p place) Label() authz.Label {
	l := authz.Label{Integrity: authz.Untrusted, Confidentiality: authz.Private}
	if p.own {
		l.Integrity = authz.Trusted
	}
	return l
}

// placeOf is the place of messages that are shown together: under all labels
// of all of them, by id and by name.
func (l labels) placeOf(mailbox string, messages ...wireMessage) place {
	p := place{mailbox: mailbox, own: len(messages) > 0}
	seen := map[string]bool{"": true}
	add := func(label string) {
		if !seen[label] {
			seen[label] = true
			p.labels = append(p.labels, label)
		}
	}
	for _, m := range messages {
		p.own = p.own && m.own()
		p.thread = m.ThreadID
		for _, id := range m.LabelIDs {
			add(id)
			add(l[id])
		}
		for _, s := range m.senders() {
			if !slices.Contains(p.senders, s) {
				p.senders = append(p.senders, s)
			}
		}
	}
	return p
}

// answered finds what a message answers among those of its thread: each that
// its In-Reply-To or References name.
func (l labels) answered(mailbox string, m wireMessage, thread []wireMessage) (out []Message) {
	named := m.Payload.header("In-Reply-To") + " " + m.Payload.header("References")
	for _, other := range thread {
		id := strings.TrimSpace(other.Payload.header("Message-ID"))
		if other.ID != m.ID && id != "" && strings.Contains(named, id) {
			out = append(out, Message{ID: other.ID, place: l.placeOf(mailbox, other)})
		}
	}
	return out
}

// own reports whether the account's user wrote every word of a message: it was
// sent from here and answers nobody, whose subject and text it would repeat.
func (m wireMessage) own() bool {
	sent := false
	for _, id := range m.LabelIDs {
		sent = sent || id == "SENT"
	}
	return sent && len(m.Payload.Headers) > 0 && m.Payload.header("In-Reply-To") == "" && m.Payload.header("References") == ""
}

// names are the labels of messages as people call them.
func (l labels) names(messages ...wireMessage) (out []string) {
	seen := map[string]bool{}
	for _, m := range messages {
		for _, id := range m.LabelIDs {
			name := l[id]
			if name == "" {
				name = id
			}
			if !seen[name] {
				seen[name] = true
				out = append(out, name)
			}
		}
	}
	return out
}

var errAnswer = errors.New("gmail: the answer does not say what was made")

// decodeSent reads which message was sent from Gmail's answer.
func decodeSent(account string, answer []byte) (Sent, error) {
	var m wireMessage
	if json.Unmarshal(answer, &m) != nil || !wellFormedID.MatchString(m.ID) || !wellFormedID.MatchString(m.ThreadID) {
		return Sent{}, errAnswer
	}
	return Sent{ID: m.ID, ThreadID: m.ThreadID, place: made(account, m)}, nil
}

// decodeDraft reads which draft was made.
func decodeDraft(account string, answer []byte) (Draft, error) {
	var d struct {
		ID      string
		Message wireMessage
	}
	if json.Unmarshal(answer, &d) != nil || !wellFormedID.MatchString(d.ID) ||
		!wellFormedID.MatchString(d.Message.ID) || !wellFormedID.MatchString(d.Message.ThreadID) {
		return Draft{}, errAnswer
	}
	return Draft{DraftID: d.ID, ID: d.Message.ID, ThreadID: d.Message.ThreadID, place: made(account, d.Message)}, nil
}

// made is the place of what a write made. Ids are all there is to show, so
// there is nothing in it to distrust.
func made(account string, m wireMessage) place {
	p := labels(nil).placeOf(account, m)
	p.own = true
	return p
}
