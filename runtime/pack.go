package runtime

import (
	"encoding/binary"
	"hash/crc32"
	"slices"

	"github.com/google/uuid"
)

// Packer writes messages one after the other and leaves out what those before had in common with them: replica IDs and
// object tables are spelled out once, starts and timestamps that follow on not at all, and dependencies by a place in the
// stream. A run of typing costs about six bytes a message, a message of one of a hundred who type at once about twenty.
// Bundles, links and logs use it; an Unpacker that has seen the same run gives back the very bytes.
//
// The zero value is ready; it grows with the replicas and object tables that it meets. Not safe for concurrent use.
type Packer struct {
	// Split keeps each message apart, so that another stream can name its place (see Follow). The Unpacker needs the
	// same.
	Split bool

	msg     message
	ids     map[uuid.UUID]uint32
	senders []uuid.UUID // the inverse of ids
	objects map[string]uint64
	tables  []string   // the inverse of objects
	next    []expected // by number
	log     streamLog
	follow  *Unpacker
	seen    map[uuid.UUID]uint64 // place in the followed stream that a sender's last message had seen
	deps    []dependency         // reused, as those below
	places  []uint64
	compare streamCompare
}

// expected is what the next message of a sender most likely starts with.
type expected struct{ start, lamport uint64 }

// anySize are the limits for what was taken before: it was checked when it came to be.
var anySize = Limits{
	MessageBytes: 1<<31 - 1, MessageDots: 1<<31 - 1, MessageOps: 1<<31 - 1, StateBytes: 1<<31 - 1, DecodedBytes: 1<<31 - 1, Places: 1<<31 - 1,
	BundleBytes: 1<<31 - 1, Replicas: 1<<31 - 1, NameBytes: 1<<31 - 1,
}

// How the dependencies of a packed message are given. These numbers are part of format version 1.
const (
	depsNone     = 0
	depsExplicit = 1 // as a list
	depsFollowed = 2 // by a place in the stream of the other direction
	depsPlace    = 3 // 3 + 2 * (places back) + x: by a place in this stream; x = 1: with differences
)

// Follow lets messages name a place in another stream, that which u unpacks with Split set, in place of their dependencies:
// on a link, what this side has received. The other side's Unpacker has to follow the Packer of that stream. Call it
// before the first Append.
func (p *Packer) Follow(u *Unpacker) { p.follow, p.seen = u, make(map[uuid.UUID]uint64) }

// StartAt makes the first message have this place. Call it before the first Append; the Unpacker goes by AppendState.
func (p *Packer) StartAt(place uint64) { p.log.first = place }

// Append appends the packed form of a message. On error (the message is malformed) nothing is appended and the Packer is
// as before.
func (p *Packer) Append(dst, message []byte) ([]byte, error) {
	m := &p.msg
	if err := m.parse(message, &anySize); err != nil {
		return dst, err
	}
	if p.ids == nil {
		p.ids, p.objects = make(map[uuid.UUID]uint32), make(map[string]uint64)
	}
	p.log.split = p.Split
	sender, fresh := p.number(m.sender)
	e := p.next[sender]
	dst = appendID(dst, sender, fresh, m.sender, m.start != e.start)
	dst = append(dst, m.flags)
	lamport := e.lamport
	p.deps = p.deps[:0]
	if m.flags&flagTable != 0 {
		dst = p.dependencies(dst, m, sender)
		p.log.locate(p.deps)
		lamport = p.log.timestamp(p.deps, lamport)
		dst = appendUvarint(dst, uint64(len(m.table)-m.deps))
		for i := m.deps; i < len(m.table); i++ {
			dst = p.entry(dst, &m.table[i])
		}
	}
	if m.start != e.start {
		dst = appendUvarint(dst, m.start)
	}
	if m.flags&flagCount != 0 {
		dst = appendUvarint(dst, m.count)
	}
	if m.flags&flagLamport != 0 {
		dst = appendUvarint(dst, zigzag(int64(m.lamport)-int64(lamport)))
	}
	p.next[sender] = expected{m.end(), m.lamport + m.count}
	p.log.add(sender, m.end(), m.lamport+m.count, p.deps)
	if m.flags&flagDocument != 0 {
		dst = append(dst, m.document[:]...)
	}
	if m.flags&flagWall != 0 {
		dst = appendUvarint(dst, m.wall)
	}
	if m.flags&flagExt != 0 {
		dst = appendUvarint(dst, uint64(len(m.ext)))
		dst = append(dst, m.ext...)
	}
	dst = p.objectTable(dst, m.objBytes)
	dst = appendUvarint(dst, uint64(len(m.opBytes)))
	return append(dst, m.opBytes...), nil
}

