package crdt_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	goruntime "runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/runtime"
)

// grown is a document with a root of every type.
type grown struct {
	R    crdt.Register[int]                    `weft:"r"`
	MV   crdt.MVRegister[int]                  `weft:"mv"`
	F    crdt.Flag                             `weft:"f"`
	DW   crdt.DisableWinsFlag                  `weft:"dw"`
	C    crdt.Counter                          `weft:"c"`
	M    crdt.Map[int, int]                    `weft:"m"`
	S    crdt.Set[int]                         `weft:"s"`
	Lazy crdt.LazyMap[int, crdt.Counter]       `weft:"lazy"`
	OM   crdt.ObjectMap[int, crdt.Counter]     `weft:"om"`
	OS   crdt.ObjectSet[crdt.Register[string]] `weft:"os"`
	L    crdt.List[int]                        `weft:"l"`
	OL   crdt.ObjectList[crdt.Counter]         `weft:"ol"`
	T    crdt.Text                             `weft:"t"`
	Rec  crdt.Record                           `weft:"rec"`
}

func openGrown(t testing.TB, replica uint32) (*runtime.Runtime, *grown) {
	t.Helper()
	id := uuid.UUID{15: 1}
	binary.BigEndian.PutUint32(id[:], replica*2654435761) // in no order
	rt, err := runtime.New(&runtime.Options{Kinds: crdt.Kinds(), Replica: id, History: runtime.History{Off: true}})
	if err != nil {
		t.Fatal(err)
	}
	g := new(grown)
	if err := crdt.BindRoots(rt, g); err != nil {
		t.Fatal(err)
	}
	return rt, g
}

