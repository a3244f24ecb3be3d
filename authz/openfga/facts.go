package openfga

import (
	"fmt"
	"strings"

	openfgav1 "github.com/openfga/api/proto/openfga/v1"

	"deputy/authz/fga"
)

// maxFacts is how many contextual tuples OpenFGA takes with one question.
const maxFacts = 100

// facts are the contextual tuples of some questions. If OpenFGA takes them all
// it gets them all. Otherwise it gets those that can bear on the question:
//
//   - First, those of each relation that is met on the way from the object and
//     relation asked about, following the model, and following tuples from
//     object to object. A tuple that the server has stored may lead to any
//     object that the model lets it, so there all facts of that relation count,
//     whatever their object. What is left out cannot change the answer.
//   - If these are too many still, facts of a relation of an object are taken
//     to say all about it: no stored tuple leads elsewhere from there. That is
//     how deputy uses them: they say where a message lies, as its provider has
//     told a moment ago.
//   - If these are too many, there is no answer.
type facts struct {
	m    *model
	all  []fga.Tuple
	send []fga.Tuple          // without repetitions
	at   map[node][]fga.Tuple // by object and relation, and by type and relation
	max  int
	err  error
}

// node is a relation of an object "doc:1", or of every object of a type "doc:".
type node struct{ object, relation string }

func (m *model) lay(tuples []fga.Tuple) *facts {
	return m.layAtMost(maxFacts, tuples)
}

func (m *model) layAtMost(most int, tuples []fga.Tuple) *facts {
	f := &facts{m: m, all: tuples, max: most}
	seen := map[string]bool{}
	for _, t := range tuples {
		if key := keyOf(t); !seen[key] {
			seen[key] = true
			f.send = append(f.send, t)
		}
	}
	if len(f.send) <= f.max {
		return f
	}
	f.at = map[node][]fga.Tuple{}
	for _, t := range f.send {
		if err := m.fga.CheckTuple(t); err != nil { // the server does not see them all
			f.err = &fga.Error{Kind: fga.InvalidTuple, Cause: err}
			return f
		}
		typ, _, _ := strings.Cut(t.Object, ":")
		for _, n := range []node{{t.Object, t.Relation}, {typ + ":", t.Relation}} {
			f.at[n] = append(f.at[n], t)
		}
	}
	return f
}

func (f *facts) madeOf(tuples []fga.Tuple) bool {
	return len(tuples) == len(f.all) && (len(tuples) == 0 || &tuples[0] == &f.all[0])
}

// of are the facts to send with a question about the object.
func (f *facts) of(object, relation string) ([]fga.Tuple, error) {
	if f.err != nil || len(f.send) <= f.max {
		return f.send, f.err
	}
	for _, complete := range []bool{false, true} {
		if found := f.bearing(object, relation, complete); len(found) <= f.max {
			return found, nil
		}
	}
	return nil, &fga.Error{Kind: fga.TooComplex, Cause: fmt.Errorf(
		"more than %d facts bear on %s#%s, and OpenFGA takes no more with a question: ask about fewer objects at once", f.max, object, relation)}
}

// bearing are the facts that bear on a relation of an object.
func (f *facts) bearing(object, relation string, complete bool) []fga.Tuple {
	w := walk{facts: f, complete: complete, seen: map[node]bool{}, read: map[node]bool{}, taken: map[string]bool{}}
	w.visit(node{object, relation})
	return w.found
}

// whole is all of them or an error, for a question that has no one object.
func (f *facts) whole() ([]fga.Tuple, error) {
	if f.err == nil && len(f.send) > f.max {
		return nil, &fga.Error{Kind: fga.TooComplex, Cause: fmt.Errorf("%d facts come with a question, and OpenFGA takes at most %d: give fewer", len(f.send), f.max)}
	}
	return f.send, f.err
}

// walk collects facts.
type walk struct {
	*facts
	complete bool          // facts of a relation of an object say all about it
	seen     map[node]bool // relations asked about …
	read     map[node]bool // … and those whose tuples were followed
	taken    map[string]bool
	found    []fga.Tuple
}

func (w *walk) visit(n node) {
	if w.seen[n] {
		return
	}
	w.seen[n] = true
	typ, _, _ := strings.Cut(n.object, ":")
	if rewrite := w.m.types[typ].GetRelations()[n.relation]; rewrite != nil {
		w.rewrite(n, rewrite)
	}
}

func (w *walk) rewrite(n node, u *openfgav1.Userset) {
	switch u := u.GetUserset().(type) {
	case *openfgav1.Userset_This:
		w.follow(n, func(object, relation string) {
			if relation != "" {
				w.visit(node{object, relation})
			}
		})
	case *openfgav1.Userset_ComputedUserset:
		w.visit(node{n.object, u.ComputedUserset.GetRelation()})
	case *openfgav1.Userset_TupleToUserset:
		w.follow(node{n.object, u.TupleToUserset.GetTupleset().GetRelation()}, func(object, _ string) {
			w.visit(node{object, u.TupleToUserset.GetComputedUserset().GetRelation()})
		})
	case *openfgav1.Userset_Union:
		w.rewrites(n, u.Union.GetChild()...)
	case *openfgav1.Userset_Intersection:
		w.rewrites(n, u.Intersection.GetChild()...)
	case *openfgav1.Userset_Difference:
		w.rewrites(n, u.Difference.GetBase(), u.Difference.GetSubtract())
	}
}

func (w *walk) rewrites(n node, us ...*openfgav1.Userset) {
	for _, u := range us {
		w.rewrite(n, u)
	}
}

// follow takes the facts of a relation and calls to for where they lead, and
// for where stored tuples of it can.
func (w *walk) follow(n node, to func(object, relation string)) {
	if !w.read[n] {
		w.read[n] = true
		for _, t := range w.at[n] {
			if key := keyOf(t); !w.taken[key] {
				w.taken[key] = true
				w.found = append(w.found, t)
			}
		}
	}
	for _, t := range w.at[n] {
		object, relation, _ := strings.Cut(t.User, "#")
		to(object, relation)
	}
	typ, id, _ := strings.Cut(n.object, ":")
	if w.complete && id != "" && len(w.at[n]) > 0 {
		return
	}
	for _, ref := range w.m.types[typ].GetMetadata().GetRelations()[n.relation].GetDirectlyRelatedUserTypes() {
		to(ref.GetType()+":", ref.GetRelation())
	}
}

// keyOf tells facts apart. None holds a NUL that a server would take.
func keyOf(t fga.Tuple) string {
	key := t.Object + "\x00" + t.Relation + "\x00" + t.User
	if t.Condition != nil {
		key += fmt.Sprintf("\x00%q %v", t.Condition.Name, t.Condition.Context)
	}
	return key
}
