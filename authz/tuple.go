package authz

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"deputy/authz/fga"
)

// Tuple is one relationship: User stands in Relation to Object, on Condition if
// there is one. User is an object, a userset "group:eng#member", or everyone of
// a type, "user:*".
type Tuple struct {
	User      string     `json:"user"`
	Relation  string     `json:"relation"`
	Object    Object     `json:"object"`
	Condition *Condition `json:"condition,omitempty"`
}

// Condition names a condition of the model and binds some of its parameters:
// {"name": "until", "context": {"end": "2026-12-04T18:00:00Z"}}.
type Condition = fga.Condition

func (t Tuple) String() string {
	s := fmt.Sprintf("%s %s %s", t.User, t.Relation, t.Object)
	if t.Condition != nil {
		s += " with " + t.Condition.Name
		if bound, err := json.Marshal(t.Condition.Context); err == nil && len(t.Condition.Context) > 0 {
			s += " " + string(bound)
		}
	}
	return s
}

// Compare orders tuples by object, relation and user.
func (t Tuple) Compare(u Tuple) int {
	return cmp.Or(strings.Compare(string(t.Object), string(u.Object)), strings.Compare(t.Relation, u.Relation), strings.Compare(t.User, u.User))
}

func (t Tuple) fga() fga.Tuple {
	return fga.Tuple{User: t.User, Relation: t.Relation, Object: string(t.Object), Condition: t.Condition}
}

func tupleOf(t fga.Tuple) Tuple { return Tuple{t.User, t.Relation, Object(t.Object), t.Condition} }

// Facts are contextual tuples: they hold for one decision and are no rules.
type Facts []Tuple

// Set is fs without repetitions.
func (fs Facts) Set() (out Facts) {
	seen := make(map[Tuple]bool, len(fs))
	for _, f := range fs {
		if !seen[f] {
			seen[f] = true
			out = append(out, f)
		}
	}
	return out
}

func (fs Facts) fga() []fga.Tuple {
	if len(fs) == 0 {
		return nil
	}
	out := make([]fga.Tuple, len(fs))
	for i, t := range fs {
		out[i] = t.fga()
	}
	return out
}

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
