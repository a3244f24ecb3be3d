package fga

import (
	"context"
	"errors"
	"slices"
)

// maxDepth bounds the resolution of one check, as OpenFGA's default does: so
// many steps from one object to another.
const maxDepth = 25

var errTooDeep = &Error{Kind: TooComplex, Cause: errors.New("resolution is deeper than 25 steps: simplify the model or the groups")}

// evaluation answers checks on one state of the index, under one read lock.
// What it finds for a user is shared by all checks for that user.
type evaluation struct {
	ctx     context.Context
	x       *index
	over    overlay
	request map[string]any // the parameters that the request gives
	lazy    bool           // ask a userset's condition only if the user is in it

	user  ref
	star  ref // everyone of the user's type, or 0
	shape uint32

	memo  memo
	path  int      // how many entries are entered
	loose []uint64 // decided, but resting on something on the path
	errs  []error
	steps int
	one   [maxDepth + 2][1]ref

	todo []asked
	warm byte // what touch has read, so that it is read
}

// ask sets the user. What is remembered of another is forgotten.
func (e *evaluation) ask(user string) {
	e.user, e.star, e.shape = e.x.m.refOf(user, e.node), 0, e.x.m.shape(user)
	if e.user < everyone {
		e.star = everyoneRef(e.user.typ())
	}
	e.forget()
}

func (e *evaluation) forget() {
	e.memo.clear()
	e.path, e.loose, e.errs = 0, e.loose[:0], e.errs[:0]
}

// result is a verdict and the lowest place on the path that it rests on.
type result struct {
	verdict
	low  int32
	err  int32
	deep uint8
}

var (
	resultNo  = result{verdict: no, low: nothing}
	resultYes = result{verdict: yes, low: nothing}
)

func (e *evaluation) fail(err error) result {
	e.errs = append(e.errs, err)
	return result{verdict: failed, low: nothing, err: int32(len(e.errs) - 1)}
}

// check answers whether the user stands in r of node, from scratch.
func (e *evaluation) check(node uint32, r uint16) (bool, error) {
	got := e.eval(node, r, 0)
	if got.verdict == failed {
		return false, e.errs[got.err]
	}
	return got.verdict == yes, nil
}

func (e *evaluation) eval(node uint32, r uint16, depth int) result {
	rel := &e.x.m.relations[r]
	if e.user >= userset && e.user == usersetRef(node, r) {
		return resultYes // a userset is in itself
	}
	if !e.x.m.reaches(r, e.shape) {
		return resultNo
	}
	if depth >= maxDepth {
		out := e.fail(errTooDeep)
		out.deep = uint8(depth + 1)
		return out
	}
	if rel.leaf {
		return e.direct(r, node, depth)
	}
	k := place(node, r)
	switch m := e.memo.at(k); m.verdict {
	case yes, no:
		return result{verdict: m.verdict, low: nothing}
	case cyclic:
		return result{verdict: cyclic, low: m.low}
	case entered:
		return result{verdict: cyclic, low: m.low}
	case failed:
		if m.depth == 0 || depth+1 >= int(m.depth) {
			return result{failed, m.low, m.err, m.depth}
		}
		fallthrough
	default:
		m.verdict, m.low = entered, int32(e.path)
	}
	if e.steps++; e.steps%1024 == 0 && e.ctx.Err() != nil {
		e.memo.at(k).verdict = unknown
		return e.fail(e.ctx.Err())
	}
	own, mark := int32(e.path), len(e.loose)
	e.path++
	got := e.rewrite(rel.rewrite, node, depth)
	e.path--
	if got.deep > 0 {
		got.deep = uint8(depth + 1)
	}
	e.settle(k, own, mark, &got)
	return got
}

// settle remembers what was found. A yes or a no is final, whatever lies on
// the path. What rests on a cycle is final once the lowest entry it rests on
// is left; should one on the way there turn out yes or no, it is forgotten.
func (e *evaluation) settle(k uint64, own int32, mark int, got *result) {
	if got.low >= own {
		got.low = nothing
	}
	below := e.loose[mark:]
	switch {
	case got.verdict == yes || got.verdict == no:
		for _, other := range below {
			e.memo.at(other).verdict = unknown
		}
		e.loose = e.loose[:mark]
	case got.low == nothing:
		for _, other := range below {
			e.memo.at(other).low = nothing
		}
		e.loose = e.loose[:mark]
	default:
		for _, other := range below {
			m := e.memo.at(other)
			m.low = min(m.low, got.low)
		}
		e.loose = append(e.loose, k)
	}
	m := e.memo.at(k)
	m.verdict, m.low, m.err, m.depth = got.verdict, got.low, got.err, got.deep
}

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
	if len(e.over.lists) > 0 {
		if l := e.over.lists[place(node, r)]; l != nil {
			laidRefs, laidConds = l.refs, l.conds
			out, found = e.exact(laidRefs, laidConds) // it stands in place of a stored one
		}
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
	if len(e.over.lists) > 0 && out.verdict != yes {
		if l := e.over.lists[place(node, rw.relation)]; l != nil {
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
