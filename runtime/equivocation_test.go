package runtime_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

func TestEquivocation(t *testing.T) {
	t.Run("other content", func(t *testing.T) {
		a, twin, b := open(t, 1), open(t, 1), open(t, 2)
		m, other := a.add("x"), twin.add("y")
		b.take(m)
		wantEquivocation(t, b, other, dotOf(a, 0))
		b.want("x")
		// What was known stays harmless, what is new is refused.
		if res := b.take(m); res.Redundant != 1 {
			t.Errorf("%+v", res)
		}
		if err := b.refuse(a.add("z")); !errors.Is(err, runtime.ErrRefused) || !errors.Is(err, runtime.ErrEquivocation) {
			t.Errorf("the sender's next message: %v", err)
		}
		if len(b.problems) != 1 || !errors.Is(b.problems[0].Err, runtime.ErrEquivocation) || b.problems[0].Dot != dotOf(a, 0) {
			t.Errorf("problems %v", b.problems)
		}
	})
	t.Run("partial overlap", func(t *testing.T) {
		a, twin, b := open(t, 1), open(t, 1), open(t, 2)
		b.take(a.add("x"))
		wantEquivocation(t, b, twin.add("x", "y"), dotOf(a, 0))
		if len(b.problems) != 1 {
			t.Errorf("problems %v", b.problems)
		}
	})
	t.Run("while waiting", func(t *testing.T) {
		a, b := open(t, 1), open(t, 2)
		m := a.add("x")
		second := a.add("y")
		copyOfA := open(t, 1)
		copyOfA.add("x")
		forged := copyOfA.add("forged")
		b.take(second)
		var e *runtime.EquivocationError
		if err := b.refuse(forged); !errors.As(err, &e) || e.Dot != dotOf(a, 1) {
			t.Errorf("another message with the dot of one that waits: %v", err)
		}
		b.take(m)
		same(t, a, b)
	})
	t.Run("in a bundle", func(t *testing.T) {
		a, twin, b := open(t, 1), open(t, 1), open(t, 2)
		b.take(a.add("x"))
		m := open(t, 3).add("first")
		res, err := b.Receive(mustBundle(t, [][]byte{m, twin.add("y"), open(t, 4).add("last")}))
		if !errors.Is(err, runtime.ErrEquivocation) || res.Applied != 1 {
			t.Errorf("%+v, %v", res, err)
		}
		b.want("first x")
	})
	t.Run("begins inside of an applied one", func(t *testing.T) {
		a, twin, b := open(t, 1), open(t, 1), open(t, 2)
		b.take(a.add("x", "y"))
		twin.add("x")
		wantEquivocation(t, b, twin.add("z"), dotOf(a, 1))
		b.want("x y")
	})
	t.Run("evicted from history", func(t *testing.T) {
		a, twin := open(t, 1), open(t, 1)
		b := open(t, 2, func(o *runtime.Options) { o.History.Off = true })
		b.take(a.add("x"))
		if res := b.take(twin.add("y")); res.Redundant != 1 {
			t.Errorf("without history the clock alone tells: %+v", res)
		}
		b.want("x")
	})
	t.Run("brought by a state", func(t *testing.T) {
		a, twin, b := open(t, 1), open(t, 1), open(t, 2)
		a.add("x", "y")
		b.take(a.save())
		twin.add("x")
		wantEquivocation(t, b, twin.add("1", "2"), dotOf(a, 1))
	})
}

func wantEquivocation(t *testing.T, b *doc, m []byte, dot vclock.Dot) {
	t.Helper()
	var e *runtime.EquivocationError
	if err := b.refuse(m); !errors.As(err, &e) || e.Dot != dot || !errors.Is(err, runtime.ErrEquivocation) {
		t.Errorf("got %v, want one at %v", err, dot)
	}
}

// jump returns message m with another Lamport timestamp.
func jump(t *testing.T, m []byte, lamport uint64) []byte {
	t.Helper()
	f := parse(t, m)
	f.lamport = lamport
	return f.encode()
}

