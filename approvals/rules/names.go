package rules

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/cel-go/common/ast"
)

// roots are the first words of all names.
var roots = []string{"tool", "args", "account", "label", "taint"}

// nouns of CEL itself: types can be compared.
var nouns = []string{"bool", "bytes", "double", "dyn", "int", "list", "map", "null_type", "string", "type", "uint"}

// reader collects the names a condition uses.
type reader struct {
	names map[string]bool // args.to, taint, label.integrity
	err   error
}

// namesIn returns the names, sorted, or why the condition is not one of ours.
func namesIn(e ast.Expr) ([]string, error) {
	r := reader{names: map[string]bool{}}
	r.walk(e, nil)
	return slices.Sorted(maps.Keys(r.names)), r.err
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
}

// walk visits e; own are the names that macros around it bind.
func (r *reader) walk(e ast.Expr, own []string) {
	all := func(es ...ast.Expr) {
		for _, x := range es {
			r.walk(x, own)
		}
	}
	switch e.Kind() {
	case ast.IdentKind, ast.SelectKind:
		r.name(e, own)
	case ast.CallKind:
		if args := e.AsCall().Args(); e.AsCall().FunctionName() == "matches" && len(args) > 0 && args[len(args)-1].Kind() != ast.LiteralKind {
			r.fail("the pattern of matches has to be written out: one that comes with a call could be anything")
		}
		if e.AsCall().IsMemberFunction() {
			all(e.AsCall().Target())
		}
		all(e.AsCall().Args()...)
	case ast.ListKind:
		all(e.AsList().Elements()...)
	case ast.MapKind:
		for _, entry := range e.AsMap().Entries() {
			all(entry.AsMapEntry().Key(), entry.AsMapEntry().Value())
		}
	case ast.StructKind:
		r.fail("there are no messages here: write no %s{…}", e.AsStruct().TypeName())
	case ast.ComprehensionKind:
		c := e.AsComprehension()
		for _, v := range []string{c.IterVar(), c.IterVar2()} {
			if slices.Contains(roots, v) {
				r.fail("%q means something already: call the macro's variable otherwise", v)
			}
		}
		all(c.IterRange(), c.AccuInit())
		own = append(own[:len(own):len(own)], c.IterVar(), c.IterVar2(), c.AccuVar())
		all(c.LoopCondition(), c.LoopStep(), c.Result())
	}
}

// name reads a.b.c, or what stands before the dots if that is no name.
func (r *reader) name(e ast.Expr, own []string) {
	var parts []string
	for e.Kind() == ast.SelectKind {
		s := e.AsSelect()
		if s.IsTestOnly() {
			r.fail("has(…) is not needed: an argument that is not given is \"\", 0, false or []")
		}
		parts = append(parts, s.FieldName())
		e = s.Operand()
	}
	if e.Kind() != ast.IdentKind {
		r.walk(e, own)
		return
	}
	root := e.AsIdent()
	switch {
	case slices.Contains(own, root), slices.Contains(nouns, root):
	case !slices.Contains(roots, root):
		r.fail("there is no %q%s", root, nearest(root, roots))
	default:
		slices.Reverse(parts)
		r.names[strings.Join(append([]string{root}, parts...), ".")] = true
	}
}

// known finds the variable that a name begins with: args.meta.x is args.meta if
// that can be anything.
func known(name string, all []variable) (variable, bool) {
	for _, v := range all {
		if v.name == name || strings.HasPrefix(name, v.name+".") && (v.kind.cel == objects.cel || v.kind.cel == unknown.cel) {
			return v, true
		}
	}
	return variable{}, false
}

// nearest is a hint: the up to three names that look most like name, or all of
// a few.
func nearest(name string, all []string) string {
	all = slices.Compact(slices.Sorted(slices.Values(all)))
	if len(all) == 0 {
		return ""
	}
	slices.SortStableFunc(all, func(a, b string) int { return distance(name, a) - distance(name, b) })
	return ": nearest are " + strings.Join(all[:min(3, len(all))], ", ")
}

// distance counts the letters to change, add or leave out.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := before
			if a[i] != b[j] {
				change++
			}
			before, row[j+1] = row[j+1], min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
