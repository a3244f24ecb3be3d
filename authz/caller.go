package authz

import (
	"context"
	"errors"
	"slices"
	"time"
)

// Principal is plain data about who asks: what can be stored, logged and
// compared. It proves nothing; a Caller does.
type Principal struct {
	User     string    `json:"user"`               // the person, "anna"
	Agent    string    `json:"agent"`              // the program acting for the person
	Session  string    `json:"session,omitempty"`  // one connection of that program
	AuthTime time.Time `json:"auth_time,omitzero"` // when the person last proved presence
	ACR      string    `json:"acr,omitempty"`      // how (OpenID Connect Core §2, acr)

	// Limited callers may do what their scopes name and nothing else: they came
	// with an access token (RFC 6749 §3.3). Grant is what it was issued under.
	Limited bool     `json:"limited,omitempty"`
	Scopes  []string `json:"scopes,omitempty"`
	Grant   string   `json:"grant,omitempty"`
}

// Caller is proof that a Door let someone in. Its fields are closed: code that
// holds a Caller got it from a Door, directly or through its parameters. It
// is never carried in a context. The zero Caller is nobody.
type Caller struct{ p Principal }

func (c Caller) User() string         { return c.p.User }
func (c Caller) Agent() string        { return c.p.Agent }
func (c Caller) Session() string      { return c.p.Session }
func (c Caller) AuthTime() time.Time  { return c.p.AuthTime }
func (c Caller) ACR() string          { return c.p.ACR }
func (c Caller) Principal() Principal { return c.p }

// May reports whether the caller's token covers a scope. The empty scope is
// everybody's who was let in.
func (c Caller) May(scope string) bool {
	return scope == "" || !c.p.Limited || slices.Contains(c.p.Scopes, scope)
}

// IsZero reports whether c is nobody.
func (c Caller) IsZero() bool { return c.p.User == "" }

// ErrNobody says that no such user may act here.
var ErrNobody = errors.New("authz: no such user")

// Door makes Callers. It is held by the code that checks credentials
// (internal/login) and by the wiring, and by nobody else: a test keeps that.
type Door struct {
	may func(context.Context, Principal) error
}

// NewDoor returns a Door that lets in every principal for which may returns
// nil. The same check runs again whenever stored work is resumed, so a person
// who has lost the right to act cannot finish what was begun.
func NewDoor(may func(context.Context, Principal) error) *Door { return &Door{may} }

// Caller lets p in, whose credential the calling code has just verified, or
// whose earlier request it resumes.
func (d *Door) Caller(ctx context.Context, p Principal) (Caller, error) {
	if p.User == "" || p.Agent == "" {
		return Caller{}, ErrNobody
	}
	if err := d.may(ctx, p); err != nil {
		return Caller{}, err
	}
	return Caller{p}, nil
}
