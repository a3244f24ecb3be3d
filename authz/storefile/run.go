package storefile

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"deputy/authz/fga"
	"deputy/internal/store"
)

// Report is what came of a file's tests.
type Report struct {
	Passed   int       `json:"passed"`
	Failures []Failure `json:"failures"`
}

// Failure is one expectation that was not met.
type Failure struct {
	Test string `json:"test"`
	Says string `json:"says"`
	Why  string `json:"why,omitempty"` // of a check
}

// Run runs the tests. Its error is the file's: tuples that do not fit the
// model, say.
func (f *File) Run(ctx context.Context) (Report, error) {
	r := Report{Failures: []Failure{}}
	for _, t := range f.Tests {
		if err := f.run(ctx, t, &r); err != nil {
			return r, fmt.Errorf("test %q: %w", t.Name, err)
		}
	}
	return r, nil
}

func (f *File) run(ctx context.Context, t Test, r *Report) error {
	m, err := fga.ParseModel(f.Model.String())
	if err != nil {
		return err
	}
	e, err := fga.Open(store.NewMemory(), "test", m)
	if err != nil {
		return err
	}
	if len(t.Tuples) > 0 {
		var w fga.Write
		for _, tuple := range t.Tuples {
			w.Writes = append(w.Writes, fga.Tuple{User: tuple.User, Relation: tuple.Relation, Object: string(tuple.Object), Condition: tuple.Condition})
		}
		if err := e.Write(ctx, w); err != nil {
			return err
		}
	}
	met := func(ok bool, why string, format string, args ...any) {
		if ok {
			r.Passed++
			return
		}
		r.Failures = append(r.Failures, Failure{t.Name, fmt.Sprintf(format, args...), why})
	}
	for _, c := range t.Checks {
		q := fga.Query{User: c.User, Relation: c.Relation, Object: c.Object, Context: c.Context}
		got, err := e.Check(ctx, q)
		question := fmt.Sprintf("check %s %s %s: want %v", c.User, c.Relation, c.Object, c.Want)
		if err != nil {
			met(false, "", "%s, got an error: %v", question, err)
			continue
		}
		why := ""
		if got != c.Want {
			if w, err := fga.Explain(ctx, m, e, q); err == nil {
				why = w.String()
			}
		}
		met(got == c.Want, why, "%s, got %v", question, got)
	}
	for _, l := range t.Objects {
		got, err := e.ListObjects(ctx, fga.Query{User: l.User, Relation: l.Relation, Object: l.Type, Context: l.Context}, 0)
		met(err == nil && same(got, l.Want), "", "list_objects %s %s %s: want %s, got %s", l.User, l.Relation, l.Type, listed(l.Want), gotten(got, err))
	}
	for _, l := range t.Users {
		got, err := e.ListUsers(ctx, fga.Query{Relation: l.Relation, Object: l.Object, Context: l.Context}, l.Filter)
		met(err == nil && same(got, l.Want), "", "list_users %s %s: want %s, got %s", l.Object, l.Relation, listed(l.Want), gotten(got, err))
	}
	return nil
}

func same(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

func listed(all []string) string {
	return "[" + strings.Join(slices.Sorted(slices.Values(all)), " ") + "]"
}

func gotten(all []string, err error) string {
	if err != nil {
		return "an error: " + err.Error()
	}
	return listed(all)
}
