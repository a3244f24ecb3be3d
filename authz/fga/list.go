package fga

import (
	"context"
	"fmt"
	"slices"
)

// ListObjects finds the objects of a type that the query's user stands in the
// relation to; the query's Object is the type. Objects are in no particular
// order. A limit of 0 is none.
//
// Where the evaluation of one object fails, the others are still found; the
// error comes back unless the limit was reached without it.
func (e *Engine) ListObjects(ctx context.Context, q Query, limit int) ([]string, error) {
	if err := e.read(); err != nil {
		return nil, err
	}
	defer e.mu.RUnlock()
	ev := e.evaluation(ctx)
	defer ev.release()
	t, r, err := e.index.m.lookup(q.Object, q.Relation)
	if err != nil {
		return nil, err
	}
	if err := ev.begin(q.User, q.Context); err != nil {
		return nil, err
	}
	if err := ev.lay(q.Contextual); err != nil {
		return nil, err
	}
	ev.ask(q.User)
	ev.lazy = true
	var out []string
	var failure error
	try := func(node uint32) bool {
		ok, err := ev.check(node, r)
		if err != nil {
			failure = err
		}
		if ok {
			out = append(out, ev.object(t, node))
		}
		return ctx.Err() == nil && (limit == 0 || len(out) < limit)
	}
	if !e.index.m.reaches(r, ev.shape) {
		return nil, nil
	}
	e.index.types[t].each(try)
	for i, object := range ev.over.objects {
		if object.t == t && (limit == 0 || len(out) < limit) {
			try(temporary + uint32(i))
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if limit > 0 && len(out) == limit {
		return out, nil
	}
	return out, failure
}

// lookup finds a type and a relation of it by name.
func (m *Model) lookup(typ, relation string) (t, r uint16, err error) {
	t, ok := m.types[typ]
	if !ok {
		return 0, 0, fail(TypeNotFound, fmt.Errorf("the model has no type %q", typ))
	}
	if r, ok = m.relation(t, relation); !ok {
		return 0, 0, fail(RelationNotFound, fmt.Errorf("type %s has no relation %q", typ, relation))
	}
	return t, r, nil
}

// UserFilter says which users ListUsers looks for: objects of a type and
// everyone of it, or usersets of a relation.
type UserFilter struct{ Type, Relation string }

// ListUsers finds the users, of the kind that the filter names, that stand in
// the query's relation to its object. Everyone of a type is found as such;
// those of them who are also named by a tuple are found by name too.
func (e *Engine) ListUsers(ctx context.Context, q Query, filter UserFilter) ([]string, error) {
	if err := e.read(); err != nil {
		return nil, err
	}
	defer e.mu.RUnlock()
	ev := e.evaluation(ctx)
	defer ev.release()
	m := e.index.m
	_, r, err := m.lookup(typeOf(q.Object), q.Relation)
	if err == nil {
		err = fail(Validation, m.checkTarget(q.Object, q.Relation))
	}
	if err != nil {
		return nil, err
	}
	t, ok := m.types[filter.Type]
	if !ok {
		return nil, fail(TypeNotFound, fmt.Errorf("the model has no type %q", filter.Type))
	}
	c := &collector{evaluation: ev, seen: map[uint64]bool{}, found: map[ref]bool{}, shapes: []uint32{objectShape(t), wildcardShape(t)}}
	if filter.Relation != "" {
		_, fr, err := m.lookup(filter.Type, filter.Relation)
		if err != nil {
			return nil, err
		}
		c.shapes = []uint32{m.usersetShape(fr)}
	}
	if ev.request, err = plain(q.Context); err != nil {
		return nil, fail(Validation, fmt.Errorf("invalid context: %w", err))
	}
	if err := ev.lay(q.Contextual); err != nil {
		return nil, err
	}
	ev.forget()
	typ, id := splitObject(q.Object)
	node := ev.node(m.types[typ], id)
	if err := c.collect(node, r); err != nil {
		return nil, err
	}
	var out []string
	for _, candidate := range c.sorted() {
		user := m.text(candidate, ev.object)
		ev.ask(user)
		ok, err := ev.check(node, r)
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, user)
		}
	}
	return out, nil
}

// collector walks every tuple that has to do with one object and relation,
// whatever the operators above it say, and notes the users it meets. Whether
// they stand in the relation is then asked of each.
type collector struct {
	*evaluation
	shapes []uint32
	seen   map[uint64]bool
	found  map[ref]bool
	queue  []visit // breadth first, so that a depth is the least that there is
}

type visit struct {
	node  uint32
	r     uint16
	depth int
}

func (c *collector) sorted() []ref {
	out := make([]ref, 0, len(c.found))
	for r := range c.found {
		out = append(out, r)
	}
	slices.Sort(out)
	return out
}

func (c *collector) reaches(r uint16) bool {
	return slices.ContainsFunc(c.shapes, c.x.m.relations[r].reach.has)
}

func (c *collector) collect(node uint32, r uint16) error {
	if err := c.push(node, r, 0); err != nil {
		return err
	}
	for len(c.queue) > 0 {
		v := c.queue[0]
		c.queue = c.queue[1:]
		if err := c.visit(v); err != nil {
			return err
		}
	}
	return nil
}

func (c *collector) push(node uint32, r uint16, depth int) error {
	if !c.reaches(r) || c.seen[place(node, r)] {
		return nil
	}
	if depth >= maxDepth {
		return errTooDeep
	}
	c.seen[place(node, r)] = true
	c.queue = append(c.queue, visit{node, r, depth})
	return nil
}

func (c *collector) visit(v visit) error {
	rel := &c.x.m.relations[v.r]
	if slices.Contains(c.shapes, c.x.m.usersetShape(v.r)) {
		c.found[usersetRef(v.node, v.r)] = true
	}
	var err error
	rel.rewrite.walk(func(rw *rewrite) {
		if err != nil {
			return
		}
		switch rw.kind {
		case direct:
			err = c.each(v.node, v.r, func(u ref) error {
				if u >= userset {
					return c.push(u.node(), u.relation(), v.depth+1)
				}
				s := wildcardShape(u.typ())
				if u < everyone {
					s = objectShape(u.typ())
				}
				if slices.Contains(c.shapes, s) {
					c.found[u] = true
				}
				return nil
			})
		case computed:
			err = c.push(v.node, rw.relation, v.depth)
		case tupleToUserset:
			err = c.each(v.node, rw.relation, func(parent ref) error {
				if target := rw.targets[parent.typ()]; target != none {
					return c.push(parent.node(), target, v.depth+1)
				}
				return nil
			})
		}
	})
	return err
}

// each calls fn for the users whose condition is met.
func (c *collector) each(node uint32, r uint16, fn func(ref) error) error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	one := func(refs []ref, conds []onlyIf) error {
		for _, u := range refs {
			if err := fn(u); err != nil {
				return err
			}
		}
		for _, cond := range conds {
			ok, err := cond.met(c.ctx, c.request)
			if err != nil {
				return err
			}
			if ok {
				if err := fn(cond.ref); err != nil {
					return err
				}
			}
		}
		return nil
	}
	if node < temporary {
		var buf [1]ref
		refs, conds := c.x.users(node, r, &buf)
		if err := one(refs, conds); err != nil {
			return err
		}
	}
	if l := c.over.list(node, r); l != nil {
		return one(l.refs, l.conds)
	}
	return nil
}
