package crdt

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
	"sort"

	"github.com/seed1312cc15/weft/runtime"
)

// sorted returns the used slots in byte order of their keys. The first call after a change of keys sorts what is new and
// publishes the order for others; it may run in several Views at once. Cost: O(1) if no key came or went, O(n + k log k)
// for k keys that did, O(n log n) the first time.
func (t *keyTable) sorted() []uint32 {
	if p := t.order.Load(); p != nil {
		return *p
	}
	out := make([]uint32, 0, t.keys)
	if t.base == nil {
		for s := range t.slots {
			if t.slots[s].state != slotFree {
				out = append(out, uint32(s))
			}
		}
		t.sortSlots(out)
	} else {
		out = t.mergeOrder(out)
	}
	t.order.Store(&out)
	return out
}

// mergeOrder appends base, less gone, merged with what of fresh is still there.
func (t *keyTable) mergeOrder(out []uint32) []uint32 {
	gone := slices.Clone(t.gone)
	slices.Sort(gone)
	fresh := slices.Clone(t.fresh)
	slices.Sort(fresh)
	fresh = slices.Compact(fresh)
	fresh = slices.DeleteFunc(fresh, func(s uint32) bool { return t.slots[s].state == slotFree })
	t.sortSlots(fresh)
	for _, s := range t.base {
		if len(gone) > 0 {
			if _, ok := slices.BinarySearch(gone, s); ok {
				continue
			}
		}
		for len(fresh) > 0 && bytes.Compare(t.key(fresh[0]), t.key(s)) < 0 {
			out, fresh = append(out, fresh[0]), fresh[1:]
		}
		out = append(out, s)
	}
	return append(out, fresh...)
}

// track notes that a key came to or went from slot s.
func (t *keyTable) track(s uint32, came bool) {
	if p := t.order.Load(); p != nil {
		t.base, t.fresh, t.gone = *p, t.fresh[:0], t.gone[:0]
		t.order.Store(nil)
	}
	switch {
	case t.base == nil:
		return
	case came:
		t.fresh = append(t.fresh, s)
	default:
		t.gone = append(t.gone, s)
	}
	if len(t.fresh)+len(t.gone) > len(t.base)/2+16 {
		t.base, t.fresh, t.gone = nil, nil, nil
	}
}

// sortSlots sorts slots by key.
func (t *keyTable) sortSlots(slots []uint32) {
	if len(slots) < 64 {
		slices.SortFunc(slots, func(a, b uint32) int { return bytes.Compare(t.key(a), t.key(b)) })
		return
	}
	items := make([]sortItem, len(slots))
	for i, s := range slots {
		items[i].slot = s
	}
	t.sortFrom(items, 0)
	for i := range items {
		slots[i] = items[i].slot
	}
}

// sortItem is a slot with eight bytes of its key: most comparisons need not go to the arena.
type sortItem struct {
	word uint64
	slot uint32
}

// sortFrom sorts items whose keys are equal up to byte depth, eight bytes at a time: multikey quicksort (Bentley and
// Sedgewick, Fast Algorithms for Sorting and Searching Strings, 1997) with words for characters.
func (t *keyTable) sortFrom(items []sortItem, depth int) {
	for i := range items {
		items[i].word = wordAt(t.key(items[i].slot), depth)
	}
	slices.SortFunc(items, func(a, b sortItem) int {
		switch {
		case a.word < b.word:
			return -1
		case a.word > b.word:
			return 1
		}
		return 0
	})
	for i := 0; i < len(items); {
		j := i + 1
		for j < len(items) && items[j].word == items[i].word {
			j++
		}
		switch {
		case j-i > 32 && depth < 1024:
			t.sortFrom(items[i:j], depth+8)
		case j-i > 1:
			slices.SortFunc(items[i:j], func(a, b sortItem) int { return bytes.Compare(t.key(a.slot), t.key(b.slot)) })
		}
		i = j
	}
}

// wordAt returns eight bytes of key from byte at on, zeros beyond its end. CBOR items are not prefixes of each other, so
// keys that differ in length only do not come out equal.
func wordAt(key []byte, at int) uint64 {
	if at+8 <= len(key) {
		return binary.BigEndian.Uint64(key[at:])
	}
	var b [8]byte
	if at < len(key) {
		copy(b[:], key[at:])
	}
	return binary.BigEndian.Uint64(b[:])
}

