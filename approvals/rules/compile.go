package rules

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/mail"
	"slices"
	"strings"
	"sync"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/checker"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"golang.org/x/net/idna"
)

// maxCost bounds one condition on one call, in CEL's units: about a look at
// every byte of the longest arguments there are, and some milliseconds.
const maxCost = 250_000

// environment is CEL's standard one with domain.
var environment = sync.OnceValues(func() (*cel.Env, error) {
	return cel.NewEnv(
		cel.EagerlyValidateDeclarations(true),
		cel.EnableMacroCallTracking(), // what is left of a condition can be written down
		cel.ParserExpressionSizeLimit(maxWhen),
		cel.ParserRecursionLimit(60),
		cel.ExpressionNodeLimit(2000),
		cel.CrossTypeNumericComparisons(true),
		cel.Function("domain", cel.Overload("domain_string", []*cel.Type{cel.StringType}, cel.StringType,
			cel.UnaryBinding(func(v ref.Val) ref.Val {
				s, ok := v.Value().(string)
				if !ok {
					return types.MaybeNoSuchOverloadErr(v)
				}
				return types.String(domain(s))
			}))),
	)
})

// domain is the domain of a mail address, with or without a name around it, in
// small letters and ASCII. What is no single address has none.
func domain(address string) string {
	if len(address) > 1000 {
		return ""
	}
	a, err := mail.ParseAddress(address)
	if err != nil {
		return ""
	}
	host, err := idna.Lookup.ToASCII(a.Address[strings.LastIndexByte(a.Address, '@')+1:]) // in small letters
	if err != nil {
		return ""
	}
	return host
}

// scope is one tool with the conditions that may be true for it.
type scope struct {
	Tool
	all        []variable
	conditions []condition

	used  []variable     // the arguments that a condition looks at
	slots map[string]int // name → index into used

	extend func() (*cel.Env, error)
}

// condition is a rule, read for one tool.
type condition struct {
	rule    int
	level   level
	names   []string
	args    bool // it looks at arguments
	program cel.Program

	// verdict and rest are what the rule comes to before any call.
	verdict verdict
	rest    string
}

func newScope(t Tool) *scope {
	s := &scope{Tool: t, all: t.variables(), slots: map[string]int{}}
	s.extend = sync.OnceValues(func() (*cel.Env, error) {
		base, err := environment()
		if err != nil {
			return nil, err
		}
		var declared []cel.EnvOption
		for _, v := range s.all {
			declared = append(declared, cel.Variable(v.name, v.kind.cel))
		}
		return base.Extend(declared...)
	})
	return s
}

// Compile reads the rules against the tools and refuses those that cannot be
// meant. No rules are a Set too: it raises nothing.
func Compile(rs []Rule, tools []Tool) (*Set, error) {
	if len(rs) > maxRules {
		return nil, fmt.Errorf("approvals.rules: there are %d, at most %d may be", len(rs), maxRules)
	}
	s := &Set{rules: slices.Clone(rs), scopes: make(map[string]*scope, len(tools))}
	for _, t := range tools {
		s.order = append(s.order, t.Name)
		s.scopes[t.Name] = newScope(t)
	}
	seen := map[string]int{}
	for i, r := range rs {
		err := r.check()
		if first, twice := seen[r.Name]; twice && err == nil {
			err = fmt.Errorf("name: approvals.rules[%d] has it already", first)
		}
		seen[r.Name] = i
		if err == nil {
			err = s.add(i, r)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.place(i), err)
		}
	}
	if err := s.analyse(); err != nil {
		return nil, err
	}
	s.settle()
	return s, nil
}

