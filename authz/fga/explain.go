package fga

import (
	"context"
	"fmt"
	"strings"
)

// Why is an answer with what it rests on. Where it allows, that is a way from
// the question to tuples; where it denies, the way that came closest, or what
// stood in it.
type Why struct {
	Allowed bool   `json:"allowed"`
	Steps   []Step `json:"steps"`
}

// Step is one line of a Why, indented below the line it belongs to.
type Step struct {
	Depth  int    `json:"depth"`
	Says   string `json:"says"`
	Tuple  *Tuple `json:"tuple,omitempty"`  // it rests on, or that would have been needed
	Source string `json:"source,omitempty"` // of the tuple: stored, fact or missing
}

func (w Why) String() string {
	var b strings.Builder
	for _, s := range w.Steps {
		fmt.Fprintf(&b, "%s%s\n", strings.Repeat("  ", s.Depth), s.Says)
	}
	return b.String()
}

// Explaining is what an explanation asks.
type Explaining interface {
	BatchCheck(context.Context, []Query) []Answer
	Read(ctx context.Context, filter Tuple, after *Tuple, limit int) ([]Tuple, error)
}

// An explanation looks at so many relations of objects, and at so many users
// of each.
const (
	maxExplained = 2_000
	maxUsers     = 100
)

// Explain answers a question under m, and says why. It takes many small reads:
// it is for people, who can wait for it.
func Explain(ctx context.Context, m *Model, of Explaining, q Query) (Why, error) {
	r, err := m.target(q.Object, q.Relation)
	if err == nil {
		err = fail(Validation, m.checkUser(q.User))
	}
	if err != nil {
		return Why{}, err
	}
	request, err := plain(q.Context)
	if err != nil {
		return Why{}, fail(Validation, err)
	}
	e := &explainer{ctx: ctx, m: m, of: of, q: q, request: request, shape: m.shape(q.User), done: map[asks]*reason{}, facts: map[asks][]Tuple{}}
	for _, t := range q.Contextual {
		k := asks{t.Object, t.Relation}
		e.facts[k] = append(e.facts[k], t)
	}
	top, err := e.relation(q.Object, r)
	if err != nil {
		return Why{}, err
	}
	w := Why{Allowed: top.holds}
	top.lay(&w, 0, map[*reason]bool{})
	return w, nil
}

// asks is one relation of one object: the user is always the query's.
type asks struct{ object, relation string }

// reason is a part of an explanation. cost counts what stands between a part
// that does not hold and one that would.
type reason struct {
	says    string
	holds   bool
	cost    int
	tuple   *Tuple
	source  string
	because []*reason
}

const unreachable = 1 << 20

// lay writes a reason and what it rests on, each once.
func (r *reason) lay(w *Why, depth int, laid map[*reason]bool) {
	if laid[r] {
		w.Steps = append(w.Steps, Step{Depth: depth, Says: "(as above) " + r.says})
		return
	}
	if r.says != "" {
		laid[r] = true
		w.Steps = append(w.Steps, Step{depth, r.says, r.tuple, r.source})
		depth++
	}
	for _, b := range r.because {
		b.lay(w, depth, laid)
	}
}

type explainer struct {
	ctx     context.Context
	m       *Model
	of      Explaining
	q       Query
	request map[string]any
	shape   uint32
	facts   map[asks][]Tuple
	done    map[asks]*reason
}

// relation explains whether the user stands in a relation to an object. What
// the engine answers is what holds.
func (e *explainer) relation(object string, r uint16) (*reason, error) {
	name := e.m.relations[r].name
	k := asks{object, name}
	if out := e.done[k]; out != nil {
		return out, nil
	}
	out := &reason{cost: unreachable}
	e.done[k] = out // a circle ends here
	if err := e.ctx.Err(); err != nil {
		return nil, err
	}
	if len(e.done) > maxExplained {
		out.says = "… and so on: there is more than an explanation looks at"
		return out, nil
	}
	q := e.q
	q.Object, q.Relation = object, name
	answer := e.of.BatchCheck(e.ctx, []Query{q})
	if len(answer) != 1 {
		return nil, fmt.Errorf("fga: %d answers to one question", len(answer))
	}
	if answer[0].Err != nil {
		return nil, answer[0].Err
	}
	out.holds = answer[0].Allowed
	out.says = fmt.Sprintf("%s %s %s: %s", e.q.User, name, object, map[bool]string{true: "yes", false: "no"}[out.holds])
	if !e.m.reaches(r, e.shape) {
		out.says += fmt.Sprintf(" (the model never gives %s to %s)", name, e.m.shapeName(e.shape))
		return out, nil
	}
	part, err := e.rewrite(object, e.m.relations[r].rewrite)
	if err != nil {
		return nil, err
	}
	out.cost, out.because = part.cost, []*reason{part}
	return out, nil
}

func (e *explainer) rewrite(object string, rw *rewrite) (*reason, error) {
	switch rw.kind {
	case direct:
		return e.direct(object, rw.relation)
	case computed:
		return e.relation(object, rw.relation)
	case tupleToUserset:
		return e.parents(object, rw)
	case union:
		return e.closest(object, rw)
	case intersection:
		return e.all(object, rw)
	}
	base, err := e.rewrite(object, rw.children[0])
	if err != nil {
		return nil, err
	}
	sub, err := e.rewrite(object, rw.children[1])
	if err != nil {
		return nil, err
	}
	switch {
	case !base.holds:
		return base, nil
	case sub.holds:
		return &reason{says: "kept out, because", cost: 1, because: []*reason{sub}}, nil
	}
	return &reason{holds: true, because: []*reason{base, {says: e.naming(object, rw.children[1]) + ": no, which would keep it out"}}}, nil
}

