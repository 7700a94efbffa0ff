package runtime_test

import (
	"errors"
	"testing"

	"github.com/seed1312cc15/weft/runtime"
)

func TestForgetWaiting(t *testing.T) {
	a, c, b := open(t, 1), open(t, 3), open(t, 2)
	first, second, third := a.add("1"), a.add("2"), a.add("3")
	_, other := c.add("x"), c.add("y")
	for _, m := range [][]byte{third, second, other} {
		origin := "a"
		if &m[0] == &other[0] {
			origin = "c"
		}
		if _, err := b.Receive(m, runtime.From(origin)); err != nil {
			t.Fatal(err)
		}
	}
	b.ForgetWaiting("nobody")
	b.ForgetWaiting("a")
	if b.Waiting() != 1 || b.WaitingFrom("a") != 0 || b.WaitingFrom("c") != 1 {
		t.Fatalf("%d wait, %d from a, %d from c", b.Waiting(), b.WaitingFrom("a"), b.WaitingFrom("c"))
	}
	b.take(first)
	b.want("1")
	b.take(second, third)
	same(t, a, b)
}

// TestFirstHop has a first hop blame who brings a transaction, and not whom it names.
func TestFirstHop(t *testing.T) {
	a, twin, b := open(t, 1), open(t, 1), open(t, 2)
	m, forged := a.add("x"), twin.add("y")
	b.take(m)
	if _, err := b.Receive(forged, runtime.FirstHop()); !errors.Is(err, runtime.ErrEquivocation) {
		t.Error(err)
	}
	next := a.add("z")
	if _, err := b.Receive(jump(t, next, 100), runtime.FirstHop()); !errors.Is(err, runtime.ErrClockJump) {
		t.Error(err)
	}
	b.take(next)
	b.want("x z")

	// What waited is judged as it came.
	later, last := a.add("1"), a.add("2")
	if _, err := b.Receive(jump(t, last, 100), runtime.FirstHop()); err != nil || b.Waiting() != 1 {
		t.Fatal(err)
	}
	b.take(later)
	if len(b.problems) != 1 || !errors.Is(b.problems[0].Err, runtime.ErrClockJump) {
		t.Errorf("problems %v", b.problems)
	}
	b.take(last)
	b.want("1 2 x z")

	old := open(t, 3, version(1))
	added := a.add("0")
	marked := a.edit(func(tx runtime.Tx) error { return a.bag.Mark(tx, "m") })
	old.take(m, next, later, last)
	if _, err := old.Receive(marked, runtime.FirstHop()); err != nil || old.Waiting() != 1 {
		t.Fatal(err)
	}
	old.take(added)
	if len(old.problems) != 1 || !errors.Is(old.problems[0].Err, runtime.ErrNewerOp) || len(old.Opaque()) != 0 || old.Waiting() != 0 {
		t.Errorf("problems %v, opaque %v", old.problems, old.Opaque())
	}
	old.take(marked)
	if len(old.Opaque()) != 1 {
		t.Error("who brought it does not answer for it, and it is refused")
	}
	if !old.Clock().Equal(a.Clock()) {
		t.Error(old.Clock())
	}
}

// TestAppliedBeforeWaiting has a message that can be applied go before another one of its dot that waits for what may never
// come.
func TestAppliedBeforeWaiting(t *testing.T) {
	a, twin, b, nowhere := open(t, 1), open(t, 1), open(t, 2), open(t, 3)
	twin.take(nowhere.add("nowhere"))
	if res := b.take(twin.add("forged")); res.Waiting != 1 {
		t.Fatalf("%+v", res)
	}
	b.take(a.add("x"))
	b.want("x")

	c, twins := open(t, 4), []*doc{open(t, 1), open(t, 1)}
	for _, d := range twins {
		d.take(nowhere.save())
	}
	if res := c.take(twins[0].add("one")); res.Waiting != 1 {
		t.Fatalf("%+v", res)
	}
	var e *runtime.EquivocationError
	if err := c.refuse(twins[1].add("two")); !errors.As(err, &e) || !e.Waiting {
		t.Errorf("two that wait: %v", err)
	}
}
