package slack

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// piece is a part of outgoing text: text that can be nothing but text, or a
// reference, the inside of <…>.
type piece struct {
	text string
	ref  string
}

// outgoing is all that may stand in brackets, and only where the agent asked
// for markup: a person, a channel, everybody, a group, a link.
var outgoing = regexp.MustCompile(`^(@[UW][A-Z0-9]{2,}|#[CG][A-Z0-9]{2,}|!(here|channel|everyone)|!subteam\^S[A-Z0-9]{2,}|(https?://|mailto:)[^\s<>|]+(\|[^<>|\n]+)?)$`)

// pieces takes text with markup apart. What is no reference that Slack knows is
// text, brackets included.
func pieces(text string) (all []piece) {
	var plain strings.Builder
	flush := func() {
		if plain.Len() > 0 {
			all = append(all, piece{text: unescape(plain.String())})
			plain.Reset()
		}
	}
	for {
		before, rest, found := strings.Cut(text, "<")
		plain.WriteString(before)
		if !found {
			break
		}
		inside, after, closed := strings.Cut(rest, ">")
		if !closed || !outgoing.MatchString(inside) {
			plain.WriteString("<")
			text = rest
			continue
		}
		flush()
		all = append(all, piece{ref: escape(unescape(inside))})
		text = after
	}
	flush()
	return all
}

// compose makes outgoing text: of plain text, or of text with markup.
func compose(text string, mrkdwn bool) string {
	if !mrkdwn {
		return escape(text)
	}
	var b strings.Builder
	for _, p := range pieces(text) {
		if p.ref != "" {
			b.WriteString("<" + p.ref + ">")
		} else {
			b.WriteString(escape(p.text))
		}
	}
	return b.String()
}

var (
	looksLikeMention = regexp.MustCompile(`(^|[^\pL\pN_.+-])@[\pL\pN]|<[@!#]`)
	looksLikeLink    = regexp.MustCompile(`<[A-Za-z][A-Za-z0-9+.-]*:[^>]*>`)
)

// remarks is what a person should not overlook in outgoing texts: whom they
// notify, where their links lead, and what only looks as if it did.
func remarks(texts ...string) (notes []string) {
	note := func(text string) {
		if !slices.Contains(notes, text) {
			notes = append(notes, text)
		}
	}
	mention, link, notifies := false, false, false
	for _, text := range texts {
		for _, p := range pieces(text) {
			target, label, labelled := strings.Cut(p.ref, "|")
			notifies = notifies || strings.HasPrefix(p.ref, "!") || strings.HasPrefix(p.ref, "@")
			switch {
			case p.ref == "":
				mention = mention || looksLikeMention.MatchString(p.text)
				link = link || looksLikeLink.MatchString(p.text)
			case strings.HasPrefix(p.ref, "!subteam"):
				note("It notifies a whole group, " + strings.TrimPrefix(p.ref, "!subteam^") + ".")
			case p.ref[0] == '!':
				note("It notifies everybody: @" + p.ref[1:] + ".")
			case p.ref[0] == '@':
				note("It notifies " + p.ref[1:] + ".")
			case p.ref[0] != '#' && labelled:
				note(fmt.Sprintf("A link shown as %q leads to %s", unescape(label), unescape(target)))
			}
		}
	}
	switch {
	case mention && notifies:
		note("What else looks like a mention is shown as plain text.")
	case mention:
		note("What looks like a mention is shown as plain text; nobody is notified by it.")
	}
	if link {
		note("What looks like a link with a label is shown as plain text, brackets included.")
	}
	return notes
}
