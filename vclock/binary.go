package vclock

import (
	"encoding/binary"
	"slices"
)

// The binary form of a clock of n replicas. It is canonical: a clock has one form, and what DecodeClock
// accepts encodes to the same bytes.
//
//	uvarint          n
//	n × 16 bytes     replicas, strictly ascending in byte order
//	n × uvarint      ends in the order of the replicas, each in [1, 2^53]
//
// Every uvarint (7 bits a byte, least significant first, the high bit on all but the last) has its shortest
// form. testdata/clock.golden shows an example. The form must not change: it is part of others.

// DefaultMaxReplicas bounds the replicas of a decoded clock where the caller states no bound. A clock of so
// many takes about 60 MB in memory, and at least 17 MiB of input.
const DefaultMaxReplicas = 1 << 20

// minEntryLen is the length of the shortest entry: a replica and an end of one byte.
const minEntryLen = 16 + 1

// AppendBinary appends the binary form of c to dst and returns the longer slice. If c is not valid it returns
// dst as it was and an error that wraps ErrInvalid. Cost: O(r log r) time for r replicas; it allocates 24
// bytes a replica to sort them, nothing for up to 16, and the room that dst lacks, once.
func (c Clock) AppendBinary(dst []byte) ([]byte, error) {
	var few [16]entry
	entries := c.sorted(few[:0])
	size := uvarintLen(uint64(len(entries)))
	for _, e := range entries {
		if err := validateEnd(e.replica(), e.end); err != nil {
			return dst, err
		}
		size += 16 + uvarintLen(e.end)
	}
	dst = slices.Grow(dst, size)
	dst = binary.AppendUvarint(dst, uint64(len(entries)))
	for _, e := range entries {
		dst = binary.BigEndian.AppendUint64(dst, e.hi)
		dst = binary.BigEndian.AppendUint64(dst, e.lo)
	}
	for _, e := range entries {
		dst = binary.AppendUvarint(dst, e.end)
	}
	return dst, nil
}

// MarshalBinary returns the binary form of c, or an error that wraps ErrInvalid. See AppendBinary.
func (c Clock) MarshalBinary() ([]byte, error) {
	data, err := c.AppendBinary(nil)
	if err != nil {
		return nil, err
	}
	return data, nil
}

// UnmarshalBinary replaces c by the clock whose binary form is data, all of it, of at most
// DefaultMaxReplicas replicas. On a *DecodeError c is unchanged. It keeps no reference to data.
func (c *Clock) UnmarshalBinary(data []byte) error {
	clock, n, err := DecodeClock(data, 0)
	if err != nil {
		return err
	}
	if n < len(data) {
		return &DecodeError{Offset: n, Field: "trailing", Err: errTrailing}
	}
	*c = clock
	return nil
}

// DecodeClock returns the clock whose binary form data begins with, never nil, and the length of that form.
// More than limit replicas are refused with ErrLimit; a limit of zero or less means DefaultMaxReplicas. What
// is not a clock in canonical form is refused with ErrCorrupt. Both come in a *DecodeError. It keeps no
// reference to data. Cost: O(len); it allocates only after the whole form was found correct, then at most a
// small multiple of its length.
func DecodeClock(data []byte, limit int) (Clock, int, error) {
	if limit <= 0 {
		limit = DefaultMaxReplicas
	}
	count, start, err := readUvarint(data)
	if err != nil {
		return nil, 0, &DecodeError{Offset: 0, Field: "count", Err: err}
	}
	if count > uint64(len(data)-start)/minEntryLen {
		return nil, 0, &DecodeError{Offset: 0, Field: "count", Err: errTruncated}
	}
	if count > uint64(limit) {
		return nil, 0, &DecodeError{Offset: 0, Field: "count", Err: ErrLimit}
	}
	n := int(count)
	ends := start + 16*n
	if err := checkReplicas(data[:ends], start); err != nil {
		return nil, 0, err
	}
	size, err := checkEnds(data, ends, n)
	if err != nil {
		return nil, 0, err
	}
	return fill(data[start:ends], data[ends:size], n), size, nil
}

// checkReplicas returns nil if data, from offset start, is replicas in strictly ascending order.
func checkReplicas(data []byte, start int) error {
	for at := start + 16; at < len(data); at += 16 {
		if CompareReplicas(Replica(data[at-16:at]), Replica(data[at:at+16])) >= 0 {
			return &DecodeError{Offset: at, Field: "replica", Err: errOrder}
		}
	}
	return nil
}

// checkEnds returns the offset after n ends that begin at offset at, if all of them are correct.
func checkEnds(data []byte, at, n int) (int, error) {
	for range n {
		end, size, err := readUvarint(data[at:])
		switch {
		case err != nil:
		case end == 0:
			err = errZero
		case end > maxEnd:
			err = errOverflow
		}
		if err != nil {
			return 0, &DecodeError{Offset: at, Field: "end", Err: err}
		}
		at += size
	}
	return at, nil
}

// fill returns the clock of n replicas and ends, both checked before.
func fill(replicas, ends []byte, n int) Clock {
	c := make(Clock, n)
	for i := range n {
		end, size := binary.Uvarint(ends)
		ends = ends[size:]
		c[Replica(replicas[16*i:16*i+16])] = end
	}
	return c
}
