package providers

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/seed1312cc15/weft/vclock"
)

// What a Keeper stores; docs/protocol.md section 12 is normative. Versions come first; a reader refuses others.
const (
	recordVersion   = 1
	snapshotVersion = 1

	recordUpdate    = 1 << 0 // the body is a delta; else packed messages
	recordRestarted = 1 << 1 // the stream began anew before the messages, with the same places and without tables
	recordEpoch     = 1 << 2 // an epoch follows: the record is the first one of a log
	recordOwners    = 1 << 3 // owners follow: replicas that belong to a principal from here on
)

// record is a Keeper's record: what became durable in one piece.
type record struct {
	flags      byte
	epoch      [8]byte
	number     uint64 // of its first transaction
	ms         int64  // the server's time
	principals []principalRun
	owners     map[vclock.Replica]string
	body       []byte
}

// RecordInfo says what a Keeper's record holds.
type RecordInfo struct {
	Number uint64    // of its first transaction
	Time   time.Time // when it was stored, by the clock of whoever stored it
	// Delta says that it holds transactions as a delta, under one number: some of them came as a state or delta.
	Delta bool
	// Brought lists who brought it, in order: of a delta the updates that it was made of, else each transaction.
	Brought []Brought
}

// Brought is so many updates by one principal.
type Brought struct {
	Principal string // Options.Principal; empty: nobody of whom a name is known
	Updates   uint64
}

// ReadRecord decodes the head of a Keeper's record, StoredRecord.Data. Errors: ErrMalformed, ErrStoredVersion.
func ReadRecord(data []byte) (*RecordInfo, error) {
	r, err := readRecord(data)
	if err != nil {
		return nil, err
	}
	info := &RecordInfo{Number: r.number, Time: time.UnixMilli(r.ms), Delta: r.flags&recordUpdate != 0}
	for _, p := range r.principals {
		info.Brought = append(info.Brought, Brought{p.name, p.count})
	}
	return info, nil
}

// principalRun is who brought so many transactions.
type principalRun struct {
	count uint64
	name  string
}

func (r *record) append(b []byte) []byte {
	b = append(b, recordVersion, r.flags)
	if r.flags&recordEpoch != 0 {
		b = append(b, r.epoch[:]...)
	}
	b = binary.AppendUvarint(b, r.number)
	b = binary.AppendUvarint(b, uint64(max(0, r.ms)))
	b = binary.AppendUvarint(b, uint64(len(r.principals)))
	for _, p := range r.principals {
		b = binary.AppendUvarint(b, p.count)
		b = binary.AppendUvarint(b, uint64(len(p.name)))
		b = append(b, p.name...)
	}
	if r.flags&recordOwners != 0 {
		b = appendOwners(b, r.owners)
	}
	return append(b, r.body...)
}

func appendOwners(b []byte, owners map[vclock.Replica]string) []byte {
	ids := make([]vclock.Replica, 0, len(owners))
	for id := range owners {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, vclock.CompareReplicas)
	b = binary.AppendUvarint(b, uint64(len(ids)))
	for _, id := range ids {
		b = append(b, id[:]...)
		b = binary.AppendUvarint(b, uint64(len(owners[id])))
		b = append(b, owners[id]...)
	}
	return b
}

// storedReader reads what a Keeper stored. After the first fault everything is zero.
type storedReader struct {
	b   []byte
	err error
}

func (r *storedReader) fail(what string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrMalformed, what)
	}
	r.b = nil
}

func (r *storedReader) take(n uint64, what string) []byte {
	if n > uint64(len(r.b)) {
		r.fail(what)
		return nil
	}
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out
}

func (r *storedReader) byte(what string) byte {
	if b := r.take(1, what); b != nil {
		return b[0]
	}
	return 0
}

func (r *storedReader) uvarint(what string) uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail(what)
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *storedReader) version(want byte, what string) {
	if v := r.byte(what); r.err == nil && v != want {
		r.err = fmt.Errorf("%w: %s has version %d; this program reads version %d", ErrStoredVersion, what, v, want)
	}
}

func (r *storedReader) owners() map[vclock.Replica]string {
	owners := make(map[vclock.Replica]string)
	for range r.uvarint("owners") {
		id := r.take(16, "owner")
		name := r.take(r.uvarint("owner"), "owner")
		if r.err != nil {
			break
		}
		owners[vclock.Replica(id)] = string(name)
	}
	return owners
}

func readRecord(data []byte) (r record, err error) {
	rd := storedReader{b: data}
	rd.version(recordVersion, "a record")
	if r.flags = rd.byte("flags"); r.flags > recordUpdate|recordRestarted|recordEpoch|recordOwners {
		rd.fail("flags")
	}
	if r.flags&recordEpoch != 0 {
		copy(r.epoch[:], rd.take(8, "epoch"))
	}
	r.number = rd.uvarint("number")
	r.ms = int64(rd.uvarint("time"))
	for range rd.uvarint("principals") {
		p := principalRun{count: rd.uvarint("principal")}
		if p.name = string(rd.take(rd.uvarint("principal"), "principal")); rd.err != nil {
			break
		}
		r.principals = append(r.principals, p)
	}
	if r.flags&recordOwners != 0 {
		r.owners = rd.owners()
	}
	r.body = rd.b
	return r, rd.err
}

// snapshotHead stands before the state in a Keeper's snapshot: how the log goes on after it.
type snapshotHead struct {
	place  place
	ms     int64
	stream []byte // state of the stream
	owners map[vclock.Replica]string
}

func (h *snapshotHead) append(b []byte) []byte {
	b = append(append(b, snapshotVersion), h.place.epoch[:]...)
	b = binary.AppendUvarint(b, h.place.number)
	b = binary.AppendUvarint(b, uint64(max(0, h.ms)))
	b = binary.BigEndian.AppendUint64(b, h.place.digest)
	b = binary.AppendUvarint(b, uint64(len(h.stream)))
	b = append(b, h.stream...)
	return appendOwners(b, h.owners)
}

// readSnapshot returns the head of a snapshot and the state after it.
func readSnapshot(data []byte) (h snapshotHead, state []byte, err error) {
	rd := storedReader{b: data}
	rd.version(snapshotVersion, "a snapshot")
	copy(h.place.epoch[:], rd.take(8, "epoch"))
	h.place.number = rd.uvarint("number")
	h.ms = int64(rd.uvarint("time"))
	if d := rd.take(8, "digest"); d != nil {
		h.place.digest = binary.BigEndian.Uint64(d)
	}
	h.stream = rd.take(rd.uvarint("stream"), "stream")
	h.owners = rd.owners()
	if rd.err == nil && h.place.number == 0 {
		rd.fail("number")
	}
	return h, rd.b, rd.err
}
