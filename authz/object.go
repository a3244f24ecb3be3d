package authz

import (
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

// Part is the object of type typ that the first n parts of o's id name: the
// repository of an issue, the workspace of a message. It is nothing if o's id
// has fewer.
func (o Object) Part(typ string, n int) Object {
	parts := strings.SplitN(o.ID(), "/", n+1)
	if len(parts) < n || parts[0] == "" {
		return ""
	}
	return Object(typ + ":" + strings.Join(parts[:n], "/"))
}

// ID is the part after the colon.
func (o Object) ID() string {
	_, id, _ := strings.Cut(string(o), ":")
	return id
}

// Is is the fact that user stands in relation to o.
func (o Object) Is(relation string, user Object) Tuple {
	return Tuple{User: string(user), Relation: relation, Object: o}
}
