package fga

import (
	"context"
	"fmt"
	"hash/maphash"
	"reflect"
	"slices"
	"strings"
	"sync"

	"deputy/internal/store"
)

// Engine decides on the tuples of one store. All of its methods may be called
// at once.
type Engine struct {
	store store.Store
	rows  rows

	// writing is held by one writer at a time; mu besides, from before a commit
	// until the index has it, so that no decision falls between the two and
	// none waits for a large import to be checked and laid down.
	writing sync.Mutex
	mu      sync.RWMutex
	index   *index
	stray   []Tuple // stored, but without a place in the model
	unsure  bool    // a commit failed, and may have been made all the same
}

// Open loads the tuples under name in s and evaluates them under m.
func Open(s store.Store, name string, m *Model) (*Engine, error) {
	e := &Engine{store: s, rows: rows{name}}
	return e, e.load(m)
}

// SetModel evaluates under another model from now on. Tuples that it has no
// place for stay in the store and count for nothing: see Stray.
func (e *Engine) SetModel(m *Model) error {
	e.writing.Lock()
	defer e.writing.Unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.load(m)
}

// Stray lists the stored tuples that the model has no place for. A tuple that
// was to forbid something is among them as easily as one that allowed it.
func (e *Engine) Stray() []Tuple {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return slices.Clone(e.stray)
}

// Size is the number of tuples that decisions are made on.
func (e *Engine) Size() int {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.index.size
}

// read holds e.mu for reading, on an index that has what the store has. After a
// commit of which nobody knows whether it was made, that is what the store says
// now; until it answers, nothing is decided.
func (e *Engine) read() error {
	for {
		e.mu.RLock()
		if !e.unsure {
			return nil
		}
		e.mu.RUnlock()
		if err := e.reload(); err != nil {
			return fmt.Errorf("fga: what was written last is not known: %w", err)
		}
	}
}

func (e *Engine) reload() error {
	e.writing.Lock() // a writer waits for mu inside the store
	defer e.writing.Unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.unsure {
		return nil
	}
	return e.load(e.index.m)
}

func (e *Engine) load(m *Model) error {
	x, stray := newIndex(m), []Tuple(nil)
	err := e.store.View(func(tx store.Tx) error {
		x, stray = newIndex(m), nil
		return e.rows.all(tx, "", nil, func(t Tuple) error {
			b, err := m.admit(t)
			if err != nil {
				stray = append(stray, t)
				return nil
			}
			x.insert(t, b, true)
			return nil
		})
	})
	if err != nil {
		return err
	}
	x.settle()
	e.index, e.stray, e.unsure = x, stray, false
	return nil
}

// Query is one question: does User stand in Relation to Object, given also
// the contextual tuples and the values for conditions?
type Query struct {
	User, Relation, Object string
	Contextual             []Tuple
	Context                map[string]any
}

// Answer is what Check found, or why it could not.
type Answer struct {
	Allowed bool
	Err     error
}

// Check answers one question.
func (e *Engine) Check(ctx context.Context, q Query) (bool, error) {
	a := e.BatchCheck(ctx, []Query{q})[0]
	return a.Allowed, a.Err
}

// BatchCheck answers all questions on one state of the tuples: answer i
// belongs to question i. Questions of one user which share the same slice of
// contextual tuples and the same context share their evaluation too.
func (e *Engine) BatchCheck(ctx context.Context, qs []Query) []Answer {
	out := make([]Answer, len(qs))
	if err := e.read(); err != nil {
		for i := range out {
			out[i].Err = err
		}
		return out
	}
	defer e.mu.RUnlock()
	ev := e.evaluation(ctx)
	defer ev.release()
	for _, group := range grouped(qs) {
		ev.group(qs, group, out)
	}
	return out
}

