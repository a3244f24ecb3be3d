package fga

// overlay is the contextual tuples of a batch: what the index would hold, had
// they been written. Objects that the index does not know are numbered from
// temporary upwards, for the time of the batch.
type overlay struct {
	lists   map[uint64]*list
	nodes   map[string]uint32
	objects []string
}

const temporary = uint32(1) << 31

func (o *overlay) clear() {
	clear(o.lists)
	clear(o.nodes)
	o.objects = o.objects[:0]
}

// node is the node of an object of a type that the model has, or a temporary
// one.
func (e *evaluation) node(t uint16, id string) uint32 {
	if node, ok := e.x.find(t, id); ok {
		return node
	}
	object := e.x.m.typeNames[t] + ":" + id
	if node, ok := e.over.nodes[object]; ok {
		return node
	}
	node := temporary + uint32(len(e.over.objects))
	e.over.objects = append(e.over.objects, object)
	if e.over.nodes == nil {
		e.over.nodes = map[string]uint32{}
	}
	e.over.nodes[object] = node
	return node
}

func (e *evaluation) object(t uint16, node uint32) string {
	if node >= temporary {
		return e.over.objects[node-temporary]
	}
	return e.x.object(t, node)
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
		typ, id := splitObject(t.Object)
		r, _ := e.x.m.relation(e.x.m.types[typ], t.Relation)
		node := e.node(e.x.m.types[typ], id)
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
