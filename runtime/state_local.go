package runtime

import (
	"bytes"
	"slices"
)

// The local section: what only this replica has. It is a sequence of records, each a tag, a length and content; unknown
// tags are kept as they are.
const (
	localWaiting   = 1
	localDeletions = 2
	localOpaque    = 3
)

// local encodes the local section; without all, only what would be lost otherwise.
func (s *saver) local(all bool) []byte {
	r := s.rt
	var out []byte
	record := func(tag uint64, content []byte) {
		if len(content) > 0 {
			out = appendUvarint(out, tag)
			out = appendUvarint(out, uint64(len(content)))
			out = append(out, content...)
		}
	}
	if ws := r.waiting.sorted(); len(ws) > 0 && all {
		b := appendUvarint(nil, uint64(len(ws)))
		for _, w := range ws {
			b = append(appendUvarint(b, uint64(len(w.data))), w.data...)
		}
		record(localWaiting, b)
	}
	if s.base == nil && all {
		record(localDeletions, s.deletionRecord())
	}
	record(localOpaque, s.opaque())
	return append(out, r.ext...)
}

// objectPath writes what identifies an object by itself: its chain of implicit keys from a root or made object.
func (s *saver) objectPath(n *Node) {
	var chain []*Node
	for ; n.class == classImplicit; n = n.parent {
		chain = append(chain, n)
	}
	s.uvarint(uint64(n.class))
	s.kindName(n.kind)
	if n.class == classRoot {
		s.bytes([]byte(n.key))
	} else {
		s.uvarint(uint64(s.canon[n.dot().Rep]))
		s.uvarint(n.dot().Seq)
	}
	s.uvarint(uint64(len(chain)))
	for _, c := range slices.Backward(chain) {
		s.kindName(c.kind)
		s.bytes([]byte(c.key))
	}
}

func (s *saver) bytes(b []byte) {
	s.uvarint(uint64(len(b)))
	s.out = append(s.out, b...)
}

func (s *saver) kindName(k *kindInfo) {
	s.uvarint(k.code)
	if k.code == 0 {
		s.bytes([]byte(k.name))
	}
}

func (l *loader) kindName(rd *Reader) *kindInfo {
	code := rd.Uvarint("kind")
	if code == 0 {
		name := rd.Bytes("kind name")
		if len(name) == 0 || len(name) > maxKindName {
			rd.Fail("kind name", ErrCorrupt)
			return nil
		}
		return l.rt.kind(string(name))
	}
	if code >= uint64(len(wellKnown)) {
		rd.Fail("kind", ErrVersion)
		return nil
	}
	return l.rt.kind(wellKnown[code])
}

// path finds the object that objectPath wrote: nil if it is deleted.
func (l *loader) path(rd *Reader) *Node {
	r := l.rt
	r.table.Lock()
	defer r.table.Unlock()
	class := rd.Uvarint("object class")
	k := l.kindName(rd)
	var n *Node
	switch class {
	case uint64(classRoot):
		if name := rd.Bytes("object name"); rd.err == nil {
			n = r.root(string(name), k)
		}
	case uint64(classDot):
		rep, seq := l.localRep(rd), rd.Uvarint("object seq")
		if rd.err == nil {
			n = l.made(LocalDot{rep, seq}, k)
		}
	default:
		rd.Fail("object class", ErrCorrupt)
	}
	for range rd.Count("object path", 2) {
		k := l.kindName(rd)
		key := rd.Bytes("object key")
		if n != nil && rd.err == nil {
			n, _ = n.implicit(string(key), k) // nil if it is too deep: such an object has no state anywhere
		}
	}
	return n
}

func (l *loader) localRep(rd *Reader) Rep {
	i := rd.Uvarint("replica")
	if i >= uint64(len(l.reps)) {
		rd.Fail("replica", ErrCorrupt)
		return 0
	}
	return l.reps[i]
}

// deletionRecord writes the floor and the runs, each object once in front of its first run.
func (s *saver) deletionRecord() []byte {
	r := &s.rt.deletions
	s.out = nil
	s.clockOf(r.floor)
	s.uvarint(uint64(len(r.runs)))
	number := make(map[*Node]int)
	var by, target uint64
	for i := range r.runs {
		d := &r.runs[i]
		k, seen := number[d.node]
		if !seen {
			k = len(number)
			number[d.node] = k
		}
		sameRep := d.by.Rep == d.target.Rep
		head := uint64(k)<<3 | uint64(d.shape)<<1
		if !sameRep {
			head |= 1
		}
		s.uvarint(head)
		if !seen {
			s.objectPath(d.node)
		}
		s.uvarint(uint64(s.canon[d.by.Rep]))
		if !sameRep {
			s.uvarint(uint64(s.canon[d.target.Rep]))
		}
		s.uvarint(zigzag(int64(d.by.Seq - by)))
		s.uvarint(zigzag(int64(d.target.Seq - target)))
		s.uvarint(d.n - 1)
		by, target = d.byEnd(), d.target.Seq
	}
	return s.out
}

