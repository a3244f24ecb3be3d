package vault

import (
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// limits keeps requests below what providers allow. A provider that asked to
// wait is not asked again before; a runaway agent uses up its account's budget
// here and not the provider's patience.
type limits struct {
	mu      sync.Mutex
	pauses  map[string]time.Time // account and request pattern → not before
	buckets map[string]*bucket   // account
	cools   map[string]cooled    // grant → last failure of a refresh
}

type bucket struct {
	left float64
	at   time.Time
}

type cooled struct {
	until time.Time
	cause *Fault
}

// maxKept bounds each map; a full one is emptied: it holds nothing but
// reminders.
const maxKept = 10_000

// take lets one request pass or says how long to wait. The fault lacks the
// provider's name.
func (l *limits) take(account, pattern string, perMinute int) *Fault {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if wait := l.pauses[account+" "+pattern].Sub(now); wait > 0 {
		return &Fault{Kind: RateLimited, After: roundUp(wait), Cause: "the provider asked to wait"}
	}
	if perMinute == 0 {
		return nil
	}
	if l.buckets == nil || len(l.buckets) > maxKept {
		l.buckets = map[string]*bucket{}
	}
	b := l.buckets[account]
	if b == nil {
		b = &bucket{left: float64(perMinute), at: now}
		l.buckets[account] = b
	}
	rate := float64(perMinute) / 60
	b.left, b.at = min(float64(perMinute), b.left+now.Sub(b.at).Seconds()*rate), now
	if b.left < 1 {
		return &Fault{Kind: RateLimited, After: roundUp(time.Duration((1 - b.left) / rate * float64(time.Second))), Cause: "the account's budget of requests is used up"}
	}
	b.left--
	return nil
}

// heed remembers what an answer said about waiting. Slack counts by method and
// GitHub by endpoint, so the pause is for the pattern.
func (l *limits) heed(account, pattern string, err error) {
	var f *Fault
	if !errors.As(err, &f) || f.Kind != RateLimited {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pauses == nil || len(l.pauses) > maxKept {
		l.pauses = map[string]time.Time{}
	}
	l.pauses[account+" "+pattern] = time.Now().Add(f.After)
}

// coolTime is how long a grant is left alone after a refresh that failed.
const coolTime = 2 * time.Second

func (l *limits) cool(grant string, f *Fault) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cools == nil || len(l.cools) > maxKept {
		l.cools = map[string]cooled{}
	}
	l.cools[grant] = cooled{time.Now().Add(max(f.After, coolTime)), f}
}

func (l *limits) cooling(grant string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c, ok := l.cools[grant]; ok && time.Now().Before(c.until) {
		return c.cause
	}
	return nil
}

func roundUp(d time.Duration) time.Duration {
	return (d + time.Second - 1).Truncate(time.Second)
}

// retryAfter reads Retry-After (RFC 9110 §10.2.3) or GitHub's reset time,
// between a second and an hour.
func retryAfter(h http.Header) time.Duration {
	after := time.Minute
	if s, err := strconv.Atoi(h.Get("Retry-After")); err == nil {
		after = time.Duration(s) * time.Second
	} else if t, err := http.ParseTime(h.Get("Retry-After")); err == nil {
		after = time.Until(t)
	} else if s, err := strconv.ParseInt(h.Get("X-RateLimit-Reset"), 10, 64); err == nil && h.Get("X-RateLimit-Remaining") == "0" {
		after = time.Until(time.Unix(s, 0))
	}
	return min(max(after, time.Second), time.Hour)
}
