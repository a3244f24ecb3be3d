package oauth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
)

// ErrNotRevoked says that the server did not confirm a revocation.
var ErrNotRevoked = errors.New("oauth: the provider did not confirm the revocation")

// Extent says how much a revocation ends, where the server can tell.
type Extent int

const (
	WholeGrant Extent = iota // everything this person gave this client
	OneToken                 // this pair of tokens alone
)

// CanRevoke reports whether the server ends what is asked and no more. Google
// ends a whole project at every revocation, so there one token cannot be ended.
func (s *Server) CanRevoke(e Extent) bool {
	if s.RevokeURL == "" {
		return false
	}
	return e == WholeGrant || !s.RevokesAll || s.Revocation == RevokeGitHub
}

// Revoke ends tokens at the server.
func Revoke(ctx context.Context, c *http.Client, s *Server, access, refresh Secret, e Extent) error {
	if s.RevokeURL == "" {
		return ErrNotRevoked
	}
	switch s.Revocation {
	case RevokeBearer:
		req, err := http.NewRequest(http.MethodPost, s.RevokeURL, nil)
		if err != nil {
			return ErrNotRevoked
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Authorization", "Bearer "+Reveal(access))
		return confirmed(send(ctx, c, req))
	case RevokeGitHub:
		what := "grant"
		if e == OneToken {
			what = "token"
		}
		body, _ := json.Marshal(map[string]string{"access_token": Reveal(access)})
		req, err := http.NewRequest(http.MethodDelete, strings.TrimSuffix(s.RevokeURL, "/")+"/"+url.PathEscape(s.ClientID)+"/"+what, bytes.NewReader(body))
		if err != nil {
			return ErrNotRevoked
		}
		req.Header.Set("Content-Type", "application/json")
		req.SetBasicAuth(s.ClientID, Reveal(s.ClientSecret))
		return confirmed(send(ctx, c, req))
	}
	form := url.Values{"token": {Reveal(refresh)}, "token_type_hint": {"refresh_token"}}
	if refresh.IsZero() {
		form = url.Values{"token": {Reveal(access)}, "token_type_hint": {"access_token"}}
	}
	if s.Revocation == RFC7009 {
		return confirmed(post(ctx, c, s, s.RevokeURL, form))
	}
	form.Del("token_type_hint")
	req, err := http.NewRequest(http.MethodPost, s.RevokeURL, strings.NewReader(form.Encode()))
	if err != nil {
		return ErrNotRevoked
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return confirmed(send(ctx, c, req))
}

// confirmed reads an answer: a 2xx that does not say no.
func confirmed(status int, answer []byte, err error) error {
	if err != nil || status/100 != 2 {
		return ErrNotRevoked
	}
	var said struct {
		OK *bool `json:"ok"`
	}
	if json.Unmarshal(answer, &said); said.OK != nil && !*said.OK {
		return ErrNotRevoked
	}
	return nil
}
