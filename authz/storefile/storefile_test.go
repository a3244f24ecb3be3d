package storefile_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"deputy/authz"
	"deputy/authz/storefile"
)

var ctx = context.Background()

func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Every recipe in the documentation holds.
func TestRecipes(t *testing.T) {
	all, err := filepath.Glob("../../docs/recipes/*.fga.yaml")
	if err != nil || len(all) < 7 {
		t.Fatalf("%d recipes, %v", len(all), err)
	}
	for _, path := range all {
		f, err := storefile.Load(path)
		if err != nil {
			t.Error(err)
			continue
		}
		r, err := f.Run(ctx)
		if err != nil {
			t.Errorf("%s: %v", path, err)
		}
		for _, bad := range r.Failures {
			t.Errorf("%s: %s: %s\n%s", path, bad.Test, bad.Says, bad.Why)
		}
		if r.Passed == 0 {
			t.Errorf("%s: nothing was tested", path)
		}
	}
}

const small = `model: |
  model
    schema 1.1
  type user
  type doc
    relations
      define editor: [user, user with soon]
      define viewer: [user, user:*] or editor
  condition soon(now: timestamp, end: timestamp) {
    now < end
  }
tuples:
  - {user: user:anna, relation: editor, object: doc:1}
  - {user: user:bo, relation: editor, object: doc:1, condition: {name: soon, context: {end: "2026-01-01T00:00:00Z"}}}
tests:
  - tuples: [{user: "user:*", relation: viewer, object: "doc:2"}, {user: user:anna, relation: editor, object: doc:1}]
    check:
      - users: [user:anna, user:bo]
        objects: [doc:1, doc:2]
        context: {now: "2025-12-31T00:00:00Z"}
        assertions: {viewer: true}
      - user: user:bo
        object: doc:1
        context: {now: 2026-12-31T00:00:00Z}
        assertions: {viewer: false, editor: false}
    list_objects:
      - {user: user:anna, type: doc, assertions: {viewer: [doc:2, doc:1], editor: [doc:1]}, context: {now: "2026-12-31T00:00:00Z"}}
    list_users:
      - {object: doc:1, user_filter: [{type: user}], assertions: {viewer: {users: [user:anna]}}, context: {now: "2026-12-31T00:00:00Z"}}
`

