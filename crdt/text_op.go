package crdt

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/seed1312cc15/weft/internal/sequence"
	"github.com/seed1312cc15/weft/runtime"
)

// Operations of a Text. The first byte of a payload holds the code in its low three bits. These numbers are part of
// format version 1 and must not change; docs/format.md is normative.
//
//	insert = head [parent] text      head: code 0, bit 3: left child, bits 4-5: form of the parent
//	         text is UTF-8 to the end of the payload, one code point for each dot of the operation
//	parent = (form 0, previous)      the own dot just before this operation's first
//	       | (form 1, start)         the start of the text; never with left child
//	       | (form 2, own)           uvarint: this operation's first seq - the parent's seq, at least 2
//	       | (form 3, other)         a dot (OpWriter.Ref) of another replica
//	delete = head runs               head: code 1, bits 3-4: form of the runs
//	runs   = (form 0, previous)      the own dot just before this operation's
//	       | (form 1, own)           uvarint as above: one own dot
//	       | (form 2, own run)       uvarint as above: the last dot of a run; uvarint: dots - 2
//	       | (form 3, several)       to the end of the payload: the last dot of a run (OpWriter.Ref), uvarint: dots - 1
//
// A run is named by its last dot, so that a dot that the sender cannot have known is refused wherever the run begins.
// Other bits of the head are zero; where one is not, the operation is of a newer version.
const (
	opCode   = 0b111
	opInsert = 0
	opDelete = 1

	insertLeft   = 1 << 3
	insertForm   = 4 // shift
	deleteForm   = 3 // shift
	formPrevious = 0
	formStart    = 1 // insert
	formOwn      = 2 // insert
	formOther    = 3 // insert
	formOwnDot   = 1 // delete
	formOwnRun   = 2 // delete
	formRuns     = 3 // delete
)

// insert applies and writes the insert of s, n code points, at index i.
func (st *textState) insert(w *runtime.OpWriter, i, n int, s string) error {
	if n == 0 {
		return st.checkRange("Text.Insert", i, 0)
	}
	st.seq.Open()
	o, _, err := st.seq.Insert(i, sequence.ID(w.Dot()), n, s)
	if err != nil {
		return st.localError("Text.Insert", i, 0, err)
	}
	writeOrigin(w, opInsert, o)
	if len(s) == 1 { // typing: no call
		w.Byte(s[0])
	} else {
		w.RawString(s)
	}
	if st.observers.Active() {
		st.changes.insert(i, []rune(s)...)
	}
	w.Commit(n)
	return nil
}

// delete applies and writes the delete of n code points from index i on.
func (st *textState) delete(w *runtime.OpWriter, i, n int) error {
	if n == 0 {
		return st.checkRange("Text.Delete", i, 0)
	}
	st.seq.Open()
	runs, err := st.seq.DeleteRange(i, n, st.dots[:0])
	st.dots = runs
	if err != nil {
		return st.localError("Text.Delete", i, n, err)
	}
	writeSpans(w, opDelete, runs)
	for k := range runs {
		w.Removed(runtime.LocalDot(runs[k].ID), uint64(runs[k].N))
	}
	if st.observers.Active() {
		st.changes.delete(i, n)
	}
	w.Commit(1)
	return nil
}

// writeOrigin writes the head and the parent of an insert with this code.
func writeOrigin(w *runtime.OpWriter, code byte, o sequence.Origin) {
	if o.Left {
		code |= insertLeft
	}
	self := w.Dot()
	switch {
	case o.Root:
		w.Byte(code | formStart<<insertForm)
	case o.Parent.Rep != self.Rep:
		w.Byte(code | formOther<<insertForm)
		w.Ref(runtime.LocalDot(o.Parent))
	case o.Parent.Seq+1 == self.Seq:
		w.Byte(code | formPrevious<<insertForm)
	default:
		w.Byte(code | formOwn<<insertForm)
		w.Uvarint(self.Seq - o.Parent.Seq)
	}
}

// readOrigin reads what writeOrigin wrote after the head.
func readOrigin(op *runtime.Op, head byte) sequence.Origin {
	o := sequence.Origin{Left: head&insertLeft != 0}
	switch head >> insertForm & 3 {
	case formPrevious:
		o.Parent = ownDot(op, 1)
	case formStart:
		o.Root = true
		if o.Left {
			op.Fail("side", runtime.ErrCorrupt)
		}
	case formOwn:
		if d := op.Uvarint("parent"); d > 1 {
			o.Parent = ownDot(op, d)
		} else {
			op.Fail("parent", runtime.ErrCorrupt)
		}
	case formOther:
		if o.Parent = sequence.ID(op.Reader.Dot("parent")); o.Parent.Rep == op.Dot.Rep {
			op.Fail("parent", runtime.ErrCorrupt)
		}
	}
	return o
}

// ownDot returns the sender's dot that lies back dots before the operation's first.
func ownDot(op *runtime.Op, back uint64) sequence.ID {
	if back == 0 || back > op.Dot.Seq {
		op.Fail("distance", runtime.ErrCorrupt)
		return sequence.ID{}
	}
	return sequence.ID{Rep: op.Dot.Rep, Seq: op.Dot.Seq - back}
}

