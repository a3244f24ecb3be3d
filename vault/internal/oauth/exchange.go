package oauth

import (
	"context"
	"net/http"
	"net/url"
	"strings"
)

// Names of RFC 8693 §3, RFC 7523 §2.1 and the identity assertion draft.
const (
	ExchangeGrant = "urn:ietf:params:oauth:grant-type:token-exchange"
	BearerGrant   = "urn:ietf:params:oauth:grant-type:jwt-bearer"

	AccessTokenType  = "urn:ietf:params:oauth:token-type:access_token"
	RefreshTokenType = "urn:ietf:params:oauth:token-type:refresh_token"
	IDTokenType      = "urn:ietf:params:oauth:token-type:id_token"
	IDJAGType        = "urn:ietf:params:oauth:token-type:id-jag"
)

// Exchange asks a server for a token on somebody's behalf (RFC 8693 §2.1).
type Exchange struct {
	Subject     Secret
	SubjectType string
	Requested   string // requested_token_type; "" is the server's choice
	Audience    string
	Resource    string
	Scopes      []string
}

// Trade performs a token exchange.
func Trade(ctx context.Context, c *http.Client, s *Server, x Exchange) (Tokens, error) {
	form := url.Values{"grant_type": {ExchangeGrant}, "subject_token": {Reveal(x.Subject)}, "subject_token_type": {x.SubjectType}}
	for name, v := range map[string]string{
		"requested_token_type": x.Requested, "audience": x.Audience, "resource": x.Resource, "scope": strings.Join(x.Scopes, " "),
	} {
		if v != "" {
			form.Set(name, v)
		}
	}
	t, err := Ask(ctx, c, s, form)
	if err == nil && x.Requested != "" && t.IssuedType != x.Requested {
		// RFC 8693 §2.2.1: the answer names what it is; another kind is not ours to use.
		return Tokens{}, &Unavailable{Cause: "the exchange gave another kind of token than was asked"}
	}
	return t, err
}

// Assert presents an assertion, such as an ID-JAG, for an access token
// (RFC 7523 §2.1).
func Assert(ctx context.Context, c *http.Client, s *Server, assertion Secret, scopes []string, resource string) (Tokens, error) {
	form := url.Values{"grant_type": {BearerGrant}, "assertion": {Reveal(assertion)}}
	if len(scopes) > 0 {
		form.Set("scope", strings.Join(scopes, s.scopeSep()))
	}
	if resource != "" {
		form.Set("resource", resource)
	}
	return Ask(ctx, c, s, form)
}
