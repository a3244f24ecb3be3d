package signing

import (
	"crypto/sha256"
	"sync"
)

// maxSeen bounds what is remembered; beyond it all is forgotten, which costs
// one more check of a signature each.
const maxSeen = 4096

// seen remembers tokens whose signature was found to be ours, so that a client
// that brings the same one with each request has its curve points multiplied
// once. It remembers no verdict: whether the key still counts, and what the
// claims are worth now, is asked each time. Only what we signed gets in.
type seen struct {
	mu     sync.Mutex
	tokens map[[sha256.Size]byte]proof
}

type proof struct {
	key     string // its id, which is its thumbprint
	payload []byte
}

func nameOf(token, typ string) [sha256.Size]byte {
	return sha256.Sum256([]byte(typ + "\x00" + token))
}

func (s *seen) get(name [sha256.Size]byte) (proof, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.tokens[name]
	return p, ok
}

func (s *seen) put(name [sha256.Size]byte, p proof) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tokens == nil || len(s.tokens) >= maxSeen {
		s.tokens = map[[sha256.Size]byte]proof{}
	}
	s.tokens[name] = p
}
