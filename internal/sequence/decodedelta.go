package sequence

import (
	"errors"
	"slices"
)

// DecodeDelta reads a delta that AppendDelta wrote, with the same base; otherwise it is as Decode. The State is for Merge;
// Load takes it if it hangs from nothing outside itself.
func DecodeDelta(data []byte, rep func(int) (uint32, bool), base func(rep uint32) uint64, lim Limits) (*State, error) {
	d := &deltaDecoder{decoder: decoder{st: &State{delta: &deltaState{}}, data: data, order: lim.Order}, base: base}
	d.decodeDelta(rep, lim)
	if d.err != nil {
		return nil, d.err
	}
	return d.st, nil
}

// deltaDecoder reads a delta.
type deltaDecoder struct {
	decoder
	base func(uint32) uint64
	done int // runs
}

func (d *deltaDecoder) decodeDelta(rep func(int) (uint32, bool), lim Limits) {
	head := d.uvarint("number of runs")
	d.st.content = head&1 != 0
	n := head >> 1
	switch {
	case d.err != nil:
		return
	case n == 0 && d.pos != len(d.data):
		d.fail("end", errCanonical)
		return
	case n == 0:
		return
	case n > uint64(len(d.data)-d.pos) || n > maxElements: // a run takes at least a byte
		d.fail("number of runs", errShort)
		return
	}
	if d.table(rep); d.err != nil {
		return
	}
	d.setLimits(lim)
	d.st.reserve(int(n))
	for d.done < int(n) {
		if d.readGroup(int(n)); d.err != nil {
			return
		}
	}
	if d.seen != len(d.reps) {
		d.fail("replica", errors.New("not used"))
		return
	}
	d.readText(d.data[d.pos:])
}

// replicaNumber tests the number of a replica, whose first uses come in order.
func (d *deltaDecoder) replicaNumber(v uint64) uint32 {
	if v > uint64(d.seen) || v >= uint64(len(d.reps)) {
		d.fail("replica", errCanonical)
		return 0
	}
	if v == uint64(d.seen) {
		d.seen++
	}
	return uint32(v)
}

func (d *deltaDecoder) readGroup(n int) {
	v := uint64(0)
	if len(d.reps) > 1 {
		v = d.uvarint("replica")
	}
	number := d.replicaNumber(v)
	rep := d.reps[number]
	ds := d.st.delta
	if k := len(ds.groups); k > 0 && d.compare(ds.groups[k-1].rep, rep) >= 0 {
		d.fail("replica", errors.New("not in order"))
	}
	to := n
	if v := d.uvarint("runs"); v >= uint64(n-d.done) {
		d.fail("runs", errCanonical)
	} else if v > 0 {
		to = d.done + int(v)
	}
	if d.err != nil {
		return
	}
	ds.groups = append(ds.groups, deltaGroup{rep, d.done, to})
	if k := len(ds.groups); k > fewGroups {
		if ds.byRep == nil {
			ds.byRep = make(map[uint32]int)
			for i, g := range ds.groups {
				ds.byRep[g.rep] = i
			}
		}
		ds.byRep[rep] = k - 1
	}
	end := d.base(rep)
	for from := d.done; d.done < to; d.done++ {
		if end = d.readRun(number, end, d.done > from); d.err != nil {
			return
		}
	}
}

func (d *deltaDecoder) compare(a, b uint32) int {
	if d.order != nil {
		return d.order.CompareReplicas(a, b)
	}
	return int(int64(a) - int64(b))
}

