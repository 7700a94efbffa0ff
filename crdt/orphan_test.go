package crdt_test

import (
	"io"
	"testing"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/runtime"
)

// TestOrphans has an object that a replica cannot understand any more make a child, others edit that child, and the object
// go: nothing stays of the child, whether its edits came before the deletion or after it, or in one transaction with it.
func TestOrphans(t *testing.T) {
	// make has a container of kind objectmap make a child, and returns it.
	child := func(tx runtime.Tx, m *runtime.Node, kind string) *runtime.Node {
		w, err := tx.Begin(m)
		if err != nil {
			t.Fatal(err)
		}
		dot := w.Dot()
		w.Byte(1)
		w.Kind(kind)
		w.Bytes([]byte{0x61, 'k'})
		w.Uvarint(0)
		if err := w.Apply(1); err != nil {
			t.Fatal(err)
		}
		var n *runtime.Node
		m.Object().(runtime.Container).Children(func(c *runtime.Node) bool {
			if d, _ := c.Dot(); d == dot {
				n = c
			}
			return n == nil
		})
		return n
	}
	a := openKinds(t, newerMap())
	root, err := a.Root("m", "objectmap")
	if err != nil {
		t.Fatal(err)
	}
	var inner, text *runtime.Node
	insert := func(tx runtime.Tx) error {
		var x crdt.Text
		x.Bind(text)
		return x.Insert(tx, 0, "x")
	}
	first := [][]byte{
		commitTx(t, a, func(tx runtime.Tx) error { inner = child(tx, root, "objectmap"); return nil }),
		commitTx(t, a, func(tx runtime.Tx) error {
			w, err := tx.Begin(inner)
			if err != nil {
				return err
			}
			w.Byte(99)
			return w.Apply(1)
		}),
		commitTx(t, a, func(tx runtime.Tx) error { text = child(tx, inner, "text"); return nil }),
	}
	b := openKinds(t, crdt.Kinds()) // deletes meanwhile
	feed(t, b, first[0])
	edit := commitTx(t, a, insert)
	remove := func(rt *runtime.Runtime) []byte {
		m := mustRoot[crdt.ObjectMap[string, crdt.ObjectMap[string, crdt.Text]]](t, rt, "m")
		return commitTx(t, rt, func(tx runtime.Tx) error { return m.Delete(tx, "k") })
	}
	deletion := remove(b)
	feed(t, a, deletion)

	afterwards, before, states := openKinds(t, crdt.Kinds()), openKinds(t, crdt.Kinds()), openKinds(t, crdt.Kinds())
	feed(t, afterwards, append(first, deletion, edit)...)
	feed(t, before, append(first, edit, deletion)...)
	feed(t, states, append(first, edit)...)
	feed(t, states, savedState(t, a))
	for _, rt := range []*runtime.Runtime{afterwards, before, states} {
		if err := rt.Check(); err != nil {
			t.Error(err)
		}
		sameDocs(t, a, rt)
	}

	// The replica that does not understand it deletes it itself, and after a transaction that failed.
	own := openKinds(t, crdt.Kinds())
	feed(t, own, append(first, edit)...)
	if err := own.Transact(func(tx runtime.Tx) error {
		m := mustRoot[crdt.ObjectMap[string, crdt.ObjectMap[string, crdt.Text]]](t, own, "m")
		if err := m.Delete(tx, "k"); err != nil {
			t.Fatal(err)
		}
		return io.EOF
	}); err != io.EOF {
		t.Fatal(err)
	}
	if err := own.Check(); err != nil {
		t.Error("rolled back: ", err)
	}
	m := remove(own)
	if err := own.Check(); err != nil {
		t.Error(err)
	}
	d := openKinds(t, newerMap())
	feed(t, d, append(first, edit, m)...)
	sameDocs(t, d, own)
}
