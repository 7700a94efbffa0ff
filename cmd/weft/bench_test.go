package main

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/seed1312cc15/weft/internal/trace"
	"github.com/seed1312cc15/weft/runtime"
)

// Benchmarks of the main job on the recorded traces beside the repository, or on a generated one where there are none.
// "cpu-ns/..." is CPU time of the whole process, which a busy machine distorts less than ns/op.

func benchTraces(b *testing.B, run func(b *testing.B, s *script)) {
	paths, err := filepath.Glob(filepath.Join("..", "..", "..", "shared", "traces", "*.json.gz"))
	if err != nil {
		b.Fatal(err)
	}
	for _, p := range paths {
		t, err := trace.ReadFile(p)
		if err != nil {
			b.Fatal(err)
		}
		s := newScript(t)
		b.Run(s.name, func(b *testing.B) { run(b, s) })
	}
	if len(paths) == 0 {
		s := newScript(trace.Generate(1, demoEdits))
		b.Run(s.name, func(b *testing.B) { run(b, s) })
	}
}

// perUnit runs fn for each iteration and reports CPU nanoseconds for each of n units; what fn does with its timer
// stopped counts for neither.
func perUnit(b *testing.B, unit string, n int, fn func(now stopwatch) time.Duration) {
	b.Helper()
	var cpu time.Duration
	for b.Loop() {
		cpu += fn(cpuTime)
	}
	b.ReportMetric(float64(cpu)/float64(b.N)/float64(max(n, 1)), "cpu-ns/"+unit)
}

func BenchmarkReplayLocal(b *testing.B) {
	benchTraces(b, func(b *testing.B, s *script) {
		var w *writers
		perUnit(b, "edit", len(s.patches), func(now stopwatch) time.Duration {
			w = newWriters(s, false, runtime.Options{})
			d, err := w.run(now)
			if err != nil {
				b.Fatal(err)
			}
			return d
		})
		b.ReportMetric(float64(w.bytes)/float64(max(len(s.ends), 1)), "B/txn")
	})
}

// replayed returns the messages of a script and a replica that has applied them all.
func replayed(b *testing.B, s *script) ([][]byte, *replica) {
	b.Helper()
	w := newWriters(s, true, runtime.Options{})
	if _, err := w.run(wallTime); err != nil {
		b.Fatal(err)
	}
	r, err := w.last()
	if err != nil {
		b.Fatal(err)
	}
	return w.sent(), r
}

func BenchmarkReplayRemote(b *testing.B) {
	benchTraces(b, func(b *testing.B, s *script) {
		messages, _ := replayed(b, s)
		perUnit(b, "message", len(messages), func(now stopwatch) time.Duration {
			begin := now()
			r, err := newReplica(reader(1), runtime.Options{})
			if err == nil {
				err = r.receive(messages)
			}
			if err != nil {
				b.Fatal(err)
			}
			return now() - begin
		})
	})
}

func benchSave(b *testing.B, o ...runtime.SaveOption) {
	benchTraces(b, func(b *testing.B, s *script) {
		_, r := replayed(b, s)
		size := 0
		perUnit(b, "save", 1, func(now stopwatch) time.Duration {
			b.StopTimer() // an edit first: nothing of the last Save may help
			if err := r.insert(0, "x"); err != nil {
				b.Fatal(err)
			}
			if err := r.write([]patch{{deleted: 1}}, ""); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
			begin := now()
			state, err := r.rt.Save(o...)
			if err != nil {
				b.Fatal(err)
			}
			size = len(state)
			return now() - begin
		})
		b.ReportMetric(float64(size), "B/state")
	})
}

func BenchmarkSave(b *testing.B)            { benchSave(b) }
func BenchmarkSaveCompressed1(b *testing.B) { benchSave(b, runtime.Compressed(1)) }
func BenchmarkSaveCompressed2(b *testing.B) { benchSave(b, runtime.Compressed(2)) }
func BenchmarkSaveCompressed3(b *testing.B) { benchSave(b, runtime.Compressed(3)) }
func BenchmarkSaveCompressed4(b *testing.B) { benchSave(b, runtime.Compressed(4)) }

func benchLoad(b *testing.B, then func(r *replica, length int) error) {
	benchTraces(b, func(b *testing.B, s *script) {
		_, full := replayed(b, s)
		state, err := full.rt.Save()
		if err != nil {
			b.Fatal(err)
		}
		length := runtime.Read(full.rt, full.text.Len)
		perUnit(b, "load", 1, func(now stopwatch) time.Duration {
			begin := now()
			r, err := newReplica(reader(2), runtime.Options{})
			if err == nil {
				err = r.rt.Load(state)
			}
			if err == nil {
				err = then(r, length)
			}
			if err != nil {
				b.Fatal(err)
			}
			return now() - begin
		})
	})
}

func BenchmarkLoadRead(b *testing.B) {
	benchLoad(b, func(r *replica, _ int) error { r.value(); return nil })
}

func BenchmarkLoadEdit(b *testing.B) {
	benchLoad(b, func(r *replica, length int) error {
		return r.insert(length/2, "x")
	})
}

func BenchmarkLive(b *testing.B) {
	benchTraces(b, func(b *testing.B, s *script) {
		messages, _ := replayed(b, s)
		var live int64
		for b.Loop() {
			var err error
			if live, err = liveBytes(s, messages); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(live), "B/replica")
	})
}
