package runtime

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"slices"
	"sort"

	"github.com/google/uuid"
)

// ErrLostPlace marks a packed message whose dependencies the Unpacker cannot rebuild: it names a place in the followed stream
// that is not there any more, or what it rebuilds is not what was packed. The sender has to be asked for the message in
// another form; the Unpacker goes on.
var ErrLostPlace = errors.New("runtime: a packed message names a place that the other stream does not have")

// Unpacker is the other side of a Packer. Its tables are bounded: MaxTables of them and MaxTableBytes in all.
//
// The zero value is ready. Not safe for concurrent use.
type Unpacker struct {
	// Split is that of the Packer.
	Split bool

	rd         Reader
	ids        []uuid.UUID
	numbers    map[uuid.UUID]uint32 // the inverse of ids; nil until somebody follows
	objects    [][]byte
	tableBytes int
	next       []expected
	log        streamLog
	follow     *Packer
	seen       map[uuid.UUID]uint64
	last       uint32 // sender of the last message
	msg        message
	numbered   []uint32 // of the replicas in msg.table, noSender for those of a followed stream; reused, as those below
	objTable   uint32   // number of msg's object table
	deps       []dependency
	sorted     []uint64
	sum        uint32 // checksum that the message must have
	summed     bool
	lost       bool
}

// Bounds of what one Unpacker keeps.
const (
	MaxTables     = 1 << 17
	MaxTableBytes = 8 << 20
)

// Follow is the other side of Packer.Follow: p packs the stream whose places are named. It may be called again with what
// goes on in place of p.
func (u *Unpacker) Follow(p *Packer) {
	u.follow = p
	if u.seen == nil {
		u.seen = make(map[uuid.UUID]uint64)
	}
}

// Next decodes the packed message that data begins with: the message, which the caller owns, and what follows it. After
// an error the Unpacker must not be used any more, except after ErrLostPlace: then rest is good.
func (u *Unpacker) Next(data []byte) (message, rest []byte, err error) {
	if rest, err = u.read(data); err != nil {
		return nil, nil, err
	}
	message = u.msg.encode()
	if u.lost || u.summed && crc32.Checksum(message, castagnoli) != u.sum {
		return nil, rest, ErrLostPlace
	}
	return message, rest, nil
}

// read reads the packed message that data begins with into u.msg, but for what parse finds in its objects and operations.
func (u *Unpacker) read(data []byte) (rest []byte, err error) {
	// Field by field: what is put together and copied costs as much as a short message.
	u.rd.buf, u.rd.off = data, 0
	if u.rd.format == "" {
		u.rd.format = "packed message"
	}
	u.log.split = u.Split
	u.summed, u.lost = false, false
	u.message()
	if u.rd.err != nil {
		return nil, u.rd.err
	}
	return data[u.rd.off:], nil
}

// Last returns the sender of the last message and the end of its dots.
func (u *Unpacker) Last() (sender uuid.UUID, end uint64) { return u.ids[u.last], u.next[u.last].start }

// Place returns the place of the next message, if Split is set.
func (u *Unpacker) Place() uint64 { return u.log.size() }

// placeOf returns the place in this stream after the last of m's dependencies that it holds, at least from, and whether a
// replica that had seen everything before that place, its own last message everything before from, depends on exactly
// what m depends on.
func (u *Unpacker) placeOf(m *message, from uint64) (s uint64, exact bool) {
	if u.numbers == nil {
		u.numbers = make(map[uuid.UUID]uint32, len(u.ids))
	}
	for n := len(u.numbers); n < len(u.ids); n++ {
		u.numbers[u.ids[n]] = uint32(n)
	}
	s, exact = from, from >= u.log.first
	u.sorted = u.sorted[:0]
	for i := range m.table[:m.deps] {
		n, ok := u.numbers[m.table[i].id]
		if !ok {
			exact = false
			continue
		}
		if place, ok := u.log.find(n, m.table[i].end); ok {
			s = max(s, place+1)
			u.sorted = append(u.sorted, place)
		} else {
			exact = false
		}
	}
	if !exact {
		return s, false
	}
	sender, ok := u.numbers[m.sender]
	if !ok {
		sender = noSender
	}
	slices.Sort(u.sorted)
	return s, slices.Equal(u.sorted, u.log.predict(sender, from, s))
}

