package tools

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"
)

// maxArguments bounds one call's arguments.
const maxArguments = 1 << 20

// maxKey bounds an idempotency key.
const maxKey = 200

// InputError says which argument is wrong and why. Its text is for the model.
type InputError struct{ Field, Why string }

func (e *InputError) Error() string {
	if e.Field == "" {
		return e.Why
	}
	return e.Field + ": " + e.Why
}

// BadInput is for handlers: an argument that is well-formed and still wrong.
func BadInput(field, why string) error { return &InputError{field, why} }

// check reads arguments strictly: one JSON object, no field twice, none that
// the schema does not know, none missing, each of its type and in its bounds.
// It returns them one by one.
func (in input) check(raw json.RawMessage) (map[string]json.RawMessage, error) {
	if len(raw) > maxArguments {
		return nil, &InputError{"", fmt.Sprintf("the arguments are longer than %d bytes", maxArguments)}
	}
	args, err := members(raw)
	if err != nil {
		return nil, err
	}
	if key := text(args["idempotency_key"]); len(key) > maxKey {
		return nil, &InputError{"idempotency_key", fmt.Sprintf("is longer than %d bytes", maxKey)}
	}
	for name, value := range args {
		s := in.schema.Properties[name]
		if s == nil {
			return nil, &InputError{name, "unknown argument; there are " + strings.Join(slices.Sorted(maps.Keys(in.schema.Properties)), ", ")}
		}
		if string(value) == "null" {
			delete(args, name)
			continue
		}
		if err := fits(name, value, s); err != nil {
			return nil, err
		}
	}
	for _, name := range in.schema.Required {
		if _, ok := args[name]; !ok {
			return nil, &InputError{name, "is required"}
		}
	}
	return args, nil
}

// members splits a JSON object without losing a repeated name, as a map would.
func members(raw json.RawMessage) (map[string]json.RawMessage, error) {
	args := map[string]json.RawMessage{}
	if len(bytes.TrimSpace(raw)) == 0 || string(raw) == "null" {
		return args, nil
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	if tok, err := dec.Token(); err != nil || tok != json.Delim('{') {
		return nil, &InputError{"", "the arguments must be a JSON object"}
	}
	for dec.More() {
		key, err := dec.Token()
		name, ok := key.(string)
		if err != nil || !ok {
			return nil, &InputError{"", "the arguments are not valid JSON"}
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, &InputError{name, "is not valid JSON"}
		}
		if _, twice := args[name]; twice {
			return nil, &InputError{name, "is given twice"}
		}
		args[name] = value
	}
	if _, err := dec.Token(); err != nil {
		return nil, &InputError{"", "the arguments are not valid JSON"}
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, &InputError{"", "there is something after the arguments"}
	}
	return args, nil
}

// fits checks a value against the few schema words our inputs use.
func fits(name string, raw json.RawMessage, s *jsonschema.Schema) error {
	var v any
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		return &InputError{name, "is not valid JSON"}
	}
	want := func(what string) error { return &InputError{name, "must be " + what} }
	switch s.Type {
	case "string":
		text, ok := v.(string)
		if !ok {
			return want("a string")
		}
		if len(s.Enum) > 0 && !slices.Contains(s.Enum, any(text)) {
			return want("one of " + strings.Trim(fmt.Sprint(s.Enum), "[]"))
		}
	case "boolean":
		if _, ok := v.(bool); !ok {
			return want("true or false")
		}
	case "integer":
		num, ok := v.(json.Number)
		n, err := num.Int64()
		if !ok || err != nil {
			return want("a whole number")
		}
		if s.Minimum != nil && float64(n) < *s.Minimum {
			return want(fmt.Sprintf("at least %v", *s.Minimum))
		}
		if s.Maximum != nil && float64(n) > *s.Maximum {
			return want(fmt.Sprintf("at most %v", *s.Maximum))
		}
	case "array":
		if _, ok := v.([]any); !ok {
			return want("an array of strings")
		}
		var items []json.RawMessage
		if err := json.Unmarshal(raw, &items); err != nil {
			return want("an array of strings")
		}
		for i, item := range items {
			if err := fits(fmt.Sprintf("%s[%d]", name, i), item, s.Items); err != nil {
				return err
			}
		}
	}
	return nil
}

// decodeInput fills the handler's struct from arguments that check passed.
func decodeInput[In any](raw json.RawMessage) (In, error) {
	var in In
	if len(raw) == 0 {
		return in, nil
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		return in, &InputError{"", "the arguments do not fit"}
	}
	return in, nil
}
