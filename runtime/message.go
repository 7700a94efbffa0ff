package runtime

import (
	"encoding/binary"

	"github.com/google/uuid"
)

// These numbers are part of format version 1 and must not change; docs/format.md is normative, format_test.go pins
// them. The first byte of the packed content tells version (high half) and kind of update (low half).
const (
	formatMessage = 0x11
	formatBundle  = 0x12
	formatState   = 0x13
	formatDelta   = 0x14

	flagTable    = 1 << 0 // a table of replicas: dependencies and others that operations name
	flagLamport  = 1 << 1 // Lamport timestamp spelled out; else it is start + 1
	flagMulti    = 1 << 2 // several operations, framed; else one, unframed, on the last object of the table
	flagCount    = 1 << 3 // number of dots spelled out; else 1
	flagDocument = 1 << 4 // document ID
	flagWall     = 1 << 5 // wall time
	flagExt      = 1 << 6 // extensions, a CBOR map, kept as it is
	flagFeatures = 1 << 7 // critical features: what is set here must be understood
)

// repBound is an entry of a message's table: a replica and 1 + the greatest of its dots that the message depends on or
// names.
type repBound struct {
	id  uuid.UUID
	end uint64
}

// objectPlace is where an entry of a message's object table stands: all that is kept of it.
type objectPlace struct {
	at    uint32 // offset in the table
	depth uint32 // implicit objects: how many of the table stand above it
}

// objectRef is an entry of a message's object table.
type objectRef struct {
	class nodeClass
	kind  uint64 // code; 0: kindName
	name  []byte // kind's name
	key   []byte // root name or key of an implicit object
	rep   uint64 // made objects: replica's number in the table
	seq   uint64 // and seq
	back  uint64 // implicit objects: how many entries before it but one the parent stands
}

// message is a decoded envelope. Slices alias the input.
type message struct {
	data     []byte // the whole message; nil if it was not needed so far, see bytes
	flags    byte
	sender   uuid.UUID
	start    uint64
	count    uint64
	lamport  uint64
	document uuid.UUID
	wall     uint64
	ext      []byte
	table    []repBound
	deps     int // the first deps entries of table are the causally maximal dependencies
	objects  []objectPlace
	objBytes []byte // the object table as it stands
	opBytes  []byte // the operations as they stand
	ops      int    // how many
	opsAt    int    // offset of opBytes in the content

	reps []Rep // the sender and the table here, noRep for one that is not known; empty: not looked up yet
}

// noRep is no replica.
const noRep = ^Rep(0)

// bytes returns the message as it travels.
func (m *message) bytes() []byte {
	if m.data == nil {
		m.data = m.encode()
	}
	return m.data
}

// opFrame is one operation of a message.
type opFrame struct {
	object  int
	dots    uint64
	payload []byte
	at      int // offset of the payload in the content
}

func (m *message) end() uint64 { return m.start + m.count }

// encode returns the bytes of a message of these fields.
func (m *message) encode() []byte {
	size := m.contentLen()
	return m.appendContent(bstrHeader(make([]byte, 0, size+5), size))
}

// contentLen returns the length of what appendContent appends.
func (m *message) contentLen() int {
	return m.headLen() + len(m.opBytes)
}

// headLen is contentLen without the operations.
func (m *message) headLen() int {
	n := 18 + uvarintLen(m.start) + len(m.objBytes)
	if m.flags == 0 {
		return n
	}
	if m.flags&flagCount != 0 {
		n += uvarintLen(m.count)
	}
	if m.flags&flagLamport != 0 {
		n += uvarintLen(zigzag(int64(m.lamport) - int64(m.start) - 1))
	}
	if m.flags&flagDocument != 0 {
		n += len(m.document)
	}
	if m.flags&flagWall != 0 {
		n += uvarintLen(m.wall)
	}
	if m.flags&flagTable != 0 {
		n += uvarintLen(uint64(m.deps)) + uvarintLen(uint64(len(m.table)-m.deps))
		for i := range m.table {
			n += 16 + uvarintLen(m.table[i].end-1)
		}
	}
	if m.flags&flagExt != 0 {
		n += uvarintLen(uint64(len(m.ext))) + len(m.ext)
	}
	return n
}

