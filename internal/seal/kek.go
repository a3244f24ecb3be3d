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

// keyringWait bounds a keyring that asks a person who is not there.
const keyringWait = 3 * time.Second

const keyringService = "deputy"

// howTo ends every complaint about a missing key with what to do.
const howTo = "make one with: (umask 077; head -c 32 /dev/urandom | base64 > FILE), then set \"key: file:FILE\""

// FindKEK reads the key that ref names: "keyring:NAME", "file:PATH" or
// "env:NAME"; files and variables hold 32 bytes as base64 or hex. With fresh
// set (the home has no keyset yet) a keyring that is there but has no such
// item is given a new one; a file or variable is never made.
func FindKEK(ref string, fresh bool) (KEK, error) {
	kind, name, _ := strings.Cut(ref, ":")
	if name == "" {
		return KEK{}, fmt.Errorf("key: %q: want keyring:NAME, file:PATH or env:NAME", ref)
	}
	switch kind {
	case "file":
		return fileKEK(name)
	case "env":
		v, ok := os.LookupEnv(name)
		if !ok || v == "" {
			return KEK{}, fmt.Errorf("no sealing key: the environment has no %s", name)
		}
		return parseKEK(v)
	case "keyring":
		return keyringKEK(name, fresh)
	}
	return KEK{}, fmt.Errorf("key: %q: want keyring:NAME, file:PATH or env:NAME", ref)
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
	return parseKEK(string(data))
}

func parseKEK(text string) (KEK, error) {
	text = strings.TrimSpace(text)
	if key, err := hex.DecodeString(text); err == nil && len(key) == 32 {
		return KEK{key}, nil
	}
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return KEK{}, errors.New("the sealing key is neither base64 nor hex")
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
		if f.err != nil {
			return KEK{}, fmt.Errorf("no sealing key: the keyring has none under %q (%v): %s", name, f.err, howTo)
		}
		return parseKEK(f.text)
	case <-time.After(keyringWait):
		return KEK{}, fmt.Errorf("no sealing key: the keyring did not answer in %v: %s", keyringWait, howTo)
	}
}
