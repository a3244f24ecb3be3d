package oauth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Authorization is one authorization request.
type Authorization struct {
	RedirectURI string
	State       string
	Verifier    string // PKCE; the challenge is made from it
	Scopes      []string
	LoginHint   string
}

// Authorize returns where to send the browser. Where the server takes pushed
// requests (RFC 9126) the parameters go there first and the browser carries a
// reference that works once; it never falls back to the plain form, since
// whoever can break the push could choose to.
func Authorize(ctx context.Context, c *http.Client, s *Server, a Authorization) (string, error) {
	to, err := url.Parse(s.AuthURL)
	if err != nil {
		return "", err
	}
	q := url.Values{}
	for k, v := range s.Params {
		q.Set(k, v)
	}
	if slices.Contains(a.Scopes, "openid") && slices.Contains(a.Scopes, "offline_access") && !q.Has("prompt") && !to.Query().Has("prompt") {
		// Without it a server drops offline_access and says nothing, and no
		// refresh token comes (OpenID Connect Core §11).
		q.Set("prompt", "consent")
	}
	q.Set("response_type", "code")
	q.Set("client_id", s.ClientID)
	q.Set("redirect_uri", a.RedirectURI)
	q.Set("state", a.State)
	if len(a.Scopes) > 0 {
		q.Set(s.scopeParam(), strings.Join(a.Scopes, s.scopeSep()))
	}
	if s.PKCE {
		q.Set("code_challenge", challenge(a.Verifier))
		q.Set("code_challenge_method", "S256")
	}
	if s.Resource != "" {
		q.Set("resource", s.Resource)
	}
	if a.LoginHint != "" {
		q.Set("login_hint", a.LoginHint)
	}
	if s.PARURL != "" {
		uri, err := push(ctx, c, s, q)
		if err != nil {
			return "", err
		}
		q = url.Values{"client_id": {s.ClientID}, "request_uri": {uri}}
	}
	for k, v := range to.Query() {
		if !q.Has(k) {
			q[k] = v
		}
	}
	to.RawQuery = q.Encode()
	return to.String(), nil
}

// push sends an authorization request ahead (RFC 9126 §2).
func push(ctx context.Context, c *http.Client, s *Server, q url.Values) (string, error) {
	status, body, err := post(ctx, c, s, s.PARURL, q)
	if err != nil {
		return "", err
	}
	var w struct {
		RequestURI string `json:"request_uri"`
		Error      string `json:"error"`
	}
	if err := json.Unmarshal(body, &w); err != nil || w.Error == "" && (status/100 != 2 || w.RequestURI == "") {
		return "", &Unavailable{Status: status, Cause: "the pushed authorization request was not taken"}
	}
	if w.Error != "" {
		return "", s.refusal(status, w.Error)
	}
	return w.RequestURI, nil
}

// Verifier is a new PKCE verifier: 256 random bits (RFC 7636 §7.1).
func Verifier() string {
	var raw [32]byte
	rand.Read(raw[:])
	return base64.RawURLEncoding.EncodeToString(raw[:])
}

// challenge is S256 of RFC 7636 §4.2.
func challenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// FromServer reports whether an answer at the redirect URI may be this
// server's (RFC 9207): another issuer's name is a mix-up, and so is none where
// one was announced.
func (s *Server) FromServer(iss string) bool {
	if iss == "" {
		return !s.SendsIss
	}
	return s.Issuer == "" || iss == s.Issuer
}