// appendContent appends the content of a message of these fields; the operations are opBytes.
func (m *message) appendContent(b []byte) []byte {
	b = appendUvarint(append(append(b, formatMessage, m.flags), m.sender[:]...), m.start)
	if m.flags&flagCount != 0 {
		b = appendUvarint(b, m.count)
	}
	if m.flags&flagLamport != 0 {
		b = appendUvarint(b, zigzag(int64(m.lamport)-int64(m.start)-1))
	}
	if m.flags&flagDocument != 0 {
		b = append(b, m.document[:]...)
	}
	if m.flags&flagWall != 0 {
		b = appendUvarint(b, m.wall)
	}
	if m.flags&flagTable != 0 {
		b = appendUvarint(appendUvarint(b, uint64(m.deps)), uint64(len(m.table)-m.deps))
		for i := range m.table {
			b = appendUvarint(append(b, m.table[i].id[:]...), m.table[i].end-1)
		}
	}
	if m.flags&flagExt != 0 {
		b = append(appendUvarint(b, uint64(len(m.ext))), m.ext...)
	}
	return append(append(b, m.objBytes...), m.opBytes...)
}

// bstrHeader appends the head of a CBOR byte string of n bytes (RFC 8949 section 3), shortest form.
func bstrHeader(b []byte, n int) []byte {
	switch {
	case n < 24:
		return append(b, 0x40|byte(n))
	case n < 1<<8:
		return append(b, 0x58, byte(n))
	case n < 1<<16:
		return append(b, 0x59, byte(n>>8), byte(n))
	}
	return binary.BigEndian.AppendUint32(append(b, 0x5a), uint32(n))
}

func bstrHeaderLen(n int) int {
	switch {
	case n < 24:
		return 1
	case n < 1<<8:
		return 2
	case n < 1<<16:
		return 3
	}
	return 5
}

// bstr returns the content of the CBOR byte string that data consists of.
func bstr(data []byte, format string) ([]byte, error) {
	content, rest, ok := cutBstr(data)
	if !ok || len(rest) != 0 {
		return nil, &DecodeError{Format: format, Field: "byte string", Err: ErrCorrupt}
	}
	return content, nil
}

func cutBstr(data []byte) (content, rest []byte, ok bool) {
	n, head := bstrHead(data)
	if head == 0 || n > len(data)-head || head != bstrHeaderLen(n) {
		return nil, nil, false
	}
	return data[head : head+n : head+n], data[head+n:], true
}

// bstrHead reads the head of a CBOR byte string: the length that it tells, and its own, 0 if it is none.
func bstrHead(data []byte) (n, head int) {
	if len(data) == 0 || data[0]>>5 != 2 {
		return 0, 0
	}
	switch low := data[0] & 0x1f; {
	case low < 24:
		n, head = int(low), 1
	case low == 24 && len(data) >= 2:
		n, head = int(data[1]), 2
	case low == 25 && len(data) >= 3:
		n, head = int(binary.BigEndian.Uint16(data[1:])), 3
	case low == 26 && len(data) >= 5:
		v := binary.BigEndian.Uint32(data[1:])
		if v <= 1<<31-1 {
			n, head = int(v), 5
		}
	}
	return n, head
}

// buildMessage encodes the open transaction. The bytes are immutable from here on.
func (r *Runtime) buildMessage() []byte {
	tx := &r.tx
	var flags byte
	if len(tx.reps) > 1 {
		flags |= flagTable
	}
	if tx.lamport != tx.start+1 {
		flags |= flagLamport
	}
	if !tx.single() {
		flags |= flagMulti
	}
	if tx.dots != 1 {
		flags |= flagCount
	}
	if genesis := r.replicas[tx.sender] == GenesisReplica; !genesis { // that has the same bytes for everyone
		if r.document != uuid.Nil {
			flags |= flagDocument
		}
		if r.opts.WallTime {
			flags |= flagWall
		}
		if tx.ext != nil {
			flags |= flagExt
		}
	}
	b := append(r.dec.scratch[:0], formatMessage, flags)
	b = append(b, r.replicas[tx.sender][:]...)
	b = appendUvarint(b, tx.start)
	if flags&flagCount != 0 {
		b = appendUvarint(b, tx.dots)
	}
	if flags&flagLamport != 0 {
		b = appendUvarint(b, zigzag(int64(tx.lamport)-int64(tx.start)-1))
	}
	if flags&flagDocument != 0 {
		b = append(b, r.document[:]...)
	}
	if flags&flagWall != 0 {
		b = appendUvarint(b, uint64(max(0, r.opts.Now().UnixMilli())))
	}
	if flags&flagTable != 0 {
		b = appendUvarint(b, uint64(tx.deps))
		b = appendUvarint(b, uint64(len(tx.reps)-1-tx.deps))
		for i := 1; i < len(tx.reps); i++ {
			b = append(b, r.replicas[tx.reps[i]][:]...)
			b = appendUvarint(b, tx.ends[i]-1)
		}
	}
	if flags&flagExt != 0 {
		b = append(appendUvarint(b, uint64(len(tx.ext))), tx.ext...)
	}
	b = r.appendOperations(b, flags)
	if flags&flagMulti == 0 && tx.recs[0].node.class == classRoot {
		r.history.settle(r) // what was made from the template
		r.template.set(r, tx)
	}
	if r.dec.scratch = b; cap(b) > keptBuffer {
		r.dec.scratch = nil
	}
	if len(tx.full) > 0 {
		return r.largeMessage(b)
	}
	return r.intoSlab(b)
}

