package fga_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"deputy/authz/fga"
	"deputy/authz/fga/fgatest"
	"deputy/internal/store"
)

// TestAgainstTheDefinition compares batches with the naive evaluation.
func TestAgainstTheDefinition(t *testing.T) {
	models, checked, allowed := 0, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		w := fgatest.Draw(t, rapid.Bool().Draw(t, "conditions"))
		m, err := fga.NewModel(w.Model)
		if err != nil {
			return
		}
		models++
		fitting := func(ts []fga.Tuple) []fga.Tuple {
			return slices.DeleteFunc(slices.Clone(ts), func(x fga.Tuple) bool { return m.CheckTuple(x) != nil })
		}
		stored, contextual := fitting(w.Tuples), fitting(w.Contextual)
		e, err := fga.Open(store.NewMemory(), "t", m)
		if err != nil {
			t.Fatal(err)
		}
		if len(stored) > 0 {
			if err := e.Write(context.Background(), fga.Write{Writes: stored}); err != nil {
				t.Fatal(err)
			}
		}
		// A contextual tuple stands in place of the stored one.
		all := slices.DeleteFunc(slices.Clone(stored), func(s fga.Tuple) bool {
			return slices.ContainsFunc(contextual, func(c fga.Tuple) bool { return fga.Compare(s, c) == 0 })
		})
		if len(all) != len(stored) {
			return // where it is a userset or a parent, OpenFGA sees both
		}
		all = append(all, contextual...)
		var qs []fga.Query
		for range 20 {
			q := fga.Query{Contextual: contextual, Context: w.Context}
			q.User, q.Relation, q.Object = w.Question(t)
			if len(qs) > 0 && rapid.IntRange(0, 9).Draw(t, "another user") > 0 {
				q.User = qs[0].User
			}
			qs = append(qs, q)
		}
		for i, got := range e.BatchCheck(context.Background(), qs) {
			q := qs[i]
			typ, _, _ := strings.Cut(q.Object, ":")
			if k := fga.KindOf(got.Err); got.Err != nil && (!m.Lookup(typ, q.Relation) || k == fga.TooComplex || badUser(m, q.User)) {
				continue
			}
			want, ok := w.Naive(all, q.User, q.Relation, q.Object, fgatest.NoFirst)
			if !ok || want == fgatest.Error {
				continue // an error beyond what the types allow is not looked for
			}
			checked++
			if got.Allowed {
				allowed++
			}
			if got.Err != nil || got.Allowed != (want == fgatest.Yes) {
				t.Fatalf("%s %s %s: %v, %v; by the definition %v\n%v\n%v\n%v", q.User, q.Relation, q.Object, got.Allowed, got.Err, want, w.Model, all, w.Context)
			}
		}
	})
	t.Logf("%d models, %d checks compared, %d allowed", models, checked, allowed)
}

func badUser(m *fga.Model, user string) bool {
	object, rel, set := strings.Cut(user, "#")
	typ, _, _ := strings.Cut(object, ":")
	return set && !m.Lookup(typ, rel)
}
