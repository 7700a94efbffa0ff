package crdt

import (
	"bytes"
	"hash/maphash"
	"math/bits"
	"sync/atomic"

	"github.com/seed1312cc15/weft/runtime"
)

// keyTable holds the entries of a Map or Set by key: what one write made, and only where writes were concurrent, several
// for one key. It has no pointer per key: about 40 bytes for a slot, 4 to 8 in the hash index, and key and value side by
// side in an arena.
//
//  1. Every slot is either free or holds one key with at least one entry; a key stands in one slot.
//  2. A key with one entry has it in its slot, its value behind its key in the arena; one with several has all of them in
//     many.
//  3. Beyond smallTable slots, index is an open-addressed hash table of 2^k words, at most three quarters full: the upper
//     32-k bits of a word are bits of the hash, the lower k are 1 + the slot; 0 is free.
//  4. order, if it is there, lists the used slots by key; else base, less gone, plus fresh, does, where base is there.
//  5. dots, if it is there, finds the slot of every entry.
type keyTable struct {
	slots   []keySlot
	free    []uint32
	keys    int
	entries int
	index   []uint32
	many    map[uint32]*bag[writeEntry]
	data    arena

	order       atomic.Pointer[[]uint32]
	base        []uint32
	fresh, gone []uint32
	dots        map[runtime.Rep]*dotList
}

// keySlot is one key with, mostly, its only entry.
type keySlot struct {
	at         uint64 // of key and value in the arena
	klen, vlen uint32
	rep        runtime.Rep
	state      uint32
	seq        uint64
	lamport    uint64
}

const (
	slotFree = iota
	slotOne
	slotMany

	smallTable = 8 // slots that are searched without an index
)

// hashSeed is the same for all tables. Nothing depends on it but the time that look-ups take.
var hashSeed = maphash.MakeSeed()

func (t *keyTable) key(s uint32) []byte {
	x := &t.slots[s]
	return t.data.get(x.at, x.klen)
}

func (t *keyTable) value(s uint32) []byte {
	x := &t.slots[s]
	return t.data.get(x.at+uint64(x.klen), x.vlen)
}

// entry returns the only entry of a slot; its value aliases the arena.
func (t *keyTable) entry(s uint32) writeEntry {
	x := &t.slots[s]
	return writeEntry{runtime.Stamp{Lamport: x.lamport, Dot: runtime.LocalDot{Rep: x.rep, Seq: x.seq}}, t.value(s)}
}

// at returns the entries of a slot in no order, in one where there is only one. They must not be changed.
func (t *keyTable) at(s uint32, one *[1]writeEntry) []writeEntry {
	if t.slots[s].state == slotMany {
		return t.many[s].list
	}
	one[0] = t.entry(s)
	return one[:]
}

// ordered is at in the order of the entries' dots.
func (t *keyTable) ordered(rt *runtime.Runtime, s uint32, one *[1]writeEntry) []writeEntry {
	return inDotOrder(rt, t.at(s, one))
}

// find returns the slot of a key.
func (t *keyTable) find(key []byte) (uint32, bool) {
	if t.index == nil {
		for s := range t.slots {
			if x := &t.slots[s]; x.state != slotFree && bytes.Equal(t.data.get(x.at, x.klen), key) {
				return uint32(s), true
			}
		}
		return 0, false
	}
	i, ok := t.probe(key, maphash.Bytes(hashSeed, key))
	if !ok {
		return 0, false
	}
	return t.index[i]&uint32(len(t.index)-1) - 1, true
}

// probe returns the place of a key in the index, or the free place where it belongs.
func (t *keyTable) probe(key []byte, hash uint64) (int, bool) {
	mask := uint32(len(t.index) - 1)
	tag := uint32(hash>>32) &^ mask
	for i := uint32(hash) & mask; ; i = (i + 1) & mask {
		w := t.index[i]
		if w == 0 {
			return int(i), false
		}
		if w&^mask == tag && bytes.Equal(t.key(w&mask-1), key) {
			return int(i), true
		}
	}
}

