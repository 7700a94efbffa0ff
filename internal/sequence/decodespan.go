package sequence

import "errors"

// readSpans reads n spans, or up to the first error.
func (d *decoder) readSpans(n int) {
	size := min(n, len(d.data)/2+64)
	d.st.spans = make([]span, 0, size)
	d.st.runs = make([]run, 0, size)
	d.chain = append(make([]opened, 0, 64), opened{span: -1, first: root, open: root, right: root})
	context := 0
	for i := 0; i < n && d.err == nil; i++ {
		context = d.readSpan(i, context)
		if i&255 == 0 && d.r.Over() {
			break
		}
	}
	switch {
	case d.err != nil:
	case d.r.Over():
		d.failBits("spans", errShort)
	case len(d.pending) > 0:
		d.failBits("spans", errors.New("a parent is missing"))
	}
}

// readSpan reads span i and returns the context of the next.
func (d *decoder) readSpan(i, context int) int {
	d.r.Fill()
	symbol := d.symbol(colSymbol + context)
	f := shape((symbol + 1) / 2)
	// Entries are made in place: what is written in small parts and at once copied stalls the processor.
	d.st.spans = append(d.st.spans, span{})
	sp := &d.st.spans[i]
	sp.first = d.st.count
	switch {
	case f != shapeFlip:
		if symbol == int(f)*2 {
			sp.flags = flagHidden
		}
	case i == 0:
		d.failBits("symbol", errors.New("the first span follows none"))
		return 0
	default:
		sp.flags = d.st.spans[i-1].flags&flagHidden ^ flagHidden
	}
	child := d.cut(f)
	if d.err != nil {
		return 0
	}
	top := &d.chain[len(d.chain)-1]
	number, seq := d.readDot(f, top, i)
	n := d.number(colLength) + 1
	if d.err != nil {
		return 0
	}
	if n > uint64(d.maxSum-d.st.count) {
		d.pos = d.base + d.r.Offset()
		d.tooMany()
		return 0
	}
	if seq > maxSeq-n {
		d.failBits("seq", errors.New("out of range"))
		return 0
	}
	sp.n = uint32(n)
	if child >= 0 {
		sp.flags |= flagHasLeft
		d.adopt(child, sp.first, number, seq)
	}
	d.hang(f, sp, top, i)
	d.keep(sp, number, seq, i)
	return contextAfter(f, sp.hidden())
}

// keep records span i, whose first dot is seq of the numbered replica.
func (d *decoder) keep(sp *span, number uint32, seq uint64, i int) {
	end := seq + uint64(sp.n)
	d.ends[number] = end
	d.most[number] = max(d.most[number], end)
	d.before = number
	d.st.count += sp.n
	if !sp.hidden() {
		if d.st.content {
			sp.off = d.st.visible // for ASCII; finish sets it right for others
		}
		d.st.visible += sp.n
	}
	d.st.runs = append(d.st.runs, run{})
	r := &d.st.runs[i]
	r.lid, r.rep, r.seq = sp.first, d.reps[number], seq
	d.chain = append(d.chain, opened{})
	e := &d.chain[len(d.chain)-1]
	e.seq, e.span, e.number, e.first, e.open, e.right = seq, int32(i), number, sp.first, sp.last(), root
}

// cut takes the chain back to the left origin of the span and returns the last child of the pending parent that
// the span is, or -1.
func (d *decoder) cut(f shape) (child int32) {
	child = -1
	k := len(d.pending) - 1
	switch {
	case f <= shapeALeft:
	case f >= shapeCNext:
		d.climb()
	case k < 0:
		d.failBits("symbol", errors.New("no parent is pending"))
	case f >= shapeSLeft:
		d.chain = d.chain[:d.pending[k].depth]
	default:
		child = d.pending[k].child
		d.chain = d.chain[:d.pending[k].depth]
		d.pending = d.pending[:k]
		if same := k > 0 && d.pending[k-1].depth == len(d.chain); same && !f.isLeft() || !same && f == shapeBShare {
			d.failBits("symbol", errors.New("not where the pending parent is"))
		}
	}
	return child
}

