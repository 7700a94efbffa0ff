package sequence

import (
	"cmp"
	"errors"

	"github.com/seed1312cc15/weft/internal/bitcol"
)

// readSpans reads the spans, or up to the first error.
func (d *decoder) readSpans() {
	d.st.reserve(d.spans)
	d.chain = append(make([]int32, 0, min(d.spans+1, 256)), -1)
	d.open, d.right, d.holds = root, root, -1
	context, flags, i := 0, uint32(0), 0
	for k := range d.st.leaves {
		l := &d.st.leaves[k]
		before := d.st.visible
		for slot := 0; slot < loadFill && i < d.spans; slot++ {
			if context, flags = d.readSpan(&l.spans[slot], i, context, flags); d.err != nil {
				return
			}
			i++
		}
		d.st.shown[k] = d.st.visible - before
		if d.r.Over(d.bits) {
			break
		}
	}
	switch {
	case d.r.Over(d.bits):
		d.failBits("spans", errShort)
	case len(d.pending) > 0:
		d.failBits("spans", errors.New("a parent is missing"))
	}
}

// readSpan reads sp, which is span i and zero, and returns the context of the next. before are the flags of the span
// before; it returns those of this one.
func (d *decoder) readSpan(sp *span, i, context int, before uint32) (int, uint32) {
	b := d.r.Fill(d.bits)
	code := d.codes[colSymbol+context]
	e := code.Look(b)
	if e == 0 {
		if e = code.Long(b); e == 0 {
			d.failBits("symbol", errors.New("not in the code"))
			return 0, 0
		}
	}
	b = b.Skip(e)
	symbol := e.Symbol()
	d.freq[colSymbol+context][symbol]++
	f := shape((symbol + 1) / 2)
	flags := uint32(symbol+1) & 1 * flagHidden
	if f == shapeFlip {
		flags = before&flagHidden ^ flagHidden
		if i == 0 {
			d.failBits("symbol", errors.New("the first span follows none"))
			return 0, 0
		}
	}
	child := int32(-1)
	if f > shapeALeft {
		if child, b = d.cut(f, b); d.err != nil {
			return 0, 0
		}
	}
	top := d.chain[len(d.chain)-1]
	number, seq, b := d.readDot(f, top, i, b)
	n, b := d.number(colLength, b)
	n++
	if end := seq + n; end > maxSeq || n > uint64(d.maxSum-d.st.count) || d.err != nil {
		d.tooMuch(n, b)
		return 0, 0
	}
	d.bits = b
	sp.first, sp.n, sp.lorig, sp.parent = d.st.count, uint32(n), d.open, d.open
	switch {
	case f.isLeft():
		flags |= flagLeft
		d.hangLeft(f, sp, number, seq, i)
	case d.right != root:
		d.comesAfter(number, seq, i)
	}
	if child >= 0 {
		flags |= flagHasLeft
		d.adopt(child, sp.first, number, seq)
	}
	if top >= 0 && flags&flagLeft == 0 {
		if t := d.st.at(int(top)); d.open == t.last() {
			t.flags |= flagHasRight
		}
	}
	sp.flags = flags
	d.keep(sp, number, seq, i)
	return contextAfter(flags), flags
}

// tooMuch records why a span of n elements is none, unless that is known.
func (d *decoder) tooMuch(n uint64, b bitcol.Bits) {
	if n > uint64(d.maxSum-d.st.count) {
		d.pos = d.base + d.r.Offset(b)
		d.tooMany()
		return
	}
	d.failBits("seq", errors.New("out of range"))
}

// keep records span i, whose first dot is seq of the numbered replica, and puts it on the chain.
func (d *decoder) keep(sp *span, number uint32, seq uint64, i int) {
	d.st.record(sp, number, seq, i)
	end := seq + uint64(sp.n)
	d.ends[number] = end
	if end > d.most[number] {
		d.most[number] = end
	}
	d.before = number
	if len(d.chain) == cap(d.chain) {
		d.chain = grown(d.chain, d.spans+1)
	}
	d.chain = append(d.chain, int32(i))
	d.open, d.right = sp.last(), root
}

// record counts sp, which is span i, and makes its run.
func (st *State) record(sp *span, rep uint32, seq uint64, i int) {
	shown := sp.shown()
	if st.content {
		sp.off = st.visible & shown // for ASCII; readText sets it right for others
	}
	st.visible += sp.n & shown
	st.count += sp.n
	r := &st.runs[i]
	r.lid, r.rep, r.seq = sp.first, rep, seq
}

// shown returns a mask: all ones if the elements are visible, else 0.
func (sp *span) shown() uint32 { return sp.flags/flagHidden&1 - 1 }

// grown returns s, which is full, with room for more, but not for more than most in all. It grows in great steps, so that
// all that is allocated is little more than the last.
func grown[T any](s []T, most int) []T {
	return append(make([]T, 0, min(max(8*len(s), 64), most)), s...)
}

// cut takes the chain back to the left origin of the span, which is not of kind A, and returns the last child of the
// pending parent that the span is, or -1.
func (d *decoder) cut(f shape, b bitcol.Bits) (child int32, rest bitcol.Bits) {
	k := len(d.pending) - 1
	switch {
	case f >= shapeCNext:
		return -1, d.climb(b)
	case k < 0:
		d.failBits("symbol", errors.New("no parent is pending"))
		return -1, b
	}
	p := &d.pending[k]
	d.chain = d.chain[:p.depth]
	d.open, d.right, d.holds = d.st.at(int(p.child)).lorig, p.right, -1
	if f >= shapeSLeft {
		return -1, b
	}
	d.pending = d.pending[:k]
	if same := k > 0 && d.pending[k-1].depth == p.depth; same && !f.isLeft() || !same && f == shapeBShare {
		d.failBits("symbol", errors.New("not where the pending parent is"))
	}
	return p.child, b
}

