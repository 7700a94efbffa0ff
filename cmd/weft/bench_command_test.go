package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// benchTrace writes a small sequential trace, and returns its path.
func benchTrace(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "small.json")
	text := `{"startContent":"","endContent":"hey you","txns":[{"patches":[[0,0,"hello"]]},{"patches":[[3,2,"y"],[4,0," you"]]},` +
		`{"patches":[[8,0,"!"]]},{"patches":[[8,1,""],[2,1,""]]}]}`
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// benched runs "weft bench -json" and returns the lines.
func benched(t *testing.T, args ...string) []measurement {
	t.Helper()
	var out, errs bytes.Buffer
	if code := run(append([]string{"bench", "-json", "-runs", "1"}, args...), &out, &errs); code != exitOK {
		t.Fatalf("exit code %d: %s", code, errs.String())
	}
	var all []measurement
	for d := json.NewDecoder(&out); d.More(); {
		var m measurement
		if err := d.Decode(&m); err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}

func TestBenchMeasuresEveryTaskOfATrace(t *testing.T) {
	path := benchTrace(t)
	var got []string
	for _, m := range benched(t, path) {
		got = append(got, m.Task)
		if m.Trace != "small" || m.Peer != "weft" {
			t.Errorf("%s: trace %q, peer %q", m.Task, m.Trace, m.Peer)
		}
		switch m.Task {
		case "t1", "t1h", "t2":
			if m.Messages != 6 || m.MessageBytes < 100 || m.SaveBytes == 0 {
				t.Errorf("%s: %+v; want six messages", m.Task, m)
			}
		case "t1b", "first":
			if m.Messages != 1 {
				t.Errorf("%s: %d messages, want 1", m.Task, m.Messages)
			}
		}
	}
	want := append(slices.Clone(sequentialTasks), everyTasks...)
	if !slices.Equal(got, want) {
		t.Errorf("tasks %v, want %v", got, want)
	}
}

func TestBenchReadsArtifacts(t *testing.T) {
	path, dir := benchTrace(t), t.TempDir()
	var out, errs bytes.Buffer
	if code := run([]string{"bench", "-task", "t2", "-artifacts", dir, path}, &out, &errs); code != exitFailed || !strings.Contains(errs.String(), "prep") {
		t.Fatalf("without prep: exit code %d, %s", code, errs.String())
	}
	benched(t, "-task", "prep", "-artifacts", dir, path)
	if m := benched(t, "-task", "t2,t4", "-artifacts", dir, path); len(m) != 2 || m[0].Messages != 6 || m[1].SaveBytes == 0 {
		t.Errorf("%+v", m)
	}
	all, err := os.ReadFile(filepath.Join(dir, "small.messages"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "small.messages"), all[:len(all)-1], 0o644); err != nil {
		t.Fatal(err)
	}
	if code := run([]string{"bench", "-task", "t2", "-artifacts", dir, path}, &out, &errs); code != exitFailed {
		t.Errorf("cut off messages: exit code %d", code)
	}
}

// TestBenchWorkloads runs one workload of each shape and kind of object.
func TestBenchWorkloads(t *testing.T) {
	want := map[string]int{"B1.6": 2, "B1.8": workloadSize, "B2.1": 2, "B3.1": crowdSize, "M3": workloadSize}
	for _, m := range benched(t, "-task", "B1.6,B1.8,B2.1,B3.1,M3") {
		if m.Messages != want[m.Task] || m.SaveBytes == 0 {
			t.Errorf("%s: %d messages, want %d; %+v", m.Task, m.Messages, want[m.Task], m)
		}
		delete(want, m.Task)
	}
	if len(want) > 0 {
		t.Errorf("not measured: %v", want)
	}
}

// TestBenchWritesWorkloads checks that what others read is what is run here.
func TestBenchWritesWorkloads(t *testing.T) {
	dir := t.TempDir()
	benched(t, "-workloads", dir, benchTrace(t))
	for _, id := range workloadIDs() {
		b, err := os.ReadFile(filepath.Join(dir, id+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var w workload
		if err := json.Unmarshal(b, &w); err != nil {
			t.Fatal(err)
		}
		again, err := workloadOf(id)
		if err != nil {
			t.Fatal(err)
		}
		if w.ID != id || len(w.A) != len(again.A) || len(w.B) != len(again.B) {
			t.Errorf("%s: %d and %d operations, want %d and %d", id, len(w.A), len(w.B), len(again.A), len(again.B))
		}
	}
	var delta struct{ A, B []textEdit }
	b, err := os.ReadFile(filepath.Join(dir, "delta-small.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &delta); err != nil {
		t.Fatal(err)
	}
	s := divergence("hey you", 1, 50)
	for i := range s.ends {
		p := s.txn(i)[0]
		if want := (textEdit{int(p.pos), int(p.deleted), s.text[p.from:p.to]}); delta.B[i] != want {
			t.Fatalf("edit %d: %v, want %v", i, delta.B[i], want)
		}
	}
}

func TestBenchUsage(t *testing.T) {
	for _, args := range [][]string{{"-task", "t9"}, {"-task", "t1"}, {"-runs", "0"}, {"-task", "prep", benchTrace(t)}} {
		var out, errs bytes.Buffer
		if code := run(append([]string{"bench"}, args...), &out, &errs); code != exitUsage {
			t.Errorf("weft bench %v: exit code %d, want %d; %s", args, code, exitUsage, errs.String())
		}
	}
}

func TestMediansOfRuns(t *testing.T) {
	m := medians([]measurement{{CPUMS: 3, SaveBytes: 7, HeapBytes: -1}, {CPUMS: 1, SaveBytes: 9, HeapBytes: 5}, {CPUMS: 2, SaveBytes: 8, HeapBytes: 4}})
	if m.CPUMS != 2 || m.SaveBytes != 8 || m.HeapBytes != 4 {
		t.Errorf("%+v", m)
	}
}

func TestCheckAllowsTenPercent(t *testing.T) {
	program := func(t1, m1 float64, bytes int) *contender {
		c := newContender("", "")
		for i, more := range []float64{0, 1, 0, 0.5, 0.2, 2, 3, 0} {
			if i == 0 && t1 == 2 {
				more = -0.5 // one lucky time says nothing
			}
			c.times["t1 time"] = append(c.times["t1 time"], t1+more)
			c.times["M1 time"] = append(c.times["M1 time"], m1+more)
			c.times["M3 time"] = append(c.times["M3 time"], t1/100)
		}
		c.sizes["t1 messages"], c.sizes["t1 state"] = bytes, 500
		return c
	}
	for _, c := range []struct {
		t1, m1 float64
		bytes  int
		slower int
		want   string
	}{
		{2.1, 0.5, 1050, 0, ""}, {2.3, 1, 1000, 1, "1 figure"}, {2.3, 1.2, 1000, 2, "2 figures"}, {2, 1, 1200, 0, "1 figure"},
	} {
		pair := [2]*contender{program(2, 1, 1000), program(c.t1, c.m1, c.bytes)}
		if tasks := worse(pair); len(tasks) != c.slower {
			t.Errorf("%+v: %v are worse", c, tasks)
		}
		var out bytes.Buffer
		err := compareContenders(&console{out: &out}, pair)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), c.want)) {
			t.Errorf("%+v: %v, want %q; %s", c, err, c.want, out.String())
		}
	}
}

func TestGrowthsMakeTheSameDocumentAgain(t *testing.T) {
	for _, g := range growths {
		p, err := g.measure(1000)
		if err != nil {
			t.Errorf("%s: %v", g.name, err)
		}
		if p.SaveBytes == 0 || p.BuildMS <= 0 {
			t.Errorf("%s: %+v", g.name, p)
		}
	}
}

func TestGrowthAgainstNLogN(t *testing.T) {
	before := growthPoint{Size: 1000, BuildMS: 10, SaveMS: 0.1, SaveBytes: 100_000}
	linear := growthPoint{Size: 10_000, BuildMS: 100, SaveMS: 1, SaveBytes: 1_000_000}
	if w, _ := linear.against(&before); w >= 1 {
		t.Errorf("linear growth: %.2f, want below 1", w)
	}
	square := growthPoint{Size: 10_000, BuildMS: 1000, SaveMS: 1, SaveBytes: 1_000_000}
	if w, of := square.against(&before); w < 5 || of != "making" {
		t.Errorf("quadratic growth: %.2f %s, want 7.5 making", w, of)
	}
}