func TestClockJump(t *testing.T) {
	a, b := open(t, 1), open(t, 2)
	m1, m2 := a.add("1"), a.add("2")
	jumped := jump(t, m2, 100)
	// R27: before its dependencies are there nobody can tell.
	if res := b.take(jumped); res.Waiting != 1 {
		t.Fatalf("%+v", res)
	}
	res, err := b.Receive(m1)
	if err != nil || res.Applied != 1 || b.Waiting() != 0 {
		t.Fatalf("%+v, %v", res, err)
	}
	if len(b.problems) == 0 || !errors.Is(b.problems[0].Err, runtime.ErrClockJump) {
		t.Fatalf("problems %v", b.problems)
	}
	if err := b.refuse(m2); !errors.Is(err, runtime.ErrRefused) || !errors.Is(err, runtime.ErrClockJump) {
		t.Errorf("the sender's next message: %v", err)
	}
	b.want("1")

	c := open(t, 3)
	c.take(m1)
	var e *runtime.ClockJumpError
	if err := c.refuse(jumped); !errors.As(err, &e) || e.Lamport != 100 || e.Most != 2 || e.Dot != dotOf(a, 1) {
		t.Errorf("got %v", err)
	}
	if len(c.problems) != 1 {
		t.Errorf("problems %v", c.problems)
	}
	// Exactly one more than the greatest applied is right, less too.
	d := open(t, 4)
	d.take(m1, m2)
	e1 := open(t, 5)
	e1.take(m1, jump(t, m2, 1))
}

func TestR31OwnDotsBeyondTheClock(t *testing.T) {
	for _, by := range []string{"message", "state", "delta", "bundle", "message that waits"} {
		t.Run(by, func(t *testing.T) {
			a := open(t, 1)
			first := a.add("1")
			backup := a.save()
			second, third := a.add("2"), a.add("3")
			_ = third
			// The copy was restored from the backup and goes on under the same ID.
			b := open(t, 1)
			b.take(backup)
			if b.Replica() != id(1) {
				t.Fatal("a load into an empty runtime keeps the ID")
			}
			var changes []runtime.ReplicaChange
			b.OnReplicaChange(func(c runtime.ReplicaChange) { changes = append(changes, c) })
			switch by {
			case "message":
				b.take(second, third)
			case "message that waits":
				b.take(third)
			case "state":
				b.take(a.save())
			case "delta":
				b.take(a.since(b.Clock()))
			case "bundle":
				b.take(mustBundle(t, [][]byte{first, second, third}))
			}
			if b.Replica() == id(1) || len(changes) != 1 || changes[0].Old != id(1) || changes[0].New != b.Replica() {
				t.Fatalf("replica %v, changes %v", b.Replica(), changes)
			}
			m := b.add("4")
			b.take(second, third)
			a.take(m)
			same(t, a, b)
			if a.Replica() != id(1) {
				t.Error("the one that is ahead changed too")
			}
			if s, ok := b.Unacknowledged(); !ok || s.Replica != b.Replica() || s.Start != 0 || s.End != 1 {
				t.Errorf("unacknowledged %v", s)
			}
		})
	}
}

// Whoever depends on own dots beyond the clock has seen them, from another copy that writes under the same ID: the message would
// wait for ever for dots that mean something else here, and all that is written under them would be equivocation.
func TestR31OthersDependOnOwnDots(t *testing.T) {
	a, c := open(t, 1), open(t, 2)
	first := a.add("1")
	backup := a.save()
	second := a.add("2")
	c.take(first, second)
	third := c.add("3")
	waiting := open(t, 3)
	waiting.take(third)
	for by, arrives := range map[string][]byte{"message": third, "bundle": mustBundle(t, [][]byte{third}), "state with what waits": waiting.save()} {
		t.Run(by, func(t *testing.T) {
			b := open(t, 1)
			b.take(backup)
			b.take(arrives)
			if b.Replica() == id(1) {
				t.Fatal("it goes on under dots that are used elsewhere")
			}
			m := b.add("4")
			b.check()
			b.take(second)
			e := open(t, 4)
			e.take(first, second, third, m)
			same(t, e, b)
		})
	}
	t.Run("restored in any order", func(t *testing.T) {
		b := open(t, 1)
		for _, m := range [][]byte{third, second, first} {
			if _, err := b.Receive(m, runtime.Restore()); err != nil {
				t.Fatal(err)
			}
		}
		m := b.add("4")
		if b.Replica() != id(1) {
			t.Error("the store had everything, and it took another ID")
		}
		e := open(t, 4)
		e.take(first, second, third, m)
		same(t, e, b)
	})
	t.Run("the store has lost own dots", func(t *testing.T) {
		b := open(t, 1)
		for _, m := range [][]byte{first, third} {
			if _, err := b.Receive(m, runtime.Restore()); err != nil {
				t.Fatal(err)
			}
		}
		m := b.add("4")
		if b.Replica() == id(1) {
			t.Error("it goes on under dots that are used elsewhere")
		}
		b.check()
		b.take(second)
		e := open(t, 4)
		e.take(first, second, third, m)
		same(t, e, b)
	})
}

