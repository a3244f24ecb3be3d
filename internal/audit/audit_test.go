package audit_test

import (
	"strings"
	"testing"

	"deputy/internal/audit"
	"deputy/internal/store"
)

func TestChainShowsEveryChange(t *testing.T) {
	log := &audit.Log{Key: []byte("k")}
	fresh := func() store.Store {
		s := store.NewMemory()
		for _, tool := range []string{"a", "b", "c", "d"} {
			err := s.Update(func(tx store.Tx) error {
				return log.Append(tx, audit.Line{Event: "call", Tool: tool})
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		return s
	}
	key := func(seq string) []byte { return []byte("audit/line\x00000000000000000" + seq) }
	for _, c := range []struct {
		name   string
		tamper func(tx store.Tx) error
	}{
		{"edit", func(tx store.Tx) error {
			v, err := tx.Get(key("2"))
			if err != nil {
				return err
			}
			return tx.Put(key("2"), []byte(strings.Replace(string(v), `"tool":"b"`, `"tool":"x"`, 1)))
		}},
		{"drop the middle", func(tx store.Tx) error { return tx.Delete(key("3")) }},
		{"drop the last", func(tx store.Tx) error { return tx.Delete(key("4")) }},
		{"reorder", func(tx store.Tx) error {
			a, _ := tx.Get(key("2"))
			b, _ := tx.Get(key("3"))
			a, b = append([]byte(nil), a...), append([]byte(nil), b...)
			if err := tx.Put(key("2"), b); err != nil {
				return err
			}
			return tx.Put(key("3"), a)
		}},
	} {
		s := fresh()
		verify := func() (n uint64, err error) {
			s.View(func(tx store.Tx) error { n, err = audit.Verify(tx); return nil })
			return
		}
		if n, err := verify(); n != 4 || err != nil {
			t.Fatalf("untouched: %d, %v", n, err)
		}
		if err := s.Update(c.tamper); err != nil {
			t.Fatal(err)
		}
		if _, err := verify(); err == nil {
			t.Errorf("%s: the chain still verifies", c.name)
		}
	}
}

func TestDigestIsKeyed(t *testing.T) {
	a, b := &audit.Log{Key: []byte("1")}, &audit.Log{Key: []byte("2")}
	if a.Digest([]byte("v")) == b.Digest([]byte("v")) {
		t.Error("two deployments give one value the same digest")
	}
	if first, second := a.Digest([]byte("v")), a.Digest([]byte("v")); first != second {
		t.Error("one deployment gives one value two digests")
	}
}
