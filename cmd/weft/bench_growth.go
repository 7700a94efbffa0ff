package main

import (
	"fmt"
	"math"
	goruntime "runtime"
	"time"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/internal/trace"
	"github.com/seed1312cc15/weft/runtime"
)

// growth is one respect in which work grows: build makes the document of size n.
type growth struct {
	name, unit string
	sizes      [3]int // 1, 10 and 100 times
	build      func(n int) (*runtime.Runtime, error)
}

var growths = []growth{
	{"document length", "code points", [3]int{10_000, 100_000, 1_000_000}, growText},
	{"tombstones beside 1,000 code points", "deleted code points", [3]int{10_000, 100_000, 1_000_000}, growTombstones},
	{"replicas in the clock", "replicas", [3]int{999, 9_999, 99_999}, growReplicas},
	{"keys of a map", "keys", [3]int{10_000, 100_000, 1_000_000}, growMap},
	{"nested objects", "objects", [3]int{1_000, 10_000, 100_000}, growObjects},
	{"history of one register", "messages", [3]int{10_000, 100_000, 1_000_000}, growHistory},
	{"offline branches, two of", "edits each", [3]int{1_000, 10_000, 100_000}, growBranches},
}

// growthPoint is what one size took.
type growthPoint struct {
	Growth    string  `json:"growth"`
	Unit      string  `json:"unit"`
	Size      int     `json:"size"`
	BuildMS   float64 `json:"build_ms"` // making it, one edit after the other
	SaveMS    float64 `json:"save_ms"`
	LoadMS    float64 `json:"load_ms"`
	SaveBytes int     `json:"save_bytes"`
	HeapBytes int64   `json:"heap_bytes"` // of the loaded document
	// Worst is how much the steepest of the five, WorstOf, grew from the size before, divided by what n log n allows.
	Worst   float64 `json:"worst,omitempty"`
	WorstOf string  `json:"worst_of,omitempty"`
}

// benchGrowth measures every growth at 1, 10 and 100 times.
func benchGrowth(c *console) error {
	t := newTable("growth", "size", "unit", "build_ms", "save_ms", "load_ms", "save_bytes", "heap_bytes", "worst/n log n", "")
	t.left[2], t.left[9] = true, true
	for _, g := range growths {
		var last *growthPoint
		for _, n := range g.sizes {
			c.progress.set("%s: %s", g.name, count(n))
			p, err := g.measure(n)
			if err != nil {
				return fmt.Errorf("%s, %d: %w", g.name, n, err)
			}
			if last != nil {
				p.Worst, p.WorstOf = p.against(last)
			}
			last = &p
			if c.json {
				if err := writeJSON(c.out, p); err != nil {
					return err
				}
			}
			ms := func(v float64) string { return fmt.Sprintf("%.2f", v) }
			t.row(p.Growth, count(p.Size), p.Unit, ms(p.BuildMS), ms(p.SaveMS), ms(p.LoadMS), count(p.SaveBytes), count(p.HeapBytes), ms(p.Worst), p.WorstOf)
		}
	}
	c.progress.stop()
	if c.json {
		return nil
	}
	return t.write(c.out)
}

// against returns the steepest growth since the size before over that of n log n, and of what. Below a millisecond, or
// 64 KiB, what is constant hides the growth: such a start counts as that much.
func (p *growthPoint) against(before *growthPoint) (worst float64, of string) {
	n, m := float64(p.Size), float64(before.Size)
	fair := n * math.Log(n) / (m * math.Log(m))
	for _, x := range []struct {
		name            string
		now, was, floor float64
	}{
		{"making", p.BuildMS, before.BuildMS, 1}, {"save", p.SaveMS, before.SaveMS, 1}, {"load", p.LoadMS, before.LoadMS, 1},
		{"bytes", float64(p.SaveBytes), float64(before.SaveBytes), 1 << 16}, {"heap", float64(p.HeapBytes), float64(before.HeapBytes), 1 << 16},
	} {
		if ratio := x.now / max(x.was, x.floor) / fair; ratio > worst {
			worst, of = ratio, x.name
		}
	}
	return worst, of
}

// least returns the least CPU time of up to five times fn, in milliseconds: how long it takes with the caches as warm, and
// as little else on the machine, as it gets.
func least(fn func() error) (float64, error) {
	best := math.Inf(1)
	for i, begin := 0, cpuTime(); i < 5 && (i == 0 || cpuTime()-begin < time.Second); i++ {
		ms, err := cpuOf(fn)
		if err != nil {
			return 0, err
		}
		best = min(best, ms)
	}
	return best, nil
}

func (g *growth) measure(n int) (p growthPoint, err error) {
	p = growthPoint{Growth: g.name, Unit: g.unit, Size: n}
	var rt *runtime.Runtime
	if p.BuildMS, err = cpuOf(func() error { rt, err = g.build(n); return err }); err != nil {
		return p, err
	}
	var state []byte
	if p.SaveMS, err = least(func() error { state, err = rt.Save(); return err }); err != nil {
		return p, err
	}
	p.SaveBytes = len(state)
	digest := rt.Digest()
	rt = nil
	var back *runtime.Runtime
	p.LoadMS, err = least(func() error {
		if back, err = growing(1 << 20); err != nil {
			return err
		}
		return back.Load(state)
	})
	if err != nil {
		return p, err
	}
	if back.Digest() != digest {
		return p, fmt.Errorf("the loaded document differs")
	}
	with := heap()
	goruntime.KeepAlive(back)
	back = nil
	p.HeapBytes = with - heap()
	goruntime.KeepAlive(state)
	return p, nil
}

