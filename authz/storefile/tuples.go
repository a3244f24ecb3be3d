package storefile

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"deputy/authz"
)

// maxLine bounds one line of a .jsonl file, in bytes.
const maxLine = 1 << 20

// ReadTuples calls each for the tuples of a file, in order: a list in .yaml or
// .json, a tuple a line in .jsonl, or .csv with the columns of the fga tool.
// .jsonl and .csv are read line by line, whatever their size.
func ReadTuples(path string, each func(authz.Tuple) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := readTuples(filepath.Ext(path), f, each); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func readTuples(ext string, r io.Reader, each func(authz.Tuple) error) error {
	switch ext {
	case ".yaml", ".yml", ".json":
		return readList(r, each)
	case ".jsonl":
		return readLines(r, each)
	case ".csv":
		return readCSV(r, each)
	}
	return fmt.Errorf("tuples come in .yaml, .json, .jsonl or .csv, not in %q", ext)
}

// wireTuple is a tuple as files have it.
type wireTuple struct {
	User      string           `yaml:"user" json:"user"`
	Relation  string           `yaml:"relation" json:"relation"`
	Object    string           `yaml:"object" json:"object"`
	Condition *authz.Condition `yaml:"condition" json:"condition"`
}

func (w wireTuple) tuple() authz.Tuple {
	if w.Condition != nil {
		values(w.Condition.Context)
	}
	return authz.Tuple{User: w.User, Relation: w.Relation, Object: authz.Object(w.Object), Condition: w.Condition}
}

func (w wireTuple) check() (authz.Tuple, error) {
	if _, err := authz.ParseTuple(w.User, w.Relation, w.Object); err != nil {
		return authz.Tuple{}, err
	}
	t := w.tuple()
	if t.Condition != nil && t.Condition.Name == "" {
		return t, fmt.Errorf("%s: its condition has no name", t)
	}
	return t, nil
}

func readList(r io.Reader, each func(authz.Tuple) error) error {
	text, err := io.ReadAll(io.LimitReader(r, maxText+1))
	if err == nil && len(text) > maxText {
		err = errors.New("it is larger than 16 MiB: .jsonl and .csv may be")
	}
	if err != nil {
		return err
	}
	var list []wireTuple
	if err := decode(text, &list); err != nil {
		return err
	}
	for i, w := range list {
		t, err := w.check()
		if err == nil {
			err = each(t)
		}
		if err != nil {
			return fmt.Errorf("tuple %d: %w", i+1, err)
		}
	}
	return nil
}

// decode reads YAML, of which JSON is a part, strictly: with the library of the
// fga tool's line, since others read [user:anna] as something else.
func decode(text []byte, into any) (err error) {
	defer func() {
		if p := recover(); p != nil { // the library's, on some malformed input
			err = fmt.Errorf("it is no YAML: %v", p)
		}
	}()
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	err = dec.Decode(into)
	if errors.Is(err, io.EOF) {
		return nil // nothing but comments
	}
	return err
}

// values makes of what YAML takes for a time what JSON would have: its text.
func values(v any) any {
	switch v := v.(type) {
	case time.Time:
		return v.Format(time.RFC3339Nano)
	case map[string]any:
		for name, item := range v {
			v[name] = values(item)
		}
	case []any:
		for i, item := range v {
			v[i] = values(item)
		}
	}
	return v
}

func readLines(r io.Reader, each func(authz.Tuple) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	n := 0
	for lines.Scan() {
		n++
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		dec := json.NewDecoder(bytes.NewReader(line))
		dec.DisallowUnknownFields()
		var w wireTuple
		err := dec.Decode(&w)
		if err == nil && dec.More() {
			err = errors.New("there is something after the tuple")
		}
		var t authz.Tuple
		if err == nil {
			t, err = w.check()
		}
		if err == nil {
			err = each(t)
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return fmt.Errorf("line %d: it is longer than 1 MiB", n+1)
	}
	return lines.Err()
}

// The columns of .csv; the last three may be missing.
var columns = []string{"user_type", "user_id", "relation", "object_type", "object_id", "user_relation", "condition_name", "condition_context"}

func readCSV(r io.Reader, each func(authz.Tuple) error) error {
	in := csv.NewReader(r)
	in.ReuseRecord = true
	head, err := in.Read()
	if err != nil {
		return fmt.Errorf("the first line names the columns %s: %w", strings.Join(columns, ", "), err)
	}
	at := map[string]int{}
	for i, name := range head {
		name = strings.TrimSpace(strings.TrimPrefix(name, "\ufeff"))
		if !slices.Contains(columns, name) {
			return fmt.Errorf("there is no column %q: there are %s", name, strings.Join(columns, ", "))
		}
		at[name] = i
	}
	for _, name := range columns[:5] {
		if _, ok := at[name]; !ok {
			return fmt.Errorf("the column %s is missing", name)
		}
	}
	for {
		record, err := in.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		get := func(name string) string {
			if i, ok := at[name]; ok {
				return record[i]
			}
			return ""
		}
		w := wireTuple{User: get("user_type") + ":" + get("user_id"), Relation: get("relation"), Object: get("object_type") + ":" + get("object_id")}
		if set := get("user_relation"); set != "" {
			w.User += "#" + set
		}
		if name := get("condition_name"); name != "" {
			w.Condition = &authz.Condition{Name: name}
			if c := get("condition_context"); c != "" {
				err = json.Unmarshal([]byte(c), &w.Condition.Context)
			}
		}
		var t authz.Tuple
		if err == nil {
			t, err = w.check()
		}
		if err == nil {
			err = each(t)
		}
		if err != nil {
			line, _ := in.FieldPos(0)
			return fmt.Errorf("line %d: %w", line, err)
		}
	}
}
