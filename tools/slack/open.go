package slack

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"deputy/approvals"
	"deputy/authz"
	"deputy/tools"

	"golang.org/x/sync/errgroup"
)

const (
	openPath   = "/conversations.open"
	createPath = "/conversations.create"
	maxPeople  = 8 // in one group message
)

type openInput struct {
	UserIDs []string `json:"user_ids,omitempty" jsonschema:"For a direct or group message." audit:"plain"`
	Name    string   `json:"channel_name,omitempty" jsonschema:"For a channel." audit:"plain"`
	Private bool     `json:"is_private,omitempty" audit:"plain"`
}

var createConversation = tools.Write(tools.Spec{
	Name:   "slack_create_conversation",
	Title:  "Open a Slack conversation",
	Doc:    "Open a direct or group message with people, or make an empty channel.",
	Scopes: []string{"users:read", "im:write", "mpim:write", "channels:write", "groups:write"},
	Effect: tools.Publishes,
}, planOpen, decodeOpened)

func planOpen(ctx context.Context, a *tools.Account, in openInput) (plan tools.Plan[Opened], err error) {
	if (in.Name == "") == (len(in.UserIDs) == 0) {
		return plan, tools.BadInput("channel_name", "either this or user_ids, not both")
	}
	team, _ := whose(a.Name())
	if in.Name != "" {
		c := creation{Name: in.Name, Private: in.Private}
		plan.Request = request(createPath, c)
		plan.Uses = []tools.Resource{c.made(team)}
		return plan, c.check()
	}
	for _, id := range in.UserIDs {
		if err := checkUser("user_ids", id); err != nil {
			return plan, err
		}
	}
	ids := slices.Compact(slices.Sorted(slices.Values(in.UserIDs)))
	o := opening{Users: strings.Join(ids, ",")}
	if err := o.check(); err != nil {
		return plan, err
	}
	if in.Private {
		return plan, tools.BadInput("is_private", "direct messages are private anyway")
	}
	plan.Request = request(openPath, o)
	people := make([]User, len(ids))
	var all errgroup.Group
	for i, id := range ids {
		all.Go(func() error {
			w, err := userInfo(ctx, a, id)
			if err == nil && w.ID != id {
				err = tools.NotFound()
			}
			people[i] = userOf(team, w)
			return err
		})
	}
	if err := all.Wait(); err != nil {
		return plan, err
	}
	plan.Uses = []tools.Resource{o.made(team)}
	for _, u := range people {
		name := u.Name
		if u.External {
			name += ", of another organisation"
		}
		plan.Uses = append(plan.Uses, u)
		plan.Seen = append(plan.Seen, approvals.Field{Name: u.ID, Value: name})
	}
	return plan, nil
}

// opening is the body of conversations.open.
type opening struct {
	Users string `json:"users"`
}

func (o opening) ids() []string { return strings.Split(o.Users, ",") }

func (o opening) check() error {
	ids := o.ids()
	if len(ids) > maxPeople {
		return tools.BadInput("user_ids", "there are at most 8 in a group message")
	}
	for _, id := range ids {
		if err := checkUser("user_ids", id); err != nil {
			return err
		}
	}
	return nil
}

// made is the conversation there will be, as far as the rules can know it
// before: its place and its kind. Its id is not Slack's.
func (o opening) made(team string) Channel {
	kind := "im"
	if len(o.ids()) > 1 {
		kind = "mpim"
	}
	return Channel{ID: "+" + o.Users, Member: true, team: team, kind: kind}
}

func (o opening) preview(team string) approvals.Preview {
	return approvals.Preview{
		Fields:  []approvals.Field{{Name: "Message with", Value: strings.Join(o.ids(), ", ")}},
		Changes: []authz.Object{o.made(team).Object()},
	}
}

// creation is the body of conversations.create.
type creation struct {
	Name    string `json:"name"`
	Private bool   `json:"is_private"`
}

// channelName is what Slack takes as one (80 characters, no capitals, no
// spaces, no punctuation but - and _).
var channelName = regexp.MustCompile(`^[\p{Ll}\p{Lo}\p{N}_-]{1,80}$`)

func (c creation) check() error {
	if !channelName.MatchString(c.Name) {
		return tools.BadInput("channel_name", "must be at most 80 small letters, digits, - and _")
	}
	return nil
}

func (c creation) made(team string) Channel {
	made := Channel{ID: "+" + c.Name, Member: true, Private: c.Private, team: team}
	if c.Private {
		made.kind = "private_channel"
	}
	return made
}

func (c creation) preview(team string) approvals.Preview {
	kind := "public: everybody in the workspace can read it"
	if c.Private {
		kind = "private"
	}
	return approvals.Preview{
		Fields:  []approvals.Field{{Name: "New channel", Value: "#" + c.Name}, {Name: "Kind", Value: kind}},
		Changes: []authz.Object{c.made(team).Object()},
	}
}
