package sequence

import (
	"slices"
	"sync"

	"github.com/seed1312cc15/weft/internal/bitcol"
)

// awaited is a parent that stands after its left children, which have been passed.
type awaited struct {
	parent LID
	lorig  LID
	rep    uint32 // of lorig, with seq
	depth  uint32
	seq    uint64
}

// link is an entry of the chain. span numbers the canonical span that it belongs to; a canonical span may have
// several entries, one a piece, and base is the position in it of the piece's first element.
type link struct {
	first LID
	open  uint32 // offset of the element from first
	span  uint32
	base  uint32
	rep   uint32 // of first, with seq
	seq   uint64
}

// encoder turns the list into the symbols of the bit stream: the machine of format.go, from the writer's side. It works on
// numbers rather than structs of them: those would be copied through memory for every span.
type encoder struct {
	tape    bitcol.Tape
	runs    runTable
	chain   []link
	pending []awaited
	lastLID LID    // the element before; root at the start
	lastRep uint32 // its dot; meaningless at the start
	lastSeq uint64
	flags   uint32 // of the span before: its visibility and the side of its first element
	spans   uint32 // begun
	n       uint32 // elements of the last one
	number  uint32 // of its replica
	reps    numbering
	ends    []uint64 // by number: the dot after the last span of that replica
}

// encoders keeps encoders for their memory.
var encoders = sync.Pool{New: func() any { return new(encoder) }}

// newEncoder returns one that has read s, which is not empty. Its owner gives it back to encoders.
func newEncoder(s *Sequence) *encoder {
	e := encoders.Get().(*encoder)
	e.tape.Reset()
	e.chain = append(e.chain[:0], link{first: root, span: root})
	e.pending, e.ends = e.pending[:0], e.ends[:0]
	e.reps = numbering{reps: e.reps.reps[:0]}
	e.lastLID, e.flags, e.spans = root, 0, 0
	e.tape.Room(2 * len(s.leaves) * leafCap)
	e.runs.build(s)
	for h := s.tree.first; h != 0; {
		l := s.leaves[h]
		for i := range l.spans[:l.n] {
			e.span(s, &l.spans[i])
		}
		h = l.next
	}
	e.tape.Room(bitcol.MaxPut)
	e.tape.Number(colLength, uint64(e.n-1))
	if len(e.reps.reps) == 1 {
		e.tape.Freq(colReplica)[0] = 0
	}
	return e
}

// span codes a span, run by run.
func (e *encoder) span(s *Sequence, sp *span) {
	runs := s.runs
	i := e.runs.find(runs, sp.first)
	first, end := sp.first, sp.first+sp.n
	parent, lorig, flags := sp.parent, sp.lorig, sp.flags&(flagLeft|flagHidden)
	for {
		r := &runs[i]
		n := end - first
		if i++; i < len(runs) {
			n = min(n, runs[i].lid-first)
		}
		seq := r.seq + uint64(first-r.lid)
		k := e.begin(parent, lorig, flags, first, r.rep, seq)
		l := e.push()
		l.first, l.open, l.span, l.base, l.rep, l.seq = first, n-1, e.spans-1, k, r.rep, seq
		e.n = k + n
		e.lastLID, e.lastRep, e.lastSeq = first+n-1, r.rep, seq+uint64(n)-1
		e.ends[e.number] = seq + uint64(n)
		if first += n; first == end {
			return
		}
		parent, lorig, flags = first-1, first-1, flags&^flagLeft
	}
}

// push puts an entry on the chain, to be filled in.
func (e *encoder) push() *link {
	k := len(e.chain)
	if k == cap(e.chain) {
		e.chain = slices.Grow(e.chain, k)
	}
	e.chain = e.chain[:k+1]
	return &e.chain[k]
}

// begin returns the position in its canonical span of the element first, which begins a piece. If that is 0 it ends the last
// canonical span and begins this one.
func (e *encoder) begin(parent, lorig LID, flags uint32, first LID, rep uint32, seq uint64) uint32 {
	if lorig == e.lastLID && (flags^e.flags&flagHidden) == 0 && rep == e.lastRep && seq == e.lastSeq+1 && e.spans > 0 {
		return e.n
	}
	t := &e.tape
	t.Room(1 + 5*bitcol.MaxPut)
	if e.spans > 0 {
		t.Number(colLength, uint64(e.n-1))
	}
	w := e.place(parent, lorig, flags, first)
	e.number = e.reps.of(rep)
	if int(e.number) == len(e.ends) {
		e.ends = append(e.ends, 0)
	}
	near := lorig != root && w.rep == rep
	delta := seq - w.seq - 1
	f := w.shape
	if near && delta == 0 && flags&flagLeft == 0 {
		f = f.next()
	}
	t.Symbol(colSymbol+contextAfter(e.flags), f.symbol(flags))
	if f >= shapeCNext {
		t.Number(colClimb, uint64(w.climb))
		t.Number(colBack, uint64(w.back))
	}
	if !f.isNext() {
		e.dot(lorig, w.rep, rep, near, delta, seq)
	}
	e.spans++
	e.flags = flags
	return 0
}

