package approvals

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"

	"deputy/authz"
)

// Request is one provider request as plain data: relative to the provider's
// API, without credentials. What is approved is exactly this.
type Request struct {
	Method      string `json:"method"`
	Path        string `json:"path"` // with its query
	ContentType string `json:"content_type,omitempty"`
	Body        []byte `json:"body,omitempty"`
}

// Need says whose yes an action takes, least first.
type Need int

const (
	ByRule        Need = iota // policy alone
	ByPerson                  // a person
	ByFreshPerson             // a person who has just proved presence
)

func (n Need) String() string {
	return [...]string{"allow", "ask", "ask+stepup"}[n]
}

// Action is one write, complete: who asks, with which account, what is sent.
type Action struct {
	Caller   authz.Caller
	Provider string // "github"
	Account  string // "github/octo-anna"
	Tool     string
	Key      string // the agent's idempotency key, or ""
	Request  Request

	// PolicyVersion names the rules under which it was asked. A yes does not
	// outlive them.
	PolicyVersion string

	// What follows is shown or decides who is asked; it is derived from the
	// above and not part of the digest.
	Title   string
	Preview Preview
	Need    Need
	Read    authz.Label // what the session had read before it asked

	// What it was made of, and what the provider said about that and about what
	// it changes. The rules are asked about both again before it is sent.
	Uses  []authz.Object
	Facts authz.Facts
}

// Digest is a SHA-256 over (user, agent, account, tool, key, request bytes,
// policy version), each with its length before it, so that no two actions share
// an encoding. The session is left out: a client that reconnects asks the same
// question.
func (a Action) Digest() string {
	h := sha256.New()
	for _, field := range [][]byte{
		[]byte("deputy/action/v1"),
		[]byte(a.Caller.User()), []byte(a.Caller.Agent()),
		[]byte(a.Provider), []byte(a.Account), []byte(a.Tool), []byte(a.Key),
		[]byte(a.Request.Method), []byte(a.Request.Path), []byte(a.Request.ContentType), a.Request.Body,
		[]byte(a.PolicyVersion),
	} {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(field)))
		h.Write(n[:])
		h.Write(field)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Clone returns a copy that shares no bytes with a.
func (a Action) Clone() Action {
	a.Request.Body = bytes.Clone(a.Request.Body)
	return a
}
