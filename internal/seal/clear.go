package seal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/tink-crypto/tink-go/v2/aead/subtle"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
)

// Cleartext is a home's keys without a KEK around them: for a backup, which is
// encrypted as a whole, and for nothing else.
type Cleartext struct {
	Keyset  json.RawMessage `json:"keyset"`
	Root    []byte          `json:"root"` // sealed by the keyset
	History json.RawMessage `json:"history,omitempty"`
}

func (Cleartext) String() string   { return "Cleartext(hidden)" }
func (Cleartext) GoString() string { return "Cleartext(hidden)" }

// Cleartext gives the keys out, for a backup.
func (b *Box) Cleartext() (c Cleartext, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var buf bytes.Buffer
	if err := insecurecleartextkeyset.Write(b.keys.Load().handle, keyset.NewJSONWriter(&buf)); err != nil {
		return c, fmt.Errorf("seal: %w", err)
	}
	c.Keyset = buf.Bytes()
	if c.Root, err = os.ReadFile(filepath.Join(b.dir, rootFile)); err != nil {
		return c, fmt.Errorf("seal: %w", err)
	}
	c.History, err = os.ReadFile(filepath.Join(b.dir, historyFile))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return c, fmt.Errorf("seal: %w", err)
	}
	return c, nil
}

// Restore writes keys from a backup into dir, under kek. It never replaces a
// keyset.
func Restore(dir string, kek KEK, c Cleartext) error {
	if Exists(dir) {
		return fmt.Errorf("there is a keyset in %s already", dir)
	}
	h, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(c.Keyset)))
	if err != nil {
		return errors.New("the keyset in it cannot be read")
	}
	k, err := newKeys(h)
	if err != nil {
		return err
	}
	if _, err := k.aead.Decrypt(c.Root, rootAD); err != nil {
		return errors.New("its root secret does not belong to its keyset")
	}
	master, err := subtle.NewAESGCM(kek.key)
	if err != nil {
		return fmt.Errorf("seal: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := writeFile(filepath.Join(dir, rootFile), c.Root); err != nil {
		return err
	}
	if len(c.History) > 0 {
		if err := writeFile(filepath.Join(dir, historyFile), c.History); err != nil {
			return err
		}
	}
	return writeKeyset(dir, h, master)
}
