package crdt_test

import (
	"bytes"
	stdflag "flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/runtime"
)

var update = stdflag.Bool("update", false, "write the golden files in testdata anew")

// tap sees what objects of one replica are given and what they save: payloads of operations, sections of states.
type tap struct {
	ops   map[string][]tappedOp // by kind
	saved map[string][]byte
}

type tappedOp struct {
	payload []byte
	dots    int
}

// kinds returns the kinds of the package, tapped. Handles do not work with them: they are for replicas that receive.
func (t *tap) kinds() []runtime.Kind {
	t.ops, t.saved = make(map[string][]tappedOp), make(map[string][]byte)
	kinds := crdt.Kinds()
	for i, k := range kinds {
		kinds[i].New = func(n *runtime.Node) runtime.Object { return tapped{k.New(n), t, k.Name} }
	}
	return kinds
}

type tapped struct {
	runtime.Object
	tap  *tap
	kind string
}

func (o tapped) Apply(op *runtime.Op) error {
	before := op.Reader
	o.tap.ops[o.kind] = append(o.tap.ops[o.kind], tappedOp{bytes.Clone(op.Rest()), op.Dots})
	op.Reader = before
	return o.Object.Apply(op)
}

func (o tapped) Save(w *runtime.StateWriter) {
	from := 0
	w.Append(func(dst []byte, _ func(runtime.Rep) int) []byte { from = len(dst); return dst })
	o.Object.Save(w)
	w.Append(func(dst []byte, _ func(runtime.Rep) int) []byte {
		o.tap.saved[o.kind] = bytes.Clone(dst[from:])
		return dst
	})
}

func (o tapped) Children(yield func(*runtime.Node) bool) {
	if c, ok := o.Object.(runtime.Container); ok {
		c.Children(yield)
	}
}

// goldenPair is two replicas, a and b, and a third that takes what both do and sees it.
type goldenPair struct {
	t    *testing.T
	tap  tap
	docs [2]*runtime.Runtime
	seen *runtime.Runtime
	sent [2][][]byte
	what []string // of each operation, for people
}

const (
	goldenA = iota
	goldenB
)

