package store

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Sealer encrypts a row bound to its place. The bound text is the row's whole
// key, so that a ciphertext moved to another row no longer opens.
type Sealer interface {
	Seal(associated, plaintext []byte) ([]byte, error)
	Open(associated, ciphertext []byte) ([]byte, error)
}

// Table is a typed view of the keys under Name. With a Sealer its rows are
// sealed before the store sees them; without one they are plain JSON. With a
// Memo rows that are read often are decoded once; whoever reads one must not
// change what it points to.
type Table[T any] struct {
	Name string
	Sealer
	Memo *Memo[T]
}

// Key joins parts into one key of this table. Parts are separated by a zero
// byte, and escaped, since some come from outside: no two lists of parts have
// one key.
func (t Table[T]) Key(parts ...string) []byte {
	key := t.Name
	for _, p := range parts {
		key += "\x00" + escape.Replace(p)
	}
	return []byte(key)
}

var escape = strings.NewReplacer("\x01", "\x01\x01", "\x00", "\x01\x02")

// Get reads one row, or ErrNotFound.
func (t Table[T]) Get(tx Tx, parts ...string) (T, error) {
	key := t.Key(parts...)
	data, err := tx.Get(key)
	if err != nil {
		var zero T
		return zero, err
	}
	return t.decode(key, data)
}

// Put writes one row.
func (t Table[T]) Put(tx Tx, row T, parts ...string) error {
	key := t.Key(parts...)
	data, err := json.Marshal(row)
	if err != nil {
		return fmt.Errorf("store: table %s: %w", t.Name, err)
	}
	if t.Sealer != nil {
		if data, err = t.Seal(key, data); err != nil {
			return fmt.Errorf("store: table %s: %w", t.Name, err)
		}
	}
	return tx.Put(key, data)
}

// Delete removes one row; a row that is not there is no error.
func (t Table[T]) Delete(tx Tx, parts ...string) error { return tx.Delete(t.Key(parts...)) }

// All calls fn for every row whose key begins with the given parts, in order.
func (t Table[T]) All(tx Tx, fn func(row T) error, parts ...string) error {
	from, to := Prefix(append(t.Key(parts...), 0))
	return tx.Scan(from, to, func(key, data []byte) error {
		row, err := t.decode(key, data)
		if err != nil {
			return err
		}
		return fn(row)
	})
}

// DeleteIf removes every row for which gone returns true. A row that no longer
// opens or parses is left alone.
func (t Table[T]) DeleteIf(tx Tx, gone func(row T) bool) error {
	var keys [][]byte
	from, to := Prefix([]byte(t.Name + "\x00"))
	err := tx.Scan(from, to, func(key, data []byte) error {
		if row, err := t.decode(key, data); err == nil && gone(row) {
			keys = append(keys, append([]byte(nil), key...))
		}
		return nil
	})
	for _, key := range keys {
		if err == nil {
			err = tx.Delete(key)
		}
	}
	return err
}

func (t Table[T]) decode(key, data []byte) (row T, err error) {
	if row, ok := t.Memo.get(key, data); ok {
		return row, nil
	}
	stored := data
	if t.Sealer != nil {
		if data, err = t.Open(key, data); err != nil {
			return row, fmt.Errorf("store: table %s: a row does not open in its place: it was damaged, moved or put there by hand: restore a backup: %w", t.Name, err)
		}
	}
	if err = json.Unmarshal(data, &row); err != nil {
		return row, fmt.Errorf("store: table %s: %w", t.Name, err)
	}
	t.Memo.put(key, stored, row)
	return row, nil
}
