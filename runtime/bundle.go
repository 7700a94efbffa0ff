package runtime

import (
	"github.com/google/uuid"
)

// Bundle puts messages into one piece that Receive takes; each keeps its bounds and its bytes. Replica IDs and object
// tables are shared, so that a run of typing costs a few bytes a message. The messages are usually those of
// MessagesSince; they are applied in the order given.
func Bundle(messages [][]byte) ([]byte, error) {
	lim := DefaultLimits()
	lim.MessageBytes, lim.MessageDots, lim.MessageOps = 1<<31-1, 1<<31-1, 1<<31-1
	b := &bundler{ids: make(map[uuid.UUID]int), objects: make(map[string]int), next: make(map[uuid.UUID]expected)}
	var body []byte
	for _, data := range messages {
		var err error
		if body, err = b.append(body, data, &lim); err != nil {
			return nil, err
		}
	}
	out := []byte{formatBundle, 0}
	out = appendUvarint(out, uint64(len(b.idList)))
	for i := range b.idList {
		out = append(out, b.idList[i][:]...)
	}
	out = appendUvarint(out, uint64(len(b.objList)))
	for _, o := range b.objList {
		out = appendUvarint(out, uint64(len(o)))
		out = append(out, o...)
	}
	out = appendUvarint(out, uint64(len(messages)))
	out = append(out, body...)
	return sealed(appendChecksum(out, out)), nil
}

// expected is what the next message of a sender most likely starts with.
type expected struct{ start, lamport uint64 }

type bundler struct {
	msg     message
	ids     map[uuid.UUID]int
	idList  []uuid.UUID
	objects map[string]int
	objList []string
	next    map[uuid.UUID]expected
}

func (b *bundler) id(id uuid.UUID) uint64 {
	i, ok := b.ids[id]
	if !ok {
		i = len(b.idList)
		b.ids[id] = i
		b.idList = append(b.idList, id)
	}
	return uint64(i)
}

// append writes one message: flags as they stand but for two that say whether start and Lamport timestamp are the
// expected ones, then what those flags call for, with numbers in place of IDs and of the object table.
func (b *bundler) append(dst, data []byte, lim *Limits) ([]byte, error) {
	m := &b.msg
	if err := m.parse(data, lim); err != nil {
		return nil, err
	}
	e := b.next[m.sender]
	dst = appendUvarint(dst, b.id(m.sender)<<1|bit(m.start != e.start))
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
	b.next[m.sender] = expected{m.end(), m.lamport + m.count}
	if m.flags&flagDocument != 0 {
		dst = append(dst, m.document[:]...)
	}
	if m.flags&flagWall != 0 {
		dst = appendUvarint(dst, m.wall)
	}
	if m.flags&flagTable != 0 {
		dst = appendUvarint(dst, uint64(m.deps))
		dst = appendUvarint(dst, uint64(len(m.table)-m.deps))
		for _, t := range m.table {
			dst = appendUvarint(dst, b.id(t.id))
			dst = appendUvarint(dst, t.end-1)
		}
	}
	if m.flags&flagExt != 0 {
		dst = appendUvarint(dst, uint64(len(m.ext)))
		dst = append(dst, m.ext...)
	}
	i, ok := b.objects[string(m.objBytes)]
	if !ok {
		i = len(b.objList)
		b.objects[string(m.objBytes)] = i
		b.objList = append(b.objList, string(m.objBytes))
	}
	dst = appendUvarint(dst, uint64(i))
	dst = appendUvarint(dst, uint64(len(m.opBytes)))
	return append(dst, m.opBytes...), nil
}

func bit(v bool) uint64 {
	if v {
		return 1
	}
	return 0
}

// SplitBundle returns the messages of a bundle, byte for byte as they went in. It is the inverse of Bundle.
func SplitBundle(data []byte) ([][]byte, error) {
	lim := DefaultLimits()
	return splitBundle(data, &lim)
}

