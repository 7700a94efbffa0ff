package trace_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/seed1312cc15/weft/internal/trace"
)

const (
	sequential = `{"startContent":"ab","endContent":"xb🚀","txns":[{"time":"2021-04-19","patches":[[0,1,"x"],[2,0,"\ud83d\uDE80"]]}]}`
	concurrent = ` {"txns":[{"parents":[],"agent":1,"patches":[[0,0,"a"]]},{"parents":[],"agent":0,"patches":[[0,0,"b\n"]]},
		{"parents":[1,0],"agent":1,"numChildren":0,"patches":[]}],"numAgents":2,"x":{"y":[-1.5e+3,null,true,"\"\\\/\b"]},
		"endContent":"b\na","kind":"concurrent"}` + "\n"
)

func zip(t testing.TB, data string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(data)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestRead(t *testing.T) {
	want := map[string]*trace.Trace{
		sequential: {Agents: 1, Start: "ab", End: "xb🚀", Txns: []trace.Txn{
			{Patches: []trace.Patch{{Pos: 0, Deleted: 1, Inserted: "x"}, {Pos: 2, Inserted: "🚀"}}}}},
		concurrent: {Concurrent: true, Agents: 2, End: "b\na", Txns: []trace.Txn{
			{Agent: 1, Patches: []trace.Patch{{Inserted: "a"}}},
			{Agent: 0, Patches: []trace.Patch{{Inserted: "b\n"}}},
			{Agent: 1, Parents: []int{1, 0}},
		}},
	}
	for text, want := range want {
		for _, data := range [][]byte{[]byte(text), zip(t, text)} {
			got, err := trace.Read(iotest.OneByteReader(bytes.NewReader(data)), trace.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		}
	}
	got, err := trace.Read(strings.NewReader(sequential), trace.Limits{})
	if err != nil || got.Edits() != 2 {
		t.Errorf("Edits = %d, %v, want 2", got.Edits(), err)
	}
}

func TestReadErrors(t *testing.T) {
	seq := func(patches string) string {
		return `{"endContent":"","txns":[{"patches":[]},{"patches":[` + patches + `]}]}`
	}
	con := func(txns string) string {
		return `{"kind":"concurrent","numAgents":2,"endContent":"","txns":[` + txns + `]}`
	}
	const root = `{"parents":[],"agent":0,"patches":[]},`
	tests := []struct {
		name, input string
		txn, patch  int
		field, says string
	}{
		{"empty", "", -1, -1, "", "want '{'"},
		{"cut short", sequential[:60], 0, -1, "txns", "string without an end"},
		{"two traces", sequential + sequential, -1, -1, "", "more after the trace"},
		{"no end", `{"txns":[]}`, -1, -1, "endContent", "missing"},
		{"no txns", `{"endContent":""}`, -1, -1, "txns", "missing"},
		{"no patches", `{"endContent":"","txns":[{}]}`, 0, -1, "patches", "missing"},
		{"key twice", `{"endContent":"","endContent":"","txns":[]}`, -1, -1, "endContent", "given twice"},
		{"unknown kind", `{"kind":"tree","endContent":"","txns":[]}`, -1, -1, "kind", "neither"},
		{"agents of one", `{"numAgents":1,"endContent":"","txns":[]}`, -1, -1, "", "numAgents in a sequential"},
		{"graph of one", `{"endContent":"","txns":[{"agent":0,"patches":[]}]}`, 0, -1, "", "in a sequential"},
		{"trailing comma", `{"endContent":"","txns":[],}`, -1, -1, "", `want '"'`},
		{"deep", `{"x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`, -1, -1, "", "too deeply"},
		{"bad number", `{"x":01}`, -1, -1, "", "want ','"},
		{"bad literal", `{"x":nil}`, -1, -1, "", "want a value"},
		{"negative", seq(`[-1,0,""]`), 1, 0, "patches", "not negative"},
		{"fraction", seq(`[0.5,0,""]`), 1, 0, "patches", "whole number"},
		{"large", seq(`[2147483648,0,""]`), 1, 0, "patches", "too large"},
		{"leading zero", seq(`[00,0,""]`), 1, 0, "patches", "leading zero"},
		{"short patch", seq(`[0,0]`), 1, 0, "patches", "want ','"},
		{"long patch", seq(`[0,0,"",1]`), 1, 0, "patches", "want ']'"},
		{"invalid UTF-8", seq("[0,0,\"\xff\"]"), 1, 0, "patches", "invalid UTF-8"},
		{"surrogate in UTF-8", seq("[0,0,\"\xed\xa0\x80\"]"), 1, 0, "patches", "invalid UTF-8"},
		{"lone high", seq(`[0,0,"\ud800x"]`), 1, 0, "patches", "lone surrogate"},
		{"lone low", seq(`[0,0,"\udc00"]`), 1, 0, "patches", "lone surrogate"},
		{"high twice", seq(`[0,0,"\ud800\ud800"]`), 1, 0, "patches", "lone surrogate"},
		{"bad escape", seq(`[0,0,"\x"]`), 1, 0, "patches", "unknown escape"},
		{"bad hex", seq(`[0,0,"\u00g0"]`), 1, 0, "patches", "hexadecimal"},
		{"control", seq("[0,0,\"\n\"]"), 1, 0, "patches", "control"},
		{"past the end", seq(`[0,1,""]`), 1, 0, "patches", "beyond the length 0"},
		{"wrong end", `{"endContent":"a","txns":[]}`, -1, -1, "endContent", "1 code points"},
		{"no agents", `{"kind":"concurrent","endContent":"","txns":[]}`, -1, -1, "numAgents", "missing"},
		{"no parents", con(`{"agent":0,"patches":[]}`), 0, -1, "", "needs parents"},
		{"own parent", con(`{"parents":[0],"agent":0,"patches":[]}`), 0, -1, "parents", "does not come before"},
		{"parent twice", con(root + `{"parents":[0,0],"agent":0,"patches":[]}`), 1, -1, "parents", "named twice"},
		{"agent range", con(`{"parents":[],"agent":2,"patches":[]}`), 0, -1, "agent", "not below 2"},
		{"no chain", con(root + `{"parents":[],"agent":0,"patches":[]}`), 1, -1, "parents", "without its own"},
		{"bad gzip", "\x1f\x8b\x00", -1, -1, "", ""},
		{"cut gzip", string(zip(t, sequential)[:30]), -1, -1, "", "unexpected EOF"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := trace.Read(strings.NewReader(test.input), trace.Limits{})
			var e *trace.Error
			if !errors.As(err, &e) || !errors.Is(err, trace.ErrCorrupt) {
				t.Fatalf("got %v, want an *Error of ErrCorrupt", err)
			}
			if e.Txn != test.txn || e.Patch != test.patch || e.Field != test.field || !strings.Contains(e.Detail, test.says) {
				t.Errorf("got %+v (%v)", e, e)
			}
		})
	}
}

func TestReadLimits(t *testing.T) {
	bomb := zip(t, strings.Repeat(" ", 1<<24)+sequential)
	_, err := trace.Read(bytes.NewReader(bomb), trace.Limits{Bytes: 1 << 20})
	if !errors.Is(err, trace.ErrLimit) {
		t.Errorf("bomb: %v, want ErrLimit", err)
	}
	for extra, want := range []error{trace.ErrLimit, nil} {
		size := int64(len(sequential) - 1 + extra)
		if _, err := trace.Read(strings.NewReader(sequential), trace.Limits{Bytes: size}); !errors.Is(err, want) {
			t.Errorf("%d bytes of %d: %v, want %v", size, len(sequential), err, want)
		}
	}
	for extra, want := range []error{trace.ErrLimit, nil} {
		limits := trace.Limits{Work: int64(9 + extra)} // 2 writers x (3 transactions + 2 parents)
		if _, err := trace.Read(strings.NewReader(concurrent), limits); !errors.Is(err, want) {
			t.Errorf("work %d: %v, want %v", limits.Work, err, want)
		}
	}
}

// TestReadDamage: a trace that is cut short anywhere, or has a bit flipped, is refused with its place, or is another sound one.
func TestReadDamage(t *testing.T) {
	for _, text := range []string{strings.TrimSpace(sequential), strings.TrimSpace(concurrent)} {
		for _, whole := range [][]byte{[]byte(text), zip(t, text)} {
			read := func(data []byte) error {
				got, err := trace.Read(bytes.NewReader(data), trace.Limits{Bytes: 1 << 16})
				var e *trace.Error
				if err != nil && (got != nil || !errors.As(err, &e) || !errors.Is(err, trace.ErrCorrupt) && !errors.Is(err, trace.ErrLimit)) {
					t.Errorf("%q: %v", data, err)
				} else if err == nil && got.Validate() != nil {
					t.Errorf("%q: read, and not sound", data)
				}
				return err
			}
			for n := range whole {
				if read(whole[:n]) == nil {
					t.Errorf("the first %d bytes of %q are a trace", n, whole)
				}
				for bit := range 8 {
					bad := bytes.Clone(whole)
					bad[n] ^= 1 << bit
					_ = read(bad)
				}
			}
		}
	}
}

// TestReadAllocatesLittle: what a trace says of itself is not believed before it is there.
func TestReadAllocatesLittle(t *testing.T) {
	for name, text := range map[string]string{
		"agents":  `{"kind":"concurrent","numAgents":2147483647,"endContent":"","txns":[]}`,
		"parents": `{"kind":"concurrent","numAgents":2147483647,"endContent":"","txns":[{"parents":[2147483646],"agent":2147483646,"patches":[]}]}`,
		"deletes": `{"endContent":"","txns":[{"patches":[[0,2147483647,""]]}]}`,
		"nested":  strings.Repeat("[", 1<<16),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := trace.Read(strings.NewReader(text), trace.Limits{})
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 64*uint64(len(text))+128<<10 {
			t.Errorf("%s: %d bytes allocated for %d, %v", name, n, len(text), err)
		}
	}
}

func TestReadPassesOnReaderErrors(t *testing.T) {
	broken := errors.New("disk on fire")
	if _, err := trace.Read(iotest.ErrReader(broken), trace.Limits{}); !errors.Is(err, broken) || errors.Is(err, trace.ErrCorrupt) {
		t.Errorf("got %v", err)
	}
}

func TestLines(t *testing.T) {
	one := strings.ReplaceAll(concurrent, "\n", "")
	input := sequential + "\n\n" + one + "\n" + `{"endContent":"","txns":[{"patches":3}]}` + "\n" + one
	var names []string
	var last error
	for tr, err := range trace.Lines(bytes.NewReader(zip(t, input)), trace.Limits{}) {
		if last = err; err == nil {
			names = append(names, tr.Name)
		}
	}
	if want := []string{"line 1", "line 3"}; !reflect.DeepEqual(names, want) {
		t.Errorf("names %q, want %q", names, want)
	}
	var e *trace.Error
	if !errors.As(last, &e) || e.Line != 4 || e.Txn != 0 || e.Field != "patches" {
		t.Errorf("last error %v", last)
	}
	for _, err := range trace.Lines(strings.NewReader(input), trace.Limits{Bytes: 200}) {
		last = err
	}
	if !errors.Is(last, trace.ErrLimit) {
		t.Errorf("200 bytes: %v, want ErrLimit", last)
	}
	for range trace.Lines(strings.NewReader(input), trace.Limits{}) {
		break // must not yield again
	}
}

func TestWriteReadsBack(t *testing.T) {
	for _, text := range []string{sequential, concurrent, `{"kind":"concurrent","numAgents":0,"endContent":"","txns":[]}`} {
		want, err := trace.Read(strings.NewReader(text), trace.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		checkRoundTrip(t, want)
	}
}

func checkRoundTrip(t *testing.T, want *trace.Trace) {
	t.Helper()
	var b bytes.Buffer
	if err := want.Write(&b); err != nil {
		t.Fatal(err)
	}
	got, err := trace.Read(&b, trace.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	got.Name = want.Name
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// shared returns the path of a file of the shared data beside the repository, and skips the test where there is none.
func shared(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join("..", "..", "..", "shared", filepath.FromSlash(name))
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("in CI the shared data must be there: %v", err)
		}
		t.Skipf("no shared data beside the repository: %v", err)
	}
	return path
}

func TestRealTraces(t *testing.T) {
	tests := []struct {
		name         string
		txns, agents int
	}{
		{"automerge-paper", 259778, 1},
		{"sveltecomponent", 18335, 1},
		{"friendsforever", 26078, 2},
		{"git-makefile", 1612, 646},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			tr, err := trace.ReadFile(shared(t, "traces/"+test.name+".json.gz"))
			if err != nil {
				t.Fatal(err)
			}
			if tr.Name != test.name || len(tr.Txns) != test.txns || tr.Agents != test.agents || tr.Concurrent != (test.agents > 1) {
				t.Errorf("%s: %d txns, %d agents", tr.Name, len(tr.Txns), tr.Agents)
			}
			if !tr.Concurrent && replay(tr) != tr.End {
				t.Error("End differs from the replayed text")
			}
			delivered := 0
			for _, missing := range tr.Deliveries() {
				delivered += len(missing)
			}
			t.Logf("%d edits, %d deliveries", tr.Edits(), delivered)
		})
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(sequential))
	f.Add([]byte(concurrent))
	f.Add(zip(f, sequential))
	f.Add(zip(f, concurrent)[:40])
	f.Add([]byte(`{"kind":"concurrent","numAgents":1,"endContent":"","txns":[{"parents":[],"agent":0,"patches":[]},{"parents":[],"agent":0,"patches":[]}]}`))
	f.Add([]byte(`{"startContent":"\ud83d","endContent":"\u00e9","txns":[{"patches":[[1,2,"\n"]]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := trace.Read(bytes.NewReader(data), trace.Limits{Bytes: 1 << 20, Work: 1 << 20})
		if err != nil {
			var e *trace.Error
			if !errors.As(err, &e) {
				t.Fatalf("%v is not an *Error", err)
			}
			return
		}
		if err := got.Validate(); err != nil {
			t.Fatal(err)
		}
		checkRoundTrip(t, got)
		for i, missing := range got.Deliveries() {
			if len(missing) > i {
				t.Fatalf("transaction %d needs %d", i, len(missing))
			}
		}
		checkAgainstStandardLibrary(t, data, got)
	})
}

// checkAgainstStandardLibrary decodes with encoding/json what Read accepted.
func checkAgainstStandardLibrary(t *testing.T, data []byte, got *trace.Trace) {
	if bytes.HasPrefix(data, []byte{0x1f, 0x8b}) {
		return
	}
	if !json.Valid(data) {
		t.Fatalf("accepted invalid JSON: %q", data)
	}
	var fields map[string]json.RawMessage // unlike a struct, exact about the case of keys
	if err := json.Unmarshal(data, &fields); err != nil {
		t.Fatal(err)
	}
	var end string
	if err := json.Unmarshal(fields["endContent"], &end); err != nil || end != got.End {
		t.Fatalf("end %q, want %q (%v)", got.End, end, err)
	}
	var txns []map[string]json.RawMessage
	if err := json.Unmarshal(fields["txns"], &txns); err != nil || len(txns) != len(got.Txns) {
		t.Fatalf("%d transactions, want %d (%v)", len(got.Txns), len(txns), err)
	}
	for i, txn := range txns {
		var patches [][3]any
		if err := json.Unmarshal(txn["patches"], &patches); err != nil {
			t.Fatal(err)
		}
		for j, p := range got.Txns[i].Patches {
			if want := [3]any{float64(p.Pos), float64(p.Deleted), p.Inserted}; patches[j] != want {
				t.Fatalf("transaction %d patch %d: %v, want %v", i, j, p, patches[j])
			}
		}
	}
}
