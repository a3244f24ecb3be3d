package approvals

import (
	"errors"
	"slices"
	"time"

	"deputy/internal/audit"
	"deputy/internal/store"
)

// load reads a request inside tx and lets it expire if its time is over.
func (l *Ledger) load(tx store.Tx, id string) (row, error) {
	r, err := l.rows.Get(tx, id)
	if errors.Is(err, store.ErrNotFound) {
		return row{}, ErrNotFound
	}
	if err != nil {
		return row{}, err
	}
	err = l.lapse(tx, &r)
	return r, err
}

func (l *Ledger) get(id string) (r row, err error) {
	err = l.c.Store.View(func(tx store.Tx) error {
		r, err = l.rows.Get(tx, id)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		err = ErrNotFound
	}
	return l.asOfNow(r), err
}

// each visits the requests of one user, or of all for "".
func (l *Ledger) each(tx store.Tx, user string, fn func(row) error) error {
	var ids []string
	var of []string
	if user != "" {
		of = []string{user}
	}
	if err := byUser.All(tx, func(id string) error { ids = append(ids, id); return nil }, of...); err != nil {
		return err
	}
	for _, id := range ids {
		r, err := l.rows.Get(tx, id)
		if err != nil {
			return err
		}
		if err := fn(r); err != nil {
			return err
		}
	}
	return nil
}

// overdue: a question nobody answered, or an answer nobody could act on.
func overdue(r row) bool {
	return (r.State == Pending || r.State == Approved) && !time.Now().Before(r.Expires)
}

// asOfNow is how a request looks now, for readers, who cannot write it down.
func (l *Ledger) asOfNow(r row) row {
	if overdue(r) {
		r.State, r.Finished = Expired, r.Expires
	}
	return r
}

func (l *Ledger) lapse(tx store.Tx, r *row) error {
	if !overdue(*r) {
		return nil
	}
	return l.end(tx, r, Expired)
}

// end writes a final state and its audit line.
func (l *Ledger) end(tx store.Tx, r *row, s State) error {
	r.State, r.Finished = s, time.Now().UTC()
	if err := l.rows.Put(tx, *r, r.ID); err != nil {
		return err
	}
	event := "outcome"
	if s == Denied {
		event = "decide"
	}
	return l.c.Audit.Append(tx, l.line(event, *r))
}

// Sweep forgets requests that ended more than Keep ago, with their bytes.
func (l *Ledger) Sweep() error {
	return l.c.Store.Update(func(tx store.Tx) error {
		return l.each(tx, "", func(r row) error {
			if err := l.lapse(tx, &r); err != nil {
				return err
			}
			if !r.State.Ended() || time.Since(r.Finished) < l.c.Keep {
				return nil
			}
			if id, err := byDigest.Get(tx, r.Digest); err == nil && id == r.ID {
				if err := byDigest.Delete(tx, r.Digest); err != nil {
					return err
				}
			}
			if r.Key != "" {
				key := []string{r.User, r.Agent, r.Account, r.Tool, r.Key}
				if id, err := byKey.Get(tx, key...); err == nil && id == r.ID {
					if err := byKey.Delete(tx, key...); err != nil {
						return err
					}
				}
			}
			return errors.Join(byUser.Delete(tx, r.User, r.ID), l.rows.Delete(tx, r.ID))
		})
	})
}

func (l *Ledger) line(event string, r row) audit.Line {
	outcome := string(r.State)
	if r.Failure != "" {
		outcome += ": " + r.Failure
	}
	return audit.Line{
		Event: event, User: r.User, Agent: r.Agent, Session: r.Principal.Session, Tool: r.Tool, Account: r.Account,
		Approval: r.ID, Digest: r.Digest, Policy: r.Policy, By: r.By, Channel: r.Channel, Outcome: outcome,
	}
}

// watcher is a channel that is closed at a request's next change, and how many
// wait for it: without them it is not kept.
type watcher struct {
	ch    chan struct{}
	count int
}

// watch returns the channel of a request's next change, and what to call when
// one no longer waits.
func (l *Ledger) watch(id string) (<-chan struct{}, func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.watchers[id]
	if w == nil {
		w = &watcher{ch: make(chan struct{})}
		l.watchers[id] = w
	}
	w.count++
	return w.ch, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if w.count--; w.count == 0 && l.watchers[id] == w {
			delete(l.watchers, id)
		}
	}
}

func (l *Ledger) changed(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if w := l.watchers[id]; w != nil {
		close(w.ch)
		delete(l.watchers, id)
	}
}

func sortNewest(items []Item) {
	slices.SortFunc(items, func(a, b Item) int { return b.Created.Compare(a.Created) })
}