func TestRun(t *testing.T) {
	f, err := storefile.Load(file(t, "a.fga.yaml", small))
	if err != nil {
		t.Fatal(err)
	}
	r, err := f.Run(ctx)
	if err != nil || r.Passed != 9 || len(r.Failures) != 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	wrong := strings.NewReplacer("assertions: {viewer: true}", "assertions: {viewer: false}", "[doc:2, doc:1]", "[doc:3]", "users: [user:anna]}}", "users: [user:zoe]}}").Replace(small)
	if f, err = storefile.Load(file(t, "a.fga.yaml", wrong)); err != nil {
		t.Fatal(err)
	}
	r, err = f.Run(ctx)
	if err != nil || r.Passed != 3 || len(r.Failures) != 6 {
		t.Fatalf("%+v, %v", r, err)
	}
	if got := r.Failures[0]; got.Test != "test 1" || got.Says != "check user:anna viewer doc:1: want false, got true" || !strings.Contains(got.Why, "tuple: user:anna editor doc:1") {
		t.Errorf("%+v", got)
	}
	missing := strings.Replace(small, `{now: "2025-12-31T00:00:00Z"}`, "{}", 1)
	if f, err = storefile.Load(file(t, "a.fga.yaml", missing)); err != nil {
		t.Fatal(err)
	}
	r, err = f.Run(ctx)
	if err != nil || len(r.Failures) != 1 || !strings.Contains(r.Failures[0].Says, "missing context parameters: now") {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestMistakesAreNamed(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"unknown key":    {"testz: []", "testz"},
		"bad model":      {"model: nonsense", "authorization model"},
		"two models":     {"model: x\nmodel_file: y", "model and model_file"},
		"missing file":   {"tuple_file: nowhere.yaml", "nowhere.yaml"},
		"empty check":    {"tests: [{name: x, check: [{user: user:a, assertions: {can_view: true}}]}]", `test "x"`},
		"no user_filter": {"tests: [{list_users: [{object: doc:1}]}]", "user_filter"},
		"not yaml":       {"tests: [", "line 1"},
		"no list":        {"tuples: 7", "line 1"},
	} {
		_, err := storefile.Load(file(t, "a.fga.yaml", c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "a.fga.yaml") {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	f, err := storefile.Load(file(t, "a.fga.yaml", "tests: [{name: x, tuples: [{user: spaceship:1, relation: owner, object: account:a}]}]"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Run(ctx); err == nil || !strings.Contains(err.Error(), "spaceship") {
		t.Errorf("a tuple that the model has no place for: %v", err)
	}
}

func TestTupleFiles(t *testing.T) {
	want := []authz.Tuple{
		{User: "group:eng#member", Relation: "viewer", Object: "doc:1"},
		{User: "user:*", Relation: "viewer", Object: "doc:2", Condition: &authz.Condition{Name: "soon", Context: map[string]any{"end": "x"}}},
	}
	for name, text := range map[string]string{
		"t.yaml":  "- {user: 'group:eng#member', relation: viewer, object: doc:1}\n- {user: 'user:*', relation: viewer, object: doc:2, condition: {name: soon, context: {end: x}}}\n",
		"t.json":  `[{"user":"group:eng#member","relation":"viewer","object":"doc:1"},{"user":"user:*","relation":"viewer","object":"doc:2","condition":{"name":"soon","context":{"end":"x"}}}]`,
		"t.jsonl": `{"user":"group:eng#member","relation":"viewer","object":"doc:1"}` + "\n\n" + `{"user":"user:*","relation":"viewer","object":"doc:2","condition":{"name":"soon","context":{"end":"x"}}}`,
		"t.csv":   "user_type,user_id,user_relation,relation,object_type,object_id,condition_name,condition_context\ngroup,eng,member,viewer,doc,1,,\nuser,*,,viewer,doc,2,soon,\"{\"\"end\"\":\"\"x\"\"}\"\n",
	} {
		var got []authz.Tuple
		if err := storefile.ReadTuples(file(t, name, text), func(t authz.Tuple) error { got = append(got, t); return nil }); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	for name, text := range map[string]string{
		"tuple 2":                "- {user: user:a, relation: b, object: c:d}\n- {user: a, relation: b, object: c:d}", // .yaml
		"line 2":                 "user_type,user_id,relation,object_type,object_id\nuser,,r,o,1\n",
		"no column \"usertype\"": "usertype\n",
		"is missing":             "user_type,user_id,relation,object_type\n",
	} {
		ext := ".csv"
		if strings.HasPrefix(text, "-") {
			ext = ".yaml"
		}
		err := storefile.ReadTuples(file(t, "t"+ext, text), func(authz.Tuple) error { return nil })
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v, want %q", err, name)
		}
	}
	for ext, text := range map[string]string{".jsonl": `{"user":"user:a","relation":"b","object":"c:d"} {}`, ".txt": "", ".json": `[{"user":"user:a","relation":"b","object":"c:d","because":"x"}]`} {
		if err := storefile.ReadTuples(file(t, "t"+ext, text), func(authz.Tuple) error { return nil }); err == nil {
			t.Errorf("%s was read", ext)
		}
	}
}

func TestModularModel(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("fga.mod", "schema: '1.2'\ncontents:\n  - core.fga\n  - wiki.fga\n")
	write("core.fga", "module core\ntype user\ntype org\n  relations\n    define member: [user]\n")
	write("wiki.fga", "module wiki\nextend type org\n  relations\n    define writer: member\ntype page\n  relations\n    define org: [org]\n    define can_view: writer from org\n")
	write("t.fga.yaml", "model_file: fga.mod\ntuples: [{user: user:a, relation: member, object: org:o}, {user: org:o, relation: org, object: page:p}]\ntests: [{check: [{user: user:a, object: page:p, assertions: {can_view: true}}]}]\n")
	f, err := storefile.Load(filepath.Join(dir, "t.fga.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if r, err := f.Run(ctx); err != nil || r.Passed != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	m, err := storefile.ReadModel(filepath.Join(dir, "fga.mod"))
	if err != nil || m.Version() != f.Model.Version() {
		t.Errorf("two readings of one model have two versions: %v", err)
	}
	write("fga.mod", "schema: '1.2'\ncontents:\n  - ../core.fga\n")
	if _, err := storefile.ReadModel(filepath.Join(dir, "fga.mod")); err == nil {
		t.Error("a module above its fga.mod was read")
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(small))
	f.Add([]byte("tests: [{check: [{users: [a], objects: [b], assertions: {c: true}}]}]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		path := file(t, "a.fga.yaml", string(text))
		s, err := storefile.Load(path)
		if err != nil {
			return
		}
		_, _ = s.Run(ctx)
	})
}

func FuzzReadTuples(f *testing.F) {
	f.Add("t.csv", []byte("user_type,user_id,relation,object_type,object_id\nuser,a,r,o,1\n"))
	f.Add("t.jsonl", []byte(`{"user":"user:a","relation":"b","object":"c:d"}`))
	f.Add("t.yaml", []byte("- {user: user:a, relation: b, object: c:d}"))
	f.Fuzz(func(t *testing.T, name string, text []byte) {
		ext := filepath.Ext(name)
		path := filepath.Join(t.TempDir(), "t"+strings.Map(func(r rune) rune {
			if r < 'a' || r > 'z' {
				return '.'
			}
			return r
		}, ext))
		if os.WriteFile(path, text, 0o600) != nil {
			return
		}
		_ = storefile.ReadTuples(path, func(tuple authz.Tuple) error {
			if _, err := authz.ParseTuple(tuple.User, tuple.Relation, string(tuple.Object)); err != nil {
				t.Errorf("%v was read and is no tuple: %v", tuple, err)
			}
			return nil
		})
	})
}
