package fga

// verdict is what an evaluation finds. Cyclic is a no that rests on a cycle:
// it denies, and it denies as the right side of "but not" too.
type verdict uint8

const (
	unknown verdict = iota
	no
	yes
	cyclic
	failed
	entered // on the path that is being followed
)

// memo remembers verdicts by node and relation within one batch. Clearing it
// is counting a generation.
type memo struct {
	entries []entry
	mask    uint64
	used    int
	gen     uint64
}

type entry struct {
	key     uint64 // generation << 48 | node << 16 | relation, see place
	verdict verdict
	depth   uint8 // failed: 1 + the depth from which it is too deep; 0 if for another reason
	low     int32 // entered: its place on the path; else the lowest place it rests on
	err     int32 // failed: which error
}

const nothing = int32(1<<31 - 1) // low of a verdict that rests on no cycle

func (m *memo) clear() {
	m.used = 0
	if m.gen++; m.entries == nil || m.gen == 1<<16 {
		m.entries, m.mask, m.gen = make([]entry, 256), 255, 1
	}
}

// at finds or makes the entry of a key. It is valid until the next at.
func (m *memo) at(k uint64) *entry {
	if m.used*2 >= len(m.entries) {
		m.grow()
	}
	k |= m.gen << 48
	for i := k * 0x9e3779b97f4a7c15 >> 20 & m.mask; ; i = (i + 1) & m.mask {
		e := &m.entries[i]
		if e.key == k {
			return e
		}
		if e.key>>48 != m.gen {
			*e = entry{key: k}
			m.used++
			return e
		}
	}
}

func (m *memo) grow() {
	old := m.entries
	m.entries = make([]entry, 2*len(old))
	m.mask = uint64(len(m.entries) - 1)
	for _, e := range old {
		if e.key>>48 != m.gen {
			continue
		}
		i := e.key * 0x9e3779b97f4a7c15 >> 20 & m.mask
		for m.entries[i].key != 0 {
			i = (i + 1) & m.mask
		}
		m.entries[i] = e
	}
}
