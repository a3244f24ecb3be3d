package fga

// overlay is the contextual tuples of a batch: what the index would hold, had
// they been written. Objects that the index does not know are numbered from
// temporary upwards, for the time of the batch.
type overlay struct {
	lists map[uint64]*list
	nodes map[string]uint32
	types []uint16
	names []string
}

const temporary = uint32(1) << 31

func (o *overlay) clear() {
	clear(o.lists)
	clear(o.nodes)
	o.types, o.names = o.types[:0], o.names[:0]
}

// node numbers an object of a type that the model has.
func (e *evaluation) node(object string) uint32 {
	if id, _, ok := e.x.find(object); ok {
		return id
	}
	if id, ok := e.over.nodes[object]; ok {
		return id
	}
	id := temporary + uint32(len(e.over.types))
	e.over.types = append(e.over.types, e.x.m.types[typeOf(object)])
	e.over.names = append(e.over.names, object)
	if e.over.nodes == nil {
		e.over.nodes = map[string]uint32{}
	}
	e.over.nodes[object] = id
	return id
}

func (e *evaluation) typeOf(node uint32) uint16 {
	if node >= temporary {
		return e.over.types[node-temporary]
	}
	return e.x.types[node]
}

func (e *evaluation) object(node uint32) string {
	if node >= temporary {
		return e.over.names[node-temporary]
	}
	return e.x.object(node)
}

// lay checks contextual tuples as if they were written, and puts them over the
// index.
func (e *evaluation) lay(tuples []Tuple) error {
	for _, t := range tuples {
		b, err := e.x.m.admit(t)
		if err == nil && b != nil {
			err = e.x.m.CheckTuple(t)
		}
		if err != nil {
			return err
		}
		node := e.node(t.Object)
		r, _ := e.x.m.relation(e.typeOf(node), t.Relation)
		if e.over.lists == nil {
			e.over.lists = map[uint64]*list{}
		}
		l := e.over.lists[place(node, r)]
		if l == nil {
			l = &list{}
			e.over.lists[place(node, r)] = l
		}
		l.insert(e.x.m.refOf(t.User, e.node), b)
	}
	return nil
}

func place(node uint32, r uint16) uint64 { return uint64(node)<<16 | uint64(r) }
