package crdt_test

import (
	"testing"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/runtime"
)

// TestR2DeletedObjectsStayAway is R2 for the types that hold objects and for texts: A makes something and saves; B loads,
// and takes it away; C hears of that first and loads A's state then; all exchange states.
func TestR2DeletedObjectsStayAway(t *testing.T) {
	type edit = func(g *grown, tx runtime.Tx) error
	second := func(_ any, err error) error { return err }
	for name, c := range map[string]struct {
		make, take edit
		want       string
	}{
		"objectmap": {
			func(g *grown, tx runtime.Tx) error { return second(g.OM.Set(tx, 1, nil)) },
			func(g *grown, tx runtime.Tx) error { return g.OM.Delete(tx, 1) }, `{}`,
		},
		"objectmap, cleared": {
			func(g *grown, tx runtime.Tx) error { return second(g.OM.Set(tx, 1, nil)) },
			func(g *grown, tx runtime.Tx) error { return g.OM.Clear(tx) }, `{}`,
		},
		"objectset": {
			func(g *grown, tx runtime.Tx) error {
				return second(g.OS.Add(tx, func(r *crdt.Register[string]) error { return r.Set(tx, "x") }))
			},
			func(g *grown, tx runtime.Tx) error { return g.OS.Clear(tx) }, `{}`,
		},
		"objectlist": {
			func(g *grown, tx runtime.Tx) error { return second(g.OL.InsertN(tx, 0, 2)) },
			func(g *grown, tx runtime.Tx) error { return g.OL.Delete(tx, 0, 2) }, `{"ol":[]}`,
		},
		"objectlist, archived": {
			func(g *grown, tx runtime.Tx) error { return second(g.OL.InsertN(tx, 0, 2)) },
			func(g *grown, tx runtime.Tx) error { return g.OL.Archive(tx, 0, 2) }, `{"ol":[]}`,
		},
		"text": {
			func(g *grown, tx runtime.Tx) error { return g.T.Insert(tx, 0, "hello") },
			func(g *grown, tx runtime.Tx) error { return g.T.Delete(tx, 0, 5) }, `{"t":""}`,
		},
		"field of a lazy key": {
			func(g *grown, tx runtime.Tx) error {
				o, err := g.Lazy.At(tx, 1)
				if err != nil {
					return err
				}
				return o.Add(tx, 3)
			},
			func(g *grown, tx runtime.Tx) error {
				o, err := g.Lazy.At(tx, 1)
				if err != nil {
					return err
				}
				return o.Reset(tx)
			}, `{"lazy":{"1":0}}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, ga := openGrown(t, 1)
			b, gb := openGrown(t, 2)
			o, _ := openGrown(t, 3)
			commitTx(t, a, func(tx runtime.Tx) error { return c.make(ga, tx) })
			saved := savedState(t, a)
			feed(t, b, saved)
			feed(t, o, commitTx(t, b, func(tx runtime.Tx) error { return c.take(gb, tx) }), saved)
			for range 2 {
				for _, x := range []*runtime.Runtime{a, b, o} {
					for _, y := range []*runtime.Runtime{a, b, o} {
						feed(t, x, savedState(t, y))
					}
				}
				feed(t, a, saved)
			}
			sameDocs(t, a, b, o)
			if got := docJSON(o); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}
