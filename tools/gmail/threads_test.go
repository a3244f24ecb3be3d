package gmail

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"deputy/authz"
)

// FuzzDecodeMessage: no answer of Gmail's makes reading or decoding fail other
// than with an error, and what is shown stays in its bounds.
func FuzzDecodeMessage(f *testing.F) {
	f.Add([]byte(`{"id":"19a","threadId":"19a","labelIds":["INBOX","Label_2"],"snippet":"a &amp; b","internalDate":"1763900000000",
		"payload":{"mimeType":"multipart/mixed","headers":[{"name":"From","value":"=?utf-8?q?B=C3=B6?= <bo@example.com>"}],
		"parts":[{"mimeType":"text/plain","body":{"data":"aGk=","size":2}},{"filename":"a.pdf","mimeType":"application/pdf","body":{"size":9}}]}}`))
	f.Add([]byte(`{"id":"r1","message":{"id":"19a","threadId":"19a","labelIds":["DRAFT"]}}`))
	f.Add([]byte(`{"id":"19a","payload":{"mimeType":"text/html","body":{"data":"PHA-eDwvcD4"}}}`))
	f.Fuzz(func(t *testing.T, answer []byte) {
		if s, err := decodeSent("anna@example.com", answer); err == nil && (s.ID == "" || s.ThreadID == "") {
			t.Fatalf("%+v", s)
		}
		if d, err := decodeDraft("anna@example.com", answer); err == nil && (d.DraftID == "" || d.ID == "") {
			t.Fatalf("%+v", d)
		}
		var m wireMessage
		if json.Unmarshal(answer, &m) != nil {
			return
		}
		known := labels{"Label_2": "Payroll"}
		for _, detail := range []string{"metadata", "snippet", "full"} {
			out := known.message("anna@example.com", m, threadInput{Detail: detail, MaxBytes: 500})
			if len(out.Body) > 500 || len(out.Subject) > maxLine {
				t.Fatalf("%d bytes of text, %d of subject", len(out.Body), len(out.Subject))
			}
			if strings.ContainsAny(out.Subject+out.From+out.To+out.Snippet, "\r\n\x00") {
				t.Fatalf("%+v", out)
			}
		}
		known.thread("anna@example.com", m.ID, []wireMessage{m, m}, "summary")
		o := original{mailbox: "anna@example.com", message: m}
		for _, all := range []bool{false, true} {
			l, err := o.answer(all)
			if err != nil {
				continue
			}
			l.Text = "x"
			r, err := sending(l, "")
			if err != nil {
				t.Fatalf("an answer to %s: %v", answer, err)
			}
			if _, err := render("", r); err != nil {
				t.Fatalf("an answer to %s cannot be shown: %v", answer, err)
			}
		}
	})
}

func headed(pairs ...string) wireMessage {
	var m wireMessage
	m.ID, m.ThreadID = "19a", "19a"
	for i := 0; i < len(pairs); i += 2 {
		m.Payload.Headers = append(m.Payload.Headers, struct{ Name, Value string }{pairs[i], pairs[i+1]})
	}
	return m
}

