package gmail

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/textproto"
	"slices"
	"strings"
)

// letter is a mail as its writer means it. Gmail adds From, Date and
// Message-ID; so the same letter is always the same bytes, and a yes to them is
// a yes to this letter.
type letter struct {
	To, Cc, Bcc []address
	Subject     string
	InReplyTo   string
	References  []string
	Text        string // lines end with \n
	HTML        string // an alternative to Text, or ""
}

const (
	plainType = "text/plain; charset=utf-8"
	htmlType  = "text/html; charset=utf-8"
)

var errLetter = errors.New("gmail: the mail is not in the one form deputy sends")

// build writes a letter and reads it back: bytes that mean anything else than
// the letter do not leave.
func build(l letter) ([]byte, error) {
	if !l.wellFormed() {
		return nil, errLetter
	}
	var b bytes.Buffer
	field := func(name, value string) {
		if value != "" {
			b.WriteString(name + ": " + value + "\r\n")
		}
	}
	field("To", headerAddresses(l.To))
	field("Cc", headerAddresses(l.Cc))
	field("Bcc", headerAddresses(l.Bcc))
	field("Subject", headerText(l.Subject))
	field("In-Reply-To", l.InReplyTo)
	field("References", strings.Join(l.References, "\r\n "))
	field("MIME-Version", "1.0")
	if l.HTML == "" {
		field("Content-Type", plainType)
		field("Content-Transfer-Encoding", "quoted-printable")
		b.WriteString("\r\n")
		if err := quote(&b, l.Text); err != nil {
			return nil, err
		}
	} else if err := l.alternatives(&b, field); err != nil {
		return nil, err
	}
	back, err := parse(b.Bytes())
	if err != nil || !back.equal(l) {
		return nil, errLetter
	}
	return b.Bytes(), nil
}

// alternatives writes the text and the HTML, the one for whoever cannot show
// the other.
func (l letter) alternatives(b *bytes.Buffer, field func(name, value string)) error {
	// The boundary is a digest of what it separates, which therefore cannot
	// contain it.
	sum := sha256.Sum256([]byte(l.Text + "\x00" + l.HTML))
	boundary := "deputy-" + hex.EncodeToString(sum[:16])
	field("Content-Type", "multipart/alternative; boundary="+boundary)
	b.WriteString("\r\n")
	w := multipart.NewWriter(b)
	if err := w.SetBoundary(boundary); err != nil {
		return err
	}
	for _, part := range []struct{ kind, text string }{{plainType, l.Text}, {htmlType, l.HTML}} {
		h := textproto.MIMEHeader{"Content-Type": {part.kind}, "Content-Transfer-Encoding": {"quoted-printable"}}
		p, err := w.CreatePart(h)
		if err != nil {
			return err
		}
		if err := quote(p, part.text); err != nil {
			return err
		}
	}
	return w.Close()
}

// quote writes text as quoted-printable, whose lines stay within 76 bytes and
// end with CRLF.
func quote(w io.Writer, text string) error {
	q := quotedprintable.NewWriter(w)
	if _, err := io.WriteString(q, text); err != nil {
		return err
	}
	return q.Close()
}

func headerAddresses(list []address) string {
	out := make([]string, len(list))
	for i, a := range list {
		out[i] = a.Addr
		if a.Name != "" {
			out[i] = headerName(a.Name) + " <" + a.Addr + ">"
		}
	}
	return strings.Join(out, ",\r\n ")
}

// parse reads a letter. It refuses what a letter cannot say: another header
// field, a field twice, another part, another encoding.
func parse(raw []byte) (l letter, err error) {
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return letter{}, errLetter
	}
	kind := ""
	for name, values := range m.Header {
		value := values[0]
		switch name {
		case "To":
			l.To, err = parseAddresses(value)
		case "Cc":
			l.Cc, err = parseAddresses(value)
		case "Bcc":
			l.Bcc, err = parseAddresses(value)
		case "Subject":
			l.Subject, err = words.DecodeHeader(value)
		case "In-Reply-To":
			l.InReplyTo = value
		case "References":
			l.References = strings.Fields(value)
		case "Content-Type":
			kind = value
		case "Mime-Version", "Content-Transfer-Encoding":
		default:
			return letter{}, errLetter
		}
		if err != nil || len(values) != 1 {
			return letter{}, errLetter
		}
	}
	if kind == plainType {
		l.Text, err = unquote(m.Header.Get("Content-Transfer-Encoding"), m.Body)
		return l, err
	}
	media, params, err := mime.ParseMediaType(kind)
	if err != nil || media != "multipart/alternative" {
		return letter{}, errLetter
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	for _, part := range []struct {
		kind string
		text *string
	}{{plainType, &l.Text}, {htmlType, &l.HTML}} {
		p, err := parts.NextRawPart()
		if err != nil || p.Header.Get("Content-Type") != part.kind {
			return letter{}, errLetter
		}
		if *part.text, err = unquote(p.Header.Get("Content-Transfer-Encoding"), p); err != nil {
			return letter{}, err
		}
	}
	if _, err := parts.NextRawPart(); err != io.EOF {
		return letter{}, errLetter
	}
	return l, nil
}

func parseAddresses(value string) (out []address, err error) {
	list, err := mail.ParseAddressList(value)
	for _, a := range list {
		out = append(out, address{a.Name, a.Address})
	}
	return out, err
}

func unquote(encoding string, r io.Reader) (string, error) {
	text, err := io.ReadAll(quotedprintable.NewReader(r))
	if err != nil || encoding != "quoted-printable" {
		return "", errLetter
	}
	return strings.ReplaceAll(string(text), "\r\n", "\n"), nil
}

// equal compares letters field by field.
func (l letter) equal(m letter) bool {
	return slices.Equal(l.To, m.To) && slices.Equal(l.Cc, m.Cc) && slices.Equal(l.Bcc, m.Bcc) &&
		l.Subject == m.Subject && l.InReplyTo == m.InReplyTo && slices.Equal(l.References, m.References) &&
		l.Text == m.Text && l.HTML == m.HTML
}

// wellFormed holds a letter, wherever it comes from, to what the tools take.
func (l letter) wellFormed() bool {
	if l.recipientCount() > maxRecipients || checkLine("", l.Subject) != nil || beyondShowing(l.HTML) != "" {
		return false
	}
	for _, text := range []string{l.Text, l.HTML} {
		if _, err := checkText("", text); err != nil {
			return false
		}
	}
	for _, list := range [][]address{l.To, l.Cc, l.Bcc} {
		for _, a := range list {
			if plainAddr(a.Addr) != a.Addr || checkLine("", a.Name) != nil {
				return false
			}
		}
	}
	for i, id := range l.References {
		if !messageID.MatchString(id) || i >= maxReferences {
			return false
		}
	}
	return l.InReplyTo == "" && len(l.References) == 0 || messageID.MatchString(l.InReplyTo)
}

// recipientCount is how many people get the letter.
func (l letter) recipientCount() int { return len(l.To) + len(l.Cc) + len(l.Bcc) }
