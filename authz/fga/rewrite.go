package fga

import "slices"

// or joins alternatives: a yes wins, then an error, then a cycle.
func or(a, b result) result {
	if a.verdict == yes || b.verdict == yes {
		return resultYes
	}
	low := min(a.low, b.low)
	deep := max(a.deep, b.deep)
	switch {
	case a.verdict == failed:
		return result{failed, low, a.err, deep}
	case b.verdict == failed:
		return result{failed, low, b.err, deep}
	case a.verdict == cyclic || b.verdict == cyclic:
		return result{verdict: cyclic, low: low}
	}
	return resultNo
}

// and joins what must all hold: a no wins, then a cycle, then an error.
func and(a, b result) result {
	if a.verdict == no || b.verdict == no {
		return resultNo
	}
	low := min(a.low, b.low)
	switch {
	case a.verdict == cyclic || b.verdict == cyclic:
		return result{verdict: cyclic, low: low}
	case a.verdict == failed:
		return result{failed, low, a.err, max(a.deep, b.deep)}
	case b.verdict == failed:
		return result{failed, low, b.err, max(a.deep, b.deep)}
	}
	return resultYes
}

// not is the right side of "but not". What cannot be decided because it runs
// in a circle is not excluded for certain, so it stays a denial.
func not(a result) result {
	switch a.verdict {
	case yes:
		return resultNo
	case no:
		return resultYes
	}
	return a
}

func (e *evaluation) rewrite(rw *rewrite, node uint32, depth int) result {
	switch rw.kind {
	case direct:
		return e.direct(rw.relation, node, depth)
	case computed:
		return e.eval(node, rw.relation, depth)
	case tupleToUserset:
		return e.parents(rw, node, depth)
	case union:
		out := resultNo
		for _, c := range rw.children {
			if out = or(out, e.rewrite(c, node, depth)); out.verdict == yes {
				break
			}
		}
		return out
	case intersection:
		out := resultYes
		for _, c := range rw.children {
			if out = and(out, e.rewrite(c, node, depth)); out.verdict == no {
				break
			}
		}
		return out
	}
	out := e.rewrite(rw.children[0], node, depth)
	if out.verdict != no {
		out = and(out, not(e.rewrite(rw.children[1], node, depth)))
	}
	return out
}

func (e *evaluation) direct(r uint16, node uint32, depth int) result {
	var refs, laidRefs []ref
	var conds, laidConds []onlyIf
	if node < temporary {
		refs, conds = e.x.users(node, r, &e.one[depth])
	}
	found := false
	out := resultNo
	if l := e.over.list(node, r); l != nil {
		laidRefs, laidConds = l.refs, l.conds
		out, found = e.exact(laidRefs, laidConds) // it stands in place of a stored one
	}
	if !found {
		out, _ = e.exact(refs, conds)
	}
	if len(refs)+len(conds) > 0 && out.verdict != yes {
		out = or(out, e.others(refs, conds, depth))
	}
	if len(laidRefs)+len(laidConds) > 0 && out.verdict != yes {
		out = or(out, e.others(laidRefs, laidConds, depth))
	}
	return out
}

// exact looks for a tuple of the very user.
func (e *evaluation) exact(refs []ref, conds []onlyIf) (result, bool) {
	if has(refs, e.user) {
		return resultYes, true
	}
	if len(conds) > 0 {
		if i, ok := slices.BinarySearchFunc(conds, e.user, byRef); ok {
			return e.met(conds[i]), true
		}
	}
	return resultNo, false
}

// others looks for everyone of the user's type, then asks the usersets.
func (e *evaluation) others(refs []ref, conds []onlyIf, depth int) result {
	out := resultNo
	if e.star != 0 {
		if has(refs, e.star) {
			return resultYes
		}
		if i, ok := slices.BinarySearchFunc(conds, e.star, byRef); ok {
			out = e.met(conds[i])
		}
	}
	for _, set := range refs[from(refs, userset):] {
		if out.verdict == yes {
			return out
		}
		out = or(out, e.eval(set.node(), set.relation(), depth+1))
	}
	if len(conds) == 0 {
		return out
	}
	first, _ := slices.BinarySearchFunc(conds, userset, byRef)
	for _, c := range conds[first:] {
		if out.verdict == yes {
			return out
		}
		out = or(out, e.onlyIf(c, c.node(), c.relation(), depth))
	}
	return out
}

func has(refs []ref, r ref) bool {
	if len(refs) > 8 {
		_, ok := slices.BinarySearch(refs, r)
		return ok
	}
	for _, x := range refs {
		if x == r {
			return true
		}
	}
	return false
}

// from is where the refs begin that are not less than r.
func from(refs []ref, r ref) int {
	if n := len(refs); n == 0 || refs[n-1] < r {
		return n
	}
	i, _ := slices.BinarySearch(refs, r)
	return i
}

// onlyIf evaluates what a conditional tuple leads to. Its condition is asked
// first, and fails even if the user could not be there, as in OpenFGA.
func (e *evaluation) onlyIf(c onlyIf, node uint32, r uint16, depth int) result {
	if e.lazy {
		got := e.eval(node, r, depth+1)
		if got.verdict != no {
			got = and(got, e.met(c))
		}
		return got
	}
	if got := e.met(c); got.verdict != yes {
		return got
	}
	return e.eval(node, r, depth+1)
}

func (e *evaluation) met(c onlyIf) result {
	ok, err := c.met(e.ctx, e.request)
	switch {
	case err != nil:
		return e.fail(err)
	case ok:
		return resultYes
	}
	return resultNo
}

// parents evaluates "relation from tupleset".
func (e *evaluation) parents(rw *rewrite, node uint32, depth int) result {
	out := resultNo
	if node < temporary {
		refs, conds := e.x.users(node, rw.relation, &e.one[depth])
		out = e.through(rw, refs, conds, depth)
	}
	if out.verdict != yes {
		if l := e.over.list(node, rw.relation); l != nil {
			out = or(out, e.through(rw, l.refs, l.conds, depth))
		}
	}
	return out
}

func (e *evaluation) through(rw *rewrite, refs []ref, conds []onlyIf, depth int) result {
	out := resultNo
	for _, parent := range refs {
		if target := rw.targets[parent.typ()]; target != none {
			if out = or(out, e.eval(parent.node(), target, depth+1)); out.verdict == yes {
				return out
			}
		}
	}
	for _, c := range conds {
		if target := rw.targets[c.typ()]; target != none {
			out = or(out, e.onlyIf(c, c.node(), target, depth))
		} else if got := e.met(c); got.verdict == failed && !e.lazy {
			out = or(out, got)
		}
		if out.verdict == yes {
			return out
		}
	}
	return out
}
