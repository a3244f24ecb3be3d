package store

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"sync"
)

// Memory is a Store for tests: it forgets everything when it is closed.
type Memory struct {
	mu     sync.RWMutex
	rows   map[string][]byte
	closed bool
}

// ErrClosed is returned by a store that has been closed.
var ErrClosed = errors.New("store: closed")

// NewMemory returns an empty Memory.
func NewMemory() *Memory { return &Memory{rows: map[string][]byte{}} }

func (m *Memory) View(fn func(Tx) error) error {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return ErrClosed
	}
	return fn(memoryTx{rows: m.rows, readOnly: true})
}

// Update works on a copy, so that a failed fn leaves nothing behind.
func (m *Memory) Update(fn func(Tx) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return ErrClosed
	}
	rows := maps.Clone(m.rows)
	if err := fn(memoryTx{rows: rows}); err != nil {
		return err
	}
	m.rows = rows
	return nil
}

func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	return nil
}

type memoryTx struct {
	rows     map[string][]byte
	readOnly bool
}

// ErrReadOnly is returned for a write inside View.
var ErrReadOnly = errors.New("store: write in a read-only transaction")

func (t memoryTx) Get(key []byte) ([]byte, error) {
	v, ok := t.rows[string(key)]
	if !ok {
		return nil, ErrNotFound
	}
	return bytes.Clone(v), nil
}

func (t memoryTx) Put(key, value []byte) error {
	if t.readOnly {
		return ErrReadOnly
	}
	t.rows[string(key)] = bytes.Clone(value)
	return nil
}

func (t memoryTx) Delete(key []byte) error {
	if t.readOnly {
		return ErrReadOnly
	}
	delete(t.rows, string(key))
	return nil
}

func (t memoryTx) Scan(from, to []byte, fn func(key, value []byte) error) error {
	keys := slices.Sorted(maps.Keys(t.rows))
	i, _ := slices.BinarySearch(keys, string(from))
	for _, k := range keys[i:] {
		if to != nil && k >= string(to) {
			break
		}
		if err := fn([]byte(k), bytes.Clone(t.rows[k])); err != nil {
			if errors.Is(err, ErrStop) {
				return nil
			}
			return err
		}
	}
	return nil
}
