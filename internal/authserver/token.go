package authserver

import (
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"deputy/internal/authserver/clients"
)

// maxBody is the size of a request that is read.
const maxBody = 64 << 10

// tokens are what a grant type gives: a grant that is stored, and how much of it
// the access token is for.
type tokens struct {
	grant   grant
	scopes  []string
	refresh string
}

// grantTypes are those of our own; Config.Grants adds others.
func (s *Server) grantTypes() map[string]func(*http.Request, clients.Client) (*tokens, error) {
	own := map[string]func(*http.Request, clients.Client) (*tokens, error){
		clients.CodeGrant: s.redeem, clients.RefreshGrant: s.refresh, clients.DeviceGrant: s.poll,
	}
	if len(s.issuers) > 0 {
		own[clients.AssertionGrant] = s.assert
	}
	return own
}

// token answers POST /oauth/token.
func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	if err := readForm(w, r); err != nil {
		s.fail(w, r, err)
		return
	}
	name := r.PostForm.Get("grant_type")
	own := s.grantTypes()[name]
	other := s.c.Grants[name]
	if own == nil && other == nil {
		name = ""
	}
	if err := s.limits.fromAddress(r, "token|"+name); err != nil {
		s.fail(w, r, err)
		return
	}
	switch {
	case own != nil:
		s.grant(w, r, name, own)
	case other != nil:
		other.ServeHTTP(w, r)
	case r.PostForm.Get("grant_type") == "":
		s.fail(w, r, refuse(invalidRequest, "grant_type is missing"))
	default:
		s.fail(w, r, refuse(unsupportedGrant, "see grant_types_supported"))
	}
}

func (s *Server) grant(w http.ResponseWriter, r *http.Request, name string, run func(*http.Request, clients.Client) (*tokens, error)) {
	client, err := s.client(r)
	if err == nil {
		err = s.limits.fromClient(client.ID, name)
	}
	if err == nil && !client.May(name) {
		err = refuse(unauthorizedClient, "the client is not registered for this grant type")
	}
	var t *tokens
	if err == nil {
		t, err = run(r, client)
	}
	var access string
	var life int
	if err == nil {
		access, life, err = s.access(t)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	said := map[string]any{
		"access_token": access, "token_type": "Bearer", "expires_in": life, "scope": strings.Join(t.scopes, " "),
	}
	if t.refresh != "" {
		said["refresh_token"] = t.refresh
	}
	answer(w, http.StatusOK, said)
}

func (s *Server) access(t *tokens) (string, int, error) {
	text, life, err := s.mint(t.grant, t.scopes)
	return text, int(life.Seconds()), err
}

// machine is a form endpoint of clients: bounded, and each client proved.
func (s *Server) machine(next func(http.ResponseWriter, *http.Request, clients.Client) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := readForm(w, r)
		if err == nil {
			err = s.limits.fromAddress(r, r.URL.Path)
		}
		var client clients.Client
		if err == nil {
			client, err = s.client(r)
		}
		if err == nil {
			err = s.limits.fromClient(client.ID, r.URL.Path)
		}
		if err == nil {
			err = next(w, r, client)
		}
		if err != nil {
			s.fail(w, r, err)
		}
	}
}

// readForm reads the body, and nothing of the address, which is logged in many
// places on the way.
func readForm(w http.ResponseWriter, r *http.Request) error {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if kind != "application/x-www-form-urlencoded" {
		return refuse(invalidRequest, "the body is no form: want application/x-www-form-urlencoded")
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseForm(); err != nil {
		return refuse(invalidRequest, "the body is no form, or longer than 64 KiB")
	}
	return noDoubles(r.PostForm)
}

// noDoubles: a parameter is there once (RFC 6749 §3.2). A resource may be there
// more often by RFC 8707; whether it may here is said where it is read.
func noDoubles(form url.Values) error {
	for name, values := range form {
		if len(values) > 1 && name != "resource" && name != "audience" {
			return refuse(invalidRequest, "a parameter is there twice")
		}
	}
	return nil
}

var errClient = refuse(invalidClient, "the client is not known here, or its secret is wrong")

// client authenticates the client of a request in exactly one way (RFC 6749
// §2.3): Basic, its secret in the form, or for a public client its id alone.
func (s *Server) client(r *http.Request) (clients.Client, error) {
	id, given, basic := r.BasicAuth()
	if basic {
		var errID, errSecret error
		id, errID = url.QueryUnescape(id) // RFC 6749 §2.3.1
		given, errSecret = url.QueryUnescape(given)
		if errID != nil || errSecret != nil || r.PostForm.Has("client_secret") || r.PostForm.Has("client_id") && r.PostForm.Get("client_id") != id {
			return clients.Client{}, refuse(invalidRequest, "the client names itself in two ways")
		}
	} else {
		id, given = r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	}
	if r.PostForm.Has("client_assertion") || r.PostForm.Has("client_assertion_type") {
		return clients.Client{}, refuse(invalidClient, "client assertions are not taken: see token_endpoint_auth_methods_supported")
	}
	c, err := s.find(r, id)
	if err != nil {
		return clients.Client{}, err
	}
	if c.Public() && (given != "" || basic) || !c.Public() && !c.Secret.Matches(given) {
		return clients.Client{}, errClient
	}
	return c, nil
}

// find looks a client up. A document that has to be fetched counts.
func (s *Server) find(r *http.Request, id string) (clients.Client, error) {
	c, err := s.clients.Find(r.Context(), id, func() error { return s.limits.fetches(r) })
	if isUnknown(err) {
		return c, errClient
	}
	return c, err
}

// mayRefresh: a client gets refresh tokens if it is registered for them.
func mayRefresh(c clients.Client) bool { return slices.Contains(c.Grants, clients.RefreshGrant) }
