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
	"strconv"
	"strings"
	"time"

	"deputy/approvals"
	"deputy/authz"
)

// maxAnswer bounds what a provider can make us hold in memory.
const maxAnswer = 16 << 20

// Lease is the right of one caller to use one account. It reads by itself and
// sends against a permit.
type Lease struct {
	vault   *Vault
	route   *route
	caller  authz.Caller
	account Account
}

// Account is the account the lease is for.
func (l *Lease) Account() Account { return l.account }

// Read performs a request that the provider declares readable.
func (l *Lease) Read(ctx context.Context, path string) ([]byte, error) {
	if !declared(l.route.reads, http.MethodGet, path) {
		return nil, fmt.Errorf("%w: read %s", ErrUndeclared, redact(path))
	}
	req := l.reading(path)
	r, err := l.vault.fresh(ctx, l.caller.User(), l.account.ID, 0)
	if err != nil {
		return nil, err
	}
	body, _, err := l.perform(ctx, r, req)
	return body, err
}

// perform sends a request, and once more with a new token if the provider
// refused the first: the token may have been replaced while we used it (GitHub
// kills the old one at a refresh), or ended early. What refused the token did
// nothing, so the second is still the first time, also for a write.
func (l *Lease) perform(ctx context.Context, r row, req approvals.Request) (body []byte, wrote bool, err error) {
	body, wrote, err = l.do(ctx, r, req)
	var refused *Fault
	if !errors.As(err, &refused) || refused.Kind != Reconnect {
		return body, wrote, err
	}
	if r, err = l.vault.fresh(ctx, l.caller.User(), l.account.ID, r.Gen); err != nil {
		return nil, false, err
	}
	body, wrote, err = l.do(ctx, r, req)
	if errors.As(err, &refused) && refused.Kind == Reconnect {
		l.vault.bury(l.caller.User(), l.account.ID, r.Gen)
	}
	return body, wrote, err
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
	if !declared(l.route.writes, req.Method, req.Path) {
		return nil, fmt.Errorf("%w: %s %s", ErrUndeclared, req.Method, redact(req.Path))
	}
	// A dead or stale grant is found out before the permit is gone.
	r, err := l.vault.fresh(ctx, l.caller.User(), l.account.ID, 0)
	if err != nil {
		return nil, err
	}
	if err := permit.Spend(action); err != nil {
		return nil, err
	}
	body, wrote, err := l.perform(ctx, r, req)
	var f *Fault
	var dead *NotConnectedError
	if errors.As(err, &dead) { // the grant ended under way: nothing was done
		return nil, &Fault{Provider: l.route.Name, Kind: Reconnect}
	}
	if errors.As(err, &f) && f.Kind == Upstream && wrote {
		f.Kind = Unknown
	}
	return body, err
}

// do sends one request with the row's token and sorts the answer. wrote tells
// whether the request had gone out in full.
func (l *Lease) do(ctx context.Context, r row, req approvals.Request) (body []byte, wrote bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, l.vault.c.Timeout)
	defer cancel()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteRequest: func(i httptrace.WroteRequestInfo) { wrote = wrote || i.Err == nil },
	})
	fault := func(k Kind, status int, cause string) *Fault {
		return &Fault{Provider: l.route.Name, Kind: k, Status: status, Cause: cause}
	}
	out, err := http.NewRequestWithContext(ctx, req.Method, l.route.base.String()+req.Path, bytes.NewReader(req.Body))
	if err != nil {
		return nil, false, fault(BadInput, 0, "the request cannot be built")
	}
	// Without GetBody the transport cannot quietly send a write twice.
	out.GetBody = nil
	if req.ContentType != "" {
		out.Header.Set("Content-Type", req.ContentType)
	}
	for k, v := range l.route.Header {
		out.Header.Set(k, v)
	}
	client := &http.Client{Transport: pinned{base: l.route.base, token: token{r.Access}, next: l.vault.c.Transport}, CheckRedirect: noRedirect}
	resp, err := client.Do(out)
	if err != nil {
		if ctx.Err() != nil {
			return nil, wrote, fault(Upstream, 0, "no answer in time")
		}
		return nil, wrote, fault(Upstream, 0, "no connection, or it broke")
	}
	defer resp.Body.Close()
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

// redact drops a path's query, which may hold what a person searched for.
func redact(path string) string {
	u, err := url.Parse(path)
	if err != nil {
		return "(unreadable path)"
	}
	return u.Path
}
