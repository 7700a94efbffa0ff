package fuzz_test

import (
	"cmp"
	"slices"
	"strings"
	"testing"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/fuzz"
	"github.com/seed1312cc15/weft/runtime"
)

// shelf is what the keys of the LazyMap hold: objects that are empty again once they are cleared, at several depths.
type shelf struct {
	Tags  crdt.Set[string]              `weft:"tags"`
	Title crdt.Register[string]         `weft:"title"`
	Body  crdt.Text                     `weft:"body"` // holds something for ever once it was written
	Books crdt.ObjectMap[string, shelf] `weft:"books"`
	Below crdt.LazyMap[string, shelf]   `weft:"below"`
}

// TestLazyMapEventsGiveTheKeys: the keys that events add and take away are those that Keys yields.
func TestLazyMapEventsGiveTheKeys(t *testing.T) {
	fuzz.Check(t, lazyKeysSubject(), nil)
}

// byLength is the order of Keys: that of the encodings.
func byLength(a, b string) int { return cmp.Or(len(a)-len(b), strings.Compare(a, b)) }

func lazyKeysSubject() *fuzz.Subject[crdt.LazyMap[string, shelf]] {
	type shelves = crdt.LazyMap[string, shelf]
	words := []string{"a", "b", "c"}
	at := func(d *fuzz.Draw, tx runtime.Tx, m shelves) (*shelf, error) {
		s, err := m.At(tx, fuzz.Pick(d, "key", words))
		if err != nil || !d.Bool("below") {
			return s, err
		}
		return s.Below.At(tx, fuzz.Pick(d, "sub", words))
	}
	type edit = fuzz.Edit[shelves]
	with := func(f func(d *fuzz.Draw, tx runtime.Tx, s *shelf) error) edit {
		return func(d *fuzz.Draw, tx runtime.Tx, m shelves) (any, error) {
			s, err := at(d, tx, m)
			if err != nil {
				return nil, err
			}
			return nil, f(d, tx, s)
		}
	}
	return &fuzz.Subject[shelves]{
		Name: "lazy-keys",
		Open: func(o *runtime.Options) (*runtime.Runtime, shelves, error) {
			o.Kinds = append(o.Kinds, crdt.Kinds()...)
			rt, err := runtime.New(o)
			if err != nil {
				return nil, shelves{}, err
			}
			m, err := crdt.NewLazyMap[string, shelf](rt, "shelves")
			return rt, m, err
		},
		Edits: map[string]edit{
			"tag":   with(func(d *fuzz.Draw, tx runtime.Tx, s *shelf) error { return s.Tags.Add(tx, fuzz.Pick(d, "tag", words)) }),
			"untag": with(func(d *fuzz.Draw, tx runtime.Tx, s *shelf) error { return s.Tags.Clear(tx) }),
			"name":  with(func(d *fuzz.Draw, tx runtime.Tx, s *shelf) error { return s.Title.Set(tx, d.Text("to", 0, 3)) }),
			"erase": with(func(d *fuzz.Draw, tx runtime.Tx, s *shelf) error { return s.Title.Clear(tx) }),
			"book": with(func(d *fuzz.Draw, tx runtime.Tx, s *shelf) error {
				_, err := s.Books.Set(tx, fuzz.Pick(d, "book", words), func(b *shelf) error { return b.Title.Set(tx, "new") })
				return err
			}),
			"write": func(d *fuzz.Draw, tx runtime.Tx, m shelves) (any, error) {
				s, err := m.At(tx, fuzz.Pick(d, "key", []string{"text", "prose"}))
				if err != nil {
					return nil, err
				}
				return nil, s.Body.Insert(tx, 0, "x")
			},
			"sell": with(func(d *fuzz.Draw, tx runtime.Tx, s *shelf) error { return s.Books.Clear(tx) }),
			"page": with(func(d *fuzz.Draw, tx runtime.Tx, s *shelf) error {
				b, ok := s.Books.Get(tx, fuzz.Pick(d, "book", words))
				if !ok {
					return fuzz.ErrNothing
				}
				return b.Tags.Add(tx, "page")
			}),
		},
		Value: func(tx runtime.Tx, m shelves) any { return slices.Collect(m.Keys(tx)) },
		Watch: func(_ *runtime.Runtime, m shelves) func() any {
			var keys []string
			m.OnChange(func(e crdt.LazyMapEvent[string, shelf]) {
				for _, c := range e.Changes {
					if i, has := slices.BinarySearchFunc(keys, c.Key, byLength); has == c.Present {
						panic("an event tells what was so before")
					} else if c.Present {
						keys = slices.Insert(keys, i, c.Key)
					} else {
						keys = slices.Delete(keys, i, i+1)
					}
				}
			})
			return func() any { return append([]string(nil), keys...) }
		},
	}
}
