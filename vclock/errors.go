package vclock

import (
	"errors"
	"fmt"
	"strings"
)

// Errors about bytes and text from outside, found inside a *DecodeError.
var (
	// ErrCorrupt marks input that is not in the expected format. Test with errors.Is.
	ErrCorrupt = errors.New("vclock: corrupt input")
	// ErrLimit marks input that is larger than the caller allows. Test with errors.Is.
	ErrLimit = errors.New("vclock: limit exceeded")
)

// Errors about values in memory.
var (
	// ErrInvalid marks a value that breaks the invariants of its type. Test with errors.Is.
	ErrInvalid = errors.New("vclock: invalid value")
	// ErrGap marks a span that starts after the end of the clock. The error is a *GapError.
	ErrGap = errors.New("vclock: gap")
	// ErrOverlap marks a span that starts before the end of the clock. The error is an *OverlapError.
	ErrOverlap = errors.New("vclock: overlap")
)

// The ways in which input is corrupt. They are values, so that refusing input costs one allocation.
var (
	errTruncated = fmt.Errorf("%w: truncated", ErrCorrupt)
	errOverlong  = fmt.Errorf("%w: integer not in its shortest form", ErrCorrupt)
	errOverflow  = fmt.Errorf("%w: integer too large", ErrCorrupt)
	errOrder     = fmt.Errorf("%w: replicas not strictly ascending", ErrCorrupt)
	errZero      = fmt.Errorf("%w: zero entry", ErrCorrupt)
	errTrailing  = fmt.Errorf("%w: trailing bytes", ErrCorrupt)
	errReplica   = fmt.Errorf("%w: not a lower-case UUID", ErrCorrupt)
	errNumber    = fmt.Errorf("%w: not a plain decimal integer", ErrCorrupt)
	errDuplicate = fmt.Errorf("%w: duplicate replica", ErrCorrupt)
	errSyntax    = fmt.Errorf("%w: malformed", ErrCorrupt)
)

// DecodeError says where input was refused and why. Nothing was changed.
type DecodeError struct {
	Offset int    // bytes from the start of the input to the refused part
	Field  string // "count", "replica", "end", "seq", "object" or "trailing"
	Err    error  // wraps ErrCorrupt or ErrLimit
}

// Error returns the place and the reason in one line.
func (e *DecodeError) Error() string {
	return fmt.Sprintf("vclock: %s at byte %d: %s", e.Field, e.Offset, strings.TrimPrefix(e.Err.Error(), "vclock: "))
}

// Unwrap returns Err, which wraps ErrCorrupt or ErrLimit.
func (e *DecodeError) Unwrap() error { return e.Err }

// GapError says that Span starts after the dots that the clock has; those between are missing.
type GapError struct {
	Have uint64 // the clock's exclusive end for Span.Replica
	Span Span   // the refused span, Start > Have
}

// Missing returns the span that has to come first.
func (e *GapError) Missing() Span {
	return Span{Replica: e.Span.Replica, Start: e.Have, End: e.Span.Start}
}

// Error returns the span and what is missing before it in one line.
func (e *GapError) Error() string {
	return fmt.Sprintf("vclock: gap: span %v needs %v first", e.Span, e.Missing())
}

// Unwrap returns ErrGap.
func (e *GapError) Unwrap() error { return ErrGap }

// OverlapError says that the clock has some or all dots of Span.
type OverlapError struct {
	Have uint64 // the clock's exclusive end for Span.Replica
	Span Span   // the refused span, Start < Have
}

// Covered reports whether the clock has every dot of the span, which is then a plain repetition.
func (e *OverlapError) Covered() bool { return e.Span.End <= e.Have }

// Error returns the span and the clock's end in one line.
func (e *OverlapError) Error() string {
	return fmt.Sprintf("vclock: overlap: span %v starts before the clock's end %d", e.Span, e.Have)
}

// Unwrap returns ErrOverlap.
func (e *OverlapError) Unwrap() error { return ErrOverlap }
