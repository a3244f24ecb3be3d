package seal_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"deputy/internal/seal"
	"deputy/internal/store"

	"github.com/google/go-cmp/cmp"
)

// TestRotationFailsNoReadAndLosesNoWrite rotates 10,000 rows while four read
// and one writes.
func TestRotationFailsNoReadAndLosesNoWrite(t *testing.T) {
	const n = 10_000
	s := newScene(t, n)
	var reads, failed, writes atomic.Int64
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for r := range 4 {
		wg.Go(func() {
			for i := r; ctx.Err() == nil; i = (i + 7919) % n {
				reads.Add(1)
				if err := s.read(i); err != nil {
					failed.Add(1)
					t.Error(err)
				}
			}
		})
	}
	wg.Go(func() { // counts up in one row among those that are sealed anew
		for ctx.Err() == nil {
			err := s.store.Update(func(tx store.Tx) error {
				return s.rows.Put(tx, row{strconv.FormatInt(writes.Load()+1, 10)}, "5000x")
			})
			if err != nil {
				t.Error(err)
			}
			writes.Add(1)
		}
	})
	for reads.Load() < 100 {
		time.Sleep(time.Millisecond)
	}
	s.rotate(t)
	stop()
	wg.Wait()
	t.Logf("%d reads, %d failed, %d writes meanwhile", reads.Load(), failed.Load(), writes.Load())
	if diff := cmp.Diff(map[uint32]int{s.box.Primary(): n + 1}, s.count(t)); diff != "" {
		t.Errorf("rows by key: %s", diff)
	}
	err := s.store.View(func(tx store.Tx) error {
		got, err := s.rows.Get(tx, "5000x")
		if err == nil && got.Secret != strconv.FormatInt(writes.Load(), 10) {
			t.Errorf("the last of %d writes is lost: %s", writes.Load(), got.Secret)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// meddler lets something happen between what Reseal has seen and its write.
type meddler struct {
	store.Store
	before func()
}

func (m meddler) Update(fn func(store.Tx) error) error {
	m.before()
	return m.Store.Update(fn)
}

// TestARowThatChangesUnderARotationStaysChanged, also by a writer who still
// seals with the old key.
func TestARowThatChangesUnderARotationStaysChanged(t *testing.T) {
	s := newScene(t, 10)
	late := *s // knows the old key alone
	s.reopen(t)
	if _, err := s.box.Rotate(); err != nil {
		t.Fatal(err)
	}
	meddle := sync.OnceFunc(func() {
		err := s.store.Update(func(tx store.Tx) error {
			if err := late.rows.Put(tx, row{"changed"}, "3"); err != nil {
				return err
			}
			if err := late.rows.Put(tx, row{"behind"}, "0", "behind"); err != nil {
				return err
			}
			return s.rows.Delete(tx, "4")
		})
		if err != nil {
			t.Error(err)
		}
	})
	if _, _, err := store.Reseal(t.Context(), meddler{s.store, meddle}, s.box); err != nil {
		t.Fatal(err)
	}
	var got []string
	err := s.store.View(func(tx store.Tx) error {
		return s.rows.All(tx, func(r row) error { got = append(got, r.Secret); return nil })
	})
	want := []string{"secret 0", "behind", "secret 1", "secret 2", "changed", "secret 5", "secret 6", "secret 7", "secret 8", "secret 9"}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v, %s", err, diff)
	}
	if diff := cmp.Diff(map[uint32]int{s.box.Primary(): 10}, s.count(t)); diff != "" {
		t.Errorf("rows by key: %s", diff)
	}
}

// BenchmarkRotate rotates 10,000 rows of 2 KB, the size of a kept outcome.
func BenchmarkRotate(b *testing.B) {
	s := newScene(b, 0)
	body := strings.Repeat("x", 2<<10)
	err := s.store.Update(func(tx store.Tx) error {
		for i := range 10_000 {
			if err := s.rows.Put(tx, row{body}, strconv.Itoa(i)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		s.rotate(b)
	}
}

// TestWhatIsOutStaysGoodAcrossARotation: a cursor or ticket of the old key
// opens, in this process and the next.
func TestWhatIsOutStaysGoodAcrossARotation(t *testing.T) {
	s := newScene(t, 10)
	cursor, err := s.box.Seal([]byte("cursor"), []byte("page 2"))
	if err != nil {
		t.Fatal(err)
	}
	key := s.box.Key("audit")
	for range 3 {
		if gone := s.rotate(t); len(gone) > 0 {
			t.Errorf("a key is gone at once: %v", gone)
		}
	}
	for range 2 {
		if pt, err := s.box.Open([]byte("cursor"), cursor); err != nil || string(pt) != "page 2" {
			t.Errorf("the cursor: %q, %v", pt, err)
		}
		if string(s.box.Key("audit")) != string(key) {
			t.Error("a rotation changed the audit log's key")
		}
		s.reopen(t)
	}
}

// TestKeysThatAreOldAndIdleAreDestroyed, and no others.
func TestKeysThatAreOldAndIdleAreDestroyed(t *testing.T) {
	s := newScene(t, 10)
	first := s.box.Primary()
	s.rotate(t)
	second := s.box.Primary()
	age := func(id uint32, by time.Duration) {
		path := filepath.Join(s.dir, "history.json")
		data, _ := os.ReadFile(path)
		h := map[string]map[string]time.Time{}
		if err := json.Unmarshal(data, &h); err != nil {
			t.Fatal(err)
		}
		e := h[fmt.Sprint(id)]
		for what := range e {
			e[what] = e[what].Add(-by)
		}
		data, _ = json.Marshal(h)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	age(first, seal.KeptAfterRetirement+time.Hour)
	age(second, 100*seal.KeptAfterRetirement) // old, but sealing until now
	if gone, err := s.box.Destroy(map[uint32]int{first: 1}); err != nil || len(gone) > 0 {
		t.Errorf("a key that seals a row: %v, %v", gone, err)
	}
	if diff := cmp.Diff([]uint32{first}, s.rotate(t)); diff != "" {
		t.Errorf("destroyed: %s", diff)
	}
	s.reopen(t)
	all, err := s.box.Keys()
	if err != nil || len(all) != 2 || all[0].ID != second || all[0].Primary || all[0].Retired.IsZero() || !all[1].Primary {
		t.Errorf("keys: %+v, %v", all, err)
	}
	for i := range 10 {
		if err := s.read(i); err != nil {
			t.Error(err)
		}
	}
}

// TestACutRotationIsFinished: the keyset is rotated, a part of the rows is not,
// as a crash leaves it.
func TestACutRotationIsFinished(t *testing.T) {
	s := newScene(t, 500)
	root, _ := os.ReadFile(filepath.Join(s.dir, "root.sealed"))
	if _, err := s.box.Rotate(); err != nil {
		t.Fatal(err)
	}
	writeKey(t, s.dir, "root.sealed", root) // it died before this one was sealed anew
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := store.Reseal(ctx, s.store, s.box); err == nil {
		t.Error("a cancelled pass says it is done")
	}
	s.reopen(t)
	for i := range 500 {
		if err := s.read(i); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.box.Finish(); err != nil {
		t.Fatal(err)
	}
	if n, _, err := store.Reseal(t.Context(), s.store, s.box); err != nil || n != 500 {
		t.Errorf("finished %d rows, %v", n, err)
	}
	if now, _ := os.ReadFile(filepath.Join(s.dir, "root.sealed")); string(now) == string(root) {
		t.Error("the root secret is still under the old key")
	}
}

// TestADamagedRowStopsNoRotation, and keeps the key that made it.
func TestADamagedRowStopsNoRotation(t *testing.T) {
	s := newScene(t, 10)
	old := s.box.Primary()
	err := s.store.Update(func(tx store.Tx) error {
		data, err := tx.Get(s.rows.Key("3"))
		if err != nil {
			return err
		}
		data = append([]byte(nil), data...)
		data[len(data)-1] ^= 1
		return tx.Put(s.rows.Key("3"), data)
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.box.Rotate(); err != nil {
		t.Fatal(err)
	}
	n, closed, err := store.Reseal(t.Context(), s.store, s.box)
	if n != 9 || closed != 1 || err != nil {
		t.Errorf("%d sealed anew, %d do not open, %v", n, closed, err)
	}
	if rows := s.count(t); rows[old] != 1 {
		t.Errorf("rows by key: %v", rows)
	}
}

// TestRewrap: the keyset has another KEK, the old one opens nothing.
func TestRewrap(t *testing.T) {
	s := newScene(t, 10)
	other := kek(t, 9)
	if s.box.OpensWith(other) {
		t.Error("a foreign key opens the keyset")
	}
	if err := s.box.Rewrap(other); err != nil {
		t.Fatal(err)
	}
	s.rotate(t) // goes under the new one
	if _, err := seal.Open(s.dir, kek(t, 0)); err != seal.ErrWrongKey {
		t.Errorf("the old key: %v", err)
	}
	if _, err := seal.Open(s.dir, other); err != nil || !s.box.OpensWith(other) {
		t.Errorf("the new key: %v", err)
	}
}

func writeKey(t testing.TB, dir, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
		t.Fatal(err)
	}
}
