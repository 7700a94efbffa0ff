package crdt_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/runtime"
)

func newList(t testing.TB, k int) (*runtime.Runtime, crdt.List[string]) {
	t.Helper()
	rt := newRuntime(t, k)
	list, err := crdt.NewList[string](rt, "list")
	if err != nil {
		t.Fatal(err)
	}
	return rt, list
}

func wantList[T comparable](t testing.TB, rt *runtime.Runtime, list crdt.List[T], want ...T) {
	t.Helper()
	err := rt.View(func(tx runtime.Tx) error {
		got, err := list.Values(tx)
		if err == nil && !slices.Equal(got, want) {
			err = fmt.Errorf("got %v, want %v", got, want)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestListEdits(t *testing.T) {
	rt, list := newList(t, 1)
	for _, s := range []struct {
		edit func(tx runtime.Tx) error
		want []string
	}{
		{func(tx runtime.Tx) error { return list.Insert(tx, 0, "a", "c") }, []string{"a", "c"}},
		{func(tx runtime.Tx) error { return list.Insert(tx, 1, "b") }, []string{"a", "b", "c"}},
		{func(tx runtime.Tx) error { return list.Insert(tx, 1) }, []string{"a", "b", "c"}},
		{func(tx runtime.Tx) error { return list.Append(tx, "d", "") }, []string{"a", "b", "c", "d", ""}},
		{func(tx runtime.Tx) error { return list.Set(tx, 2, "C") }, []string{"a", "b", "C", "d", ""}},
		{func(tx runtime.Tx) error { return list.Set(tx, 2, "CC") }, []string{"a", "b", "CC", "d", ""}},
		{func(tx runtime.Tx) error { return list.Move(tx, 0, 2) }, []string{"b", "a", "CC", "d", ""}},
		{func(tx runtime.Tx) error { return list.Move(tx, 4, 0) }, []string{"", "b", "a", "CC", "d"}},
		{func(tx runtime.Tx) error { return list.MoveRange(tx, 1, 2, 5) }, []string{"", "CC", "d", "b", "a"}},
		{func(tx runtime.Tx) error { return list.Move(tx, 1, 2) }, []string{"", "CC", "d", "b", "a"}},
		{func(tx runtime.Tx) error { return list.Delete(tx, 1, 3) }, []string{"", "a"}},
		{func(tx runtime.Tx) error { return list.Delete(tx, 0, 2) }, []string{}},
	} {
		do(t, rt, s.edit)
		wantList(t, rt, list, s.want...)
		if err := rt.Check(); err != nil {
			t.Fatal(err)
		}
		other, copied := newList(t, 2)
		receive(t, other, save(t, rt))
		same(t, rt, other)
		wantList(t, other, copied, s.want...)
	}
}

func TestListErrorsChangeNothing(t *testing.T) {
	rt, list := newList(t, 1)
	do(t, rt, func(tx runtime.Tx) error { return list.Insert(tx, 0, "a", "b") })
	numbers := crdt.List[int]{}
	numbers.Bind(list.Node())
	before := string(rt.Canonical())
	for name, c := range map[string]struct {
		edit func(tx runtime.Tx) error
		want error
	}{
		"insert beyond the end": {func(tx runtime.Tx) error { return list.Insert(tx, 3, "x") }, runtime.ErrRange},
		"insert nothing beyond": {func(tx runtime.Tx) error { return list.Insert(tx, 3) }, runtime.ErrRange},
		"delete beyond the end": {func(tx runtime.Tx) error { return list.Delete(tx, 1, 2) }, runtime.ErrRange},
		"set at the end":        {func(tx runtime.Tx) error { return list.Set(tx, 2, "x") }, runtime.ErrRange},
		"move from beyond":      {func(tx runtime.Tx) error { return list.Move(tx, 2, 0) }, runtime.ErrRange},
		"move to beyond":        {func(tx runtime.Tx) error { return list.Move(tx, 0, 3) }, runtime.ErrRange},
		"move fewer than none":  {func(tx runtime.Tx) error { return list.MoveRange(tx, 0, -1, 2) }, runtime.ErrRange},
		"get at the end":        {func(tx runtime.Tx) error { _, err := list.Get(tx, 2); return err }, runtime.ErrRange},
		"not UTF-8":             {func(tx runtime.Tx) error { return list.Insert(tx, 0, "ok", "\xff") }, crdt.ErrValue},
		"set to what is not":    {func(tx runtime.Tx) error { return list.Set(tx, 0, "\xff") }, crdt.ErrValue},
		"read as another type":  {func(tx runtime.Tx) error { _, err := numbers.Get(tx, 0); return err }, crdt.ErrType},
		"all as another type":   {func(tx runtime.Tx) error { _, err := numbers.Values(tx); return err }, crdt.ErrType},
		"unbound":               {func(tx runtime.Tx) error { return crdt.List[int]{}.Append(tx, 1) }, runtime.ErrUnbound},
	} {
		err := rt.Transact(func(tx runtime.Tx) error {
			if err := c.edit(tx); !errors.Is(err, c.want) {
				t.Errorf("%s: got %v, want %v", name, err, c.want)
			}
			return nil
		})
		if err != nil || string(rt.Canonical()) != before {
			t.Errorf("%s: changed the document, %v", name, err)
		}
		if err := rt.Check(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestR2ListElementStaysDeleted is R2 for a list.
func TestR2ListElementStaysDeleted(t *testing.T) {
	a, la := newList(t, 1)
	b, lb := newList(t, 2)
	c, lc := newList(t, 3)
	do(t, a, func(tx runtime.Tx) error { return la.Append(tx, "x") })
	receive(t, b, save(t, a))
	sent := collect(b)
	do(t, b, func(tx runtime.Tx) error { return lb.Delete(tx, 0, 1) })
	receive(t, c, sent()...)
	receive(t, c, save(t, a))
	for _, from := range []*runtime.Runtime{a, b, c} {
		for _, to := range []*runtime.Runtime{a, b, c} {
			receive(t, to, save(t, from))
		}
	}
	same(t, a, b, c)
	wantList(t, c, lc)
}

// TestR28MoveWhileDeleted moves three elements, of which one is deleted concurrently, and hangs an insert on its new place.
func TestR28MoveWhileDeleted(t *testing.T) {
	a, la := newList(t, 1)
	b, lb := newList(t, 2)
	c, lc := newList(t, 3)
	fromA, fromB, fromC := collect(a), collect(b), collect(c)
	do(t, a, func(tx runtime.Tx) error { return la.Append(tx, "a", "b", "c", "d") })
	first := fromA()
	receive(t, b, first...)
	receive(t, c, first...)
	fromB()
	fromC()
	do(t, a, func(tx runtime.Tx) error { return la.MoveRange(tx, 0, 3, 4) })
	moved := fromA()
	do(t, b, func(tx runtime.Tx) error { return lb.Delete(tx, 1, 1) })
	deleted := fromB()
	receive(t, c, moved...)
	fromC()
	do(t, c, func(tx runtime.Tx) error { return lc.Insert(tx, 3, "x") }) // d a b x c
	hung := fromC()
	receive(t, b, moved...)
	receive(t, b, hung...)
	receive(t, a, deleted...)
	receive(t, a, hung...)
	receive(t, c, deleted...)
	same(t, a, b, c)
	wantList(t, b, lb, "d", "a", "x", "c")
	d, ld := newList(t, 4)
	receive(t, d, save(t, b))
	same(t, a, d)
	wantList(t, d, ld, "d", "a", "x", "c")
}

func TestConcurrentMovesDoNotDuplicate(t *testing.T) {
	a, la := newList(t, 1)
	b, lb := newList(t, 2)
	do(t, a, func(tx runtime.Tx) error { return la.Append(tx, "a", "b", "c") })
	receive(t, b, save(t, a))
	do(t, a, func(tx runtime.Tx) error { return la.Move(tx, 0, 3) })
	do(t, b, func(tx runtime.Tx) error { return lb.Move(tx, 0, 2) })
	receive(t, a, save(t, b))
	receive(t, b, save(t, a))
	same(t, a, b)
	wantList(t, a, la, "b", "a", "c") // equal timestamps: the greater replica wins
}

func TestListNonsense(t *testing.T) {
	for name, c := range map[string]struct {
		payload string
		dots    int
		want    error
	}{
		"nothing":                      {"", 1, runtime.ErrCorrupt},
		"a newer code":                 {"\x06", 1, runtime.ErrNewerOp},
		"archive":                      {"\x04\x00", 1, runtime.ErrNewerOp},
		"unknown bits":                 {"\x40\x01", 1, runtime.ErrNewerOp},
		"insert of half a value":       {"\x10\x61", 1, runtime.ErrInvalidOp},
		"insert of too few":            {"\x10\x01", 2, runtime.ErrInvalidOp},
		"insert of too many":           {"\x10\x01\x02", 1, runtime.ErrInvalidOp},
		"indefinite length":            {"\x10\x9f\xff", 1, runtime.ErrInvalidOp},
		"reserved information":         {"\x10\x1c", 1, runtime.ErrInvalidOp},
		"deep nesting":                 {"\x10" + string(bytesOf(0x81, 200)) + "\x00", 1, runtime.ErrInvalidOp},
		"set of what is not there":     {"\x0a\x01\x05", 1, runtime.ErrInvalidOp},
		"set to nothing":               {"\x0a\x02", 1, runtime.ErrInvalidOp},
		"set to two values":            {"\x0a\x02\x01\x01", 1, runtime.ErrInvalidOp},
		"set in an unknown form":       {"\x1a\x02\x01", 1, runtime.ErrCorrupt},
		"move of fewer than dots":      {"\x13\x00\x02\x00", 2, runtime.ErrInvalidOp},
		"move of one twice":            {"\x13\x00\x02\x00\x00\x02\x00", 2, runtime.ErrInvalidOp},
		"move of nothing":              {"\x13", 1, runtime.ErrCorrupt},
		"delete of one twice":          {"\x19\x00\x02\x00\x00\x02\x00", 1, runtime.ErrInvalidOp},
		"delete of what is not there":  {"\x09\x01", 1, runtime.ErrInvalidOp},
		"delete below the first dot":   {"\x09\x05", 1, runtime.ErrCorrupt},
		"delete of a run that is long": {"\x11\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 1, runtime.ErrCorrupt},
	} {
		rt, list := newList(t, 1)
		do(t, rt, func(tx runtime.Tx) error { return list.Append(tx, "a") })
		do(t, rt, func(tx runtime.Tx) error { return errors.Join(list.Append(tx, "b"), list.Delete(tx, 1, 1)) })
		before := string(rt.Canonical())
		err := rt.Transact(func(tx runtime.Tx) error {
			w, err := tx.Begin(list.Node())
			if err != nil {
				return err
			}
			w.RawString(c.payload)
			if err := w.Apply(c.dots); !errors.Is(err, c.want) {
				t.Errorf("%s: got %v, want %v", name, err, c.want)
			}
			return nil
		})
		if err != nil || string(rt.Canonical()) != before || rt.Check() != nil {
			t.Errorf("%s: changed the document: %v, %v", name, err, rt.Check())
		}
	}
}

func bytesOf(b byte, n int) []byte {
	out := make([]byte, n)
	for i := range out {
		out[i] = b
	}
	return out
}

func TestListEvents(t *testing.T) {
	rt, list := newList(t, 1)
	numbers := crdt.List[int]{}
	numbers.Bind(list.Node())
	do(t, rt, func(tx runtime.Tx) error { return list.Append(tx, "a", "b", "c") })
	var last crdt.ListEvent[string]
	list.OnChange(func(e crdt.ListEvent[string]) { last = e })
	var failed error
	numbers.OnChange(func(e crdt.ListEvent[int]) { failed = e.Err })
	do(t, rt, func(tx runtime.Tx) error { return errors.Join(list.Set(tx, 1, "B"), list.Move(tx, 0, 3)) })
	const want = "[{0 [B] 0} {0 [] 2} {1 [] 0} {0 [a] 0}]"
	if got := fmt.Sprint(last.Delta); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	if !errors.Is(failed, crdt.ErrType) {
		t.Errorf("events of another type: %v", failed)
	}
}

func TestListKeepsTheAuthorsBytes(t *testing.T) {
	type v2 struct {
		Name, Color string
	}
	type v1 struct{ Name string }
	a, b := newRuntime(t, 1), newRuntime(t, 2)
	la, err := crdt.NewList[v2](a, "list")
	if err != nil {
		t.Fatal(err)
	}
	lb, err := crdt.NewList[v1](b, "list")
	if err != nil {
		t.Fatal(err)
	}
	do(t, a, func(tx runtime.Tx) error { return la.Append(tx, v2{"x", "red"}) })
	receive(t, b, save(t, a))
	do(t, b, func(tx runtime.Tx) error { return lb.Append(tx, v1{"y"}) })
	receive(t, a, save(t, b))
	same(t, a, b)
	wantList(t, a, la, v2{"x", "red"}, v2{"y", ""})
	wantList(t, b, lb, v1{"x"}, v1{"y"})
}
