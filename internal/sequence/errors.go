package sequence

import (
	"errors"
	"fmt"
)

// Errors of arguments and of outside input. Test with errors.Is.
var (
	// ErrFull says that an insert would bring the elements, tombstones included, above 2^31-1, or the content
	// buffer above 4 GiB.
	ErrFull = errors.New("sequence: full")
	// ErrDuplicate says that an inserted dot is already present.
	ErrDuplicate = errors.New("sequence: element is already present")
	// ErrOrigin says that an origin is impossible: a left child of the start of the list, or an element that its
	// own replica wrote before the element it hangs from.
	ErrOrigin = errors.New("sequence: impossible origin")
	// ErrCount says that a number of elements is not positive or does not match the text that came with it.
	ErrCount = errors.New("sequence: count of elements does not match the text")
	// ErrDot says that a seq is 2^53 or more.
	ErrDot = errors.New("sequence: seq out of range")
	// ErrRange says that an index is outside the visible list, or inside a code point.
	ErrRange = errors.New("sequence: index out of range")
	// ErrNotEmpty says that Load met a sequence that has elements.
	ErrNotEmpty = errors.New("sequence: not empty")
	// ErrCorrupt marks bytes that are not in the expected format.
	ErrCorrupt = errors.New("sequence: corrupt")
	// ErrLimit marks bytes that go beyond the given Limits.
	ErrLimit = errors.New("sequence: limit exceeded")
)

// UnknownElementError names a dot that an operation refers to and that is not there.
type UnknownElementError struct {
	ID ID
}

// Error implements error.
func (e *UnknownElementError) Error() string {
	return fmt.Sprintf("sequence: unknown element %d of replica number %d", e.ID.Seq, e.ID.Rep)
}

// RangeError is an index that is outside [0, Len], or, with Inside, one that falls inside a code point. It
// unwraps to ErrRange.
type RangeError struct {
	Index  int
	Len    int // visible length in Unit
	Unit   Unit
	Inside bool
}

// Error implements error.
func (e *RangeError) Error() string {
	if e.Inside {
		return fmt.Sprintf("sequence: index %d (%v) falls inside a code point", e.Index, e.Unit)
	}
	return fmt.Sprintf("sequence: index %d out of range [0, %d] (%v)", e.Index, e.Len, e.Unit)
}

// Unwrap returns ErrRange.
func (e *RangeError) Unwrap() error { return ErrRange }

// DecodeError says where and why bytes are not a state or delta. It unwraps to ErrCorrupt or ErrLimit.
type DecodeError struct {
	Offset int    // byte offset in the input, as near as the format allows
	Field  string // what was being read
	Err    error
}

// Error implements error.
func (e *DecodeError) Error() string {
	return fmt.Sprintf("sequence: %s at byte %d: %v", e.Field, e.Offset, e.Err)
}

// Unwrap returns the cause.
func (e *DecodeError) Unwrap() error { return e.Err }
