package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"deputy/internal/audit"
	"deputy/internal/seal"
	"deputy/internal/store"
)

// rotate gives the home a new key. The caller may go away meanwhile: the work
// goes on until it is done or the home is closed.
func (inv *invocation) rotate() error {
	a := inv.app
	a.rotating.Lock()
	defer a.rotating.Unlock()
	if err := a.noteKeys("rotate"); err != nil {
		return err
	}
	began := time.Now()
	id, err := a.box.Rotate()
	if err != nil {
		return err
	}
	ctx, cancel := a.untilClosed()
	defer cancel()
	n, closed, err := store.Reseal(ctx, a.store, a.box)
	if err != nil {
		return fmt.Errorf("key %d seals from now on, and %d rows are under it, when this happened: %w: all rows stay readable; run deputy keys rotate again", id, n, err)
	}
	sealed, err := store.SealedRows(a.store, a.box)
	if err != nil {
		return err
	}
	gone, err := a.box.Destroy(sealed)
	if err != nil {
		return err
	}
	fmt.Fprintf(inv.out, "key %d seals from now on; %d rows were sealed anew in %v\n", id, n, time.Since(began).Round(time.Millisecond))
	for _, id := range gone {
		fmt.Fprintf(inv.out, "key %d was out of use for a week and is destroyed\n", id)
	}
	if closed > 0 {
		fmt.Fprintf(inv.err, "deputy: %d rows do not open and were left as they are: they were damaged before; restore a backup if you miss something\n", closed)
	}
	return nil
}

// rewrap puts the keyset under the key that --kek names, which the caller read.
func (inv *invocation) rewrap(text string) error {
	kek, err := seal.ParseKEK(text)
	if err != nil {
		return err
	}
	a, ref := inv.app, inv.keysFlags.kek
	a.rotating.Lock()
	defer a.rotating.Unlock()
	if err := a.noteKeys("rewrap"); err != nil {
		return err
	}
	if err := a.box.Rewrap(kek); err != nil {
		return err
	}
	fmt.Fprintf(inv.out, "the keyset is under %s now: before the next start, set in deputy.yaml\n\n  key: %q\n\nThe key before opens older copies of this home. If it got out, run deputy keys rotate as well.\n", ref, ref)
	return nil
}

// noteKeys puts what is about to happen to the keys into the log.
func (a *app) noteKeys(event string) error {
	return a.store.Update(func(tx store.Tx) error {
		return a.audit.Append(tx, audit.Line{Event: event, User: a.owner, Channel: "cli"})
	})
}

// finishRotation does what a rotation left undone whose process was killed.
func (a *app) finishRotation() {
	a.rotating.Lock()
	defer a.rotating.Unlock()
	keys, err := a.box.Keys()
	if err == nil && len(keys) < 2 {
		return
	}
	ctx, cancel := a.untilClosed()
	defer cancel()
	if err = errors.Join(err, a.box.Finish()); err == nil {
		_, _, err = store.Reseal(ctx, a.store, a.box)
	}
	select {
	case <-a.stopped: // the next start goes on
	default:
		if err != nil {
			a.log.Warn("keys", "cause", err)
		}
	}
}

// untilClosed is the life of the home, for work that no caller waits for.
func (a *app) untilClosed() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		select {
		case <-a.stopped:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}
