package runtime

import (
	"bytes"
	"slices"
)

// What history keeps of a message that is not one typed character: its fields, with replicas by their numbers here and
// dependencies by a place in the log of what was kept, as in packed messages.
//
//	flags | place | dependencies | [references] | [dots] | [lamport] | [wall] | [ext] | x | [objects] | operations
//
// place is the difference from that of the block's entry before, plus 1; 0: the message is kept whole, and follows. x = 1:
// the objects are those of the block.

// placeReach bounds how far back a prediction looks, and so how much of the log the entries of a block need.
const placeReach = 4096

// note tells the log of the run of messages that the newest block took since the last time. That block does not tell of
// each, since runs of typing need no places.
func (h *history) note() {
	if b := h.last; b != nil && b.end > b.noted {
		h.log.add(uint32(b.rep), b.end, 0, nil)
		b.noted = b.end
	}
}

// addFull appends a message to its block. m is parsed.
func (h *history) addFull(r *Runtime, b *historyBlock, m *message) {
	h.deps = h.deps[:0]
	if len(m.reps) == 0 {
		r.lookUp(m)
	}
	for i := range m.table[:m.deps] {
		h.deps = append(h.deps, dependency{sender: uint32(m.reps[1+i]), end: m.table[i].end})
	}
	h.log.locate(h.deps)
	start := len(b.buf)
	e := h.entry[:0]
	place := h.log.size()
	if m.flags&flagDocument != 0 && m.document != r.document {
		e = append(append(e, m.flags, 0), m.bytes()...)
	} else {
		e = appendUvarint(append(e, m.flags), place-b.place+1)
		if m.flags&flagTable != 0 {
			var need uint64
			e, need = h.appendDeps(e, uint32(b.rep))
			b.need = min(b.need, need)
			e = appendUvarint(e, uint64(len(m.table)-m.deps))
			for i := m.deps; i < len(m.table); i++ {
				e = appendUvarint(appendUvarint(e, uint64(m.reps[1+i])), m.table[i].end)
			}
		}
		if m.flags&flagCount != 0 {
			e = appendUvarint(e, m.count)
		}
		if m.flags&flagLamport != 0 {
			e = appendUvarint(e, zigzag(int64(m.lamport)-int64(b.lamport)))
		}
		if m.flags&flagWall != 0 {
			e = appendUvarint(e, m.wall)
		}
		if m.flags&flagExt != 0 {
			e = append(appendUvarint(e, uint64(len(m.ext))), m.ext...)
		}
		b.place = place
		b.lamport = m.lamport + m.count
		if bytes.Equal(b.objects, m.objBytes) {
			e = append(e, 1)
		} else {
			e = append(appendUvarint(append(e, 0), uint64(len(m.objBytes))), m.objBytes...)
		}
		e = append(e, m.opBytes...)
	}
	if h.entry = e; cap(e) > keptBuffer {
		h.entry = nil
	}
	h.log.add(uint32(b.rep), m.end(), 0, h.deps)
	if room := len(e) + 5; cap(b.buf)-start < room && b.messages >= 16 { // room for all that comes if it goes on like this
		b.buf = slices.Grow(b.buf, room+min((1+start/b.messages)*(b.most-b.messages), blockBytes))
	}
	b.buf = append(appendUvarint(b.buf, uint64(len(e))<<1|1), e...)
	b.end, b.noted = m.end(), m.end()
	b.messages++
	h.messages++
	h.bytes += len(b.buf) - start
}

// appendDeps appends h.deps of a message of rep, the next of the log. need is the first place that decoding looks at.
func (h *history) appendDeps(e []byte, rep uint32) (_ []byte, need uint64) {
	if len(h.deps) == 0 {
		return append(e, depsNone), noPlace
	}
	l := &h.log
	from, known := l.previous(rep)
	s := from
	h.places = h.places[:0]
	for _, d := range h.deps {
		if d.place != noPlace {
			s = max(s, d.place+1)
		}
		h.places = append(h.places, d.place)
	}
	if known && l.size()-from <= placeReach {
		predicted := l.predict(rep, from, s)
		common, odd := h.compare.of(predicted, h.places)
		if extra := len(h.deps) - common; len(odd)+extra <= len(h.deps)/2 {
			e = appendGaps(appendUvarint(e, depsPlace+2*(l.size()-s)), odd)
			e = appendUvarint(e, uint64(extra))
			for i, d := range h.deps {
				if _, ok := slices.BinarySearch(predicted, h.places[i]); !ok {
					e = appendUvarint(appendUvarint(e, uint64(d.sender)), d.end)
				}
			}
			return e, from
		}
	}
	e = appendUvarint(append(e, depsExplicit), uint64(len(h.deps)))
	for _, d := range h.deps {
		e = appendUvarint(appendUvarint(e, uint64(d.sender)), d.end)
	}
	return e, noPlace
}