// naming is what an operand asks, in a few words.
func (e *explainer) naming(object string, rw *rewrite) string {
	switch rw.kind {
	case direct, computed:
		return fmt.Sprintf("%s %s %s", e.q.User, e.m.relations[rw.relation].name, object)
	case tupleToUserset:
		return fmt.Sprintf("%s %s from %s of %s", e.q.User, rw.name, e.m.relations[rw.relation].name, object)
	}
	return "what stands after but not"
}

// closest explains a union by the part that holds, or comes closest to it.
func (e *explainer) closest(object string, rw *rewrite) (best *reason, err error) {
	for _, c := range rw.children {
		r, err := e.rewrite(object, c)
		if err != nil {
			return nil, err
		}
		if best == nil || better(r, best) {
			best = r
		}
	}
	return best, nil
}

func better(a, b *reason) bool {
	if a.holds != b.holds {
		return a.holds
	}
	return a.cost < b.cost
}

// all explains an intersection: what holds, or what fails.
func (e *explainer) all(object string, rw *rewrite) (*reason, error) {
	out := &reason{holds: true}
	var failing []*reason
	for _, c := range rw.children {
		r, err := e.rewrite(object, c)
		if err != nil {
			return nil, err
		}
		out.because = append(out.because, r)
		if !r.holds {
			failing = append(failing, r)
			out.holds, out.cost = false, out.cost+r.cost
		}
	}
	if !out.holds {
		out.because = failing
	}
	return out, nil
}

// stands is one tuple that a relation of an object has.
type stands struct {
	Tuple
	source string
	met    bool // its condition, if it has one
}

// users reads who stands in a relation, facts before what is stored.
func (e *explainer) users(object string, r uint16) (out []stands, err error) {
	name := e.m.relations[r].name
	add := func(t Tuple, source string) error {
		b, err := e.m.admit(t)
		if err != nil {
			return err
		}
		s := stands{t, source, true}
		if b != nil {
			if s.met, err = b.met(e.ctx, e.request); err != nil {
				return err
			}
		}
		out = append(out, s)
		return nil
	}
	for _, t := range e.facts[asks{object, name}] {
		if err := add(t, "fact"); err != nil {
			return nil, err
		}
	}
	seen := map[string]bool{}
	everyone := typeOf(e.q.User) + ":*"
	for _, user := range []string{e.q.User, everyone, ""} { // the two that matter most may be behind many others
		stored, err := e.of.Read(e.ctx, Tuple{User: user, Object: object, Relation: name}, nil, maxUsers)
		if err != nil {
			return nil, err
		}
		for _, t := range stored {
			if seen[t.User] || e.m.CheckTuple(t) != nil {
				continue
			}
			seen[t.User] = true
			if err := add(t, "stored"); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// direct explains by the user's own tuple, by everyone's, or by a userset.
func (e *explainer) direct(object string, r uint16) (*reason, error) {
	users, err := e.users(object, r)
	if err != nil {
		return nil, err
	}
	name := e.m.relations[r].name
	missing := &Tuple{User: e.q.User, Relation: name, Object: object}
	best := &reason{says: "there is no tuple " + spoken(*missing), cost: 1, tuple: missing, source: "missing"}
	for _, u := range users {
		tuple := u.Tuple
		own := u.User == e.q.User || isWildcard(u.User) && typeOf(u.User) == typeOf(e.q.User) && !strings.Contains(e.q.User, "#")
		set, relation := splitUser(u.User)
		var part *reason
		switch {
		case own && !u.met:
			part = &reason{says: said(u) + ", whose condition is not met", tuple: &tuple, source: u.source, cost: 0}
		case own:
			part = &reason{holds: true, says: said(u), tuple: &tuple, source: u.source}
		case relation != "" && u.met:
			inner, _ := e.m.relation(e.m.types[typeOf(set)], relation)
			in, err := e.relation(set, inner)
			if err != nil {
				return nil, err
			}
			part = &reason{holds: in.holds, says: said(u), tuple: &tuple, source: u.source, cost: in.cost, because: []*reason{in}}
		default:
			continue
		}
		if better(part, best) {
			best = part
		}
	}
	return best, nil
}

// parents explains "relation from tupleset".
func (e *explainer) parents(object string, rw *rewrite) (*reason, error) {
	users, err := e.users(object, rw.relation)
	if err != nil {
		return nil, err
	}
	tupleset := e.m.relations[rw.relation].name
	var best *reason
	for _, u := range users {
		target := none
		if t, ok := e.m.types[typeOf(u.User)]; ok {
			target = rw.targets[t]
		}
		if target == none || !u.met {
			continue
		}
		in, err := e.relation(u.User, target)
		if err != nil {
			return nil, err
		}
		tuple := u.Tuple
		part := &reason{holds: in.holds, cost: in.cost, says: said(u), tuple: &tuple, source: u.source, because: []*reason{in}}
		if best == nil || better(part, best) {
			best = part
		}
	}
	if best == nil {
		best = &reason{says: fmt.Sprintf("%s has no %s", object, tupleset), cost: 1 + maxUsers}
	}
	return best, nil
}

func spoken(t Tuple) string {
	s := t.User + " " + t.Relation + " " + t.Object
	if t.Condition != nil {
		s += " with " + t.Condition.Name
	}
	return s
}

func said(u stands) string {
	if u.source == "fact" {
		return "fact: " + spoken(u.Tuple)
	}
	return "tuple: " + spoken(u.Tuple)
}