// dot codes the replica and seq of a span's first dot against its left origin's.
func (e *encoder) dot(lorig LID, predicted, rep uint32, near bool, delta, seq uint64) {
	if e.spans > 0 {
		if lorig == root {
			predicted = e.lastRep
		}
		v := uint64(0)
		if predicted != rep {
			v = uint64(e.number) + 1
		}
		e.tape.Number(colReplica, v)
	}
	if near {
		e.tape.Number(colSeqSame, delta)
	} else {
		e.tape.Number(colSeqOther, zigzag(int64(seq-e.ends[e.number])))
	}
}

// origin is how the left origin of a span is coded, and its dot.
type origin struct {
	shape       shape
	climb, back uint32
	rep         uint32
	seq         uint64
}

// place finds the left origin of a span.
func (e *encoder) place(parent, lorig LID, flags uint32, first LID) (o origin) {
	switch k := len(e.pending) - 1; {
	case lorig == e.lastLID:
		o.rep, o.seq = e.lastRep, e.lastSeq
		o.shape = side(flags, shapeARight, shapeALeft)
	case k >= 0 && e.pending[k].parent == first:
		p := &e.pending[k]
		o.rep, o.seq = p.rep, p.seq
		e.chain = e.chain[:p.depth]
		e.pending = e.pending[:k]
		o.shape = side(flags, shapeBRight, e.share(parent, shapeBLeft, shapeBShare))
	case k >= 0 && e.pending[k].lorig == lorig:
		p := &e.pending[k]
		o.rep, o.seq = p.rep, p.seq
		e.chain = e.chain[:p.depth]
		o.shape = e.share(parent, shapeSLeft, shapeSShare)
	default:
		o.shape = side(flags, shapeCRight, shapeCLeft)
		l := e.climb(lorig, &o)
		o.rep, o.seq = l.rep, l.seq+uint64(l.open)
	}
	if flags&flagLeft != 0 && !o.shape.isShare() {
		e.pending = append(e.pending, awaited{})
		p := &e.pending[len(e.pending)-1]
		p.parent, p.lorig, p.rep, p.seq, p.depth = parent, lorig, o.rep, o.seq, uint32(len(e.chain))
	}
	return o
}

func side(flags uint32, right, left shape) shape {
	if flags&flagLeft != 0 {
		return left
	}
	return right
}

func (e *encoder) share(parent LID, alone, share shape) shape {
	if k := len(e.pending); k > 0 && e.pending[k-1].parent == parent {
		return share
	}
	return alone
}

// climb goes up the chain to lorig, cuts it there and returns its new top.
func (e *encoder) climb(lorig LID, o *origin) *link {
	k := len(e.chain) - 1
	l := &e.chain[k]
	span, open := l.span, l.base+l.open
	for lorig-l.first > l.open {
		k--
		l = &e.chain[k]
		if l.span != span {
			span, open = l.span, l.base+l.open
			o.climb++
		}
	}
	l.open = lorig - l.first
	o.back = open - (l.base + l.open)
	if o.climb == 0 {
		o.back--
	}
	e.chain = e.chain[:k+1]
	return l
}

// numbering numbers replicas in order of first use.
type numbering struct {
	reps    []uint32
	numbers map[uint32]uint32
	recent  [16]numbered // by the low bits of the replica
}

// numbered is a replica with 1 + its number.
type numbered struct{ rep, number uint32 }

func (m *numbering) of(rep uint32) uint32 {
	c := &m.recent[rep%uint32(len(m.recent))]
	if c.rep == rep && c.number > 0 {
		return c.number - 1
	}
	n, ok := m.numbers[rep]
	if !ok {
		n = uint32(len(m.reps))
		m.reps = append(m.reps, rep)
		if m.numbers == nil && n > 0 {
			m.numbers = map[uint32]uint32{m.reps[0]: 0}
		}
		if n > 0 {
			m.numbers[rep] = n
		}
	}
	*c = numbered{rep, n + 1}
	return n
}

func zigzag(v int64) uint64   { return uint64(v<<1) ^ uint64(v>>63) }
func unzigzag(v uint64) int64 { return int64(v>>1) ^ -int64(v&1) }
