package runtime_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/seed1312cc15/weft/internal/converge/bag"
	"github.com/seed1312cc15/weft/runtime"
)

// faulty is a fault that strikes at the nth call of one place.
type faulty struct {
	where  string
	after  int
	panics bool
	calls  int
}

func (f *faulty) strike(where string) error {
	if where != f.where || f.where == "" {
		return nil
	}
	if f.calls++; f.calls <= f.after {
		return nil
	}
	if f.panics {
		panic(errTest)
	}
	return errTest
}

// R4: a fault in the middle of a transaction or a state, then redelivery: everything takes effect exactly once.
func TestR4FaultThenRedelivery(t *testing.T) {
	a := open(t, 1)
	a.add("1", "2")
	a.edit(func(tx runtime.Tx) error {
		made, err := a.bag.Make(tx, bag.Name)
		if err != nil {
			return err
		}
		below, err := made.Below("k")
		return errors.Join(err, a.bag.Remove(tx, 0), made.Add(tx, "3"), below.Add(tx, "4"), a.bag.Add(tx, "5"))
	})
	for name, u := range map[string][]byte{
		"message": a.sent[1], "bundle": mustBundle(t, a.sent[1:]), "state": a.save(), "delta": a.since(open(t, 1).Clock()),
	} {
		for _, panics := range []bool{false, true} {
			struck := 0
			for after := range 8 {
				f := &faulty{panics: panics}
				b := open(t, 2, bags(bag.Options{Fault: f.strike}))
				b.take(a.sent[0])
				b.add("own")
				f.where, f.after = "apply", after
				if name == "state" || name == "delta" {
					f.where = "merge"
				}
				was, changes := b.save(), 0
				stop := b.bag.OnChange(func(bag.Change) { changes++ })
				_, err := b.Receive(u)
				f.where = ""
				if err == nil {
					stop()
					break // no fault any more
				}
				struck++
				if !errors.Is(err, runtime.ErrInternal) {
					t.Errorf("%s, fault %d: %v", name, after, err)
				}
				var p *runtime.PanicError
				if panics && (!errors.As(err, &p) || p.Value != errTest || p.Where == "") {
					t.Errorf("%s, fault %d: %v", name, after, err)
				}
				if !bytes.Equal(b.save(), was) || changes != 0 {
					t.Fatalf("R4: %s, fault %d left something, %d changes told", name, after, changes)
				}
				b.check()
				b.take(u)
				c := open(t, 3)
				c.take(b.sent[0], a.sent[0], a.sent[1])
				same(t, b, c)
				if changes != 1 {
					t.Errorf("R4: %s, fault %d: %d changes told", name, after, changes)
				}
			}
			if struck < 2 {
				t.Errorf("%s: only %d faults struck", name, struck)
			}
		}
	}
}

// A fault in a message that waited reports a problem; the message can come again.
func TestFaultInWhatWaited(t *testing.T) {
	a := open(t, 1)
	m1, m2 := a.add("1"), a.add("2")
	f := &faulty{}
	b := open(t, 2, bags(bag.Options{Fault: f.strike}))
	b.take(m2)
	f.where, f.after = "apply", 1
	if res := b.take(m1); res.Applied != 1 {
		t.Errorf("%+v", res)
	}
	f.where = ""
	if len(b.problems) != 1 || !errors.Is(b.problems[0].Err, runtime.ErrInternal) || b.problems[0].Dot != dotOf(a, 1) || b.Waiting() != 0 {
		t.Errorf("problems %v, %d wait", b.problems, b.Waiting())
	}
	b.take(m2)
	same(t, a, b)
}

