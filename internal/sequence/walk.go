package sequence

// piece is a part of a span whose dots are those of one run.
type piece struct {
	id     ID
	first  LID
	n      uint32
	parent LID
	lorig  LID
	left   bool
	hidden bool
}

// eachPiece calls f for every piece in list order. The piece is reused.
func (s *Sequence) eachPiece(f func(p *piece)) {
	hint := 0 // there is a run if there is a span
	p := new(piece)
	for h := s.tree.first; h != 0; h = s.leaves[h].next {
		l := s.leaves[h]
		for i := range l.spans[:l.n] {
			hint = s.cutSpan(&l.spans[i], hint, p, f)
		}
	}
}

// cutSpan calls f for the pieces of one span. hint is a guess of its first run; it returns the next guess.
func (s *Sequence) cutSpan(sp *span, hint int, p *piece, f func(p *piece)) int {
	if r := s.runs; r[hint].lid > sp.first || hint+1 < len(r) && r[hint+1].lid <= sp.first {
		if hint++; hint+1 >= len(r) || r[hint].lid > sp.first || r[hint+1].lid <= sp.first {
			hint = s.runAt(sp.first)
		}
	}
	p.first, p.parent, p.lorig, p.left, p.hidden = sp.first, sp.parent, sp.lorig, sp.flags&flagLeft != 0, sp.hidden()
	for end := sp.first + sp.n; ; {
		r := &s.runs[hint]
		p.n = min(s.runEnd(hint), end) - p.first
		p.id = ID{r.rep, r.seq + uint64(p.first-r.lid)}
		f(p)
		p.first += p.n
		if p.first == end {
			return hint
		}
		hint++
		p.parent, p.lorig, p.left = p.first-1, p.first-1, false
	}
}