func (s *saver) clockOf(c []uint64) {
	n := 0
	for _, v := range c {
		if v > 0 {
			n++
		}
	}
	s.uvarint(uint64(n))
	for _, rep := range s.reps {
		if int(rep) < len(c) && c[rep] > 0 {
			s.uvarint(uint64(s.canon[rep]))
			s.uvarint(c[rep])
		}
	}
}

func (l *loader) clockOf(rd *Reader) []uint64 {
	c := make([]uint64, len(l.rt.replicas))
	for range rd.Count("clock", 2) {
		rep, v := l.localRep(rd), rd.Uvarint("clock")
		if rd.err == nil && v > l.end[rep] {
			rd.Fail("clock", ErrCorrupt)
		}
		if rd.err == nil {
			c[rep] = v
		}
	}
	return c
}

func (s *saver) opaque() []byte {
	r := s.rt
	nodes := r.opaqueNodes()
	if len(nodes) == 0 {
		return nil
	}
	s.out = nil
	var clocks [][]uint64
	number := func(c []uint64) uint64 {
		for i, d := range clocks {
			if within(c, d) && within(d, c) {
				return uint64(i)
			}
		}
		clocks = append(clocks, c)
		return uint64(len(clocks) - 1)
	}
	for _, n := range nodes {
		for _, p := range n.opaque().parts {
			number(p.base)
			number(p.end)
		}
	}
	s.uvarint(uint64(len(clocks)))
	for _, c := range clocks {
		s.clockOf(c)
	}
	s.uvarint(uint64(len(nodes)))
	for _, n := range nodes {
		s.objectPath(n)
		s.uvarint(uint64(len(n.opaque().parts)))
		for _, p := range n.opaque().parts {
			flags := uint64(0)
			if p.base != nil {
				flags |= 1
			}
			if p.live {
				flags |= 2
			}
			s.uvarint(flags)
			s.uvarint(number(p.base))
			s.uvarint(number(p.end))
			s.table(p.reps)
			s.bytes(p.section)
		}
		s.uvarint(uint64(len(n.opaque().ops)))
		for _, op := range n.opaque().ops {
			s.uvarint(op.dot.Seq)
			s.uvarint(op.dots)
			s.uvarint(op.lamport)
			s.table(op.reps)
			for _, e := range op.ends {
				s.uvarint(e)
			}
			s.bytes(op.payload)
		}
	}
	return s.out
}

func (s *saver) table(reps []Rep) {
	s.uvarint(uint64(len(reps)))
	for _, rep := range reps {
		s.uvarint(uint64(s.canon[rep]))
	}
}

func (l *loader) table(rd *Reader) []Rep {
	reps := make([]Rep, rd.Count("table", 1))
	for i := range reps {
		reps[i] = l.localRep(rd)
	}
	return reps
}

// opaqueNodes lists opaque objects by path.
func (r *Runtime) opaqueNodes() []*Node {
	if r.opaques == 0 {
		return nil
	}
	var out []*Node
	for _, n := range r.allNodes() {
		if n.opaque() != nil && n.opaque().holds() {
			out = append(out, n)
		}
	}
	slices.SortFunc(out, func(a, b *Node) int { return bytes.Compare([]byte(a.String()), []byte(b.String())) })
	return out
}

func (o *opaque) holds() bool { return o != nil && len(o.parts)+len(o.ops) > 0 }