// add reads one rule for every tool that has what it names.
func (s *Set) add(i int, r Rule) error {
	base, err := environment()
	if err != nil {
		return err
	}
	parsed, issues := base.Parse(r.When)
	if issues.Err() != nil {
		return fmt.Errorf("when: %s", oneLine(issues))
	}
	names, err := namesIn(parsed.NativeRep().Expr())
	if err != nil {
		return fmt.Errorf("when: %w", err)
	}
	has, err := s.having(names)
	if err != nil {
		return fmt.Errorf("when: %w", err)
	}
	for _, t := range has {
		c := condition{rule: i, level: levels[r.Need], names: names}
		if err := t.read(&c, r); err != nil {
			return fmt.Errorf("when: for %s: %w", t.Name, err)
		}
		t.conditions = append(t.conditions, c)
	}
	return nil
}

// having are the tools that know all names, at least one.
func (s *Set) having(names []string) (has []*scope, err error) {
	var everywhere []string // every name of every tool
	for _, name := range s.order {
		t := s.scopes[name]
		lacks := false
		for _, v := range t.all {
			everywhere = append(everywhere, v.name)
		}
		for _, n := range names {
			_, ok := known(n, t.all)
			lacks = lacks || !ok
		}
		if !lacks {
			has = append(has, t)
		}
	}
	if len(has) > 0 {
		return has, nil
	}
	for _, n := range names {
		some := slices.ContainsFunc(s.order, func(tool string) bool { _, ok := known(n, s.scopes[tool].all); return ok })
		if !some {
			return nil, fmt.Errorf("no tool has %s%s", n, nearest(n, everywhere))
		}
	}
	return nil, fmt.Errorf("no single tool has all of %s: write a rule for each", strings.Join(names, ", "))
}

// read checks the condition's types for one tool, its least cost, and what it
// comes to for this tool before any call.
func (t *scope) read(c *condition, r Rule) error {
	env, err := t.extend()
	if err != nil {
		return err
	}
	ast, issues := env.Compile(r.When)
	if issues.Err() != nil {
		return errors.New(oneLine(issues))
	}
	if !ast.OutputType().IsExactType(cel.BoolType) {
		return fmt.Errorf("it is a %s: want a condition, which is true or false", ast.OutputType())
	}
	if least, err := env.EstimateCost(ast, noEstimate{}); err != nil || least.Min > maxCost {
		return fmt.Errorf("it takes at least %d steps, and %d may be", least.Min, maxCost)
	}
	c.program, err = env.Program(ast, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(maxCost))
	if err != nil {
		return err
	}
	for _, name := range c.names {
		c.args = c.args || strings.HasPrefix(name, "args.")
	}
	return t.foresee(env, ast, c)
}

// noEstimate: how long arguments are is not known before they are there.
type noEstimate struct{}

func (noEstimate) EstimateSize(checker.AstNode) *checker.SizeEstimate { return nil }
func (noEstimate) EstimateCallCost(string, string, *checker.AstNode, []checker.AstNode) *checker.CallEstimate {
	return nil
}

// oneLine is the first complaint of CEL, with its column; it may quote a whole
// condition, so it is cut.
func oneLine(issues *cel.Issues) string {
	e := issues.Errors()[0]
	text := strings.Join(strings.Fields(e.Message), " ")
	if len(text) > 300 {
		text = strings.ToValidUTF8(text[:300], "") + "…"
	}
	return fmt.Sprintf("column %d: %s", e.Location.Column()+1, text)
}

// settle drops what is never true and notes which arguments are looked at.
func (s *Set) settle() {
	for _, t := range s.scopes {
		t.conditions = slices.DeleteFunc(t.conditions, func(c condition) bool {
			return c.verdict == never || c.level != forbidden && t.reads()
		})
		for _, c := range t.conditions {
			for _, name := range c.names {
				v, _ := known(name, t.all)
				if _, there := t.slots[v.name]; v.path != nil && !there {
					t.slots[v.name] = len(t.used)
					t.used = append(t.used, v)
				}
			}
		}
	}
	if len(s.rules) > 0 {
		text, err := json.Marshal(s.rules)
		if err != nil {
			panic(err) // strings alone
		}
		sum := sha256.Sum256(text)
		s.version = hex.EncodeToString(sum[:6])
	}
}
