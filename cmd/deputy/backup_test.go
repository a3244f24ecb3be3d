package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"
)

func newIdentity(t *testing.T) (file, recipient string) {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return writeFile(t, filepath.Join(t.TempDir(), "identity"), id.String()+"\n"), id.Recipient().String()
}

// TestBackupRoundTrip exports a running home and one that no process has, and
// makes another from it, under another key.
func TestBackupRoundTrip(t *testing.T) {
	t.Parallel()
	identity, recipient := newIdentity(t)
	running := newHouse(t)
	out, errs, code := running.run("keys", "export", "--to", recipient)
	if code != exitDone || !strings.HasPrefix(out, "age-encryption.org/v1\n") {
		t.Fatalf("exit %d: %.40q%s", code, out, errs)
	}
	fromPipe := writeFile(t, filepath.Join(t.TempDir(), "piped.age"), out)

	h := newSealedHome(t, 2_000)
	h.run(t, "keys", "rotate") // two keys
	file := filepath.Join(t.TempDir(), "backup.age")
	if _, errs, code := h.run(t, "keys", "export", "--to", recipient, file); code != exitDone {
		t.Fatal(errs)
	}
	if info, err := os.Stat(file); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	before, _ := os.ReadFile(file)
	_, errs, code = h.run(t, "keys", "export", "--to", recipient, file)
	if after, _ := os.ReadFile(file); code != exitFailed || !strings.Contains(errs, "is not overwritten") || !bytes.Equal(before, after) {
		t.Errorf("over a file: exit %d: %s", code, errs)
	}
	if _, errs, code := h.run(t, "keys", "export"); code != exitUsage || !strings.Contains(errs, "--to age1") {
		t.Errorf("for nobody: exit %d: %s", code, errs)
	}

	other := []string{"DEPUTY_TEST_KEY=" + strings.Repeat("cd", 32)}
	for i, from := range []string{file, fromPipe} {
		to := filepath.Join(home(t), "h")
		args := []string{"--config", h.config, "--home", to, "keys", "import", "--identity", identity, from}
		if _, errs, code := deputy(t, other, args...); code != exitDone {
			t.Fatal(errs)
		}
		if i == 0 { // as it stood: the export is the last line of its log
			if diff := cmp.Diff(h.dump(t), (sealedHome{dir: to}).dump(t)); diff != "" {
				t.Error(diff)
			}
		}
		out, errs, code := deputy(t, other, "--config", h.config, "--home", to, "accounts")
		if code != exitDone || i == 1 && !strings.Contains(out, "github/octo-anna") {
			t.Errorf("accounts of the new home: exit %d: %s%s", code, out, errs)
		}
		if out, errs, code := deputy(t, other, "--config", h.config, "--home", to, "audit", "verify"); code != exitDone {
			t.Errorf("its log: exit %d: %s%s", code, out, errs)
		}
		if _, errs, code := deputy(t, other, args...); code != exitRefused || !strings.Contains(errs, "a backup replaces nothing") {
			t.Errorf("over a home: exit %d: %s", code, errs)
		}
	}
}

// TestABadBackupLeavesTheHomeEmpty: cut, changed, for someone else, or without
// a key to put it under.
func TestABadBackupLeavesTheHomeEmpty(t *testing.T) {
	t.Parallel()
	identity, recipient := newIdentity(t)
	stranger, _ := newIdentity(t)
	h := newSealedHome(t, 500)
	dir := t.TempDir()
	whole := filepath.Join(dir, "whole.age")
	if _, errs, code := h.run(t, "keys", "export", "--to", recipient, whole); code != exitDone {
		t.Fatal(errs)
	}
	data, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(data)
	flipped[len(flipped)-100] ^= 1
	cut := writeFile(t, filepath.Join(dir, "cut.age"), string(data[:len(data)-20]))
	changed := writeFile(t, filepath.Join(dir, "changed.age"), string(flipped))
	for name, c := range map[string]struct {
		file, identity, key, want string
	}{
		"cut":            {cut, identity, "ab", "cut short or was changed"},
		"changed":        {changed, identity, "ab", "cut short or was changed"},
		"wrong identity": {whole, stranger, "ab", "for another recipient"},
		"no identity":    {whole, whole, "ab", "what age-keygen writes"},
		"no key":         {whole, identity, "", "environment has no DEPUTY_TEST_KEY"},
	} {
		for _, there := range []bool{false, true} {
			to := filepath.Join(home(t), "h")
			if there {
				if err := os.Mkdir(to, 0o700); err != nil {
					t.Fatal(err)
				}
			}
			_, errs, code := deputy(t, []string{"DEPUTY_TEST_KEY=" + strings.Repeat(c.key, 32)}, "--config", h.config, "--home", to, "keys", "import", "--identity", c.identity, c.file)
			if code != exitFailed || !strings.Contains(errs, c.want) {
				t.Errorf("%s: exit %d: %s", name, code, errs)
			}
			entries, err := os.ReadDir(to)
			if len(entries) > 0 || errors.Is(err, os.ErrNotExist) == there {
				t.Errorf("%s: it left %v, %v", name, entries, err)
			}
		}
	}
}
