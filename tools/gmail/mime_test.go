package gmail

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"deputy/approvals"
	"deputy/tools"
)

// FuzzMIME: whatever the tools take is built, means what was asked when it is
// read back, and is shown in full. No other bytes mean the same.
func FuzzMIME(f *testing.F) {
	f.Add("Bo <bo@example.com>", "mia@example.com", "Hello", "Text", "", 3, byte(1))
	f.Add("=?utf-8?b?Qm8=?= <bo@bücher.example>", "", "=?utf-8?q?x?= ", ".\nFrom x\n \n", "<p>a <a href=\"http://x\">b</a></p>", 200, byte('\n'))
	f.Add(`"a, b" <x@y.example>`, "a@b.example", strings.Repeat("ü", 100), strings.Repeat("long ", 60)+"\r\n", "x", 90, byte('='))
	f.Fuzz(func(t *testing.T, to, cc, subject, text, html string, at int, b byte) {
		if !bytes.Equal([]byte(to+cc+subject+text+html), bytes.ToValidUTF8([]byte(to+cc+subject+text+html), nil)) {
			return // arguments are JSON, which is UTF-8
		}
		in := sendInput{To: []string{to}, Subject: subject, Body: text, HTMLBody: html}
		if cc != "" {
			in.Cc = []string{cc}
		}
		l, err := compile(in)
		if err != nil {
			var bad *tools.InputError
			if !errors.As(err, &bad) || bad.Field == "" {
				t.Fatalf("refused without a field: %v", err)
			}
			return
		}
		raw, err := build(l)
		if err != nil {
			t.Fatalf("%+v cannot be built: %v", l, err)
		}
		if again, _ := build(l); !bytes.Equal(raw, again) {
			t.Fatal("built differently the second time")
		}
		for line := range bytes.SplitSeq(raw, []byte("\r\n")) {
			if len(line) > 998 || bytes.ContainsAny(line, "\r\n\x00") {
				t.Fatalf("line %q", line)
			}
		}
		r, err := sending(l, "")
		if err != nil {
			t.Fatal(err)
		}
		p, err := render("anna@example.com", r)
		if err != nil {
			t.Fatalf("%q cannot be shown: %v", raw, err)
		}
		shows(t, p, l, "")

		// One byte changed or put in: another letter, or none.
		at = max(at, 0) % (len(raw) + 1)
		for _, other := range [][]byte{
			append(append(bytes.Clone(raw[:at]), b), raw[at:]...),
			append(append(bytes.Clone(raw[:at]), b), raw[min(at+1, len(raw)):]...),
		} {
			if bytes.Equal(other, raw) {
				continue
			}
			changed := request(sendPath, wireLetter{Raw: base64.RawURLEncoding.EncodeToString(other)})
			if m, _, err := reread(changed); err == nil && m.equal(l) {
				t.Fatalf("%q means the same as %q", other, raw)
			}
		}
	})
}

// shows checks that a preview leaves nothing of a letter out.
func shows(t *testing.T, p approvals.Preview, l letter, thread string) {
	t.Helper()
	fields := map[string]string{}
	for _, f := range p.Fields {
		fields[f.Name] = f.Value
	}
	for name, list := range map[string][]address{"To": l.To, "Cc": l.Cc, "Bcc": l.Bcc} {
		for _, a := range list {
			if !strings.Contains(fields[name], a.String()) || !strings.Contains(fields[name], a.Addr) {
				t.Fatalf("%s %q does not show %+v", name, fields[name], a)
			}
		}
	}
	if fields["Subject"] != l.Subject || fields["Thread"] != thread || fields["In reply to"] != l.InReplyTo || p.Body != l.Text {
		t.Fatalf("%+v does not show %+v", p, l)
	}
	if l.HTML != "" {
		showsHTML(t, fields["HTML version"], l.HTML)
	}
}

