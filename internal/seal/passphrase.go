package seal

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
)

// passphraseFile holds how a passphrase becomes a key. It is made once and
// never changed, also when the passphrase is: then the keyset alone changes,
// in one rename.
const passphraseFile = "passphrase.json"

// stretch is Argon2id's parameters (RFC 9106), with the salt.
type stretch struct {
	Algorithm string `json:"algorithm"`
	Time      uint32 `json:"time"`
	MemoryKiB uint32 `json:"memory_kib"`
	Threads   uint8  `json:"threads"`
	Salt      []byte `json:"salt"`
}

const shortestPassphrase = 12

func (f Finder) passphraseKEK() (KEK, error) {
	s, err := readStretch(f.Dir)
	missing := errors.Is(err, os.ErrNotExist)
	if missing && !f.Fresh {
		return KEK{}, fmt.Errorf("no sealing key: keys/%s is not there, so no passphrase opens this home: put it back, or set \"key\" to the key it was made with", passphraseFile)
	}
	if err != nil && !missing {
		return KEK{}, err
	}
	if f.Passphrase == nil {
		return KEK{}, errors.New("no sealing key: nobody can be asked for the passphrase: set DEPUTY_PASSPHRASE")
	}
	text, err := f.Passphrase(f.Fresh)
	if err != nil {
		return KEK{}, fmt.Errorf("no sealing key: %w", err)
	}
	if text == "" || f.Fresh && utf8.RuneCountInString(text) < shortestPassphrase {
		return KEK{}, fmt.Errorf("no sealing key: the passphrase is too short: take at least %d characters, better five random words", shortestPassphrase)
	}
	if missing {
		if s, err = newStretch(f.Dir); err != nil {
			return KEK{}, err
		}
	}
	return KEK{argon2.IDKey([]byte(text), s.Salt, s.Time, s.MemoryKiB, s.Threads, 32)}, nil
}

func newStretch(dir string) (stretch, error) {
	s := stretch{Algorithm: "argon2id", Time: 3, MemoryKiB: 64 << 10, Threads: 2, Salt: make([]byte, 16)}
	rand.Read(s.Salt)
	data, err := json.Marshal(s)
	if err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	if err == nil {
		err = writeFile(filepath.Join(dir, passphraseFile), append(data, '\n'))
	}
	if err != nil {
		return stretch{}, fmt.Errorf("no sealing key: %w", err)
	}
	return s, nil
}

// readStretch bounds what it reads: a file that was tampered with must neither
// exhaust the machine nor make a key that is cheap to guess.
func readStretch(dir string) (s stretch, err error) {
	data, err := os.ReadFile(filepath.Join(dir, passphraseFile))
	if err != nil {
		return stretch{}, fmt.Errorf("no sealing key: %w", err)
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return stretch{}, fmt.Errorf("keys/%s cannot be read (%v): put back a copy of this home's own", passphraseFile, err)
	}
	within := s.Algorithm == "argon2id" && len(s.Salt) == 16 && s.Time >= 1 && s.Time <= 16 &&
		s.MemoryKiB >= 19<<10 && s.MemoryKiB <= 1<<20 && s.Threads >= 1 && s.Threads <= 16
	if !within {
		return stretch{}, fmt.Errorf("keys/%s was changed: want argon2id, a salt of 16 bytes, 1 to 16 passes over 19 MiB to 1 GiB in 1 to 16 threads: put back a copy of this home's own", passphraseFile)
	}
	return s, nil
}
