package main

import (
	"slices"
	"sync"
	"time"
)

// A token is one credential the provider handed out.
type token struct {
	grant   string    // whose consent to which client it stands for
	scopes  []string  // empty: not restricted
	expires time.Time // zero: never
	refresh bool
	dead    bool
}

// tokens remembers every credential seen. Dead ones stay, because "known and
// revoked" and "never heard of" get different answers, and because the leak
// check wants them all.
type tokens struct {
	now func() time.Time

	mu      sync.Mutex
	known   map[string]*token
	refused []string
}

func newTokens(now func() time.Time, initial []string) *tokens {
	t := &tokens{now: now, known: map[string]*token{}}
	for _, v := range initial {
		t.known[v] = &token{}
	}
	return t
}

// learn takes in a credential. A credential seen again (a refresh token that
// does not rotate) keeps its first record.
func (t *tokens) learn(value string, rec token) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if value != "" && t.known[value] == nil {
		t.known[value] = &rec
	}
}

// live reports whether value opens the API now, and with which scopes. A
// refusal is remembered: a test can ask what was tried.
func (t *tokens) live(value string) (scopes []string, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	rec := t.known[value]
	if rec == nil || rec.dead || rec.refresh || !rec.expires.IsZero() && !t.now().Before(rec.expires) {
		if !slices.Contains(t.refused, value) {
			t.refused = append(t.refused, value)
		}
		return nil, false
	}
	return rec.scopes, true
}

// find returns a copy of what is known of value, dead or alive.
func (t *tokens) find(value string) (token, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if rec := t.known[value]; rec != nil {
		return *rec, true
	}
	return token{}, false
}

// kill ends one credential.
func (t *tokens) kill(value string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if rec := t.known[value]; rec != nil {
		rec.dead = true
	}
}

// killGrant ends every credential of the grant value belongs to, its siblings
// from other runs of the consent page included.
func (t *tokens) killGrant(value string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	first := t.known[value]
	if first == nil {
		return
	}
	first.dead = true
	for _, rec := range t.known {
		if rec.grant != "" && rec.grant == first.grant {
			rec.dead = true
		}
	}
}

// expire ends access tokens, one or (value "") all; refresh tokens only when
// asked to. It returns how many it ended.
func (t *tokens) expire(value string, refresh bool) (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for v, rec := range t.known {
		if rec.dead || value != "" && v != value || rec.refresh && !refresh {
			continue
		}
		rec.dead = true
		n++
	}
	return n
}

// all lists every credential seen and every bearer refused.
func (t *tokens) all() (seen, refused []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	seen, refused = []string{}, append([]string{}, t.refused...)
	for v := range t.known {
		seen = append(seen, v)
	}
	slices.Sort(seen)
	return seen, refused
}
