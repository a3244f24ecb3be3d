package fgatest

import (
	"fmt"
	"strings"
	"testing"

	"deputy/authz/fga"
)

// SuiteModel has each construct of the language once.
const SuiteModel = `model
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
    define blocked: [user, group#member, group#member with soon]
    define editor: [user, user with soon]
    define viewer: ([user, user:*, group#member] or editor or viewer from parent) but not blocked
    define signer: editor and viewer
condition soon(now: timestamp, until: timestamp) {
  now < until
}
`

// Suite judges a backend; open gives a fresh one under the model.
func Suite(t *testing.T, open func(t *testing.T, model string) Backend, differences ...Difference) {
	for _, c := range []struct {
		name string
		run  func(*scene)
	}{
		{"relations come about", (*scene).rewrites},
		{"everyone of a type", (*scene).wildcards},
		{"members of members", (*scene).usersets},
		{"what is excluded", (*scene).exclusion},
		{"a revocation holds at once", (*scene).revocation},
		{"circles end", (*scene).circles},
		{"depth ends", (*scene).depth},
		{"facts", (*scene).facts},
		{"many facts", (*scene).manyFacts},
		{"conditions", (*scene).conditions},
		{"a lost condition", (*scene).lostCondition},
		{"order of a batch", (*scene).order},
		{"questions without sense", (*scene).nonsense},
		{"writes are whole or not at all", (*scene).writes},
		{"large writes", (*scene).largeWrites},
		{"tuples are read", (*scene).reads},
		{"changes are told", (*scene).changes},
		{"lists of objects", (*scene).objects},
		{"lists of users", (*scene).users},
		{"a relation is taken apart", (*scene).expansion},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "-"), func(t *testing.T) {
			c.run(&scene{t, open(t, SuiteModel), differences})
		})
	}
}

func (s *scene) rewrites() {
	s.write("user:a viewer doc:1", "user:b editor doc:1", "folder:in parent doc:1", "folder:out parent folder:in", "user:c viewer folder:out")
	s.yes(nil, "user:a viewer doc:1", "user:b viewer doc:1", "user:c viewer doc:1", "user:b signer doc:1", "user:c viewer folder:in")
	s.no(nil, "user:d viewer doc:1", "user:a editor doc:1", "user:a signer doc:1", "user:a viewer doc:2", "user:c viewer folder:elsewhere")
	s.yes(nil, "doc:1#viewer viewer doc:1") // a userset is in itself
}

func (s *scene) wildcards() {
	s.write("user:* viewer doc:1", "user:* member group:all", "group:all#member viewer doc:2")
	s.yes(nil, "user:a viewer doc:1", "user:* viewer doc:1", "user:a viewer doc:2", "user:* member group:all")
	s.no(nil, "group:all#member viewer doc:1", "user:a editor doc:1")
	s.write("user:z viewer doc:3")
	s.no(nil, "user:* viewer doc:3") // one is not everyone
}

func (s *scene) usersets() {
	s.write("user:a member group:in", "group:in#member member group:mid", "group:mid#member member group:out", "group:out#member viewer doc:1")
	s.yes(nil, "user:a viewer doc:1", "group:in#member viewer doc:1", "group:out#member viewer doc:1", "user:a member group:out")
	s.no(nil, "user:b viewer doc:1", "group:other#member viewer doc:1")
}

func (s *scene) exclusion() {
	s.write("user:* viewer doc:1", "user:b blocked doc:1", "group:g#member blocked doc:1", "user:c member group:g", "user:b editor doc:1")
	s.yes(nil, "user:a viewer doc:1")
	s.no(nil, "user:b viewer doc:1", "user:c viewer doc:1", "user:b signer doc:1")
}

func (s *scene) revocation() {
	s.write("group:g#member viewer doc:1", "user:a member group:g", "user:b viewer doc:1")
	for range 5 {
		s.yes(nil, "user:a viewer doc:1", "user:b viewer doc:1")
		s.remove("user:a member group:g", "user:b viewer doc:1")
		s.no(nil, "user:a viewer doc:1", "user:b viewer doc:1")
		s.write("user:a member group:g", "user:b viewer doc:1")
		s.yes(nil, "user:a viewer doc:1", "user:b viewer doc:1")
		s.write("user:a blocked doc:1")
		s.no(nil, "user:a viewer doc:1")
		s.remove("user:a blocked doc:1")
	}
}

