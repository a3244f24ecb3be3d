package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"deputy/internal/store"
	"deputy/internal/store/storetest"
)

func TestMemory(t *testing.T) {
	storetest.Run(t, func(*testing.T, string) store.Store { return store.NewMemory() }, false)
}

func TestBolt(t *testing.T) {
	storetest.Run(t, openBolt, true)
}

func openBolt(t *testing.T, dir string) store.Store {
	s, err := store.OpenBolt(filepath.Join(dir, "deputy.db"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestLockedStoreNamesItsHolder(t *testing.T) {
	dir := t.TempDir()
	s := openBolt(t, dir)
	defer s.Close()
	_, err := store.OpenBolt(filepath.Join(dir, "deputy.db"))
	var locked *store.LockedError
	if !errors.As(err, &locked) {
		t.Fatalf("second open: %v, want a LockedError", err)
	}
	if runtime.GOOS == "linux" && locked.PID != os.Getpid() {
		t.Errorf("holder = %d, want this process, %d", locked.PID, os.Getpid())
	}
}
