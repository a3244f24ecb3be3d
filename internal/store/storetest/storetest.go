// Package storetest is the one suite every store passes. A bug found in any
// back end becomes a case here.
package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"deputy/internal/store"
)

// Run tests the back end behind open. Each call of open within one subtest
// with the same dir must open the same store.
func Run(t *testing.T, open func(t *testing.T, dir string) store.Store, durable bool) {
	for _, c := range []struct {
		name string
		test func(*testing.T, store.Store)
	}{
		{"GetPutDelete", getPutDelete},
		{"FailedUpdateLeavesNothing", failedUpdate},
		{"ScanIsOrderedAndBounded", scan},
		{"KeysAreCaseSensitiveBytes", caseSensitive},
		{"ViewRefusesWrites", viewRefuses},
		{"OneOfFiftySpends", spendOnce},
		{"CallerMayReuseSlices", reuse},
		{"LargeValue", large},
		{"EmptyValueAndLongKey", extremes},
		{"ScanInPages", pages},
		{"TableRows", table},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t, t.TempDir())
			defer s.Close()
			c.test(t, s)
		})
	}
	if durable {
		t.Run("Reopen", func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir)
			must(t, s.Update(func(tx store.Tx) error { return tx.Put([]byte("k"), []byte("v")) }))
			must(t, s.Close())
			s = open(t, dir)
			defer s.Close()
			want(t, s, "k", "v")
		})
	}
}

func getPutDelete(t *testing.T, s store.Store) {
	must(t, s.View(func(tx store.Tx) error {
		if _, err := tx.Get([]byte("a")); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Get of nothing: %v, want ErrNotFound", err)
		}
		return nil
	}))
	must(t, s.Update(func(tx store.Tx) error {
		if err := tx.Put([]byte("a"), []byte("1")); err != nil {
			return err
		}
		v, err := tx.Get([]byte("a"))
		if string(v) != "1" {
			t.Errorf("own write reads %q, %v", v, err)
		}
		return tx.Put([]byte("a"), []byte("2"))
	}))
	want(t, s, "a", "2")
	must(t, s.Update(func(tx store.Tx) error {
		if err := tx.Delete([]byte("a")); err != nil {
			return err
		}
		return tx.Delete([]byte("never there"))
	}))
	must(t, s.View(func(tx store.Tx) error {
		if _, err := tx.Get([]byte("a")); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("deleted key reads %v", err)
		}
		return nil
	}))
}

func failedUpdate(t *testing.T, s store.Store) {
	boom := errors.New("boom")
	put(t, s, "a", "1")
	err := s.Update(func(tx store.Tx) error {
		_ = tx.Put([]byte("a"), []byte("2"))
		_ = tx.Put([]byte("b"), []byte("2"))
		return boom
	})
	if !errors.Is(err, boom) {
		t.Fatalf("Update: %v, want boom", err)
	}
	want(t, s, "a", "1")
	must(t, s.View(func(tx store.Tx) error {
		if _, err := tx.Get([]byte("b")); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("b survived a failed update: %v", err)
		}
		return nil
	}))
}

func scan(t *testing.T, s store.Store) {
	for _, k := range []string{"p\x00b", "p\x00a", "q", "p", "p\x00c", "o", "p\xff"} {
		put(t, s, k, "v:"+k)
	}
	collect := func(from, to []byte, stop string) (got []string) {
		must(t, s.View(func(tx store.Tx) error {
			return tx.Scan(from, to, func(k, v []byte) error {
				if string(v) != "v:"+string(k) {
					t.Errorf("key %q has value %q", k, v)
				}
				got = append(got, string(k))
				if string(k) == stop {
					return store.ErrStop
				}
				return nil
			})
		}))
		return got
	}
	from, to := store.Prefix([]byte("p\x00"))
	for _, c := range []struct {
		from, to []byte
		stop     string
		want     string
	}{
		{from, to, "", "p\x00a|p\x00b|p\x00c"},
		{from, to, "p\x00b", "p\x00a|p\x00b"},
		{[]byte("p\x00b"), nil, "", "p\x00b|p\x00c|p\xff|q"},
		{nil, []byte("p"), "", "o"},
		{[]byte("x"), nil, "", ""},
	} {
		if got := strings.Join(collect(c.from, c.to, c.stop), "|"); got != c.want {
			t.Errorf("Scan(%q, %q) = %q, want %q", c.from, c.to, got, c.want)
		}
	}
	boom := errors.New("boom")
	err := s.View(func(tx store.Tx) error {
		return tx.Scan(nil, nil, func(_, _ []byte) error { return boom })
	})
	if !errors.Is(err, boom) {
		t.Errorf("Scan hides its callback's error: %v", err)
	}
}

func caseSensitive(t *testing.T, s store.Store) {
	keys := []string{"Key", "key", "KEY", "kéy", "ke\u0301y", "key ", "k\x00ey", "\xff\xfe"}
	for i, k := range keys {
		put(t, s, k, fmt.Sprint(i))
	}
	for i, k := range keys {
		want(t, s, k, fmt.Sprint(i))
	}
}

func viewRefuses(t *testing.T, s store.Store) {
	err := s.View(func(tx store.Tx) error { return tx.Put([]byte("a"), []byte("1")) })
	if err == nil {
		t.Error("Put in View succeeded")
	}
	err = s.View(func(tx store.Tx) error { return tx.Delete([]byte("a")) })
	if err == nil {
		t.Error("Delete in View succeeded")
	}
}

