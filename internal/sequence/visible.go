package sequence

// hide makes elements [k, k+m) of the visible span at p tombstones, and remembers where they were.
func (s *Sequence) hide(p place, k, m uint32) {
	sp := s.span(p.h, p.slot)
	w := s.part(sp, k, m)
	off := sp.off
	if s.withText {
		off += s.offset(sp, k)
	}
	s.noteHidden(sp.first+k, m, off, w.vis+w.byt)
	s.place = place{}
	switch {
	case k > 0 && k+m == sp.n && s.giveTail(p, m, w):
		s.place = p
		return
	case k == 0 && m < sp.n && s.giveHead(&p, m, w):
		s.place = p
		return
	}
	p = s.carve(p, k, m)
	l := s.leaves[p.h]
	sp = &l.spans[p.slot]
	sp.flags = sp.flags&^extrasMask | flagHidden
	sp.off = 0
	s.bump(l, w.neg())
	s.place = s.join(p)
}

// part returns the visible width of elements [k, k+m) of a span.
func (s *Sequence) part(sp *span, k, m uint32) width {
	if sp.hidden() {
		return width{}
	}
	if !sp.wide() {
		return width{vis: m}
	}
	if m == sp.n {
		return sp.width()
	}
	return measurePrefix(s.content[sp.off+s.offset(sp, k):], m)
}

// offset returns the bytes of content before element k of a visible span.
func (s *Sequence) offset(sp *span, k uint32) uint32 {
	if !sp.wide() {
		return k
	}
	if k == sp.n {
		return sp.bytes()
	}
	w := measurePrefix(s.content[sp.off:], k)
	return w.vis + w.byt
}

// giveTail moves the last m elements of the visible span at p, not all, to the tombstone span that follows, if
// that continues it: the way of a backspace held down.
func (s *Sequence) giveTail(p place, m uint32, w width) bool {
	h, slot := s.after(p.h, p.slot)
	if h == 0 {
		return false
	}
	l := s.leaves[p.h]
	sp, next := &l.spans[p.slot], s.span(h, slot)
	if !next.hidden() || !sp.continuedBy(next) {
		return false
	}
	if ix := s.index.Load(); ix != nil {
		ix.unset(next.first)
		ix.set(next.first-m, h)
	}
	sp.n -= m
	sp.flags -= extras(w)
	next.first -= m
	next.n += m
	next.parent = next.first - 1
	next.lorig = next.parent
	s.bump(l, w.neg())
	return true
}

// giveHead moves the first m elements of the visible span at p, not all, to the tombstone span before it, if it
// continues that: the way of a delete key held down. It sets p to that span.
func (s *Sequence) giveHead(p *place, m uint32, w width) bool {
	h, slot := s.before(p.h, p.slot)
	if h == 0 {
		return false
	}
	l := s.leaves[p.h]
	sp, prev := &l.spans[p.slot], s.span(h, slot)
	if !prev.hidden() || !prev.continuedBy(sp) {
		return false
	}
	if ix := s.index.Load(); ix != nil {
		ix.unset(sp.first)
		ix.set(sp.first+m, p.h)
	}
	prev.n += m
	sp.first += m
	sp.n -= m
	sp.parent = sp.first - 1
	sp.lorig = sp.parent
	sp.flags -= extras(w)
	if s.withText {
		sp.off += w.vis + w.byt
	}
	s.bump(l, w.neg())
	p.h, p.slot = h, slot
	return true
}

// carve makes elements [k, k+m) of the span at p a span of its own and returns its place.
func (s *Sequence) carve(p place, k, m uint32) place {
	if k > 0 {
		n := s.span(p.h, p.slot).n - k
		p = s.split(p, k)
		if m == n {
			return p
		}
	} else if m == s.span(p.h, p.slot).n {
		return p
	}
	first := s.span(p.h, p.slot).first
	s.split(p, m)
	// The second half may have taken the leaf's upper part with it.
	if l := s.leaves[p.h]; p.slot >= int(l.n) || l.spans[p.slot].first != first {
		l = s.leaves[l.next]
		p.h, p.slot = s.leaves[p.h].next, 0
		for l.spans[p.slot].first != first {
			p.slot++
		}
	}
	return p
}

// join joins the span at p to its neighbours where they may share a span, and returns the place of the result.
func (s *Sequence) join(p place) place {
	if h, slot := s.after(p.h, p.slot); h != 0 {
		s.joinTwo(p.h, p.slot, h, slot)
	}
	h, slot := s.before(p.h, p.slot)
	if h == 0 {
		return p
	}
	v := s.span(h, slot).vis()
	if s.joinTwo(h, slot, p.h, p.slot) {
		return place{h, slot, p.start - v, p.known}
	}
	return p
}

// joinTwo makes the span at b part of the one before it, at a, if they may share a span.
func (s *Sequence) joinTwo(ha uint32, sa int, hb uint32, sb int) bool {
	a, b := s.span(ha, sa), s.span(hb, sb)
	if !a.continuedBy(b) || (a.flags^b.flags)&flagHidden != 0 || !s.contiguous(a, b) {
		return false
	}
	w := b.width()
	if ha != hb {
		s.settle(hb, ha, w)
	}
	a.n += b.n
	a.flags = a.flags&^flagHasRight | b.flags&flagHasRight
	a.flags += extras(w)
	s.drop(hb, sb, s.index.Load())
	return true
}

