package gmail

import (
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"strings"

	"deputy/tools"
	"deputy/vault"
)

const me = "/gmail/v1/users/me"

// fault sorts an answer that is not a success. Google says the same thing with
// a status and, for a 403, with a reason.
func fault(status int, body []byte) vault.Kind {
	switch {
	case status/100 == 2:
		return ""
	case status == 401:
		return vault.Reconnect
	case status == 403:
		return whyForbidden(body)
	case status == 404, status == 410:
		return vault.NotFound
	case status == 400, status == 413, status == 422:
		return vault.BadInput
	case status == 409, status == 412:
		return vault.Conflict
	case status == 429:
		return vault.RateLimited
	}
	return vault.Upstream
}

func whyForbidden(body []byte) vault.Kind {
	type reason struct{ Reason string }
	var said struct {
		Error struct {
			Errors  []reason
			Details []reason
		}
	}
	_ = json.Unmarshal(body, &said) // what cannot be read gives no reason
	for _, r := range append(said.Error.Errors, said.Error.Details...) {
		switch r.Reason {
		case "rateLimitExceeded", "userRateLimitExceeded", "dailyLimitExceeded", "quotaExceeded", "RATE_LIMIT_EXCEEDED":
			return vault.RateLimited
		case "insufficientPermissions", "ACCESS_TOKEN_SCOPE_INSUFFICIENT":
			return vault.Scope
		}
	}
	return vault.Forbidden
}

// missing reports whether Gmail says that there is no such thing.
func missing(err error) bool {
	var f *vault.Fault
	return errors.As(err, &f) && f.Kind == vault.NotFound
}

// wireThread is a thread as threads.get gives it.
type wireThread struct {
	ID       string
	Messages []wireMessage
}

// wireMessage is a message as Gmail gives it, within a thread or alone.
type wireMessage struct {
	ID           string
	ThreadID     string `json:"threadId"`
	LabelIDs     []string
	Snippet      string
	InternalDate string
	Payload      wirePart
}

// wirePart is one part of a message. Gmail has undone the transfer encoding,
// not the character set.
type wirePart struct {
	MimeType string
	Filename string
	Headers  []struct{ Name, Value string }
	Body     struct {
		AttachmentID string
		Size         int
		Data         string
	}
	Parts []wirePart
}

// header is the first header of that name.
func (p wirePart) header(name string) string {
	for _, h := range p.Headers {
		if strings.EqualFold(h.Name, name) {
			return h.Value
		}
	}
	return ""
}

// labels are the account's labels: names by id.
type labels map[string]string

func readLabels(ctx context.Context, a *tools.Account) (labels, error) {
	var answer struct {
		Labels []struct{ ID, Name string }
	}
	if err := a.Get(ctx, me+"/labels", &answer); err != nil {
		return nil, err
	}
	out := labels{}
	for _, l := range answer.Labels {
		out[l.ID] = l.Name
	}
	return out, nil
}

// find returns the id of a label that is given by id or by name. Gmail takes
// names of labels as the same whatever their case.
func (l labels) find(label string) (id string, ok bool) {
	if _, ok := l[label]; ok {
		return label, true
	}
	for id, name := range l {
		if strings.EqualFold(name, label) {
			return id, true
		}
	}
	return "", false
}

// shownHeaders are those of a message that tools show or reply with.
var shownHeaders = []string{"From", "Sender", "Reply-To", "To", "Cc", "Bcc", "Subject", "Message-ID", "In-Reply-To", "References"}

// readThread reads a thread. The formats are Gmail's: metadata has labels,
// snippets and headers, full everything but attachments. Less is never asked
// for: rules go by senders.
func readThread(ctx context.Context, a *tools.Account, id, format string) (wireThread, error) {
	var t wireThread
	err := a.Get(ctx, formatted(tools.Path(me+"/threads/{}", id), format), &t)
	return t, err
}

func readMessage(ctx context.Context, a *tools.Account, id string) (wireMessage, error) {
	var m wireMessage
	err := a.Get(ctx, formatted(tools.Path(me+"/messages/{}", id), "metadata"), &m)
	return m, err
}

func formatted(p *tools.PathBuilder, format string) string {
	p = p.With("format", format)
	if format == "metadata" {
		for _, h := range shownHeaders {
			p = p.With("metadataHeaders", h)
		}
	}
	return p.String()
}

var wellFormedID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

// checkID refuses what no id of Gmail's looks like. It says nothing about what
// exists.
func checkID(field, id string) error {
	if !wellFormedID.MatchString(id) {
		return tools.BadInput(field, "must be an id from an answer of gmail_search_threads or gmail_get_thread")
	}
	return nil
}
