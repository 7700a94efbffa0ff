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
	if len(out) < len(runs)/2 {
		out = append(make([]run, 0, len(out)+8), out...)
	}
	s.runs = out
}

// loadLeaves makes the spans of st those of s, in the leaves that they are in unless content beyond ASCII has them cut
// further, and returns the width of each leaf. The leaves are linked, and have no parents yet.
func (s *Sequence) loadLeaves(st *State) []width {
	if st.content && len(st.text) != int(st.visible) {
		return s.loadWide(st)
	}
	rest := len(st.runs)
	widths := make([]width, len(st.leaves))
	for k := range st.leaves {
		st.leaves[k].n = uint16(min(rest, loadFill))
		rest -= loadFill
		widths[k].vis = st.shown[k]
	}
	s.takeLeaves(st.leaves, len(st.leaves))
	return widths
}

// takeLeaves gives the leaves to the tree, of which the first used are in use and linked, the others free.
func (s *Sequence) takeLeaves(leaves []leaf, used int) {
	t := &s.tree
	t.first, t.tail = 1, uint32(used)
	t.leaves = make([]*leaf, 1, len(leaves)+len(leaves)/8+1)
	t.freeLeaves = nil
	for i := range leaves {
		l, h := &leaves[i], uint32(i)+1
		t.leaves = append(t.leaves, l)
		switch {
		case i >= used:
			t.freeLeaves = append(t.freeLeaves, h)
		case i == used-1:
			l.prev = h - 1
		default:
			l.prev, l.next = h-1, h+1
		}
	}
}

// loadWide is loadLeaves for content beyond ASCII.
func (s *Sequence) loadWide(st *State) []width {
	spans := len(st.runs)
	for i := range st.runs {
		spans += int(st.at(i).n) / maxWide
	}
	b := loader{s: s, leaves: make([]leaf, (spans+loadFill-1)/loadFill)}
	b.widths = make([]width, 0, len(b.leaves))
	for i := range st.runs {
		if sp := st.at(i); sp.hidden() {
			b.add(sp)
		} else {
			b.addWide(*sp)
		}
	}
	b.close()
	s.takeLeaves(b.leaves, len(b.widths))
	return b.widths
}

// loader appends spans to leaves.
type loader struct {
	s      *Sequence
	leaves []leaf
	l      *leaf // that is being filled; nil before the first
	last   *span
	sum    width // of it
	widths []width
}

func (b *loader) add(sp *span) {
	last := b.last
	if last != nil && last.continuedBy(sp) && (last.flags^sp.flags)&flagHidden == 0 && b.s.contiguous(last, sp) {
		b.sum = b.sum.plus(sp.width())
		last.n += sp.n
		last.flags = last.flags&^flagHasRight | sp.flags&flagHasRight
		last.flags += sp.flags & extrasMask
		return
	}
	if b.l == nil || b.l.n == loadFill {
		b.close()
		b.l = &b.leaves[len(b.widths)]
	}
	b.last = &b.l.spans[b.l.n]
	*b.last = *sp
	b.l.n++
	b.sum = b.sum.plus(sp.width())
}

// close ends the leaf that is being filled.
func (b *loader) close() {
	if b.l != nil {
		b.widths = append(b.widths, b.sum)
		b.sum = width{}
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
