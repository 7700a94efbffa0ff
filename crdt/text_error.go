package crdt

import (
	"errors"
	"fmt"

	"github.com/seed1312cc15/weft/internal/sequence"
	"github.com/seed1312cc15/weft/runtime"
)

// ErrText is what TextError unwraps to.
var ErrText = errors.New("crdt: not valid UTF-8")

// TextError reports text that is not valid UTF-8; a surrogate in it is invalid too. It unwraps to ErrText.
type TextError struct {
	Offset int // bytes from the start of the text to the first bad one
}

// Error implements error.
func (e *TextError) Error() string {
	return fmt.Sprintf("%v: byte %d of the text: clean it with strings.ToValidUTF8", ErrText, e.Offset)
}

// Unwrap returns ErrText.
func (e *TextError) Unwrap() error { return ErrText }

// ErrInside is what an index inside of a code point gives, in UTF-16 units or bytes.
var ErrInside = errors.New("crdt: the index is inside of a code point: take that before or behind it")

// rangeError is the error for the range [i, i+n) of a list of length size.
func rangeError(op string, i, n, size int, unit string) error {
	return &runtime.RangeError{Op: op, Index: i, Len: n, Max: size, Unit: unit}
}

// checkRange returns an error unless [i, i+n) is inside of a list of length size.
func checkRange(op string, i, n, size int, unit string) error {
	if i < 0 || n < 0 || i > size || n > size-i {
		return rangeError(op, i, n, size, unit)
	}
	return nil
}

// opError turns an error of the sequence about an operation from elsewhere into what Apply returns: an operation that
// refers to what is not there, or cannot be, makes no sense on any replica; one that finds no room is a fault here.
func opError(err error) error {
	var unknown *sequence.UnknownElementError
	if errors.As(err, &unknown) || errors.Is(err, sequence.ErrOrigin) || errors.Is(err, sequence.ErrCount) {
		return fmt.Errorf("%w: %w", runtime.ErrInvalidOp, err)
	}
	return err
}
