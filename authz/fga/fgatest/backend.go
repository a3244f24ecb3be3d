package fgatest

import (
	"context"
	"slices"
	"strings"
	"testing"

	"deputy/authz/fga"
)

// Backend is what the suite judges: authz/fga's Engine, or what stands for it.
type Backend interface {
	Check(context.Context, fga.Query) (bool, error)
	BatchCheck(context.Context, []fga.Query) []fga.Answer
	ListObjects(ctx context.Context, q fga.Query, limit int) ([]string, error)
	ListUsers(context.Context, fga.Query, fga.UserFilter) ([]string, error)
	Expand(context.Context, fga.Query) (*fga.Tree, error)
	Write(context.Context, fga.Write) error
	Read(ctx context.Context, filter fga.Tuple, after *fga.Tuple, limit int) ([]fga.Tuple, error)
	ReadChanges(ctx context.Context, typ string, after uint64, limit int) ([]fga.Change, uint64, error)
}

// Difference is a way in which an OpenFGA server does not do what authz/fga
// does. Where a Backend is said to have one, the suite expects it: a
// difference that is gone is told, too.
type Difference string

// What OpenFGA 1.22.1 does differently, and why that stays so. Besides these,
// it makes lists until its own time is up, gives at most a thousand users, and
// may take a write in between two of the requests of a large batch: none of
// that can be seen or set by who asks.
const (
	// A union in OpenFGA is yes as soon as one of its tuples is, whatever is
	// wrong with another; in authz/fga the error counts, since under an
	// exclusion it may have been the one that forbids.
	SwallowsErrors Difference = "the error of one tuple is lost if another beside it is fine"

	// The server's operator sets how much one write holds, 100 tuples unless
	// told otherwise, and no client can make one transaction of two requests.
	BoundedWrites Difference = "a write of more than a hundred tuples is refused"

	// Contextual tuples are sent with the question, at most 100.
	BoundedFacts Difference = "a list takes no more than a hundred contextual tuples"
)

// scene is one case of the suite on a backend of its own.
type scene struct {
	*testing.T
	Backend
	differences []Difference
}

func (s *scene) differs(d Difference) bool { return slices.Contains(s.differences, d) }

// Lines reads tuples from lines of user, relation and object.
func Lines(lines ...string) (out []fga.Tuple) {
	for _, l := range lines {
		f := strings.Fields(l)
		out = append(out, fga.Tuple{User: f[0], Relation: f[1], Object: f[2]})
	}
	return out
}

func question(line string) fga.Query {
	t := Lines(line)[0]
	return fga.Query{User: t.User, Relation: t.Relation, Object: t.Object}
}

func (s *scene) write(lines ...string) {
	s.Helper()
	if err := s.Write(s.Context(), fga.Write{Writes: Lines(lines...)}); err != nil {
		s.Fatal(err)
	}
}

func (s *scene) remove(lines ...string) {
	s.Helper()
	if err := s.Write(s.Context(), fga.Write{Deletes: Lines(lines...)}); err != nil {
		s.Fatal(err)
	}
}

// yes and no ask one by one and all at once, with the same facts.
func (s *scene) yes(facts []fga.Tuple, lines ...string) { s.Helper(); s.all(true, facts, lines) }
func (s *scene) no(facts []fga.Tuple, lines ...string)  { s.Helper(); s.all(false, facts, lines) }

func (s *scene) all(want bool, facts []fga.Tuple, lines []string) {
	s.Helper()
	var qs []fga.Query
	for _, l := range lines {
		q := question(l)
		q.Contextual = facts
		qs = append(qs, q)
		if ok, err := s.Check(s.Context(), q); err != nil || ok != want {
			s.Errorf("%s: %v, %v", l, ok, err)
		}
	}
	for i, a := range s.BatchCheck(s.Context(), qs) {
		if a.Err != nil || a.Allowed != want {
			s.Errorf("in a batch: %s: %v", lines[i], a)
		}
	}
}

// fails asks what has no answer, one by one and at once.
func (s *scene) fails(want fga.Kind, qs ...fga.Query) {
	s.Helper()
	for i, a := range s.BatchCheck(s.Context(), qs) {
		ok, err := s.Check(s.Context(), qs[i])
		if ok || err == nil || fga.KindOf(err) != want {
			s.Errorf("%v: %v, %v (kind %d, want %d)", qs[i], ok, err, fga.KindOf(err), want)
		}
		if a.Allowed || a.Err == nil || fga.KindOf(a.Err) != want {
			s.Errorf("in a batch: %v: %v (kind %d, want %d)", qs[i], a, fga.KindOf(a.Err), want)
		}
	}
}
