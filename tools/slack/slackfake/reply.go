package slackfake

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strconv"
)

const jsonType = "application/json; charset=utf-8"

// reply is an answer before it is sent. Handlers return it rather than write it, so that a
// fault can still take it away.
type reply struct {
	status int
	header http.Header
	body   []byte
}

func (p reply) write(w http.ResponseWriter, truncate bool) {
	maps.Copy(w.Header(), p.header)
	w.Header().Set("Content-Length", strconv.Itoa(len(p.body)))
	w.WriteHeader(p.status)
	body := p.body
	if truncate {
		body = body[:len(body)/2]
	}
	w.Write(body)
}

// object is a JSON object in the making.
type object map[string]any

// ok is the shape of every success.
func ok(fields object) reply {
	v := object{"ok": true}
	maps.Copy(v, fields)
	return jsonReply(v)
}

// fail is the shape of every refusal: status 200 and a word.
func fail(word string) reply { return jsonReply(object{"ok": false, "error": word}) }

// missing refuses for lack of a scope.
func missing(needed string, t *token) reply {
	return jsonReply(object{"ok": false, "error": "missing_scope", "needed": needed, "provided": t.scope()})
}

// jsonReply leaves < and > in texts as they are, so that a test sees the bytes it posted.
func jsonReply(v any) reply {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(fmt.Sprintf("slackfake: encoding an answer: %v", err)) // only our own types come here
	}
	return reply{
		status: http.StatusOK,
		header: http.Header{"Content-Type": {jsonType}},
		body:   bytes.TrimSuffix(b.Bytes(), []byte("\n")),
	}
}

// page is an answer for a person's browser.
func page(status int, text string) reply {
	return reply{
		status: status,
		header: http.Header{"Content-Type": {"text/plain; charset=utf-8"}},
		body:   []byte("Slack: " + text + "\n"),
	}
}

func redirect(to string) reply {
	return reply{status: http.StatusFound, header: http.Header{"Location": {to}}}
}
