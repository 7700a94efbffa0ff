package crdt

import (
	"github.com/seed1312cc15/weft/runtime"
)

// Counter is a handle of a sum that many add to, an int64 that starts at 0.
//
//   - Concurrent additions all count.
//   - Reset takes away the additions that its writer saw, and no concurrent one: after a +1, a reset and a concurrent +2
//     the value is 2.
//   - Where the sum is out of range reads return ErrOverflow, and the true value again once additions or a reset bring it
//     back.
//
// Cost: a state holds two numbers for each replica that ever added, two more for those that were reset. This is the
// PN-Counter of Shapiro, Preguiça, Baquero and Zawirski (Inria RR-7506, section 3.1.3) with one signed total for each
// replica, and a reset that names what it saw, as in Weidner and Almeida (arXiv:2207.04516) but per replica total.
//
// The zero Counter is not bound to a document: it is filled by weft.Open, or made by NewCounter. It is a small value to be
// copied freely; who may use it when is said at runtime.Tx.
type Counter struct{ node *runtime.Node }

// NewCounter returns the counter that is the root with this name. See runtime.Runtime.Root for its errors.
func NewCounter(rt *runtime.Runtime, name string) (Counter, error) {
	n, err := rt.Root(name, kindCounter)
	return Counter{n}, err
}

// Kind returns "counter".
func (Counter) Kind() string { return kindCounter }

// Bind makes the handle one of the object n, which must be of this kind.
func (c *Counter) Bind(n *runtime.Node) { c.node = n }

// Node returns the object's place in the document.
func (c Counter) Node() *runtime.Node { return c.node }

func (c Counter) state() *counterState { return c.node.Object().(*counterState) }

// Value returns the sum. Errors: ErrOverflow, those of runtime.Tx.Err. Cost: O(1).
func (c Counter) Value(tx runtime.Tx) (int64, error) {
	if err := tx.Err(c.node); err != nil {
		return 0, err
	}
	return c.state().value().value()
}

// Add adds n, which may be negative; 0 does nothing. It returns ErrOverflow, and changes nothing, if the value, or the
// total of what this replica ever added, would leave the range of int64; else why the counter cannot be edited. Cost: O(1).
func (c Counter) Add(tx runtime.Tx, n int64) error {
	w, err := tx.Begin(c.node)
	if err != nil || n == 0 {
		return err
	}
	s := c.state()
	if _, err := s.value().add(n).value(); err != nil {
		return err
	}
	if overflows(s.row(w.Dot().Rep).total, n) {
		return ErrOverflow
	}
	w.Byte(opAdd)
	w.Varint(n)
	return w.Apply(1)
}

// Reset takes away all additions seen; without any it does nothing. The error says why the counter cannot be edited. Cost:
// O(r) for r replicas, and so its message.
func (c Counter) Reset(tx runtime.Tx) error {
	w, err := tx.Begin(c.node)
	if err != nil {
		return err
	}
	var one [1]counterRow
	rows := c.state().all(&one)
	n := 0
	for i := range rows {
		if rows[i].counts() {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	w.Byte(opReset)
	w.Uvarint(uint64(n))
	for i := range rows {
		if r := &rows[i]; r.counts() {
			w.Ref(runtime.LocalDot{Rep: r.rep, Seq: r.end - 1})
			w.Varint(r.total)
		}
	}
	return w.Apply(1)
}

// CounterEvent tells how one transaction, state or delta changed a counter's value.
type CounterEvent struct {
	runtime.Meta
	Delta int64 // Value - what it was before
	Value int64
	Err   error // ErrOverflow: Value, or Delta, is not an int64, and both are 0
}

// OnChange calls fn whenever the value has changed, from now on; see runtime.Runtime for when. It returns the unsubscribe
// function. Inside a View it misses nothing after what that reads; inside Transact it panics with runtime.ErrNested.
func (c Counter) OnChange(fn func(CounterEvent)) (stop func()) { return runtime.Observe(c.node, fn) }
