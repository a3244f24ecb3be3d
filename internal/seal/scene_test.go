package seal_test

import (
	"fmt"
	"path/filepath"
	"strconv"
	"testing"

	"deputy/internal/seal"
	"deputy/internal/store"
)

// scene is a home's keys and store, with rows in them.
type scene struct {
	dir   string
	box   *seal.Box
	store store.Store
	rows  store.Table[row]
	plain store.Table[row]
}

type row struct{ Secret string }

func newScene(t testing.TB, rows int) *scene {
	t.Helper()
	s := &scene{dir: t.TempDir()}
	s.reopen(t)
	var err error
	if s.store, err = store.OpenBolt(filepath.Join(s.dir, "deputy.db")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.store.Close() })
	err = s.store.Update(func(tx store.Tx) error {
		for i := range rows {
			if err := s.rows.Put(tx, row{"secret " + strconv.Itoa(i)}, strconv.Itoa(i)); err != nil {
				return err
			}
		}
		return s.plain.Put(tx, row{"not sealed"}, "x")
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// reopen reads the keys from their files, as the next process does.
func (s *scene) reopen(t testing.TB) {
	t.Helper()
	k, err := seal.NewKEK(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	if s.box, err = seal.Open(s.dir, k); err != nil {
		t.Fatal(err)
	}
	s.rows = store.Table[row]{Name: "rows", Sealer: s.box}
	s.plain = store.Table[row]{Name: "plain"}
}

// rotate does what "deputy keys rotate" does.
func (s *scene) rotate(t testing.TB) (gone []uint32) {
	t.Helper()
	if _, err := s.box.Rotate(); err != nil {
		t.Fatal(err)
	}
	if _, closed, err := store.Reseal(t.Context(), s.store, s.box); err != nil || closed > 0 {
		t.Fatalf("%d rows do not open, %v", closed, err)
	}
	gone, err := s.box.Destroy(s.count(t))
	if err != nil {
		t.Fatal(err)
	}
	return gone
}

func (s *scene) count(t testing.TB) map[uint32]int {
	t.Helper()
	rows, err := store.SealedRows(s.store, s.box)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func (s *scene) read(i int) error {
	return s.store.View(func(tx store.Tx) error {
		got, err := s.rows.Get(tx, strconv.Itoa(i))
		if err == nil && got.Secret != "secret "+strconv.Itoa(i) {
			err = fmt.Errorf("row %d says %q", i, got.Secret)
		}
		return err
	})
}
