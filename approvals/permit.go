package approvals

import (
	"context"
	"fmt"
	"time"

	"deputy/authz"
	"deputy/internal/store"
)

// Permit is the right to send one Action, once. The zero Permit permits
// nothing; Ledger.Redeem makes the only others.
type Permit struct {
	ledger *Ledger
	id     string
}

// Redeem turns an approved request into its Permit and the Action it is for,
// with the caller let in anew. Many may hold a Permit; one Spend succeeds.
func (l *Ledger) Redeem(ctx context.Context, id string) (Permit, Action, error) {
	r, err := l.get(id)
	if err != nil {
		return Permit{}, Action{}, err
	}
	if r.State != Approved {
		return Permit{}, Action{}, fmt.Errorf("%w: the request is %s", ErrSpent, r.State)
	}
	c, err := l.c.Door.Caller(ctx, r.Principal)
	if err != nil {
		return Permit{}, Action{}, err
	}
	return Permit{l, id}, r.action(c), nil
}

// Spend uses the permit up for a, whose digest is computed here and now. The
// state and the audit line change in one commit, before anything is sent: a
// crash after it can lose the write, never repeat it.
func (p Permit) Spend(a Action) error {
	if p.ledger == nil {
		return fmt.Errorf("%w: there is none", ErrSpent)
	}
	l := p.ledger
	err := l.c.Store.Update(func(tx store.Tx) error {
		r, err := l.load(tx, p.id)
		if err != nil {
			return err
		}
		if r.State != Approved {
			return fmt.Errorf("%w: the request is %s", ErrSpent, r.State)
		}
		if a.Digest() != r.Digest {
			return ErrDigest
		}
		r.State = Spent
		if err := l.rows.Put(tx, r, r.ID); err != nil {
			return err
		}
		return l.c.Audit.Append(tx, l.line("spend", r))
	})
	if err == nil {
		l.changed(p.id)
	}
	return err
}

// Finish records what came of a spent request: the provider's answer, or a
// failure. It is the only way out of Spent in a living process.
func (l *Ledger) Finish(id string, response []byte, failure, reason string) error {
	return l.finish(id, Spent, func(r *row) State {
		r.Response, r.Failure = response, failure
		if failure != "" {
			r.Reason = reason
			return Failed
		}
		return Done
	})
}

// Abandon ends an approved request that must not be sent any more.
func (l *Ledger) Abandon(id, reason string) error {
	return l.finish(id, Approved, func(r *row) State { r.Reason = reason; return Revoked })
}

func (l *Ledger) finish(id string, from State, to func(*row) State) error {
	err := l.c.Store.Update(func(tx store.Tx) error {
		r, err := l.load(tx, id)
		if err != nil {
			return err
		}
		if r.State != from {
			return fmt.Errorf("%w: it is %s", ErrDecided, r.State)
		}
		return l.end(tx, &r, to(&r))
	})
	if err == nil {
		l.changed(id)
	}
	return err
}

// Get returns the caller's own request, by id.
func (l *Ledger) Get(_ context.Context, c authz.Caller, id string) (Item, error) {
	r, err := l.get(id)
	if err != nil {
		return Item{}, err
	}
	if c.IsZero() || r.User != c.User() {
		return Item{}, ErrNotFound
	}
	return r.Item, nil
}

// Outcome returns the provider's answer to a request that is Done, for the
// caller that asked: another agent of the same person does not get it.
func (l *Ledger) Outcome(_ context.Context, c authz.Caller, id string) (Item, []byte, error) {
	r, err := l.get(id)
	if err != nil {
		return Item{}, nil, err
	}
	if c.IsZero() || r.User != c.User() || r.Agent != c.Agent() {
		return Item{}, nil, ErrNotFound
	}
	return r.Item, r.Response, nil
}

// List returns the person's requests that are open or ended within Keep,
// newest first.
func (l *Ledger) List(_ context.Context, c authz.Caller) ([]Item, error) {
	var out []Item
	err := l.c.Store.View(func(tx store.Tx) error {
		return l.each(tx, c.User(), func(r row) error {
			if !c.IsZero() {
				out = append(out, l.asOfNow(r).Item)
			}
			return nil
		})
	})
	sortNewest(out)
	return out, err
}

// Wait returns when the request has ended or ctx is done, with its state then.
func (l *Ledger) Wait(ctx context.Context, c authz.Caller, id string) (Item, error) {
	for {
		item, again, err := l.waitOnce(ctx, c, id)
		if err != nil || !again {
			return item, err
		}
	}
}

// waitOnce waits for one change. Nothing is kept for a request that is not the
// caller's, or is none.
func (l *Ledger) waitOnce(ctx context.Context, c authz.Caller, id string) (item Item, again bool, err error) {
	changed, done := l.watch(id)
	defer done()
	item, err = l.Get(ctx, c, id)
	if err != nil || item.State.Ended() {
		return item, false, err
	}
	lapse := time.NewTimer(time.Until(item.Expires))
	defer lapse.Stop()
	if item.State != Pending {
		lapse.Stop()
	}
	select {
	case <-changed:
	case <-lapse.C:
	case <-ctx.Done():
		return item, false, nil
	}
	return item, true, nil
}
