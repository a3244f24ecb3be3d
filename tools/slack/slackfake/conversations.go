package slackfake

import (
	"slices"
	"strings"
)

// kind is the sort of a conversation, in the words of conversations.list.
type kind string

const (
	public  kind = "public_channel"
	private kind = "private_channel"
	direct  kind = "im"
	group   kind = "mpim"
)

// family is the first half of the scopes that go with a kind.
func (k kind) family() string {
	switch k {
	case public:
		return "channels:"
	case private:
		return "groups:"
	case direct:
		return "im:"
	}
	return "mpim:"
}

type channel struct {
	id, name       string
	kind           kind
	creator        string
	created        int64
	topic, purpose string
	members        []string
	archived       bool
	partner        string // the other organisation's team in a Slack Connect channel
	messages       []*message
	files          []*file // of the workspace
}

func (ch *channel) has(user string) bool { return slices.Contains(ch.members, user) }

// find looks up a conversation for a call that needs the scope family + verb. A conversation the
// caller may not see is not found, whatever the scopes: only a member learns that one is missing.
//
// Slack also takes names and user ids in some places. The fake takes conversation ids only: a
// name can move to another channel between the approval and the call.
func (f *Fake) find(c *call, verb string) (*channel, *reply) {
	ch := f.world.channel(c.args["channel"])
	if ch == nil || ch.kind != public && !ch.has(c.token.user) {
		r := fail("channel_not_found")
		return nil, &r
	}
	if verb != "" {
		if needed := ch.kind.family() + verb; !c.token.has(needed) {
			r := missing(needed, c.token)
			return nil, &r
		}
	}
	return ch, nil
}

// conversationsList gives every public channel, and of the others those the caller is in. It
// filters after it cut the page, as Slack does: a page may be shorter than the limit, even empty,
// and yet not be the last.
func (f *Fake) conversationsList(c *call) reply {
	types := c.args["types"]
	if types == "" {
		types = string(public)
	}
	wanted := map[kind]bool{}
	for t := range strings.SplitSeq(types, ",") {
		k := kind(strings.TrimSpace(t))
		switch k {
		case public, private, direct, group:
		default:
			return fail("invalid_types")
		}
		if needed := k.family() + "read"; !c.token.has(needed) {
			return missing(needed, c.token)
		}
		wanted[k] = true
	}
	limit, valid := c.limit(100, 1000)
	if !valid {
		return fail("invalid_limit")
	}
	var seen []*channel
	for _, ch := range f.world.channels {
		if wanted[ch.kind] && (ch.kind == public || ch.has(c.token.user)) {
			seen = append(seen, ch)
		}
	}
	part, next, refused := pageOf(c, "", seen, func(ch *channel) string { return ch.id }, limit)
	if refused != "" {
		return fail(refused)
	}
	list := []object{}
	for _, ch := range part {
		if !ch.archived || !c.flag("exclude_archived") {
			o := ch.view(c.token.user)
			if ch.kind != direct {
				o["num_members"] = len(ch.members)
			}
			list = append(list, o)
		}
	}
	return ok(object{"channels": list, "response_metadata": object{"next_cursor": next}})
}

func (f *Fake) conversationsInfo(c *call) reply {
	ch, refused := f.find(c, "read")
	if refused != nil {
		return *refused
	}
	o := ch.view(c.token.user)
	if c.flag("include_num_members") && ch.kind != direct {
		o["num_members"] = len(ch.members)
	}
	return ok(object{"channel": o})
}

func (f *Fake) conversationsMembers(c *call) reply {
	ch, refused := f.find(c, "read")
	if refused != nil {
		return *refused
	}
	limit, valid := c.limit(100, 1000)
	if !valid {
		return fail("invalid_limit")
	}
	part, next, word := pageOf(c, ch.id, ch.members, func(id string) string { return id }, limit)
	if word != "" {
		return fail(word)
	}
	return ok(object{"members": part, "response_metadata": object{"next_cursor": next}})
}

// view is the conversation as one person sees it. A direct message has another shape: no name,
// but the other person.
func (ch *channel) view(viewer string) object {
	if ch.kind == direct {
		other := ch.members[0]
		if other == viewer {
			other = ch.members[1]
		}
		return object{
			"id": ch.id, "created": ch.created, "is_im": true, "is_archived": ch.archived,
			"is_org_shared": false, "user": other, "is_user_deleted": false, "priority": 0,
			"context_team_id": Team,
		}
	}
	o := object{
		"id": ch.id, "name": ch.name, "name_normalized": ch.name, "creator": ch.creator, "created": ch.created,
		"is_channel": ch.kind == public, "is_group": ch.kind == private,
		"is_im": false, "is_mpim": ch.kind == group, "is_private": ch.kind != public,
		"is_general": ch.id == General, "is_archived": ch.archived, "is_member": ch.has(viewer),
		"is_shared": ch.partner != "", "is_ext_shared": ch.partner != "",
		"is_org_shared": false, "is_pending_ext_shared": false, "pending_shared": []string{},
		"context_team_id": Team, "shared_team_ids": []string{Team}, "unlinked": 0,
		"topic":          object{"value": ch.topic, "creator": ch.creator, "last_set": ch.created},
		"purpose":        object{"value": ch.purpose, "creator": ch.creator, "last_set": ch.created},
		"previous_names": []string{},
	}
	if ch.partner != "" {
		o["shared_team_ids"] = []string{Team, ch.partner}
		o["connected_team_ids"] = []string{ch.partner}
		o["conversation_host_id"] = Team
	}
	return o
}
