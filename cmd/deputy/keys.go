package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"deputy/internal/backup"
	"deputy/internal/config"
	"deputy/internal/seal"
	"deputy/internal/store"
)

type keysFlags struct {
	kek, identity string
	to            []string
}

func keysFlagSet(f *flag.FlagSet, inv *invocation) {
	f.StringVar(&inv.keysFlags.kek, "kek", "", "with rotate: put the keyset under this key, `REF` as in the configuration's \"key\"")
	f.StringVar(&inv.keysFlags.identity, "identity", "", "with import: `FILE` of age-keygen that reads the backup")
	f.Func("to", "with export: who can read it, `age1…`; more than once for several", func(text string) error {
		inv.keysFlags.to = append(inv.keysFlags.to, text)
		return nil
	})
}

// keysInput is what only the caller of a command can find: its terminal, its
// environment and its folder are not the owner's.
type keysInput struct {
	KEK string `json:"kek,omitempty"` // shows that the caller may have the keys
	New string `json:"new,omitempty"`
}

// keysHere runs where it was called, asks there for what it needs, and has the
// owner of the home do the rest.
//
// Who hands out all keys or locks them up anew shows the key-encryption key
// first, also to a running deputy that knows it: reaching its socket is not
// enough.
func keysHere(inv *invocation) error {
	verb, rest := "status", inv.args
	if len(rest) > 0 {
		verb, rest = rest[0], rest[1:]
	}
	fl := inv.keysFlags
	switch {
	case verb == "import" && len(rest) == 1 && fl.identity != "":
		return inv.importHome(rest[0])
	case verb == "export" && len(rest) <= 1:
		return inv.exportHere(rest)
	case verb == "rotate" && len(rest) == 0 && fl.kek != "":
		return inv.rewrapHere()
	case (verb == "status" || verb == "rotate") && len(rest) == 0:
		return inOwner(inv, "keys", []string{verb}, keysCommand)
	}
	return usage("want status, rotate [--kek REF], export --to RECIPIENT [FILE] or import --identity FILE BACKUP")
}

// proof finds the key-encryption key of a home that has keys.
func (inv *invocation) proof() (c config.Config, proof string, err error) {
	if c, err = loadConfig(inv.global); err != nil {
		return c, "", err
	}
	if !seal.Exists(filepath.Join(c.Home, "keys")) {
		return c, "", fmt.Errorf("home %s has no keys yet: name another with --home", c.Home)
	}
	kek, err := inv.findKEK(c)
	if err != nil {
		return c, "", err
	}
	return c, kek.RevealText(), nil
}

func (inv *invocation) rewrapHere() error {
	c, proof, err := inv.proof()
	if err != nil {
		return err
	}
	ref := inv.keysFlags.kek
	if path, ok := strings.CutPrefix(ref, "file:"); ok {
		if path, err = filepath.Abs(path); err != nil {
			return err
		}
		ref = "file:" + path // it will be read from other folders
	}
	find := seal.Finder{Dir: filepath.Join(c.Home, "keys"), Fresh: true, Passphrase: inv.passphrase("DEPUTY_NEW_PASSPHRASE")}
	kek, err := find.Find(ref)
	if err != nil {
		return fmt.Errorf("--kek: %w", err)
	}
	if err := inv.setInput(keysInput{KEK: proof, New: kek.RevealText()}); err != nil {
		return err
	}
	inv.keysFlags.kek = ref
	return inOwner(inv, "keys", []string{"rotate", "--kek", ref}, keysCommand)
}

// exportHere opens the file here; what the owner writes goes there.
func (inv *invocation) exportHere(rest []string) (err error) {
	if _, err := backup.Recipients(inv.keysFlags.to); err != nil {
		return usage("%v", err)
	}
	if len(rest) == 0 && isTerminal(inv.out) {
		return usage("a backup is not for a terminal: name a FILE, or redirect the output")
	}
	_, proof, err := inv.proof()
	if err != nil {
		return err
	}
	if err := inv.setInput(keysInput{KEK: proof}); err != nil {
		return err
	}
	if len(rest) == 1 {
		f, err := os.OpenFile(rest[0], os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, os.ErrExist) {
			return fmt.Errorf("%s is there already and is not overwritten: name another file", rest[0])
		}
		if err != nil {
			return err
		}
		inv.out = f
		defer func() {
			err = errors.Join(err, f.Sync(), f.Close())
			if err != nil {
				os.Remove(rest[0])
			}
		}()
	}
	args := []string{"export"}
	for _, to := range inv.keysFlags.to {
		args = append(args, "--to", to)
	}
	return inOwner(inv, "keys", args, keysCommand)
}

func (inv *invocation) setInput(in keysInput) error {
	data, err := json.Marshal(in)
	inv.input = string(data)
	return err
}

// keysCommand is what runs in the owner.
func keysCommand(inv *invocation) error {
	var in keysInput
	if inv.input != "" {
		if err := json.Unmarshal([]byte(inv.input), &in); err != nil {
			return err
		}
	}
	a := inv.app
	switch {
	case len(inv.args) == 0 || inv.args[0] == "status":
		return inv.keysStatus()
	case inv.args[0] == "rotate" && inv.keysFlags.kek == "":
		return inv.rotate()
	}
	kek, err := seal.ParseKEK(in.KEK)
	if err != nil || !a.box.OpensWith(kek) {
		return fmt.Errorf("%w: the configuration's \"key\" does not open this home's keyset: set it to the one that does", errRefused)
	}
	switch inv.args[0] {
	case "rotate":
		return inv.rewrap(in.New)
	case "export":
		return inv.export()
	}
	return usage("there is no keys %q", inv.args[0])
}

func (inv *invocation) keysStatus() error {
	keys, err := inv.app.box.Keys()
	if err != nil {
		return err
	}
	sealed, err := store.SealedRows(inv.app.store, inv.app.box)
	if err != nil {
		return err
	}
	type entry struct {
		seal.Key
		Rows int `json:"rows"`
	}
	all, rows := []entry{}, [][]string{}
	day := func(t time.Time) string {
		if t.IsZero() {
			return "-"
		}
		return t.Local().Format("2006-01-02 15:04")
	}
	for _, k := range keys {
		n := sealed[k.ID]
		all = append(all, entry{k, n})
		rows = append(rows, []string{strconv.FormatUint(uint64(k.ID), 10), map[bool]string{true: "yes", false: "no"}[k.Primary], day(k.Since), day(k.Retired), strconv.Itoa(n)})
	}
	return inv.list(map[string]any{"keys": all}, "KEY PRIMARY SINCE RETIRED ROWS", rows)
}

func (inv *invocation) export() error {
	to, err := backup.Recipients(inv.keysFlags.to)
	if err != nil {
		return usage("%v", err)
	}
	a := inv.app
	a.rotating.Lock()
	defer a.rotating.Unlock()
	if err := a.noteKeys("export"); err != nil {
		return err
	}
	// In memory first: a reader that is slow must not hold the store.
	var file bytes.Buffer
	if err := backup.Write(&file, a.store, a.box, to...); err != nil {
		return err
	}
	_, err = file.WriteTo(inv.out)
	return err
}
