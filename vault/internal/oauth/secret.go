package oauth

import (
	"fmt"
	"log/slog"
)

// Secret is a token, a client secret or a key in memory. Nothing prints it,
// whatever the verb; Reveal is the one way to what it holds. It is a pointer
// inside because fmt asks no method of an unexported field, and of a nested
// pointer it prints the address.
type Secret struct{ v *string }

// Hide makes a Secret.
func Hide(v string) Secret { return Secret{&v} }

// Reveal gives what s holds. It is a function of this package and no method,
// so that a package which only has the type cannot call it.
func Reveal(s Secret) string {
	if s.v == nil {
		return ""
	}
	return *s.v
}

const hidden = "(hidden)"

func (s Secret) IsZero() bool                 { return Reveal(s) == "" }
func (Secret) String() string                 { return hidden }
func (Secret) GoString() string               { return hidden }
func (Secret) Format(f fmt.State, _ rune)     { fmt.Fprint(f, hidden) }
func (Secret) LogValue() slog.Value           { return slog.StringValue(hidden) }
func (Secret) MarshalText() ([]byte, error)   { return []byte(hidden), nil }
func (Secret) MarshalBinary() ([]byte, error) { return []byte(hidden), nil }
