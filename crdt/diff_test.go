package crdt_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/runtime"
)

func TestDiff(t *testing.T) {
	a, aTop := mustFolder(t, nil)
	commitTx(t, a, func(tx runtime.Tx) error {
		for _, k := range []string{"changed", "gone", "same", "a/b~c"} {
			if _, err := aTop.Subs.Set(tx, k, withName(tx, k)); err != nil {
				return err
			}
		}
		for _, s := range []string{"one", "two", "three"} {
			if _, err := aTop.Notes.Add(tx, func(n *crdt.Text) error { return n.Insert(tx, 0, s) }); err != nil {
				return err
			}
		}
		return nil
	})
	b, bTop := mustFolder(t, nil)
	feed(t, b, savedState(t, a))
	if d := crdt.Diff(a, b); d != nil {
		t.Errorf("equal documents differ: %v", d)
	}
	commitTx(t, b, func(tx runtime.Tx) error {
		for n := range bTop.Notes.All(tx) {
			if n.String(tx) == "two" {
				if err := bTop.Notes.Remove(tx, n); err != nil {
					return err
				}
			}
		}
		_, err := bTop.Subs.Set(tx, "new", withName(tx, "new"))
		return errors.Join(err, bTop.Subs.Delete(tx, "gone"), folderAt(t, tx, bTop, "changed").Name.Insert(tx, 0, "un"),
			folderAt(t, tx, bTop, "a/b~c").Meta.Author.Insert(tx, 0, "me"))
	})
	var got []string
	for _, c := range crdt.Diff(a, b) {
		got = append(got, c.String())
	}
	want := []string{
		`- /top/notes/1: "two"`,
		`+ /top/subs/a~1b~0c/meta: {"author":"me"}`,
		`~ /top/subs/changed/name: "changed" -> "unchanged"`,
		`- /top/subs/gone: {"name":"gone"}`,
		`+ /top/subs/new: {"name":"new"}`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("changes\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// drawJSON draws a value as Export gives them.
func drawJSON(t *rapid.T, depth int) any {
	switch n := rapid.IntRange(0, 5).Draw(t, "type"); {
	case n == 0 && depth > 0:
		m := map[string]any{}
		for range rapid.IntRange(0, 3).Draw(t, "keys") {
			m[rapid.SampledFrom([]string{"a", "b", "", "~/"}).Draw(t, "key")] = drawJSON(t, depth-1)
		}
		return m
	case n == 1 && depth > 0:
		l := []any{}
		for range rapid.IntRange(0, 3).Draw(t, "elements") {
			l = append(l, drawJSON(t, depth-1))
		}
		return l
	case n == 2:
		return nil
	case n == 3:
		return rapid.Bool().Draw(t, "bool")
	}
	return rapid.SampledFrom([]any{"x", "y", int64(1), uint64(2)}).Draw(t, "leaf")
}

// TestDiffLaws: nothing differs from itself, the reverse has before and after swapped, and pointers are distinct and in
// order.
func TestDiffLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawJSON(t, 3), drawJSON(t, 3)
		if d := crdt.DiffValues(a, a); d != nil {
			t.Fatalf("%v differs from itself: %v", a, d)
		}
		there, back := crdt.DiffValues(a, b), crdt.DiffValues(b, a)
		if len(there) != len(back) {
			t.Fatalf("%d changes one way, %d back", len(there), len(back))
		}
		seen := map[string]bool{}
		for i := range there {
			x, y := there[i], back[i]
			kinds := map[crdt.ChangeKind]crdt.ChangeKind{crdt.Added: crdt.Removed, crdt.Removed: crdt.Added, crdt.Changed: crdt.Changed}
			if x.Pointer() != y.Pointer() || kinds[x.Kind] != y.Kind || seen[x.Pointer()] {
				t.Fatalf("%v, back %v", x, y)
			}
			if (crdt.Change{Path: x.Path, Kind: x.Kind, Before: y.After, After: y.Before}).String() != x.String() {
				t.Fatalf("%v, back %v", x, y)
			}
			seen[x.Pointer()] = true
		}
	})
}
