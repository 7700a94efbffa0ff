package vclock

import (
	"cmp"
	"encoding/binary"
	"strconv"

	"github.com/google/uuid"
)

// MaxSeq is the greatest seq of a dot. Seqs, and Lamport timestamps, stay below 2^53 so that they are exact
// where numbers are IEEE doubles. An exclusive end may be MaxSeq+1.
const MaxSeq = 1<<53 - 1

// maxEnd is the greatest exclusive end.
const maxEnd = MaxSeq + 1

// uuidLen is the length of a replica in text.
const uuidLen = 36

// Replica identifies one in-memory copy of a document. Only that copy writes under it. Replicas are ordered
// by their bytes, see CompareReplicas.
type Replica = uuid.UUID

// CompareReplicas returns -1, 0 or +1 as a stands before, at or after b in byte order. It is bytes.Compare
// in two integer comparisons, and allocates nothing.
func CompareReplicas(a, b Replica) int {
	if c := cmp.Compare(binary.BigEndian.Uint64(a[:8]), binary.BigEndian.Uint64(b[:8])); c != 0 {
		return c
	}
	return cmp.Compare(binary.BigEndian.Uint64(a[8:]), binary.BigEndian.Uint64(b[8:]))
}

// Dot names one operation for ever: number Seq, counted from 0, of Replica. The zero value is the first
// operation of the nil UUID, so it is no marker for "none". Dots are comparable and may be map keys.
type Dot struct {
	Replica Replica
	Seq     uint64 // in [0, MaxSeq]
}

// Compare returns -1, 0 or +1 as d stands before, at or after e: by replica, then by seq. This order is
// total and says nothing about causality.
func (d Dot) Compare(e Dot) int {
	if c := CompareReplicas(d.Replica, e.Replica); c != 0 {
		return c
	}
	return cmp.Compare(d.Seq, e.Seq)
}

// String returns "uuid:seq", which ParseDot reads.
func (d Dot) String() string {
	return d.Replica.String() + ":" + strconv.FormatUint(d.Seq, 10)
}

// ParseDot returns the dot that String wrote as s. It accepts that form only: a lower-case UUID with dashes
// and a decimal seq without leading zeros, at most MaxSeq. Else it returns a *DecodeError.
func ParseDot(s string) (Dot, error) {
	if len(s) <= uuidLen || s[uuidLen] != ':' {
		return Dot{}, &DecodeError{Offset: 0, Field: "replica", Err: errReplica}
	}
	r, err := parseReplica(s[:uuidLen])
	if err != nil {
		return Dot{}, &DecodeError{Offset: 0, Field: "replica", Err: err}
	}
	seq, err := parseNumber(s[uuidLen+1:], MaxSeq)
	if err != nil {
		return Dot{}, &DecodeError{Offset: uuidLen + 1, Field: "seq", Err: err}
	}
	return Dot{Replica: r, Seq: seq}, nil
}

// parseReplica returns the replica that has exactly the text s. uuid.Parse takes several forms, this one.
func parseReplica(s string) (Replica, error) {
	r, err := uuid.Parse(s)
	if err != nil || r.String() != s {
		return Replica{}, errReplica
	}
	return r, nil
}

// parseNumber returns the integer, at most limit, whose shortest decimal form is s.
func parseNumber(s string, limit uint64) (uint64, error) {
	if s == "" || len(s) > 1 && s[0] == '0' {
		return 0, errNumber
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, errNumber
		}
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n > limit {
		return 0, errOverflow
	}
	return n, nil
}