// number returns the number of an ID, a new one if it has none.
func (p *Packer) number(id uuid.UUID) (n uint32, fresh bool) {
	if n, ok := p.ids[id]; ok {
		return n, false
	}
	n = uint32(len(p.senders))
	p.ids[id] = n
	p.senders, p.next = append(p.senders, id), append(p.next, expected{})
	return n, true
}

// appendID appends 2 * the number of an ID, plus 1 if flag; a number that is new is followed by the ID.
func appendID(dst []byte, n uint32, fresh bool, id uuid.UUID, flag bool) []byte {
	head := uint64(n) << 1
	if flag {
		head |= 1
	}
	if dst = appendUvarint(dst, head); fresh {
		dst = append(dst, id[:]...)
	}
	return dst
}

// entry appends an entry of a table.
func (p *Packer) entry(dst []byte, t *repBound) []byte {
	n, fresh := p.number(t.id)
	ahead := p.next[n].start
	dst = appendID(dst, n, fresh, t.id, t.end != ahead)
	if t.end != ahead {
		dst = appendUvarint(dst, t.end-1)
	}
	return dst
}

// dependencies appends what a message depends on, in the shortest of the forms, and leaves in p.deps what the log is to
// know of it.
func (p *Packer) dependencies(dst []byte, m *message, sender uint32) []byte {
	table := m.table[:m.deps]
	if len(table) == 0 {
		return append(dst, depsNone)
	}
	if p.follow != nil {
		before, known := p.seen[m.sender]
		from := before
		if !known {
			from = p.follow.log.first
		}
		s, exact := p.follow.placeOf(m, from)
		p.seen[m.sender] = s
		if !exact {
			return p.list(appendUvarint(append(dst, depsExplicit), s-before), table)
		}
		dst = appendUvarint(append(dst, depsFollowed), s-before)
		if !known {
			dst = appendUvarint(dst, s-from)
		}
		return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(m.data, castagnoli))
	}
	if d, ok := p.byPlace(dst, table, sender); ok {
		return d
	}
	return p.list(append(dst, depsExplicit), table)
}

// list appends dependencies one by one.
func (p *Packer) list(dst []byte, table []repBound) []byte {
	dst = appendUvarint(dst, uint64(len(table)))
	for i := range table {
		dst = p.entry(dst, &table[i])
		p.deps = append(p.deps, dependency{sender: p.ids[table[i].id], end: table[i].end})
	}
	return dst
}

// byPlace is dependencies by a place in this stream: that after the last of them.
func (p *Packer) byPlace(dst []byte, table []repBound, sender uint32) ([]byte, bool) {
	s := uint64(0)
	p.places = p.places[:0]
	for i := range table {
		place := uint64(noPlace)
		if n, ok := p.ids[table[i].id]; ok {
			if at, ok := p.log.find(n, table[i].end); ok {
				place, s = at, max(s, at+1)
			}
		}
		p.places = append(p.places, place)
	}
	if s == 0 {
		return dst, false
	}
	predicted := p.log.predict(sender, p.log.knownBy(sender), s)
	common, odd := p.compare.of(predicted, p.places)
	extra := len(table) - common
	if len(odd)+extra > len(table)/2 {
		return dst, false
	}
	head := depsPlace + 2*(p.log.size()-s)
	if len(odd)+extra == 0 {
		dst = appendUvarint(dst, head)
	} else {
		dst = appendUvarint(appendGaps(appendUvarint(dst, head+1), odd), uint64(extra))
		for i := range table {
			if _, ok := slices.BinarySearch(predicted, p.places[i]); !ok {
				dst = p.entry(dst, &table[i])
			}
		}
	}
	for i := range table {
		p.deps = append(p.deps, dependency{sender: p.ids[table[i].id], end: table[i].end})
	}
	return dst, true
}

// noPlace is the place of a dependency that the stream does not hold.
const noPlace = 1<<64 - 1

func (p *Packer) objectTable(dst, table []byte) []byte {
	i, ok := p.objects[string(table)]
	if !ok {
		i = uint64(len(p.tables))
		p.tables = append(p.tables, string(table))
		p.objects[p.tables[i]] = i
	}
	dst = appendUvarint(dst, i)
	if !ok {
		dst = appendUvarint(dst, uint64(len(table)))
		dst = append(dst, table...)
	}
	return dst
}

// Place returns the place of the next message, if Split is set.
func (p *Packer) Place() uint64 { return p.log.size() }
