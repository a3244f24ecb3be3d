package seal

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/aead/subtle"
	"github.com/tink-crypto/tink-go/v2/keyset"
)

// KeptAfterRetirement is how long a key stays once another took its place.
const KeptAfterRetirement = 7 * 24 * time.Hour

// Rotate adds a key to the keyset and makes it the one that seals, from the
// next Seal on.
//
// The old keys stay and go on opening. Not only rows are sealed: cursors,
// tickets and request states are out with clients, cannot be sealed anew, and
// live for an hour or so. So whoever rotates seals the rows anew
// (store.Reseal) and then calls Destroy, which takes away the keys of earlier
// rotations: those that have been out of use for KeptAfterRetirement and seal
// no row.
//
// At each moment the files in the home open: the keyset, with the new key
// beside the old ones, is on the disk before anything is sealed with it.
func (b *Box) Rotate() (id uint32, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	old := b.keys.Load()
	m := keyset.NewManagerFromHandle(old.handle)
	if id, err = m.Add(aead.AES256GCMKeyTemplate()); err == nil {
		err = m.SetPrimary(id)
	}
	if err != nil {
		return 0, fmt.Errorf("seal: a new key: %w", err)
	}
	h, err := readHistory(b.dir)
	if err != nil {
		return 0, err
	}
	for _, k := range list(old.handle) {
		h.retire(k.ID, k.Primary)
	}
	if err := h.add(id).write(b.dir); err != nil {
		return 0, err
	}
	if err := b.use(m); err != nil {
		return 0, err
	}
	return id, b.resealRoot()
}

// Finish seals the root secret with the primary key, which a rotation that was
// cut short may have left undone.
func (b *Box) Finish() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.resealRoot()
}

// Destroy takes out of the keyset what is not needed any more: keys that
// another has replaced for KeptAfterRetirement and of which rows, the number
// of rows by key, knows none.
func (b *Box) Destroy(rows map[uint32]int) (gone []uint32, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.keys.Load()
	h, err := readHistory(b.dir)
	if err != nil {
		return nil, err
	}
	m := keyset.NewManagerFromHandle(now.handle)
	for _, k := range list(now.handle) {
		retired := h[name(k.ID)].Retired
		if k.Primary || rows[k.ID] > 0 || retired.IsZero() || time.Since(retired) < KeptAfterRetirement {
			continue
		}
		if err := m.Delete(k.ID); err != nil {
			return nil, fmt.Errorf("seal: destroy key %d: %w", k.ID, err)
		}
		gone = append(gone, k.ID)
		delete(h, name(k.ID))
	}
	if len(gone) == 0 {
		return nil, nil
	}
	if err := b.use(m); err != nil {
		return nil, err
	}
	return gone, h.write(b.dir)
}

// Rewrap puts the keyset under another KEK. Nothing is sealed anew.
func (b *Box) Rewrap(kek KEK) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	master, err := subtle.NewAESGCM(kek.key)
	if err != nil {
		return fmt.Errorf("seal: %w", err)
	}
	if err := writeKeyset(b.dir, b.keys.Load().handle, master); err != nil {
		return fmt.Errorf("seal: %w", err)
	}
	b.master = master
	return nil
}

// OpensWith reports whether kek is the one that wraps the keyset.
func (b *Box) OpensWith(kek KEK) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	master, err := subtle.NewAESGCM(kek.key)
	if err != nil {
		return false
	}
	_, err = readKeyset(b.dir, master)
	return err == nil
}

// Keys lists the keyset, oldest first.
func (b *Box) Keys() ([]Key, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	h, err := readHistory(b.dir)
	if err != nil {
		return nil, err
	}
	all := list(b.keys.Load().handle)
	for i, k := range all {
		all[i].Since = h[name(k.ID)].Since
		if !k.Primary {
			all[i].Retired = h[name(k.ID)].Retired
		}
	}
	return all, nil
}

// use writes the keyset, then lets Seal and Open use it.
func (b *Box) use(m *keyset.Manager) error {
	h, err := m.Handle()
	if err != nil {
		return fmt.Errorf("seal: %w", err)
	}
	k, err := newKeys(h)
	if err != nil {
		return err
	}
	if err := writeKeyset(b.dir, h, b.master); err != nil {
		return fmt.Errorf("seal: %w", err)
	}
	b.keys.Store(k)
	return nil
}

func (b *Box) resealRoot() error {
	k := b.keys.Load()
	sealed, err := os.ReadFile(filepath.Join(b.dir, rootFile))
	if err != nil {
		return fmt.Errorf("seal: %w", err)
	}
	if id, _ := b.KeyOf(sealed); id == k.primary {
		return nil
	}
	return writeRoot(b.dir, b.root, k)
}

// Key is what may be told of a key.
type Key struct {
	ID      uint32    `json:"id"`
	Primary bool      `json:"primary"`
	Since   time.Time `json:"since,omitzero"`   // unknown in homes older than the record
	Retired time.Time `json:"retired,omitzero"` // when another took its place
}

func list(h *keyset.Handle) []Key {
	var all []Key
	for i := range h.Len() {
		if e, err := h.Entry(i); err == nil {
			all = append(all, Key{ID: e.KeyID(), Primary: e.IsPrimary()})
		}
	}
	return all
}

// history records when keys came and went, in keys/history.json, since a Tink
// keyset does not. It is not secret and decides little: a false entry can at
// most keep a key that could go, or end a cursor early.
type history map[string]epoch

type epoch struct {
	Since   time.Time `json:"since,omitzero"`
	Retired time.Time `json:"retired,omitzero"`
}

const historyFile = "history.json"

func name(id uint32) string { return strconv.FormatUint(uint64(id), 10) }

func readHistory(dir string) (history, error) {
	data, err := os.ReadFile(filepath.Join(dir, historyFile))
	if errors.Is(err, os.ErrNotExist) {
		return history{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	h := history{}
	if err := json.Unmarshal(data, &h); err != nil {
		return nil, fmt.Errorf("keys/%s cannot be read (%v): remove it; only the dates of the keys are lost", historyFile, err)
	}
	return h, nil
}

func (h history) write(dir string) error {
	data, err := json.MarshalIndent(h, "", "  ")
	if err == nil {
		err = writeFile(filepath.Join(dir, historyFile), append(data, '\n'))
	}
	if err != nil {
		return fmt.Errorf("seal: %w", err)
	}
	return nil
}

// add returns h with a key that begins now.
func (h history) add(id uint32) history {
	h = maps.Clone(h)
	h[name(id)] = epoch{Since: time.Now().UTC().Truncate(time.Second)}
	return h
}

// retire notes that a key is replaced now. One whose end is not on record
// counts from now as well: better too long than too short.
func (h history) retire(id uint32, primary bool) {
	if e := h[name(id)]; primary || e.Retired.IsZero() {
		e.Retired = time.Now().UTC().Truncate(time.Second)
		h[name(id)] = e
	}
}
