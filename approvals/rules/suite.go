package rules

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"deputy/authz"
)

// Suite is a file of rules with their tests. Rules that are not in the file
// are the configuration's.
type Suite struct {
	Rules []Rule `yaml:"rules"`
	Tests []Test `yaml:"rule_tests"`
}

// Test is one call and what it must come to.
type Test struct {
	Name    string         `yaml:"name"`
	Tool    string         `yaml:"tool"`
	Args    map[string]any `yaml:"args"`
	Account string         `yaml:"account"`
	Label   string         `yaml:"label"` // as untrusted/private; empty: nothing was read
	Need    string         `yaml:"need"`  // allow, ask, ask+stepup or deny
	Rules   []string       `yaml:"rules"` // the rules that match; not looked at if not given
}

// Report is what came of a suite.
type Report struct {
	Passed   int
	Failures []Failure
}

// Failure is a test that did not pass, and what was different.
type Failure struct{ Test, Diff string }

// String is a line for each failure, and the counts.
func (r Report) String() string {
	var b strings.Builder
	for _, f := range r.Failures {
		fmt.Fprintf(&b, "FAIL %s\n     %s\n", f.Test, strings.ReplaceAll(f.Diff, "\n", "\n     "))
	}
	fmt.Fprintf(&b, "%d passed, %d failed\n", r.Passed, len(r.Failures))
	return b.String()
}

// Run tests the suite's rules, or those of the configuration if it has none. An
// error means that the rules themselves are wrong.
func (s Suite) Run(configured []Rule, tools []Tool) (Report, error) {
	rs := s.Rules
	if rs == nil {
		rs = configured
	}
	set, err := Compile(rs, tools)
	if err != nil {
		return Report{}, err
	}
	var out Report
	for i, t := range s.Tests {
		if diff := set.test(t); diff != "" {
			name := t.Name
			if name == "" {
				name = fmt.Sprintf("rule_tests[%d]", i)
			}
			out.Failures = append(out.Failures, Failure{name, diff})
		} else {
			out.Passed++
		}
	}
	return out, nil
}

// test runs one test and returns what is different, or "".
func (s *Set) test(t Test) string {
	call, err := s.call(t)
	if err != nil {
		return err.Error()
	}
	r := s.Decide(call)
	var diff []string
	for _, err := range r.Failed {
		diff = append(diff, err.Error())
	}
	got := r.Need.String()
	if r.Deny {
		got = "deny"
	}
	if got != t.Need {
		diff = append(diff, fmt.Sprintf("need: want %s, got %s", t.Need, got))
		if t.Rules == nil {
			diff = append(diff, "rules that match: "+list(r.Rules))
		}
	}
	if t.Rules != nil {
		want, have := slices.Sorted(slices.Values(t.Rules)), slices.Sorted(slices.Values(r.Rules))
		if !slices.Equal(want, have) {
			diff = append(diff, fmt.Sprintf("rules: want %s, got %s", list(want), list(have)))
		}
	}
	return strings.Join(diff, "\n")
}

func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// call reads a test as strictly as a call is read.
func (s *Set) call(t Test) (Call, error) {
	scope := s.scopes[t.Tool]
	if scope == nil {
		return Call{}, fmt.Errorf("tool: there is no %q%s", t.Tool, nearest(t.Tool, s.order))
	}
	if needs := []string{"allow", "ask", "ask+stepup", "deny"}; !slices.Contains(needs, t.Need) {
		return Call{}, fmt.Errorf("need: %q: want one of %s", t.Need, strings.Join(needs, ", "))
	}
	for _, name := range t.Rules {
		if !slices.ContainsFunc(s.rules, func(r Rule) bool { return r.Name == name }) {
			return Call{}, fmt.Errorf("rules: there is no rule %q", name)
		}
	}
	label, err := labelOf(t.Label)
	if err != nil {
		return Call{}, err
	}
	raw, err := json.Marshal(t.Args)
	if err != nil {
		return Call{}, fmt.Errorf("args: %w", err)
	}
	var given map[string]json.RawMessage
	if err := json.Unmarshal(raw, &given); err != nil {
		return Call{}, fmt.Errorf("args: %w", err)
	}
	for name := range given {
		if scope.Args == nil || scope.Args.Properties[name] == nil {
			var all []string
			for _, v := range scope.all[len(fixed):] {
				all = append(all, v.path[0])
			}
			return Call{}, fmt.Errorf("args: %s has no %q%s", t.Tool, name, nearest(name, all))
		}
	}
	for _, v := range scope.all[len(fixed):] {
		if _, err := v.in(given); err != nil {
			return Call{}, fmt.Errorf("%s: it is not a %s", v.name, v.kind.cel)
		}
	}
	return Call{Tool: t.Tool, Args: raw, Account: t.Account, Label: label}, nil
}

func labelOf(text string) (authz.Label, error) {
	for _, i := range []authz.Integrity{authz.Trusted, authz.Untrusted} {
		for _, c := range []authz.Confidentiality{authz.Public, authz.Private} {
			if l := (authz.Label{Integrity: i, Confidentiality: c}); text == l.String() {
				return l, nil
			}
		}
	}
	if text == "" {
		return authz.Label{}, nil
	}
	return authz.Label{}, fmt.Errorf("label: %q: want trusted or untrusted, a slash, public or private", text)
}