func splitBundle(data []byte, lim *Limits) ([][]byte, error) {
	if len(data) > lim.BundleBytes {
		return nil, &LimitError{"BundleBytes", uint64(len(data)), uint64(lim.BundleBytes)}
	}
	content, err := bstr(data[min(len(data), len(magic)):], "bundle")
	if err != nil {
		return nil, err
	}
	rd := Reader{buf: content, format: "bundle"}
	if rd.Byte("format") != formatBundle || rd.Uvarint("features") != 0 {
		rd.Fail("format", ErrVersion)
	}
	if rd.err == nil {
		sum := Reader{buf: content, off: max(rd.off, len(content)-4), format: "bundle"}
		if sum.checksum("checksum", 0); sum.err != nil {
			return nil, sum.err
		}
		rd.buf = content[:len(content)-4]
	}
	s := &splitter{rd: rd, budget: lim.DecodedBytes, next: make(map[uuid.UUID]expected)}
	return s.split(lim)
}

type splitter struct {
	rd      Reader
	ids     []uuid.UUID
	objects [][]byte
	next    map[uuid.UUID]expected
	budget  int // bytes that may still be rebuilt: sharing tables must not be a way to blow up
}

func (s *splitter) split(lim *Limits) ([][]byte, error) {
	rd := &s.rd
	s.ids = make([]uuid.UUID, rd.Count("replicas", 16))
	for i := range s.ids {
		copy(s.ids[i][:], rd.Take("replica", 16))
	}
	for range rd.Count("object tables", 1) {
		s.objects = append(s.objects, rd.Bytes("object table"))
	}
	n := rd.Count("messages", 4)
	out := make([][]byte, 0, n)
	for range n {
		m := s.message(lim)
		if rd.err != nil {
			return nil, rd.err
		}
		out = append(out, m)
	}
	return out, rd.Done()
}

func (s *splitter) id() uuid.UUID {
	i := s.rd.Uvarint("replica number")
	if i >= uint64(len(s.ids)) {
		s.rd.Fail("replica number", ErrCorrupt)
		return uuid.Nil
	}
	return s.ids[i]
}

// message rebuilds one message's bytes.
func (s *splitter) message(lim *Limits) []byte {
	rd := &s.rd
	head := rd.Uvarint("sender")
	if head>>1 >= uint64(len(s.ids)) {
		rd.Fail("sender", ErrCorrupt)
		return nil
	}
	sender := s.ids[head>>1]
	flags := rd.Byte("flags")
	e := s.next[sender]
	start := e.start
	if head&1 != 0 {
		if start = rd.Uvarint("start"); start == e.start {
			rd.Fail("start", ErrCorrupt)
		}
	}
	b := append([]byte{formatMessage, flags}, sender[:]...)
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
	s.next[sender] = expected{start + count, lamport + count}
	if flags&flagDocument != 0 {
		b = append(b, rd.Take("document", 16)...)
	}
	if flags&flagWall != 0 {
		b = appendUvarint(b, rd.Uvarint("wall time"))
	}
	if flags&flagTable != 0 {
		deps, refs := rd.Count("dependencies", 2), rd.Count("references", 2)
		b = appendUvarint(appendUvarint(b, uint64(deps)), uint64(refs))
		for i := 0; i < deps+refs && rd.err == nil; i++ {
			id := s.id()
			b = appendUvarint(append(b, id[:]...), rd.Uvarint("table"))
		}
	}
	if flags&flagExt != 0 {
		ext := rd.Bytes("extensions")
		b = append(appendUvarint(b, uint64(len(ext))), ext...)
	}
	if i := rd.Uvarint("object table"); i < uint64(len(s.objects)) {
		b = append(b, s.objects[i]...)
	} else {
		rd.Fail("object table", ErrCorrupt)
	}
	b = append(b, rd.Bytes("operations")...)
	if s.budget -= len(b); s.budget < 0 {
		rd.Fail("messages", &LimitError{"DecodedBytes", uint64(lim.DecodedBytes) + 1, uint64(lim.DecodedBytes)})
	}
	return append(bstrHeader(make([]byte, 0, len(b)+5), len(b)), b...)
}

// receiveBundle applies the messages of a bundle one by one. The whole bundle is decoded first.
func (r *Runtime) receiveBundle(data []byte, origin any) (Result, error) {
	var res Result
	messages, err := splitBundle(data, &r.limits)
	if err != nil {
		return res, err
	}
	for _, m := range messages {
		if err := r.dec.msg.parse(m, &r.limits); err != nil {
			return res, err
		}
	}
	for _, m := range messages {
		if err := r.receiveMessage(m, origin, &res); err != nil {
			return res, err
		}
	}
	return res, nil
}
