package gmail

import (
	"regexp"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// maxHTML bounds how much of a mail's HTML is looked at.
const maxHTML = 1 << 20

// htmlText is HTML as a person reads it: no comments, nothing that is styled
// away, links with where they lead, pictures by their description. Nothing is
// fetched.
func htmlText(source string) string {
	source, _ = cut(source, maxHTML)
	root, err := html.Parse(strings.NewReader(source))
	if err != nil {
		return "" // nested without end, which no mail program shows either
	}
	var t htmlReader
	t.node(root)
	return strings.TrimSpace(t.b.String())
}

// htmlReader writes text with white space as a browser would lay it out.
type htmlReader struct {
	b     strings.Builder
	space bool // a space is due before the next word
	lines int  // so many line breaks are due before it
	pre   int
}

func (t *htmlReader) node(n *html.Node) {
	switch n.Type {
	case html.TextNode:
		t.text(n.Data)
		return
	case html.CommentNode, html.DoctypeNode:
		return
	case html.ElementNode:
		if unseen(n) {
			return
		}
	}
	gap := breaks[n.DataAtom]
	t.lineBreak(gap)
	switch n.DataAtom {
	case atom.Br:
		t.b.WriteString("\n")
		t.space = false
	case atom.Img:
		if alt := attr(n.Attr, "alt"); strings.TrimSpace(alt) != "" {
			t.text("[" + alt + "]")
		}
	case atom.Td, atom.Th:
		t.space = true
	case atom.Pre:
		t.pre++
		defer func() { t.pre-- }()
	case atom.Li:
		t.text("- ")
	}
	start := t.b.Len()
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		t.node(c)
	}
	if n.DataAtom == atom.A {
		t.target(attr(n.Attr, "href"), t.b.String()[start:])
	}
	t.lineBreak(gap)
}

// breaks says how many line breaks surround an element.
var breaks = map[atom.Atom]int{
	atom.P: 2, atom.H1: 2, atom.H2: 2, atom.H3: 2, atom.H4: 2, atom.H5: 2, atom.H6: 2, atom.Blockquote: 2,
	atom.Pre: 2, atom.Hr: 2, atom.Table: 2, atom.Ul: 1, atom.Ol: 1, atom.Li: 1, atom.Div: 1, atom.Tr: 1,
	atom.Section: 1, atom.Article: 1, atom.Header: 1, atom.Footer: 1, atom.Center: 1, atom.Dt: 1, atom.Dd: 1,
}

func (t *htmlReader) lineBreak(n int) { t.lines = max(t.lines, n) }

func (t *htmlReader) text(s string) {
	if t.pre > 0 {
		t.due()
		t.b.WriteString(s)
		return
	}
	words := strings.FieldsFunc(s, htmlSpace)
	if len(words) == 0 {
		t.space = t.space || s != ""
		return
	}
	t.space = t.space || htmlSpace(rune(s[0]))
	for _, w := range words {
		t.due()
		t.b.WriteString(w)
		t.space = true
	}
	t.space = htmlSpace(rune(s[len(s)-1]))
}

// htmlSpace is what HTML collapses; a no-break space is not among it.
func htmlSpace(r rune) bool { return r == ' ' || r == '\n' || r == '\t' || r == '\r' || r == '\f' }

// due writes the white space that is due.
func (t *htmlReader) due() {
	switch {
	case t.b.Len() == 0:
	case t.lines > 0:
		t.b.WriteString(strings.Repeat("\n", t.lines))
	case t.space && !strings.HasSuffix(t.b.String(), "\n"):
		t.b.WriteByte(' ')
	}
	t.space, t.lines = false, 0
}

// target shows where a link leads, unless its text already says just that.
func (t *htmlReader) target(href, label string) {
	href, label = strings.TrimSpace(href), strings.TrimSpace(label)
	if label == href {
		return
	}
	for _, prefix := range linkPrefixes {
		if rest, ok := cutPrefixFold(href, prefix); ok {
			if label != strings.TrimSuffix(rest, "/") {
				t.space = true
				t.text("(" + href + ")")
			}
			return
		}
	}
}

// linkPrefixes begin the links that mean something to a reader; others lead
// nowhere from a mail.
var linkPrefixes = []string{"https://", "http://", "mailto:", "tel:"}

func cutPrefixFold(s, prefix string) (rest string, ok bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return "", false
	}
	return s[len(prefix):], true
}

// unseen reports whether a reader of the mail would not see an element.
func unseen(n *html.Node) bool {
	switch n.DataAtom {
	case atom.Script, atom.Style, atom.Head, atom.Title, atom.Template, atom.Noscript, atom.Iframe, atom.Object,
		atom.Svg, atom.Math, atom.Select, atom.Textarea, atom.Audio, atom.Video, atom.Canvas:
		return true
	}
	for _, a := range n.Attr {
		if a.Key == "hidden" || a.Key == "style" && hidingStyle.MatchString(strings.ToLower(a.Val)) {
			return true
		}
	}
	return false
}

// hidingStyle finds the ways in which newsletters, and those who write to
// machines behind a reader's back, make text disappear.
var hidingStyle = regexp.MustCompile(`display\s*:\s*none|visibility\s*:\s*(hidden|collapse)|mso-hide\s*:\s*all|` +
	`(font-size|max-height|opacity)\s*:\s*0*(\.0+)?(px|pt|em|rem|%)?\s*(!important\s*)?(;|$)`)

func attr(attrs []html.Attribute, key string) string {
	for _, a := range attrs {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}
