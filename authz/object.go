package authz

import (
	"errors"
	"fmt"
	"strings"
)

// Object names one thing a rule can speak about, as OpenFGA writes it:
// "type:id". Make one with NewObject.
type Object string

// NewObject builds an object from a type and the parts of its id, joined by
// slashes. Bytes that have a meaning in tuples (space, ':', '#', '%', and '/'
// within a part) are percent-encoded, so that no part can pose as another.
func NewObject(typ string, parts ...string) Object {
	var b strings.Builder
	b.WriteString(typ)
	b.WriteByte(':')
	for i, p := range parts {
		if i > 0 {
			b.WriteByte('/')
		}
		escape(&b, p)
	}
	return Object(b.String())
}

// NewPathObject is NewObject for an id that is itself a path: the slashes of
// its last part stay.
func NewPathObject(typ string, parts ...string) Object {
	last := len(parts) - 1
	return NewObject(typ, append(parts[:last:last], strings.Split(parts[last], "/")...)...)
}

func escape(b *strings.Builder, part string) {
	if part == "*" {
		b.WriteString("%2A") // a bare star means "everyone"
		return
	}
	for i := 0; i < len(part); i++ {
		switch c := part[i]; {
		case c <= ' ' || c == 0x7f || c == ':' || c == '#' || c == '%' || c == '/':
			fmt.Fprintf(b, "%%%02X", c)
		case c == 0xc2 && i+1 < len(part) && part[i+1] >= 0x80 && part[i+1] < 0xa0: // U+0080 to U+009F: controls
			fmt.Fprintf(b, "%%C2%%%02X", part[i+1])
			i++
		default:
			b.WriteByte(c)
		}
	}
}

// Type is the part before the colon.
func (o Object) Type() string {
	typ, _, _ := strings.Cut(string(o), ":")
	return typ
}

// Tuple is one relationship: User stands in Relation to Object. User is an
// object, a userset "group:eng#member", or everyone of a type, "user:*".
type Tuple struct {
	User     string `json:"user"`
	Relation string `json:"relation"`
	Object   Object `json:"object"`
}

func (t Tuple) String() string { return fmt.Sprintf("%s %s %s", t.User, t.Relation, t.Object) }

// Facts are contextual tuples: true for one decision, never stored.
type Facts []Tuple

// ParseTuple reads "USER RELATION OBJECT".
func ParseTuple(user, relation, object string) (Tuple, error) {
	t := Tuple{User: user, Relation: relation, Object: Object(object)}
	if !wellFormed(user, true) || !wellFormed(object, false) || relation == "" ||
		strings.ContainsAny(relation, " \t\n:#@*") {
		return Tuple{}, fmt.Errorf("%w: %q %q %q: want USER RELATION OBJECT, as in: user:anna reader github_repo:octo/hello", ErrBadTuple, user, relation, object)
	}
	return t, nil
}

// ErrBadTuple says that a tuple is malformed or that the model has no place
// for it.
var ErrBadTuple = errors.New("bad tuple")

func wellFormed(s string, isUser bool) bool {
	typ, id, ok := strings.Cut(s, ":")
	if isUser {
		if obj, rel, has := strings.Cut(id, "#"); has {
			if rel == "" || obj == "*" {
				return false
			}
			id = obj
		}
	} else if id == "*" {
		return false
	}
	return ok && typ != "" && id != "" && !strings.ContainsAny(typ, " #*@") && !strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r == 0x7f || r == ':' || r == '#' }) && len(s) <= 512
}