func TestFaultInOwnEdit(t *testing.T) {
	f := &faulty{}
	d := open(t, 1, bags(bag.Options{Fault: f.strike}))
	d.add("1")
	was := d.save()
	f.where = "apply"
	if err := d.Transact(func(tx runtime.Tx) error { return d.bag.Add(tx, "2") }); err != errTest {
		t.Errorf("got %v", err)
	}
	f.where = ""
	if !bytes.Equal(d.save(), was) {
		t.Error("something changed")
	}
	// An operation that its object refused is not part of a transaction that goes on.
	d.edit(func(tx runtime.Tx) error {
		f.where = "apply"
		_ = d.bag.Add(tx, "2")
		f.where = ""
		return d.bag.Add(tx, "3")
	})
	d.want("1 3")
	d.check()
	if c := d.Clock()[id(1)]; c != 2 {
		t.Errorf("%d dots", c)
	}
}

// When undoing or committing fails, nobody knows what the objects hold: the document takes no more writes rather than
// spread what is wrong.
func TestBrokenDocumentIsReadOnly(t *testing.T) {
	for _, where := range []string{"rollback", "commit"} {
		for _, remote := range []bool{false, true} {
			f := &faulty{panics: true}
			d := open(t, 1, bags(bag.Options{Fault: f.strike}))
			d.add("1")
			m := open(t, 2).add("2")
			f.where = where
			var err error
			func() {
				defer func() {
					if v := recover(); v != nil {
						err = v.(error)
					}
				}()
				switch {
				case where == "commit" && remote:
					_, err = d.Receive(m)
				case where == "commit":
					err = d.Transact(func(tx runtime.Tx) error { return d.bag.Add(tx, "3") })
				case remote:
					// A panic in applying, and then another in undoing.
					g := &faulty{where: "apply", panics: true}
					d = open(t, 1, bags(bag.Options{Fault: func(w string) error {
						if w == "rollback" {
							panic(errTest)
						}
						return g.strike(w)
					}}))
					_, err = d.Receive(m)
				default:
					err = d.Transact(func(tx runtime.Tx) error { return errors.Join(d.bag.Add(tx, "3"), errTest) })
				}
			}()
			f.where = ""
			if err == nil {
				t.Errorf("%s, remote %v: no error", where, remote)
			}
			if err := d.Transact(func(tx runtime.Tx) error { return d.bag.Add(tx, "4") }); !errors.Is(err, runtime.ErrInternal) {
				t.Errorf("%s, remote %v: a write afterwards: %v", where, remote, err)
			}
			if _, err := d.Receive(m); !errors.Is(err, runtime.ErrInternal) {
				t.Errorf("%s, remote %v: an update afterwards: %v", where, remote, err)
			}
			if err := d.Check(); !errors.Is(err, runtime.ErrInternal) {
				t.Errorf("%s, remote %v: Check: %v", where, remote, err)
			}
		}
	}
}

// R23, second half: a payload of a known code that makes no sense takes its dots and has no effect, on every replica
// alike, with an event.
func TestR23NonsenseHasNoEffect(t *testing.T) {
	a := open(t, 1)
	first := a.add("x")
	bad := a.edit(func(tx runtime.Tx) error {
		return errors.Join(
			a.bag.Force(tx, ""), a.bag.Force(tx, "\x00"), a.bag.Force(tx, "\x01nonsense"), // nothing, code 0, a bad value
			a.bag.Force(tx, "\x02\x00\x63"), a.bag.Force(tx, "\x02\x07\x00"), a.bag.Force(tx, "\x02\x00"), // before all, no replica, half a dot
			a.bag.Force(tx, "\x03\x05abc"), a.bag.Force(tx, "\x02\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"), // short, overflow
		)
	})
	b, c := open(t, 2), open(t, 3, noKinds)
	b.take(first, bad)
	b.want("x")
	if len(b.problems) != 8 {
		t.Errorf("%d problems of 8: %v", len(b.problems), b.problems)
	}
	for i, p := range b.problems {
		if p.Dot != dotOf(a, uint64(1+i)) || !strings.Contains(p.Object, `"bag"`) || p.Err == nil {
			t.Errorf("problem %d: %+v", i, p)
		}
	}
	if b.Clock()[id(1)] != 9 {
		t.Errorf("clock %v", b.Clock())
	}
	// The sender goes on.
	next := a.add("y")
	b.take(next)
	b.want("x y")
	// One that does not know the kind, and one that learns it from there.
	c.take(first, bad, next)
	d := open(t, 4)
	d.take(c.save())
	same(t, a, b, d)
}

