// Package seal encrypts what deputy keeps.
//
//	KEK (keyring, file, environment, passphrase)  ─ wraps ─▶  keyset (home/keys/keyset.json)
//	keyset (Tink, AES-256-GCM)                    ─ seals ─▶  rows, request states, cursors
//
// Every ciphertext is bound to its place by associated data, so a row copied
// over another one does not open. There is no plaintext mode: without a key
// deputy does not start.
//
// Both layers change while deputy runs: Rotate gives the keyset a new key,
// Rewrap puts the keyset under another KEK.
package seal

import (
	"bytes"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/aead/subtle"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// Box seals and opens with the home's keyset. It is safe for concurrent use,
// also while its keys change.
type Box struct {
	dir  string
	root []byte
	keys atomic.Pointer[keys] // what Seal and Open use now

	mu     sync.Mutex // held while the files in dir change
	master tink.AEAD
}

// keys is one state of the keyset.
type keys struct {
	handle  *keyset.Handle
	aead    tink.AEAD
	primary uint32
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
	if !Exists(dir) {
		if err := create(dir, master); err != nil {
			return nil, fmt.Errorf("seal: %w", err)
		}
	}
	h, err := readKeyset(dir, master)
	if err != nil {
		return nil, err
	}
	k, err := newKeys(h)
	if err != nil {
		return nil, err
	}
	root, err := openRoot(dir, k)
	if err != nil {
		return nil, err
	}
	b := &Box{dir: dir, root: root, master: master}
	b.keys.Store(k)
	return b, nil
}

// Exists reports whether dir already holds a keyset, that is, whether there
// is something only the right key opens.
func Exists(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, keysetFile))
	return err == nil
}

// readKeyset tells a damaged file from one that another KEK wraps.
func readKeyset(dir string, master tink.AEAD) (*keyset.Handle, error) {
	wrapped, err := os.ReadFile(filepath.Join(dir, keysetFile))
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	e, err := keyset.NewJSONReader(bytes.NewReader(wrapped)).ReadEncrypted()
	if err != nil || len(e.GetEncryptedKeyset()) == 0 {
		return nil, fmt.Errorf("keys/%s is cut short or damaged: put back a copy of this home's own, or import a backup into a new home; nothing was changed", keysetFile)
	}
	h, err := keyset.ReadWithAssociatedData(keyset.NewJSONReader(bytes.NewReader(wrapped)), master, keysetAD)
	if err != nil {
		return nil, ErrWrongKey
	}
	return h, nil
}

func newKeys(h *keyset.Handle) (*keys, error) {
	a, err := aead.New(h)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	p, err := h.Primary()
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return &keys{h, a, p.KeyID()}, nil
}

func openRoot(dir string, k *keys) ([]byte, error) {
	sealed, err := os.ReadFile(filepath.Join(dir, rootFile))
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	root, err := k.aead.Decrypt(sealed, rootAD)
	if err != nil {
		return nil, fmt.Errorf("keys/%s is damaged or of another home than keys/%s: put back the two files of one home; nothing was changed", rootFile, keysetFile)
	}
	return root, nil
}

func create(dir string, master tink.AEAD) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	h, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return err
	}
	k, err := newKeys(h)
	if err != nil {
		return err
	}
	root := make([]byte, 32)
	rand.Read(root)
	// The keyset is written last: its presence says that the home is complete.
	if err := writeRoot(dir, root, k); err != nil {
		return err
	}
	if err := (history{}).add(k.primary).write(dir); err != nil {
		return err
	}
	return writeKeyset(dir, h, master)
}

func writeRoot(dir string, root []byte, k *keys) error {
	sealed, err := k.aead.Encrypt(root, rootAD)
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, rootFile), sealed)
}

func writeKeyset(dir string, h *keyset.Handle, master tink.AEAD) error {
	var buf bytes.Buffer
	if err := h.WriteWithAssociatedData(keyset.NewJSONWriter(&buf), master, keysetAD); err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, keysetFile), buf.Bytes())
}

// writeFile replaces path as a whole, durably: what is sealed with a key must
// not outlive the key in a loss of power.
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
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes a rename durable where a folder can be synced.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if os.PathSeparator != '/' {
		err = nil // Windows knows no such thing
	}
	return errors.Join(err, d.Close())
}

// Seal encrypts plaintext bound to associated.
func (b *Box) Seal(associated, plaintext []byte) ([]byte, error) {
	return b.keys.Load().aead.Encrypt(plaintext, associated)
}

// Open decrypts what Seal made with the same associated data.
func (b *Box) Open(associated, ciphertext []byte) ([]byte, error) {
	return b.keys.Load().aead.Decrypt(ciphertext, associated)
}

// Primary is the number of the key that Seal uses.
func (b *Box) Primary() uint32 { return b.keys.Load().primary }

// KeyOf says which key sealed a value, in the keyset or not. Tink begins a
// ciphertext with 0x01 and the key's number; what deputy keeps plain is JSON,
// which never begins so.
func (b *Box) KeyOf(value []byte) (id uint32, sealed bool) {
	if len(value) < 5 || value[0] != 1 {
		return 0, false
	}
	return binary.BigEndian.Uint32(value[1:]), true
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
