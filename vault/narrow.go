package vault

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"deputy/approvals"
	"deputy/vault/internal/oauth"

	"golang.org/x/sync/singleflight"
)

// narrowed keeps tokens made from a grant, for less than it or for another
// API, in memory alone: they are made from it again. A provider that did not comply is not asked again for a
// while.
type narrowed struct {
	mu     sync.Mutex
	all    map[string]map[string]less // grant → what for
	flight singleflight.Group
}

type less struct {
	token oauth.Secret
	gen   uint64
	until time.Time
	no    bool // the provider gave no such token
}

const (
	maxNarrowed = 64              // for one grant
	narrowEarly = 5 * time.Minute // before a narrowed token ends
	narrowRetry = time.Hour       // after a provider did not comply
)

func (n *narrowed) get(grant, what string, gen uint64) (less, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	l, ok := n.all[grant][what]
	return l, ok && (l.no || l.gen == gen) && time.Now().Before(l.until)
}

func (n *narrowed) put(grant, what string, l less) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.all == nil {
		n.all = map[string]map[string]less{}
	}
	if n.all[grant] == nil || len(n.all[grant]) >= maxNarrowed {
		n.all[grant] = map[string]less{}
	}
	n.all[grant][what] = l
}

// drop forgets one token of a grant, forget all of them.
func (n *narrowed) drop(grant, what string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.all[grant], what)
}

func (n *narrowed) forget(grant string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for what, l := range n.all[grant] {
		if !l.no { // what a provider does not do it will not do after a refresh
			delete(n.all[grant], what)
		}
	}
}

// narrow trades a bearer for a narrower one where the provider can make one,
// and gives it back as it is where not: the lease's Reach tells which.
func (v *Vault) narrow(ctx context.Context, l *Lease, b bearer, req approvals.Request, pattern string) bearer {
	what, reach, ask := "", Grant, (func(context.Context) (less, error))(nil)
	switch n := l.route.Narrow; {
	case n.ScopedURL != "" && l.route.App:
		repo, permission := repository(req.Path), n.Permissions[pattern]
		if repo == "" || permission == "" {
			return b
		}
		what, reach = repo+" "+permission, Repository
		ask = func(ctx context.Context) (less, error) { return v.scoped(ctx, l.route, b, repo, permission) }
	case n.Refresh && !b.from.tokens.refresh.IsZero():
		scopes := set(l.need)
		what, reach = strings.Join(scopes, " "), Scopes
		ask = func(ctx context.Context) (less, error) { return v.lesser(ctx, l.route, b, scopes) }
	default:
		return b
	}
	g := b.from.grant
	got, ok := v.narrowed.get(g.ID, what, g.Gen)
	if !ok {
		made, _, _ := v.narrowed.flight.Do(g.ID+"\x00"+number(g.Gen)+"\x00"+what, func() (any, error) {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tokenTimeout)
			defer cancel()
			made, err := ask(ctx)
			if err != nil {
				made = less{no: true, until: time.Now().Add(narrowRetry)}
			}
			made.gen = g.Gen
			v.narrowed.put(g.ID, what, made)
			return made, nil
		})
		got = made.(less)
	}
	if got.no {
		return b
	}
	b.token, b.reach = got.token, reach
	return b
}

// lesser asks for fewer scopes in a refresh. Google takes that in its own
// clients and does not document it, so what comes back is believed only if it
// names exactly what was asked, and the grant's refresh token stays as it is.
func (v *Vault) lesser(ctx context.Context, r *route, b bearer, scopes []string) (less, error) {
	server, err := r.server(ctx)
	if err != nil {
		return less{}, err
	}
	t, err := oauth.Ask(ctx, r.client, server, url.Values{
		"grant_type": {"refresh_token"}, "refresh_token": {oauth.Reveal(b.from.tokens.refresh)}, "scope": {strings.Join(scopes, " ")},
	})
	if err != nil {
		return less{}, err
	}
	if !t.Refresh.IsZero() && oauth.Reveal(t.Refresh) != oauth.Reveal(b.from.tokens.refresh) {
		// It took that for an ordinary refresh and replaced the tokens: then they
		// are kept like those of one.
		t.Scopes = nil
		_, err := v.commit(ctx, b.from, t)
		return less{}, errors.Join(ErrNotNarrower, err)
	}
	if !slices.Equal(set(t.Scopes), scopes) {
		return less{}, ErrNotNarrower
	}
	return less{token: t.Access, until: time.Now().Add(max(t.Lifetime-narrowEarly, 0))}, nil
}

// repository is the owner and name in a path below /repos, or "".
func repository(path string) string {
	path, _, _ = strings.Cut(path, "?")
	parts := strings.Split(path, "/")
	if len(parts) < 4 || parts[1] != "repos" {
		return ""
	}
	owner, err1 := url.PathUnescape(parts[2])
	name, err2 := url.PathUnescape(parts[3])
	if err1 != nil || err2 != nil || owner == "" || name == "" {
		return ""
	}
	return strings.ToLower(owner + "/" + name)
}

// scoped makes a token for one repository and the permissions of one request
// (GitHub: POST /applications/{client_id}/token/scoped).
func (v *Vault) scoped(ctx context.Context, r *route, b bearer, repo, permission string) (less, error) {
	owner, name, _ := strings.Cut(repo, "/")
	permissions := map[string]string{}
	for _, p := range strings.Fields(permission) {
		what, level, _ := strings.Cut(p, ":")
		permissions[what] = level
	}
	body, err := json.Marshal(map[string]any{
		"access_token": oauth.Reveal(b.token), "target": owner, "repositories": []string{name}, "permissions": permissions,
	})
	if err != nil {
		return less{}, err
	}
	req, err := http.NewRequest(http.MethodPost, strings.TrimSuffix(r.Narrow.ScopedURL, "/")+"/"+url.PathEscape(r.OAuth.ClientID)+"/token/scoped", bytes.NewReader(body))
	if err != nil {
		return less{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	for k, h := range r.Header {
		req.Header.Set(k, h)
	}
	req.SetBasicAuth(r.OAuth.ClientID, oauth.Reveal(r.OAuth.ClientSecret))
	answer, err := oauth.SendJSON(ctx, r.client, req)
	if err != nil {
		return less{}, err
	}
	var t struct {
		Token        string    `json:"token"`
		Expires      time.Time `json:"expires_at"`
		Installation struct {
			Permissions map[string]string `json:"permissions"`
		} `json:"installation"`
	}
	if err := json.Unmarshal(answer, &t); err != nil || t.Token == "" || t.Token == oauth.Reveal(b.token) {
		return less{}, ErrNotNarrower
	}
	for what, level := range t.Installation.Permissions {
		if what != "metadata" && permissions[what] != level {
			return less{}, ErrNotNarrower
		}
	}
	until := t.Expires.Add(-narrowEarly)
	if t.Expires.IsZero() {
		until = time.Now().Add(time.Hour)
	}
	return less{token: oauth.Hide(t.Token), until: until}, nil
}
