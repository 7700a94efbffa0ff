package crdt_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/runtime"
)

// kindsWithout returns all kinds but those named.
func kindsWithout(names ...string) []runtime.Kind {
	return slices.DeleteFunc(crdt.Kinds(), func(k runtime.Kind) bool { return slices.Contains(names, k.Name) })
}

func openKinds(t testing.TB, kinds []runtime.Kind) *runtime.Runtime {
	t.Helper()
	rt, err := runtime.New(&runtime.Options{Kinds: kinds})
	if err != nil {
		t.Fatal(err)
	}
	return rt
}

func mustRoot[H any](t testing.TB, rt *runtime.Runtime, name string) H {
	t.Helper()
	h, err := crdt.Root[H](rt, name)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func mustErr(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
}

// folderAt returns the folder at a path.
func folderAt(t testing.TB, tx runtime.Tx, f folder, path ...string) folder {
	t.Helper()
	for _, k := range path {
		sub, ok := f.Subs.Get(tx, k)
		if !ok {
			t.Fatalf("no folder %q", k)
		}
		f = *sub
	}
	return f
}

func TestObjectMapBasics(t *testing.T) {
	rt, top := mustFolder(t, nil)
	commitTx(t, rt, func(tx runtime.Tx) error {
		for _, k := range []string{"b", "", "a", strings.Repeat("ключ", 2500)} {
			sub, err := top.Subs.Set(tx, k, withName(tx, "<"+k+">"))
			if err != nil {
				return err
			}
			if crdt.NodeOf(sub).Parent() != top.Subs.Node() {
				t.Fatal("a child's parent is not its map")
			}
		}
		return nil
	})
	must := func(tx runtime.Tx) error {
		if n := top.Subs.Len(tx); n != 4 {
			t.Errorf("%d keys", n)
		}
		if keys := slices.Collect(top.Subs.Keys(tx))[:3]; !slices.Equal(keys, []string{"", "a", "b"}) {
			t.Errorf("keys %q", keys)
		}
		if got := folderAt(t, tx, top, "a").Name.String(tx); got != "<a>" {
			t.Errorf("name %q", got)
		}
		if _, ok := top.Subs.Get(tx, "c"); ok || top.Subs.Has(tx, "c") || !top.Subs.Has(tx, "") {
			t.Error("Get or Has of a key")
		}
		if _, err := top.Subs.Set(tx, "c", nil); !errors.Is(err, runtime.ErrReadOnlyTx) {
			t.Errorf("Set in a View: %v", err)
		}
		return nil
	}
	if err := rt.View(must); err != nil {
		t.Fatal(err)
	}
	old := map[string]folder{}
	commitTx(t, rt, func(tx runtime.Tx) error {
		for k, f := range top.Subs.All(tx) {
			old[k] = *f
		}
		if err := top.Subs.Delete(tx, "no such key"); err != nil {
			return err
		}
		if err := top.Subs.Delete(tx, "a"); err != nil {
			return err
		}
		_, err := top.Subs.Set(tx, "b", nil)
		return err
	})
	commitTx(t, rt, func(tx runtime.Tx) error {
		mustErr(t, old["a"].Name.Insert(tx, 0, "x"), runtime.ErrDeleted)
		mustErr(t, old["b"].Name.Insert(tx, 0, "x"), runtime.ErrDeleted)
		if got := old["a"].Name.String(tx); got != "<a>" {
			t.Errorf("a deleted object shows %q, not its last state", got)
		}
		_, err := old["a"].Subs.Set(tx, "x", nil)
		mustErr(t, err, runtime.ErrDeleted)
		if got := folderAt(t, tx, top, "b").Name.String(tx); got != "" {
			t.Errorf("a new object under a key has the name %q", got)
		}
		return top.Subs.Clear(tx)
	})
	if got := docJSON(rt); got != "{}" {
		t.Errorf("after Clear the document is %s", got)
	}
	empty, _ := mustFolder(t, nil)
	feed(t, empty, savedState(t, rt))
	sameDocs(t, rt, empty)
	if data := commitTx(t, rt, func(tx runtime.Tx) error { return top.Subs.Clear(tx) }); data != nil {
		t.Error("clearing an empty map makes a message")
	}
}

func TestObjectKeys(t *testing.T) {
	type point struct{ X, Y int }
	rt := openKinds(t, crdt.Kinds())
	ints := mustRoot[crdt.ObjectMap[int, crdt.Text]](t, rt, "ints")
	points := mustRoot[crdt.ObjectMap[point, crdt.Counter]](t, rt, "points")
	floats := mustRoot[crdt.ObjectMap[float64, crdt.Counter]](t, rt, "floats")
	mixed := mustRoot[crdt.LazyMap[any, crdt.Counter]](t, rt, "mixed")
	commitTx(t, rt, func(tx runtime.Tx) error {
		for _, k := range []int{300, -1, 7} {
			if _, err := ints.Set(tx, k, func(x *crdt.Text) error { return x.Insert(tx, 0, fmt.Sprint(k)) }); err != nil {
				return err
			}
		}
		if _, err := points.Set(tx, point{1, 2}, nil); err != nil {
			return err
		}
		nan := 0.0
		_, err := floats.Set(tx, nan/nan, nil)
		mustErr(t, err, crdt.ErrValue)
		for _, k := range []any{1, "1", []byte(nil)} {
			if _, bad := k.([]byte); bad {
				continue
			}
			c, err := mixed.At(tx, k)
			if err != nil {
				return err
			}
			if err := c.Add(tx, 1); err != nil {
				return err
			}
		}
		return nil
	})
	if err := rt.View(func(tx runtime.Tx) error {
		if keys := slices.Collect(ints.Keys(tx)); !slices.Equal(keys, []int{7, 300, -1}) {
			t.Errorf("keys %v are not in the order of their encodings", keys)
		}
		if keys := slices.Collect(points.Keys(tx)); !slices.Equal(keys, []point{{1, 2}}) {
			t.Errorf("keys %v", keys)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	const want = `{"ints":{"-1":"-1","300":"300","7":"7"},"mixed":{"1":1,"1 (6131)":1},"points":{"map[X:1 Y:2]":0}}`
	if got := docJSON(rt); got != want {
		t.Errorf("JSON view\n%s, want\n%s", got, want)
	}
}

func TestObjectSetBasics(t *testing.T) {
	rt, top := mustFolder(t, nil)
	other, otherTop := mustFolder(t, nil)
	var first, second *crdt.Text
	commitTx(t, rt, func(tx runtime.Tx) (err error) {
		if first, err = top.Notes.Add(tx, func(n *crdt.Text) error { return n.Insert(tx, 0, "one") }); err != nil {
			return err
		}
		second, err = top.Notes.Create(tx, map[string]int{"color": 3}, nil)
		return err
	})
	commitTx(t, other, func(tx runtime.Tx) error {
		mustErr(t, otherTop.Notes.Remove(tx, first), runtime.ErrForeignObject)
		mustErr(t, otherTop.Notes.Remove(tx, nil), runtime.ErrUnbound)
		mustErr(t, otherTop.Notes.Remove(tx, &otherTop.Name), crdt.ErrNotHere)
		return nil
	})
	commitTx(t, rt, func(tx runtime.Tx) error {
		if !top.Notes.Has(tx, first) || top.Notes.Has(tx, &top.Name) || top.Notes.Len(tx) != 2 {
			t.Error("Has or Len")
		}
		var args map[string]int
		if ok, err := top.Notes.Args(tx, second, &args); !ok || err != nil || args["color"] != 3 {
			t.Errorf("arguments %v, %v, %v", args, ok, err)
		}
		if ok, err := top.Notes.Args(tx, first, &args); ok || err != nil {
			t.Errorf("arguments of an object without: %v, %v", ok, err)
		}
		for n := range top.Notes.All(tx) {
			if err := top.Notes.Remove(tx, n); err != nil {
				return err
			}
			mustErr(t, top.Notes.Remove(tx, n), runtime.ErrDeleted)
			mustErr(t, n.Insert(tx, 0, "x"), runtime.ErrDeleted)
			break
		}
		if top.Notes.Has(tx, first) || !top.Notes.Has(tx, second) {
			t.Error("All does not begin with the first object")
		}
		return nil
	})
}

// TestLazyMapReadsChangeNothing is the second half of R21, for keys and fields of any depth.
func TestLazyMapReadsChangeNothing(t *testing.T) {
	type deep struct {
		Sub crdt.LazyMap[string, crdt.LazyMap[int, folder]] `weft:"sub"`
	}
	rt := openKinds(t, crdt.Kinds())
	root := mustRoot[deep](t, rt, "root")
	before, saved := rt.Canonical(), savedState(t, rt)
	data := commitTx(t, rt, func(tx runtime.Tx) error {
		m, err := root.Sub.At(tx, "x")
		if err != nil {
			return err
		}
		f, err := m.At(tx, 1)
		if err != nil {
			return err
		}
		if f.Name.Len(tx) != 0 || f.Subs.Len(tx) != 0 || f.Subs.Has(tx, "a") || root.Sub.Has(tx, "x") {
			t.Error("something is there")
		}
		return nil
	})
	if data != nil || !slices.Equal(before, rt.Canonical()) || !slices.Equal(saved, savedState(t, rt)) {
		t.Error("reading changed the document")
	}
	commitTx(t, rt, func(tx runtime.Tx) error {
		m, err := root.Sub.At(tx, "x")
		if err != nil {
			return err
		}
		f, err := m.At(tx, 1)
		if err != nil {
			return err
		}
		return f.Meta.Author.Insert(tx, 0, "me")
	})
	const want = `{"root":{"sub":{"x":{"1":{"meta":{"author":"me"}}}}}}`
	if got := docJSON(rt); got != want {
		t.Errorf("JSON view %s, want %s", got, want)
	}
	if got := fmt.Sprint(runtime.Read(rt, func(tx runtime.Tx) []string { return slices.Collect(root.Sub.Keys(tx)) })); got != "[x]" {
		t.Errorf("keys %s", got)
	}
}

// R21: offline, A makes root "x" a Text and B a Counter: both live on, no message is refused. Registering an unused root
// changes no byte.
func TestR21TwoKindsUnderOneName(t *testing.T) {
	a, b := openKinds(t, crdt.Kinds()), openKinds(t, crdt.Kinds())
	before := b.Canonical()
	text, counter := mustRoot[crdt.Text](t, a, "x"), mustRoot[crdt.Counter](t, b, "x")
	mustRoot[folder](t, b, "unused")
	if !slices.Equal(before, b.Canonical()) {
		t.Error("registering a root changes bytes")
	}
	_, err := crdt.Root[crdt.Counter](a, "x")
	mustErr(t, err, runtime.ErrKindConflict)
	fromA := commitTx(t, a, func(tx runtime.Tx) error { return text.Insert(tx, 0, "t") })
	fromB := commitTx(t, b, func(tx runtime.Tx) error { return counter.Add(tx, 5) })
	feed(t, a, fromB)
	feed(t, b, fromA)
	sameDocs(t, a, b)
	if runtime.Read(a, text.String) != "t" || docJSON(b) != `{"x (counter)":5,"x (text)":"t"}` {
		t.Errorf("JSON view %s", docJSON(b))
	}
	c := openKinds(t, crdt.Kinds())
	feed(t, c, savedState(t, b))
	sameDocs(t, a, b, c)
}

// The same for two kinds of child under one key, and for fields of one name.
func TestTwoKindsUnderOneKey(t *testing.T) {
	a, b := openKinds(t, crdt.Kinds()), openKinds(t, crdt.Kinds())
	texts, counters := mustRoot[crdt.ObjectMap[string, crdt.Text]](t, a, "m"), mustRoot[crdt.ObjectMap[string, crdt.Counter]](t, b, "m")
	lazyA, lazyB := mustRoot[crdt.LazyMap[string, crdt.Text]](t, a, "l"), mustRoot[crdt.LazyMap[string, crdt.Counter]](t, b, "l")
	fromA := commitTx(t, a, func(tx runtime.Tx) error {
		if _, err := texts.Set(tx, "k", nil); err != nil {
			return err
		}
		x, err := lazyA.At(tx, "k")
		if err != nil {
			return err
		}
		return x.Insert(tx, 0, "t")
	})
	fromB := commitTx(t, b, func(tx runtime.Tx) error {
		if _, err := counters.Set(tx, "k", nil); err != nil {
			return err
		}
		x, err := lazyB.At(tx, "k")
		if err != nil {
			return err
		}
		return x.Add(tx, 1)
	})
	feed(t, a, fromB)
	feed(t, b, fromA)
	sameDocs(t, a, b)
	if err := a.View(func(tx runtime.Tx) error {
		if !texts.Has(tx, "k") || texts.Len(tx) != 1 {
			t.Error("a key with an object of another kind is not there")
		}
		_, shown := texts.Get(tx, "k")
		if hidden := texts.Conflicts(tx, "k"); shown == (len(hidden) == 1) {
			t.Errorf("the text is shown: %v, hidden: %d", shown, len(hidden))
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if got := runtime.Read(b, func(tx runtime.Tx) []string { return slices.Collect(lazyB.Keys(tx)) }); len(got) != 1 {
		t.Errorf("keys %v", got)
	}
	if !strings.Contains(docJSON(a), `"l":{"k (counter)":1,"k (text)":"t"}`) {
		t.Errorf("JSON view %s", docJSON(a))
	}
}

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

// R23: operation 2 of a transaction edits the child that operation 1 creates. A payload of a known code that does not
// decode takes its dots and has no effect, on replicas that know the kind and on those that learn it later.
func TestR23ChildInItsTransaction(t *testing.T) {
	rt, top := mustFolder(t, nil)
	one := commitTx(t, rt, func(tx runtime.Tx) error {
		_, err := top.Subs.Set(tx, "a", func(f *folder) error {
			_, err := f.Subs.Set(tx, "b", withName(tx, "deep"))
			return errors.Join(err, f.Name.Insert(tx, 0, "a"))
		})
		return err
	})
	bad := commitTx(t, rt, func(tx runtime.Tx) error {
		w, err := tx.Begin(top.Subs.Node())
		if err != nil {
			return err
		}
		w.Byte(1)
		w.Kind("record")
		w.Bytes([]byte{0x61}) // a text of one byte that is not there
		w.Uvarint(0)
		w.Commit(1) // without Apply, which would refuse it
		return top.Name.Insert(tx, 0, "after")
	})
	live, _ := mustFolder(t, nil)
	var problems []error
	live.OnProblem(func(p runtime.Problem) { problems = append(problems, p.Err) })
	feed(t, live, one, bad)
	if len(problems) != 1 {
		t.Errorf("problems %v", problems)
	}
	old := openKinds(t, kindsWithout("objectmap"))
	feed(t, old, one, bad)
	later, _ := mustFolder(t, nil)
	feed(t, later, savedState(t, old))
	sameDocs(t, rt, live, later)
	const want = `{"top":{"name":"after","subs":{"a":{"name":"a","subs":{"b":{"name":"deep"}}}}}}`
	if got := docJSON(later); got != want {
		t.Errorf("JSON view %s, want %s", got, want)
	}
}

// TestInvalidOperations hands payloads that make no sense to each container: they change nothing.
func TestInvalidOperations(t *testing.T) {
	rt, top := mustFolder(t, nil)
	base := commitTx(t, rt, func(tx runtime.Tx) error {
		_, err := top.Notes.Add(tx, nil)
		if err != nil {
			return err
		}
		_, err = top.Subs.Set(tx, "a", nil)
		return err
	})
	payloads := map[string][]byte{
		"empty": {}, "code 0": {0}, "cut": {1}, "kind of no name": {1, 0, 0, 0x61, 'k', 0}, "kind spelled out": {1, 0, 4, 't', 'e', 'x', 't', 2, 0x61, 'k', 0},
		"key is not canonical": {1, 13, 3, 0x78, 1, 'k', 0}, "two keys": {1, 13, 2, 1, 2, 0}, "rest": {3, 2, 0x61, 'k', 0, 9},
		"run longer than its seq": {4, 1, 0, 1, 0x80, 0x80, 0x80, 0x80, 0x10}, "unknown replica": {4, 1, 9, 0, 0}, "own future": {4, 1, 0, 50, 0},
		"arguments no CBOR": {2, 13, 2, 0x61, 'k', 1, 0xff, 0},
	}
	for name, p := range payloads {
		for _, n := range []*runtime.Node{top.Subs.Node(), top.Notes.Node()} {
			fresh, freshTop := mustFolder(t, nil)
			feed(t, fresh, base)
			before := fmt.Sprint(runtime.Read(fresh, func(tx runtime.Tx) any { return folderView(tx, freshTop) }))
			writer, writerTop := mustFolder(t, nil)
			feed(t, writer, base)
			target := writerTop.Subs.Node()
			if n == top.Notes.Node() {
				target = writerTop.Notes.Node()
			}
			local := writer.Transact(func(tx runtime.Tx) error {
				w, err := tx.Begin(target)
				if err != nil {
					t.Fatal(err)
				}
				w.Raw(p)
				return w.Apply(1)
			})
			data := commitTx(t, writer, func(tx runtime.Tx) error {
				w, err := tx.Begin(target)
				if err != nil {
					return err
				}
				w.Raw(p)
				w.Commit(1)
				return nil
			})
			problems := 0
			fresh.OnProblem(func(runtime.Problem) { problems++ })
			feed(t, fresh, data)
			after := fmt.Sprint(runtime.Read(fresh, func(tx runtime.Tx) any { return folderView(tx, freshTop) }))
			if (problems == 0) != (local == nil || errors.Is(local, runtime.ErrNewerOp)) {
				t.Errorf("%s on %s: %d problems, locally %v", name, target, problems, local)
			}
			if local != nil && before != after {
				t.Errorf("%s on %s changed %s to %s", name, target, before, after)
			}
			if err := fresh.Check(); err != nil {
				t.Errorf("%s on %s: %v", name, target, err)
			}
		}
	}
	fresh, freshTop := mustFolder(t, nil)
	for _, n := range []*runtime.Node{freshTop.Subs.Node(), freshTop.Notes.Node(), crdt.NodeOf(&freshTop), freshTop.Lang.Node()} {
		err := fresh.Transact(func(tx runtime.Tx) error {
			w, err := tx.Begin(n)
			if err != nil {
				return err
			}
			w.Byte(77)
			return w.Apply(1)
		})
		mustErr(t, err, runtime.ErrNewerOp)
	}
}

// R30: a handle of a rolled-back transaction answers ErrRolledBack, also after its dot was used by another object.
func TestR30RolledBackHandles(t *testing.T) {
	rt, top := mustFolder(t, nil)
	before, saved := rt.Canonical(), savedState(t, rt)
	var lost folder
	var note *crdt.Text
	boom := errors.New("boom")
	err := rt.Transact(func(tx runtime.Tx) error {
		f, err := top.Subs.Set(tx, "a", withName(tx, "x"))
		if err != nil {
			return err
		}
		lost = *f
		if note, err = f.Notes.Add(tx, nil); err != nil {
			return err
		}
		return boom
	})
	mustErr(t, err, boom)
	if !slices.Equal(before, rt.Canonical()) || !slices.Equal(saved, savedState(t, rt)) {
		t.Fatal("rollback left something")
	}
	for range 2 { // the second time the dots belong to other objects
		commitTx(t, rt, func(tx runtime.Tx) error {
			mustErr(t, lost.Name.Insert(tx, 0, "y"), runtime.ErrRolledBack)
			mustErr(t, lost.Meta.Author.Insert(tx, 0, "y"), runtime.ErrRolledBack)
			mustErr(t, note.Insert(tx, 0, "y"), runtime.ErrRolledBack)
			_, err := lost.Subs.Set(tx, "z", nil)
			mustErr(t, err, runtime.ErrRolledBack)
			if l, err := lost.Lang.At(tx, 1); err == nil { // a field that is named only now
				mustErr(t, l.Insert(tx, 0, "y"), runtime.ErrRolledBack)
			}
			if top.Notes.Has(tx, note) {
				t.Error("an object of a rolled-back transaction is there")
			}
			mustErr(t, top.Notes.Remove(tx, note), runtime.ErrRolledBack)
			_, err = top.Subs.Set(tx, "other", withName(tx, "other"))
			return err
		})
	}
}

// A delete that is rolled back leaves its object, and fields that were first named while it was deleted, editable.
func TestRolledBackDelete(t *testing.T) {
	rt, top := mustFolder(t, nil)
	commitTx(t, rt, func(tx runtime.Tx) error {
		_, err := top.Subs.Set(tx, "a", func(f *folder) error {
			_, err := f.Subs.Set(tx, "b", withName(tx, "deep"))
			return err
		})
		return err
	})
	before := rt.Canonical()
	boom := errors.New("boom")
	var field *crdt.Text
	mustErr(t, rt.Transact(func(tx runtime.Tx) error {
		b := folderAt(t, tx, top, "a", "b")
		if err := top.Subs.Delete(tx, "a"); err != nil {
			return err
		}
		mustErr(t, b.Name.Insert(tx, 0, "x"), runtime.ErrDeleted)
		var err error
		if field, err = b.Lang.At(tx, 5); err != nil {
			return err
		}
		mustErr(t, field.Insert(tx, 0, "x"), runtime.ErrDeleted)
		return boom
	}), boom)
	if !slices.Equal(before, rt.Canonical()) {
		t.Fatal("rollback left something")
	}
	commitTx(t, rt, func(tx runtime.Tx) error {
		return errors.Join(field.Insert(tx, 0, "cinq"), folderAt(t, tx, top, "a", "b").Name.Insert(tx, 0, "very "))
	})
	if got := docJSON(rt); got != `{"top":{"subs":{"a":{"subs":{"b":{"lang":{"5":"cinq"},"name":"very deep"}}}}}}` {
		t.Errorf("JSON view %s", got)
	}
	if err := rt.Check(); err != nil {
		t.Fatal(err)
	}
}

// R30, first half: two Views right after a Load, each of which is the first to name the fields of all objects.
func TestR30ConcurrentViews(t *testing.T) {
	rt, top := mustFolder(t, nil)
	commitTx(t, rt, func(tx runtime.Tx) error {
		for i := range 50 {
			if _, err := top.Subs.Set(tx, fmt.Sprint(i), withName(tx, "n")); err != nil {
				return err
			}
		}
		return nil
	})
	want := runtime.Read(rt, func(tx runtime.Tx) string { return fmt.Sprint(folderView(tx, top)) })
	fresh, freshTop := mustFolder(t, nil)
	feed(t, fresh, savedState(t, rt))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if got := runtime.Read(fresh, func(tx runtime.Tx) string { return fmt.Sprint(folderView(tx, freshTop)) }); got != want {
				t.Errorf("view %s, want %s", got, want)
			}
			fresh.Canonical()
			fresh.Export()
		})
	}
	wg.Wait()
}

// TestDeleteBeatsAll: A deletes an object while B and C edit it, its fields, its children, and make children below it. In
// whatever order and form the changes arrive, the delete wins everywhere.
func TestDeleteBeatsAll(t *testing.T) {
	a, aTop := mustFolder(t, nil)
	base := commitTx(t, a, func(tx runtime.Tx) error {
		_, err := aTop.Subs.Set(tx, "doomed", func(f *folder) error {
			_, err := f.Subs.Set(tx, "sub", func(f *folder) error {
				_, err := f.Notes.Add(tx, func(n *crdt.Text) error { return n.Insert(tx, 0, "note") })
				return err
			})
			return errors.Join(err, f.Name.Insert(tx, 0, "doomed"))
		})
		if err != nil {
			return err
		}
		_, err = aTop.Subs.Set(tx, "other", withName(tx, "other"))
		return err
	})
	b, bTop := mustFolder(t, nil)
	c, cTop := mustFolder(t, nil)
	feed(t, b, base)
	feed(t, c, base)
	deleted := commitTx(t, a, func(tx runtime.Tx) error { return aTop.Subs.Delete(tx, "doomed") })
	edit := func(rt *runtime.Runtime, top folder, s string) [][]byte {
		return [][]byte{
			commitTx(t, rt, func(tx runtime.Tx) error { return folderAt(t, tx, top, "doomed").Name.Insert(tx, 0, s) }),
			commitTx(t, rt, func(tx runtime.Tx) error {
				sub := folderAt(t, tx, top, "doomed", "sub")
				if _, err := sub.Subs.Set(tx, s, func(f *folder) error {
					_, err := f.Subs.Set(tx, "below", withName(tx, s))
					return err
				}); err != nil {
					return err
				}
				for n := range sub.Notes.All(tx) {
					if err := n.Insert(tx, 0, s); err != nil {
						return err
					}
				}
				_, err := sub.Notes.Add(tx, func(n *crdt.Text) error { return n.Insert(tx, 0, s) })
				return err
			}),
			commitTx(t, rt, func(tx runtime.Tx) error {
				f := folderAt(t, tx, top, "doomed", "sub", s, "below")
				_, err := f.Subs.Set(tx, "deeper", withName(tx, s))
				return err
			}),
			commitTx(t, rt, func(tx runtime.Tx) error {
				return folderAt(t, tx, top, "doomed", "sub", s, "below", "deeper").Meta.Author.Insert(tx, 0, s)
			}),
		}
	}
	fromB, fromC := edit(b, bTop, "b"), edit(c, cTop, "c")
	const want = `{"top":{"subs":{"other":{"name":"other"}}}}`

	states := [][]byte{savedState(t, a), savedState(t, b), savedState(t, c)}
	rng := rand.New(rand.NewPCG(1, 2))
	for round := range 200 {
		rt, _ := mustFolder(t, nil)
		problems := 0
		rt.OnProblem(func(p runtime.Problem) { problems++ })
		queues := [][][]byte{{base, deleted}, slices.Concat([][]byte{base}, fromB), slices.Concat([][]byte{base}, fromC)}
		for len(queues) > 0 {
			i := rng.IntN(len(queues))
			switch q := queues[i]; {
			case len(q) == 0:
				queues = slices.Delete(queues, i, i+1)
			case rng.IntN(4) == 0: // the rest of this replica comes as a state or delta
				feed(t, rt, states[i%len(states)])
				if d, err := [...]*runtime.Runtime{a, b, c}[rng.IntN(3)].SaveSince(rt.Clock()); err == nil {
					feed(t, rt, d)
				}
			default:
				feed(t, rt, q[0])
				queues[i] = q[1:]
			}
		}
		feed(t, rt, states...)
		if err := rt.Check(); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if got := docJSON(rt); got != want {
			t.Fatalf("round %d: %s, want %s", round, got, want)
		}
		if problems > 0 {
			t.Fatalf("round %d: %d problems for what is no fault", round, problems)
		}
	}
	feed(t, b, deltaTo(t, b, a))
	feed(t, c, deleted)
	feed(t, a, deltaTo(t, a, c))
	feed(t, c, deltaTo(t, c, b))
	feed(t, b, deltaTo(t, b, c))
	feed(t, a, savedState(t, b))
	sameDocs(t, a, b, c)
	if got := docJSON(a); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestConcurrentSets: of concurrent sets of a key one child wins, the other is hidden, can still be edited, and appears
// when a delete that did not know of it removes the winner.
func TestConcurrentSets(t *testing.T) {
	ids := []uuid.UUID{{15: 1}, {15: 2}}
	a, aTop := mustFolder(t, &runtime.Options{Replica: ids[0]})
	b, bTop := mustFolder(t, &runtime.Options{Replica: ids[1]})
	var mine *folder
	fromA := commitTx(t, a, func(tx runtime.Tx) (err error) {
		mine, err = aTop.Subs.Set(tx, "k", withName(tx, "A"))
		return err
	})
	fromB := commitTx(t, b, func(tx runtime.Tx) error {
		_, err := bTop.Subs.Create(tx, "k", "args", withName(tx, "B"))
		return err
	})
	onlyB := commitTx(t, b, func(tx runtime.Tx) error { return bTop.Subs.Delete(tx, "k") })
	c, cTop := mustFolder(t, nil)
	feed(t, c, fromA, fromB)
	feed(t, a, fromB)
	sameDocs(t, a, c)
	look := func(rt *runtime.Runtime, top folder) string {
		return runtime.Read(rt, func(tx runtime.Tx) string {
			out := folderAt(t, tx, top, "k").Name.String(tx)
			var args string
			if ok, err := top.Subs.Args(tx, "k", &args); ok && err == nil {
				out += "(" + args + ")"
			}
			for _, h := range top.Subs.Conflicts(tx, "k") {
				out += " " + h.Name.String(tx)
			}
			return out
		})
	}
	if got := look(a, aTop); got != "B(args) A" {
		t.Errorf("the key shows %q", got)
	}
	if got := docJSON(a); got != `{"top":{"subs":{"k":{"$args":"args","$value":{"name":"B"}}}}}` {
		t.Errorf("JSON view %s", got)
	}
	hidden := commitTx(t, a, func(tx runtime.Tx) error { return mine.Name.Insert(tx, 1, "2") })
	feed(t, c, hidden, onlyB)
	feed(t, a, onlyB)
	feed(t, b, savedState(t, c))
	sameDocs(t, a, b, c)
	if got := look(b, bTop); got != "A2" {
		t.Errorf("the key shows %q", got)
	}
	all := commitTx(t, c, func(tx runtime.Tx) error { return cTop.Subs.Delete(tx, "k") })
	feed(t, a, all)
	feed(t, b, all)
	sameDocs(t, a, b, c)
	if got := docJSON(a); got != "{}" {
		t.Errorf("JSON view %s", got)
	}
}

func TestObjectDepth(t *testing.T) {
	rt, top := mustFolder(t, nil)
	err := rt.Transact(func(tx runtime.Tx) error {
		f := top // "top" is at 0, subs at 1, its child at 2, ...
		for i := range runtime.MaxDepth {
			sub, err := f.Subs.Set(tx, "x", nil)
			if err != nil {
				var limit *runtime.LimitError
				if !errors.As(err, &limit) || limit.Name != "Depth" || i != 255 {
					t.Errorf("level %d: %v", i, err)
				}
				return nil
			}
			f = *sub
		}
		t.Error("no limit")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	other, _ := mustFolder(t, nil)
	feed(t, other, savedState(t, rt))
	sameDocs(t, rt, other)
	if err := rt.Check(); err != nil {
		t.Error(err)
	}
	if data, err := rt.MarshalJSON(); err != nil || strings.Count(string(data), `"x"`) != 255 {
		t.Errorf("%d levels in the JSON view, %v", strings.Count(string(data), `"x"`), err)
	}
}

func TestRefs(t *testing.T) {
	type links struct {
		Top  folder                        `weft:"top"`
		Best crdt.Register[runtime.Ref]    `weft:"best"`
		All  crdt.Map[string, runtime.Ref] `weft:"all"`
	}
	open := func() (*runtime.Runtime, *links) {
		rt := openKinds(t, crdt.Kinds())
		l := new(links)
		if err := crdt.BindRoots(rt, l); err != nil {
			t.Fatal(err)
		}
		return rt, l
	}
	rt, l := open()
	commitTx(t, rt, func(tx runtime.Tx) error {
		sub, err := l.Top.Subs.Set(tx, "a", withName(tx, "best"))
		if err != nil {
			return err
		}
		note, err := sub.Notes.Add(tx, func(n *crdt.Text) error { return n.Insert(tx, 0, "note") })
		if err != nil {
			return err
		}
		lang, err := sub.Lang.At(tx, 3)
		if err != nil {
			return err
		}
		return errors.Join(lang.Insert(tx, 0, "drei"), l.Best.Set(tx, crdt.RefTo(sub)),
			l.All.Set(tx, "note", crdt.RefTo(note)), l.All.Set(tx, "lang", crdt.RefTo(lang)),
			l.All.Set(tx, "author", crdt.RefTo(&sub.Meta.Author)), l.All.Set(tx, "none", runtime.Ref{}))
	})
	other, o := open()
	feed(t, other, savedState(t, rt))
	follow := func(tx runtime.Tx, key string) (*crdt.Text, error) {
		ref, ok, err := o.All.Get(tx, key)
		if !ok || err != nil {
			t.Fatalf("no link %q", key)
		}
		return crdt.Resolve[crdt.Text](tx, ref)
	}
	commitTx(t, other, func(tx runtime.Tx) error {
		ref, ok, err := o.Best.Get(tx)
		if !ok || err != nil {
			t.Fatal("no link")
		}
		best, err := crdt.Resolve[folder](tx, ref)
		if err != nil {
			return err
		}
		if got := best.Name.String(tx); got != "best" {
			t.Errorf("the link leads to %q", got)
		}
		_, err = crdt.Resolve[crdt.Text](tx, ref)
		mustErr(t, err, crdt.ErrShape)
		for key, want := range map[string]string{"note": "note", "lang": "drei", "author": ""} {
			x, err := follow(tx, key)
			if err != nil {
				return err
			}
			if got := x.String(tx); got != want {
				t.Errorf("link %s leads to %q", key, got)
			}
			if err := x.Insert(tx, 0, "+"); err != nil {
				return err
			}
		}
		_, err = follow(tx, "none")
		mustErr(t, err, runtime.ErrDeleted)
		return o.Top.Subs.Delete(tx, "a")
	})
	if err := other.View(func(tx runtime.Tx) error {
		for _, key := range []string{"note", "lang", "author"} {
			_, err := follow(tx, key)
			mustErr(t, err, runtime.ErrDeleted)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}
