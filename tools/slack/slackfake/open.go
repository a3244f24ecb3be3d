package slackfake

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// nextID is one that the world has not had, of its letter's kind.
func (f *Fake) nextID(letter string) string {
	f.made++
	return fmt.Sprintf("%s0MADE%05d", letter, f.made)
}

// conversationsOpen finds or makes the direct or group message between the caller and others.
// What it answers is the id alone, unless return_im is given, which the fake does not take.
func (f *Fake) conversationsOpen(c *call) reply {
	if c.args["users"] == "" {
		return fail("users_list_not_supplied")
	}
	members := []string{c.token.user}
	for id := range strings.SplitSeq(c.args["users"], ",") {
		u := f.world.user(id)
		if u == nil {
			return fail("user_not_found")
		}
		if u.bot {
			return fail("cannot_dm_bot")
		}
		if !slices.Contains(members, id) {
			members = append(members, id)
		}
	}
	kind, letter := direct, "D"
	switch {
	case len(members) > 9:
		return fail("too_many_users")
	case len(members) > 2:
		kind, letter = group, "C"
	}
	if needed := kind.family() + "write"; !c.token.has(needed) {
		return missing(needed, c.token)
	}
	for _, ch := range f.world.channels {
		if ch.kind == kind && len(ch.members) == len(members) && !slices.ContainsFunc(members, func(id string) bool { return !ch.has(id) }) {
			return ok(object{"no_op": true, "already_open": true, "channel": object{"id": ch.id}})
		}
	}
	ch := &channel{id: f.nextID(letter), kind: kind, creator: c.token.user, created: f.now().Unix(), members: members}
	if kind == group {
		ch.name = fmt.Sprintf("mpdm-%d", f.made)
	}
	f.world.channels = append(f.world.channels, ch)
	return ok(object{"channel": object{"id": ch.id}})
}

func (f *Fake) conversationsCreate(c *call) reply {
	name, kind := c.args["name"], public
	if c.flag("is_private") {
		kind = private
	}
	if needed := kind.family() + "write"; !c.token.has(needed) {
		return missing(needed, c.token)
	}
	switch {
	case name == "":
		return fail("invalid_name_required")
	case utf8.RuneCountInString(name) > 80:
		return fail("invalid_name_maxlength")
	case strings.ContainsFunc(name, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '-' && r != '_' || unicode.IsUpper(r)
	}):
		return fail("invalid_name_specials")
	case slices.ContainsFunc(f.world.channels, func(ch *channel) bool { return ch.name == name }):
		return fail("name_taken")
	}
	ch := &channel{id: f.nextID("C"), name: name, kind: kind, creator: c.token.user, created: f.now().Unix(), members: []string{c.token.user}}
	f.world.channels = append(f.world.channels, ch)
	return ok(object{"channel": ch.view(c.token.user)})
}

// mostAhead is how far ahead Slack schedules.
const mostAhead = 120 * 24 * time.Hour

// chatScheduleMessage keeps a message for later. The fake's clock does not post it.
func (f *Fake) chatScheduleMessage(c *call) reply {
	ch, refused := f.place(c)
	if refused != nil {
		return *refused
	}
	text, blocks, word := c.content()
	if word != "" {
		return fail(word)
	}
	seconds, err := strconv.ParseInt(c.args["post_at"], 10, 64)
	switch at := time.Unix(seconds, 0); {
	case err != nil:
		return fail("invalid_time")
	case !at.After(f.now()):
		return fail("time_in_past")
	case at.After(f.now().Add(mostAhead)):
		return fail("time_too_far")
	}
	if s := c.args["thread_ts"]; s != "" {
		ts, _ := parseTS(s)
		if parent := ch.message(ts); parent == nil || parent.threadTS != 0 {
			return fail("thread_not_found")
		}
	}
	said := object{"text": text, "type": "delayed_message", "user": c.token.user, "bot_id": botID, "team": Team}
	if blocks != nil {
		said["blocks"] = blocks
	}
	return ok(object{"channel": ch.id, "scheduled_message_id": f.nextID("Q"), "post_at": seconds, "message": said})
}