func newGoldenPair(t *testing.T) *goldenPair {
	p := &goldenPair{t: t}
	open := func(id byte, kinds []runtime.Kind) *runtime.Runtime {
		rt, err := runtime.New(&runtime.Options{Replica: uuid.UUID{id, 6: 0x40, 8: 0x80, 15: id}, Kinds: kinds})
		if err != nil {
			t.Fatal(err)
		}
		return rt
	}
	p.seen = open(0xcc, p.tap.kinds())
	for i, id := range []byte{0xaa, 0xbb} {
		p.docs[i] = open(id, crdt.Kinds())
		p.docs[i].OnUpdate(func(u runtime.Update) {
			if u.Local {
				p.sent[i] = append(p.sent[i], u.Data)
				if _, err := p.seen.Receive(u.Data); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
	return p
}

// edit makes one operation at a replica.
func (p *goldenPair) edit(i int, what string, fn func(tx runtime.Tx) error) {
	p.t.Helper()
	if err := p.docs[i].Transact(fn); err != nil {
		p.t.Fatalf("%s: %v", what, err)
	}
	p.what = append(p.what, fmt.Sprintf("%c: %s", "AB"[i], what))
}

// meet gives each of the two what the other has done.
func (p *goldenPair) meet() {
	p.t.Helper()
	for i := range p.docs {
		for _, m := range p.sent[1-i] {
			if _, err := p.docs[i].Receive(m); err != nil {
				p.t.Fatal(err)
			}
		}
	}
}

// finish compares the golden file of a kind with the operations and the state that the third replica has seen.
func (p *goldenPair) finish(kind string) {
	p.t.Helper()
	p.meet()
	_ = p.seen.Canonical()
	if p.docs[0].Digest() != p.docs[1].Digest() || p.docs[0].Digest() != p.seen.Digest() {
		p.t.Fatal("the replicas differ")
	}
	ops := p.tap.ops[kind]
	if len(ops) != len(p.what) {
		p.t.Fatalf("%d operations, %d names", len(ops), len(p.what))
	}
	var out strings.Builder
	fmt.Fprintf(&out, "Operations and state of the kind %q, format version 1.\n", kind)
	for i, op := range ops {
		plural := "s"
		if op.dots == 1 {
			plural = ""
		}
		fmt.Fprintf(&out, "\n%s (%d dot%s)\n\n", p.what[i], op.dots, plural)
		d := &dumper{t: p.t, data: op.payload, out: &out, own: true, dots: op.dots}
		d.operation(kind)
		d.end()
	}
	fmt.Fprintf(&out, "\nstate\n\n")
	d := &dumper{t: p.t, data: p.tap.saved[kind], out: &out}
	d.state(kind)
	d.end()
	golden(p.t, kind, out.String())
}

func golden(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name+".txt")
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if w := strings.ReplaceAll(string(want), "\r\n", "\n"); w != text {
		t.Errorf("%s: the bytes of format version 1 changed. If that is meant (it cannot be once version 1 is frozen), run with -update. Now:\n%s", path, text)
	}
}

func TestGoldenCounter(t *testing.T) {
	p := newGoldenPair(t)
	a, b := goldenRoots(t, p, crdt.NewCounter)
	p.edit(goldenA, "Add(5)", func(tx runtime.Tx) error { return a.Add(tx, 5) })
	p.edit(goldenB, "Add(-2)", func(tx runtime.Tx) error { return b.Add(tx, -2) })
	p.meet()
	p.edit(goldenA, "Reset()", func(tx runtime.Tx) error { return a.Reset(tx) })
	p.edit(goldenB, "Add(7), concurrent", func(tx runtime.Tx) error { return b.Add(tx, 7) })
	p.finish("counter")
}

func goldenRoots[H any](t *testing.T, p *goldenPair, open func(*runtime.Runtime, string) (H, error)) (a, b H) {
	t.Helper()
	a, err := open(p.docs[0], "x")
	if err != nil {
		t.Fatal(err)
	}
	if b, err = open(p.docs[1], "x"); err != nil {
		t.Fatal(err)
	}
	return a, b
}

func TestGoldenRegister(t *testing.T) {
	p := newGoldenPair(t)
	a, b := goldenRoots(t, p, crdt.NewRegister[string])
	p.edit(goldenA, `Set("x")`, func(tx runtime.Tx) error { return a.Set(tx, "x") })
	p.edit(goldenA, `Set("y")`, func(tx runtime.Tx) error { return a.Set(tx, "y") })
	p.edit(goldenB, `Set("z"), concurrent`, func(tx runtime.Tx) error { return b.Set(tx, "z") })
	p.meet()
	p.edit(goldenB, `Set("w")`, func(tx runtime.Tx) error { return b.Set(tx, "w") })
	p.edit(goldenB, `Clear()`, func(tx runtime.Tx) error { return b.Clear(tx) })
	p.edit(goldenB, `Set("v")`, func(tx runtime.Tx) error { return b.Set(tx, "v") })
	p.edit(goldenA, `Clear(), concurrent`, func(tx runtime.Tx) error { return a.Clear(tx) })
	p.edit(goldenA, `Set("u"), concurrent`, func(tx runtime.Tx) error { return a.Set(tx, "u") })
	p.finish("register")
}

func TestGoldenMVRegister(t *testing.T) {
	p := newGoldenPair(t)
	a, b := goldenRoots(t, p, crdt.NewMVRegister[int])
	p.edit(goldenA, `Set(1)`, func(tx runtime.Tx) error { return a.Set(tx, 1) })
	p.edit(goldenB, `Set(1000), concurrent`, func(tx runtime.Tx) error { return b.Set(tx, 1000) })
	p.finish("mvregister")
}

func TestGoldenFlags(t *testing.T) {
	p := newGoldenPair(t)
	a, b := goldenRoots(t, p, crdt.NewFlag)
	p.edit(goldenA, `Enable()`, func(tx runtime.Tx) error { return a.Enable(tx) })
	p.edit(goldenA, `Disable()`, func(tx runtime.Tx) error { return a.Disable(tx) })
	p.edit(goldenB, `Enable(), concurrent`, func(tx runtime.Tx) error { return b.Enable(tx) })
	p.finish("flag")

	p = newGoldenPair(t)
	c, d := goldenRoots(t, p, crdt.NewDisableWinsFlag)
	p.edit(goldenA, `Disable()`, func(tx runtime.Tx) error { return c.Disable(tx) })
	p.edit(goldenB, `Enable(), concurrent`, func(tx runtime.Tx) error { return d.Enable(tx) })
	p.finish("flag-dw")
}

func TestGoldenSet(t *testing.T) {
	p := newGoldenPair(t)
	a, b := goldenRoots(t, p, crdt.NewSet[string])
	p.edit(goldenA, `Add("one")`, func(tx runtime.Tx) error { return a.Add(tx, "one") })
	p.edit(goldenA, `Add("one")`, func(tx runtime.Tx) error { return a.Add(tx, "one") })
	p.edit(goldenA, `Add("two")`, func(tx runtime.Tx) error { return a.Add(tx, "two") })
	p.edit(goldenA, `Add("six")`, func(tx runtime.Tx) error { return a.Add(tx, "six") })
	p.meet()
	p.edit(goldenB, `Remove("two")`, func(tx runtime.Tx) error { return b.Remove(tx, "two") })
	p.edit(goldenB, `Clear()`, func(tx runtime.Tx) error { return b.Clear(tx) })
	p.edit(goldenB, `Add("onto")`, func(tx runtime.Tx) error { return b.Add(tx, "onto") })
	p.edit(goldenA, `Add("once"), concurrent`, func(tx runtime.Tx) error { return a.Add(tx, "once") })
	p.finish("set")
}

func TestGoldenMap(t *testing.T) {
	p := newGoldenPair(t)
	a, b := goldenRoots(t, p, crdt.NewMap[string, int])
	p.edit(goldenA, `Set("k", 1)`, func(tx runtime.Tx) error { return a.Set(tx, "k", 1) })
	p.edit(goldenA, `Set("k", 2)`, func(tx runtime.Tx) error { return a.Set(tx, "k", 2) })
	p.edit(goldenB, `Set("k", 3), concurrent`, func(tx runtime.Tx) error { return b.Set(tx, "k", 3) })
	p.meet()
	p.edit(goldenB, `Set("k", 4)`, func(tx runtime.Tx) error { return b.Set(tx, "k", 4) })
	p.edit(goldenB, `Delete("k")`, func(tx runtime.Tx) error { return b.Delete(tx, "k") })
	p.edit(goldenB, `Set("k", 5)`, func(tx runtime.Tx) error { return b.Set(tx, "k", 5) })
	p.edit(goldenA, `Set("k", 6), concurrent`, func(tx runtime.Tx) error { return a.Set(tx, "k", 6) })
	p.edit(goldenA, `Set("key", -1)`, func(tx runtime.Tx) error { return a.Set(tx, "key", -1) })
	p.finish("map")
}

func TestGoldenObjectMap(t *testing.T) {
	p := newGoldenPair(t)
	a, b := goldenRoots(t, p, crdt.NewObjectMap[string, crdt.Counter])
	p.edit(goldenA, `Set("k")`, func(tx runtime.Tx) error { _, err := a.Set(tx, "k", nil); return err })
	p.edit(goldenA, `Set("k")`, func(tx runtime.Tx) error { _, err := a.Set(tx, "k", nil); return err })
	p.edit(goldenA, `Delete("k")`, func(tx runtime.Tx) error { return a.Delete(tx, "k") })
	p.edit(goldenA, `Create("k", 7)`, func(tx runtime.Tx) error { _, err := a.Create(tx, "k", 7, nil); return err })
	p.edit(goldenA, `Set("l")`, func(tx runtime.Tx) error { _, err := a.Set(tx, "l", nil); return err })
	p.edit(goldenA, `Set("m")`, func(tx runtime.Tx) error { _, err := a.Set(tx, "m", nil); return err })
	p.edit(goldenB, `Set("n"), concurrent`, func(tx runtime.Tx) error { _, err := b.Set(tx, "n", nil); return err })
	p.edit(goldenB, `Clear()`, func(tx runtime.Tx) error { return b.Clear(tx) })
	p.edit(goldenB, `Set("o")`, func(tx runtime.Tx) error { _, err := b.Set(tx, "o", nil); return err })
	p.finish("objectmap")
}

func TestGoldenObjectSet(t *testing.T) {
	p := newGoldenPair(t)
	a, b := goldenRoots(t, p, crdt.NewObjectSet[crdt.Text])
	p.edit(goldenA, `Add()`, func(tx runtime.Tx) error { _, err := a.Add(tx, nil); return err })
	var first *crdt.Text
	p.edit(goldenA, `Add()`, func(tx runtime.Tx) (err error) { first, err = a.Add(tx, nil); return err })
	p.edit(goldenA, `Add()`, func(tx runtime.Tx) error { _, err := a.Add(tx, nil); return err })
	p.edit(goldenA, `Remove(the second)`, func(tx runtime.Tx) error { return a.Remove(tx, first) })
	p.edit(goldenB, `Create("me"), concurrent`, func(tx runtime.Tx) error { _, err := b.Create(tx, "me", nil); return err })
	p.finish("objectset")
}

func TestGoldenText(t *testing.T) {
	p := newGoldenPair(t)
	a, b := goldenRoots(t, p, crdt.NewText)
	insert := func(h crdt.Text, i int, s string) func(runtime.Tx) error {
		return func(tx runtime.Tx) error { return h.Insert(tx, i, s) }
	}
	remove := func(h crdt.Text, i, n int) func(runtime.Tx) error {
		return func(tx runtime.Tx) error { return h.Delete(tx, i, n) }
	}
	p.edit(goldenA, `Insert(0, "abc")`, insert(a, 0, "abc"))
	p.edit(goldenA, `Insert(3, "d")`, insert(a, 3, "d"))
	p.edit(goldenA, `Insert(1, "X")`, insert(a, 1, "X"))
	p.edit(goldenA, `Insert(5, "Y")`, insert(a, 5, "Y"))
	p.meet()
	p.edit(goldenB, `Insert(6, "é")`, insert(b, 6, "é"))
	p.edit(goldenB, `Delete(6, 1)`, remove(b, 6, 1))
	p.edit(goldenB, `Insert(2, "mn")`, insert(b, 2, "mn"))
	p.edit(goldenB, `Insert(4, "o")`, insert(b, 4, "o"))
	p.edit(goldenB, `Delete(2, 2)`, remove(b, 2, 2))
	p.edit(goldenB, `Delete(2, 1)`, remove(b, 2, 1))
	p.edit(goldenB, `Delete(1, 3)`, remove(b, 1, 3))
	p.edit(goldenA, `Insert(0, "Z"), concurrent`, insert(a, 0, "Z"))
	p.finish("text")
}

func TestGoldenTextDelta(t *testing.T) {
	p := newGoldenPair(t)
	a, b := goldenRoots(t, p, crdt.NewText)
	p.edit(goldenA, `Insert(0, "abcd")`, func(tx runtime.Tx) error { return a.Insert(tx, 0, "abcd") })
	p.meet()
	base := p.seen.Clock()
	p.edit(goldenA, `Insert(4, "ef")`, func(tx runtime.Tx) error { return a.Insert(tx, 4, "ef") })
	p.edit(goldenA, `Delete(4, 1)`, func(tx runtime.Tx) error { return a.Delete(tx, 4, 1) })
	p.edit(goldenB, `Insert(1, "X"), concurrent`, func(tx runtime.Tx) error { return b.Insert(tx, 1, "X") })
	if _, err := p.seen.SaveSince(base); err != nil {
		t.Fatal(err)
	}
	out := strings.Builder{}
	fmt.Fprintf(&out, "The delta of a text \"abcd\", all of A, against a base that holds it.\n\n%s\n\ndelta\n\n", strings.Join(p.what[1:], "\n"))
	d := &dumper{t: t, data: p.tap.saved["text"], out: &out}
	d.sequenceDelta()
	d.end()
	golden(t, "text_delta", out.String())
}

func TestGoldenList(t *testing.T) {
	p := newGoldenPair(t)
	a, b := goldenRoots(t, p, crdt.NewList[string])
	p.edit(goldenA, `Insert(0, "a", "b", "c")`, func(tx runtime.Tx) error { return a.Insert(tx, 0, "a", "b", "c") })
	p.edit(goldenA, `Set(2, "C")`, func(tx runtime.Tx) error { return a.Set(tx, 2, "C") })
	p.meet()
	p.edit(goldenB, `Set(1, "B")`, func(tx runtime.Tx) error { return b.Set(tx, 1, "B") })
	p.edit(goldenB, `MoveRange(0, 2, 3)`, func(tx runtime.Tx) error { return b.MoveRange(tx, 0, 2, 3) })
	p.edit(goldenB, `Insert(0, "d")`, func(tx runtime.Tx) error { return b.Insert(tx, 0, "d") })
	p.edit(goldenA, `Delete(0, 1), concurrent`, func(tx runtime.Tx) error { return a.Delete(tx, 0, 1) })
	p.finish("list")
}

func TestGoldenObjectList(t *testing.T) {
	p := newGoldenPair(t)
	a, b := goldenRoots(t, p, crdt.NewObjectList[crdt.Text])
	p.edit(goldenA, `InsertN(0, 4)`, func(tx runtime.Tx) error { _, err := a.InsertN(tx, 0, 4); return err })
	var second *crdt.Text
	p.edit(goldenA, `Archive(1, 2)`, func(tx runtime.Tx) (err error) {
		if second, err = a.Get(tx, 1); err != nil {
			return err
		}
		return a.Archive(tx, 1, 2)
	})
	p.edit(goldenA, `Restore(the second)`, func(tx runtime.Tx) error { return a.Restore(tx, second) })
	p.edit(goldenA, `Archive(1, 1)`, func(tx runtime.Tx) error { return a.Archive(tx, 1, 1) })
	p.edit(goldenA, `Restore(the second)`, func(tx runtime.Tx) error { return a.Restore(tx, second) })
	p.meet()
	p.edit(goldenB, `Move(2, 0)`, func(tx runtime.Tx) error { return b.Move(tx, 2, 0) })
	p.edit(goldenB, `Delete(2, 1)`, func(tx runtime.Tx) error { return b.Delete(tx, 2, 1) })
	p.edit(goldenB, `Create(1, "todo")`, func(tx runtime.Tx) error { _, err := b.Create(tx, 1, "todo", nil); return err })
	p.finish("objectlist")
}

// Objects that only name others take no operation and have no state.
func TestGoldenNothing(t *testing.T) {
	p := newGoldenPair(t)
	a, err := crdt.NewRecord(p.docs[0], "record")
	if err != nil {
		t.Fatal(err)
	}
	b, err := crdt.NewLazyMap[string, crdt.Counter](p.docs[0], "lazymap")
	if err != nil {
		t.Fatal(err)
	}
	err = p.docs[0].Transact(func(tx runtime.Tx) error {
		c, err := b.At(tx, "k")
		if err != nil {
			return err
		}
		var title crdt.Text
		if err := a.Field("title", &title); err != nil {
			return err
		}
		if err := title.Insert(tx, 0, "t"); err != nil {
			return err
		}
		return c.Add(tx, 1)
	})
	if err != nil {
		t.Fatal(err)
	}
	_ = p.seen.Canonical()
	for _, kind := range []string{"record", "lazymap"} {
		if len(p.tap.ops[kind]) > 0 || len(p.tap.saved[kind]) > 0 {
			t.Errorf("%s: operations %v, state %x", kind, p.tap.ops[kind], p.tap.saved[kind])
		}
	}
}
