package tools

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"
)

// Page is embedded in the input of a tool that lists.
type Page struct {
	Cursor string `json:"cursor,omitempty" jsonschema:"next_cursor of the last answer." audit:"plain"`
	Limit  int    `json:"limit,omitempty" min:"1" max:"100" audit:"plain"`
}

// Size is the limit the caller asked for, or def.
func (p Page) Size(def int) int {
	if p.Limit == 0 {
		return def
	}
	return p.Limit
}

const (
	accountDoc = "One of accounts_list, if several."
	keyDoc     = "Calls with the same key are done once."
)

// input is a tool's argument schema with what strict decoding needs.
type input struct {
	schema *jsonschema.Schema
	json   json.RawMessage
	plain  map[string]bool // fields the audit log may show
}

// use is what a tool is for: reading and writing name an account, deputy's own
// tools do not.
type use int

const (
	owns use = iota
	reads
	writes
)

// inputOf derives the schema from the struct: required fields, descriptions
// (jsonschema:"…"), bounds (min, max) and choices (enum), no extra properties.
func inputOf[In any](use use) input {
	s, err := jsonschema.For[In](nil)
	if err != nil {
		panic(fmt.Sprintf("tools: %T: %v", *new(In), err))
	}
	in := input{schema: s, plain: map[string]bool{"account": true}}
	if s.Properties == nil {
		s.Properties = map[string]*jsonschema.Schema{}
	}
	in.tags(reflect.TypeFor[In]())
	if use != owns {
		s.Properties["account"] = &jsonschema.Schema{Type: "string", Description: accountDoc}
	}
	if use == writes {
		s.Properties["idempotency_key"] = &jsonschema.Schema{Type: "string", Description: keyDoc}
	}
	s.PropertyOrder = nil
	in.json = mustMarshal(s)
	return in
}

func (in *input) tags(t reflect.Type) {
	for f := range t.Fields() {
		if f.Anonymous {
			in.tags(f.Type)
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		p := in.schema.Properties[name]
		if p == nil {
			panic(fmt.Sprintf("tools: %v.%s has no json name", t, f.Name))
		}
		if len(p.Types) == 2 && p.Types[0] == "null" { // slices: null is not an array here
			p.Type, p.Types = p.Types[1], nil
		}
		in.plain[name] = f.Tag.Get("audit") == "plain"
		p.Minimum, p.Maximum = bound(f.Tag.Get("min")), bound(f.Tag.Get("max"))
		for choice := range strings.SplitSeq(f.Tag.Get("enum"), ",") {
			if choice != "" {
				p.Enum = append(p.Enum, choice)
			}
		}
	}
}

func bound(tag string) *float64 {
	if tag == "" {
		return nil
	}
	v, err := strconv.ParseFloat(tag, 64)
	if err != nil {
		panic("tools: bad bound " + tag)
	}
	return &v
}

// The output schemas say what is a tool's own. What every tool may answer
// instead (a status with its reason, what has to be connected or approved) is
// in all of them alike, so it is left out: a schema without
// additionalProperties allows it, and repeating it would cost each session more
// than the tools' own parts. Nothing can be required, because an answer has one
// or the other.
func schemaOfFound[R Resource]() json.RawMessage {
	return outcomeSchema(map[string]*jsonschema.Schema{
		"items":       {Type: "array", Items: resultSchema[R]()},
		"next_cursor": {Type: "string"},
	})
}

func schemaOfDone[R Resource]() json.RawMessage {
	return outcomeSchema(map[string]*jsonschema.Schema{"status": {Type: "string"}, "result": resultSchema[R]()})
}

func outcomeSchema(props map[string]*jsonschema.Schema) json.RawMessage {
	return mustMarshal(&jsonschema.Schema{Type: "object", Properties: props})
}

func resultSchema[R Resource]() *jsonschema.Schema {
	s, err := jsonschema.For[R](nil)
	if err != nil {
		panic(fmt.Sprintf("tools: %T: %v", *new(R), err))
	}
	relax(s)
	return s
}

// relax drops what a reader of answers does not need and every byte of which
// costs each session: descriptions stay, the rest of the ceremony goes.
func relax(s *jsonschema.Schema) {
	s.AdditionalProperties, s.PropertyOrder, s.Required = nil, nil, nil
	if len(s.Types) == 2 && s.Types[0] == "null" {
		s.Type, s.Types = s.Types[1], nil
	}
	for _, p := range s.Properties {
		relax(p)
	}
	if s.Items != nil {
		relax(s.Items)
	}
}

func mustMarshal(v any) json.RawMessage {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return data
}
