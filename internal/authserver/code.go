package authserver

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"time"

	"deputy/authz"
	"deputy/internal/audit"
	"deputy/internal/authserver/clients"
	"deputy/internal/store"
)

const (
	// CodeLife is how long a code waits for its client.
	CodeLife = time.Minute

	// codeKept is how long a used code is known, so that a second use ends what
	// came of the first.
	codeKept = 24 * time.Hour
)

// code is an authorization code (RFC 6749 §4.1.2), by its hash. It is shown
// once: whatever comes of that, it is spent.
type code struct {
	Request  request   `json:"request"`
	User     string    `json:"user"`
	AuthTime time.Time `json:"auth_time,omitzero"`
	ACR      string    `json:"acr,omitempty"`
	Expires  time.Time `json:"expires"`
	Kept     time.Time `json:"kept"`
	Spent    bool      `json:"spent,omitempty"`
	Grant    string    `json:"grant,omitempty"` // what came of it
}

// newCode makes a code for what the person allowed.
func (c *change) newCode(q request, who authz.Caller) (string, error) {
	if crowded, err := full(c, c.s.tables.codes); err != nil || crowded {
		if err = errors.Join(err, c.dropCodes()); err != nil {
			return "", err
		}
		if crowded, err = full(c, c.s.tables.codes); err != nil || crowded {
			return "", errors.Join(err, errCrowded)
		}
	}
	now := time.Now().UTC()
	text := secret()
	return text, c.s.tables.codes.Put(c, code{
		Request: q, User: who.User(), AuthTime: who.AuthTime(), ACR: who.ACR(), Expires: now.Add(CodeLife), Kept: now.Add(CodeLife),
	}, hashed(text))
}

// dropCodes makes room: spent codes are known for longer than they need to be.
func (c *change) dropCodes() error {
	now := time.Now()
	return c.s.tables.codes.DeleteIf(c, func(r code) bool { return r.Spent || now.After(r.Expires) })
}

var errCode = refuse(invalidGrant, "the code is not one of ours, over, used or another client's: start again")

// redeem answers grant_type=authorization_code (RFC 6749 §4.1.3).
func (s *Server) redeem(r *http.Request, client clients.Client) (*tokens, error) {
	form := r.PostForm
	key, err := s.macKey()
	if err != nil {
		return nil, err
	}
	id := hashed(form.Get("code"))
	if err := s.mayRedeem(r, id); err != nil {
		return nil, err
	}
	var t *tokens
	var refused error
	err = s.change(func(c *change) error {
		t, refused = nil, nil
		row, err := s.tables.codes.Get(c, id)
		now := time.Now().UTC()
		if errors.Is(err, store.ErrNotFound) {
			refused = errCode
			return nil
		}
		if err != nil {
			return err
		}
		if row.Spent {
			refused = errCode
			return c.replayed(row)
		}
		row.Spent, row.Kept = true, now.Add(codeKept)
		if refused = row.fits(form.Get("redirect_uri"), form["resource"], form.Get("code_verifier"), client, now); refused != nil {
			return s.tables.codes.Put(c, row, id)
		}
		g := grant{
			User: row.User, Resource: row.Request.Resource, Scopes: row.Request.Scopes, AuthTime: row.AuthTime, ACR: row.ACR, Via: "code",
		}
		if t, err = c.give(g, client, key, mayRefresh(client)); err != nil {
			return err
		}
		row.Grant = t.grant.ID
		return s.tables.codes.Put(c, row, id)
	})
	if err == nil {
		err = refused
	}
	return t, err
}

// give opens a grant and makes what the client gets of it.
func (c *change) give(g grant, client clients.Client, key []byte, refresh bool) (*tokens, error) {
	if !refresh && g.Ends.IsZero() {
		g.Ends = time.Now().UTC().Add(AccessLife)
	}
	if err := c.open(&g, client); err != nil {
		return nil, err
	}
	t := &tokens{scopes: g.Scopes}
	if refresh {
		t.refresh = g.rotate(key, g.Made)
	}
	t.grant = g
	return t, c.keep(g, g.Via)
}

// mayRedeem asks whether the person behind a code may still act.
func (s *Server) mayRedeem(r *http.Request, id string) error {
	var row code
	err := s.c.Store.View(func(tx store.Tx) (err error) { row, err = s.tables.codes.Get(tx, id); return err })
	if errors.Is(err, store.ErrNotFound) {
		return errCode
	}
	if err == nil && s.c.People.May(r.Context(), row.User) != nil {
		return errGone
	}
	return err
}

// replayed ends what came of a code's first use (RFC 6749 §4.1.2).
func (c *change) replayed(row code) error {
	if row.Grant == "" {
		return nil
	}
	g, err := c.s.tables.grants.Get(c, row.Grant)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(
		c.note(audit.Line{Event: "reuse", User: g.User, Agent: g.Client, Session: g.ID, Channel: "code", Outcome: "revoked"}),
		c.end(g, "reuse"))
}

// fits judges who brings a code, and with what.
func (row code) fits(redirect string, resources []string, verifier string, client clients.Client, now time.Time) error {
	q := row.Request
	switch {
	case q.Client != client.ID || now.After(row.Expires):
		return errCode
	case redirect != "" && redirect != q.Redirect: // OAuth 2.1 does not ask for it any more
		return refuse(invalidGrant, "redirect_uri: not the one that the code was asked for with")
	case !proves(verifier, q.Challenge):
		return refuse(invalidGrant, "code_verifier: it does not match the challenge")
	case len(resources) > 0 && (len(resources) > 1 || resources[0] != q.Resource):
		return refuse(invalidTarget, "resource: not the one that the code was asked for with")
	}
	return nil
}

// proves checks a verifier against its challenge (RFC 7636 §4.6), S256 alone.
func proves(verifier, challenge string) bool {
	if len(verifier) < 43 || len(verifier) > 128 || strings.ContainsFunc(verifier, func(r rune) bool {
		return !(r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || strings.ContainsRune("-._~", r))
	}) {
		return false
	}
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:]) == challenge
}