// growing makes replica n of a document that may get large.
func growing(n int) (*runtime.Runtime, error) {
	return runtime.New(&runtime.Options{Replica: trace.AgentReplica(n), Kinds: crdt.Kinds(),
		Limits: runtime.Limits{StateBytes: 1 << 30, DecodedBytes: 1 << 30}})
}

// batch makes n edits, a thousand in a transaction.
func batch(rt *runtime.Runtime, n int, edit func(tx runtime.Tx, i int) error) error {
	for from := 0; from < n; from += 1000 {
		err := rt.Transact(func(tx runtime.Tx) error {
			for i := from; i < min(from+1000, n); i++ {
				if err := edit(tx, i); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// growText inserts words of ten letters at random places.
func growText(n int) (*runtime.Runtime, error) {
	rt, err := growing(0)
	if err != nil {
		return nil, err
	}
	text, err := crdt.NewText(rt, "text")
	if err != nil {
		return nil, err
	}
	r := randomness{seed: 1}
	return rt, batch(rt, n/10, func(tx runtime.Tx, i int) error { return text.Insert(tx, r.below(10*i+1), r.word(10)) })
}

// growTombstones types n code points and deletes all but 1,000, one by one at random places.
func growTombstones(n int) (*runtime.Runtime, error) {
	rt, err := growing(0)
	if err != nil {
		return nil, err
	}
	text, err := crdt.NewText(rt, "text")
	if err != nil {
		return nil, err
	}
	r := randomness{seed: 2}
	if err := batch(rt, (n+1000)/100, func(tx runtime.Tx, i int) error { return text.Insert(tx, 100*i, r.word(100)) }); err != nil {
		return nil, err
	}
	return rt, batch(rt, n, func(tx runtime.Tx, i int) error { return text.Delete(tx, r.below(n+1000-i), 1) })
}

// growReplicas lets n replicas add to one counter, knowing nothing of each other.
func growReplicas(n int) (*runtime.Runtime, error) {
	rt, err := growing(n + 1)
	if err != nil {
		return nil, err
	}
	for i := range n {
		c, err := newClient(i, runtime.History{})
		if err == nil {
			err = c.each([]workloadOp{{Amount: 1}})
		}
		if err != nil {
			return nil, err
		}
		if _, err := rt.Receive(c.messages[0]); err != nil {
			return nil, err
		}
	}
	return rt, nil
}

func growMap(n int) (*runtime.Runtime, error) {
	rt, err := growing(0)
	if err != nil {
		return nil, err
	}
	m, err := crdt.NewMap[string, int](rt, "map")
	if err != nil {
		return nil, err
	}
	return rt, batch(rt, n, func(tx runtime.Tx, i int) error { return m.Set(tx, fmt.Sprintf("key-%07d", i*7919%n), i) })
}

// nested is what a child of growObjects holds.
type nested struct {
	Title crdt.Register[string] `weft:"title"`
	Votes crdt.Counter          `weft:"votes"`
}

func growObjects(n int) (*runtime.Runtime, error) {
	rt, err := growing(0)
	if err != nil {
		return nil, err
	}
	m, err := crdt.NewObjectMap[string, nested](rt, "objects")
	if err != nil {
		return nil, err
	}
	return rt, batch(rt, n, func(tx runtime.Tx, i int) error {
		o, err := m.Set(tx, fmt.Sprintf("key-%07d", i), nil)
		if err != nil {
			return err
		}
		return o.Title.Set(tx, "a title")
	})
}

// growHistory writes one register in n transactions.
func growHistory(n int) (*runtime.Runtime, error) {
	rt, err := growing(0)
	if err != nil {
		return nil, err
	}
	r, err := crdt.NewRegister[int](rt, "register")
	if err != nil {
		return nil, err
	}
	for i := range n {
		if err := rt.Transact(func(tx runtime.Tx) error { return r.Set(tx, i) }); err != nil {
			return nil, err
		}
	}
	return rt, nil
}

// growBranches lets two replicas of one text of 10,000 letters make n edits each, and exchange them.
func growBranches(n int) (*runtime.Runtime, error) {
	base, err := newReplica(reader(1), runtime.Options{})
	if err != nil {
		return nil, err
	}
	start := (&randomness{seed: 3}).word(10_000)
	if err := base.insert(0, start); err != nil {
		return nil, err
	}
	state, err := base.rt.Save()
	if err != nil {
		return nil, err
	}
	var pair [2]*replica
	for i := range pair {
		if pair[i], err = loaded(byte(2+i), state); err != nil {
			return nil, err
		}
		s := divergence(start, uint32(i), n)
		for k := range s.ends {
			if err := pair[i].replay(s, k); err != nil {
				return nil, err
			}
		}
	}
	for i, r := range pair {
		delta, err := r.rt.SaveSince(pair[1-i].rt.Clock())
		if err == nil {
			err = pair[1-i].rt.Load(delta)
		}
		if err != nil {
			return nil, err
		}
	}
	return pair[1].rt, nil
}
