package crdt_test

import (
	"os"
	"path/filepath"
	goruntime "runtime"
	"testing"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/internal/trace"
	"github.com/seed1312cc15/weft/runtime"
)

// shared opens a file of the shared data beside the repository, and skips the test where there is none.
func shared(t testing.TB, name string) *os.File {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "..", "shared", filepath.FromSlash(name)))
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("in CI the shared data must be there: %v", err)
		}
		t.Skipf("no shared data beside the repository: %v", err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func readTrace(t testing.TB, name string) *trace.Trace {
	t.Helper()
	tr, err := trace.Read(shared(t, "traces/"+name+".json.gz"), trace.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// replayLocally writes a sequential trace, one transaction and one message for each patch.
func replayLocally(t testing.TB, rt *runtime.Runtime, text crdt.Text, tr *trace.Trace) {
	var p *trace.Patch
	edit := func(tx runtime.Tx) error {
		if p.Deleted == 0 {
			return text.Insert(tx, p.Pos, p.Inserted)
		}
		return text.Splice(tx, p.Pos, p.Deleted, p.Inserted)
	}
	for i := range tr.Txns {
		for j := range tr.Txns[i].Patches {
			p = &tr.Txns[i].Patches[j]
			if err := rt.Transact(edit); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func BenchmarkTextTraceLocal(b *testing.B) {
	tr := readTrace(b, "automerge-paper")
	edits := tr.Edits()
	bytes := 0
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		rt, text := newText(b, 1)
		bytes = 0
		rt.OnUpdate(func(u runtime.Update) { bytes += len(u.Data) })
		replayLocally(b, rt, text, tr)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*edits), "ns/edit")
	b.ReportMetric(float64(bytes)/float64(edits), "B/msg")
}

func BenchmarkTextTraceRemote(b *testing.B) {
	tr := readTrace(b, "automerge-paper")
	edits := tr.Edits()
	var msgs [][]byte
	rt, text := newText(b, 1)
	rt.OnUpdate(func(u runtime.Update) { msgs = append(msgs, u.Data) })
	replayLocally(b, rt, text, tr)
	goruntime.GC()
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		rt, text := newText(b, 2)
		for _, m := range msgs {
			if _, err := rt.Receive(m); err != nil {
				b.Fatal(err)
			}
		}
		b.StopTimer()
		if runtime.Read(rt, text.String) != tr.End {
			b.Fatal("the text differs")
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*edits), "ns/edit")
}

func BenchmarkTextSave(b *testing.B) {
	tr := readTrace(b, "automerge-paper")
	rt, text := newText(b, 1)
	replayLocally(b, rt, text, tr)
	var data []byte
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		var err error
		if data, err = rt.Save(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(data)), "B")
}

func BenchmarkTextLoad(b *testing.B) {
	tr := readTrace(b, "automerge-paper")
	rt, text := newText(b, 1)
	replayLocally(b, rt, text, tr)
	data, err := rt.Save()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		rt, text := newText(b, 2)
		if _, err := rt.Receive(data); err != nil {
			b.Fatal(err)
		}
		if len(runtime.Read(rt, text.String)) != len(tr.End) {
			b.Fatal("the text differs")
		}
	}
}

// BenchmarkTextTyping is one transaction, and its message, for each typed character, without a subscriber.
func BenchmarkTextTyping(b *testing.B) {
	rt, text := newText(b, 1)
	i := 0
	typing := func(tx runtime.Tx) error { i++; return text.Insert(tx, i-1, "x") }
	b.ReportAllocs()
	for b.Loop() {
		if err := rt.Transact(typing); err != nil {
			b.Fatal(err)
		}
	}
}
