package slack

import (
	"context"
	"regexp"
	"slices"
	"strconv"

	"deputy/approvals"
	"deputy/tools"

	"golang.org/x/sync/errgroup"
)

type sendInput struct {
	ChannelID string `json:"channel_id" jsonschema:"Like C0123456789." audit:"plain"`
	content
	ThreadTS  string `json:"thread_ts,omitempty" jsonschema:"The ts of the message to reply to." audit:"plain"`
	Broadcast bool   `json:"reply_broadcast,omitempty" jsonschema:"Show the reply in the channel too." audit:"plain"`
}

func (n *names) sendMessage() tools.Tool {
	return tools.Write(tools.Spec{
		Name:   "slack_send_message",
		Title:  "Send a Slack message",
		Doc:    "Post one message as the user, to a channel or direct message the user is a member of and that is not archived.",
		Scopes: slices.Concat(see, []string{"chat:write", "users:read"}),
		Effect: tools.Publishes,
	}, func(ctx context.Context, a *tools.Account, in sendInput) (plan tools.Plan[Posted], err error) {
		p, err := in.post()
		if err != nil {
			return plan, err
		}
		plan.Uses, plan.Seen, err = n.into(ctx, a, p)
		plan.Request = request(postPath, p)
		return plan, err
	}, decodePosted)
}

func (in sendInput) post() (post, error) {
	s, err := in.said()
	if err != nil {
		return post{}, err
	}
	p := post{Channel: in.ChannelID, ThreadTS: in.ThreadTS, Broadcast: in.Broadcast, said: s}
	return p, p.check()
}

type scheduleInput struct {
	ChannelID string `json:"channel_id" audit:"plain"`
	likewise
	ThreadTS  string `json:"thread_ts,omitempty" audit:"plain"`
	Broadcast bool   `json:"reply_broadcast,omitempty" audit:"plain"`
	PostAt    string `json:"post_at" jsonschema:"RFC 3339, at most 120 days ahead." audit:"plain"`
}

func (n *names) scheduleMessage() tools.Tool {
	return tools.Write(tools.Spec{
		Name:   "slack_schedule_message",
		Title:  "Schedule a Slack message",
		Doc:    "Have Slack post a message later.",
		Scopes: slices.Concat(see, []string{"chat:write", "users:read"}),
		Effect: tools.Publishes,
	}, func(ctx context.Context, a *tools.Account, in scheduleInput) (plan tools.Plan[Scheduled], err error) {
		p, err := sendInput{in.ChannelID, content(in.likewise), in.ThreadTS, in.Broadcast}.post()
		if err != nil {
			return plan, err
		}
		at, err := second("post_at", in.PostAt)
		if err != nil {
			return plan, err
		}
		p.PostAt, _ = strconv.ParseInt(at, 10, 64) // instant made sure of its digits
		if err := (scheduling{p}).check(); err != nil {
			return plan, err
		}
		plan.Uses, plan.Seen, err = n.into(ctx, a, p)
		plan.Request = request(schedulePath, p)
		return plan, err
	}, decodeScheduled)
}

var scheduledID = regexp.MustCompile(`^Q[A-Z0-9]{2,}$`)

// into looks at where a message is to go and whom it notifies. Why nothing can
// be posted stays untold: the rules have not yet said whether the agent may
// know of the channel.
func (n *names) into(ctx context.Context, a *tools.Account, p post) (uses []tools.Resource, seen []approvals.Field, err error) {
	var where wireChannel
	var people []approvals.Field
	var both errgroup.Group
	both.Go(func() (err error) {
		where, err = channelInfo(ctx, a, p.Channel)
		return err
	})
	if ids := p.mentions(); len(ids) > 0 {
		both.Go(func() error {
			known := n.of(ctx, a, ids)
			for _, id := range ids {
				if known[id] != "" {
					people = append(people, approvals.Field{Name: id, Value: known[id]})
				}
			}
			return nil
		})
	}
	if err := both.Wait(); err != nil {
		return nil, nil, err
	}
	if !where.writable() || where.ID != p.Channel {
		return nil, nil, tools.NotFound()
	}
	team, _ := whose(a.Name())
	channel := channelOf(team, where)
	return []tools.Resource{channel}, append([]approvals.Field{{Name: "Channel", Value: channel.describe()}}, people...), nil
}
