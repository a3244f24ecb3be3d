package fga

import (
	"errors"
	"fmt"
	"strings"

	"github.com/google/cel-go/common/ast"
	openfgav1 "github.com/openfga/api/proto/openfga/v1"
)

// inline is the reserved name of a condition whose expression is in the
// tuple's own context: {"expression": "x == 'a'", "parameters": {"x":
// "string"}}. A relation allows it by [user with $expression]. What is not
// declared is a string.
const inline = "$expression"

func compileInline(context map[string]any) (*condition, error) {
	expression, _ := context["expression"].(string)
	if expression == "" {
		return nil, errors.New("$expression: context field \"expression\" must be a non-empty string")
	}
	params := map[string]*openfgav1.ConditionParamTypeRef{}
	if declared, ok := context["parameters"]; ok {
		fields, ok := declared.(map[string]any)
		if !ok {
			return nil, errors.New("$expression: context field \"parameters\" must be a struct")
		}
		for name, spelled := range fields {
			s, _ := spelled.(string)
			ref, err := parseType(s)
			if err != nil {
				return nil, fmt.Errorf("$expression: parameter %q: %w", name, err)
			}
			params[name] = ref
		}
	}
	env, err := environment()
	if err != nil {
		return nil, err
	}
	parsed, issues := env.Parse(expression)
	if err := issues.Err(); err != nil {
		return nil, fmt.Errorf("$expression: %w", err)
	}
	freeVariables(parsed.NativeRep().Expr(), nil, func(name string) {
		if params[name] == nil {
			params[name] = &openfgav1.ConditionParamTypeRef{TypeName: openfgav1.ConditionParamTypeRef_TYPE_NAME_STRING}
		}
	})
	return compileCondition(&openfgav1.Condition{Name: inline, Expression: expression, Parameters: params})
}

// parseType reads "int", "list<string>", "map<list<ipaddress>>".
func parseType(s string) (*openfgav1.ConditionParamTypeRef, error) {
	outer, inner, generic := strings.Cut(s, "<")
	name, ok := typeNames[outer]
	if !ok {
		return nil, fmt.Errorf("unknown parameter type %q", outer)
	}
	ref := &openfgav1.ConditionParamTypeRef{TypeName: name}
	if generic {
		inner, ok := strings.CutSuffix(inner, ">")
		if !ok {
			return nil, fmt.Errorf("malformed generic type %q", s)
		}
		item, err := parseType(inner)
		if err != nil {
			return nil, err
		}
		ref.GenericTypes = []*openfgav1.ConditionParamTypeRef{item}
	}
	_, err := paramOf(ref)
	return ref, err
}

// freeVariables calls fn for each identifier that the expression does not
// bind itself, as a comprehension binds its variables.
func freeVariables(e ast.Expr, own []string, fn func(string)) {
	all := func(es []ast.Expr) {
		for _, x := range es {
			freeVariables(x, own, fn)
		}
	}
	switch e.Kind() {
	case ast.IdentKind:
		for _, name := range own {
			if name == e.AsIdent() {
				return
			}
		}
		fn(e.AsIdent())
	case ast.SelectKind:
		freeVariables(e.AsSelect().Operand(), own, fn)
	case ast.CallKind:
		if e.AsCall().IsMemberFunction() {
			freeVariables(e.AsCall().Target(), own, fn)
		}
		all(e.AsCall().Args())
	case ast.ListKind:
		all(e.AsList().Elements())
	case ast.MapKind:
		for _, entry := range e.AsMap().Entries() {
			all([]ast.Expr{entry.AsMapEntry().Key(), entry.AsMapEntry().Value()})
		}
	case ast.StructKind:
		for _, field := range e.AsStruct().Fields() {
			freeVariables(field.AsStructField().Value(), own, fn)
		}
	case ast.ComprehensionKind:
		c := e.AsComprehension()
		freeVariables(c.IterRange(), own, fn)
		own = append(own[:len(own):len(own)], c.IterVar(), c.IterVar2(), c.AccuVar())
		all([]ast.Expr{c.AccuInit(), c.LoopCondition(), c.LoopStep(), c.Result()})
	}
}
