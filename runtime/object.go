package runtime

// Object is the replicated state of one object: the contract that every type, those of package crdt and a user's own,
// implements. docs/guide.md walks through an example; ExampleObject in this package's tests is the same in code.
//
// The runtime calls every method under its write lock, except those that only read (Empty, Save, Dots, Export, Check),
// which it may call under the read lock from several goroutines at once: they must not write anything that is not
// published atomically. An Object starts no goroutine, reads no clock, and calls nothing of the runtime but what its
// Node, Op, Writer and Reader offer.
//
//  1. Apply of the same operations in any causal order gives the same state. An operation says what it replaces.
//  2. Merge is a join: commutative, associative, idempotent; and it agrees with Apply: the state after applying a set of
//     operations equals the merge of the states of any parts that cover it.
//  3. Save writes equal bytes for equal states, whatever led there.
//  4. After Rollback the state is what it was after the last Commit, byte for byte.
type Object interface {
	// Apply integrates one operation, own or remote: all that it depends on is applied. It reads the payload through
	// op.Reader, checks, and only then changes something: when it returns an error, it has changed nothing. An error
	// that wraps ErrInvalidOp (or a Reader's error) says that the payload makes no sense: the operation takes its dots
	// and has no effect, on every replica alike. One that wraps ErrNewerOp says that the operation code is of a newer
	// version: the object becomes opaque. Any other error is a fault: the whole transaction is undone and may come again.
	Apply(op *Op) error
	// Empty reports whether the state equals the initial one: such an object is not written.
	Empty() bool
	// Save writes the state in an order that depends on nothing but the state. For a delta it writes the entries whose
	// dots are w.Outside, and nothing at all (not even a count) if there are none; for a full state every dot is outside.
	Save(w *StateWriter)
	// Dots yields the dots of the entries that are alive, as runs of n consecutive dots, in any order; a delta lists
	// them when the deletion record does not reach back. Entries that dots do not identify are not listed.
	Dots(yield func(d LocalDot, n uint64))
	// Merge joins a state or delta into the object. r is empty (Len 0) where the other side holds the initial state.
	// Entries that are here, not listed there, and for which r.Deleted says true, go. Entries that are listed there, not
	// here, and whose dots r.Known, stay away: they were deleted here. On error the runtime rolls back.
	Merge(r *StateReader) error
	// Rollback undoes every change since the last Commit.
	Rollback()
	// Commit ends the transaction: the undo journal is forgotten, and events go to c.
	Commit(c *Commit)
	// Export returns the value for people: nil, bool, numbers, string, []any, map[string]any; x renders values and
	// children.
	Export(x *Exporter) any
	// Check walks the invariants and returns the first that does not hold.
	Check() error
}

// Container is implemented by objects whose operations create other objects by dot.
type Container interface {
	Object
	// Children yields the objects that it made and that are alive.
	Children(yield func(child *Node) bool)
}

// Overseer is implemented by objects without a state of their own that tell of what their implicit children hold, as a
// LazyMap does.
type Overseer interface {
	Object
	// Below says that the open transaction may change child, an implicit child of the object, or something below it, which
	// is still as it was. Commit or Rollback of the object follows. It may be called often, and where nothing changes after
	// all.
	Below(child *Node)
}

// Journal is an undo journal of closures for objects whose edits need not be free of allocations. Embed it and call
// Undo before each change; it gives the Rollback of the Object contract.
type Journal struct{ undo []func() }

// Undo notes how to undo the change that follows.
func (j *Journal) Undo(f func()) { j.undo = append(j.undo, f) }

// Rollback runs the notes, newest first.
func (j *Journal) Rollback() {
	for i := len(j.undo) - 1; i >= 0; i-- {
		j.undo[i]()
	}
	j.Forget()
}

// Forget drops the notes; call it in Commit.
func (j *Journal) Forget() {
	clear(j.undo)
	j.undo = j.undo[:0]
}

// Op is one operation on its way into an object. It and what its Reader returns are valid during Apply only: copy
// bytes that stay.
type Op struct {
	Reader           // the payload
	Dot     LocalDot // the first dot
	Dots    int      // how many it takes, at least 1; they are consecutive
	Lamport uint64   // of the first dot; dot Dot.Seq+i has Lamport+i
	Local   bool     // written by this runtime
	node    *Node
}

// reset makes o an operation from elsewhere, but for what its Reader reads: field by field, since putting it together and
// copying it would cost as much as a short operation itself.
func (o *Op) reset(n *Node, d LocalDot, dots int, lamport uint64) {
	o.Dot.Rep, o.Dot.Seq, o.Dots, o.Lamport, o.Local = d.Rep, d.Seq, dots, lamport, false
	if o.node != n {
		o.node = n
	}
	if o.format != formatOperation {
		o.format = formatOperation
	}
	o.own = true
}

const formatOperation = "operation"

// Node returns the object's place in the document.
func (o *Op) Node() *Node { return o.node }

// Stamp returns the stamp of the operation's first dot.
func (o *Op) Stamp() Stamp { return Stamp{o.Lamport, o.Dot} }

// Removed tells the deletion record that this operation removed the entries made by n dots from target on. Call it for
// each run that was alive here.
func (o *Op) Removed(target LocalDot, n uint64) {
	o.node.rt.noteDeletion(o.node, o.Dot, target, n)
}

// OpWriter builds the payload of one operation; see Tx.Begin.
type OpWriter struct {
	rt    *Runtime
	node  *Node
	start int // of the payload in rt.tx.ops
	dot   LocalDot
}

// Dot returns the first dot that the operation will take.
func (w *OpWriter) Dot() LocalDot { return w.dot }

// Byte appends one byte.
func (w *OpWriter) Byte(b byte) { w.rt.tx.ops = append(w.rt.tx.ops, b) }

// Uvarint appends an unsigned integer.
func (w *OpWriter) Uvarint(v uint64) { w.rt.tx.ops = appendUvarint(w.rt.tx.ops, v) }

// Varint appends a signed integer.
func (w *OpWriter) Varint(v int64) { w.Uvarint(zigzag(v)) }

// Bytes appends a length and b.
func (w *OpWriter) Bytes(b []byte) {
	w.Uvarint(uint64(len(b)))
	w.Raw(b)
}

// Raw appends b without its length.
func (w *OpWriter) Raw(b []byte) { w.rt.tx.ops = append(w.rt.tx.ops, b...) }

// RawString appends s without its length.
func (w *OpWriter) RawString(s string) { w.rt.tx.ops = append(w.rt.tx.ops, s...) }

// Ref appends the dot of an entry: the replica's number, then for own dots the distance back from this operation's
// first dot, for others the seq.
func (w *OpWriter) Ref(d LocalDot) {
	i := w.rt.tx.number(d)
	w.Uvarint(i)
	if i == 0 {
		w.Uvarint(w.dot.Seq - d.Seq)
	} else {
		w.Uvarint(d.Seq)
	}
}