// writeSpans writes the head and the runs of a delete with this code.
func writeSpans(w *runtime.OpWriter, code byte, runs []sequence.IDSpan) {
	self := w.Dot()
	if r := &runs[0]; len(runs) == 1 && r.ID.Rep == self.Rep {
		back := self.Seq - r.ID.Seq - uint64(r.N-1)
		switch {
		case r.N > 1:
			w.Byte(code | formOwnRun<<deleteForm)
			w.Uvarint(back)
			w.Uvarint(uint64(r.N - 2))
		case back == 1:
			w.Byte(code | formPrevious<<deleteForm)
		default:
			w.Byte(code | formOwnDot<<deleteForm)
			w.Uvarint(back)
		}
		return
	}
	w.Byte(code | formRuns<<deleteForm)
	for i := range runs {
		r := &runs[i]
		w.Ref(runtime.LocalDot{Rep: r.ID.Rep, Seq: r.ID.Seq + uint64(r.N-1)})
		w.Uvarint(uint64(r.N - 1))
	}
}

// readSpans appends what writeSpans wrote after the head to dst.
func readSpans(op *runtime.Op, head byte, dst []sequence.IDSpan) []sequence.IDSpan {
	switch head >> deleteForm & 3 {
	case formPrevious:
		dst = append(dst, sequence.IDSpan{ID: ownDot(op, 1), N: 1})
	case formOwnDot:
		dst = append(dst, sequence.IDSpan{ID: ownDot(op, op.Uvarint("dot")), N: 1})
	case formOwnRun:
		last := ownDot(op, op.Uvarint("run"))
		dst = appendSpan(op, dst, last, min(op.Uvarint("dots"), maxRun)+1)
	case formRuns:
		for more := true; more; more = op.Len() > 0 {
			last := sequence.ID(op.Reader.Dot("run"))
			dst = appendSpan(op, dst, last, op.Uvarint("dots"))
		}
	}
	return dst
}

// maxRun bounds the dots of a run, as the sequence bounds elements.
const maxRun = 1<<31 - 1

// appendSpan appends the run of before+1 dots that ends with last.
func appendSpan(op *runtime.Op, dst []sequence.IDSpan, last sequence.ID, before uint64) []sequence.IDSpan {
	if before > last.Seq || before >= maxRun {
		op.Fail("dots", runtime.ErrCorrupt)
		return dst
	}
	last.Seq -= before
	return append(dst, sequence.IDSpan{ID: last, N: int(before) + 1})
}

// Apply implements runtime.Object.
func (st *textState) Apply(op *runtime.Op) error {
	head := op.Byte("code")
	if err := op.Err(); err != nil {
		return err
	}
	switch {
	case head&opCode == opInsert && head>>6 == 0:
		return st.applyInsert(op, head)
	case head&opCode == opDelete && head>>5 == 0:
		return st.applyDelete(op, head)
	}
	return fmt.Errorf("%w: text: code %#x", runtime.ErrNewerOp, head)
}

func (st *textState) applyInsert(op *runtime.Op, head byte) error {
	o := readOrigin(op, head)
	text := op.Rest()
	if err := op.Err(); err != nil {
		return err
	}
	if n := len(text); (n != 1 || text[0] >= utf8.RuneSelf) && !utf8.Valid(text) {
		return fmt.Errorf("%w: insert: not valid UTF-8", runtime.ErrInvalidOp)
	}
	st.seq.Open()
	lid, err := st.seq.Integrate(sequence.ID(op.Dot), op.Dots, text, o)
	if err != nil {
		return opError(err)
	}
	if st.observers.Active() {
		st.changes.insert(st.seq.IndexOf(lid), []rune(string(text))...)
	}
	return nil
}

func (st *textState) applyDelete(op *runtime.Op, head byte) error {
	st.dots = readSpans(op, head, st.dots[:0])
	if err := op.Done(); err != nil {
		return err
	}
	if op.Dots != 1 {
		return fmt.Errorf("%w: a delete takes one dot, not %d", runtime.ErrInvalidOp, op.Dots)
	}
	if err := knownSpans(st.seq, st.dots); err != nil {
		return err
	}
	st.seq.Open()
	tell := st.hidden()
	for i := range st.dots {
		r := &st.dots[i]
		changed, err := st.seq.Hide(r.ID, r.N, tell)
		if err != nil {
			return opError(err)
		}
		if changed > 0 {
			op.Removed(runtime.LocalDot(r.ID), uint64(r.N))
		}
	}
	return nil
}

// knownSpans returns an error unless every dot of the runs is an element, and is named once: so the work that a payload
// makes is bounded by what there is.
func knownSpans(seq *sequence.Sequence, runs []sequence.IDSpan) error {
	for i := range runs {
		if !seq.Has(runs[i].ID, runs[i].N) {
			return invalidOp("it names what was never inserted")
		}
	}
	if len(runs) == 1 {
		return nil
	}
	sorted := slices.Clone(runs)
	slices.SortFunc(sorted, func(a, b sequence.IDSpan) int {
		return cmp.Or(cmp.Compare(a.ID.Rep, b.ID.Rep), cmp.Compare(a.ID.Seq, b.ID.Seq))
	})
	for i := range sorted[1:] {
		a, b := &sorted[i], &sorted[i+1]
		if a.ID.Rep == b.ID.Rep && a.ID.Seq+uint64(a.N) > b.ID.Seq {
			return invalidOp("it names an element twice")
		}
	}
	return nil
}

// checkRange returns an error unless [i, i+n) is inside the text.
func (st *textState) checkRange(op string, i, n int) error {
	return checkRange(op, i, n, st.seq.Len(sequence.CodePoints), CodePoints.String())
}

// localError turns an error of the sequence about a local edit into what the user gets.
func (st *textState) localError(op string, i, n int, err error) error {
	if rangeErr := st.checkRange(op, i, n); rangeErr != nil {
		return rangeErr
	}
	if errors.Is(err, sequence.ErrFull) {
		err = fmt.Errorf("%w: a text holds 2^31-1 code points and 4 GiB, deleted ones included", runtime.ErrLimit)
	}
	return fmt.Errorf("%s: %w", op, err)
}
