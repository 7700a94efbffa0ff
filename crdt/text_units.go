package crdt

import (
	"fmt"

	"github.com/seed1312cc15/weft/internal/sequence"
	"github.com/seed1312cc15/weft/runtime"
)

// TextView is a Text whose indexes and lengths count another unit. An index inside of a code point is an error that
// wraps ErrInside; a range is whole code points. It is a small value, as a Text is. Cost: a conversion, O(log n), for
// each index; none while the text is ASCII.
type TextView struct {
	text Text
	unit Unit
}

// In returns the text with indexes in unit u: CodePoints, UTF16 or Bytes. It panics if u is none of them.
func (t Text) In(u Unit) TextView {
	if u > Bytes {
		panic(fmt.Sprintf("crdt: Unit(%d) is no unit of a text: use CodePoints, UTF16 or Bytes", uint8(u)))
	}
	return TextView{t, u}
}

// Text returns the text with indexes in code points.
func (v TextView) Text() Text { return v.text }

// Unit returns the unit of the indexes.
func (v TextView) Unit() Unit { return v.unit }

// Len returns the length in the view's unit. Cost: O(1).
func (v TextView) Len(tx runtime.Tx) int { return v.text.read(tx).seq.Len(sequence.Unit(v.unit)) }

// Insert is Text.Insert.
func (v TextView) Insert(tx runtime.Tx, i int, s string) error {
	if err := tx.Writable(v.text.node); err != nil {
		return err
	}
	i, _, err := v.points("Text.Insert", i, 0)
	if err != nil {
		return err
	}
	return v.text.Insert(tx, i, s)
}

// Delete is Text.Delete; n is in the view's unit too.
func (v TextView) Delete(tx runtime.Tx, i, n int) error {
	if err := tx.Writable(v.text.node); err != nil {
		return err
	}
	i, n, err := v.points("Text.Delete", i, n)
	if err != nil {
		return err
	}
	return v.text.Delete(tx, i, n)
}

// Splice is Text.Splice; n is in the view's unit too.
func (v TextView) Splice(tx runtime.Tx, i, n int, s string) error {
	if err := tx.Writable(v.text.node); err != nil {
		return err
	}
	i, n, err := v.points("Text.Splice", i, n)
	if err != nil {
		return err
	}
	return v.text.Splice(tx, i, n, s)
}

// Slice is Text.Slice.
func (v TextView) Slice(tx runtime.Tx, from, to int) (string, error) {
	if err := tx.Err(v.text.node); err != nil {
		return "", err
	}
	i, n, err := v.points("Text.Slice", from, to-from)
	if err != nil {
		return "", err
	}
	return v.text.state().slice(i, i+n)
}

// CursorAt is Text.CursorAt.
func (v TextView) CursorAt(tx runtime.Tx, i int, b Bias) (Cursor, error) {
	if err := tx.Err(v.text.node); err != nil {
		return Cursor{}, err
	}
	i, _, err := v.points("Text.CursorAt", i, 0)
	if err != nil {
		return Cursor{}, err
	}
	return v.text.CursorAt(tx, i, b)
}

// IndexOf is Text.IndexOf; the index is in the view's unit.
func (v TextView) IndexOf(tx runtime.Tx, c Cursor) (int, error) {
	i, err := v.text.IndexOf(tx, c)
	if err != nil {
		return 0, err
	}
	return v.text.state().seq.Convert(i, sequence.CodePoints, sequence.Unit(v.unit))
}

// points converts the range [i, i+n) to code points.
func (v TextView) points(op string, i, n int) (int, int, error) {
	seq, unit := v.text.state().seq, sequence.Unit(v.unit)
	if err := checkRange(op, i, n, seq.Len(unit), v.unit.String()); err != nil {
		return 0, 0, err
	}
	from, err := seq.Convert(i, unit, sequence.CodePoints)
	to := from
	if err == nil && n > 0 {
		i += n
		to, err = seq.Convert(i, unit, sequence.CodePoints)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("%s: %w: index %d in %v", op, ErrInside, i, v.unit)
	}
	return from, to - from, nil
}
