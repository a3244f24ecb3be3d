package authserver

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"deputy/internal/authserver/clients"
	"deputy/internal/authserver/signing"
	"deputy/internal/store"
)

// TrustedIssuer is a company's identity provider whose ID-JAGs are taken
// (draft-ietf-oauth-identity-assertion-authz-grant): it says, in a signed note
// for deputy alone, that one of its people may use one client here. That
// provider has asked the person, or decided for them; deputy does not ask again.
type TrustedIssuer struct {
	Issuer string             // iss, exactly
	Keys   string             // where its keys are (jwks_uri)
	Fixed  jose.JSONWebKeySet // or the keys themselves

	set *signing.KeySet
}

func (t *TrustedIssuer) check() error {
	if !strings.HasPrefix(t.Issuer, "https://") || (t.Keys == "") == (len(t.Fixed.Keys) == 0) {
		return errors.New("authserver: a trusted issuer has an https address, and either keys or where they are")
	}
	return nil
}

const (
	assertionType = "oauth-id-jag+jwt"

	// assertionLife bounds how long a note may be good for, and with it how long
	// its number is remembered.
	assertionLife = 5 * time.Minute
)

// note is the claims of an ID-JAG.
type note struct {
	Issuer   string           `json:"iss"`
	Subject  string           `json:"sub"`
	Audience jwt.Audience     `json:"aud"`
	Client   string           `json:"client_id"`
	ID       string           `json:"jti"`
	Expires  *jwt.NumericDate `json:"exp"`
	Issued   *jwt.NumericDate `json:"iat"`
	Resource jwt.Audience     `json:"resource"`
	Scope    string           `json:"scope"`
	AuthTime *jwt.NumericDate `json:"auth_time"`
	ACR      string           `json:"acr"`
	Actor    *actor           `json:"act"`
}

var errAssertion = refuse(invalidGrant, "the assertion is not an ID-JAG of a trusted issuer for this client and server, or it is over or used")

// assert answers grant_type=urn:…:jwt-bearer (RFC 7523 §2.1). It is for
// confidential clients, and gives no refresh token: the provider gives the next
// note, or does not.
func (s *Server) assert(r *http.Request, client clients.Client) (*tokens, error) {
	if client.Public() {
		return nil, refuse(unauthorizedClient, "assertions are for clients with a secret")
	}
	n, err := s.readAssertion(r.Context(), r.PostForm.Get("assertion"), client)
	if err != nil {
		return nil, err
	}
	scopes, err := n.scopes(s, r.PostForm.Get("scope"))
	if err != nil {
		return nil, err
	}
	if asked := r.PostForm["resource"]; len(asked) > 0 && !slices.Equal(asked, []string(n.Resource)) {
		return nil, refuse(invalidTarget, "resource: not the one that the assertion is for")
	}
	user, err := s.c.People.Known(r.Context(), n.Issuer, n.Subject)
	if err != nil || user == "" {
		return nil, refuse(invalidGrant, "nobody here is known by this account: sign in with it once, and link it")
	}
	if s.c.People.May(r.Context(), user) != nil {
		return nil, errGone
	}
	g := grant{User: user, Resource: n.Resource[0], Scopes: scopes, Via: "id-jag"}
	if !slices.Contains(s.c.ACRValues, n.ACR) { // those are ours to say
		g.ACR = n.ACR
	}
	if n.AuthTime != nil {
		g.AuthTime = n.AuthTime.Time().UTC()
	}
	if n.Actor != nil {
		g.Actor = n.Actor.Subject
	}
	var t *tokens
	err = s.change(func(c *change) (err error) {
		if _, err := s.tables.spent.Get(c, n.Issuer, n.ID); !errors.Is(err, store.ErrNotFound) {
			if err == nil {
				err = errAssertion // a note is good once
			}
			return err
		}
		if err := s.tables.spent.Put(c, n.Expires.Time().Add(2*skew), n.Issuer, n.ID); err != nil {
			return err
		}
		t, err = c.give(g, client, nil, false)
		return err
	})
	return t, err
}

// readAssertion checks everything of a note but whether it was used. What is
// read before the signature chooses the keys, and nothing else.
func (s *Server) readAssertion(ctx context.Context, text string, client clients.Client) (note, error) {
	var n note
	issuer := s.issuers[issuerOf(text)]
	if issuer == nil {
		return n, errAssertion
	}
	if err := issuer.set.Verify(ctx, text, assertionType, &n); err != nil {
		return n, errAssertion
	}
	now := time.Now()
	switch {
	case n.Issuer != issuer.Issuer, n.Subject == "", len(n.Subject) > 512,
		n.ID == "", len(n.ID) > 512,
		len(n.Audience) != 1 || n.Audience[0] != s.issuer,
		n.Client != client.ID,
		len(n.Resource) != 1 || !slices.Contains(s.c.Resources, n.Resource[0]),
		n.Expires == nil || n.Issued == nil,
		now.After(n.Expires.Time().Add(skew)),
		n.Issued.Time().After(now.Add(skew)),
		n.Expires.Time().Sub(n.Issued.Time()) > assertionLife,
		n.AuthTime != nil && n.AuthTime.Time().After(n.Issued.Time()),
		n.Actor != nil && n.Actor.Subject == "":
		return n, errAssertion
	}
	return n, nil
}

// issuerOf reads whose a note says it is.
func issuerOf(text string) string {
	if len(text) > signing.MaxToken {
		return ""
	}
	signed, err := jose.ParseSignedCompact(text, signing.Algorithms)
	if err != nil {
		return ""
	}
	var c struct {
		Issuer string `json:"iss"`
	}
	if json.Unmarshal(signed.UnsafePayloadWithoutVerification(), &c) != nil {
		return ""
	}
	return c.Issuer
}

// scopes are what the client asks for, within what the note says.
func (n note) scopes(s *Server, asked string) ([]string, error) {
	if strings.TrimSpace(n.Scope) == "" {
		return nil, refuse(invalidScope, "the assertion names no scope")
	}
	allowed := strings.Fields(n.Scope)
	if asked == "" {
		asked = n.Scope
	}
	scopes, err := s.scopesOf(asked)
	if err == nil && !within(scopes, allowed) {
		err = refuse(invalidScope, "scope: more than the assertion says")
	}
	return scopes, err
}
