package fga

import (
	"cmp"
	"fmt"
	"strings"
	"unicode"
)

// Tuple is one relationship: User stands in Relation to Object, on Condition
// if there is one. User is an object "user:anna", a userset
// "group:eng#member", or everyone of a type, "user:*".
type Tuple struct {
	User      string     `json:"user"`
	Relation  string     `json:"relation"`
	Object    string     `json:"object"`
	Condition *Condition `json:"condition,omitempty"`
}

// Condition names a condition of the model and binds some of its parameters;
// what the tuple binds, a request cannot change.
type Condition struct {
	Name    string         `json:"name"`
	Context map[string]any `json:"context,omitempty"`
}

func (t Tuple) String() string {
	s := t.Object + "#" + t.Relation + "@" + t.User
	if t.Condition != nil {
		s += " (condition " + t.Condition.Name + ")"
	}
	return s
}

// Compare orders tuples by object, relation and user, as the store keeps them.
func Compare(a, b Tuple) int {
	return cmp.Or(strings.Compare(a.Object, b.Object), strings.Compare(a.Relation, b.Relation), strings.Compare(a.User, b.User))
}

// key is a tuple without its condition: two conditions on one relationship
// are one tuple.
type key struct{ user, relation, object string }

func (t Tuple) key() key { return key{t.User, t.Relation, t.Object} }

// typeOf is what stands before the first colon, or nothing.
func typeOf(object string) string {
	if i := strings.IndexByte(object, ':'); i >= 0 {
		return object[:i]
	}
	return ""
}

func splitObject(object string) (typ, id string) {
	if i := strings.IndexByte(object, ':'); i >= 0 {
		return object[:i], object[i+1:]
	}
	return "", object
}

// splitUser takes a userset apart: "group:eng#member" is group:eng and member.
func splitUser(user string) (object, relation string) {
	if i := strings.LastIndexByte(user, '#'); i >= 0 {
		return user[:i], user[i+1:]
	}
	return user, ""
}

func isWildcard(user string) bool {
	i := strings.IndexByte(user, ':')
	return i > 0 && user[i+1:] == "*"
}

func control(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c >= 0x7f { // the rest of Unicode is looked at only if it is there
			return strings.ContainsFunc(s[i:], unicode.IsControl)
		}
	}
	return false
}

// validObject: one colon, with something on both sides, and none of "# ".
func validObject(s string) bool {
	colon := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c <= ' ' || c == '#' || c == ':' && (i == 0 || colon > 0):
			return false
		case c == ':':
			colon = i
		case c >= 0x7f:
			if colon == 0 && strings.IndexByte(s[i:], ':') < 0 || strings.ContainsAny(s[i:], "# ") || control(s[i:]) {
				return false
			}
			if colon > 0 {
				return strings.IndexByte(s[i:], ':') < 0
			}
			return strings.Count(s[i:], ":") == 1 && s[len(s)-1] != ':'
		}
	}
	return colon > 0 && colon < len(s)-1
}

func validRelation(s string) bool {
	return s != "" && !strings.ContainsAny(s, "#:@ ") && !control(s)
}

func validUserset(s string) bool {
	object, relation, ok := strings.Cut(s, "#")
	return ok && relation != "" && !strings.ContainsAny(relation, "#:* ") && validObject(object) && !control(relation) &&
		strings.IndexByte(object[strings.IndexByte(object, ':'):], '*') < 0
}

// checkUser says why s cannot be a user under m.
func (m *Model) checkUser(s string) error {
	userset := validUserset(s)
	if !userset && !validObject(s) {
		return fmt.Errorf("the 'user' field is malformed: want an object, an object#relation or type:*: %q", s)
	}
	object, relation := splitUser(s)
	t, ok := m.types[typeOf(object)]
	if !ok {
		return &Error{Kind: TypeNotFound, Cause: fmt.Errorf("the model has no type %q", typeOf(object))}
	}
	if userset {
		if _, ok := m.relation(t, relation); !ok {
			return &Error{Kind: RelationNotFound, Cause: fmt.Errorf("type %s has no relation %q", typeOf(object), relation)}
		}
	}
	return nil
}

// checkTarget says why object and relation cannot be asked about under m.
func (m *Model) checkTarget(object, relation string) error {
	typ, id := splitObject(object)
	switch {
	case !validObject(object):
		return fmt.Errorf("invalid 'object' field format: %q", object)
	case id == "*":
		return fmt.Errorf("the 'object' field cannot reference a typed wildcard: %q", object)
	}
	t, ok := m.types[typ]
	if !ok {
		return &Error{Kind: TypeNotFound, Cause: fmt.Errorf("the model has no type %q", typ)}
	}
	if !validRelation(relation) {
		return fmt.Errorf("the 'relation' field is malformed: %q", relation)
	}
	if _, ok := m.relation(t, relation); !ok {
		return &Error{Kind: RelationNotFound, Cause: fmt.Errorf("type %s has no relation %q", typ, relation)}
	}
	return nil
}

// CheckTuple says why t cannot be written under m, or returns nil.
func (m *Model) CheckTuple(t Tuple) error {
	b, err := m.admit(t)
	if err == nil && b != nil && b.condition == nil {
		if _, err = compileInline(b.fixed); err != nil {
			err = fail(Validation, fmt.Errorf("%s: %w", t, err))
		}
	}
	return err
}

// admit says whether the model has a place for t. It returns what the index
// keeps of its condition.
func (m *Model) admit(t Tuple) (*bound, error) {
	invalid := func(kind Kind, format string, args ...any) error {
		return &Error{Kind: kind, Cause: fmt.Errorf("%s: %w", t, fmt.Errorf(format, args...))}
	}
	if err := m.checkUser(t.User); err != nil {
		return nil, invalid(InvalidTuple, "%w", err)
	}
	if err := m.checkTarget(t.Object, t.Relation); err != nil {
		return nil, invalid(InvalidTuple, "%w", err)
	}
	rel, _ := m.relation(m.types[typeOf(t.Object)], t.Relation)
	s := m.shape(t.User)
	fits, conditioned := false, false
	name := ""
	if t.Condition != nil {
		name = t.Condition.Name
	}
	for _, r := range m.relations[rel].restrictions {
		if r.shape != s {
			continue
		}
		fits = true
		conditioned = conditioned || r.condition == name
	}
	switch {
	case !fits:
		return nil, invalid(InvalidTuple, "%s#%s does not take [%s]", typeOf(t.Object), t.Relation, m.shapeName(s))
	case t.Condition == nil && !conditioned:
		return nil, invalid(Validation, "condition is missing")
	case t.Condition == nil:
		return nil, nil
	}
	b, err := m.bind(t.Condition, conditioned)
	if err != nil {
		return nil, invalid(Validation, "%w", err)
	}
	return b, nil
}
