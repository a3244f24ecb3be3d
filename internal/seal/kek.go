package seal

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/zalando/go-keyring"
)

// KEK is the key-encryption key: 32 bytes that only ever wrap the keyset. It
// does not print.
type KEK struct{ key []byte }

func (KEK) String() string   { return "KEK(hidden)" }
func (KEK) GoString() string { return "KEK(hidden)" }

// NewKEK wraps 32 raw bytes.
func NewKEK(key []byte) (KEK, error) {
	if len(key) != 32 {
		return KEK{}, fmt.Errorf("a sealing key has 32 bytes, this one %d", len(key))
	}
	return KEK{key}, nil
}

// RevealText is the key itself, for ParseKEK in the process that owns the home.
func (k KEK) RevealText() string { return base64.StdEncoding.EncodeToString(k.key) }

// keyringWait bounds a keyring that asks a person who is not there.
const keyringWait = 3 * time.Second

const keyringService = "deputy"

// howTo ends every complaint about a missing key with what to do.
const howTo = "make one with: (umask 077; head -c 32 /dev/urandom | base64 > FILE), then set \"key: file:FILE\""

// Finder finds the key-encryption key of one home.
type Finder struct {
	Dir string // the home's keys folder, where a passphrase has its salt

	// Fresh says that nothing is wrapped by this key yet, so what is missing
	// may be made: an item in a keyring that is there, or the salt of a new
	// passphrase. A file or variable is never made.
	Fresh bool

	// Passphrase asks the person, twice if it is a new one.
	Passphrase func(isNew bool) (string, error)
}

// Find reads the key that ref names: "keyring:NAME", "file:PATH" or
// "env:NAME", which hold 32 bytes as base64 or hex, or "passphrase".
func (f Finder) Find(ref string) (KEK, error) {
	if ref == "passphrase" {
		return f.passphraseKEK()
	}
	kind, name, _ := strings.Cut(ref, ":")
	switch {
	case name == "":
	case kind == "file":
		return fileKEK(name)
	case kind == "env":
		v, ok := os.LookupEnv(name)
		if !ok || v == "" {
			return KEK{}, fmt.Errorf("no sealing key: the environment has no %s", name)
		}
		return ParseKEK(v)
	case kind == "keyring":
		return keyringKEK(name, f.Fresh)
	}
	return KEK{}, fmt.Errorf("key: %q: want keyring:NAME, file:PATH, env:NAME or passphrase", ref)
}

func fileKEK(path string) (KEK, error) {
	info, err := os.Stat(path)
	if err != nil {
		return KEK{}, fmt.Errorf("no sealing key: %w: %s", err, howTo)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return KEK{}, fmt.Errorf("sealing key %s can be read by others: chmod 600 it", path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return KEK{}, fmt.Errorf("no sealing key: %w", err)
	}
	return ParseKEK(string(data))
}

// ParseKEK reads 32 bytes as base64 or hex.
func ParseKEK(text string) (KEK, error) {
	text = strings.TrimSpace(text)
	if key, err := hex.DecodeString(text); err == nil && len(key) == 32 {
		return KEK{key}, nil
	}
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return KEK{}, errors.New("the sealing key is neither base64 nor hex: " + howTo)
	}
	return NewKEK(key)
}

// keyringKEK never waits longer than keyringWait: a locked collection on a
// headless machine would hang forever.
func keyringKEK(name string, fresh bool) (KEK, error) {
	type found struct {
		text string
		err  error
	}
	answer := make(chan found, 1)
	go func() {
		text, err := keyring.Get(keyringService, name)
		if errors.Is(err, keyring.ErrNotFound) && fresh {
			key := make([]byte, 32)
			rand.Read(key)
			text = base64.StdEncoding.EncodeToString(key)
			err = keyring.Set(keyringService, name, text)
		}
		answer <- found{text, err}
	}()
	select {
	case f := <-answer:
		if errors.Is(f.err, keyring.ErrNotFound) {
			return KEK{}, fmt.Errorf("no sealing key: the keyring has none under %q: %s", name, howTo)
		}
		if f.err != nil {
			return KEK{}, fmt.Errorf("no sealing key: the keyring cannot be asked (%v): %s", f.err, howTo)
		}
		return ParseKEK(f.text)
	case <-time.After(keyringWait):
		return KEK{}, fmt.Errorf("no sealing key: the keyring did not answer in %v: %s", keyringWait, howTo)
	}
}
