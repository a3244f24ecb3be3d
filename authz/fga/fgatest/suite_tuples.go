package fgatest

import (
	"fmt"
	"slices"

	"github.com/google/go-cmp/cmp"

	"deputy/authz/fga"
)

func (s *scene) writes() {
	s.write("user:a viewer doc:1")
	if err := s.Write(s.Context(), fga.Write{Writes: []fga.Tuple{until("user:b", "editor", "doc:1", "2026-01-01T00:00:00Z")}}); err != nil {
		s.Fatal(err)
	}
	there, other := Lines("user:a viewer doc:1"), Lines("user:c viewer doc:1")
	with := func(t fga.Tuple) []fga.Tuple { return append(slices.Clone(other), t) }
	for _, c := range []struct {
		name string
		w    fga.Write
		want fga.Kind
		ok   bool
	}{
		{"there already", fga.Write{Writes: with(there[0])}, fga.WriteRefused, false},
		{"not there", fga.Write{Writes: other, Deletes: Lines("user:z viewer doc:1")}, fga.WriteRefused, false},
		{"twice in one request", fga.Write{Writes: with(other[0])}, fga.DuplicateTuple, false},
		{"deleted and written", fga.Write{Writes: there, Deletes: there}, fga.DuplicateTuple, false},
		{"another condition", fga.Write{Writes: with(until("user:b", "editor", "doc:1", "2027-01-01T00:00:00Z")), IgnoreDuplicates: true}, fga.WriteConflict, false},
		{"nothing", fga.Write{}, fga.Validation, false},
		{"no such type", fga.Write{Writes: with(Lines("user:c viewer nothing:1")[0])}, fga.Validation, false},
		{"no such relation", fga.Write{Writes: with(Lines("user:c nothing doc:1")[0])}, fga.Validation, false},
		{"not taken there", fga.Write{Writes: with(Lines("folder:f viewer doc:1")[0])}, fga.Validation, false},
		{"malformed", fga.Write{Writes: with(fga.Tuple{User: "user:c", Relation: "viewer", Object: "doc"})}, fga.Validation, false},
		{"itself", fga.Write{Writes: Lines("group:g#member member group:g")}, fga.Validation, false},
		{"no condition of this relation", fga.Write{Writes: with(until("user:c", "viewer", "doc:2", ""))}, fga.Validation, false},
		{"no value of this type", fga.Write{Writes: with(until("user:c", "editor", "doc:1", "tomorrow"))}, fga.Validation, false},
		{"ignored", fga.Write{Writes: append(there, until("user:b", "editor", "doc:1", "2026-01-01T00:00:00Z")), Deletes: Lines("user:z viewer doc:1"), IgnoreDuplicates: true, IgnoreMissing: true}, 0, true},
	} {
		err := s.Write(s.Context(), c.w)
		if (err == nil) != c.ok || fga.KindOf(err) != c.want {
			s.Errorf("%s: %v (kind %d, want %d)", c.name, err, fga.KindOf(err), c.want)
		}
		if all, err := s.Read(s.Context(), fga.Tuple{}, nil, 0); err != nil || len(all) != 2 {
			s.Fatalf("%s: %v are there, %v", c.name, all, err)
		}
	}
	s.no(nil, "user:c viewer doc:1")
	s.remove("user:b editor doc:1") // whatever its condition
	s.no(nil, "user:b viewer doc:1")
}

func (s *scene) largeWrites() {
	var lines []string
	for i := range 101 {
		lines = append(lines, fmt.Sprintf("user:a viewer doc:%03d", i))
	}
	err := s.Write(s.Context(), fga.Write{Writes: Lines(lines...)})
	if s.differs(BoundedWrites) {
		if fga.KindOf(err) != fga.Validation {
			s.Errorf("%v", err)
		}
		s.no(nil, lines[0])
		s.write(lines[:100]...)
		s.yes(nil, lines[99])
		return
	}
	if err != nil {
		s.Error(err)
	}
	s.yes(nil, lines[100])
}

