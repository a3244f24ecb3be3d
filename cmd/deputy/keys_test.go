package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"deputy/internal/seal"
	"deputy/internal/store"

	"github.com/google/go-cmp/cmp"
)

// sealedHome is a home with n sealed rows that no process has.
type sealedHome struct{ dir, config string }

const rowsTable = "test/rows"

func newSealedHome(t *testing.T, n int) sealedHome {
	t.Helper()
	dir := home(t)
	h := sealedHome{filepath.Join(dir, "home"), writeFile(t, filepath.Join(dir, "deputy.yaml"), fmt.Sprintf("home: %s/home\nkey: env:DEPUTY_TEST_KEY\nuser: anna\nlisten: 127.0.0.1:0\n", dir))}
	if err := os.Mkdir(h.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s, box := h.open(t)
	defer s.Close()
	rows := store.Table[string]{Name: rowsTable, Sealer: box}
	err := s.Update(func(tx store.Tx) error {
		for i := range n {
			if err := rows.Put(tx, "secret "+strconv.Itoa(i), strconv.Itoa(i)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// key is the one of h.env.
func (h sealedHome) key(t *testing.T) seal.KEK {
	t.Helper()
	kek, err := seal.ParseKEK(strings.Repeat("ab", 32))
	if err != nil {
		t.Fatal(err)
	}
	return kek
}

func (h sealedHome) open(t *testing.T) (store.Store, *seal.Box) {
	t.Helper()
	s, err := store.OpenBolt(filepath.Join(h.dir, "deputy.db"))
	if err != nil {
		t.Fatal(err)
	}
	box, err := openKeys(filepath.Join(h.dir, "keys"), h.key(t), s)
	if err != nil {
		t.Fatal(err)
	}
	return s, box
}

func (h sealedHome) env() []string { return []string{"DEPUTY_TEST_KEY=" + strings.Repeat("ab", 32)} }

func (h sealedHome) run(t *testing.T, args ...string) (string, string, int) {
	t.Helper()
	return deputy(t, h.env(), append([]string{"--config", h.config}, args...)...)
}

// readable counts the rows by key and reads each.
func (h sealedHome) readable(t *testing.T, n int) map[uint32]int {
	t.Helper()
	s, box := h.open(t)
	defer s.Close()
	rows := store.Table[string]{Name: rowsTable, Sealer: box}
	err := s.View(func(tx store.Tx) error {
		for i := range n {
			got, err := rows.Get(tx, strconv.Itoa(i))
			if err == nil && got != "secret "+strconv.Itoa(i) {
				err = fmt.Errorf("row %d says %q", i, got)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	count, err := store.SealedRows(s, box)
	if err != nil {
		t.Fatal(err)
	}
	return count
}

func (h sealedHome) dump(t *testing.T) map[string]string {
	t.Helper()
	s, err := store.OpenBolt(filepath.Join(h.dir, "deputy.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	all := map[string]string{}
	err = s.View(func(tx store.Tx) error {
		return tx.Scan(nil, nil, func(k, v []byte) error { all[string(k)] = string(v); return nil })
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestKillDuringRotation kills deputy while it seals rows anew: each time the
// home opens and every row is readable, and the next start finishes.
func TestKillDuringRotation(t *testing.T) {
	t.Parallel()
	const n = 10_000
	h := newSealedHome(t, n)
	keyset := filepath.Join(h.dir, "keys", "keyset.json")
	cut := 0
	for range 12 {
		before, err := os.ReadFile(keyset)
		if err != nil {
			t.Fatal(err)
		}
		p := start(t, nil, nil, h.env(), "--config", h.config, "keys", "rotate")
		for now := before; bytes.Equal(before, now); now, _ = os.ReadFile(keyset) {
			select {
			case <-p.done:
				t.Fatalf("it ended without a new key: %s", p.stderr)
			default:
				time.Sleep(200 * time.Microsecond)
			}
		}
		time.Sleep(time.Duration(rand.IntN(25_000)) * time.Microsecond)
		p.kill()
		if len(h.readable(t, n)) > 1 {
			cut++
		}
	}
	t.Logf("%d of 12 rotations were cut", cut)
	if cut == 0 {
		t.Error("no rotation was cut: the test kills too late")
	}
	p := start(t, nil, nil, h.env(), "--config", h.config, "serve")
	for !ownerRuns(t.Context(), filepath.Join(h.dir, "deputy.sock")) {
		select {
		case <-p.done:
			t.Fatalf("it does not start: %s", p.stderr)
		case <-time.After(5 * time.Millisecond):
		}
	}
	for range 500 {
		var status struct {
			Keys []struct {
				Primary bool
				Rows    int
			}
		}
		out, errs, _ := h.run(t, "--json", "keys", "status")
		if err := json.Unmarshal([]byte(out), &status); err != nil {
			t.Fatalf("%v: %s", err, errs)
		}
		if last := status.Keys[len(status.Keys)-1]; last.Primary && last.Rows >= n {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("the next start did not finish the rotation")
}

// TestKeysOfARunningHome: what was asked before a rotation is answered after
// it, in this process and the next, under this key and another.
func TestKeysOfARunningHome(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	id := h.comment("across a rotation")
	out, errs, code := h.run("keys", "rotate")
	if code != exitDone || !strings.Contains(out, "seals from now on") {
		t.Fatalf("exit %d: %s%s", code, out, errs)
	}
	if _, errs, code := h.run("approvals", "approve", id); code != exitDone || h.arrived("across a rotation") != 1 {
		t.Errorf("exit %d, arrived %d times: %s", code, h.arrived("across a rotation"), errs)
	}
	out, errs, _ = h.run("keys")
	if lines := strings.Split(strings.TrimSpace(out), "\n"); len(lines) != 3 || !strings.HasPrefix(lines[0], "KEY") || !strings.HasSuffix(lines[1], " 0") {
		t.Errorf("status: %s%s", out, errs)
	}

	kek := writeFile(t, filepath.Join(h.dir, "kek"), strings.Repeat("cd", 32))
	wrong := []string{"DEPUTY_TEST_KEY=" + strings.Repeat("ef", 32), "DEPUTY_TEST_SECRET=secret"}
	_, errs, code = deputy(t, wrong, "--config", filepath.Join(h.dir, "deputy.yaml"), "keys", "rotate", "--kek", "file:"+kek)
	if code != exitRefused || !strings.Contains(errs, "does not open this home's keyset") {
		t.Errorf("without the key: exit %d: %s", code, errs)
	}
	_, recipient := newIdentity(t)
	for _, words := range [][]string{{"keys", "export", "--to", recipient}, {"keys", "rotate", "--kek", "file:" + kek}} {
		// Straight to the socket, with nothing to show.
		if out, err := h.order(words...); err == nil || out != "" || !strings.Contains(err.Error(), "does not open this home's keyset") {
			t.Errorf("%v: %q, %v", words, out, err)
		}
	}
	out, errs, code = h.run("keys", "rotate", "--kek", "file:"+kek)
	if code != exitDone || !strings.Contains(out, "key: \"file:"+kek) {
		t.Fatalf("exit %d: %s%s", code, out, errs)
	}
	h.proc.stop(t)
	if _, errs, code := h.run("accounts"); code != exitFailed || !strings.Contains(errs, "set \"key\" to the one it was made with") {
		t.Errorf("with the key before: exit %d: %s", code, errs)
	}
	path := filepath.Join(h.dir, "deputy.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, path, strings.Replace(string(text), "env:DEPUTY_TEST_KEY", "file:"+kek, 1))
	h.start()
	if state := h.settle(id); state != "done" {
		t.Errorf("after the restart: %s", state)
	}
	log, _, _ := h.run("audit", "export")
	for _, event := range []string{"rotate", "rewrap"} {
		if !strings.Contains(log, `"event":"`+event+`","user":"anna"`) {
			t.Errorf("the log has no %s", event)
		}
	}
}

// TestT37KeysFolderOfAnotherHome: keyset and root secret fit each other and the
// key, but not the store. Nor may a store without keys be given new ones.
func TestT37KeysFolderOfAnotherHome(t *testing.T) {
	t.Parallel()
	h, other := newSealedHome(t, 3), newSealedHome(t, 3)
	before := h.dump(t)
	keys := filepath.Join(h.dir, "keys")
	if err := os.Rename(keys, keys+".own"); err != nil {
		t.Fatal(err)
	}
	_, errs, code := h.run(t, "accounts")
	if code != exitFailed || !strings.Contains(errs, "no keys/keyset.json: put back the keys folder") || exists(filepath.Join(keys, "keyset.json")) {
		t.Errorf("no keys: exit %d: %s", code, errs)
	}
	if err := os.CopyFS(keys, os.DirFS(filepath.Join(other.dir, "keys"))); err != nil {
		t.Fatal(err)
	}
	_, errs, code = h.run(t, "accounts")
	if code != exitFailed || !strings.Contains(errs, "was sealed with other keys than keys/keyset.json holds: put back the two of one home") {
		t.Errorf("another home's keys: exit %d: %s", code, errs)
	}
	if diff := cmp.Diff(before, h.dump(t)); diff != "" {
		t.Errorf("a refused start changed the store: %s", diff)
	}
}
