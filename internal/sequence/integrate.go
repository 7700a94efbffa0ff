package sequence

// gap is a place between two elements: before element k of the span at slot of leaf h; with k = 0, slot may be
// the number of spans in the leaf. With h = 0 the list is empty.
type gap struct {
	h    uint32
	slot int
	k    uint32
}

// Integrate puts n elements that another replica inserted, with the dots id.Seq, id.Seq+1, ..., where o says, and
// returns their first LID. With content, text is valid UTF-8 of n code points.
//
// It returns *UnknownElementError when the parent is not there, ErrDuplicate when one of the dots already is,
// ErrDot, ErrOrigin, ErrCount or ErrFull, and then nothing is changed. Cost: O(1) next to the last insert or where the
// parent has no other child on that side, else O(log n) plus what stands between the new elements and a
// concurrent sibling.
func (s *Sequence) Integrate(id ID, n int, text []byte, o Origin) (LID, error) {
	w := measure(text)
	if err := s.take(id, n, w, len(text)); err != nil {
		return 0, err
	}
	parent := root
	if !o.Root {
		lid, ok := s.LIDOf(o.Parent)
		if !ok {
			return 0, &UnknownElementError{o.Parent}
		}
		parent = lid
	}
	if !s.isBeyond(id) && s.anyOf(id, n) {
		return 0, ErrDuplicate
	}
	w.vis = uint32(n)
	var r newRun
	r.visible(w)
	r.parent = parent
	err := s.integrate(id, &r, text, o.Left)
	return r.lid, err
}

// integrate puts r, whose parent, length and visibility are set, where a child on that side belongs.
func (s *Sequence) integrate(id ID, r *newRun, text []byte, left bool) error {
	switch {
	case left && r.parent == root || !s.follows(id, r.parent):
		return ErrOrigin
	case left:
		return s.integrateLeft(id, r, text)
	case r.parent == root:
		var g gap
		if s.count > 0 {
			g = s.rightGap(id, root, gap{})
		}
		s.integrateAt(g, id, r, text)
		return nil
	}
	h, slot, k := s.locate(r.parent)
	sp := s.span(h, slot)
	if k == sp.n-1 && sp.flags&flagHasRight == 0 {
		if p := s.placeAt(h, slot); r.flags == 0 && s.extendable(sp, r.w) {
			r.lid = extend(s, p, id, r.n, text)
		} else {
			attach(s, p, id, r, text)
		}
		return nil
	}
	s.integrateAt(s.rightGap(id, r.parent, gap{h, slot, k}), id, r, text)
	return nil
}

// integrateAt puts a right child at g, among others.
func (s *Sequence) integrateAt(g gap, id ID, r *newRun, text []byte) {
	r.lorig = r.parent
	admit(s, id, r, text, true)
	s.lay(s.open(g), r)
	s.addSibling(siblingKey(r.parent, 0), r.lid)
}

func (s *Sequence) integrateLeft(id ID, r *newRun, text []byte) error {
	h, slot, k := s.locate(r.parent)
	sp := s.span(h, slot)
	_, r.lorig, _ = sp.origin(k)
	if !s.follows(id, r.lorig) {
		return ErrOrigin
	}
	p := s.placeAt(h, slot)
	had := k == 0 && sp.flags&flagHasLeft != 0
	switch {
	case k > 0:
		p = s.split(p, k)
	case had:
		p = s.open(s.leftGap(id, gap{h, slot, 0}))
	}
	if !had {
		s.span(p.h, p.slot).flags |= flagHasLeft
	}
	r.flags |= flagLeft
	admit(s, id, r, text, had)
	s.lay(p, r)
	if had {
		s.addSibling(siblingKey(r.parent, flagLeft), r.lid)
	}
	return nil
}

// isBeyond says whether id is above every dot of its replica that is present.
func (s *Sequence) isBeyond(id ID) bool {
	rr := s.dotIndexNow().of(id.Rep)
	if rr == nil || len(rr.runs) == 0 {
		return true
	}
	at := int(rr.runs[len(rr.runs)-1])
	r := &s.runs[at]
	return r.seq+uint64(s.runEnd(at)-r.lid) <= id.Seq
}

// follows says whether the dot id can have been made after element lid: a replica's own elements ascend.
func (s *Sequence) follows(id ID, lid LID) bool {
	if lid == root {
		return true
	}
	d := s.IDOf(lid)
	return d.Rep != id.Rep || d.Seq < id.Seq
}

// placeAt returns the span as a place, with its visible index if that is the remembered one.
func (s *Sequence) placeAt(h uint32, slot int) place {
	if s.place.h == h && s.place.slot == slot {
		return s.place
	}
	return place{h: h, slot: slot}
}

