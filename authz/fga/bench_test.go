package fga_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"deputy/authz/fga"
	"deputy/authz/fga/fgatest"
	"deputy/internal/store"
)

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// loaded is an engine with n tuples, and what loading them cost.
func loaded(b *testing.B, n int) (e *fga.Engine, users, documents int, took time.Duration, perTuple float64) {
	m, err := fga.ParseModel(fgatest.OfficeModel)
	if err != nil {
		b.Fatal(err)
	}
	s, err := store.OpenBolt(filepath.Join(b.TempDir(), "rows"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	tuples, users, documents := fgatest.Office(n)
	if err := fga.Seed(s, "bench", tuples); err != nil {
		b.Fatal(err)
	}
	tuples = nil
	before := heap()
	start := time.Now()
	if e, err = fga.Open(s, "bench", m); err != nil {
		b.Fatal(err)
	}
	took = time.Since(start)
	perTuple = float64(heap()-before) / float64(n)
	if e.Size() != n {
		b.Fatalf("%d tuples of %d are loaded", e.Size(), n)
	}
	return e, users, documents, took, perTuple
}

func BenchmarkLoad(b *testing.B) {
	for _, n := range []int{100_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				_, _, _, took, perTuple := loaded(b, n)
				b.ReportMetric(took.Seconds(), "s/load")
				b.ReportMetric(perTuple, "B/tuple")
			}
		})
	}
}

// BenchmarkResult checks the documents of one search result in one batch, for
// another user each time.
func BenchmarkResult(b *testing.B) {
	for _, n := range []int{1_000, 100_000, 1_000_000} {
		e, users, documents, _, _ := loaded(b, n)
		for _, size := range []int{100, 1000} {
			if size > documents {
				continue
			}
			b.Run(fmt.Sprintf("%d/of/%d", size, n), func(b *testing.B) {
				rng := rand.New(rand.NewPCG(3, 4))
				qs := make([]fga.Query, size)
				var took []time.Duration
				allowed, asked := 0, 0
				for b.Loop() {
					user := fmt.Sprintf("user:%d", rng.IntN(users))
					for i := range qs {
						qs[i] = fga.Query{User: user, Relation: "viewer", Object: fmt.Sprintf("document:%d", rng.IntN(documents))}
					}
					start := time.Now()
					answers := e.BatchCheck(context.Background(), qs)
					took = append(took, time.Since(start))
					for _, a := range answers {
						if a.Err != nil {
							b.Fatal(a.Err)
						}
						asked++
						if a.Allowed {
							allowed++
						}
					}
				}
				slices.Sort(took)
				b.ReportMetric(float64(took[len(took)/2].Nanoseconds())/1000, "µs-p50")
				b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds())/1000, "µs-p99")
				b.ReportMetric(100*float64(allowed)/float64(asked), "%allowed")
			})
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	e, users, documents, _, _ := loaded(b, 100_000)
	rng := rand.New(rand.NewPCG(5, 6))
	for b.Loop() {
		q := fga.Query{User: fmt.Sprintf("user:%d", rng.IntN(users)), Relation: "viewer", Object: fmt.Sprintf("document:%d", rng.IntN(documents))}
		if _, err := e.Check(context.Background(), q); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkListObjects(b *testing.B) {
	e, users, _, _, _ := loaded(b, 100_000)
	rng := rand.New(rand.NewPCG(7, 8))
	found := 0
	for b.Loop() {
		got, err := e.ListObjects(context.Background(), fga.Query{User: fmt.Sprintf("user:%d", rng.IntN(users)), Relation: "viewer", Object: "document"}, 0)
		if err != nil {
			b.Fatal(err)
		}
		found = len(got)
	}
	b.ReportMetric(float64(found), "objects")
}

// BenchmarkWrite sets a write of one tuple beside a commit of one row with a
// store and a file of the same size, one after the other.
func BenchmarkWrite(b *testing.B) {
	e, _, _, _, _ := loaded(b, 100_000)
	bare, err := store.OpenBolt(filepath.Join(b.TempDir(), "bare"))
	if err != nil {
		b.Fatal(err)
	}
	defer bare.Close()
	tuples, _, _ := fgatest.Office(100_000)
	if err := fga.Seed(bare, "bench", tuples); err != nil {
		b.Fatal(err)
	}
	var write, commit []time.Duration
	for i := 0; b.Loop(); i++ {
		t := fga.Tuple{User: "user:new", Relation: "viewer", Object: fmt.Sprintf("document:new%d", i)}
		start := time.Now()
		if err := e.Write(context.Background(), fga.Write{Writes: []fga.Tuple{t}}); err != nil {
			b.Fatal(err)
		}
		write = append(write, time.Since(start))
		start = time.Now()
		if err := bare.Update(func(tx store.Tx) error { return tx.Put([]byte("bench/tuple\x00"+t.String()), []byte("{}")) }); err != nil {
			b.Fatal(err)
		}
		commit = append(commit, time.Since(start))
	}
	slices.Sort(write)
	slices.Sort(commit)
	b.ReportMetric(float64(write[len(write)/2])/float64(commit[len(commit)/2]), "×commit")
	b.ReportMetric(float64(commit[len(commit)/2].Microseconds()), "µs/commit")
}

// BenchmarkImport writes a million tuples in one transaction.
func BenchmarkImport(b *testing.B) {
	m, err := fga.ParseModel(fgatest.OfficeModel)
	if err != nil {
		b.Fatal(err)
	}
	tuples, _, _ := fgatest.Office(1_000_000)
	for b.Loop() {
		s, err := store.OpenBolt(filepath.Join(b.TempDir(), "rows"))
		if err != nil {
			b.Fatal(err)
		}
		e, err := fga.Open(s, "bench", m)
		if err != nil {
			b.Fatal(err)
		}
		start := time.Now()
		if err := e.Write(context.Background(), fga.Write{Writes: tuples}); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(time.Since(start).Seconds(), "s/import")
		s.Close()
	}
}
