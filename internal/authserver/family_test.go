package authserver_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// TestFamilies: whatever order a family's tokens come in, and however late, the
// server does what these few lines say, and a client that only ever uses the
// newest token it has, or repeats its last request, is never cut off.
func TestFamilies(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		steps := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
			return step{rapid.IntRange(0, 3).Draw(t, "back"), time.Duration(rapid.SampledFrom([]int{0, 1, 15, 29, 31, 60}).Draw(t, "wait")) * time.Second}
		}), 1, 8).Draw(rt, "steps")
		wrong := "" // rapid may be told outside the bubble alone
		synctest.Test(t, func(t *testing.T) {
			o := newOffice(t)
			known := []string{o.tokens("anna").Refresh}
			rotated, over := time.Time{}, false
			for i, s := range steps {
				time.Sleep(s.wait)
				back := min(s.back, len(known)-1)
				got := o.refresh(known[len(known)-1-back])
				switch newest := known[len(known)-1]; {
				case over:
					if got.Error != "invalid_grant" {
						wrong = fmt.Sprintf("%v, step %d: it had ended: %s", steps, i, got.raw)
					}
				case back == 0:
					if got.Status != 200 || got.Refresh == newest {
						wrong = fmt.Sprintf("%v, step %d: the newest is refused: %s", steps, i, got.raw)
					}
					known, rotated = append(known, got.Refresh), time.Now()
				case back == 1 && time.Since(rotated) <= 30*time.Second:
					if got.Refresh != newest {
						wrong = fmt.Sprintf("%v, step %d: a retry gets something else: %s", steps, i, got.raw)
					}
				default:
					over = true
					if got.Error != "invalid_grant" || len(o.lines("reuse")) != 1 {
						wrong = fmt.Sprintf("%v, step %d: reuse goes unnoticed: %s", steps, i, got.raw)
					}
				}
				if wrong != "" {
					return
				}
			}
		})
		if wrong != "" {
			rt.Fatal(wrong)
		}
	})
}

type step struct {
	back int // how many rotations ago the token was new
	wait time.Duration
}
