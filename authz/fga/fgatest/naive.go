package fgatest

import (
	"errors"
	"slices"
	"strings"

	openfgav1 "github.com/openfga/api/proto/openfga/v1"

	"deputy/authz/fga"
)

// naive answers a check by the definition: it follows every path through the
// tuples, remembers nothing and knows no numbers. It is hopeless for more than
// a few tuples.
type naive struct {
	model   *openfgav1.AuthorizationModel
	tuples  []fga.Tuple
	request map[string]any
	user    string
	among   [3]Outcome // operands of "and": which Outcome wins
	steps   int
}

// Outcome is what the definition comes to.
type Outcome int

const (
	No Outcome = iota
	Yes
	Cycle
	Error
)

// Order is who wins where one operand of an intersection or an exclusion is no
// and another runs in a circle. OpenFGA asks both at once and takes the first
// to answer.
type Order [3]Outcome

var (
	NoFirst    = Order{No, Cycle, Error}
	CycleFirst = Order{Cycle, No, Error}
)

// Naive answers a question about tuples of this world; ok is false if there
// are too many paths to follow.
func (w World) Naive(tuples []fga.Tuple, user, relation, object string, order Order) (o Outcome, ok bool) {
	defer func() {
		if p := recover(); p != nil && p != any(errTooMuch) {
			panic(p)
		}
	}()
	n := &naive{model: w.Model, tuples: tuples, request: w.Context, user: user, among: order}
	return n.check(object, relation, nil), true
}

var errTooMuch = errors.New("too many paths to follow")

// first returns the first of the order that is among the outcomes, or else.
func first(outcomes []Outcome, order [3]Outcome, otherwise Outcome) Outcome {
	for _, o := range order {
		if slices.Contains(outcomes, o) {
			return o
		}
	}
	return otherwise
}

func (n *naive) check(object, relation string, path []string) Outcome {
	here := object + "#" + relation
	if n.steps++; n.steps > 50_000 || len(path) > 60 {
		panic(errTooMuch)
	}
	if n.user == here {
		return Yes
	}
	if slices.Contains(path, here) {
		return Cycle
	}
	typ, _, _ := strings.Cut(object, ":")
	for _, td := range n.model.GetTypeDefinitions() {
		if td.GetType() == typ && td.GetRelations()[relation] != nil {
			return n.rewrite(td.GetRelations()[relation], object, relation, append(path[:len(path):len(path)], here))
		}
	}
	return No
}

func (n *naive) rewrite(u *openfgav1.Userset, object, relation string, path []string) Outcome {
	union := func(os []Outcome) Outcome { return first(os, [3]Outcome{Yes, Error, Cycle}, No) }
	all := func(us ...*openfgav1.Userset) (os []Outcome) {
		for _, c := range us {
			os = append(os, n.rewrite(c, object, relation, path))
		}
		return os
	}
	switch u := u.GetUserset().(type) {
	case *openfgav1.Userset_ComputedUserset:
		return n.check(object, u.ComputedUserset.GetRelation(), path)
	case *openfgav1.Userset_TupleToUserset:
		return union(n.each(object, u.TupleToUserset.GetTupleset().GetRelation(), func(parent string) Outcome {
			return n.check(parent, u.TupleToUserset.GetComputedUserset().GetRelation(), path)
		}))
	case *openfgav1.Userset_Union:
		return union(all(u.Union.GetChild()...))
	case *openfgav1.Userset_Intersection:
		return first(all(u.Intersection.GetChild()...), n.among, Yes)
	case *openfgav1.Userset_Difference:
		os := all(u.Difference.GetBase(), u.Difference.GetSubtract())
		if os[1] == Yes || os[1] == No {
			os[1] = Yes - os[1]
		}
		return first(os, n.among, Yes)
	}
	return union(n.each(object, relation, func(user string) Outcome {
		userType, _, _ := strings.Cut(n.user, ":")
		if user == n.user || user == userType+":*" && !strings.Contains(n.user, "#") {
			return Yes
		}
		if set, rel, ok := strings.Cut(user, "#"); ok {
			return n.check(set, rel, path)
		}
		return No
	}))
}

func (n *naive) each(object, relation string, fn func(user string) Outcome) (os []Outcome) {
	for _, t := range n.tuples {
		if t.Object != object || t.Relation != relation {
			continue
		}
		ok, err := true, error(nil)
		if t.Condition != nil {
			ok, err = met(t.Condition, n.request)
		}
		leads := relation == "p" || strings.Contains(t.User, "#") // to others: its condition is asked first
		switch {
		case err != nil && leads:
			os = append(os, Error)
		case err != nil:
			os = append(os, min(fn(t.User), Yes)*Error)
		case ok:
			os = append(os, fn(t.User))
		}
	}
	return os
}

// met evaluates the two conditions of a world by hand.
func met(c *fga.Condition, request map[string]any) (bool, error) {
	get := func(name string) any {
		if v, ok := c.Context[name]; ok {
			return v
		}
		return request[name]
	}
	x, ip := get("x"), get("ip")
	if x == nil || c.Name == "near" && ip == nil {
		return false, errors.New("missing")
	}
	if c.Name == "low" {
		return x != 11.0, nil
	}
	return x != "-3" && ip != "192.0.2.1", nil
}
