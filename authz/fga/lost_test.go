package fga_test

import (
	"errors"
	"testing"

	"deputy/authz/fga"
	"deputy/internal/store"
)

// lossy is a store that makes a commit and does not get to say so, as one whose
// connection broke at that moment.
type lossy struct {
	store.Store
	loses, away bool
}

var errLost = errors.New("the connection broke")

func (l *lossy) Update(fn func(store.Tx) error) error {
	if err := l.Store.Update(fn); err != nil || !l.loses {
		return err
	}
	return errLost
}

func (l *lossy) View(fn func(store.Tx) error) error {
	if l.away {
		return errLost
	}
	return l.Store.View(fn)
}

// What was committed counts, whether or not anybody heard of it; and while the
// store does not say, nothing is allowed.
func TestACommitNobodyHeardOf(t *testing.T) {
	s := &lossy{Store: store.NewMemory()}
	e := opened(t, s, docModel, "user:anna viewer doc:plan")
	asked := fga.Query{User: "user:anna", Relation: "viewer", Object: "doc:plan"}

	s.loses, s.away = true, true
	if err := e.Write(ctx, fga.Write{Deletes: tuples("user:anna viewer doc:plan")}); !errors.Is(err, errLost) {
		t.Fatal(err)
	}
	if ok, err := e.Check(ctx, asked); ok || !errors.Is(err, errLost) {
		t.Errorf("while the store is away: %v, %v", ok, err)
	}
	if got, err := e.ListObjects(ctx, fga.Query{User: "user:anna", Relation: "viewer", Object: "doc"}, 10); !errors.Is(err, errLost) {
		t.Errorf("while the store is away: %v, %v", got, err)
	}
	s.loses, s.away = false, false
	if ok, err := e.Check(ctx, asked); ok || err != nil {
		t.Errorf("what was taken back: %v, %v", ok, err)
	}
	if err := e.Write(ctx, fga.Write{Writes: tuples("user:anna viewer doc:plan")}); err != nil {
		t.Fatal(err)
	}
	if ok, err := e.Check(ctx, asked); !ok || err != nil {
		t.Errorf("given again: %v, %v", ok, err)
	}
}
