// Package audit keeps the log: one line for every call, decision, send and
// connection, written in the same transaction as the change it records.
//
// Lines are chained: each carries the hash of the one before, so an edit, a
// drop or a reorder in the middle shows. Arguments appear only as keyed
// digests, unless a tool marks a field as plain: whoever steals the log cannot
// guess a low-entropy argument by hashing candidates.
package audit

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"deputy/internal/store"
)

// Line is one entry. Empty fields are left out.
type Line struct {
	Seq       uint64            `json:"seq"`
	Time      time.Time         `json:"time"`
	Event     string            `json:"event"` // call, answer, ask, decide, spend, outcome, connect, disconnect, …
	Call      string            `json:"call,omitempty"`
	User      string            `json:"user,omitempty"`
	Agent     string            `json:"agent,omitempty"`
	Session   string            `json:"session,omitempty"`
	Tool      string            `json:"tool,omitempty"`
	Account   string            `json:"account,omitempty"`
	Reach     string            `json:"reach,omitempty"` // how much the token that was used is good for: repository, scopes, exact or grant
	Approval  string            `json:"approval,omitempty"`
	Digest    string            `json:"digest,omitempty"`
	Policy    string            `json:"policy,omitempty"`
	By        string            `json:"by,omitempty"`
	Channel   string            `json:"channel,omitempty"`
	Outcome   string            `json:"outcome,omitempty"`
	Shown     int               `json:"shown,omitempty"`
	Withheld  int               `json:"withheld,omitempty"`
	Label     string            `json:"label,omitempty"`
	Rules     []string          `json:"rules,omitempty"` // the operator's, by name, that matched
	Arguments map[string]string `json:"arguments,omitempty"`
	Previous  string            `json:"previous"`
}

// Log appends to the chain. Key makes the digests of arguments.
type Log struct{ Key []byte }

type head struct {
	Seq  uint64
	Hash string
}

var (
	lines = store.Table[json.RawMessage]{Name: "audit/line"}
	heads = store.Table[head]{Name: "audit/head"}
)

// Append writes one line inside tx; Seq, Time and Previous are filled in.
func (l *Log) Append(tx store.Tx, line Line) error {
	h, err := heads.Get(tx, "")
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	line.Seq, line.Previous = h.Seq+1, h.Hash
	line.Time = time.Now().UTC()
	data, err := json.Marshal(line)
	if err != nil {
		return err
	}
	if err := lines.Put(tx, data, seqKey(line.Seq)); err != nil {
		return err
	}
	return heads.Put(tx, head{line.Seq, hash(data)}, "")
}

// Digest names a value without telling it: a keyed hash, the same for equal
// values of one deployment.
func (l *Log) Digest(value []byte) string {
	m := hmac.New(sha256.New, l.Key)
	m.Write(value)
	return "hmac:" + hex.EncodeToString(m.Sum(nil)[:16])
}

// Tail returns the last n lines, oldest first.
func Tail(tx store.Tx, n int) ([]json.RawMessage, error) {
	h, err := heads.Get(tx, "")
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	first := uint64(1)
	if h.Seq > uint64(n) {
		first = h.Seq - uint64(n) + 1
	}
	var out []json.RawMessage
	for seq := first; seq <= h.Seq; seq++ {
		data, err := lines.Get(tx, seqKey(seq))
		if err != nil {
			return nil, fmt.Errorf("audit: line %d: %w", seq, err)
		}
		out = append(out, data)
	}
	return out, nil
}

// Each calls fn for every line, oldest first.
func Each(tx store.Tx, fn func(json.RawMessage) error) error { return lines.All(tx, fn) }

// Verify walks the whole chain and returns the number of lines, or an error
// naming the first line that does not fit.
func Verify(tx store.Tx) (uint64, error) {
	h, err := heads.Get(tx, "")
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return 0, err
	}
	want := head{}
	err = lines.All(tx, func(data json.RawMessage) error {
		var line Line
		if err := json.Unmarshal(data, &line); err != nil {
			return fmt.Errorf("audit: line %d cannot be read: %w", want.Seq+1, err)
		}
		if line.Seq != want.Seq+1 || line.Previous != want.Hash {
			return fmt.Errorf("audit: line %d does not follow line %d", line.Seq, want.Seq)
		}
		want = head{line.Seq, hash(data)}
		return nil
	})
	if err != nil {
		return 0, err
	}
	if want != h {
		return 0, fmt.Errorf("audit: the log ends at line %d, its head says %d", want.Seq, h.Seq)
	}
	return h.Seq, nil
}

// seqKey orders lines as numbers do. It is hexadecimal because a part of a key
// may not contain a zero byte.
func seqKey(seq uint64) string {
	return hex.EncodeToString(binary.BigEndian.AppendUint64(nil, seq))
}

func hash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
