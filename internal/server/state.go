package server

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"time"

	"deputy/internal/store"
	"deputy/vault"

	"github.com/mark3labs/mcp-go/mcp"
)

// State is what a client carries between two rounds of one call. It is sealed,
// and bound to who asked, for what, and for how long. It is used once because
// the request it names is decided once.
type State struct {
	User     string    `json:"user"`
	Agent    string    `json:"agent"`
	Call     string    `json:"call"` // digest of the tool and its arguments
	Approval string    `json:"approval,omitempty"`
	Mode     string    `json:"mode"`
	Expires  time.Time `json:"expires"`

	Connect vault.Wish `json:"connect,omitzero"` // what is to be connected since Asked
	Asked   time.Time  `json:"asked,omitzero"`
}

// States seals and opens them.
type States struct{ Sealer store.Sealer }

var stateAD = []byte("server/request-state")

// ErrState is all a client learns of a state that is not its own.
var ErrState = errors.New("the requestState is not valid for this call")

// Seal makes the opaque text a client carries.
func (s States) Seal(st State) (string, error) {
	plain, err := json.Marshal(st)
	if err != nil {
		return "", err
	}
	sealed, err := s.Sealer.Seal(stateAD, plain)
	return base64.RawURLEncoding.EncodeToString(sealed), err
}

// Open accepts what Seal made for the same user, agent and call, in time.
func (s States) Open(text, user, agent, call string) (st State, err error) {
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return State{}, ErrState
	}
	plain, err := s.Sealer.Open(stateAD, sealed)
	if err != nil || json.Unmarshal(plain, &st) != nil {
		return State{}, ErrState
	}
	if st.User != user || st.Agent != agent || st.Call != call || time.Now().After(st.Expires) {
		return State{}, ErrState
	}
	return st, nil
}

// Digest names a call: its tool and its arguments, compared by value, because
// a client may encode them anew.
func Digest(req mcp.CallToolRequest) string {
	var v any
	_ = json.Unmarshal(arguments(req), &v)
	canonical, _ := json.Marshal([]any{req.Params.Name, v})
	sum := sha256.Sum256(canonical)
	return hex.EncodeToString(sum[:])
}
