package gmailfake

import (
	"bytes"
	"encoding/base64"
	"html"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"regexp"
	"strings"
)

// part is a MIME part as Gmail shows one.
type part struct {
	PartID   string              `json:"partId"`
	MimeType string              `json:"mimeType"`
	Filename string              `json:"filename"`
	Headers  []map[string]string `json:"headers,omitempty"`
	Body     struct {
		AttachmentID string `json:"attachmentId,omitempty"`
		Size         int    `json:"size"`
		Data         string `json:"data,omitempty"`
	} `json:"body"`
	Parts []*part `json:"parts,omitempty"`
	data  []byte
}

func (m *message) payload() *part {
	msg, err := mail.ReadMessage(bytes.NewReader(m.raw))
	if err != nil {
		return &part{MimeType: "text/plain"}
	}
	p := readPart("", map[string][]string(msg.Header), msg.Body)
	p.Headers = headers(m.raw)
	return p
}

// headers lists a mail's header fields in their order, unfolded and undecoded.
func headers(raw []byte) (out []map[string]string) {
	head, _, _ := strings.Cut(strings.ReplaceAll(string(raw), "\r\n", "\n"), "\n\n")
	for line := range strings.SplitSeq(head, "\n") {
		if len(line) > 0 && (line[0] == ' ' || line[0] == '\t') && len(out) > 0 {
			out[len(out)-1]["value"] += " " + strings.TrimSpace(line)
			continue
		}
		if name, value, ok := strings.Cut(line, ":"); ok {
			out = append(out, map[string]string{"name": name, "value": strings.TrimSpace(value)})
		}
	}
	return out
}

func readPart(id string, h map[string][]string, body io.Reader) *part {
	get := func(name string) string {
		if v := h[name]; len(v) > 0 {
			return v[0]
		}
		return ""
	}
	p := &part{PartID: id}
	kind, params, err := mime.ParseMediaType(get("Content-Type"))
	if err != nil {
		kind = "text/plain"
	}
	p.MimeType = kind
	_, disposition, _ := mime.ParseMediaType(get("Content-Disposition"))
	p.Filename = disposition["filename"]
	if strings.HasPrefix(kind, "multipart/") {
		reader := multipart.NewReader(body, params["boundary"])
		for n := 0; ; n++ {
			sub, err := reader.NextRawPart()
			if err != nil {
				return p
			}
			sid := itoa(n)
			if id != "" {
				sid = id + "." + sid
			}
			p.Parts = append(p.Parts, readPart(sid, map[string][]string(sub.Header), sub))
		}
	}
	switch strings.ToLower(get("Content-Transfer-Encoding")) {
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	}
	p.data, _ = io.ReadAll(body)
	p.Body.Size = len(p.data)
	for name, v := range h {
		if id != "" {
			p.Headers = append(p.Headers, map[string]string{"name": name, "value": v[0]})
		}
	}
	if p.Filename != "" {
		p.Body.AttachmentID = "ANGjdJ_" + base64.RawURLEncoding.EncodeToString([]byte(id+p.Filename))
	} else {
		p.Body.Data = base64.URLEncoding.EncodeToString(p.data)
	}
	return p
}

func flatten(p *part) []*part {
	out := []*part{p}
	for _, sub := range p.Parts {
		out = append(out, flatten(sub)...)
	}
	return out
}

func (m *message) header(name string) string {
	msg, err := mail.ReadMessage(bytes.NewReader(m.raw))
	if err != nil {
		return ""
	}
	v, err := new(mime.WordDecoder).DecodeHeader(msg.Header.Get(name))
	if err != nil {
		return msg.Header.Get(name)
	}
	return v
}

func (m *message) text() string {
	for _, p := range flatten(m.payload()) {
		if strings.HasPrefix(p.MimeType, "text/") && p.Filename == "" {
			return string(p.data)
		}
	}
	return ""
}

// markup is what a snippet leaves out of HTML.
var markup = regexp.MustCompile(`(?s)<head>.*</head>|<[^>]*>`)

// snippet is the beginning of the text, entity-escaped as Gmail does it.
func (m *message) snippet() string {
	text := m.text()
	if strings.HasPrefix(text, "<html>") {
		text = html.UnescapeString(markup.ReplaceAllString(text, " "))
	}
	words := strings.Join(strings.Fields(text), " ")
	if r := []rune(words); len(r) > 180 {
		words = string(r[:180])
	}
	return html.EscapeString(words)
}