// grouped puts the questions that can share an evaluation one after another;
// usually they are.
func grouped(qs []Query) (groups [][]int) {
	order := make([]int, len(qs))
	for i := range order {
		order[i] = i
	}
	one := true
	for i := 1; i < len(qs) && one; i++ {
		one = sameGroup(&qs[0], &qs[i])
	}
	if one {
		return [][]int{order}
	}
	slices.SortStableFunc(order, func(a, b int) int { return strings.Compare(qs[a].User, qs[b].User) })
	for start := 0; start < len(order); {
		end := start + 1
		for end < len(order) && sameGroup(&qs[order[start]], &qs[order[end]]) {
			end++
		}
		groups = append(groups, order[start:end])
		start = end
	}
	return groups
}

func sameGroup(a, b *Query) bool {
	return a.User == b.User && len(a.Contextual) == len(b.Contextual) && (len(a.Contextual) == 0 || &a.Contextual[0] == &b.Contextual[0]) &&
		len(a.Context) == len(b.Context) && (len(a.Context) == 0 || reflect.ValueOf(a.Context).UnsafePointer() == reflect.ValueOf(b.Context).UnsafePointer())
}

var evaluations = sync.Pool{New: func() any { return new(evaluation) }}

// evaluation is ready for one batch, under the read lock of its caller.
func (e *Engine) evaluation(ctx context.Context) *evaluation {
	ev := evaluations.Get().(*evaluation)
	ev.ctx, ev.x, ev.lazy, ev.request, ev.steps = ctx, e.index, false, nil, 0
	return ev
}

func (e *evaluation) release() {
	e.ctx, e.x, e.request = nil, nil, nil
	e.over.clear() // it numbers objects as the index knew them
	clear(e.errs)
	if len(e.memo.entries) > 1<<16 {
		e.memo = memo{} // one large question must not hold its memory for ever
	}
	evaluations.Put(e)
}

// group answers questions of one user with one set of contextual tuples.
func (e *evaluation) group(qs []Query, which []int, out []Answer) {
	if len(which) == 0 {
		return
	}
	first := &qs[which[0]]
	err := e.begin(first.User, first.Context)
	if err == nil {
		err = fail(InvalidTuple, e.lay(first.Contextual))
		e.ask(first.User)
	}
	if err != nil {
		for _, i := range which {
			out[i].Err = err
		}
		return
	}
	e.todo = e.todo[:0]
	var last asked // mostly all ask for the same relation of the same type
	typ, relation := "", ""
	for _, i := range which {
		q := &qs[i]
		t, id := splitObject(q.Object)
		if t != typ || q.Relation != relation || id == "*" || !validObject(q.Object) {
			r, err := e.x.m.target(q.Object, q.Relation)
			if err != nil {
				out[i].Err = err
				typ = ""
				continue
			}
			typ, relation, last = t, q.Relation, asked{t: e.x.m.relations[r].typ, r: r}
		}
		last.i, last.id, last.hash = i, id, maphash.String(e.x.seed, id)
		e.todo = append(e.todo, last)
	}
	for i := range e.todo {
		a := &e.todo[i]
		a.entry = e.x.types[a.t].peek(a.hash)
	}
	for i := range e.todo {
		a := &e.todo[i]
		e.warm += e.x.types[a.t].touch(a.entry)
	}
	for i := range e.todo {
		a := &e.todo[i]
		node, ok := e.x.types[a.t].find(a.id, a.hash)
		if !ok {
			node = e.node(a.t, a.id)
		}
		out[a.i].Allowed, out[a.i].Err = e.check(node, a.r)
	}
	clear(e.todo)
}

// asked is one question of a group, on its way.
type asked struct {
	i           int
	t, r        uint16
	id          string
	hash, entry uint64
}

// begin sets up what all questions of a group share, but for the contextual
// tuples: lay comes next, and then ask.
func (e *evaluation) begin(user string, context map[string]any) (err error) {
	if err := e.x.m.checkUser(user); err != nil {
		return fail(Validation, fmt.Errorf("invalid user: %w", err))
	}
	e.request, err = plain(context)
	return fail(Validation, err)
}

// target finds the relation that is asked about.
func (m *Model) target(object, relation string) (uint16, error) {
	if err := m.checkTarget(object, relation); err != nil {
		return 0, fail(Validation, err)
	}
	r, _ := m.relation(m.types[typeOf(object)], relation)
	return r, nil
}
