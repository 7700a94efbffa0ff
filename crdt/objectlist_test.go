package crdt_test

import (
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/runtime"
)

func newTexts(t testing.TB, k int) (*runtime.Runtime, texts) {
	t.Helper()
	rt := newRuntime(t, k)
	list, err := crdt.NewObjectList[crdt.Text](rt, "list")
	if err != nil {
		t.Fatal(err)
	}
	return rt, list
}

func appendTexts(t testing.TB, rt *runtime.Runtime, list texts, names ...string) []*crdt.Text {
	t.Helper()
	var out []*crdt.Text
	do(t, rt, func(tx runtime.Tx) error {
		for _, name := range names {
			o, err := list.Append(tx, func(o *crdt.Text) error { return o.Insert(tx, 0, name) })
			if err != nil {
				return err
			}
			out = append(out, o)
		}
		return nil
	})
	return out
}

func wantTexts(t testing.TB, rt *runtime.Runtime, list texts, want ...string) {
	t.Helper()
	got := runtime.Read(rt, func(tx runtime.Tx) []string {
		var out []string
		for _, o := range list.All(tx) {
			out = append(out, o.String(tx))
		}
		return out
	})
	if !slices.Equal(got, want) {
		t.Fatalf("got %q, want %q", got, want)
	}
}

// position returns where o stands, or would.
func position(t testing.TB, rt *runtime.Runtime, list texts, o *crdt.Text) (at int, shown bool) {
	t.Helper()
	do(t, rt, func(tx runtime.Tx) (err error) { at, shown, err = list.Position(tx, o); return err })
	return at, shown
}

// TestR11ArchivedPosition archives an element, moves things around it, asks where it is and brings it back.
func TestR11ArchivedPosition(t *testing.T) {
	a, la := newTexts(t, 1)
	o := appendTexts(t, a, la, "a", "b", "c", "d")
	do(t, a, func(tx runtime.Tx) error { return la.Archive(tx, 1, 2) })
	wantTexts(t, a, la, "a", "d")
	if at, shown := position(t, a, la, o[2]); at != 1 || shown {
		t.Errorf("c at %d, %v", at, shown)
	}
	b, lb := newTexts(t, 2)
	receive(t, b, save(t, a))
	do(t, b, func(tx runtime.Tx) error { return lb.Delete(tx, 0, 1) })
	receive(t, a, save(t, b))
	if at, shown := position(t, a, la, o[2]); at != 0 || shown {
		t.Errorf("c at %d, %v", at, shown)
	}
	do(t, a, func(tx runtime.Tx) error { return o[2].Insert(tx, 1, "!") })
	do(t, a, func(tx runtime.Tx) error { return errors.Join(la.Restore(tx, o[2]), la.Restore(tx, o[2])) })
	wantTexts(t, a, la, "c!", "d")
	do(t, a, func(tx runtime.Tx) error { return la.MoveObject(tx, o[1], 2) })
	do(t, a, func(tx runtime.Tx) error { return la.Restore(tx, o[1]) })
	wantTexts(t, a, la, "c!", "d", "b")
	receive(t, b, save(t, a))
	same(t, a, b)
	wantTexts(t, b, lb, "c!", "d", "b")
}

func TestRestoreWinsOverConcurrentArchive(t *testing.T) {
	a, la := newTexts(t, 1)
	b, lb := newTexts(t, 2)
	o := appendTexts(t, a, la, "x")
	fromA, fromB := collect(a), collect(b)
	do(t, a, func(tx runtime.Tx) error { return la.Archive(tx, 0, 1) })
	receive(t, b, save(t, a))
	fromA()
	fromB()
	do(t, a, func(tx runtime.Tx) error { return la.Restore(tx, o[0]) })
	do(t, a, func(tx runtime.Tx) error { return la.Archive(tx, 0, 1) })
	do(t, b, func(tx runtime.Tx) error {
		for _, x := range lb.Archived(tx) {
			if err := lb.Restore(tx, x); err != nil {
				return err
			}
		}
		return nil
	})
	receive(t, a, fromB()...)
	receive(t, b, fromA()...)
	same(t, a, b)
	wantTexts(t, a, la, "x") // the archive has not seen b's restore
	do(t, b, func(tx runtime.Tx) error { return lb.Archive(tx, 0, 1) })
	receive(t, a, save(t, b))
	same(t, a, b)
	wantTexts(t, a, la)
}

