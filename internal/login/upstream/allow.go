package upstream

import "strings"

// Allow says whose accounts at one provider may make a profile here: sub:ID,
// email:ADDRESS, email_domain:DOMAIN.
type Allow []string

// Has reports whether an account is on the list. An address counts only if the
// provider has verified it, and then without regard to case.
func (l Allow) Has(a Account) bool {
	at := strings.LastIndexByte(a.Email, '@')
	for _, entry := range l {
		kind, value, _ := strings.Cut(entry, ":")
		switch {
		case kind == "sub" && value == a.Subject,
			kind == "email" && at > 0 && strings.EqualFold(value, a.Email),
			kind == "email_domain" && at > 0 && strings.EqualFold(value, a.Email[at+1:]):
			return true
		}
	}
	return false
}