// open turns g into a place between spans.
func (s *Sequence) open(g gap) place {
	p := place{h: g.h, slot: g.slot}
	if g.k > 0 {
		return s.split(p, g.k)
	}
	return p
}

// rightGap returns where a right child of P with the dot id belongs, among the right children that P has; at is
// P's position. If P is the start of the list, at is not used.
//
// Elements whose left origin is P form the left closures of its right children: each right child comes after
// its own. An element whose left origin stands before P ends P's right subtree.
func (s *Sequence) rightGap(id ID, parent LID, at gap) gap {
	if sb := s.sibs[siblingKey(parent, 0)]; sb != nil {
		return s.gapAmong(sb, id, parent)
	}
	next := gap{s.tree.first, 0, 0}
	met := 0
	if parent != root {
		sp := s.span(at.h, at.slot)
		if at.k+1 < sp.n {
			if s.compareIDs(id, s.IDOf(parent+1)) < 0 {
				return gap{at.h, at.slot, at.k + 1}
			}
			met++
		}
		next.h, next.slot = s.tree.after(at.h, at.slot)
	}
	end := s.endGap()
	var boundary gap
	for prev := parent; next.h != 0; next.h, next.slot = s.tree.after(next.h, next.slot) {
		s.steps++
		e := s.span(next.h, next.slot)
		if e.lorig == parent {
			if boundary.h == 0 {
				boundary = next
			}
			if e.parent == parent && e.flags&flagLeft == 0 {
				if s.compareIDs(id, s.IDOf(e.first)) < 0 {
					return boundary
				}
				boundary = gap{}
				if met++; met > crowd {
					return s.gapAmong(s.gatherRight(parent), id, parent)
				}
			}
		} else if e.lorig != prev && s.standsBefore(e.lorig, parent) {
			return next
		}
		prev = e.last()
	}
	return end
}

// endGap returns the end of the list, which is not empty.
func (s *Sequence) endGap() gap {
	return gap{s.tree.tail, int(s.leaves[s.tree.tail].n), 0}
}

// standsBefore says whether element a stands before element b in the list. They differ.
func (s *Sequence) standsBefore(a, b LID) bool {
	if a == root || b == root {
		return a == root
	}
	ha, sa, ka := s.locate(a)
	hb, sb, kb := s.locate(b)
	switch {
	case ha != hb:
		return s.precedes(ha, hb)
	case sa != sb:
		return sa < sb
	}
	return ka < kb
}

// leftGap returns where a left child of R with the dot id belongs, among the left children that R has; at is R's
// position, the first of its span.
//
// Going back from R, elements whose left origin is not R's belong to the right subtree of some left child. One
// with the same left origin is a left child of R, or hangs by left links below one that was passed, or ends R's
// left subtree.
func (s *Sequence) leftGap(id ID, at gap) gap {
	r := s.span(at.h, at.slot)
	if sb := s.sibs[siblingKey(r.first, flagLeft)]; sb != nil {
		return s.gapAmong(sb, id, r.first)
	}
	met := 0
	w := s.walkLeft(at)
	for w.next(s) {
		if w.direct {
			if s.compareIDs(s.IDOf(w.elem), id) < 0 {
				return w.boundary
			}
			if met++; met > crowd {
				return s.gapAmong(s.gatherLeft(at), id, r.first)
			}
		}
		w.boundary = w.at
	}
	return w.boundary
}

// leftWalk goes back over the left closure of an element R: the elements that hang from R by left links alone.
type leftWalk struct {
	r, lorig LID
	at       gap
	elem     LID  // the present element, first of the span at at
	direct   bool // it is a left child of R itself
	closure  LID  // the last element of the closure that was passed
	boundary gap  // for the caller: the start of what was passed
}

func (s *Sequence) walkLeft(at gap) leftWalk {
	r := s.span(at.h, at.slot)
	return leftWalk{r: r.first, lorig: r.lorig, at: at, closure: r.first, boundary: at}
}

// next goes on to the next element of the closure and returns false when there is none.
func (w *leftWalk) next(s *Sequence) bool {
	for {
		h, slot := s.tree.before(w.at.h, w.at.slot)
		if h == 0 {
			return false
		}
		s.steps++
		w.at = gap{h, slot, 0}
		q := s.span(h, slot)
		if w.lorig-q.first < q.n {
			return false // the left origin itself
		}
		if q.lorig != w.lorig {
			continue
		}
		if q.flags&flagLeft == 0 {
			return false // an earlier right child of the left origin
		}
		if q.parent != w.closure && q.parent != w.r && s.standsBefore(w.r, q.parent) {
			return false // an earlier left sibling of R, or of what R hangs from by left links
		}
		w.elem, w.direct, w.closure = q.first, q.parent == w.r, q.first
		return true
	}
}
