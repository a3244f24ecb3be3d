package signing

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"deputy/internal/seal"
	"deputy/internal/store"
)

type said struct {
	Subject string `json:"sub"`
}

func newRing(t testing.TB) *Ring {
	t.Helper()
	kek, err := seal.NewKEK(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := seal.Open(t.TempDir(), kek)
	if err != nil {
		t.Fatal(err)
	}
	return NewRing(store.NewMemory(), sealer, 10*time.Minute)
}

// A token that was found good once is not good for ever: its key ends, and it
// is still of one type.
func TestWhatWasSeenStillEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRing(t)
		token, err := r.Sign("at+jwt", said{"anna"})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			var got said
			if err := r.Verify(token, "at+jwt", &got); err != nil || got.Subject != "anna" {
				t.Fatalf("%+v, %v", got, err)
			}
		}
		if err := r.Verify(token, "logout+jwt", new(said)); !errors.Is(err, ErrSignature) {
			t.Errorf("as another type: %v", err)
		}
		for i := range len(token) {
			spoilt := []byte(token)
			spoilt[i] ^= 1
			var got said
			if err := r.Verify(string(spoilt), "at+jwt", &got); err == nil && got.Subject != "anna" { // the last bits of a base64 text may say nothing
				t.Fatalf("byte %d changed: %+v", i, got)
			}
		}
		if _, err := r.Rotate(); err != nil {
			t.Fatal(err)
		}
		if err := r.Verify(token, "at+jwt", new(said)); err != nil {
			t.Errorf("after a rotation: %v", err)
		}
		time.Sleep(12 * time.Minute)
		if err := r.Verify(token, "at+jwt", new(said)); !errors.Is(err, ErrSignature) {
			t.Errorf("after its key's end: %v", err)
		}
		if err := r.Sweep(); err != nil {
			t.Fatal(err)
		}
		if err := r.Verify(token, "at+jwt", new(said)); !errors.Is(err, ErrSignature) {
			t.Errorf("after its key was forgotten: %v", err)
		}
	})
}

func TestWhatIsSeenIsBounded(t *testing.T) {
	var s seen
	for i := range 3 * maxSeen {
		s.put(nameOf(fmt.Sprint(i), "at+jwt"), proof{})
		if len(s.tokens) > maxSeen {
			t.Fatalf("%d are remembered", len(s.tokens))
		}
	}
	if _, ok := s.get(nameOf("0", "at+jwt")); ok {
		t.Error("what was forgotten is known")
	}
}

func BenchmarkVerify(b *testing.B) {
	r := newRing(b)
	token, err := r.Sign("at+jwt", said{"anna"})
	if err != nil {
		b.Fatal(err)
	}
	for _, name := range []string{"first", "again"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if name == "first" {
					r.seen.tokens = nil
				}
				if err := r.Verify(token, "at+jwt", new(said)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
