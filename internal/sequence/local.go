package sequence

// Insert puts n new elements with the dots id.Seq, id.Seq+1, ... before visible element index, and returns where
// they hang and their first LID. With content, text is valid UTF-8 of n code points; without, it is empty. They
// go directly after the visible element at index-1, in front of tombstones that follow it.
//
// It returns a *RangeError, ErrCount, ErrDot or ErrFull, and then nothing is changed. The caller vouches that the dots are
// new. Cost: O(1) near the last edit, else O(log n); typing allocates only as the content buffer grows.
func (s *Sequence) Insert(index int, id ID, n int, text string) (Origin, LID, error) {
	if uint(index) > uint(s.total.vis) {
		return Origin{}, 0, &RangeError{Index: index, Len: s.Len(CodePoints)}
	}
	if n == 1 && len(text) == 1 && s.place.known {
		if o, ok := s.typed(uint32(index), id, text[0]); ok {
			return o, s.count - 1, nil
		}
	}
	w := measure(text)
	if err := s.take(id, n, w, len(text)); err != nil {
		return Origin{}, 0, err
	}
	w.vis = uint32(n)
	if index == 0 {
		return s.insertFirst(id, w, text)
	}
	p := s.seek(uint32(index - 1))
	sp := s.span(p.h, p.slot)
	k := uint32(index-1) - p.start
	if k == sp.n-1 && sp.flags&flagHasRight == 0 {
		if s.extendable(sp, w) {
			o := Origin{Parent: s.lastID()}
			return o, extend(s, p, id, w.vis, text), nil
		}
		o := Origin{Parent: s.idOf(sp.first + k)}
		var r newRun
		r.visible(w)
		attach(s, p, id, &r, text)
		return o, r.lid, nil
	}
	var r newRun
	r.visible(w)
	o := s.insertBefore(p, k+1, id, &r, text)
	return o, r.lid, nil
}

// typed is Insert of one ASCII character that just makes the remembered span longer: of nearly every character that is
// typed. It says whether it did.
func (s *Sequence) typed(index uint32, id ID, c byte) (Origin, bool) {
	p, k := &s.place, len(s.runs)-1
	if p.h == 0 || k < 0 || !s.withText {
		return Origin{}, false
	}
	l, r := s.leaves[p.h], &s.runs[k]
	sp := &l.spans[p.slot]
	off, lid := uint32(len(s.content)), s.count
	if p.start+sp.n != index || sp.flags&(flagHidden|flagHasRight|extrasMask) != 0 || sp.first+sp.n != lid || sp.off+sp.n != off ||
		r.rep != id.Rep || r.seq+uint64(lid-r.lid) != id.Seq || id.Seq >= maxSeq || lid >= maxElements || off >= 1<<32-1 {
		return Origin{}, false
	}
	s.content = append(s.content, c)
	s.count++
	s.noteTyped(lid, 1, off)
	sp.n++
	s.bumpVisible(l, 1)
	return Origin{Parent: ID{id.Rep, id.Seq - 1}}, true
}

// extendable says whether new visible elements of width w, the right child of sp's last, just make sp longer
// without further thought: the case of typing.
func (s *Sequence) extendable(sp *span, w width) bool {
	return sp.flags&(flagHidden|extrasMask) == 0 && w.byt == 0 && sp.first+sp.n == s.count &&
		(!s.withText || int(sp.off+sp.n) == len(s.content))
}

// extend makes the span at p n elements longer.
func extend[T string | []byte](s *Sequence, p place, id ID, n uint32, text T) LID {
	l := s.leaves[p.h]
	off := uint32(len(s.content))
	if len(text) == 1 { // typing: no call
		s.content = append(s.content, text[0])
	} else {
		s.content = append(s.content, text...)
	}
	lid := s.record(id, n)
	s.noteTyped(lid, n, off)
	l.spans[p.slot].n += n
	s.bumpVisible(l, n)
	s.place = p
	return lid
}

