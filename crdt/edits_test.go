package crdt_test

import (
	"errors"
	"testing"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/runtime"
)

// TestEdits makes every edit of the types that have no table of their own (those are Text and List), one transaction
// each: what it shows, whether it makes a message, and that the message, a state and a delta show the same elsewhere.
func TestEdits(t *testing.T) {
	type edit = func(g *grown, tx runtime.Tx) error
	const nothing = "nothing" // no message
	second := func(_ any, err error) error { return err }
	object := func(g *grown, tx runtime.Tx, key int) *crdt.Counter {
		o, ok := g.OM.Get(tx, key)
		if !ok {
			t.Fatalf("no object %d", key)
		}
		return o
	}
	item := func(g *grown, tx runtime.Tx, i int) *crdt.Counter {
		o, err := g.OL.Get(tx, i)
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	for name, steps := range map[string][]struct {
		edit edit
		want string // the JSON view; nothing: as before
	}{
		"counter": {
			{func(g *grown, tx runtime.Tx) error { return g.C.Add(tx, 5) }, `{"c":5}`},
			{func(g *grown, tx runtime.Tx) error { return g.C.Add(tx, -7) }, `{"c":-2}`},
			{func(g *grown, tx runtime.Tx) error { return g.C.Add(tx, 0) }, nothing},
			{func(g *grown, tx runtime.Tx) error { return g.C.Reset(tx) }, `{"c":0}`},
			{func(g *grown, tx runtime.Tx) error { return g.C.Reset(tx) }, nothing},
			{func(g *grown, tx runtime.Tx) error { return errors.Join(g.C.Add(tx, 1), g.C.Add(tx, 2)) }, `{"c":3}`},
		},
		"register": {
			{func(g *grown, tx runtime.Tx) error { return g.R.Clear(tx) }, nothing},
			{func(g *grown, tx runtime.Tx) error { return g.R.Set(tx, 1) }, `{"r":1}`},
			{func(g *grown, tx runtime.Tx) error { return g.R.Set(tx, 1) }, `{"r":1}`},
			{func(g *grown, tx runtime.Tx) error { return errors.Join(g.R.Set(tx, 2), g.R.Set(tx, 3)) }, `{"r":3}`},
			{func(g *grown, tx runtime.Tx) error { return g.R.Clear(tx) }, `{}`},
		},
		"mvregister": {
			{func(g *grown, tx runtime.Tx) error { return g.MV.Clear(tx) }, nothing},
			{func(g *grown, tx runtime.Tx) error { return g.MV.Set(tx, 1) }, `{"mv":[1]}`},
			{func(g *grown, tx runtime.Tx) error { return g.MV.Set(tx, 2) }, `{"mv":[2]}`},
			{func(g *grown, tx runtime.Tx) error { return g.MV.Clear(tx) }, `{}`},
		},
		"flag": {
			{func(g *grown, tx runtime.Tx) error { return g.F.Disable(tx) }, nothing},
			{func(g *grown, tx runtime.Tx) error { return g.F.Enable(tx) }, `{"f":true}`},
			{func(g *grown, tx runtime.Tx) error { return g.F.Enable(tx) }, `{"f":true}`},
			{func(g *grown, tx runtime.Tx) error { return g.F.Disable(tx) }, `{}`},
		},
		"flag-dw": {
			{func(g *grown, tx runtime.Tx) error { return g.DW.Disable(tx) }, `{"dw":false}`},
			{func(g *grown, tx runtime.Tx) error { return g.DW.Enable(tx) }, `{"dw":true}`},
			{func(g *grown, tx runtime.Tx) error { return g.DW.Enable(tx) }, `{"dw":true}`},
			{func(g *grown, tx runtime.Tx) error { return g.DW.Disable(tx) }, `{"dw":false}`},
		},
		"set": {
			{func(g *grown, tx runtime.Tx) error { return g.S.Remove(tx, 1) }, nothing},
			{func(g *grown, tx runtime.Tx) error { return g.S.Clear(tx) }, nothing},
			{func(g *grown, tx runtime.Tx) error { return errors.Join(g.S.Add(tx, 2), g.S.Add(tx, -1)) }, `{"s":[2,-1]}`},
			{func(g *grown, tx runtime.Tx) error { return g.S.Add(tx, 2) }, `{"s":[2,-1]}`},
			{func(g *grown, tx runtime.Tx) error { return g.S.Remove(tx, 2) }, `{"s":[-1]}`},
			{func(g *grown, tx runtime.Tx) error { return errors.Join(g.S.Add(tx, 3), g.S.Clear(tx), g.S.Add(tx, 4)) }, `{"s":[4]}`},
			{func(g *grown, tx runtime.Tx) error { return g.S.Clear(tx) }, `{}`},
		},
		"map": {
			{func(g *grown, tx runtime.Tx) error { return g.M.Delete(tx, 1) }, nothing},
			{func(g *grown, tx runtime.Tx) error { return g.M.Clear(tx) }, nothing},
			{func(g *grown, tx runtime.Tx) error { return errors.Join(g.M.Set(tx, 2, 20), g.M.Set(tx, 1, 10)) }, `{"m":{"1":10,"2":20}}`},
			{func(g *grown, tx runtime.Tx) error { return g.M.Set(tx, 1, 11) }, `{"m":{"1":11,"2":20}}`},
			{func(g *grown, tx runtime.Tx) error { return g.M.Delete(tx, 2) }, `{"m":{"1":11}}`},
			{func(g *grown, tx runtime.Tx) error { return errors.Join(g.M.Clear(tx), g.M.Set(tx, 3, 30)) }, `{"m":{"3":30}}`},
			{func(g *grown, tx runtime.Tx) error { return g.M.Clear(tx) }, `{}`},
		},
		"lazymap": {
			{func(g *grown, tx runtime.Tx) error { return second(g.Lazy.At(tx, 1)) }, nothing},
			{func(g *grown, tx runtime.Tx) error {
				c, err := g.Lazy.At(tx, 1)
				return errors.Join(err, c.Add(tx, 2))
			}, `{"lazy":{"1":2}}`},
			{func(g *grown, tx runtime.Tx) error {
				c, ok := g.Lazy.Get(tx, 1)
				if !ok || g.Lazy.Has(tx, 2) {
					t.Error("a key is not as it should be")
				}
				return c.Reset(tx)
			}, `{"lazy":{"1":0}}`},
		},
		"objectmap": {
			{func(g *grown, tx runtime.Tx) error { return g.OM.Delete(tx, 1) }, nothing},
			{func(g *grown, tx runtime.Tx) error { return g.OM.Clear(tx) }, nothing},
			{func(g *grown, tx runtime.Tx) error {
				return second(g.OM.Set(tx, 1, func(c *crdt.Counter) error { return c.Add(tx, 4) }))
			}, `{"om":{"1":4}}`},
			{func(g *grown, tx runtime.Tx) error { return second(g.OM.GetOrSet(tx, 1, nil)) }, nothing},
			{func(g *grown, tx runtime.Tx) error { return object(g, tx, 1).Add(tx, 1) }, `{"om":{"1":5}}`},
			{func(g *grown, tx runtime.Tx) error { return second(g.OM.Set(tx, 1, nil)) }, `{"om":{"1":0}}`},
			{func(g *grown, tx runtime.Tx) error { return second(g.OM.GetOrSet(tx, 2, nil)) }, `{"om":{"1":0,"2":0}}`},
			{func(g *grown, tx runtime.Tx) error { return g.OM.Delete(tx, 1) }, `{"om":{"2":0}}`},
			{func(g *grown, tx runtime.Tx) error { return g.OM.Clear(tx) }, `{}`},
		},
		"objectset": {
			{func(g *grown, tx runtime.Tx) error { return g.OS.Clear(tx) }, nothing},
			{func(g *grown, tx runtime.Tx) error {
				return second(g.OS.Add(tx, func(r *crdt.Register[string]) error { return r.Set(tx, "a") }))
			}, `{"os":["a"]}`},
			{func(g *grown, tx runtime.Tx) error { return second(g.OS.Add(tx, nil)) }, `{"os":["a",null]}`},
			{func(g *grown, tx runtime.Tx) error {
				for o := range g.OS.All(tx) {
					return g.OS.Remove(tx, o)
				}
				return nil
			}, `{"os":[null]}`},
			{func(g *grown, tx runtime.Tx) error { return g.OS.Clear(tx) }, `{}`},
		},
		"objectlist": {
			{func(g *grown, tx runtime.Tx) error { return second(g.OL.InsertN(tx, 0, 0)) }, nothing},
			{func(g *grown, tx runtime.Tx) error {
				_, err := g.OL.InsertN(tx, 0, 3)
				return errors.Join(err, item(g, tx, 0).Add(tx, 1), item(g, tx, 1).Add(tx, 2), item(g, tx, 2).Add(tx, 3))
			}, `{"ol":[1,2,3]}`},
			{func(g *grown, tx runtime.Tx) error { return second(g.OL.Append(tx, nil)) }, `{"ol":[1,2,3,0]}`},
			{func(g *grown, tx runtime.Tx) error { return g.OL.Move(tx, 0, 2) }, `{"ol":[2,1,3,0]}`},
			{func(g *grown, tx runtime.Tx) error { return g.OL.Move(tx, 1, 1) }, nothing},
			{func(g *grown, tx runtime.Tx) error { return g.OL.MoveObject(tx, item(g, tx, 3), 0) }, `{"ol":[0,2,1,3]}`},
			{func(g *grown, tx runtime.Tx) error { return g.OL.Archive(tx, 1, 2) }, `{"ol":[0,3]}`},
			{func(g *grown, tx runtime.Tx) error { return g.OL.Restore(tx, archived(g, tx)) }, `{"ol":[0,2,3]}`},
			{func(g *grown, tx runtime.Tx) error { return g.OL.Remove(tx, item(g, tx, 0)) }, `{"ol":[2,3]}`},
			{func(g *grown, tx runtime.Tx) error { return g.OL.Delete(tx, 0, 0) }, nothing},
			{func(g *grown, tx runtime.Tx) error { return g.OL.Delete(tx, 0, 2) }, `{"ol":[]}`},
		},
		"record": {
			{func(g *grown, tx runtime.Tx) error {
				var c crdt.Counter
				return g.Rec.Field("n", &c)
			}, nothing},
			{func(g *grown, tx runtime.Tx) error {
				var c crdt.Counter
				return errors.Join(g.Rec.Field("n", &c), c.Add(tx, 1))
			}, `{"rec":{"n":1}}`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			rt, g := openGrown(t, 1)
			heard, _ := openGrown(t, 2)
			following, _ := openGrown(t, 3)
			was := `{}`
			for i, s := range steps {
				data := commitTx(t, rt, func(tx runtime.Tx) error { return s.edit(g, tx) })
				if s.want == nothing {
					if data != nil {
						t.Errorf("step %d makes a message", i)
					}
				} else {
					was = s.want
					feed(t, heard, data)
				}
				feed(t, following, deltaTo(t, following, rt))
				loaded, _ := openGrown(t, 4)
				feed(t, loaded, savedState(t, rt))
				for how, at := range map[string]*runtime.Runtime{"here": rt, "message": heard, "delta": following, "state": loaded} {
					if got := docJSON(at); got != was {
						t.Errorf("step %d, %s: %s, want %s", i, how, got, was)
					}
				}
				sameDocs(t, rt, heard, following, loaded)
			}
		})
	}
}
