package runtime_test

import (
	"bytes"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/seed1312cc15/weft/internal/converge/bag"
	"github.com/seed1312cc15/weft/runtime"
)

var errTest = errors.New("on purpose")

func TestTransactionIsOneMessage(t *testing.T) {
	a, b := open(t, 1), open(t, 2)
	b.take(a.add("x", "y", "z"))
	same(t, a, b)
	b.want("x y z")
	if len(a.sent) != 1 || len(b.updates) != 1 || b.updates[0].End != 3 {
		t.Errorf("%d messages, %d events", len(a.sent), len(b.updates))
	}
}

func TestFailedTransactionLeavesNothing(t *testing.T) {
	for name, end := range map[string]func(){
		"error": nil,
		"panic": func() { panic(errTest) },
	} {
		t.Run(name, func(t *testing.T) {
			d := open(t, 1)
			d.edit(func(tx runtime.Tx) error {
				c, err := d.bag.Make(tx, bag.Name)
				return errors.Join(err, c.Add(tx, "inside"), d.bag.Add(tx, "x"))
			})
			canonical, state, clock := d.Canonical(), d.save(), d.Clock()
			events := len(d.updates)
			changes := 0
			d.bag.OnChange(func(bag.Change) { changes++ })
			var made, below bag.Bag
			err := func() (err error) {
				defer func() {
					if v := recover(); v != nil {
						err = v.(error)
					}
				}()
				return d.Transact(func(tx runtime.Tx) error {
					made, _ = d.bag.Make(tx, bag.Name)
					below, _ = made.Below("key")
					if err := errors.Join(made.Add(tx, "y"), below.Add(tx, "z"), d.bag.Remove(tx, 0, 1)); err != nil {
						t.Error(err)
					}
					if got := d.bag.Text(tx); got != "<example.com/bag>" {
						t.Errorf("the transaction sees %q of its own edits", got)
					}
					if end != nil {
						end()
					}
					return errTest
				})
			}()
			if err != errTest {
				t.Fatalf("got %v", err)
			}
			if !bytes.Equal(d.Canonical(), canonical) || !bytes.Equal(d.save(), state) || !d.Clock().Equal(clock) {
				t.Error("the state changed")
			}
			if len(d.updates) != events || changes != 0 {
				t.Errorf("%d updates, %d changes told", len(d.updates)-events, changes)
			}
			d.check()
			err = d.Transact(func(tx runtime.Tx) error { return made.Add(tx, "w") })
			if !errors.Is(err, runtime.ErrRolledBack) {
				t.Errorf("a handle made in it gives %v", err)
			}
			err = d.Transact(func(tx runtime.Tx) error { return below.Add(tx, "w") })
			if !errors.Is(err, runtime.ErrRolledBack) {
				t.Errorf("a handle below one made in it gives %v", err)
			}
			// R30: its dot is used by another object now.
			d.edit(func(tx runtime.Tx) error { _, err := d.bag.Make(tx, bag.Name); return err })
			err = d.Transact(func(tx runtime.Tx) error { return made.Add(tx, "w") })
			if !errors.Is(err, runtime.ErrRolledBack) {
				t.Errorf("R30: a handle whose dot was used again gives %v", err)
			}
			d.check()
		})
	}
}

// A child that was taken as a handle while its parent was deleted comes back with it.
func TestRollbackRevivesImplicitChildren(t *testing.T) {
	d := open(t, 1)
	var made bag.Bag
	d.edit(func(tx runtime.Tx) (err error) { made, err = d.bag.Make(tx, bag.Name); return err })
	var below bag.Bag
	_ = d.Transact(func(tx runtime.Tx) error {
		if err := d.bag.Remove(tx, 0); err != nil {
			return err
		}
		below, _ = made.Below("key")
		return errTest
	})
	d.check()
	d.edit(func(tx runtime.Tx) error { return below.Add(tx, "x") })
	d.check()
}

// An operation that was begun and not ended, or that its object refused, leaves no trace in the message.
func TestAbandonedOperationLeavesNoTrace(t *testing.T) {
	a, b := open(t, 1), open(t, 2)
	b.take(a.add("x"))
	b.add("y")
	a.take(b.sent...)
	a.add("z")
	c, d := open(t, 3), open(t, 3)
	for _, x := range []*doc{c, d} {
		x.take(a.sent[0], b.sent[0], a.sent[1])
	}
	m1 := c.add("q")
	m2 := d.edit(func(tx runtime.Tx) error {
		w, err := tx.Begin(d.bag.Node())
		if err != nil {
			return err
		}
		other, _ := d.LocalDot(dotOf(b, 0))
		w.Byte(200)
		w.Ref(other)
		if err := w.Apply(1); !errors.Is(err, runtime.ErrNewerOp) {
			t.Errorf("applying code 200: %v", err)
		}
		return d.bag.Add(tx, "q")
	})
	if !bytes.Equal(m1, m2) {
		t.Errorf("messages differ:\n%x\n%x", m1, m2)
	}
}

