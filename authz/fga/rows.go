package fga

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"deputy/internal/store"
)

// rows are the tuples in the store, one a row. The key is the tuple; the value
// holds its condition, if it has one, and is an empty object otherwise.
type rows struct{ name string }

func (r rows) table() store.Table[struct{}] { return store.Table[struct{}]{Name: r.name + "/tuple"} }

func (r rows) key(k key) []byte { return r.table().Key(k.object, k.relation, k.user) }

func (r rows) get(tx store.Tx, k key) (Tuple, bool, error) {
	value, err := tx.Get(r.key(k))
	if errors.Is(err, store.ErrNotFound) {
		return Tuple{}, false, nil
	}
	if err != nil {
		return Tuple{}, false, err
	}
	t := Tuple{User: k.user, Relation: k.relation, Object: k.object}
	t.Condition, err = readCondition(value)
	return t, true, err
}

func (r rows) put(tx store.Tx, t Tuple) error {
	value := []byte("{}")
	if t.Condition != nil {
		var err error
		if value, err = json.Marshal(row{t.Condition}); err != nil {
			return err
		}
	}
	return tx.Put(r.key(t.key()), value)
}

type row struct {
	Condition *Condition `json:"condition"`
}

func readCondition(value []byte) (*Condition, error) {
	if len(value) <= 2 {
		return nil, nil
	}
	var in row
	if err := json.Unmarshal(value, &in); err != nil {
		return nil, fmt.Errorf("fga: a stored tuple is damaged: %w", err)
	}
	return in.Condition, nil
}

// all calls fn for the tuples of an object, of a type ("doc:"), or for all
// ("") in order of their keys, after the tuple after, if that is not nil.
func (r rows) all(tx store.Tx, object string, after *Tuple, fn func(Tuple) error) error {
	prefix := r.table().Key("")
	if object != "" {
		prefix = r.table().Key(object)
		if !strings.HasSuffix(object, ":") {
			prefix = append(prefix, 0)
		}
	}
	var last Tuple
	from, to := store.Prefix(prefix)
	if after != nil {
		if next := append(r.key(after.key()), 0); bytes.Compare(next, from) > 0 {
			from = next
		}
	}
	skip := len(r.table().Key(""))
	return tx.Scan(from, to, func(k, value []byte) (err error) {
		t, err := splitKey(string(k[skip:]))
		if err != nil {
			return err
		}
		if t.Object == last.Object { // one string for all of an object's tuples
			t.Object = last.Object
		}
		if t.Condition, err = readCondition(value); err != nil {
			return err
		}
		last = t
		return fn(t)
	})
}

// splitKey undoes Table.Key. A tuple that was admitted holds no control
// character, so its key holds no escapes.
func splitKey(k string) (Tuple, error) {
	object, rest, _ := strings.Cut(k, "\x00")
	relation, user, ok := strings.Cut(rest, "\x00")
	if !ok || control(object) || control(relation) || control(user) {
		return Tuple{}, fmt.Errorf("fga: a stored key is no tuple: %q", k)
	}
	return Tuple{User: user, Relation: relation, Object: object}, nil
}

// Changes are kept beside, numbered from 1.

func (r rows) changes() store.Table[Change] { return store.Table[Change]{Name: r.name + "/change"} }

func changeKey(n uint64) string { return fmt.Sprintf("%016x", n) }

// lastChange is a row of its own, since a store is read forwards only.
func (r rows) lastChange(tx store.Tx) (uint64, error) {
	value, err := tx.Get([]byte(r.name + "/changes"))
	if errors.Is(err, store.ErrNotFound) {
		return 0, nil
	}
	if err != nil || len(value) != 8 {
		return 0, errors.Join(err, errors.New("fga: the number of changes cannot be read"))
	}
	return binary.BigEndian.Uint64(value), nil
}

func (r rows) setLastChange(tx store.Tx, n uint64) error {
	return tx.Put([]byte(r.name+"/changes"), binary.BigEndian.AppendUint64(nil, n))
}
