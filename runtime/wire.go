package runtime

import (
	"encoding/binary"
	"math/bits"

	"github.com/seed1312cc15/weft/vclock"
)

// Rep is the index of a replica in the table of one Runtime. It is stable while that Runtime lives and means nothing
// outside of it.
type Rep = uint32

// LocalDot is a dot with its replica as an index in the table of one Runtime.
type LocalDot struct {
	Rep Rep
	Seq uint64
}

// Stamp orders concurrent writes: the winner everywhere is the greatest (Lamport, replica, seq); see
// [Runtime.CompareStamps].
type Stamp struct {
	Lamport uint64
	Dot     LocalDot
}

// maxEnd bounds exclusive ends of seqs and Lamport timestamps.
const maxEnd = vclock.MaxSeq + 1

// appendUvarint appends v, least significant group first, seven bits a byte (LEB128), minimal.
func appendUvarint(b []byte, v uint64) []byte {
	if v < 0x80 {
		return append(b, byte(v))
	}
	return binary.AppendUvarint(b, v)
}

func zigzag(v int64) uint64   { return uint64(v)<<1 ^ uint64(v>>63) }
func unzigzag(v uint64) int64 { return int64(v>>1) ^ -int64(v&1) }

// Reader reads a packed payload front to back. The first failure sticks: later reads return zero values and Err tells
// what went wrong and where, so that a caller checks once, before it changes anything.
//
// A Reader is for one goroutine and keeps a reference to its input.
type Reader struct {
	buf    []byte
	off    int
	base   int // offset of buf in the packed content, for errors
	format string
	err    error

	reps []Rep    // table of the message or object; index 0 of a message is its sender
	ends []uint64 // parallel to reps: dots from here on were not known to the writer and may not be named
	self uint64   // messages: first seq of the operation; own dots are coded as distances from it
	own  bool     // whether index 0 is coded as a distance
}

// Err returns the first failure, a *DecodeError, or nil.
func (r *Reader) Err() error { return r.err }

// Fail records a failure at the current place, unless one is recorded already.
func (r *Reader) Fail(field string, err error) {
	if r.err == nil {
		r.err = &DecodeError{Format: r.format, Offset: r.base + r.off, Field: field, Err: err}
	}
	r.off = len(r.buf)
}

// Len returns the number of bytes that are left.
func (r *Reader) Len() int { return len(r.buf) - r.off }

// Done fails unless everything has been read, and returns Err.
func (r *Reader) Done() error {
	if r.err == nil && r.off != len(r.buf) {
		r.Fail("end", ErrCorrupt)
	}
	return r.err
}

// Byte reads one byte.
func (r *Reader) Byte(field string) byte {
	if r.off >= len(r.buf) {
		r.Fail(field, ErrCorrupt)
		return 0
	}
	b := r.buf[r.off]
	r.off++
	return b
}

// Uvarint reads an unsigned integer in minimal LEB128.
func (r *Reader) Uvarint(field string) uint64 {
	if r.off < len(r.buf) {
		if b := r.buf[r.off]; b < 0x80 {
			r.off++
			return uint64(b)
		}
	}
	v, n := binary.Uvarint(r.buf[r.off:])
	if n <= 0 || (n > 1 && r.buf[r.off+n-1] == 0) {
		r.Fail(field, ErrCorrupt)
		return 0
	}
	r.off += n
	return v
}

// Varint reads a signed integer, zigzag coded.
func (r *Reader) Varint(field string) int64 { return unzigzag(r.Uvarint(field)) }

// Count reads a number of items that each take at least min bytes of what follows, so that no allocation can be
// driven by a declared count. min 0 means that the items may take no bytes; the caller then bounds the count itself.
func (r *Reader) Count(field string, min int) int {
	n := r.Uvarint(field)
	if min > 0 && n > uint64(r.Len()/min) || n > 1<<31-1 {
		r.Fail(field, ErrCorrupt)
		return 0
	}
	return int(n)
}

// Bytes reads a length and that many bytes, which alias the input.
func (r *Reader) Bytes(field string) []byte {
	n := r.Count(field, 1)
	return r.Take(field, n)
}

// Take reads n bytes, which alias the input.
func (r *Reader) Take(field string, n int) []byte {
	if n < 0 || n > r.Len() {
		r.Fail(field, ErrCorrupt)
		return nil
	}
	b := r.buf[r.off : r.off+n : r.off+n]
	r.off += n
	return b
}

// Rest reads all that is left.
func (r *Reader) Rest() []byte { return r.Take("rest", r.Len()) }

// Rep reads the number of a replica in the table of this message or object.
func (r *Reader) Rep(field string) Rep {
	i := r.Uvarint(field)
	if i >= uint64(len(r.reps)) {
		r.Fail(field, ErrCorrupt)
		return 0
	}
	return r.reps[i]
}

// RepAt returns the replica with number i in the table of this message or object.
func (r *Reader) RepAt(i int) (Rep, bool) {
	if i < 0 || i >= len(r.reps) {
		return 0, false
	}
	return r.reps[i], true
}

// Dot reads a dot as OpWriter.Dot or StateWriter.Dot wrote it.
func (r *Reader) Dot(field string) LocalDot {
	i := r.Uvarint(field)
	v := r.Uvarint(field)
	if i >= uint64(len(r.reps)) {
		r.Fail(field, ErrCorrupt)
		return LocalDot{}
	}
	if i == 0 && r.own {
		if v > r.self {
			r.Fail(field, ErrCorrupt)
			return LocalDot{}
		}
		v = r.self - v
	} else if v >= r.ends[i] {
		// What the writer cannot have known would exist on some replicas and not yet on others.
		r.Fail(field, ErrCorrupt)
		return LocalDot{}
	}
	return LocalDot{r.reps[i], v}
}

// Stamp reads what StateWriter.Stamp wrote.
func (r *Reader) Stamp(field string) Stamp {
	d := r.Dot(field)
	l := r.Varint(field) + int64(d.Seq) + 1
	if l < 1 || l >= maxEnd {
		r.Fail(field, ErrCorrupt)
		return Stamp{}
	}
	return Stamp{uint64(l), d}
}

// uvarintLen returns the number of bytes that appendUvarint appends.
func uvarintLen(v uint64) int { return (bits.Len64(v|1) + 6) / 7 }
