package crdt_test

import (
	"fmt"
	goruntime "runtime"
	"testing"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/runtime"
)

func newDoc(t testing.TB, replica byte) *runtime.Runtime {
	t.Helper()
	rt, err := runtime.New(&runtime.Options{Kinds: crdt.Kinds(), Replica: [16]byte{15: replica}})
	if err != nil {
		t.Fatal(err)
	}
	return rt
}

// rooted makes a handle of the root "x".
func rooted[H any](t testing.TB, rt *runtime.Runtime, root func(*runtime.Runtime, string) (H, error)) H {
	t.Helper()
	h, err := root(rt, "x")
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func transact(t testing.TB, rt *runtime.Runtime, fn func(runtime.Tx) error) {
	t.Helper()
	if err := rt.Transact(fn); err != nil {
		t.Fatal(err)
	}
}

func BenchmarkMapSet(b *testing.B) {
	for _, keys := range []int{1, 1000, 1_000_000} {
		b.Run(fmt.Sprint("keys=", keys), func(b *testing.B) {
			rt := newDoc(b, 1)
			m := rooted(b, rt, crdt.NewMap[int, int])
			size, i := 0, 0
			rt.OnUpdate(func(u runtime.Update) { size += len(u.Data) })
			set := func(tx runtime.Tx) error { i++; return m.Set(tx, i%keys, i) }
			b.ReportAllocs()
			for b.Loop() {
				transact(b, rt, set)
			}
			b.ReportMetric(float64(size)/float64(i), "B/msg")
		})
	}
}

func BenchmarkMapGet(b *testing.B) {
	rt := newDoc(b, 1)
	m := rooted(b, rt, crdt.NewMap[string, int])
	keys := make([]string, 1000)
	transact(b, rt, func(tx runtime.Tx) error {
		for i := range keys {
			keys[i] = fmt.Sprint("key ", i)
			if err := m.Set(tx, keys[i], i); err != nil {
				return err
			}
		}
		return nil
	})
	b.ReportAllocs()
	err := rt.View(func(tx runtime.Tx) error {
		for i := 0; b.Loop(); i++ {
			if v, ok, err := m.Get(tx, keys[i%1000]); !ok || v != i%1000 {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}

func BenchmarkRegisterSet(b *testing.B) {
	rt := newDoc(b, 1)
	r := rooted(b, rt, crdt.NewRegister[int])
	i := 0
	set := func(tx runtime.Tx) error { i++; return r.Set(tx, i) }
	b.ReportAllocs()
	for b.Loop() {
		transact(b, rt, set)
	}
}

func BenchmarkCounterAdd(b *testing.B) {
	rt := newDoc(b, 1)
	c := rooted(b, rt, crdt.NewCounter)
	add := func(tx runtime.Tx) error { return c.Add(tx, 1) }
	b.ReportAllocs()
	for b.Loop() {
		transact(b, rt, add)
	}
}

// heap returns the bytes that are live.
func heap() uint64 {
	var m goruntime.MemStats
	goruntime.GC()
	goruntime.ReadMemStats(&m)
	return m.HeapAlloc
}

// bigMap returns a document with a map of n keys, written in transactions of 10,000.
func bigMap(t testing.TB, n int) (*runtime.Runtime, crdt.Map[string, int]) {
	rt, err := runtime.New(&runtime.Options{Kinds: crdt.Kinds(), History: runtime.History{Off: true}})
	if err != nil {
		t.Fatal(err)
	}
	m := rooted(t, rt, crdt.NewMap[string, int])
	for i := 0; i < n; {
		transact(t, rt, func(tx runtime.Tx) error {
			for end := min(n, i+10_000); i < end; i++ {
				if err := m.Set(tx, fmt.Sprint("user:", i*7919%n), i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return rt, m
}

func BenchmarkMillionKeys(b *testing.B) {
	const n = 1_000_000
	before := heap()
	rt, m := bigMap(b, n)
	memory := float64(heap()-before) / n
	state, err := rt.Save()
	if err != nil {
		b.Fatal(err)
	}
	perKey := func(b *testing.B) { b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/key") }
	b.Run("write", func(b *testing.B) {
		for b.Loop() {
			bigMap(b, n)
		}
		perKey(b)
		b.ReportMetric(memory, "B/key")
	})
	b.Run("save", func(b *testing.B) {
		for b.Loop() {
			if _, err := rt.Save(); err != nil {
				b.Fatal(err)
			}
		}
		perKey(b)
		b.ReportMetric(float64(len(state))/n, "B/key")
	})
	b.Run("load", func(b *testing.B) {
		for b.Loop() {
			fresh := newDoc(b, 2)
			if err := fresh.Load(state); err != nil {
				b.Fatal(err)
			}
		}
		perKey(b)
	})
	b.Run("load-and-sort", func(b *testing.B) {
		for b.Loop() {
			fresh := newDoc(b, 2)
			if err := fresh.Load(state); err != nil {
				b.Fatal(err)
			}
			if err := fresh.View(func(tx runtime.Tx) error {
				for range rooted(b, fresh, crdt.NewMap[string, int]).Keys(tx) {
					break
				}
				return nil
			}); err != nil {
				b.Fatal(err)
			}
		}
		perKey(b)
	})
	b.Run("all", func(b *testing.B) {
		for b.Loop() {
			count := 0
			if err := rt.View(func(tx runtime.Tx) error {
				for range m.All(tx) {
					count++
				}
				return nil
			}); err != nil || count != n {
				b.Fatal(count, err)
			}
		}
		perKey(b)
	})
	b.Run("clear", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			fresh := newDoc(b, 2)
			if err := fresh.Load(state); err != nil {
				b.Fatal(err)
			}
			h := rooted(b, fresh, crdt.NewMap[string, int])
			b.StartTimer()
			transact(b, fresh, h.Clear)
		}
		perKey(b)
	})
}
