package rules

import (
	"errors"
	"fmt"
	"iter"
	"strings"

	"deputy/approvals"
	"deputy/authz"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
)

// verdict is what a rule comes to for a tool before any call.
type verdict int

const (
	depends verdict = iota
	always
	never
)

// maxWorlds bounds how many settings of names with few values are tried, and
// worldCost each: a start takes no longer than that.
const (
	maxWorlds = 128
	worldCost = 2_000
)

// foresee evaluates a condition with all that is known of a tool and the rest
// unknown: once for each setting of the names that can be little (a choice, a
// bool, a label). A condition that no setting makes true is never true.
func (t *scope) foresee(env *cel.Env, ast *cel.Ast, c *condition) error {
	vars, err := env.PartialVars(t.known())
	if err != nil {
		return err
	}
	partial := func(opts ...cel.ProgramOption) (cel.Program, error) {
		return env.Program(ast, append(opts, cel.EvalOptions(cel.OptPartialEval))...)
	}
	whole, err := partial(cel.CostLimit(maxCost))
	if err != nil {
		return err
	}
	if _, _, err := whole.Eval(vars); err != nil {
		return fmt.Errorf("it cannot be evaluated, whatever the arguments: %s", brief(err))
	}
	// Only now without a limit: CEL keeps its steps or counts them, not both.
	steps, err := partial(cel.EvalOptions(cel.OptTrackState))
	if err != nil {
		return err
	}
	c.rest = residue(env, ast, steps, vars)

	one, err := partial(cel.CostLimit(worldCost))
	if err != nil {
		return err
	}
	yes, no, other := 0, 0, 0
	for world := range t.worlds(c.names) {
		vars, err := env.PartialVars(world)
		if err != nil {
			return err
		}
		switch out, _, err := one.Eval(vars); {
		case err == nil && out == types.True:
			yes++
		case err == nil && out == types.False:
			no++
		default: // what fails counts as matched, when it is called
			other++
		}
	}
	switch {
	case yes > 0 && no+other == 0:
		c.verdict = always
	case no > 0 && yes+other == 0:
		c.verdict = never
	}
	return nil
}

// residue is the condition without what is known of the tool, to compare rules
// by; the condition itself where CEL cannot write the rest down.
func residue(env *cel.Env, ast *cel.Ast, steps cel.Program, vars cel.PartialActivation) string {
	if _, details, err := steps.Eval(vars); err == nil {
		if rest, err := env.ResidualAst(ast, details); err == nil {
			ast = rest
		}
	}
	text, err := cel.AstToString(ast)
	if err != nil {
		return ast.Source().Content()
	}
	return text
}

func (t *scope) known() map[string]any {
	return map[string]any{"tool.name": t.Name, "tool.toolset": t.Toolset, "tool.effect": t.Effect}
}

// worlds yields every setting of the named variables that can be little. What
// would be too many settings stays unknown.
func (t *scope) worlds(names []string) iter.Seq[map[string]any] {
	var few []variable
	n := 1
	for _, name := range names {
		v, _ := known(name, t.all)
		if len(v.values) == 0 || n*len(v.values) > maxWorlds {
			continue
		}
		few, n = append(few, v), n*len(v.values)
	}
	return func(yield func(map[string]any) bool) {
		for i := range n {
			world := t.known()
			for _, v := range few {
				world[v.name] = v.values[i%len(v.values)]
				i /= len(v.values)
			}
			if integrity, ok := world["label.integrity"]; ok { // taint follows from it
				world["taint"] = integrity.(ref.Val).Equal(types.String(authz.Untrusted))
			}
			if !yield(world) {
				return
			}
		}
	}
}

// analyse refuses rules that cannot be meant: never true, always true without
// looking, or asking for what is asked anyway.
func (s *Set) analyse() error {
	for i, r := range s.rules {
		if err := s.meant(i); err != nil {
			return fmt.Errorf("%s: %w", r.place(i), err)
		}
	}
	return nil
}

func (s *Set) meant(i int) error {
	var match []*scope // tools it may be true for
	everywhere, aboutTools := true, false
	for _, name := range s.order {
		t := s.scopes[name]
		c := t.of(i)
		if c == nil || c.verdict == never {
			everywhere = false
			continue
		}
		everywhere = everywhere && c.verdict == always
		for _, n := range c.names {
			aboutTools = aboutTools || strings.HasPrefix(n, "tool.")
		}
		match = append(match, t)
	}
	switch {
	case len(match) == 0:
		return errors.New("it is never true: no tool, argument or label can make it so")
	case everywhere && !aboutTools && s.rules[i].Need == "deny":
		return errors.New("it is always true and would end every call: say when, or leave tools out with tools.exclude")
	case everywhere && !aboutTools:
		return errors.New("it is always true, whatever is called: say it with approvals.defaults")
	}
	return s.raises(i, match)
}

// raises reports why rule i changes nothing on any of the tools it may be true
// for, or nil if it does on one.
func (s *Set) raises(i int, match []*scope) error {
	var names []string
	var anyway, only approvals.Need = 0, 0
	by := ""
	reading := 0
	for _, t := range match {
		c := t.of(i)
		names = append(names, t.Name)
		if c.level != forbidden && t.reads() {
			reading++
			continue
		}
		if c.level <= level(t.Need) {
			anyway = max(anyway, t.Need)
			continue
		}
		above := t.above(c)
		if above == nil {
			return nil
		}
		by, only = s.rules[above.rule].place(above.rule), max(only, t.Need)
	}
	tools := strings.Join(names, ", ")
	switch {
	case reading == len(match):
		return fmt.Errorf("it changes nothing: it can match %s, which read, and for a read only deny has an effect", tools)
	case by != "":
		return fmt.Errorf("it changes nothing: wherever it can match (%s), as much is asked already by %s", tools, by)
	}
	return fmt.Errorf("it changes nothing: wherever it can match (%s), approvals.defaults and the tools' floors ask already: %v", tools, anyway)
}

// of is rule i as it was read for the tool, or nil.
func (t *scope) of(i int) *condition {
	for n := range t.conditions {
		if t.conditions[n].rule == i {
			return &t.conditions[n]
		}
	}
	return nil
}

// above is another rule that asks as much whenever c does. Of two that say the
// same, the later is the one too many.
func (t *scope) above(c *condition) *condition {
	for n := range t.conditions {
		o := &t.conditions[n]
		same := o.rest == c.rest
		if o.rule == c.rule || o.verdict != always && !same || o.level < c.level {
			continue
		}
		if o.level > c.level || o.rule < c.rule || o.verdict == always && c.verdict != always {
			return o
		}
	}
	return nil
}