// insertFirst inserts at the start of the list.
func (s *Sequence) insertFirst(id ID, w width, text string) (Origin, LID, error) {
	r := newRun{parent: root, lorig: root}
	r.visible(w)
	if s.count > 0 {
		o := s.insertBefore(place{h: s.tree.first, known: true}, 0, id, &r, text)
		return o, r.lid, nil
	}
	admit(s, id, &r, text, true)
	s.lay(place{known: true}, &r)
	return Origin{Root: true}, r.lid, nil
}

// newRun is a run of new elements, each after the first the right child of the one before.
type newRun struct {
	lid    LID
	n      uint32
	w      width // visible width: zero if hidden
	off    uint32
	parent LID
	lorig  LID
	flags  uint32 // flagLeft, flagHidden
}

// visible makes r visible elements of width w. Field by field: what is written in small parts and at once read in
// large ones stalls the processor.
func (r *newRun) visible(w width) {
	r.n = w.vis
	r.w.vis, r.w.u16, r.w.byt = w.vis, w.u16, w.byt
}

// admit gives r its LIDs, takes its content and journals the insert. had says whether the parent had children on
// that side before, or is the start of the list.
func admit[T string | []byte](s *Sequence, id ID, r *newRun, text T, had bool) {
	r.off = uint32(len(s.content))
	s.content = append(s.content, text...)
	r.lid = s.record(id, r.n)
	kind := uint32(opInsert)
	if r.flags&flagLeft != 0 {
		kind |= changeLeft
	}
	if had {
		kind |= changeHad
	}
	s.note(kind, r.lid, r.n, r.parent, r.off)
}

// insertBefore inserts new elements before element k of the span at p, or, if k is its length, of the span that
// follows: they become the left child of that element, which has no left child so far.
func (s *Sequence) insertBefore(p place, k uint32, id ID, r *newRun, text string) Origin {
	sp := s.span(p.h, p.slot)
	r.lorig = root
	switch {
	case k == sp.n:
		r.lorig = sp.last()
		p.start += sp.vis()
		p.h, p.slot = s.after(p.h, p.slot)
	case k > 0:
		r.lorig = sp.first + k - 1
		p = s.split(p, k)
	}
	right := s.span(p.h, p.slot)
	right.flags |= flagHasLeft
	r.parent = right.first
	r.flags |= flagLeft
	o := Origin{Parent: s.idOf(r.parent), Left: true}
	admit(s, id, r, text, false)
	s.lay(p, r)
	return o
}

// attach inserts r as right child of the last element of the span at p, which has no right child: by growing the
// span if it can.
func attach[T string | []byte](s *Sequence, p place, id ID, r *newRun, text T) {
	l := s.leaves[p.h]
	sp := &l.spans[p.slot]
	r.parent = sp.last()
	r.lorig = r.parent
	admit(s, id, r, text, false)
	if s.grows(sp, r) {
		sp.n += r.n
		sp.flags += extras(r.w)
		s.bump(l, r.w)
		s.place = p
		return
	}
	sp.flags |= flagHasRight
	p.start += sp.vis()
	p.slot++
	s.lay(p, r)
}

// grows says whether r can be appended to sp, whose last element is its parent.
func (s *Sequence) grows(sp *span, r *newRun) bool {
	if sp.first+sp.n != r.lid || (sp.flags^r.flags)&flagHidden != 0 {
		return false
	}
	if !s.withText || sp.hidden() {
		return true
	}
	return sp.off+sp.bytes() == r.off && (!sp.wide() && r.w.byt == 0 || sp.n+r.n <= maxWide)
}

// lay puts r before the span at p as one span, or as several where it is wide, and remembers the last of them.
func (s *Sequence) lay(p place, r *newRun) {
	ix := s.index.Load()
	sp := span{first: r.lid, n: r.n, parent: r.parent, lorig: r.lorig, flags: r.flags}
	if s.withText && r.flags&flagHidden == 0 {
		sp.off = r.off
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