// previous returns the place before which the newest entry of a sender had seen all that counts; false if there is no
// such entry.
func (l *streamLog) previous(sender uint32) (uint64, bool) {
	place, ok := l.lastOf(sender)
	if !ok {
		return l.first, false
	}
	return place - uint64(l.at(place).unseen), true
}

// readFull rebuilds the message of an entry that addFull made. place is that of the block's entry before, and becomes
// that of this one; so for lamport.
func (h *history) readFull(r *Runtime, b *historyBlock, entry []byte, start uint64, place, lamport *uint64) (m message) {
	rd := Reader{buf: entry, format: "history"}
	m.flags = rd.Byte("flags")
	ahead := rd.Uvarint("place")
	if ahead == 0 {
		m.data = slices.Clone(rd.Rest())
		if err := m.parse(m.data, &anySize); err != nil {
			panic(err) // it was parsed before it was kept
		}
		return m
	}
	*place += ahead - 1
	m.sender, m.start, m.count, m.document = r.replicas[b.rep], start, 1, r.document
	entryOf := func() {
		rep := Rep(rd.Uvarint("replica"))
		m.table = append(m.table, repBound{r.replicas[rep], rd.Uvarint("end")})
	}
	if m.flags&flagTable != 0 {
		h.readDeps(r, &rd, b, *place, &m)
		m.deps = len(m.table)
		slices.SortFunc(m.table, func(x, y repBound) int { return bytes.Compare(x.id[:], y.id[:]) })
		for range rd.Uvarint("references") {
			entryOf()
		}
	}
	if m.flags&flagCount != 0 {
		m.count = rd.Uvarint("dots")
	}
	m.lamport = start + 1
	if m.flags&flagLamport != 0 {
		m.lamport = *lamport + uint64(rd.Varint("lamport"))
	}
	*lamport = m.lamport + m.count
	if m.flags&flagWall != 0 {
		m.wall = rd.Uvarint("wall time")
	}
	if m.flags&flagExt != 0 {
		m.ext = rd.Bytes("extensions")
	}
	m.objBytes = b.objects
	if rd.Byte("objects") == 0 {
		m.objBytes = rd.Bytes("objects")
	}
	m.opBytes = rd.Rest()
	m.data = m.encode()
	return m
}

func (h *history) readDeps(r *Runtime, rd *Reader, b *historyBlock, place uint64, m *message) {
	one := func() {
		rep := Rep(rd.Uvarint("replica"))
		m.table = append(m.table, repBound{r.replicas[rep], rd.Uvarint("end")})
	}
	switch head := rd.Uvarint("dependencies"); head {
	case depsNone:
	case depsExplicit:
		for range rd.Uvarint("dependencies") {
			one()
		}
	default:
		l := &h.log
		prev := place - uint64(l.at(place).back)
		from := prev - uint64(l.at(prev).unseen)
		s := place - (head-depsPlace)/2
		skip, n := -1, rd.Uvarint("not among them")
		next := func() {
			skip = -1
			if n > 0 {
				skip, n = int(rd.Uvarint("gap")), n-1
			}
		}
		next()
		for i := max(from, l.first); i < s; i++ { // as predict does, which is not for readers that run side by side
			e := l.at(i)
			if e.sender == uint32(b.rep) || e.over != 0 && i+uint64(e.over) < s {
				continue
			}
			if skip == 0 {
				next()
				continue
			}
			skip--
			m.table = append(m.table, repBound{r.replicas[e.sender], e.end})
		}
		for range rd.Uvarint("dependencies") {
			one()
		}
	}
}

// shrink forgets what of the log no entry needs, when it has grown out of proportion. Entries that need the oldest part are
// kept whole from then on: own ones that nobody has acknowledged for long.
func (h *history) shrink(r *Runtime) {
	if len(h.log.entries) <= 2*(h.opts.Messages+placeReach) {
		return
	}
	keep := h.log.size() - uint64(h.opts.Messages) - placeReach
	for _, list := range h.of {
		for _, b := range list {
			if b.need < keep {
				h.whole(r, b)
			}
		}
	}
	h.log.forget(keep)
}

// whole keeps the messages of a block as they are.
func (h *history) whole(r *Runtime, b *historyBlock) {
	var buf []byte
	for m := range b.since(r, 0) {
		buf = appendUvarint(buf, uint64(len(m.data)+2)<<1|1)
		buf = append(append(buf, 0, 0), m.data...)
	}
	h.bytes += len(buf) - len(b.buf)
	b.buf, b.need, b.most = buf, noPlace, b.messages
}
