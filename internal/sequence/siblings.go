package sequence

import "slices"

// crowd is the number of same-side siblings that a scan passes before it builds an index of them.
const crowd = 8

// chunkCap bounds the pieces of a sibling index.
const chunkCap = 512

// siblings lists the children of one element on one side, ascending, in pieces so that inserting stays cheap.
type siblings struct {
	chunks [][]LID
	side   uint32
}

func siblingKey(parent LID, side uint32) uint64 { return uint64(parent)<<1 | uint64(side&flagLeft) }

// search returns the position of the first sibling whose dot is above id.
func (b *siblings) search(s *Sequence, id ID) (chunk, i int) {
	above := func(lid LID, _ struct{}) int {
		if s.compareIDs(s.IDOf(lid), id) > 0 {
			return 1
		}
		return -1
	}
	if k := len(b.chunks); k > 0 { // siblings often come in ascending order
		if last := b.chunks[k-1]; above(last[len(last)-1], struct{}{}) < 0 {
			return k, 0
		}
	}
	chunk, _ = slices.BinarySearchFunc(b.chunks, struct{}{}, func(c []LID, x struct{}) int { return above(c[len(c)-1], x) })
	if chunk == len(b.chunks) {
		return chunk, 0
	}
	i, _ = slices.BinarySearchFunc(b.chunks[chunk], struct{}{}, above)
	return chunk, i
}

// around returns the siblings before and after that position.
func (b *siblings) around(chunk, i int) (before, after LID, hasBefore, hasAfter bool) {
	if chunk < len(b.chunks) {
		after, hasAfter = b.chunks[chunk][i], true
	}
	switch {
	case i > 0:
		before, hasBefore = b.chunks[chunk][i-1], true
	case chunk > 0:
		c := b.chunks[chunk-1]
		before, hasBefore = c[len(c)-1], true
	}
	return before, after, hasBefore, hasAfter
}

// insert puts lid at that position.
func (b *siblings) insert(chunk, i int, lid LID) {
	if chunk == len(b.chunks) {
		if chunk == 0 {
			b.chunks = append(b.chunks, nil)
			chunk = 1
		}
		chunk--
		i = len(b.chunks[chunk])
	}
	c := slices.Insert(b.chunks[chunk], i, lid)
	b.chunks[chunk] = c
	if len(c) > chunkCap {
		rest := slices.Clone(c[chunkCap/2:])
		b.chunks[chunk] = c[: chunkCap/2 : chunkCap/2]
		b.chunks = slices.Insert(b.chunks, chunk+1, rest)
	}
}

// addSibling enters the new element lid into the index for key, if there is one.
func (s *Sequence) addSibling(key uint64, lid LID) {
	b := s.sibs[key]
	if b == nil {
		return
	}
	chunk, i := b.search(s, s.IDOf(lid))
	b.insert(chunk, i, lid)
}

// gatherRight builds the index of P's right children.
func (s *Sequence) gatherRight(parent LID) *siblings {
	b := &siblings{}
	h, slot := s.tree.first, 0
	if parent != root {
		var k uint32
		h, slot, k = s.locate(parent)
		if k+1 < s.span(h, slot).n {
			b.insert(0, 0, parent+1)
		}
		h, slot = s.tree.after(h, slot)
	}
	for prev := parent; h != 0; h, slot = s.tree.after(h, slot) {
		s.steps++
		e := s.span(h, slot)
		if e.lorig == parent {
			if e.parent == parent && e.flags&flagLeft == 0 {
				b.insert(len(b.chunks), 0, e.first)
			}
		} else if e.lorig != prev && s.standsBefore(e.lorig, parent) {
			break
		}
		prev = e.last()
	}
	return s.keepSiblings(siblingKey(parent, 0), b)
}

// gatherLeft builds the index of the left children of R, which is the first element of the span at at.
func (s *Sequence) gatherLeft(at gap) *siblings {
	b := &siblings{side: flagLeft}
	w := s.walkLeft(at)
	for w.next(s) {
		if w.direct {
			b.insert(0, 0, w.elem)
		}
	}
	return s.keepSiblings(siblingKey(w.r, flagLeft), b)
}

func (s *Sequence) keepSiblings(key uint64, b *siblings) *siblings {
	if s.sibs == nil {
		s.sibs = make(map[uint64]*siblings)
	}
	s.sibs[key] = b
	return b
}

// gapAmong returns where a new child of parent with the dot id belongs among b, its children on that side: at the
// start of the subtree of the next sibling, which is the end of that of the one before. It takes the end that
// is found without a walk if there is one.
func (s *Sequence) gapAmong(b *siblings, id ID, parent LID) gap {
	before, after, hasBefore, hasAfter := b.around(b.search(s, id))
	if !hasAfter && b.side == flagLeft {
		h, slot, _ := s.locate(parent)
		return gap{h, slot, 0}
	}
	if hasAfter {
		h, slot, k := s.locate(after)
		if k > 0 || s.span(h, slot).flags&flagHasLeft == 0 {
			return gap{h, slot, k}
		}
		if !hasBefore {
			w := s.walkLeft(gap{h, slot, 0})
			for w.next(s) {
				w.boundary = w.at
			}
			return w.boundary
		}
	}
	return s.endOf(before, hasAfter)
}

// endOf returns the end of the right subtree of sibling d, which another sibling's subtree follows if more.
func (s *Sequence) endOf(d LID, more bool) gap {
	h, slot, k := s.locate(d)
	lorig := s.span(h, slot).lorig
	if k > 0 {
		lorig = d - 1
	}
	at := gap{}
	at.h, at.slot = s.tree.after(h, slot)
	for prev := d; at.h != 0; at.h, at.slot = s.tree.after(at.h, at.slot) {
		s.steps++
		e := s.span(at.h, at.slot)
		if e.lorig == lorig {
			return at
		}
		if !more && e.lorig != prev && s.standsBefore(e.lorig, d) {
			return at
		}
		prev = e.last()
	}
	return s.endGap()
}
