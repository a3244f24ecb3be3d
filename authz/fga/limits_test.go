package fga_test

import (
	"fmt"
	"strings"
	"testing"

	"deputy/authz/fga"
)

// A model that is too large says which limit it meets, and is not parsed for
// ever; OpenFGA has the same two limits.
func TestModelsAreBounded(t *testing.T) {
	types := func(n int) string {
		var b strings.Builder
		b.WriteString("model\n  schema 1.1\n")
		for i := range n {
			fmt.Fprintf(&b, "type t%d\n", i)
		}
		return b.String()
	}
	if _, err := fga.ParseModel(types(100)); err != nil {
		t.Errorf("100 types: %v", err)
	}
	if _, err := fga.ParseModel(types(101)); fga.KindOf(err) != fga.InvalidModel || !strings.Contains(err.Error(), "100 types") {
		t.Errorf("101 types: %v", err)
	}
	deep := "model\n  schema 1.1\ntype user\ntype doc\n  relations\n    define a: [user]\n    define b: " + strings.Repeat("(", 40) + "a" + strings.Repeat(" or a)", 40) + "\n"
	if _, err := fga.ParseModel(deep); err != nil {
		t.Errorf("40 brackets: %v", err)
	}
	for name, text := range map[string]string{
		"large": "model\n  schema 1.1\ntype user\n# " + strings.Repeat("x", 300<<10),
		"deep":  strings.Replace(strings.Replace(deep, strings.Repeat("(", 40), strings.Repeat("(", 2000), 1), strings.Repeat(" or a)", 40), strings.Repeat(" or a)", 2000), 1),
	} {
		if _, err := fga.ParseModel(text); fga.KindOf(err) != fga.InvalidModel || !strings.Contains(err.Error(), map[string]string{"large": "256 KiB", "deep": "nested"}[name]) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
