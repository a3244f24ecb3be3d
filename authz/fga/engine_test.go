package fga_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"deputy/authz/fga"
	"deputy/internal/store"
)

var ctx = context.Background()

const docModel = `model
  schema 1.1
type user
type group
  relations
    define member: [user, user:*, group#member]
type folder
  relations
    define parent: [folder]
    define viewer: [user, group#member] or viewer from parent
type doc
  relations
    define parent: [folder]
    define blocked: [user, group#member]
    define editor: [user, user with soon]
    define viewer: ([user, user:*, group#member] or editor or viewer from parent) but not blocked
condition soon(now: timestamp, until: timestamp) {
  now < until
}
`

func tuples(lines ...string) (out []fga.Tuple) {
	for _, l := range lines {
		f := strings.Fields(l)
		out = append(out, fga.Tuple{User: f[0], Relation: f[1], Object: f[2]})
	}
	return out
}

func opened(t *testing.T, s store.Store, model string, lines ...string) *fga.Engine {
	t.Helper()
	m, err := fga.ParseModel(model)
	if err != nil {
		t.Fatal(err)
	}
	e, err := fga.Open(s, "test", m)
	if err != nil {
		t.Fatal(err)
	}
	if len(lines) > 0 {
		if err := e.Write(ctx, fga.Write{Writes: tuples(lines...)}); err != nil {
			t.Fatal(err)
		}
	}
	return e
}

func ask(t *testing.T, e *fga.Engine, line string) bool {
	t.Helper()
	x := tuples(line)[0]
	ok, err := e.Check(ctx, fga.Query{User: x.User, Relation: x.Relation, Object: x.Object})
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return ok
}

func TestWriteIsConditional(t *testing.T) {
	e := opened(t, store.NewMemory(), docModel, "user:a viewer doc:1")
	soon := func(until string) fga.Tuple {
		return fga.Tuple{User: "user:b", Relation: "editor", Object: "doc:1", Condition: &fga.Condition{Name: "soon", Context: map[string]any{"until": until}}}
	}
	if err := e.Write(ctx, fga.Write{Writes: []fga.Tuple{soon("2026-01-01T00:00:00Z")}}); err != nil {
		t.Fatal(err)
	}
	there, other := tuples("user:a viewer doc:1"), tuples("user:c viewer doc:1")
	for _, c := range []struct {
		name string
		w    fga.Write
		want fga.Kind
		ok   bool
	}{
		{"there already", fga.Write{Writes: slices.Concat(other, there)}, fga.WriteRefused, false},
		{"not there", fga.Write{Writes: other, Deletes: tuples("user:z viewer doc:1")}, fga.WriteRefused, false},
		{"twice in one request", fga.Write{Writes: slices.Concat(other, other)}, fga.DuplicateTuple, false},
		{"deleted and written", fga.Write{Writes: there, Deletes: there}, fga.DuplicateTuple, false},
		{"another condition", fga.Write{Writes: append(tuples("user:c viewer doc:1"), soon("2027-01-01T00:00:00Z")), IgnoreDuplicates: true}, fga.WriteConflict, false},
		{"nothing", fga.Write{}, fga.Validation, false},
		{"no such type", fga.Write{Writes: append(tuples("user:c viewer doc:1"), tuples("user:c viewer x:1")...)}, fga.Validation, false},
		{"itself", fga.Write{Writes: tuples("group:g#member member group:g")}, fga.Validation, false},
		{"no condition of this relation", fga.Write{Writes: []fga.Tuple{{User: "user:c", Relation: "viewer", Object: "doc:1", Condition: &fga.Condition{Name: "soon"}}}}, fga.Validation, false},
		{"no value of this type", fga.Write{Writes: []fga.Tuple{{User: "user:c", Relation: "editor", Object: "doc:1", Condition: &fga.Condition{Name: "soon", Context: map[string]any{"until": "tomorrow"}}}}}, fga.Validation, false},
		{"no such parameter", fga.Write{Writes: []fga.Tuple{{User: "user:c", Relation: "editor", Object: "doc:1", Condition: &fga.Condition{Name: "soon", Context: map[string]any{"x": "y"}}}}}, fga.Validation, false},
		{"ignored", fga.Write{Writes: append(there, soon("2026-01-01T00:00:00Z")), Deletes: tuples("user:z viewer doc:1"), IgnoreDuplicates: true, IgnoreMissing: true}, 0, true},
	} {
		err := e.Write(ctx, c.w)
		if (err == nil) != c.ok || fga.KindOf(err) != c.want {
			t.Errorf("%s: %v (kind %d, want %d)", c.name, err, fga.KindOf(err), c.want)
		}
		if n := e.Size(); n != 2 {
			t.Fatalf("%s: %d tuples are there, want 2", c.name, n)
		}
	}
	if got, err := e.Read(ctx, fga.Tuple{Object: "doc:"}, nil, 0); err != nil || len(got) != 2 || got[0].Condition == nil {
		t.Errorf("Read: %v, %v", got, err)
	}
}

