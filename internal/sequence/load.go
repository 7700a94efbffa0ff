package sequence

import "slices"

// fill is the number of entries that a load puts into a node of capacity c: room is left for the first edits.
func fill(c int) int { return c - c/8 }

// Load makes s, which must be empty, equal to st. It returns ErrNotEmpty, or a *DecodeError for siblings in the
// wrong order or a state of the other sort (with or without content), and then nothing is changed. Rollback makes
// s empty again. Cost: O(spans), one pass; indexes are built when they are first needed.
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
	s.content = slices.Clip(st.text) // shared: nobody writes below its length
	s.count = st.count
	s.loadRuns(st.runs)
	s.loadLeaves(st)
	s.raiseTop()
	return nil
}

// accepts tests what a decoder could not.
func (s *Sequence) accepts(st *State) error {
	if st.content != s.withText {
		return &DecodeError{Field: "content", Err: ErrCorrupt}
	}
	return st.check(s.order)
}

// loadRuns copies the runs, joining those that continue each other.
func (s *Sequence) loadRuns(runs []run) {
	s.runs = make([]run, 0, len(runs)+8)
	for i := range runs {
		r := &runs[i]
		if k := len(s.runs); k > 0 {
			last := &s.runs[k-1]
			if last.rep == r.rep && last.seq+uint64(r.lid-last.lid) == r.seq {
				continue
			}
		}
		s.runs = append(s.runs, *r)
	}
}

// loadLeaves fills leaves from left to right. They are linked, and have no parents yet.
func (s *Sequence) loadLeaves(st *State) {
	s.reserve(len(st.spans)/fill(leafCap) + 1)
	wide := st.content && len(st.text) != int(st.visible)
	b := loader{s: s}
	for i := range st.spans {
		sp := st.spans[i]
		if wide && !sp.hidden() {
			b.addWide(sp)
			continue
		}
		b.add(&sp)
	}
}

// reserve makes n free leaves in one allocation.
func (t *tree) reserve(n int) {
	if len(t.leaves) == 0 {
		t.leaves = append(make([]*leaf, 0, n+n/8+1), nil)
	}
	chunk := make([]leaf, n)
	for i := range chunk {
		t.leaves = append(t.leaves, &chunk[i])
		t.freeLeaves = append(t.freeLeaves, uint32(len(t.leaves)-1))
	}
	slices.Reverse(t.freeLeaves)
}

// loader appends spans to the last leaf.
type loader struct {
	s *Sequence
	l *leaf
}

func (b *loader) add(sp *span) {
	if b.l != nil {
		last := &b.l.spans[b.l.n-1]
		if last.continuedBy(sp) && (last.flags^sp.flags)&flagHidden == 0 && b.s.contiguous(last, sp) {
			last.n += sp.n
			last.flags = last.flags&^flagHasRight | sp.flags&flagHasRight
			last.flags += sp.flags & extrasMask
			return
		}
	}
	if b.l == nil || int(b.l.n) == fill(leafCap) {
		h := b.s.newLeaf()
		if b.l == nil {
			b.s.tree.first, b.s.tail = h, h
		} else {
			b.s.linkAfter(h, b.s.tail)
		}
		b.l = b.s.leaves[h]
	}
	b.l.spans[b.l.n] = *sp
	b.l.n++
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

// raiseTop builds the inner nodes above the leaves.
func (s *Sequence) raiseTop() {
	var nodes []uint32
	var widths []width
	for h := s.tree.first; h != 0; h = s.leaves[h].next {
		l := s.leaves[h]
		var w width
		for i := range l.spans[:l.n] {
			w = w.plus(l.spans[i].width())
		}
		nodes = append(nodes, h)
		widths = append(widths, w)
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
		n := min(len(nodes), fill(fan))
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
