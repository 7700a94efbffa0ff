package runtime

import (
	goruntime "runtime"
	"strconv"
	"strings"
	"unsafe"
)

// TxOption changes how one transaction or update is handled.
type TxOption func(*callOptions)

type callOptions struct {
	origin   any
	restore  bool
	firstHop bool
	ext      []byte
	err      error
}

// From tags what a call changes with where it came from: events carry the tag, so that a provider can skip what it
// brought itself.
func From(origin any) TxOption { return func(o *callOptions) { o.origin = origin } }

// Extensions says more about a transaction than its operations do, such as who its author is or which version of a program
// wrote it: a map that goes with the message, wherever that goes, and decides nothing. See Update.Extensions. States do
// not keep it. It costs its CBOR encoding and a byte or two in the message; values are as for EncodeValue, which is what fails
// where Transact returns an error at once. Receive and Load ignore it.
func Extensions(m map[string]any) TxOption {
	ext, err := EncodeValue(m)
	if len(m) == 0 {
		ext = nil
	}
	return func(o *callOptions) { o.ext, o.err = ext, err }
}

func originOf(opts []TxOption) any { return optionsOf(opts).origin }

func optionsOf(opts []TxOption) callOptions {
	if len(opts) == 0 {
		return callOptions{}
	}
	var o callOptions
	for _, f := range opts {
		f(&o)
	}
	return o
}

// Transact runs fn with the write lock held and then emits all its operations as one message. If fn returns an error or
// panics, every change is undone and nothing is emitted. A transaction without operations emits nothing.
//
// Inside fn use only the Tx: Transact, View, Receive and Load of the same document from the same goroutine return
// ErrNested. What fn writes is visible to its own reads at once.
func (r *Runtime) Transact(fn func(Tx) error, opts ...TxOption) (err error) {
	if err := r.lock(); err != nil {
		return err
	}
	var told telling
	// One deferred function for what fn, the objects and the handlers may do: an edit pays for each.
	defer func() {
		switch {
		case told.phase == ended:
		case told.phase == handlers:
			if v := recover(); v != nil {
				r.handlerPanicked(v)
				told.rest(r)
				r.drained(true)
			} else {
				r.events.done.Add(1) // the goroutine is ending: others go on delivering
			}
		case r.tx.committing:
			err = r.commitFailed(recover())
			r.drain(r.endLocal())
			if checked {
				panic(err)
			}
		default:
			// A panic is on its way up (or the goroutine is ending).
			r.rollback()
			if r.endLocal() {
				r.events.postpone()
			}
		}
	}()
	err = r.locked(fn, opts)
	own := r.endLocal()
	if own {
		told.begin(r)
		told.all()
	}
	told.phase = ended
	r.drained(own)
	return err
}

// locked runs fn and commits, or undoes, what it did. It is a frame of its own, never inlined, so that a goroutine that
// would wait for itself finds it on its own stack.
//
//go:noinline
func (r *Runtime) locked(fn func(Tx) error, opts []TxOption) error {
	if r.broken != nil {
		return r.broken
	}
	if err := r.beforeOwn(); err != nil {
		return err
	}
	tx := &r.tx
	tx.begin(r, r.self)
	if len(opts) > 0 || tx.origin != nil || tx.ext != nil {
		o := optionsOf(opts)
		tx.origin, tx.ext = o.origin, o.ext
		if o.err != nil {
			return o.err
		}
	}
	err := fn(Tx{&tx.ref, tx.ref.gen})
	if err == nil {
		err = r.commitLocal()
	}
	if err != nil {
		r.rollback()
	}
	r.verify()
	return err
}

// endLocal ends the Tx of a local transaction and releases the write lock; it returns whether there is an event that the
// caller has to deliver.
func (r *Runtime) endLocal() (own bool) {
	r.tx.ref.gen++
	own = r.events.claim()
	r.unlock()
	return own
}

// View runs fn with the read lock held: fn sees whole transactions, and the same state throughout.
func (r *Runtime) View(fn func(Tx) error) error {
	if err := r.tryRLock(); err != nil {
		return err
	}
	return r.viewed(fn)
}

//go:noinline
func (r *Runtime) viewed(fn func(Tx) error) error {
	ref := r.viewers.Get().(*txRef)
	defer func() {
		ref.gen++
		r.viewers.Put(ref)
		r.mu.RUnlock()
	}()
	return fn(Tx{ref, ref.gen})
}