// An operation on an object that is nowhere, or in a child that was deleted meanwhile, has no effect.
func TestOperationsOnWhatIsGone(t *testing.T) {
	a, b := open(t, 1), open(t, 2)
	var made bag.Bag
	m1 := a.edit(func(tx runtime.Tx) (err error) { made, err = a.bag.Make(tx, bag.Name); return err })
	b.take(m1)
	m2 := b.remove(0)
	m3 := a.edit(func(tx runtime.Tx) error {
		below, err := made.Below("k")
		if err != nil {
			return err
		}
		inner, err := made.Make(tx, bag.Name)
		return errors.Join(err, made.Add(tx, "x"), below.Add(tx, "y"), inner.Add(tx, "z"))
	})
	a.take(m2)
	b.take(m3)
	c := open(t, 3)
	c.take(m1, m2, m3)
	same(t, a, b, c)
	a.want("")
	err := a.Transact(func(tx runtime.Tx) error { return made.Add(tx, "late") })
	if !errors.Is(err, runtime.ErrDeleted) {
		t.Errorf("an edit of a deleted child: %v", err)
	}
	if got := runtime.Read(a.Runtime, made.Text); got != "<example.com/bag> x" {
		t.Errorf("a read of a deleted child shows %q, not its last state", got)
	}
	// A message that names a child which its own sender never made.
	w := parse(t, a.add("v"))
	w.start, w.lamport = 0, 1
	w.sender = id(9)
	w.flags, w.table, w.deps = 0, nil, 0
	w.objects = append([]byte{0x02, byte(len(bag.Name))}, bag.Name...)
	w.objects = append(w.objects, 0, 0) // made by its own dot
	a.take(w.encode())
	b.take(a.sent[len(a.sent)-1], w.encode())
	same(t, a, b)
}

// R23, first half: an operation edits what an earlier one of its transaction made.
func TestR23EditOfWhatTheTransactionMade(t *testing.T) {
	a, b := open(t, 1), open(t, 2)
	m := a.edit(func(tx runtime.Tx) error {
		one, err := a.bag.Make(tx, bag.Name)
		if err != nil {
			return err
		}
		two, err := one.Make(tx, bag.Name)
		if err != nil {
			return err
		}
		three, err := two.Below("k")
		return errors.Join(err, three.Add(tx, "deep"), a.bag.Add(tx, "last"))
	})
	b.take(m)
	same(t, a, b)
	c := open(t, 3)
	c.take(b.save())
	same(t, a, c)
	d := open(t, 4, noKinds)
	d.take(m)
	e := open(t, 5)
	e.take(d.save())
	same(t, a, e)
}

// A kind whose New panics leaves no lock held: the update is refused, and taken once New works.
func TestFaultInNew(t *testing.T) {
	a := open(t, 1)
	a.add("x")
	for _, u := range [][]byte{a.sent[0], mustBundle(t, a.sent), a.save(), a.since(nil)} {
		bad, kind := true, bag.Kind(bag.Options{})
		make := kind.New
		kind.New = func(n *runtime.Node) runtime.Object {
			if bad {
				panic("fault in New")
			}
			return make(n)
		}
		b, err := runtime.New(&runtime.Options{Kinds: []runtime.Kind{kind}})
		if err != nil {
			t.Fatal(err)
		}
		was := b.Canonical()
		var fault *runtime.PanicError
		if _, err := b.Receive(u); !errors.As(err, &fault) || !errors.Is(err, runtime.ErrInternal) || !bytes.Equal(b.Canonical(), was) {
			t.Errorf("a fault in New: %v", err)
		}
		bad = false
		if _, err := b.Receive(u); err != nil || b.Digest() != a.Digest() || b.Check() != nil {
			t.Errorf("afterwards: %v, %v", err, b.Check())
		}
	}
}
