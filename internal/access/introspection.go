package access

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Introspection asks the authorization server about each token (RFC 7662). It
// keeps no answers: a token that is revoked there is refused here at once.
type Introspection struct {
	URL          string
	Issuer       string // iss, where the answer has one
	Audience     string // aud, exactly
	ClientID     string
	ClientSecret func() (string, error)
	HTTP         *http.Client // nil: the usual one
}

type introspected struct {
	claims
	Active bool   `json:"active"`
	Type   string `json:"token_type"`
}

// Verify implements Verifier.
func (i Introspection) Verify(ctx context.Context, token string) (Access, error) {
	if len(token) > maxToken || strings.ContainsAny(token, " \t\r\n") {
		return Access{}, invalid("it is too long, or no token")
	}
	secret, err := i.ClientSecret()
	if err != nil {
		return Access{}, err
	}
	form := url.Values{"token": {token}, "token_type_hint": {"access_token"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, i.URL, strings.NewReader(form.Encode()))
	if err != nil {
		return Access{}, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	req.SetBasicAuth(url.QueryEscape(i.ClientID), url.QueryEscape(secret))
	c := i.HTTP
	if c == nil {
		c = client(nil)
	}
	var said introspected
	if err := do(c, req, &said); err != nil {
		return Access{}, err
	}
	return i.access(said)
}

func (i Introspection) access(said introspected) (Access, error) {
	switch {
	case !said.Active:
		return Access{}, invalid("its issuer says that it is not active")
	case said.Type != "" && !strings.EqualFold(said.Type, "bearer") && !strings.EqualFold(said.Type, "access_token"):
		return Access{}, invalid("it is no bearer")
	case len(said.Bound) > 0:
		return Access{}, invalid("it is bound to a key, and came as a bearer")
	case said.Issuer != "" && said.Issuer != i.Issuer:
		return Access{}, invalid("it is of another issuer")
	case !only(said.Audience, i.Audience):
		return Access{}, invalid("it is not for this server alone")
	}
	a := Access{
		Issuer: i.Issuer, Subject: said.Subject, Client: said.Client, ID: said.ID, Scopes: scopes(said.Scope),
		Expires: instant(said.Expires), AuthTime: instant(said.AuthTime), ACR: said.ACR,
	}
	return a, a.well(time.Now(), number(said.NotBefore), number(said.Issued))
}

func number(n json.Number) int64 {
	at := instant(n)
	if at.IsZero() {
		return 0
	}
	return at.Unix()
}