// readRun reads a run of the numbered replica; end is that of the run before in the group, if there is one, else of the base.
func (d *deltaDecoder) readRun(number uint32, end uint64, follows bool) uint64 {
	i, rep := d.done, d.reps[number]
	head := d.uvarint("run")
	n := head>>runLength + 1
	if n > uint64(d.maxSum-d.st.count) {
		d.tooMany()
		return 0
	}
	place := head & 3
	var before *span
	if follows {
		before = d.st.at(i - 1)
	}
	gap := uint64(0)
	if place == placeBefore && follows {
		gap = uint64(before.n)
	}
	if head&runGap != 0 {
		v := d.uvarint("gap")
		if v == gap {
			d.fail("gap", errCanonical)
		}
		gap = v
	}
	seq := end + gap
	if gap > maxSeq || seq > maxSeq-n {
		d.fail("seq", errors.New("out of range"))
		return 0
	}
	sp := d.st.at(i)
	*sp = span{first: d.st.count, n: uint32(n), parent: root, lorig: root}
	if head&runHidden != 0 {
		sp.flags = flagHidden
	}
	switch {
	case place == placeAfter && follows:
		if sp.parent = before.last(); gap == 0 && before.flags&flagHidden == sp.flags&flagHidden {
			d.fail("run", errCanonical)
		}
	case place == placeAfter:
		if end == 0 {
			d.fail("parent", errors.New("there is no dot before"))
		}
		d.hangFrom(sp, ID{rep, end - 1})
	case place == placeBefore:
		if !follows {
			d.fail("parent", errors.New("there is no run before"))
			return 0
		}
		sp.parent = before.first
		sp.flags |= flagLeft
	case place == placeParent:
		d.readParent(sp, number, ID{rep, seq}, end, before)
	}
	d.st.record(sp, rep, seq, i)
	return seq + n
}

func (d *deltaDecoder) hangFrom(sp *span, id ID) {
	sp.lorig = uint32(len(d.st.delta.origins))
	d.st.delta.origins = append(d.st.delta.origins, id)
}

// readParent reads the parent of a run whose first dot is id; end and before are those of the run before.
func (d *deltaDecoder) readParent(sp *span, number uint32, id ID, end uint64, before *span) {
	v := d.uvarint("parent")
	left := v&1 != 0
	if v >>= 1; len(d.reps) == 1 && v > 0 {
		d.fail("parent", errCanonical)
	}
	other := d.replicaNumber(v)
	parent := ID{Rep: d.reps[other]}
	if other == number {
		back := d.uvarint("parent")
		if back >= id.Seq {
			d.fail("parent", errors.New("out of range"))
		}
		parent.Seq = id.Seq - back - 1
		if !left && parent.Seq+1 == end || left && before != nil && parent.Seq+uint64(before.n) == end {
			d.fail("parent", errCanonical)
		}
	} else {
		v := d.uvarint("parent")
		parent.Seq = d.ends[other] + uint64(unzigzag(v))
		if parent.Seq >= maxSeq || v > 1<<55 {
			d.fail("parent", errors.New("out of range"))
		}
		d.ends[other] = parent.Seq
	}
	if left {
		sp.flags |= flagLeft
	}
	d.hangFrom(sp, parent)
}

// parent is State.parent for a delta.
func (ds *deltaState) parent(st *State, i int) (id ID, in int, k uint32, isRoot bool) {
	sp := st.at(i)
	if p := sp.parent; p != root { // the first element, or the last, of the span before
		in = i - 1
		k = p - st.at(in).first
		return st.dot(in, k), in, k, false
	}
	if sp.lorig == root {
		return ID{}, -1, 0, true
	}
	id = ds.origins[sp.lorig]
	g := ds.group(id.Rep)
	at, found := slices.BinarySearchFunc(st.runs[g.from:g.to], id.Seq, func(r run, seq uint64) int {
		if r.seq < seq {
			return -1
		} else if r.seq > seq {
			return 1
		}
		return 0
	})
	if !found {
		at--
	}
	if at >= 0 {
		in = g.from + at
		if d := id.Seq - st.runs[in].seq; d < uint64(st.at(in).n) {
			return id, in, uint32(d), false
		}
	}
	return id, -1, 0, false
}

func (ds *deltaState) group(rep uint32) deltaGroup {
	if ds.byRep != nil {
		if i, ok := ds.byRep[rep]; ok {
			return ds.groups[i]
		}
		return deltaGroup{}
	}
	for _, g := range ds.groups {
		if g.rep == rep {
			return g
		}
	}
	return deltaGroup{}
}
