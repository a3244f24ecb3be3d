package tools_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"deputy/approvals"
	"deputy/approvals/rules"
	"deputy/authz"
	"deputy/internal/audit"
	"deputy/internal/store"
	"deputy/tools"
	"deputy/tools/toolstest"
)

// ruled puts a world under rules, as a restart with another configuration does.
func ruled(t *testing.T, w *toolstest.World, rs ...rules.Rule) {
	t.Helper()
	c := w.Config
	set, err := rules.Compile(rs, c.Catalog.RuleTools(c.Policy))
	if err != nil {
		t.Fatal(err)
	}
	c.Rules = set
	w.Guard = tools.NewGuard(c)
}

// TestRulesRaiseWhatIsAsked: of the call that matches, and of no other.
func TestRulesRaiseWhatIsAsked(t *testing.T) {
	n := &notebook{notes: []note{{1, "words of others"}}}
	w, anna := world(t, n)
	ruled(t, w,
		rules.Rule{Name: "launch", When: `args.text.contains("launch")`, Need: "ask+stepup", Reason: "the launch is secret"},
		rules.Rule{Name: "after-reading", When: `taint && tool.effect != "reads"`, Need: "ask"},
	)
	add := func(tool, text string) tools.Outcome { return w.Call(anna, tool, `{"text":"`+text+`"}`) }

	if item := pending(t, add("github_notes_add", "hello")); item.Need != approvals.ByPerson || len(item.Preview.Notes) != 0 {
		t.Errorf("what no rule matches: %+v", item)
	}
	item := pending(t, add("github_notes_add", "launch"))
	if item.Need != approvals.ByFreshPerson || !strings.Contains(item.Preview.Text(), "The operator's rules: the launch is secret") {
		t.Errorf("what a rule matches: %v\n%s", item.Need, item.Preview.Text())
	}
	if _, err := w.Ledger.Decide(ctx, item.ID, anna, approvals.Decision{Approve: true, Channel: "client"}); err == nil {
		t.Error("a client approved what takes a fresh sign-in")
	}
	if _, ok := add("github_notes_draft", "hello").(tools.Answer); !ok {
		t.Error("a draft was asked about before anything was read")
	}
	if _, ok := w.Call(anna, "github_notes_list", `{}`).(tools.Answer); !ok {
		t.Error("a read was asked about")
	}
	if item := pending(t, add("github_notes_draft", "hello again")); item.Need != approvals.ByPerson {
		t.Errorf("a draft after a read: %v", item.Need)
	}
	if log := auditLog(t, w); !strings.Contains(log, `"rules":["launch"]`) || !strings.Contains(log, `"rules":["after-reading"]`) {
		t.Errorf("the log does not name the rules: %s", log)
	}
}

// TestAnOpenQuestionBecomesStricter when it is asked again under more.
func TestAnOpenQuestionBecomesStricter(t *testing.T) {
	w, anna := world(t, &notebook{notes: []note{{1, "words of others"}}})
	ruled(t, w, rules.Rule{Name: "after-reading", When: `taint`, Need: "ask+stepup", Reason: "something was read"})
	ask := func() approvals.Item { return pending(t, w.Call(anna, "github_notes_add", `{"text":"x"}`)) }
	first := ask()
	w.Call(anna, "github_notes_list", `{}`)
	second := ask()
	if first.ID != second.ID || first.Need != approvals.ByPerson || second.Need != approvals.ByFreshPerson || second.Read.Integrity != authz.Untrusted {
		t.Errorf("%v %v, then %v %v", first.ID, first.Need, second.ID, second.Need)
	}
	if _, err := w.Ledger.Decide(ctx, first.ID, anna, approvals.Decision{Approve: true, Channel: "client"}); err == nil {
		t.Error("it was approved as it was asked first")
	}
	// Asked by a session that has read nothing, it stays as strict.
	fresh, err := w.Door.Caller(ctx, authz.Principal{User: "anna", Agent: "claude", Session: "another"})
	if err != nil {
		t.Fatal(err)
	}
	if third := pending(t, w.Call(fresh, "github_notes_add", `{"text":"x"}`)); third.ID != first.ID || third.Need != approvals.ByFreshPerson {
		t.Errorf("it was lowered: %v", third.Need)
	}
}

