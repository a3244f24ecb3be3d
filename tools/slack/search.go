package slack

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"deputy/tools"

	"golang.org/x/sync/errgroup"
)

type searchInput struct {
	Query     string `json:"query" jsonschema:"Words, as in Slack's own search."`
	InChannel string `json:"in_channel,omitempty" audit:"plain"`
	FromUser  string `json:"from_user,omitempty" audit:"plain"`
	After     string `json:"after,omitempty" jsonschema:"RFC 3339 or ts." audit:"plain"`
	Before    string `json:"before,omitempty" audit:"plain"`
	Sort      string `json:"sort,omitempty" enum:"score,timestamp" audit:"plain"`
	tools.Page
}

func (n *names) searchPublic() tools.Tool {
	return tools.Read(tools.Spec{
		Name:   "slack_search_public",
		Title:  "Search Slack's public channels",
		Doc:    "Search messages in public channels.",
		Scopes: []string{"search:read.public", "channels:read", "users:read"},
		Effect: tools.Reads,
	}, func(ctx context.Context, a *tools.Account, in searchInput) (tools.Found[Message], error) {
		return n.search(ctx, a, in, []string{"public_channel"})
	})
}

type searchAllInput struct {
	searchInput
	Types []string `json:"channel_types,omitempty" jsonschema:"Of public_channel, private_channel, mpim, im." audit:"plain"`
}

func (n *names) searchAll() tools.Tool {
	return tools.Read(tools.Spec{
		Name:  "slack_search_public_and_private",
		Title: "Search all of Slack",
		Doc:   "Search messages wherever the user is, direct messages too. Prefer slack_search_public.",
		Scopes: slices.Concat(see, []string{"search:read.public", "search:read.private", "search:read.mpim", "search:read.im",
			"users:read"}),
		Effect: tools.Reads,
	}, func(ctx context.Context, a *tools.Account, in searchAllInput) (tools.Found[Message], error) {
		types := in.Types
		for _, t := range types {
			if !slices.Contains(allTypes, t) {
				return tools.Found[Message]{}, tools.BadInput("channel_types", "there are "+strings.Join(allTypes, ", "))
			}
		}
		if len(types) == 0 {
			types = allTypes
		}
		return n.search(ctx, a, in.searchInput, types)
	})
}

var allTypes = []string{"public_channel", "private_channel", "mpim", "im"}

// searchPage is the most that Slack gives at once.
const searchPage = 20

func (n *names) search(ctx context.Context, a *tools.Account, in searchInput, types []string) (tools.Found[Message], error) {
	var none tools.Found[Message]
	query, err := in.query()
	if err != nil {
		return none, err
	}
	after, err := second("after", in.After)
	if err != nil {
		return none, err
	}
	before, err := second("before", in.Before)
	if err != nil {
		return none, err
	}
	var answer searchAnswer
	path := tools.Path("/assistant.search.context").With("query", query).With("content_types", "messages").With("include_bots", "true").
		With("channel_types", strings.Join(types, ",")).With("after", after).With("before", before).
		With("sort", in.Sort).With("limit", strconv.Itoa(min(in.Size(searchPage), searchPage))).With("cursor", in.Cursor)
	if err := a.Get(ctx, path.String(), &answer); err != nil {
		return none, err
	}
	// What Slack makes of the words is its own affair; what was asked for by id
	// is not.
	hits := slices.DeleteFunc(answer.Results.Messages, func(h wireHit) bool {
		return in.InChannel != "" && h.ChannelID != in.InChannel || in.FromUser != "" && h.UserID != in.FromUser ||
			!channelID.MatchString(h.ChannelID) || !messageTS.MatchString(h.TS)
	})
	channels, known, err := n.around(ctx, a, hits)
	if err != nil {
		return none, err
	}
	team, _ := whose(a.Name())
	var items []Message
	for _, h := range hits {
		in, ok := channels[h.ChannelID]
		if !ok {
			continue // gone since, and nothing is known of it that a rule could go by
		}
		items = append(items, Message{
			ChannelID: h.ChannelID, Channel: in.Name, TS: h.TS, UserID: h.UserID, App: h.IsBot,
			User:     cmp.Or(known[h.UserID], line(h.AuthorName), h.UserID),
			Text:     readable(h.Content, known),
			External: in.External, team: team, channel: h.ChannelID, in: &in,
		})
	}
	return tools.Items(items...).Next(answer.Metadata.NextCursor), nil
}

// query adds what Slack's search takes as words of its own.
func (in searchInput) query() (string, error) {
	if strings.TrimSpace(in.Query) == "" {
		return "", tools.BadInput("query", "is empty")
	}
	query := in.Query
	if in.InChannel != "" {
		if err := checkChannel(in.InChannel); err != nil {
			return "", tools.BadInput("in_channel", "must be a channel's id, like C0123456789; slack_search_channels finds it")
		}
		query += " in:<#" + in.InChannel + ">"
	}
	if in.FromUser != "" {
		if err := checkUser("from_user", in.FromUser); err != nil {
			return "", err
		}
		query += " from:<@" + in.FromUser + ">"
	}
	return query, nil
}

// around asks for the channels of hits and for names, all at once and even if
// there are no hits: so many rounds say nothing about what was found.
func (n *names) around(ctx context.Context, a *tools.Account, hits []wireHit) (map[string]Channel, map[string]string, error) {
	team, _ := whose(a.Name())
	var mu sync.Mutex
	channels := map[string]Channel{}
	asked := map[string]bool{}
	var ids []string
	var all errgroup.Group
	for _, h := range hits {
		ids = append(append(ids, h.UserID), mentioned(h.Content)...)
		if asked[h.ChannelID] {
			continue
		}
		asked[h.ChannelID] = true
		all.Go(func() error {
			w, err := channelInfo(ctx, a, h.ChannelID)
			if missing(err) || err == nil && w.ID != h.ChannelID {
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			channels[h.ChannelID] = channelOf(team, w)
			return err
		})
	}
	known := n.of(ctx, a, ids)
	return channels, known, all.Wait()
}

// second reads a point in time as whole seconds, which is all that the search
// knows.
func second(field, text string) (string, error) {
	ts, err := instant(field, text)
	if err != nil || ts == "" {
		return "", err
	}
	whole, _, _ := strings.Cut(ts, ".")
	return whole, nil
}

// moment writes a Unix time for a person.
func moment(unix int64) string {
	return fmt.Sprintf("%s (%d)", time.Unix(unix, 0).UTC().Format("Monday 2006-01-02 15:04:05 MST"), unix)
}