// messageTemplate holds what messages of one operation on one root by one sender have in common: nearly all there are.
// node is nil where nothing is made from it: the messages carry more, or the object table is long.
type messageTemplate struct {
	node    *Node
	sender  Rep
	head    [shortHead + 18]byte // head of a short byte string, format, flags, sender
	objects [shortObjects]byte   // object table
	size    int                  // of that
}

const (
	shortHead    = 2  // length of the head of a byte string of 24 to 255 bytes: of nearly every message
	shortObjects = 32 // bytes of object table that a message made from the template may have
	shortOps     = 63 // bytes of operations that a message made from the template may have
	shortRoom    = 160
	stroke       = 16 // bytes that are copied without looking where they end: most operations have fewer
)

func (t *messageTemplate) set(r *Runtime, tx *txState) {
	t.node, t.sender = nil, tx.sender
	t.head[0], t.head[shortHead] = 0x58, formatMessage
	copy(t.head[shortHead+2:], r.replicas[tx.sender][:])
	objs := objectTable{buf: append(r.dec.nodes[:0], tx.recs[0].node)}
	table := r.appendObjectRef(make([]byte, 0, shortObjects), tx.recs[0].node, true, 0, &objs)
	if t.size = copy(t.objects[:], table); t.size == len(table) && r.document == uuid.Nil && !r.opts.WallTime {
		t.node = tx.recs[0].node
	}
}

// setDocument makes id the document's: from now on messages carry it.
func (r *Runtime) setDocument(id uuid.UUID) {
	r.history.settle(r) // with the template that they were made from
	r.template.node, r.document = nil, id
}

// shortMessage writes the message of the open transaction after the template, straight into the slab, and reports whether it
// could: nearly always it is one operation on the template's object by its sender, needs no flags but flagCount, and is
// short. What is copied at a stroke may run over the end of the message into the free part of the slab.
func (r *Runtime) shortMessage() ([]byte, bool) {
	t, tx, at := &r.template, &r.tx, len(r.slab)
	rec := &tx.recs[0]
	if !tx.single() || len(tx.reps) != 1 || t.node != rec.node || t.sender != tx.sender || tx.lamport != tx.start+1 ||
		tx.ext != nil || cap(r.slab)-at < shortRoom {
		return nil, false
	}
	b := (*[shortRoom]byte)(r.slab[at : at+shortRoom])
	*(*[len(t.head)]byte)(b[:]) = t.head
	n := len(t.head)
	if v := tx.start; v < 1<<21 && v >= 1<<14 { // most of what a long document counts
		binary.LittleEndian.PutUint32(b[n:], uint32(v&0x7f|v<<1&0x7f00|v<<2&0x7f0000|0x8080))
		n += 3
	} else {
		n += binary.PutUvarint(b[n:], v)
	}
	if tx.dots != 1 {
		b[shortHead+1] = flagCount
		n += binary.PutUvarint(b[n:], tx.dots)
	}
	*(*[shortObjects]byte)(b[n:]) = t.objects
	n += t.size
	ops := tx.ops[rec.start:rec.end]
	switch {
	case len(ops) <= stroke && cap(ops) >= stroke:
		*(*[stroke]byte)(b[n:]) = [stroke]byte(ops[:stroke])
	case len(ops) <= shortOps:
		copy(b[n:], ops)
	default:
		return nil, false
	}
	if n += len(ops); n < shortHead+24 {
		return nil, false
	}
	b[1] = byte(n - shortHead)
	r.slab = r.slab[:at+n]
	return b[:n:n], true
}