// growths are the ways in which a document grows by n: all of base, then edit i by writer i, each alone, or all by one.
var growths = []struct {
	name  string
	base  func(g *grown, tx runtime.Tx, n int) error
	each  func(g *grown, tx runtime.Tx, i int) error
	alone bool // all edits by one writer, in transactions of their own
	once  bool // and in one transaction
}{
	{name: "values of a register", each: func(g *grown, tx runtime.Tx, i int) error { return g.R.Set(tx, i) }},
	{name: "own writes of a register", each: func(g *grown, tx runtime.Tx, i int) error {
		return errors.Join(g.R.Set(tx, i), g.R.Set(tx, i+1))
	}},
	{name: "values of an mvregister", each: func(g *grown, tx runtime.Tx, i int) error { return g.MV.Set(tx, i) }},
	{name: "enables of a flag", each: func(g *grown, tx runtime.Tx, i int) error { return g.F.Enable(tx) }},
	{name: "writes of a disable-wins flag", each: func(g *grown, tx runtime.Tx, i int) error {
		if i%2 == 0 {
			return g.DW.Enable(tx)
		}
		return g.DW.Disable(tx)
	}},
	{name: "writers of a counter", each: func(g *grown, tx runtime.Tx, i int) error { return g.C.Add(tx, 1) }},
	{name: "writers and resets of a counter", each: func(g *grown, tx runtime.Tx, i int) error {
		return errors.Join(g.C.Add(tx, 1), g.C.Reset(tx))
	}},
	{name: "values of a key", each: func(g *grown, tx runtime.Tx, i int) error { return g.M.Set(tx, 1, i) }},
	{name: "own writes of a key", each: func(g *grown, tx runtime.Tx, i int) error {
		return errors.Join(g.M.Set(tx, 1, i), g.M.Set(tx, 1, i+1))
	}},
	{name: "clears of own keys", each: func(g *grown, tx runtime.Tx, i int) error {
		return errors.Join(g.M.Set(tx, i, i), g.M.Clear(tx), g.M.Set(tx, -i, i))
	}},
	{name: "keys", alone: true, each: func(g *grown, tx runtime.Tx, i int) error { return g.M.Set(tx, i, i) }},
	{name: "adds of an element", each: func(g *grown, tx runtime.Tx, i int) error { return g.S.Add(tx, 1) }},
	{name: "set elements", once: true, each: func(g *grown, tx runtime.Tx, i int) error { return g.S.Add(tx, i) }},
	{name: "lazy keys", alone: true, each: func(g *grown, tx runtime.Tx, i int) error {
		c, err := g.Lazy.At(tx, i)
		return errors.Join(err, c.Add(tx, 1))
	}},
	{name: "objects under one key", each: func(g *grown, tx runtime.Tx, i int) error {
		_, err := g.OM.Set(tx, 1, nil)
		return err
	}},
	{name: "own objects under one key", each: func(g *grown, tx runtime.Tx, i int) error {
		_, err := g.OM.Set(tx, 1, nil)
		_, err2 := g.OM.Set(tx, 1, nil)
		return errors.Join(err, err2)
	}},
	{name: "clears of own objects", each: func(g *grown, tx runtime.Tx, i int) error {
		_, err := g.OM.Set(tx, i, nil)
		err = errors.Join(err, g.OM.Clear(tx))
		_, err2 := g.OM.Set(tx, -i, nil)
		return errors.Join(err, err2)
	}},
	{name: "objects", alone: true, each: func(g *grown, tx runtime.Tx, i int) error {
		_, err := g.OM.Set(tx, i, func(c *crdt.Counter) error { return c.Add(tx, 1) })
		return err
	}},
	{name: "objects in a set", each: func(g *grown, tx runtime.Tx, i int) error {
		o, err := g.OS.Add(tx, nil)
		if err == nil && i%2 == 0 {
			err = g.OS.Remove(tx, o)
		}
		return err
	}},
	{name: "inserts at one place of a list", each: func(g *grown, tx runtime.Tx, i int) error { return g.L.Insert(tx, 0, i) }},
	{name: "moves of one element", base: threeValues, each: func(g *grown, tx runtime.Tx, i int) error { return g.L.Move(tx, 0, i%2+2) }},
	{name: "sets of one element", base: threeValues, each: func(g *grown, tx runtime.Tx, i int) error { return g.L.Set(tx, 0, i) }},
	{name: "moves", once: true, base: nValues, each: func(g *grown, tx runtime.Tx, i int) error {
		n := g.L.Len(tx)
		return g.L.Move(tx, i*7919%n, i*104729%n)
	}},
	{name: "deletes of elements", alone: true, base: nValues, each: func(g *grown, tx runtime.Tx, i int) error {
		return g.L.Delete(tx, i*7919%g.L.Len(tx), 1)
	}},
	{name: "objects in a list", once: true, each: func(g *grown, tx runtime.Tx, i int) error {
		_, err := g.OL.Insert(tx, i/2, nil)
		return err
	}},
	{name: "archived objects", alone: true, base: nObjects, each: func(g *grown, tx runtime.Tx, i int) error {
		return g.OL.Archive(tx, i*7919%g.OL.Len(tx), 1)
	}},
	{name: "restores of one object", base: func(g *grown, tx runtime.Tx, n int) error {
		return errors.Join(nObjects(g, tx, 2), g.OL.Archive(tx, 0, 1))
	}, each: func(g *grown, tx runtime.Tx, i int) error {
		return g.OL.Restore(tx, archived(g, tx))
	}},
	{name: "restores and archives of one object", base: func(g *grown, tx runtime.Tx, n int) error {
		return errors.Join(nObjects(g, tx, 2), g.OL.Archive(tx, 0, 1))
	}, each: func(g *grown, tx runtime.Tx, i int) error {
		return errors.Join(g.OL.Restore(tx, archived(g, tx)), g.OL.Archive(tx, 0, 1))
	}},
	{name: "inserts at one place of a text", each: func(g *grown, tx runtime.Tx, i int) error { return g.T.Insert(tx, 0, "ab") }},
	{name: "deletes of one range", base: nLetters, each: func(g *grown, tx runtime.Tx, i int) error { return g.T.Delete(tx, 0, 3) }},
	{name: "random places", once: true, each: func(g *grown, tx runtime.Tx, i int) error {
		return g.T.Insert(tx, i*7919%(g.T.Len(tx)+1), "x")
	}},
	{name: "random deletes", once: true, base: nLetters, each: func(g *grown, tx runtime.Tx, i int) error {
		return g.T.Delete(tx, i*7919%g.T.Len(tx), 1)
	}},
	{name: "fields", alone: true, each: func(g *grown, tx runtime.Tx, i int) error {
		var c crdt.Counter
		return errors.Join(g.Rec.Field(fmt.Sprint(i), &c), c.Add(tx, 1))
	}},
}

