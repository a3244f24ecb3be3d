package fga

import (
	"slices"
	"strings"
)

// index is the stored tuples under one model, in memory. Objects are numbered
// nodes. A node has a slot for each relation of its type that takes tuples;
// most slots hold one user, which is kept in place, others point to a list.
type index struct {
	m *Model
	names
	types []uint16 // of each node
	first []uint32 // the first slot of each node
	slots []slot
	lists []list
	free  []uint32 // lists that are empty
	size  int      // tuples
	gone  int      // tuples removed since the index was built
}

// ref is a user: an object's node, everyone of a type, or a userset. Refs sort
// by these three, so that a list has its objects first.
type ref uint64

const (
	everyone ref = 1 << 48 // | the type's number
	userset  ref = 2 << 48 // | relation << 32 | node
)

func usersetRef(node uint32, relation uint16) ref { return userset | ref(relation)<<32 | ref(node) }

func (r ref) node() uint32     { return uint32(r) }
func (r ref) relation() uint16 { return uint16(r >> 32) }

// slot is empty (0), one unconditional user (single | ref), or the number of
// a list (many | number).
type slot uint64

const (
	single slot = 1 << 62
	many   slot = 1 << 63
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

func newIndex(m *Model, room int) *index { return &index{m: m, names: newNames(room)} }

// node numbers an object of a type that the model has.
func (x *index) node(object string) uint32 {
	id, place, ok := x.find(object)
	if ok {
		return id
	}
	t := x.m.types[typeOf(object)]
	x.types = append(x.types, t)
	x.first = append(x.first, uint32(len(x.slots)))
	for range x.m.slots[t] {
		x.slots = append(x.slots, 0)
	}
	return x.add(object, place)
}

// refOf makes a ref of a user that the model has a shape for.
func (m *Model) refOf(user string, node func(string) uint32) ref {
	object, rel := splitUser(user)
	t := m.types[typeOf(object)]
	switch {
	case rel != "":
		r, _ := m.relation(t, rel)
		return usersetRef(node(object), r)
	case isWildcard(user):
		return everyone | ref(t)
	}
	return ref(node(object))
}

func (x *index) slot(node uint32, r uint16) *slot {
	return &x.slots[x.first[node]+uint32(x.m.relations[r].slot)]
}

// insert adds a tuple that the model admits and that is not there. While an
// index is loaded, lists are left unsorted until settle.
func (x *index) insert(t Tuple, b *bound, loading bool) {
	node := x.node(t.Object)
	r, _ := x.m.relation(x.types[node], t.Relation)
	user := x.m.refOf(t.User, x.node)
	s := x.slot(node, r)
	x.size++
	if *s == 0 && b == nil {
		*s = single | slot(user)
		return
	}
	if *s&many == 0 {
		l := list{}
		if *s != 0 {
			l.refs = []ref{ref(*s &^ single)}
		}
		if n := len(x.free); n > 0 {
			x.lists[x.free[n-1]] = l
			*s = many | slot(x.free[n-1])
			x.free = x.free[:n-1]
		} else {
			*s = many | slot(len(x.lists))
			x.lists = append(x.lists, l)
		}
	}
	l := &x.lists[*s&^many]
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
	node, _, ok := x.find(k.object)
	if !ok || x.m.shape(k.user) == noShape {
		return
	}
	r, ok := x.m.relation(x.types[node], k.relation)
	if !ok || x.m.relations[r].slot < 0 {
		return
	}
	user := x.m.refOf(k.user, x.node)
	s := x.slot(node, r)
	if *s == single|slot(user) {
		*s = 0
		x.size--
		x.gone++
		return
	}
	if *s&many == 0 {
		return
	}
	l := &x.lists[*s&^many]
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
		x.free = append(x.free, uint32(*s&^many))
		*s = 0
	}
}

// users is what stands in one relation of one node, without copying it.
func (x *index) users(node uint32, r uint16, one *[1]ref) (refs []ref, conds []onlyIf) {
	if x.m.relations[r].slot < 0 {
		return nil, nil
	}
	switch s := *x.slot(node, r); {
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
func (m *Model) text(r ref, object func(uint32) string) string {
	switch {
	case r&userset != 0:
		return object(r.node()) + "#" + m.relations[r.relation()].name
	case r&everyone != 0:
		return m.typeNames[r.node()] + ":*"
	}
	return object(r.node())
}

// objects calls fn for each node of a type.
func (x *index) objects(t uint16, fn func(node uint32) bool) {
	for i, typ := range x.types {
		if typ == t && !fn(uint32(i)) {
			return
		}
	}
}

func (x *index) object(node uint32) string { return strings.Clone(string(x.name(node))) }
