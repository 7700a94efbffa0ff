package crdt_test

import (
	"errors"
	"testing"

	"pgregory.net/rapid"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/runtime"
)

func TestCursorFollowsEdits(t *testing.T) {
	for name, c := range map[string]struct {
		bias crdt.Bias
		at   int
		edit func(tx runtime.Tx, x crdt.Text) error
		want int
	}{
		"insert at a cursor that holds on to what is before": {crdt.Before, 2, func(tx runtime.Tx, x crdt.Text) error { return x.Insert(tx, 2, "xy") }, 2},
		"insert at a cursor that holds on to what is after":  {crdt.After, 2, func(tx runtime.Tx, x crdt.Text) error { return x.Insert(tx, 2, "xy") }, 4},
		"insert in front":           {crdt.Before, 2, func(tx runtime.Tx, x crdt.Text) error { return x.Insert(tx, 0, "xy") }, 4},
		"insert behind":             {crdt.After, 2, func(tx runtime.Tx, x crdt.Text) error { return x.Insert(tx, 3, "xy") }, 2},
		"the anchor before goes":    {crdt.Before, 2, func(tx runtime.Tx, x crdt.Text) error { return x.Delete(tx, 1, 1) }, 1},
		"the anchor after goes":     {crdt.After, 2, func(tx runtime.Tx, x crdt.Text) error { return x.Delete(tx, 2, 1) }, 2},
		"all goes":                  {crdt.After, 2, func(tx runtime.Tx, x crdt.Text) error { return x.Delete(tx, 0, 4) }, 0},
		"the start stays the start": {crdt.Before, 0, func(tx runtime.Tx, x crdt.Text) error { return x.Insert(tx, 0, "x") }, 0},
		"the end stays the end":     {crdt.After, 4, func(tx runtime.Tx, x crdt.Text) error { return x.Insert(tx, 4, "x") }, 5},
		"behind the last":           {crdt.Before, 4, func(tx runtime.Tx, x crdt.Text) error { return x.Insert(tx, 4, "x") }, 4},
	} {
		rt, text := newText(t, 1)
		do(t, rt, insertAt(text, 0, "abcd"))
		var cur crdt.Cursor
		do(t, rt, func(tx runtime.Tx) (err error) { cur, err = text.CursorAt(tx, c.at, c.bias); return err })
		do(t, rt, func(tx runtime.Tx) error { return c.edit(tx, text) })
		do(t, rt, func(tx runtime.Tx) error {
			if got, err := text.IndexOf(tx, cur); err != nil || got != c.want {
				t.Errorf("%s: got %d, %v, want %d", name, got, err, c.want)
			}
			return nil
		})
	}
}

// TestCursorSurvivesSaveAndLoad checks that a cursor means the same in a replica that got the text otherwise.
func TestCursorSurvivesSaveAndLoad(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		a, ta := newText(t, 1)
		b, tb := newText(t, 2)
		for range rapid.IntRange(1, 10).Draw(r, "edits") {
			do(t, a, func(tx runtime.Tx) error {
				if n := ta.Len(tx); n > 0 && rapid.Bool().Draw(r, "delete") {
					i, k := span(r, n)
					return ta.Delete(tx, i, k)
				}
				return ta.Insert(tx, rapid.IntRange(0, ta.Len(tx)).Draw(r, "at"), rapid.StringMatching("[a-z]{1,4}").Draw(r, "text"))
			})
		}
		var c crdt.Cursor
		var data []byte
		want := 0
		do(t, a, func(tx runtime.Tx) (err error) {
			want = rapid.IntRange(0, ta.Len(tx)).Draw(r, "cursor")
			c, err = ta.CursorAt(tx, want, crdt.Bias(rapid.IntRange(0, 1).Draw(r, "bias")))
			if err == nil {
				data, err = runtime.EncodeValue(c)
			}
			return err
		})
		receive(t, b, save(t, a))
		var again crdt.Cursor
		if err := runtime.DecodeValue(data, &again); err != nil || again != c {
			r.Fatalf("decoded %v, %v, want %v", again, err, c)
		}
		do(t, b, func(tx runtime.Tx) error {
			got, err := tb.IndexOf(tx, again)
			if got != want {
				r.Fatalf("got %d, want %d", got, want)
			}
			return err
		})
	})
}

func TestCursorErrors(t *testing.T) {
	a, ta := newText(t, 1)
	b, tb := newText(t, 2)
	do(t, a, insertAt(ta, 0, "abc"))
	do(t, b, insertAt(tb, 0, "abc"))
	var c crdt.Cursor
	do(t, a, func(tx runtime.Tx) (err error) { c, err = ta.CursorAt(tx, 1, crdt.Before); return err })
	do(t, a, func(tx runtime.Tx) error {
		if _, err := ta.CursorAt(tx, 4, crdt.Before); !errors.Is(err, runtime.ErrRange) {
			t.Errorf("beyond the end: %v", err)
		}
		return nil
	})
	do(t, b, func(tx runtime.Tx) error {
		var e *crdt.CursorError
		if _, err := tb.IndexOf(tx, c); !errors.Is(err, crdt.ErrUnknownCursor) || !errors.As(err, &e) || e.Applied || e.Dot.Seq != 0 {
			t.Errorf("of an unknown replica: %v", err)
		}
		return nil
	})
	other, err := crdt.NewText(a, "other")
	if err != nil {
		t.Fatal(err)
	}
	do(t, a, func(tx runtime.Tx) error {
		var e *crdt.CursorError
		if _, err := other.IndexOf(tx, c); !errors.As(err, &e) || !e.Applied || e.Dot.Seq != 0 {
			t.Errorf("of another text: %v", err)
		}
		return nil
	})
	for _, data := range []string{"\x80", "\x81\x02", "\x01", "\x82\x00\x41a", "\x83\x00\x41a\x00", "\x83\x00\x50aaaaaaaaaaaaaaaa\x20", "\xff"} {
		if err := new(crdt.Cursor).UnmarshalCBOR([]byte(data)); !errors.Is(err, runtime.ErrCorrupt) {
			t.Errorf("% x: %v", data, err)
		}
	}
	if d, ok := c.Dot(); !ok || d.Seq != 0 || c.Bias() != crdt.Before || c.Bias().String() != "before" || crdt.After.String() != "after" {
		t.Errorf("cursor at %v", d)
	}
}

func TestListCursorStaysWhenItsElementMoves(t *testing.T) {
	rt := newRuntime(t, 1)
	list, err := crdt.NewList[string](rt, "list")
	if err != nil {
		t.Fatal(err)
	}
	do(t, rt, func(tx runtime.Tx) error { return list.Insert(tx, 0, "a", "b", "c") })
	do(t, rt, func(tx runtime.Tx) error {
		c, err := list.CursorAt(tx, 1, crdt.After)
		if err != nil {
			return err
		}
		if err := list.Move(tx, 1, 3); err != nil {
			return err
		}
		if i, err := list.IndexOf(tx, c); i != 1 || err != nil {
			t.Errorf("got %d, %v", i, err)
		}
		return nil
	})
}
