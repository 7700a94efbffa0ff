package sequence

import (
	"iter"
	"unicode/utf8"
)

// IDAt returns the dot and LID of visible element index, or a *RangeError. Cost: O(log n).
func (s *Sequence) IDAt(index int) (ID, LID, error) {
	if uint(index) >= uint(s.total.vis) {
		return ID{}, 0, &RangeError{Index: index, Len: s.Len(CodePoints)}
	}
	p := s.seek(uint32(index))
	lid := s.span(p.h, p.slot).first + uint32(index) - p.start
	return s.IDOf(lid), lid, nil
}

// Visible says whether element lid, which must be below Elements(), is visible.
func (s *Sequence) Visible(lid LID) bool {
	h, slot, _ := s.locate(lid)
	return !s.span(h, slot).hidden()
}

// OriginOf returns the origin of element lid, which must be below Elements().
func (s *Sequence) OriginOf(lid LID) Origin {
	h, slot, k := s.locate(lid)
	parent, _, left := s.span(h, slot).origin(k)
	if parent == root {
		return Origin{Root: true}
	}
	return Origin{Parent: s.IDOf(parent), Left: left}
}

// IndexOf returns the number of visible elements before element lid, itself visible or not. Cost: O(log n).
func (s *Sequence) IndexOf(lid LID) int {
	h, slot, k := s.locate(lid)
	start := s.startOf(h, slot)
	if !s.span(h, slot).hidden() {
		start += k
	}
	return int(start)
}

// Before says whether element a stands before element b in the list, hidden or not; false if they are the same.
// Cost: O(log n).
func (s *Sequence) Before(a, b LID) bool { return a != b && s.standsBefore(a, b) }

// Convert turns an index in one unit into the same place's index in another. An index inside a code point, or
// outside the list, is a *RangeError. Cost: O(log n).
func (s *Sequence) Convert(index int, from, to Unit) (int, error) {
	size := s.Len(from)
	if index < 0 || index > size {
		return 0, &RangeError{Index: index, Len: size, Unit: from}
	}
	if from == to && from == CodePoints || s.total.u16|s.total.byt == 0 {
		return index, nil
	}
	if index == size {
		return s.Len(to), nil
	}
	sp, start := s.descendIn(index, from)
	w, ok := s.prefixIn(sp, index-start.in(from), from)
	if !ok {
		return 0, &RangeError{Index: index, Len: size, Unit: from, Inside: true}
	}
	return start.plus(w).in(to), nil
}

// descendIn returns the span that holds index i of unit u, which is below the length, and what stands before it.
func (s *Sequence) descendIn(i int, u Unit) (*span, width) {
	var done width
	h := s.tree.first
	for p := s.top; p != 0; {
		in := s.inners[p]
		k := 0
		for {
			next := done.plus(in.widthAt(k))
			if i < next.in(u) {
				break
			}
			done = next
			k++
		}
		p = in.kids[k]
		if in.atLeaves {
			h = p
			break
		}
	}
	l := s.leaves[h]
	for slot := 0; ; slot++ {
		sp := &l.spans[slot]
		next := done.plus(sp.width())
		if i < next.in(u) {
			return sp, done
		}
		done = next
	}
}

// prefixIn returns the width of the first i units of the span, and whether they end between code points.
func (s *Sequence) prefixIn(sp *span, i int, u Unit) (width, bool) {
	if !sp.wide() {
		return width{vis: uint32(i)}, true
	}
	text := s.text(sp)
	var w width
	for w.in(u) < i {
		r, size := utf8.DecodeRune(text)
		w.vis++
		w.byt += uint32(size - 1)
		if r >= 1<<16 {
			w.u16++
		}
		text = text[size:]
	}
	return w, w.in(u) == i
}

// AppendText appends the content of the visible elements [from, to) to dst. It returns a *RangeError when that is
// not inside the visible list. Cost: O(log n + spans).
func (s *Sequence) AppendText(dst []byte, from, to int) ([]byte, error) {
	if err := s.checkRange(from, to); err != nil {
		return dst, err
	}
	if from == 0 && to == s.Len(CodePoints) && !s.asLoaded() {
		return s.appendAll(dst), nil
	}
	s.eachChunk(from, to, func(chunk []byte) bool {
		dst = append(dst, chunk...)
		return true
	})
	return dst, nil
}

// copied is the number of bytes that appendAll copies at least: most spans have no more, and a copy of fixed size is cheap.
const copied = 32

