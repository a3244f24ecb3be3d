package fga

import (
	"context"
	"errors"
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
	star  ref // everyone of the user's type, or 0 for a userset
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
	if e.user < userset {
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
