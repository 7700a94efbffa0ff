package runtime

import "slices"

// Tx is the right to read, and inside Transact to write, one document. It is passed by value, costs no allocation and
// must not be kept: after the function it was handed to has returned, plain reads panic with ErrTxEnded and everything
// else returns it.
type Tx struct {
	ref *txRef
	gen uint64
}

// txRef is what Txs of one lock holder point to. gen moves on when the holder ends, which ends every Tx of it. It is
// written under the lock only; a Tx that is used after its end races with that, which is the mistake that it reports.
type txRef struct {
	rt    *Runtime
	gen   uint64
	write bool
}

// Runtime returns the document that the Tx is of.
func (t Tx) Runtime() *Runtime {
	if t.ref == nil {
		return nil
	}
	return t.ref.rt
}

// Err returns nil while the Tx may be used with objects of n's document, else ErrTxEnded, ErrUnbound or
// ErrForeignObject.
func (t Tx) Err(n *Node) error {
	switch {
	case t.ref == nil || t.ref.gen != t.gen:
		return ErrTxEnded
	case n == nil:
		return ErrUnbound
	case n.rt != t.ref.rt:
		return ErrForeignObject
	}
	return nil
}

// Read panics unless the Tx may be used with n: it opens every plain read of an object.
func (t Tx) Read(n *Node) {
	if err := t.Err(n); err != nil {
		panic(err)
	}
}

// Writable returns nil if n can be edited in this Tx, else an error that says why not.
func (t Tx) Writable(n *Node) error {
	if t.writes(n) {
		return nil
	}
	if err := t.Err(n); err != nil {
		return err
	}
	if !t.ref.write {
		return ErrReadOnlyTx
	}
	return n.Err()
}

func (t Tx) writes(n *Node) bool {
	return t.ref != nil && t.ref.gen == t.gen && t.ref.write && n != nil && n.rt == t.ref.rt && n.state == alive && n.opaque() == nil
}

// Begin starts an operation on n. Write the payload, then call Apply or Commit of the writer; an operation that gets
// neither leaves no trace. The writer is reused by the next Begin.
func (t Tx) Begin(n *Node) (*OpWriter, error) {
	if !t.writes(n) {
		return nil, t.Writable(n)
	}
	r := t.ref.rt
	tx := &r.tx
	tx.abandon()
	if n.class != classRoot {
		tx.name(n)
		if r.overseen.Load() {
			r.oversee(n) // before the caller of OpWriter.Commit changes it
		}
	}
	w := &tx.w
	if w.node != n {
		w.rt, w.node = r, n
	}
	w.start = tx.sealed
	w.dot.Rep, w.dot.Seq = tx.sender, tx.start+tx.dots
	return w, nil
}

// Apply ends the operation, which takes n dots, and hands it to the object's Apply: own operations go the way of remote
// ones. On error nothing is recorded.
func (w *OpWriter) Apply(n int) error {
	r := w.rt
	tx := &r.tx
	r.touch(w.node)
	op := &tx.op
	*op = Op{Dot: w.dot, Dots: n, Lamport: tx.lamport + tx.dots, Local: true, node: w.node}
	op.Reader = Reader{buf: tx.ops[w.start:], format: "operation", reps: tx.reps, ends: tx.ends, self: w.dot.Seq, own: true}
	if err := w.node.obj.Apply(op); err != nil {
		return err
	}
	w.Commit(n)
	return nil
}

// Commit ends the operation, which takes n dots, without calling the object's Apply: the caller changes the state
// itself, exactly as Apply would. It is for objects whose local path is hot.
func (w *OpWriter) Commit(n int) {
	tx := &w.rt.tx
	w.rt.touch(w.node)
	k := len(tx.recs)
	if k == cap(tx.recs) {
		if k < frameAt {
			tx.recs = slices.Grow(tx.recs, k+1)
		} else {
			tx.frame()
			tx.ops = tx.ops[:copy(tx.ops, tx.ops[tx.sealed:])]
			tx.recs, k, w.start = tx.recs[:0], 0, 0
		}
	}
	tx.recs = tx.recs[:k+1]
	rec := &tx.recs[k]
	if rec.node != w.node {
		rec.node = w.node
	}
	rec.dots, rec.start, rec.end = n, w.start, len(tx.ops)
	tx.sealed, tx.named = len(tx.ops), len(tx.reps)
	tx.dots += uint64(n)
}

// Stamp returns the stamp of the operation's first dot.
func (w *OpWriter) Stamp() Stamp {
	return Stamp{w.rt.tx.lamport + w.rt.tx.dots, w.dot}
}

// Removed is Op.Removed for callers of Commit.
func (w *OpWriter) Removed(target LocalDot, n uint64) {
	open := &w.rt.deletions.open
	if len(*open) > 0 || cap(*open) == 0 || n == 0 {
		w.rt.noteDeletion(w.node, w.dot, target, n)
		return
	}
	*open = (*open)[:1]
	e := &(*open)[0]
	if e.node != w.node {
		e.node = w.node
	}
	e.by.Rep, e.by.Seq, e.target.Rep, e.target.Seq = w.dot.Rep, w.dot.Seq, target.Rep, target.Seq
	e.n, e.shape = n, shapeRange
}

