package crdt_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/seed1312cc15/weft/runtime"
)

var valueKindNames = []string{"counter", "register", "mvregister", "flag", "flag-dw", "set", "map"}

// TestNonsenseTakesItsDotsAndDoesNothing: a payload of a known code that makes no sense leaves the value as it is on all
// replicas, is reported, and what its sender writes next counts.
func TestNonsenseTakesItsDotsAndDoesNothing(t *testing.T) {
	raw := func(b ...byte) func(*runtime.OpWriter) { return func(w *runtime.OpWriter) { w.Raw(b) } }
	payloads := map[string]map[string]func(*runtime.OpWriter){
		"counter": {
			"empty": raw(), "add without n": raw(1), "bytes behind": raw(1, 2, 0), "reset of nothing": raw(2, 0),
			"reset of an unknown replica": raw(2, 1, 9, 0, 0), "reset of the future": raw(2, 1, 0, 200, 1, 0),
		},
		"register": {
			"empty": raw(), "no value": raw(1), "two values": raw(1, 1, 1), "indefinite length": raw(1, 0x9f, 1, 0xff),
			"cut value": raw(1, 0x62, 'a'), "unknown replica": raw(2, 9, 0, 1), "erase without a dot": raw(4),
			"runs that overlap": raw(3, 2, 0, 0, 0, 1, 0, 0, 0, 1, 1), "run before the first dot": raw(5, 1, 0, 0, 0, 99),
			"count beyond the end": raw(3, 200, 1, 1),
		},
		"flag": {"a flag that is no bool": raw(1, 1), "null": raw(1, 0xf6)},
		"set": {
			"empty": raw(), "no element": raw(1), "a value": raw(1, 1, 1), "not canonical": raw(1, 0x18, 1), "NaN": raw(1, 0xf9, 0x7e, 0),
			"invalid UTF-8": raw(1, 0x61, 0xff), "clear without runs": raw(6), "clear with a key": raw(6, 0, 1),
			"map with keys out of order": raw(1, 0xa2, 2, 1, 1, 1),
		},
		"map": {"no value": raw(1, 1), "two values": raw(1, 1, 1, 1), "key not canonical": raw(1, 0x18, 1, 1), "cut": raw(2, 0)},
	}
	payloads["mvregister"], payloads["flag-dw"] = payloads["register"], payloads["flag"]
	eachValueType(t, func(t *testing.T, k valueCase) {
		for name, payload := range payloads[k.kind] {
			t.Run(name, func(t *testing.T) {
				a, b, f := newValueDoc(t, 1), newValueDoc(t, 2), newForger(t, 3, k.kind)
				a.do(k.write)
				was := a.valueOf(k)
				var problems []runtime.Problem
				a.rt.OnProblem(func(p runtime.Problem) { problems = append(problems, p) })
				message := f.op(1, payload)
				a.receive(message)
				a.want("value", a.valueOf(k), was)
				if len(problems) != 1 || !strings.Contains(problems[0].Object, k.kind) {
					t.Errorf("problems: %+v", problems)
				}
				b.receive(message, a.state())
				agree(a, b)
				b.receive(a.do(k.again))
				agree(a, b)
			})
		}
	})
}

func TestOperationOfSeveralDots(t *testing.T) {
	for kind, payload := range map[string][]byte{
		"counter": {1, 2}, "register": {1, 1}, "mvregister": {1, 1}, "flag": {1, 0xf5}, "flag-dw": {1, 0xf5}, "set": {1, 1}, "map": {1, 1, 1},
	} {
		a, f := newValueDoc(t, 1), newForger(t, 3, kind)
		problem := error(nil)
		a.rt.OnProblem(func(p runtime.Problem) { problem = p.Err })
		a.receive(f.op(2, func(w *runtime.OpWriter) { w.Raw(payload) }))
		if !errors.Is(problem, runtime.ErrInvalidOp) || len(a.rt.Export()) != 0 {
			t.Errorf("%s: %v, %v", kind, problem, a.rt.Export())
		}
	}
}

