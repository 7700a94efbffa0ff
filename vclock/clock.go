package vclock

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"iter"
	"maps"
	"math"
	"slices"
	"strconv"
)

// Clock maps each replica to the number of its dots applied; Clock{A: 3} holds A's dots 0, 1, 2.
//
//  1. No entry is zero: an absent replica and zero mean the same.
//  2. No entry is greater than MaxSeq+1.
//  3. Encodings list replicas in strictly ascending byte order, so equal clocks have equal bytes.
//
// The zero value, nil, is the empty clock: it can be read, compared and encoded, but like any nil map not
// written; write to Clock{} or to a Clone. A Clock is safe for concurrent readers, not for a writer beside
// others. Validate checks 1 and 2, and every method relies on them. Methods keep no reference to their
// arguments, and results share no memory with them.
type Clock map[Replica]uint64

// Get returns the number of dots of r in c, which is the seq of the first that c lacks. Zero: none.
func (c Clock) Get(r Replica) uint64 { return c[r] }

// Covers reports whether c holds d.
func (c Clock) Covers(d Dot) bool { return d.Seq < c[d.Replica] }

// CoversSpan reports whether c holds every dot of s.
func (c Clock) CoversSpan(s Span) bool { return s.End <= c[s.Replica] }

// CoversClock reports whether c holds every dot of other. Cost: O(r) for the r replicas of other.
func (c Clock) CoversClock(other Clock) bool {
	if len(other) > len(c) {
		return false
	}
	for r, end := range other {
		if c[r] < end {
			return false
		}
	}
	return true
}

// Compare returns how c stands to other: Before means that other holds all that c holds, and more.
// Cost: O(r) for the r replicas of c, no allocation.
func (c Clock) Compare(other Clock) Ordering {
	less, more := len(other) > len(c), len(other) < len(c)
	shared := 0
	for r, end := range c {
		theirs := other[r]
		if theirs > 0 {
			shared++
		}
		less = less || end < theirs
		more = more || end > theirs
		if less && more {
			return Concurrent
		}
	}
	return ordering(less || shared < len(other), more)
}

// Equal reports whether c and other hold the same dots. A nil and an empty clock are equal.
func (c Clock) Equal(other Clock) bool { return maps.Equal(c, other) }

// Sum returns the number of dots in c, or math.MaxUint64 if there are more.
func (c Clock) Sum() uint64 {
	var sum uint64
	for _, end := range c {
		if sum+end < sum {
			return math.MaxUint64
		}
		sum += end
	}
	return sum
}

// Sorted returns an iterator over the entries of c, replicas ascending. The entries are those at the time
// when the loop starts; the loop may write to c. Cost: O(r log r) time, one allocation of 24 bytes a replica.
func (c Clock) Sorted() iter.Seq2[Replica, uint64] {
	return func(yield func(Replica, uint64) bool) {
		for _, e := range c.sorted(nil) {
			if !yield(e.replica(), e.end) {
				return
			}
		}
	}
}

// String returns the entries in ascending order, as in "{uuid:3 uuid:1}".
func (c Clock) String() string {
	b := []byte{'{'}
	for r, end := range c.Sorted() {
		if len(b) > 1 {
			b = append(b, ' ')
		}
		b = append(b, r.String()...)
		b = append(b, ':')
		b = strconv.AppendUint(b, end, 10)
	}
	return string(append(b, '}'))
}

// Validate returns nil if invariants 1 and 2 hold, else an error that wraps ErrInvalid.
func (c Clock) Validate() error {
	for r, end := range c {
		if err := validateEnd(r, end); err != nil {
			return err
		}
	}
	return nil
}

// Clone returns a copy of c that can be written, also if c is nil.
func (c Clock) Clone() Clock {
	if c == nil {
		return Clock{}
	}
	return maps.Clone(c)
}

// Merge adds the dots of other to c: the join of both, in place. It panics if c is nil and other is not
// empty. Cost: O(r) for the r replicas of other.
func (c Clock) Merge(other Clock) {
	for r, end := range other {
		if end > c[r] {
			c[r] = end
		}
	}
}

// Min returns a new clock of the dots that c and other both hold: their meet. Cost: O(r) for the r replicas
// of the smaller.
func (c Clock) Min(other Clock) Clock {
	if len(other) < len(c) {
		c, other = other, c
	}
	both := Clock{}
	for r, end := range c {
		if end = min(end, other[r]); end > 0 {
			both[r] = end
		}
	}
	return both
}

// Diff returns the spans of the dots that c holds and other lacks, sorted by replica, then Start; nil if
// there are none. At most one span is of one replica. Cost: O(r) for the r replicas of c, and sorting the
// result.
func (c Clock) Diff(other Clock) []Span {
	var spans []Span
	if n := len(c) - len(other); n > 0 { // at least so many replicas are in c alone
		spans = make([]Span, 0, n)
	}
	for r, end := range c {
		if start := other[r]; start < end {
			spans = append(spans, Span{Replica: r, Start: start, End: end})
		}
	}
	slices.SortFunc(spans, func(a, b Span) int { return CompareReplicas(a.Replica, b.Replica) })
	return spans
}

// Add adds the dots of s to c. A span must start where c ends for its replica: if it starts later, Add
// returns a *GapError, if earlier an *OverlapError, if it is not valid an error that wraps ErrInvalid; c is
// then unchanged. It panics if c is nil.
func (c Clock) Add(s Span) error {
	if err := s.Validate(); err != nil {
		return err
	}
	switch have := c[s.Replica]; {
	case s.Start > have:
		return &GapError{Have: have, Span: s}
	case s.Start < have:
		return &OverlapError{Have: have, Span: s}
	}
	c[s.Replica] = s.End
	return nil
}

// Set makes end the number of dots of r in c, lower or higher than before; zero removes the entry. It panics
// if end is greater than MaxSeq+1, which a caller checks where the number comes from outside, or if c is nil
// and end is not zero.
func (c Clock) Set(r Replica, end uint64) {
	if end == 0 {
		delete(c, r)
		return
	}
	if err := validateEnd(r, end); err != nil {
		panic(err)
	}
	c[r] = end
}

// validateEnd returns nil if end may stand in a clock, else an error that wraps ErrInvalid.
func validateEnd(r Replica, end uint64) error {
	switch {
	case end == 0:
		return fmt.Errorf("%w: zero entry for replica %v", ErrInvalid, r)
	case end > maxEnd:
		return fmt.Errorf("%w: entry %d beyond 2^53 for replica %v", ErrInvalid, end, r)
	}
	return nil
}

// entry is one entry of a clock. The replica is kept as two integers, which sort faster than its bytes.
type entry struct{ hi, lo, end uint64 }

// compare orders entries by replica.
func (e entry) compare(f entry) int {
	if c := cmp.Compare(e.hi, f.hi); c != 0 {
		return c
	}
	return cmp.Compare(e.lo, f.lo)
}

// replica returns the replica of e.
func (e entry) replica() (r Replica) {
	binary.BigEndian.PutUint64(r[:8], e.hi)
	binary.BigEndian.PutUint64(r[8:], e.lo)
	return r
}

// sorted appends the entries of c to buf, which is empty, in ascending order of replicas.
func (c Clock) sorted(buf []entry) []entry {
	buf = slices.Grow(buf, len(c))
	for r, end := range c {
		buf = append(buf, entry{binary.BigEndian.Uint64(r[:8]), binary.BigEndian.Uint64(r[8:]), end})
	}
	slices.SortFunc(buf, entry.compare)
	return buf
}
