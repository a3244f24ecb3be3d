package slackfake

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// hit is a message that a search found.
type hit struct {
	*message
	in *channel
}

// searchContext looks for words in the messages the caller may read. It knows the words in: and
// from: with ids, and neither quotes nor a sense for meaning. Bots' messages come only when asked
// for.
func (f *Fake) searchContext(c *call) reply {
	var words []string
	channel, user := "", ""
	for word := range strings.FieldsSeq(strings.ToLower(c.args["query"])) {
		if id, ok := strings.CutPrefix(word, "in:<#"); ok {
			channel = strings.ToUpper(strings.TrimSuffix(id, ">"))
		} else if id, ok := strings.CutPrefix(word, "from:<@"); ok {
			user = strings.ToUpper(strings.TrimSuffix(id, ">"))
		} else {
			words = append(words, word)
		}
	}
	if c.args["query"] == "" {
		return fail("missing_query")
	}
	types := map[kind]bool{}
	for t := range strings.SplitSeq(cmp.Or(c.args["channel_types"], string(public)), ",") {
		k := kind(strings.TrimSpace(t))
		scope := map[kind]string{public: "public", private: "private", direct: "im", group: "mpim"}[k]
		if scope == "" {
			return fail("invalid_channel_types")
		}
		if needed := "search:read." + scope; !c.token.has(needed) {
			return missing(needed, c.token)
		}
		types[k] = true
	}
	limit, valid := c.limit(20, 20)
	if !valid {
		return fail("invalid_limit")
	}
	after, _ := strconv.ParseInt(c.args["after"], 10, 64)
	before, _ := strconv.ParseInt(c.args["before"], 10, 64)

	var hits []hit
	for _, ch := range f.world.channels {
		if !types[ch.kind] || ch.kind != public && !ch.has(c.token.user) || channel != "" && ch.id != channel {
			continue
		}
		for _, m := range ch.messages {
			text := strings.ToLower(m.text)
			lacks := slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(text, w) })
			if lacks || m.deleted || m.bot && !c.flag("include_bots") || user != "" && m.user != user ||
				m.ts/1e6 < after || before > 0 && m.ts/1e6 >= before {
				continue
			}
			hits = append(hits, hit{m, ch})
		}
	}
	slices.SortFunc(hits, func(a, b hit) int { return cmp.Compare(b.ts, a.ts) })
	part, next, word := pageOf(c, c.args["query"], hits, func(h hit) string { return formatTS(h.ts) }, limit)
	if word != "" {
		return fail(word)
	}
	list := []object{}
	for _, h := range part {
		u := f.world.user(h.user)
		list = append(list, object{
			"author_user_id": u.id, "author_name": u.realName, "team_id": u.team, "channel_id": h.in.id, "channel_name": h.in.name,
			"message_ts": formatTS(h.ts), "content": h.text, "is_author_bot": h.bot,
			"permalink": teamURL + "archives/" + h.in.id + "/p" + strings.Replace(formatTS(h.ts), ".", "", 1),
		})
	}
	return ok(object{"results": object{"messages": list}, "response_metadata": object{"next_cursor": next}})
}