func (r *Runtime) appendOperations(b []byte, flags byte) []byte {
	tx := &r.tx
	if flags&flagMulti == 0 {
		tx.objs.reset()
		tx.objs.add(tx.recs[0].node)
	} else {
		tx.frame()
	}
	for i, n := range tx.objs.buf {
		b = r.appendObjectRef(b, n, i == len(tx.objs.buf)-1, i, &tx.objs)
	}
	if flags&flagMulti == 0 {
		return append(b, tx.ops[tx.recs[0].start:tx.recs[0].end]...)
	}
	b = appendUvarint(b, uint64(tx.framed))
	if len(tx.full) > 0 {
		return b // see largeMessage
	}
	return append(b, tx.frames...)
}

// largeMessage returns the message of a large transaction, whose content begins with b: its frames are copied once.
func (r *Runtime) largeMessage(b []byte) []byte {
	tx := &r.tx
	size := len(b) + len(tx.frames)
	for _, f := range tx.full {
		size += len(f)
	}
	out := append(bstrHeader(make([]byte, 0, size+5), size), b...)
	for _, f := range tx.full {
		out = append(out, f...)
	}
	return append(out, tx.frames...)
}

// objectTable numbers the objects of a message in order of first use, parents of implicit ones before them.
type objectTable struct {
	buf []*Node
	at  map[*Node]int
}

func (t *objectTable) reset() { t.buf, t.at = t.buf[:0], nil }

func (t *objectTable) find(n *Node) int {
	if t.at != nil {
		if i, ok := t.at[n]; ok {
			return i
		}
		return -1
	}
	for i := len(t.buf) - 1; i >= 0; i-- {
		if t.buf[i] == n {
			return i
		}
	}
	return -1
}

func (t *objectTable) add(n *Node) {
	if t.find(n) >= 0 {
		return
	}
	if n.class == classImplicit {
		t.add(n.parent)
	}
	if len(t.buf) == linearTable {
		t.at = make(map[*Node]int, 4*linearTable)
		for i, m := range t.buf {
			t.at[m] = i
		}
	}
	if t.at != nil {
		t.at[n] = len(t.buf)
	}
	t.buf = append(t.buf, n)
}

// appendObjectRef appends an entry of the object table: a tag (bit 0: more follow, bits 1-2: class, then the kind
// code), a kind name where the code is 0, and what identifies it.
func (r *Runtime) appendObjectRef(b []byte, n *Node, last bool, i int, t *objectTable) []byte {
	tag := uint64(n.class)<<1 | n.kind.code<<3
	if !last {
		tag |= 1
	}
	b = appendUvarint(b, tag)
	if n.kind.code == 0 {
		b = appendUvarint(b, uint64(len(n.kind.name)))
		b = append(b, n.kind.name...)
	}
	switch n.class {
	case classDot:
		b = appendUvarint(b, uint64(r.tx.find0(n.dot().Rep)))
		return appendUvarint(b, n.dot().Seq)
	case classImplicit:
		b = appendUvarint(b, uint64(i-t.find(n.parent)-1))
	}
	b = appendUvarint(b, uint64(len(n.key)))
	return append(b, n.key...)
}

const (
	slabSize  = 32 << 10
	firstSlab = 1 << 10
	// keptBuffer bounds the buffers of one transaction that are kept for the next.
	keptBuffer = 64 << 10
)

// intoSlab copies a message into memory that is never written again. Small messages share blocks, so that an edit does
// not cost an allocation of its own.
func (r *Runtime) intoSlab(content []byte) []byte {
	var head [5]byte
	h := bstrHeader(head[:0], len(content))
	need := len(h) + len(content)
	if need > cap(r.slab)-len(r.slab) {
		if need > slabSize/8 {
			return append(append(make([]byte, 0, need), h...), content...)
		}
		r.history.settle(r)
		// A document that hardly changes, of which a server may have thousands, starts small.
		r.slab = make([]byte, 0, min(slabSize, max(firstSlab, 2*cap(r.slab), need)))
	}
	at := len(r.slab)
	r.slab = r.slab[:at+need]
	copy(r.slab[at+len(h):], content) // first: content may lie in the slab's free part, where the head will stand
	copy(r.slab[at:], h)
	return r.slab[at:len(r.slab):len(r.slab)]
}
