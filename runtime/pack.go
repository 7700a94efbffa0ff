package runtime

import (
	"github.com/google/uuid"
)

// Packer writes messages one after the other and leaves out what those before had in common with them: replica IDs and
// object tables are spelled out once, starts and timestamps that follow on not at all. A run of typing costs about six
// bytes a message. Bundles and links use it; an Unpacker that has seen the same run gives back the very bytes.
//
// The zero value is ready; it grows with the replicas and object tables that it meets. Not safe for concurrent use.
type Packer struct {
	msg     message
	ids     map[uuid.UUID]uint64
	objects map[string]uint64
	next    map[uuid.UUID]expected
}

// expected is what the next message of a sender most likely starts with.
type expected struct{ start, lamport uint64 }

// anyMessage are the limits for messages of this process: they were checked when they came to be.
var anyMessage = func() Limits {
	l := DefaultLimits()
	l.MessageBytes, l.MessageDots, l.MessageOps, l.Replicas = 1<<31-1, 1<<31-1, 1<<31-1, 1<<31-1
	return l
}()

// Append appends the packed form of a message. On error (the message is malformed) nothing is appended and the Packer is
// as before.
func (p *Packer) Append(dst, message []byte) ([]byte, error) {
	m := &p.msg
	if err := m.parse(message, &anyMessage); err != nil {
		return dst, err
	}
	if p.ids == nil {
		p.ids, p.objects, p.next = make(map[uuid.UUID]uint64), make(map[string]uint64), make(map[uuid.UUID]expected)
	}
	e := p.next[m.sender]
	p.next[m.sender] = expected{m.end(), m.lamport + m.count}
	dst = p.id(dst, m.sender, m.start != e.start)
	dst = append(dst, m.flags)
	if m.start != e.start {
		dst = appendUvarint(dst, m.start)
	}
	if m.flags&flagCount != 0 {
		dst = appendUvarint(dst, m.count)
	}
	if m.flags&flagLamport != 0 {
		dst = appendUvarint(dst, zigzag(int64(m.lamport)-int64(e.lamport)))
	}
	if m.flags&flagDocument != 0 {
		dst = append(dst, m.document[:]...)
	}
	if m.flags&flagWall != 0 {
		dst = appendUvarint(dst, m.wall)
	}
	if m.flags&flagTable != 0 {
		dst = appendUvarint(dst, uint64(m.deps))
		dst = appendUvarint(dst, uint64(len(m.table)-m.deps))
		for i := range m.table {
			t := &m.table[i]
			ahead := p.next[t.id].start
			dst = p.id(dst, t.id, t.end != ahead)
			if t.end != ahead {
				dst = appendUvarint(dst, t.end-1)
			}
		}
	}
	if m.flags&flagExt != 0 {
		dst = appendUvarint(dst, uint64(len(m.ext)))
		dst = append(dst, m.ext...)
	}
	dst = p.objectTable(dst, m.objBytes)
	dst = appendUvarint(dst, uint64(len(m.opBytes)))
	return append(dst, m.opBytes...), nil
}

// id appends 2 * the number of an ID, plus 1 if flag; a number that is not given yet is followed by the ID.
func (p *Packer) id(dst []byte, id uuid.UUID, flag bool) []byte {
	i, ok := p.ids[id]
	if !ok {
		i = uint64(len(p.ids))
		p.ids[id] = i
	}
	head := i << 1
	if flag {
		head |= 1
	}
	dst = appendUvarint(dst, head)
	if !ok {
		dst = append(dst, id[:]...)
	}
	return dst
}

func (p *Packer) objectTable(dst, table []byte) []byte {
	i, ok := p.objects[string(table)]
	if !ok {
		i = uint64(len(p.objects))
		p.objects[string(table)] = i
	}
	dst = appendUvarint(dst, i)
	if !ok {
		dst = appendUvarint(dst, uint64(len(table)))
		dst = append(dst, table...)
	}
	return dst
}

