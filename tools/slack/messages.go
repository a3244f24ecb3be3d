package slack

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"deputy/tools"

	"golang.org/x/sync/errgroup"
)

type readChannelInput struct {
	ChannelID string `json:"channel_id" jsonschema:"Like C0123456789." audit:"plain"`
	Oldest    string `json:"oldest,omitempty" jsonschema:"Not before: a message's ts, or RFC 3339." audit:"plain"`
	Latest    string `json:"latest,omitempty" jsonschema:"Not after: a message's ts, or RFC 3339." audit:"plain"`
	Detail    string `json:"detail,omitempty" jsonschema:"brief cuts texts at 200 characters." enum:"brief,full" audit:"plain"`
	tools.Page
}

func (n *names) readChannel() tools.Tool {
	return tools.Read(tools.Spec{
		Name:   "slack_read_channel",
		Title:  "Read a Slack channel",
		Doc:    "Messages of a channel or direct message, newest first, without the replies in threads (slack_read_thread where reply_count is not 0).",
		Scopes: slices.Concat(history, see, []string{"users:read"}),
		Effect: tools.Reads,
	}, n.messagesOfChannel)
}

func (n *names) messagesOfChannel(ctx context.Context, a *tools.Account, in readChannelInput) (tools.Found[Message], error) {
	oldest, err := instant("oldest", in.Oldest)
	if err != nil {
		return tools.Found[Message]{}, err
	}
	latest, err := instant("latest", in.Latest)
	if err != nil {
		return tools.Found[Message]{}, err
	}
	path := tools.Path("/conversations.history").With("oldest", oldest).With("latest", latest).With("inclusive", "true")
	return n.messages(ctx, a, place{in.ChannelID, in.ChannelID, in.Detail}, path, in.Page)
}

type readThreadInput struct {
	ChannelID string `json:"channel_id" jsonschema:"Like C0123456789." audit:"plain"`
	MessageTS string `json:"message_ts" jsonschema:"The ts of the thread's first message." audit:"plain"`
	Detail    string `json:"detail,omitempty" enum:"brief,full" audit:"plain"`
	tools.Page
}

func (n *names) readThread() tools.Tool {
	return tools.Read(tools.Spec{
		Name:   "slack_read_thread",
		Title:  "Read a Slack thread",
		Doc:    "A message and the replies in its thread, oldest first.",
		Scopes: slices.Concat(history, see, []string{"users:read"}),
		Effect: tools.Reads,
	}, n.messagesOfThread)
}

func (n *names) messagesOfThread(ctx context.Context, a *tools.Account, in readThreadInput) (tools.Found[Message], error) {
	if err := checkTS("message_ts", in.MessageTS); err != nil {
		return tools.Found[Message]{}, err
	}
	path := tools.Path("/conversations.replies").With("ts", in.MessageTS)
	return n.messages(ctx, a, place{in.ChannelID, in.ChannelID + "/" + in.MessageTS, in.Detail}, path, in.Page)
}

// place is a channel or a thread, and how much of each message is wanted.
type place struct{ channel, name, detail string }

// messages reads one page. A place that does not exist is answered with an
// empty list, as one is whose every message is withheld.
func (n *names) messages(ctx context.Context, a *tools.Account, p place, path *tools.PathBuilder, page tools.Page) (tools.Found[Message], error) {
	var none tools.Found[Message]
	if err := checkChannel(p.channel); err != nil {
		return none, err
	}
	cursor, err := p.open(page.Cursor)
	if err != nil {
		return none, err
	}
	path = path.With("limit", strconv.Itoa(page.Size(30))).With("cursor", cursor)

	var answer messagesAnswer
	in, err := channelWith(ctx, a, p.channel, path, &answer)
	if err != nil && !missing(err) {
		return none, err
	} else if missing(err) {
		n.of(ctx, a, nil) // what does not exist takes as long as what is withheld
		return none, nil
	}

	var ids []string
	for _, w := range answer.Messages {
		ids = append(append(ids, w.User), mentioned(w.body())...)
	}
	known := n.of(ctx, a, ids)
	items := make([]Message, len(answer.Messages))
	for i, w := range answer.Messages {
		items[i] = messageOf(a.Name(), p.channel, w, known)
		items[i].External, items[i].in = in.External, &in
		if p.detail == "brief" {
			items[i].Text = cut(items[i].Text, briefText)
		}
	}
	return tools.Items(items...).Within(in).Next(p.seal(answer.Metadata.NextCursor)), nil
}

