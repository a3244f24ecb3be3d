package fgatest

import (
	"slices"

	"github.com/google/go-cmp/cmp"

	"deputy/authz/fga"
)

func (s *scene) objects() {
	s.write("user:a viewer doc:1", "user:* viewer doc:2", "folder:f parent doc:3", "user:a viewer folder:f", "user:a viewer doc:4", "user:a blocked doc:4", "user:b viewer doc:5")
	list := func(limit int, facts ...string) []string {
		s.Helper()
		got, err := s.ListObjects(s.Context(), fga.Query{User: "user:a", Relation: "viewer", Object: "doc", Contextual: Lines(facts...)}, limit)
		if err != nil {
			s.Error(err)
		}
		slices.Sort(got)
		return got
	}
	if d := cmp.Diff([]string{"doc:1", "doc:2", "doc:3"}, list(0)); d != "" {
		s.Error(d)
	}
	if d := cmp.Diff([]string{"doc:1", "doc:2", "doc:3", "doc:6"}, list(0, "folder:f parent doc:6")); d != "" {
		s.Error(d)
	}
	if got := list(2); len(got) != 2 {
		s.Errorf("limited to two: %v", got)
	}
	for want, q := range map[fga.Kind]fga.Query{
		fga.TypeNotFound:     {User: "user:a", Relation: "viewer", Object: "nothing"},
		fga.RelationNotFound: {User: "user:a", Relation: "nothing", Object: "doc"},
		fga.Validation:       {User: "nobody:a", Relation: "viewer", Object: "doc"},
	} {
		if got, err := s.ListObjects(s.Context(), q, 0); err == nil || fga.KindOf(err) != want || got != nil {
			s.Errorf("%v: %v, %v", q, got, err)
		}
	}
}

func (s *scene) users() {
	s.write("user:a viewer doc:1", "group:g#member viewer doc:1", "user:b member group:g", "user:b blocked doc:1", "user:c member group:g", "user:* viewer doc:2")
	list := func(object string, f fga.UserFilter, facts ...string) []string {
		s.Helper()
		got, err := s.ListUsers(s.Context(), fga.Query{Relation: "viewer", Object: object, Contextual: Lines(facts...)}, f)
		if err != nil {
			s.Error(err)
		}
		slices.Sort(got)
		return got
	}
	people, groups := fga.UserFilter{Type: "user"}, fga.UserFilter{Type: "group", Relation: "member"}
	for _, c := range []struct{ got, want []string }{
		{list("doc:1", people), []string{"user:a", "user:c"}},
		{list("doc:1", people, "user:d member group:g"), []string{"user:a", "user:c", "user:d"}},
		{list("doc:1", groups), []string{"group:g#member"}},
		{list("doc:2", people), []string{"user:*"}},
		{list("doc:3", people), nil},
	} {
		if d := cmp.Diff(c.want, c.got); d != "" {
			s.Error(d)
		}
	}
	for want, q := range map[fga.Kind]fga.Query{
		fga.TypeNotFound:     {Relation: "viewer", Object: "nothing:1"},
		fga.RelationNotFound: {Relation: "nothing", Object: "doc:1"},
	} {
		if got, err := s.ListUsers(s.Context(), q, people); err == nil || fga.KindOf(err) != want || got != nil {
			s.Errorf("%v: %v, %v (kind %d)", q, got, err, fga.KindOf(err))
		}
	}
}

func (s *scene) expansion() {
	s.write("user:a viewer doc:1", "group:g#member viewer doc:1", "folder:f parent doc:1", "user:b blocked doc:1", "user:c member group:g")
	got, err := s.Expand(s.Context(), fga.Query{Object: "doc:1", Relation: "viewer", Contextual: Lines("user:* viewer doc:1")})
	want := &fga.Tree{Name: "doc:1#viewer",
		Base: &fga.Tree{Name: "doc:1#viewer", Union: []*fga.Tree{
			{Name: "doc:1#viewer", Users: []string{"group:g#member", "user:*", "user:a"}},
			{Name: "doc:1#viewer", Computed: "doc:1#editor"},
			{Name: "doc:1#viewer", Tupleset: "doc:1#parent", Parents: []string{"folder:f#viewer"}},
		}},
		Not: &fga.Tree{Name: "doc:1#viewer", Computed: "doc:1#blocked"},
	}
	if d := cmp.Diff(want, got); err != nil || d != "" {
		s.Errorf("%v\n%s", err, d)
	}
	if got, err := s.Expand(s.Context(), fga.Query{Object: "doc:1", Relation: "signer"}); err != nil || len(got.Intersection) != 2 || got.Intersection[0].Computed != "doc:1#editor" {
		s.Errorf("an intersection: %v, %v", got, err)
	}
	if got, err := s.Expand(s.Context(), fga.Query{Object: "doc:9", Relation: "editor"}); err != nil || len(got.Users) != 0 {
		s.Errorf("nobody: %v, %v", got, err)
	}
}
