package slack

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"deputy/approvals"
	"deputy/tools"
)

type sendInput struct {
	ChannelID string `json:"channel_id" jsonschema:"Like C0123456789." audit:"plain"`
	Message   string `json:"message" jsonschema:"Plain text: a mention or a labelled link stays text and notifies nobody."`
	ThreadTS  string `json:"thread_ts,omitempty" jsonschema:"The ts of the message to reply to." audit:"plain"`
	Broadcast bool   `json:"reply_broadcast,omitempty" jsonschema:"Show the reply in the channel too." audit:"plain"`
}

var sendMessage = tools.Write(tools.Spec{
	Name:   "slack_send_message",
	Title:  "Send a Slack message",
	Doc:    "Post one message as the user, to a channel or direct message the user is a member of and that is not archived.",
	Scopes: slices.Concat(see, []string{"chat:write"}),
	Effect: tools.Publishes,
}, planSend, decodePosted)

const (
	postPath  = "/chat.postMessage"
	jsonType  = "application/json; charset=utf-8"
	maxText   = 40_000 // characters; Slack cuts off what is longer
	parseNone = "none"
)

// post is the body of chat.postMessage. Its last four fields never vary: with
// them and escaped text, Slack makes nothing of the message but what it says.
type post struct {
	Channel     string `json:"channel"`
	Text        string `json:"text"`
	ThreadTS    string `json:"thread_ts,omitempty"`
	Broadcast   bool   `json:"reply_broadcast,omitempty"`
	UnfurlLinks bool   `json:"unfurl_links"`
	UnfurlMedia bool   `json:"unfurl_media"`
	Parse       string `json:"parse"`
	LinkNames   bool   `json:"link_names"`
}

// encode is the one form in which a post is sent.
func (p post) encode() []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(p) // strings and bools always encode
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

func planSend(ctx context.Context, a *tools.Account, in sendInput) (plan tools.Plan[Posted], err error) {
	if err := in.check(); err != nil {
		return plan, err
	}
	where, err := channelInfo(ctx, a, in.ChannelID)
	if err != nil {
		return plan, err
	}
	if !where.writable() || where.ID != in.ChannelID {
		// The reason stays untold: the rules have not yet said whether the agent
		// may know of the channel.
		return plan, tools.NotFound()
	}
	team, _ := whose(a.Name())
	channel := channelOf(team, where)
	plan.Uses = []tools.Resource{channel}
	plan.Seen = []approvals.Field{{Name: "Channel", Value: channel.describe()}}
	plan.Request = in.request()
	return plan, nil
}

func (in sendInput) request() approvals.Request {
	p := post{Channel: in.ChannelID, Text: escape(in.Message), ThreadTS: in.ThreadTS, Broadcast: in.Broadcast, Parse: parseNone}
	return approvals.Request{Method: "POST", Path: postPath, ContentType: jsonType, Body: p.encode()}
}

func (in sendInput) check() error {
	if err := checkChannel(in.ChannelID); err != nil {
		return err
	}
	if in.ThreadTS != "" {
		if err := checkTS("thread_ts", in.ThreadTS); err != nil {
			return err
		}
	}
	if in.Broadcast && in.ThreadTS == "" {
		return tools.BadInput("reply_broadcast", "needs a thread_ts: a message outside a thread is in the channel anyway")
	}
	if strings.TrimSpace(in.Message) == "" {
		return tools.BadInput("message", "is empty")
	}
	if r, bad := unprintable(in.Message); bad {
		return tools.BadInput("message", fmt.Sprintf("contains the control character U+%04X; only newlines and tabs may be in it", r))
	}
	if n := utf8.RuneCountInString(escape(in.Message)); n > maxText {
		return tools.BadInput("message", fmt.Sprintf("takes %d characters, Slack takes %d (& counts as 5, < and > as 4)", n, maxText))
	}
	return nil
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

var errAnswer = errors.New("slack: the answer does not say where the message is")

// decodePosted reads where the message is from Slack's answer.
func decodePosted(account string, answer []byte) (Posted, error) {
	var said struct {
		Channel, TS string
		Message     wireMessage
	}
	if json.Unmarshal(answer, &said) != nil || !channelID.MatchString(said.Channel) || !messageTS.MatchString(said.TS) {
		return Posted{}, errAnswer
	}
	if said.Message.ThreadTS != "" && !messageTS.MatchString(said.Message.ThreadTS) {
		return Posted{}, errAnswer
	}
	team, _ := whose(account)
	return Posted{ChannelID: said.Channel, MessageTS: said.TS, ThreadTS: said.Message.ThreadTS, team: team}, nil
}
