package crdt_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"reflect"
	"testing"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/runtime"
)

func eachValueType(t *testing.T, fn func(*testing.T, valueCase)) {
	for _, c := range valueCases {
		t.Run(c.kind, func(t *testing.T) { fn(t, c) })
	}
}

func TestR1ValuesWaitForWhatAStateBrought(t *testing.T) {
	eachValueType(t, func(t *testing.T, k valueCase) {
		a, b, c := newValueDoc(t, 1), newValueDoc(t, 2), newValueDoc(t, 3)
		first := a.do(k.write)
		b.receive(a.state())
		second := b.do(k.again)
		res, err := c.rt.Receive(second)
		if err != nil || res.Waiting != 1 || !reflect.DeepEqual(c.valueOf(k), k.none) {
			t.Fatalf("%+v, %v, value %v: it must wait", res, err, c.valueOf(k))
		}
		c.receive(first)
		agree(b, c)
	})
}

func TestR2ErasedValuesStayAway(t *testing.T) {
	eachValueType(t, func(t *testing.T, k valueCase) {
		a, b, c := newValueDoc(t, 1), newValueDoc(t, 2), newValueDoc(t, 3)
		a.do(k.write)
		saved := a.state()
		b.receive(saved)
		erase := b.do(k.erase)
		c.receive(erase, saved)
		for range 2 {
			for _, d := range []*valueDoc{a, b, c} {
				d.receive(a.state(), b.state(), c.state(), saved)
			}
		}
		agree(a, b, c)
		a.want("value", a.valueOf(k), k.none)
	})
}

func TestR4FaultInTheMiddleOfATransaction(t *testing.T) {
	broken := false
	eachValueType(t, func(t *testing.T, k valueCase) {
		a, b := newValueDoc(t, 1, faultKind(&broken)), newValueDoc(t, 2, faultKind(&broken))
		b.receive(a.do(k.write))
		fault, err := a.rt.Root("fault", "test.fault")
		if err != nil {
			t.Fatal(err)
		}
		message := a.edit(func(tx runtime.Tx) error {
			for _, op := range []func(*valueDoc, runtime.Tx) error{k.again, k.erase, k.write, k.again} {
				if err := op(a, tx); err != nil {
					return err
				}
			}
			w, err := tx.Begin(fault)
			if err != nil {
				return err
			}
			w.Byte(1)
			w.Commit(1)
			return k.write(a, tx)
		})
		events := 0
		b.c.OnChange(func(crdt.CounterEvent) { events++ })
		b.r.OnChange(func(crdt.RegisterEvent[string]) { events++ })
		b.mv.OnChange(func(crdt.MVRegisterEvent[string]) { events++ })
		b.f.OnChange(func(crdt.FlagEvent) { events++ })
		b.dw.OnChange(func(crdt.FlagEvent) { events++ })
		b.s.OnChange(func(crdt.SetEvent[string]) { events++ })
		b.m.OnChange(func(crdt.MapEvent[string, string]) { events++ })
		canonical, state := b.rt.Canonical(), b.state()
		broken = true
		for range 2 {
			if _, err := b.rt.Receive(message); !errors.Is(err, runtime.ErrInternal) || !errors.Is(err, errFault) {
				t.Fatalf("Receive: %v", err)
			}
			if !bytes.Equal(canonical, b.rt.Canonical()) || !bytes.Equal(state, b.state()) || events != 0 {
				t.Fatalf("the fault left traces: %v", b.rt.Export())
			}
		}
		broken = false
		b.receive(message, message)
		agree(a, b)
	})
}

func TestR13CounterAtTheEdge(t *testing.T) {
	a, b := newValueDoc(t, 1), newValueDoc(t, 2)
	add := func(n int64) func(*valueDoc, runtime.Tx) error {
		return func(d *valueDoc, tx runtime.Tx) error { return d.c.Add(tx, n) }
	}
	refused := func(d *valueDoc, n int64) {
		t.Helper()
		before := d.state()
		if err := d.rt.Transact(func(tx runtime.Tx) error { return d.c.Add(tx, n) }); !errors.Is(err, crdt.ErrOverflow) {
			t.Errorf("Add(%d): %v", n, err)
		}
		if !bytes.Equal(before, d.state()) {
			t.Errorf("Add(%d) changed something", n)
		}
	}
	first := a.do(add(math.MaxInt64))
	refused(a, 1)
	second := b.do(add(1))
	a.receive(second)
	b.receive(first)
	agree(a, b)
	value := func(d *valueDoc) any { return d.read(func(tx runtime.Tx) any { return got(d.c.Value(tx)) }) }
	for _, d := range []*valueDoc{a, b, func() *valueDoc { c := newValueDoc(t, 3); c.receive(a.state()); return c }()} {
		d.want("value", value(d), crdt.ErrOverflow)
		d.want("export", d.rt.Export()["the counter"], map[string]any{"$int": "9223372036854775808"})
		refused(d, 1)
	}
	// What brings it back is allowed, on either side.
	b.receive(a.do(add(-1)))
	b.want("value", value(b), int64(math.MaxInt64))
	a.receive(b.do(add(math.MinInt64)))
	agree(a, b)
	a.want("value", value(a), int64(-1))
	// The total of one replica has an edge of its own.
	b.do(func(d *valueDoc, tx runtime.Tx) error { return d.c.Reset(tx) })
	b.want("value", value(b), int64(0))
	refused(b, -2)
}

