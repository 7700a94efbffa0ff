package runtime

import (
	"bytes"
	"slices"

	"github.com/google/uuid"

	"github.com/seed1312cc15/weft/vclock"
)

// parse decodes and checks an envelope: everything that acceptance depends on. It allocates nothing beyond its reused
// slices, whose lengths the input's length bounds.
func (m *message) parse(data []byte, lim *Limits) error {
	if len(data) > lim.MessageBytes {
		return &LimitError{"MessageBytes", uint64(len(data)), uint64(lim.MessageBytes)}
	}
	content, err := bstr(data, "message")
	if err != nil {
		return err
	}
	m.data, m.reps = data, m.reps[:0]
	return m.parseContent(content, lim)
}

// parseOwn is parse without a look at the operations, for a message that was made here.
func (m *message) parseOwn(data []byte) {
	content, _, _ := cutBstr(data)
	m.data, m.reps = data, m.reps[:0]
	rd := Reader{buf: content, off: 2, format: "message"}
	m.flags = content[1]
	m.parseHeader(&rd, &anySize)
	at := rd.off
	m.parseObjects(&rd, &anySize)
	m.objBytes, m.opBytes, m.opsAt = content[at:rd.off], content[rd.off:], rd.off
	if rd.err != nil {
		panic(rd.err)
	}
}

func (m *message) parseContent(content []byte, lim *Limits) error {
	rd := Reader{buf: content, format: "message"}
	if v := rd.Byte("format"); v != formatMessage && rd.err == nil {
		rd.Fail("format", ErrVersion)
	}
	m.flags = rd.Byte("flags")
	m.parseHeader(&rd, lim)
	if rd.err != nil {
		return rd.err
	}
	m.parseBody(&rd, lim)
	return rd.err
}

func (m *message) parseHeader(rd *Reader, lim *Limits) {
	if m.flags&flagFeatures != 0 {
		rd.Fail("features", ErrVersion)
		return
	}
	if copy(m.sender[:], rd.Take("sender", 16)); m.sender == uuid.Nil {
		rd.Fail("sender", ErrCorrupt)
	}
	m.start = rd.Uvarint("start")
	m.count = 1
	if m.flags&flagCount != 0 {
		if m.count = rd.Uvarint("dots"); m.count < 2 {
			rd.Fail("dots", ErrCorrupt)
		}
	}
	if m.start >= maxEnd || m.count > maxEnd-m.start {
		rd.Fail("dots", ErrCorrupt)
		return
	}
	if m.count > uint64(lim.MessageDots) {
		rd.Fail("dots", &LimitError{"MessageDots", m.count, uint64(lim.MessageDots)})
		return
	}
	m.lamport = m.start + 1
	if m.flags&flagLamport != 0 {
		d := rd.Varint("lamport")
		if m.lamport += uint64(d); d == 0 {
			rd.Fail("lamport", ErrCorrupt)
		}
	}
	if m.lamport == 0 || m.lamport > maxEnd-m.count {
		rd.Fail("lamport", ErrCorrupt)
	}
	m.document = uuid.Nil
	if m.flags&flagDocument != 0 {
		if copy(m.document[:], rd.Take("document", 16)); m.document == uuid.Nil {
			rd.Fail("document", ErrCorrupt)
		}
	}
	m.wall = 0
	if m.flags&flagWall != 0 {
		m.wall = rd.Uvarint("wall time")
	}
	m.parseTable(rd, lim)
	m.ext = nil
	if m.flags&flagExt != 0 {
		m.ext = rd.Bytes("extensions")
	}
}

func (m *message) parseTable(rd *Reader, lim *Limits) {
	m.table, m.deps = m.table[:0], 0
	if m.flags&flagTable == 0 {
		return
	}
	deps := rd.Count("dependencies", 17)
	refs := rd.Count("references", 17)
	switch n := deps + refs; {
	case rd.err != nil:
	case n == 0:
		rd.Fail("table", ErrCorrupt)
	case n >= lim.Replicas:
		rd.Fail("table", &LimitError{"Replicas", uint64(n), uint64(lim.Replicas)})
	}
	for i := 0; i < deps+refs && rd.err == nil; i++ {
		var e repBound
		copy(e.id[:], rd.Take("table", 16))
		e.end = rd.Uvarint("table") + 1
		if e.end == 0 || e.end > maxEnd || e.id == m.sender || e.id == uuid.Nil {
			rd.Fail("table", ErrCorrupt)
		}
		if i > 0 && i < deps && bytes.Compare(m.table[i-1].id[:], e.id[:]) >= 0 {
			rd.Fail("dependencies", ErrCorrupt)
		}
		m.table = append(m.table, e)
	}
	if rd.err == nil {
		m.deps = deps
		if !distinct(m.table) {
			rd.Fail("table", ErrCorrupt)
		}
	}
}

func distinct(t []repBound) bool {
	if len(t) <= linearTable {
		for i := range t {
			for j := range i {
				if t[i].id == t[j].id {
					return false
				}
			}
		}
		return true
	}
	seen := make(map[uuid.UUID]struct{}, len(t))
	for i := range t {
		seen[t[i].id] = struct{}{}
	}
	return len(seen) == len(t)
}

func (m *message) parseBody(rd *Reader, lim *Limits) {
	objAt := rd.off
	m.parseObjects(rd, lim)
	m.objBytes = rd.buf[objAt:rd.off]
	m.ops, m.opsAt = 0, rd.off
	if rd.err != nil {
		return
	}
	m.opBytes = rd.buf[rd.off:]
	if m.flags&flagMulti == 0 {
		m.ops = 1
		rd.off = len(rd.buf)
		return
	}
	m.parseFrames(rd, lim)
}

