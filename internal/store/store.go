// Package store keeps deputy's state: ordered byte keys, transactions, and
// nothing else.
//
// Seven methods are the whole interface (View, Update and Close on a Store;
// Get, Put, Delete and Scan on a Tx), so that a back end is a page of code and
// one suite, storetest, judges all of them. What the bytes mean belongs to the
// packages above; Table gives each of them typed rows, sealed if it asks.
package store

import "errors"

// ErrNotFound is returned by Tx.Get and Table.Get for a key that is not there.
var ErrNotFound = errors.New("store: not found")

// ErrStop ends a Scan early without failing it.
var ErrStop = errors.New("store: stop")

// Store is a set of ordered keys changed by serializable transactions.
type Store interface {
	// View runs fn on a consistent snapshot. fn must not keep what it was
	// handed after it returns.
	View(fn func(Tx) error) error

	// Update runs fn and commits durably if it returns nil; otherwise nothing
	// changes. A back end may run fn more than once, so fn must not have
	// effects outside the transaction.
	Update(fn func(Tx) error) error

	Close() error
}

// Tx is one transaction. Slices it hands out are valid until it ends; slices
// it is given are copied or written before the call returns.
type Tx interface {
	Get(key []byte) ([]byte, error)
	Put(key, value []byte) error
	Delete(key []byte) error

	// Scan calls fn for each key in [from, to) in byte order; a nil to means
	// the end. fn must not change the store; ErrStop from fn ends the scan.
	Scan(from, to []byte, fn func(key, value []byte) error) error
}

// Prefix returns the range of all keys that begin with p.
func Prefix(p []byte) (from, to []byte) {
	to = append([]byte(nil), p...)
	for i := len(to) - 1; i >= 0; i-- {
		if to[i] < 0xff {
			to[i]++
			return p, to[:i+1]
		}
	}
	return p, nil
}
