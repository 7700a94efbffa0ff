package runtime

import (
	"errors"
	"slices"

	"github.com/google/uuid"
)

// bundleReader reads the messages of a bundle as parse would have left them. The bytes of a message are made only for those
// who ask for them, and few do. The bundle is read twice, first to test all of it: so nothing is kept of a message.
type bundleReader struct {
	u      Unpacker
	lim    *Limits
	odd    []int  // messages that are tested, and read, in full
	reps   []Rep  // by number: the replica here, noRep if it was not known when it was last looked for
	parsed uint32 // 1 + the number of the object table that u.msg has parsed; 0: none
}

// test tests n packed messages, which are all of data, from offset at of the bundle on, and what they would be in full: no more than Limits.DecodedBytes, since
// sharing tables must not be a way to blow up.
func (b *bundleReader) test(data []byte, at, n int) (err error) {
	b.begin()
	rest := data
	budget := b.lim.DecodedBytes
	for i := range n {
		if rest, err = b.u.read(rest); err != nil {
			return err
		}
		m := &b.u.msg
		size := m.contentLen()
		size += bstrHeaderLen(size)
		if !b.usual(size) {
			var full message
			if err := full.parse(m.encode(), b.lim); err != nil {
				return err
			}
			b.odd = append(b.odd, i)
		}
		if budget -= size; budget < 0 {
			return &LimitError{"DecodedBytes", uint64(b.lim.DecodedBytes) + 1, uint64(b.lim.DecodedBytes)}
		}
	}
	if len(rest) != 0 {
		return &DecodeError{Format: "bundle", Offset: at + len(data) - len(rest), Field: "end", Err: ErrCorrupt}
	}
	return nil
}

// begin makes the Unpacker a new one, which uses the memory of the last.
func (b *bundleReader) begin() {
	u := &b.u
	b.u = Unpacker{ids: u.ids[:0], objects: u.objects[:0], next: u.next[:0], msg: u.msg, numbered: u.numbered, deps: u.deps}
	b.u.log.entries, b.u.log.last = u.log.entries[:0], u.log.last[:0]
	b.parsed = 0
}

// each yields the n messages of data, which were tested, until yield returns an error. Their replicas are those of r.
func (b *bundleReader) each(r *Runtime, data []byte, n int, yield func(*message) error) error {
	b.begin()
	odd := b.odd
	for i := range n {
		rest, err := b.u.read(data)
		if err != nil {
			return err
		}
		data = rest
		m := &b.u.msg
		if len(odd) > 0 && odd[0] == i {
			odd = odd[1:]
			m = &message{}
			err = m.parse(b.u.msg.encode(), b.lim)
		} else {
			err = b.complete(r)
		}
		if err == nil {
			err = yield(m)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// complete sets what parse would find in the objects and operations of u.msg, and its replicas.
func (b *bundleReader) complete(r *Runtime) error {
	m := &b.u.msg
	if !b.objects() {
		return errors.New("runtime: a bundle changed while it was read")
	}
	m.ops, m.opsAt = 1, m.headLen()
	if m.flags&flagMulti != 0 {
		rd := Reader{buf: m.opBytes}
		m.ops = int(rd.Uvarint("operations"))
	}
	m.reps = append(m.reps[:0], b.rep(r, b.u.last))
	for _, number := range b.u.numbered {
		m.reps = append(m.reps, b.rep(r, number))
	}
	return nil
}

// rep returns the replica of a number.
func (b *bundleReader) rep(r *Runtime, number uint32) Rep {
	if k := int(number) + 1 - len(b.reps); k > 0 {
		b.reps = append(b.reps, slices.Repeat([]Rep{noRep}, k)...)
	}
	if b.reps[number] == noRep {
		if rep, ok := r.repOf[b.u.ids[number]]; ok {
			b.reps[number] = rep
		}
	}
	return b.reps[number]
}

// usual reports whether parse would accept u.msg, which takes size bytes, and would find in it what its fields say. It may
// say false of what is nevertheless right.
func (b *bundleReader) usual(size int) bool {
	m, lim := &b.u.msg, b.lim
	switch {
	case size > lim.MessageBytes || m.flags&flagFeatures != 0 || m.sender == uuid.Nil,
		m.start >= maxEnd || m.count > maxEnd-m.start || m.count > uint64(lim.MessageDots),
		m.flags&flagCount != 0 && m.count < 2,
		m.lamport == 0 || m.lamport > maxEnd-m.count,
		m.flags&flagLamport != 0 && m.lamport == m.start+1,
		m.flags&flagDocument != 0 && m.document == uuid.Nil,
		m.flags&flagTable != 0 && (len(m.table) == 0 || len(m.table) >= lim.Replicas):
		return false
	}
	for i := range m.table {
		e := &m.table[i]
		if e.end == 0 || e.end > maxEnd || e.id == m.sender || e.id == uuid.Nil || i > 0 && i < m.deps && string(m.table[i-1].id[:]) >= string(e.id[:]) {
			return false
		}
	}
	if !distinct(m.table) || !b.objects() {
		return false
	}
	if m.flags&flagMulti != 0 {
		rd := Reader{buf: m.opBytes, format: "message"}
		m.parseFrames(&rd, lim)
		return rd.err == nil
	}
	return true
}

// objects makes u.msg.objects those of its table, which it parses if others stand there. It reports whether that is a table
// for this message.
func (b *bundleReader) objects() bool {
	m := &b.u.msg
	if b.parsed == b.u.objTable+1 {
		return true
	}
	b.parsed = 0
	rd := Reader{buf: m.objBytes, format: "message"}
	if m.parseObjects(&rd, b.lim); rd.err != nil || rd.Len() > 0 {
		return false
	}
	for i := range m.objects {
		if m.object(i).class == classDot {
			return true // for this message; another may not name that dot
		}
	}
	b.parsed = b.u.objTable + 1
	return true
}