func TestNewerOperationsMakeOpaque(t *testing.T) {
	eachValueType(t, func(t *testing.T, k valueCase) {
		a, b, f := newValueDoc(t, 1), newValueDoc(t, 2), newForger(t, 3, k.kind)
		b.receive(a.do(k.write))
		was := a.valueOf(k)
		newer := f.op(3, func(w *runtime.OpWriter) { w.Raw([]byte{200, 1, 2, 3}) })
		a.receive(newer)
		a.want("value", a.valueOf(k), was)
		if err := a.rt.Transact(func(tx runtime.Tx) error { return k.again(a, tx) }); !errors.Is(err, runtime.ErrOpaque) {
			t.Errorf("an edit: %v", err)
		}
		if len(a.rt.Opaque()) != 1 {
			t.Errorf("opaque: %v", a.rt.Opaque())
		}
		a.receive(b.do(k.again))
		b.receive(a.state())
		if len(b.rt.Opaque()) != 1 || !b.rt.Clock().Equal(a.rt.Clock()) {
			t.Errorf("opaque there: %v, clocks %v and %v", b.rt.Opaque(), a.rt.Clock(), b.rt.Clock())
		}
	})
}

// TestNewerOperationsAtTheFirstHop has whoever brings an operation that the kind does not know answer for it, in a message,
// one that waited, and a state: nothing becomes opaque, and its sender goes on.
func TestNewerOperationsAtTheFirstHop(t *testing.T) {
	eachValueType(t, func(t *testing.T, k valueCase) {
		a, b, f := newValueDoc(t, 1), newValueDoc(t, 2), newForger(t, 3, k.kind)
		b.receive(a.do(k.write))
		before := a.rt.Canonical()
		refused := func(what string, update []byte) {
			t.Helper()
			_, err := a.rt.Receive(update, runtime.FirstHop())
			if !errors.Is(err, runtime.ErrNewerOp) || errors.Is(err, runtime.ErrInternal) {
				t.Errorf("%s: %v", what, err)
			}
			if len(a.rt.Opaque()) != 0 || !bytes.Equal(a.rt.Canonical(), before) {
				t.Errorf("%s has changed something", what)
			}
			if err := a.rt.Check(); err != nil {
				t.Error(err)
			}
		}
		first := f.op(1, func(w *runtime.OpWriter) { w.Raw([]byte{200}) })
		second := f.op(3, func(w *runtime.OpWriter) { w.Raw([]byte{200, 1, 2, 3}) })
		refused("a message", first)
		b.receive(first)
		b.receive(second)
		refused("a state", b.state())

		var problem error
		a.rt.OnProblem(func(p runtime.Problem) { problem = p.Err })
		if res, err := a.rt.Receive(second, runtime.FirstHop()); err != nil || res.Waiting != 1 {
			t.Fatalf("%+v, %v", res, err)
		}
		a.receive(first) // by a way that is trusted
		if problem != nil || len(a.rt.Opaque()) != 1 {
			t.Errorf("opaque already: %v, %v", problem, a.rt.Opaque())
		}
		if a.rt.Waiting() != 0 || !a.rt.Clock().Equal(b.rt.Clock()) {
			t.Errorf("what waited for it: %v, %v", a.rt.Clock(), b.rt.Clock())
		}
	})
}

// TestOperationBytes pins the payloads: they are part of the format.
func TestOperationBytes(t *testing.T) {
	a, b := newValueDoc(t, 1), newValueDoc(t, 2)
	steps := []struct {
		doc  *valueDoc
		name string
		op   func(runtime.Tx) error
		want string // what the message ends with
	}{
		{a, "add", func(tx runtime.Tx) error { return a.c.Add(tx, 1) }, "0102"},
		{a, "add below zero", func(tx runtime.Tx) error { return a.c.Add(tx, -300) }, "01d704"},
		{a, "reset", func(tx runtime.Tx) error { return a.c.Reset(tx) }, "02010001d504"},
		{a, "write", func(tx runtime.Tx) error { return a.r.Set(tx, "v") }, "016176"},
		{a, "write over one", func(tx runtime.Tx) error { return a.r.Set(tx, "w") }, "0200016177"},
		{a, "erase one", func(tx runtime.Tx) error { return a.r.Clear(tx) }, "040001"},
		{a, "enable", func(tx runtime.Tx) error { return a.f.Enable(tx) }, "01f5"},
		{a, "disable", func(tx runtime.Tx) error { return a.f.Disable(tx) }, "040001"},
		{a, "disable, which wins", func(tx runtime.Tx) error { return a.dw.Disable(tx) }, "01f4"},
		{a, "add element", func(tx runtime.Tx) error { return a.s.Add(tx, "e") }, "016165"},
		{a, "remove element", func(tx runtime.Tx) error { return a.s.Remove(tx, "e") }, "0400016165"},
		{a, "set key", func(tx runtime.Tx) error { return a.m.Set(tx, "k", "") }, "01616b60"},
		{b, "concurrent", func(tx runtime.Tx) error { return b.m.Set(tx, "k", "") }, "01616b60"},
		{a, "write over many", func(tx runtime.Tx) error { return a.m.Set(tx, "k", "x") }, "03" + "02" + "010000" + "000100" + "616b6178"},
		{a, "delete key", func(tx runtime.Tx) error { return a.m.Delete(tx, "k") }, "040001616b"},
		{a, "set three", func(tx runtime.Tx) error {
			return errors.Join(a.m.Set(tx, "1", ""), a.m.Set(tx, "2", ""), a.r.Set(tx, ""), a.m.Set(tx, "3", ""))
		}, "01613360"},
		{a, "clear", func(tx runtime.Tx) error { return a.m.Clear(tx) }, "06" + "01" + "000101" + "0002"},
	}
	for _, s := range steps {
		m := s.doc.edit(s.op)
		if got := fmt.Sprintf("%x", m); !strings.HasSuffix(got, s.want) {
			t.Errorf("%s: message %s does not end with %s", s.name, got, s.want)
		}
		if s.doc == b {
			a.receive(m)
		}
	}
}

