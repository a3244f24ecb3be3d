package main

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"deputy/approvals/rules"
	"deputy/internal/config"

	"github.com/goccy/go-yaml"
)

// TestRulesOfTheDocs: the examples of docs/rules.md are a configuration, and
// its tests pass. Each rule is matched by one of them.
func TestRulesOfTheDocs(t *testing.T) {
	c, suite := docsRules(t)
	all, err := ruleTools(c)
	if err != nil {
		t.Fatal(err)
	}
	report, err := suite.Run(configuredRules(c), all)
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Failures) > 0 || report.Passed != len(suite.Tests) || report.Passed < 10 {
		t.Errorf("%s", report)
	}
	for _, r := range c.Approvals.Rules {
		if !slices.ContainsFunc(suite.Tests, func(c rules.Test) bool { return slices.Contains(c.Rules, r.Name) }) {
			t.Errorf("no test of docs/rules.md matches %s", r.Name)
		}
	}
	// Without the rules the tests fail: they look at something.
	without, err := rules.Suite{Rules: []rules.Rule{}, Tests: slices.DeleteFunc(slices.Clone(suite.Tests), func(c rules.Test) bool { return len(c.Rules) == 0 })}.Run(configuredRules(c), all)
	if err != nil || without.Passed > 0 {
		t.Errorf("without rules %v: %s", err, without)
	}
}

func docsRules(t *testing.T) (config.Config, rules.Suite) {
	t.Helper()
	text, err := os.ReadFile("../../docs/rules.md")
	if err != nil {
		t.Fatal(err)
	}
	var c config.Config
	var suite rules.Suite
	for _, block := range strings.Split(string(text), "```yaml\n")[1:] {
		block, _, _ = strings.Cut(block, "```")
		if strings.HasPrefix(block, "approvals:") {
			if c, err = config.Parse([]byte(block)); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := yaml.NewDecoder(bytes.NewReader([]byte(block)), yaml.Strict()).Decode(&suite); err != nil {
			t.Fatal(err)
		}
	}
	return c, suite
}

// TestDocsQuoteTheErrors that the start really gives.
func TestDocsQuoteTheErrors(t *testing.T) {
	text, err := os.ReadFile("../../docs/rules.md")
	if err != nil {
		t.Fatal(err)
	}
	c := config.Default()
	c.Approvals.Rules = []config.Rule{{Name: "outside", When: `args.too.exists(a, domain(a) != "example.com")`, Need: "ask+stepup"}}
	if _, err := readRules(c); err == nil || !strings.Contains(string(text), "`"+err.Error()+"`") {
		t.Errorf("docs/rules.md does not have %v", err)
	}
}

// TestRulesInTheCommands: tools and doctor say which rules may match what, and
// a rule that cannot be meant stops the start.
func TestRulesInTheCommands(t *testing.T) {
	c, _ := docsRules(t)
	set, err := readRules(c)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Join(whereRules(set), "\n")
	for _, want := range []string{
		"outside: ask+stepup, at most on gmail_send_message", "reply-to-all: ask+stepup, at most on gmail_reply",
		"after-reading: ask, at most on ", "board: deny, at most on gmail_create_draft, gmail_get_thread, gmail_reply, gmail_search_threads, gmail_send_message",
	} {
		if !strings.Contains(lines, want) {
			t.Errorf("no %q in:\n%s", want, lines)
		}
	}
	if got := ruleNames(set, "slack_send_message"); !slices.Equal(got, []string{"shared-channel", "after-reading"}) {
		t.Errorf("slack_send_message: %v", got)
	}
}
