package sequence

import "slices"

// change is one mutation, with what its inverse needs. Fields of one size are cheap to write one by one.
type change struct {
	kind   uint32 // an op, and for opInsert changeLeft and changeHad
	lid, n uint32
	other  LID    // opInsert: the parent
	off    uint32 // opInsert: length of the content before; opHide: where the hidden content is
}

const (
	opInsert = iota
	opHide
	opShow
	opLoad
	opMask     = 3
	changeLeft = 4 // a left child
	changeHad  = 8 // the parent had children on that side before, or is the start of the list
)

// journal lists the mutations of the open transaction, oldest first. While it is open no content is compacted,
// so that what a hide took away can come back. Changes before sealed do not grow any more: one may want to undo what
// comes after them alone.
type journal struct {
	changes []change
	open    bool
	sealed  int
}

// Open opens the journal if it is closed, for a Rollback of all that it holds.
func (s *Sequence) Open() { s.journal.open = true }

// Mark opens the journal if it is closed, and returns the present position for Rollback.
func (s *Sequence) Mark() int {
	s.journal.open = true
	s.journal.sealed = len(s.journal.changes)
	return s.journal.sealed
}

// Rollback undoes every mutation since Mark returned mark, the newest first: inserted elements, their LIDs, dots
// and content are gone, visibility is as it was. The canonical state afterwards equals the one at the mark. The
// journal stays open until Commit. Cost: O(1) a span touched; the first time O(spans).
func (s *Sequence) Rollback(mark int) {
	s.journal.open = false
	for i := len(s.journal.changes) - 1; i >= mark; i-- {
		s.undo(&s.journal.changes[i])
	}
	s.journal.changes = s.journal.changes[:mark]
	s.journal.open, s.journal.sealed = true, mark
}

// journalKeep bounds the records whose memory Commit keeps for the next transaction.
const journalKeep = 1 << 10

// Commit closes the journal: what was done stays.
func (s *Sequence) Commit() {
	s.journal.open = false
	if len(s.journal.changes) == 0 {
		return
	}
	s.journal.sealed = 0
	if cap(s.journal.changes) > journalKeep {
		s.journal.changes = nil
	} else {
		s.journal.changes = s.journal.changes[:0]
	}
	s.compact()
}

// note records a change if a transaction is open.
func (s *Sequence) note(kind, lid, n uint32, other LID, off uint32) {
	if !s.journal.open {
		return
	}
	k := len(s.journal.changes)
	if k == cap(s.journal.changes) {
		s.journal.changes = slices.Grow(s.journal.changes, k+1)
	}
	s.journal.changes = s.journal.changes[:k+1]
	c := &s.journal.changes[k]
	c.kind, c.lid, c.n, c.other, c.off = kind, lid, n, other, off
}

// newest returns the change that may still grow, if any.
func (j *journal) newest() *change {
	if k := len(j.changes) - 1; k >= j.sealed && j.open {
		return &j.changes[k]
	}
	return nil
}

// noteTyped records an insert of n elements behind the newest, as right children: nearly always it makes a change longer.
func (s *Sequence) noteTyped(lid, n, off uint32) {
	if c := s.journal.newest(); c != nil && c.kind&opMask == opInsert && c.lid+c.n == lid {
		c.n += n
		return
	}
	s.note(opInsert, lid, n, lid-1, off)
}

// noteHidden records a hide of n elements, whose content is size bytes at off. Backspaces make one change.
func (s *Sequence) noteHidden(lid, n, off, size uint32) {
	if c := s.journal.newest(); c != nil && c.kind == opHide && lid+n == c.lid && (!s.withText || off+size == c.off) {
		c.lid, c.n, c.off = lid, c.n+n, off
		return
	}
	s.note(opHide, lid, n, 0, off)
}

func (s *Sequence) undo(c *change) {
	switch c.kind & opMask {
	case opInsert:
		s.uninsert(c)
	case opHide:
		s.eachPart(c.lid, c.n, func(p place, k, m, done uint32) {
			s.show(p, k, m, c.off+s.shown(c, done))
		})
	case opShow:
		s.eachPart(c.lid, c.n, func(p place, k, m, _ uint32) { s.hide(p, k, m) })
	case opLoad:
		s.reset()
	}
}

// shown returns the bytes of the first k elements that c hid.
func (s *Sequence) shown(c *change, k uint32) uint32 {
	if !s.withText || k == 0 {
		return 0
	}
	w := measurePrefix(s.content[c.off:], k)
	return w.vis + w.byt
}

// eachPart calls f for each part of a span that holds elements of [lid, lid+n); done counts those before.
func (s *Sequence) eachPart(lid LID, n uint32, f func(p place, k, m, done uint32)) {
	for done := uint32(0); done < n; {
		h, slot, k := s.locate(lid + done)
		m := min(n-done, s.span(h, slot).n-k)
		f(place{h: h, slot: slot}, k, m, done)
		done += m
	}
}

// uninsert removes the elements of c, which are the newest, as they were inserted, and have no children but each other.
func (s *Sequence) uninsert(c *change) {
	for end := c.lid + c.n; end > c.lid; {
		h, slot, k := s.locate(end - 1)
		l := s.leaves[h]
		sp := &l.spans[slot]
		from := max(sp.first, c.lid)
		w := s.part(sp, k+1-(end-from), end-from)
		s.bump(l, w.neg())
		s.place = place{}
		if from == sp.first {
			s.drop(h, slot, s.index.Load())
		} else {
			sp.n -= end - from
			sp.flags -= extras(w)
		}
		end = from
	}
	s.forget(c.lid)
	if s.withText {
		s.content = s.content[:c.off]
	}
	s.sibs = nil
	if c.other == root {
		return
	}
	h, slot, _ := s.locate(c.other)
	sp := s.span(h, slot)
	if c.kind&changeHad == 0 {
		if c.kind&changeLeft != 0 {
			sp.flags &^= flagHasLeft
		} else {
			sp.flags &^= flagHasRight
		}
	}
	s.join(place{h: h, slot: slot})
	s.place = place{}
}

// reset makes s empty; the journal stays.
func (s *Sequence) reset() {
	s.tree = tree{}
	s.runs, s.content, s.sibs = nil, nil, nil
	s.hint, s.count, s.loaded = 0, 0, 0
	s.place = place{}
	s.dots.Store(nil)
	s.index.Store(nil)
}