func (s *scene) circles() {
	s.write("group:1#member member group:2", "group:2#member member group:1", "user:a member group:2", "group:1#member viewer doc:1",
		"folder:1 parent folder:2", "folder:2 parent folder:1", "folder:1 parent doc:2", "user:a viewer folder:2")
	s.yes(nil, "user:a viewer doc:1", "user:a viewer doc:2")
	s.no(nil, "user:b viewer doc:1", "user:b viewer doc:2", "user:b member group:1")
}

func (s *scene) depth() {
	var lines []string
	for i := range 40 {
		lines = append(lines, fmt.Sprintf("folder:%d parent folder:%d", i+1, i))
	}
	s.write(append(lines, "user:a viewer folder:10", "user:z viewer folder:40")...)
	s.yes(nil, "user:a viewer folder:0")
	s.fails(fga.TooComplex, question("user:z viewer folder:0"))
}

func (s *scene) facts() {
	s.write("group:g#member viewer folder:f", "user:b blocked doc:1", "user:z blocked doc:2")
	facts := Lines("folder:f parent doc:1", "user:a member group:g", "user:b member group:g", "folder:f parent doc:1")
	s.yes(facts, "user:a viewer doc:1")
	s.no(facts, "user:b viewer doc:1", "user:c viewer doc:1", "user:a viewer doc:2")
	s.no(nil, "user:a viewer doc:1") // they are of their question alone
	bad := question("user:a viewer doc:1")
	for _, line := range []string{"user:a parent doc:1", "user:a viewer nothing:1", "user:a nothing doc:1", "user:* editor doc:1"} {
		bad.Contextual = Lines(line)
		s.fails(fga.InvalidTuple, bad)
	}
	if all, err := s.Read(s.Context(), fga.Tuple{}, nil, 0); err != nil || len(all) != 3 {
		s.Errorf("facts are kept: %v, %v", all, err)
	}
}

// manyFacts are what an answer of a hundred documents brings along.
func (s *scene) manyFacts() {
	s.write("user:a viewer folder:root", "group:g#member blocked doc:7")
	facts := Lines("user:a member group:g")
	var yes []string
	for i := range 150 {
		facts = append(facts, Lines(fmt.Sprintf("folder:%d parent doc:%d", i/3, i))...)
		if i%3 == 0 {
			facts = append(facts, Lines(fmt.Sprintf("folder:root parent folder:%d", i/3))...)
		}
		if i != 7 {
			yes = append(yes, fmt.Sprintf("user:a viewer doc:%d", i))
		}
	}
	s.yes(facts, yes...)
	s.no(facts, "user:a viewer doc:7", "user:b viewer doc:1", "user:a viewer doc:150")
	q := question("user:a viewer doc:1")
	q.Contextual = append(facts, Lines("user:a parent doc:99")...)
	s.fails(fga.InvalidTuple, q)

	_, err := s.ListObjects(s.Context(), fga.Query{User: "user:a", Relation: "viewer", Object: "doc", Contextual: facts}, 0)
	if (err != nil) != s.differs(BoundedFacts) {
		s.Errorf("ListObjects: %v", err)
	}
}

func until(user, relation, object, until string) fga.Tuple {
	c := &fga.Condition{Name: "soon"}
	if until != "" {
		c.Context = map[string]any{"until": until}
	}
	return fga.Tuple{User: user, Relation: relation, Object: object, Condition: c}
}