func TestDeleteOfAnObjectIsFinal(t *testing.T) {
	a, la := newTexts(t, 1)
	b, lb := newTexts(t, 2)
	o := appendTexts(t, a, la, "x", "y")
	receive(t, b, save(t, a))
	do(t, a, func(tx runtime.Tx) error { return la.Delete(tx, 0, 1) })
	do(t, b, func(tx runtime.Tx) error {
		x, err := lb.Get(tx, 0)
		if err != nil {
			return err
		}
		return errors.Join(x.Insert(tx, 0, "b"), lb.Archive(tx, 0, 1), lb.Restore(tx, x), lb.Move(tx, 0, 2))
	})
	receive(t, a, save(t, b))
	receive(t, b, save(t, a))
	same(t, a, b)
	wantTexts(t, b, lb, "y")
	do(t, a, func(tx runtime.Tx) error {
		for name, err := range map[string]error{
			"edit": o[0].Insert(tx, 0, "!"), "remove": la.Remove(tx, o[0]), "restore": la.Restore(tx, o[0]),
			"move": la.MoveObject(tx, o[0], 0),
		} {
			if !errors.Is(err, runtime.ErrDeleted) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, _, err := la.Position(tx, o[0]); !errors.Is(err, runtime.ErrDeleted) {
			t.Errorf("position: %v", err)
		}
		if err := la.Remove(tx, &crdt.Text{}); !errors.Is(err, runtime.ErrUnbound) {
			t.Errorf("remove of an unbound handle: %v", err)
		}
		if o[0].String(tx) != "x" {
			t.Error("the last state is not shown")
		}
		return nil
	})
}

func TestObjectListErrorsChangeNothing(t *testing.T) {
	rt, list := newTexts(t, 1)
	o := appendTexts(t, rt, list, "a", "b")
	other := crdt.ObjectList[texts]{}
	other.Bind(list.Node())
	before := string(rt.Canonical())
	for name, c := range map[string]struct {
		edit func(tx runtime.Tx) error
		want error
	}{
		"insert beyond the end":  {func(tx runtime.Tx) error { _, err := list.Insert(tx, 3, nil); return err }, runtime.ErrRange},
		"insert fewer than none": {func(tx runtime.Tx) error { _, err := list.InsertN(tx, 0, -1); return err }, runtime.ErrRange},
		"delete beyond the end":  {func(tx runtime.Tx) error { return list.Delete(tx, 1, 2) }, runtime.ErrRange},
		"archive beyond the end": {func(tx runtime.Tx) error { return list.Archive(tx, 1, 2) }, runtime.ErrRange},
		"move beyond the end":    {func(tx runtime.Tx) error { return list.Move(tx, 0, 3) }, runtime.ErrRange},
		"move it beyond the end": {func(tx runtime.Tx) error { return list.MoveObject(tx, o[0], 3) }, runtime.ErrRange},
		"get at the end":         {func(tx runtime.Tx) error { _, err := list.Get(tx, 2); return err }, runtime.ErrRange},
		"get as another kind":    {func(tx runtime.Tx) error { _, err := other.Get(tx, 0); return err }, crdt.ErrShape},
	} {
		err := rt.Transact(func(tx runtime.Tx) error {
			if err := c.edit(tx); !errors.Is(err, c.want) {
				t.Errorf("%s: got %v, want %v", name, err, c.want)
			}
			return nil
		})
		if err != nil || string(rt.Canonical()) != before || rt.Check() != nil {
			t.Errorf("%s: changed the document: %v, %v", name, err, rt.Check())
		}
	}
}

// TestObjectListNonsense also tests what only a faulty writer does: a restore of what was never archived.
func TestObjectListNonsense(t *testing.T) {
	for name, c := range map[string]struct {
		payload string
		want    error
	}{
		"a newer code":              {"\x06", runtime.ErrNewerOp},
		"set":                       {"\x02", runtime.ErrNewerOp},
		"insert of a newer kind":    {"\x10\x7f", runtime.ErrNewerOp},
		"insert without arguments":  {"\x10\x0d", runtime.ErrCorrupt},
		"insert of half arguments":  {"\x10\x0d\x02\x01", runtime.ErrCorrupt},
		"insert of bad arguments":   {"\x10\x0d\x02\x01\x01", runtime.ErrInvalidOp},
		"insert with a tail":        {"\x10\x0d\x00\x00", runtime.ErrCorrupt},
		"archive of nothing":        {"\x04\x00", runtime.ErrCorrupt},
		"archive of a place":        {"\x04\x01\x00\x01\x00", runtime.ErrInvalidOp},
		"restore of what is a move": {"\x05", runtime.ErrInvalidOp},
		"restore with a tail":       {"\x05\x00", runtime.ErrCorrupt},
	} {
		rt, list := newTexts(t, 1)
		appendTexts(t, rt, list, "a", "b")
		do(t, rt, func(tx runtime.Tx) error { return list.Move(tx, 0, 2) })
		before := string(rt.Canonical())
		err := rt.Transact(func(tx runtime.Tx) error {
			w, err := tx.Begin(list.Node())
			if err != nil {
				return err
			}
			w.RawString(c.payload)
			if err := w.Apply(1); !errors.Is(err, c.want) {
				t.Errorf("%s: got %v, want %v", name, err, c.want)
			}
			return nil
		})
		if err != nil || string(rt.Canonical()) != before || rt.Check() != nil {
			t.Errorf("%s: changed the document: %v, %v", name, err, rt.Check())
		}
	}
	a, la := newTexts(t, 1)
	b, lb := newTexts(t, 2)
	fromA, fromB := collect(a), collect(b)
	o := appendTexts(t, a, la, "a")
	first := fromA()
	receive(t, b, first...)
	fromB()
	do(t, b, func(tx runtime.Tx) error {
		w, err := tx.Begin(lb.Node())
		if err != nil {
			return err
		}
		d, _ := o[0].Node().Dot()
		local, _ := b.LocalDot(a.Dot(d))
		w.Byte(5 | 2<<3)
		w.Ref(local)
		return w.Apply(1)
	})
	do(t, a, func(tx runtime.Tx) error { return la.Archive(tx, 0, 1) })
	c, lc := newTexts(t, 3)
	receive(t, c, first...)
	receive(t, c, fromB()...)
	receive(t, c, fromA()...)
	receive(t, a, save(t, c))
	receive(t, b, save(t, a))
	same(t, a, b, c)
	wantTexts(t, c, lc, "a")
}

// TestObjectListArgs: arguments go with their object through messages, states and deltas, archive and move, and end with it.
func TestObjectListArgs(t *testing.T) {
	a, la := newTexts(t, 1)
	b, lb := newTexts(t, 2)
	fromA := collect(a)
	create := func(i int, args any) (o *crdt.Text) {
		do(t, a, func(tx runtime.Tx) (err error) { o, err = la.Create(tx, i, args, nil); return err })
		return o
	}
	first := create(0, "one")
	create(1, 2)
	receive(t, b, fromA()...)
	base := b.Clock()
	create(1, nil)
	create(3, []int{3})
	delta, err := a.SaveSince(base)
	if err != nil {
		t.Fatal(err)
	}
	receive(t, b, delta)
	c, lc := newTexts(t, 3)
	receive(t, c, save(t, b))
	same(t, a, b, c)
	for _, rt := range []*runtime.Runtime{a, b, c} {
		list := map[*runtime.Runtime]texts{a: la, b: lb, c: lc}[rt]
		wantArgs(t, rt, list, "one", nil, uint64(2), []any{uint64(3)})
	}
	do(t, c, func(tx runtime.Tx) error { return errors.Join(lc.Archive(tx, 0, 1), lc.Move(tx, 2, 0)) })
	do(t, c, func(tx runtime.Tx) error {
		for _, o := range lc.Archived(tx) {
			var s string
			if ok, err := lc.Args(tx, o, &s); !ok || s != "one" || err != nil {
				t.Errorf("arguments of the archived: %q, %v, %v", s, ok, err)
			}
			var n int
			if _, err := lc.Args(tx, o, &n); err == nil {
				t.Error("a string is a number")
			}
		}
		return nil
	})
	wantArgs(t, c, lc, []any{uint64(3)}, nil, uint64(2))
	receive(t, a, save(t, c))
	wantArgs(t, a, la, []any{uint64(3)}, nil, uint64(2))
	fail := errors.New("fail")
	if err := a.Transact(func(tx runtime.Tx) error {
		_, err := la.Create(tx, 0, "gone", nil)
		return errors.Join(err, la.Delete(tx, 1, 3), la.Remove(tx, first), fail)
	}); !errors.Is(err, fail) {
		t.Fatal(err)
	}
	wantArgs(t, a, la, []any{uint64(3)}, nil, uint64(2))
	do(t, a, func(tx runtime.Tx) error { return la.Remove(tx, first) })
	do(t, a, func(tx runtime.Tx) error {
		if _, err := la.Args(tx, first, new(string)); !errors.Is(err, runtime.ErrDeleted) {
			t.Errorf("arguments of the deleted: %v", err)
		}
		return nil
	})
	receive(t, b, save(t, a))
	receive(t, c, save(t, a))
	same(t, a, b, c)
}

func wantArgs(t *testing.T, rt *runtime.Runtime, list texts, want ...any) {
	t.Helper()
	var got []any
	do(t, rt, func(tx runtime.Tx) error {
		for _, o := range list.All(tx) {
			var v any
			if ok, err := list.Args(tx, o, &v); err != nil || ok != (v != nil) {
				t.Errorf("%v, %v", ok, err)
			}
			got = append(got, v)
		}
		return nil
	})
	if !reflect.DeepEqual(got, want) {
		t.Errorf("arguments %#v, want %#v", got, want)
	}
	if err := rt.Check(); err != nil {
		t.Error(err)
	}
}
