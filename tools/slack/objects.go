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

// anyKind is the kind of a channel of which nothing is known: all kinds.
const anyKind = "?"

func (c Channel) Object() authz.Object { return channelObject(c.team, c.ID) }
func (c Channel) Facts(account authz.Object) authz.Facts {
	facts := where(account, c.Object())
	if c.kind == anyKind {
		return facts
	}
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
	ChannelID  string   `json:"channel_id,omitempty"`
	Channel    string   `json:"channel,omitempty"`
	TS         string   `json:"ts"`
	User       string   `json:"user"`
	UserID     string   `json:"user_id,omitempty"`
	App        bool     `json:"app,omitempty" jsonschema:"Posted by an app."`
	External   bool     `json:"external,omitempty" jsonschema:"The channel is shared with another organisation."`
	Text       string   `json:"text"`
	Edited     bool     `json:"edited,omitempty"`
	Files      []string `json:"files,omitempty" jsonschema:"file_id and name."`
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

func channelObject(team, channel string) authz.Object {
	return authz.NewObject("slack_channel", team, channel)
}

func userObject(team, user string) authz.Object { return authz.NewObject("slack_user", team, user) }

func fileObject(team, file string) authz.Object { return authz.NewObject("slack_file", team, file) }

func messageObject(team, channel, ts string) authz.Object {
	return authz.NewObject("slack_message", team, channel, ts)
}

// where is what the name of an object says about where it is.
func where(account, o authz.Object) authz.Facts {
	workspace, channel := o.Part("slack_workspace", 1), o.Part("slack_channel", 2)
	facts := authz.Facts{workspace.Is("account", account)}
	switch o.Type() {
	case "slack_channel":
		facts = append(facts, o.Is("workspace", workspace))
	case "slack_message":
		facts = append(facts, channel.Is("workspace", workspace), o.Is("channel", channel))
	case "slack_user":
		facts = append(facts, o.Is("workspace", workspace))
	case "slack_file":
		facts = append(facts, o.Is("place", workspace))
	}
	return facts
}

// The forms of what names a conversation or a message. Slack also takes
// channel names and user ids where it wants a conversation's id. We do not: a
// name can move to another channel between the question and the yes.
var (
	channelID = regexp.MustCompile(`^[CDG][A-Z0-9]{2,}$`)
	userID    = regexp.MustCompile(`^[UW][A-Z0-9]{2,}$`)
	fileID    = regexp.MustCompile(`^F[A-Z0-9]{2,}$`)
	messageTS = regexp.MustCompile(`^\d+\.\d+$`)
)

func checkChannel(id string) error {
	if len(id) > 64 || !channelID.MatchString(id) {
		return tools.BadInput("channel_id", "must be a channel's id, like C0123456789; slack_search_channels finds it")
	}
	return nil
}

func checkUser(field, id string) error {
	if len(id) > 64 || !userID.MatchString(id) {
		return tools.BadInput(field, "must be a user's id, like U0123456789; slack_search_users finds it")
	}
	return nil
}

func checkFile(id string) error {
	if len(id) > 64 || !fileID.MatchString(id) {
		return tools.BadInput("file_id", "must be a file's id, like F0123456789; messages name those of their files")
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
