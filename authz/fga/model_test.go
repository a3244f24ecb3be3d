package fga_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"deputy/authz/fga"
	"deputy/internal/store"
)

func TestModelsAreReadInThreeForms(t *testing.T) {
	dsl := "model\n  schema 1.1\ntype user\ntype doc\n  relations\n    define viewer: [user]\n"
	json := `{"schema_version": "1.1", "type_definitions": [{"type": "user"}, {"type": "doc", "relations": {"viewer": {"this": {}}},
		"metadata": {"relations": {"viewer": {"directly_related_user_types": [{"type": "user"}]}}}}]}`
	files := map[string]string{
		"core.fga": "module core\ntype user\n",
		"docs.fga": "module docs\ntype doc\n  relations\n    define viewer: [user]\n",
	}
	var models []*fga.Model
	for _, text := range []string{dsl, json} {
		m, err := fga.ParseModel(text)
		if err != nil {
			t.Fatal(err)
		}
		models = append(models, m)
	}
	read := func(name string) (string, error) {
		if files[name] == "" {
			return "", errors.New("no such file")
		}
		return files[name], nil
	}
	m, err := fga.ParseModules("schema: '1.2'\ncontents:\n  - core.fga\n  - docs.fga\n", read)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range append(models, m) {
		e, err := fga.Open(store.NewMemory(), "t", m)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Write(ctx, fga.Write{Writes: tuples("user:a viewer doc:1")}); err != nil || !ask(t, e, "user:a viewer doc:1") {
			t.Errorf("%v", err)
		}
	}
	if _, err := fga.ParseModules("schema: '1.2'\ncontents:\n  - other.fga\n", read); fga.KindOf(err) != fga.InvalidModel {
		t.Errorf("a missing module: %v", err)
	}
}

func TestModelsAreRefused(t *testing.T) {
	for _, c := range []struct{ body, want string }{
		{"type doc\n  relations\n    define a: b\n    define b: a", ""},
		{"type doc\n  relations\n    define a: [user] or a", ""},
		{"type doc\n  relations\n    define a: [doc#a]", "entrypoints"},
		{"type doc\n  relations\n    define a: [user] or b\n    define b: a", "in terms of itself"},
		{"type doc\n  relations\n    define p: [doc, user:*]\n    define a: [user] or a from p", "tupleset"},
		{"type doc\n  relations\n    define p: [doc] or a\n    define a: [user] or a from p", "direct"},
		{"type doc\n  relations\n    define p: [user]\n    define a: [user] or a from p", "no type"},
		{"type doc\n  relations\n    define a: [user with c]", "condition 'c'"},
		{"type self", "reserved"},
		{"type doc\ntype doc", "doc"},
		{"type doc\n  relations\n    define a: [user with c]\ncondition c(x: int) {\n  x + 1\n}", "bool"},
	} {
		_, err := fga.ParseModel("model\n  schema 1.1\ntype user\n" + c.body + "\n")
		if fga.KindOf(err) != fga.InvalidModel || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.body, err, c.want)
		}
	}
}

