package vault

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Kind sorts what can go wrong between deputy and a provider.
type Kind string

const (
	NotFound    Kind = "not_found"     // or withheld: the same to the agent
	BadInput    Kind = "bad_input"     // the provider refused the content
	Conflict    Kind = "conflict"      // somebody else changed it
	Forbidden   Kind = "forbidden"     // the account may not do this
	RateLimited Kind = "rate_limited"  // try again after Fault.After
	Reconnect   Kind = "reconnect"     // the grant is dead
	Scope       Kind = "missing_scope" // the grant is too narrow
	Upstream    Kind = "upstream"      // the provider failed, nothing happened
	Unknown     Kind = "unknown"       // the provider failed, it may have happened
	Frozen      Kind = "frozen"        // a person has stopped this
)

// Fault is a provider's failure. Its text holds a status and a kind, never a
// body, a URL or a header: those may carry what nobody should read in a log.
type Fault struct {
	Provider string
	Kind     Kind
	Status   int
	After    time.Duration
	Cause    string // a constant of ours, for the operator
}

func (f *Fault) Error() string {
	s := fmt.Sprintf("%s: %s", f.Provider, f.Kind)
	if f.Status != 0 {
		s += fmt.Sprintf(" (HTTP %d)", f.Status)
	}
	if f.Cause != "" {
		s += ": " + f.Cause
	}
	return s
}

// NotConnectedError says what to connect before the call can go on.
type NotConnectedError struct {
	Provider string
	Account  string   // the account that was asked for or is too narrow, or ""
	Missing  []string // scopes to ask for
	Dead     bool     // it was connected; the provider has ended the grant
}

func (e *NotConnectedError) Error() string {
	return fmt.Sprintf("%s is not connected for %s", e.Provider, strings.Join(e.Missing, " "))
}

var (
	ErrNoAccount    = errors.New("vault: no such account")
	ErrUndeclared   = errors.New("vault: the provider's declaration has no such request")
	ErrNotPermitted = errors.New("vault: the permit is not for this")
	ErrState        = errors.New("vault: this connection attempt is unknown, used or too old")
	ErrNotStarter   = errors.New("vault: another person or browser started this connection")
	ErrRefused      = errors.New("vault: the provider's consent was refused")
	ErrOtherAccount = errors.New("vault: another account was signed in to than the one to connect")
	ErrNameTaken    = errors.New("vault: another account has this name")
	ErrMixedUp      = errors.New("vault: the answer came from another issuer")
	ErrUnconfigured = errors.New("vault: the provider has no client_id: set providers.NAME in the configuration")
	ErrNoDevice     = errors.New("vault: the provider has no device flow: connect in a browser")
	ErrFrozen       = errors.New("vault: a person has stopped this")
	ErrRolledBack   = errors.New("vault: a stored grant is older or newer than its account says: the store was changed from outside; disconnect the account and connect it again")
	ErrNotNarrower  = errors.New("vault: the provider gave no narrower token")
)
