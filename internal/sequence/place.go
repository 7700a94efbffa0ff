package sequence

// place is a remembered span, so that nearby edits need no descent. h is 0 when there is none.
type place struct {
	h     uint32
	slot  int
	start uint32 // visible index of the span's first element
	known bool   // start is right
}

// nearby bounds the spans passed from the remembered place before a descent is cheaper.
const nearby = 12

// seek returns the span that holds visible element i, which must exist, and the visible index of its first
// element. Cost: O(1) near the remembered place, else O(log n).
func (s *Sequence) seek(i uint32) place {
	if p := s.place; p.known && p.h != 0 && i-p.start < s.leaves[p.h].spans[p.slot].vis() {
		return p
	}
	return s.search(i)
}

func (s *Sequence) search(i uint32) place {
	p := s.place
	if p.h != 0 && p.known {
		l := s.leaves[p.h]
		if i >= p.start {
			if s.forward(&p, l, i) {
				return p
			}
		} else if s.backward(&p, l, i) {
			return p
		}
	}
	h, slot, start := s.descend(i)
	return place{h, slot, start, true}
}

func (s *Sequence) forward(p *place, l *leaf, i uint32) bool {
	for range nearby {
		v := l.spans[p.slot].vis()
		if i-p.start < v {
			return true
		}
		p.start += v
		if p.slot++; p.slot == int(l.n) {
			if p.h, p.slot = l.next, 0; p.h == 0 {
				return false
			}
			l = s.leaves[p.h]
		}
	}
	return false
}

func (s *Sequence) backward(p *place, l *leaf, i uint32) bool {
	for range nearby {
		if p.slot == 0 {
			if p.h = l.prev; p.h == 0 {
				return false
			}
			l = s.leaves[p.h]
			p.slot = int(l.n)
		}
		p.slot--
		p.start -= l.spans[p.slot].vis()
		if i >= p.start {
			// Hidden spans in front have the same start; the one that holds i is this or one further right,
			// and those further right were passed.
			return true
		}
	}
	return false
}