// TestForgedStates: a state whose section makes no sense is refused whole.
func TestForgedStates(t *testing.T) {
	entry := func(w *runtime.StateWriter, seq uint64) {
		w.Stamp(runtime.Stamp{Lamport: seq + 1, Dot: runtime.LocalDot{Rep: 0, Seq: seq}})
	}
	sections := map[string]map[string]func(w *runtime.StateWriter){
		"counter": {
			"empty row":       func(w *runtime.StateWriter) { w.Uvarint(uint64(w.Number(0)) << 2) },
			"unknown replica": func(w *runtime.StateWriter) { w.Uvarint(5<<2 | 1) },
			"future addition": func(w *runtime.StateWriter) { w.Number(0); w.Uvarint(1); w.Uvarint(99); w.Varint(1) },
			"future reset": func(w *runtime.StateWriter) {
				w.Number(0)
				w.Uvarint(2)
				w.Varint(-99)
				w.Varint(1)
				w.Dot(runtime.LocalDot{})
			},
			"cut": func(w *runtime.StateWriter) { w.Number(0); w.Uvarint(3); w.Uvarint(0) },
		},
		"register": {
			"no entries":      func(w *runtime.StateWriter) { w.Uvarint(0) },
			"too many":        func(w *runtime.StateWriter) { w.Uvarint(1000); entry(w, 0); w.Byte(1) },
			"future entry":    func(w *runtime.StateWriter) { w.Uvarint(1); entry(w, 99); w.Byte(1) },
			"bad value":       func(w *runtime.StateWriter) { w.Uvarint(1); entry(w, 0); w.Raw([]byte{0x62, 1}) },
			"out of order":    func(w *runtime.StateWriter) { w.Uvarint(2); entry(w, 1); w.Byte(1); entry(w, 0); w.Byte(1) },
			"one entry twice": func(w *runtime.StateWriter) { w.Uvarint(2); entry(w, 1); w.Byte(1); entry(w, 1); w.Byte(1) },
			"bytes behind":    func(w *runtime.StateWriter) { w.Uvarint(1); entry(w, 0); w.Raw([]byte{1, 1}) },
		},
		"flag": {"no bool": func(w *runtime.StateWriter) { w.Uvarint(1); entry(w, 0); w.Byte(1) }},
		"set": {
			"no keys":          func(w *runtime.StateWriter) { w.Uvarint(0) },
			"too many":         func(w *runtime.StateWriter) { w.Number(0); w.Uvarint(100); w.Raw([]byte{1, 1, 0, 0}) },
			"empty key":        func(w *runtime.StateWriter) { w.Number(0); w.Uvarint(1); w.Raw([]byte{0, 0, 0, 0}) },
			"shares too much":  func(w *runtime.StateWriter) { w.Number(0); w.Uvarint(1); w.Raw([]byte{0x11, 1, 0, 0}) },
			"not canonical":    func(w *runtime.StateWriter) { w.Number(0); w.Uvarint(1); w.Raw([]byte{2, 0x18, 1, 0, 0}) },
			"keys down":        func(w *runtime.StateWriter) { w.Number(0); w.Uvarint(2); w.Raw([]byte{1, 2, 0, 0, 1, 1, 0, 2}) },
			"one key twice":    func(w *runtime.StateWriter) { w.Number(0); w.Uvarint(2); w.Raw([]byte{1, 2, 0, 0, 1, 2, 0, 2}) },
			"future entry":     func(w *runtime.StateWriter) { w.Number(0); w.Uvarint(1); w.Raw([]byte{1, 2, 0, 40}) },
			"entry below zero": func(w *runtime.StateWriter) { w.Number(0); w.Uvarint(1); w.Raw([]byte{1, 2, 0, 1}) },
			"unknown replica":  func(w *runtime.StateWriter) { w.Number(0); w.Uvarint(1); w.Raw([]byte{1, 2, 8, 0}) },
			"lamport below 1":  func(w *runtime.StateWriter) { w.Number(0); w.Uvarint(1); w.Raw([]byte{1, 2, 2, 0, 1}) },
			"entries down":     func(w *runtime.StateWriter) { w.Number(0); w.Uvarint(1); w.Raw([]byte{1, 2, 1, 2, 0, 1}) },
			"cut after more":   func(w *runtime.StateWriter) { w.Number(0); w.Uvarint(1); w.Raw([]byte{1, 2, 1, 0}) },
			"long key cut":     func(w *runtime.StateWriter) { w.Number(0); w.Uvarint(1); w.Raw([]byte{15, 0x80, 0x80, 0x80, 0x10}) },
		},
		"map": {"no value": func(w *runtime.StateWriter) { w.Number(0); w.Uvarint(1); w.Raw([]byte{1, 2, 0, 0}) }},
	}
	sections["mvregister"], sections["flag-dw"] = sections["register"], sections["flag"]
	eachValueType(t, func(t *testing.T, k valueCase) {
		for name, write := range sections[k.kind] {
			t.Run(name, func(t *testing.T) {
				a, f := newValueDoc(t, 1), newForger(t, 3, k.kind)
				f.op(4, func(w *runtime.OpWriter) { w.Byte(1) })
				a.do(k.write)
				before := a.state()
				if err := a.rt.Load(f.section(write)); !errors.Is(err, runtime.ErrCorrupt) {
					t.Errorf("Load: %v", err)
				}
				if !bytes.Equal(before, a.state()) {
					t.Error("it changed something")
				}
			})
		}
	})
}

