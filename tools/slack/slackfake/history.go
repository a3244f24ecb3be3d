package slackfake

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// message is one message as Slack stores it. Text is what was posted, untouched.
type message struct {
	ts        int64  // in microseconds; unique in the workspace and never decreasing
	threadTS  int64  // of the parent; 0 outside a thread and for the parent itself
	broadcast bool   // a reply that also shows in the channel
	deleted   bool   // the parent of a thread, gone but for its replies
	user      string // who it stands under
	bot       bool   // posted by the app
	text      string
	blocks    json.RawMessage
	edited    int64 // when; 0 if never
	reactions []*reaction
	files     []string // ids
}

type reaction struct {
	Name  string   `json:"name"`
	Users []string `json:"users"`
	Count int      `json:"count"`
}

// formatTS writes "1763900000.000100".
func formatTS(us int64) string { return fmt.Sprintf("%d.%06d", us/1e6, us%1e6) }

// parseTS reads it, and also whole seconds and shorter fractions, as people give for oldest and latest.
func parseTS(s string) (us int64, valid bool) {
	whole, fraction, _ := strings.Cut(s, ".")
	if len(whole) > 12 || len(fraction) > 6 {
		return 0, false
	}
	n, err := strconv.ParseUint(whole+fraction+strings.Repeat("0", 6-len(fraction)), 10, 63)
	return int64(n), err == nil && whole != ""
}

// nextTS gives a new message its timestamp: the time, and later than any other message.
func (f *Fake) nextTS() int64 {
	f.lastTS = max(f.now().Unix()*1e6+100, f.lastTS+100)
	return f.lastTS
}

func (ch *channel) message(ts int64) *message {
	for _, m := range ch.messages {
		if m.ts == ts {
			return m
		}
	}
	return nil
}

// thread is the parent and its replies, oldest first; ts may be that of any of them.
func (ch *channel) thread(ts int64) []*message {
	m := ch.message(ts)
	if m == nil {
		return nil
	}
	parent := m.ts
	if m.threadTS != 0 {
		parent = m.threadTS
	}
	var all []*message
	for _, m := range ch.messages {
		if m.ts == parent || m.threadTS == parent {
			all = append(all, m)
		}
	}
	return all
}

// window is the part of time a history is asked for, bounds excluded unless inclusive.
func (c *call) window() (within func(*message) bool, refused string) {
	oldest, latest := int64(0), int64(math.MaxInt64)
	valid := true
	if s := c.args["oldest"]; s != "" {
		if oldest, valid = parseTS(s); !valid {
			return nil, "invalid_ts_oldest"
		}
	}
	if s := c.args["latest"]; s != "" && s != "now" {
		if latest, valid = parseTS(s); !valid {
			return nil, "invalid_ts_latest"
		}
	}
	inclusive := c.flag("inclusive")
	return func(m *message) bool {
		return m.ts > oldest && m.ts < latest || inclusive && (m.ts == oldest || m.ts == latest)
	}, ""
}

// conversationsHistory gives the newest first, without the replies inside threads.
//
// A bot must be in a channel to read it; a person may also read public channels they are not in.
func (f *Fake) conversationsHistory(c *call) reply {
	ch, refused := f.find(c, "history")
	switch {
	case refused != nil:
		return *refused
	case c.token.kind == "bot" && !ch.has(c.token.user):
		return fail("not_in_channel")
	}
	within, word := c.window()
	if word != "" {
		return fail(word)
	}
	var all []*message
	for _, m := range slices.Backward(ch.messages) {
		if within(m) && (m.threadTS == 0 || m.broadcast) {
			all = append(all, m)
		}
	}
	return c.messages(ch, ch.id, all, 100, object{"pin_count": 0})
}

// conversationsReplies gives the parent first, then the replies, oldest first. The parent comes
// with every first page, even if it lies outside of oldest and latest.
func (f *Fake) conversationsReplies(c *call) reply {
	ch, refused := f.find(c, "history")
	switch {
	case refused != nil:
		return *refused
	case c.token.kind == "bot" && !ch.has(c.token.user):
		return fail("not_in_channel")
	}
	within, word := c.window()
	if word != "" {
		return fail(word)
	}
	ts, _ := parseTS(c.args["ts"])
	thread := ch.thread(ts)
	if thread == nil {
		return fail("thread_not_found")
	}
	parent := thread[0]
	all := slices.DeleteFunc(thread, func(m *message) bool { return m != parent && !within(m) })
	return c.messages(ch, ch.id+"/"+formatTS(parent.ts), all, 1000, object{})
}

// messages answers with one page. Unlike the lists, it has response_metadata only when there is
// more.
func (c *call) messages(ch *channel, about string, all []*message, usual int, answer object) reply {
	limit, valid := c.limit(usual, 999)
	if !valid {
		return fail("invalid_limit")
	}
	part, next, word := pageOf(c, about, all, func(m *message) string { return formatTS(m.ts) }, limit)
	if word != "" {
		return fail(word)
	}
	list := []object{}
	for _, m := range part {
		list = append(list, ch.show(m))
	}
	answer["messages"] = list
	answer["has_more"] = next != ""
	if next != "" {
		answer["response_metadata"] = object{"next_cursor": next}
	}
	return ok(answer)
}

// show is the message as everybody in the conversation sees it.
func (ch *channel) show(m *message) object {
	o := object{"type": "message", "user": m.user, "text": m.text, "ts": formatTS(m.ts), "team": teamOf(m.user)}
	if m.bot {
		o["bot_id"], o["app_id"] = botID, appID
	}
	switch {
	case m.blocks != nil:
		o["blocks"] = m.blocks
	case !m.deleted:
		o["blocks"] = richText(m)
	}
	if !m.bot && !m.deleted {
		o["client_msg_id"] = fmt.Sprintf("%08x-0000-4000-8000-%012x", m.ts%1e6, m.ts/1e6)
	}
	if files := ch.attached(m); len(files) > 0 {
		o["files"] = files
	}
	if m.edited != 0 {
		o["edited"] = object{"user": m.user, "ts": formatTS(m.edited)}
	}
	if len(m.reactions) > 0 {
		o["reactions"] = m.reactions
	}
	if m.deleted {
		o["subtype"], o["hidden"] = "tombstone", true
	}
	if m.threadTS != 0 {
		o["thread_ts"] = formatTS(m.threadTS)
		if parent := ch.message(m.threadTS); parent != nil {
			o["parent_user_id"] = parent.user
		}
		if m.broadcast {
			o["subtype"] = "thread_broadcast"
		}
		return o
	}
	if replies := ch.thread(m.ts)[1:]; len(replies) > 0 {
		var users []string
		for _, r := range replies {
			if !slices.Contains(users, r.user) {
				users = append(users, r.user)
			}
		}
		o["thread_ts"] = formatTS(m.ts)
		o["reply_count"] = len(replies)
		o["reply_users"], o["reply_users_count"] = users, len(users)
		o["latest_reply"] = formatTS(replies[len(replies)-1].ts)
		o["is_locked"], o["subscribed"] = false, false
	}
	return o
}

// richText is the second form in which Slack gives every message: what its editor makes of the
// text. Slack takes it apart further, into links, people and emoji.
func richText(m *message) []object {
	return []object{{
		"type": "rich_text", "block_id": fmt.Sprintf("b%x", m.ts%1e6),
		"elements": []object{{
			"type": "rich_text_section", "elements": []object{{"type": "text", "text": m.text}},
		}},
	}}
}
