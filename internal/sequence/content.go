package sequence

// compactFloor is the number of dead content bytes that are always tolerated.
const compactFloor = 16 << 10

// measure returns the width of text, which is valid UTF-8.
func measure[T string | []byte](text T) width {
	if len(text) == 1 {
		return width{vis: 1}
	}
	var w width
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c < 0x80:
			w.vis++
		case c < 0xC0:
			w.byt++
		case c < 0xF0:
			w.vis++
		default:
			w.vis++
			w.u16++
		}
	}
	return w
}

// take checks a new run of n elements from dot id on against its text, of width w and size bytes, and the limits.
func (s *Sequence) take(id ID, n int, w width, size int) error {
	switch {
	case n <= 0 || s.withText && int(w.vis) != n || !s.withText && size != 0:
		return ErrCount
	case n > maxElements-int(s.count) || uint64(len(s.content))+uint64(size) > 1<<32-1:
		return ErrFull
	case id.Seq > maxSeq-uint64(n):
		return ErrDot
	}
	return nil
}

// text returns the content of the span; nil without content.
func (s *Sequence) text(sp *span) []byte {
	if !s.withText {
		return nil
	}
	return s.content[sp.off : sp.off+sp.bytes()]
}

// head returns the width of the first k elements of a visible span. Cost: O(1) for ASCII, else O(maxWide).
func (s *Sequence) head(sp *span, k uint32) width {
	if sp.hidden() {
		return width{}
	}
	if !sp.wide() {
		return width{vis: k}
	}
	return measurePrefix(s.content[sp.off:], k)
}

// measurePrefix returns the width of the first k code points of text.
func measurePrefix(text []byte, k uint32) width {
	w := width{vis: k}
	i := uint32(0)
	for ; k > 0; k-- {
		switch c := text[i]; {
		case c < 0x80:
			i++
		case c < 0xE0:
			i += 2
		case c < 0xF0:
			i += 3
		default:
			i += 4
			w.u16++
		}
	}
	w.byt = i - w.vis
	return w
}

// dead returns the number of content bytes that belong to no visible element; not above zero without content.
func (s *Sequence) dead() int {
	return len(s.content) - int(s.total.vis) - int(s.total.byt)
}

// compact rewrites the content in list order when most of it is dead. Never while the journal might bring hidden
// text back.
func (s *Sequence) compact() {
	if d := s.dead(); d > compactFloor && d*2 > len(s.content) && !s.journal.open {
		s.rewrite()
	}
}

func (s *Sequence) rewrite() {
	live := s.total.in(Bytes)
	fresh := make([]byte, 0, live+live/8+64)
	for h := s.tree.first; h != 0; h = s.leaves[h].next {
		l := s.leaves[h]
		for i := range l.spans[:l.n] {
			if sp := &l.spans[i]; !sp.hidden() {
				off := len(fresh)
				fresh = append(fresh, s.text(sp)...)
				sp.off = uint32(off)
			}
		}
	}
	s.content = fresh
}
