package gmail

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"deputy/approvals"
)

// FuzzRender: no bytes make it panic; what it accepts is one letter, shown in
// full, that is written with just these bytes.
func FuzzRender(f *testing.F) {
	for _, l := range []letter{
		{To: []address{{"Bo", "bo@example.com"}}, Subject: "x", Text: "y\n"},
		{Subject: "ü", Text: "y", HTML: "<p>y</p>", InReplyTo: "<a@b>", References: []string{"<c@d>", "<a@b>"}},
	} {
		for _, thread := range []string{"", "19a0"} {
			r, err := sending(l, thread)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(false, false, r.Body)
			r, _ = drafting(l, thread)
			f.Add(true, false, r.Body)
		}
		raw, _ := build(l)
		f.Add(false, true, raw)
	}
	f.Fuzz(func(t *testing.T, draft, raw bool, body []byte) {
		if raw { // the mail itself, so that what is in it gets its turn
			body = request("", wireLetter{Raw: base64.RawURLEncoding.EncodeToString(body)}).Body
		}
		r := approvals.Request{Method: "POST", Path: sendPath, ContentType: jsonType, Body: body}
		write := sending
		if draft && !raw {
			r.Path, write = draftPath, drafting
		}
		p, err := render("anna@example.com", r)
		if err != nil {
			return
		}
		l, thread, err := reread(r)
		if err != nil {
			t.Fatal(err)
		}
		shows(t, p, l, thread)
		again, err := write(l, thread)
		if err != nil || !bytes.Equal(again.Body, body) {
			t.Fatalf("%q is written %q", body, again.Body)
		}
	})
}

const letterHead = "To: bo@example.com\r\nSubject: x\r\n"
const letterType = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"

// What cannot be shown is not sent.
func TestRenderRefuses(t *testing.T) {
	good := letterHead + letterType + "y"
	mailOf := func(raw string) string {
		body, _ := json.Marshal(wireLetter{Raw: base64.RawURLEncoding.EncodeToString([]byte(raw))})
		return string(body)
	}
	send := func(body string) approvals.Request {
		return approvals.Request{Method: "POST", Path: sendPath, ContentType: jsonType, Body: []byte(body)}
	}
	if _, err := render("", send(mailOf(good))); err != nil {
		t.Fatalf("the letter all others differ from: %v", err)
	}
	two := func(inner string) string {
		return strings.Replace(letterHead+letterType, "text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable", "multipart/alternative; boundary=b", 1) + inner
	}
	part := func(kind, text string) string {
		return "--b\r\nContent-Transfer-Encoding: quoted-printable\r\nContent-Type: " + kind + "\r\n\r\n" + text + "\r\n"
	}
	for name, raw := range map[string]string{
		"another header":         "X-Secret: z\r\n" + good,
		"a sender":               "From: ceo@example.com\r\n" + good,
		"a receipt":              "Disposition-Notification-To: x@evil.example\r\n" + good,
		"a header twice":         "To: x@evil.example\r\n" + good,
		"a blind copy, lower":    "bcc: x@evil.example\r\n" + good,
		"an order of its own":    "Subject: x\r\nTo: bo@example.com\r\n" + letterType + "y",
		"a group":                "To: g: x@evil.example;\r\nSubject: x\r\n" + letterType + "y",
		"a comment":              "To: bo@example.com (x@evil.example)\r\nSubject: x\r\n" + letterType + "y",
		"bare line ends":         strings.ReplaceAll(good, "\r\n", "\n"),
		"another charset":        letterHead + strings.Replace(letterType, "utf-8", "utf-7", 1) + "y",
		"another encoding":       letterHead + strings.Replace(letterType, "quoted-printable", "base64", 1) + "eQ==",
		"no encoding":            letterHead + "Content-Type: text/plain; charset=utf-8\r\n\r\ny",
		"a file":                 letterHead + strings.Replace(letterType, "Content-Transfer", "Content-Disposition: attachment\r\nContent-Transfer", 1) + "y",
		"loosely quoted":         good + "=7A",
		"a broken quote":         good + "=zz",
		"a control character":    good + "=00",
		"not UTF-8":              good + "=FF",
		"HTML alone":             letterHead + strings.Replace(letterType, "plain", "html", 1) + "y",
		"no letter":              "",
		"no end of the head":     "To: bo@example.com",
		"a further part":         two(part(plainType, "y") + part(htmlType, "y") + part("application/pdf", "y") + "--b--\r\n"),
		"one part":               two(part(plainType, "y") + "--b--\r\n"),
		"something after parts":  two(part(plainType, "y") + part(htmlType, "y") + "--b--\r\nx"),
		"something before parts": two("x\r\n" + part(plainType, "y") + part(htmlType, "y") + "--b--\r\n"),
		"a bad reply":            "In-Reply-To: x\r\n" + good,
	} {
		if p, err := render("", send(mailOf(raw))); err == nil {
			t.Errorf("%s is shown as %+v", name, p)
		}
	}
	raw := base64.RawURLEncoding.EncodeToString([]byte(good))
	if _, err := render("", send(htmlMail(t, "<p>x</p>"))); err != nil {
		t.Fatalf("the letter with HTML that others differ from: %v", err)
	}
	for name, r := range map[string]approvals.Request{
		"not JSON":            send("x"),
		"another field":       send(`{"raw":"` + raw + `","labelIds":["INBOX"]}`),
		"a field twice":       send(`{"raw":"` + raw + `","raw":"` + raw + `"}`),
		"another case":        send(`{"Raw":"` + raw + `"}`),
		"an escape":           send(`{"raw":"\u0056` + raw[1:] + `"}`),
		"something after":     send(`{"raw":"` + raw + `"} `),
		"padding":             send(`{"raw":"` + base64.URLEncoding.EncodeToString([]byte(good)) + `"}`),
		"loose bits":          send(`{"raw":"` + raw[:len(raw)-1] + `9"}`),
		"an empty thread":     send(`{"raw":"` + raw + `","threadId":""}`),
		"a strange thread":    send(`{"raw":"` + raw + `","threadId":"a b"}`),
		"a draft as a mail":   send(`{"message":{"raw":"` + raw + `"}}`),
		"another path":        {Method: "POST", Path: me + "/messages/import", ContentType: jsonType, Body: []byte(mailOf(good))},
		"a query":             {Method: "POST", Path: sendPath + "?x=y", ContentType: jsonType, Body: []byte(mailOf(good))},
		"another method":      {Method: "PUT", Path: sendPath, ContentType: jsonType, Body: []byte(mailOf(good))},
		"another type":        {Method: "POST", Path: sendPath, ContentType: "message/rfc822", Body: []byte(mailOf(good))},
		"a mail as a draft":   {Method: "POST", Path: draftPath, ContentType: jsonType, Body: []byte(mailOf(good))},
		"an HTML with script": send(htmlMail(t, "<script>x</script>")),
		"an HTML with styles": send(htmlMail(t, "<p style=\"display:none\">x</p>")),
	} {
		if p, err := render("", r); err == nil {
			t.Errorf("%s is shown as %+v", name, p)
		}
	}
}

// htmlMail is a mail just as build would write it, if it would.
func htmlMail(t *testing.T, source string) string {
	var b bytes.Buffer
	field := func(name, value string) { b.WriteString(name + ": " + value + "\r\n") }
	field("To", "bo@example.com")
	field("MIME-Version", "1.0")
	if err := (letter{Text: "y", HTML: source}).alternatives(&b, field); err != nil {
		t.Fatal(err)
	}
	return string(request(sendPath, wireLetter{Raw: base64.RawURLEncoding.EncodeToString(b.Bytes())}).Body)
}
