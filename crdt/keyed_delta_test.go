package crdt_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/runtime"
)

// TestManyDeltas passes deltas of both forms around, so that maps and sets go over to their index by dot, and compares with
// a replica that gets messages.
func TestManyDeltas(t *testing.T) {
	type tables struct {
		Map crdt.Map[int, int] `weft:"map"`
		Set crdt.Set[int]      `weft:"set"`
	}
	for _, deletions := range []int{0, -1} { // the deletions by name, the live dots
		r := rand.New(rand.NewPCG(1, uint64(deletions+2)))
		var docs [3]*runtime.Runtime
		var roots [3]tables
		all, _ := mustTables[tables](t, nil)
		for i := range docs {
			docs[i], roots[i] = mustTables[tables](t, &runtime.Options{Deletions: deletions})
			docs[i].OnUpdate(func(u runtime.Update) {
				if u.Local {
					feed(t, all, u.Data)
				}
			})
		}
		indexed := 0
		for round := range 150 {
			i, j := r.IntN(3), r.IntN(3)
			if err := docs[i].Transact(func(tx runtime.Tx) error {
				for range 1 + r.IntN(4) {
					k, m, s := r.IntN(60), roots[i].Map, roots[i].Set
					var err error
					switch r.IntN(20) {
					case 0:
						err = m.Clear(tx)
					case 1, 2, 3, 4:
						err = m.Delete(tx, k)
					case 5, 6, 7, 8:
						err = s.Remove(tx, k)
					case 9, 10, 11, 12:
						err = s.Add(tx, k)
					default:
						err = m.Set(tx, k, round)
					}
					if err != nil {
						return err
					}
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if crdt.IndexedByDot(roots[j].Map.Node()) {
				indexed++
			}
			before := docs[j].Clock()
			if r.IntN(3) == 0 {
				before = nil // it overlaps
			}
			delta, err := docs[i].SaveSince(before)
			if err != nil {
				t.Fatal(err)
			}
			feed(t, docs[j], delta)
			if err := docs[j].Check(); err != nil {
				t.Fatal(err)
			}
			if docs[i].Clock().Equal(docs[j].Clock()) && !bytes.Equal(docs[i].Canonical(), docs[j].Canonical()) {
				t.Fatalf("round %d: replicas %d and %d differ", round, i, j)
			}
		}
		for i := range docs {
			for j := range docs {
				feed(t, docs[i], deltaTo(t, docs[i], docs[j]))
			}
		}
		if indexed < 50 {
			t.Errorf("the map had its index by dot in %d rounds of 150", indexed)
		}
		sameDocs(t, all, docs[0], docs[1], docs[2])
	}
}

func mustTables[T any](t *testing.T, o *runtime.Options) (*runtime.Runtime, T) {
	t.Helper()
	if o == nil {
		o = &runtime.Options{}
	}
	o.Kinds = crdt.Kinds()
	rt, err := runtime.New(o)
	if err != nil {
		t.Fatal(err)
	}
	var root T
	if err := crdt.BindRoots(rt, &root); err != nil {
		t.Fatal(err)
	}
	return rt, root
}

// BenchmarkSmallDelta merges a delta of one key and one removal into maps of two sizes: the time does not follow the size.
func BenchmarkSmallDelta(b *testing.B) {
	for _, n := range []int{10_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			rt, m := bigMap(b, n)
			other := newDoc(b, 2)
			state, err := rt.Save()
			if err != nil {
				b.Fatal(err)
			}
			if err := other.Load(state); err != nil {
				b.Fatal(err)
			}
			i := 0
			for b.Loop() {
				b.StopTimer()
				before := other.Clock()
				transact(b, rt, func(tx runtime.Tx) error {
					i++
					if err := m.Set(tx, fmt.Sprint("new", i), i); err != nil || i == 1 {
						return err
					}
					return m.Delete(tx, fmt.Sprint("new", i-1))
				})
				delta, err := rt.SaveSince(before)
				if err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				if err := other.Load(delta); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
