package authz

import "errors"

// maxDepth bounds the resolution of one check, as OpenFGA's default does.
const maxDepth = 25

var errTooDeep = errors.New("authz: resolution is deeper than 25: simplify the model or the groups")

type node struct {
	object   Object
	relation string
}

// evaluation answers checks for one user on one state of the tuples. Results
// are shared across the batch.
type evaluation struct {
	model  *model
	stored map[node][]string
	facts  map[node][]string
	user   string
	memo   map[node]bool
	onPath map[node]bool
}

// verdict is a result and whether it rests on a cycle: such a result is right
// for this path only and must not be remembered.
type verdict struct{ yes, cyclic bool }

func (e *evaluation) check(n node, depth int) (verdict, error) {
	if yes, ok := e.memo[n]; ok {
		return verdict{yes: yes}, nil
	}
	if depth > maxDepth {
		return verdict{}, errTooDeep
	}
	if e.onPath[n] {
		return verdict{cyclic: true}, nil
	}
	r := e.model.types[n.object.Type()][n.relation]
	if r == nil {
		return verdict{}, nil
	}
	// A userset is a member of itself: group:a#member is in group:a#member.
	if string(n.object)+"#"+n.relation == e.user {
		return verdict{yes: true}, nil
	}
	e.onPath[n] = true
	v, err := e.rewrite(r.rewrite, n, depth)
	delete(e.onPath, n)
	if err != nil {
		return verdict{}, err
	}
	if !v.cyclic {
		e.memo[n] = v.yes
	}
	return v, nil
}

func (e *evaluation) rewrite(rw *rewrite, n node, depth int) (verdict, error) {
	switch rw.kind {
	case this:
		return e.direct(n, depth)
	case computed:
		return e.check(node{n.object, rw.relation}, depth+1)
	case fromTupleset:
		return anyOf(e.users(node{n.object, rw.tupleset}), func(parent string) (verdict, error) {
			return e.check(node{Object(parent), rw.relation}, depth+1)
		})
	case union:
		return anyOf(rw.children, func(c *rewrite) (verdict, error) { return e.rewrite(c, n, depth) })
	case intersection:
		out := verdict{yes: true}
		for _, c := range rw.children {
			v, err := e.rewrite(c, n, depth)
			if err != nil || !v.yes {
				return v, err
			}
			out.cyclic = out.cyclic || v.cyclic
		}
		return out, nil
	case exclusion:
		base, err := e.rewrite(rw.children[0], n, depth)
		if err != nil || !base.yes {
			return base, err
		}
		not, err := e.rewrite(rw.children[1], n, depth)
		if err != nil {
			return verdict{}, err
		}
		// What cannot be decided because it runs in a circle is not excluded
		// for certain, so it is denied.
		return verdict{yes: !not.yes && !not.cyclic, cyclic: base.cyclic || not.cyclic}, nil
	}
	return verdict{}, errors.New("authz: unknown rewrite")
}

func (e *evaluation) direct(n node, depth int) (verdict, error) {
	everyone := Object(e.user).Type() + ":*"
	_, isSet := splitUser(e.user)
	return anyOf(e.users(n), func(user string) (verdict, error) {
		if user == e.user || user == everyone && isSet == "" {
			return verdict{yes: true}, nil
		}
		if object, relation := splitUser(user); relation != "" {
			return e.check(node{Object(object), relation}, depth+1)
		}
		return verdict{}, nil
	})
}

// anyOf is a union over alternatives: the first yes wins, and an error counts
// only if none says yes, as in OpenFGA.
func anyOf[T any](alternatives []T, try func(T) (verdict, error)) (verdict, error) {
	var out verdict
	var failed error
	for _, a := range alternatives {
		v, err := try(a)
		if err != nil {
			failed = err
			continue
		}
		if v.yes {
			return v, nil
		}
		out.cyclic = out.cyclic || v.cyclic
	}
	return out, failed
}

func (e *evaluation) users(n node) []string {
	stored, facts := e.stored[n], e.facts[n]
	if len(facts) == 0 {
		return stored
	}
	return append(stored[:len(stored):len(stored)], facts...)
}
