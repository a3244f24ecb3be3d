package githubfake

import (
	"crypto/rand"
	"slices"
	"strings"
	"time"
)

// token is an access token with the refresh token that came with it.
type token struct {
	access, refresh string // refresh is empty for narrowed tokens and for those that never expire
	scopes          []string
	created         time.Time
	expires         time.Time // zero: never
	refreshEnds     time.Time
	narrow          *narrowing // nil: all that the scopes allow
}

// narrowing is what a scoped token is held to, on top of the scopes of its parent.
type narrowing struct {
	owner       string            // login of the target account
	repos       map[int64]bool    // nil: all of the owner's
	permissions map[string]string // "issues" or "contents" to "read" or "write"; nil: all
}

func (t *token) has(scope string) bool { return slices.Contains(t.scopes, scope) }

// sees reports whether the repository exists for this token. GitHub lets every token read
// public repositories; the fake holds a narrowed one to its list even there, so that a test
// notices a tool that reaches past what it asked for.
func (t *token) sees(r *repo) bool {
	switch {
	case r.withheld, r.private && !t.has("repo"):
		return false
	case t.narrow == nil:
		return true
	case !strings.EqualFold(t.narrow.owner, r.owner.login):
		return false
	}
	return t.narrow.repos == nil || t.narrow.repos[r.id]
}

// permits reports whether a narrowed token holds the permission; others hold them all.
func (t *token) permits(area string, write bool) bool {
	if t.narrow == nil || t.narrow.permissions == nil || area == "metadata" {
		return true
	}
	level := t.narrow.permissions[area]
	return level == "write" || level == "read" && !write
}

// mayWrite reports whether the scopes allow writes to a repository that the token sees.
func (t *token) mayWrite(r *repo) bool {
	return t.has("repo") || !r.private && t.has("public_repo")
}

// mint issues a fresh pair, or a lone access token when tokens never expire.
func (f *Fake) mint(scopes []string) *token {
	t := &token{scopes: scopes, created: f.now()}
	if f.cfg.TokenLifetime < 0 {
		t.access = f.secret("gho_canary")
	} else {
		t.access, t.refresh = f.secret("ghu_canary"), f.secret("ghr_canary")
		t.expires = t.created.Add(f.cfg.TokenLifetime)
		t.refreshEnds = t.created.Add(refreshLifetime)
		f.refresh[t.refresh] = t
	}
	f.access[t.access] = t
	return t
}

// drop ends a pair. Tokens narrowed from it stand alone and live on, so whoever revokes a
// parent must think of the children or revoke the whole grant.
func (f *Fake) drop(t *token) {
	delete(f.access, t.access)
	delete(f.refresh, t.refresh)
}

// live finds an access token that works now.
func (f *Fake) live(access string) *token {
	t := f.access[access]
	if t == nil || !t.expires.IsZero() && !f.now().Before(t.expires) {
		return nil
	}
	return t
}

func (f *Fake) secret(prefix string) string {
	s := prefix + randomText()
	f.issued = append(f.issued, s)
	return s
}

func randomText() string { return strings.ToLower(rand.Text()) }

// Issue hands out an access token with these scopes without the OAuth dance, for tests that are
// about something else.
func (f *Fake) Issue(scopes ...string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mint(scopeSet(strings.Join(scopes, " "))).access
}

// ExpireAccess makes all access tokens expired, narrowed ones too. Refresh tokens still work.
func (f *Fake) ExpireAccess() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.access)
}

// RevokeAll ends every token, refresh token and open code, as if the user had removed the app
// from her settings. She may connect it anew.
func (f *Fake) RevokeAll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.revokeAll()
}

func (f *Fake) revokeAll() {
	clear(f.access)
	clear(f.refresh)
	clear(f.codes)
}

// Deny makes the consent page refuse from now on. What was granted before stays.
func (f *Fake) Deny() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.denied = true
}
