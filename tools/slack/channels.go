package slack

import (
	"context"
	"strconv"
	"strings"

	"deputy/tools"
)

type searchChannelsInput struct {
	Query string `json:"query" jsonschema:"Words that the name, topic or purpose contains. Empty lists all."`
	tools.Page
}

var searchChannels = tools.Read(tools.Spec{
	Name:   "slack_search_channels",
	Title:  "Find Slack channels",
	Doc:    "Find public channels and the user's private ones by name, topic or purpose. Go on while there is a next_cursor, even after an empty answer.",
	Scopes: []string{"channels:read", "groups:read"},
	Effect: tools.Reads,
}, findChannels)

// Slack cannot search channels; it lists them. One call of the tool looks
// through so many at most, and says where it stopped.
const (
	listPage  = "200" // what Slack recommends
	listPages = 10
)

func findChannels(ctx context.Context, a *tools.Account, in searchChannelsInput) (tools.Found[Channel], error) {
	words := strings.Fields(strings.ToLower(strings.ReplaceAll(in.Query, "#", " ")))
	cursor, skip := openListCursor(in.Cursor)
	size := in.Size(50)
	team, _ := whose(a.Name())

	var found []Channel
	for range listPages {
		var answer channelsAnswer
		path := tools.Path("/conversations.list").With("types", "public_channel,private_channel").
			With("limit", listPage).With("cursor", cursor)
		if err := a.Get(ctx, path.String(), &answer); err != nil {
			return tools.Found[Channel]{}, err
		}
		for i, w := range answer.Channels {
			if i < skip {
				continue
			}
			c := channelOf(team, w)
			if !c.matches(words) {
				continue
			}
			if len(found) == size {
				return tools.Items(found...).Next(listCursor(cursor, i)), nil
			}
			found = append(found, c)
		}
		cursor, skip = answer.Metadata.NextCursor, 0
		if cursor == "" {
			return tools.Items(found...), nil
		}
	}
	return tools.Items(found...).Next(listCursor(cursor, 0)), nil
}

// A list is continued within a page of Slack's: its cursor, and how many of
// its channels were looked at.
func listCursor(cursor string, skip int) string { return strconv.Itoa(skip) + " " + cursor }

func openListCursor(text string) (cursor string, skip int) {
	n, cursor, _ := strings.Cut(text, " ")
	skip, _ = strconv.Atoi(n) // sealed by the guard: it is ours, or empty
	return cursor, skip
}

func channelOf(team string, w wireChannel) Channel {
	kind := ""
	switch {
	case w.IsIM:
		kind = "im"
	case w.IsMPIM:
		kind = "mpim"
	case w.IsPrivate:
		kind = "private_channel"
	}
	return Channel{
		ID: w.ID, Name: line(w.Name), Topic: readable(w.Topic.Value, nil), Purpose: readable(w.Purpose.Value, nil),
		Private: w.IsPrivate || w.IsIM || w.IsMPIM, External: w.external(), Archived: w.IsArchived,
		Member: w.IsMember || w.IsIM, Members: w.Members, team: team, kind: kind,
	}
}

func (c Channel) matches(words []string) bool {
	text := strings.ToLower(c.Name + "\n" + c.Topic + "\n" + c.Purpose)
	for _, w := range words {
		if !strings.Contains(text, w) {
			return false
		}
	}
	return true
}

// channelInfo is one conversation as the account sees it now.
func channelInfo(ctx context.Context, a *tools.Account, id string) (wireChannel, error) {
	var answer channelAnswer
	err := a.Get(ctx, tools.Path("/conversations.info").With("channel", id).String(), &answer)
	return answer.Channel, err
}

// describe names a channel for the person who is asked.
func (c Channel) describe() string {
	name := "#" + c.Name
	switch {
	case c.kind == "im":
		name = "a direct message"
	case c.kind == "mpim":
		name = "a group message"
	case c.Private:
		name += ", private"
	default:
		name += ", public"
	}
	if c.External {
		name += ", shared with another organisation"
	}
	return name
}
