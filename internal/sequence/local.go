package sequence

// Insert puts n new elements with the dots id.Seq, id.Seq+1, ... before visible element index, and returns where
// they hang and their first LID. With content, text is valid UTF-8 of n code points; without, it is empty. They
// go directly after the visible element at index-1, in front of tombstones that follow it.
//
// It returns a *RangeError, ErrCount or ErrFull, and then nothing is changed. The caller vouches that the dots are
// new. Cost: O(1) near the last edit, else O(log n); typing allocates only as the content buffer grows.
func (s *Sequence) Insert(index int, id ID, n int, text string) (Origin, LID, error) {
	if uint(index) > uint(s.total.vis) {
		return Origin{}, 0, &RangeError{Index: index, Len: s.Len(CodePoints)}
	}
	w := measure(text)
	if err := s.take(n, w, len(text)); err != nil {
		return Origin{}, 0, err
	}
	w.vis = uint32(n)
	off := uint32(len(s.content))
	s.content = append(s.content, text...)
	if index == 0 {
		return s.insertFront(id, w, off)
	}
	p := s.seek(uint32(index - 1))
	sp := s.span(p.h, p.slot)
	k := uint32(index-1) - p.start
	if k == sp.n-1 && sp.flags&flagHasRight == 0 {
		o := Origin{Parent: s.idOf(sp.first + k)}
		return o, s.attach(p, id, w, off), nil
	}
	return s.insertBefore(p, k+1, id, w, off)
}

// insertFront inserts at the start of the list: the start plays the element on the left.
func (s *Sequence) insertFront(id ID, w width, off uint32) (Origin, LID, error) {
	if s.count > 0 {
		return s.insertBefore(place{h: s.tree.first, slot: 0, known: true}, 0, id, w, off)
	}
	lid := s.record(id, w.vis)
	s.note(change{op: opInsert, lid: lid, n: w.vis, other: root, off: off, had: true})
	s.lay(place{known: true}, newRun{lid, w, off, root, root, 0})
	return Origin{Root: true}, lid, nil
}

// insertBefore inserts new elements before element k of the span at p, or, if k is its length, of the span that
// follows: they become the left child of that element, which has no left child so far.
func (s *Sequence) insertBefore(p place, k uint32, id ID, w width, off uint32) (Origin, LID, error) {
	lorig := root
	sp := s.span(p.h, p.slot)
	switch {
	case k == sp.n:
		lorig = sp.last()
		p.start += sp.vis()
		p.h, p.slot = s.after(p.h, p.slot)
	case k > 0:
		lorig = sp.first + k - 1
		p = s.split(p, k)
	}
	right := s.span(p.h, p.slot)
	parent := right.first
	right.flags |= flagHasLeft
	o := Origin{Parent: s.idOf(parent), Left: true}
	lid := s.record(id, w.vis)
	s.note(change{op: opInsert, lid: lid, n: w.vis, other: parent, left: true, off: off})
	s.lay(p, newRun{lid, w, off, parent, lorig, flagLeft})
	return o, lid, nil
}

// attach inserts new elements as right child of the last element of the span at p, which has no right child: by
// growing the span if it can.
func (s *Sequence) attach(p place, id ID, w width, off uint32) LID {
	l := s.leaves[p.h]
	sp := &l.spans[p.slot]
	parent := sp.last()
	lid := s.record(id, w.vis)
	s.note(change{op: opInsert, lid: lid, n: w.vis, other: parent, off: off})
	if s.grows(sp, lid, w, off) {
		sp.n += w.vis
		sp.flags += extras(w)
		s.bump(l, w)
		s.place = p
		return lid
	}
	sp.flags |= flagHasRight
	p.start += sp.vis()
	p.slot++
	s.lay(p, newRun{lid, w, off, parent, parent, 0})
	return lid
}

// grows says whether the new elements lid..., of width w and content at off, can be appended to sp.
func (s *Sequence) grows(sp *span, lid LID, w width, off uint32) bool {
	if sp.first+sp.n != lid || sp.hidden() {
		return false
	}
	if !s.withText {
		return true
	}
	return sp.off+sp.bytes() == off && (!sp.wide() && w.byt == 0 || sp.n+w.vis <= maxWide)
}

// newRun is a run of new visible elements, each after the first the right child of the one before.
type newRun struct {
	lid    LID
	w      width
	off    uint32
	parent LID
	lorig  LID
	side   uint32 // flagLeft or 0
}

// lay puts r before the span at p as one span, or as several where it is wide, and remembers the last of them.
func (s *Sequence) lay(p place, r newRun) {
	ix := s.index.Load()
	sp := span{first: r.lid, n: r.w.vis, off: r.off, parent: r.parent, lorig: r.lorig, flags: r.side}
	if !s.withText {
		sp.off = 0
	}
	rest := r.w
	for rest.byt != 0 && rest.vis > maxWide {
		w := measurePrefix(s.content[sp.off:], maxWide)
		rest = rest.plus(w.neg())
		sp.n = w.vis
		sp.flags |= flagHasRight
		sp.setExtras(w)
		p.h, p.slot = s.put(p.h, p.slot, sp, ix)
		s.bump(s.leaves[p.h], w)
		p.slot++
		p.start += w.vis
		last := sp.last()
		sp = span{first: last + 1, n: rest.vis, off: sp.off + sp.bytes(), parent: last, lorig: last}
	}
	sp.setExtras(rest)
	p.h, p.slot = s.put(p.h, p.slot, sp, ix)
	s.bump(s.leaves[p.h], rest)
	s.place = p
}

// split cuts the span at p before its element k, 0 < k < n, and returns the place of the second part. The
// remembered place is gone.
func (s *Sequence) split(p place, k uint32) place {
	sp := s.span(p.h, p.slot)
	w := s.head(sp, k)
	right := *sp
	right.first += k
	right.n -= k
	right.parent = right.first - 1
	right.lorig = right.parent
	right.flags &^= flagLeft | flagHasLeft
	if !sp.hidden() {
		right.setExtras(sp.width().plus(w.neg()))
		if s.withText {
			right.off += w.vis + w.byt
		}
	}
	sp.n = k
	sp.flags |= flagHasRight
	sp.setExtras(w)
	h, slot := s.put(p.h, p.slot+1, right, s.index.Load())
	if h != p.h {
		s.settle(p.h, h, right.width())
	}
	s.place = place{}
	return place{h, slot, p.start + w.vis, p.known}
}

// settle moves width w from leaf from, whose span gave it away, to leaf to, where it is now.
func (s *Sequence) settle(from, to uint32, w width) {
	s.bump(s.leaves[from], w.neg())
	s.bump(s.leaves[to], w)
}

// DeleteRange hides the n visible elements from index on and appends their dots to dst, in list order,
// consecutive dots joined (never to what dst held before). It returns a *RangeError when [index, index+n) is not
// inside the visible list; then nothing is changed. Cost: O(spans touched), O(1) each near the last edit.
func (s *Sequence) DeleteRange(index, n int, dst []IDSpan) ([]IDSpan, error) {
	size := s.Len(CodePoints)
	if index < 0 || index > size {
		return dst, &RangeError{Index: index, Len: size}
	}
	if n < 0 || n > size-index {
		return dst, &RangeError{Index: index + n, Len: size}
	}
	base := len(dst)
	for n > 0 {
		p := s.seek(uint32(index))
		sp := s.span(p.h, p.slot)
		k := uint32(index) - p.start
		m := min(uint32(n), sp.n-k)
		dst = s.appendDots(dst, base, sp.first+k, m)
		s.hide(p, k, m)
		n -= int(m)
	}
	s.compact()
	return dst, nil
}
