package authz_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"deputy/authz"
	"deputy/internal/store"
)

// A contractor is let in until Friday, and not a minute longer.
func TestUntil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		friday := time.Now().Add(72 * time.Hour).UTC()
		e := engine(t, "user:* restricted github_org:octo")
		allowed := authz.Tuple{User: "user:anna", Relation: "allowed", Object: "github_repo:octo/hello",
			Condition: &authz.Condition{Name: "until", Context: map[string]any{"end": friday.Format(time.RFC3339)}}}
		if err := e.Write(ctx, []authz.Tuple{allowed}, nil); err != nil {
			t.Fatal(err)
		}
		see := func() bool {
			v, err := e.Visible(ctx, caller(t, "anna", "claude"), []authz.Object{"github_issue:octo/hello/1"}, parse(t, world...))
			if err != nil {
				t.Fatal(err)
			}
			return v[0]
		}
		if !see() {
			t.Error("not let in before Friday")
		}
		time.Sleep(time.Until(friday) - time.Nanosecond)
		if !see() {
			t.Error("not let in until Friday")
		}
		time.Sleep(time.Nanosecond)
		if see() {
			t.Error("still let in")
		}
		got, err := e.Read(ctx, authz.Tuple{Relation: "allowed"})
		if err != nil || len(got) != 1 || !strings.Contains(got[0].String(), "with until") {
			t.Errorf("%v, %v", got, err)
		}
		allowed.Condition.Context = map[string]any{"end": "Friday"}
		allowed.User = "user:bo"
		if err := e.Write(ctx, []authz.Tuple{allowed}, nil); !errors.Is(err, authz.ErrBadTuple) {
			t.Errorf("a time that is none: %v", err)
		}
	})
}

func TestExplain(t *testing.T) {
	e := engine(t, "user:* hidden gmail_label:anna/Payroll", "user:anna member group:staff", "group:staff#member hidden kind:slack/private_channel", "user:* restricted github_repo:octo/secret")
	for _, c := range []struct {
		ask     string
		allowed bool
		want    []string
	}{
		{"user:anna can_view gmail_thread:t2", true, []string{"fact: gmail_mailbox:anna mailbox gmail_thread:t2", "fact: user:anna owner account:google/anna@example.com"}},
		{"user:anna can_view gmail_thread:t1", false, []string{"kept out", "fact: gmail_label:anna/Payroll label gmail_thread:t1", "tuple: user:* hidden gmail_label:anna/Payroll"}},
		{"user:anna can_view slack_message:T1/C1/1.0", false, []string{"kept out", "fact: kind:slack/private_channel kind slack_channel:T1/C1", "tuple: group:staff#member hidden kind:slack/private_channel", "tuple: user:anna member group:staff"}},
		{"user:anna can_view github_issue:octo/secret/1", false, []string{"kept out", "tuple: user:* restricted github_repo:octo/secret"}},
		{"user:bo can_view gmail_thread:t2", false, []string{"there is no tuple user:bo owner account:google/anna@example.com"}},
		{"agent:claude can_view gmail_thread:t2", false, []string{"never gives owner to agent"}},
		{"user:anna can_view gmail_thread:unknown", false, []string{"gmail_thread:unknown has no mailbox"}},
	} {
		why, err := e.Explain(ctx, parse(t, c.ask)[0], parse(t, world...))
		if err != nil {
			t.Fatalf("%s: %v", c.ask, err)
		}
		checked, err := e.Check(ctx, parse(t, c.ask)[0], parse(t, world...))
		if err != nil || checked != why.Allowed || why.Allowed != c.allowed {
			t.Errorf("%s: checked %v (%v), explained %v, want %v", c.ask, checked, err, why.Allowed, c.allowed)
		}
		for _, w := range c.want {
			if !strings.Contains(why.String(), w) {
				t.Errorf("%s: nothing says %q:\n%s", c.ask, w, why)
			}
		}
	}
	if _, err := e.Explain(ctx, authz.Tuple{User: "user:anna", Relation: "flies", Object: "tool:x"}, nil); !errors.Is(err, authz.ErrBadTuple) {
		t.Errorf("a relation that is none: %v", err)
	}
}

