package crdt

import (
	"fmt"

	"github.com/seed1312cc15/weft/internal/sequence"
	"github.com/seed1312cc15/weft/runtime"
)

// Operations of a List and an ObjectList. The first byte of a payload holds the code in its low three bits. These numbers
// are part of format version 1 and must not change; docs/format.md is normative.
//
//	insert  = head [parent] what     head and parent as in text_op.go. What: List: one CBOR value for each dot;
//	                                 ObjectList: the kind of the
//	                                 objects, and for each dot: bytes, the arguments, empty: none
//	delete  = head runs              head and runs as in text_op.go; the runs name elements by the dots of their inserts
//	set     = head [dot] value       List only; head: code 2, bits 3-4: form of the dot
//	move    = head [parent] run*     head and parent as in insert, code 3. A run is its last dot (OpWriter.Ref) and
//	                                 uvarint: dots - 1; the elements, one for each dot of the operation
//	archive = head n run*n ref*      ObjectList only; head: code 4. The elements, then the restores that it ends
//	restore = head [dot]             ObjectList only; head: code 5, bits 3-4: form of the dot
//	dot     = (form 0) the own dot just before this operation's | (form 1) uvarint: distance to an own dot
//	        | (form 2) a dot (OpWriter.Ref) of another replica
//
// Other bits of the head are zero; where one is not, the operation is of a newer version.
const (
	listInsert  = opInsert
	listDelete  = opDelete
	listSet     = 2
	listMove    = 3
	listArchive = 4
	listRestore = 5
)

// opBits has the bits of the head that each code uses.
var opBits = [8]byte{
	listInsert: 0b0011_1111, listDelete: 0b0001_1111, listSet: 0b0001_1111, listMove: 0b0011_1111,
	listArchive: 0b0000_0111, listRestore: 0b0001_1111,
}

// readHead reads the head of an operation; codes tells which there are.
func readHead(op *runtime.Op, codes byte) (byte, error) {
	head := op.Byte("code")
	if err := op.Err(); err != nil {
		return 0, err
	}
	if code := head & opCode; codes>>code&1 == 0 || head&^opBits[code] != 0 {
		return 0, fmt.Errorf("%w: code %#x", runtime.ErrNewerOp, head)
	}
	return head, nil
}

const (
	dotPrevious = 0
	dotOwn      = 1
	dotOther    = 2
	dotForm     = 3 // shift
)

// writeDot writes a head with this code and a dot.
func writeDot(w *runtime.OpWriter, code byte, d runtime.LocalDot) {
	self := w.Dot()
	switch {
	case d.Rep != self.Rep:
		w.Byte(code | dotOther<<dotForm)
		w.Ref(d)
	case d.Seq+1 == self.Seq:
		w.Byte(code | dotPrevious<<dotForm)
	default:
		w.Byte(code | dotOwn<<dotForm)
		w.Uvarint(self.Seq - d.Seq)
	}
}

// readDot reads what writeDot wrote after the head.
func readDot(op *runtime.Op, head byte) sequence.ID {
	switch head >> dotForm & 3 {
	case dotPrevious:
		return ownDot(op, 1)
	case dotOwn:
		return ownDot(op, op.Uvarint("dot"))
	case dotOther:
		return sequence.ID(op.Reader.Dot("dot"))
	}
	op.Fail("dot", runtime.ErrCorrupt)
	return sequence.ID{}
}

func writeSpan(w *runtime.OpWriter, r *sequence.IDSpan) {
	w.Ref(runtime.LocalDot{Rep: r.ID.Rep, Seq: r.ID.Seq + uint64(r.N-1)})
	w.Uvarint(uint64(r.N - 1))
}

func readSpan(op *runtime.Op, dst []sequence.IDSpan) []sequence.IDSpan {
	last := sequence.ID(op.Reader.Dot("run"))
	return appendSpan(op, dst, last, op.Uvarint("dots"))
}

