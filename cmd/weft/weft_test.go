package main_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/seed1312cc15/weft/internal/trace"
)

var (
	update = flag.Bool("update", false, "write testdata/*.golden anew")
	binary string // the program under test
)

// TestMain builds the program once.
func TestMain(m *testing.M) {
	flag.Parse()
	dir, err := os.MkdirTemp("", "weft")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "weft.exe")
	if out, err := exec.Command("go", "build", "-trimpath", "-o", binary, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the program: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// box is an empty directory to run the program in.
type box struct {
	*testing.T
	dir string
}

func newBox(t *testing.T) *box { return &box{t, t.TempDir()} }

func (b *box) path(name string) string { return filepath.Join(b.dir, name) }

func (b *box) write(name string, data []byte) {
	b.Helper()
	if err := os.WriteFile(b.path(name), data, 0o644); err != nil {
		b.Fatal(err)
	}
}

func (b *box) read(name string) []byte {
	b.Helper()
	data, err := os.ReadFile(b.path(name))
	if err != nil {
		b.Fatal(err)
	}
	return data
}

// trace writes a trace as JSON.
func (b *box) trace(name string, t *trace.Trace) {
	b.Helper()
	var buf bytes.Buffer
	if err := t.Write(&buf); err != nil {
		b.Fatal(err)
	}
	b.write(name, buf.Bytes())
}

// run runs the program and returns what it wrote; the exit code must be the one wanted.
func (b *box) run(code int, args ...string) (stdout, stderr string) {
	b.Helper()
	cmd := exec.Command(binary, args...)
	cmd.Dir = b.dir
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		b.Fatal(err)
	}
	if got := cmd.ProcessState.ExitCode(); got != code {
		b.Fatalf("weft %s: exit code %d, want %d\n%s%s", clip(args), got, code, out.Bytes(), errs.Bytes())
	}
	if bytes.Contains(errs.Bytes(), []byte("goroutine ")) {
		b.Fatalf("weft %s panicked:\n%s", clip(args), errs.Bytes())
	}
	return out.String(), errs.String()
}

func clip(args []string) string {
	s := strings.Join(args, " ")
	return s[:min(len(s), 200)]
}

func (b *box) contains(text string, parts ...string) {
	b.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			b.Errorf("%q is missing in:\n%s", p, text[:min(len(text), 2000)])
		}
	}
}

// What changes with the machine or with the format is not compared.
var varying = []struct {
	re *regexp.Regexp
	to string
}{
	{regexp.MustCompile(`[0-9a-f]{64}`), "<digest>"},
	{regexp.MustCompile(`digest [0-9a-f]{8}\b`), "digest <8>"},
	{regexp.MustCompile(` +\d+ bytes`), " <n> bytes"},
	{regexp.MustCompile(`(?m)^(bytes|canonical) +[\d,]+`), "$1 <n>"},
	{regexp.MustCompile(`(?m)(text|map) +[\d,]+$`), "$1 <n>"},
}

// golden compares with testdata/name.golden; go test -update writes it anew.
func (b *box) golden(name, got string) {
	b.Helper()
	for _, v := range varying {
		got = v.re.ReplaceAllString(got, v.to)
	}
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			b.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	if got != strings.ReplaceAll(string(want), "\r\n", "\n") {
		b.Errorf("differs from %s (go test -update writes it anew):\n%s", path, got)
	}
}

// Two agents: 0 writes "hello", 1 appends " world" knowing it, 0 meanwhile puts "oh, " in front.
func greeting() *trace.Trace {
	return &trace.Trace{Concurrent: true, Agents: 2, End: "oh, hello world", Txns: []trace.Txn{
		{Agent: 0, Patches: []trace.Patch{{Inserted: "hello"}}},
		{Agent: 1, Parents: []int{0}, Patches: []trace.Patch{{Pos: 5, Inserted: " world"}}},
		{Agent: 0, Parents: []int{0}, Patches: []trace.Patch{{Inserted: "oh, "}}},
	}}
}

// typed is a sequential trace that writes the text in one transaction.
func typed(text string) *trace.Trace {
	return &trace.Trace{Agents: 1, End: text, Txns: []trace.Txn{{Patches: []trace.Patch{{Inserted: text}}}}}
}

func TestHelp(t *testing.T) {
	b := newBox(t)
	out, _ := b.run(0, "help")
	names := []string{"replay", "conformance", "inspect", "export", "merge", "diff", "demo", "version"}
	b.contains(out, names...)
	for _, name := range names {
		long, _ := b.run(0, "help", name)
		b.contains(long, "usage: weft "+name, "-json")
		same, _ := b.run(0, name, "-h")
		if same != long {
			t.Errorf("weft %s -h differs from weft help %s", name, name)
		}
	}
}

