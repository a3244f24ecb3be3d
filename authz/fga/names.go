package fga

import "hash/maphash"

// names numbers objects. It is a hash table of numbers over one run of bytes:
// a map of strings would take three times the memory.
type names struct {
	seed  maphash.Seed
	table []uint32 // number + 1, or 0; its length is a power of two
	bytes []byte
	ends  []uint64 // where each name ends in bytes
}

func newNames(room int) names {
	size := 64
	for size*3 < room*4 {
		size *= 2
	}
	return names{seed: maphash.MakeSeed(), table: make([]uint32, size), ends: make([]uint64, 0, room)}
}

func (n *names) name(id uint32) []byte {
	start := uint64(0)
	if id > 0 {
		start = n.ends[id-1]
	}
	return n.bytes[start:n.ends[id]]
}

// find returns the number of s and the place in the table where it is, or
// where it would be.
func (n *names) find(s string) (id uint32, place uint64, ok bool) {
	mask := uint64(len(n.table) - 1)
	for place = maphash.String(n.seed, s) & mask; n.table[place] != 0; place = (place + 1) & mask {
		if id = n.table[place] - 1; string(n.name(id)) == s {
			return id, place, true
		}
	}
	return 0, place, false
}

// add numbers s, which find did not find.
func (n *names) add(s string, place uint64) uint32 {
	id := uint32(len(n.ends))
	n.bytes = append(n.bytes, s...)
	n.ends = append(n.ends, uint64(len(n.bytes)))
	n.table[place] = id + 1
	if (len(n.ends)+1)*4 > len(n.table)*3 {
		n.grow()
	}
	return id
}

func (n *names) grow() {
	n.table = make([]uint32, 2*len(n.table))
	mask := uint64(len(n.table) - 1)
	for id := range n.ends {
		place := maphash.Bytes(n.seed, n.name(uint32(id))) & mask
		for n.table[place] != 0 {
			place = (place + 1) & mask
		}
		n.table[place] = uint32(id) + 1
	}
}