// add makes a slot for a key that is not there, with one entry.
func (t *keyTable) add(key []byte, e writeEntry) uint32 {
	s := uint32(len(t.slots))
	if n := len(t.free); n > 0 {
		s, t.free = t.free[n-1], t.free[:n-1]
	} else {
		t.slots = append(t.slots, keySlot{})
	}
	t.put(s, key, e)
	t.trackDot(s, e.Dot)
	t.keys++
	t.entries++
	t.track(s, true)
	switch {
	case len(t.slots) <= smallTable && t.index == nil:
	case len(t.slots) > len(t.index)/4*3:
		t.reindex(len(t.slots) + 1)
	default:
		hash := maphash.Bytes(hashSeed, key)
		i, _ := t.probe(key, hash)
		t.index[i] = t.word(hash, s)
	}
	return s
}

func (t *keyTable) word(hash uint64, s uint32) uint32 {
	return uint32(hash>>32)&^uint32(len(t.index)-1) | (s + 1)
}

// put fills a slot with a key and its only entry.
func (t *keyTable) put(s uint32, key []byte, e writeEntry) {
	t.slots[s] = keySlot{
		at: t.data.add(key, e.val), klen: uint32(len(key)), vlen: uint32(len(e.val)), state: slotOne,
		rep: e.Dot.Rep, seq: e.Dot.Seq, lamport: e.Lamport,
	}
}

// reindex makes an index with room for n slots.
func (t *keyTable) reindex(n int) {
	t.index = make([]uint32, max(16, 1<<bits.Len(uint(n+n/3))))
	mask := uint32(len(t.index) - 1)
	for s := range t.slots {
		if t.slots[s].state == slotFree {
			continue
		}
		hash := maphash.Bytes(hashSeed, t.key(uint32(s)))
		i := uint32(hash) & mask
		for t.index[i] != 0 {
			i = (i + 1) & mask
		}
		t.index[i] = t.word(hash, uint32(s))
	}
}

// insert adds an entry to a key and returns its slot; nothing changes if the dot is there already. The value is copied.
func (t *keyTable) insert(key []byte, e writeEntry) uint32 {
	s, ok := t.find(key)
	if !ok {
		return t.add(key, e)
	}
	e.val = bytes.Clone(e.val)
	if x := &t.slots[s]; x.state == slotOne {
		was := t.entry(s)
		if was.Dot == e.Dot {
			return s
		}
		was.val = bytes.Clone(was.val)
		t.data.dead += uint64(x.vlen)
		x.vlen, x.state = 0, slotMany
		if t.many == nil {
			t.many = make(map[uint32]*bag[writeEntry])
		}
		t.many[s] = &bag[writeEntry]{list: append(make([]writeEntry, 0, 2), was)}
	}
	if t.many[s].add(e) {
		t.entries++
		t.trackDot(s, e.Dot)
	}
	return s
}

// replace puts e in place of the only entry of a slot, which keeps its key.
func (t *keyTable) replace(s uint32, e writeEntry) {
	x := t.slots[s]
	t.data.dead += uint64(x.klen + x.vlen)
	t.put(s, t.key(s), e)
	t.trackDot(s, e.Dot)
}

// remove removes the entry of d from a slot, and the key with its last one. It returns the entry, whose value stays as it
// is until tidy; false if it is not there.
func (t *keyTable) remove(s uint32, d runtime.LocalDot) (writeEntry, bool) {
	if t.slots[s].state == slotOne {
		e := t.entry(s)
		if e.Dot != d {
			return writeEntry{}, false
		}
		t.entries--
		t.release(s)
		return e, true
	}
	many := t.many[s]
	i := many.find(d)
	if i < 0 {
		return writeEntry{}, false
	}
	e := many.removeAt(i)
	t.entries--
	if len(many.list) == 1 {
		delete(t.many, s)
		t.data.dead += uint64(t.slots[s].klen)
		t.put(s, t.key(s), many.list[0])
	}
	return e, true
}