func threeValues(g *grown, tx runtime.Tx, _ int) error { return g.L.Insert(tx, 0, 1, 2, 3) }

func nValues(g *grown, tx runtime.Tx, n int) error { return g.L.Insert(tx, 0, make([]int, 2*n)...) }

func nObjects(g *grown, tx runtime.Tx, n int) error {
	_, err := g.OL.InsertN(tx, 0, 2*n)
	return err
}

func nLetters(g *grown, tx runtime.Tx, n int) error {
	return g.T.Insert(tx, 0, string(slices.Repeat([]byte("abcd"), n)))
}

// grow returns the base as a state, and n edits as messages.
func grow(t testing.TB, k int, n int) (base []byte, edits [][]byte) {
	how := growths[k]
	first, g := openGrown(t, 1<<31)
	if how.base != nil {
		commitTx(t, first, func(tx runtime.Tx) error { return how.base(g, tx, n) })
	}
	base = savedState(t, first)
	switch {
	case how.once:
		edits = append(edits, commitTx(t, first, func(tx runtime.Tx) error {
			for i := range n {
				if err := how.each(g, tx, i); err != nil {
					return err
				}
			}
			return nil
		}))
	case how.alone:
		for i := range n {
			edits = append(edits, commitTx(t, first, func(tx runtime.Tx) error { return how.each(g, tx, i) }))
		}
	default:
		for i := range n {
			rt, g := openGrown(t, uint32(i))
			feed(t, rt, base)
			edits = append(edits, commitTx(t, rt, func(tx runtime.Tx) error { return how.each(g, tx, i) }))
		}
	}
	return base, edits
}

// cost is what something took.
type cost struct {
	bytes, steps int
	time         time.Duration
}

// clock tells the time that costs are measured by.
var clock = func() time.Duration { return time.Duration(time.Now().UnixNano()) }

func costOf(f func() int) (c cost) {
	var before, after goruntime.MemStats
	goruntime.GC()
	goruntime.ReadMemStats(&before)
	start := clock()
	c.steps = f()
	c.time = clock() - start
	goruntime.ReadMemStats(&after)
	c.bytes = int(after.TotalAlloc - before.TotalAlloc)
	return c
}

