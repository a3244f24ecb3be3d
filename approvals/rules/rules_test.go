package rules_test

import (
	"encoding/json"
	"strings"
	"testing"

	"deputy/approvals"
	"deputy/approvals/rules"
	"deputy/authz"

	"github.com/google/go-cmp/cmp"
	"github.com/google/jsonschema-go/jsonschema"
)

type sendMail struct {
	To      []string `json:"to"`
	Cc      []string `json:"cc,omitempty"`
	Subject string   `json:"subject"`
	Body    string   `json:"body"`
}

type merge struct {
	Base   string `json:"base"`
	Number int    `json:"number"`
	Draft  bool   `json:"draft,omitempty"`
	Method string `json:"method,omitempty"`
	Meta   struct {
		Deep string `json:"deep,omitempty"`
	} `json:"meta,omitempty"`
	Ratio float64          `json:"ratio,omitempty"`
	Edits []map[string]any `json:"edits,omitempty"`
	Extra any              `json:"extra,omitempty"`
}

func schema[T any](t testing.TB) *jsonschema.Schema {
	t.Helper()
	s, err := jsonschema.For[T](nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range s.Properties {
		if len(p.Types) == 2 {
			p.Type, p.Types = p.Types[1], nil
		}
	}
	if m := s.Properties["method"]; m != nil {
		m.Enum = []any{"merge", "squash"}
	}
	return s
}

func someTools(t testing.TB) []rules.Tool {
	return []rules.Tool{
		{Name: "gmail_send", Toolset: "gmail", Effect: "publishes", Need: approvals.ByPerson, Args: schema[sendMail](t)},
		{Name: "gmail_draft", Toolset: "gmail", Effect: "drafts", Args: schema[sendMail](t)},
		{Name: "gmail_search", Toolset: "gmail", Effect: "reads", Args: schema[struct {
			Query string `json:"query"`
		}](t)},
		{Name: "github_merge", Toolset: "github", Effect: "publishes", Need: approvals.ByPerson, Args: schema[merge](t)},
		{Name: "github_delete", Toolset: "github", Effect: "destroys", Need: approvals.ByFreshPerson, Args: schema[struct {
			Ref string `json:"ref"`
		}](t)},
	}
}

func compile(t testing.TB, rs ...rules.Rule) *rules.Set {
	t.Helper()
	for i := range rs {
		if rs[i].Name == "" {
			rs[i].Name = "r" + string(rune('0'+i))
		}
	}
	s, err := rules.Compile(rs, someTools(t))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func rule(when, need string) rules.Rule { return rules.Rule{When: when, Need: need} }

func got(r rules.Ruling) string {
	if r.Deny {
		return "deny"
	}
	return r.Need.String()
}

var (
	clean   = authz.Label{}
	tainted = authz.Label{Integrity: authz.Untrusted, Confidentiality: authz.Private}
)

func TestDecide(t *testing.T) {
	for _, c := range []struct {
		when, need string
		call       rules.Call
		want       string
	}{
		{`args.to.exists(a, domain(a) != "example.com")`, "ask+stepup", rules.Call{Tool: "gmail_send", Args: json.RawMessage(`{"to":["bo@example.com","eve@evil.test"]}`)}, "ask+stepup"},
		{`args.to.exists(a, domain(a) != "example.com")`, "ask+stepup", rules.Call{Tool: "gmail_send", Args: json.RawMessage(`{"to":["Bo <BO@Example.COM>"]}`)}, "ask"},
		{`args.to.exists(a, domain(a) != "example.com")`, "ask", rules.Call{Tool: "gmail_draft", Args: json.RawMessage(`{"to":["not an address"]}`)}, "ask"},
		{`(args.to + args.cc).exists(a, domain(a) == "xn--bcher-kva.example")`, "ask+stepup", rules.Call{Tool: "gmail_send", Args: json.RawMessage(`{"to":[],"cc":["a@b\u00fccher.example"]}`)}, "ask+stepup"},
		{`size(args.cc) == 0`, "ask+stepup", rules.Call{Tool: "gmail_send", Args: json.RawMessage(`{"cc":null}`)}, "ask+stepup"},
		{`args.base == "main"`, "ask+stepup", rules.Call{Tool: "github_merge", Args: json.RawMessage(`{"base":"\u006dain"}`)}, "ask+stepup"},
		{`args.base == "main"`, "ask+stepup", rules.Call{Tool: "github_merge", Args: json.RawMessage(`{"base":"Main"}`)}, "ask"},
		{`args.number > 9000`, "deny", rules.Call{Tool: "github_merge", Args: json.RawMessage(`{"number":9001}`)}, "deny"},
		{`args.number == 0 && !args.draft && args.method == "" && args.ratio == 0.0 && args.meta.deep == "" && args.edits == [] && args.extra == null`, "deny", rules.Call{Tool: "github_merge", Args: json.RawMessage(`{}`)}, "deny"},
		{`args.meta.deep == "x"`, "deny", rules.Call{Tool: "github_merge", Args: json.RawMessage(`{"meta":{"deep":"x"}}`)}, "deny"},
		{`args.edits.exists(e, e.path == "CODEOWNERS")`, "deny", rules.Call{Tool: "github_merge", Args: json.RawMessage(`{"edits":[{"path":"README"},{"path":"CODEOWNERS"}]}`)}, "deny"},
		{`args.extra.really == true`, "deny", rules.Call{Tool: "github_merge", Args: json.RawMessage(`{"extra":{"really":true}}`)}, "deny"},
		{`taint && tool.effect != "reads"`, "ask+stepup", rules.Call{Tool: "gmail_draft", Label: tainted}, "ask+stepup"},
		{`taint && tool.effect != "reads"`, "ask+stepup", rules.Call{Tool: "gmail_draft", Label: clean}, "allow"},
		{`taint && tool.effect != "reads"`, "ask+stepup", rules.Call{Tool: "gmail_search", Label: tainted}, "allow"},
		{`label.confidentiality == "private" && tool.toolset == "github"`, "deny", rules.Call{Tool: "github_merge", Label: tainted}, "deny"},
		{`tool.name == "gmail_search" && account == "google/work@example.com"`, "deny", rules.Call{Tool: "gmail_search", Account: "google/work@example.com"}, "deny"},
		{`tool.name == "gmail_search" && account == "google/work@example.com"`, "deny", rules.Call{Tool: "gmail_search", Account: "google/home@example.com"}, "allow"},
		{`account.startsWith("google/")`, "ask+stepup", rules.Call{Tool: "gmail_search", Account: "google/a"}, "allow"}, // a read: only deny has an effect
		{`args.ref == "x"`, "deny", rules.Call{Tool: "github_delete", Args: json.RawMessage(`{"ref":"y"}`)}, "ask+stepup"},
	} {
		r := compile(t, rule(c.when, c.need)).Decide(c.call)
		if got(r) != c.want || len(r.Failed) > 0 {
			t.Errorf("%s on %s %s: %s (%v), want %s", c.when, c.call.Tool, c.call.Args, got(r), r.Failed, c.want)
		}
	}
}

// TestTheStrictestCounts: all that match are named, the strictest decides, and
// nothing lowers what the tool asks anyway.
func TestTheStrictestCounts(t *testing.T) {
	s := compile(t,
		rules.Rule{Name: "drafts", When: `taint`, Need: "ask", Reason: "something was read"},
		rules.Rule{Name: "main", When: `args.base == "main"`, Need: "ask+stepup", Reason: "it is released at once"},
		rules.Rule{Name: "big", When: `args.number > 5`, Need: "deny", Reason: "too big"},
	)
	call := func(args string, l authz.Label) rules.Ruling {
		return s.Decide(rules.Call{Tool: "github_merge", Args: json.RawMessage(args), Label: l})
	}
	for _, c := range []struct {
		r    rules.Ruling
		want rules.Ruling
	}{
		{call(`{"base":"dev"}`, clean), rules.Ruling{Need: approvals.ByPerson}},
		{call(`{"base":"dev"}`, tainted), rules.Ruling{Need: approvals.ByPerson, Rules: []string{"drafts"}, Reason: "something was read"}},
		{call(`{"base":"main"}`, tainted), rules.Ruling{Need: approvals.ByFreshPerson, Rules: []string{"drafts", "main"}, Reason: "it is released at once"}},
		{call(`{"base":"main","number":6}`, tainted), rules.Ruling{Need: approvals.ByFreshPerson, Deny: true, Rules: []string{"drafts", "main", "big"}, Reason: "too big"}},
	} {
		if diff := cmp.Diff(c.want, c.r); diff != "" {
			t.Error(diff)
		}
	}
	for _, tool := range someTools(t) {
		if r := s.Decide(rules.Call{Tool: tool.Name, Label: tainted}); r.Need < tool.Need {
			t.Errorf("%s: a rule that asks less took something away: %+v", tool.Name, r)
		}
	}
}

// TestWhatCannotBeEvaluatedCounts: an error, a cost, a form nobody expected.
func TestWhatCannotBeEvaluatedCounts(t *testing.T) {
	long := strings.Repeat("private words ", 70_000)
	for _, c := range []struct{ when, args, says string }{
		{`args.to[3] == "x"`, `{"to":["private words"]}`, "index out of bounds"},
		{`int(args.subject) > 3`, `{"subject":"private words"}`, "rule"},
		{`timestamp(args.subject) > timestamp("2026-01-01T00:00:00Z")`, `{"subject":"private words"}`, "rule"},
		{`args.to.exists(a, args.to.exists(b, args.body.contains(a + b)))`, `{"to":["#","%","&"],"body":"` + long + `"}`, "more steps"},
		{`args.body.matches("(private|x).*(words|y).*(private|z).*w")`, `{"body":"` + long + `"}`, "more steps"},
		{`args.subject == "x"`, `{"subject":["private words"]}`, "form"},
		{`args.subject == "x"`, `["private words"]`, "form"},
		{`args.subject == "x"`, `{"subject":`, "form"},
	} {
		r := compile(t, rules.Rule{Name: "it", When: c.when, Need: "ask+stepup"}).Decide(rules.Call{Tool: "gmail_send", Args: json.RawMessage(c.args)})
		if got(r) != "ask+stepup" || len(r.Failed) != 1 || len(r.Rules) != 1 {
			t.Errorf("%s: %s, %v", c.when, got(r), r.Failed)
			continue
		}
		if text := r.Failed[0].Error(); !strings.Contains(text, c.says) || strings.Contains(text, "private") {
			t.Errorf("%s: %s", c.when, text)
		}
	}
	// A tool that the rules were not read for.
	if r := compile(t, rule(`taint`, "deny")).Decide(rules.Call{Tool: "slack_send"}); !r.Deny {
		t.Errorf("%+v", r)
	}
}

// TestRulesThatCannotBeMeant are refused before anything runs, with what to do.
func TestRulesThatCannotBeMeant(t *testing.T) {
	r := func(name, when, need string) rules.Rule { return rules.Rule{Name: name, When: when, Need: need} }
	for _, c := range []struct {
		rules []rules.Rule
		want  []string
	}{
		{[]rules.Rule{r("", "taint", "ask")}, []string{`approvals.rules[0] "": name`, "small letters"}},
		{[]rules.Rule{r("a", "taint", "ask"), r("a", "taint", "deny")}, []string{`approvals.rules[1] "a": name: approvals.rules[0] has it already`}},
		{[]rules.Rule{r("a", "taint", "allow")}, []string{"only raise"}},
		{[]rules.Rule{r("a", "taint", "")}, []string{"want ask, ask+stepup or deny"}},
		{[]rules.Rule{r("a", " ", "ask")}, []string{"when: it is missing"}},
		{[]rules.Rule{{Name: "a", When: "taint", Need: "deny", Reason: "two\nlines"}}, []string{"reason: want one line"}},
		{[]rules.Rule{r("a", "taint &&", "deny")}, []string{"when: column 9", "Syntax error"}},
		{[]rules.Rule{r("a", strings.Repeat("!", 3999)+"taint", "deny")}, []string{"longer than"}},

		{[]rules.Rule{r("a", `args.too.exists(a, a == "")`, "deny")}, []string{"no tool has args.too: nearest are args.to"}},
		{[]rules.Rule{r("a", `args.account == "x"`, "deny")}, []string{"no tool has args.account: nearest are account"}},
		{[]rules.Rule{r("a", `label.integrty == "untrusted"`, "deny")}, []string{"no tool has label.integrty: nearest are label.integrity"}},
		{[]rules.Rule{r("a", `label == "untrusted"`, "deny")}, []string{"no tool has label"}},
		{[]rules.Rule{r("a", `tainted`, "deny")}, []string{`there is no "tainted": nearest are taint`}},
		{[]rules.Rule{r("a", `args.base == "x" && args.query == "y"`, "deny")}, []string{"no single tool has all of args.base, args.query"}},
		{[]rules.Rule{r("a", `has(args.cc)`, "deny")}, []string{"has(…) is not needed"}},
		{[]rules.Rule{r("a", `args.to.exists(args, args == "x")`, "deny")}, []string{`"args" means something already`}},
		{[]rules.Rule{r("a", `args.subject`, "deny")}, []string{"it is a string"}},
		{[]rules.Rule{r("a", `args.extra`, "deny")}, []string{"it is a dyn"}},
		{[]rules.Rule{r("a", `args.number == "1"`, "deny")}, []string{"for github_merge: column 13", "no matching overload"}},
		{[]rules.Rule{r("a", `args.body.matches("(")`, "deny")}, []string{"missing closing )"}},
		{[]rules.Rule{r("a", `args.body.matches(args.subject)`, "deny")}, []string{"has to be written out"}},
		{[]rules.Rule{r("a", `lower(args.body) == ""`, "deny")}, []string{"undeclared reference to 'lower'"}},
		{[]rules.Rule{r("a", `google.protobuf.Duration{seconds: 1} == duration("1s")`, "deny")}, []string{"there are no messages"}},
		{[]rules.Rule{r("a", dear(), "deny")}, []string{"steps"}},
		{[]rules.Rule{r("a", `1 / 0 == 1`, "deny")}, []string{"cannot be evaluated, whatever"}},

		{[]rules.Rule{r("a", `false`, "deny")}, []string{"it is never true"}},
		{[]rules.Rule{r("a", `tool.name == "gmail_sned"`, "deny")}, []string{"it is never true"}},
		{[]rules.Rule{r("a", `tool.effect == "reads" && args.base == "main"`, "deny")}, []string{"it is never true"}},
		{[]rules.Rule{r("a", `label.integrity == "untrustd"`, "deny")}, []string{"it is never true"}},
		{[]rules.Rule{r("a", `taint && label.integrity == "trusted"`, "deny")}, []string{"it is never true"}},
		{[]rules.Rule{r("a", `args.method == "sqash"`, "deny")}, []string{"it is never true"}},
		{[]rules.Rule{r("a", `true`, "ask+stepup")}, []string{"it is always true", "approvals.defaults"}},
		{[]rules.Rule{r("a", `taint || label.integrity == "trusted"`, "deny")}, []string{"it is always true", "tools.exclude"}},

		{[]rules.Rule{r("a", `args.ref == "main"`, "ask+stepup")}, []string{"changes nothing", "github_delete", "defaults", "ask+stepup"}},
		{[]rules.Rule{r("a", `args.query == "x"`, "ask")}, []string{"changes nothing", "gmail_search", "for a read only deny"}},
		{[]rules.Rule{r("all", `tool.effect == "publishes"`, "ask+stepup"), r("b", `args.base == "main"`, "ask+stepup")},
			[]string{`approvals.rules[1] "b"`, "changes nothing", "github_merge", `approvals.rules[0] "all"`}},
		{[]rules.Rule{r("a", `args.base == "main"`, "ask+stepup"), r("b", `tool.name == "github_merge"`, "deny")}, []string{`approvals.rules[0] "a"`, `approvals.rules[1] "b"`}},
		{[]rules.Rule{r("a", `args.base == "main"`, "ask+stepup"), r("b", `tool.toolset == "github" && args.base == "main"`, "ask+stepup")}, []string{`approvals.rules[1] "b"`, `approvals.rules[0] "a"`}},
	} {
		_, err := rules.Compile(c.rules, someTools(t))
		if err == nil {
			t.Errorf("%+v was accepted", c.rules)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q: %v, want %q", c.rules[len(c.rules)-1].When, err, want)
			}
		}
		if len(err.Error()) > 600 || strings.Contains(err.Error(), "\n") {
			t.Errorf("too long an error: %v", err)
		}
	}
}

// dear is small to write and long to evaluate.
func dear() string {
	list := "[" + strings.TrimSuffix(strings.Repeat("1,", 60), ",") + "]"
	return list + ".all(a, " + list + ".all(b, " + list + ".all(c, " + list + ".all(d, a + b + c + d > 0)))) && taint"
}

// TestRulesThatDiffer only where it matters are accepted side by side.
func TestRulesThatDiffer(t *testing.T) {
	compile(t,
		rule(`taint && tool.effect == "publishes"`, "ask+stepup"),
		rule(`taint && tool.name == "github_delete"`, "deny"),
		rule(`args.base == "main"`, "ask+stepup"),
		rule(`args.base == "main" && args.method == "squash"`, "deny"),
		rule(`tool.name == "gmail_draft"`, "ask"),
		rule(`args.to.exists(a, domain(a) != "example.com")`, "ask+stepup"),
	)
}

func TestVersion(t *testing.T) {
	a, b := compile(t, rule(`taint`, "deny")), compile(t, rule(`taint`, "deny"))
	if a.Version() == "" || a.Version() != b.Version() {
		t.Errorf("%q, %q", a.Version(), b.Version())
	}
	for _, other := range []rules.Rule{rule(`taint`, "ask+stepup"), rule(`!taint`, "deny"), {Name: "x", When: `taint`, Need: "deny"}, {When: `taint`, Need: "deny", Reason: "why"}} {
		if compile(t, other).Version() == a.Version() {
			t.Errorf("%+v has the same version", other)
		}
	}
	if v := compile(t).Version(); v != "" {
		t.Errorf("no rules are %q", v)
	}
	var none *rules.Set
	if r := none.Decide(rules.Call{Tool: "x"}); r.Deny || r.Need != approvals.ByRule || none.Version() != "" || none.For("x") != nil {
		t.Errorf("a nil set rules: %+v", r)
	}
}

func TestForNamesWhatMayMatch(t *testing.T) {
	s := compile(t, rule(`taint && tool.toolset == "gmail"`, "ask+stepup"), rule(`args.query != ""`, "deny"))
	for tool, want := range map[string]int{"gmail_send": 1, "gmail_search": 1, "github_merge": 0, "none": 0} {
		if n := len(s.For(tool)); n != want {
			t.Errorf("%s: %d rules, want %d", tool, n, want)
		}
	}
}

func BenchmarkDecideTenRules(b *testing.B) {
	s := compile(b,
		rule(`args.to.exists(a, domain(a) != "example.com")`, "ask+stepup"),
		rule(`args.cc.exists(a, domain(a) != "example.com")`, "ask+stepup"),
		rule(`taint && tool.name == "gmail_send"`, "ask+stepup"),
		rule(`args.subject.startsWith("Payroll")`, "deny"),
		rule(`args.body.contains("BEGIN PRIVATE KEY")`, "deny"),
		rule(`args.body.matches("[0-9]{4} [0-9]{4} [0-9]{4} [0-9]{4}")`, "deny"),
		rule(`size(args.to) + size(args.cc) > 20`, "ask+stepup"),
		rule(`account == "google/board@example.com"`, "deny"),
		rule(`label.confidentiality == "private" && size(args.body) > 5000`, "ask+stepup"),
		rule(`args.subject == ""`, "ask+stepup"),
	)
	call := rules.Call{
		Tool: "gmail_send", Account: "google/anna@example.com", Label: tainted,
		Args: json.RawMessage(`{"to":["Bo <bo@example.com>"],"cc":["di@example.com"],"subject":"Launch","body":"` + strings.Repeat("All is well. ", 40) + `"}`),
	}
	if r := s.Decide(call); len(r.Rules) != 1 || len(r.Failed) > 0 {
		b.Fatalf("%+v", r)
	}
	b.ReportAllocs()
	for b.Loop() {
		s.Decide(call)
	}
}

func BenchmarkCompileTenRules(b *testing.B) {
	tools := someTools(b)
	var rs []rules.Rule
	for i := range 10 {
		rs = append(rs, rules.Rule{Name: "r" + string(rune('0'+i)), When: `args.to.exists(a, domain(a) != "example` + string(rune('0'+i)) + `.com")`, Need: "ask+stepup"})
	}
	for b.Loop() {
		if _, err := rules.Compile(rs, tools); err != nil {
			b.Fatal(err)
		}
	}
}
