package slackfake

import (
	"crypto/rand"
	"slices"
	"strings"
	"time"
)

// publicRefreshLifetime is how long a refresh token of a PKCE app lives; others do not age.
const publicRefreshLifetime = 30 * 24 * time.Hour

// token is an access token with the refresh token that came along with it.
type token struct {
	access, refresh string
	user            string // who acts: Anna, or the bot's user
	kind            string // "user" or "bot"
	scopes          []string
	public          bool      // obtained by PKCE without a secret, and so refreshed without one
	issued          time.Time // with public, the age of the refresh token
	expires         time.Time // zero: never
	dead            string    // the error it now gives, if any
}

func (t *token) scope() string { return strings.Join(t.scopes, ",") }

func (t *token) has(scope string) bool { return slices.Contains(t.scopes, scope) }

// describe adds the token to an answer, in the words both of Slack's places for it share.
func (t *token) describe(answer object) {
	answer["access_token"] = t.access
	answer["token_type"] = t.kind
	answer["scope"] = t.scope()
	if t.refresh != "" {
		answer["refresh_token"] = t.refresh
		// Rounded up: 0 would read as "never".
		answer["expires_in"] = int64((t.expires.Sub(t.issued) + time.Second - 1) / time.Second)
	}
}

// issue makes a token. Scopes at Slack only add up: the new token also holds what any live token
// of the same kind holds, and narrowing needs all of them revoked first.
func (f *Fake) issue(user, kind string, scopes []string, public bool) *token {
	all := slices.Clone(scopes)
	for _, t := range f.access {
		if t.kind == kind && t.dead == "" {
			all = append(all, t.scopes...)
		}
	}
	slices.Sort(all)
	return f.mint(&token{user: user, kind: kind, scopes: slices.Compact(all), public: public})
}

// mint gives a token its strings and its time, and makes it known.
func (f *Fake) mint(t *token) *token {
	prefix := "xoxp-canary-"
	if t.kind == "bot" {
		prefix = "xoxb-canary-"
	}
	t.issued = f.now()
	if f.cfg.TokenLifetime > 0 {
		prefix = "xoxe." + prefix
		t.refresh = "xoxe-canary-" + random()
		t.expires = t.issued.Add(f.cfg.TokenLifetime)
		f.refresh[t.refresh] = t
		f.issued = append(f.issued, t.refresh)
	}
	t.access = prefix + random()
	f.access[t.access] = t
	f.issued = append(f.issued, t.access)
	return t
}

// rotate trades a refresh token, once. The old pair is then dead: the refresh token is unknown,
// and the access token says token_expired, because the remedy is to look for the newer one. (Slack
// documents the first; it may let the old access token live on a little.)
//
// The answer has the token at the top level for both kinds, and token_type says which it is; for a
// user's, authed_user holds the id alone. Both token endpoints answer alike.
func (f *Fake) rotate(refresh string, authenticated bool) reply {
	old := f.refresh[refresh]
	switch {
	case old == nil:
		return fail("invalid_refresh_token")
	case !authenticated && !old.public:
		return fail("bad_client_secret")
	case old.public && f.now().Sub(old.issued) >= publicRefreshLifetime:
		delete(f.refresh, refresh)
		return fail("invalid_refresh_token")
	}
	old.kill("token_expired")
	delete(f.refresh, refresh)
	t := f.mint(&token{user: old.user, kind: old.kind, scopes: old.scopes, public: old.public})
	answer := f.installation()
	t.describe(answer)
	if t.kind == "user" {
		answer["authed_user"] = object{"id": t.user}
	} else {
		answer["bot_user_id"] = t.user
	}
	return ok(answer)
}

// lookup finds who a token string stands for, or the error it gives.
func (f *Fake) lookup(access string) (t *token, refused string) {
	if access == "" {
		return nil, "not_authed"
	}
	t = f.access[access]
	switch {
	case t == nil:
		return nil, "invalid_auth"
	case t.dead != "":
		return nil, t.dead
	case !t.expires.IsZero() && !f.now().Before(t.expires):
		return nil, "token_expired"
	}
	return t, ""
}

// kill keeps the first cause of death: a token that was revoked stays revoked.
func (t *token) kill(cause string) {
	if t.dead == "" {
		t.dead = cause
	}
}

// ExpireAccess makes all access tokens issued so far expired. They can still be refreshed.
func (f *Fake) ExpireAccess() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, t := range f.access {
		t.expires = f.now()
	}
}

// RevokeAll ends all tokens, as if the user had removed the app.
func (f *Fake) RevokeAll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, t := range f.access {
		t.kill("token_revoked")
	}
	clear(f.refresh)
}

// authRevoke ends the token it is called with, and the refresh token that belongs to it. A token
// of the other kind from the same authorization lives on.
func (f *Fake) authRevoke(c *call) reply {
	if c.flag("test") {
		return ok(object{"revoked": false})
	}
	c.token.kill("token_revoked")
	delete(f.refresh, c.token.refresh)
	return ok(object{"revoked": true})
}

// random is unguessable; base32 so that a search for it in logs needs no escaping.
func random() string { return rand.Text() }
