package slack

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"deputy/approvals"
	"deputy/authz"
	"deputy/tools"
)

const (
	deletePath = "/chat.delete"
	reactPath  = "/reactions.add"
)

// at names one message.
type at struct {
	ChannelID string `json:"channel_id" audit:"plain"`
	MessageTS string `json:"message_ts" audit:"plain"`
}

func (m at) check() error {
	if err := checkChannel(m.ChannelID); err != nil {
		return err
	}
	return checkTS("message_ts", m.MessageTS)
}

var changing = slices.Concat(history, see, []string{"chat:write", "users:read"})

type updateInput struct {
	at
	likewise
}

func (n *names) updateMessage() tools.Tool {
	return tools.Write(tools.Spec{
		Name:   "slack_update_message",
		Title:  "Change a Slack message",
		Doc:    "Replace the text of one of the user's own messages.",
		Scopes: changing,
		Effect: tools.Publishes,
	}, func(ctx context.Context, a *tools.Account, in updateInput) (plan tools.Plan[Posted], err error) {
		s, err := content(in.likewise).said()
		if err != nil {
			return plan, err
		}
		m, where, err := n.message(ctx, a, in.at, true)
		if err != nil {
			return plan, err
		}
		if s.Blocks == nil {
			s.Blocks = []block{}
		}
		u := update{Channel: in.ChannelID, TS: in.MessageTS, said: s}
		plan.Uses = []tools.Resource{where, m}
		plan.Seen = append([]approvals.Field{{Name: "Channel", Value: where.describe()}}, changes(m.Text, readable(s.Text, nil))...)
		plan.Request = request(updatePath, u)
		return plan, nil
	}, decodeChanged)
}

func (n *names) deleteMessage() tools.Tool {
	return tools.Write(tools.Spec{
		Name:   "slack_delete_message",
		Title:  "Delete a Slack message",
		Doc:    "Delete one of the user's own messages.",
		Scopes: changing,
		Effect: tools.Destroys,
	}, func(ctx context.Context, a *tools.Account, in at) (plan tools.Plan[Posted], err error) {
		m, where, err := n.message(ctx, a, in, true)
		if err != nil {
			return plan, err
		}
		plan.Uses = []tools.Resource{where, m}
		plan.Seen = []approvals.Field{{Name: "Channel", Value: where.describe()}, {Name: "Text", Value: m.Text}}
		plan.Request = request(deletePath, deletion{Channel: in.ChannelID, TS: in.MessageTS})
		return plan, nil
	}, decodeChanged)
}

type reactInput struct {
	at
	Emoji string `json:"emoji" jsonschema:"Its name, like thumbsup." audit:"plain"`
}

func (n *names) addReaction() tools.Tool {
	return tools.Write(tools.Spec{
		Name:   "slack_add_reaction",
		Title:  "React to a Slack message",
		Doc:    "Add an emoji to a message, as the user.",
		Scopes: slices.Concat(history, see, []string{"reactions:write", "users:read"}),
		Effect: tools.Publishes,
	}, func(ctx context.Context, a *tools.Account, in reactInput) (plan tools.Plan[Done], err error) {
		r := reaction{Channel: in.ChannelID, Name: strings.Trim(in.Emoji, ":"), Timestamp: in.MessageTS}
		if err := r.check(); err != nil {
			return plan, err
		}
		m, where, err := n.message(ctx, a, in.at, false)
		if err != nil {
			return plan, err
		}
		plan.Uses = []tools.Resource{where, m}
		plan.Seen = []approvals.Field{{Name: "Channel", Value: where.describe()}, {Name: "Message", Value: m.User + ": " + cut(m.Text, 500)}}
		plan.Request = request(reactPath, r)
		return plan, nil
	}, decodeDone)
}

