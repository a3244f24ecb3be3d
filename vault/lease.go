package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"time"

	"deputy/approvals"
	"deputy/authz"
	"deputy/vault/internal/oauth"
)

// maxAnswer bounds what a provider can make us hold in memory.
const maxAnswer = 16 << 20

// Lease is the right of one caller to use one account for some scopes. It
// reads by itself and sends against a permit. Everything that may end the
// right is looked at again for each request.
type Lease struct {
	vault   *Vault
	route   *route
	caller  authz.Caller
	account Account
	need    []string

	source   *route // whose grant it is: route, or what its tokens are traded from
	sourceID string // the account of that grant

	mu   sync.Mutex
	used Reach
}

// Account is the account the lease is for.
func (l *Lease) Account() Account { return l.account }

// Reach is how much the tokens of a lease's requests were good for.
type Reach string

const (
	Nothing    Reach = ""           // no request was made
	Repository Reach = "repository" // one repository and the request's permissions
	Scopes     Reach = "scopes"     // the needed scopes, fewer than the grant's
	Exact      Reach = "exact"      // a grant of just the needed scopes
	Grant      Reach = "grant"      // the whole grant: the declared requests were the only limit
)

var width = map[Reach]int{Nothing: 0, Repository: 1, Scopes: 2, Exact: 3, Grant: 4}

// Reach is the widest token that any request of the lease was made with.
func (l *Lease) Reach() Reach {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.used
}

func (l *Lease) widen(r Reach) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if width[r] > width[l.used] {
		l.used = r
	}
}

// Read performs a request that the provider declares readable.
func (l *Lease) Read(ctx context.Context, path string) ([]byte, error) {
	pattern, ok := declared(l.route.reads, http.MethodGet, path)
	if !ok {
		return nil, fmt.Errorf("%w: read %s", ErrUndeclared, redact(path))
	}
	body, _, err := l.perform(ctx, l.reading(path), pattern, nil)
	return body, err
}

// reading is how this provider wants to be asked.
func (l *Lease) reading(path string) approvals.Request {
	if !l.route.PostReads {
		return approvals.Request{Method: http.MethodGet, Path: path}
	}
	path, query, _ := strings.Cut(path, "?")
	return approvals.Request{Method: http.MethodPost, Path: path, ContentType: "application/x-www-form-urlencoded", Body: []byte(query)}
}

// Send performs the action's request, once, against a permit for exactly it.
// The permit is spent before the first byte leaves; whatever happens then, it
// stays spent. A *Fault of kind Unknown means that the provider may have acted.
func (l *Lease) Send(ctx context.Context, permit approvals.Permit, action approvals.Action) ([]byte, error) {
	action = action.Clone() // what is checked is what is sent
	req := action.Request
	if action.Caller.User() != l.caller.User() || action.Account != l.account.ID || action.Provider != l.route.Name {
		return nil, ErrNotPermitted
	}
	pattern, ok := declared(l.route.writes, req.Method, req.Path)
	if !ok {
		return nil, fmt.Errorf("%w: %s %s", ErrUndeclared, req.Method, redact(req.Path))
	}
	body, wrote, err := l.perform(ctx, req, pattern, func() error { return permit.Spend(action) })
	var f *Fault
	var dead *NotConnectedError
	switch {
	case errors.As(err, &dead) && wrote != notTried: // the grant ended under way: nothing was done
		return nil, &Fault{Provider: l.route.Name, Kind: Reconnect}
	case errors.Is(err, ErrFrozen) && wrote != notTried:
		return nil, &Fault{Provider: l.route.Name, Kind: Frozen}
	case errors.As(err, &f) && f.Kind == Upstream && wrote == wroteAll:
		f.Kind = Unknown
	}
	return body, err
}

// progress is how far a request came.
type progress int

const (
	notTried progress = iota
	tried             // it began, and nothing can have been done
	wroteAll          // it had gone out in full
)

