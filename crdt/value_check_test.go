package crdt

import (
	"strings"
	"testing"

	"github.com/seed1312cc15/weft/runtime"
)

// surgeon breaks one claim of a sound state at a time; Check must name it.
func surgeon[S runtime.Object](t *testing.T, make func(testing.TB) S, cuts map[string]func(S)) {
	if err := make(t).Check(); err != nil {
		t.Fatalf("before any cut: %v", err)
	}
	for want, cut := range cuts {
		s := make(t)
		cut(s)
		if err := s.Check(); err == nil || !strings.Contains(err.Error(), strings.TrimRight(want, "'")) {
			t.Errorf("%s: Check says %v", want, err)
		}
	}
}

// stateOf returns the state of a root on which edit was done by one replica and concurrent by another.
func stateOf[S runtime.Object](t testing.TB, kind string, edit func(n *runtime.Node) func(runtime.Tx) error) S {
	t.Helper()
	var first *runtime.Runtime
	for _, id := range []byte{1, 2} {
		rt, err := runtime.New(&runtime.Options{Kinds: Kinds(), Replica: [16]byte{15: id}})
		if err != nil {
			t.Fatal(err)
		}
		n, err := rt.Root("x", kind)
		if err != nil {
			t.Fatal(err)
		}
		if err := rt.Transact(edit(n)); err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = rt
			continue
		}
		state, err := rt.Save()
		if err != nil {
			t.Fatal(err)
		}
		if err := first.Load(state); err != nil {
			t.Fatal(err)
		}
	}
	n, err := first.Root("x", kind)
	if err != nil {
		t.Fatal(err)
	}
	return n.Object().(S)
}

func TestCheckOfCells(t *testing.T) {
	surgeon(t, func(t testing.TB) *cellState {
		return stateOf[*cellState](t, kindFlagDW, func(n *runtime.Node) func(runtime.Tx) error { return DisableWinsFlag{n}.Enable })
	}, map[string]func(*cellState){
		"invariant 1":   func(c *cellState) { c.more.many.list[0] = c.more.many.list[1] },
		"in place":      func(c *cellState) { c.pack(c.more.many.list[0]) },
		"invariant 2":   func(c *cellState) { c.more.many.list[0].val = nil },
		"is no bool":    func(c *cellState) { c.more.many.list[0].val = []byte{1} },
		"invariant 3":   func(c *cellState) { c.more.on-- },
		"was left open": func(c *cellState) { c.begin(c.more.node) },
	})
}

func TestCheckOfCounters(t *testing.T) {
	surgeon(t, func(t testing.TB) *counterState {
		return stateOf[*counterState](t, kindCounter, func(n *runtime.Node) func(runtime.Tx) error {
			return func(tx runtime.Tx) error { return Counter{n}.Add(tx, 1) }
		})
	}, map[string]func(*counterState){
		"in place":      func(c *counterState) { c.end = 1 },
		"invariant 1: ": func(c *counterState) { c.more.rows[0].end = 0 },
		"invariant 2":   func(c *counterState) { c.more.sum.lo++ },
		"invariant 3":   func(c *counterState) { c.more.at = map[runtime.Rep]int32{} },
		"was left open": func(c *counterState) { c.begin() },
	})
}

func TestCheckOfKeyed(t *testing.T) {
	surgeon(t, func(t testing.TB) *keyedState {
		k := stateOf[*keyedState](t, kindMap, func(n *runtime.Node) func(runtime.Tx) error {
			return func(tx runtime.Tx) error {
				m := Map[int, int]{node: n}
				for i := range 20 {
					if err := m.Set(tx, i%15, i); err != nil {
						return err
					}
				}
				return nil
			}
		})
		k.table.indexDots()
		return k
	}, map[string]func(*keyedState){
		"claim 1: the key":   func(k *keyedState) { clear(k.table.index[:20]) },
		"claim 1: 15 keys":   func(k *keyedState) { k.table.entries++ },
		"claim 2: slot":      func(k *keyedState) { list := someMany(k); list[0] = list[1] },
		"entries aside, or":  func(k *keyedState) { clear(k.table.many) },
		"claim 2: ":          func(k *keyedState) { k.table.data.dead++ },
		"claim 3":            func(k *keyedState) { k.table.index = nil },
		"claim 4: key":       func(k *keyedState) { o := k.table.sorted(); o[0], o[1] = o[1], o[0] },
		"claim 4: ":          func(k *keyedState) { o := k.table.sorted()[1:]; k.table.order.Store(&o) },
		"claim 5":            func(k *keyedState) { clear(k.table.dots) },
		"invariant 2: ":      func(k *keyedState) { someMany(k)[0].val = nil },
		"invariant 2: value": func(k *keyedState) { someMany(k)[0].val = []byte{0x62} },
		"invariant 2: key":   func(k *keyedState) { k.table.add([]byte{0x18, 1}, writeEntry{val: []byte{1}}) },
		"was left open":      func(k *keyedState) { k.fresh = true },
	})
}

func someMany(k *keyedState) []writeEntry {
	for _, b := range k.table.many {
		return b.list
	}
	return nil
}