// climb reads how far the left origin is up the chain and cuts it there.
func (d *decoder) climb() {
	climb := d.number(colClimb)
	d.r.Fill()
	back := d.number(colBack)
	d.r.Fill()
	floor := 0
	if k := len(d.pending); k > 0 {
		floor = d.pending[k-1].depth
	}
	if climb >= uint64(len(d.chain)-floor) {
		d.failBits("climb", errors.New("too far"))
		return
	}
	d.chain = d.chain[:len(d.chain)-int(climb)]
	e := &d.chain[len(d.chain)-1]
	if climb == 0 {
		back++
	}
	if back > uint64(e.open-e.first) {
		d.failBits("back", errors.New("too far"))
		return
	}
	if back > 0 {
		e.open -= uint32(back)
		e.right = e.open + 1
	}
}

// readDot reads the dot of span i, whose left origin is top.
func (d *decoder) readDot(f shape, top *opened, i int) (number uint32, seq uint64) {
	start := top.span < 0
	lorig := top.seq + uint64(top.open-top.first)
	if f.isNext() {
		if start {
			d.failBits("symbol", errors.New("the start of the list has no dot"))
		}
		return top.number, lorig + 1
	}
	number = top.number
	if start {
		number = d.before
	}
	if len(d.reps) > 1 && i > 0 {
		number = d.readReplica(number)
	} else if i == 0 {
		d.seen = 1
	}
	if !start && number == top.number {
		delta := d.number(colSeqSame)
		if delta == 0 && !f.isLeft() {
			d.failBits("seq", errCanonical)
		}
		return number, lorig + 1 + delta
	}
	v := unzigzag(d.number(colSeqOther))
	if v < -int64(d.ends[number]) {
		d.failBits("seq", errors.New("negative"))
	}
	return number, d.ends[number] + uint64(v)
}

// readReplica reads the number of a replica that is predicted to be the given one.
func (d *decoder) readReplica(predicted uint32) uint32 {
	v := d.number(colReplica)
	d.r.Fill()
	if v == 0 {
		return predicted
	}
	v--
	if v == uint64(predicted) || v > uint64(d.seen) || v >= uint64(len(d.reps)) {
		d.failBits("replica", errCanonical)
		return predicted
	}
	if v == uint64(d.seen) {
		d.seen++
	}
	return uint32(v)
}

// adopt gives the left children of a pending parent, the last of which is span child, their parent.
func (d *decoder) adopt(child int32, parent LID, number uint32, seq uint64) {
	rep := d.reps[number]
	for child >= 0 {
		c := &d.st.spans[child]
		if r := &d.st.runs[child]; r.rep == rep && r.seq <= seq {
			d.failBits("seq", errors.New("a child older than its parent"))
			return
		}
		child, c.parent = int32(c.parent), parent
	}
}

// hang sets the origin of sp, which is span i, a child on the side that f says with the left origin top.
func (d *decoder) hang(f shape, sp *span, top *opened, i int) {
	sp.lorig = top.open
	if !f.isLeft() {
		sp.parent = top.open
		if top.right != root {
			d.st.pairs = append(d.st.pairs, [2]LID{top.right, sp.first})
		}
		top.right = sp.first
		if top.span >= 0 && top.open == d.st.spans[top.span].last() {
			d.st.spans[top.span].flags |= flagHasRight
		}
		return
	}
	sp.flags |= flagLeft
	if f.isShare() {
		p := &d.pending[len(d.pending)-1]
		d.st.pairs = append(d.st.pairs, [2]LID{d.st.spans[p.child].first, sp.first})
		sp.parent = LID(p.child)
		p.child = int32(i)
		return
	}
	sp.parent = root // -1: the first child
	d.pending = append(d.pending, promised{int32(i), len(d.chain)})
}
