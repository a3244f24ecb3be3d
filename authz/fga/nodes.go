package fga

import (
	"encoding/binary"
	"hash/maphash"
)

// nodes are the objects of one type. A node is the number of an 8-byte word in
// an arena: there are its slots, one for each relation of the type that takes
// tuples, then its id, all in a cache line or two. A hash table over the arena
// finds nodes by id; a map of strings would take three times the memory.
type nodes struct {
	slots int
	arena []byte
	table []uint64 // upper half of the hash | node + 1; its length is a power of two
	used  int
}

const lower = 1<<32 - 1

func (n *nodes) slot(node uint32, i int) uint64 {
	return binary.LittleEndian.Uint64(n.arena[8*(int(node)+i):])
}

func (n *nodes) setSlot(node uint32, i int, v uint64) {
	binary.LittleEndian.PutUint64(n.arena[8*(int(node)+i):], v)
}

func (n *nodes) id(node uint32) []byte {
	start := 8 * (int(node) + n.slots)
	size, skip := binary.Uvarint(n.arena[start:])
	start += skip
	return n.arena[start : start+int(size)]
}

// find returns the node of an id whose hash is given.
func (n *nodes) find(id string, hash uint64) (node uint32, ok bool) {
	if len(n.table) == 0 {
		return 0, false
	}
	mask := uint64(len(n.table) - 1)
	for i := hash & mask; n.table[i] != 0; i = (i + 1) & mask {
		if entry := n.table[i]; (entry^hash)&^lower == 0 {
			if node = uint32(entry) - 1; string(n.id(node)) == id {
				return node, true
			}
		}
	}
	return 0, false
}

// peek loads the place in the table where a search begins, and touch the words
// of the node that it names. Doing each for a whole batch before the next lets
// the processor wait for memory once instead of once an object.
func (n *nodes) peek(hash uint64) uint64 {
	if len(n.table) == 0 {
		return 0
	}
	return n.table[hash&uint64(len(n.table)-1)]
}

func (n *nodes) touch(entry uint64) byte {
	if uint32(entry) == 0 {
		return 0
	}
	return n.arena[8*(uint64(uint32(entry))-1)]
}

func (n *nodes) add(seed maphash.Seed, id string, hash uint64) uint32 {
	if (n.used+1)*3 > len(n.table)*2 {
		n.table, n.used = make([]uint64, max(64, 2*len(n.table))), 0
		n.each(func(node uint32) bool {
			n.file(maphash.Bytes(seed, n.id(node)), node)
			return true
		})
	}
	node := uint32(len(n.arena) / 8)
	for range n.slots {
		n.arena = append(n.arena, 0, 0, 0, 0, 0, 0, 0, 0)
	}
	n.arena = binary.AppendUvarint(n.arena, uint64(len(id)))
	n.arena = append(n.arena, id...)
	for len(n.arena)%8 != 0 {
		n.arena = append(n.arena, 0)
	}
	n.file(hash, node)
	return node
}

func (n *nodes) file(hash uint64, node uint32) {
	n.used++
	mask := uint64(len(n.table) - 1)
	i := hash & mask
	for n.table[i] != 0 {
		i = (i + 1) & mask
	}
	n.table[i] = hash&^lower | uint64(node) + 1
}

// each calls fn for every node, until it returns false.
func (n *nodes) each(fn func(node uint32) bool) {
	for at := 0; at < len(n.arena); {
		if !fn(uint32(at / 8)) {
			return
		}
		start := at + 8*n.slots
		size, skip := binary.Uvarint(n.arena[start:])
		at = (start + skip + int(size) + 7) &^ 7
	}
}