// TestARuleForbids: before anything is looked up, in the operator's words.
func TestARuleForbids(t *testing.T) {
	n := &notebook{notes: []note{{1, "seen"}, {2, "hidden"}}}
	w, anna := world(t, n)
	if err := w.Engine.Write(ctx, []authz.Tuple{{User: "user:*", Relation: "hidden", Object: note{ID: 2}.Object()}}, nil); err != nil {
		t.Fatal(err)
	}
	ruled(t, w,
		rules.Rule{Name: "no-copies", When: `args.from > 0`, Need: "deny", Reason: "notes are not copied"},
		rules.Rule{Name: "no-search", When: `args.contains != "" && account == "github/octo"`, Need: "deny"},
		rules.Rule{Name: "no-connecting", When: `tool.name == "account_connect" && args.account.startsWith("board")`, Need: "deny"},
	)
	before := n.hits.Load()
	for from, what := range map[string]string{"1": "seen", "2": "hidden", "77": "missing"} {
		r := refused(t, w.Call(anna, "github_notes_add", `{"text":"x","from":`+from+`}`), "forbidden_by_rule")
		if r.Hint != "a rule of the operator forbids this call: notes are not copied" {
			t.Errorf("%s: %q", what, r.Hint)
		}
	}
	refused(t, w.Call(anna, "account_connect", `{"provider":"github","account":"board"}`), "forbidden_by_rule")
	// The account is the one that is used, however the agent calls it.
	for _, args := range []string{`{"contains":"x"}`, `{"contains":"x","account":"octo"}`, `{"contains":"x","account":"github/octo"}`} {
		if r := refused(t, w.Call(anna, "github_notes_list", args), "forbidden_by_rule"); strings.Contains(string(r.Structured()), "no-search") {
			t.Errorf("the agent reads the rule's name: %s", r.Structured())
		}
	}
	if n.hits.Load() != before {
		t.Error("a forbidden call reached the provider")
	}
	if log := auditLog(t, w); !strings.Contains(log, `"outcome":"refused: forbidden_by_rule"`) || !strings.Contains(log, `"rules":["no-copies"]`) {
		t.Errorf("%s", log)
	}
	if _, ok := w.Call(anna, "github_notes_list", `{}`).(tools.Answer); !ok {
		t.Error("what no rule matches was refused")
	}
}

// TestAYesDoesNotOutliveItsRules: rules that change between the yes and the
// sending, in either direction, end it. (T24)
func TestAYesDoesNotOutliveItsRules(t *testing.T) {
	strict := rules.Rule{Name: "launch", When: `args.text.contains("launch")`, Need: "deny"}
	mild := rules.Rule{Name: "launch", When: `args.text.contains("launch")`, Need: "ask+stepup"}
	for name, c := range map[string]struct{ before, after []rules.Rule }{
		"a rule comes":   {nil, []rules.Rule{strict}},
		"it is stricter": {[]rules.Rule{mild}, []rules.Rule{strict}},
		"it goes":        {[]rules.Rule{mild}, nil},
		"its words":      {[]rules.Rule{mild}, []rules.Rule{{Name: "launch", When: `args.text.contains("launches")`, Need: "ask+stepup"}}},
	} {
		n := &notebook{}
		w, anna := world(t, n)
		ruled(t, w, c.before...)
		item := pending(t, w.Call(anna, "github_notes_add", `{"text":"launch"}`))
		ruled(t, w, c.after...)
		if _, err := w.Ledger.Decide(ctx, item.ID, anna, approvals.Decision{Approve: true, Channel: "page"}); err != nil {
			t.Fatal(err)
		}
		out := w.Guard.Wait(ctx, anna, item.ID, 10*time.Second)
		if d, ok := out.(tools.NotDone); !ok || d.Status != "failed" || !strings.Contains(d.Reason, "rules changed") || len(n.sent) != 0 {
			t.Errorf("%s: %s, sent %q", name, out.Structured(), n.sent)
		}
	}
	// The same rules, read anew, are the same.
	n := &notebook{}
	w, anna := world(t, n)
	ruled(t, w, mild)
	item := pending(t, w.Call(anna, "github_notes_add", `{"text":"launch"}`))
	ruled(t, w, mild)
	approve(t, w, anna, item.ID)
	if len(n.sent) != 1 {
		t.Errorf("sent %q", n.sent)
	}
}