// contiguous says whether the content of a and b, equally visible, may be that of one span.
func (s *Sequence) contiguous(a, b *span) bool {
	if a.hidden() || !s.withText {
		return true
	}
	return a.off+a.bytes() == b.off && (!a.wide() && !b.wide() || a.n+b.n <= maxWide)
}

// show makes elements [k, k+m) of the hidden span at p visible, with their content at off, and remembers where
// they are.
func (s *Sequence) show(p place, k, m, off uint32) {
	s.note(opShow, s.span(p.h, p.slot).first+k, m, 0, 0)
	p = s.carve(p, k, m)
	l := s.leaves[p.h]
	sp := &l.spans[p.slot]
	sp.flags &^= flagHidden
	w := width{vis: m}
	if s.withText {
		sp.off = off
		w = measurePrefix(s.content[off:], m)
	}
	sp.setExtras(w)
	s.bump(l, w)
	s.place = s.join(p)
}

// Hide makes those of the n elements with dots from id on that are visible tombstones and returns how many there
// were. hidden, which may be nil, is told of each run: the visible index at which n elements were removed. An
// unknown dot gives an *UnknownElementError and changes nothing. Cost: O(1) a span, O(log n) with hidden.
func (s *Sequence) Hide(id ID, n int, hidden func(index, n int)) (changed int, err error) {
	return s.setRange(id, n, false, hidden)
}

// HidePresent is Hide of those of the n dots from id on that are elements. Cost: as EachElement, and Hide.
func (s *Sequence) HidePresent(id ID, n uint64, hidden func(index, n int)) {
	s.EachElement(id, n, func(lid LID, n int) { s.setLIDs(lid, uint32(n), false, hidden) })
	s.compact()
}

// Show is the inverse of Hide, for a sequence without content: it returns how many of the elements were hidden.
// shown, which may be nil, is told the visible index at which n elements appeared.
func (s *Sequence) Show(id ID, n int, shown func(index, n int)) (changed int, err error) {
	return s.setRange(id, n, true, shown)
}

func (s *Sequence) setRange(id ID, n int, visible bool, tell func(index, n int)) (int, error) {
	if n <= 0 || visible && s.withText {
		return 0, ErrCount
	}
	lid, m := s.find(id)
	if int(m) < n || m == 0 { // else all are in one run
		if err := s.known(id, n); err != nil {
			return 0, err
		}
	}
	changed := 0
	for {
		m = uint32(min(int(m), n))
		changed += s.setLIDs(lid, m, visible, tell)
		if n -= int(m); n == 0 {
			break
		}
		id.Seq += uint64(m)
		lid, m = s.find(id)
	}
	s.compact()
	return changed, nil
}

// find is lookup for writers: it remembers the run, and has a short way to it and to what was just written.
func (s *Sequence) find(id ID) (LID, uint32) {
	k := len(s.runs)
	if k == 0 {
		return 0, 0
	}
	r := &s.runs[k-1]
	if d := id.Seq - r.seq; r.rep == id.Rep && d < uint64(s.count-r.lid) {
		return r.lid + uint32(d), s.count - r.lid - uint32(d)
	}
	r = &s.runs[s.hint]
	size := s.runEnd(s.hint) - r.lid
	if d := id.Seq - r.seq; r.rep == id.Rep && d < uint64(size) {
		return r.lid + uint32(d), size - uint32(d)
	}
	lid, n, at := s.lookupRun(id)
	s.hint = at
	return lid, n
}

// known returns an error unless all n dots from id on are present.
func (s *Sequence) known(id ID, n int) error {
	for n > 0 {
		_, m := s.lookup(id)
		if m == 0 {
			return &UnknownElementError{id}
		}
		id.Seq += uint64(m)
		n -= int(min(uint64(m), uint64(n)))
	}
	return nil
}

// setLIDs shows or hides n elements from lid on and returns how many changed.
func (s *Sequence) setLIDs(lid LID, n uint32, visible bool, tell func(index, n int)) (changed int) {
	for n > 0 {
		h, slot, k := s.locate(lid)
		sp := s.span(h, slot)
		m := min(n, sp.n-k)
		lid += m
		n -= m
		if sp.hidden() != visible {
			continue
		}
		p := place{h: h, slot: slot}
		if s.place.known && s.place.h == h && s.place.slot == slot {
			p = s.place
		} else if tell != nil {
			p.start, p.known = s.startOf(h, slot), true
		}
		changed += int(m)
		index := int(p.start)
		if visible {
			s.show(p, k, m, 0)
		} else {
			index += int(k)
			s.hide(p, k, m)
		}
		if tell != nil {
			tell(index, int(m))
		}
	}
	return changed
}

// SetVisible shows or hides element lid, which must be below Elements(), and says whether that changed anything.
// Showing is for sequences without content. Cost: O(1).
func (s *Sequence) SetVisible(lid LID, visible bool) bool {
	if visible && s.withText {
		return false
	}
	changed := s.setLIDs(lid, 1, visible, nil) > 0
	s.compact()
	return changed
}