func (s *scene) conditions() {
	if err := s.Write(s.Context(), fga.Write{Writes: []fga.Tuple{until("user:a", "editor", "doc:1", "2026-06-01T00:00:00Z"), until("user:b", "editor", "doc:1", "")}}); err != nil {
		s.Fatal(err)
	}
	a, b := question("user:a viewer doc:1"), question("user:b viewer doc:1")
	s.fails(fga.Validation, a, b)
	a.Context = map[string]any{"now": "today"}
	s.fails(fga.Validation, a)
	for now, want := range map[string]bool{"2026-05-31T00:00:00Z": true, "2026-06-02T00:00:00Z": false} {
		a.Context = map[string]any{"now": now, "until": "2099-01-01T00:00:00Z"} // what the tuple says, the request does not change
		b.Context = map[string]any{"now": now, "until": "2026-06-01T00:00:00Z"}
		for i, x := range s.BatchCheck(s.Context(), []fga.Query{a, b}) {
			if x.Err != nil || x.Allowed != want {
				s.Errorf("%d at %s: %v", i, now, x)
			}
		}
		if ok, err := s.Check(s.Context(), a); err != nil || ok != want {
			s.Errorf("at %s: %v, %v", now, ok, err)
		}
	}
	fact := question("user:c editor doc:1")
	fact.Contextual = []fga.Tuple{until("user:c", "editor", "doc:1", "2026-06-01T00:00:00Z")}
	fact.Context = map[string]any{"now": "2026-05-31T00:00:00Z"}
	if ok, err := s.Check(s.Context(), fact); err != nil || !ok {
		s.Errorf("a fact with a condition: %v, %v", ok, err)
	}
}

// lostCondition: what may forbid cannot be evaluated.
func (s *scene) lostCondition() {
	s.write("user:a viewer doc:1", "user:a member group:banned", "user:a viewer doc:2", "group:fine#member blocked doc:2")
	if err := s.Write(s.Context(), fga.Write{Writes: []fga.Tuple{until("group:banned#member", "blocked", "doc:1", ""), until("group:banned#member", "blocked", "doc:2", "")}}); err != nil {
		s.Fatal(err)
	}
	s.fails(fga.Validation, question("user:a viewer doc:1"))
	beside := question("user:a viewer doc:2")
	if !s.differs(SwallowsErrors) {
		s.fails(fga.Validation, beside)
		return
	}
	if ok, err := s.Check(s.Context(), beside); err != nil {
		s.Errorf("the difference is gone: %v, %v", ok, err)
	}
}

func (s *scene) order() {
	var qs []fga.Query
	var want []fga.Answer
	for i := range 230 { // more than one request holds
		object := fmt.Sprintf("doc:%d", i)
		if i%3 == 0 {
			s.write("user:a viewer " + object)
		}
		q := fga.Query{User: "user:a", Relation: "viewer", Object: object}
		if i%7 == 0 {
			q.Relation = "nothing"
		}
		qs = append(qs, q)
		want = append(want, fga.Answer{Allowed: i%3 == 0 && i%7 != 0})
	}
	got := s.BatchCheck(s.Context(), qs)
	if len(got) != len(qs) {
		s.Fatalf("%d answers to %d questions", len(got), len(qs))
	}
	for i := range got {
		if got[i].Allowed != want[i].Allowed || (got[i].Err != nil) != (i%7 == 0) {
			s.Errorf("question %d: %v", i, got[i])
		}
	}
	same := s.BatchCheck(s.Context(), []fga.Query{qs[3], qs[3], qs[1]})
	if !same[0].Allowed || !same[1].Allowed || same[2].Allowed {
		s.Errorf("a question asked twice: %v", same)
	}
	if none := s.BatchCheck(s.Context(), nil); len(none) != 0 {
		s.Errorf("nothing asked: %v", none)
	}
}

func (s *scene) nonsense() {
	s.write("user:a viewer doc:1")
	for _, q := range []fga.Query{
		{User: "user:a", Relation: "viewer", Object: "nothing:1"},
		{User: "user:a", Relation: "nothing", Object: "doc:1"},
		{User: "nobody:a", Relation: "viewer", Object: "doc:1"},
		{User: "doc:1#nothing", Relation: "viewer", Object: "doc:1"},
		{User: "user:a", Relation: "viewer", Object: "doc:*"},
		{User: "user:a", Relation: "viewer", Object: "doc"},
		{User: "user:a", Relation: "", Object: "doc:1"},
		{User: "user:a", Relation: "viewer", Object: ""},
		{User: "", Relation: "viewer", Object: "doc:1"},
		{User: "user:a b", Relation: "viewer", Object: "doc:1"},
	} {
		s.fails(fga.Validation, q)
		// One of them does not spoil the others.
		if a := s.BatchCheck(s.Context(), []fga.Query{question("user:a viewer doc:1"), q}); !a[0].Allowed || a[0].Err != nil || a[1].Allowed || a[1].Err == nil {
			s.Errorf("beside %v: %v", q, a)
		}
	}
}
