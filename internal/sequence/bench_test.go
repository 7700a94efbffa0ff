package sequence_test

import (
	"runtime"
	"testing"
	"unicode/utf8"

	"github.com/seed1312cc15/weft/internal/sequence"
	"github.com/seed1312cc15/weft/internal/trace"
)

type plainOrder struct{}

func (plainOrder) CompareReplicas(a, b uint32) int { return int(a) - int(b) }

func readTrace(t testing.TB, name string) *trace.Trace {
	t.Helper()
	tr, err := trace.Read(shared(t, "traces/"+name+".json.gz"), trace.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// localReplay applies the patches of a sequential trace to a new sequence, each in a transaction of its own.
func localReplay(t testing.TB, tr *trace.Trace, sent *[]op) *sequence.Sequence {
	s := sequence.New(plainOrder{}, true)
	var seq uint64
	var dots []sequence.IDSpan
	var err error
	for i := range tr.Txns {
		for _, p := range tr.Txns[i].Patches {
			s.Mark()
			if p.Deleted > 0 {
				if dots, err = s.DeleteRange(p.Pos, p.Deleted, dots[:0]); err != nil {
					t.Fatal(err)
				}
				if sent != nil {
					*sent = append(*sent, op{hide: append([]sequence.IDSpan(nil), dots...)})
				}
				seq++
			}
			if p.Inserted != "" {
				id := sequence.ID{Seq: seq}
				n := utf8.RuneCountInString(p.Inserted)
				o, _, err := s.Insert(p.Pos, id, n, p.Inserted)
				if err != nil {
					t.Fatal(err)
				}
				if sent != nil {
					*sent = append(*sent, op{id: id, n: n, text: p.Inserted, origin: o})
				}
				seq += uint64(n)
			}
			s.Commit()
		}
	}
	return s
}

func TestRealTraces(t *testing.T) {
	for _, name := range []string{"automerge-paper", "sveltecomponent"} {
		tr := readTrace(t, name)
		var sent []op
		s := localReplay(t, tr, &sent)
		if err := s.Check(); err != nil {
			t.Fatal(err)
		}
		if textOf(t, s) != tr.End {
			t.Errorf("%s: the text differs", name)
		}
		u := remoteReplay(t, sent, 0)
		if err := u.Check(); err != nil {
			t.Fatal(err)
		}
		if textOf(t, u) != tr.End {
			t.Errorf("%s: the remote text differs", name)
		}
	}
}

func remoteReplay(t testing.TB, sent []op, _ int) *sequence.Sequence {
	s := sequence.New(plainOrder{}, true)
	var buf []byte
	for i := range sent {
		o := &sent[i]
		s.Mark()
		if o.hide == nil {
			buf = append(buf[:0], o.text...)
			if _, err := s.Integrate(o.id, o.n, buf, o.origin); err != nil {
				t.Fatal(err)
			}
		}
		for _, d := range o.hide {
			if _, err := s.Hide(d.ID, d.N, nil); err != nil {
				t.Fatal(err)
			}
		}
		s.Commit()
	}
	return s
}

func BenchmarkLocalReplay(b *testing.B) {
	tr := readTrace(b, "automerge-paper")
	edits := tr.Edits()
	b.ReportAllocs()
	for b.Loop() {
		localReplay(b, tr, nil)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(edits), "ns/edit")
}

func BenchmarkRemoteReplay(b *testing.B) {
	tr := readTrace(b, "automerge-paper")
	var sent []op
	localReplay(b, tr, &sent)
	b.ReportAllocs()
	for b.Loop() {
		remoteReplay(b, sent, 0)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(sent)), "ns/op-applied")
}

// liveBytes returns the bytes that what build returns keeps alive.
func liveBytes(build func() *sequence.Sequence) int {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&before)
	s := build()
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(s)
	return int(after.HeapAlloc) - int(before.HeapAlloc)
}

func BenchmarkLiveBytes(b *testing.B) {
	tr := readTrace(b, "automerge-paper")
	var local, remote int
	var sent []op
	localReplay(b, tr, &sent)
	for b.Loop() {
		local = liveBytes(func() *sequence.Sequence { return localReplay(b, tr, nil) })
		remote = liveBytes(func() *sequence.Sequence { return remoteReplay(b, sent, 0) })
	}
	b.ReportMetric(float64(local), "local-bytes")
	b.ReportMetric(float64(remote), "remote-bytes")
}

func BenchmarkAppendState(b *testing.B) {
	s := localReplay(b, readTrace(b, "automerge-paper"), nil)
	dst := save(s)
	b.ReportAllocs()
	for b.Loop() {
		dst = s.AppendState(dst[:0], same)
	}
	b.ReportMetric(float64(len(dst)-s.Len(sequence.Bytes)), "structure-bytes")
}

func load(b *testing.B, data []byte) *sequence.Sequence {
	st, err := sequence.Decode(data, known, sequence.Limits{Order: plainOrder{}})
	if err != nil {
		b.Fatal(err)
	}
	s := sequence.New(plainOrder{}, true)
	if err := s.Load(st); err != nil {
		b.Fatal(err)
	}
	return s
}

func BenchmarkDecode(b *testing.B) {
	data := save(localReplay(b, readTrace(b, "automerge-paper"), nil))
	for b.Loop() {
		if _, err := sequence.Decode(data, known, sequence.Limits{Order: plainOrder{}}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLoadAndRead(b *testing.B) {
	data := save(localReplay(b, readTrace(b, "automerge-paper"), nil))
	b.ReportAllocs()
	for b.Loop() {
		s := load(b, data)
		if _, err := s.AppendText(nil, 0, s.Len(sequence.CodePoints)); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLoadAndEdit loads and makes a local and a remote edit and a remote delete in the middle.
func BenchmarkLoadAndEdit(b *testing.B) {
	data := save(localReplay(b, readTrace(b, "automerge-paper"), nil))
	text := []byte("x")
	for b.Loop() {
		s := load(b, data)
		middle := s.Len(sequence.CodePoints) / 2
		id, _, err := s.IDAt(middle / 2)
		if err == nil {
			_, _, err = s.Insert(middle, sequence.ID{Seq: 1 << 40}, 1, "x")
		}
		if err == nil {
			_, err = s.Integrate(sequence.ID{Rep: 1}, 1, text, sequence.Origin{Parent: id})
		}
		if err == nil {
			_, err = s.Hide(id, 1, nil)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLiveBytesLoaded(b *testing.B) {
	data := save(localReplay(b, readTrace(b, "automerge-paper"), nil))
	var live int
	for b.Loop() {
		live = liveBytes(func() *sequence.Sequence { return load(b, data) })
	}
	b.ReportMetric(float64(live), "loaded-bytes")
}
