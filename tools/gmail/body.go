package gmail

import (
	"encoding/base64"
	"mime"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
)

// A message has so many parts at most, nested so deep; the rest is left out.
const (
	maxParts = 500
	maxDepth = 50
)

// content is what a message holds, as a reader sees it.
type content struct {
	plain, html []string
	elsewhere   bool // Gmail keeps a part of the text apart, as it does with long ones
	attachments []Attachment
	parts       int
}

// text is the message's text: the plain one if there is any, else the HTML's.
func (c content) text() string {
	plain := strings.TrimSpace(strings.Join(c.plain, "\n\n"))
	if plain != "" {
		return strings.ReplaceAll(plain, "\r\n", "\n")
	}
	var shown []string
	for _, h := range c.html {
		shown = append(shown, htmlText(h))
	}
	return strings.TrimSpace(strings.Join(shown, "\n\n"))
}

// read collects a part and those within it.
func (c *content) read(p wirePart, depth int) {
	if c.parts++; c.parts > maxParts || depth > maxDepth {
		return
	}
	kind := strings.ToLower(p.MimeType)
	disposition, _, _ := mime.ParseMediaType(p.header("Content-Disposition"))
	switch {
	case p.Filename != "" || disposition == "attachment":
		c.attachments = append(c.attachments, Attachment{Name: p.Filename, Type: kind, Size: p.Body.Size})
	case kind == "text/plain" || kind == "text/html":
		text := decodeText(p)
		c.elsewhere = c.elsewhere || p.Body.Data == "" && p.Body.Size > 0
		if kind == "text/html" {
			c.html = append(c.html, text)
		} else {
			c.plain = append(c.plain, text)
		}
	case strings.HasPrefix(kind, "multipart/"), kind == "message/rfc822", kind == "":
		for _, part := range p.Parts {
			c.read(part, depth+1)
		}
	case p.Body.Size > 0:
		c.attachments = append(c.attachments, Attachment{Type: kind, Size: p.Body.Size})
	}
}

// decodeText is a text part in UTF-8.
func decodeText(p wirePart) string {
	data, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(p.Body.Data, "="))
	if err != nil {
		return ""
	}
	_, params, _ := mime.ParseMediaType(p.header("Content-Type"))
	return inUTF8(data, params["charset"])
}

// inUTF8 decodes text. Gmail leaves some texts in the character set of their
// part and turns others into UTF-8 without saying so: what is UTF-8 and more
// than ASCII is taken as it is.
func inUTF8(data []byte, charset string) string {
	sevenBit, escapes := true, false
	for _, b := range data {
		sevenBit = sevenBit && b < utf8.RuneSelf
		escapes = escapes || b == 0x1b
	}
	if utf8.Valid(data) && !(sevenBit && escapes) && !strings.HasPrefix(strings.ToLower(charset), "utf-16") {
		return string(data)
	}
	// The index knows the names that mail uses and takes Latin 1 for Windows
	// 1252, as every mail program does.
	if enc, err := htmlindex.Get(charset); err == nil && enc != encoding.Replacement {
		if out, err := enc.NewDecoder().Bytes(data); err == nil {
			data = out
		}
	}
	return strings.TrimPrefix(strings.ToValidUTF8(string(data), "\uFFFD"), "\uFEFF")
}

// cut keeps at most max bytes, whole characters only.
func cut(s string, max int) (string, bool) {
	if len(s) <= max {
		return s, false
	}
	for max > 0 && !utf8.RuneStart(s[max]) {
		max--
	}
	return s[:max], true
}