func TestTxAfterItsEnd(t *testing.T) {
	d := open(t, 1)
	var tx runtime.Tx
	use := map[string]func(){
		"Transact": func() { d.edit(func(x runtime.Tx) error { tx = x; return nil }) },
		"View":     func() { _ = d.View(func(x runtime.Tx) error { tx = x; return nil }) },
		"failed":   func() { _ = d.Transact(func(x runtime.Tx) error { tx = x; return errTest }) },
		"zero":     func() { tx = runtime.Tx{} },
	}
	for name, f := range use {
		t.Run(name, func(t *testing.T) {
			f()
			if err := d.bag.Add(tx, "x"); !errors.Is(err, runtime.ErrTxEnded) {
				t.Errorf("write: %v", err)
			}
			_ = d.Transact(func(runtime.Tx) error {
				if err := d.bag.Add(tx, "x"); !errors.Is(err, runtime.ErrTxEnded) {
					t.Errorf("write in a later transaction: %v", err)
				}
				return nil
			})
			defer func() {
				if v := recover(); v != runtime.ErrTxEnded {
					t.Errorf("plain read: %v", v)
				}
			}()
			d.bag.Len(tx)
		})
	}
}

func TestWrongUseOfTx(t *testing.T) {
	a, b := open(t, 1), open(t, 2)
	if err := a.View(func(tx runtime.Tx) error { return a.bag.Add(tx, "x") }); !errors.Is(err, runtime.ErrReadOnlyTx) {
		t.Errorf("a write in View: %v", err)
	}
	if err := a.Transact(func(tx runtime.Tx) error { return b.bag.Add(tx, "x") }); !errors.Is(err, runtime.ErrForeignObject) {
		t.Errorf("an object of another document: %v", err)
	}
	if err := a.Transact(func(tx runtime.Tx) error { return (bag.Bag{}).Add(tx, "x") }); !errors.Is(err, runtime.ErrUnbound) {
		t.Errorf("a zero handle: %v", err)
	}
	func() {
		defer func() {
			if v := recover(); v != runtime.ErrForeignObject {
				t.Errorf("a plain read of an object of another document: %v", v)
			}
		}()
		_ = a.View(func(tx runtime.Tx) error { b.bag.Len(tx); return nil })
	}()
	var tx runtime.Tx
	if tx.Runtime() != nil {
		t.Error("a zero Tx has a runtime")
	}
	_ = a.View(func(tx runtime.Tx) error {
		if tx.Runtime() != a.Runtime {
			t.Error("Tx.Runtime is another")
		}
		return nil
	})
	// The document still works.
	a.add("x")
	a.want("x")
}

func TestEmptyTransactionEmitsNothing(t *testing.T) {
	d := open(t, 1)
	was := d.save()
	if m := d.edit(func(runtime.Tx) error { return nil }); m != nil {
		t.Errorf("message %x", m)
	}
	// Registering and reading is no operation: R21.
	d.edit(func(tx runtime.Tx) error {
		if _, err := bag.New(d.Runtime, "unused"); err != nil {
			return err
		}
		below, err := d.bag.Below("nothing")
		below.Len(tx)
		return err
	})
	if len(d.updates) != 0 || len(d.Clock()) != 0 || !bytes.Equal(d.save(), was) {
		t.Errorf("R21: %d events, clock %v", len(d.updates), d.Clock())
	}
}

