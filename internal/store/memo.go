package store

import (
	"bytes"
	"sync"
)

// Memo remembers what rows decoded to, beside the very bytes they were decoded
// from. The store is still asked each time, and a row whose bytes changed is
// decoded again: a Memo saves work and can never be stale. The zero value is
// ready; a nil Memo remembers nothing.
type Memo[T any] struct {
	mu   sync.RWMutex
	rows map[string]memory[T]
}

type memory[T any] struct {
	stored []byte
	row    T
}

const maxMemo = 4096 // rows

func (m *Memo[T]) get(key, stored []byte) (row T, ok bool) {
	if m == nil {
		return row, false
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	known, ok := m.rows[string(key)]
	if !ok || !bytes.Equal(known.stored, stored) {
		return row, false
	}
	return known.row, true
}

func (m *Memo[T]) put(key, stored []byte, row T) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.rows == nil || len(m.rows) >= maxMemo {
		m.rows = map[string]memory[T]{}
	}
	m.rows[string(key)] = memory[T]{bytes.Clone(stored), row}
}

// Forget drops everything.
func (m *Memo[T]) Forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rows = nil
}
