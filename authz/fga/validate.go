package fga

import (
	"fmt"
	"maps"
	"slices"
)

// validate refuses what OpenFGA refuses: a slip in a rule must not silently
// deny, or worse, silently not exclude.
func (m *Model) validate() error {
	tupleset := make([]bool, len(m.relations))
	for i := range m.relations {
		m.relations[i].rewrite.walk(func(rw *rewrite) {
			if rw.kind == tupleToUserset {
				tupleset[rw.relation] = true
			}
		})
	}
	for i := range m.relations {
		if err := m.validateRelation(uint16(i), tupleset[i]); err != nil {
			return fmt.Errorf("'%s': %w", m.shapeName(m.usersetShape(uint16(i))), err)
		}
		if !m.enters(uint16(i), m.relations[i].rewrite, trail{}) {
			return fmt.Errorf("'%s': no entrypoints defined: nobody can ever stand in it", m.shapeName(m.usersetShape(uint16(i))))
		}
	}
	if i, cycle := m.computedCycle(); cycle {
		return fmt.Errorf("'%s': it is defined in terms of itself", m.shapeName(m.usersetShape(i)))
	}
	return nil
}

func (m *Model) validateRelation(id uint16, isTupleset bool) (err error) {
	r := &m.relations[id]
	assignable := false
	r.rewrite.walk(func(rw *rewrite) {
		switch rw.kind {
		case direct:
			assignable = true
		case tupleToUserset:
			if m.relations[rw.relation].rewrite.kind != direct {
				err = fmt.Errorf("tupleset '%s' must be a direct relation", m.relations[rw.relation].name)
				return
			}
			found := false
			for _, x := range m.relations[rw.relation].restrictions {
				found = found || rw.targets[m.typeOfShape(x.shape)] != none
			}
			if !found {
				err = fmt.Errorf("'%s' is a relation of no type that '%s' takes", rw.name, m.relations[rw.relation].name)
			}
		}
	})
	switch {
	case err != nil:
		return err
	case assignable && len(r.restrictions) == 0:
		return fmt.Errorf("it is assignable but has no type restrictions")
	case !assignable && len(r.restrictions) > 0:
		return fmt.Errorf("it has type restrictions but is not assignable")
	}
	for _, x := range r.restrictions {
		if isTupleset && x.shape != objectShape(m.typeOfShape(x.shape)) {
			return fmt.Errorf("it is a tupleset and cannot take [%s]", m.shapeName(x.shape))
		}
		if _, ok := m.named[x.condition]; !ok && x.condition != "" && x.condition != inline {
			return fmt.Errorf("condition '%s' is not defined", tidy(x.condition))
		}
	}
	return nil
}

func (m *Model) typeOfShape(s uint32) uint16 {
	if r, ok := m.usersetOf(s); ok {
		return m.relations[r].typ
	}
	return uint16(s / 2)
}

// trail is what a search for an entry point has come by: by type, then
// relation, with whether an entry was found there at once. What it notes for a
// type that it knew before stays noted when it turns back. That makes OpenFGA
// refuse some models that have entry points (two operands that both lead
// through one userset), and so they are refused here: what is a model here is
// one there.
type trail map[uint16]map[uint16]bool

// enters reports whether some object, or everyone of a type, can stand in the
// relation.
func (m *Model) enters(id uint16, rw *rewrite, seen trail) bool {
	r := &m.relations[id]
	known := seen
	seen = maps.Clone(seen)
	if seen[r.typ] == nil {
		seen[r.typ] = map[uint16]bool{}
	}
	seen[r.typ][id] = false
	target := func(t uint16) (found, before bool) {
		found, before = seen[m.relations[t].typ][t]
		return found || !before && m.enters(t, m.relations[t].rewrite, seen), before
	}
	switch rw.kind {
	case direct:
		for _, x := range r.restrictions {
			set, ok := m.usersetOf(x.shape)
			if !ok {
				seen[r.typ][id] = true
				return true
			}
			if found, before := target(set); found && !before {
				return true
			}
		}
		return false
	case computed:
		found, _ := target(rw.relation)
		return found
	case tupleToUserset:
		for _, x := range m.relations[rw.relation].restrictions {
			if t := rw.targets[m.typeOfShape(x.shape)]; t != none {
				if found, _ := target(t); found {
					return true
				}
			}
		}
		return false
	case union:
		return slices.ContainsFunc(rw.children, func(c *rewrite) bool { return m.enters(id, c, known) })
	}
	// An intersection or an exclusion needs all of its operands.
	return !slices.ContainsFunc(rw.children, func(c *rewrite) bool { return !m.enters(id, c, known) })
}

// computedCycle finds a relation that is defined in terms of itself through
// computed relations only: through tuples a cycle is allowed, and ends at
// evaluation.
func (m *Model) computedCycle() (uint16, bool) {
	const entered, left = 1, 2
	state := make([]uint8, len(m.relations))
	var visit func(id uint16) bool
	visit = func(id uint16) (cycle bool) {
		state[id] = entered
		m.relations[id].rewrite.walk(func(rw *rewrite) {
			if rw.kind == computed && state[rw.relation] != left {
				cycle = cycle || state[rw.relation] == entered || visit(rw.relation)
			}
		})
		state[id] = left
		return cycle
	}
	for i := range state {
		if state[i] == 0 && visit(uint16(i)) {
			return uint16(i), true
		}
	}
	return 0, false
}
