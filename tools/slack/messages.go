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
	tools.Page
}

var readChannel = tools.Read(tools.Spec{
	Name:   "slack_read_channel",
	Title:  "Read a Slack channel",
	Doc:    "Messages of a channel or direct message, newest first, without the replies in threads (slack_read_thread where reply_count is not 0).",
	Scopes: slices.Concat(history, see, []string{"users:read"}),
	Effect: tools.Reads,
}, messagesOfChannel)

func messagesOfChannel(ctx context.Context, a *tools.Account, in readChannelInput) (tools.Found[Message], error) {
	oldest, err := instant("oldest", in.Oldest)
	if err != nil {
		return tools.Found[Message]{}, err
	}
	latest, err := instant("latest", in.Latest)
	if err != nil {
		return tools.Found[Message]{}, err
	}
	path := tools.Path("/conversations.history").With("oldest", oldest).With("latest", latest).With("inclusive", "true")
	return messages(ctx, a, in.ChannelID, in.ChannelID, path, in.Page)
}

type readThreadInput struct {
	ChannelID string `json:"channel_id" jsonschema:"Like C0123456789." audit:"plain"`
	MessageTS string `json:"message_ts" jsonschema:"The ts of the thread's first message." audit:"plain"`
	tools.Page
}

var readThread = tools.Read(tools.Spec{
	Name:   "slack_read_thread",
	Title:  "Read a Slack thread",
	Doc:    "A message and the replies in its thread, oldest first.",
	Scopes: slices.Concat(history, see, []string{"users:read"}),
	Effect: tools.Reads,
}, messagesOfThread)

func messagesOfThread(ctx context.Context, a *tools.Account, in readThreadInput) (tools.Found[Message], error) {
	if err := checkTS("message_ts", in.MessageTS); err != nil {
		return tools.Found[Message]{}, err
	}
	path := tools.Path("/conversations.replies").With("ts", in.MessageTS)
	return messages(ctx, a, in.ChannelID, in.ChannelID+"/"+in.MessageTS, path, in.Page)
}

// messages reads one page. A place that does not exist is answered with an
// empty list, as one is whose every message is withheld.
func messages(ctx context.Context, a *tools.Account, channel, place string, path *tools.PathBuilder, page tools.Page) (tools.Found[Message], error) {
	var none tools.Found[Message]
	if err := checkChannel(channel); err != nil {
		return none, err
	}
	// A cursor is good for its own place. Slack would say invalid_cursor for
	// another channel that exists and channel_not_found for one that does not.
	cursor := ""
	if page.Cursor != "" {
		at, rest, _ := strings.Cut(page.Cursor, " ")
		if at != place {
			return none, tools.BadInput("cursor", "it belongs to another channel or thread; start again without it")
		}
		cursor = rest
	}
	path = path.With("channel", channel).With("limit", strconv.Itoa(page.Size(30))).With("cursor", cursor)

	var answer struct {
		Messages []wireMessage
		more
	}
	var in wireChannel
	var both errgroup.Group
	both.Go(func() error { return a.Get(ctx, path.String(), &answer) })
	both.Go(func() (err error) {
		in, err = channelInfo(ctx, a, channel)
		return err
	})
	if err := both.Wait(); err != nil && !missing(err) {
		return none, err
	} else if missing(err) || in.ID != channel { // another name for a channel is a way around the rules for it
		_, self := whose(a.Name())
		displayNames(ctx, a, []string{self}) // what does not exist takes as long as what is withheld
		return none, nil
	}

	var ids []string
	for _, w := range answer.Messages {
		ids = append(append(ids, w.User), mentioned(w.body())...)
	}
	names := displayNames(ctx, a, ids)
	team, _ := whose(a.Name())
	where := channelOf(team, in)
	items := make([]Message, len(answer.Messages))
	for i, w := range answer.Messages {
		items[i] = messageOf(a.Name(), channel, w, names)
		items[i].External, items[i].in = in.IsExtShared, &where
	}
	found := tools.Items(items...).Within(where)
	if next := answer.Metadata.NextCursor; next != "" {
		found = found.Next(place + " " + next)
	}
	return found, nil
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
const maxReactions, maxFiles = 10, 20

func messageOf(account, channel string, w wireMessage, names map[string]string) Message {
	team, self := whose(account)
	m := Message{
		TS: w.TS, UserID: w.User, User: cmp.Or(names[w.User], w.User, line(unescape(w.Username)), w.BotID),
		App: w.BotID != "" || w.AppID != "", Text: readable(w.body(), names), Edited: w.Edited != nil,
		ThreadTS: w.ThreadTS, ReplyCount: w.ReplyCount, team: team, channel: channel,
	}
	for _, f := range w.Files[:min(len(w.Files), maxFiles)] {
		m.Files = append(m.Files, line(f.Name))
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