// dotSlot says in which slot the entry with this seq was put.
type dotSlot struct {
	seq  uint64
	slot uint32
}

// dotList has the entries of one replica, in ascending order of seqs up to sorted; entries that are gone may be in it.
type dotList struct {
	all    []dotSlot
	sorted int
}

// get returns the list in order.
func (l *dotList) get() []dotSlot {
	if l == nil || l.sorted == len(l.all) {
		return l.items()
	}
	compare := func(a, b dotSlot) int { return cmp.Or(cmp.Compare(a.seq, b.seq), cmp.Compare(a.slot, b.slot)) }
	tail := l.all[l.sorted:]
	slices.SortFunc(tail, compare)
	if l.sorted > 0 && l.all[l.sorted-1].seq >= tail[0].seq {
		slices.SortFunc(l.all, compare)
	}
	l.all = slices.Compact(l.all) // what was removed and rolled back is twice there
	l.sorted = len(l.all)
	return l.all
}

func (l *dotList) items() []dotSlot {
	if l == nil {
		return nil
	}
	return l.all
}

// trackDot keeps the index by dot, if there is one.
func (t *keyTable) trackDot(s uint32, d runtime.LocalDot) {
	if t.dots == nil {
		return
	}
	l := t.dots[d.Rep]
	if l == nil {
		l = new(dotList)
		t.dots[d.Rep] = l
	}
	n := len(l.all)
	if n > 64 && n > 4*t.entries {
		t.dots = nil // made anew when it is needed again
		return
	}
	if l.sorted == n && (n == 0 || l.all[n-1].seq < d.Seq) {
		l.sorted++
	}
	l.all = append(l.all, dotSlot{d.Seq, s})
}

// named returns the entries that lie in runs, as dots with their slots. The first time it may look at every entry; if
// that was in vain, an index by dot is kept from then on, so that nobody can make it happen again and again.
func (t *keyTable) named(runs []dotRun) (found []slotDot) {
	if t.dots == nil && covered(runs) > uint64(t.entries/8) {
		t.each(func(s uint32, e writeEntry) {
			if inRuns(runs, e.Dot) {
				found = append(found, slotDot{s, e.Dot})
			}
		})
		if len(found) <= t.entries/8 {
			t.indexDots()
		}
		return found
	}
	t.needDots()
	for _, r := range runs {
		list := t.dots[r.rep].get()
		for i := sort.Search(len(list), func(i int) bool { return list[i].seq >= r.lo }); i < len(list) && list[i].seq <= r.hi; i++ {
			if d := (runtime.LocalDot{Rep: r.rep, Seq: list[i].seq}); t.holds(list[i].slot, d) {
				found = append(found, slotDot{list[i].slot, d})
			}
		}
	}
	return found
}

// covered returns how many dots the runs cover.
func covered(runs []dotRun) (n uint64) {
	for _, r := range runs {
		n += r.hi - r.lo + 1
	}
	return n
}

// slotDot is an entry's slot and dot.
type slotDot struct {
	slot uint32
	dot  runtime.LocalDot
}

// holds reports whether the entry of d is in slot s.
func (t *keyTable) holds(s uint32, d runtime.LocalDot) bool {
	switch x := &t.slots[s]; x.state {
	case slotOne:
		return x.rep == d.Rep && x.seq == d.Seq
	case slotMany:
		return t.many[s].find(d) >= 0
	}
	return false
}

func (t *keyTable) needDots() {
	if t.dots == nil {
		t.indexDots()
	}
}

func (t *keyTable) indexDots() {
	t.dots = make(map[runtime.Rep]*dotList)
	t.each(func(s uint32, e writeEntry) { t.trackDot(s, e.Dot) })
}

// each calls f for every entry, in no order.
func (t *keyTable) each(f func(s uint32, e writeEntry)) {
	var one [1]writeEntry
	for s := range t.slots {
		if t.slots[s].state == slotFree {
			continue
		}
		for _, e := range t.at(uint32(s), &one) {
			f(uint32(s), e)
		}
	}
}