func spendOnce(t *testing.T, s store.Store) {
	put(t, s, "permit", "approved")
	errSpent := errors.New("spent")
	var wins sync.Map
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			err := s.Update(func(tx store.Tx) error {
				v, err := tx.Get([]byte("permit"))
				if err != nil {
					return err
				}
				if string(v) != "approved" {
					return errSpent
				}
				return tx.Put([]byte("permit"), []byte("spent"))
			})
			if err == nil {
				wins.Store(i, true)
			} else if !errors.Is(err, errSpent) {
				t.Errorf("Update: %v", err)
			}
		})
	}
	wg.Wait()
	n := 0
	wins.Range(func(_, _ any) bool { n++; return true })
	if n != 1 {
		t.Errorf("%d of 50 spent the permit, want 1", n)
	}
}

func reuse(t *testing.T, s store.Store) {
	k, v := []byte("key"), []byte("value")
	must(t, s.Update(func(tx store.Tx) error {
		if err := tx.Put(k, v); err != nil {
			return err
		}
		copy(v, "XXXXX")
		return nil
	}))
	want(t, s, "key", "value")
}

func large(t *testing.T, s store.Store) {
	v := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // 1 MiB
	must(t, s.Update(func(tx store.Tx) error { return tx.Put([]byte("big"), v) }))
	want(t, s, "big", string(v))
}

func extremes(t *testing.T, s store.Store) {
	long := make([]byte, 2048) // what every back end takes
	for i := range long {
		long[i] = byte(i * i / 7)
	}
	must(t, s.Update(func(tx store.Tx) error {
		if err := errors.Join(tx.Put([]byte("empty"), nil), tx.Put(long, []byte("v"))); err != nil {
			return err
		}
		_, err := tx.Get([]byte("empty"))
		return err
	}))
	want(t, s, "empty", "")
	want(t, s, string(long), "v")
}

// pages: a scan that no back end does in one piece, that looks at other keys
// on its way, and that sees what its own transaction has written.
func pages(t *testing.T, s store.Store) {
	const n = 700
	value := func(i int) []byte { return bytes.Repeat([]byte{byte(i)}, 1+i%5*8000) }
	must(t, s.Update(func(tx store.Tx) error {
		for i := range n {
			if err := tx.Put(fmt.Appendf(nil, "k%04d", i), value(i)); err != nil {
				return err
			}
		}
		return nil
	}))
	must(t, s.Update(func(tx store.Tx) error {
		if err := errors.Join(tx.Delete([]byte("k0500")), tx.Put([]byte("k0300+"), value(300))); err != nil {
			return err
		}
		i := 0
		err := tx.Scan([]byte("k"), []byte("l"), func(k, v []byte) error {
			if i == 500 {
				i++
			}
			if string(k) != "k0300+" {
				if string(k) != fmt.Sprintf("k%04d", i) || !bytes.Equal(v, value(i)) {
					t.Fatalf("row %d: key %q, %d bytes", i, k, len(v))
				}
				i++
			}
			got, err := tx.Get(k)
			if !bytes.Equal(got, v) {
				t.Errorf("Get in Scan: %q has %d bytes, want %d", k, len(got), len(v))
			}
			return err
		})
		if i != n {
			t.Errorf("the scan ends at row %d, want %d", i, n)
		}
		return err
	}))
}

func table(t *testing.T, s store.Store) {
	type row struct{ A string }
	tab := store.Table[row]{Name: "t"}
	other := store.Table[row]{Name: "tt"}
	must(t, s.Update(func(tx store.Tx) error {
		return errors.Join(tab.Put(tx, row{"1"}, "u", "1"), tab.Put(tx, row{"2"}, "u", "2"),
			tab.Put(tx, row{"3"}, "u2", "1"), other.Put(tx, row{"9"}, "u", "1"))
	}))
	must(t, s.View(func(tx store.Tx) error {
		var got []string
		err := tab.All(tx, func(r row) error { got = append(got, r.A); return nil }, "u")
		if strings.Join(got, "") != "12" {
			t.Errorf("rows of u: %q", got)
		}
		return err
	}))
	seen := map[string]bool{}
	for _, parts := range [][]string{{"a", "b"}, {"a\x00b"}, {"a\x01b"}, {"a\x01\x02b"}, {"a\x01", "b"}, {"a", "\x01b"}, {"ab"}, {"a", "", "b"}} {
		key := string(tab.Key(parts...))
		if seen[key] {
			t.Errorf("%q has the key of another", parts)
		}
		seen[key] = true
	}
	must(t, s.Update(func(tx store.Tx) error {
		if err := tab.DeleteIf(tx, func(r row) bool { return r.A != "2" }); err != nil {
			return err
		}
		_, gone := tab.Get(tx, "u", "1")
		_, kept := tab.Get(tx, "u", "2")
		_, others := other.Get(tx, "u", "1")
		if !errors.Is(gone, store.ErrNotFound) || kept != nil || others != nil {
			t.Errorf("after DeleteIf: %v, %v, %v", gone, kept, others)
		}
		return nil
	}))
}

func put(t *testing.T, s store.Store, k, v string) {
	t.Helper()
	must(t, s.Update(func(tx store.Tx) error { return tx.Put([]byte(k), []byte(v)) }))
}

func want(t *testing.T, s store.Store, k, v string) {
	t.Helper()
	must(t, s.View(func(tx store.Tx) error {
		got, err := tx.Get([]byte(k))
		if err != nil || string(got) != v {
			t.Errorf("key %q: %d bytes, %v; want %d bytes", k, len(got), err, len(v))
		}
		return nil
	}))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
