package seal_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"deputy/internal/seal"
)

func says(text string) func(bool) (string, error) {
	return func(bool) (string, error) { return text, nil }
}

func TestPassphrase(t *testing.T) {
	const right = "correct horse battery"
	dir := t.TempDir()
	find := func(fresh bool, text string) (seal.KEK, error) {
		return seal.Finder{Dir: dir, Fresh: fresh, Passphrase: says(text)}.Find("passphrase")
	}
	if _, err := find(false, right); err == nil || !strings.Contains(err.Error(), "passphrase.json is not there") {
		t.Errorf("without its salt: %v", err)
	}
	if _, err := find(true, "too short"); err == nil || !strings.Contains(err.Error(), "at least 12") {
		t.Errorf("short: %v", err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) > 0 {
		t.Errorf("a refusal left %v", entries)
	}
	first, err := find(true, right)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(dir, "passphrase.json")); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("passphrase.json: %v, %v", info, err)
	}
	if _, err := seal.Open(dir, first); err != nil {
		t.Fatal(err)
	}
	again, err := find(false, right)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := seal.Open(dir, again); err != nil {
		t.Errorf("the same passphrase: %v", err)
	}
	before := snapshot(t, dir)
	wrong, err := find(false, right+"!")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := seal.Open(dir, wrong); !errors.Is(err, seal.ErrWrongKey) {
		t.Errorf("a wrong passphrase: %v, want ErrWrongKey", err)
	}
	if snapshot(t, dir) != before {
		t.Error("a wrong passphrase changed the keys")
	}
}

// TestPassphraseParametersAreBounded: a changed file neither exhausts the
// machine nor makes a key that is cheap to guess.
func TestPassphraseParametersAreBounded(t *testing.T) {
	const salt = `"salt":"AAECAwQFBgcICQoLDA0ODw=="`
	for _, text := range []string{
		``, `{}`, `[]`,
		`{"algorithm":"argon2id","time":0,"memory_kib":65536,"threads":2,` + salt + `}`,
		`{"algorithm":"argon2id","time":4000000000,"memory_kib":65536,"threads":2,` + salt + `}`,
		`{"algorithm":"argon2id","time":3,"memory_kib":8,"threads":2,` + salt + `}`,
		`{"algorithm":"argon2id","time":3,"memory_kib":4294967295,"threads":2,` + salt + `}`,
		`{"algorithm":"argon2id","time":3,"memory_kib":65536,"threads":0,` + salt + `}`,
		`{"algorithm":"argon2id","time":3,"memory_kib":65536,"threads":2,"salt":""}`,
		`{"algorithm":"argon2i","time":3,"memory_kib":65536,"threads":2,` + salt + `}`,
	} {
		dir := t.TempDir()
		writeKey(t, dir, "passphrase.json", []byte(text))
		_, err := seal.Finder{Dir: dir, Fresh: true, Passphrase: says("correct horse battery")}.Find("passphrase")
		if err == nil || !strings.Contains(err.Error(), "passphrase.json") || !strings.Contains(err.Error(), "put back a copy") {
			t.Errorf("%s: %v", text, err)
		}
	}
}
