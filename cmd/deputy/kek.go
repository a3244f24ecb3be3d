package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"deputy/internal/config"
	"deputy/internal/seal"
	"deputy/internal/store"

	"golang.org/x/term"
)

// findKEK finds the home's key-encryption key, or makes that of a new home.
func (inv *invocation) findKEK(c config.Config) (seal.KEK, error) {
	return inv.kekOf(c, !seal.Exists(filepath.Join(c.Home, "keys")))
}

// kekOf finds it once: a person is not asked twice. From here on there are keys
// in memory, so here core dumps end.
func (inv *invocation) kekOf(c config.Config, fresh bool) (seal.KEK, error) {
	if inv.kek != nil {
		return *inv.kek, nil
	}
	if err := noDumps(); err != nil {
		return seal.KEK{}, fmt.Errorf("core dumps cannot be turned off: %w", err)
	}
	kek, err := seal.Finder{Dir: filepath.Join(c.Home, "keys"), Fresh: fresh, Passphrase: inv.passphrase("DEPUTY_PASSPHRASE")}.Find(c.Key)
	if err != nil {
		return seal.KEK{}, err
	}
	inv.kek = &kek
	return kek, nil
}

// passphrase asks for one, unless the variable has it.
func (inv *invocation) passphrase(variable string) func(isNew bool) (string, error) {
	return func(isNew bool) (string, error) {
		if text := os.Getenv(variable); text != "" {
			return text, nil
		}
		if !isTerminal(inv.in) {
			return "", fmt.Errorf("there is no terminal to ask for the passphrase: run this in one, or set %s", variable)
		}
		if !isNew {
			return inv.hidden("Passphrase: ")
		}
		text, err := inv.hidden("New passphrase: ")
		if err != nil {
			return "", err
		}
		again, err := inv.hidden("The same again: ")
		if err == nil && again != text {
			err = errors.New("the two were not the same: run this again")
		}
		return text, err
	}
}

// hidden reads a line from the terminal without showing it. An interrupt ends
// the waiting and gives the terminal back as it was.
func (inv *invocation) hidden(prompt string) (string, error) {
	fd := int(inv.in.(*os.File).Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	fmt.Fprint(inv.err, prompt)
	defer fmt.Fprintln(inv.err)
	type typed struct {
		text []byte
		err  error
	}
	answer := make(chan typed, 1)
	go func() {
		text, err := term.ReadPassword(fd)
		answer <- typed{text, err}
	}()
	select {
	case a := <-answer:
		return string(a.text), a.err
	case <-inv.ctx.Done():
		return "", errors.Join(context.Cause(inv.ctx), term.Restore(fd, before))
	}
}

// isTerminal takes what a command reads or writes.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// openKeys opens the keyset and sees that it is the one of this store, before
// anything is written that would be under another.
func openKeys(dir string, kek seal.KEK, s store.Store) (*seal.Box, error) {
	if !seal.Exists(dir) {
		err := s.View(func(tx store.Tx) error {
			return tx.Scan(nil, nil, func(_, _ []byte) error { return io.ErrUnexpectedEOF })
		})
		if err != nil {
			return nil, errors.New("the home's store has rows, and there is no keys/keyset.json: put back the keys folder of this home, or import a backup into an empty one; nothing was changed")
		}
	}
	box, err := seal.Open(dir, kek)
	if errors.Is(err, seal.ErrWrongKey) {
		return nil, fmt.Errorf("%w: set \"key\" to the one it was made with, or put back this home's own keys/keyset.json; nothing was changed", err)
	}
	if err != nil {
		return nil, err
	}
	check := store.Table[string]{Name: "home/seal", Sealer: box}
	err = s.View(func(tx store.Tx) error { _, err := check.Get(tx, "check"); return err })
	if errors.Is(err, store.ErrNotFound) {
		return box, s.Update(func(tx store.Tx) error { return check.Put(tx, "ok", "check") })
	}
	if err != nil {
		return nil, errors.New("the home's store was sealed with other keys than keys/keyset.json holds: put back the two of one home; nothing was changed")
	}
	return box, nil
}
