package access

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// algorithms a token may be signed with: none in which a public key could be
// taken for a secret, and not "none" (RFC 8725 §3.1, §3.2).
var algorithms = []jose.SignatureAlgorithm{
	jose.ES256, jose.ES384, jose.ES512, jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.EdDSA,
}

// JWT reads access tokens that are signed JWTs (RFC 9068).
type JWT struct {
	Issuer   string // iss, exactly
	Audience string // aud, exactly this and nothing beside it
	Keys     Keys
}

// Keys are an issuer's public keys.
type Keys interface {
	// Key is the key of that id, or nil. The id is the token's word.
	Key(ctx context.Context, id string) (*jose.JSONWebKey, error)
}

type claims struct {
	Issuer    string          `json:"iss"`
	Subject   string          `json:"sub"`
	Audience  json.RawMessage `json:"aud"`
	Client    string          `json:"client_id"`
	ID        string          `json:"jti"`
	Scope     string          `json:"scope"`
	Expires   json.Number     `json:"exp"`
	NotBefore json.Number     `json:"nbf"`
	Issued    json.Number     `json:"iat"`
	AuthTime  json.Number     `json:"auth_time"`
	ACR       string          `json:"acr"`
	Bound     json.RawMessage `json:"cnf"`
}

// Verify implements Verifier.
func (j JWT) Verify(ctx context.Context, token string) (Access, error) {
	if len(token) > maxToken {
		return Access{}, invalid("it is too long")
	}
	signed, err := jose.ParseSignedCompact(token, algorithms)
	if err != nil || len(signed.Signatures) != 1 {
		return Access{}, invalid("it is no JWT with a signature we take")
	}
	head := signed.Signatures[0].Protected
	if err := wellHead(head); err != nil {
		return Access{}, err
	}
	key, err := j.Keys.Key(ctx, head.KeyID)
	if err != nil {
		return Access{}, err
	}
	if key == nil || key.Use != "" && key.Use != "sig" || key.Algorithm != "" && key.Algorithm != head.Algorithm {
		return Access{}, invalid("its key is none of the issuer's")
	}
	payload, err := signed.Verify(key)
	if err != nil {
		return Access{}, invalid("its signature is wrong")
	}
	var c claims
	if json.Unmarshal(payload, &c) != nil {
		return Access{}, invalid("its claims cannot be read")
	}
	return j.access(c)
}

// wellHead: the header says that this is an access token, and brings no key of
// its own (RFC 9068 §4, RFC 8725 §3.5, §3.11).
func wellHead(h jose.Header) error {
	typ, _ := h.ExtraHeaders[jose.HeaderType].(string)
	if typ = strings.ToLower(typ); typ != "at+jwt" && typ != "application/at+jwt" {
		return invalid("its typ is not at+jwt")
	}
	if h.JSONWebKey != nil || len(h.KeyID) > 256 {
		return invalid("it brings a key")
	}
	for _, name := range []jose.HeaderKey{"jku", "x5u", "x5c", "crit"} {
		if h.ExtraHeaders[name] != nil {
			return invalid("its header has " + string(name))
		}
	}
	return nil
}

func (j JWT) access(c claims) (Access, error) {
	switch {
	case c.Issuer != j.Issuer:
		return Access{}, invalid("it is of another issuer")
	case !only(c.Audience, j.Audience):
		return Access{}, invalid("it is not for this server alone")
	case len(c.Bound) > 0:
		return Access{}, invalid("it is bound to a key, and came as a bearer") // RFC 9449 §7.2, RFC 8705 §3
	}
	a := Access{
		Issuer: c.Issuer, Subject: c.Subject, Client: c.Client, ID: c.ID, Scopes: scopes(c.Scope),
		Expires: instant(c.Expires), AuthTime: instant(c.AuthTime), ACR: c.ACR,
	}
	notBefore, _ := c.NotBefore.Int64()
	issued, _ := c.Issued.Int64()
	return a, a.well(time.Now(), notBefore, issued)
}

// instant is a NumericDate, of which some servers give fractions (RFC 7519 §2).
func instant(n json.Number) time.Time {
	s, err := n.Float64()
	if err != nil || s <= 0 || s > 1<<40 {
		return time.Time{}
	}
	return time.Unix(int64(s), 0).UTC()
}

// only: an audience is one string, or a list of that one.
func only(aud json.RawMessage, want string) bool {
	var one string
	if json.Unmarshal(aud, &one) == nil {
		return one == want
	}
	var list []string
	return json.Unmarshal(aud, &list) == nil && slices.Equal(list, []string{want})
}
