package fga

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"
	"unicode/utf8"

	"deputy/internal/store"
)

// maxContext bounds what one tuple may fix of its condition, in bytes of JSON.
const maxContext = 32 << 10

// Write is a change: deletes first, then writes; all or nothing.
type Write struct {
	Writes  []Tuple
	Deletes []Tuple // their conditions do not matter

	IgnoreDuplicates bool // writing what is there, with the same condition, is no error
	IgnoreMissing    bool // deleting what is not there is no error

	// Progress, if it is there, is told how many tuples of how many are laid
	// down. They are committed together, after the last.
	Progress func(done, of int)
}

func (w Write) progress(done, of int) {
	if w.Progress != nil {
		w.Progress(done, of)
	}
}

// Change is one line of what ReadChanges tells.
type Change struct {
	Tuple   Tuple     `json:"tuple"`
	Deleted bool      `json:"deleted,omitempty"`
	At      time.Time `json:"at"`
}

// Write changes tuples. It returns when the change is durable and the next
// decision is made on it.
func (e *Engine) Write(ctx context.Context, w Write) error {
	e.writing.Lock()
	defer e.writing.Unlock()
	conditions, err := e.validate(w)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	var done []Change // of the attempt that was committed
	held := false
	defer func() {
		if held {
			e.mu.Unlock()
		}
	}()
	err = e.store.Update(func(tx store.Tx) (err error) {
		if held { // the attempt before was not committed
			held = false
			e.mu.Unlock()
		}
		if done, err = e.apply(ctx, tx, w, time.Now().UTC()); err != nil {
			return err
		}
		e.mu.Lock()
		held = true
		return nil
	})
	if err != nil {
		e.unsure = e.unsure || held // the commit failed, as far as anybody knows
		return err
	}
	for _, c := range done {
		if c.Deleted {
			e.index.remove(c.Tuple.key())
			e.dropStray(c.Tuple.key())
		} else {
			e.index.insert(c.Tuple, conditions[c.Tuple.key()], false)
		}
	}
	if e.index.gone > 1<<16 && e.index.gone > e.index.size {
		_ = e.load(e.index.m) // objects that are gone give their room back; if not now, then at another write
	}
	return nil
}

// validate checks what can be checked without the store.
func (e *Engine) validate(w Write) (map[key]*bound, error) {
	if len(w.Writes)+len(w.Deletes) == 0 {
		return nil, fail(Validation, errors.New("invalid write: there is nothing to write or delete"))
	}
	m, seen, conditions := e.index.m, map[key]bool{}, map[key]*bound{}
	for _, t := range w.Deletes {
		if !validUserset(t.User) && !validObject(t.User) || t.Object == "" || t.Relation == "" || control(t.Object) || control(t.Relation) {
			return nil, fail(Validation, fmt.Errorf("%s: it is malformed", t))
		}
		if seen[t.key()] {
			return nil, fail(DuplicateTuple, fmt.Errorf("%s: it is in the request twice", t))
		}
		seen[t.key()] = true
	}
	for _, t := range w.Writes {
		if err := m.CheckTuple(t); err != nil {
			return nil, fail(Validation, err)
		}
		if !utf8.ValidString(t.User) || !utf8.ValidString(t.Object) {
			return nil, fail(Validation, fmt.Errorf("%s: it is not UTF-8", t))
		}
		if t.User == t.Object+"#"+t.Relation {
			return nil, fail(Validation, fmt.Errorf("%s: a userset is in itself: it needs no tuple", t))
		}
		if seen[t.key()] {
			return nil, fail(DuplicateTuple, fmt.Errorf("%s: it is in the request twice", t))
		}
		seen[t.key()] = true
		b, err := m.admit(t)
		if err != nil {
			return nil, err
		}
		if b != nil {
			if n := sizeOf(t.Condition); n > maxContext {
				return nil, fail(Validation, fmt.Errorf("%s: the context of its condition has %d bytes, more than %d", t, n, maxContext))
			}
			conditions[t.key()] = b
		}
	}
	return conditions, nil
}

// apply changes the rows in one transaction, and says what it changed. Rows are
// laid down in order of their keys: a million in any other order would take a
// B+tree, which splits its pages at the commit, hours.
func (e *Engine) apply(ctx context.Context, tx store.Tx, w Write, now time.Time) (done []Change, err error) {
	if done, err = e.changes(ctx, tx, w, now); err != nil {
		return nil, err
	}
	last, err := e.rows.lastChange(tx)
	if err != nil {
		return nil, err
	}
	for i, c := range done {
		if err := e.rows.changes().Put(tx, c, changeKey(last+1+uint64(i))); err != nil {
			return nil, err
		}
	}
	if err := e.rows.setLastChange(tx, last+uint64(len(done))); err != nil {
		return nil, err
	}
	ordered := slices.SortedStableFunc(slices.Values(done), func(a, b Change) int { return Compare(a.Tuple, b.Tuple) })
	for i, c := range ordered {
		if err = ended(ctx, i); err != nil {
			return nil, err
		}
		if c.Deleted {
			err = tx.Delete(e.rows.key(c.Tuple.key()))
		} else {
			err = e.rows.put(tx, c.Tuple)
		}
		if err != nil {
			return nil, err
		}
		w.progress(i+1, len(ordered))
	}
	return done, nil
}

// ended asks now and then whether anybody still waits.
func ended(ctx context.Context, i int) error {
	if i%1024 == 0 {
		return ctx.Err()
	}
	return nil
}

// changes is what a write comes to, by what is there.
func (e *Engine) changes(ctx context.Context, tx store.Tx, w Write, now time.Time) (done []Change, err error) {
	for i, t := range w.Deletes {
		old, there, err := e.rows.get(tx, t.key())
		switch {
		case err != nil:
			return nil, err
		case !there && w.IgnoreMissing:
			continue
		case !there:
			return nil, fail(WriteRefused, fmt.Errorf("%s: there is no such tuple to delete", t))
		}
		if err := ended(ctx, i); err != nil {
			return nil, err
		}
		done = append(done, Change{old, true, now})
	}
	for i, t := range w.Writes {
		old, there, err := e.rows.get(tx, t.key())
		switch {
		case err != nil:
			return nil, err
		case there && w.IgnoreDuplicates && sameCondition(old.Condition, t.Condition):
			continue
		case there && w.IgnoreDuplicates:
			return nil, fail(WriteConflict, fmt.Errorf("%s: it is already there, with another condition", t))
		case there:
			return nil, fail(WriteRefused, fmt.Errorf("%s: it is already there", t))
		}
		if err := ended(ctx, i); err != nil {
			return nil, err
		}
		done = append(done, Change{t, false, now})
	}
	return done, nil
}

func sameCondition(a, b *Condition) bool {
	if a == nil || b == nil {
		return a == b
	}
	x, err := plain(a.Context)
	y, err2 := plain(b.Context)
	return a.Name == b.Name && err == nil && err2 == nil && reflect.DeepEqual(x, y)
}

func (e *Engine) dropStray(k key) {
	for i, t := range e.stray {
		if t.key() == k {
			e.stray = append(e.stray[:i:i], e.stray[i+1:]...)
			return
		}
	}
}

func sizeOf(c *Condition) int {
	text, err := json.Marshal(c.Context)
	if err != nil {
		return maxContext + 1
	}
	return len(text)
}
