package fga_test

import (
	"path/filepath"
	"testing"

	"deputy/authz/fga"
	"deputy/authz/fga/fgatest"
	"deputy/internal/store"
)

// TestSuite is what every backend of the rules passes.
func TestSuite(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) store.Store{
		"memory": func(*testing.T) store.Store { return store.NewMemory() },
		"bolt": func(t *testing.T) store.Store {
			s, err := store.OpenBolt(filepath.Join(t.TempDir(), "rows"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
			return s
		},
	} {
		t.Run(name, func(t *testing.T) {
			fgatest.Suite(t, func(t *testing.T, model string) fgatest.Backend {
				m, err := fga.ParseModel(model)
				if err != nil {
					t.Fatal(err)
				}
				e, err := fga.Open(open(t), "authz", m)
				if err != nil {
					t.Fatal(err)
				}
				return e
			})
		})
	}
}