// twice is a store that runs every update twice, as PostgreSQL may.
type twice struct{ store.Store }

func (s twice) Update(fn func(store.Tx) error) error {
	again := errors.New("again")
	if err := s.Store.Update(func(tx store.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		return again
	}); !errors.Is(err, again) {
		return err
	}
	return s.Store.Update(fn)
}

func TestChangesAreToldOnceAndInOrder(t *testing.T) {
	s := twice{store.NewMemory()}
	e := opened(t, s, docModel, "user:a viewer doc:1", "user:a member group:g")
	if err := e.Write(ctx, fga.Write{Deletes: tuples("user:a viewer doc:1"), Writes: tuples("user:b viewer doc:1")}); err != nil {
		t.Fatal(err)
	}
	var got []string
	after := uint64(0)
	for {
		changes, next, err := e.ReadChanges(ctx, "doc", after, 1)
		if err != nil {
			t.Fatal(err)
		}
		if len(changes) == 0 {
			break
		}
		after = next
		got = append(got, fmt.Sprintf("%s %v", changes[0].Tuple, changes[0].Deleted))
	}
	want := []string{"doc:1#viewer@user:a false", "doc:1#viewer@user:a true", "doc:1#viewer@user:b false"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if e.Size() != 2 || ask(t, e, "user:a viewer doc:1") || !ask(t, e, "user:b viewer doc:1") {
		t.Error("the index does not follow the store")
	}
}

func TestReopenedIsTheSame(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rows")
	s, err := store.OpenBolt(path)
	if err != nil {
		t.Fatal(err)
	}
	e := opened(t, s, docModel, "user:a viewer doc:1", "user:b viewer doc:1", "user:* viewer doc:2", "group:g#member viewer doc:3", "user:c member group:g", "folder:f parent doc:4", "user:d viewer folder:f")
	in := fga.Tuple{User: "user:e", Relation: "editor", Object: "doc:1", Condition: &fga.Condition{Name: "soon", Context: map[string]any{"until": "2026-01-01T00:00:00Z"}}}
	if err := e.Write(ctx, fga.Write{Writes: []fga.Tuple{in}, Deletes: tuples("user:b viewer doc:1")}); err != nil {
		t.Fatal(err)
	}
	all, _ := e.Read(ctx, fga.Tuple{}, nil, 0)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = store.OpenBolt(path); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	e = opened(t, s, docModel)
	again, _ := e.Read(ctx, fga.Tuple{}, nil, 0)
	if d := cmp.Diff(all, again); d != "" || len(all) != 7 {
		t.Errorf("%d tuples; %s", len(all), d)
	}
	for line, want := range map[string]bool{"user:a viewer doc:1": true, "user:b viewer doc:1": false, "user:z viewer doc:2": true, "user:c viewer doc:3": true, "user:d viewer doc:4": true, "user:c viewer doc:4": false} {
		if got := ask(t, e, line); got != want {
			t.Errorf("%s: %v", line, got)
		}
	}
	for now, want := range map[string]bool{"2025-12-31T00:00:00Z": true, "2026-01-02T00:00:00Z": false} {
		ok, err := e.Check(ctx, fga.Query{User: "user:e", Relation: "viewer", Object: "doc:1", Context: map[string]any{"now": now, "until": "2099-01-01T00:00:00Z"}})
		if err != nil || ok != want {
			t.Errorf("at %s: %v, %v", now, ok, err)
		}
	}
	if _, err := e.Check(ctx, fga.Query{User: "user:e", Relation: "viewer", Object: "doc:1"}); fga.KindOf(err) != fga.Validation {
		t.Errorf("without the time: %v", err)
	}
}

// TestNoDecisionIsOlderThanTheLastWrite: an acknowledged write is in the next
// decision, and no batch sees two states while others write.
func TestNoDecisionIsOlderThanTheLastWrite(t *testing.T) {
	e := opened(t, store.NewMemory(), docModel, "group:g#member viewer doc:1", "group:h#member member group:g")
	var done atomic.Bool
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for !done.Load() {
				a := e.BatchCheck(ctx, []fga.Query{{User: "user:anna", Relation: "viewer", Object: "doc:1"}, {User: "user:anna", Relation: "member", Object: "group:h"}})
				if a[0].Err != nil || a[0] != a[1] {
					t.Errorf("one batch, two states: %v", a)
					return
				}
			}
		})
	}
	anna := tuples("user:anna member group:h")
	for i := range 500 {
		w := fga.Write{Writes: anna}
		if i%2 == 1 {
			w = fga.Write{Deletes: anna}
		}
		if err := e.Write(ctx, w); err != nil {
			t.Fatal(err)
		}
		if got := ask(t, e, "user:anna viewer doc:1"); got != (i%2 == 0) {
			t.Fatalf("after write %d was acknowledged: %v", i, got)
		}
	}
	done.Store(true)
	wg.Wait()
}

