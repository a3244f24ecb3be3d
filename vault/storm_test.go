package vault_test

import (
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"deputy/internal/store"
)

func query(u, name string) string {
	parsed, _ := url.Parse(u)
	return parsed.Query().Get(name)
}

const (
	stormGrants  = 50
	stormCallers = 200 // of each process
)

// storm lets every desk's callers loose on all grants at once.
func storm(t *testing.T, desks []desk) (failed int64) {
	t.Helper()
	var wg sync.WaitGroup
	var failures atomic.Int64
	start := make(chan struct{})
	for _, d := range desks {
		for n := range stormCallers {
			c := d.caller(t, fmt.Sprintf("user-%d", n%stormGrants))
			wg.Go(func() {
				<-start
				if err := d.read(c); err != nil {
					failures.Add(1)
					t.Errorf("a caller in the storm: %v", err)
				}
			})
		}
	}
	close(start)
	wg.Wait()
	return failures.Load()
}

// T31: four vaults with one store, two hundred callers each, fifty grants that
// are due: fifty refreshes, and every grant lives.
func TestStormAmongVaults(t *testing.T) {
	s := newStrict(t, false)
	shared, dir := store.NewMemory(), t.TempDir()
	var desks []desk
	for range 4 {
		desks = append(desks, sit(t, dir, shared, true, s.provider()))
	}
	for n := range stormGrants {
		desks[0].connect(t, fmt.Sprintf("user-%d", n))
	}
	time.Sleep(time.Second) // the first tokens are over
	s.latency = 100 * time.Millisecond
	storm(t, desks)
	if s.asked != stormGrants || s.reused != 0 {
		t.Errorf("%d refreshes and %d reuses, want %d and 0", s.asked, s.reused, stormGrants)
	}
	for _, d := range desks { // all of them have the new ones
		if err := d.read(d.caller(t, "user-7")); err != nil {
			t.Error(err)
		}
	}
	if s.asked != stormGrants {
		t.Errorf("%d refreshes after the storm", s.asked)
	}
}

// The same in one process with a file, while somebody reads what has nothing
// to do with it.
func TestStormOnTheDaemon(t *testing.T) {
	s := newStrict(t, false)
	dir := t.TempDir()
	file, err := store.OpenBolt(filepath.Join(dir, "deputy.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	d := sit(t, dir, file, false, s.provider(), s)
	for n := range stormGrants {
		d.connect(t, fmt.Sprintf("user-%d", n))
	}
	d.connect(t, "bystander")
	time.Sleep(time.Second)
	bystander := d.caller(t, "bystander")
	if err := d.read(bystander); err != nil { // refreshed, good for an hour
		t.Fatal(err)
	}
	before := s.asked
	s.latency = 200 * time.Millisecond
	stop, done := make(chan struct{}), make(chan []time.Duration)
	go func() {
		var took []time.Duration
		for {
			select {
			case <-stop:
				done <- took
				return
			default:
				start := time.Now()
				if err := d.read(bystander); err != nil {
					t.Error(err)
				}
				took = append(took, time.Since(start))
			}
		}
	}()
	storm(t, []desk{d, d, d, d})
	close(stop)
	took := <-done
	if n := s.asked - before; n != stormGrants || s.reused != 0 {
		t.Errorf("%d refreshes and %d reuses, want %d and 0", n, s.reused, stormGrants)
	}
	slices.Sort(took)
	t.Logf("800 callers, 50 grants: %d refreshes; %d unrelated reads meanwhile, p50 %v, p99 %v (bar 5ms)", s.asked-before, len(took), took[len(took)/2], took[len(took)*99/100])
}