func TestR14ClocksOfEqualStatesAreEqual(t *testing.T) {
	eachValueType(t, func(t *testing.T, k valueCase) {
		a, b, c := newValueDoc(t, 1), newValueDoc(t, 2), newValueDoc(t, 3)
		b.receive(a.do(k.write))
		c.receive(b.state())
		if err := c.rt.Transact(func(tx runtime.Tx) error { return errors.Join(k.erase(c, tx), errFault) }); err == nil {
			t.Fatal("no error")
		}
		c.do(func(d *valueDoc, tx runtime.Tx) error { return nil })
		agree(a, b, c)
		for r, n := range c.rt.Clock() {
			if n == 0 || r != a.rt.Replica() {
				t.Errorf("clock %v", c.rt.Clock())
			}
		}
		// What a type answers when there is nothing to do is no operation.
		d := newValueDoc(t, 4)
		if k.kind != "flag-dw" {
			d.do(k.erase)
			d.want("clock", len(d.rt.Clock()), 0)
		}
	})
}

func TestR20ReplacedThroughAState(t *testing.T) {
	for _, kind := range []string{"register", "mvregister", "map"} {
		t.Run(kind, func(t *testing.T) {
			var k valueCase
			for _, c := range valueCases {
				if c.kind == kind {
					k = c
				}
			}
			a, b, c := newValueDoc(t, 9), newValueDoc(t, 2), newValueDoc(t, 3)
			first := a.do(k.write)
			b.receive(first)
			b.do(func(d *valueDoc, tx runtime.Tx) error { return d.c.Add(tx, 1) })
			c.receive(b.state())
			second := b.do(k.again)
			c.receive(second)
			a.receive(b.state())
			agree(a, b, c)
			late := newValueDoc(t, 5)
			late.receive(a.state())
			agree(a, late)
			conflicts := func(tx runtime.Tx) any {
				r, err1 := c.r.Conflicts(tx)
				m, err2 := c.m.Conflicts(tx, "k")
				mv, err3 := c.mv.Values(tx)
				return fmt.Sprint(r, m, len(mv) > 1, err1, err2, err3)
			}
			c.want("conflicts", c.read(conflicts), "[] [] false <nil> <nil> <nil>")
			if got := fmt.Sprint(c.valueOf(k)); got != "v2true <nil>" && got != "[v2]" {
				t.Errorf("value %v", got)
			}
		})
	}
}

func TestR26UnknownFieldsSurvive(t *testing.T) {
	type v1 struct {
		Name string `cbor:"name"`
	}
	type v2 struct {
		Name  string `cbor:"name"`
		Color string `cbor:"color"`
	}
	newer, older, again := newDoc(t, 1), newDoc(t, 2), newDoc(t, 3)
	wr, wm := rooted(t, newer, crdt.NewRegister[v2]), must1(crdt.NewMap[string, v2](newer, "m"))
	wv := must1(crdt.NewMVRegister[v2](newer, "v"))
	transact(t, newer, func(tx runtime.Tx) error {
		v := v2{"a", "blue"}
		return errors.Join(wr.Set(tx, v), wv.Set(tx, v), wm.Set(tx, "k", v))
	})
	or, om := rooted(t, older, crdt.NewRegister[v1]), must1(crdt.NewMap[string, v1](older, "m"))
	ov := must1(crdt.NewMVRegister[v1](older, "v"))
	if err := older.Load(must1(newer.Save())); err != nil {
		t.Fatal(err)
	}
	transact(t, older, func(tx runtime.Tx) error {
		r, _, err1 := or.Get(tx)
		m, _, err2 := om.Get(tx, "k")
		v, err3 := ov.Values(tx)
		if want := (v1{"a"}); r != want || m != want || v[0] != want {
			t.Errorf("read %v, %v and %v", r, m, v)
		}
		return errors.Join(err1, err2, err3, om.Set(tx, "other", v1{"b"}))
	})
	if err := again.Load(must1(older.Save(runtime.Compressed(1)))); err != nil {
		t.Fatal(err)
	}
	rr, rm := rooted(t, again, crdt.NewRegister[v2]), must1(crdt.NewMap[string, v2](again, "m"))
	err := again.View(func(tx runtime.Tx) error {
		r, _, err1 := rr.Get(tx)
		m, _, err2 := rm.Get(tx, "k")
		if want := (v2{"a", "blue"}); r != want || m != want {
			t.Errorf("read %v and %v", r, m)
		}
		return errors.Join(err1, err2)
	})
	if err != nil {
		t.Error(err)
	}
}