// TestWhatIsJudgedIsWhatIsPlanned: however the arguments are spelled, the rule
// and the handler read the same. (T23)
func TestWhatIsJudgedIsWhatIsPlanned(t *testing.T) {
	for args, want := range map[string]string{
		`{"text":"launch"}`:                          "forbidden_by_rule",
		`{"text":"\u006c\u0061unch"}`:                "forbidden_by_rule",
		` { "text" : "launch" } `:                    "forbidden_by_rule",
		`{"te\u0078t":"launch"}`:                     "forbidden_by_rule",
		`{"text":"x","from":5}`:                      "forbidden_by_rule",
		`{"text":"x","from":null}`:                   "",
		`{"text":"\ud800launch"}`:                    "forbidden_by_rule",
		"{\"text\":\"\xfflaunch\"}":                  "forbidden_by_rule",
		`{"text":"<launch>&"}`:                       "forbidden_by_rule",
		`{"text":"launch","text":"x"}`:               "bad_input",
		`{"text":"x","te\u0078t":"launch"}`:          "bad_input",
		`{"text":"x","Text":"launch"}`:               "bad_input",
		`{"text":"x","from":5.0}`:                    "bad_input",
		`{"text":"x","from":5e0}`:                    "bad_input",
		`{"text":"x","from":"5"}`:                    "bad_input",
		`{"text":"x","kind":"short","account":null}`: "",
	} {
		n := &notebook{}
		w, anna := world(t, n)
		ruled(t, w,
			rules.Rule{Name: "launch", When: `args.text.contains("launch")`, Need: "deny"},
			rules.Rule{Name: "five", When: `args.from == 5`, Need: "deny"},
		)
		out := w.Call(anna, "github_notes_add", args)
		if want != "" {
			refused(t, out, want)
			continue
		}
		var sent struct{ Text string }
		approve(t, w, anna, pending(t, out).ID)
		if len(n.sent) != 1 || json.Unmarshal([]byte(n.sent[0]), &sent) != nil || sent.Text != "x" {
			t.Errorf("%s: sent %q", args, n.sent)
		}
	}
}

// TestARuleThatFailsCounts, and the operator's log says so without what the
// agent wrote.
func TestARuleThatFailsCounts(t *testing.T) {
	w, anna := world(t, &notebook{})
	ruled(t, w, rules.Rule{Name: "number", When: `int(args.text) > 3`, Need: "ask+stepup"})
	if item := pending(t, w.Call(anna, "github_notes_add", `{"text":"private words"}`)); item.Need != approvals.ByFreshPerson {
		t.Errorf("%v", item.Need)
	}
	if log := w.Log.String(); !strings.Contains(log, `rule \"number\"`) || strings.Contains(log, "private words") {
		t.Errorf("%s", log)
	}
}

// TestRulesSeeTheToolsOwnArguments: the account, the key and the cursor are the
// guard's.
func TestRulesSeeTheToolsOwnArguments(t *testing.T) {
	c, err := tools.NewCatalog(nil, notesProvider())
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"github_notes_list": "github reads allow: contains limit", "github_notes_add": "github publishes ask: from kind text",
		"github_notes_draft": "github drafts allow: from kind text", "account_connect": " reads allow: account max_seconds provider tools",
	}
	for _, r := range c.RuleTools(tools.DefaultPolicy) {
		got := r.Toolset + " " + r.Effect + " " + r.Need.String() + ": " + strings.Join(slices.Sorted(maps.Keys(r.Args.Properties)), " ")
		if w, ok := want[r.Name]; ok && got != w {
			t.Errorf("%s: %s, want %s", r.Name, got, w)
		}
	}
	for _, l := range c.All() { // what agents are told is as before
		if l.Name == "github_notes_list" && !strings.Contains(string(l.Input), `"cursor"`) {
			t.Errorf("%s", l.Input)
		}
	}
}

func auditLog(t *testing.T, w *toolstest.World) string {
	t.Helper()
	var b strings.Builder
	err := w.Store.View(func(tx store.Tx) error {
		lines, err := audit.Tail(tx, 1000)
		for _, l := range lines {
			b.Write(append(l, '\n'))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}
