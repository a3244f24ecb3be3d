package github

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// maxNotes keeps the notes readable; what they are about is in the text anyway.
const maxNotes = 8

// notes says what GitHub will make of a Markdown text that a person who reads
// the text could overlook.
func notes(text string) (out []string) {
	if who := mentions(text); len(who) > 0 {
		shown := strings.Join(who[:min(len(who), maxNotes)], ", ")
		if more := len(who) - maxNotes; more > 0 {
			shown += fmt.Sprintf(" and %d more", more)
		}
		out = append(out, "Mentioned, and so notified: "+shown+".")
	}
	if strings.Contains(text, "<!--") {
		out = append(out, "A part of the text is an HTML comment: it is hidden on GitHub.")
	}
	leads := links(text)
	out = append(out, leads[:min(len(leads), maxNotes)]...)
	if more := len(leads) - maxNotes; more > 0 {
		out = append(out, fmt.Sprintf("There are %d more such links and images.", more))
	}
	return out
}

// A mention is of a person or of a team, and not the middle of a mail address.
var mention = regexp.MustCompile("(?:^|[^A-Za-z0-9_.+/@-])@([A-Za-z0-9][A-Za-z0-9_-]*(?:/[A-Za-z0-9][A-Za-z0-9._-]*)?)")

func mentions(text string) (out []string) {
	for _, m := range mention.FindAllStringSubmatch(text, -1) {
		if who := "@" + m[1]; !slices.Contains(out, who) {
			out = append(out, who)
		}
	}
	return out
}

var (
	inlineLink = regexp.MustCompile(`(!?)\[([^\[\]]*)\]\(\s*<?([^\s<>()]+)`)
	linkByName = regexp.MustCompile(`(!?)\[([^\[\]]*)\]\[([^\[\]]*)\]`)
	linkName   = regexp.MustCompile(`(?m)^ {0,3}\[([^\[\]]+)\]:\s*<?([^\s<>]+)`)
	htmlLink   = regexp.MustCompile(`(?is)<a\s[^>]*href\s*=\s*["']?([^\s"'>]+)[^>]*>(.*?)</a`)
	htmlImage  = regexp.MustCompile(`(?is)<img\s[^>]*src\s*=\s*["']?([^\s"'>]+)`)
)

// links names the host of each link whose text does not, and of each image,
// which is loaded as soon as somebody looks.
func links(text string) (out []string) {
	say := func(image bool, label, to string) {
		host := hostOf(to)
		var note string
		switch {
		case host == "":
			return
		case image:
			note = fmt.Sprintf("An image is loaded from %s.", host)
		case strings.Contains(strings.ToLower(label), host):
			return
		default:
			note = fmt.Sprintf("A link that reads “%s” leads to %s.", shorten(label), host)
		}
		if !slices.Contains(out, note) {
			out = append(out, note)
		}
	}
	for _, m := range inlineLink.FindAllStringSubmatch(text, -1) {
		say(m[1] == "!", m[2], m[3])
	}
	named := map[string]string{}
	for _, m := range linkName.FindAllStringSubmatch(text, -1) {
		named[strings.ToLower(m[1])] = m[2]
	}
	for _, m := range linkByName.FindAllStringSubmatch(text, -1) {
		name := m[3]
		if name == "" {
			name = m[2]
		}
		say(m[1] == "!", m[2], named[strings.ToLower(name)])
	}
	for _, m := range htmlLink.FindAllStringSubmatch(text, -1) {
		say(false, m[2], m[1])
	}
	for _, m := range htmlImage.FindAllStringSubmatch(text, -1) {
		say(true, "", m[1])
	}
	return out
}

// hostOf is the host that a link leads to, or "" for one that stays where it
// is. A link that cannot be read is named whole.
func hostOf(to string) string {
	u, err := url.Parse(to)
	if err != nil {
		return shorten(to)
	}
	return strings.ToLower(u.Host)
}

func shorten(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if short, more := cut(s, 60); more {
		return short + "…"
	}
	return s
}
