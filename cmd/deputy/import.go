package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"deputy/internal/backup"
	"deputy/internal/config"
	"deputy/internal/seal"
	"deputy/internal/store"
)

// importHome makes a home from a backup. Nobody owns an empty home, so it runs
// where it is called. The backup is read to its end before anything is made.
func (inv *invocation) importHome(path string) error {
	c, err := loadConfig(inv.global)
	if err != nil {
		return err
	}
	keys, db := filepath.Join(c.Home, "keys"), filepath.Join(c.Home, "deputy.db")
	if seal.Exists(keys) || exists(db) {
		return fmt.Errorf("%w: home %s has a store or a keyset already, and a backup replaces nothing: name an empty one with --home", errRefused, c.Home)
	}
	if err := noDumps(); err != nil {
		return err
	}
	b, err := readBackup(path, inv.keysFlags.identity)
	if err != nil {
		return err
	}
	wasThere := exists(c.Home)
	if err := privateDir(c.Home); err != nil {
		return err
	}
	if err := inv.restore(c, b); err != nil {
		if !wasThere {
			os.Remove(c.Home)
		}
		return err
	}
	fmt.Fprintf(inv.err, "deputy: home %s has the %d rows of %s, under %s\n", c.Home, b.Len(), b.Made.Local().Format("2006-01-02 15:04"), c.Key)
	return nil
}

func readBackup(path, identity string) (*backup.Backup, error) {
	f, err := os.Open(identity)
	if err != nil {
		return nil, fmt.Errorf("--identity: %w", err)
	}
	defer f.Close()
	ids, err := backup.Identities(f)
	if err != nil {
		return nil, fmt.Errorf("--identity: %w", err)
	}
	data, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer data.Close()
	return backup.Read(data, ids...)
}

// restore builds the home aside and moves it into place when it opens.
func (inv *invocation) restore(c config.Config, b *backup.Backup) error {
	aside, err := os.MkdirTemp(c.Home, ".import-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(aside)
	built := filepath.Join(aside, "keys")
	kek, err := seal.Finder{Dir: built, Fresh: true, Passphrase: inv.passphrase("DEPUTY_PASSPHRASE")}.Find(c.Key)
	if err != nil {
		return err
	}
	if err := seal.Restore(built, kek, b.Keys); err != nil {
		return fmt.Errorf("the backup cannot be used: %w", err)
	}
	there := c
	there.Home = aside // where a file is built; a database is where it is
	if err := fillStore(there, built, kek, b); err != nil {
		return err
	}
	// The keyset comes last: its presence says that the home is complete.
	keys := filepath.Join(c.Home, "keys")
	if err := os.MkdirAll(keys, 0o700); err != nil {
		return err
	}
	var moves [][2]string
	if db := filepath.Join(aside, "deputy.db"); exists(db) {
		moves = append(moves, [2]string{db, filepath.Join(c.Home, "deputy.db")})
	}
	for _, name := range []string{"root.sealed", "history.json", "passphrase.json", "keyset.json"} {
		if from := filepath.Join(built, name); exists(from) {
			moves = append(moves, [2]string{from, filepath.Join(keys, name)})
		}
	}
	for i, m := range moves {
		if err := os.Rename(m[0], m[1]); err != nil {
			for _, done := range moves[:i] {
				err = errors.Join(err, os.Remove(done[1]))
			}
			return err
		}
	}
	return nil
}

func fillStore(c config.Config, keys string, kek seal.KEK, b *backup.Backup) error {
	s, err := openStore(c)
	if err != nil {
		return err
	}
	rows := 0
	err = s.View(func(tx store.Tx) error {
		return tx.Scan(nil, nil, func(_, _ []byte) error { rows++; return store.ErrStop })
	})
	if err == nil && rows > 0 {
		err = fmt.Errorf("%w: the database has rows already, and a backup replaces nothing: name an empty one", errRefused)
	}
	if err == nil {
		err = b.Fill(s)
	}
	if err == nil {
		_, err = openKeys(keys, kek, s)
	}
	return errors.Join(err, s.Close())
}
