package authz

import (
	"context"
	"fmt"

	"deputy/authz/fga"
	"deputy/internal/store"
)

// Embedded is the Engine in this process: authz/fga over the stored tuples.
type Embedded struct {
	dsl   string
	model *fga.Model
	fga   *fga.Engine
}

// Open loads the tuples from s and evaluates them under the model, given in
// the OpenFGA language or its JSON; an empty dsl means the built-in model. A
// stored tuple that the model has no place for is an error: it may be one that
// was to forbid something.
func Open(s store.Store, dsl string) (*Embedded, error) {
	if dsl == "" {
		dsl = builtinModel
	}
	m, err := fga.ParseModel(dsl)
	if err != nil {
		return nil, err
	}
	e := &Embedded{dsl: dsl, model: m}
	if e.fga, err = fga.Open(s, "authz", m); err != nil {
		return nil, err
	}
	if stray := e.fga.Stray(); len(stray) > 0 {
		return nil, fmt.Errorf("a stored tuple does not fit the model: %w: %w", ErrBadTuple, m.CheckTuple(stray[0]))
	}
	return e, nil
}

// Narrowed implements Engine.
func (e *Embedded) Narrowed() bool { return e.fga.Size() > 0 || e.dsl != builtinModel }

// Version implements Engine.
func (e *Embedded) Version() string { return versionOf(e.dsl) }

// Model is the text of the model in use, in the OpenFGA language.
func (e *Embedded) Model() string { return e.dsl }

// Check answers one question about stored tuples and facts, for operators.
func (e *Embedded) Check(ctx context.Context, t Tuple, facts Facts) (bool, error) {
	ok, err := e.fga.Check(ctx, fga.Query{User: t.User, Relation: t.Relation, Object: string(t.Object), Contextual: facts.tuples()})
	return ok, explained(err)
}

// Write adds and deletes tuples in one transaction: all or none. It returns
// when they are durable and the next decision uses them. Writing a tuple that
// is there, or deleting one that is not, is an error, as in OpenFGA.
func (e *Embedded) Write(ctx context.Context, writes, deletes []Tuple) error {
	if len(writes)+len(deletes) == 0 {
		return nil
	}
	return explained(e.fga.Write(ctx, fga.Write{Writes: Facts(writes).tuples(), Deletes: Facts(deletes).tuples()}))
}

// Read lists stored tuples; empty fields of the filter match everything, and
// an object without an id matches its type.
func (e *Embedded) Read(ctx context.Context, filter Tuple) (out []Tuple, err error) {
	f := fga.Tuple{User: filter.User, Relation: filter.Relation, Object: string(filter.Object)}
	if filter.Object != "" && filter.Object.Type() == f.Object {
		f.Object += ":"
	}
	found, err := e.fga.Read(ctx, f, nil, 0)
	for _, t := range found {
		out = append(out, Tuple{t.User, t.Relation, Object(t.Object)})
	}
	return out, err
}

func (fs Facts) tuples() []fga.Tuple {
	if len(fs) == 0 {
		return nil
	}
	out := make([]fga.Tuple, len(fs))
	for i, t := range fs {
		out[i] = fga.Tuple{User: t.User, Relation: t.Relation, Object: string(t.Object)}
	}
	return out
}

// explained marks what is wrong with the question or the tuple itself.
func explained(err error) error {
	switch fga.KindOf(err) {
	case fga.Internal, fga.TooComplex:
		return err
	}
	return fmt.Errorf("%w: %w", ErrBadTuple, err)
}

// asking collects the questions of one decision, so that all of them are
// answered on one state. A question about a relation that the object's type
// lacks has the answer no, and is not asked.
type asking struct {
	model *fga.Model
	facts []fga.Tuple
	qs    []fga.Query
	to    []*bool
}

func (a *asking) ask(user Object, relation string, objects []Object) []bool {
	out := make([]bool, len(objects))
	for i, o := range objects {
		if a.model.Lookup(o.Type(), relation) {
			a.qs = append(a.qs, fga.Query{User: string(user), Relation: relation, Object: string(o), Contextual: a.facts})
			a.to = append(a.to, &out[i])
		}
	}
	return out
}

func (a *asking) answer(ctx context.Context, e *fga.Engine) error {
	for i, answer := range e.BatchCheck(ctx, a.qs) {
		if answer.Err != nil {
			return explained(answer.Err)
		}
		*a.to[i] = answer.Allowed
	}
	return nil
}
