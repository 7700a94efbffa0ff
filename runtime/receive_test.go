package runtime_test

import (
	"testing"

	"github.com/seed1312cc15/weft/runtime"
)

// tally counts the operations that reached it.
type tally struct {
	runtime.Journal
	n uint64
}

func (c *tally) Apply(op *runtime.Op) error {
	op.Byte("code")
	if err := op.Done(); err != nil {
		return err
	}
	c.Undo(func() { c.n-- })
	c.n++
	return nil
}
func (c *tally) Empty() bool                         { return c.n == 0 }
func (c *tally) Save(w *runtime.StateWriter)         { w.Uvarint(c.n) }
func (c *tally) Dots(func(runtime.LocalDot, uint64)) {}
func (c *tally) Merge(r *runtime.StateReader) error  { c.n = r.Uvarint("count"); return r.Done() }
func (c *tally) Commit(*runtime.Commit)              { c.Forget() }
func (c *tally) Export(*runtime.Exporter) any        { return c.n }
func (c *tally) Check() error                        { return nil }

func newTally(t *testing.T) (*runtime.Runtime, *runtime.Node) {
	t.Helper()
	kind := runtime.Kind{Name: "test/tally", New: func(*runtime.Node) runtime.Object { return &tally{} }}
	rt, err := runtime.New(&runtime.Options{Kinds: []runtime.Kind{kind}})
	if err != nil {
		t.Fatal(err)
	}
	n, err := rt.Root("n", kind.Name)
	if err != nil {
		t.Fatal(err)
	}
	return rt, n
}

// Messages to one object mostly have the object table of the message before; that must not cut them short.
func TestReceiveAppliesEveryOperationOfAMessage(t *testing.T) {
	a, from := newTally(t)
	b, to := newTally(t)
	a.OnUpdate(func(u runtime.Update) {
		if _, err := b.Receive(u.Data); err != nil {
			t.Fatal(err)
		}
	})
	total := uint64(0)
	for _, ops := range []uint64{1, 1, 3, 1, 2, 70} {
		err := a.Transact(func(tx runtime.Tx) error {
			for range ops {
				w, err := tx.Begin(from)
				if err != nil {
					return err
				}
				w.Byte(1)
				if err := w.Apply(1); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		total += ops
		if got := to.Object().(*tally).n; got != total {
			t.Fatalf("after a message of %d operations: %d applied in all, want %d", ops, got, total)
		}
	}
}

// A message is written where it will stay, before the length of its head is known.
func TestMessagesOfEverySizeAreWhole(t *testing.T) {
	a, from := newTally(t)
	b, _ := newTally(t)
	sizes := make(map[int]bool)
	a.OnUpdate(func(u runtime.Update) {
		sizes[len(u.Data)] = true
		if res, err := b.Receive(u.Data); err != nil || res.Applied != 1 {
			t.Fatalf("a message of %d bytes: %+v, %v", len(u.Data), res, err)
		}
	})
	for ops := range 400 {
		err := a.Transact(func(tx runtime.Tx) error {
			for range ops % 100 * (1 + ops/100*20) {
				w, err := tx.Begin(from)
				if err != nil {
					return err
				}
				w.Byte(1)
				if err := w.Apply(1); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(sizes) < 300 {
		t.Errorf("only %d sizes of message", len(sizes))
	}
	if got, want := b.Digest(), a.Digest(); got != want {
		t.Error("the replicas differ")
	}
}