// oneDot returns an error unless the operation takes one dot.
func oneDot(op *runtime.Op) error {
	if op.Dots != 1 {
		return fmt.Errorf("%w: it takes one dot, not %d", runtime.ErrInvalidOp, op.Dots)
	}
	return nil
}

// Apply implements runtime.Object.
func (st *listState) Apply(op *runtime.Op) error {
	head, err := readHead(op, 1<<listInsert|1<<listDelete|1<<listSet|1<<listMove)
	if err != nil {
		return err
	}
	switch head & opCode {
	case listInsert:
		return st.applyInsert(op, head)
	case listDelete:
		return st.applyDelete(op, head)
	case listSet:
		return st.applySet(op, head)
	}
	return st.applyMove(op, head, st.observers.Active(), st.begin)
}

func (st *listState) applyInsert(op *runtime.Op, head byte) error {
	o := readOrigin(op, head)
	values := op.Rest()
	if err := op.Err(); err != nil {
		return err
	}
	rest := values
	for range op.Dots {
		n, err := valueLen(rest)
		if err != nil {
			return err
		}
		rest = rest[n:]
	}
	if len(rest) > 0 {
		return invalidOp("more values than dots")
	}
	if err := st.room(len(values)); err != nil {
		return err
	}
	st.begin(st.observers.Active())
	first, err := st.integrate(op, o)
	if err != nil {
		return err
	}
	for k := range op.Dots {
		n, _ := valueLen(values)
		st.vals.set(first+lid(k), st.store(values[:n]))
		values = values[n:]
	}
	return nil
}

func (st *listState) applyDelete(op *runtime.Op, head byte) error {
	st.dots = readSpans(op, head, st.dots[:0])
	if err := op.Done(); err != nil {
		return err
	}
	if err := oneDot(op); err != nil {
		return err
	}
	if err := st.findAll(st.dots); err != nil {
		return err
	}
	st.begin(st.observers.Active())
	st.killAll(op.Removed)
	return nil
}

func (st *listState) applySet(op *runtime.Op, head byte) error {
	d := readDot(op, head)
	val := op.Rest()
	if err := op.Err(); err != nil {
		return err
	}
	if err := oneDot(op); err != nil {
		return err
	}
	e, ok := st.find(d)
	if !ok {
		return invalidOp("it sets what was never inserted")
	}
	if n, err := valueLen(val); err != nil || n != len(val) {
		return invalidOp("not one value")
	}
	if err := st.room(len(val)); err != nil {
		return err
	}
	if st.alive(e) {
		st.begin(st.observers.Active())
		st.set(e, op.Stamp(), val)
	}
	return nil
}

// killAll deletes those of st.elems that are alive and tells removed.
func (st *listState) killAll(removed func(target runtime.LocalDot, n uint64)) {
	for _, e := range st.elems {
		if st.alive(e) {
			st.drop(e)
			removed(st.dot(e), 1)
		}
	}
}

// valueLen returns the length of the CBOR item at the start of data, checked.
func valueLen(data []byte) (int, error) {
	n, ok := itemLen(data, runtime.MaxValueDepth)
	if !ok {
		return 0, invalidOp("not a value")
	}
	if data[0] < 4<<5 {
		return n, nil // a number or a string, of which the head says all
	}
	return n, runtime.ValidValue(data[:n])
}

// itemLen returns the length of the CBOR item at the start of data; false if there is none of definite length within the
// depth.
func itemLen(data []byte, depth int) (int, bool) {
	major, arg, rest := cutHead(data)
	at := len(data) - len(rest)
	switch major {
	case 0, 1, 7:
		return at, true
	case 2, 3:
		return at + int(min(arg, uint64(len(rest)))), arg <= uint64(len(rest))
	case 4, 5, 6:
		if depth == 0 || arg > uint64(len(rest)) && major != 6 {
			return 0, false
		}
		items := arg
		switch major {
		case 5:
			items *= 2
		case 6:
			items = 1
		}
		for ; items > 0; items-- {
			n, ok := itemLen(data[at:], depth-1)
			if !ok {
				return 0, false
			}
			at += n
		}
		return at, true
	}
	return 0, false
}
