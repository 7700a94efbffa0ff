package runtime_test

import (
	"testing"

	"github.com/seed1312cc15/weft/runtime"
)

type nop struct {
	runtime.Journal
	n *runtime.Node
	c int
}

func (o *nop) Apply(op *runtime.Op) error          { o.c++; op.Rest(); return nil }
func (o *nop) Empty() bool                         { return o.c == 0 }
func (o *nop) Save(w *runtime.StateWriter)         {}
func (o *nop) Dots(func(runtime.LocalDot, uint64)) {}
func (o *nop) Merge(r *runtime.StateReader) error  { return nil }
func (o *nop) Rollback()                           { o.c-- }
func (o *nop) Commit(c *runtime.Commit)            {}
func (o *nop) Export(x *runtime.Exporter) any      { return o.c }
func (o *nop) Check() error                        { return nil }

func BenchmarkTransactOverhead(b *testing.B) {
	k := runtime.Kind{Name: "text", New: func(n *runtime.Node) runtime.Object { return &nop{n: n} }}
	r, _ := runtime.New(&runtime.Options{Kinds: []runtime.Kind{k}, History: runtime.History{Off: true}})
	n, _ := r.Root("text", "text")
	size := 0
	r.OnUpdate(func(u runtime.Update) { size += len(u.Data) })
	b.ReportAllocs()
	fn := func(tx runtime.Tx) error {
		w, err := tx.Begin(n)
		if err != nil {
			return err
		}
		w.Byte(1)
		w.Byte('a')
		w.Commit(1)
		return nil
	}
	for b.Loop() {
		r.Transact(fn)
	}
	b.ReportMetric(float64(size)/float64(b.N), "B/msg")
}

func BenchmarkReceiveOverhead(b *testing.B) {
	k := runtime.Kind{Name: "text", New: func(n *runtime.Node) runtime.Object { return &nop{n: n} }}
	r, _ := runtime.New(&runtime.Options{Kinds: []runtime.Kind{k}, History: runtime.History{Off: true}})
	n, _ := r.Root("text", "text")
	var msgs [][]byte
	r.OnUpdate(func(u runtime.Update) { msgs = append(msgs, u.Data) })
	for range b.N {
		r.Transact(func(tx runtime.Tx) error {
			w, _ := tx.Begin(n)
			w.Byte(1)
			w.Byte('a')
			w.Commit(1)
			return nil
		})
	}
	q, _ := runtime.New(&runtime.Options{Kinds: []runtime.Kind{k}, History: runtime.History{Off: true}})
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		if _, err := q.Receive(msgs[i]); err != nil {
			b.Fatal(err)
		}
	}
}

func benchTx(b *testing.B, sub, op bool) {
	k := runtime.Kind{Name: "text", New: func(n *runtime.Node) runtime.Object { return &nop{n: n} }}
	r, _ := runtime.New(&runtime.Options{Kinds: []runtime.Kind{k}, History: runtime.History{Off: true}})
	n, _ := r.Root("text", "text")
	if sub {
		r.OnUpdate(func(u runtime.Update) {})
	}
	fn := func(tx runtime.Tx) error {
		if !op {
			return nil
		}
		w, err := tx.Begin(n)
		if err != nil {
			return err
		}
		w.Byte(1)
		w.Byte('a')
		w.Commit(1)
		return nil
	}
	for b.Loop() {
		r.Transact(fn)
	}
}
func BenchmarkTxEmpty(b *testing.B)  { benchTx(b, false, false) }
func BenchmarkTxNoSub(b *testing.B)  { benchTx(b, false, true) }
func BenchmarkTxSub(b *testing.B)    { benchTx(b, true, true) }
