// Package signing makes and checks signatures.
//
//	Ring     our own keys: made at the first use, sealed, replaced in time
//	KeySet   somebody else's, fetched and kept within bounds
package signing

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"deputy/internal/store"
)

// ErrSignature says that a token is not signed by a key that counts, or is not
// of the wanted type. Which of these it is, nobody is told.
var ErrSignature = errors.New("signing: the signature does not count")

const (
	// KeyLife is how long a key signs before another takes its place.
	KeyLife = 90 * 24 * time.Hour

	// MaxToken is the length of a token that is looked at.
	MaxToken = 8 << 10
)

// Ring holds the keys that sign (ES256, RFC 7518 §3.4). A key that was replaced
// goes on verifying for as long as something that it signed may live.
type Ring struct {
	store store.Store
	table store.Table[key]
	life  time.Duration

	mu   sync.Mutex
	keys []key // oldest first; nil: not read yet

	seen seen
}

// NewRing returns the ring that s keeps, sealed. What it signs lives no longer
// than life.
func NewRing(s store.Store, sealer store.Sealer, life time.Duration) *Ring {
	return &Ring{store: s, table: store.Table[key]{Name: "authserver/key", Sealer: sealer}, life: life}
}

// key is one row.
type key struct {
	ID      string          `json:"kid"` // RFC 7638
	Private jose.JSONWebKey `json:"jwk"`
	Made    time.Time       `json:"made"`
	Retired time.Time       `json:"retired,omitzero"`
}

func (k key) active(now time.Time) bool { return k.Retired.IsZero() && now.Sub(k.Made) < KeyLife }

// inOrder puts the key that signs last.
func inOrder(a, b key) int {
	if a.Retired.IsZero() != b.Retired.IsZero() {
		if b.Retired.IsZero() {
			return -1
		}
		return 1
	}
	return a.Made.Compare(b.Made)
}

func (r *Ring) over(k key, now time.Time) bool {
	return !k.Retired.IsZero() && now.Sub(k.Retired) > r.life+time.Minute
}

func newKey(now time.Time) (key, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return key{}, err
	}
	jwk := jose.JSONWebKey{Key: private, Algorithm: string(jose.ES256), Use: "sig"}
	sum, err := jwk.Thumbprint(crypto.SHA256)
	if err != nil {
		return key{}, err
	}
	jwk.KeyID = base64.RawURLEncoding.EncodeToString(sum)
	return key{ID: jwk.KeyID, Private: jwk, Made: now}, nil
}

// Sign makes a compact JWS over claims, of the given media type (typ, RFC 8725
// §3.11).
func (r *Ring) Sign(typ string, claims any) (string, error) {
	keys, err := r.current(false)
	if err != nil {
		return "", err
	}
	k := keys[len(keys)-1]
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: k.Private}, (&jose.SignerOptions{}).WithType(jose.ContentType(typ)))
	if err != nil {
		return "", fmt.Errorf("signing: %w", err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("signing: %w", err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("signing: %w", err)
	}
	return signed.CompactSerialize()
}

// Verify checks a token against our own keys and reads its claims. Algorithm,
// key and type are ours to say; whatever else its header asks for is ignored.
func (r *Ring) Verify(token, typ string, claims any) error {
	if len(token) > MaxToken {
		return ErrSignature
	}
	keys, err := r.current(false)
	if err != nil {
		return err
	}
	now := time.Now()
	name := nameOf(token, typ)
	p, known := r.seen.get(name)
	var signed *jose.JSONWebSignature
	if !known {
		var header jose.Header
		if signed, header, err = parse(token, typ, jose.ES256); err != nil {
			return err
		}
		p.key = header.KeyID
	}
	i := slices.IndexFunc(keys, func(k key) bool { return k.ID == p.key && !r.over(k, now) })
	if i < 0 {
		return ErrSignature
	}
	if !known {
		public := keys[i].Private.Public()
		if p.payload, err = signed.Verify(&public); err != nil {
			return ErrSignature
		}
		r.seen.put(name, p)
	}
	if json.Unmarshal(p.payload, claims) != nil {
		return ErrSignature
	}
	return nil
}

// parse reads a compact JWS of one type and algorithm.
func parse(token, typ string, algorithms ...jose.SignatureAlgorithm) (*jose.JSONWebSignature, jose.Header, error) {
	if len(token) > MaxToken {
		return nil, jose.Header{}, ErrSignature
	}
	signed, err := jose.ParseSignedCompact(token, algorithms)
	if err != nil || len(signed.Signatures) != 1 {
		return nil, jose.Header{}, ErrSignature
	}
	header := signed.Signatures[0].Protected
	if header.ExtraHeaders[jose.HeaderType] != typ {
		return nil, jose.Header{}, ErrSignature
	}
	return signed, header, nil
}

// Public is the key set to publish (RFC 7517): every key whose signatures may
// still be about.
func (r *Ring) Public() (set jose.JSONWebKeySet, err error) {
	keys, err := r.current(false)
	now := time.Now()
	for _, k := range slices.Backward(keys) {
		if !r.over(k, now) {
			set.Keys = append(set.Keys, k.Private.Public())
		}
	}
	return set, err
}

// Rotate makes a new key and signs with it from now on. It returns the new
// key's id.
func (r *Ring) Rotate() (string, error) {
	keys, err := r.current(true)
	if err != nil {
		return "", err
	}
	return keys[len(keys)-1].ID, nil
}

// Sweep forgets keys whose last signature is over.
func (r *Ring) Sweep() error {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	err := r.store.Update(func(tx store.Tx) error {
		return r.table.DeleteIf(tx, func(k key) bool { return r.over(k, now) })
	})
	if err == nil {
		r.keys = slices.DeleteFunc(slices.Clone(r.keys), func(k key) bool { return r.over(k, now) })
	}
	return err
}

// current returns the keys, the one that signs last. It makes that one if there
// is none, if it is too old or if the caller wants another.
func (r *Ring) current(another bool) ([]key, error) {
	now := time.Now().UTC()
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.keys); n > 0 && !another && r.keys[n-1].active(now) {
		return r.keys, nil
	}
	var keys []key
	err := r.store.Update(func(tx store.Tx) error {
		keys = nil
		if err := r.table.All(tx, func(k key) error { keys = append(keys, k); return nil }); err != nil {
			return err
		}
		slices.SortFunc(keys, inOrder)
		if n := len(keys); n > 0 && !another && keys[n-1].active(now) {
			return nil
		}
		for i, k := range keys {
			if k.Retired.IsZero() {
				keys[i].Retired = now
				if err := r.table.Put(tx, keys[i], k.ID); err != nil {
					return err
				}
			}
		}
		k, err := newKey(now)
		if err != nil {
			return err
		}
		keys = append(keys, k)
		return r.table.Put(tx, k, k.ID)
	})
	if err != nil {
		return nil, err
	}
	r.keys = keys
	return keys, nil
}
