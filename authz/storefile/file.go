package storefile

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"go.yaml.in/yaml/v3"

	"deputy/authz"
	"deputy/authz/fga"
)

// File is a store file: a model, tuples, and tests of both.
type File struct {
	Name  string
	Model authz.Model // the built-in one, if the file names none
	Tests []Test

	// Text is the file itself, for sections that others read.
	Text []byte
}

// Test is what is asked of the file's tuples and its own.
type Test struct {
	Name    string
	Tuples  []authz.Tuple
	Checks  []Check
	Objects []Objects
	Users   []Users
}

// Check asks whether User stands in Relation to Object.
type Check struct {
	User, Relation, Object string
	Context                map[string]any
	Want                   bool
}

// Objects asks for all objects of a type that User stands in Relation to.
type Objects struct {
	User, Relation, Type string
	Context              map[string]any
	Want                 []string
}

// Users asks for all users, of one form, that stand in Relation to Object.
type Users struct {
	Object, Relation string
	Filter           fga.UserFilter
	Context          map[string]any
	Want             []string
}

// The file as it is written.
type wireFile struct {
	Name       string      `yaml:"name"`
	Model      string      `yaml:"model"`
	ModelFile  string      `yaml:"model_file"`
	Tuples     []wireTuple `yaml:"tuples"`
	TupleFile  string      `yaml:"tuple_file"`
	TupleFiles []string    `yaml:"tuple_files"`
	Tests      []wireTest  `yaml:"tests"`

	// Sections of deputy's own.
	Rules     any `yaml:"rules"`
	RuleTests any `yaml:"rule_tests"`
}

type wireTest struct {
	Name        string        `yaml:"name"`
	Description string        `yaml:"description"`
	Tuples      []wireTuple   `yaml:"tuples"`
	TupleFile   string        `yaml:"tuple_file"`
	TupleFiles  []string      `yaml:"tuple_files"`
	Check       []wireCheck   `yaml:"check"`
	ListObjects []wireObjects `yaml:"list_objects"`
	ListUsers   []wireUsers   `yaml:"list_users"`
}

type wireCheck struct {
	User       string          `yaml:"user"`
	Users      []string        `yaml:"users"`
	Object     string          `yaml:"object"`
	Objects    []string        `yaml:"objects"`
	Context    map[string]any  `yaml:"context"`
	Assertions map[string]bool `yaml:"assertions"`
}

type wireObjects struct {
	User       string              `yaml:"user"`
	Type       string              `yaml:"type"`
	Context    map[string]any      `yaml:"context"`
	Assertions map[string][]string `yaml:"assertions"`
}

type wireUsers struct {
	Object string `yaml:"object"`
	Filter []struct {
		Type     string `yaml:"type"`
		Relation string `yaml:"relation"`
	} `yaml:"user_filter"`
	Context    map[string]any `yaml:"context"`
	Assertions map[string]struct {
		Users []string `yaml:"users"`
	} `yaml:"assertions"`
}

// Section reads sections of the file that are not OpenFGA's.
func (f *File) Section(into any) error { return yaml.Unmarshal(f.Text, into) }

// Load reads a store file. Files that it names lie relative to it.
func Load(path string) (*File, error) {
	text, err := readText(path)
	if err != nil {
		return nil, err
	}
	f, err := parse(path, []byte(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

func parse(path string, text []byte) (*File, error) {
	var w wireFile
	if err := decode(text, &w); err != nil {
		return nil, err
	}
	f := &File{Name: cmp.Or(w.Name, filepath.Base(path)), Model: authz.Builtin(), Text: text}
	dir := filepath.Dir(path)
	var err error
	switch {
	case w.Model != "" && w.ModelFile != "":
		return nil, errors.New("it has model and model_file: want one of them")
	case w.Model != "":
		f.Model, err = authz.ParseModel(w.Model)
	case w.ModelFile != "":
		f.Model, err = ReadModel(filepath.Join(dir, w.ModelFile))
	}
	if err != nil {
		return nil, err
	}
	all, err := gather(dir, w.Tuples, append(w.TupleFiles, w.TupleFile))
	if err != nil {
		return nil, err
	}
	for i, wt := range w.Tests {
		t := Test{Name: cmp.Or(wt.Name, fmt.Sprintf("test %d", i+1))}
		own, err := gather(dir, wt.Tuples, append(wt.TupleFiles, wt.TupleFile))
		if err == nil {
			t.Tuples = merge(all, own)
			err = wt.questions(&t)
		}
		if err != nil {
			return nil, fmt.Errorf("test %q: %w", t.Name, err)
		}
		f.Tests = append(f.Tests, t)
	}
	return f, nil
}

// gather reads the tuples that stand in the file and in those that it names.
func gather(dir string, inline []wireTuple, files []string) (out []authz.Tuple, err error) {
	for _, w := range inline {
		out = append(out, w.tuple())
	}
	for _, name := range files {
		if name == "" {
			continue
		}
		err = ReadTuples(filepath.Join(dir, name), func(t authz.Tuple) error { out = append(out, t); return nil })
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// merge is a test's tuples: the file's and its own, which may be the same.
func merge(all, own []authz.Tuple) []authz.Tuple {
	out := slices.Concat(all, own)
	slices.SortStableFunc(out, authz.Tuple.Compare)
	return slices.CompactFunc(out, func(a, b authz.Tuple) bool { return a.Compare(b) == 0 })
}

func (w wireTest) questions(t *Test) error {
	for _, c := range w.Check {
		values(c.Context)
		users, objects := either(c.User, c.Users), either(c.Object, c.Objects)
		if len(users) == 0 || len(objects) == 0 {
			return errors.New("a check wants user or users, and object or objects")
		}
		for _, u := range users {
			for _, o := range objects {
				for _, relation := range keys(c.Assertions) {
					t.Checks = append(t.Checks, Check{u, relation, o, c.Context, c.Assertions[relation]})
				}
			}
		}
	}
	for _, l := range w.ListObjects {
		values(l.Context)
		for _, relation := range keys(l.Assertions) {
			t.Objects = append(t.Objects, Objects{l.User, relation, l.Type, l.Context, l.Assertions[relation]})
		}
	}
	for _, l := range w.ListUsers {
		values(l.Context)
		if len(l.Filter) != 1 {
			return errors.New("list_users wants one user_filter")
		}
		for _, relation := range keys(l.Assertions) {
			t.Users = append(t.Users, Users{l.Object, relation, fga.UserFilter{Type: l.Filter[0].Type, Relation: l.Filter[0].Relation}, l.Context, l.Assertions[relation].Users})
		}
	}
	return nil
}

func either(one string, several []string) []string {
	if one != "" {
		return append(slices.Clip(several), one)
	}
	return several
}

func keys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
