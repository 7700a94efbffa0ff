package crdt_test

import (
	goruntime "runtime"
	"slices"
	"testing"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/runtime"
)

// doublings make n of something, in as many messages.
var doublings = map[string]func(t *testing.T, n int) [][]byte{
	"edits": func(t *testing.T, n int) [][]byte {
		return alone(t, n, func(g *grown, tx runtime.Tx, i int) error { return g.T.Insert(tx, i*7919%(g.T.Len(tx)+1), "x") })
	},
	"replicas": func(t *testing.T, n int) (messages [][]byte) {
		for i := range n {
			rt, g := openGrown(t, uint32(i))
			messages = append(messages, commitTx(t, rt, func(tx runtime.Tx) error { return g.C.Add(tx, 1) }))
		}
		return messages
	},
	"objects": func(t *testing.T, n int) [][]byte {
		return alone(t, n, func(g *grown, tx runtime.Tx, i int) error {
			_, err := g.OM.Set(tx, i, func(c *crdt.Counter) error { return c.Add(tx, 1) })
			return err
		})
	},
	"keys": func(t *testing.T, n int) [][]byte {
		return alone(t, n, func(g *grown, tx runtime.Tx, i int) error { return g.M.Set(tx, i, i) })
	},
	"tombstones": func(t *testing.T, n int) [][]byte {
		return alone(t, n, func(g *grown, tx runtime.Tx, i int) error {
			if i == 0 {
				return g.T.Insert(tx, 0, string(slices.Repeat([]byte("ab"), n)))
			}
			return g.T.Delete(tx, i*7919%g.T.Len(tx), 1)
		})
	},
	"waiting messages": func(t *testing.T, n int) [][]byte { // of n writers, and what all wait for at the end
		first, g := openGrown(t, 1<<31)
		base := commitTx(t, first, func(tx runtime.Tx) error { return g.L.Insert(tx, 0, 1) })
		var messages [][]byte
		for i := range n {
			rt, g := openGrown(t, uint32(i))
			feed(t, rt, base)
			messages = append(messages, commitTx(t, rt, func(tx runtime.Tx) error { return g.C.Add(tx, 1) }))
		}
		return append(messages, base)
	},
}

// alone returns the messages of one writer.
func alone(t *testing.T, n int, edit func(g *grown, tx runtime.Tx, i int) error) (messages [][]byte) {
	rt, g := openGrown(t, 1<<31)
	for i := range n {
		messages = append(messages, commitTx(t, rt, func(tx runtime.Tx) error { return edit(g, tx, i) }))
	}
	return messages
}

// TestDoubling: twice as many edits, replicas, objects, keys, tombstones or waiting messages cost at most 2.3 times as much
// to write, receive, save and load, in allocations and in bytes that are allocated. It is done twice over, since tables
// grow in steps.
func TestDoubling(t *testing.T) {
	const n, most = 500, 23 * 23
	for name, make := range doublings {
		t.Run(name, func(t *testing.T) {
			few, many := doublingCost(t, make, n), doublingCost(t, make, 4*n)
			for what, c := range many {
				f := few[what]
				if !raced && (c[0] > f[0]*most/100+50 || c[1] > f[1]*most/100+16<<10) {
					t.Errorf("%s: %d allocations of %d bytes, %d of %d for a quarter", what, c[0], c[1], f[0], f[1])
				}
			}
		})
	}
}

func doublingCost(t *testing.T, make func(*testing.T, int) [][]byte, n int) map[string][2]uint64 {
	costs := map[string][2]uint64{}
	cost := func(what string, f func()) {
		var before, after goruntime.MemStats
		goruntime.ReadMemStats(&before)
		f()
		goruntime.ReadMemStats(&after)
		costs[what] = [2]uint64{after.Mallocs - before.Mallocs, after.TotalAlloc - before.TotalAlloc}
	}
	var messages [][]byte
	var state []byte
	cost("write", func() { messages = make(t, n) })
	rt, _ := openGrown(t, 1<<31+1)
	cost("receive", func() { feed(t, rt, messages...) })
	backward, _ := openGrown(t, 1<<31+2)
	cost("receive backward", func() {
		for _, m := range slices.Backward(messages) {
			feed(t, backward, m)
		}
	})
	cost("save", func() { state = savedState(t, rt) })
	loaded, _ := openGrown(t, 1<<31+3)
	cost("load", func() { feed(t, loaded, state) })
	if rt.Waiting() > 0 || rt.Digest() != backward.Digest() || rt.Digest() != loaded.Digest() {
		t.Fatal("documents differ")
	}
	return costs
}
