package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A bar is drawn where a person watches, from the second second on, and ends
// with a line of its own.
func TestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		inv := &invocation{ctx: context.Background(), stdio: stdio{err: &out}, watched: true}
		bar := inv.progress("writing")
		bar(1, 100)
		if out.Len() > 0 {
			t.Errorf("at once: %q", out.String())
		}
		time.Sleep(2 * time.Second)
		bar(50, 100)
		bar(51, 100) // too soon after
		bar(100, 100)
		if got := out.String(); !strings.Contains(got, "\rwriting [###############               ] 50 of 100") || strings.Contains(got, "51 of") || !strings.HasSuffix(got, "100 of 100\n") {
			t.Errorf("%q", got)
		}
		out.Reset()
		inv.watched = false
		bar = inv.progress("writing")
		time.Sleep(2 * time.Second)
		bar(100, 100)
		if out.Len() > 0 {
			t.Errorf("nobody watches: %q", out.String())
		}
	})
}
