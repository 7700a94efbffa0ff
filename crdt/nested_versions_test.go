package crdt_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/runtime"
)

// R22, first half: a replica that does not know sets loads {A0}@{A:1} and {B0}@{B:1}; one that does loads its state: both
// elements live. Here with sets of values, sets of objects, and both inside of objects whose container is unknown too.
func TestR22PartsOfUnknownKinds(t *testing.T) {
	type both struct {
		Tags crdt.Set[string]              `weft:"tags"`
		Objs crdt.ObjectSet[crdt.Text]     `weft:"objs"`
		In   crdt.LazyMap[string, deepSet] `weft:"in"`
	}
	for _, unknown := range [][]string{{"set"}, {"objectset"}, {"set", "objectset"}, {"set", "objectset", "lazymap", "record", "objectmap", "text"}} {
		t.Run(strings.Join(unknown, "+"), func(t *testing.T) {
			a, b := openKinds(t, crdt.Kinds()), openKinds(t, crdt.Kinds())
			old := openKinds(t, kindsWithout(unknown...))
			for i, rt := range []*runtime.Runtime{a, b} {
				root := mustRoot[both](t, rt, "r")
				commitTx(t, rt, func(tx runtime.Tx) error {
					if err := root.Tags.Add(tx, fmt.Sprint("tag", i)); err != nil {
						return err
					}
					if _, err := root.Objs.Add(tx, func(x *crdt.Text) error { return x.Insert(tx, 0, fmt.Sprint("obj", i)) }); err != nil {
						return err
					}
					in, err := root.In.At(tx, "k")
					if err != nil {
						return err
					}
					_, err = in.Objs.Set(tx, fmt.Sprint("key", i), func(f *folder) error { return f.Name.Insert(tx, 0, "n") })
					return err
				})
			}
			feed(t, old, savedState(t, a), savedState(t, b))
			knows := openKinds(t, crdt.Kinds())
			feed(t, knows, savedState(t, old))
			feed(t, a, savedState(t, b))
			feed(t, b, savedState(t, old))
			sameDocs(t, a, b, knows)
			const want = `{"r":{"in":{"k":{"objs":{"key0":{"name":"n"},"key1":{"name":"n"}}}},"objs":["obj0","obj1"],"tags":["tag0","tag1"]}}`
			if got := docJSON(knows); len(got) != len(want) || !strings.Contains(got, "tag0") || !strings.Contains(got, "key1") {
				t.Errorf("JSON view %s, want %s", got, want)
			}
		})
	}
}

type deepSet struct {
	Objs crdt.ObjectMap[string, folder] `weft:"objs"`
}

// newerMap is the kind of a version 2 of ObjectMap that has an operation 99, which does nothing.
func newerMap() []runtime.Kind {
	kinds := crdt.Kinds()
	for i, k := range kinds {
		if k.Name == "objectmap" {
			kinds[i].New = func(n *runtime.Node) runtime.Object { return newerState{k.New(n).(runtime.Container)} }
		}
	}
	return kinds
}

type newerState struct{ runtime.Container }

func (s newerState) Apply(op *runtime.Op) error {
	peek := op.Reader
	if peek.Byte("operation") == 99 {
		return nil
	}
	return s.Container.Apply(op)
}