// A circle of groups and a wide one are explained, and the explanation ends.
func TestExplainEnds(t *testing.T) {
	var lines []string
	for i := range 12 {
		for j := range 12 {
			if i != j {
				lines = append(lines, "group:g"+string(rune('a'+i))+"#member member group:g"+string(rune('a'+j)))
			}
		}
	}
	e := engine(t, append(lines, "group:ga#member barred tool:x")...)
	why, err := e.Explain(ctx, parse(t, "user:anna barred tool:x")[0], nil)
	if err != nil || why.Allowed || len(why.Steps) == 0 || len(why.Steps) > 100 {
		t.Errorf("%d steps, %v", len(why.Steps), err)
	}
}

func TestAnotherModel(t *testing.T) {
	s := store.NewMemory()
	e, err := authz.Open(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	write(t, e, "user:anna hidden gmail_label:anna/Payroll", "user:bo hidden gmail_label:anna/Payroll")
	was := e.Version()
	m := model(t, `type gmail_label
  relations
    define hidden: [user]
    define trusted: [user]
    define withheld: hidden but not trusted
    define can_view: trusted but not hidden
type spaceship
`)
	change, err := e.Compare(ctx, m)
	if err != nil {
		t.Fatal(err)
	}
	if len(change.Stray) != 0 || !slices.Contains(change.Types, "+ spaceship") || !slices.Contains(change.Types, "- tool") || !slices.Contains(change.Unasked, "gmail_thread#can_view") || slices.Contains(change.Unasked, "gmail_label#can_view") {
		t.Errorf("%+v", change)
	}
	if change.Asked == 0 || len(change.Answers) != 0 {
		t.Errorf("%d asked: %v", change.Asked, change.Answers)
	}
	open := model(t, "type gmail_label\n  relations\n    define hidden: [user]\n    define withheld: hidden but not hidden\n")
	if change, err = e.Compare(ctx, open); err != nil || len(change.Answers) != 2 || !change.Answers[0].Now || change.Answers[0].Then {
		t.Errorf("what was withheld and would be no more: %+v, %v", change.Answers, err)
	}
	if err := e.SetModel(ctx, m); err != nil {
		t.Fatal(err)
	}
	if e.Version() == was || e.Version() != m.Version() || e.Model().String() != m.String() {
		t.Error("the model is not in use")
	}
	if e, err = authz.Open(s, nil); err != nil || e.Version() != m.Version() {
		t.Fatalf("after reopening: %v", err)
	}
	list, err := e.Models(ctx)
	if err != nil || len(list) != 1 || list[0].ID != m.Version() {
		t.Errorf("%v, %v", list, err)
	}
	if text, err := e.ModelText(ctx, m.Version()); err != nil || text != m.String() {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := e.ModelText(ctx, "nothing"); !errors.Is(err, authz.ErrNoModel) {
		t.Errorf("%v", err)
	}
	none := model(t, "type gmail_label\n  relations\n    define viewer: [user]\n")
	if err := e.SetModel(ctx, none); !errors.Is(err, authz.ErrBadTuple) || !strings.Contains(err.Error(), "Payroll") {
		t.Errorf("a model without a place for a rule: %v", err)
	}
	if e.Version() != m.Version() {
		t.Error("the refused model is in use")
	}
	if err := e.SetModel(ctx, authz.Builtin()); err != nil || e.Version() != was {
		t.Errorf("back to the built-in model: %v", err)
	}
	b := authz.Builtin()
	if e, err = authz.Open(s, &b); err != nil {
		t.Fatal(err)
	}
	if err := e.SetModel(ctx, m); !errors.Is(err, authz.ErrModelFixed) {
		t.Errorf("the configuration names the model: %v", err)
	}
}

// A model of one's own needs no word for what it does not speak about; where it
// has the words, a fact that does not fit is a no.
func TestFactsAndAnotherModel(t *testing.T) {
	m := model(t, "type account\n  relations\n    define owner: [user]\ntype gmail_mailbox\n  relations\n    define account: [account]\n    define owner: owner from account\ntype gmail_thread\n  relations\n    define mailbox: [gmail_mailbox]\n    define owner: owner from mailbox\n    define can_view: owner\n")
	e, err := authz.Open(store.NewMemory(), &m)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(facts ...string) error {
		_, err := e.Visible(ctx, caller(t, "anna", "claude"), []authz.Object{"gmail_thread:t2"}, parse(t, facts...))
		return err
	}
	if err := ask(world...); err != nil {
		t.Errorf("facts that the model has no word for: %v", err)
	}
	if err := ask("user:anna mailbox gmail_thread:t2"); !errors.Is(err, authz.ErrBadTuple) {
		t.Errorf("a fact that does not fit: %v", err)
	}
}
