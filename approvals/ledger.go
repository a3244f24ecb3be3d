package approvals

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"deputy/authz"
	"deputy/internal/audit"
	"deputy/internal/store"
)

// Sentinels of this package. A request that belongs to somebody else is
// ErrNotFound, as one that never was.
var (
	ErrNotFound = errors.New("approvals: no such request")
	ErrDecided  = errors.New("approvals: already decided")
	ErrChannel  = errors.New("approvals: decisions are not taken on this channel")
	ErrStepUp   = errors.New("approvals: this takes a fresh sign-in on the approval page")
	ErrTooMany  = errors.New("approvals: too many requests are waiting for this person")
	ErrKeyUsed  = errors.New("approvals: this idempotency_key was used for something else")
	ErrSpent    = errors.New("approvals: the permit is spent")
	ErrDigest   = errors.New("approvals: this is not what was approved")
)

// Config is what a Ledger stands on. Store, Sealer, Audit and Door are
// required; the rest has safe defaults.
type Config struct {
	Store  store.Store
	Sealer store.Sealer
	Audit  *audit.Log
	Door   *authz.Door

	Expires  time.Duration // a pending request waits this long; 0 = 15 min
	Replay   time.Duration // an identical call is answered from the last outcome this long; 0 = 10 min
	Keep     time.Duration // bytes and outcomes are kept this long after the end; 0 = 24 h
	Fresh    time.Duration // a sign-in counts as fresh this long; 0 = 5 min
	Max      int           // pending requests of one person; 0 = 200
	Channels []string      // where decisions are taken; nil = nowhere

	// Presence says which decisions take a fresh proof that the person is there.
	Presence Presence

	// Strong reports whether a caller's proof is as strong as its person can
	// give; nil = any is.
	Strong func(authz.Caller) bool
}

// Ledger keeps requests and their decisions.
type Ledger struct {
	c    Config
	rows store.Table[row]

	mu       sync.Mutex
	watchers map[string]*watcher
	approved func(id string)
}

// byDigest finds the request an identical question joins; byKey the one a
// changed question with the same idempotency key supersedes; byUser lists a
// person's requests until they are swept away.
var (
	byDigest = store.Table[string]{Name: "approvals/digest"}
	byKey    = store.Table[string]{Name: "approvals/key"}
	byUser   = store.Table[string]{Name: "approvals/user"}
)

// Open returns the ledger kept in c.Store. A request that was spent when the
// last process ended has an unknown outcome: it becomes Failed, where a person
// sees it and the agent may ask again.
func Open(c Config) (*Ledger, error) {
	for _, d := range []struct {
		v *time.Duration
		d time.Duration
	}{{&c.Expires, 15 * time.Minute}, {&c.Replay, 10 * time.Minute}, {&c.Keep, 24 * time.Hour}, {&c.Fresh, 5 * time.Minute}} {
		if *d.v == 0 {
			*d.v = d.d
		}
	}
	if c.Max == 0 {
		c.Max = 200
	}
	l := &Ledger{c: c, rows: store.Table[row]{Name: "approvals/request", Sealer: c.Sealer}, watchers: map[string]*watcher{}}
	err := c.Store.Update(func(tx store.Tx) error {
		return l.each(tx, "", func(r row) error {
			if r.State != Spent {
				return nil
			}
			r.Failure = UnknownOutcome
			r.Reason = "deputy stopped after this was sent and before it heard back"
			return l.end(tx, &r, Failed)
		})
	})
	if err != nil {
		return nil, err
	}
	return l, l.Sweep()
}

// OnApproved sets what runs, in its own goroutine, for each request that has
// just been approved. Resume runs it for those left from before a restart.
func (l *Ledger) OnApproved(fn func(id string)) { l.approved = fn }

// Resume hands requests that were approved but not sent to OnApproved, or
// lets them expire if their time is over.
func (l *Ledger) Resume() error {
	var ids []string
	err := l.c.Store.Update(func(tx store.Tx) error {
		ids = ids[:0]
		return l.each(tx, "", func(r row) error {
			if r.State == Approved {
				ids = append(ids, r.ID)
			}
			return l.lapse(tx, &r)
		})
	})
	for _, id := range ids {
		go l.approved(id)
	}
	return err
}

// Ask records a question, or joins the identical one that is open or was
// answered a moment ago. What a rule allows is approved at once.
func (l *Ledger) Ask(_ context.Context, a Action) (Item, error) {
	if a.Caller.IsZero() {
		return Item{}, authz.ErrNobody
	}
	var out row
	ended := ""
	err := l.c.Store.Update(func(tx store.Tx) error {
		ended = ""
		digest := a.Digest()
		if id, err := byDigest.Get(tx, digest); err == nil {
			r, err := l.load(tx, id)
			if err != nil {
				return err
			}
			if l.joins(r) {
				out = r
				return l.raise(tx, &out, a)
			}
		} else if !errors.Is(err, store.ErrNotFound) {
			return err
		}
		var err error
		if ended, err = l.supersede(tx, a); err != nil {
			return err
		}
		if err := l.room(tx, a.Caller.User()); err != nil {
			return err
		}
		out = newItem(a, l.c.Expires)
		if a.Need == ByRule {
			out.State, out.By, out.Decided = Approved, "rule", out.Created
		}
		if a.Key != "" {
			if err := byKey.Put(tx, out.ID, keyOf(a)...); err != nil {
				return err
			}
		}
		if err := errors.Join(byDigest.Put(tx, out.ID, digest), byUser.Put(tx, out.ID, out.User, out.ID)); err != nil {
			return err
		}
		if err := l.rows.Put(tx, out, out.ID); err != nil {
			return err
		}
		return l.c.Audit.Append(tx, l.line("ask", out))
	})
	if err == nil && ended != "" {
		l.changed(ended)
	}
	return out.Item, err
}

