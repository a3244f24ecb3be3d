package authserver

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"time"

	"deputy/internal/authserver/clients"
)

// register answers POST /oauth/register (RFC 7591), where the operator lets
// clients register themselves. It is off by default: MCP has client ID metadata
// documents for this, which leave nothing behind.
func (s *Server) register(w http.ResponseWriter, r *http.Request) {
	c, err := s.registered(w, r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	answer(w, http.StatusCreated, map[string]any{
		"client_id": c.ID, "client_id_issued_at": time.Now().Unix(), "client_name": c.Name, "redirect_uris": c.Redirects,
		"grant_types": c.Grants, "response_types": []string{"code"}, "token_endpoint_auth_method": "none",
	})
}

func (s *Server) registered(w http.ResponseWriter, r *http.Request) (clients.Client, error) {
	if err := s.limits.registers(r); err != nil {
		return clients.Client{}, err
	}
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/json" {
		return clients.Client{}, refuse(invalidMetadata, "the body is no JSON: want application/json")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return clients.Client{}, refuse(invalidMetadata, "the body is longer than 64 KiB, or broke off")
	}
	c, err := s.clients.Register(body)
	switch {
	case errors.Is(err, clients.ErrFull):
		return c, errCrowded
	case errors.Is(err, clients.ErrMetadata):
		return c, refuse(invalidMetadata, "want redirect_uris (https, loopback, or a scheme in reverse-domain form) of a public client (token_endpoint_auth_method none)")
	}
	return c, err
}

func isUnknown(err error) bool { return errors.Is(err, clients.ErrUnknown) }
