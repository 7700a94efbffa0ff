package crdt_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

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
	const want = `{"ints":{"-1":"-1","300":"300","7":"7"},"mixed":{"1":1,"1 (6131)":1},"points":{"{\"X\":1,\"Y\":2}":0}}`
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
