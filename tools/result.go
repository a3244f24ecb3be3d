package tools

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"unicode/utf8"

	"deputy/authz"
)

// Found is what a read handler returns. It has no accessor: only the guard
// opens it, and filters while it does.
type Found[R Resource] struct {
	items  []R
	next   string
	within Resource
	failed error
}

// Items makes a Found.
func Items[R Resource](items ...R) Found[R] { return Found[R]{items: items} }

// Next says how the provider continues. The guard seals it, bound to the user
// and the tool, before the agent sees it as next_cursor.
func (f Found[R]) Next(cursor string) Found[R] {
	f.next = cursor
	return f
}

// Within names the one thing that all items are part of: a channel, a
// repository. If it is withheld the answer is that of a missing one, without
// even a cursor that would tell that there is more (T27).
func (f Found[R]) Within(parent Resource) Found[R] {
	f.within = parent
	return f
}

// Failed hands over an error that would tell that the place exists, as a
// provider's "forbidden" does. It is shown where the place may be seen.
func (f Found[R]) Failed(err error) Found[R] {
	f.failed = err
	return f
}

type found struct {
	items  []Resource
	next   string
	within Resource
	failed error
}

func (f Found[R]) open() found {
	out := found{next: f.next, within: f.within, failed: f.failed}
	for _, r := range f.items {
		out.items = append(out.items, r)
	}
	return out
}

// encode turns a resource into JSON whose every string went through clean.
// This is the one place through which text from outside reaches a model.
func encode(r Resource) (json.RawMessage, error) {
	data, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	return marshal(cleanAll(v))
}

// marshal is json.Marshal without turning < > & into escapes, which cost a
// model tokens and protect nothing here.
func marshal(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

func cleanAll(v any) any {
	switch v := v.(type) {
	case string:
		return clean(v)
	case []any:
		for i := range v {
			v[i] = cleanAll(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = cleanAll(v[k])
		}
	}
	return v
}

var htmlComment = regexp.MustCompile(`(?s)<!--.*?(-->|$)`)

// clean drops what a person would not see and a model would read: controls,
// bidirectional overrides, zero-width characters, HTML comments.
func clean(s string) string {
	if strings.Contains(s, "<!--") {
		s = htmlComment.ReplaceAllString(s, "")
	}
	return strings.Map(func(r rune) rune {
		if authz.Invisible(r) || r == utf8.RuneError {
			return -1
		}
		return r
	}, s)
}