// Two copies that both wrote under one ID: their histories differ for ever, but neither goes on under it.
func TestOwnEquivocation(t *testing.T) {
	a, twin := open(t, 1), open(t, 1)
	a.add("x")
	m := twin.add("y")
	wantEquivocation(t, a, m, dotOf(twin, 0))
	if a.Replica() == id(1) {
		t.Error("it goes on under an ID that another copy uses")
	}
	if len(a.problems) != 1 {
		t.Errorf("problems %v", a.problems)
	}
	a.add("z")
	a.want("x z")
	a.check()
}

// What was written under an ID that was dropped is kept until it is acknowledged, then goes like anything else.
func TestHistoryAfterReplicaChange(t *testing.T) {
	c := open(t, 1, func(o *runtime.Options) { o.History.Bytes = 300 })
	for range 10 {
		c.add(strings.Repeat("own", 30))
	}
	if n := c.HistoryLen(); n != 10 {
		t.Errorf("history holds %d of 10 messages that nobody acknowledged", n)
	}
	twin := open(t, 1)
	twin.take(c.save())
	c.take(twin.add("2"))
	if c.Replica() == id(1) {
		t.Fatal("the ID was not dropped")
	}
	d := open(t, 3)
	for range 5 {
		c.take(d.add("x"))
	}
	if _, err := c.MessagesSince(vclock.Clock{id(3): 5}); err != nil {
		t.Errorf("own messages are gone: %v", err)
	}
	c.Acknowledge(c.Clock())
	c.take(d.add("x"))
	if _, err := c.MessagesSince(vclock.Clock{id(3): 6}); !errors.Is(err, runtime.ErrEvicted) {
		t.Errorf("acknowledged messages stay: %v", err)
	}
	c.check()
}

func TestDocumentID(t *testing.T) {
	with := func(n byte) func(*runtime.Options) {
		return func(o *runtime.Options) { o.Document = id(n) }
	}
	a, b := open(t, 1, with(1)), open(t, 2, with(2))
	m := a.add("x")
	for _, u := range [][]byte{m, a.save(), a.save(runtime.Compressed(1)), a.since(nil)} {
		var e *runtime.DocumentError
		if err := b.refuse(u); !errors.Is(err, runtime.ErrWrongDocument) || !errors.As(err, &e) || e.Got == e.Want || e.Want != b.Document() {
			t.Errorf("an update of another document: %v", err)
		}
	}
	if _, err := b.Receive(mustBundle(t, [][]byte{m})); !errors.Is(err, runtime.ErrWrongDocument) {
		t.Errorf("a bundle of another document: %v", err)
	}
	// One without an ID takes it over, by message or by state.
	for _, u := range [][]byte{m, a.save()} {
		c := open(t, 3)
		if c.take(u); c.Document() != id(1) {
			t.Errorf("took over %v", c.Document())
		}
		if err := c.refuse(b.save()); !errors.Is(err, runtime.ErrWrongDocument) && len(b.Clock()) > 0 {
			t.Error(err)
		}
		info, err := runtime.Inspect(c.add("y"))
		if err != nil || info.Document != id(1) {
			t.Errorf("its own message names %v, %v", info.Document, err)
		}
	}
	// And an update without an ID is taken.
	b.take(open(t, 4).add("z"))
}

// What waited while the document ID was not known yet is held to it later.
func TestDocumentIDOfWhatWaited(t *testing.T) {
	a := open(t, 1, func(o *runtime.Options) { o.Document = id(1) })
	b := open(t, 2, func(o *runtime.Options) { o.Document = id(2) })
	a.add("1")
	late := a.add("2")
	c := open(t, 3)
	c.take(late)
	c.take(b.add("x"))
	_, err := c.Receive(a.sent[0])
	if !errors.Is(err, runtime.ErrWrongDocument) {
		t.Errorf("got %v", err)
	}
	c.want("x")
	d, e := open(t, 4), open(t, 5)
	e.add("dep")
	x := open(t, 6, func(o *runtime.Options) { o.Document = id(1) })
	x.take(e.sent[0])
	d.take(x.add("of document 1")) // waits for e
	d.take(b.sent[0])              // makes it document 2
	d.take(e.sent[0])
	d.want("dep x")
	if d.Waiting() != 0 || len(d.problems) != 1 || !errors.Is(d.problems[0].Err, runtime.ErrWrongDocument) {
		t.Errorf("%d wait, problems %v", d.Waiting(), d.problems)
	}
}

func TestSaveOfDocumentID(t *testing.T) {
	a := open(t, 1, func(o *runtime.Options) { o.Document = id(7) })
	a.add("x")
	b := open(t, 2)
	b.take(a.save())
	if !bytes.Equal(a.Canonical(), b.Canonical()) || b.Document() != id(7) {
		t.Error("the document ID does not survive")
	}
	info, err := runtime.Inspect(a.save())
	if err != nil || info.Document != id(7) {
		t.Errorf("%v, %v", info, err)
	}
}
