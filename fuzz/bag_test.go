package fuzz_test

import (
	"slices"

	"github.com/seed1312cc15/weft/fuzz"
	"github.com/seed1312cc15/weft/internal/converge/bag"
	"github.com/seed1312cc15/weft/runtime"
)

// bags is a bag with nested bags as a subject: a type with every part of the Object contract, each of which can be
// broken.
func bags(o bag.Options) *fuzz.Subject[bag.Bag] {
	return &fuzz.Subject[bag.Bag]{
		Name: "bag",
		Open: func(opts *runtime.Options) (*runtime.Runtime, bag.Bag, error) {
			opts.Kinds = []runtime.Kind{bag.Kind(o)}
			rt, err := runtime.New(opts)
			if err != nil {
				return nil, bag.Bag{}, err
			}
			b, err := bag.New(rt, "bag")
			return rt, b, err
		},
		Edits: map[string]fuzz.Edit[bag.Bag]{
			"add": func(d *fuzz.Draw, tx runtime.Tx, b bag.Bag) (any, error) {
				v := fuzz.Pick(d, "value", []string{"a", "b", "c", "aa", "bb", "cc"})
				return v, walk(d, tx, b).AddTimes(tx, v, d.Int("times", 1, 3))
			},
			"remove": func(d *fuzz.Draw, tx runtime.Tx, b bag.Bag) (any, error) {
				b = walk(d, tx, b)
				n := b.Len(tx)
				if n == 0 {
					return nil, fuzz.ErrNothing
				}
				at := d.Int("at", 0, n-1)
				count := d.Int("count", 1, min(3, n-at))
				places := []int{}
				for i := range count {
					places = append(places, at+i)
				}
				return places, b.Remove(tx, places...)
			},
			"make": func(d *fuzz.Draw, tx runtime.Tx, b bag.Bag) (any, error) {
				c, err := walk(d, tx, b).Make(tx, bag.Name)
				if err == nil && d.Bool("fill") {
					err = c.Add(tx, "in")
				}
				return nil, err
			},
			"nonsense": func(d *fuzz.Draw, tx runtime.Tx, b bag.Bag) (any, error) {
				return "nonsense", b.Force(tx, "\x01nonsense")
			},
		},
		Value: func(tx runtime.Tx, b bag.Bag) any { return b.Values(tx) },
		Watch: func(_ *runtime.Runtime, b bag.Bag) func() any {
			view := []string{}
			b.OnChange(func(c bag.Change) {
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
func walk(d *fuzz.Draw, tx runtime.Tx, b bag.Bag) bag.Bag {
	for range 3 {
		switch d.Int("down", 0, 5) {
		case 1:
			c, err := b.Below(fuzz.Pick(d, "key", []string{"x", "y"}))
			if err != nil {
				panic(err)
			}
			b = c
		case 2:
			if n := b.Len(tx); n > 0 {
				if c, ok := b.Child(tx, d.Int("child", 0, n-1)); ok {
					b = c
				}
			}
		default:
			return b
		}
	}
	return b
}