// Read returns what fn reads under View. It panics with ErrNested where View would return it.
func Read[T any](r *Runtime, fn func(Tx) T) T {
	var v T
	if err := r.View(func(tx Tx) error { v = fn(tx); return nil }); err != nil {
		panic(err)
	}
	return v
}

// lock takes the write lock; ErrNested if this goroutine would wait for itself.
func (r *Runtime) lock() error {
	if r.mu.TryLock() {
		return nil
	}
	if r.nested() {
		return ErrNested
	}
	r.mu.Lock()
	return nil
}

func (r *Runtime) unlock() { r.mu.Unlock() }

// rlock takes the read lock for a short accessor; it panics where View would return ErrNested.
func (r *Runtime) rlock() {
	if err := r.tryRLock(); err != nil {
		panic(err)
	}
}

// tryRLock takes the read lock; ErrNested if this goroutine would wait for itself.
func (r *Runtime) tryRLock() error {
	if r.mu.TryRLock() {
		return nil
	}
	if r.nested() {
		return ErrNested
	}
	r.mu.RLock()
	return nil
}

// nested reports whether this goroutine already holds the lock of r. It is asked only when the lock is not free, so
// that no edit pays for it: the goroutine looks for the frames of locked and viewed with this receiver on its own stack.
func (r *Runtime) nested() bool { return r.holding() != "" }

// holding returns the lock frame in which this goroutine holds the lock of r, "" if it does not.
func (r *Runtime) holding() string {
	held := heldLocks()
	if held == 0 {
		return ""
	}
	// Some document's lock is held by this goroutine; the printed stack tells whether it is this one's.
	buf := make([]byte, 64<<10)
	n := goruntime.Stack(buf, false)
	for n == len(buf) {
		buf = make([]byte, 2*len(buf))
		n = goruntime.Stack(buf, false)
	}
	text := string(buf[:n])
	addr := "(0x" + strconv.FormatUint(uint64(uintptr(unsafe.Pointer(r))), 16)
	printed := 0
	for _, frame := range lockFrames {
		for rest := text; ; {
			_, after, ok := strings.Cut(rest, frame+"(")
			if !ok {
				break
			}
			printed++
			rest = after
			if tail, ok := strings.CutPrefix("("+after, addr); ok && (tail == "" || strings.ContainsRune(",)?", rune(tail[0]))) {
				return frame
			}
		}
	}
	// A printed stack shows a hundred frames. One that holds documents further up could be waiting for itself: an error
	// is better than that, and to wait for another document from so far inside of one is rare.
	if printed < held {
		return lockFrames[0]
	}
	return ""
}

// lockFrames are the functions that hold a document's lock while they call the user.
var lockFrames = [...]string{".(*Runtime).locked", viewFrame}

const viewFrame = ".(*Runtime).viewed"

// heldLocks counts them on the stack of this goroutine.
func heldLocks() int {
	var pcs [64]uintptr
	held := 0
	for skip := 3; ; skip += len(pcs) {
		n := goruntime.Callers(skip, pcs[:])
		frames := goruntime.CallersFrames(pcs[:n])
		for more := n > 0; more; {
			var f goruntime.Frame
			f, more = frames.Next()
			for _, name := range lockFrames {
				if strings.HasSuffix(f.Function, name) {
					held++
				}
			}
		}
		if n < len(pcs) {
			return held
		}
	}
}

func (t *txState) begin(r *Runtime, sender Rep) {
	t.start, t.dots, t.lamport = r.next[sender], 0, r.lamport+1
	t.ops, t.recs, t.sealed = t.ops[:0], t.recs[:0], 0
	if h := r.heads.reps; t.sender == sender && len(t.reps) == 1 && len(h) == 1 && h[0] == sender {
		t.ends[0] = 0 // all else is as the transaction before left it
		return
	}
	t.sender = sender
	if t.reps == nil {
		t.ops = make([]byte, 0, 4*stroke)
		t.reps, t.ends = make([]Rep, 1, 4), make([]uint64, 1, 4)
	}
	t.reps, t.ends, t.named, t.deps = t.reps[:1], t.ends[:1], 1, 0
	t.reps[0], t.ends[0] = sender, 0
	if t.byRep != nil {
		t.byRep = nil
	}
	if h := r.heads.reps; len(h) > 1 || len(h) == 1 && h[0] != sender {
		t.deps = r.appendDeps(t)
		t.named = len(t.reps)
	}
}

