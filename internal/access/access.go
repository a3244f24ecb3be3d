package access

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"
)

// Access is what a token says, once it is found good.
type Access struct {
	Issuer   string
	Subject  string
	Client   string
	ID       string // of the token (jti), or nothing
	Scopes   []string
	AuthTime time.Time // when the person proved presence, if it says so
	ACR      string    // … and how
	Expires  time.Time
}

// Verifier finds out whether a token is good for this resource.
type Verifier interface {
	Verify(ctx context.Context, token string) (Access, error)
}

// ErrInvalid says that a token is not good. Why is for the operator's log: the
// error never holds a token.
var ErrInvalid = errors.New("access: the token is not good")

// ErrSilent says that the issuer did not answer, so that nobody knows.
var ErrSilent = errors.New("access: the issuer of tokens does not answer")

// maxToken bounds a token, in bytes.
const maxToken = 16 << 10

// skew is how far two clocks may be apart.
const skew = 60 * time.Second

// scopes reads a list of scopes (RFC 6749 §3.3).
func scopes(text string) []string {
	all := strings.Fields(text)
	slices.Sort(all)
	return slices.Compact(all)
}

// well checks what all forms of a token say alike.
func (a Access) well(now time.Time, notBefore, issued int64) error {
	switch {
	case a.Subject == "" || len(a.Subject) > 255:
		return invalid("it names no subject")
	case a.Client == "" || len(a.Client) > 2048:
		return invalid("it names no client")
	case a.Expires.IsZero():
		return invalid("it has no end")
	case !now.Before(a.Expires.Add(skew)):
		return invalid("it is over")
	case notBefore != 0 && now.Add(skew).Before(time.Unix(notBefore, 0)):
		return invalid("it has not begun")
	case issued != 0 && now.Add(skew).Before(time.Unix(issued, 0)):
		return invalid("it was made in the future")
	case a.AuthTime.After(now.Add(skew)):
		return invalid("its person signed in in the future")
	}
	return nil
}

func invalid(why string) error { return &reason{why} }

// reason is an ErrInvalid with a cause in words of ours.
type reason struct{ why string }

func (r *reason) Error() string        { return ErrInvalid.Error() + ": " + r.why }
func (r *reason) Is(target error) bool { return target == ErrInvalid }
