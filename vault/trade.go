package vault

import (
	"context"
	"errors"
	"strings"
	"time"

	"deputy/vault/internal/oauth"
)

// trade turns a person's token of one provider into one for another, in
// memory: RFC 8693 on behalf of, or an ID-JAG and RFC 7523. The result is for
// this process's own requests; it is made again when it ends.
func (v *Vault) trade(ctx context.Context, l *Lease, now current, refused bool) (bearer, error) {
	r, what := l.route, "trade "+l.route.Name
	g := now.grant
	if refused {
		v.narrowed.drop(g.ID, what)
	}
	got, ok := v.narrowed.get(g.ID, what, g.Gen)
	if !ok {
		made, err, _ := v.narrowed.flight.Do(g.ID+"\x00"+number(g.Gen)+"\x00"+what, func() (any, error) {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*tokenTimeout)
			defer cancel()
			t, err := v.traded(ctx, r, l.source, now)
			if err != nil {
				return less{}, err
			}
			life := t.Lifetime
			if life == 0 {
				life = tradeLife
			}
			made := less{token: t.Access, gen: g.Gen, until: time.Now().Add(life * 9 / 10)}
			v.narrowed.put(g.ID, what, made)
			return made, nil
		})
		if err != nil {
			return bearer{}, r.tradeFault(err)
		}
		got = made.(less)
	}
	reach := Exact
	if len(r.Trade.Scopes) == 0 {
		reach = Grant
	}
	return bearer{token: got.token, reach: reach, from: now}, nil
}

// tradeLife is how long a traded token without a lifetime is used.
const tradeLife = 5 * time.Minute

func (v *Vault) traded(ctx context.Context, r, source *route, now current) (oauth.Tokens, error) {
	if !r.Trade.Assertion {
		return oauth.Trade(ctx, r.client, &r.OAuth, oauth.Exchange{
			Subject: now.tokens.access, SubjectType: oauth.AccessTokenType, Requested: oauth.AccessTokenType,
			Audience: r.Trade.Audience, Resource: r.OAuth.Resource, Scopes: r.Trade.Scopes,
		})
	}
	if now.tokens.id.IsZero() {
		return oauth.Tokens{}, &Fault{Provider: r.Name, Kind: Upstream, Cause: "the account it comes from has no ID token: connect it with the scope openid"}
	}
	issuer, err := source.server(ctx)
	if err != nil {
		return oauth.Tokens{}, err
	}
	jag, err := oauth.Trade(ctx, source.client, issuer, oauth.Exchange{
		Subject: now.tokens.id, SubjectType: oauth.IDTokenType, Requested: oauth.IDJAGType,
		Audience: r.Trade.Audience, Resource: r.OAuth.Resource, Scopes: r.Trade.Scopes,
	})
	if err != nil {
		return oauth.Tokens{}, err
	}
	return oauth.Assert(ctx, r.client, &r.OAuth, jag.Access, r.Trade.Scopes, r.OAuth.Resource)
}

// tradeFault: a refused trade says that this person may not, not that the
// grant it comes from is over.
func (r *route) tradeFault(err error) error {
	var no *oauth.Refusal
	if errors.As(err, &no) && no.Verdict == GrantEnded || errors.As(err, &no) && strings.HasPrefix(no.Code, "invalid_target") {
		return &Fault{Provider: r.Name, Kind: Forbidden, Cause: "the exchange was refused (" + no.Code + ")"}
	}
	return r.fault(err)
}