// TestRevokedIsDenied: eight write and revoke, eight more ask all the time; who
// was told that a tuple is gone is never let in by it again.
func TestRevokedIsDenied(t *testing.T) { // T29
	s, err := store.OpenBolt(filepath.Join(t.TempDir(), "rows"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	e := opened(t, s, docModel, "group:g#member viewer folder:f", "folder:f parent doc:1")
	var writers, readers sync.WaitGroup
	var done atomic.Bool
	for n := range 8 {
		user := fmt.Sprintf("user:u%d", n)
		q := fga.Query{User: user, Relation: "viewer", Object: "doc:1"}
		readers.Go(func() {
			for !done.Load() {
				if a := e.BatchCheck(ctx, []fga.Query{q, q}); a[0] != a[1] || a[0].Err != nil {
					t.Errorf("one batch, two states: %v", a)
					return
				}
				time.Sleep(50 * time.Microsecond) // writers want to run too
			}
		})
		writers.Go(func() {
			in := tuples(user + " member group:g")
			for range 40 {
				for _, c := range []struct {
					w    fga.Write
					want bool
				}{{fga.Write{Writes: in}, true}, {fga.Write{Deletes: in}, false}} {
					if err := e.Write(ctx, c.w); err != nil {
						t.Error(err)
						return
					}
					if got, err := e.Check(ctx, q); err != nil || got != c.want {
						t.Errorf("%s after an acknowledged write: %v, %v, want %v", user, got, err, c.want)
						return
					}
				}
			}
		})
	}
	writers.Wait()
	done.Store(true)
	readers.Wait()
}

// TestEverythingInEverythingEnds: groups that all contain each other have more
// paths than can be followed.
func TestEverythingInEverythingEnds(t *testing.T) {
	var lines []string
	const n = 40
	for i := range n {
		for j := range n {
			if i != j {
				lines = append(lines, fmt.Sprintf("group:%d#member member group:%d", i, j))
			}
		}
	}
	e := opened(t, store.NewMemory(), docModel, append(lines, "user:in member group:7", "group:0#member viewer doc:1", "user:* viewer doc:1", "group:0#member blocked doc:1")...)
	if !ask(t, e, "user:in member group:0") || ask(t, e, "user:in viewer doc:1") {
		t.Error("a member is not found in the circle")
	}
	// For who is not in it the depth runs out, and what is not known denies.
	for _, q := range []fga.Query{{User: "user:out", Relation: "member", Object: "group:0"}, {User: "user:out", Relation: "viewer", Object: "doc:1"}} {
		if ok, err := e.Check(ctx, q); ok || fga.KindOf(err) != fga.TooComplex {
			t.Errorf("%v: %v, %v", q, ok, err)
		}
	}
	users, err := e.ListUsers(ctx, fga.Query{Object: "group:0", Relation: "member"}, fga.UserFilter{Type: "user"})
	if err != nil || !slices.Equal(users, []string{"user:in"}) {
		t.Errorf("ListUsers: %v, %v", users, err)
	}
}

func TestALostExclusionIsNoYes(t *testing.T) {
	e := opened(t, store.NewMemory(), `model
  schema 1.1
type user
type group
  relations
    define member: [user]
type doc
  relations
    define blocked: [group#member, group#member with office]
    define viewer: [user] but not blocked
condition office(ip: ipaddress) {
  ip.in_cidr('10.0.0.0/8')
}
`, "user:a viewer doc:1", "user:a member group:banned", "group:fine#member blocked doc:1")
	if err := e.Write(ctx, fga.Write{Writes: []fga.Tuple{{User: "group:banned#member", Relation: "blocked", Object: "doc:1", Condition: &fga.Condition{Name: "office"}}}}); err != nil {
		t.Fatal(err)
	}
	q := fga.Query{User: "user:a", Relation: "viewer", Object: "doc:1"}
	if ok, err := e.Check(ctx, q); ok || fga.KindOf(err) != fga.Validation {
		t.Errorf("the address is not known: %v, %v", ok, err)
	}
	for ip, want := range map[string]bool{"10.1.2.3": false, "192.0.2.1": true} {
		q.Context = map[string]any{"ip": ip}
		if ok, err := e.Check(ctx, q); err != nil || ok != want {
			t.Errorf("from %s: %v, %v", ip, ok, err)
		}
	}
}

func TestModelsChange(t *testing.T) {
	e := opened(t, store.NewMemory(), docModel, "user:a viewer doc:1", "user:a blocked doc:1")
	m, err := fga.ParseModel("model\n  schema 1.1\ntype user\ntype doc\n  relations\n    define viewer: [user]\n")
	if err != nil {
		t.Fatal(err)
	}
	if err := e.SetModel(m); err != nil {
		t.Fatal(err)
	}
	if stray := e.Stray(); len(stray) != 1 || stray[0].Relation != "blocked" || !ask(t, e, "user:a viewer doc:1") {
		t.Errorf("stray: %v", stray)
	}
	if err := e.Write(ctx, fga.Write{Deletes: tuples("user:a blocked doc:1")}); err != nil || len(e.Stray()) != 0 {
		t.Errorf("a stray tuple cannot be deleted: %v, %v", err, e.Stray())
	}
}

func TestExpandAndLists(t *testing.T) {
	e := opened(t, store.NewMemory(), docModel, "user:a viewer doc:1", "group:g#member viewer doc:1", "folder:f parent doc:1", "user:b blocked doc:1", "user:b member group:g", "user:c member group:g", "user:* viewer doc:2", "user:d viewer folder:f")
	got, err := e.Expand(ctx, fga.Query{Object: "doc:1", Relation: "viewer"})
	want := &fga.Tree{Name: "doc:1#viewer",
		Base: &fga.Tree{Name: "doc:1#viewer", Union: []*fga.Tree{
			{Name: "doc:1#viewer", Users: []string{"group:g#member", "user:a"}},
			{Name: "doc:1#viewer", Computed: "doc:1#editor"},
			{Name: "doc:1#viewer", Tupleset: "doc:1#parent", Parents: []string{"folder:f#viewer"}},
		}},
		Not: &fga.Tree{Name: "doc:1#viewer", Computed: "doc:1#blocked"},
	}
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Errorf("%v\n%s", err, d)
	}
	users, err := e.ListUsers(ctx, fga.Query{Object: "doc:1", Relation: "viewer"}, fga.UserFilter{Type: "user"})
	slices.Sort(users)
	if err != nil || !slices.Equal(users, []string{"user:a", "user:c", "user:d"}) {
		t.Errorf("ListUsers: %v, %v", users, err)
	}
	objects, err := e.ListObjects(ctx, fga.Query{User: "user:c", Relation: "viewer", Object: "doc", Contextual: tuples("user:c viewer doc:3")}, 0)
	slices.Sort(objects)
	if err != nil || !slices.Equal(objects, []string{"doc:1", "doc:2", "doc:3"}) {
		t.Errorf("ListObjects: %v, %v", objects, err)
	}
	if objects, err := e.ListObjects(ctx, fga.Query{User: "user:c", Relation: "viewer", Object: "doc"}, 1); err != nil || len(objects) != 1 {
		t.Errorf("ListObjects, limited: %v, %v", objects, err)
	}
}

// TestRemovedTuplesGiveTheirRoomBack: an index that has forgotten more than it
// knows is built anew, and goes on deciding.
func TestRemovedTuplesGiveTheirRoomBack(t *testing.T) {
	e := opened(t, store.NewMemory(), docModel, "user:a viewer doc:1")
	const n = 1000
	for round := range 70 {
		var ts []fga.Tuple
		for i := range n {
			ts = append(ts, tuples(fmt.Sprintf("user:x viewer doc:%d-%d", round, i))...)
		}
		if err := e.Write(ctx, fga.Write{Writes: ts}); err != nil {
			t.Fatal(err)
		}
		if err := e.Write(ctx, fga.Write{Deletes: ts}); err != nil {
			t.Fatal(err)
		}
	}
	if e.Size() != 1 || !ask(t, e, "user:a viewer doc:1") || ask(t, e, "user:x viewer doc:3-3") {
		t.Errorf("%d tuples", e.Size())
	}
}

// Facts that come again, in the same slice, are laid over the tuples as they
// are now, not as they were when they came first.
func TestTheSameFactsOverNewTuples(t *testing.T) {
	e := opened(t, store.NewMemory(), docModel, "user:anna viewer doc:other")
	q := fga.Query{User: "user:anna", Relation: "viewer", Object: "doc:1", Contextual: tuples("folder:a parent doc:1")}
	for range 3 {
		if ok, err := e.Check(ctx, q); ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	if err := e.Write(ctx, fga.Write{Writes: tuples("user:anna viewer folder:a")}); err != nil {
		t.Fatal(err)
	}
	if ok, err := e.Check(ctx, q); !ok || err != nil {
		t.Fatal("an object that was new then is the stored one now:", ok, err)
	}
	if err := e.Write(ctx, fga.Write{Deletes: tuples("user:anna viewer folder:a")}); err != nil {
		t.Fatal(err)
	}
	if ok, err := e.Check(ctx, q); ok || err != nil {
		t.Fatal(ok, err)
	}
}
