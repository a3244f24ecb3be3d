package gmail

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/net/html"
)

// sentTags are the elements that mail may go out with. Each of them shows what
// is in it, and nothing else: so its text, with the targets of links, is all
// there is to approve.
var sentTags = strings.Fields("html body p br hr div span b strong i em u s sub sup small code pre blockquote " +
	"h1 h2 h3 h4 h5 h6 ul ol li dl dt dd table thead tbody tr td th a")

// beyondShowing says what in HTML could not be shown to the person who
// approves it, or nothing.
func beyondShowing(source string) (why string) {
	if len(source) > maxHTML {
		return fmt.Sprintf("is longer than %d bytes", maxHTML)
	}
	z := html.NewTokenizer(strings.NewReader(source))
	for {
		switch z.Next() {
		case html.ErrorToken:
			if z.Err() != io.EOF {
				return "is not HTML"
			}
			if len(z.Raw()) > 0 {
				return "ends in the middle of a tag"
			}
			if _, err := html.Parse(strings.NewReader(source)); err != nil {
				return "is nested too deep"
			}
			return ""
		case html.CommentToken:
			return "contains a comment, or markup that is read as one"
		case html.DoctypeToken:
			return "contains a doctype; leave it out"
		case html.EndTagToken:
			raw := string(z.Raw())
			name := strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(raw, "</"), ">"))
			if !slices.Contains(sentTags, name) {
				return fmt.Sprintf("contains %q, which may not be in it", raw)
			}
		case html.StartTagToken, html.SelfClosingTagToken:
			raw := string(z.Raw()) // before Token, which drops what is given twice
			t := z.Token()
			if !slices.Contains(sentTags, t.Data) {
				return fmt.Sprintf("contains <%s>, which may not be in it; there may be %s", t.Data, strings.Join(sentTags, ", "))
			}
			if !bareTag.MatchString(raw) && !(t.Data == "a" && linkTag.MatchString(raw)) {
				return fmt.Sprintf("contains %q; only links may have an attribute, one href in quotes", raw)
			}
			if href := attr(t.Attr, "href"); len(t.Attr) > 0 && !sentLink(href) {
				return fmt.Sprintf("contains a link to %q; a link must begin with https://, http:// or mailto:", href)
			}
		}
	}
}

var (
	bareTag = regexp.MustCompile(`^<[A-Za-z0-9]+\s*/?>$`)
	linkTag = regexp.MustCompile(`^<[Aa]\s+[Hh][Rr][Ee][Ff]\s*=\s*("[^"<>]*"|'[^'<>]*')\s*>$`)
)

func sentLink(href string) bool {
	if strings.IndexFunc(href, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) >= 0 {
		return false
	}
	return slices.ContainsFunc(linkPrefixes[:3], func(p string) bool {
		_, ok := cutPrefixFold(href, p)
		return ok
	})
}
