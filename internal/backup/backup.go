// Package backup writes a home into one encrypted file, and a home from it.
//
// The file is an age file (age-encryption.org/v1). Inside are lines of JSON:
// the keys in the clear, each row of the store as it stands there, sealed, and
// a last line with their number. What comes out is what went in, to the byte;
// only the key-encryption key is another.
//
// age says who may read, not who wrote: whoever knows a recipient can write a
// backup for it. Import what you made yourself.
package backup

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"deputy/internal/seal"
	"deputy/internal/store"

	"filippo.io/age"
)

// Recipient is who can read a backup; Identity is what reads it.
type (
	Recipient = age.Recipient
	Identity  = age.Identity
)

// Recipients reads "age1…" texts.
func Recipients(texts []string) (all []Recipient, err error) {
	for _, text := range texts {
		// What was given is not repeated: it may be the identity by mistake.
		r, err := age.ParseRecipients(strings.NewReader(text))
		if err != nil {
			return nil, errors.New("a recipient is the public key that age-keygen prints, age1…")
		}
		all = append(all, r...)
	}
	if len(all) == 0 {
		return nil, errors.New("name a recipient, the public key that age-keygen prints: --to age1…")
	}
	return all, nil
}

// Identities reads a file of age-keygen.
func Identities(r io.Reader) ([]Identity, error) {
	all, err := age.ParseIdentities(r)
	if err != nil {
		return nil, errors.New("an identity file is what age-keygen writes, with a line AGE-SECRET-KEY-1…")
	}
	return all, nil
}

// line is one line of a backup: the head, a row, or the end.
type line struct {
	Head  *head  `json:"deputy_backup,omitempty"`
	Key   []byte `json:"k,omitempty"`
	Value []byte `json:"v,omitempty"`
	Rows  *int   `json:"rows,omitempty"`
}

type head struct {
	Version int            `json:"version"`
	Made    time.Time      `json:"made"`
	Keys    seal.Cleartext `json:"keys"`
}

const version = 1

// Write writes all of s, as it stands at one moment, and its keys. No key may
// be destroyed meanwhile.
//
// The store waits for w: give it one that does not wait itself.
func Write(w io.Writer, s store.Store, box *seal.Box, to ...Recipient) error {
	sealed, err := age.Encrypt(w, to...)
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	out := bufio.NewWriter(sealed)
	enc := json.NewEncoder(out)
	err = s.View(func(tx store.Tx) error {
		// Keys are read after the snapshot is taken, so that none is missing.
		keys, err := box.Cleartext()
		if err != nil {
			return err
		}
		if err := enc.Encode(line{Head: &head{version, time.Now().UTC(), keys}}); err != nil {
			return err
		}
		n := 0
		err = tx.Scan(nil, nil, func(key, value []byte) error {
			n++
			return enc.Encode(line{Key: key, Value: value})
		})
		return errors.Join(err, enc.Encode(line{Rows: &n}))
	})
	// Without its last block the file does not open: it is written only when
	// all went well.
	if err == nil {
		err = errors.Join(out.Flush(), sealed.Close())
	}
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	return nil
}

// Backup is one that was read to its end and is whole.
type Backup struct {
	Made time.Time
	Keys seal.Cleartext
	rows []line
}

// Read decrypts a backup.
func Read(r io.Reader, ids ...Identity) (*Backup, error) {
	plain, err := age.Decrypt(r, ids...)
	var stranger *age.NoIdentityMatchError
	if errors.As(err, &stranger) {
		return nil, errors.New("the backup is for another recipient: take the identity it was made for")
	}
	if err != nil {
		return nil, errors.New("the backup is damaged, or no age file: take another copy")
	}
	b, err := read(json.NewDecoder(plain))
	if err == nil {
		// The last block may be cut off behind the last line.
		_, err = io.Copy(io.Discard, plain)
	}
	if err != nil {
		return nil, fmt.Errorf("the backup is cut short or was changed (%v): take another copy", err)
	}
	return b, nil
}

func read(dec *json.Decoder) (*Backup, error) {
	var first line
	if err := dec.Decode(&first); err != nil {
		return nil, err
	}
	if first.Head == nil || first.Head.Version != version {
		return nil, fmt.Errorf("not a deputy backup of version %d", version)
	}
	b := &Backup{Made: first.Head.Made, Keys: first.Head.Keys}
	for {
		var l line
		if err := dec.Decode(&l); err != nil {
			return nil, err
		}
		if l.Rows != nil {
			if *l.Rows != len(b.rows) {
				return nil, fmt.Errorf("%d rows instead of %d", len(b.rows), *l.Rows)
			}
			return b, nil
		}
		b.rows = append(b.rows, l)
	}
}

// Len is the number of rows.
func (b *Backup) Len() int { return len(b.rows) }

// Fill puts the rows into an empty store, in one transaction.
func (b *Backup) Fill(s store.Store) error {
	return s.Update(func(tx store.Tx) error {
		for _, l := range b.rows {
			if err := tx.Put(l.Key, l.Value); err != nil {
				return fmt.Errorf("backup: %w", err)
			}
		}
		return nil
	})
}