// local reads the local section of the state.
func (l *loader) local(news bool) error {
	rd := Reader{buf: l.h.local, format: "local section"}
	for rd.err == nil && rd.Len() > 0 {
		tag := rd.Uvarint("record")
		content := rd.Bytes("record")
		in := Reader{buf: content, base: rd.off - len(content), format: "local section"}
		switch tag {
		case localWaiting:
			for range in.Count("waiting messages", 1) {
				if m := in.Bytes("waiting message"); in.err == nil {
					l.waiting = append(l.waiting, m)
				}
			}
		case localDeletions:
			if news && l.base == nil {
				l.readDeletionRecord(&in)
			} else {
				in.Rest()
			}
		case localOpaque:
			if err := l.readOpaque(&in); err != nil {
				return err
			}
		default:
			in.Rest()
			if len(l.rt.ext) == 0 && rd.err == nil {
				l.ext = append(l.ext, rd.buf[rd.off-len(content)-uvarintLen(tag)-uvarintLen(uint64(len(content))):rd.off]...)
			}
		}
		if err := in.Done(); err != nil {
			return err
		}
	}
	return rd.err
}

// readDeletionRecord takes over what the other side remembers of deletions, where this side has none to lose by it.
func (l *loader) readDeletionRecord(rd *Reader) {
	r := l.rt
	floor := l.clockOf(rd)
	count := rd.Count("deletion runs", 4)
	var nodes []*Node
	runs := make([]deletion, 0, min(count, 1024))
	var by, target uint64
	for range count {
		head := rd.Uvarint("deletion")
		if head>>3 == uint64(len(nodes)) {
			nodes = append(nodes, l.path(rd))
		}
		d := deletion{shape: uint8(head >> 1 & 3)}
		d.by.Rep = l.localRep(rd)
		d.target.Rep = d.by.Rep
		if head&1 != 0 {
			d.target.Rep = l.localRep(rd)
		}
		d.by.Seq = by + uint64(rd.Varint("deletion"))
		d.target.Seq = target + uint64(rd.Varint("deletion"))
		d.n = rd.Uvarint("deletion") + 1
		if rd.err != nil {
			return
		}
		if head>>3 >= uint64(len(nodes)) || d.shape > shapeDown || !d.sane(l.end) {
			rd.Fail("deletion", ErrCorrupt)
			return
		}
		d.node = nodes[head>>3]
		if d.node != nil {
			runs = append(runs, d)
		}
		by, target = d.byEnd(), d.target.Seq
	}
	if len(r.heads.reps) == 0 && rd.err == nil {
		l.floor, l.hasRecord = floor, true
		if len(r.deletions.open) == 0 {
			r.deletions.open = runs
		} else {
			r.deletions.open = append(r.deletions.open, runs...)
		}
	}
}

func (l *loader) readOpaque(rd *Reader) error {
	r := l.rt
	var clocks [][]uint64
	for range rd.Count("clocks", 1) {
		clocks = append(clocks, l.clockOf(rd))
	}
	clock := func() []uint64 {
		i := rd.Uvarint("clock")
		if i >= uint64(len(clocks)) {
			rd.Fail("clock", ErrCorrupt)
			return nil
		}
		return clocks[i]
	}
	for range rd.Count("opaque objects", 3) {
		n := l.path(rd)
		var parts []opaquePart
		for range rd.Count("parts", 5) {
			flags := rd.Uvarint("part")
			p := opaquePart{live: flags&2 != 0}
			if base := clock(); flags&1 != 0 {
				p.base = base
			}
			p.end = clock()
			p.reps = l.table(rd)
			p.section = bytes.Clone(rd.Bytes("part"))
			parts = append(parts, p)
		}
		var ops []opaqueOp
		for range rd.Count("operations", 4) {
			op := opaqueOp{}
			op.dot.Seq, op.dots, op.lamport = rd.Uvarint("operation"), rd.Uvarint("operation"), rd.Uvarint("operation")
			op.reps = l.table(rd)
			op.ends = make([]uint64, len(op.reps))
			for i := range op.ends {
				op.ends[i] = rd.Uvarint("operation")
			}
			op.payload = bytes.Clone(rd.Bytes("operation"))
			if rd.err == nil && (len(op.reps) == 0 || op.dots == 0 || op.dots > maxEnd || op.dot.Seq >= l.end[op.reps[0]]) {
				rd.Fail("operation", ErrCorrupt)
			}
			if rd.err == nil {
				op.dot.Rep = op.reps[0]
				ops = append(ops, op)
			}
		}
		if rd.err != nil {
			return rd.err
		}
		if n == nil || n.state != alive {
			continue
		}
		l.listed[n] = true
		r.touch(n)
		if n.opaque() != nil {
			n.ownOpaque().add(r, parts, ops)
		} else if err := r.reveal(n, r.next, parts, ops); err != nil {
			if err = l.doubt(n, false, err); err != nil {
				return err
			}
		}
	}
	return nil
}
