package slack

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"deputy/approvals"
	"deputy/authz"
	"deputy/tools"
)

const (
	postPath     = "/chat.postMessage"
	schedulePath = "/chat.scheduleMessage"
	updatePath   = "/chat.update"

	maxText = 40_000 // characters; Slack cuts off what is longer
)

// content is what an agent may say, as it says it.
type content struct {
	Message string `json:"message" jsonschema:"Plain text: mentions and labelled links stay text."`
	Mrkdwn  bool   `json:"mrkdwn,omitempty" jsonschema:"message and blocks are mrkdwn: <@U…>, <!here> notify, <https://…|label> links." audit:"plain"`
	Blocks  string `json:"blocks,omitempty" jsonschema:"Block Kit JSON: header, section, context, divider. Then message is the notification."`
}

// likewise is content that is described with another tool.
type likewise struct {
	Message string `json:"message" jsonschema:"It, mrkdwn and blocks as for sending."`
	Mrkdwn  bool   `json:"mrkdwn,omitempty" audit:"plain"`
	Blocks  string `json:"blocks,omitempty"`
}

// said is what goes out of it. The fields after the text never vary: with them
// and escaped text, Slack makes nothing of a message but what it says.
type said struct {
	Text      string  `json:"text"`
	Blocks    []block `json:"blocks,omitzero"`
	Parse     string  `json:"parse"`
	LinkNames bool    `json:"link_names"`
}

const parseNone = "none"

func (c content) said() (said, error) {
	blocks, err := readBlocks(c.Blocks, c.Mrkdwn)
	if err != nil {
		return said{}, err
	}
	if strings.TrimSpace(c.Message) == "" {
		return said{}, tools.BadInput("message", "is empty")
	}
	s := said{Text: compose(c.Message, c.Mrkdwn), Blocks: blocks, Parse: parseNone}
	return s, s.check()
}

func (s said) check() error {
	if strings.TrimSpace(s.Text) == "" {
		return tools.BadInput("message", "is empty")
	}
	if r, bad := unprintable(s.Text); bad {
		return tools.BadInput("message", fmt.Sprintf("contains the control character U+%04X; only newlines and tabs may be in it", r))
	}
	if n := utf8.RuneCountInString(s.Text); n > maxText {
		return tools.BadInput("message", fmt.Sprintf("takes %d characters, Slack takes %d (& counts as 5, < and > as 4)", n, maxText))
	}
	if s.Parse != parseNone || s.LinkNames || compose(s.Text, true) != s.Text {
		return errNotOurs
	}
	return checkBlocks(s.Blocks)
}

// fill completes a preview with all that is said.
func (s said) fill(p *approvals.Preview) {
	p.Body = readable(s.Text, nil)
	texts := []string{s.Text}
	if len(s.Blocks) > 0 {
		p.Fields = append(p.Fields, approvals.Field{Name: "Notification", Value: p.Body})
		p.Body = blocksShown(s.Blocks)
		for _, b := range s.Blocks {
			for _, t := range b.texts() {
				if t.Type == "mrkdwn" {
					texts = append(texts, t.Text)
				}
			}
		}
	}
	p.Notes = append(p.Notes, remarks(texts...)...)
}

// mentions are the ids of the people it notifies.
func (s said) mentions() []string {
	ids := mentioned(s.Text)
	for _, b := range s.Blocks {
		for _, t := range b.texts() {
			if t.Type == "mrkdwn" {
				ids = append(ids, mentioned(t.Text)...)
			}
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// post is the body of chat.postMessage and chat.scheduleMessage.
type post struct {
	Channel     string `json:"channel"`
	PostAt      int64  `json:"post_at,omitempty"`
	ThreadTS    string `json:"thread_ts,omitempty"`
	Broadcast   bool   `json:"reply_broadcast,omitempty"`
	UnfurlLinks bool   `json:"unfurl_links"`
	UnfurlMedia bool   `json:"unfurl_media"`
	said
}

func (p post) check() error {
	if err := checkChannel(p.Channel); err != nil {
		return err
	}
	if p.ThreadTS != "" {
		if err := checkTS("thread_ts", p.ThreadTS); err != nil {
			return err
		}
	}
	if p.Broadcast && p.ThreadTS == "" {
		return tools.BadInput("reply_broadcast", "needs a thread_ts: a message outside a thread is in the channel anyway")
	}
	if p.UnfurlLinks || p.UnfurlMedia || p.PostAt < 0 || p.Blocks != nil && len(p.Blocks) == 0 {
		return errNotOurs
	}
	return p.said.check()
}

func (p post) preview(team string) approvals.Preview {
	out := approvals.Preview{
		Fields:  []approvals.Field{{Name: "Channel", Value: p.Channel}},
		Changes: []authz.Object{channelObject(team, p.Channel)},
	}
	if p.PostAt != 0 {
		out.Fields = append(out.Fields, approvals.Field{Name: "Posted at", Value: moment(p.PostAt)})
	}
	if p.ThreadTS != "" {
		out.Fields = append(out.Fields, approvals.Field{Name: "Thread", Value: p.ThreadTS})
	}
	if p.Broadcast {
		out.Fields = append(out.Fields, approvals.Field{Name: "Also to channel", Value: "yes"})
	}
	p.fill(&out)
	return out
}

// posting is a post that goes out now, scheduling one that goes out later.
type posting struct{ post }

func (p posting) check() error {
	if p.PostAt != 0 {
		return errNotOurs
	}
	return p.post.check()
}

type scheduling struct{ post }

func (p scheduling) check() error {
	if p.PostAt == 0 {
		return tools.BadInput("post_at", "is empty")
	}
	return p.post.check()
}

// unprintable finds a control character, which Slack would drop or turn into
// something that nobody was shown.
func unprintable(text string) (rune, bool) {
	i := strings.IndexFunc(text, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' })
	if i < 0 {
		return 0, false
	}
	r, _ := utf8.DecodeRuneInString(text[i:])
	return r, true
}
