package seal_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"deputy/internal/seal"
	"deputy/internal/store"
)

func kek(t *testing.T, fill byte) seal.KEK {
	t.Helper()
	k, err := seal.NewKEK(bytes.Repeat([]byte{fill}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestSealedRowsAreBoundToTheirPlace(t *testing.T) {
	box, err := seal.Open(t.TempDir(), kek(t, 1))
	if err != nil {
		t.Fatal(err)
	}
	type row struct{ Secret string }
	rows := store.Table[row]{Name: "grants", Sealer: box}
	s := store.NewMemory()
	err = s.Update(func(tx store.Tx) error {
		if err := rows.Put(tx, row{"of anna"}, "anna"); err != nil {
			return err
		}
		data, _ := tx.Get(rows.Key("anna"))
		if bytes.Contains(data, []byte("of anna")) {
			t.Error("the store sees the plaintext")
		}
		if got, err := rows.Get(tx, "anna"); err != nil || got.Secret != "of anna" {
			t.Errorf("own row: %v, %v", got, err)
		}
		return tx.Put(rows.Key("bo"), data) // T37: ciphertext of row A copied to B
	})
	if err != nil {
		t.Fatal(err)
	}
	err = s.View(func(tx store.Tx) error { _, err := rows.Get(tx, "bo"); return err })
	if err == nil {
		t.Error("anna's row opened in bo's place")
	}
}

func TestWrongKeyRefusesAndTouchesNothing(t *testing.T) {
	dir := t.TempDir()
	if _, err := seal.Open(dir, kek(t, 1)); err != nil {
		t.Fatal(err)
	}
	before := snapshot(t, dir)
	if _, err := seal.Open(dir, kek(t, 2)); !errors.Is(err, seal.ErrWrongKey) {
		t.Errorf("wrong key: %v, want ErrWrongKey", err)
	}
	if after := snapshot(t, dir); after != before {
		t.Error("a refused start changed the keys")
	}
	ks := filepath.Join(dir, "keyset.json")
	data, _ := os.ReadFile(ks)
	os.WriteFile(ks, data[:len(data)/2], 0o600) // T37: truncated keyset
	if _, err := seal.Open(dir, kek(t, 1)); err == nil {
		t.Error("a truncated keyset opened")
	}
}

func TestReopen(t *testing.T) {
	dir := t.TempDir()
	a, err := seal.Open(dir, kek(t, 1))
	if err != nil {
		t.Fatal(err)
	}
	ct, err := a.Seal([]byte("ad"), []byte("hello"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := seal.Open(dir, kek(t, 1))
	if err != nil {
		t.Fatal(err)
	}
	if pt, err := b.Open([]byte("ad"), ct); err != nil || string(pt) != "hello" {
		t.Errorf("after reopening: %q, %v", pt, err)
	}
	if !bytes.Equal(a.Key("x"), b.Key("x")) || bytes.Equal(a.Key("x"), a.Key("y")) {
		t.Error("derived keys must depend on the purpose and on nothing else")
	}
}

func TestFindKEK(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return "file:" + p
	}
	t.Setenv("GOOD_KEY", strings.Repeat("ab", 32))
	for _, c := range []struct{ ref, want string }{
		{write("good", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n", 0o600), ""},
		{"env:GOOD_KEY", ""},
		{"env:NO_SUCH_KEY", "environment has no NO_SUCH_KEY"},
		{"file:" + filepath.Join(dir, "missing"), "make one with"},
		{write("open", strings.Repeat("ab", 32), 0o644), "chmod 600"},
		{write("short", "AAEC", 0o600), "32 bytes"},
		{write("noise", "not a key!", 0o600), "neither base64 nor hex"},
		{"", "want keyring:NAME"},
		{"plaintext:", "want keyring:NAME"},
		{"vault:x", "want keyring:NAME"},
	} {
		k, err := seal.Finder{Dir: dir, Fresh: true}.Find(c.ref)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.ref, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want %q", c.ref, err, c.want)
		}
		if s := fmt.Sprintf("%v %+v %#v", k, k, k); strings.Contains(s, "171") || strings.Contains(s, "ab") {
			t.Errorf("the key prints: %s", s)
		}
	}
}

func snapshot(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		data, _ := os.ReadFile(filepath.Join(dir, e.Name()))
		all.WriteString(e.Name())
		all.Write(data)
	}
	return all.String()
}
