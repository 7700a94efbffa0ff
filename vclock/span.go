package vclock

import "fmt"

// Span names a run of consecutive dots of one replica, from Start up to but not including End.
//
//  1. Start < End: a span is never empty.
//  2. End <= MaxSeq+1.
//
// The zero value is empty, thus not a valid span. Validate checks both.
type Span struct {
	Replica    Replica
	Start, End uint64 // seqs, half-open
}

// Len returns the number of dots in s, at least 1 if s is valid.
func (s Span) Len() uint64 { return s.End - s.Start }

// Contains reports whether d is one of the dots of s.
func (s Span) Contains(d Dot) bool {
	return s.Start <= d.Seq && d.Seq < s.End && s.Replica == d.Replica
}

// String returns "uuid:[start,end)".
func (s Span) String() string {
	return fmt.Sprintf("%s:[%d,%d)", s.Replica, s.Start, s.End)
}

// Validate returns nil if the invariants hold, else an error that wraps ErrInvalid.
func (s Span) Validate() error {
	switch {
	case s.Start >= s.End:
		return fmt.Errorf("%w: empty span %v", ErrInvalid, s)
	case s.End > maxEnd:
		return fmt.Errorf("%w: span %v ends beyond 2^53", ErrInvalid, s)
	}
	return nil
}
