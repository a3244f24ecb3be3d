package openfga

import (
	"context"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/openfga/language/pkg/go/transformer"
	"pgregory.net/rapid"

	"deputy/authz/fga"
	"deputy/authz/fga/fgatest"
	"deputy/internal/store"
)

const someModel = "01M00000000000000000000000"

// compared asks with all facts and with those that are sent.
func compared(t *rapid.T, m *model, e *fga.Engine, facts []fga.Tuple, complete bool, q fga.Query) (left int) {
	laid := m.layAtMost(0, facts)
	if laid.err != nil {
		t.Fatal(laid.err)
	}
	all, some := q, q
	all.Contextual = facts
	some.Contextual = laid.bearing(q.Object, q.Relation, complete)
	want, wantErr := e.Check(context.Background(), all)
	got, err := e.Check(context.Background(), some)
	if got != want || fga.KindOf(err) != fga.KindOf(wantErr) || (err == nil) != (wantErr == nil) {
		t.Fatalf("%s %s %s\nwith all %d facts: %v, %v\nwith these %d: %v, %v\n%v\nall: %v", q.User, q.Relation, q.Object,
			len(facts), want, wantErr, len(some.Contextual), got, err, some.Contextual, facts)
	}
	return len(facts) - len(some.Contextual)
}

// TestFactsLeftOutDecideNothing: under any model, with any stored tuples.
func TestFactsLeftOutDecideNothing(t *testing.T) {
	left, asked := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		w := fgatest.Draw(t, rapid.Bool().Draw(t, "conditions"))
		m, err := newModel(someModel, w.Model)
		if err != nil {
			return
		}
		e, err := fga.Open(store.NewMemory(), "authz", m.fga)
		if err != nil {
			t.Fatal(err)
		}
		var facts []fga.Tuple
		for i, x := range slices.Concat(w.Tuples, w.Contextual) {
			switch {
			case m.fga.CheckTuple(x) != nil:
			case i%2 == 0:
				if err := e.Write(context.Background(), fga.Write{Writes: []fga.Tuple{x}, IgnoreDuplicates: true}); err != nil && fga.KindOf(err) != fga.WriteConflict {
					t.Fatal(err)
				}
			default:
				facts = append(facts, x)
			}
		}
		for range 10 {
			user, relation, object := w.Question(t)
			left += compared(t, m, e, facts, false, fga.Query{User: user, Relation: relation, Object: object, Context: w.Context})
			asked++
		}
	})
	t.Logf("%d facts left out of %d questions", left, asked)
	if left == 0 {
		t.Error("no fact was ever left out")
	}
}

