package slackfake

import (
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxText is in characters, not bytes.
const maxText = 40000

// content is what a message is to say. The text is kept exactly as it came: neither link_names
// nor parse changes it here, so that what was approved can be compared with what arrived.
func (c *call) content() (text string, blocks json.RawMessage, refused string) {
	text = c.args["text"]
	if s := c.args["blocks"]; s != "" {
		var list []map[string]any
		if json.Unmarshal([]byte(s), &list) != nil {
			return "", nil, "invalid_blocks_format"
		}
		for _, b := range list {
			if kind, _ := b["type"].(string); kind == "" {
				return "", nil, "invalid_blocks"
			}
		}
		if len(list) > 0 {
			blocks = json.RawMessage(s)
		}
	}
	switch {
	case text == "" && blocks == nil:
		return "", nil, "no_text"
	case utf8.RuneCountInString(text) > maxText:
		return "", nil, "msg_too_long"
	}
	return text, blocks, ""
}

// place finds the conversation to write in. Everybody must be in it to write, people too.
func (f *Fake) place(c *call) (*channel, *reply) {
	ch, refused := f.find(c, "")
	if refused != nil {
		return nil, refused
	}
	word := ""
	switch {
	case ch.archived:
		word = "is_archived"
	case !ch.has(c.token.user):
		word = "not_in_channel"
	default:
		return ch, nil
	}
	r := fail(word)
	return nil, &r
}

// chatPostMessage posts. It knows text, blocks, thread_ts and reply_broadcast, and takes
// unfurl_links, unfurl_media, link_names and parse without an effect of their own.
//
// A thread_ts that is not the ts of a parent is refused. Slack is less sure about the ts of a
// reply, and says not to use one.
func (f *Fake) chatPostMessage(c *call) reply {
	ch, refused := f.place(c)
	if refused != nil {
		return *refused
	}
	text, blocks, word := c.content()
	if word != "" {
		return fail(word)
	}
	m := &message{user: c.token.user, bot: true, text: text, blocks: blocks}
	posted := Posted{Channel: ch.id, Text: text, User: m.user, Body: c.body}
	if s := c.args["thread_ts"]; s != "" {
		ts, _ := parseTS(s)
		parent := ch.message(ts)
		if parent == nil || parent.threadTS != 0 {
			return fail("thread_not_found")
		}
		m.threadTS, m.broadcast = ts, c.flag("reply_broadcast")
		posted.ThreadTS = formatTS(ts)
	}
	m.ts = f.nextTS()
	posted.TS = formatTS(m.ts)
	ch.messages = append(ch.messages, m)
	f.posted = append(f.posted, posted)
	return ok(object{"channel": ch.id, "ts": posted.TS, "message": ch.show(m)})
}

// own finds a message of the caller's; word is the refusal for another's.
func (f *Fake) own(c *call, word string) (*channel, *message, *reply) {
	ch, refused := f.place(c)
	if refused != nil {
		return nil, nil, refused
	}
	ts, _ := parseTS(c.args["ts"])
	m := ch.message(ts)
	switch {
	case m == nil || m.deleted:
		word = "message_not_found"
	case m.user != c.token.user:
	default:
		return ch, m, nil
	}
	r := fail(word)
	return nil, nil, &r
}

func (f *Fake) chatUpdate(c *call) reply {
	ch, m, refused := f.own(c, "cant_update_message")
	if refused != nil {
		return *refused
	}
	text, blocks, word := c.content()
	if word != "" {
		return fail(word)
	}
	m.text, m.blocks, m.edited = text, blocks, f.nextTS()
	return ok(object{"channel": ch.id, "ts": formatTS(m.ts), "text": text, "message": ch.show(m)})
}

// chatDelete removes a message; the parent of a thread leaves a tombstone for its replies.
func (f *Fake) chatDelete(c *call) reply {
	ch, m, refused := f.own(c, "cant_delete_message")
	if refused != nil {
		return *refused
	}
	if m.threadTS == 0 && len(ch.thread(m.ts)) > 1 {
		m.user, m.text, m.deleted = Slackbot, "This message was deleted.", true
		m.bot, m.blocks, m.reactions, m.edited = false, nil, nil, 0
	} else {
		ch.messages = slices.DeleteFunc(ch.messages, func(x *message) bool { return x == m })
	}
	return ok(object{"channel": ch.id, "ts": formatTS(m.ts)})
}

func (f *Fake) reactionsAdd(c *call) reply {
	ch, refused := f.place(c)
	if refused != nil {
		return *refused
	}
	name := c.args["name"]
	if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_+-") != "" {
		return fail("invalid_name")
	}
	ts, valid := parseTS(c.args["timestamp"])
	if !valid {
		return fail("bad_timestamp")
	}
	m := ch.message(ts)
	if m == nil || m.deleted {
		return fail("message_not_found")
	}
	i := slices.IndexFunc(m.reactions, func(r *reaction) bool { return r.Name == name })
	if i < 0 {
		i = len(m.reactions)
		m.reactions = append(m.reactions, &reaction{Name: name})
	}
	r := m.reactions[i]
	if slices.Contains(r.Users, c.token.user) {
		return fail("already_reacted")
	}
	r.Users = append(r.Users, c.token.user)
	r.Count++
	return ok(nil)
}