func (s *scene) reads() {
	lines := []string{"user:b viewer doc:2", "user:a viewer doc:1", "user:a editor doc:1", "user:c viewer doc:10", "folder:f parent doc:1", "user:a viewer folder:f", "user:b member group:g"}
	s.write(lines...)
	cond := until("user:d", "editor", "doc:1", "2026-01-01T00:00:00Z")
	if err := s.Write(s.Context(), fga.Write{Writes: []fga.Tuple{cond}}); err != nil {
		s.Fatal(err)
	}
	all := append(Lines(lines...), cond)
	slices.SortFunc(all, fga.Compare)
	for _, f := range []fga.Tuple{
		{}, {Object: "doc:1"}, {Object: "doc:"}, {Object: "doc:", User: "user:a"}, {Object: "doc:1", Relation: "viewer"}, {Object: "doc:", Relation: "viewer"},
		{User: "user:a"}, {Relation: "editor"}, {User: "user:b", Relation: "member"}, {Object: "doc:1", User: "user:a", Relation: "editor"}, {Object: "doc:9"}, {Object: "nothing:"},
	} {
		var want []fga.Tuple
		for _, t := range all {
			if matches(f, t) {
				want = append(want, t)
			}
		}
		got, err := s.Read(s.Context(), f, nil, 0)
		if d := cmp.Diff(want, got); d != "" || err != nil {
			s.Errorf("%v: %v\n%s", f, err, d)
		}
		var paged []fga.Tuple
		for after := (*fga.Tuple)(nil); ; {
			page, err := s.Read(s.Context(), f, after, 2)
			if err != nil || len(page) > 2 {
				s.Fatalf("%v after %v: %v, %v", f, after, page, err)
			}
			if len(page) == 0 {
				break
			}
			paged = append(paged, page...)
			after = &page[len(page)-1]
		}
		if d := cmp.Diff(want, paged); d != "" {
			s.Errorf("%v by pages\n%s", f, d)
		}
	}
}

func matches(f, t fga.Tuple) bool {
	typ := f.Object != "" && f.Object[len(f.Object)-1] == ':' && len(t.Object) > len(f.Object) && t.Object[:len(f.Object)] == f.Object
	return (f.User == "" || f.User == t.User) && (f.Relation == "" || f.Relation == t.Relation) && (f.Object == "" || f.Object == t.Object || typ)
}

func (s *scene) changes() {
	s.write("user:a viewer doc:1")
	s.write("user:a member group:g")
	s.remove("user:a viewer doc:1")
	s.write("user:b viewer doc:1")
	s.write("user:c viewer doc:2")
	read := func(typ string, limit int) (got []string, last uint64) {
		s.Helper()
		for after := uint64(0); ; after = last {
			changes, next, err := s.ReadChanges(s.Context(), typ, after, limit)
			if err != nil {
				s.Fatal(err)
			}
			if last = next; len(changes) == 0 {
				return got, last
			}
			for _, c := range changes {
				got = append(got, fmt.Sprintf("%s %v", c.Tuple, c.Deleted))
				if c.At.IsZero() {
					s.Errorf("%v has no time", c)
				}
			}
		}
	}
	docs := []string{"doc:1#viewer@user:a false", "doc:1#viewer@user:a true", "doc:1#viewer@user:b false", "doc:2#viewer@user:c false"}
	for _, limit := range []int{1, 2, 3, 0} {
		got, _ := read("doc", limit)
		if d := cmp.Diff(docs, got); d != "" {
			s.Errorf("%d at a time\n%s", limit, d)
		}
		if got, _ := read("", limit); len(got) != 5 {
			s.Errorf("%d at a time: %v", limit, got)
		}
	}
	_, last := read("", 0)
	s.write("user:d viewer doc:3")
	if changes, next, err := s.ReadChanges(s.Context(), "", last, 0); err != nil || len(changes) != 1 || changes[0].Tuple.User != "user:d" || next != last+1 {
		s.Errorf("after %d: %v, %d, %v", last, changes, next, err)
	}
	if changes, _, err := s.ReadChanges(s.Context(), "", 2, 1); err != nil || len(changes) != 1 || !changes[0].Deleted {
		s.Errorf("back again: %v, %v", changes, err)
	}
}
