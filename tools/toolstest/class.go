package toolstest

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"deputy/authz"
)

// Slow is a provider some way off: each request waits d before it is answered.
func Slow(h http.Handler, d time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(d)
		h.ServeHTTP(w, r)
	})
}

// TimeClass calls a tool for what is hidden and for what does not exist, by
// turns, and reports how much longer the first takes. With a slow provider that
// is how many requests, one after another, tell the two apart: 1 is none.
func (w *World) TimeClass(b *testing.B, c authz.Caller, tool, hidden, missing string) {
	if h, m := w.Call(c, tool, hidden), w.Call(c, tool, missing); string(h.Structured()) != string(m.Structured()) {
		b.Fatalf("%s: hidden %s, missing %s", tool, h.Structured(), m.Structured())
	}
	took := map[string][]time.Duration{}
	for b.Loop() {
		for _, args := range []string{hidden, missing} {
			start := time.Now()
			w.Call(c, tool, args)
			took[args] = append(took[args], time.Since(start))
		}
	}
	for _, d := range took {
		slices.Sort(d)
	}
	h, m := took[hidden], took[missing]
	b.ReportMetric(float64(h[len(h)/2])/float64(m[len(m)/2]), "×missing")
}
