package main

import (
	"fmt"
	"strings"

	"deputy/approvals/rules"
	"deputy/internal/config"
	"deputy/tools"
)

// ruleTools are all tools of this build as rules see them. Those that are
// excluded here count: a rule about them is not wrong, it waits.
func ruleTools(c config.Config) ([]rules.Tool, error) {
	catalog, err := tools.NewCatalog(nil, providers()...)
	if err != nil {
		return nil, err
	}
	return catalog.RuleTools(policy(c.Approvals.Defaults)), nil
}

// configuredRules are the configuration's, in the words of the package.
func configuredRules(c config.Config) []rules.Rule {
	out := make([]rules.Rule, len(c.Approvals.Rules))
	for i, r := range c.Approvals.Rules {
		out[i] = rules.Rule(r)
	}
	return out
}

func readRules(c config.Config) (*rules.Set, error) {
	all, err := ruleTools(c)
	if err != nil {
		return nil, err
	}
	return rules.Compile(configuredRules(c), all)
}

func ruleNames(s *rules.Set, tool string) []string {
	names := []string{}
	for _, r := range s.For(tool) {
		names = append(names, r.Name)
	}
	return names
}

// whereRules says of each rule which tools' calls it may match.
func whereRules(s *rules.Set) (lines []string) {
	for _, r := range s.Rules() {
		lines = append(lines, fmt.Sprintf("%s: %s, at most on %s", r.Name, r.Need, strings.Join(s.Tools(r.Name), ", ")))
	}
	return lines
}
