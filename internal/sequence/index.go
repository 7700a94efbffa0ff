package sequence

import "math/bits"

// spanIndex finds the leaf that holds a local number: the set of the spans' first LIDs as a bitmap of three
// levels, which answers "the greatest not above", and a hash table from first LID to leaf, open addressing with
// linear probing. About 14 bytes a span and a bit an element.
type spanIndex struct {
	level [3][]uint64
	keys  []indexEntry // length a power of two; key 0 is free, so that keys are first LID + 1
	used  int
	shift uint8
}

type indexEntry struct {
	key  uint32
	leaf uint32
}

// newSpanIndex returns an empty index with room for spans entries.
func newSpanIndex(spans int) *spanIndex {
	ix := &spanIndex{}
	size := 16
	for size*3 < spans*4 {
		size *= 2
	}
	ix.resize(size)
	return ix
}

func (ix *spanIndex) resize(size int) {
	old := ix.keys
	ix.keys = make([]indexEntry, size)
	ix.shift = uint8(32 - bits.TrailingZeros(uint(size)))
	for _, e := range old {
		if e.key != 0 {
			ix.keys[ix.slot(e.key)] = e
		}
	}
}

// slot returns where key is, or the free entry where it would go.
func (ix *spanIndex) slot(key uint32) uint32 {
	mask := uint32(len(ix.keys) - 1)
	i := key * 0x9E3779B1 >> ix.shift
	for ix.keys[i].key != key && ix.keys[i].key != 0 {
		i = (i + 1) & mask
	}
	return i
}

// set records that the span starting at first is in leaf h.
func (ix *spanIndex) set(first LID, h uint32) {
	i := ix.slot(first + 1)
	if ix.keys[i].key == 0 {
		if ix.used*8 >= len(ix.keys)*7 {
			ix.resize(len(ix.keys) * 2)
			i = ix.slot(first + 1)
		}
		ix.used++
		ix.mark(first)
	}
	ix.keys[i] = indexEntry{first + 1, h}
}

func (ix *spanIndex) mark(first LID) {
	for k := range ix.level {
		w := int(first >> 6)
		for w >= len(ix.level[k]) {
			ix.level[k] = append(ix.level[k], 0)
		}
		ix.level[k][w] |= 1 << (first & 63)
		first >>= 6
	}
}

// unset removes the span that starts at first.
func (ix *spanIndex) unset(first LID) {
	ix.remove(ix.slot(first + 1))
	for k := range ix.level {
		w := &ix.level[k][first>>6]
		*w &^= 1 << (first & 63)
		if *w != 0 {
			return
		}
		first >>= 6
	}
}

// remove frees entry i, moving back those that a free entry would hide.
func (ix *spanIndex) remove(i uint32) {
	if ix.keys[i].key == 0 {
		return
	}
	ix.used--
	mask := uint32(len(ix.keys) - 1)
	for j := (i + 1) & mask; ix.keys[j].key != 0; j = (j + 1) & mask {
		home := ix.keys[j].key * 0x9E3779B1 >> ix.shift
		if (j-home)&mask >= (j-i)&mask {
			ix.keys[i] = ix.keys[j]
			i = j
		}
	}
	ix.keys[i] = indexEntry{}
}

// find returns the first LID and the leaf of the span that holds lid, which must be a known element.
func (ix *spanIndex) find(lid LID) (first LID, h uint32) {
	first = ix.floor(lid)
	return first, ix.keys[ix.slot(first+1)].leaf
}

// floor returns the greatest first LID that is not above lid.
func (ix *spanIndex) floor(lid LID) LID {
	w := lid >> 6
	if word := ix.at(0, w) << (63 - lid&63); word != 0 {
		return lid - uint32(bits.LeadingZeros64(word))
	}
	// Up, until a level has something further left, then down again along the greatest.
	k := 1
	for i := w; ; k++ {
		if k == len(ix.level) {
			w = lastSet(ix.level[k-1], i)
			break
		}
		if word := ix.at(k, i>>6) & (1<<(i&63) - 1); word != 0 {
			w = i&^63 + 63 - uint32(bits.LeadingZeros64(word))
			break
		}
		i >>= 6
	}
	for k--; k >= 0; k-- {
		w = w<<6 + 63 - uint32(bits.LeadingZeros64(ix.level[k][w]))
	}
	return w
}

func (ix *spanIndex) at(k int, w uint32) uint64 {
	if int(w) < len(ix.level[k]) {
		return ix.level[k][w]
	}
	return 0
}

// lastSet returns the greatest index below i of a word that is not zero.
func lastSet(words []uint64, i uint32) uint32 {
	if int(i) > len(words) {
		i = uint32(len(words))
	}
	for i > 0 {
		i--
		if words[i] != 0 {
			break
		}
	}
	return i
}

// spanIndexNow returns the index of spans, building it on first need. Reads may call it concurrently.
func (s *Sequence) spanIndexNow() *spanIndex {
	if ix := s.index.Load(); ix != nil {
		return ix
	}
	s.build.Lock()
	defer s.build.Unlock()
	if ix := s.index.Load(); ix != nil {
		return ix
	}
	spans := 0
	for h := s.tree.first; h != 0; h = s.leaves[h].next {
		spans += int(s.leaves[h].n)
	}
	ix := newSpanIndex(spans)
	ix.used = spans
	for k, n := 0, int(s.count); k < len(ix.level); k++ {
		n = (n + 63) / 64
		ix.level[k] = make([]uint64, n, n+n/8)
	}
	for h := s.tree.first; h != 0; h = s.leaves[h].next {
		l := s.leaves[h]
		for i := range l.spans[:l.n] {
			first := l.spans[i].first
			ix.keys[ix.slot(first+1)] = indexEntry{first + 1, h}
			ix.level[0][first>>6] |= 1 << (first & 63)
		}
	}
	for k := range ix.level[1:] {
		for i, word := range ix.level[k] {
			if word != 0 {
				ix.level[k+1][i>>6] |= 1 << (i & 63)
			}
		}
	}
	s.index.Store(ix)
	return ix
}

// locate returns the span that holds lid, and lid's position in it. Cost: O(1), the first time O(spans).
func (s *Sequence) locate(lid LID) (h uint32, slot int, k uint32) {
	if p := s.place; p.h != 0 {
		sp := s.span(p.h, p.slot)
		if k = lid - sp.first; k < sp.n {
			return p.h, p.slot, k
		}
	}
	first, h := s.spanIndexNow().find(lid)
	l := s.leaves[h]
	for l.spans[slot].first != first {
		slot++
	}
	return h, slot, lid - first
}
