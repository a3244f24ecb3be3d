package rules

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"deputy/approvals"
	"deputy/authz"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/jsonschema-go/jsonschema"
)

// Tool is a tool as rules see it.
type Tool struct {
	Name    string
	Toolset string         // "gmail"; empty for deputy's own
	Effect  string         // reads, drafts, publishes, destroys
	Need    approvals.Need // what its effect and floor ask already

	// Args is the schema of the arguments that are the tool's. The account is
	// not among them: which one it is, is said by "account", whatever the agent
	// wrote.
	Args *jsonschema.Schema
}

func (t Tool) reads() bool { return t.Effect == "reads" }

// variable is one name of a tool's environment: args.to, label.integrity. The
// dot is part of the name, so that a name nobody declared is an error of the
// type checker, and an argument is looked up without an object around it.
type variable struct {
	name   string
	path   []string // within the arguments; nil for what is not an argument
	kind   kind
	values []ref.Val // all it can be, if that is little
}

// kind is a type with its zero value and its way out of JSON.
type kind struct {
	cel  *cel.Type
	zero ref.Val
	read func(json.RawMessage) (ref.Val, error)
}

var (
	text    = kind{cel.StringType, types.String(""), readAs(func(s string) ref.Val { return types.String(s) })}
	truth   = kind{cel.BoolType, types.False, readAs(func(b bool) ref.Val { return types.Bool(b) })}
	whole   = kind{cel.IntType, types.IntZero, readAs(func(n int64) ref.Val { return types.Int(n) })}
	number  = kind{cel.DoubleType, types.Double(0), readAs(func(f float64) ref.Val { return types.Double(f) })}
	texts   = kind{cel.ListType(cel.StringType), types.NewStringList(types.DefaultTypeAdapter, nil), readAs(func(l []string) ref.Val { return types.NewStringList(types.DefaultTypeAdapter, l) })}
	objects = kind{cel.MapType(cel.StringType, cel.DynType), types.NewStringInterfaceMap(types.DefaultTypeAdapter, nil), readAs(func(m map[string]any) ref.Val { return types.NewStringInterfaceMap(types.DefaultTypeAdapter, m) })}
	unknown = kind{cel.DynType, types.NullValue, readAs(func(v any) ref.Val { return types.DefaultTypeAdapter.NativeToValue(v) })}
)

// fixed are the names that are not arguments.
var fixed = []variable{
	{name: "tool.name", kind: text}, {name: "tool.toolset", kind: text}, {name: "tool.effect", kind: text},
	{name: "account", kind: text},
	{name: "label.integrity", kind: text, values: []ref.Val{types.String(authz.Trusted), types.String(authz.Untrusted)}},
	{name: "label.confidentiality", kind: text, values: []ref.Val{types.String(authz.Public), types.String(authz.Private)}},
	{name: "taint", kind: truth, values: []ref.Val{types.False, types.True}},
}

var errForm = errors.New("an argument does not have the form of the schema")

// readAs decodes as the tool's own handler does, into the same Go type. What
// was wrong stays unsaid: it would repeat the argument.
func readAs[T any](make func(T) ref.Val) func(json.RawMessage) (ref.Val, error) {
	return func(raw json.RawMessage) (ref.Val, error) {
		var v T
		if err := json.Unmarshal(raw, &v); err != nil {
			return nil, errForm
		}
		return make(v), nil
	}
}

// variables are all names of a tool, sorted as the schema's are.
func (t Tool) variables() []variable {
	return append(slices.Clone(fixed), arguments(t.Args, "args", nil)...)
}

// arguments flattens a schema: what is within an object is named with its
// path, and what no schema describes can be anything.
func arguments(s *jsonschema.Schema, prefix string, path []string) (out []variable) {
	if s == nil {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		p := s.Properties[name]
		at := append(slices.Clone(path), name)
		if p.Type == "object" && len(p.Properties) > 0 {
			out = append(out, arguments(p, prefix+"."+name, at)...)
			continue
		}
		v := variable{name: prefix + "." + name, path: at, kind: kindOf(p)}
		switch {
		case p.Type == "boolean":
			v.values = []ref.Val{types.False, types.True}
		case p.Type == "string" && len(p.Enum) > 0:
			for _, choice := range p.Enum {
				v.values = append(v.values, types.String(fmt.Sprint(choice)))
			}
			if !slices.Contains(s.Required, name) || len(path) > 0 {
				v.values = append(v.values, text.zero)
			}
		}
		out = append(out, v)
	}
	return out
}

func kindOf(s *jsonschema.Schema) kind {
	switch s.Type {
	case "string":
		return text
	case "boolean":
		return truth
	case "integer":
		return whole
	case "number":
		return number
	case "object":
		return objects
	case "array":
		if s.Items != nil {
			return listOf(kindOf(s.Items))
		}
		return listOf(unknown)
	}
	return unknown
}

func listOf(item kind) kind {
	if item.cel.IsExactType(cel.StringType) {
		return texts
	}
	list := func(items []ref.Val) ref.Val { return types.NewRefValList(types.DefaultTypeAdapter, items) }
	return kind{cel.ListType(item.cel), list(nil), func(raw json.RawMessage) (ref.Val, error) {
		var raws []json.RawMessage
		if err := json.Unmarshal(raw, &raws); err != nil {
			return nil, errForm
		}
		items := make([]ref.Val, len(raws))
		for i, r := range raws {
			var err error
			if items[i], err = item.read(r); err != nil {
				return nil, err
			}
		}
		return list(items), nil
	}}
}

// in finds the argument among those given. What is absent or null is the
// type's zero value, as it is for the handler.
func (v variable) in(args map[string]json.RawMessage) (ref.Val, error) {
	raw := args[v.path[0]]
	for _, name := range v.path[1:] {
		if absent(raw) {
			break
		}
		var inner map[string]json.RawMessage
		if err := json.Unmarshal(raw, &inner); err != nil {
			return nil, errForm
		}
		raw = inner[name]
	}
	if absent(raw) {
		return v.kind.zero, nil
	}
	return v.kind.read(raw)
}

func absent(raw json.RawMessage) bool {
	raw = bytes.Trim(raw, " \t\r\n") // JSON's own white space
	return len(raw) == 0 || string(raw) == "null"
}
