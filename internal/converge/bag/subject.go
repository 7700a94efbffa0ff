package bag

import (
	"slices"

	"pgregory.net/rapid"

	"github.com/seed1312cc15/weft/internal/converge"
	"github.com/seed1312cc15/weft/runtime"
)

// Subject is a bag with nested bags as a subject of the convergence kit.
func Subject(o Options) *converge.Subject[Bag] {
	return &converge.Subject[Bag]{
		Open: func(opts *runtime.Options) (*runtime.Runtime, Bag, error) {
			opts.Kinds = []runtime.Kind{Kind(o)}
			rt, err := runtime.New(opts)
			if err != nil {
				return nil, Bag{}, err
			}
			b, err := New(rt, "bag")
			return rt, b, err
		},
		Edits: map[string]converge.Edit[Bag]{
			"add": func(t *rapid.T, tx runtime.Tx, b Bag) (any, error) {
				v := rapid.StringMatching(`[a-z]{1,2}`).Draw(t, "value")
				b = walk(t, tx, b)
				return v, b.AddTimes(tx, v, rapid.SampledFrom([]int{1, 1, 3}).Draw(t, "times"))
			},
			"remove": func(t *rapid.T, tx runtime.Tx, b Bag) (any, error) {
				b = walk(t, tx, b)
				n := b.Len(tx)
				if n == 0 {
					return nil, converge.ErrNothing
				}
				places := rapid.SliceOfNDistinct(rapid.IntRange(0, n-1), 1, min(3, n), rapid.ID).Draw(t, "places")
				return places, b.Remove(tx, places...)
			},
			"make": func(t *rapid.T, tx runtime.Tx, b Bag) (any, error) {
				c, err := walk(t, tx, b).Make(tx, Name)
				if err != nil {
					return nil, err
				}
				if rapid.Bool().Draw(t, "fill") {
					err = c.Add(tx, "in")
				}
				return c.Node().String(), err
			},
			"nonsense": func(t *rapid.T, tx runtime.Tx, b Bag) (any, error) {
				return "nonsense", b.Force(tx, "\x01nonsense")
			},
		},
		Value: func(tx runtime.Tx, b Bag) any { return b.Values(tx) },
		Watch: func(_ *runtime.Runtime, b Bag) func() any {
			view := []string{}
			b.OnChange(func(c Change) {
				view = append(view, c.Added...)
				for _, v := range c.Removed {
					if i := slices.Index(view, v); i >= 0 {
						view = slices.Delete(view, i, i+1)
					} else {
						view = append(view, "never added: "+v)
					}
				}
			})
			return func() any { slices.Sort(view); return slices.Clone(view) }
		},
	}
}

// walk goes to the bag itself, or to one below it.
func walk(t *rapid.T, tx runtime.Tx, b Bag) Bag {
	for range 3 {
		switch rapid.IntRange(0, 5).Draw(t, "go down") {
		case 0:
			c, err := b.Below(rapid.SampledFrom([]string{"x", "y"}).Draw(t, "key"))
			if err != nil {
				t.Fatal(err)
			}
			b = c
		case 1:
			if n := b.Len(tx); n > 0 {
				if c, ok := b.Child(tx, rapid.IntRange(0, n-1).Draw(t, "child")); ok {
					b = c
				}
			}
		default:
			return b
		}
	}
	return b
}
