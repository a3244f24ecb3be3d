package fga

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common"
	openfgav1 "github.com/openfga/api/proto/openfga/v1"
	"google.golang.org/protobuf/types/known/structpb"
)

// maxCost bounds the evaluation of one condition, as OpenFGA's default does;
// interruptEvery is after how many steps of a loop a cancelled call is noticed.
const (
	maxCost        = 100
	interruptEvery = 100
)

// condition is a compiled CEL expression over typed parameters.
type condition struct {
	name    string
	params  map[string]param
	program cel.Program
}

// bound is a condition with the parameters its tuple fixes, as the index
// keeps it.
type bound struct {
	*condition                // nil: inline, compiled when it is asked
	fixed      map[string]any // as in JSON
}

func compileCondition(c *openfgav1.Condition) (*condition, error) {
	out := &condition{name: c.GetName(), params: map[string]param{}}
	var vars []cel.EnvOption
	for _, name := range slices.Sorted(maps.Keys(c.GetParameters())) {
		p, err := paramOf(c.GetParameters()[name])
		if err != nil {
			return nil, fmt.Errorf("condition '%s': parameter '%s': %w", c.GetName(), name, err)
		}
		out.params[name] = p
		vars = append(vars, cel.Variable(name, p.cel))
	}
	base, err := environment()
	if err != nil {
		return nil, err
	}
	env, err := base.Extend(vars...)
	if err != nil {
		return nil, fmt.Errorf("condition '%s': %w", c.GetName(), err)
	}
	ast, issues := env.CompileSource(common.NewStringSource(c.GetExpression(), c.GetName()))
	if err := issues.Err(); err != nil {
		return nil, fmt.Errorf("condition '%s': %w", c.GetName(), err)
	}
	if !ast.OutputType().IsExactType(cel.BoolType) {
		return nil, fmt.Errorf("condition '%s': expected a bool condition expression output, but got '%s'", c.GetName(), ast.OutputType())
	}
	out.program, err = env.Program(ast, cel.EvalOptions(cel.OptOptimize, cel.OptTrackCost),
		cel.CostLimit(maxCost), cel.InterruptCheckFrequency(interruptEvery))
	if err != nil {
		return nil, fmt.Errorf("condition '%s': %w", c.GetName(), err)
	}
	return out, nil
}

// bind checks what a tuple says about its condition. An inline condition
// carries its expression itself.
func (m *Model) bind(c *Condition, allowed bool) (*bound, error) {
	if control(c.Name) {
		return nil, errors.New("condition name contains forbidden characters")
	}
	id, ok := m.named[c.Name]
	if !ok && c.Name != inline {
		return nil, fmt.Errorf("undefined condition: %q", c.Name)
	}
	if !allowed {
		return nil, fmt.Errorf("invalid condition for type restriction: '%s'", c.Name)
	}
	fixed, err := plain(c.Context)
	if err != nil {
		return nil, err
	}
	if c.Name == inline {
		return &bound{nil, fixed}, nil
	}
	b := &bound{m.conditions[id], fixed}
	if _, err := b.cast(fixed); err != nil {
		return nil, err
	}
	for name := range fixed {
		if _, ok := b.params[name]; !ok {
			return nil, fmt.Errorf("found invalid context parameter: %s", name)
		}
	}
	return b, nil
}

// plain makes a context what it would be had it come as JSON, and refuses
// control characters.
func plain(context map[string]any) (map[string]any, error) {
	if len(context) == 0 {
		return nil, nil
	}
	s, err := structpb.NewStruct(context)
	if err != nil {
		return nil, err
	}
	out := s.AsMap()
	return out, printable(out)
}

func printable(v any) error {
	switch v := v.(type) {
	case string:
		if control(v) {
			return fmt.Errorf("context value %q contains forbidden characters", v)
		}
	case []any:
		for _, item := range v {
			if err := printable(item); err != nil {
				return err
			}
		}
	case map[string]any:
		for name, item := range v {
			if control(name) {
				return fmt.Errorf("context key %q contains forbidden characters", name)
			}
			if err := printable(item); err != nil {
				return err
			}
		}
	}
	return nil
}

// cast converts what is there to the types of the parameters.
func (c *condition) cast(values map[string]any) (map[string]any, error) {
	if len(values) > 0 && len(c.params) == 0 {
		return nil, errors.New("no parameters defined for the condition")
	}
	out := make(map[string]any, len(c.params))
	for name, p := range c.params {
		v, ok := values[name]
		if !ok {
			continue
		}
		converted, err := p.convert(v)
		if err != nil {
			return nil, fmt.Errorf("failed to convert context parameter '%s': %w", name, err)
		}
		out[name] = converted
	}
	return out, nil
}

// met evaluates the condition. What the tuple fixed stands above what the
// request says, and every parameter must have a value.
func (b *bound) met(ctx context.Context, request map[string]any) (bool, error) {
	values := request
	switch {
	case b.condition == nil:
		c, err := compileInline(b.fixed)
		if err != nil {
			return false, fail(Validation, err)
		}
		b = &bound{c, nil}
		if len(b.params) == 0 {
			values = nil // what is meant for other tuples does not concern it
		}
	case len(b.fixed) > 0:
		values = maps.Clone(request)
		if values == nil {
			values = map[string]any{}
		}
		maps.Copy(values, b.fixed)
	}
	typed, err := b.cast(values)
	if err == nil && len(typed) < len(b.params) {
		var missing []string
		for name := range b.params {
			if _, ok := typed[name]; !ok {
				missing = append(missing, name)
			}
		}
		slices.Sort(missing)
		err = fmt.Errorf("missing context parameters: %s", strings.Join(missing, ", "))
	}
	if err != nil {
		return false, fail(Validation, fmt.Errorf("condition '%s': %w", b.name, err))
	}
	out, _, err := b.program.ContextEval(ctx, typed)
	if err != nil {
		return false, fail(Validation, fmt.Errorf("condition '%s': failed to evaluate: %w", b.name, err))
	}
	yes, ok := out.Value().(bool)
	if !ok {
		return false, fail(Validation, fmt.Errorf("condition '%s': its value is no bool", b.name))
	}
	return yes, nil
}
