package githubfake

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"unicode/utf8"
)

// fields is the body of a write. Which fields were sent matters as much as what they say: an
// update leaves alone what was not sent.
type fields struct {
	resource          string
	sent              map[string]json.RawMessage
	title, body       string
	state, reason     string
	labels, assignees []string
	errs              []fieldError
}

const (
	maxTitle = 256
	maxText  = 65536
)

func parseFields(raw []byte, resource string) (*fields, reply, bool) {
	in := &fields{resource: resource}
	if !json.Valid(raw) {
		return nil, message(http.StatusBadRequest, "Problems parsing JSON"), false
	}
	if err := json.Unmarshal(raw, &in.sent); err != nil || in.sent == nil {
		return nil, message(http.StatusBadRequest, "Body should be a JSON object"), false
	}
	in.text("title", &in.title)
	in.text("body", &in.body)
	in.text("state", &in.state)
	in.text("state_reason", &in.reason)
	in.names("labels", &in.labels)
	in.names("assignees", &in.assignees)
	var one string
	if in.text("assignee", &one); one != "" { // the old way to name a single one
		in.assignees = append(in.assignees, one)
	}
	in.limit("title", in.title, maxTitle)
	in.limit("body", in.body, maxText)
	return in, reply{}, true
}

// has reports whether a field was sent, null included.
func (in *fields) has(name string) bool {
	_, ok := in.sent[name]
	return ok
}

func (in *fields) fail(name, code, text string) {
	in.errs = append(in.errs, fieldError{Resource: in.resource, Field: name, Code: code, Message: text})
}

func (in *fields) text(name string, to *string) {
	if in.has(name) && json.Unmarshal(in.sent[name], to) != nil {
		in.fail(name, "invalid", name+" is not a string")
	}
}

// names reads a list of strings, or of objects with a name, which GitHub takes for labels.
func (in *fields) names(name string, to *[]string) {
	if !in.has(name) || bytes.Equal(in.sent[name], []byte("null")) {
		return
	}
	var list []json.RawMessage
	if json.Unmarshal(in.sent[name], &list) != nil {
		in.fail(name, "invalid", name+" is not an array")
		return
	}
	for _, item := range list {
		var s string
		var object struct{ Name string }
		if json.Unmarshal(item, &s) != nil {
			if json.Unmarshal(item, &object) != nil {
				in.fail(name, "invalid", "")
				return
			}
			s = object.Name
		}
		*to = append(*to, s)
	}
}

func (in *fields) limit(name, value string, most int) {
	if utf8.RuneCountInString(value) > most {
		in.fail(name, "custom", fmt.Sprintf("%s is too long (maximum is %d characters)", name, most))
	}
}
