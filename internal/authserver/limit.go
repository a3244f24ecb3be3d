package authserver

import (
	"net"
	"net/http"
	"sync"
	"time"
)

// How often may be asked: a steady rate, after a burst. Each grant type counts
// alone, so that a client that polls for one is not kept from another.
const (
	perAddress = 20.0 // a second
	perClient  = 20.0
	burst      = 200.0
	fetches    = 30.0 // documents that one address may have us fetch, one more a second
	registers  = 20.0 // registrations from one address, one more every registerEvery
	guesses    = 10.0 // user codes a person may try, one more every guessEvery
	guessEvery = 30 * time.Second

	registerEvery = 10 * time.Second

	maxBuckets = 10_000
)

// limits are token buckets by name.
type limits struct {
	mu      *sync.Mutex
	buckets map[string]bucket
}

type bucket struct {
	left float64
	at   time.Time
}

func newLimits() limits { return limits{&sync.Mutex{}, map[string]bucket{}} }

// take takes one from a bucket that holds at most size and gains rate a second,
// or says how long to wait.
func (l limits) take(name string, rate, size float64) error {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	b, ok := l.buckets[name]
	if !ok {
		if len(l.buckets) >= maxBuckets {
			clear(l.buckets) // forgiving everybody is better than growing
		}
		b = bucket{size, now}
	}
	b.left = min(size, b.left+now.Sub(b.at).Seconds()*rate)
	b.at = now
	if b.left < 1 {
		l.buckets[name] = b
		wait := time.Duration((1 - b.left) / rate * float64(time.Second))
		return &fault{code: unavailable, words: "too many requests: wait, then try again", status: http.StatusTooManyRequests, after: wait}
	}
	b.left--
	l.buckets[name] = b
	return nil
}

// sweep forgets buckets that are full again.
func (l limits) sweep(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, b := range l.buckets {
		if now.Sub(b.at) > 10*time.Minute {
			delete(l.buckets, name)
		}
	}
}

// fromAddress counts a request against where it comes from.
func (l limits) fromAddress(r *http.Request, what string) error {
	return l.take("address|"+addressOf(r)+"|"+what, perAddress, burst)
}

func (l limits) fromClient(id, what string) error {
	return l.take("client|"+id+"|"+what, perClient, burst)
}

// fetches counts documents that somebody has us fetch: a request to us is
// cheaper than the one it causes.
func (l limits) fetches(r *http.Request) error {
	return l.take("fetch|"+addressOf(r), 1, fetches)
}

// registers counts registrations, each of which leaves a row.
func (l limits) registers(r *http.Request) error {
	return l.take("register|"+addressOf(r), 1/registerEvery.Seconds(), registers)
}

func addressOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