func TestVersion(t *testing.T) {
	b := newBox(t)
	out, _ := b.run(0, "version")
	b.contains(out, "weft ", ", go", ", format 1\n")
	for _, flag := range []string{"--version", "-version"} {
		if same, _ := b.run(0, flag); same != out {
			t.Errorf("%s: %s", flag, same)
		}
	}
	out, _ = b.run(0, "version", "--json")
	b.contains(out, `"format":1`, `"go":"go`)
	b.run(2, "version", "x")
}

// What takes longer than a second says so, also where stderr is no terminal.
func TestProgress(t *testing.T) {
	_, errs := newBox(t).run(0, "simulate", "-for", "1500ms", "-jobs", "1", "-steps", "10", "-clients", "2", "-servers", "1")
	if !regexp.MustCompile(`(?m)^1 s  [0-9]+ seeds$`).MatchString(errs) || strings.Contains(errs, "\r") {
		t.Errorf("%q", errs)
	}
}

func TestUsageErrors(t *testing.T) {
	b := newBox(t)
	b.trace("t.json", typed("x"))
	for _, c := range []struct{ args, want string }{
		{"", "usage: weft COMMAND"},
		{"frobnicate", "unknown command"},
		{"help frobnicate", "unknown command"},
		{"replay", "which trace?"},
		{"replay -nonsense t.json", "not defined: -nonsense"},
		{"replay -runs 0 t.json", "-runs must be at least 1"},
		{"replay -runs x t.json", "invalid value"},
		{"replay -o s t.json t.json", "-o and -m take one trace"},
		{"conformance", "which file?"},
		{"inspect", "one file"},
		{"inspect a b", "one file"},
		{"export", "one file"},
		{"merge a", "-o OUT is missing"},
		{"merge -o x", "which files?"},
		{"merge -z 9 -o x a", "-z takes 0 to 4"},
		{"diff a", "two files"},
	} {
		out, err := b.run(2, strings.Fields(c.args)...)
		b.contains(err, c.want)
		if out != "" {
			t.Errorf("weft %s wrote to stdout: %s", c.args, out)
		}
	}
}

func TestFlagsMayFollowArguments(t *testing.T) {
	b := newBox(t)
	b.trace("t.json", typed("x"))
	out, _ := b.run(0, "replay", "t.json", "--json", "-runs=2")
	b.contains(out, `"ok":true`)
	b.trace("-t.json", typed("x"))
	b.run(0, "replay", "--json", "--", "-t.json")
}

type replayed struct {
	Trace        string
	OK           bool
	Edits        int
	Transactions int
	Messages     int
	MessageBytes int `json:"message_bytes"`
	SaveBytes    int `json:"save_bytes"`
	LiveBytes    int `json:"live_bytes"`
	Error        string
}

func (b *box) replayed(out string) []replayed {
	b.Helper()
	var all []replayed
	for line := range strings.Lines(out) {
		var r replayed
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			b.Fatalf("%v in %s", err, line)
		}
		var fields map[string]any
		json.Unmarshal([]byte(line), &fields)
		for _, f := range []string{"trace", "edits", "transactions", "ok", "local_ms", "remote_ms", "save_ms", "load_ms", "messages",
			"message_bytes", "save_bytes", "live_bytes"} {
			if _, ok := fields[f]; !ok {
				b.Errorf("no field %s in %s", f, line)
			}
		}
		all = append(all, r)
	}
	return all
}

func TestReplay(t *testing.T) {
	b := newBox(t)
	b.trace("typing.json", trace.Generate(1, 3000))
	b.trace("greeting.json", greeting())
	withStart := typed("abXc")
	withStart.Start, withStart.Txns[0].Patches[0] = "abc", trace.Patch{Pos: 2, Inserted: "X"}
	b.trace("start.json", withStart)
	b.trace("nothing.json", &trace.Trace{Agents: 1})
	b.trace("idle.json", &trace.Trace{Concurrent: true, Agents: 3, Txns: []trace.Txn{{Agent: 2}, {Agent: 0, Parents: []int{0}}}})
	out, _ := b.run(0, "replay", "--json", "typing.json", "greeting.json", "start.json", "nothing.json", "idle.json")
	rs := b.replayed(out)
	if len(rs) != 5 {
		t.Fatalf("%d results, want 5:\n%s", len(rs), out)
	}
	if r := rs[0]; !r.OK || r.Edits != 3000 || r.Transactions != 3000 || r.Messages != 3000 || r.MessageBytes < 3000*20 || r.SaveBytes < 1000 || r.LiveBytes <= 0 {
		t.Errorf("typing: %+v", r)
	}
	for i, messages := range []int{3000, 3, 2, 0, 0} {
		if !rs[i].OK || rs[i].Messages != messages {
			t.Errorf("%s: %+v, want %d messages", rs[i].Trace, rs[i], messages)
		}
	}
	out, _ = b.run(0, "replay", "typing.json", "greeting.json")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != 3 || !strings.HasPrefix(lines[0], "trace ") || !strings.HasPrefix(lines[1], "typing ") || len(lines[0]) != len(lines[1]) {
		t.Errorf("no aligned table:\n%s", out)
	}
}