// TestConditionsOfEveryType evaluates one expression a type, on the values
// that JSON has for it.
func TestConditionsOfEveryType(t *testing.T) {
	for _, c := range []struct {
		typ, expression string
		yes, no, bad    any
	}{
		{"bool", "v", true, false, "true"},
		{"string", "v == 'a'", "a", "b", 1.0},
		{"int", "v > 5", 6.0, "5", 1.5},
		{"uint", "v > uint(5)", 6.0, "5", -1.0},
		{"double", "v > 0.5", 0.75, "0.25", "much"},
		{"duration", "v > duration('1h')", "90m", "1h", "an hour"},
		{"timestamp", "v.getFullYear() == 2026", "2026-03-01T00:00:00Z", "2025-03-01T00:00:00Z", "today"},
		{"ipaddress", "v.in_cidr('::ffff:10.0.0.0/104')", "10.1.2.3", "::ffff:11.0.0.1", "here"},
		{"ipaddress", "v == ipaddress('10.0.0.1')", "::ffff:10.0.0.1", "10.0.0.2", 10.0},
		{"list<string>", "'a' in v", []any{"b", "a"}, []any{}, []any{1.0}},
		{"map<int>", "v['a'] == 1", map[string]any{"a": 1.0}, map[string]any{"a": "2"}, map[string]any{"a": "x"}},
		{"map<bool>", "v.a", map[string]any{"a": true}, map[string]any{"a": false}, []any{}},
	} {
		e := opened(t, store.NewMemory(), fmt.Sprintf("model\n  schema 1.1\ntype user\ntype doc\n  relations\n    define viewer: [user with c, user with $expression]\ncondition c(v: %s) {\n  %s\n}\n", c.typ, c.expression))
		inline := &fga.Condition{Name: "$expression", Context: map[string]any{"expression": c.expression, "parameters": map[string]any{"v": c.typ}}}
		for user, condition := range map[string]*fga.Condition{"user:named": {Name: "c"}, "user:inline": inline} {
			if err := e.Write(ctx, fga.Write{Writes: []fga.Tuple{{User: user, Relation: "viewer", Object: "doc:1", Condition: condition}}}); err != nil {
				t.Errorf("%s %s: %v", c.typ, c.expression, err)
				continue
			}
			q := fga.Query{User: user, Relation: "viewer", Object: "doc:1", Context: map[string]any{"v": c.yes}}
			if ok, err := e.Check(ctx, q); err != nil || !ok {
				t.Errorf("%s %s: %v: %v, %v", user, c.expression, c.yes, ok, err)
			}
			q.Context = map[string]any{"v": c.no}
			if ok, err := e.Check(ctx, q); err != nil || ok {
				t.Errorf("%s %s: %v: %v, %v", user, c.expression, c.no, ok, err)
			}
			if c.bad != nil {
				q.Context = map[string]any{"v": c.bad}
				if ok, err := e.Check(ctx, q); fga.KindOf(err) != fga.Validation || ok {
					t.Errorf("%s %s: %v: %v, %v", user, c.expression, c.bad, ok, err)
				}
			}
		}
	}
}

// TestAConditionCannotRunAway: what one condition may cost is bounded.
func TestAConditionCannotRunAway(t *testing.T) {
	e := opened(t, store.NewMemory(), "model\n  schema 1.1\ntype user\ntype doc\n  relations\n    define viewer: [user with c]\ncondition c(v: list<int>) {\n  v.all(x, v.all(y, v.all(z, x + y + z >= 0)))\n}\n")
	if err := e.Write(ctx, fga.Write{Writes: []fga.Tuple{{User: "user:a", Relation: "viewer", Object: "doc:1", Condition: &fga.Condition{Name: "c"}}}}); err != nil {
		t.Fatal(err)
	}
	long := make([]any, 1000)
	for i := range long {
		long[i] = math.Abs(float64(i))
	}
	if ok, err := e.Check(ctx, fga.Query{User: "user:a", Relation: "viewer", Object: "doc:1", Context: map[string]any{"v": long}}); ok || fga.KindOf(err) != fga.Validation || !strings.Contains(err.Error(), "cost") {
		t.Errorf("%v, %v", ok, err)
	}
}

// TestTupleForms compares what is a tuple with the plain words of the rule.
func TestTupleForms(t *testing.T) {
	m, err := fga.ParseModel("model\n  schema 1.1\ntype t\n  relations\n    define r: [t, t:*, t#r]\n")
	if err != nil {
		t.Fatal(err)
	}
	plain := func(id string) bool {
		return id != "" && !strings.ContainsAny(id, ":# \x00\x1f\x7f\u0085")
	}
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.StringOf(rapid.SampledFrom([]rune("ab*/@é☃:# \x00\x7f\u0085\u00a0"))).Draw(t, "id")
		for _, c := range []struct {
			tuple fga.Tuple
			want  bool
		}{
			{fga.Tuple{User: "t:" + id, Relation: "r", Object: "t:x"}, plain(id)},
			{fga.Tuple{User: "t:" + id + "#r", Relation: "r", Object: "t:x"}, plain(id) && !strings.Contains(id, "*")},
			{fga.Tuple{User: "t:x", Relation: "r", Object: "t:" + id}, plain(id) && id != "*"},
		} {
			if err := m.CheckTuple(c.tuple); (err == nil) != c.want {
				t.Errorf("%q: %v", c.tuple, err)
			}
		}
	})
}
