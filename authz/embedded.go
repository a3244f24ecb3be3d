package authz

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"deputy/internal/store"
)

// Embedded is the Engine in this process: an index over the stored tuples.
type Embedded struct {
	store store.Store

	mu     sync.RWMutex
	model  *model
	stored map[node][]string // sorted users by object and relation
}

var tuples = store.Table[Tuple]{Name: "authz/tuple"}

// Open loads the tuples from s and evaluates them under the model, given in
// the OpenFGA language; an empty dsl means the built-in model.
func Open(s store.Store, dsl string) (*Embedded, error) {
	if dsl == "" {
		dsl = builtinModel
	}
	m, err := parseModel(dsl)
	if err != nil {
		return nil, err
	}
	e := &Embedded{store: s, model: m, stored: map[node][]string{}}
	err = s.View(func(tx store.Tx) error {
		return tuples.All(tx, func(t Tuple) error {
			if err := m.admits(t); err != nil {
				return fmt.Errorf("a stored tuple does not fit the model: %w", err)
			}
			e.insert(t)
			return nil
		})
	})
	return e, err
}

// Narrowed implements Engine.
func (e *Embedded) Narrowed() bool {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return len(e.stored) > 0 || e.model.dsl != builtinModel
}

// Version implements Engine.
func (e *Embedded) Version() string {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.model.version
}

// Model is the text of the model in use, in the OpenFGA language.
func (e *Embedded) Model() string { return e.model.dsl }

// Check answers one question about stored tuples and facts, for operators.
func (e *Embedded) Check(_ context.Context, t Tuple, facts Facts) (bool, error) {
	if relations := e.model.types[t.Object.Type()]; relations == nil || relations[t.Relation] == nil {
		return false, fmt.Errorf("%w: %s: the model has no relation %q on type %q", ErrBadTuple, t, t.Relation, t.Object.Type())
	}
	ok := make([]bool, 1)
	err := e.batch(t.User, t.Relation, []Object{t.Object}, facts, ok)
	return ok[0], err
}

// batch checks one user and relation on many objects under one read lock, so
// that all answers belong to one state.
func (e *Embedded) batch(user, relation string, objects []Object, facts Facts, out []bool) error {
	e.mu.RLock()
	defer e.mu.RUnlock()
	ev := &evaluation{
		model: e.model, stored: e.stored, user: user,
		facts: map[node][]string{}, memo: map[node]bool{}, onPath: map[node]bool{},
	}
	for _, t := range facts {
		if err := e.model.admits(t); err != nil {
			return fmt.Errorf("a fact does not fit the model: %w", err)
		}
		n := node{t.Object, t.Relation}
		ev.facts[n] = append(ev.facts[n], t.User)
	}
	for i, o := range objects {
		v, err := ev.check(node{o, relation}, 0)
		if err != nil {
			return err
		}
		out[i] = v.yes
	}
	return nil
}

// Write adds and deletes tuples in one transaction: all or none. It returns
// when they are durable and the next decision uses them. Writing a tuple that
// is there, or deleting one that is not, is an error, as in OpenFGA.
func (e *Embedded) Write(_ context.Context, writes, deletes []Tuple) error {
	e.mu.Lock() // no decision falls between the commit and the index
	defer e.mu.Unlock()
	for _, t := range writes {
		if err := e.model.admits(t); err != nil {
			return err
		}
	}
	err := e.store.Update(func(tx store.Tx) error {
		for _, t := range deletes {
			if _, err := tuples.Get(tx, t.key()...); errors.Is(err, store.ErrNotFound) {
				return fmt.Errorf("%w: %s: there is no such tuple to delete", ErrBadTuple, t)
			} else if err != nil {
				return err
			}
			if err := tuples.Delete(tx, t.key()...); err != nil {
				return err
			}
		}
		for _, t := range writes {
			if _, err := tuples.Get(tx, t.key()...); err == nil {
				return fmt.Errorf("%w: %s: it is already there", ErrBadTuple, t)
			} else if !errors.Is(err, store.ErrNotFound) {
				return err
			}
			if err := tuples.Put(tx, t, t.key()...); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, t := range deletes {
		e.remove(t)
	}
	for _, t := range writes {
		e.insert(t)
	}
	return nil
}

// Read lists stored tuples; empty fields of the filter match everything.
func (e *Embedded) Read(_ context.Context, filter Tuple) ([]Tuple, error) {
	var out []Tuple
	err := e.store.View(func(tx store.Tx) error {
		return tuples.All(tx, func(t Tuple) error {
			if (filter.User == "" || filter.User == t.User) &&
				(filter.Relation == "" || filter.Relation == t.Relation) &&
				(filter.Object == "" || filter.Object == t.Object || string(filter.Object) == t.Object.Type()) {
				out = append(out, t)
			}
			return nil
		})
	})
	return out, err
}

func (t Tuple) key() []string { return []string{string(t.Object), t.Relation, t.User} }

func (e *Embedded) insert(t Tuple) {
	n := node{t.Object, t.Relation}
	if i, found := slices.BinarySearch(e.stored[n], t.User); !found {
		e.stored[n] = slices.Insert(e.stored[n], i, t.User)
	}
}

func (e *Embedded) remove(t Tuple) {
	n := node{t.Object, t.Relation}
	if i, found := slices.BinarySearch(e.stored[n], t.User); found {
		e.stored[n] = slices.Delete(e.stored[n], i, i+1)
	}
}
