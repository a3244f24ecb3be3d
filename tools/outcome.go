package tools

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"deputy/approvals"
	"deputy/authz"
	"deputy/vault"
)

// Outcome is what became of a call: exactly one of Answer, NeedsApproval,
// NeedsConnection, Connected, NotDone and Refusal.
type Outcome interface {
	// Structured is the outcome as JSON, the same in every protocol.
	Structured() json.RawMessage
	outcome() string // for the audit log
}

// Answer is a result, filtered, cleaned and labelled.
type Answer struct {
	Label    authz.Label
	json     json.RawMessage
	shown    int
	withheld int
}

func (a Answer) Structured() json.RawMessage { return a.json }
func (a Answer) outcome() string             { return "answered" }

// NeedsApproval says that a person is being asked.
type NeedsApproval struct {
	Item approvals.Item
	URL  string
}

func (n NeedsApproval) Structured() json.RawMessage {
	return mustMarshal(struct {
		Status  string    `json:"status"`
		ID      string    `json:"approval_id"`
		URL     string    `json:"url"`
		Expires time.Time `json:"expires_at"`
		Code    string    `json:"match_code"`
		Preview string    `json:"preview"`
	}{"approval_required", n.Item.ID, n.URL, n.Item.Expires.Truncate(time.Second), n.Item.MatchCode, n.Item.Preview.Text()})
}
func (n NeedsApproval) outcome() string { return "approval_required" }

// NeedsConnection says what the person has to connect first.
type NeedsConnection struct {
	Provider string
	Scopes   []string
	URL      string
	Account  string // the one that must come back, if it is a certain one
}

func (n NeedsConnection) Structured() json.RawMessage {
	return mustMarshal(struct {
		Status   string   `json:"status"`
		Provider string   `json:"provider"`
		Scopes   []string `json:"scopes"`
		URL      string   `json:"url"`
	}{"connection_required", n.Provider, n.Scopes, n.URL})
}
func (n NeedsConnection) outcome() string { return "connection_required" }

// Connected says that the person has connected what was asked for.
type Connected struct{ Account string }

func (c Connected) Structured() json.RawMessage {
	return mustMarshal(struct {
		Status  string `json:"status"`
		Account string `json:"account"`
	}{"connected", c.Account})
}
func (c Connected) outcome() string { return "connected" }

// NotDone is where a request stands that has no result: pending, denied,
// expired or failed.
type NotDone struct{ Status, Reason string }

func (n NotDone) Structured() json.RawMessage {
	return mustMarshal(struct {
		Status string `json:"status"`
		Reason string `json:"reason,omitempty"`
	}{n.Status, n.Reason})
}
func (n NotDone) outcome() string { return n.Status }

// Refusal says that nothing was done and why, in words of ours alone.
type Refusal struct {
	Kind  string
	Hint  string
	Field string
	After time.Duration
	cause error // for the operator's log
}

// NoSuchTool is the refusal for a tool that is not there or not for this
// caller: the protocol layer answers both with the same bytes.
const NoSuchTool = "no_such_tool"

func (r Refusal) Structured() json.RawMessage {
	return mustMarshal(struct {
		Error string `json:"error"`
		Hint  string `json:"hint"`
		Field string `json:"field,omitempty"`
		After int    `json:"retry_after_seconds,omitempty"`
	}{r.Kind, r.Hint, r.Field, int(r.After.Seconds())})
}
func (r Refusal) outcome() string { return "refused: " + r.Kind }

// Cause is for the operator's log, never for the agent.
func (r Refusal) Cause() error { return r.cause }