func TestAnswer(t *testing.T) {
	const anna = "Anna Kim <Anna@Example.com>"
	for _, c := range []struct {
		name, to, cc, subject string
		all                   bool
		m                     wireMessage
	}{
		{"the sender", "bo@example.com", "", "Re: Hi", false, headed("From", "Bo <bo@example.com>", "To", anna, "Subject", "Hi")},
		{"where answers are wanted", "list@example.com", "", "RE: Hi", false, headed("From", "bo@example.com", "Reply-To", "list@example.com", "Subject", "RE: Hi")},
		{"all, once each", "bo@example.com, mia@example.com", "jo@example.com", "Re:", true,
			headed("From", "bo@example.com", "To", anna+", Mia <mia@example.com>, BO@example.com", "Cc", "jo@example.com, MIA@example.com, anna@example.com")},
		{"one's own", "bo@example.com", "", "Re: Hi", false, headed("From", anna, "To", "bo@example.com", "Subject", "Hi")},
		{"oneself", "Anna@Example.com", "", "Re: Hi", false, headed("From", anna, "To", anna, "Subject", "Hi")},
		{"a subject in disguise", "bo@example.com", "", "Re: a Bcc: x", false, headed("From", "bo@example.com", "Subject", "=?utf-8?q?a=0D=0ABcc:_x=E2=80=AE?=")},
		{"nobody named", "bo@example.com", "", "Re: Hi", true, headed("From", "bo@example.com", "To", "undisclosed-recipients:;", "Subject", "Hi")},
		{"nobody at all", "", "", "", false, headed("Subject", "Hi")},
		{"nobody who can be written to", "", "", "", true, headed("From", "bo", "Subject", "Hi")},
		{"too many", "", "", "", true, headed("From", "bo@example.com", "To", strings.TrimSuffix(strings.Repeat("a@x.example, ", 1), ", "), "Cc", manyAddresses(120))},
	} {
		l, err := original{mailbox: "anna@example.com", message: c.m}.answer(c.all)
		if (err != nil) != (c.to == "") {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if err == nil && (joinAddresses(l.To) != c.to || joinAddresses(l.Cc) != c.cc || l.Subject != c.subject) {
			t.Errorf("%s: to %s, cc %s, %q", c.name, joinAddresses(l.To), joinAddresses(l.Cc), l.Subject)
		}
	}
}

func manyAddresses(n int) string {
	var out []string
	for i := range n {
		out = append(out, "p"+strings.Repeat("a", i%60)+string(rune('a'+i/60))+"@example.com")
	}
	return strings.Join(out, ", ")
}

// A mail the user sent is trusted only where it repeats nobody's words.
func TestLabels(t *testing.T) {
	sent := headed("From", "anna@example.com", "Subject", "Hi")
	sent.LabelIDs = []string{"SENT", "Label_2"}
	answer := headed("From", "anna@example.com", "In-Reply-To", "<a@b>")
	answer.LabelIDs = []string{"SENT"}
	received := headed("From", "bo@example.com")
	received.LabelIDs = []string{"INBOX"}
	bare := wireMessage{ID: "19a", LabelIDs: []string{"SENT"}}
	known := labels{"Label_2": "Payroll/2026 a"}
	for i, c := range []struct {
		messages []wireMessage
		want     authz.Integrity
	}{
		{[]wireMessage{sent}, authz.Trusted}, {[]wireMessage{answer}, authz.Untrusted}, {[]wireMessage{received}, authz.Untrusted},
		{[]wireMessage{sent, received}, authz.Untrusted}, {[]wireMessage{bare}, authz.Untrusted}, {nil, authz.Untrusted},
	} {
		got := known.placeOf("anna@example.com", c.messages...).Label()
		if got.Integrity != c.want || got.Confidentiality != authz.Private {
			t.Errorf("%d: %v", i, got)
		}
	}
	facts := known.thread("anna@example.com", "19a", []wireMessage{received, sent}, "ids").Facts("account:google/anna@example.com")
	for _, label := range []string{"INBOX", "SENT", "Label_2", "Payroll%2F2026%20a"} {
		want := authz.Tuple{User: "gmail_label:anna@example.com/" + label, Relation: "label", Object: "gmail_thread:anna@example.com/19a"}
		found := false
		for _, f := range facts {
			found = found || f == want
		}
		if !found {
			t.Errorf("no %v in %v", want, facts)
		}
	}
}

func part(kind, data string, parts ...wirePart) wirePart {
	p := wirePart{MimeType: kind, Parts: parts}
	p.Body.Data, p.Body.Size = base64.URLEncoding.EncodeToString([]byte(data)), len(data)
	return p
}

func TestBody(t *testing.T) {
	long := part("text/plain", "")
	long.Body.Size = 9
	file := part("text/plain", "inside")
	file.Filename = "a.txt"
	deep := part("text/plain", "bottom")
	for range 200 {
		deep = part("multipart/mixed", "", deep)
	}
	wide := part("multipart/mixed", "")
	for range 2000 {
		wide.Parts = append(wide.Parts, part("text/plain", "x"))
	}
	for name, c := range map[string]struct {
		p     wirePart
		want  string
		files int
	}{
		"the plain one":       {part("multipart/alternative", "", part("text/plain", "plain\r\n"), part("text/html", "<b>html</b>")), "plain", 0},
		"the HTML if need be": {part("multipart/alternative", "", part("text/plain", " \r\n"), part("text/html", "<b>html</b>")), "html", 0},
		"several":             {part("multipart/mixed", "", part("text/plain", "a"), part("text/plain", "b")), "a\n\nb", 0},
		"a file is no text":   {part("multipart/mixed", "", file, part("image/png", "x")), "", 2},
		"a mail in a mail":    {part("message/rfc822", "", part("text/plain", "inner")), "inner", 0},
		"too deep":            {deep, "", 0},
		"kept elsewhere":      {long, "", 0},
		"not base64":          {wirePart{MimeType: "text/plain"}, "", 0},
	} {
		var content content
		content.read(c.p, 0)
		if content.text() != c.want || len(content.attachments) != c.files || content.elsewhere != (name == "kept elsewhere") {
			t.Errorf("%s: %q, %d files", name, content.text(), len(content.attachments))
		}
	}
	var c content
	if c.read(wide, 0); len(c.plain) >= maxParts {
		t.Errorf("%d parts", len(c.plain))
	}
}