func TestLimitsAtCommit(t *testing.T) {
	one := func(d *doc, tx runtime.Tx) error { return d.bag.Add(tx, strings.Repeat("x", 200)) }
	for name, c := range map[string]struct {
		limits runtime.Limits
		f      func(*doc, runtime.Tx) error
	}{
		"MessageBytes": {runtime.Limits{MessageBytes: 100}, one},
		"MessageDots":  {runtime.Limits{MessageDots: 3}, func(d *doc, tx runtime.Tx) error { return d.bag.AddTimes(tx, "x", 4) }},
		"MessageOps": {runtime.Limits{MessageOps: 3}, func(d *doc, tx runtime.Tx) error {
			return errors.Join(d.bag.Add(tx, "a"), d.bag.Add(tx, "a"), d.bag.Add(tx, "a"), d.bag.Add(tx, "a"))
		}},
		"NameBytes": {runtime.Limits{NameBytes: 10}, func(d *doc, tx runtime.Tx) error {
			_, err := d.bag.Below(strings.Repeat("k", 11))
			return err
		}},
		"Depth": {runtime.Limits{}, func(d *doc, tx runtime.Tx) error {
			b := d.bag
			for range runtime.MaxDepth + 1 {
				var err error
				if b, err = b.Below("k"); err != nil {
					return err
				}
			}
			return b.Add(tx, "deep")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			d := open(t, 1, func(o *runtime.Options) { o.Limits = c.limits })
			d.add("before")
			was := d.save()
			err := d.Transact(func(tx runtime.Tx) error { return c.f(d, tx) })
			var limit *runtime.LimitError
			if !errors.As(err, &limit) || limit.Name != name || limit.Got <= limit.Max || !errors.Is(err, runtime.ErrLimit) {
				t.Fatalf("got %v", err)
			}
			if !bytes.Equal(d.save(), was) || len(d.updates) != 1 {
				t.Error("something changed")
			}
			d.check()
			d.add("after")
			d.want("after before")
		})
	}
	t.Run("Replicas", func(t *testing.T) {
		limited := func(o *runtime.Options) { o.Limits.Replicas = 2 }
		a, b, c := open(t, 1, limited), open(t, 2, limited), open(t, 3, limited)
		c.take(a.add("x"), b.add("y"))
		err := c.Transact(func(tx runtime.Tx) error { return c.bag.Add(tx, "z") })
		var limit *runtime.LimitError
		if !errors.As(err, &limit) || limit.Name != "Replicas" {
			t.Errorf("a third writer: %v", err)
		}
		wide := open(t, 4)
		m := wide.add("w")
		if err := c.refuse(m); !errors.As(err, &limit) || limit.Name != "Replicas" {
			t.Errorf("a message of a third writer: %v", err)
		}
		if err := c.refuse(wide.save()); !errors.As(err, &limit) || limit.Name != "Replicas" {
			t.Errorf("a state with a third writer: %v", err)
		}
	})
	t.Run("root name", func(t *testing.T) {
		d := open(t, 1, func(o *runtime.Options) { o.Limits.NameBytes = 10 })
		_, err := bag.New(d.Runtime, strings.Repeat("n", 11))
		var limit *runtime.LimitError
		if !errors.As(err, &limit) || limit.Name != "NameBytes" {
			t.Errorf("got %v", err)
		}
	})
}

func TestRootErrors(t *testing.T) {
	d := open(t, 1, func(o *runtime.Options) {
		o.Kinds = append(o.Kinds, bag.Kind(bag.Options{Name: "example.com/other"}))
	})
	if _, err := d.Root("x", "example.com/unknown"); !errors.Is(err, runtime.ErrUnknownKind) {
		t.Errorf("unknown kind: %v", err)
	}
	if _, err := d.Root("bag", "example.com/other"); !errors.Is(err, runtime.ErrKindConflict) {
		t.Errorf("two kinds under one name: %v", err)
	}
	again, err := d.Root("bag", bag.Name)
	if err != nil || again != d.bag.Node() {
		t.Errorf("asked twice: %v, %v", again, err)
	}
}

func TestOptionErrors(t *testing.T) {
	for name, o := range map[string]runtime.Options{
		"negative limit":   {Limits: runtime.Limits{NameBytes: -1}},
		"negative history": {History: runtime.History{Messages: -1}},
		"fewer deletions":  {Deletions: -2},
		"reserved replica": {Replica: runtime.GenesisReplica},
		"kind twice":       {Kinds: []runtime.Kind{bag.Kind(bag.Options{}), bag.Kind(bag.Options{})}},
		"kind without New": {Kinds: []runtime.Kind{{Name: "x"}}},
		"kind without name": {Kinds: []runtime.Kind{{New: func(*runtime.Node) runtime.Object {
			return nil
		}}}},
		"long kind name": {Kinds: []runtime.Kind{bag.Kind(bag.Options{Name: strings.Repeat("k", 256)})}},
	} {
		if _, err := runtime.New(&o); !errors.Is(err, runtime.ErrInvalidOptions) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := runtime.New(nil); err != nil {
		t.Errorf("no options: %v", err)
	}
}

// Transactions of many goroutines come one after the other, and readers see whole ones.
func TestConcurrentUse(t *testing.T) {
	d := open(t, 1)
	var wg sync.WaitGroup
	for range 4 {
		wg.Add(2)
		go func() {
			defer wg.Done()
			for range 50 {
				if err := d.Transact(func(tx runtime.Tx) error { return errors.Join(d.bag.Add(tx, "a"), d.bag.Add(tx, "b")) }); err != nil {
					t.Error(err)
				}
			}
		}()
		go func() {
			defer wg.Done()
			for range 50 {
				_ = d.View(func(tx runtime.Tx) error {
					if d.bag.Len(tx)%2 != 0 {
						t.Error("half a transaction is seen")
					}
					return nil
				})
				d.Clock()
				d.Canonical()
				d.Export()
				_, _ = d.Save()
				_, _ = bag.New(d.Runtime, "other")
				below, _ := d.bag.Below("k")
				_ = below
			}
		}()
	}
	wg.Wait()
	d.check()
	if d.Clock()[id(1)] != 400 {
		t.Errorf("clock %v", d.Clock())
	}
}
