package approvals

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"

	"deputy/authz"
)

// State is where a request stands; see the picture in the package comment.
type State string

const (
	Pending    State = "pending"
	Approved   State = "approved"
	Spent      State = "spent"
	Done       State = "done"
	Failed     State = "failed"
	Denied     State = "denied"
	Expired    State = "expired"
	Superseded State = "superseded"
	Revoked    State = "revoked"
)

// Ended reports whether nothing will happen any more.
func (s State) Ended() bool { return s != Pending && s != Approved && s != Spent }

// UnknownOutcome is the failure of a request that was sent, or may have been,
// without an answer: deputy stopped, or the reply was lost.
const UnknownOutcome = "unknown_outcome"

// Item is one request as its user may see it.
type Item struct {
	ID        string      `json:"approval_id"`
	State     State       `json:"state"`
	Title     string      `json:"title"`
	Tool      string      `json:"tool"`
	Provider  string      `json:"provider"`
	Account   string      `json:"account"`
	User      string      `json:"user"`
	Agent     string      `json:"agent"`
	Preview   Preview     `json:"preview"`
	Need      Need        `json:"need"`
	Read      authz.Label `json:"read"`
	MatchCode string      `json:"match_code"`
	Digest    string      `json:"digest"`
	Created   time.Time   `json:"created"`
	Expires   time.Time   `json:"expires_at"`
	By        string      `json:"by,omitempty"`
	Channel   string      `json:"channel,omitempty"`
	Reason    string      `json:"reason,omitempty"`
	Decided   time.Time   `json:"decided,omitzero"`
	Finished  time.Time   `json:"finished,omitzero"`
	Failure   string      `json:"failure,omitempty"`
}

// Summary is one line of the preview, to tell requests apart in a list.
func (i Item) Summary() string {
	var parts []string
	for _, f := range slices.Concat(i.Preview.Seen, i.Preview.Fields) {
		parts = append(parts, f.Value)
	}
	text := []rune(strings.Join(strings.Fields(strings.Join(append(parts, i.Preview.Body), " ")), " "))
	if len(text) > 90 {
		text = append(text[:90], '…')
	}
	return string(text)
}

// row is an Item with what only the ledger holds. It is stored sealed.
type row struct {
	Item
	Principal authz.Principal `json:"principal"`
	Key       string          `json:"key"`
	Request   Request         `json:"request"`
	Policy    string          `json:"policy"`
	Uses      []authz.Object  `json:"uses,omitempty"`
	Facts     authz.Facts     `json:"facts,omitempty"`
	Response  []byte          `json:"response,omitempty"`
}

// action rebuilds what was asked. The caller is let in anew by the door.
func (r row) action(c authz.Caller) Action {
	return Action{
		Caller: c, Provider: r.Provider, Account: r.Account, Tool: r.Tool, Key: r.Key, Request: r.Request,
		PolicyVersion: r.Policy, Title: r.Title, Preview: r.Preview, Need: r.Need, Read: r.Read, Uses: r.Uses, Facts: r.Facts,
	}
}

func newItem(a Action, expires time.Duration) row {
	now := time.Now().UTC()
	var raw [18]byte
	rand.Read(raw[:])
	p := a.Caller.Principal()
	return row{
		Item: Item{
			ID: "apr_" + base64.RawURLEncoding.EncodeToString(raw[:16]), State: Pending,
			Title: a.Title, Tool: a.Tool, Provider: a.Provider, Account: a.Account,
			User: p.User, Agent: p.Agent,
			Preview: a.Preview.reveal(), Need: a.Need, Read: a.Read,
			MatchCode: fmt.Sprintf("%02d", (int(raw[16])<<8|int(raw[17]))%100),
			Digest:    a.Digest(), Created: now, Expires: now.Add(expires),
		},
		Principal: p, Key: a.Key, Request: a.Clone().Request, Policy: a.PolicyVersion,
		Uses: a.Uses, Facts: a.Facts,
	}
}
