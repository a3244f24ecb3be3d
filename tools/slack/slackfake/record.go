package slackfake

import (
	"encoding/json"
	"slices"
	"strings"
)

// Posted is one message that really was posted. It is recorded even when the reply was lost, and
// stays as it was when the message is later changed or deleted.
type Posted struct {
	Channel  string
	TS       string
	ThreadTS string // of the parent; empty outside a thread
	Text     string
	User     string // who it stands under: the user, or the bot's user
	Body     []byte // the request body, byte for byte; empty for a GET
}

// Call is one request as it arrived.
type Call struct {
	Method, Path string // the HTTP method; Slack's method is the end of Path
	Query        string // as sent, without the question mark
	Body         []byte
	Status       int    // of the answer that was sent; 0 while there is none and for a dropped connection
	Error        string // the "error" of that answer; empty when it was ok
	Answered     int    // the bytes of that answer
}

// Posted returns every message really posted, in order.
func (f *Fake) Posted() []Posted {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.posted)
}

// Calls returns every Web API request, reads included. The OAuth pages and the token endpoints
// are not among them: a test that counts reads need not know how often the vault refreshed. See
// TokenCalls for those.
func (f *Fake) Calls() []Call {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.apiDoor.calls)
}

// TokenCalls returns every request to the token endpoints.
func (f *Fake) TokenCalls() []Call {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.tokenDoor.calls)
}

// Writes returns every request to a method that changes something, accepted or refused. The HTTP
// method does not say, Slack also posts by GET; so a method counts as a write unless it is known
// not to be one. auth.revoke is none: it ends a token and touches nothing people see.
func (f *Fake) Writes() []Call {
	return slices.DeleteFunc(f.Calls(), func(c Call) bool {
		name := strings.TrimPrefix(c.Path, "/api/")
		m, known := methods[name]
		return name == "auth.revoke" || known && !m.writes
	})
}

// Tokens returns every token string ever issued, access and refresh tokens, dead ones too. None
// of them may ever show up in a log, an answer or an audit record.
func (f *Fake) Tokens() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.issued)
}

func errorOf(body []byte) string {
	var v struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(body, &v) != nil {
		return ""
	}
	return v.Error
}
