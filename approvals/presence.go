package approvals

import (
	"time"

	"deputy/authz"
)

// Presence says when a fresh proof is asked of the person who approves, beyond
// being signed in.
type Presence int

const (
	PresenceStepUp Presence = iota // where an action's Need says so
	PresenceNever
	PresenceAlways
)

// takesProof reports whether a yes takes a fresh proof: on the page, where it
// can be given.
func (l *Ledger) takesProof(n Need) bool {
	switch l.c.Presence {
	case PresenceNever:
		return false
	case PresenceAlways:
		return true
	}
	return n == ByFreshPerson
}

func (l *Ledger) proved(c authz.Caller) bool {
	return time.Since(c.AuthTime()) <= l.c.Fresh && (l.c.Strong == nil || l.c.Strong(c))
}

// wantsProof reports whether c would be asked for one before a yes.
func (l *Ledger) wantsProof(n Need, c authz.Caller) bool { return l.takesProof(n) && !l.proved(c) }