// noSender is the number of who has none.
const noSender = 1<<32 - 1

// id reads what appendID wrote.
func (u *Unpacker) id() (n uint32, flag bool) {
	head := u.rd.Uvarint("replica number")
	switch i := head >> 1; {
	case i < uint64(len(u.ids)):
		n = uint32(i)
	case i == uint64(len(u.ids)) && i < MaxTables:
		var id uuid.UUID
		copy(id[:], u.rd.Take("replica", 16))
		n = uint32(i)
		u.ids, u.next = append(u.ids, id), append(u.next, expected{})
	default:
		u.rd.Fail("replica number", ErrCorrupt)
		if len(u.ids) == 0 {
			u.ids, u.next = append(u.ids, uuid.Nil), append(u.next, expected{})
		}
	}
	return n, head&1 != 0
}

func (u *Unpacker) objectTable() []byte {
	i := u.rd.Uvarint("object table")
	u.objTable = uint32(i)
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

// message reads one message.
func (u *Unpacker) message() {
	rd, m := &u.rd, &u.msg
	sender, explicit := u.id()
	m.flags = rd.Byte("flags")
	m.data = nil
	m.sender, m.count, m.wall, m.ext, m.deps = u.ids[sender], 1, 0, nil, 0
	e := u.next[sender]
	m.start = e.start
	m.table, u.numbered, u.deps = m.table[:0], u.numbered[:0], u.deps[:0]
	lamport := e.lamport
	if m.flags&flagTable != 0 {
		u.dependencies(sender)
		m.deps = len(m.table)
		known := len(u.deps)
		u.log.locate(u.deps)
		lamport = u.log.timestamp(u.deps, lamport)
		for range rd.Count("references", 1) {
			if u.entry("references"); rd.err != nil {
				break
			}
		}
		u.deps = u.deps[:known]
	}
	if explicit {
		if m.start = rd.Uvarint("start"); m.start == e.start {
			rd.Fail("start", ErrCorrupt)
		}
	}
	if m.flags&flagCount != 0 {
		m.count = rd.Uvarint("dots")
	}
	m.lamport = m.start + 1
	if m.flags&flagLamport != 0 {
		m.lamport = lamport + uint64(rd.Varint("lamport"))
	}
	if m.flags&flagDocument != 0 {
		copy(m.document[:], rd.Take("document", 16))
	} else if m.document != uuid.Nil {
		m.document = uuid.Nil
	}
	if m.flags&flagWall != 0 {
		m.wall = rd.Uvarint("wall time")
	}
	if m.flags&flagExt != 0 {
		m.ext = rd.Bytes("extensions")
	}
	m.objBytes = u.objectTable()
	m.opBytes = rd.Bytes("operations")
	if rd.err != nil {
		return
	}
	u.last, u.next[sender] = sender, expected{m.end(), m.lamport + m.count}
	u.log.add(sender, m.end(), m.lamport+m.count, u.deps)
}

// entry reads what Packer.entry wrote.
func (u *Unpacker) entry(field string) {
	n, explicit := u.id()
	end := u.next[n].start
	if explicit {
		if v := u.rd.Uvarint(field) + 1; v == end || v == 0 {
			u.rd.Fail(field, ErrCorrupt)
		} else {
			end = v
		}
	}
	u.bound(n, end)
	u.deps = append(u.deps, dependency{sender: n, end: end})
}

// dependencies reads what Packer.dependencies wrote.
func (u *Unpacker) dependencies(sender uint32) {
	rd := &u.rd
	head := rd.Uvarint("dependencies")
	switch {
	case head == depsNone || rd.err != nil:
		return
	case head == depsExplicit:
		if u.follow != nil {
			u.ahead(sender)
		}
		for range rd.Count("dependencies", 1) {
			if u.entry("dependencies"); rd.err != nil {
				return
			}
		}
		return
	case head == depsFollowed:
		u.followed(sender)
	default:
		u.places(sender, head-depsPlace)
	}
	if len(u.msg.table) > 1 {
		sort.Sort((*byReplica)(u))
	}
}

// byReplica sorts the table of an Unpacker's message.
type byReplica Unpacker

func (u *byReplica) Len() int { return len(u.msg.table) }
func (u *byReplica) Less(i, j int) bool {
	return bytes.Compare(u.msg.table[i].id[:], u.msg.table[j].id[:]) < 0
}
func (u *byReplica) Swap(i, j int) {
	u.msg.table[i], u.msg.table[j] = u.msg.table[j], u.msg.table[i]
	u.numbered[i], u.numbered[j] = u.numbered[j], u.numbered[i]
}

// places reads dependencies by a place in this stream.
func (u *Unpacker) places(sender uint32, head uint64) {
	rd, l := &u.rd, &u.log
	if head>>1 > l.size()-l.first {
		rd.Fail("dependencies", ErrCorrupt)
		return
	}
	predicted := l.predict(sender, l.knownBy(sender), l.size()-head>>1)
	absent, at := 0, 0
	if head&1 != 0 {
		absent = rd.Count("dependencies", 1)
	}
	for range absent {
		gap := rd.Uvarint("dependencies")
		if rd.err != nil || gap >= uint64(len(predicted)-at) {
			rd.Fail("dependencies", ErrCorrupt)
			return
		}
		for range gap {
			u.predicted(l.at(predicted[at]))
			at++
		}
		at++
	}
	for ; at < len(predicted); at++ {
		u.predicted(l.at(predicted[at]))
	}
	if head&1 == 0 {
		return
	}
	for range rd.Count("dependencies", 1) {
		if u.entry("dependencies"); rd.err != nil {
			return
		}
	}
}

// bound appends an entry to the table.
func (u *Unpacker) bound(number uint32, end uint64) {
	u.msg.table = append(u.msg.table, repBound{u.ids[number], end})
	u.numbered = append(u.numbered, number)
}

func (u *Unpacker) predicted(e *streamEntry) {
	u.bound(e.sender, e.end)
	u.deps = append(u.deps, dependency{sender: e.sender, end: e.end})
}

// ahead reads the place in the followed stream that a message had seen, and returns that and the one that the sender's
// message before had seen; false if there was none.
func (u *Unpacker) ahead(sender uint32) (from, s uint64, known bool) {
	id := u.ids[sender]
	from, known = u.seen[id]
	s = from + u.rd.Uvarint("place")
	if s > maxEnd {
		u.rd.Fail("place", ErrCorrupt)
		return from, from, known
	}
	u.seen[id] = s
	return from, s, known
}

// followed reads dependencies by a place in the followed stream. The log of this one learns nothing of them.
func (u *Unpacker) followed(sender uint32) {
	rd := &u.rd
	if u.follow == nil {
		rd.Fail("place", ErrCorrupt)
		return
	}
	from, s, known := u.ahead(sender)
	if !known {
		back := rd.Uvarint("places")
		if back > s {
			rd.Fail("places", ErrCorrupt)
			return
		}
		from = s - back
	}
	sum := rd.Take("checksum", 4)
	if rd.err != nil {
		return
	}
	u.sum, u.summed = binary.LittleEndian.Uint32(sum), true
	l := &u.follow.log
	if s > l.size() || from < l.first {
		u.lost = true
		return
	}
	n, ok := u.follow.ids[u.ids[sender]]
	if !ok {
		n = noSender
	}
	for _, place := range l.predict(n, from, s) {
		e := l.at(place)
		u.msg.table = append(u.msg.table, repBound{id: u.follow.senders[e.sender], end: e.end})
		u.numbered = append(u.numbered, noSender)
	}
}
