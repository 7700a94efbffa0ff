package crdt_test

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/runtime"
)

type (
	badPlain  struct{ Name string }
	badTagged struct { //nolint:unused
		Name string `weft:"name"`
	}
	badPointer struct {
		Text *crdt.Text `weft:"text"`
	}
	badUntagged  struct{ Text crdt.Text }
	badDuplicate struct {
		A crdt.Text `weft:"x"`
		B crdt.Text `weft:"x"`
	}
	badHidden struct {
		a crdt.Text `weft:"a"` //nolint
	}
	badNested struct {
		Sub struct {
			Num crdt.Counter
		} `weft:"sub"`
	}
	badElement struct {
		Map crdt.ObjectMap[string, crdt.LazyMap[string, badPointer]] `weft:"map"`
	}
	badMap struct {
		Map crdt.ObjectMap[string, int] `weft:"map"`
	}
	badEmpty struct{}
	badKind  struct {
		Mine foreignHandle `weft:"mine"`
	}
)

// foreignHandle is a handle of a kind that is not registered.
type foreignHandle struct{ n *runtime.Node }

func (foreignHandle) Kind() string            { return "example.com/foreign" }
func (c *foreignHandle) Bind(n *runtime.Node) { c.n = n }

func TestShapeErrors(t *testing.T) {
	_ = badHidden{}.a
	for _, c := range []struct {
		root any
		want string
	}{
		{new(badPlain), "type crdt_test.badPlain, field Name: string cannot hold an object: use a handle"},
		{new(badTagged), "type crdt_test.badTagged, field Name: string cannot hold an object"},
		{new(badPointer), "type crdt_test.badPointer, field Text: *crdt.Text cannot hold an object"},
		{new(badUntagged), "type crdt_test.badUntagged, field Text: it needs a name for the document, such as weft:\"text\""},
		{new(badDuplicate), `type crdt_test.badDuplicate, field B: the name "x" is taken`},
		{new(badHidden), "type crdt_test.badHidden, field a: it has a weft tag but is not exported"},
		{new(badNested), "field Num: it needs a name"},
		{new(badElement), "type crdt_test.badPointer, field Text"},
		{new(badMap), "type int: it is neither a handle"},
		{new(badEmpty), "type crdt_test.badEmpty: it has no fields"},
		{badEmpty{}, "described by a struct of handles"},
		{new(int), "described by a struct of handles"},
		{nil, "described by a struct of handles"},
		{(*badEmpty)(nil), "described by a struct of handles"},
		{new(crdt.Text), "a document's roots stand in a plain struct"},
	} {
		for range 2 { // the second time from the cache
			rt := openKinds(t, crdt.Kinds())
			err := crdt.BindRoots(rt, c.root)
			var shape *crdt.ShapeError
			if !errors.Is(err, crdt.ErrShape) || !errors.As(err, &shape) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%T: %v, want %q", c.root, err, c.want)
			}
		}
	}
	err := crdt.BindRoots(openKinds(t, crdt.Kinds()), new(badKind))
	mustErr(t, err, runtime.ErrUnknownKind)
	_, err = crdt.NewObjectMap[string, foreignHandle](openKinds(t, crdt.Kinds()), "m")
	mustErr(t, err, runtime.ErrUnknownKind)
	_, err = crdt.NewObjectSet[folder](openKinds(t, kindsWithout("lazymap")), "m")
	mustErr(t, err, runtime.ErrUnknownKind)
}

type base struct {
	Name crdt.Text `weft:"name"`
}

type item struct {
	crdt.Record
	base // not exported: left out, and with it its fields
	Base2
	Count   crdt.Counter         `weft:"count"`
	Subs    crdt.ObjectSet[item] `weft:"subs"`
	Comment string               `weft:"-"`
	note    string               //nolint
}

type Base2 struct {
	Title crdt.Text `weft:"title"`
	Extra struct {
		crdt.Record
		Deep crdt.Text `weft:"deep"`
	} `weft:"extra"`
}

func TestBindStructs(t *testing.T) {
	rt := openKinds(t, crdt.Kinds())
	items, err := crdt.NewObjectSet[item](rt, "items")
	if err != nil {
		t.Fatal(err)
	}
	commitTx(t, rt, func(tx runtime.Tx) error {
		_, err := items.Add(tx, func(i *item) error {
			if i.note != "" || i.base.Name.Node() != nil {
				t.Error("a field that is not exported was bound")
			}
			_, err := i.Subs.Add(tx, func(sub *item) error {
				if crdt.NodeOf(sub) != sub.Node() || sub.Node().Parent() != i.Subs.Node() {
					t.Error("an embedded Record is not the struct's own object")
				}
				if sub.Extra.Node().Parent() != sub.Node() || crdt.NodeOf(&sub.Base2) != sub.Node() {
					t.Error("fields are not below the struct's object")
				}
				return errors.Join(sub.Count.Add(tx, 3), sub.Extra.Deep.Insert(tx, 0, "deep"))
			})
			return errors.Join(err, i.Title.Insert(tx, 0, "title"))
		})
		return err
	})
	const want = `{"items":[{"subs":[{"count":3,"extra":{"deep":"deep"}}],"title":"title"}]}`
	if got := docJSON(rt); got != want {
		t.Errorf("JSON view %s, want %s", got, want)
	}
	if crdt.NodeOf(new(item)) != nil || crdt.NodeOf[item](nil) != nil || !crdt.RefTo(new(item)).IsZero() || crdt.BindTo[item](nil) != nil {
		t.Error("what is not bound has an object")
	}
	if crdt.BindTo[crdt.Text](items.Node()) != nil {
		t.Error("a Text was bound to a set")
	}
}

func TestRecordFields(t *testing.T) {
	rt := openKinds(t, crdt.Kinds())
	rec, err := crdt.NewRecord(rt, "r")
	if err != nil {
		t.Fatal(err)
	}
	var x crdt.Text
	mustErr(t, crdt.Record{}.Field("x", &x), runtime.ErrUnbound)
	mustErr(t, rec.Field("x", &foreignHandle{}), runtime.ErrUnknownKind)
	commitTx(t, rt, func(tx runtime.Tx) error {
		if err := rec.Field("x", &x); err != nil {
			return err
		}
		return x.Insert(tx, 0, "dynamic")
	})
	type typed struct {
		X crdt.Text `weft:"x"`
	}
	same := mustRoot[typed](t, rt, "r")
	if got := runtime.Read(rt, same.X.String); got != "dynamic" {
		t.Errorf("the field holds %q", got)
	}
}

// TestShapesConcurrently makes the shape of one type in several goroutines, under the race detector.
func TestShapesConcurrently(t *testing.T) {
	type fresh struct {
		A crdt.ObjectMap[string, item] `weft:"a"`
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			rt, err := runtime.New(&runtime.Options{Kinds: crdt.Kinds()})
			if err == nil {
				err = crdt.BindRoots(rt, new(fresh))
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}
