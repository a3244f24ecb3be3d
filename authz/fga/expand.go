package fga

import (
	"context"
	"slices"
)

// Tree is how a relation of an object comes about, one step deep: usersets in
// it are named, not followed. One field besides Name is set.
type Tree struct {
	Name         string // object#relation
	Users        []string
	Computed     string // object#relation
	Tupleset     string // object#relation, whose objects have …
	Parents      []string
	Union        []*Tree
	Intersection []*Tree
	Base, Not    *Tree
}

// Expand shows how the query's relation to its object comes about. The query's
// User and Context play no part.
func (e *Engine) Expand(ctx context.Context, q Query) (*Tree, error) {
	if err := e.read(); err != nil {
		return nil, err
	}
	defer e.mu.RUnlock()
	ev := e.evaluation(ctx)
	defer ev.release()
	r, err := e.index.m.target(q.Object, q.Relation)
	if err != nil {
		return nil, err
	}
	if err := ev.lay(q.Contextual); err != nil {
		return nil, err
	}
	x := expander{ev, q.Object, q.Object + "#" + q.Relation}
	return x.tree(e.index.m.relations[r].rewrite), nil
}

type expander struct {
	*evaluation
	object, name string
}

func (x *expander) tree(rw *rewrite) *Tree {
	t := &Tree{Name: x.name}
	switch rw.kind {
	case direct:
		t.Users = x.users(rw.relation)
	case computed:
		t.Computed = x.object + "#" + x.x.m.relations[rw.relation].name
	case tupleToUserset:
		t.Tupleset = x.object + "#" + x.x.m.relations[rw.relation].name
		for _, parent := range x.users(rw.relation) {
			t.Parents = append(t.Parents, parent+"#"+rw.name)
		}
	case union:
		t.Union = x.trees(rw.children)
	case intersection:
		t.Intersection = x.trees(rw.children)
	case exclusion:
		t.Base, t.Not = x.tree(rw.children[0]), x.tree(rw.children[1])
	}
	return t
}

func (x *expander) trees(rws []*rewrite) (out []*Tree) {
	for _, rw := range rws {
		out = append(out, x.tree(rw))
	}
	return out
}

// users are written out, sorted, whatever their conditions.
func (x *expander) users(r uint16) []string {
	typ, id := splitObject(x.object)
	node := x.node(x.x.m.types[typ], id)
	out := []string{}
	add := func(refs []ref, conds []onlyIf) {
		for _, u := range refs {
			out = append(out, x.x.m.text(u, x.evaluation.object))
		}
		for _, c := range conds {
			out = append(out, x.x.m.text(c.ref, x.evaluation.object))
		}
	}
	if node < temporary {
		var one [1]ref
		add(x.x.users(node, r, &one))
	}
	if l := x.over.list(node, r); l != nil {
		add(l.refs, l.conds)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