func must1[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestR27TwoWritesInOneTransaction(t *testing.T) {
	a, b, c := newValueDoc(t, 9), newValueDoc(t, 2), newValueDoc(t, 3)
	message := a.edit(func(tx runtime.Tx) error {
		return errors.Join(
			a.r.Set(tx, "first"), a.mv.Set(tx, "first"), a.m.Set(tx, "k", "first"), a.f.Enable(tx), a.dw.Enable(tx), a.s.Add(tx, "e"),
			a.r.Set(tx, "second"), a.mv.Set(tx, "second"), a.m.Set(tx, "k", "second"), a.f.Disable(tx), a.dw.Disable(tx), a.s.Remove(tx, "e"))
	})
	b.receive(message)
	c.receive(a.state())
	agree(a, b, c)
	for _, d := range []*valueDoc{a, b, c} {
		d.want("values", fmt.Sprint(d.rt.Export()), `map[the flag-dw:false the map:map[k:second] the mvregister:[second] the register:second]`)
	}
}

func TestR29CounterReset(t *testing.T) {
	a, b, c := newValueDoc(t, 1), newValueDoc(t, 2), newValueDoc(t, 3)
	add := func(n int64) func(*valueDoc, runtime.Tx) error {
		return func(d *valueDoc, tx runtime.Tx) error { return d.c.Add(tx, n) }
	}
	reset := func(d *valueDoc, tx runtime.Tx) error { return d.c.Reset(tx) }
	for range 2 { // the second time round, on top of the first
		first := a.do(add(1))
		b.receive(first)
		gone := b.do(reset)
		more := a.do(add(2))
		c.receive(first, more, gone)
		a.receive(gone)
		b.receive(more)
		agree(a, b, c)
		for _, d := range []*valueDoc{a, b, c} {
			d.want("value", d.read(func(tx runtime.Tx) any { return got(d.c.Value(tx)) }), int64(2))
		}
		last := a.do(reset)
		b.receive(last)
		c.receive(last)
	}
}

// TestConcurrentResetsOfNothing is what random runs found: a reset whose sum is 0 still takes away what another reset saw
// in part.
func TestConcurrentResetsOfNothing(t *testing.T) {
	a, b := newValueDoc(t, 1), newValueDoc(t, 2)
	add := func(n int64) func(*valueDoc, runtime.Tx) error {
		return func(d *valueDoc, tx runtime.Tx) error { return d.c.Add(tx, n) }
	}
	reset := func(d *valueDoc, tx runtime.Tx) error { return d.c.Reset(tx) }
	b.receive(a.do(add(1)))
	theirs := b.do(reset)
	minus, ours := a.do(add(-1)), a.do(reset)
	a.receive(theirs)
	b.receive(minus, ours)
	agree(a, b)
	a.want("value", a.read(func(tx runtime.Tx) any { return got(a.c.Value(tx)) }), int64(0))
}

func TestConcurrentWritesAndErases(t *testing.T) {
	want := map[string]any{
		"counter": int64(5), "register": "v2true <nil>", "mvregister": []string{"v2"}, "flag": true, "flag-dw": false,
		"set": true, "map": "v2true <nil>",
	}
	want["counter"] = int64(-2)
	eachValueType(t, func(t *testing.T, k valueCase) {
		a, b := newValueDoc(t, 1), newValueDoc(t, 2)
		b.receive(a.do(k.write))
		write, erase := a.do(k.again), b.do(k.erase)
		a.receive(erase)
		b.receive(write)
		agree(a, b)
		a.want("value", a.valueOf(k), want[k.kind])
	})
}
