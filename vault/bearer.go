package vault

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"deputy/approvals"
	"deputy/vault/internal/oauth"
)

// bearer is a token ready for one request, and where it came from.
type bearer struct {
	token oauth.Secret
	reach Reach
	from  current
}

// bearer finds the narrowest token for one request. With than set, a request
// with that bearer was refused and another is wanted.
func (l *Lease) bearer(ctx context.Context, req approvals.Request, pattern string, than *bearer) (bearer, error) {
	v := l.vault
	if !l.route.Key.IsZero() {
		return bearer{token: l.route.Key, reach: Grant}, v.Frozen(l.caller, l.route.Name, l.account.ID)
	}
	var refused *current
	if than != nil && l.route == l.source {
		refused = &than.from
	}
	now, err := v.fresh(ctx, l, refused)
	if err != nil {
		return bearer{}, err
	}
	if l.route != l.source {
		return v.trade(ctx, l, now, than != nil)
	}
	b := bearer{token: now.tokens.access, reach: Grant, from: now}
	if !l.route.App && len(l.route.surplus(now.grant.Scopes, set(l.need, l.route.BaseScopes))) == 0 {
		b.reach = Exact
		return b, nil
	}
	return v.narrow(ctx, l, b, req, pattern), nil
}

// pinned adds the token to requests for one host and to nothing else. The
// response it returns refers to the caller's request, which never had it.
type pinned struct {
	base   *url.URL
	token  oauth.Secret
	header string // "" is Authorization, as a bearer
	next   http.RoundTripper
}

func (p pinned) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme != p.base.Scheme || req.URL.Host != p.base.Host {
		return nil, fmt.Errorf("vault: a request for %s stays here: this grant is for %s", req.URL.Host, p.base.Host)
	}
	out := req.Clone(req.Context())
	if p.header == "" {
		out.Header.Set("Authorization", "Bearer "+oauth.Reveal(p.token))
	} else {
		out.Header.Set(p.header, oauth.Reveal(p.token))
	}
	resp, err := p.next.RoundTrip(out)
	if resp != nil {
		resp.Request = req
	}
	return resp, err
}