// appendDeps puts the causally maximal dots of others into the message's table, by replica order.
func (r *Runtime) appendDeps(t *txState) int {
	n := 0
	for _, rep := range r.heads.reps {
		if rep != t.sender {
			t.reps, t.ends = append(t.reps, rep), append(t.ends, r.next[rep])
			n++
		}
	}
	if n > 1 {
		r.sortTable(t.reps[1:], t.ends[1:])
	}
	return n
}

// touch makes an object part of the open transaction, before it changes.
func (r *Runtime) touch(n *Node) {
	if !n.touched {
		if n.parent != nil && r.overseen.Load() {
			r.oversee(n)
		}
		n.touched = true
		if k := len(r.touched); k < cap(r.touched) && r.touched[:k+1][k] == n {
			r.touched = r.touched[:k+1] // as in the transaction before
		} else {
			r.touched = append(r.touched, n)
		}
	}
}

// oversee tells every Overseer above n that n may change.
func (r *Runtime) oversee(n *Node) {
	for p := n.parent; p != nil; n, p = p, p.parent {
		if p.kind.oversees && n.class == classImplicit {
			if !p.touched {
				p.touched = true
				r.touched = append(r.touched, p)
			}
			p.obj.(Overseer).Below(n)
		}
	}
}

// rollback undoes the open transaction. If undoing itself fails the document takes no more writes.
func (r *Runtime) rollback() {
	defer func() {
		if v := recover(); v != nil {
			r.broken = &PanicError{"rollback", v}
			r.log.Error("weft: rollback failed, document is read-only", "panic", v)
		}
		r.endTx()
	}()
	for _, n := range r.touched {
		if n.obj != nil {
			n.obj.Rollback()
		}
		n.opaque().rollback(r)
	}
	if len(r.journal) > 0 {
		r.table.Lock()
		for i := len(r.journal) - 1; i >= 0; i-- {
			r.journal[i].undo(r)
		}
		r.table.Unlock()
	}
	r.deletions.discard()
	r.problems = r.problems[:0]
}

func (r *Runtime) endTx() {
	for _, n := range r.touched {
		n.touched = false
	}
	r.resetTx()
}

func (r *Runtime) resetTx() {
	// The buffers keep stale pointers to objects of this document, which does no harm while they are small.
	if cap(r.touched)+cap(r.journal)+cap(r.tx.recs) > 4096 {
		r.touched, r.journal, r.tx.recs = nil, nil, nil
	}
	r.touched, r.journal, r.tx.recs = r.touched[:0], r.journal[:0], r.tx.recs[:0]
	if r.tx.framed > 0 {
		r.tx.endFrames()
	}
}

// commitTouched ends the transaction for every object that changed; c collects the events that they queue. Whoever calls
// it has deferred what calls commitFailed if that does not return: Transact for local edits, which pay for each deferred
// function, else commitObjects.
func (r *Runtime) commitTouched(c *Commit) {
	r.tx.committing = true
	if len(r.orphans) > 0 {
		r.dropOrphans()
	}
	for _, n := range r.touched {
		n.touched = false
		if n.obj != nil {
			if c.node != n {
				c.node = n
			}
			n.obj.Commit(c)
		}
		if o := n.opaque(); o != nil {
			o.commit()
		}
	}
	if len(r.deletions.open) > 0 {
		r.deletions.keep(r)
	}
	r.resetTx()
	r.tx.committing = false
}

// commitObjects is commitTouched, turning a panic into an error.
func (r *Runtime) commitObjects(c *Commit) (err error) {
	done := false
	defer func() {
		if !done {
			err = r.commitFailed(recover())
		}
	}()
	r.commitTouched(c)
	done = true
	return nil
}

// commitFailed is told of a panic of commitTouched. Nobody knows what the objects hold then: the document takes no more
// writes.
func (r *Runtime) commitFailed(v any) error {
	err := &PanicError{"commit", v}
	r.tx.committing = false
	r.broken = err
	r.log.Error("weft: commit failed, document is read-only", "error", err)
	r.endTx()
	return err
}
