package rules_test

import (
	"bytes"
	"strings"
	"testing"

	"deputy/approvals/rules"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
)

func suite(t *testing.T, text string) (s rules.Suite) {
	t.Helper()
	if err := yaml.NewDecoder(bytes.NewReader([]byte(text)), yaml.Strict()).Decode(&s); err != nil {
		t.Fatal(err)
	}
	return s
}

const suiteText = `
rules:
  - {name: outside, when: 'args.to.exists(a, domain(a) != "example.com")', need: ask+stepup}
  - {name: payroll, when: 'args.subject.startsWith("Payroll")', need: deny}
rule_tests:
`

// TestFailuresSayWhatIsDifferent, one by one, and the rest is counted.
func TestFailuresSayWhatIsDifferent(t *testing.T) {
	for _, c := range []struct{ test, want string }{
		{`{name: ok, tool: gmail_send, args: {to: [a@example.com]}, need: ask, rules: []}`, ""},
		{`{name: ok, tool: gmail_send, args: {to: [a@x.test], subject: Payroll}, need: deny, rules: [payroll, outside]}`, ""},
		{`{name: ok, tool: gmail_draft, need: allow}`, ""},
		{`{name: ok, tool: github_merge, args: {number: 3, ratio: 1, meta: {deep: x}}, label: untrusted/public, need: ask}`, ""},
		{`{name: need, tool: gmail_send, args: {to: [a@x.test]}, need: ask}`, "need: want ask, got ask+stepup\nrules that match: outside"},
		{`{name: both, tool: gmail_send, args: {to: [a@example.com]}, need: deny, rules: [payroll]}`, "need: want deny, got ask\nrules: want payroll, got none"},
		{`{name: tool, tool: gmail_sned, need: ask}`, `tool: there is no "gmail_sned": nearest are gmail_send`},
		{`{name: args, tool: gmail_send, args: {too: []}, need: ask}`, `args: gmail_send has no "too": nearest are to, `},
		{`{name: type, tool: gmail_send, args: {to: a@example.com}, need: ask}`, "args.to: it is not a list(string)"},
		{`{name: word, tool: gmail_send, need: maybe}`, `need: "maybe": want one of allow, ask, ask+stepup, deny`},
		{`{name: label, tool: gmail_send, need: ask, label: dirty}`, `label: "dirty": want trusted or untrusted, a slash, public or private`},
		{`{name: rule, tool: gmail_send, need: ask, rules: [outsied]}`, `rules: there is no rule "outsied"`},
	} {
		report, err := suite(t, suiteText+"  - "+c.test+"\n").Run(nil, someTools(t))
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if len(report.Failures) > 0 {
			got = report.Failures[0].Diff
		}
		if c.want == "" && report.Passed != 1 || !strings.HasPrefix(got, c.want) || c.want == "" && got != "" {
			t.Errorf("%s: %s", c.test, cmp.Diff(c.want, got))
		}
	}
	report, err := suite(t, suiteText+"  - {name: one, tool: gmail_send, need: ask}\n  - {tool: gmail_send, need: deny}\n").Run(nil, someTools(t))
	if err != nil {
		t.Fatal(err)
	}
	want := "FAIL rule_tests[1]\n     need: want deny, got ask\n     rules that match: none\n1 passed, 1 failed\n"
	if diff := cmp.Diff(want, report.String()); diff != "" {
		t.Error(diff)
	}
}

// TestASuiteTakesTheConfigurationsRules where it has none of its own.
func TestASuiteTakesTheConfigurationsRules(t *testing.T) {
	s := suite(t, "rule_tests: [{name: x, tool: gmail_send, label: untrusted/public, need: deny, rules: [read]}]")
	configured := []rules.Rule{{Name: "read", When: "taint", Need: "deny"}}
	if r, err := s.Run(configured, someTools(t)); err != nil || r.Passed != 1 {
		t.Errorf("%v %v", r, err)
	}
	s.Rules = []rules.Rule{{Name: "read", When: "taintd", Need: "deny"}}
	if _, err := s.Run(configured, someTools(t)); err == nil || !strings.Contains(err.Error(), `there is no "taintd"`) {
		t.Errorf("%v", err)
	}
}
