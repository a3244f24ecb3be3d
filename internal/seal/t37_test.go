package seal_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"deputy/internal/seal"
	"deputy/internal/store"
)

// What follows are the ways to put the wrong thing in the right place. Each is
// refused with what is wrong and what to do, and nothing changes.

func refuses(t *testing.T, dir string, k seal.KEK, want ...string) {
	t.Helper()
	before := snapshot(t, dir)
	_, err := seal.Open(dir, k)
	if err == nil {
		t.Fatal("it opened")
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%v, want %q", err, w)
		}
	}
	if snapshot(t, dir) != before {
		t.Error("a refused start changed the keys")
	}
}

func made(t *testing.T, k seal.KEK) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if _, err := seal.Open(dir, k); err != nil {
		t.Fatal(err)
	}
	return dir
}

func read(t *testing.T, dir, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestT37WrongKEK(t *testing.T) {
	dir := made(t, kek(t, 1))
	refuses(t, dir, kek(t, 2), "does not open this home's keyset")
	if _, err := seal.Open(dir, kek(t, 2)); !errors.Is(err, seal.ErrWrongKey) {
		t.Errorf("%v, want ErrWrongKey", err)
	}
}

func TestT37TruncatedKeyset(t *testing.T) {
	whole := read(t, made(t, kek(t, 1)), "keyset.json")
	for _, n := range []int{0, 1, len(whole) / 2, len(whole) - 1} {
		dir := made(t, kek(t, 1))
		writeKey(t, dir, "keyset.json", whole[:n])
		refuses(t, dir, kek(t, 1), "keyset.json is cut short or damaged", "put back a copy")
	}
}

func TestT37KeysetOfAnotherHome(t *testing.T) {
	dir := made(t, kek(t, 1))
	writeKey(t, dir, "keyset.json", read(t, made(t, kek(t, 2)), "keyset.json"))
	refuses(t, dir, kek(t, 1), "does not open this home's keyset")
	// Two homes under one key: then their root secrets tell them apart.
	writeKey(t, dir, "keyset.json", read(t, made(t, kek(t, 1)), "keyset.json"))
	refuses(t, dir, kek(t, 1), "of another home than keys/keyset.json", "put back the two files of one home")
}

func TestT37RootSwapped(t *testing.T) {
	dir := made(t, kek(t, 1))
	writeKey(t, dir, "root.sealed", read(t, made(t, kek(t, 1)), "root.sealed"))
	refuses(t, dir, kek(t, 1), "root.sealed is damaged or of another home", "put back the two files of one home")
}

func TestT37RowCopiedToAnother(t *testing.T) {
	s := newScene(t, 2)
	err := s.store.Update(func(tx store.Tx) error {
		a, err := tx.Get(s.rows.Key("0"))
		if err != nil {
			return err
		}
		return tx.Put(s.rows.Key("1"), bytes.Clone(a))
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.read(0); err != nil {
		t.Error(err)
	}
	err = s.read(1)
	if err == nil || !strings.Contains(err.Error(), "damaged, moved or put there by hand: restore a backup") {
		t.Errorf("row 0 in the place of row 1: %v", err)
	}
	// Nor does a rotation make it good.
	if _, err := s.box.Rotate(); err != nil {
		t.Fatal(err)
	}
	if n, closed, err := store.Reseal(t.Context(), s.store, s.box); n != 1 || closed != 1 || err != nil {
		t.Errorf("%d sealed anew, %d do not open, %v", n, closed, err)
	}
	if s.read(1) == nil {
		t.Error("a rotation opened it")
	}
}