// R22, second half: a known kind meets an operation code of a newer version, then an older code on the same object; after
// the upgrade all agree. With children made, edited and deleted after that, below the opaque container.
func TestR22NewerOperationCode(t *testing.T) {
	a := openKinds(t, newerMap())
	m, err := a.Root("m", "objectmap")
	if err != nil {
		t.Fatal(err)
	}
	set := func(tx runtime.Tx, key string) (*runtime.Node, error) {
		w, err := tx.Begin(m)
		if err != nil {
			return nil, err
		}
		dot := w.Dot()
		w.Byte(1)
		w.Kind("record")
		w.Bytes(append([]byte{0x60 | byte(len(key))}, key...))
		w.Uvarint(0)
		if err := w.Apply(1); err != nil {
			return nil, err
		}
		var child *runtime.Node
		m.Object().(runtime.Container).Children(func(c *runtime.Node) bool {
			if d, _ := c.Dot(); d == dot {
				child = c
			}
			return child == nil
		})
		return child, nil
	}
	name := func(tx runtime.Tx, n *runtime.Node, s string) error {
		return crdt.BindTo[folder](n).Name.Insert(tx, 0, s)
	}
	var before, after *runtime.Node
	updates := [][]byte{
		commitTx(t, a, func(tx runtime.Tx) (err error) {
			if before, err = set(tx, "before"); err != nil {
				return err
			}
			return name(tx, before, "1")
		}),
		commitTx(t, a, func(tx runtime.Tx) error {
			w, err := tx.Begin(m)
			if err != nil {
				return err
			}
			w.Byte(99)
			return w.Apply(1)
		}),
		commitTx(t, a, func(tx runtime.Tx) (err error) {
			if after, err = set(tx, "after"); err != nil {
				return err
			}
			return name(tx, after, "2")
		}),
		commitTx(t, a, func(tx runtime.Tx) error { return errors.Join(name(tx, before, "3"), name(tx, after, "4")) }),
	}
	old := openKinds(t, crdt.Kinds())
	oldMap := mustRoot[crdt.ObjectMap[string, folder]](t, old, "m")
	feed(t, old, updates...)
	if err := old.Check(); err != nil {
		t.Fatal(err)
	}
	if len(old.Opaque()) == 0 {
		t.Error("the object is not opaque")
	}
	err = old.Transact(func(tx runtime.Tx) error {
		_, err := oldMap.Set(tx, "x", nil)
		mustErr(t, err, runtime.ErrOpaque)
		f, ok := oldMap.Get(tx, "before")
		if !ok {
			t.Fatal("what was there before is not")
		}
		return f.Name.Insert(tx, 0, "5") // the child is known
	})
	if err != nil {
		t.Fatal(err)
	}
	older := openKinds(t, crdt.Kinds())
	feed(t, older, savedState(t, old))
	for _, state := range [][]byte{savedState(t, old), savedState(t, older)} {
		upgraded := openKinds(t, newerMap())
		feed(t, upgraded, state)
		if len(upgraded.Opaque()) != 0 {
			t.Errorf("still opaque: %v", upgraded.Opaque())
		}
		feed(t, a, state)
		sameDocs(t, a, upgraded)
		if got := docJSON(upgraded); got != `{"m":{"after":{"name":"42"},"before":{"name":"531"}}}` {
			t.Errorf("JSON view %s", got)
		}
	}
}

// R9, with objects: a replica with an older schema relays and saves operations of objects it does not know, and of
// objects that they contain; after an upgrade nothing is lost.
func TestR9OlderSchemaKeepsObjects(t *testing.T) {
	for _, unknown := range []string{"objectmap", "objectset", "record", "lazymap", "text"} {
		for _, via := range []string{"messages", "state", "deltas", "mixed"} {
			t.Run(unknown+"/"+via, func(t *testing.T) {
				rt, top := mustFolder(t, nil)
				old := openKinds(t, kindsWithout(unknown))
				step := 0
				pass := func(data []byte) {
					step++
					switch {
					case via == "messages", via == "mixed" && step%3 == 0:
						feed(t, old, data)
					case via == "state", via == "mixed" && step%3 == 1:
						feed(t, old, savedState(t, rt))
					default:
						feed(t, old, deltaTo(t, old, rt))
					}
					if err := old.Check(); err != nil {
						t.Fatal(err)
					}
				}
				pass(commitTx(t, rt, func(tx runtime.Tx) error {
					_, err := top.Subs.Set(tx, "a", func(f *folder) error {
						_, err := f.Subs.Set(tx, "b", withName(tx, "deep"))
						return err
					})
					return err
				}))
				pass(commitTx(t, rt, func(tx runtime.Tx) error {
					b := folderAt(t, tx, top, "a", "b")
					if _, err := b.Notes.Add(tx, func(n *crdt.Text) error { return n.Insert(tx, 0, "note") }); err != nil {
						return err
					}
					l, err := b.Lang.At(tx, 7)
					if err != nil {
						return err
					}
					return errors.Join(l.Insert(tx, 0, "sept"), b.Meta.Author.Insert(tx, 0, "me"))
				}))
				pass(commitTx(t, rt, func(tx runtime.Tx) error {
					_, err := top.Subs.Set(tx, "gone", withName(tx, "x"))
					return err
				}))
				pass(commitTx(t, rt, func(tx runtime.Tx) error { return top.Subs.Delete(tx, "gone") }))
				pass(commitTx(t, rt, func(tx runtime.Tx) error {
					return folderAt(t, tx, top, "a", "b").Name.Insert(tx, 0, "very ")
				}))
				older := openKinds(t, kindsWithout(unknown))
				feed(t, older, savedState(t, old))
				for _, state := range [][]byte{savedState(t, old), savedState(t, older)} {
					upgraded, _ := mustFolder(t, nil)
					feed(t, upgraded, state)
					sameDocs(t, rt, upgraded)
				}
			})
		}
	}
}
