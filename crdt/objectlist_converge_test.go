package crdt_test

import (
	"errors"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/internal/converge"
	"github.com/seed1312cc15/weft/runtime"
)

type texts = crdt.ObjectList[crdt.Text]

// pickObject draws an object of the list, archived ones too.
func pickObject(t *rapid.T, tx runtime.Tx, x texts) (*crdt.Text, error) {
	var all []*crdt.Text
	for _, o := range x.All(tx) {
		all = append(all, o)
	}
	for _, o := range x.Archived(tx) {
		all = append(all, o)
	}
	if len(all) == 0 {
		return nil, converge.ErrNothing
	}
	return all[rapid.IntRange(0, len(all)-1).Draw(t, "object")], nil
}

func objectEdit(f func(t *rapid.T, tx runtime.Tx, x texts, o *crdt.Text) error) converge.Edit[texts] {
	return func(t *rapid.T, tx runtime.Tx, x texts) (any, error) {
		o, err := pickObject(t, tx, x)
		if err != nil {
			return nil, err
		}
		return o.String(tx), f(t, tx, x, o)
	}
}

func objectMove(t *rapid.T, tx runtime.Tx, x texts) (any, error) {
	d, ok := moveRange(t, x.Len(tx))
	if !ok {
		return nil, converge.ErrNothing
	}
	return d, x.MoveRange(tx, d.i, d.n, d.j)
}

var objectListSubject = converge.Subject[texts]{
	Open: func(o *runtime.Options) (*runtime.Runtime, texts, error) {
		o.Kinds = append(o.Kinds, crdt.SequenceKinds()...)
		rt, err := runtime.New(o)
		if err != nil {
			return nil, texts{}, err
		}
		n, err := rt.Root("list", "objectlist")
		var h texts
		h.Bind(n)
		return rt, h, err
	},
	Edits: map[string]converge.Edit[texts]{
		"insert": func(t *rapid.T, tx runtime.Tx, x texts) (any, error) {
			i := rapid.IntRange(0, x.Len(tx)).Draw(t, "at")
			name := rapid.StringMatching("[a-z]{2}").Draw(t, "name")
			_, err := x.Insert(tx, i, func(o *crdt.Text) error { return o.Insert(tx, 0, name) })
			return []any{i, name}, err
		},
		"insert some": func(t *rapid.T, tx runtime.Tx, x texts) (any, error) {
			i, n := rapid.IntRange(0, x.Len(tx)).Draw(t, "at"), rapid.IntRange(1, 3).Draw(t, "count")
			list, err := x.InsertN(tx, i, n)
			for k, o := range list {
				err = errors.Join(err, o.Insert(tx, 0, fmt.Sprint(k)))
			}
			return []any{i, n}, err
		},
		"delete": func(t *rapid.T, tx runtime.Tx, x texts) (any, error) {
			if x.Len(tx) == 0 {
				return nil, converge.ErrNothing
			}
			i, n := span(t, x.Len(tx))
			return []any{i, n}, x.Delete(tx, i, n)
		},
		"archive": func(t *rapid.T, tx runtime.Tx, x texts) (any, error) {
			if x.Len(tx) == 0 {
				return nil, converge.ErrNothing
			}
			i, n := span(t, x.Len(tx))
			return []any{i, n}, x.Archive(tx, i, n)
		},
		"remove": objectEdit(func(t *rapid.T, tx runtime.Tx, x texts, o *crdt.Text) error { return x.Remove(tx, o) }),
		"edit":   objectEdit(func(t *rapid.T, tx runtime.Tx, x texts, o *crdt.Text) error { return o.Insert(tx, 0, "e") }),
		"restore": objectEdit(func(t *rapid.T, tx runtime.Tx, x texts, o *crdt.Text) error {
			return x.Restore(tx, o)
		}),
		"move object": objectEdit(func(t *rapid.T, tx runtime.Tx, x texts, o *crdt.Text) error {
			return x.MoveObject(tx, o, rapid.IntRange(0, x.Len(tx)).Draw(t, "to"))
		}),
		"move": objectMove,
	},
	Value: func(tx runtime.Tx, x texts) any {
		out := []string{}
		for _, o := range x.All(tx) {
			out = append(out, o.String(tx))
		}
		return out
	},
	Examine: func(tx runtime.Tx, x texts) error {
		for i, o := range x.Archived(tx) {
			if at, shown, err := x.Position(tx, o); at != i || shown || err != nil {
				return fmt.Errorf("archived object at %d: %d, %v, %v", i, at, shown, err)
			}
		}
		for i, o := range x.All(tx) {
			if at, shown, err := x.Position(tx, o); at != i || !shown || err != nil {
				return fmt.Errorf("object at %d: %d, %v, %v", i, at, shown, err)
			}
		}
		return nil
	},
}

func TestObjectListConverges(t *testing.T) { objectListSubject.Test(t) }

func FuzzObjectListConverges(f *testing.F) { objectListSubject.Fuzz(f) }

// TestObjectListEventsRebuildTheList shows which objects stand where, by their dots.
func TestObjectListEventsRebuildTheList(t *testing.T) {
	s := objectListSubject
	s.Value = func(tx runtime.Tx, x texts) any {
		out := []string{}
		for _, o := range x.All(tx) {
			out = append(out, o.Node().String())
		}
		return out
	}
	s.Watch = func(rt *runtime.Runtime, x texts) func() any {
		var seen []*crdt.Text
		x.OnChange(func(e crdt.ObjectListEvent[crdt.Text]) { seen = e.Apply(seen) })
		return func() any {
			out := []string{}
			for _, o := range seen {
				out = append(out, o.Node().String())
			}
			return out
		}
	}
	s.Test(t)
}