// release frees the slot of a key.
func (t *keyTable) release(s uint32) {
	x := &t.slots[s]
	if t.index != nil {
		key := t.key(s)
		i, _ := t.probe(key, maphash.Bytes(hashSeed, key))
		t.unindex(i)
	}
	t.data.dead += uint64(x.klen + x.vlen)
	*x = keySlot{}
	t.free = append(t.free, s)
	t.keys--
	t.track(s, false)
}

// unindex empties place i of the index and moves words back whose search would end there (Knuth, The Art of Computer
// Programming, volume 3, section 6.4, algorithm R).
func (t *keyTable) unindex(i int) {
	mask := len(t.index) - 1
	for j := (i + 1) & mask; t.index[j] != 0; j = (j + 1) & mask {
		home := int(maphash.Bytes(hashSeed, t.key(t.index[j]&uint32(mask)-1))) & mask
		if (j-home)&mask >= (j-i)&mask {
			t.index[i] = t.index[j]
			i = j
		}
	}
	t.index[i] = 0
}

// expect makes room for n keys in an empty table.
func (t *keyTable) expect(n int) {
	if t.keys == 0 && n > smallTable {
		t.reset()
		t.slots = make([]keySlot, 0, n)
		t.reindex(n + 1)
	}
}

// reset empties the table.
func (t *keyTable) reset() {
	t.slots, t.free, t.keys, t.entries, t.index, t.many, t.data = nil, nil, 0, 0, nil, nil, arena{}
	t.order.Store(nil)
	t.base, t.fresh, t.gone, t.dots = nil, nil, nil, nil
}

// tidy gives back memory: what keys and values left behind in the arena once it is more than half, and slots once most
// are free. Between calls removed values stay readable.
func (t *keyTable) tidy() {
	if t.keys == 0 && len(t.slots) > smallTable {
		t.reset()
		return
	}
	if t.keys*4 < len(t.slots) && len(t.slots) > 64 {
		t.shrink()
	}
	if t.data.dead > t.data.used/2 && t.data.dead > 256 {
		old := t.data
		t.data = arena{}
		for s := range t.slots {
			if x := &t.slots[s]; x.state != slotFree {
				key := old.get(x.at, x.klen)
				x.at = t.data.add(key, old.get(x.at+uint64(x.klen), x.vlen))
			}
		}
	}
}

// shrink moves all keys to the first slots.
func (t *keyTable) shrink() {
	slots := make([]keySlot, 0, t.keys)
	many := make(map[uint32]*bag[writeEntry], len(t.many))
	for s := range t.slots {
		switch t.slots[s].state {
		case slotFree:
			continue
		case slotMany:
			many[uint32(len(slots))] = t.many[uint32(s)]
		}
		slots = append(slots, t.slots[s])
	}
	t.slots, t.free, t.index, t.many = slots, nil, nil, many
	t.order.Store(nil)
	t.base, t.fresh, t.gone, t.dots = nil, nil, nil, nil
	if len(slots) > smallTable {
		t.reindex(len(slots) + 1)
	}
}

// arena holds byte strings in chunks that never move. A place is the number of its chunk, in the upper half, and the
// offset in it.
type arena struct {
	chunks     [][]byte
	used, dead uint64
}

const maxChunk = 1 << 16

// add appends a and b, one after the other, and returns their place.
func (a *arena) add(x, y []byte) uint64 {
	n := len(x) + len(y)
	k := len(a.chunks) - 1
	if k < 0 || cap(a.chunks[k])-len(a.chunks[k]) < n {
		size := max(n, min(maxChunk, max(48, int(a.used)/2)))
		a.chunks = append(a.chunks, make([]byte, 0, size))
		k++
	}
	at := uint64(k)<<32 | uint64(len(a.chunks[k]))
	a.chunks[k] = append(append(a.chunks[k], x...), y...)
	a.used += uint64(n)
	return at
}

func (a *arena) get(at uint64, n uint32) []byte {
	if n == 0 {
		return nil
	}
	off := uint32(at)
	return a.chunks[at>>32][off : off+n : off+n]
}
