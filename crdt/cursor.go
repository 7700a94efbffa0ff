package crdt

import (
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/uuid"

	"github.com/seed1312cc15/weft/internal/sequence"
	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// Bias says to which of its two neighbours a Cursor holds on.
type Bias uint8

// The biases of a cursor.
const (
	// Before holds on to the element before the cursor: what is inserted at the cursor comes after it.
	Before Bias = iota
	// After holds on to the element after the cursor: what is inserted at the cursor comes before it.
	After
)

// String returns the name of the bias.
func (b Bias) String() string {
	if b == After {
		return "after"
	}
	return "before"
}

// Cursor is a position in a text or a list that stays where it is while others edit: between two elements, holding on
// to one of them, or to the start or the end. When that element is deleted, or moved away, the cursor stays at the place
// where it was.
//
// A Cursor is a value: it may be kept, compared with ==, sent to other replicas, and saved as CBOR. It means something in
// every replica that has applied the insert of its element, in this object only. The zero Cursor is the start.
type Cursor struct {
	bias Bias
	dot  vclock.Dot // of the element; zero: the start with Before, the end with After
}

// CursorError says why a cursor cannot be resolved. It unwraps to ErrUnknownCursor.
type CursorError struct {
	// Dot is that of the element to which the cursor holds on.
	Dot vclock.Dot
	// Applied says that the operation with this dot is here: the cursor is one of another list. Else it may be resolved
	// once the clock covers the dot.
	Applied bool
}

// Error implements error.
func (e *CursorError) Error() string {
	if e.Applied {
		return fmt.Sprintf("%v: %v is not an element of this list", ErrUnknownCursor, e.Dot)
	}
	return fmt.Sprintf("%v: %v is not applied yet", ErrUnknownCursor, e.Dot)
}

// Unwrap returns ErrUnknownCursor.
func (e *CursorError) Unwrap() error { return ErrUnknownCursor }

// ErrUnknownCursor says that the element to which a cursor holds on is not there: its insert is not applied yet, or
// the cursor is of another object.
var ErrUnknownCursor = errors.New("crdt: the element of the cursor is not known here")

// Bias returns the bias that the cursor was made with.
func (c Cursor) Bias() Bias { return c.bias }

// Dot returns the dot of the element to which the cursor holds on; false for the start or the end.
func (c Cursor) Dot() (vclock.Dot, bool) { return c.dot, c.dot.Replica != uuid.Nil }

// MarshalCBOR encodes the cursor: [bias] for the start and the end, else [bias, replica, seq].
func (c Cursor) MarshalCBOR() ([]byte, error) {
	if _, ok := c.Dot(); !ok {
		return runtime.EncodeValue([]any{uint8(c.bias)})
	}
	return runtime.EncodeValue([]any{uint8(c.bias), c.dot.Replica[:], c.dot.Seq})
}

// UnmarshalCBOR decodes what MarshalCBOR wrote. It returns an error that wraps runtime.ErrCorrupt for anything else.
func (c *Cursor) UnmarshalCBOR(data []byte) error {
	var parts []cbor.RawMessage
	if err := runtime.DecodeValue(data, &parts); err != nil {
		return fmt.Errorf("%w: cursor: %w", runtime.ErrCorrupt, err)
	}
	var bias uint8
	var rep []byte
	var seq uint64
	fields := []any{&bias, &rep, &seq}
	if len(parts) != 1 && len(parts) != len(fields) {
		return fmt.Errorf("%w: cursor of %d parts", runtime.ErrCorrupt, len(parts))
	}
	for i := range parts {
		if err := runtime.DecodeValue(parts[i], fields[i]); err != nil {
			return fmt.Errorf("%w: cursor: %w", runtime.ErrCorrupt, err)
		}
	}
	if bias > uint8(After) || len(parts) > 1 && (len(rep) != 16 || seq > vclock.MaxSeq || uuid.UUID(rep) == uuid.Nil) {
		return fmt.Errorf("%w: cursor", runtime.ErrCorrupt)
	}
	*c = Cursor{bias: Bias(bias)}
	if len(parts) > 1 {
		c.dot = vclock.Dot{Replica: uuid.UUID(rep), Seq: seq}
	}
	return nil
}

// cursorAt returns the cursor at index i, which is inside of the list.
func cursorAt(rt *runtime.Runtime, seq *sequence.Sequence, i int, b Bias) Cursor {
	c := Cursor{bias: b}
	if b == Before {
		i--
	}
	if id, _, err := seq.IDAt(i); err == nil {
		c.dot = rt.Dot(runtime.LocalDot(id))
	}
	return c
}

// indexOf returns the index of the cursor.
func (c Cursor) indexOf(rt *runtime.Runtime, seq *sequence.Sequence) (int, error) {
	if _, ok := c.Dot(); !ok {
		if c.bias == After {
			return seq.Len(sequence.CodePoints), nil
		}
		return 0, nil
	}
	d, ok := rt.LocalDot(c.dot)
	if !ok {
		return 0, &CursorError{Dot: c.dot}
	}
	lid, ok := seq.LIDOf(sequence.ID(d))
	if !ok {
		return 0, &CursorError{c.dot, rt.Covers(d)}
	}
	i := seq.IndexOf(lid)
	if c.bias == Before && seq.Visible(lid) {
		i++
	}
	return i, nil
}

// CursorAt returns the cursor at index i, which may be the length, or *runtime.RangeError. Cost: O(log n).
func (t Text) CursorAt(tx runtime.Tx, i int, b Bias) (Cursor, error) {
	if err := tx.Err(t.node); err != nil {
		return Cursor{}, err
	}
	st := t.state()
	if err := st.checkRange("Text.CursorAt", i, 0); err != nil {
		return Cursor{}, err
	}
	return cursorAt(t.node.Runtime(), st.seq, i, b), nil
}

// IndexOf returns where the cursor is now, from 0 to the length, or *CursorError. Cost: O(log n).
func (t Text) IndexOf(tx runtime.Tx, c Cursor) (int, error) {
	if err := tx.Err(t.node); err != nil {
		return 0, err
	}
	return c.indexOf(t.node.Runtime(), t.state().seq)
}