// Unpacker is the other side of a Packer. Its tables are bounded: MaxTables of them and MaxTableBytes in all.
//
// The zero value is ready. Not safe for concurrent use.
type Unpacker struct {
	rd         Reader
	ids        []uuid.UUID
	objects    [][]byte
	tableBytes int
	next       map[uuid.UUID]expected
}

// Bounds of what one Unpacker keeps.
const (
	MaxTables     = 1 << 17
	MaxTableBytes = 8 << 20
)

// Next decodes the packed message that data begins with: the message, which the caller owns, and what follows it. After
// an error the Unpacker must not be used any more.
func (u *Unpacker) Next(data []byte) (message, rest []byte, err error) {
	if u.next == nil {
		u.next = make(map[uuid.UUID]expected)
	}
	u.rd = Reader{buf: data, format: "packed message"}
	message = u.message()
	if u.rd.err != nil {
		return nil, nil, u.rd.err
	}
	return message, data[u.rd.off:], nil
}

// id reads what Packer.id wrote.
func (u *Unpacker) id() (id uuid.UUID, flag bool) {
	head := u.rd.Uvarint("replica number")
	switch i := head >> 1; {
	case i < uint64(len(u.ids)):
		id = u.ids[i]
	case i == uint64(len(u.ids)) && i < MaxTables:
		copy(id[:], u.rd.Take("replica", 16))
		u.ids = append(u.ids, id)
	default:
		u.rd.Fail("replica number", ErrCorrupt)
	}
	return id, head&1 != 0
}

func (u *Unpacker) objectTable() []byte {
	i := u.rd.Uvarint("object table")
	if i < uint64(len(u.objects)) {
		return u.objects[i]
	}
	t := u.rd.Bytes("object table")
	if u.tableBytes += len(t); i != uint64(len(u.objects)) || i >= MaxTables || u.tableBytes > MaxTableBytes {
		u.rd.Fail("object table", ErrCorrupt)
		return nil
	}
	t = append([]byte(nil), t...)
	u.objects = append(u.objects, t)
	return t
}

// message rebuilds one message's bytes.
func (u *Unpacker) message() []byte {
	rd := &u.rd
	sender, explicit := u.id()
	flags := rd.Byte("flags")
	e := u.next[sender]
	start := e.start
	if explicit {
		if start = rd.Uvarint("start"); start == e.start {
			rd.Fail("start", ErrCorrupt)
		}
	}
	b := append(make([]byte, 0, 64), formatMessage, flags)
	b = append(b, sender[:]...)
	b = appendUvarint(b, start)
	count, lamport := uint64(1), start+1
	if flags&flagCount != 0 {
		count = rd.Uvarint("dots")
		b = appendUvarint(b, count)
	}
	if flags&flagLamport != 0 {
		lamport = e.lamport + uint64(rd.Varint("lamport"))
		b = appendUvarint(b, zigzag(int64(lamport)-int64(start)-1))
	}
	u.next[sender] = expected{start + count, lamport + count}
	if flags&flagDocument != 0 {
		b = append(b, rd.Take("document", 16)...)
	}
	if flags&flagWall != 0 {
		b = appendUvarint(b, rd.Uvarint("wall time"))
	}
	if flags&flagTable != 0 {
		b = u.table(b)
	}
	if flags&flagExt != 0 {
		ext := rd.Bytes("extensions")
		b = append(appendUvarint(b, uint64(len(ext))), ext...)
	}
	b = append(b, u.objectTable()...)
	b = append(b, rd.Bytes("operations")...)
	return append(bstrHeader(make([]byte, 0, len(b)+5), len(b)), b...)
}

func (u *Unpacker) table(b []byte) []byte {
	rd := &u.rd
	deps, refs := rd.Count("dependencies", 1), rd.Count("references", 1)
	b = appendUvarint(appendUvarint(b, uint64(deps)), uint64(refs))
	for i := 0; i < deps+refs && rd.err == nil; i++ {
		id, explicit := u.id()
		last := u.next[id].start - 1
		if explicit {
			if v := rd.Uvarint("table"); v == last {
				rd.Fail("table", ErrCorrupt)
			} else {
				last = v
			}
		}
		b = appendUvarint(append(b, id[:]...), last)
	}
	return b
}
