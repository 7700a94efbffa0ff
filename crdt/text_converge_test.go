package crdt_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/internal/converge"
	"github.com/seed1312cc15/weft/runtime"
)

// snippet draws a text to insert.
func snippet(t *rapid.T) string {
	return rapid.OneOf(
		rapid.SampledFrom([]string{"a", "b", "\n", "é", "字", "🚀", "👩\u200d👧"}),
		rapid.StringN(1, 12, -1),
	).Draw(t, "text")
}

// span draws an index and a count of a list of length n, which is not 0.
func span(t *rapid.T, n int) (at, count int) {
	at = rapid.IntRange(0, n-1).Draw(t, "at")
	return at, rapid.IntRange(1, min(n-at, 8)).Draw(t, "count")
}

var textSubject = converge.Subject[crdt.Text]{
	Open: func(o *runtime.Options) (*runtime.Runtime, crdt.Text, error) {
		o.Kinds = append(o.Kinds, crdt.SequenceKinds()...)
		rt, err := runtime.New(o)
		if err != nil {
			return nil, crdt.Text{}, err
		}
		h, err := crdt.NewText(rt, "text")
		return rt, h, err
	},
	Edits: map[string]converge.Edit[crdt.Text]{
		"insert": func(t *rapid.T, tx runtime.Tx, x crdt.Text) (any, error) {
			s, i := snippet(t), rapid.IntRange(0, x.Len(tx)).Draw(t, "at")
			return []any{i, s}, x.Insert(tx, i, s)
		},
		"type": func(t *rapid.T, tx runtime.Tx, x crdt.Text) (any, error) {
			return "end", x.Insert(tx, x.Len(tx), "t")
		},
		"delete": func(t *rapid.T, tx runtime.Tx, x crdt.Text) (any, error) {
			if x.Len(tx) == 0 {
				return nil, converge.ErrNothing
			}
			i, n := span(t, x.Len(tx))
			return []any{i, n}, x.Delete(tx, i, n)
		},
		"replace": func(t *rapid.T, tx runtime.Tx, x crdt.Text) (any, error) {
			s := []rune(x.String(tx))
			i := rapid.IntRange(0, len(s)).Draw(t, "at")
			n := rapid.IntRange(i, len(s)).Draw(t, "to")
			want := string(s[n:]) + snippet(t) + string(s[:i])
			if want == string(s) {
				return nil, converge.ErrNothing
			}
			return want, x.Replace(tx, want)
		},
	},
	Value: func(tx runtime.Tx, x crdt.Text) any { return x.String(tx) },
	Watch: func(rt *runtime.Runtime, x crdt.Text) func() any {
		seen := ""
		x.OnChange(func(e crdt.TextEvent) { seen = e.Apply(seen) })
		return func() any { return seen }
	},
}

func TestTextConverges(t *testing.T) { textSubject.Test(t) }

func FuzzTextConverges(f *testing.F) { textSubject.Fuzz(f) }