// forgery receives any payload and loads any section: nothing panics, half applies, or leaves an object that its Check
// does not accept or that does not load again as it was saved.
func forgery(t *rapid.T) {
	kind := rapid.SampledFrom(valueKindNames).Draw(t, "kind")
	a, f := newValueDoc(t, 1), newForger(t, 3, kind)
	for _, k := range valueCases {
		if k.kind == kind {
			a.do(k.write)
		}
	}
	if _, err := f.rt.Receive(a.state()); err != nil {
		t.Fatal(err)
	}
	some := rapid.SliceOfN(rapid.OneOf(rapid.Byte(), rapid.ByteRange(0, 6), rapid.SampledFrom([]byte{0x61, 'k', 0xf5, 0x18})), 0, 24)
	for range rapid.IntRange(1, 4).Draw(t, "operations") {
		payload := some.Draw(t, "payload")
		a.receive(f.op(rapid.IntRange(1, 2).Draw(t, "dots"), func(w *runtime.OpWriter) { w.Raw(payload) }))
	}
	section := some.Draw(t, "section")
	state := f.section(func(w *runtime.StateWriter) {
		for rep := range rapid.IntRange(0, 2).Draw(t, "replicas") {
			w.Number(runtime.Rep(rep))
		}
		w.Raw(section)
	})
	b := newValueDoc(t, 2)
	if len(a.rt.Opaque()) > 0 {
		return
	}
	for _, d := range []*valueDoc{a, b} {
		before := d.rt.Canonical()
		if err := d.rt.Load(state); err != nil && !bytes.Equal(before, d.rt.Canonical()) {
			t.Fatalf("Load: %v, and it changed something", err)
		}
		if err := d.rt.Check(); err != nil {
			t.Fatal(err)
		}
		again := newValueDoc(t, 4)
		again.receive(d.state())
		if !bytes.Equal(d.rt.Canonical(), again.rt.Canonical()) {
			t.Fatalf("it loads to %v, not %v", again.rt.Export(), d.rt.Export())
		}
	}
}

func TestForgery(t *testing.T) { rapid.Check(t, forgery) }

func FuzzForgery(f *testing.F) { f.Fuzz(rapid.MakeFuzz(forgery)) }
