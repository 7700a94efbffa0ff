package crdt_test

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// valueDoc is a replica with one root of each value type.
// tester is what testing.TB and rapid.T have in common.
type tester interface {
	Helper()
	Error(...any)
	Errorf(string, ...any)
	Fatal(...any)
	Fatalf(string, ...any)
}

type valueDoc struct {
	tester
	rt   *runtime.Runtime
	c    crdt.Counter
	r    crdt.Register[string]
	mv   crdt.MVRegister[string]
	f    crdt.Flag
	dw   crdt.DisableWinsFlag
	s    crdt.Set[string]
	m    crdt.Map[string, string]
	last []byte // own last message
}

func newValueDoc(t tester, replica byte, more ...runtime.Kind) *valueDoc {
	t.Helper()
	rt, err := runtime.New(&runtime.Options{Kinds: append(crdt.Kinds(), more...), Replica: vclock.Replica{15: replica}})
	if err != nil {
		t.Fatal(err)
	}
	d := &valueDoc{tester: t, rt: rt}
	d.bind(&d.c, &d.r, &d.mv, &d.f, &d.dw, &d.s, &d.m)
	rt.OnUpdate(func(u runtime.Update) {
		if u.Local {
			d.last = u.Data
		}
	})
	return d
}

func (d *valueDoc) bind(handles ...crdt.Handle) {
	d.Helper()
	for _, h := range handles {
		n, err := d.rt.Root("the "+h.Kind(), h.Kind())
		if err != nil {
			d.Fatal(err)
		}
		h.Bind(n)
	}
}

// edit commits one transaction and returns its message.
func (d *valueDoc) edit(fn func(runtime.Tx) error) []byte {
	d.Helper()
	if err := d.rt.Transact(fn); err != nil {
		d.Fatal(err)
	}
	return d.last
}

func (d *valueDoc) receive(updates ...[]byte) {
	d.Helper()
	for _, u := range updates {
		if _, err := d.rt.Receive(u); err != nil {
			d.Fatal(err)
		}
	}
	if err := d.rt.Check(); err != nil {
		d.Fatal(err)
	}
}

func (d *valueDoc) state() []byte {
	d.Helper()
	b, err := d.rt.Save()
	if err != nil {
		d.Fatal(err)
	}
	return b
}

// read returns what fn returns under View.
func (d *valueDoc) read(fn func(runtime.Tx) any) any { return runtime.Read(d.rt, fn) }

