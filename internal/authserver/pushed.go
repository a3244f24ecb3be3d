package authserver

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"deputy/internal/authserver/clients"
	"deputy/internal/store"
)

const (
	// PushedLife is how long a pushed request waits for its browser.
	PushedLife = time.Minute

	pushedPrefix = "urn:ietf:params:oauth:request_uri:"
)

// pushed is a request that a client sent ahead (RFC 9126).
type pushed struct {
	Request request   `json:"request"`
	Expires time.Time `json:"expires"`
}

// push answers POST /oauth/par. The request is judged here as it would be in the
// browser, and every error goes to the client itself (RFC 9126 §2.3).
func (s *Server) push(w http.ResponseWriter, r *http.Request, client clients.Client) error {
	if r.PostForm.Has("request_uri") {
		return refuse(invalidRequest, "request_uri: a pushed request holds none")
	}
	if !client.Allows(r.PostForm.Get("redirect_uri")) {
		return refuse(invalidRequest, "redirect_uri is missing, or not registered by the client")
	}
	q, err := s.read(r.PostForm, client)
	if err != nil {
		return err
	}
	id := secret()
	err = s.change(func(c *change) error {
		if crowded, err := full(c, s.tables.pushed); err != nil || crowded {
			return errors.Join(err, errCrowded)
		}
		return s.tables.pushed.Put(c, pushed{q, time.Now().Add(PushedLife)}, hashed(id))
	})
	if err != nil {
		return err
	}
	answer(w, http.StatusCreated, map[string]any{"request_uri": pushedPrefix + id, "expires_in": int(PushedLife.Seconds())})
	return nil
}

var errCrowded = &fault{code: unavailable, words: "too many requests wait already: try again in a minute", status: http.StatusServiceUnavailable, after: time.Minute}

// take uses a pushed request up (RFC 9126 §4). Only its own client may.
func (s *Server) take(uri, client string) (request, error) {
	id, ours := strings.CutPrefix(uri, pushedPrefix)
	if !ours {
		return request{}, errHandle
	}
	var row pushed
	found := false
	err := s.change(func(c *change) (err error) {
		found = false
		row, err = s.tables.pushed.Get(c, hashed(id))
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		found = true
		return s.tables.pushed.Delete(c, hashed(id))
	})
	if err != nil {
		return request{}, err
	}
	if !found || time.Now().After(row.Expires) || row.Request.Client != client {
		return request{}, errHandle
	}
	return row.Request, nil
}