// appendAll appends the content of all visible elements. It has few branches, since nothing could predict them.
func (s *Sequence) appendAll(dst []byte) []byte {
	if !s.withText {
		return dst
	}
	dst = growBy(dst, s.Len(Bytes)+copied)
	safe := len(s.content) - copied // the greatest offset from which so many may be read
	for h := s.tree.first; h != 0; {
		l := s.leaves[h]
		for i := range l.spans[:l.n] {
			sp := &l.spans[i]
			size := int((sp.n + sp.flags>>byteShift) & sp.shown())
			if size > copied || int(sp.off) > safe {
				dst = append(dst, s.content[sp.off:int(sp.off)+size]...)
				continue
			}
			n := len(dst)
			*(*[copied]byte)(dst[n : n+copied]) = [copied]byte(s.content[sp.off:])
			dst = dst[:n+size]
		}
		h = l.next
	}
	return dst
}

func growBy(dst []byte, n int) []byte {
	if cap(dst)-len(dst) >= n {
		return dst
	}
	return append(make([]byte, 0, len(dst)+n), dst...)
}

func (s *Sequence) checkRange(from, to int) error {
	size := s.Len(CodePoints)
	if from < 0 || from > size {
		return &RangeError{Index: from, Len: size}
	}
	if to < from || to > size {
		return &RangeError{Index: to, Len: size}
	}
	return nil
}

// Runs yields the content of the visible elements [from, to), clipped to the list, in pieces. The pieces must not
// be changed, nor kept beyond the next write.
func (s *Sequence) Runs(from, to int) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) { s.eachChunk(from, to, yield) }
}

// eachChunk calls f for the content of the visible elements [from, to), in pieces as long as the buffer has them,
// until f returns false.
func (s *Sequence) eachChunk(from, to int, f func([]byte) bool) {
	if !s.withText {
		return
	}
	if from <= 0 && to >= s.Len(CodePoints) && s.total.vis > 0 && s.asLoaded() {
		f(s.content[:s.total.in(Bytes)])
		return
	}
	begin, end := uint32(0), uint32(0)
	more := true
	s.eachVisible(from, to, func(sp *span, k, m uint32) bool {
		off, size := sp.off+k, m
		if sp.wide() {
			off = sp.off + s.offset(sp, k)
			w := s.part(sp, k, m)
			size = w.vis + w.byt
		}
		if off == end {
			end += size
			return true
		}
		if end > begin {
			more = f(s.content[begin:end:end])
		}
		begin, end = off, off+size
		return more
	})
	if more && end > begin {
		f(s.content[begin:end:end])
	}
}

// asLoaded says whether the visible elements are those of a load, which has their content in list order: nothing was
// inserted since, and nothing is hidden that was not. Content becomes visible only by undoing.
func (s *Sequence) asLoaded() bool { return s.count == s.loaded && s.total == s.loadedWidth }

// Live yields the LIDs of the visible elements [from, to), clipped to the list, in list order.
func (s *Sequence) Live(from, to int) iter.Seq[LID] {
	return func(yield func(LID) bool) {
		s.eachVisible(from, to, func(sp *span, k, m uint32) bool {
			for i := range m {
				if !yield(sp.first + k + i) {
					return false
				}
			}
			return true
		})
	}
}

// eachVisible calls f for each part [k, k+m) of a visible span inside the visible elements [from, to), until f
// returns false.
func (s *Sequence) eachVisible(from, to int, f func(sp *span, k, m uint32) bool) {
	from, to = max(from, 0), min(to, s.Len(CodePoints))
	if from >= to {
		return
	}
	p := place{h: s.tree.first}
	if from > 0 {
		p = s.seek(uint32(from))
	}
	k := uint32(from) - p.start
	rest := uint32(to - from)
	for h, slot := p.h, p.slot; rest > 0; h, slot = s.leaves[h].next, 0 {
		l := s.leaves[h]
		for i := slot; i < int(l.n) && rest > 0; i++ {
			sp := &l.spans[i]
			if sp.hidden() {
				continue
			}
			m := min(sp.n-k, rest)
			if !f(sp, k, m) {
				return
			}
			rest -= m
			k = 0
		}
	}
}

// All yields every element in list order, hidden ones included, with whether it is visible.
func (s *Sequence) All() iter.Seq2[LID, bool] {
	return func(yield func(LID, bool) bool) {
		for h := s.tree.first; h != 0; h = s.leaves[h].next {
			l := s.leaves[h]
			for i := range l.spans[:l.n] {
				sp := &l.spans[i]
				for k := range sp.n {
					if !yield(sp.first+k, !sp.hidden()) {
						return
					}
				}
			}
		}
	}
}
