package slack

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"deputy/authz"
	"deputy/tools"
)

// User is a person, or an app that acts as one. What it says, they say of
// themselves.
type User struct {
	ID       string `json:"user_id"`
	Name     string `json:"name,omitempty"`
	RealName string `json:"real_name,omitempty"`
	Title    string `json:"title,omitempty"`
	TimeZone string `json:"time_zone,omitempty"`
	External bool   `json:"external,omitempty" jsonschema:"Of another organisation."`
	Guest    bool   `json:"guest,omitempty"`
	Bot      bool   `json:"bot,omitempty"`
	Left     bool   `json:"deactivated,omitempty"`

	team string
}

func (u User) Object() authz.Object                   { return userObject(u.team, u.ID) }
func (u User) Facts(account authz.Object) authz.Facts { return where(account, u.Object()) }
func (u User) Label() authz.Label {
	return authz.Label{Integrity: authz.Untrusted, Confidentiality: authz.Private}
}

func userOf(team string, w wireUser) User {
	return User{
		ID: w.ID, Name: w.shown(), RealName: line(w.RealName), Title: line(unescape(w.Profile.Title)), TimeZone: line(w.TZ),
		External: w.IsStranger || w.TeamID != "" && w.TeamID != team, Guest: w.IsGuest, Bot: w.IsBot, Left: w.Deleted, team: team,
	}
}

type searchUsersInput struct {
	Query string `json:"query" jsonschema:"Words of a name or title. Empty lists all."`
	tools.Page
}

func (n *names) searchUsers() tools.Tool {
	return tools.Read(tools.Spec{
		Name:   "slack_search_users",
		Title:  "Find people in Slack",
		Doc:    "Find people by name or title.",
		Scopes: []string{"users:read"},
		Effect: tools.Reads,
	}, n.findUsers)
}

// Slack cannot search people either; it lists them (see findChannels).
func (n *names) findUsers(ctx context.Context, a *tools.Account, in searchUsersInput) (tools.Found[User], error) {
	words := strings.Fields(strings.ToLower(strings.ReplaceAll(in.Query, "@", " ")))
	cursor, skip := openListCursor(in.Cursor)
	size := in.Size(30)
	team, _ := whose(a.Name())

	var found []User
	for range listPages {
		var answer usersAnswer
		path := tools.Path("/users.list").With("limit", listPage).With("cursor", cursor)
		if err := a.Get(ctx, path.String(), &answer); err != nil {
			return tools.Found[User]{}, err
		}
		n.keep(a.Name(), answer.Members...)
		for i, w := range answer.Members {
			u := userOf(team, w)
			if i < skip || !u.matches(w.Name, words) {
				continue
			}
			if len(found) == size {
				return tools.Items(found...).Next(listCursor(cursor, i)), nil
			}
			found = append(found, u)
		}
		cursor, skip = answer.Metadata.NextCursor, 0
		if cursor == "" {
			return tools.Items(found...), nil
		}
	}
	return tools.Items(found...).Next(listCursor(cursor, 0)), nil
}

func (u User) matches(handle string, words []string) bool {
	text := strings.ToLower(strings.Join([]string{u.Name, u.RealName, u.Title, handle}, "\n"))
	return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(text, w) })
}

type readProfileInput struct {
	UserID string `json:"user_id" audit:"plain"`
}

var readUserProfile = tools.Read(tools.Spec{
	Name:   "slack_read_user_profile",
	Title:  "Read a Slack profile",
	Doc:    "What a person's profile says.",
	Scopes: []string{"users:read"},
	Effect: tools.Reads,
}, profileOf)

func profileOf(ctx context.Context, a *tools.Account, in readProfileInput) (tools.Found[User], error) {
	var none tools.Found[User]
	if err := checkUser("user_id", in.UserID); err != nil {
		return none, err
	}
	w, err := userInfo(ctx, a, in.UserID)
	if missing(err) || err == nil && w.ID != in.UserID {
		return none, nil
	}
	if err != nil {
		return none, err
	}
	team, _ := whose(a.Name())
	return tools.Items(userOf(team, w)), nil
}

type listMembersInput struct {
	ChannelID string `json:"channel_id" audit:"plain"`
	tools.Page
}

func (n *names) listMembers() tools.Tool {
	return tools.Read(tools.Spec{
		Name:   "slack_list_channel_members",
		Title:  "List the members of a Slack channel",
		Doc:    "Who is in a channel.",
		Scopes: slices.Concat(see, []string{"users:read"}),
		Effect: tools.Reads,
	}, n.membersOf)
}

func (n *names) membersOf(ctx context.Context, a *tools.Account, in listMembersInput) (tools.Found[User], error) {
	var none tools.Found[User]
	if err := checkChannel(in.ChannelID); err != nil {
		return none, err
	}
	p := place{channel: in.ChannelID, name: in.ChannelID}
	cursor, err := p.open(in.Cursor)
	if err != nil {
		return none, err
	}
	var answer membersAnswer
	// As many as names are looked up for at once.
	path := tools.Path("/conversations.members").With("limit", strconv.Itoa(min(in.Size(maxLookups), maxLookups))).With("cursor", cursor)
	where, err := channelWith(ctx, a, in.ChannelID, path, &answer)
	if err != nil && !missing(err) {
		return none, err
	} else if missing(err) {
		n.of(ctx, a, nil) // what does not exist takes as long as what is withheld
		return none, nil
	}
	known := n.of(ctx, a, answer.Members)
	items := make([]User, len(answer.Members))
	for i, id := range answer.Members {
		items[i] = User{ID: id, Name: known[id], team: where.team}
	}
	return tools.Items(items...).Within(where).Next(p.seal(answer.Metadata.NextCursor)), nil
}
