package authserver

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"deputy/internal/audit"
	"deputy/internal/authserver/clients"
	"deputy/internal/store"
)

// A refresh token is used once and gives its successor (RFC 9700 §4.14.2). Two
// things may bring a used one back:
//
//	a retry   the answer was lost: for replayFor, the same successor comes again,
//	          so the client has one family and not none
//	a theft   later, or once the successor itself was used: the family ends
//
// A token names its grant, and a MAC says that we made it. So any token that
// this grant ever had is known for what it is without being kept, and text that
// somebody made up ends nobody's grant.
const (
	refreshPrefix = "dpr_"
	replayFor     = 30 * time.Second

	idLen, genLen, randomLen, macLen = 16, 4, 24, 16
)

// macKey is the secret behind the MAC, made at its first use.
type macKey struct {
	mu  sync.Mutex
	key []byte
}

func (s *Server) macKey() ([]byte, error) {
	s.mac.mu.Lock()
	defer s.mac.mu.Unlock()
	if s.mac.key != nil {
		return s.mac.key, nil
	}
	var key []byte
	err := s.c.Store.Update(func(tx store.Tx) (err error) {
		if key, err = s.tables.secrets.Get(tx, "refresh"); !errors.Is(err, store.ErrNotFound) {
			return err
		}
		key = make([]byte, 32)
		rand.Read(key)
		return s.tables.secrets.Put(tx, key, "refresh")
	})
	if err == nil {
		s.mac.key = key
	}
	return key, err
}

func sign(key, body []byte) []byte {
	m := hmac.New(sha256.New, key)
	m.Write(body)
	return m.Sum(nil)[:macLen]
}

// newRefresh makes the next token of a grant.
func newRefresh(key []byte, g grant) string {
	id, _ := base64.RawURLEncoding.DecodeString(g.ID)
	body := binary.BigEndian.AppendUint32(id, g.Generation)
	body = append(body, make([]byte, randomLen)...)
	rand.Read(body[idLen+genLen:])
	return refreshPrefix + base64.RawURLEncoding.EncodeToString(append(body, sign(key, body)...))
}

// readRefresh returns which grant a token belongs to, if it is one of ours.
func readRefresh(key []byte, text string) (grantID string, ok bool) {
	encoded, ok := strings.CutPrefix(text, refreshPrefix)
	if !ok || len(encoded) > 128 {
		return "", false
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil || len(raw) != idLen+genLen+randomLen+macLen {
		return "", false
	}
	body, mac := raw[:len(raw)-macLen], raw[len(raw)-macLen:]
	return base64.RawURLEncoding.EncodeToString(body[:idLen]), hmac.Equal(mac, sign(key, body))
}

// rotate gives a grant its next refresh token, which is kept for a retry.
func (g *grant) rotate(key []byte, now time.Time) string {
	g.Generation++
	next := newRefresh(key, *g)
	g.Previous, g.Refresh = g.Refresh, hashed(next)
	g.Rotated, g.Used = now, now
	g.Successor = ""
	if g.Previous != "" {
		g.Successor = next
	}
	return next
}

// errReused says that a used refresh token came back: the family has ended.
var errReused = refuse(invalidGrant, "the refresh token was used before: everything that came of it has been revoked; ask the person again")

// refresh answers grant_type=refresh_token (RFC 6749 §6).
func (s *Server) refresh(r *http.Request, client clients.Client) (*tokens, error) {
	key, err := s.macKey()
	if err != nil {
		return nil, err
	}
	text := r.PostForm.Get("refresh_token")
	id, ours := readRefresh(key, text)
	if !ours {
		return nil, refuse(invalidGrant, "the refresh token is not one of ours")
	}
	given, narrower := hashed(text), strings.Fields(r.PostForm.Get("scope"))
	resources := r.PostForm["resource"]
	if err := s.mayStill(r.Context(), id); err != nil {
		return nil, err
	}
	var t *tokens
	var refused error
	err = s.change(func(c *change) error {
		t, refused = nil, nil
		g, err := s.tables.grants.Get(c, id)
		now := time.Now().UTC()
		if errors.Is(err, store.ErrNotFound) || err == nil && (g.Client != client.ID || g.over(now)) {
			refused = refuse(invalidGrant, "the refresh token is over, revoked or another client's: ask the person again")
			return nil
		}
		if err != nil {
			return err
		}
		if len(resources) > 0 && (len(resources) > 1 || resources[0] != g.Resource) {
			refused = refuse(invalidTarget, "resource: it is not the one that was granted")
			return nil
		}
		scopes := g.Scopes
		if len(narrower) > 0 {
			slices.Sort(narrower)
			if scopes = slices.Compact(narrower); !within(scopes, g.Scopes) {
				refused = refuse(invalidScope, "scope: more than was granted: ask the person")
				return nil
			}
		}
		var next string
		switch {
		case given == g.Refresh:
			next = g.rotate(key, now)
		case given == g.Previous && g.Successor != "" && now.Sub(g.Rotated) <= replayFor:
			next = g.Successor
		default:
			refused = errReused
			return errors.Join(
				c.note(audit.Line{Event: "reuse", User: g.User, Agent: g.Client, Session: g.ID, Channel: "refresh", Outcome: "revoked"}),
				c.end(g, "reuse"))
		}
		t = &tokens{grant: g, scopes: scopes, refresh: next}
		return errors.Join(c.keep(g, "refresh"), c.touch(g))
	})
	if err == nil {
		err = refused
	}
	if errors.Is(err, errReused) {
		s.log.Warn("authserver: a used refresh token came back; its grant has ended", "client", client.ID)
	}
	return t, err
}

// mayStill asks whether the person behind a grant may still act. A grant that is
// not there is judged later, in the transaction.
func (s *Server) mayStill(ctx context.Context, grantID string) error {
	g, err := s.lives(grantID)
	if errors.Is(err, ErrToken) {
		return nil
	}
	if err == nil && s.c.People.May(ctx, g.user) != nil {
		err = errGone
	}
	return err
}

var errGone = refuse(invalidGrant, "the person may not act here any more")

func within(some, all []string) bool {
	return !slices.ContainsFunc(some, func(s string) bool { return !slices.Contains(all, s) })
}