// opRecord is one operation of the open transaction; its payload is ops[start:end].
type opRecord struct {
	node       *Node
	dots       int
	start, end int
}

// txState is the open write transaction of a runtime; its buffers are reused.
//
// What an edit writes here, and in the first event, is written field by field: copies of what was just put together
// stall the processor. Pointers are written only where they change: in a run of edits they do not, and while the garbage
// collector marks, each write is work for it.
type txState struct {
	ref     txRef
	sender  Rep
	start   uint64 // first dot
	dots    uint64 // taken so far
	lamport uint64 // of the first dot
	origin  any
	ext     []byte // see Extensions; nil: none

	ops    []byte // payloads, one after the other
	sealed int    // bytes of ops that belong to recorded operations
	recs   []opRecord
	w      OpWriter
	op     Op

	// Of a message of several operations: those that are encoded already, and the objects that they are of. A large
	// transaction does not keep a record of each operation until its end.
	frames []byte
	full   [][]byte // those before frames, of a large transaction
	framed int
	objs   objectTable

	// Table of the message: the sender, the dependencies, then other replicas in the order in which operations named
	// them. ends[i] is 1 + the greatest dot named.
	reps   []Rep
	ends   []uint64
	deps   int
	named  int         // entries of the table that recorded operations and dependencies need
	byRep  map[Rep]int // used from a certain size on
	commit Commit

	committing bool // in commitTouched
}

const (
	// frameAt is the number of records from which on operations are encoded before the transaction ends.
	frameAt = 1 << 10
	// frameChunk is the size of the pieces that they go to: one buffer would be copied again and again while it grows.
	frameChunk = 64 << 10
)

// frame encodes the recorded operations.
func (t *txState) frame() {
	if t.framed == 0 {
		t.objs.reset()
	}
	if room := 2 * len(t.ops); len(t.frames) > frameChunk/2 && cap(t.frames)-len(t.frames) < room {
		t.full, t.frames = append(t.full, t.frames), make([]byte, 0, max(frameChunk, room))
	}
	for i := range t.recs {
		rec := &t.recs[i]
		t.objs.add(rec.node)
		head := uint64(t.objs.find(rec.node)) << 1
		if rec.dots != 1 {
			head |= 1
		}
		t.frames = appendUvarint(t.frames, head)
		if rec.dots != 1 {
			t.frames = appendUvarint(t.frames, uint64(rec.dots))
		}
		t.frames = appendUvarint(t.frames, uint64(rec.end-rec.start))
		t.frames = append(t.frames, t.ops[rec.start:rec.end]...)
	}
	t.framed += len(t.recs)
}

// endFrames forgets what frame and a message of several operations left behind.
func (t *txState) endFrames() {
	t.framed, t.frames, t.full = 0, t.frames[:0], nil
	t.objs.reset()
	if cap(t.frames)+cap(t.ops)+cap(t.objs.buf) > keptBuffer {
		t.frames, t.ops, t.objs.buf = nil, nil, nil
	}
}

// single reports whether there is exactly one operation.
func (t *txState) single() bool { return len(t.recs) == 1 && t.framed == 0 }

// abandon drops what an operation left behind that was begun and not recorded.
func (t *txState) abandon() {
	t.ops = t.ops[:t.sealed]
	if len(t.reps) > t.named {
		t.reps, t.ends, t.byRep = t.reps[:t.named], t.ends[:t.named], nil
	}
}

const linearTable = 16

// number returns the number of d's replica in the message's table and notes that d is named.
func (t *txState) number(d LocalDot) uint64 {
	if d.Rep == t.sender {
		return 0
	}
	i := t.find(d.Rep)
	if i < 0 {
		i = len(t.reps)
		t.reps = append(t.reps, d.Rep)
		t.ends = append(t.ends, 0)
		if t.byRep != nil {
			t.byRep[d.Rep] = i
		}
	}
	t.ends[i] = max(t.ends[i], d.Seq+1)
	return uint64(i)
}

func (t *txState) find(rep Rep) int {
	if len(t.reps) <= linearTable {
		for i := 1; i < len(t.reps); i++ {
			if t.reps[i] == rep {
				return i
			}
		}
		return -1
	}
	if t.byRep == nil {
		t.byRep = make(map[Rep]int, 2*len(t.reps))
		for i := 1; i < len(t.reps); i++ {
			t.byRep[t.reps[i]] = i
		}
	}
	if i, ok := t.byRep[rep]; ok {
		return i
	}
	return -1
}

// find0 returns the number of a replica that number has put into the table; 0 for the sender.
func (t *txState) find0(rep Rep) int {
	if rep == t.sender {
		return 0
	}
	return t.find(rep)
}

// name notes the dots that identify n, so that the message's table has their replicas.
func (t *txState) name(n *Node) {
	for n != nil && n.class == classImplicit {
		n = n.parent
	}
	if n.class == classDot {
		t.number(n.dot())
	}
}
