package gmail

import (
	"encoding/base64"
	"fmt"
	"io"
	"mime"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"deputy/authz"

	"golang.org/x/text/encoding/htmlindex"
)

// words decodes encoded words (RFC 2047) in any character set mail uses.
var words = mime.WordDecoder{CharsetReader: func(charset string, in io.Reader) (io.Reader, error) {
	enc, err := htmlindex.Get(charset)
	if err != nil {
		return nil, fmt.Errorf("gmail: unknown character set")
	}
	return enc.NewDecoder().Reader(in), nil
}}

// shownHeader is a received header field as one line of text.
func shownHeader(value string) string {
	text, err := words.DecodeHeader(value)
	if err != nil {
		text = value
	}
	text, _ = cut(oneLine(text), maxLine)
	return text
}

// oneLine makes one line of text from outside and drops what nobody sees.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case authz.Invisible(r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	return strings.Join(strings.Fields(s), " ")
}

// headerText writes text into a header field: as it is where no reader can
// take it for anything else, else as encoded words.
func headerText(s string) string {
	if s == "" || plainHeader(s) {
		return s
	}
	return encodedWords(s)
}

// headerName writes a recipient's name.
func headerName(s string) string {
	if plainHeader(s) {
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
	}
	return encodedWords(s)
}

// plainHeader: "=?" begins an encoded word, which mail programs decode even
// where they should not.
func plainHeader(s string) bool {
	if len(s) > 200 || strings.TrimSpace(s) != s || strings.Contains(s, "=?") {
		return false
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// encodedWords splits text between characters into words that fit a line.
func encodedWords(s string) string {
	const most = 36
	var out []string
	for len(s) > 0 {
		n := min(most, len(s))
		for n > 1 && n < len(s) && !utf8.RuneStart(s[n]) {
			n--
		}
		out = append(out, "=?utf-8?b?"+base64.StdEncoding.EncodeToString([]byte(s[:n]))+"?=")
		s = s[n:]
	}
	return strings.Join(out, "\r\n ")
}

// messageID is what answers refer to.
var messageID = regexp.MustCompile(`^<[!-;=?-~]{1,250}>$`)

// maxReferences keeps the head of a long thread within its bounds: the first
// message and the latest ones.
const maxReferences = 20

func references(before string, id string) []string {
	out := slices.DeleteFunc(strings.Fields(before), func(s string) bool { return s == id || !messageID.MatchString(s) })
	out = append(out, id)
	if len(out) > maxReferences {
		out = slices.Concat(out[:1], out[len(out)-maxReferences+1:])
	}
	return out
}

// replySubject is the subject of an answer.
func replySubject(subject string) string {
	subject = shownHeader(subject)
	if _, ok := cutPrefixFold(subject, "re:"); ok {
		return subject
	}
	subject, _ = cut("Re: "+subject, maxLine)
	return strings.TrimSpace(subject)
}
