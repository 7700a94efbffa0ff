package crdt_test

import (
	"math/rand/v2"
	goruntime "runtime"
	"testing"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/runtime"
)

func newNumbers(t testing.TB, k int) (*runtime.Runtime, crdt.List[int]) {
	t.Helper()
	rt := newRuntime(t, k)
	list, err := crdt.NewList[int](rt, "list")
	if err != nil {
		t.Fatal(err)
	}
	return rt, list
}

const listEdits = 6000

// listWork has 6,000 edits of each sort, as the published comparisons of such libraries.
var listWork = []struct {
	name string
	edit func(tx runtime.Tx, l crdt.List[int], r *rand.Rand, i int) error
}{
	{"append", func(tx runtime.Tx, l crdt.List[int], r *rand.Rand, i int) error { return l.Append(tx, i) }},
	{"front", func(tx runtime.Tx, l crdt.List[int], r *rand.Rand, i int) error { return l.Insert(tx, 0, i) }},
	{"random", func(tx runtime.Tx, l crdt.List[int], r *rand.Rand, i int) error {
		return l.Insert(tx, r.IntN(l.Len(tx)+1), i)
	}},
	{"set", func(tx runtime.Tx, l crdt.List[int], r *rand.Rand, i int) error {
		if i < 1000 {
			return l.Append(tx, i)
		}
		return l.Set(tx, r.IntN(1000), i)
	}},
	{"move", func(tx runtime.Tx, l crdt.List[int], r *rand.Rand, i int) error {
		if i < 1000 {
			return l.Append(tx, i)
		}
		return l.Move(tx, r.IntN(1000), r.IntN(1000))
	}},
	{"delete", func(tx runtime.Tx, l crdt.List[int], r *rand.Rand, i int) error {
		if i < 3000 {
			return l.Append(tx, i)
		}
		return l.Delete(tx, r.IntN(l.Len(tx)), 1)
	}},
}

func BenchmarkList(b *testing.B) {
	for _, w := range listWork {
		b.Run(w.name, func(b *testing.B) {
			var rt *runtime.Runtime
			bytes := 0
			b.ReportAllocs()
			for range b.N {
				var list crdt.List[int]
				rt, list = newNumbers(b, 1)
				bytes = 0
				rt.OnUpdate(func(u runtime.Update) { bytes += len(u.Data) })
				r := rand.New(rand.NewPCG(1, 2))
				i := 0
				edit := func(tx runtime.Tx) error { return w.edit(tx, list, r, i) }
				for i = range listEdits {
					if err := rt.Transact(edit); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*listEdits), "ns/edit")
			b.ReportMetric(float64(bytes)/listEdits, "B/msg")
			b.ReportMetric(float64(len(save(b, rt))), "B/state")
		})
	}
}

// BenchmarkListLoad loads 100,000 elements.
func BenchmarkListLoad(b *testing.B) {
	rt, list := newNumbers(b, 1)
	values := make([]int, 100_000)
	for i := range values {
		values[i] = i
	}
	do(b, rt, func(tx runtime.Tx) error { return list.Append(tx, values...) })
	data := save(b, rt)
	b.ReportAllocs()
	b.ResetTimer()
	var loaded *runtime.Runtime
	for range b.N {
		loaded, _ = newNumbers(b, 2)
		receive(b, loaded, data)
	}
	b.StopTimer()
	var before, after goruntime.MemStats
	goruntime.GC()
	goruntime.ReadMemStats(&before)
	again, _ := newNumbers(b, 3)
	receive(b, again, data)
	goruntime.GC()
	goruntime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc), "B-live")
	goruntime.KeepAlive(again)
	goruntime.KeepAlive(loaded)
}