// message reads the one message that is to be changed; own is whether it must
// be the user's. Any reason why it cannot be is answered as if there were none.
func (n *names) message(ctx context.Context, a *tools.Account, at at, own bool) (m Message, where Channel, err error) {
	if err := at.check(); err != nil {
		return m, where, err
	}
	// A thread's replies from and until the one, which may be its first message
	// or one outside of threads.
	path := tools.Path("/conversations.replies").With("ts", at.MessageTS).With("oldest", at.MessageTS).With("latest", at.MessageTS).
		With("inclusive", "true").With("limit", "10")
	var answer messagesAnswer
	where, err = channelWith(ctx, a, at.ChannelID, path, &answer)
	if err != nil && !missing(err) {
		return m, where, err
	}
	i := slices.IndexFunc(answer.Messages, func(w wireMessage) bool { return w.TS == at.MessageTS })
	var ids []string
	if i >= 0 {
		ids = append(mentioned(answer.Messages[i].body()), answer.Messages[i].User)
	}
	known := n.of(ctx, a, ids) // what does not exist takes as long as what is withheld
	_, self := whose(a.Name())
	if err != nil || i < 0 || own && answer.Messages[i].User != self {
		return m, where, tools.NotFound()
	}
	m = messageOf(a.Name(), at.ChannelID, answer.Messages[i], known)
	m.External, m.in = where.External, &where
	return m, where, nil
}

// maxChanges bounds how many lines of an old text are shown one by one.
const maxChanges = 40

// changes says what an edit takes away, line by line: what it puts there is in
// the bytes, and is shown with them.
func changes(before, after string) (out []approvals.Field) {
	old, now := strings.Split(before, "\n"), strings.Split(after, "\n")
	if len(old) == 1 || len(old) > maxChanges || len(now) > maxChanges {
		return []approvals.Field{{Name: "Old text", Value: before}}
	}
	for _, l := range removed(old, now) {
		out = append(out, approvals.Field{Name: "Line removed", Value: l})
	}
	for _, l := range removed(now, old) {
		out = append(out, approvals.Field{Name: "Line added", Value: l})
	}
	return out
}

// removed are the lines of a that are not in a longest common subsequence of a
// and b.
func removed(a, b []string) (out []string) {
	length := make([][]int, len(a)+1)
	for i := range length {
		length[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				length[i][j] = length[i+1][j+1] + 1
			} else {
				length[i][j] = max(length[i+1][j], length[i][j+1])
			}
		}
	}
	i, j := 0, 0
	for i < len(a) {
		switch {
		case j < len(b) && a[i] == b[j]:
			i, j = i+1, j+1
		case j < len(b) && length[i][j+1] > length[i+1][j]:
			j++
		default:
			out = append(out, a[i])
			i++
		}
	}
	return out
}

// update is the body of chat.update. Blocks always go with it, if need be none:
// without them Slack would go on showing the old ones.
type update struct {
	Channel string `json:"channel"`
	TS      string `json:"ts"`
	said
}

func (u update) check() error {
	if err := (at{u.Channel, u.TS}).check(); err != nil {
		return err
	}
	if u.Blocks == nil {
		return errNotOurs
	}
	return u.said.check()
}

func (u update) preview(team string) approvals.Preview {
	p := previewAt(team, u.Channel, u.TS)
	u.fill(&p)
	return p
}

// deletion is the body of chat.delete.
type deletion struct {
	Channel string `json:"channel"`
	TS      string `json:"ts"`
}

func (d deletion) check() error                          { return at{d.Channel, d.TS}.check() }
func (d deletion) preview(team string) approvals.Preview { return previewAt(team, d.Channel, d.TS) }

// reaction is the body of reactions.add.
type reaction struct {
	Channel   string `json:"channel"`
	Name      string `json:"name"`
	Timestamp string `json:"timestamp"`
}

// emojiName is also one with a skin tone: wave::skin-tone-2.
var emojiName = regexp.MustCompile(`^[\pL\pN_+'-]{1,100}(::skin-tone-[2-6])?$`)

func (r reaction) check() error {
	if !emojiName.MatchString(r.Name) {
		return tools.BadInput("emoji", "must be an emoji's name, like thumbsup")
	}
	return at{r.Channel, r.Timestamp}.check()
}

func (r reaction) preview(team string) approvals.Preview {
	p := previewAt(team, r.Channel, r.Timestamp)
	p.Fields = append(p.Fields, approvals.Field{Name: "Emoji", Value: ":" + r.Name + ":"})
	return p
}

func previewAt(team, channel, ts string) approvals.Preview {
	return approvals.Preview{
		Fields:  []approvals.Field{{Name: "Channel", Value: channel}, {Name: "Message", Value: ts}},
		Changes: []authz.Object{channelObject(team, channel), messageObject(team, channel, ts)},
	}
}
