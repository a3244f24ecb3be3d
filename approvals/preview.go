package approvals

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"deputy/authz"
)

// Preview is what a person reads before deciding. A provider's Render builds
// it from the request's bytes alone, all but Seen and the note that says why
// the operator's rules ask.
type Preview struct {
	Fields  []Field        `json:"fields,omitempty"`
	Body    string         `json:"body,omitempty"`
	Notes   []string       `json:"notes,omitempty"`   // what the person should not overlook
	Changes []authz.Object `json:"changes,omitempty"` // what the write touches, for authz

	// Seen is what the provider said about ids in the bytes when the question
	// was asked: names, which may be others by the time of the yes. It is shown
	// apart.
	Seen []Field `json:"seen,omitempty"`
}

// Field is one named line of a preview.
type Field struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// reveal returns p with everything invisible escaped, and a note if there was
// any.
func (p Preview) reveal() Preview {
	hidden := false
	reveal := func(in []Field) (out []Field) {
		for _, f := range in {
			v, h := Reveal(f.Value)
			out, hidden = append(out, Field{f.Name, strings.ReplaceAll(v, "\n", "⏎")}), hidden || h
		}
		return out
	}
	fields, seen := reveal(p.Fields), reveal(p.Seen)
	body, h := Reveal(p.Body)
	var notes []string
	for _, n := range p.Notes {
		v, _ := Reveal(n)
		notes = append(notes, v)
	}
	if hidden || h {
		notes = append(notes, "Invisible characters are shown as ‹U+…›.")
	}
	return Preview{Fields: fields, Body: body, Notes: notes, Changes: p.Changes, Seen: seen}
}

// Text is the preview as lines: fields, a blank line, the body.
func (p Preview) Text() string {
	var b strings.Builder
	for _, f := range p.Fields {
		fmt.Fprintf(&b, "%s: %s\n", f.Name, f.Value)
	}
	for _, f := range p.Seen {
		fmt.Fprintf(&b, "(%s when asked: %s)\n", f.Name, f.Value)
	}
	if p.Body != "" {
		fmt.Fprintf(&b, "\n%s", p.Body)
		if !strings.HasSuffix(p.Body, "\n") {
			b.WriteByte('\n')
		}
	}
	for _, n := range p.Notes {
		fmt.Fprintf(&b, "\n! %s\n", n)
	}
	return b.String()
}

// Reveal makes invisible characters visible as ‹U+202E› and reports whether
// there were any. Bytes that are not UTF-8 show as ‹0xff›.
func Reveal(s string) (string, bool) {
	var b strings.Builder
	found := false
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, "‹0x%02x›", s[i])
			found = true
		case r == '\r' && strings.HasPrefix(s[i:], "\r\n"):
			// a line ending, shown as one
		case authz.Invisible(r):
			fmt.Fprintf(&b, "‹U+%04X›", r)
			found = true
		default:
			b.WriteRune(r)
		}
		i += size
	}
	return b.String(), found
}