// perform sends a request, and once more with a new token if the provider
// refused the first: the token may have been replaced while we used it (GitHub
// kills the old one at a refresh), or ended early. What refused the token did
// nothing, so the second is still the first time, also for a write. pay is
// called when everything else is ready, before the first byte leaves.
func (l *Lease) perform(ctx context.Context, req approvals.Request, pattern string, pay func() error) ([]byte, progress, error) {
	if err := l.vault.limits.take(l.account.ID, pattern, l.route.PerMinute); err != nil {
		err.Provider = l.route.Name
		return nil, notTried, err
	}
	b, err := l.bearer(ctx, req, pattern, nil)
	if err != nil {
		return nil, notTried, err
	}
	if pay != nil {
		if err := pay(); err != nil {
			return nil, notTried, err
		}
	}
	body, wrote, err := l.do(ctx, b, req)
	if pay == nil && again(ctx, err) {
		body, wrote, err = l.do(ctx, b, req)
	}
	var refused *Fault
	if errors.As(err, &refused) && refused.Kind == Reconnect {
		then, err := l.bearer(ctx, req, pattern, &b)
		if err != nil {
			return nil, tried, err
		}
		body, wrote, err = l.do(ctx, then, req)
		if errors.As(err, &refused) && refused.Kind == Reconnect {
			if l.route.Key.IsZero() && l.route == l.source {
				l.vault.bury("", &then.from.connection, &then.from.grant, "the provider refused a new token")
			}
			return nil, tried, err
		}
		l.vault.limits.heed(l.account.ID, pattern, err)
		return body, wrote, err
	}
	l.vault.limits.heed(l.account.ID, pattern, err)
	return body, wrote, err
}

// again reports whether a read is worth a second try: the provider failed for
// a moment and named no time to wait.
func again(ctx context.Context, err error) bool {
	var f *Fault
	if !errors.As(err, &f) || f.Kind != Upstream || ctx.Err() != nil {
		return false
	}
	if f.Status != 0 && f.Status != http.StatusBadGateway && f.Status != http.StatusServiceUnavailable && f.Status != http.StatusGatewayTimeout || f.Cause == causeSlow {
		return false
	}
	select {
	case <-time.After(retryPause):
		return true
	case <-ctx.Done():
		return false
	}
}

const (
	retryPause = 100 * time.Millisecond
	causeSlow  = "no answer in time"
)

// do sends one request with a bearer and sorts the answer.
func (l *Lease) do(ctx context.Context, b bearer, req approvals.Request) (body []byte, wrote progress, err error) {
	ctx, cancel := context.WithTimeout(ctx, l.vault.c.Timeout)
	defer cancel()
	wrote = tried
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteRequest: func(i httptrace.WroteRequestInfo) {
			if i.Err == nil {
				wrote = wroteAll
			}
		},
	})
	fault := func(k Kind, status int, cause string) *Fault {
		return &Fault{Provider: l.route.Name, Kind: k, Status: status, Cause: cause}
	}
	out, err := http.NewRequestWithContext(ctx, req.Method, l.route.base.String()+req.Path, bytes.NewReader(req.Body))
	if err != nil {
		return nil, tried, fault(BadInput, 0, "the request cannot be built")
	}
	// Without GetBody the transport cannot quietly send a write twice.
	out.GetBody = nil
	if req.ContentType != "" {
		out.Header.Set("Content-Type", req.ContentType)
	}
	for k, v := range l.route.Header {
		out.Header.Set(k, v)
	}
	known := l.vault.etags.of(l.caller.User(), l.account.ID, req)
	if known.etag != "" {
		out.Header.Set("If-None-Match", known.etag)
	}
	client := &http.Client{Transport: pinned{base: l.route.base, token: b.token, header: l.route.KeyHeader, next: l.vault.c.Transport}, CheckRedirect: oauth.NoRedirect}
	resp, err := client.Do(out)
	if err != nil {
		if ctx.Err() != nil {
			return nil, wrote, fault(Upstream, 0, causeSlow)
		}
		return nil, wrote, fault(Upstream, 0, "no connection, or it broke")
	}
	defer resp.Body.Close()
	l.widen(b.reach)
	if resp.StatusCode == http.StatusNotModified && known.etag != "" {
		return known.body, wrote, nil
	}
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil || len(body) > maxAnswer {
		return nil, wrote, fault(Upstream, resp.StatusCode, "the answer broke off or is too long")
	}
	if kind := l.route.Fault(resp.StatusCode, body); kind != "" {
		f := fault(kind, resp.StatusCode, "")
		if kind == RateLimited {
			f.After = retryAfter(resp.Header)
		}
		return nil, wrote, f
	}
	if !looksLikeJSON(body) {
		return nil, wrote, fault(Upstream, resp.StatusCode, "the answer is not JSON")
	}
	l.vault.etags.keep(l.caller.User(), l.account.ID, req, resp.Header.Get("ETag"), body)
	return body, wrote, nil
}

// looksLikeJSON is a cheap whole-document check: a truncated answer or an HTML
// page from a proxy must not pass for an empty result.
func looksLikeJSON(body []byte) bool {
	b := bytes.TrimSpace(body)
	if len(b) == 0 {
		return true // 204
	}
	first, last := b[0], b[len(b)-1]
	return first == '{' && last == '}' || first == '[' && last == ']'
}

// redact drops a path's query, which may hold what a person searched for.
func redact(path string) string {
	u, err := url.Parse(path)
	if err != nil {
		return "(unreadable path)"
	}
	return u.Path
}
