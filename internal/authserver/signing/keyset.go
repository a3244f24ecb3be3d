package signing

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"deputy/internal/fetch"
)

// Algorithms are those that others may sign with: asymmetric ones (RFC 8725
// §3.1), so that no public key is ever taken for a shared secret.
var Algorithms = []jose.SignatureAlgorithm{jose.ES256, jose.ES384, jose.RS256, jose.PS256, jose.EdDSA}

// Bounds on how often somebody's keys are asked for.
const (
	keysLeast = 5 * time.Minute
	keysMost  = 24 * time.Hour
	keysAgain = 30 * time.Second // after an unknown kid, or a failure
)

// KeySet is the published keys of somebody else (RFC 7517), at an address that
// is fetched when needed, or fixed.
type KeySet struct {
	address string
	fetch   fetch.Client

	mu    sync.Mutex
	keys  []jose.JSONWebKey
	until time.Time // fresh until
	tried time.Time
}

// NewKeySet returns the keys at an address.
func NewKeySet(address string, client fetch.Client) *KeySet {
	return &KeySet{address: address, fetch: client}
}

// FixedKeySet returns a set of known keys.
func FixedKeySet(keys jose.JSONWebKeySet) *KeySet { return &KeySet{keys: keys.Keys} }

// Verify checks a token of one type and reads its claims.
func (s *KeySet) Verify(ctx context.Context, token, typ string, claims any) error {
	signed, header, err := parse(token, typ, Algorithms...)
	if err != nil {
		return err
	}
	for _, k := range s.find(ctx, header.KeyID) {
		if !k.IsPublic() || k.Use != "" && k.Use != "sig" || k.Algorithm != "" && k.Algorithm != header.Algorithm {
			continue
		}
		if payload, err := signed.Verify(&k); err == nil {
			if json.Unmarshal(payload, claims) == nil {
				return nil
			}
		}
	}
	return ErrSignature
}

// find returns the keys of that id. One request is made at a time, and none
// soon after another: unknown ids are free to send.
func (s *KeySet) find(ctx context.Context, kid string) []jose.JSONWebKey {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	known := func() []jose.JSONWebKey {
		return slices.DeleteFunc(slices.Clone(s.keys), func(k jose.JSONWebKey) bool { return kid != "" && k.KeyID != kid })
	}
	stale := s.address != "" && (now.After(s.until) || len(known()) == 0)
	if stale && now.Sub(s.tried) > keysAgain {
		s.tried = now
		if doc, err := s.fetch.Document(ctx, s.address); err == nil {
			var set jose.JSONWebKeySet
			if json.Unmarshal(doc.Body, &set) == nil && len(set.Keys) <= 32 {
				s.keys, s.until = set.Keys, now.Add(min(max(doc.MaxAge, keysLeast), keysMost))
			}
		}
	}
	if s.address != "" && now.Sub(s.until) > keysMost {
		return nil // nobody has confirmed them for too long
	}
	return known()
}
