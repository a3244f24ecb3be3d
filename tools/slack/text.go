package slack

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// Slack's text knows three entities and one bracket: &amp; &lt; &gt;, and
// <…> around everything that is more than text, mentions and links
// (https://docs.slack.dev/messaging/formatting-message-text).
var (
	escaper   = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")
	unescaper = strings.NewReplacer("&amp;", "&", "&lt;", "<", "&gt;", ">")
)

// escape makes text that can be nothing but text.
func escape(text string) string { return escaper.Replace(text) }

func unescape(text string) string { return unescaper.Replace(text) }

var mention = regexp.MustCompile(`<@([UW][A-Z0-9]+)`)

// mentioned returns the ids of the users a text mentions.
func mentioned(text string) (ids []string) {
	for _, m := range mention.FindAllStringSubmatch(text, -1) {
		ids = append(ids, m[1])
	}
	return ids
}

// markup reports whether the text shows words that its author did not write:
// names of people, groups and channels.
func markup(text string) bool {
	return strings.Contains(text, "<@") || strings.Contains(text, "<#") || strings.Contains(text, "<!")
}

// readable turns Slack's markup into what a reader of the message sees, and
// shows where links lead. names are the users' display names by id.
func readable(text string, names map[string]string) string {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "<")
		b.WriteString(unescape(before))
		if !found {
			break
		}
		inside, after, closed := strings.Cut(rest, ">")
		shown, known := "", false
		if closed && !strings.Contains(inside, "<") { // else the inner bracket is one
			shown, known = reference(inside, names)
		}
		if !known { // a bracket that brackets nothing
			b.WriteByte('<')
			text = rest
			continue
		}
		b.WriteString(shown)
		text = after
	}
	// Slack has no comments. What looks like one is seen by people, and would be
	// dropped, with all that follows, from what the model reads.
	return strings.ReplaceAll(b.String(), "<!--", "<! --")
}

// reference reads what stands between < and >.
func reference(inside string, names map[string]string) (shown string, known bool) {
	target, label, _ := strings.Cut(inside, "|")
	label = line(unescape(label))
	kind, id := byte(0), ""
	if target != "" {
		kind, id = target[0], target[1:]
	}
	switch kind {
	case '@':
		if name := names[id]; name != "" {
			return "@" + name, id != ""
		}
		return "@" + unescape(id), id != ""
	case '#':
		// A channel that Slack does not name here is not looked up: it may be one
		// that the agent must not know.
		if label == "" {
			label = unescape(id)
		}
		return "#" + label, id != ""
	case '!':
		return special(id, label), id != ""
	}
	scheme, _, ok := strings.Cut(target, ":")
	if !ok || !linkScheme.MatchString(scheme) {
		return "", false
	}
	return link(unescape(target), label), true
}

var linkScheme = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*$`)

// special reads <!here>, <!subteam^ID|@group> and <!date^…^…^LINK|fallback>.
func special(what, label string) string {
	parts := strings.Split(what, "^")
	switch parts[0] {
	case "here", "channel", "everyone", "group":
		return "@" + parts[0]
	case "subteam":
		if label == "" && len(parts) > 1 {
			label = unescape(parts[1])
		}
		return "@" + strings.TrimPrefix(label, "@")
	case "date":
		if len(parts) > 3 {
			return link(unescape(parts[3]), label)
		}
	}
	if label == "" {
		return "<!" + unescape(what) + ">"
	}
	return label
}

// link shows a label together with where it leads, unless the label already
// says just that.
func link(url, label string) string {
	bare := func(s string) string {
		s = strings.TrimPrefix(strings.TrimPrefix(s, "mailto:"), "tel:")
		s = strings.TrimPrefix(strings.TrimPrefix(s, "https://"), "http://")
		return strings.TrimSuffix(s, "/")
	}
	if label == "" || label == url || label == bare(url) {
		return url
	}
	return label + " (" + url + ")"
}

// line makes one line of a name or a label, of a bounded length.
func line(s string) string {
	return cut(strings.Join(strings.Fields(s), " "), 200)
}

// cut shortens a text to so many characters, and shows that it did.
func cut(s string, most int) string {
	if utf8.RuneCountInString(s) > most {
		s = string([]rune(s)[:most]) + "…"
	}
	return s
}
