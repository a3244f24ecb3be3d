package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"deputy/internal/store"
	"deputy/internal/store/storetest"
)

func TestMemory(t *testing.T) {
	storetest.Run(t, func(*testing.T, string) store.Store { return store.NewMemory() }, false)
}

func TestBolt(t *testing.T) {
	storetest.Run(t, openBolt, true)
}

func openBolt(t *testing.T, dir string) store.Store {
	s, err := store.OpenBolt(filepath.Join(dir, "deputy.db"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestLockedStoreNamesItsHolder(t *testing.T) {
	dir := t.TempDir()
	s := openBolt(t, dir)
	defer s.Close()
	_, err := store.OpenBolt(filepath.Join(dir, "deputy.db"))
	var locked *store.LockedError
	if !errors.As(err, &locked) {
		t.Fatalf("second open: %v, want a LockedError", err)
	}
	if runtime.GOOS == "linux" && locked.PID != os.Getpid() {
		t.Errorf("holder = %d, want this process, %d", locked.PID, os.Getpid())
	}
}

// A row changed by anyone, also behind the table's back, is decoded anew.
func TestMemoIsNeverStale(t *testing.T) {
	s := store.NewMemory()
	table := store.Table[[]int]{Name: "n", Memo: &store.Memo[[]int]{}}
	read := func() (row []int) {
		err := s.View(func(tx store.Tx) (err error) { row, err = table.Get(tx, "k"); return err })
		if err != nil {
			t.Fatal(err)
		}
		return row
	}
	for n := range 3 {
		if err := s.Update(func(tx store.Tx) error { return table.Put(tx, []int{n}, "k") }); err != nil {
			t.Fatal(err)
		}
		if got := read(); got[0] != n || read()[0] != n {
			t.Errorf("%v, want %d", got, n)
		}
	}
	if err := s.Update(func(tx store.Tx) error { return tx.Put(table.Key("k"), []byte("[7]")) }); err != nil {
		t.Fatal(err)
	}
	if got := read(); got[0] != 7 {
		t.Errorf("%v, want what is stored", got)
	}
	if err := s.Update(func(tx store.Tx) error { return table.Delete(tx, "k") }); err != nil {
		t.Fatal(err)
	}
	err := s.View(func(tx store.Tx) error { _, err := table.Get(tx, "k"); return err })
	if !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a deleted row: %v", err)
	}
}
