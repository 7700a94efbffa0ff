package crdt

import (
	"errors"
	"fmt"

	"github.com/seed1312cc15/weft/runtime"
)

// Edits and reads.
var (
	// ErrOverflow is returned where a counter's value, or what one replica added to it, is not an int64.
	ErrOverflow = errors.New("crdt: the counter would be out of the range of int64: add less, add of the other sign, or Reset it")
	// ErrType marks a stored value that does not decode to the Go type of the handle; see TypeError.
	ErrType = errors.New("crdt: the stored value is of another type")
	// ErrValue marks a Go value that cannot be stored.
	ErrValue = errors.New("crdt: the value cannot be stored")
)

// TypeError reports a stored value, or key, that does not decode to the type of the handle it is read through: somebody
// wrote it through a handle of another type. It unwraps to ErrType and to the decoder's error.
type TypeError struct {
	Object string // what was read, for people
	Key    string // maps: the key, as in JSON; else empty
	Stored string // what is there: "integer", "text string", "map", ...
	Want   string // the Go type
	Err    error  // of the decoder
}

// Error implements error.
func (e *TypeError) Error() string {
	at := ""
	if e.Key != "" {
		at = fmt.Sprintf(", key %q", e.Key)
	}
	return fmt.Sprintf("crdt: %s%s: the stored %s is not a Go %s: %v", e.Object, at, e.Stored, e.Want, e.Err)
}

// Unwrap returns ErrType and the decoder's error.
func (e *TypeError) Unwrap() []error { return []error{ErrType, e.Err} }

func invalidOp(what string) error { return fmt.Errorf("%w: %s", runtime.ErrInvalidOp, what) }

func newerOp(kind string, code byte) error {
	return fmt.Errorf("%w: %s operation %d", runtime.ErrNewerOp, kind, code)
}
