package crdt_test

import (
	goruntime "runtime"
	"testing"

	"github.com/seed1312cc15/weft/runtime"
)

// heapOf returns what f takes from the heap, in bytes and in pieces: the least of a few runs.
func heapOf(f func()) (size, pieces uint64) {
	size, pieces = 1<<63, 1<<63
	for range 5 {
		var before, after goruntime.MemStats
		goruntime.ReadMemStats(&before)
		f()
		goruntime.ReadMemStats(&after)
		size, pieces = min(size, after.TotalAlloc-before.TotalAlloc), min(pieces, after.Mallocs-before.Mallocs)
	}
	return size, pieces
}

// TestSaveAndLoadAllocate bounds what a save and a load of a text with many spans take: a save little more than its bytes, which
// it writes in their place, a load little more than what stays.
func TestSaveAndLoadAllocate(t *testing.T) {
	rt, text := newText(t, 1)
	const n = 20_000
	for i := range n {
		if err := rt.Transact(func(tx runtime.Tx) error { return text.Insert(tx, i*7919%(i+1), "word") }); err != nil {
			t.Fatal(err)
		}
	}
	var state []byte
	size, pieces := heapOf(func() {
		var err error
		if state, err = rt.Save(); err != nil {
			t.Fatal(err)
		}
	})
	if !raced && (size > uint64(len(state))*5/4+8<<10 || pieces > 100) { // the race detector empties pools at random
		t.Errorf("a save of %d bytes takes %d, in %d pieces", len(state), size, pieces)
	}
	size, pieces = heapOf(func() {
		rt, _ := newText(t, 2)
		if err := rt.Load(state); err != nil {
			t.Fatal(err)
		}
	})
	if size > n*120 || pieces > 250 {
		t.Errorf("a load of %d bytes takes %d, in %d pieces", len(state), size, pieces)
	}
	t.Logf("%d bytes; load %d, in %d pieces", len(state), size, pieces)
}
