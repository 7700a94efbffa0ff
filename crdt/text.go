package crdt

import (
	"iter"
	"strings"
	"unicode/utf8"

	"github.com/seed1312cc15/weft/internal/sequence"
	"github.com/seed1312cc15/weft/runtime"
)

// Text is a handle of a text that many edit at once: a sequence of Unicode code points in Fugue order (Weidner, Gentle,
// Kleppmann, arXiv:2305.00583), so that what two people type at one place is not interleaved.
//
//   - Concurrent inserts at one place stand side by side, each in one piece, in the order of replica IDs.
//   - A deleted code point stays deleted whatever others do. An insert beside it, or inside a range that is deleted
//     concurrently, stays.
//   - What is not valid UTF-8 is an error (ErrText), and with it lone surrogates; nothing is normalised.
//   - Indexes count code points; In gives the same methods in UTF-16 units or bytes.
//
// Cost: an edit near the last one O(1), elsewhere O(log n). A typed character takes some 30 bytes as a message, a byte or
// two in a saved state; a deleted one keeps its dot as a tombstone, run-length coded, but not its content. At most
// 2^31-1 elements, tombstones included.
//
// The zero Text is not bound to a document: it is filled by weft.Open, or made by NewText. A Text is a small value to be
// copied freely; who may use it when is said at runtime.Tx.
type Text struct{ node *runtime.Node }

// NewText returns the text that is the root with this name. See runtime.Runtime.Root for its errors.
func NewText(rt *runtime.Runtime, name string) (Text, error) {
	n, err := rt.Root(name, "text")
	return Text{n}, err
}

// Kind returns "text".
func (Text) Kind() string { return "text" }

// Bind makes the handle one of the object n, which must be of this kind.
func (t *Text) Bind(n *runtime.Node) { t.node = n }

// Node returns the object's place in the document.
func (t Text) Node() *runtime.Node { return t.node }

// Unit is the unit of an index into a text.
type Unit uint8

// The units of an index.
const (
	CodePoints Unit = Unit(sequence.CodePoints) // Unicode code points, the default everywhere
	UTF16      Unit = Unit(sequence.UTF16)      // UTF-16 code units, as in JavaScript, Java, Windows and LSP
	Bytes      Unit = Unit(sequence.Bytes)      // bytes of UTF-8, as in a Go string
)

// String returns the name of the unit.
func (u Unit) String() string { return sequence.Unit(u).String() }

func (t Text) state() *textState { return t.node.Object().(*textState) }

// read returns the state for a plain read; it panics on a Tx that may not be used.
func (t Text) read(tx runtime.Tx) *textState {
	tx.Read(t.node)
	return t.state()
}

// Insert puts s before the code point at index i; i may be the length. It returns *runtime.RangeError, ErrText, or why
// the text cannot be edited, and then nothing has changed. It keeps no reference to s. Cost: O(1) near the last edit,
// else O(log n); a typed character allocates nothing beyond its share of the growing buffers.
func (t Text) Insert(tx runtime.Tx, i int, s string) error {
	n := 1
	if len(s) != 1 || s[0] >= utf8.RuneSelf {
		var err error
		if n, err = countText(s); err != nil {
			return err
		}
	}
	w, err := tx.Begin(t.node)
	if err != nil {
		return err
	}
	return t.state().insert(w, i, n, s)
}

// Delete removes n code points from index i on: one operation, whoever wrote them. It returns *runtime.RangeError, or
// why the text cannot be edited, and then nothing has changed. Cost: O(1) for each run of code points that were written
// one after the other, near the last edit, else O(log n).
func (t Text) Delete(tx runtime.Tx, i, n int) error {
	w, err := tx.Begin(t.node)
	if err != nil {
		return err
	}
	return t.state().delete(w, i, n)
}

// Splice removes n code points from index i on and puts s in their place. Errors as in Insert and Delete.
func (t Text) Splice(tx runtime.Tx, i, n int, s string) error {
	if _, err := countText(s); err != nil {
		return err
	}
	if err := tx.Writable(t.node); err != nil {
		return err
	}
	if err := t.state().checkRange("Text.Splice", i, n); err != nil {
		return err
	}
	if n > 0 {
		if err := t.Delete(tx, i, n); err != nil {
			return err
		}
	}
	if s == "" {
		return nil
	}
	return t.Insert(tx, i, s)
}

// String returns the whole text. Cost: O(length), one allocation.
func (t Text) String(tx runtime.Tx) string {
	st := t.read(tx)
	s, _ := st.slice(0, st.seq.Len(sequence.CodePoints))
	return s
}

// Len returns the length in code points. Cost: O(1).
func (t Text) Len(tx runtime.Tx) int { return t.read(tx).seq.Len(sequence.CodePoints) }

// Slice returns the code points from index from up to index to, exclusive, or *runtime.RangeError. Cost: O(log n +
// what is returned).
func (t Text) Slice(tx runtime.Tx, from, to int) (string, error) {
	if err := tx.Err(t.node); err != nil {
		return "", err
	}
	st := t.state()
	if err := st.checkRange("Text.Slice", from, to-from); err != nil {
		return "", err
	}
	return st.slice(from, to)
}

// AppendTo appends the whole text to dst. It allocates only if dst is too small, and then once.
func (t Text) AppendTo(tx runtime.Tx, dst []byte) []byte {
	st := t.read(tx)
	dst, _ = st.seq.AppendText(dst, 0, st.seq.Len(sequence.CodePoints))
	return dst
}

// Runes yields each code point with its index. The text must not be changed while it runs. Cost: O(1) each.
func (t Text) Runes(tx runtime.Tx) iter.Seq2[int, rune] {
	st := t.read(tx)
	return func(yield func(int, rune) bool) {
		tx.Read(t.node)
		i := 0
		for chunk := range st.seq.Runs(0, st.seq.Len(sequence.CodePoints)) {
			for len(chunk) > 0 {
				r, size := utf8.DecodeRune(chunk)
				if !yield(i, r) {
					return
				}
				chunk = chunk[size:]
				i++
			}
		}
	}
}

// OnChange calls fn after each transaction or update that changed the text, until stop is called. See TextEvent.
// Inside a View it misses nothing after what that reads; inside Transact it panics with runtime.ErrNested.
func (t Text) OnChange(fn func(TextEvent)) (stop func()) {
	if t.node == nil {
		panic(runtime.ErrUnbound)
	}
	return t.state().observers.Add(t.node, fn)
}

// countText returns the number of code points of s, or ErrText.
func countText(s string) (int, error) {
	n := 0
	for i := 0; i < len(s); n++ {
		if s[i] < utf8.RuneSelf {
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 {
			return 0, &TextError{Offset: i}
		}
		i += size
	}
	return n, nil
}

// slice returns the code points [from, to), which is inside the text.
func (st *textState) slice(from, to int) (string, error) {
	var b strings.Builder
	if from == 0 && to == st.seq.Len(sequence.CodePoints) {
		b.Grow(st.seq.Len(sequence.Bytes))
	}
	for chunk := range st.seq.Runs(from, to) {
		b.Write(chunk)
	}
	return b.String(), nil
}
