package runtime

import (
	"github.com/google/uuid"
)

// A stream can be joined in its middle, and taken up again, by what its Packer knows: IDs, object tables, what comes next
// of each sender, and the log.
//
//	n | n × ID | n × (start | timestamp) | t | t × bytes | first place | e | e × entry
//	entry: sender | end | timestamp | entries forward to the first that comes after it, or 0 | places back that it had not seen
//
// Ends and timestamps of entries are told by how far they lie before what comes next of the sender.

// AppendState appends what an Unpacker needs to go on where this Packer stands (see Unpacker.Restore). Cost: O(what the
// Packer knows), which Restart bounds.
func (p *Packer) AppendState(dst []byte) []byte {
	dst = appendUvarint(dst, uint64(len(p.senders)))
	for _, id := range p.senders {
		dst = append(dst, id[:]...)
	}
	for _, e := range p.next {
		dst = appendUvarint(appendUvarint(dst, e.start), e.lamport)
	}
	dst = appendUvarint(dst, uint64(len(p.tables)))
	for _, t := range p.tables {
		dst = append(appendUvarint(dst, uint64(len(t))), t...)
	}
	l := &p.log
	dst = appendUvarint(appendUvarint(dst, l.first), uint64(len(l.entries)))
	for i := range l.entries {
		e := &l.entries[i]
		dst = appendUvarint(dst, uint64(e.sender))
		dst = appendUvarint(dst, zigzag(int64(p.next[e.sender].start-e.end)))
		dst = appendUvarint(dst, zigzag(int64(p.next[e.sender].lamport-e.lamport)))
		dst = appendUvarint(appendUvarint(dst, uint64(e.over)), uint64(e.unseen))
	}
	return dst
}

// Weight returns what the Packer's tables hold: how many replica IDs, and how many bytes of object tables.
func (p *Packer) Weight() (ids, objects int) {
	for t := range p.objects {
		objects += len(t)
	}
	return len(p.ids), objects
}

// Restart forgets the tables and keeps the places: the log's last entries, whose senders are numbered anew. Unpackers go
// on with the state after it.
func (p *Packer) Restart() {
	ids, next, log := p.senders, p.next, p.log
	if n := len(log.entries); n > streamWindow/2 {
		log.forget(log.first + uint64(n-streamWindow/2))
	}
	p.ids, p.objects = make(map[uuid.UUID]uint32), make(map[string]uint64)
	p.senders, p.tables, p.next, log.last = nil, nil, nil, nil
	for i := range log.entries {
		e := &log.entries[i]
		n, fresh := p.number(ids[e.sender])
		if fresh {
			p.next[n] = next[e.sender]
			log.last = append(log.last, 0)
		}
		e.sender = n
		log.last[n] = log.first + uint64(i) + 1
	}
	p.log = log
}

// Restore makes an Unpacker go on where a Packer's AppendState was called. Split has to be as it was. Errors: *DecodeError; the
// Unpacker is as new then.
func (u *Unpacker) Restore(state []byte) error {
	split, follow := u.Split, u.follow
	*u = Unpacker{Split: split}
	rd := Reader{buf: state, format: "stream state"}
	if err := u.restore(&rd); err != nil {
		*u = Unpacker{Split: split}
		return err
	}
	if follow != nil {
		u.Follow(follow)
	}
	return nil
}

func (u *Unpacker) restore(rd *Reader) error {
	n := rd.Count("replicas", 18)
	if n > MaxTables {
		rd.Fail("replicas", ErrCorrupt)
	}
	for range n {
		var id uuid.UUID
		copy(id[:], rd.Take("replica", 16))
		u.ids = append(u.ids, id)
	}
	for range n {
		u.next = append(u.next, expected{rd.Uvarint("start"), rd.Uvarint("timestamp")})
	}
	for range rd.Count("object tables", 1) {
		t := rd.Bytes("object table")
		if u.tableBytes += len(t); u.tableBytes > MaxTableBytes || len(u.objects) == MaxTables {
			rd.Fail("object table", ErrCorrupt)
		}
		if rd.err != nil {
			return rd.err
		}
		u.objects = append(u.objects, append([]byte(nil), t...))
	}
	l := &u.log
	l.split, l.last = u.Split, make([]uint64, len(u.ids))
	if l.first = rd.Uvarint("first place"); l.first > maxEnd {
		rd.Fail("first place", ErrCorrupt)
	}
	entries := rd.Count("entries", 5)
	if entries >= 2*streamWindow {
		rd.Fail("entries", ErrCorrupt)
	}
	for i := 0; i < entries && rd.err == nil; i++ {
		sender := rd.Uvarint("sender")
		if sender >= uint64(len(u.ids)) {
			rd.Fail("sender", ErrCorrupt)
			break
		}
		next, place := u.next[sender], l.size()
		e := streamEntry{sender: uint32(sender)}
		e.end, e.lamport = next.start-uint64(rd.Varint("end")), next.lamport-uint64(rd.Varint("timestamp"))
		over, unseen := rd.Uvarint("successor"), rd.Uvarint("unseen")
		if over > uint64(entries-i) || unseen > place {
			rd.Fail("entry", ErrCorrupt)
		}
		e.over, e.unseen = uint32(over), uint32(min(unseen, 1<<32-1))
		if prev, ok := l.lastOf(e.sender); ok {
			e.back = uint32(place - prev)
		}
		l.last[sender] = place + 1
		l.entries = append(l.entries, e)
	}
	if rd.Len() != 0 {
		rd.Fail("end", ErrCorrupt)
	}
	return rd.err
}

// Packer returns one that goes on where this Unpacker stands. They share nothing. A stream that no Packer wrote may have told an ID
// or a table twice: each place keeps what it was told, and the last one is used.
func (u *Unpacker) Packer() *Packer {
	p := &Packer{Split: u.Split, ids: make(map[uuid.UUID]uint32), objects: make(map[string]uint64), log: u.log}
	p.log.split = u.Split
	p.log.entries = append([]streamEntry(nil), u.log.entries...)
	p.log.last = append([]uint64(nil), u.log.last...)
	p.log.heads = nil
	p.next = append(p.next, u.next...)
	for i, id := range u.ids {
		p.ids[id] = uint32(i)
		p.senders = append(p.senders, id)
	}
	for i, t := range u.objects {
		p.tables = append(p.tables, string(t))
		p.objects[p.tables[i]] = uint64(i)
	}
	return p
}
