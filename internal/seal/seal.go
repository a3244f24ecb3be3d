// Package seal encrypts what deputy keeps.
//
//	KEK (keyring, file, environment)  ─ wraps ─▶  keyset (home/keys/keyset.json)
//	keyset (Tink, AES-256-GCM)        ─ seals ─▶  rows, request states, cursors
//
// Every ciphertext is bound to its place by associated data, so a row copied
// over another one does not open. There is no plaintext mode: without a key
// deputy does not start.
package seal

import (
	"bytes"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/aead/subtle"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// Box seals and opens with the home's keyset. It is safe for concurrent use.
type Box struct {
	aead tink.AEAD
	root []byte
}

var (
	keysetAD = []byte("deputy/v1/keyset")
	rootAD   = []byte("deputy/v1/root")
)

const (
	keysetFile = "keyset.json"
	rootFile   = "root.sealed"
)

// ErrWrongKey says that the keyset exists and this KEK does not open it.
var ErrWrongKey = errors.New("the sealing key does not open this home's keyset")

// Open opens the keyset in dir, or creates it if the home is new. With the
// wrong KEK it fails with ErrWrongKey and changes nothing.
func Open(dir string, kek KEK) (*Box, error) {
	master, err := subtle.NewAESGCM(kek.key)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	wrapped, err := os.ReadFile(filepath.Join(dir, keysetFile))
	if errors.Is(err, os.ErrNotExist) {
		if wrapped, err = create(dir, master); err != nil {
			return nil, err
		}
	}
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	h, err := keyset.ReadWithAssociatedData(keyset.NewJSONReader(bytes.NewReader(wrapped)), master, keysetAD)
	if err != nil {
		return nil, ErrWrongKey
	}
	a, err := aead.New(h)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	sealedRoot, err := os.ReadFile(filepath.Join(dir, rootFile))
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	root, err := a.Decrypt(sealedRoot, rootAD)
	if err != nil {
		return nil, fmt.Errorf("seal: %s is damaged", rootFile)
	}
	return &Box{aead: a, root: root}, nil
}

// Exists reports whether dir already holds a keyset, that is, whether there
// is something only the right key opens.
func Exists(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, keysetFile))
	return err == nil
}

func create(dir string, master tink.AEAD) ([]byte, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	h, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	if err := h.WriteWithAssociatedData(keyset.NewJSONWriter(&buf), master, keysetAD); err != nil {
		return nil, err
	}
	a, err := aead.New(h)
	if err != nil {
		return nil, err
	}
	root := make([]byte, 32)
	rand.Read(root)
	sealed, err := a.Encrypt(root, rootAD)
	if err != nil {
		return nil, err
	}
	// The keyset is written last: its presence says that the home is complete.
	if err := writeFile(filepath.Join(dir, rootFile), sealed); err != nil {
		return nil, err
	}
	return buf.Bytes(), writeFile(filepath.Join(dir, keysetFile), buf.Bytes())
}

func writeFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// Seal encrypts plaintext bound to associated.
func (b *Box) Seal(associated, plaintext []byte) ([]byte, error) {
	return b.aead.Encrypt(plaintext, associated)
}

// Open decrypts what Seal made with the same associated data.
func (b *Box) Open(associated, ciphertext []byte) ([]byte, error) {
	return b.aead.Decrypt(ciphertext, associated)
}

// Key derives a secret of 32 bytes for one purpose (RFC 5869), so that no
// secret serves two.
func (b *Box) Key(purpose string) []byte {
	key, err := hkdf.Key(sha256.New, b.root, nil, "deputy/v1/"+purpose, 32)
	if err != nil {
		panic(err) // only for lengths SHA-256 cannot give
	}
	return key
}
