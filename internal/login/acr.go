package login

import (
	"slices"
	"time"

	"deputy/authz"
)

// The ways to prove who is there, as authentication context class references
// (OpenID Connect Core §2, acr), weakest first. A provider's own acr stands for
// itself and is no more than ACRAccount here.
const (
	ACRRecovery = "urn:deputy:acr:recovery" // a recovery code
	ACRCode     = "urn:deputy:acr:code"     // a one-time code from the console
	ACRAccount  = "urn:deputy:acr:oidc"     // an account elsewhere
	ACRPasskey  = "urn:deputy:acr:passkey"  // a passkey, phishing-resistant
)

var strength = []string{ACRRecovery, ACRCode, ACRAccount, ACRPasskey}

// reach says how far an acr goes among ours.
func reach(acr string) int {
	if i := slices.Index(strength, acr); i >= 0 {
		return i
	}
	return slices.Index(strength, ACRAccount)
}

// Need is what something asks of a sign-in (RFC 9470 §3: max_age, acr_values).
type Need struct {
	MaxAge time.Duration // the proof is no older; 0: any
	ACR    string        // one of ours: at least that; a provider's own: exactly that; empty: any
}

// Fresh is how long a proof counts as fresh where a person confirms something.
const Fresh = 5 * time.Minute

// Met reports whether a caller's sign-in is enough.
func (n Need) Met(c authz.Caller) bool {
	return !c.IsZero() && n.met(c.AuthTime(), c.ACR())
}

func (n Need) met(at time.Time, acr string) bool {
	if n.MaxAge > 0 && time.Since(at) > n.MaxAge {
		return false
	}
	return n.ACR == "" || n.suits(acr)
}

// suits reports whether a proof of this kind can meet the need at all.
func (n Need) suits(acr string) bool {
	if n.ACR == "" || n.ACR == acr {
		return true
	}
	return slices.Contains(strength, n.ACR) && reach(acr) >= reach(n.ACR)
}
