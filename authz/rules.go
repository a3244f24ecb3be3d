package authz

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"deputy/authz/fga"
	"deputy/internal/store"
)

// Rules are relationships under a model. They are the Engine, and what an
// operator reads and writes.
type Rules struct {
	backend Backend
	models  ModelKeeper
	model   atomic.Pointer[Model]
	writing sync.RWMutex // held by SetModel, shared by writers
}

// Open evaluates the tuples in s in this process. Without a model, it is the
// one that SetModel put there, or the built-in one. A stored tuple that the
// model has no place for is an error: it may be one that was to forbid
// something.
func Open(s store.Store, m *Model) (*Rules, error) {
	kept := &keptModels{store: s, fixed: m != nil}
	if m == nil {
		var err error
		if m, err = kept.current(); err != nil {
			return nil, err
		}
	}
	e, err := fga.Open(s, "authz", m.compiled)
	if err != nil {
		return nil, err
	}
	if stray := e.Stray(); len(stray) > 0 {
		return nil, fmt.Errorf("a stored tuple does not fit the model: %w: %w", ErrBadTuple, m.compiled.CheckTuple(stray[0]))
	}
	kept.engine = e
	r := &Rules{backend: e, models: kept}
	r.model.Store(m)
	return r, nil
}

// Over decides by what another backend keeps, under the model that it has in
// use.
func Over(b Backend, m Model, k ModelKeeper) *Rules {
	r := &Rules{backend: b, models: k}
	r.model.Store(&m)
	return r
}

// Narrowed implements Engine.
func (r *Rules) Narrowed() bool {
	e, here := r.backend.(*fga.Engine)
	return !here || e.Size() > 0 || r.Model().text != builtinText
}

// Version implements Engine.
func (r *Rules) Version() string { return r.Model().Version() }

// Model is the model in use.
func (r *Rules) Model() Model { return *r.model.Load() }

// Check answers one question about stored tuples and facts, for operators.
func (r *Rules) Check(ctx context.Context, t Tuple, facts Facts) (bool, error) {
	a := r.backend.BatchCheck(ctx, []fga.Query{r.query(t, facts)})
	if len(a) != 1 {
		return false, fmt.Errorf("authz: %d answers to one question", len(a))
	}
	if a[0].Err != nil {
		return false, explained(a[0].Err)
	}
	return a[0].Allowed, nil
}

func (r *Rules) query(t Tuple, facts Facts) fga.Query {
	return fga.Query{User: t.User, Relation: t.Relation, Object: string(t.Object), Contextual: r.Model().place(facts).fga(), Context: r.values()}
}

// Objects finds the objects of a type that a user stands in a relation to, at
// most limit if that is not 0.
func (r *Rules) Objects(ctx context.Context, user, relation, typ string, limit int) ([]string, error) {
	out, err := r.backend.ListObjects(ctx, fga.Query{User: user, Relation: relation, Object: typ, Context: r.values()}, limit)
	if err != nil {
		return nil, explained(err)
	}
	return out, nil
}

// Users finds who, of a type and perhaps of a relation of it ("group#member"),
// stands in a relation to an object.
func (r *Rules) Users(ctx context.Context, relation string, o Object, of fga.UserFilter) ([]string, error) {
	out, err := r.backend.ListUsers(ctx, fga.Query{Relation: relation, Object: string(o), Context: r.values()}, of)
	if err != nil {
		return nil, explained(err)
	}
	return out, nil
}

// Explain answers one question and says why.
func (r *Rules) Explain(ctx context.Context, t Tuple, facts Facts) (fga.Why, error) {
	why, err := fga.Explain(ctx, r.Model().compiled, r.backend, r.query(t, facts))
	if err != nil {
		return fga.Why{}, explained(err)
	}
	return why, nil
}

// Write adds and deletes tuples in one transaction: all or none. It returns
// when they are durable and the next decision uses them. Writing a tuple that
// is there, or deleting one that is not, is an error, as in OpenFGA.
func (r *Rules) Write(ctx context.Context, writes, deletes []Tuple) error {
	if len(writes)+len(deletes) == 0 {
		return nil
	}
	return r.WriteMany(ctx, writes, deletes, nil)
}

// WriteMany is Write for so many that a person wants to see how far it is.
func (r *Rules) WriteMany(ctx context.Context, writes, deletes []Tuple, progress func(done, of int)) error {
	r.writing.RLock()
	defer r.writing.RUnlock()
	if err := r.backend.Write(ctx, fga.Write{Writes: Facts(writes).fga(), Deletes: Facts(deletes).fga(), Progress: progress}); err != nil {
		return explained(err)
	}
	return nil
}

// pageOfTuples is how many tuples are asked of a backend at once.
const pageOfTuples = 10_000

// Read lists stored tuples; empty fields of the filter match everything, and
// an object without an id matches its type.
func (r *Rules) Read(ctx context.Context, filter Tuple) (out []Tuple, err error) {
	f := filter.fga()
	if f.Object != "" && filter.Object.Type() == f.Object {
		f.Object += ":"
	}
	for after := (*fga.Tuple)(nil); ; {
		found, err := r.backend.Read(ctx, f, after, pageOfTuples)
		if err != nil {
			return nil, explained(err)
		}
		for _, t := range found {
			out = append(out, tupleOf(t))
		}
		if len(found) < pageOfTuples {
			return out, nil
		}
		after = &found[len(found)-1]
	}
}