// parseFrames checks the operations; frames yields them.
func (m *message) parseFrames(rd *Reader, lim *Limits) {
	n := rd.Count("operations", 2)
	if n > lim.MessageOps {
		rd.Fail("operations", &LimitError{"MessageOps", uint64(n), uint64(lim.MessageOps)})
	}
	if n < 2 {
		rd.Fail("operations", ErrCorrupt)
	}
	var sum uint64
	for range n {
		if rd.err != nil {
			return
		}
		f := readFrame(rd)
		switch {
		case rd.err != nil:
		case f.object < 0 || f.object >= len(m.objects):
			rd.Fail("operation object", ErrCorrupt)
		case f.dots > m.count:
			rd.Fail("operation dots", ErrCorrupt)
		}
		sum += f.dots
	}
	if m.ops = n; rd.err == nil && (sum != m.count || rd.Len() != 0) {
		rd.Fail("operations", ErrCorrupt)
	}
}

func readFrame(rd *Reader) opFrame {
	head := rd.Uvarint("operation")
	f := opFrame{object: int(min(head>>1, 1<<31-1)), dots: 1}
	if head&1 != 0 {
		if f.dots = rd.Uvarint("operation dots"); f.dots < 2 {
			rd.Fail("operation dots", ErrCorrupt)
		}
	}
	size := rd.Count("operation length", 1)
	f.at = rd.base + rd.off
	f.payload = rd.Take("operation", size)
	return f
}

// frames yields the operations of a message that was parsed. The frame is valid until the next.
func (m *message) frames(yield func(f *opFrame) bool) {
	if m.flags&flagMulti == 0 {
		yield(&opFrame{len(m.objects) - 1, m.count, m.opBytes, m.opsAt})
		return
	}
	rd := Reader{buf: m.opBytes, base: m.opsAt, format: "message"}
	var f opFrame
	for range rd.Count("operations", 2) {
		if f = readFrame(&rd); !yield(&f) {
			return
		}
	}
}

func (m *message) parseObjects(rd *Reader, lim *Limits) {
	m.objects = m.objects[:0]
	start := rd.off
	for more := true; more && rd.err == nil; {
		place := objectPlace{at: uint32(rd.off - start)}
		o, next := readObject(rd)
		more = next
		switch o.class {
		case classDot:
			if o.rep > uint64(len(m.table)) || o.seq >= m.boundOf(o.rep) {
				rd.Fail("object dot", ErrCorrupt)
			}
		case classImplicit:
			if o.back >= uint64(len(m.objects)) {
				rd.Fail("object parent", ErrCorrupt)
			} else {
				place.depth = m.objects[len(m.objects)-1-int(o.back)].depth + 1
			}
			if place.depth > MaxDepth {
				rd.Fail("object parent", &LimitError{"Depth", uint64(place.depth), MaxDepth})
			}
		case classRoot:
		default:
			rd.Fail("object class", ErrCorrupt)
		}
		if len(o.key) > lim.NameBytes {
			rd.Fail("object name", &LimitError{"NameBytes", uint64(len(o.key)), uint64(lim.NameBytes)})
		}
		if len(m.objects) == cap(m.objects) && more {
			m.objects = slices.Grow(m.objects, 1+countObjects(*rd))
		}
		m.objects = append(m.objects, place)
		if len(m.objects) > lim.MessageOps {
			rd.Fail("object", &LimitError{"MessageOps", uint64(len(m.objects)), uint64(lim.MessageOps)})
		}
	}
}

// readObject reads one entry of an object table, and whether another follows.
func readObject(rd *Reader) (o objectRef, more bool) {
	tag := rd.Uvarint("object")
	o.class, o.kind = nodeClass(tag>>1&3), tag>>3
	if o.kind >= uint64(len(wellKnown)) {
		rd.Fail("kind code", ErrVersion)
	}
	if o.kind == 0 {
		o.name = rd.Bytes("kind name")
		if len(o.name) == 0 || len(o.name) > maxKindName || kindCode(string(o.name)) != 0 {
			rd.Fail("kind name", ErrCorrupt)
		}
	}
	switch o.class {
	case classDot:
		o.rep, o.seq = rd.Uvarint("object replica"), rd.Uvarint("object seq")
	case classImplicit:
		o.back = rd.Uvarint("object parent")
		o.key = rd.Bytes("object key")
	case classRoot:
		o.key = rd.Bytes("object name")
	}
	return o, tag&1 != 0
}

// object returns entry i of the object table of a message that was parsed.
func (m *message) object(i int) objectRef {
	o, _ := readObject(&Reader{buf: m.objBytes, off: int(m.objects[i].at), format: "message"})
	return o
}

// countObjects returns how many entries of an object table follow, malformed ones apart.
func countObjects(rd Reader) (n int) {
	for more := true; more && rd.err == nil; n++ {
		tag := rd.Uvarint("object")
		more = tag&1 != 0
		if tag>>3 == 0 {
			rd.Bytes("kind name")
		}
		if class := nodeClass(tag >> 1 & 3); class == classDot {
			rd.Uvarint("object replica")
			rd.Uvarint("object seq")
			continue
		} else if class == classImplicit {
			rd.Uvarint("object parent")
		}
		rd.Bytes("object name")
	}
	return n
}

// boundOf returns 1 + the greatest dot of table number i that the message may name.
func (m *message) boundOf(i uint64) uint64 {
	switch {
	case i == 0:
		return m.end()
	case i <= uint64(len(m.table)):
		return m.table[i-1].end
	}
	return 0
}

// dots returns the span of dots that the message covers.
func (m *message) span() vclock.Span {
	return vclock.Span{Replica: m.sender, Start: m.start, End: m.end()}
}
