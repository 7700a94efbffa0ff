package crdt_test

import (
	"fmt"
	goruntime "runtime"
	"slices"
	"testing"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/runtime"
)

// TestBytesPerObject pins what an object of four fields takes in memory (of it about 100 bytes are the ObjectMap's), and what
// a LazyMap keeps of keys that were only looked for.
func TestBytesPerObject(t *testing.T) {
	const n = 20_000
	rt, err := runtime.New(&runtime.Options{Kinds: crdt.Kinds(), History: runtime.History{Off: true}})
	if err != nil {
		t.Fatal(err)
	}
	rows, err := crdt.NewObjectMap[string, row](rt, "rows")
	if err != nil {
		t.Fatal(err)
	}
	lazy, err := crdt.NewLazyMap[string, crdt.Counter](rt, "lazy")
	if err != nil {
		t.Fatal(err)
	}
	before := liveHeap()
	for i := 0; i < n; i += 1000 {
		commitTx(t, rt, func(tx runtime.Tx) error {
			for j := i; j < i+1000; j++ {
				if _, err := rows.Set(tx, fmt.Sprintf("key%06d", j), func(r *row) error { return r.fill(tx, j) }); err != nil {
					return err
				}
			}
			return nil
		})
	}
	each := float64(liveHeap()-before) / n
	t.Logf("%.0f bytes", each)
	if each > 580 {
		t.Errorf("an object of four fields takes %.0f bytes", each)
	}
	before = liveHeap()
	if err := rt.View(func(tx runtime.Tx) error {
		for i := range n {
			if _, ok := lazy.Get(tx, fmt.Sprintf("key%06d", i)); ok || lazy.Has(tx, fmt.Sprintf("key%06d", i)) {
				t.Fatal("a key is there")
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if after := liveHeap(); after > before+n {
		t.Errorf("looking for %d keys left %d bytes", n, after-before)
	}
	goruntime.KeepAlive(rt)
}

// TestLazyMapPresence: a key is present while its object holds state, whatever its value.
func TestLazyMapPresence(t *testing.T) {
	type root struct {
		Counters  crdt.LazyMap[string, crdt.Counter]          `weft:"counters"`
		Texts     crdt.LazyMap[string, crdt.Text]             `weft:"texts"`
		Registers crdt.LazyMap[string, crdt.Register[string]] `weft:"registers"`
		Sets      crdt.LazyMap[string, crdt.Set[int]]         `weft:"sets"`
	}
	rt, r := mustTables[root](t, nil)
	commitTx(t, rt, func(tx runtime.Tx) error {
		c, err := r.Counters.At(tx, "k")
		if err != nil {
			return err
		}
		if err := c.Add(tx, 3); err != nil {
			return err
		}
		if err := c.Reset(tx); err != nil {
			return err
		}
		x, err := r.Texts.At(tx, "k")
		if err != nil {
			return err
		}
		if err := x.Insert(tx, 0, "x"); err != nil {
			return err
		}
		if err := x.Delete(tx, 0, 1); err != nil {
			return err
		}
		g, err := r.Registers.At(tx, "k")
		if err != nil {
			return err
		}
		if err := g.Set(tx, "x"); err != nil {
			return err
		}
		if err := g.Clear(tx); err != nil {
			return err
		}
		s, err := r.Sets.At(tx, "k")
		if err != nil {
			return err
		}
		if err := s.Add(tx, 1); err != nil {
			return err
		}
		return s.Clear(tx)
	})
	fresh, f := mustTables[root](t, nil)
	feed(t, fresh, savedState(t, rt))
	for i, d := range []*runtime.Runtime{rt, fresh} {
		r := []root{r, f}[i]
		if err := d.View(func(tx runtime.Tx) error {
			c, ok := r.Counters.Get(tx, "k")
			if !ok || !r.Counters.Has(tx, "k") || !slices.Equal(slices.Collect(r.Counters.Keys(tx)), []string{"k"}) {
				t.Error("a counter that was reset is gone")
			} else if v, err := c.Value(tx); v != 0 || err != nil {
				t.Errorf("counter %d, %v", v, err)
			}
			if x, ok := r.Texts.Get(tx, "k"); !ok || x.Len(tx) != 0 {
				t.Error("a text that was emptied is gone")
			}
			if r.Registers.Has(tx, "k") || r.Sets.Has(tx, "k") {
				t.Error("a register or set without anything is present")
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if got := docJSON(d); got != `{"counters":{"k":0},"texts":{"k":""}}` {
			t.Errorf("JSON view %s", got)
		}
	}
}