func builtin(t testing.TB) *model {
	t.Helper()
	text, err := os.ReadFile("../model.fga")
	if err != nil {
		t.Fatal(err)
	}
	m, err := newModel(someModel, transformer.MustTransformDSLToProto(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// answered are the facts of answers of three providers, as deputy's tools
// state them, and the objects they are about.
func answered(t *rapid.T) (facts []fga.Tuple, objects []string) {
	add := func(user, relation, object string) {
		facts = append(facts, fga.Tuple{User: user, Relation: relation, Object: object})
	}
	n := func(most int) int { return rapid.IntRange(0, most).Draw(t, "n") }
	add("user:anna", "owner", "account:0")
	if rapid.Bool().Draw(t, "both are hers") {
		add("user:anna", "owner", "account:1")
	}
	for i := range 2 { // each account has a mailbox, a workspace and an organisation
		add(fmt.Sprintf("account:%d", i), "account", fmt.Sprintf("gmail_mailbox:%d", i))
		add(fmt.Sprintf("account:%d", i), "account", fmt.Sprintf("slack_workspace:%d", i))
		add(fmt.Sprintf("account:%d", i), "account", fmt.Sprintf("github_org:%d", i))
	}
	labels := func(object, at string) {
		for i := range 3 {
			if label := fmt.Sprintf("gmail_label:%d", i); rapid.Bool().Draw(t, "labelled") {
				add(at, "mailbox", label)
				add(label, "label", object)
			}
		}
		if rapid.Bool().Draw(t, "from outside") {
			add("mail_address:eve@evil.example", "sender", object)
			add("mail_domain:evil.example", "domain", "mail_address:eve@evil.example")
			add("mail_domain:example", "parent", "mail_domain:evil.example")
		}
	}
	place := func(object, relation, in string) {
		add(in, relation, object)
		objects = append(objects, object)
	}
	for i := range n(4) {
		at, thread := fmt.Sprintf("gmail_mailbox:%d", n(1)), fmt.Sprintf("gmail_thread:%d", i)
		place(thread, "mailbox", at)
		labels(thread, at)
		for j := range n(3) {
			message := fmt.Sprintf("gmail_message:%d-%d", i, j)
			place(message, "mailbox", at)
			add(thread, "thread", message)
			if j > 0 {
				add(fmt.Sprintf("gmail_message:%d-%d", i, j-1), "answers", message)
			}
			labels(message, at)
		}
	}
	for i := range n(3) {
		channel, repo := fmt.Sprintf("slack_channel:%d", i), fmt.Sprintf("github_repo:%d", i)
		place(channel, "workspace", fmt.Sprintf("slack_workspace:%d", n(1)))
		place(repo, "org", fmt.Sprintf("github_org:%d", n(1)))
		add([]string{"kind:github/public", "kind:github/private"}[n(1)], "kind", repo)
		for j := range n(3) {
			place(fmt.Sprintf("slack_message:%d-%d", i, j), "channel", channel)
			place(fmt.Sprintf("github_issue:%d-%d", i, j), "repo", repo)
			place(fmt.Sprintf("github_path:%d/%d", i, j), "parent", repo)
			place(fmt.Sprintf("github_path:%d/%d/deep", i, j), "parent", fmt.Sprintf("github_path:%d/%d", i, j))
		}
	}
	add("user:*", "offered", "tool:t")
	return facts, append(objects, "tool:t", "account:0", "account:1")
}

// TestAProvidersFactsAreEnough: under deputy's own model, facts of an answer
// that say all about their relation decide as all facts of the answer do.
func TestAProvidersFactsAreEnough(t *testing.T) {
	m := builtin(t)
	rules := []string{"allowed", "hidden", "restricted", "read_only", "barred", "member"}
	users := []string{"user:anna", "user:bo", "user:*", "agent:bot", "agent:*", "group:0#member", "group:1#member"}
	places := []string{"gmail_label:0", "gmail_label:1", "group:0", "group:1", "gmail_mailbox:0", "slack_workspace:0", "github_org:0", "github_org:1", "kind:github/public", "mail_domain:example"}
	left, asked := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		facts, objects := answered(t)
		e, err := fga.Open(store.NewMemory(), "authz", m.fga)
		if err != nil {
			t.Fatal(err)
		}
		ruled := slices.Concat(places, objects)
		for range rapid.IntRange(0, 12).Draw(t, "rules") {
			rule := fga.Tuple{User: rapid.SampledFrom(users).Draw(t, "user"), Relation: rapid.SampledFrom(rules).Draw(t, "rule"), Object: rapid.SampledFrom(ruled).Draw(t, "on")}
			_ = e.Write(context.Background(), fga.Write{Writes: []fga.Tuple{rule}, IgnoreDuplicates: true}) // some do not fit
		}
		for _, object := range objects {
			for _, relation := range []string{"can_call", "can_view", "can_write", "withheld", "hidden", "read_only", "barred"} {
				if m.lookup(typeOf(object), relation) != nil {
					continue
				}
				for _, user := range []string{"user:anna", "agent:bot"} {
					for _, complete := range []bool{false, true} {
						left += compared(t, m, e, facts, complete, fga.Query{User: user, Relation: relation, Object: object})
						asked++
					}
				}
			}
		}
	})
	t.Logf("%d facts left out of %d questions", left, asked)
}

// TestFactsOfALongAnswer: what the longest answers of deputy's tools bring
// fits, and what does not fit is an error that says so.
func TestFactsOfALongAnswer(t *testing.T) {
	m := builtin(t)
	facts := fgatest.Lines("user:anna owner account:a", "account:a account slack_workspace:w", "account:a account gmail_mailbox:m")
	for i := range 100 {
		channel := fmt.Sprintf("slack_channel:%d", i)
		facts = append(facts, fgatest.Lines("slack_workspace:w workspace "+channel, channel+fmt.Sprintf(" channel slack_message:%d", i))...)
		for j := range 6 {
			label := fmt.Sprintf("gmail_label:%d", j)
			facts = append(facts, fgatest.Lines("gmail_mailbox:m mailbox "+label, fmt.Sprintf("%s label gmail_thread:%d", label, i))...)
		}
		facts = append(facts, fgatest.Lines(fmt.Sprintf("gmail_mailbox:m mailbox gmail_thread:%d", i))...)
	}
	laid := m.lay(facts)
	for object, most := range map[string]int{"slack_message:7": 5, "gmail_thread:7": 16} {
		got, err := laid.of(object, "can_view")
		if err != nil || len(got) > most {
			t.Errorf("%s: %d facts, %v", object, len(got), err)
		}
	}
	for i := range 101 {
		facts = append(facts, fgatest.Lines(fmt.Sprintf("gmail_label:x%d label gmail_thread:7", i))...)
	}
	if got, err := m.lay(facts).of("gmail_thread:7", "can_view"); fga.KindOf(err) != fga.TooComplex || got != nil {
		t.Errorf("%d facts, %v", len(got), err)
	}
}