// climb reads how far the left origin is up the chain and cuts it there.
func (d *decoder) climb(b bitcol.Bits) bitcol.Bits {
	climb, b := d.number(colClimb, b)
	back, b := d.number(colBack, d.r.Fill(b))
	b = d.r.Fill(b)
	floor := 0
	if k := len(d.pending); k > 0 {
		floor = int(d.pending[k-1].depth)
	}
	if climb >= uint64(len(d.chain)-floor) {
		d.failBits("climb", errors.New("too far"))
		return b
	}
	if climb == 0 {
		back++
	} else {
		// What stood above is a right child: of left children the parent is pending, or has taken their place.
		k := len(d.chain) - int(climb)
		d.holds = d.chain[k]
		d.chain = d.chain[:k]
		above := d.st.at(int(d.holds))
		d.open, d.right = above.lorig, above.first
	}
	if back == 0 {
		return b
	}
	top := d.chain[len(d.chain)-1]
	if top < 0 || back > uint64(d.open-d.st.runs[top].lid) {
		d.failBits("back", errors.New("too far"))
		return b
	}
	d.open -= uint32(back)
	d.right, d.holds = d.open+1, top
	return b
}

// readDot reads the dot of span i, whose left origin is open, in span top.
func (d *decoder) readDot(f shape, top int32, i int, b bitcol.Bits) (number uint32, seq uint64, rest bitcol.Bits) {
	start := top < 0
	var lorig uint64
	if !start {
		r := &d.st.runs[top]
		number, lorig = r.rep, r.seq+uint64(d.open-r.lid)
	}
	if f.isNext() {
		if start {
			d.failBits("symbol", errors.New("the start of the list has no dot"))
		}
		return number, lorig + 1, b
	}
	of := number
	if start {
		number = d.before
	}
	if len(d.reps) > 1 && i > 0 {
		number, b = d.readReplica(number, b)
	} else if i == 0 {
		d.seen = 1
	}
	if !start && number == of {
		delta, b := d.number(colSeqSame, b)
		if delta == 0 && !f.isLeft() {
			d.failBits("seq", errCanonical)
		}
		return number, lorig + 1 + delta, b
	}
	u, b := d.number(colSeqOther, b)
	v := unzigzag(u)
	if v < -int64(d.ends[number]) {
		d.failBits("seq", errors.New("negative"))
	}
	return number, d.ends[number] + uint64(v), b
}

// readReplica reads the number of a replica that is predicted to be the given one.
func (d *decoder) readReplica(predicted uint32, b bitcol.Bits) (uint32, bitcol.Bits) {
	v, b := d.number(colReplica, b)
	b = d.r.Fill(b)
	if v == 0 {
		return predicted, b
	}
	v--
	if v == uint64(predicted) || v > uint64(d.seen) || v >= uint64(len(d.reps)) {
		d.failBits("replica", errCanonical)
		return predicted, b
	}
	if v == uint64(d.seen) {
		d.seen++
	}
	return uint32(v), b
}

// adopt gives the left children of a pending parent, the last of which is span child, their parent.
func (d *decoder) adopt(child int32, parent LID, number uint32, seq uint64) {
	for child >= 0 {
		c := d.st.at(int(child))
		if r := &d.st.runs[child]; r.rep == number && r.seq <= seq {
			d.failBits("seq", errors.New("a child older than its parent"))
			return
		}
		child, c.parent = int32(c.parent), parent
	}
}

// comesAfter tests that right comes before the dot, of span i, as a sibling.
func (d *decoder) comesAfter(number uint32, seq uint64, i int) {
	if d.holds < 0 {
		d.holds = spanOf(d.st.runs[:i], d.right)
	}
	d.siblings(d.holds, d.right, number, seq)
}

// hangLeft makes sp, which is span i, a left child of the pending parent with f's share, or of a new one.
func (d *decoder) hangLeft(f shape, sp *span, number uint32, seq uint64, i int) {
	if f.isShare() {
		p := &d.pending[len(d.pending)-1]
		d.siblings(p.child, d.st.runs[p.child].lid, number, seq)
		sp.parent = LID(p.child)
		p.child = int32(i)
		return
	}
	if len(d.pending) >= d.spans-i-1 {
		d.failBits("spans", errors.New("a parent is missing"))
		return
	}
	sp.parent = root // -1: the first child
	if len(d.pending) == cap(d.pending) {
		d.pending = grown(d.pending, d.spans/2+1)
	}
	d.pending = append(d.pending, promised{int32(i), int32(len(d.chain)), d.right})
}

// siblings tests that element lid, of span i, comes before the dot as a sibling.
func (d *decoder) siblings(i int32, lid LID, number uint32, seq uint64) {
	r := &d.st.runs[i]
	c := cmp.Compare(r.seq+uint64(lid-r.lid), seq)
	if a, b := d.reps[r.rep], d.reps[number]; a != b {
		if c = cmp.Compare(a, b); d.order != nil {
			c = d.order.CompareReplicas(a, b)
		}
	}
	if c >= 0 {
		d.failBits("order of siblings", errCanonical)
	}
}
