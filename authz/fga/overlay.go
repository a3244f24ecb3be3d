package fga

// overlay is the contextual tuples of a batch: what the index would hold, had
// they been written. Objects that the index does not know are numbered from
// temporary upwards, for the time of the batch.
type overlay struct {
	of      []Tuple // what it was made of
	at      map[uint64]int
	lists   []list // up to used; what is beyond keeps its room
	used    int
	nodes   map[named]uint32
	objects []named
}

type named struct {
	t  uint16
	id string
}

const temporary = uint32(1) << 31

func (o *overlay) clear() {
	clear(o.at)
	clear(o.nodes)
	clear(o.objects)
	o.of, o.used, o.objects = nil, 0, o.objects[:0]
}

// list is what stands in one relation of one node, or nil.
func (o *overlay) list(node uint32, r uint16) *list {
	if o.used == 0 {
		return nil
	}
	if i, ok := o.at[place(node, r)]; ok {
		return &o.lists[i]
	}
	return nil
}

func (o *overlay) add(node uint32, r uint16) *list {
	if l := o.list(node, r); l != nil {
		return l
	}
	if o.used == len(o.lists) {
		o.lists = append(o.lists, list{})
	}
	if o.at == nil {
		o.at = map[uint64]int{}
	}
	o.at[place(node, r)] = o.used
	l := &o.lists[o.used]
	clear(l.conds)
	l.refs, l.conds = l.refs[:0], l.conds[:0]
	o.used++
	return l
}

// node is the node of an object of a type that the model has, or a temporary
// one.
func (e *evaluation) node(t uint16, id string) uint32 {
	if node, ok := e.x.find(t, id); ok {
		return node
	}
	object := named{t, id}
	if node, ok := e.over.nodes[object]; ok {
		return node
	}
	node := temporary + uint32(len(e.over.objects))
	e.over.objects = append(e.over.objects, object)
	if e.over.nodes == nil {
		e.over.nodes = map[named]uint32{}
	}
	e.over.nodes[object] = node
	return node
}

func (e *evaluation) object(t uint16, node uint32) string {
	if node >= temporary {
		return e.x.m.typeNames[t] + ":" + e.over.objects[node-temporary].id
	}
	return e.x.object(t, node)
}

// lay checks contextual tuples as if they were written, and puts them over the
// index, unless that is where they are.
func (e *evaluation) lay(tuples []Tuple) error {
	if len(tuples) > 0 && len(e.over.of) == len(tuples) && &e.over.of[0] == &tuples[0] {
		return nil
	}
	e.over.clear()
	for _, t := range tuples {
		b, err := e.x.m.admit(t)
		if err == nil && b != nil {
			err = e.x.m.CheckTuple(t)
		}
		if err != nil {
			return err
		}
		typ, id := splitObject(t.Object)
		r, _ := e.x.m.relation(e.x.m.types[typ], t.Relation)
		node := e.node(e.x.m.types[typ], id)
		user := e.x.m.refOf(t.User, e.node) // before the list, which add may move
		e.over.add(node, r).insert(user, b)
	}
	e.over.of = tuples
	return nil
}

func place(node uint32, r uint16) uint64 { return uint64(node)<<16 | uint64(r) }
