package crdt_test

import (
	"errors"
	"fmt"
	goruntime "runtime"
	"testing"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/runtime"
)

type row struct {
	Name  crdt.Register[string] `weft:"name"`
	Count crdt.Counter          `weft:"count"`
	Done  crdt.Flag             `weft:"done"`
	Rank  crdt.Register[int]    `weft:"rank"`
}

func (r *row) fill(tx runtime.Tx, i int) error {
	return errors.Join(r.Name.Set(tx, "row"), r.Count.Add(tx, 1), r.Done.Enable(tx), r.Rank.Set(tx, i))
}

func openRows(b *testing.B) (*runtime.Runtime, crdt.ObjectMap[string, row]) {
	rt, err := runtime.New(&runtime.Options{Kinds: crdt.Kinds(), History: runtime.History{Off: true}})
	if err != nil {
		b.Fatal(err)
	}
	rows, err := crdt.NewObjectMap[string, row](rt, "rows")
	if err != nil {
		b.Fatal(err)
	}
	return rt, rows
}

const benchRows = 100_000

func fillRows(b *testing.B, rt *runtime.Runtime, rows crdt.ObjectMap[string, row]) {
	for i := 0; i < benchRows; i += 1000 {
		if err := rt.Transact(func(tx runtime.Tx) error {
			for j := i; j < i+1000; j++ {
				if _, err := rows.Set(tx, fmt.Sprintf("key%06d", j), func(r *row) error { return r.fill(tx, j) }); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			b.Fatal(err)
		}
	}
}

func liveHeap() uint64 {
	goruntime.GC()
	goruntime.GC()
	var m goruntime.MemStats
	goruntime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkObjectsCreate makes 100,000 objects of four fields each; per object: time, live bytes, bytes of the messages
// and of the saved state.
func BenchmarkObjectsCreate(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		before := liveHeap()
		b.StartTimer()
		rt, rows := openRows(b)
		sent := 0
		stop := rt.OnUpdate(func(u runtime.Update) { sent += len(u.Data) })
		fillRows(b, rt, rows)
		b.StopTimer()
		stop()
		b.ReportMetric(float64(liveHeap()-before)/benchRows, "live-B/object")
		b.ReportMetric(float64(sent)/benchRows, "message-B/object")
		state, err := rt.Save()
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(len(state))/benchRows, "state-B/object")
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchRows, "ns/object")
}

// BenchmarkObjectsLoad loads them into an empty document, and reads each once.
func BenchmarkObjectsLoad(b *testing.B) {
	rt, rows := openRows(b)
	fillRows(b, rt, rows)
	state, err := rt.Save()
	if err != nil {
		b.Fatal(err)
	}
	b.Run("load", func(b *testing.B) {
		for b.Loop() {
			fresh, _ := openRows(b)
			if err := fresh.Load(state); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchRows, "ns/object")
	})
	b.Run("all", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := rt.View(func(tx runtime.Tx) error {
				for range rows.All(tx) {
				}
				return nil
			}); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchRows, "ns/object")
	})
	b.Run("get", func(b *testing.B) {
		b.ReportAllocs()
		if err := rt.View(func(tx runtime.Tx) error {
			for b.Loop() {
				rows.Get(tx, "key050000")
			}
			return nil
		}); err != nil {
			b.Fatal(err)
		}
	})
}