// refuse is the one table from errors to what an agent reads. What is not in
// it is internal and says nothing.
func refuse(err error) Refusal {
	var input *InputError
	var fault *vault.Fault
	var forbidden *forbiddenError
	switch {
	case errors.As(err, &input):
		return Refusal{Kind: "bad_input", Hint: input.Error(), Field: input.Field, cause: err}
	case errors.As(err, &fault):
		return Refusal{Kind: string(fault.Kind), Hint: faultHints[fault.Kind], After: fault.After, cause: err}
	case errors.As(err, &forbidden):
		return Refusal{Kind: "forbidden_by_rule", Hint: forbidden.hint(), cause: err}
	case errors.Is(err, vault.ErrFrozen):
		return Refusal{Kind: string(vault.Frozen), Hint: faultHints[vault.Frozen], cause: err}
	case errors.Is(err, errScope):
		return Refusal{Kind: Lacks, Hint: "the token does not cover this tool; authorize again with its scope", cause: err}
	case errors.Is(err, errNotFound):
		return Refusal{Kind: "not_found", Hint: faultHints[vault.NotFound], cause: err}
	case errors.Is(err, vault.ErrNoAccount):
		return Refusal{Kind: "bad_input", Field: "account", Hint: "account: no such account is connected; accounts_list names them", cause: err}
	case errors.Is(err, approvals.ErrNotFound):
		return Refusal{Kind: "not_found", Hint: "there is no such approval", cause: err}
	case errors.Is(err, approvals.ErrTooMany):
		return Refusal{Kind: "busy", Hint: "too many approvals are waiting for this person; wait for decisions before asking for more", cause: err}
	case errors.Is(err, approvals.ErrKeyUsed):
		return Refusal{Kind: "bad_input", Field: "idempotency_key", Hint: "idempotency_key: it was used for different content; take a new one", cause: err}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return Refusal{Kind: "cancelled", Hint: "the call was cancelled before it finished", cause: err}
	}
	return Refusal{Kind: "internal", Hint: "deputy could not do this; its operator finds the cause in the log", cause: err}
}

var errNotFound = errors.New("tools: not found or withheld")

// NotFound is for handlers whose provider answers a search for one thing with
// an empty list.
func NotFound() error { return errNotFound }

// faultHints: constant texts. A provider's own words never reach a model.
var faultHints = map[vault.Kind]string{
	vault.NotFound:    "there is no such thing, or it is not visible to you",
	vault.BadInput:    "the provider refused the content of the request; check the arguments",
	vault.Conflict:    "somebody changed it meanwhile; read it again",
	vault.Forbidden:   "the account may not do this at the provider",
	vault.RateLimited: "the provider asks to slow down; try again after retry_after_seconds",
	vault.Reconnect:   "the provider no longer accepts this connection; connect it again",
	vault.Scope:       "the connection lacks a permission; connect it again",
	vault.Upstream:    "the provider failed and nothing was changed; try again later",
	vault.Frozen:      "a person has stopped this; it goes on when they thaw it",
	vault.Unknown:     "the provider did not confirm; it may have been done: look before trying again",
}

// notDone describes an ended or waiting request to the agent that asked.
func notDone(i approvals.Item) NotDone {
	switch i.State {
	case approvals.Pending, approvals.Approved, approvals.Spent:
		return NotDone{"pending", ""}
	case approvals.Denied:
		if i.Reason != "" {
			return NotDone{"denied", "a person said no: " + clean(i.Reason)}
		}
		return NotDone{"denied", "a person said no"}
	case approvals.Expired:
		return NotDone{"expired", "nobody decided in time"}
	case approvals.Superseded:
		return NotDone{"failed", "replaced by a later call with the same idempotency_key"}
	}
	if hint := faultHints[vault.Kind(i.Failure)]; hint != "" {
		return NotDone{"failed", hint}
	}
	if i.Failure == approvals.UnknownOutcome {
		return NotDone{"failed", faultHints[vault.Unknown]}
	}
	return NotDone{"failed", i.Reason}
}

// Text is the outcome for a model: what a deputy says in its own words, then
// the data.
func Text(o Outcome) string {
	switch o := o.(type) {
	case NeedsApproval:
		return fmt.Sprintf("Not done yet: a person has to approve it. Tell the user the code %s and this link: %s\n"+
			"Go on with other work; approval_wait with approval_id %q gives the outcome.\n\n%s", o.Item.MatchCode, o.URL, o.Item.ID, o.Item.Preview.Text())
	case NeedsConnection:
		return fmt.Sprintf("Not done: %s has to be connected first. Ask the user to open %s and call again.", o.Provider, o.URL)
	case Connected:
		return o.Account + " is connected."
	case NotDone:
		if o.Reason == "" {
			return o.Status
		}
		return o.Status + ": " + o.Reason
	case Refusal:
		return o.Kind + ": " + strings.TrimPrefix(o.Hint, o.Kind+": ")
	}
	return string(o.Structured())
}
