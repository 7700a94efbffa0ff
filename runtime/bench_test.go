package runtime_test

import (
	"testing"

	"github.com/seed1312cc15/weft/runtime"
)

// floorObject is the least object there is: what is left is the cost of the runtime.
type floorObject struct{ n, was int }

func (o *floorObject) Apply(op *runtime.Op) error          { o.n++; op.Rest(); return nil }
func (o *floorObject) Empty() bool                         { return o.n == 0 }
func (o *floorObject) Save(w *runtime.StateWriter)         { w.Uvarint(uint64(o.n)) }
func (o *floorObject) Dots(func(runtime.LocalDot, uint64)) {}
func (o *floorObject) Merge(r *runtime.StateReader) error {
	o.n = int(r.Uvarint("tally"))
	return r.Done()
}
func (o *floorObject) Rollback()                    { o.n = o.was }
func (o *floorObject) Commit(*runtime.Commit)       { o.was = o.n }
func (o *floorObject) Export(*runtime.Exporter) any { return o.n }
func (o *floorObject) Check() error                 { return nil }

func openFloor(b testing.TB, root string) (*runtime.Runtime, *runtime.Node) {
	r, err := runtime.New(&runtime.Options{
		Kinds:   []runtime.Kind{{Name: "text", New: func(*runtime.Node) runtime.Object { return new(floorObject) }}},
		History: runtime.History{Off: true},
	})
	if err != nil {
		b.Fatal(err)
	}
	n, err := r.Root(root, "text")
	if err != nil {
		b.Fatal(err)
	}
	return r, n
}

func edit(n *runtime.Node) func(tx runtime.Tx) error {
	return func(tx runtime.Tx) error {
		w, err := tx.Begin(n)
		if err != nil {
			return err
		}
		w.Byte(1)
		w.Byte('a')
		w.Commit(1)
		return nil
	}
}

// BenchmarkTransact is one operation of two bytes a transaction, its message handed to one subscriber.
func BenchmarkTransact(b *testing.B) {
	r, n := openFloor(b, "text")
	size := 0
	r.OnUpdate(func(u runtime.Update) { size += len(u.Data) })
	fn := edit(n)
	b.ReportAllocs()
	for b.Loop() {
		if err := r.Transact(fn); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(size)/float64(b.N), "B/message")
}

// BenchmarkTransactEmpty is the floor: lock, function, unlock.
func BenchmarkTransactEmpty(b *testing.B) {
	r, _ := openFloor(b, "text")
	fn := func(runtime.Tx) error { return nil }
	for b.Loop() {
		if err := r.Transact(fn); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkReceive is one message of one operation.
func BenchmarkReceive(b *testing.B) {
	r, n := openFloor(b, "text")
	messages := make([][]byte, 0, b.N)
	r.OnUpdate(func(u runtime.Update) { messages = append(messages, u.Data) })
	fn := edit(n)
	for range b.N {
		if err := r.Transact(fn); err != nil {
			b.Fatal(err)
		}
	}
	q, _ := openFloor(b, "text")
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		if _, err := q.Receive(messages[i]); err != nil {
			b.Fatal(err)
		}
	}
}
