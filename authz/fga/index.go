package fga

import (
	"hash/maphash"
	"slices"
)

// index is the stored tuples under one model, in memory: a node for each
// object, which has a slot for each relation that takes tuples. Most slots hold
// one user, which is kept in place, others point to a list.
type index struct {
	m     *Model
	seed  maphash.Seed
	types []nodes
	lists []list
	free  []uint32 // lists that are empty
	size  int      // tuples
	gone  int      // tuples removed since the index was built
}

// ref is a user: an object (type << 32 | node), everyone of a type, or a
// userset. Refs sort by these three, so that a list has its objects first.
type ref uint64

const (
	everyone ref = 1 << 48 // | type << 32
	userset  ref = 2 << 48 // | relation << 32 | node
)

func objectRef(t uint16, node uint32) ref { return ref(t)<<32 | ref(node) }
func everyoneRef(t uint16) ref            { return everyone | ref(t)<<32 }

func usersetRef(node uint32, relation uint16) ref { return userset | ref(relation)<<32 | ref(node) }

func (r ref) typ() uint16      { return uint16(r >> 32) } // of an object, or everyone
func (r ref) node() uint32     { return uint32(r) }
func (r ref) relation() uint16 { return uint16(r >> 32) }

// A slot is empty (0), one unconditional user (single | ref), or the number of
// a list (many | number).
const (
	single = 1 << 62
	many   = 1 << 63
)

// list is all users of one relation of one object.
type list struct {
	refs  []ref    // sorted, without conditions
	conds []onlyIf // sorted
}

type onlyIf struct {
	ref
	*bound
}

func byRef(c onlyIf, r ref) int {
	switch {
	case c.ref < r:
		return -1
	case c.ref > r:
		return 1
	}
	return 0
}

func newIndex(m *Model) *index {
	x := &index{m: m, seed: maphash.MakeSeed()}
	for _, slots := range m.slots {
		x.types = append(x.types, nodes{slots: slots})
	}
	return x
}

func (x *index) find(t uint16, id string) (uint32, bool) {
	return x.types[t].find(id, maphash.String(x.seed, id))
}

// node is the node of an object; it is made if there is none.
func (x *index) node(t uint16, id string) uint32 {
	hash := maphash.String(x.seed, id)
	node, ok := x.types[t].find(id, hash)
	if !ok {
		node = x.types[t].add(x.seed, id, hash)
	}
	return node
}

func (x *index) object(t uint16, node uint32) string {
	return x.m.typeNames[t] + ":" + string(x.types[t].id(node))
}

// refOf makes a ref of a user that the model has a shape for.
func (m *Model) refOf(user string, node func(t uint16, id string) uint32) ref {
	object, rel := splitUser(user)
	typ, id := splitObject(object)
	t := m.types[typ]
	switch {
	case rel != "":
		r, _ := m.relation(t, rel)
		return usersetRef(node(t, id), r)
	case id == "*":
		return everyoneRef(t)
	}
	return objectRef(t, node(t, id))
}

// insert adds a tuple that the model admits and that is not there. While an
// index is loaded, lists are left unsorted until settle.
func (x *index) insert(t Tuple, b *bound, loading bool) {
	typ, id := splitObject(t.Object)
	r, _ := x.m.relation(x.m.types[typ], t.Relation)
	rel := &x.m.relations[r]
	node := x.node(rel.typ, id)
	user := x.m.refOf(t.User, x.node)
	n := &x.types[rel.typ]
	s := n.slot(node, rel.slot)
	x.size++
	if s == 0 && b == nil {
		n.setSlot(node, rel.slot, single|uint64(user))
		return
	}
	if s&many == 0 {
		l := list{}
		if s != 0 {
			l.refs = []ref{ref(s &^ single)}
		}
		if last := len(x.free) - 1; last >= 0 {
			s = many | uint64(x.free[last])
			x.lists[x.free[last]], x.free = l, x.free[:last]
		} else {
			s = many | uint64(len(x.lists))
			x.lists = append(x.lists, l)
		}
		n.setSlot(node, rel.slot, s)
	}
	l := &x.lists[s&^many]
	switch {
	case loading && b == nil:
		l.refs = append(l.refs, user)
	case loading:
		l.conds = append(l.conds, onlyIf{user, b})
	default:
		l.insert(user, b)
	}
}

func (l *list) insert(user ref, b *bound) {
	if b == nil {
		if i, there := slices.BinarySearch(l.refs, user); !there {
			l.refs = slices.Insert(l.refs, i, user)
		}
		return
	}
	if i, there := slices.BinarySearchFunc(l.conds, user, byRef); !there {
		l.conds = slices.Insert(l.conds, i, onlyIf{user, b})
	}
}

// settle ends loading.
func (x *index) settle() {
	for i := range x.lists {
		l := &x.lists[i]
		slices.Sort(l.refs)
		slices.SortFunc(l.conds, func(a, b onlyIf) int { return byRef(a, b.ref) })
		l.refs, l.conds = slices.Clip(l.refs), slices.Clip(l.conds)
	}
}

// remove takes a tuple out, whatever its condition.
func (x *index) remove(k key) {
	typ, id := splitObject(k.object)
	t, ok := x.m.types[typ]
	if !ok || x.m.shape(k.user) == noShape {
		return
	}
	r, ok := x.m.relation(t, k.relation)
	if !ok || x.m.relations[r].slot < 0 {
		return
	}
	at := x.m.relations[r].slot
	node, ok := x.find(t, id)
	if !ok {
		return
	}
	user := x.m.refOf(k.user, x.node)
	n := &x.types[t]
	s := n.slot(node, at)
	if s&many == 0 {
		if s == single|uint64(user) {
			n.setSlot(node, at, 0)
			x.size--
			x.gone++
		}
		return
	}
	l := &x.lists[s&^many]
	if i, there := slices.BinarySearch(l.refs, user); there {
		l.refs = slices.Delete(l.refs, i, i+1)
	} else if i, there := slices.BinarySearchFunc(l.conds, user, byRef); there {
		l.conds = slices.Delete(l.conds, i, i+1)
	} else {
		return
	}
	x.size--
	x.gone++
	if len(l.refs)+len(l.conds) == 0 {
		*l = list{}
		x.free = append(x.free, uint32(s&^many))
		n.setSlot(node, at, 0)
	}
}

// users is what stands in one relation of one node, without copying it.
func (x *index) users(node uint32, r uint16, one *[1]ref) (refs []ref, conds []onlyIf) {
	rel := &x.m.relations[r]
	if rel.slot < 0 {
		return nil, nil
	}
	switch s := x.types[rel.typ].slot(node, rel.slot); {
	case s == 0:
		return nil, nil
	case s&many == 0:
		one[0] = ref(s &^ single)
		return one[:], nil
	default:
		l := &x.lists[s&^many]
		return l.refs, l.conds
	}
}

// text is how a ref is written; object names a node.
func (m *Model) text(r ref, object func(t uint16, node uint32) string) string {
	switch {
	case r >= userset:
		rel := &m.relations[r.relation()]
		return object(rel.typ, r.node()) + "#" + rel.name
	case r >= everyone:
		return m.typeNames[r.typ()] + ":*"
	}
	return object(r.typ(), r.node())
}
