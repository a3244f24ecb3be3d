package slack

import (
	"cmp"
	"regexp"
	"strings"

	"deputy/authz"
	"deputy/tools"
)

// Channel is a conversation. Its name and topic were written by others.
type Channel struct {
	ID       string `json:"channel_id"`
	Name     string `json:"name,omitempty"`
	Topic    string `json:"topic,omitempty"`
	Purpose  string `json:"purpose,omitempty"`
	Private  bool   `json:"private,omitempty"`
	External bool   `json:"external,omitempty" jsonschema:"Shared with another organisation."`
	Archived bool   `json:"archived,omitempty"`
	Member   bool   `json:"member" jsonschema:"Only members can post."`
	Members  int    `json:"members,omitempty"`

	team string
	kind string // im, mpim or private_channel; else it is a public one
}

func (c Channel) Object() authz.Object { return channelObject(c.team, c.ID) }
func (c Channel) Facts(account authz.Object) authz.Facts {
	facts := where(account, c.Object())
	for _, k := range c.kinds() {
		facts = append(facts, c.Object().Is("kind", authz.Object("kind:slack/"+k)))
	}
	return facts
}

// kinds is what Slack says the channel is.
func (c Channel) kinds() []string {
	k := []string{cmp.Or(c.kind, "public_channel")}
	if c.External {
		k = append(k, "shared")
	}
	if !c.Member {
		k = append(k, "not_joined")
	}
	return k
}

// Label is private even for a public channel: a workspace is not the world.
func (c Channel) Label() authz.Label {
	return authz.Label{Integrity: authz.Untrusted, Confidentiality: authz.Private}
}

// Message is a message as a reader in Slack sees it, without its looks.
type Message struct {
	TS         string   `json:"ts"`
	User       string   `json:"user"`
	UserID     string   `json:"user_id,omitempty"`
	App        bool     `json:"app,omitempty" jsonschema:"Posted by an app."`
	External   bool     `json:"external,omitempty" jsonschema:"The channel is shared with another organisation."`
	Text       string   `json:"text"`
	Edited     bool     `json:"edited,omitempty"`
	Files      []string `json:"files,omitempty"`
	ThreadTS   string   `json:"thread_ts,omitempty"`
	ReplyCount int      `json:"reply_count,omitempty"`
	Reactions  []string `json:"reactions,omitempty"`

	team, channel string
	own           bool     // every word of it is the account's user's own
	in            *Channel // where it was read
}

func (m Message) Object() authz.Object { return messageObject(m.team, m.channel, m.TS) }
func (m Message) Facts(account authz.Object) authz.Facts {
	if m.in != nil {
		return append(m.in.Facts(account), m.Object().Is("channel", m.in.Object()))
	}
	return where(account, m.Object())
}
func (m Message) Label() authz.Label {
	l := authz.Label{Integrity: authz.Untrusted, Confidentiality: authz.Private}
	if m.own {
		l.Integrity = authz.Trusted
	}
	return l
}

// Posted says where a message that was sent now stands. It repeats nothing of
// the text, so nothing in it is anybody's words.
type Posted struct {
	ChannelID string `json:"channel_id"`
	MessageTS string `json:"message_ts"`
	ThreadTS  string `json:"thread_ts,omitempty"`

	team string
}

func (p Posted) Object() authz.Object { return messageObject(p.team, p.ChannelID, p.MessageTS) }
func (p Posted) Facts(account authz.Object) authz.Facts {
	return where(account, p.Object())
}
func (p Posted) Label() authz.Label {
	return authz.Label{Integrity: authz.Trusted, Confidentiality: authz.Private}
}

func channelObject(team, channel string) authz.Object {
	return authz.NewObject("slack_channel", team, channel)
}

func messageObject(team, channel, ts string) authz.Object {
	return authz.NewObject("slack_message", team, channel, ts)
}

// where is what the name of an object says about where it is.
func where(account, o authz.Object) authz.Facts {
	workspace, channel := o.Part("slack_workspace", 1), o.Part("slack_channel", 2)
	facts := authz.Facts{workspace.Is("account", account)}
	if o.Type() == "slack_channel" || o.Type() == "slack_message" {
		facts = append(facts, channel.Is("workspace", workspace))
	}
	if o.Type() == "slack_message" {
		facts = append(facts, o.Is("channel", channel))
	}
	return facts
}

// The forms of what names a conversation or a message. Slack also takes
// channel names and user ids where it wants a conversation's id. We do not: a
// name can move to another channel between the question and the yes.
var (
	channelID = regexp.MustCompile(`^[CDG][A-Z0-9]{2,}$`)
	messageTS = regexp.MustCompile(`^\d+\.\d+$`)
)

func checkChannel(id string) error {
	if len(id) > 64 || !channelID.MatchString(id) {
		return tools.BadInput("channel_id", "must be a channel's id, like C0123456789; slack_search_channels finds it")
	}
	return nil
}

func checkTS(field, ts string) error {
	if len(ts) > 32 || !messageTS.MatchString(ts) {
		return tools.BadInput(field, "must be a message's ts, like 1763900000.000100")
	}
	return nil
}

// whose takes an account's name, "T0HARBOR01/U0ANNA0001", apart.
func whose(account string) (team, user string) {
	team, user, _ = strings.Cut(account, "/")
	return team, user
}
