package backup_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"deputy/internal/backup"
	"deputy/internal/seal"
	"deputy/internal/store"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"
)

func home(t *testing.T) (store.Store, *seal.Box) {
	t.Helper()
	kek, err := seal.NewKEK(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	box, err := seal.Open(t.TempDir(), kek)
	if err != nil {
		t.Fatal(err)
	}
	s := store.NewMemory()
	rows := store.Table[string]{Name: "rows", Sealer: box}
	err = s.Update(func(tx store.Tx) error {
		for _, r := range []string{"anna", "bo", "of\x00zeros"} {
			if err := rows.Put(tx, strings.Repeat(r, 30_000), r); err != nil { // larger than a block of age
				return err
			}
		}
		return store.Table[string]{Name: "plain"}.Put(tx, "x")
	})
	if err != nil {
		t.Fatal(err)
	}
	return s, box
}

func dump(t *testing.T, s store.Store) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := s.View(func(tx store.Tx) error {
		return tx.Scan(nil, nil, func(k, v []byte) error { all[string(k)] = string(v); return nil })
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func identity(t *testing.T) *age.X25519Identity {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// TestRoundTrip: each of two recipients reads what was written, to the byte.
func TestRoundTrip(t *testing.T) {
	s, box := home(t)
	anna, bo := identity(t), identity(t)
	to, err := backup.Recipients([]string{anna.Recipient().String(), bo.Recipient().String()})
	if err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	if err := backup.Write(&file, s, box, to...); err != nil {
		t.Fatal(err)
	}
	for _, id := range []*age.X25519Identity{anna, bo} {
		ids, err := backup.Identities(strings.NewReader("# a comment\n" + id.String() + "\n"))
		if err != nil {
			t.Fatal(err)
		}
		b, err := backup.Read(bytes.NewReader(file.Bytes()), ids...)
		if err != nil {
			t.Fatal(err)
		}
		into := store.NewMemory()
		if err := b.Fill(into); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(dump(t, s), dump(t, into)); diff != "" || b.Len() != 4 {
			t.Errorf("%d rows: %s", b.Len(), diff)
		}
	}
}

// TestABackupIsWholeOrRefused: cut anywhere, changed anywhere, read by another.
func TestABackupIsWholeOrRefused(t *testing.T) {
	s, box := home(t)
	id := identity(t)
	var buf bytes.Buffer
	if err := backup.Write(&buf, s, box, id.Recipient()); err != nil {
		t.Fatal(err)
	}
	whole := buf.Bytes()
	if _, err := backup.Read(bytes.NewReader(whole), identity(t)); err == nil || !strings.Contains(err.Error(), "for another recipient") {
		t.Errorf("another identity: %v", err)
	}
	step := len(whole) / 60
	for n := 0; n < len(whole); n += step {
		if _, err := backup.Read(bytes.NewReader(whole[:n]), id); err == nil || !strings.Contains(err.Error(), "take another copy") {
			t.Errorf("cut at %d of %d: %v", n, len(whole), err)
		}
		changed := bytes.Clone(whole)
		changed[n] ^= 1
		if _, err := backup.Read(bytes.NewReader(changed), id); err == nil {
			t.Errorf("changed at %d of %d: it reads", n, len(whole))
		}
	}
	if _, err := backup.Read(bytes.NewReader(whole[:len(whole)-1]), id); err == nil {
		t.Error("without its last byte it reads")
	}
}

// TestAgeFilesThatAreNoBackup: encryption alone does not make one.
func TestAgeFilesThatAreNoBackup(t *testing.T) {
	id := identity(t)
	for _, text := range []string{
		"", "hello", "{}", `{"deputy_backup":{"version":2}}` + "\n" + `{"rows":0}`,
		`{"deputy_backup":{"version":1}}`,
		`{"deputy_backup":{"version":1}}` + "\n" + `{"k":"YQ==","v":"YQ=="}` + "\n" + `{"rows":2}`,
	} {
		var file bytes.Buffer
		w, err := age.Encrypt(&file, id.Recipient())
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, text)
		w.Close()
		if _, err := backup.Read(&file, id); err == nil {
			t.Errorf("%q is taken for a backup", text)
		}
	}
}

// TestMistakenKeysAreNotRepeated: a secret given where a recipient belongs
// does not end up in a terminal's history of errors.
func TestMistakenKeysAreNotRepeated(t *testing.T) {
	secret := identity(t).String()
	if _, err := backup.Recipients([]string{secret}); err == nil || strings.Contains(err.Error(), secret[:20]) {
		t.Errorf("an identity as recipient: %v", err)
	}
	if _, err := backup.Identities(strings.NewReader(secret + "x")); err == nil || strings.Contains(err.Error(), secret[15:30]) {
		t.Errorf("a broken identity: %v", err)
	}
	if _, err := backup.Recipients(nil); err == nil {
		t.Error("a backup for nobody")
	}
}