func TestEncoding(t *testing.T) {
	for _, s := range []string{
		"", "plain", " led", "trailed ", "a  b", "=?utf-8?q?a?=", "=?", "ü", strings.Repeat("ü", 200), strings.Repeat("x", 999),
		"\"quoted\\", "a\tb", "日本語の件名がとても長いときにも一行は短いままである。", "🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂",
	} {
		if strings.ContainsRune(s, '\t') {
			continue
		}
		l := letter{To: []address{{s, "bo@example.com"}, {"", "x@example.com"}, {s, "y@example.com"}}, Subject: s, Text: s}
		raw, err := build(l)
		if err != nil {
			t.Errorf("%q: %v", s, err)
		}
		for _, c := range raw {
			if c >= 0x80 {
				t.Errorf("%q: a byte of more than seven bits", s)
				break
			}
		}
	}
}

// A letter that its own bytes would not bring back does not leave.
func TestBuildRefuses(t *testing.T) {
	for name, l := range map[string]letter{
		"line break in the subject":  {Subject: "a\r\nBcc: x@evil.example"},
		"line break in a name":       {To: []address{{"a\nb", "bo@example.com"}}},
		"line break in an address":   {To: []address{{"", "bo@example.com>\r\nBcc: <x@evil.example"}}},
		"two addresses for one":      {To: []address{{"", "bo@example.com, x@evil.example"}}},
		"a name for an address":      {To: []address{{"", "bo"}}},
		"line break in a reference":  {InReplyTo: "<a@b>\r\nBcc: x@evil.example"},
		"space in a reference":       {References: []string{"<a@b> <c@d>"}},
		"carriage return in a text":  {Text: "a\rb\r\n"},
		"carriage return in an HTML": {Text: "a", HTML: "a\r\n"},
	} {
		if raw, err := build(l); err == nil {
			t.Errorf("%s: %q", name, raw)
		}
	}
}

func TestManyRecipients(t *testing.T) {
	many := func(n int) (out []string) {
		for i := range n {
			out = append(out, fmt.Sprintf("Person Number %d <p%d@example.com>", i, i))
		}
		return out
	}
	if _, err := compile(sendInput{To: many(60), Cc: many(40)}); err != nil {
		t.Error(err)
	}
	for _, in := range []sendInput{{To: many(101)}, {To: many(60), Cc: many(41)}, {To: many(1), Bcc: many(1000)}} {
		var bad *tools.InputError
		if _, err := compile(in); !errors.As(err, &bad) || bad.Field == "" {
			t.Errorf("%d, %d, %d: %v", len(in.To), len(in.Cc), len(in.Bcc), err)
		}
	}
	l, _ := compile(sendInput{To: many(100), Subject: "x", Body: "y"})
	if r, err := sending(l, ""); err != nil {
		t.Error(err)
	} else if _, err := render("", r); err != nil {
		t.Error(err)
	}
}

func TestAddresses(t *testing.T) {
	for in, want := range map[string]string{
		"bo@example.com":                       "bo@example.com",
		"<bo@example.com>":                     "bo@example.com",
		"Bo Larsen <bo@example.com>":           "Bo Larsen <bo@example.com>",
		`"Larsen, Bo" <bo@example.com>`:        `"Larsen, Bo" <bo@example.com>`,
		`"a\" <x@evil.example>" <bo@x.com>`:    `"a\" <x@evil.example>" <bo@x.com>`,
		"bo+tag.x@sub.example.com":             "bo+tag.x@sub.example.com",
		"bo@BÜCHER.example":                    "bo@xn--bcher-kva.example",
		"=?utf-8?q?B=C3=B6?= <bo@example.com>": "Bö <bo@example.com>",
		"bo@localhost":                         "",
		"bo@[127.0.0.1]":                       "",
		"bo@127.0.0.1":                         "",
		`"b o"@example.com`:                    "",
		"bö@example.com":                       "",
		"bo@example..com":                      "",
		"bo@-example.com":                      "",
		".bo@example.com":                      "",
		"@example.com":                         "",
		"bo":                                   "",
		"":                                     "",
		"a@example.com, b@example.com":         "",
		strings.Repeat("a", 65) + "@x.example": "",
	} {
		list, err := recipients("to", []string{in})
		got := ""
		if err == nil {
			got = list[0].String()
		}
		if got != want {
			t.Errorf("%q: %q, want %q (%v)", in, got, want, err)
		}
	}
}
