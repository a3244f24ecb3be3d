package authserver

import (
	"errors"
	"net/http"
	"strings"

	"deputy/internal/authserver/clients"
	"deputy/internal/store"
)

// revoke answers POST /oauth/revoke (RFC 7009). Either kind of token ends the
// grant that it belongs to, and so every token of it. A token that is none of
// ours, or over, is an answer of success: it is what the client wanted.
func (s *Server) revoke(w http.ResponseWriter, r *http.Request, client clients.Client) error {
	text := r.PostForm.Get("token")
	if text == "" {
		return refuse(invalidRequest, "token is missing")
	}
	id, err := s.grantBehind(r, text)
	if err != nil {
		return err
	}
	var refused error
	if id != "" {
		err = s.change(func(c *change) error {
			refused = nil
			g, err := s.tables.grants.Get(c, id)
			if errors.Is(err, store.ErrNotFound) {
				return nil
			}
			if err == nil && g.Client != client.ID {
				refused = refuse(invalidGrant, "the token is another client's")
				return nil
			}
			if err != nil {
				return err
			}
			return c.end(g, "client")
		})
	}
	if err = errors.Join(err, refused); err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	return nil
}

// grantBehind returns the grant that a token of either kind names, if we made
// it. It may have ended.
func (s *Server) grantBehind(r *http.Request, text string) (string, error) {
	if strings.HasPrefix(text, refreshPrefix) {
		key, err := s.macKey()
		if err != nil {
			return "", err
		}
		if id, ours := readRefresh(key, text); ours {
			return id, nil
		}
		return "", nil
	}
	a, err := s.Verify(r.Context(), text)
	if errors.Is(err, ErrToken) {
		return "", nil
	}
	return a.Grant, err
}

// introspect answers POST /oauth/introspect (RFC 7662), for clients that the
// operator lets ask.
func (s *Server) introspect(w http.ResponseWriter, r *http.Request, client clients.Client) error {
	if client.Public() || !client.Introspects {
		return &fault{code: unauthorizedClient, words: "the client may not ask about tokens", status: http.StatusForbidden}
	}
	a, err := s.Verify(r.Context(), r.PostForm.Get("token"))
	if errors.Is(err, ErrToken) {
		answer(w, http.StatusOK, map[string]bool{"active": false})
		return nil
	}
	if err != nil {
		return err
	}
	said := map[string]any{
		"active": true, "iss": s.issuer, "sub": a.User, "username": a.User, "client_id": a.Client, "aud": a.Resource, "sid": a.Grant,
		"scope": strings.Join(a.Scopes, " "), "jti": a.ID, "token_type": "Bearer", "iat": a.Issued.Unix(), "exp": a.Expires.Unix(),
	}
	if !a.AuthTime.IsZero() {
		said["auth_time"] = a.AuthTime.Unix()
	}
	if a.ACR != "" {
		said["acr"] = a.ACR
	}
	if a.Actor != "" {
		said["act"] = actor{a.Actor}
	}
	answer(w, http.StatusOK, said)
	return nil
}