func TestReplayTellsWhatDiffers(t *testing.T) {
	b := newBox(t)
	wrong := greeting()
	wrong.End = "hello world, oh"
	b.trace("wrong.json", wrong)
	b.trace("right.json", greeting())
	out, err := b.run(1, "replay", "right.json", "wrong.json")
	b.contains(out, "FAILED", " ok ")
	b.contains(err, "wrong: the text differs from endContent at code point 0", "1 of 2 traces failed")
	out, _ = b.run(1, "replay", "--json", "wrong.json")
	if r := b.replayed(out)[0]; r.OK || r.Error == "" {
		t.Errorf("%+v", r)
	}
	outside := greeting()
	outside.Txns[2].Patches[0].Pos = 99
	b.trace("outside.json", outside)
	_, err = b.run(1, "replay", "outside.json")
	b.contains(err, "transaction 2", "index 99 is outside of")
}

func TestReplayRefusesBadFiles(t *testing.T) {
	b := newBox(t)
	b.write("empty", nil)
	b.write("text", []byte("hello"))
	b.write("cut.gz", []byte{0x1f, 0x8b, 8, 0})
	b.trace("good.json", typed("x"))
	for _, c := range []struct{ name, want string }{
		{"empty", "empty: trace: corrupt"}, {"text", "text: trace: corrupt"}, {"cut.gz", "cut.gz: trace: corrupt"},
		{"missing", "missing: no such file"}, {".", "directory"},
	} {
		out, err := b.run(1, "replay", "good.json", c.name)
		b.contains(err, c.want)
		b.contains(out, "good ")
	}
	_, err := b.run(1, "replay", strings.Repeat("n", 10_000))
	b.contains(err, "name too long")
}

func TestReplayWritesStateAndMessages(t *testing.T) {
	b := newBox(t)
	b.trace("greeting.json", greeting())
	b.run(0, "replay", "-o", "state", "-m", "messages", "greeting.json")
	for _, name := range []string{"state", "messages"} {
		out, _ := b.run(0, "export", "--json", name)
		if out != `{"text":"oh, hello world"}`+"\n" {
			t.Errorf("%s exports %s", name, out)
		}
	}
	out, _ := b.run(0, "inspect", "state")
	b.golden("inspect-state", out)
	out, _ = b.run(0, "inspect", "messages")
	b.golden("inspect-bundle", out)
	out, _ = b.run(0, "diff", "state", "messages")
	if out != "" {
		t.Errorf("diff says %s", out)
	}
	_, err := b.run(1, "replay", "-o", filepath.Join("no", "such", "dir"), "greeting.json")
	b.contains(err, "no such file")
}

func TestConformance(t *testing.T) {
	b := newBox(t)
	var good, mixed bytes.Buffer
	for i := range 13 {
		greeting().Write(&good)
		tr := greeting()
		if i != 4 {
			tr.End = "x"
		}
		tr.Write(&mixed)
	}
	b.write("good.ndjson", good.Bytes())
	b.write("mixed.ndjson", mixed.Bytes())
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	z.Write(good.Bytes())
	z.Close()
	b.write("good.ndjson.gz", zipped.Bytes())

	if out, _ := b.run(0, "conformance", "good.ndjson", "good.ndjson.gz"); out != "26 passed, 0 failed\n" {
		t.Error(out)
	}
	out, _ := b.run(1, "conformance", "mixed.ndjson")
	b.contains(out, "mixed.ndjson:1: the text differs", "mixed.ndjson:11:", "and 2 more", "1 passed, 12 failed\n")
	if strings.Contains(out, "mixed.ndjson:5:") || strings.Contains(out, "mixed.ndjson:12:") {
		t.Error(out)
	}
	out, _ = b.run(1, "conformance", "--json", "mixed.ndjson")
	var v struct {
		Passed, Failed int
		Failures       []struct{ Line int }
	}
	if err := json.Unmarshal([]byte(out), &v); err != nil || v.Passed != 1 || v.Failed != 12 || len(v.Failures) != 10 || v.Failures[4].Line != 6 {
		t.Errorf("%v: %s", err, out)
	}

	b.write("empty", nil)
	_, err := b.run(1, "conformance", "empty")
	b.contains(err, "holds no history")
	b.write("bad.ndjson", append(good.Bytes(), "{nonsense\n"...))
	out, err = b.run(1, "conformance", "bad.ndjson")
	b.contains(out, "13 passed, 0 failed")
	b.contains(err, "bad.ndjson: trace: corrupt: line 14")
}
