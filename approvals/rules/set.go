package rules

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"deputy/approvals"
	"deputy/authz"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
)

// Set is a policy's rules, read for its tools. Compile makes it; a nil Set has
// no rules. Many may use one at once.
type Set struct {
	rules   []Rule
	order   []string
	scopes  map[string]*scope
	version string
}

// Call is what is judged. Args are the bytes the tool's handler gets.
type Call struct {
	Tool    string
	Args    json.RawMessage
	Account string      // "google/anna@example.com"; empty for deputy's own tools
	Label   authz.Label // of all the session has read
}

// Ruling is what all matching rules come to.
type Ruling struct {
	Need   approvals.Need // what the tool asks anyway, or more
	Deny   bool
	Rules  []string // the names of those that match
	Reason string   // of the strictest, if it gives one

	// Failed says which rules count as matched because they could not be
	// evaluated. It repeats no argument.
	Failed []error
}

// Version names the rules; equal rules have equal versions, and none has "".
func (s *Set) Version() string {
	if s == nil {
		return ""
	}
	return s.version
}

// Rules are all rules, in order.
func (s *Set) Rules() []Rule {
	if s == nil {
		return nil
	}
	return s.rules
}

// For are the rules that may match calls of a tool.
func (s *Set) For(tool string) (out []Rule) {
	if s == nil || s.scopes[tool] == nil {
		return nil
	}
	for _, c := range s.scopes[tool].conditions {
		out = append(out, s.rules[c.rule])
	}
	return out
}

// Tools are the tools whose calls the named rule may match.
func (s *Set) Tools(rule string) (out []string) {
	for _, tool := range s.order {
		if slices.ContainsFunc(s.For(tool), func(r Rule) bool { return r.Name == rule }) {
			out = append(out, tool)
		}
	}
	return out
}

// Decide judges one call. It starts at what the tool asks anyway, and no rule
// takes from that.
func (s *Set) Decide(call Call) (r Ruling) {
	if s == nil {
		return r
	}
	t := s.scopes[call.Tool]
	switch {
	case t == nil && len(s.rules) == 0:
		return r
	case t == nil:
		return Ruling{Deny: true, Failed: []error{errors.New("rules: they were not read for this tool")}}
	}
	r.Need = t.Need
	if len(t.conditions) == 0 {
		return r
	}
	v := view{scope: t, call: call, label: call.Label.Join(authz.Label{})}
	failed := v.decode()
	reached := level(-1)
	for _, c := range t.conditions {
		matched, err := c.verdict == always, error(nil)
		switch {
		case matched:
		case c.args && failed != nil:
			matched, err = true, failed
		default:
			matched, err = c.matches(&v)
		}
		if err != nil {
			r.Failed = append(r.Failed, fmt.Errorf("rule %q: %s", s.rules[c.rule].Name, brief(err)))
		}
		if !matched {
			continue
		}
		r.Rules = append(r.Rules, s.rules[c.rule].Name)
		if reason := s.rules[c.rule].Reason; c.level > reached || c.level == reached && r.Reason == "" {
			reached, r.Reason = c.level, reason
		}
		if c.level == forbidden {
			r.Deny = true
		} else {
			r.Need = max(r.Need, approvals.Need(c.level))
		}
	}
	return r
}

// matches is true if the condition is, or if nobody can say.
func (c *condition) matches(v *view) (bool, error) {
	out, _, err := c.program.Eval(v)
	if err != nil {
		return true, err
	}
	yes, ok := out.(types.Bool)
	if !ok {
		return true, errors.New("its value is no bool")
	}
	return bool(yes), nil
}

// brief is an error of CEL up to where it repeats values: those are arguments,
// which no log holds.
func brief(err error) string {
	if strings.Contains(err.Error(), "cost limit exceeded") {
		return "it took more steps than a rule may"
	}
	text := err.Error()
	if i := strings.IndexAny(text, `:"'`+"`"); i >= 0 {
		text = text[:i]
	}
	return strings.TrimSpace(text)
}

// view is a call as conditions look at it.
type view struct {
	*scope
	call  Call
	label authz.Label
	args  []ref.Val // as scope.used
}

var _ cel.Activation = (*view)(nil)

// decode reads the arguments that some condition looks at.
func (v *view) decode() error {
	if len(v.used) == 0 {
		return nil
	}
	var given map[string]json.RawMessage
	if !absent(v.call.Args) {
		if err := json.Unmarshal(v.call.Args, &given); err != nil {
			return errForm
		}
	}
	v.args = make([]ref.Val, len(v.used))
	for i, u := range v.used {
		var err error
		if v.args[i], err = u.in(given); err != nil {
			return err
		}
	}
	return nil
}

// ResolveName gives a name its value in this call.
func (v *view) ResolveName(name string) (any, bool) {
	switch name {
	case "tool.name":
		return types.String(v.Name), true
	case "tool.toolset":
		return types.String(v.Toolset), true
	case "tool.effect":
		return types.String(v.Effect), true
	case "account":
		return types.String(v.call.Account), true
	case "label.integrity":
		return types.String(v.label.Integrity), true
	case "label.confidentiality":
		return types.String(v.label.Confidentiality), true
	case "taint":
		return types.Bool(v.label.Integrity == authz.Untrusted), true
	}
	if i, ok := v.slots[name]; ok && i < len(v.args) {
		return v.args[i], true
	}
	return nil, false
}

// Parent is none: there is nothing around a call.
func (v *view) Parent() cel.Activation { return nil }
