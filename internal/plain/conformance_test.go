package plain_test

import (
	"bytes"
	"compress/gzip"
	"flag"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/seed1312cc15/weft/internal/plain"
	"github.com/seed1312cc15/weft/internal/trace"
)

var (
	update = flag.Bool("update", false, "write testdata/order.ndjson.gz anew")
	full   = flag.Bool("full", false, "replay the whole of a real trace, half a minute")
)

// shared opens a file of the shared data beside the repository, and skips the test where there is none.
func shared(t *testing.T, name string) *os.File {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "..", "..", "shared", filepath.FromSlash(name)))
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("in CI the shared data must be there: %v", err)
		}
		t.Skipf("no shared data beside the repository: %v", err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// checkHistories replays each line of r and compares the text.
func checkHistories(t *testing.T, r io.Reader, want int) {
	t.Helper()
	n := 0
	for tr, err := range trace.Lines(r, trace.Limits{}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
		l, err := plain.Replay(tr)
		if err != nil {
			t.Errorf("%s: %v", tr.Name, err)
			continue
		}
		if got := l.Text(); got != tr.End {
			t.Errorf("%s: got %q, want %q", tr.Name, got, tr.End)
		}
	}
	if n != want {
		t.Errorf("%d histories, want %d", n, want)
	}
}

func TestConformance(t *testing.T) {
	for name, histories := range map[string]int{"list-order": 500, "list-order-unicode": 200} {
		t.Run(name, func(t *testing.T) {
			checkHistories(t, shared(t, "conformance/"+name+".ndjson.gz"), histories)
		})
	}
}

// TestReplayRealTrace replays the beginning of a trace, whose every position must fit, and under -full all of it.
func TestReplayRealTrace(t *testing.T) {
	tr, err := trace.Read(shared(t, "traces/friendsforever.json.gz"), trace.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if !*full {
		tr.Txns = tr.Txns[:6000]
	}
	l, err := plain.Replay(tr)
	if err != nil {
		t.Fatal(err)
	}
	if *full && l.Text() != tr.End {
		t.Error("End differs from the replayed text")
	}
}

func TestReplayStartsFromStartText(t *testing.T) {
	tr := &trace.Trace{Agents: 1, Start: "abc", End: "abc"}
	for range 2 {
		l, err := plain.Replay(tr)
		if err != nil || l.Text() != tr.End {
			t.Fatalf("got %q, %v, want %q", l.Text(), err, tr.End)
		}
		tr.Txns, tr.End = []trace.Txn{{Patches: []trace.Patch{{Pos: 1, Deleted: 1, Inserted: "x"}}}}, "axc"
	}
}

func TestReplayRefusesWrongPositions(t *testing.T) {
	tr := &trace.Trace{Concurrent: true, Agents: 1, Txns: []trace.Txn{{Patches: []trace.Patch{{Pos: 1}}}}}
	if _, err := plain.Replay(tr); err == nil {
		t.Error("no error")
	}
}

const orderHistories = 150

// orderVectors generates the histories of testdata/order.ndjson.gz.
func orderVectors(t *testing.T) []byte {
	var b bytes.Buffer
	for i := range orderHistories {
		tr := plain.GenerateConcurrent(20_000+uint64(i), 2+i%8, 6+i%23)
		if err := tr.Validate(); err != nil {
			t.Fatal(err)
		}
		if err := tr.Write(&b); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func TestOrderVectors(t *testing.T) {
	path := filepath.Join("testdata", "order.ndjson.gz")
	want := orderVectors(t)
	if *update {
		var b bytes.Buffer
		w, _ := gzip.NewWriterLevel(&b, gzip.BestCompression)
		if _, err := w.Write(want); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	stored, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(stored) > 100_000 {
		t.Errorf("%d bytes", len(stored))
	}
	r, err := gzip.NewReader(bytes.NewReader(stored))
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("the generator gives other histories than those stored; if that is meant, run with -update")
	}
	checkHistories(t, bytes.NewReader(got), orderHistories)
}