// raise makes an open question as strict as the strictest who asked it: what
// the session has read may have changed since.
func (l *Ledger) raise(tx store.Tx, r *row, a Action) error {
	if r.State != Pending || a.Need <= r.Need {
		return nil
	}
	r.Need, r.Preview, r.Read = a.Need, a.Preview.reveal(), r.Read.Join(a.Read)
	if err := l.rows.Put(tx, *r, r.ID); err != nil {
		return err
	}
	return l.c.Audit.Append(tx, l.line("ask", *r))
}

// joins reports whether an identical question is answered by r.
func (l *Ledger) joins(r row) bool {
	switch r.State {
	case Pending, Approved, Spent:
		return true
	case Done:
		return r.Key != "" || time.Since(r.Finished) < l.c.Replay
	case Denied:
		return time.Since(r.Decided) < l.c.Replay
	}
	return false
}

// supersede ends the question that the same caller asked with the same key
// and other content, unless it has gone too far, and
// returns its id.
func (l *Ledger) supersede(tx store.Tx, a Action) (ended string, err error) {
	if a.Key == "" {
		return "", nil
	}
	id, err := byKey.Get(tx, keyOf(a)...)
	if errors.Is(err, store.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	r, err := l.load(tx, id)
	if errors.Is(err, ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	switch r.State {
	case Pending:
		return id, l.end(tx, &r, Superseded)
	case Approved, Spent, Done:
		if r.Digest != a.Digest() {
			return "", ErrKeyUsed
		}
	}
	return "", nil
}

func keyOf(a Action) []string {
	return []string{a.Caller.User(), a.Caller.Agent(), a.Account, a.Tool, a.Key}
}

func (l *Ledger) room(tx store.Tx, user string) error {
	n := 0
	err := l.each(tx, user, func(r row) error {
		if r.State == Pending {
			n++
		}
		return nil
	})
	if err == nil && n >= l.c.Max {
		return ErrTooMany
	}
	return err
}

// Decision is a person's answer.
type Decision struct {
	Approve bool
	Channel string // "client", "page", "cli"
	Reason  string // told to the agent when denied
}

// Decide records the approver's answer to a pending request. Only the person
// whose account it is may answer; to everybody else it does not exist.
func (l *Ledger) Decide(_ context.Context, id string, approver authz.Caller, d Decision) (Item, error) {
	var out row
	proved := l.proved(approver) // asks the store, so before the transaction
	err := l.c.Store.Update(func(tx store.Tx) (err error) {
		if out, err = l.load(tx, id); err != nil {
			return err
		}
		if approver.IsZero() || out.User != approver.User() {
			return ErrNotFound
		}
		if out.State != Pending {
			return fmt.Errorf("%w: it is %s", ErrDecided, out.State)
		}
		if err := l.mayDecide(out, d, proved); err != nil {
			return err
		}
		out.By, out.Channel, out.Reason, out.Decided = approver.User(), d.Channel, d.Reason, time.Now().UTC()
		if !d.Approve {
			return l.end(tx, &out, Denied)
		}
		out.State, out.Expires = Approved, out.Decided.Add(l.c.Expires)
		if err := l.rows.Put(tx, out, out.ID); err != nil {
			return err
		}
		return l.c.Audit.Append(tx, l.line("decide", out))
	})
	if err != nil {
		return Item{}, err
	}
	l.changed(id)
	if out.State == Approved && l.approved != nil {
		go l.approved(id)
	}
	return out.Item, nil
}

func (l *Ledger) mayDecide(r row, d Decision, proved bool) error {
	known := false
	for _, c := range l.c.Channels {
		known = known || c == d.Channel
	}
	if !known {
		return fmt.Errorf("%w: %q", ErrChannel, d.Channel)
	}
	if d.Approve && l.takesProof(r.Need) && (d.Channel != "page" || !proved) {
		return ErrStepUp
	}
	return nil
}

// Revoke ends every open request for which match returns true: the account is
// gone, or its user frozen.
func (l *Ledger) Revoke(_ context.Context, reason string, match func(Item) bool) error {
	var ids []string
	err := l.c.Store.Update(func(tx store.Tx) error {
		ids = ids[:0]
		return l.each(tx, "", func(r row) error {
			if r.State != Pending && r.State != Approved || !match(r.Item) {
				return nil
			}
			r.Reason = reason
			ids = append(ids, r.ID)
			return l.end(tx, &r, Revoked)
		})
	})
	for _, id := range ids {
		l.changed(id)
	}
	return err
}