func (d *valueDoc) want(what string, got, want any) {
	d.Helper()
	if !reflect.DeepEqual(got, want) {
		d.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// agree fails unless all replicas have the same clock, canonical bytes and export.
func agree(docs ...*valueDoc) {
	first := docs[0]
	first.Helper()
	for _, d := range docs[1:] {
		if !d.rt.Clock().Equal(first.rt.Clock()) {
			d.Errorf("clocks %v and %v", first.rt.Clock(), d.rt.Clock())
		}
		if !bytes.Equal(d.rt.Canonical(), first.rt.Canonical()) {
			d.Errorf("canonical bytes differ: %v and %v", first.rt.Export(), d.rt.Export())
		}
		if d.rt.Digest() != first.rt.Digest() || !reflect.DeepEqual(d.rt.Export(), first.rt.Export()) {
			d.Errorf("exports %v and %v", first.rt.Export(), d.rt.Export())
		}
	}
}

// valueCase is one type in its simplest use.
type valueCase struct {
	kind         string
	write, erase func(*valueDoc, runtime.Tx) error
	again        func(*valueDoc, runtime.Tx) error // another write
	value        func(*valueDoc, runtime.Tx) any
	none         any // value at the beginning, and after erase
}

var valueCases = []valueCase{
	{
		kind:  "counter",
		write: func(d *valueDoc, tx runtime.Tx) error { return d.c.Add(tx, 5) },
		again: func(d *valueDoc, tx runtime.Tx) error { return d.c.Add(tx, -2) },
		erase: func(d *valueDoc, tx runtime.Tx) error { return d.c.Reset(tx) },
		value: func(d *valueDoc, tx runtime.Tx) any { return got(d.c.Value(tx)) },
		none:  int64(0),
	}, {
		kind:  "register",
		write: func(d *valueDoc, tx runtime.Tx) error { return d.r.Set(tx, "v1") },
		again: func(d *valueDoc, tx runtime.Tx) error { return d.r.Set(tx, "v2") },
		erase: func(d *valueDoc, tx runtime.Tx) error { return d.r.Clear(tx) },
		value: func(d *valueDoc, tx runtime.Tx) any {
			v, ok, err := d.r.Get(tx)
			return fmt.Sprint(v, ok, err)
		},
		none: "false <nil>",
	}, {
		kind:  "mvregister",
		write: func(d *valueDoc, tx runtime.Tx) error { return d.mv.Set(tx, "v1") },
		again: func(d *valueDoc, tx runtime.Tx) error { return d.mv.Set(tx, "v2") },
		erase: func(d *valueDoc, tx runtime.Tx) error { return d.mv.Clear(tx) },
		value: func(d *valueDoc, tx runtime.Tx) any { return got(d.mv.Values(tx)) },
		none:  []string(nil),
	}, {
		kind:  "flag",
		write: func(d *valueDoc, tx runtime.Tx) error { return d.f.Enable(tx) },
		again: func(d *valueDoc, tx runtime.Tx) error { return d.f.Enable(tx) },
		erase: func(d *valueDoc, tx runtime.Tx) error { return d.f.Disable(tx) },
		value: func(d *valueDoc, tx runtime.Tx) any { return d.f.Value(tx) },
		none:  false,
	}, {
		kind:  "flag-dw",
		write: func(d *valueDoc, tx runtime.Tx) error { return d.dw.Enable(tx) },
		again: func(d *valueDoc, tx runtime.Tx) error { return d.dw.Enable(tx) },
		erase: func(d *valueDoc, tx runtime.Tx) error { return d.dw.Disable(tx) },
		value: func(d *valueDoc, tx runtime.Tx) any { return d.dw.Value(tx) },
		none:  false,
	}, {
		kind:  "set",
		write: func(d *valueDoc, tx runtime.Tx) error { return d.s.Add(tx, "e") },
		again: func(d *valueDoc, tx runtime.Tx) error { return d.s.Add(tx, "e") },
		erase: func(d *valueDoc, tx runtime.Tx) error { return d.s.Remove(tx, "e") },
		value: func(d *valueDoc, tx runtime.Tx) any { return d.s.Has(tx, "e") },
		none:  false,
	}, {
		kind:  "map",
		write: func(d *valueDoc, tx runtime.Tx) error { return d.m.Set(tx, "k", "v1") },
		again: func(d *valueDoc, tx runtime.Tx) error { return d.m.Set(tx, "k", "v2") },
		erase: func(d *valueDoc, tx runtime.Tx) error { return d.m.Delete(tx, "k") },
		value: func(d *valueDoc, tx runtime.Tx) any {
			v, ok, err := d.m.Get(tx, "k")
			return fmt.Sprint(v, ok, err)
		},
		none: "false <nil>",
	},
}

func got[T any](v T, err error) any {
	if err != nil {
		return err
	}
	return v
}

func (d *valueDoc) valueOf(c valueCase) any {
	return d.read(func(tx runtime.Tx) any { return c.value(d, tx) })
}

func (d *valueDoc) do(op func(*valueDoc, runtime.Tx) error) []byte {
	d.Helper()
	return d.edit(func(tx runtime.Tx) error { return op(d, tx) })
}

// forged is an object that writes any payload and any state under the name of a kind.
type forged struct {
	runtime.Journal
	state func(*runtime.StateWriter)
}

func (*forged) Apply(op *runtime.Op) error          { op.Rest(); return nil }
func (f *forged) Empty() bool                       { return f.state == nil }
func (f *forged) Save(w *runtime.StateWriter)       { f.state(w) }
func (*forged) Dots(func(runtime.LocalDot, uint64)) {}
func (*forged) Merge(r *runtime.StateReader) error  { r.Rest(); return nil }
func (*forged) Commit(*runtime.Commit)              {}
func (*forged) Export(*runtime.Exporter) any        { return nil }
func (*forged) Check() error                        { return nil }
func forgedKind(kind string) (k runtime.Kind)       { return runtime.Kind{Name: kind, New: newForged} }
func newForged(*runtime.Node) runtime.Object        { return &forged{} }
func (f *forged) with(s func(*runtime.StateWriter)) { f.state = s }

// forger is a replica that knows one kind, as forged.
type forger struct {
	tester
	rt *runtime.Runtime
	n  *runtime.Node
}

func newForger(t tester, replica byte, kind string) *forger {
	t.Helper()
	rt, err := runtime.New(&runtime.Options{Kinds: []runtime.Kind{forgedKind(kind)}, Replica: vclock.Replica{15: replica}})
	if err != nil {
		t.Fatal(err)
	}
	n, err := rt.Root("the "+kind, kind)
	if err != nil {
		t.Fatal(err)
	}
	return &forger{t, rt, n}
}

// op returns the message of an operation of this many dots whose payload write writes.
func (f *forger) op(dots int, write func(*runtime.OpWriter)) []byte {
	f.Helper()
	var data []byte
	stop := f.rt.OnUpdate(func(u runtime.Update) { data = u.Data })
	defer stop()
	err := f.rt.Transact(func(tx runtime.Tx) error {
		w, err := tx.Begin(f.n)
		if err != nil {
			return err
		}
		write(w)
		w.Commit(dots)
		return nil
	})
	if err != nil {
		f.Fatal(err)
	}
	return data
}

// section returns a saved state whose object has this section.
func (f *forger) section(write func(*runtime.StateWriter)) []byte {
	f.Helper()
	f.n.Object().(*forged).with(write)
	b, err := f.rt.Save()
	if err != nil {
		f.Fatal(err)
	}
	return b
}

// faultKind is a kind whose operations fail while *broken is set.
func faultKind(broken *bool) runtime.Kind {
	return runtime.Kind{Name: "test.fault", New: func(*runtime.Node) runtime.Object { return &faulty{broken: broken} }}
}

var errFault = errors.New("a fault for the test")

type faulty struct {
	forged
	broken *bool
}

func (f *faulty) Apply(op *runtime.Op) error {
	if *f.broken {
		return errFault
	}
	return f.forged.Apply(op)
}

func (f *faulty) Rollback() {}