// A cursor is good for its own place. Slack would say invalid_cursor for
// another channel that exists and channel_not_found for one that does not.
func (p place) open(cursor string) (string, error) {
	if cursor == "" {
		return "", nil
	}
	at, rest, _ := strings.Cut(cursor, " ")
	if at != p.name {
		return "", tools.BadInput("cursor", "it belongs to another channel or thread; start again without it")
	}
	return rest, nil
}

func (p place) seal(cursor string) string {
	if cursor == "" {
		return ""
	}
	return p.name + " " + cursor
}

// channelWith asks for something in a channel and for the channel, at once.
func channelWith(ctx context.Context, a *tools.Account, id string, path *tools.PathBuilder, answer any) (Channel, error) {
	var in wireChannel
	var both errgroup.Group
	both.Go(func() error { return a.Get(ctx, path.With("channel", id).String(), answer) })
	both.Go(func() (err error) {
		in, err = channelInfo(ctx, a, id)
		return err
	})
	err := both.Wait()
	if err == nil && in.ID != id { // another name for a channel is a way around the rules for it
		err = tools.NotFound()
	}
	team, _ := whose(a.Name())
	return channelOf(team, in), err
}

// body is a message's text, or what an app put in its place.
func (w wireMessage) body() string {
	if w.Text != "" {
		return w.Text
	}
	var lines []string
	for _, a := range w.Attachments {
		lines = append(lines, cmp.Or(a.Fallback, a.Text))
	}
	return strings.Join(lines, "\n")
}

// maxReactions and maxFiles keep the small things small.
const maxReactions, maxFiles, briefText = 10, 20, 200

func messageOf(account, channel string, w wireMessage, names map[string]string) Message {
	team, self := whose(account)
	m := Message{
		TS: w.TS, UserID: w.User, User: cmp.Or(names[w.User], w.User, line(unescape(w.Username)), w.BotID),
		App: w.BotID != "" || w.AppID != "", Text: readable(w.body(), names), Edited: w.Edited != nil,
		ThreadTS: w.ThreadTS, ReplyCount: w.ReplyCount, team: team, channel: channel,
	}
	for _, f := range w.Files[:min(len(w.Files), maxFiles)] {
		m.Files = append(m.Files, strings.TrimSpace(f.ID+" "+line(f.Name)))
	}
	for _, r := range w.Reactions[:min(len(w.Reactions), maxReactions)] {
		m.Reactions = append(m.Reactions, fmt.Sprintf(":%s: %d", line(r.Name), r.Count))
	}
	// What an app posted in the user's name may be an agent's words, so it does
	// not come back as trusted; neither do other people's names and emoji.
	m.own = w.User == self && self != "" && !m.App && !markup(w.Text) && len(w.Reactions) == 0 && len(w.Attachments) == 0
	return m
}

var slackTime = regexp.MustCompile(`^\d{1,12}(\.\d{1,6})?$`)

// instant reads a point in time as Slack writes it or as people do.
func instant(field, text string) (string, error) {
	if text == "" || slackTime.MatchString(text) {
		return text, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil || t.Unix() < 0 || t.Unix() >= 1e12 {
		return "", tools.BadInput(field, "must be a message's ts, like 1763900000.000100, or a time like 2026-11-23T09:00:00Z")
	}
	return fmt.Sprintf("%d.%06d", t.Unix(), t.Nanosecond()/1000), nil
}
