package approvals

import (
	"context"
	"errors"
	"strings"
	"testing"

	"deputy/authz"
	"deputy/internal/audit"
	"deputy/internal/store"
)

// Waiting for what is not there, or giving up, leaves nothing behind: an agent
// that invents ids does not fill the memory.
func TestWaitingLeavesNothingBehind(t *testing.T) {
	door := authz.NewDoor(func(context.Context, authz.Principal) error { return nil })
	l, err := Open(Config{Store: store.NewMemory(), Audit: &audit.Log{Key: []byte("k")}, Door: door, Channels: []string{"page"}})
	if err != nil {
		t.Fatal(err)
	}
	anna, err := door.Caller(t.Context(), authz.Principal{User: "anna", Agent: "claude"})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"apr_none", strings.Repeat("x", 1<<20)} {
		if _, err := l.Wait(t.Context(), anna, id); !errors.Is(err, ErrNotFound) {
			t.Errorf("%.10s: %v", id, err)
		}
	}
	item, err := l.Ask(t.Context(), Action{Caller: anna, Provider: "p", Account: "p/a", Tool: "t", Need: ByPerson})
	if err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Wait(gone, anna, item.ID); err != nil {
		t.Error(err)
	}
	if n := len(l.watchers); n != 0 {
		t.Errorf("%d watchers are kept", n)
	}
}
