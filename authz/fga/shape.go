package fga

import (
	"fmt"
	"strings"

	openfgav1 "github.com/openfga/api/proto/openfga/v1"
)

// A shape numbers what a user can look like: an object of a type, everyone of
// a type, or a userset of a relation. Types come first, two numbers each.
const noShape = ^uint32(0)

func objectShape(t uint16) uint32             { return 2 * uint32(t) }
func wildcardShape(t uint16) uint32           { return 2*uint32(t) + 1 }
func (m *Model) usersetShape(r uint16) uint32 { return 2*uint32(len(m.typeNames)) + uint32(r) }

// shape is the shape of a well-formed user, or noShape if the model lacks it.
func (m *Model) shape(user string) uint32 {
	object, rel := splitUser(user)
	t, ok := m.types[typeOf(object)]
	if !ok {
		return noShape
	}
	if rel == "" {
		if isWildcard(user) {
			return wildcardShape(t)
		}
		return objectShape(t)
	}
	r, ok := m.relation(t, rel)
	if !ok {
		return noShape
	}
	return m.usersetShape(r)
}

func (m *Model) shapeName(s uint32) string {
	switch types := 2 * uint32(len(m.typeNames)); {
	case s == noShape:
		return "?"
	case s >= types:
		r := m.relations[s-types]
		return m.typeNames[r.typ] + "#" + r.name
	case s%2 == 1:
		return m.typeNames[s/2] + ":*"
	default:
		return m.typeNames[s/2]
	}
}

func (m *Model) shapeOf(ref *openfgav1.RelationReference) (uint32, error) {
	t, ok := m.types[ref.GetType()]
	if !ok {
		return 0, fmt.Errorf("type '%s' is not defined", ref.GetType())
	}
	switch {
	case ref.GetRelationOrWildcard() == nil:
		return objectShape(t), nil
	case ref.GetWildcard() != nil:
		return wildcardShape(t), nil
	}
	r, ok := m.relation(t, ref.GetRelation())
	if !ok {
		return 0, fmt.Errorf("relation '%s#%s' is not defined", ref.GetType(), ref.GetRelation())
	}
	return m.usersetShape(r), nil
}

// bits is a set of shapes.
type bits []uint64

func (b bits) has(i uint32) bool { return b[i/64]&(1<<(i%64)) != 0 }
func (b bits) add(i uint32)      { b[i/64] |= 1 << (i % 64) }

func (b bits) addAll(c bits) (grew bool) {
	for i := range b {
		if n := b[i] | c[i]; n != b[i] {
			b[i], grew = n, true
		}
	}
	return grew
}

// findReach finds, for each relation, the shapes of users that could ever
// stand in it, so that a question without an answer costs nothing.
func (m *Model) findReach() {
	n := (2*len(m.typeNames) + len(m.relations) + 63) / 64
	for i := range m.relations {
		m.relations[i].reach = make(bits, n)
		m.relations[i].reach.add(m.usersetShape(uint16(i)))
	}
	for grew := true; grew; {
		grew = false
		for i := range m.relations {
			r := &m.relations[i]
			r.rewrite.walk(func(rw *rewrite) {
				switch rw.kind {
				case direct:
					for _, x := range r.restrictions {
						if u, ok := m.usersetOf(x.shape); ok {
							grew = r.reach.addAll(m.relations[u].reach) || grew
						} else if !r.reach.has(x.shape) {
							r.reach.add(x.shape)
							grew = true
						}
					}
				case computed:
					grew = r.reach.addAll(m.relations[rw.relation].reach) || grew
				case tupleToUserset:
					m.parents(rw, func(target uint16) { grew = r.reach.addAll(m.relations[target].reach) || grew })
				}
			})
		}
	}
}

// parents calls fn for each relation that a tuple-to-userset can lead to.
func (m *Model) parents(rw *rewrite, fn func(target uint16)) {
	for _, x := range m.relations[rw.relation].restrictions {
		if x.shape < 2*uint32(len(m.typeNames)) {
			if target := rw.targets[x.shape/2]; target != none {
				fn(target)
			}
		}
	}
}

func (m *Model) usersetOf(shape uint32) (uint16, bool) {
	if types := 2 * uint32(len(m.typeNames)); shape >= types {
		return uint16(shape - types), true
	}
	return 0, false
}

// reaches reports whether a user of this shape could stand in r: as such, or
// because everyone of its type does.
func (m *Model) reaches(r uint16, user uint32) bool {
	reach := m.relations[r].reach
	if reach.has(user) {
		return true
	}
	if user >= 2*uint32(len(m.typeNames)) {
		return false
	}
	return reach.has(user&^1) || reach.has(user|1)
}

// tidy keeps a name fit for one line of an error.
func tidy(s string) string { return strings.Join(strings.Fields(s), " ") }
