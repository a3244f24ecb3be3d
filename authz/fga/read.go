package fga

import (
	"context"
	"errors"
	"strings"

	"deputy/internal/store"
)

// Read lists stored tuples in order. Empty fields of the filter match
// everything; an Object that ends in a colon matches its type. It begins after
// the tuple after, if that is not nil, and ends at the limit, if that is not 0.
func (e *Engine) Read(_ context.Context, filter Tuple, after *Tuple, limit int) (out []Tuple, err error) {
	err = e.store.View(func(tx store.Tx) error {
		out = nil
		return e.rows.all(tx, filter.Object, after, func(t Tuple) error {
			if (filter.User != "" && filter.User != t.User) || (filter.Relation != "" && filter.Relation != t.Relation) {
				return nil
			}
			out = append(out, t)
			if limit > 0 && len(out) == limit {
				return store.ErrStop
			}
			return nil
		})
	})
	return out, err
}

// ReadChanges lists what was written and deleted, oldest first, after the
// change numbered after. next is what to ask after to go on. A typ that is not
// empty keeps only changes of its objects.
func (e *Engine) ReadChanges(_ context.Context, typ string, after uint64, limit int) (out []Change, next uint64, err error) {
	err = e.store.View(func(tx store.Tx) error {
		out, next = nil, after
		last, err := e.rows.lastChange(tx)
		if err != nil {
			return err
		}
		for n := after + 1; n <= last && (limit == 0 || len(out) < limit); n++ {
			c, err := e.rows.changes().Get(tx, changeKey(n))
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
			next = n
			if err == nil && (typ == "" || strings.HasPrefix(c.Tuple.Object, typ+":")) {
				out = append(out, c)
			}
		}
		return nil
	})
	return out, next, err
}