// measureGrowth returns what a document costs that grew by n.
func measureGrowth(t testing.TB, k, n int) map[string]cost {
	base, edits := grow(t, k, n)
	costs := map[string]cost{}
	rt, g := openGrown(t, 1<<31+1)
	feed(t, rt, base)
	steps := func(g *grown) (n int) {
		for _, o := range []*runtime.Node{g.R.Node(), g.MV.Node(), g.F.Node(), g.DW.Node(), g.M.Node(), g.S.Node(), g.OM.Node(), g.OL.Node()} {
			n += crdt.Steps(o)
		}
		return n
	}
	costs["receive"] = costOf(func() int { feed(t, rt, edits...); return steps(g) })
	var state, delta []byte
	costs["save"] = costOf(func() int { state = savedState(t, rt); return 0 })
	half, h := openGrown(t, 1<<31+2)
	feed(t, half, base)
	rng := rand.New(rand.NewPCG(uint64(n), 3))
	for _, i := range rng.Perm(len(edits)) {
		if i%2 == 0 {
			feed(t, half, edits[i])
		}
	}
	costs["delta"] = costOf(func() int { delta = deltaTo(t, half, rt); return 0 })
	taker, tk := openGrown(t, 1<<31+5)
	feed(t, taker, savedState(t, half))
	costs["take delta"] = costOf(func() int { feed(t, taker, delta); return steps(tk) })
	costs["merge"] = costOf(func() int { feed(t, half, state); return steps(h) })
	other, o := openGrown(t, 1<<31+3)
	feed(t, other, base)
	costs["load"] = costOf(func() int { feed(t, other, state); return steps(o) })
	if docJSON(other) != docJSON(rt) || half.Digest() != rt.Digest() {
		t.Fatal("documents differ")
	}
	costs["export"] = costOf(func() int { docJSON(rt); return 0 })
	costs["check"] = costOf(func() int {
		if err := rt.Check(); err != nil {
			t.Fatal(err)
		}
		return 0
	})
	heard, l := openGrown(t, 1<<31+4)
	feed(t, heard, base)
	told := 0
	hear(l, &told)
	costs["receive and tell"] = costOf(func() int { feed(t, heard, edits...); return steps(l) })
	return costs
}

// hear listens to all whose events do not tell every concurrent value anyway.
func hear(g *grown, told *int) {
	g.F.OnChange(func(crdt.FlagEvent) { *told++ })
	g.DW.OnChange(func(crdt.FlagEvent) { *told++ })
	g.C.OnChange(func(crdt.CounterEvent) { *told++ })
	g.S.OnChange(func(crdt.SetEvent[int]) { *told++ })
	g.OM.OnChange(func(crdt.ObjectMapEvent[int, crdt.Counter]) { *told++ })
	g.OS.OnChange(func(crdt.ObjectSetEvent[crdt.Register[string]]) { *told++ })
	g.L.OnChange(func(crdt.ListEvent[int]) { *told++ })
	g.OL.OnChange(func(crdt.ObjectListEvent[crdt.Counter]) { *told++ })
	g.T.OnChange(func(crdt.TextEvent) { *told++ })
}

// TestNothingGrowsFasterThanItsInput: four times as many writers, keys, objects, elements, moves or deletions cost at most
// 2.3 times 2.3 times as much, in bytes that are allocated and in things that are looked at.
func TestNothingGrowsFasterThanItsInput(t *testing.T) {
	for k := range growths {
		t.Run(growths[k].name, func(t *testing.T) {
			few, many := measureGrowth(t, k, growBy), measureGrowth(t, k, 4*growBy)
			for what, c := range many {
				f := few[what]
				if float64(c.bytes) > 5.29*float64(f.bytes)+512<<10 || float64(c.steps) > 5.29*float64(f.steps)+100 {
					t.Errorf("%s: %d bytes, %d steps after %d, %d", what, c.bytes, c.steps, f.bytes, f.steps)
				}
			}
		})
	}
	if few, many := crdt.DeltaSteps(1000), crdt.DeltaSteps(4000); float64(many) > 5.29*float64(few) {
		t.Errorf("telling edits: %d steps after %d", many, few)
	}
}

const growBy = 500

// BenchmarkGrowth shows the time of the same.
func BenchmarkGrowth(b *testing.B) {
	for k := range growths {
		for _, n := range []int{1000, 4000} {
			b.Run(fmt.Sprintf("%s/n=%d", growths[k].name, n), func(b *testing.B) {
				for b.Loop() {
					for what, c := range measureGrowth(b, k, n) {
						b.ReportMetric(float64(c.time.Microseconds()), strings.ReplaceAll(what, " ", "-")+"-us")
					}
				}
			})
		}
	}
}

func archived(g *grown, tx runtime.Tx) *crdt.Counter {
	for _, o := range g.OL.Archived(tx) {
		return o
	}
	return nil
}
