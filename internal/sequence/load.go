package sequence

import "slices"

// Load makes s, which must be empty, equal to st, and takes what st holds: st must not be used afterwards. It returns
// ErrNotEmpty, or a *DecodeError for a state of the other sort (with or without content), and then nothing is changed.
// Rollback makes s empty again. Cost: O(spans), one pass; indexes are built when they are first needed.
func (s *Sequence) Load(st *State) error {
	if s.count != 0 {
		return ErrNotEmpty
	}
	if err := s.accepts(st); err != nil {
		return err
	}
	if st.count == 0 {
		return nil
	}
	if st.delta != nil {
		return s.Merge(st, func(ID) bool { return false }, Events{})
	}
	s.note(opLoad, 0, 0, 0, 0)
	s.place = place{}
	s.index.Store(nil)
	s.dots.Store(nil)
	s.content = slices.Clip(st.text)
	s.count = st.count
	s.raiseTop(s.loadLeaves(st))
	s.loadRuns(st.runs)
	s.loaded, s.loadedWidth = s.count, s.total
	*st = State{content: st.content}
	return nil
}

// accepts tests what a decoder could not.
func (s *Sequence) accepts(st *State) error {
	if st.content != s.withText {
		return &DecodeError{Field: "content", Err: ErrCorrupt}
	}
	return nil
}

// loadRuns takes over the runs, joining those that continue each other.
func (s *Sequence) loadRuns(runs []run) {
	out := runs[:1]
	last := &out[0]
	for i := 1; i < len(runs); i++ {
		r := &runs[i]
		if last.rep == r.rep && last.seq+uint64(r.lid-last.lid) == r.seq {
			continue
		}
		out = append(out, *r)
		last = &out[len(out)-1]
	}
	s.runs = out
}

// loadLeaves makes the spans of st those of s, in the leaves that they are in unless content beyond ASCII has them cut
// further, and returns the width of each leaf. The leaves are linked, and have no parents yet.
func (s *Sequence) loadLeaves(st *State) []width {
	leaves := st.leaves
	wide := len(st.text) != int(st.visible) && st.content
	if wide {
		spans := len(st.runs)
		for i := range st.runs {
			spans += int(st.at(i).n) / maxWide
		}
		leaves = make([]leaf, (spans+loadFill-1)/loadFill)
	}
	b := loader{s: s, leaves: leaves, widths: make([]width, 0, len(leaves))}
	rest := len(st.runs)
	for k := range st.leaves {
		spans := st.leaves[k].spans[:min(rest, loadFill)]
		rest -= len(spans)
		for i := range spans {
			if sp := &spans[i]; wide && !sp.hidden() {
				b.addWide(*sp)
			} else {
				b.add(sp)
			}
		}
	}
	b.finish()
	return b.widths
}

// loader appends spans to leaves. They may be those that the spans come from, as long as there is room before them.
type loader struct {
	s      *Sequence
	leaves []leaf
	l      *leaf // that is being filled; nil before the first
	n      int   // spans in it
	last   *span
	sum    width // of it
	widths []width
}

func (b *loader) add(sp *span) {
	last := b.last
	if last != nil && last.continuedBy(sp) && (last.flags^sp.flags)&flagHidden == 0 && b.s.contiguous(last, sp) {
		b.count(sp)
		last.n += sp.n
		last.flags = last.flags&^flagHasRight | sp.flags&flagHasRight
		last.flags += sp.flags & extrasMask
		return
	}
	if b.l == nil || b.n == loadFill {
		b.close()
		b.l, b.n = &b.leaves[len(b.widths)], 0
	}
	b.last = &b.l.spans[b.n]
	if b.last != sp {
		*b.last = *sp
	}
	b.n++
	b.count(sp)
}

// count adds the width of sp. Without a branch, which nothing could predict; a hidden span has no extra width.
func (b *loader) count(sp *span) {
	b.sum.vis += sp.n & sp.shown()
	b.sum.u16 += sp.flags >> u16Shift & u16Mask
	b.sum.byt += sp.flags >> byteShift
}

// close ends the leaf that is being filled.
func (b *loader) close() {
	if b.l == nil {
		return
	}
	k := uint32(len(b.widths)) + 1 // its handle
	b.l.n, b.l.prev, b.l.next = uint16(b.n), k-1, k+1
	b.widths = append(b.widths, b.sum)
	b.sum = width{}
}

// finish gives the leaves to the tree, those that are left over as free ones.
func (b *loader) finish() {
	b.close()
	t := &b.s.tree
	used := len(b.widths)
	b.l.next = 0
	t.first, t.tail = 1, uint32(used)
	t.leaves = make([]*leaf, 1, len(b.leaves)+len(b.leaves)/8+1)
	t.freeLeaves = nil
	for i := range b.leaves {
		t.leaves = append(t.leaves, &b.leaves[i])
		if i >= used {
			t.freeLeaves = append(t.freeLeaves, uint32(i)+1)
		}
	}
}

// addWide adds a visible span of content that may go beyond ASCII, in pieces if need be.
func (b *loader) addWide(sp span) {
	left := measurePrefix(b.s.content[sp.off:], sp.n)
	for left.byt != 0 && left.vis > maxWide {
		w := measurePrefix(b.s.content[sp.off:], maxWide)
		part := sp
		part.n = maxWide
		part.flags |= flagHasRight
		part.setExtras(w)
		b.add(&part)
		left = left.plus(w.neg())
		sp.first += maxWide
		sp.n -= maxWide
		sp.off += w.vis + w.byt
		sp.parent, sp.lorig = sp.first-1, sp.first-1
		sp.flags &^= flagLeft | flagHasLeft
	}
	sp.setExtras(left)
	b.add(&sp)
}

// raiseTop builds the inner nodes above the leaves, whose widths these are.
func (s *Sequence) raiseTop(widths []width) {
	nodes := make([]uint32, len(widths))
	for i, w := range widths {
		nodes[i] = uint32(i) + 1
		s.total = s.total.plus(w)
	}
	for atLeaves := true; len(nodes) > 1; atLeaves = false {
		nodes, widths = s.raiseLevel(nodes, widths, atLeaves)
		s.top = nodes[0]
	}
}

// raiseLevel builds the inner nodes above nodes, which are two or more.
func (s *Sequence) raiseLevel(nodes []uint32, widths []width, atLeaves bool) (up []uint32, sums []width) {
	for len(nodes) > 0 {
		n := min(len(nodes), fan-fan/8)
		if len(nodes) == n+1 {
			n-- // leave two for the last
		}
		h := s.newInner(atLeaves)
		in := s.inners[h]
		var sum width
		for i := range n {
			in.kids[i] = nodes[i]
			in.add(uint16(i), widths[i])
			s.setParent(in, nodes[i], h, i)
			sum = sum.plus(widths[i])
		}
		in.n = uint16(n)
		up = append(up, h)
		sums = append(sums, sum)
		nodes, widths = nodes[n:], widths[n:]
	}
	return up, sums
}
