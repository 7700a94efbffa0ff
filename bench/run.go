package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

var (
	sequentialTasks = []string{"t1", "t1n", "t1h", "t1b"}
	everyTasks      = []string{"t2", "t2b", "t4", "first", "delta-10", "delta-100", "delta-1000", "delta-10000", "delta-100000"}
	workloads       = []string{"B1.1", "B1.2", "B1.3", "B1.4", "B1.5", "B1.6", "B1.7", "B1.8", "B1.9", "B1.10", "B1.11",
		"B2.1", "B2.2", "B2.3", "B2.4", "B3.1", "B3.2", "B3.3", "B3.4", "M1", "M2", "M3"}
)

// row is what one process measured; see measurement in cmd/weft for the fields that are numbers.
type row struct {
	Peer, Task, Trace string
	Different         bool
	Skipped           string
	Load              string // the machine's load average then
	At                time.Time
	Figures           map[string]float64
}

func (r *row) UnmarshalJSON(b []byte) error {
	var all map[string]any
	if err := json.Unmarshal(b, &all); err != nil {
		return err
	}
	r.Figures = map[string]float64{}
	for k, v := range all {
		if x, ok := v.(float64); ok {
			r.Figures[k] = x
		}
	}
	text := func(k string) string { s, _ := all[k].(string); return s }
	r.Peer, r.Task, r.Trace, r.Skipped, r.Load = text("peer"), text("task"), text("trace"), text("skipped"), text("load")
	r.Different, _ = all["different"].(bool)
	r.At, _ = time.Parse(time.RFC3339, text("at"))
	return nil
}

// run measures everything and appends one line a process to results.jsonl, then what was measured on.
func run(o *options) error {
	if err := os.MkdirAll(o.work, 0o755); err != nil {
		return err
	}
	args := []string{"bench", "-workloads", o.work}
	for _, n := range o.names {
		args = append(args, filepath.Join(o.traces, n+".json.gz"))
	}
	if out, err := exec.Command(o.weft, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	mode := os.O_CREATE | os.O_WRONLY | os.O_TRUNC
	if o.more {
		mode = os.O_CREATE | os.O_WRONLY | os.O_APPEND
	}
	f, err := os.OpenFile(filepath.Join(o.work, "results.jsonl"), mode, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	given := map[string]bool{}  // peer, trace: there are messages and a state
	failed := map[string]bool{} // or so long that once must do
	once := func(p peer, task, trace string) error {
		key := p.name + " " + task + " " + trace
		if failed[key] {
			return nil
		}
		line, err := o.measure(p, task, trace)
		var r row
		if err != nil || json.Unmarshal(line, &r) == nil && r.Figures["cpu_ms"] > 4000 {
			failed[key] = true
		}
		_, err = f.Write(append(line, '\n'))
		return err
	}
	for _, trace := range o.names {
		for _, p := range o.peers {
			if line, err := o.measure(p, "prep", trace); err != nil {
				fmt.Fprintf(os.Stderr, "%s\n", line)
			} else {
				given[p.name+trace] = true
			}
		}
	}
	for i := range o.repeats {
		for _, trace := range append(o.names, "") {
			for _, task := range o.tasksOf(trace) {
				fmt.Fprintf(os.Stderr, "%s repeat %d of %d: %s %s\n", time.Now().Format("15:04:05"), i+1, o.repeats, task, trace)
				for _, p := range o.peers {
					made := trace == "" || given[p.name+trace] || strings.HasPrefix(task, "t1")
					if !made || task == "t1h" && p.name != "weft" {
						continue
					}
					if err := once(p, task, trace); err != nil {
						return err
					}
				}
			}
		}
	}
	if err := f.Close(); err != nil {
		return err
	}
	return measureGrowth(o)
}

func (o *options) tasksOf(trace string) (out []string) {
	all := workloads
	if trace != "" {
		all = everyTasks
		if !concurrent(o.traces, trace) {
			all = append(append([]string{}, sequentialTasks...), everyTasks...)
		}
	}
	for _, t := range all {
		group, _, _ := strings.Cut(t, ".")
		for _, want := range o.tasks {
			if want == t || want == group || strings.HasPrefix(t, want+"-") || want == "M" && t[0] == 'M' {
				out = append(out, t)
			}
		}
	}
	if len(o.tasks) == 0 {
		return all
	}
	return out
}

// concurrent tells whether a trace has several writers, which its first bytes say.
func concurrent(dir, trace string) bool {
	f, err := os.Open(filepath.Join(dir, trace+".json.gz"))
	if err != nil {
		return false
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return false
	}
	head := make([]byte, 400)
	n, _ := io.ReadFull(z, head)
	return bytes.Contains(head[:n], []byte(`"kind":"concurrent"`))
}

// measure runs one process. The line is never empty: one that failed says why.
func (o *options) measure(p peer, task, trace string) (line []byte, failed error) {
	limit := o.timeout
	if task == "prep" {
		limit *= 4
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*limit)
	defer cancel()
	argv := append([]string{"-c", fmt.Sprintf(`ulimit -t %d; exec "$@"`, int(limit.Seconds())), "sh"}, p.command(o, task, trace)...)
	cmd := exec.CommandContext(ctx, "sh", argv...)
	cmd.Env = append(os.Environ(), "TRACES="+o.traces, "WORK="+o.work)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	failed = cmd.Run()
	all := map[string]any{}
	if failed == nil && json.Unmarshal(lastLine(out.Bytes()), &all) != nil {
		failed = errors.New("no result")
	}
	if failed != nil {
		why := "fails"
		if ctx.Err() != nil || cmd.ProcessState != nil && cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime() >= limit-time.Second {
			why = fmt.Sprintf("over %v", limit)
		}
		all["skipped"] = why
		fmt.Fprintf(os.Stderr, "%s %s %s: %s: %v: %s\n", p.name, task, trace, why, failed, bytes.TrimSpace(tail(errs.Bytes(), 400)))
	}
	all["peer"], all["task"], all["trace"] = p.name, task, trace
	all["at"] = time.Now().UTC().Format(time.RFC3339)
	if b, err := os.ReadFile("/proc/loadavg"); err == nil {
		all["load"], _, _ = strings.Cut(string(b), " ")
	}
	line, err := json.Marshal(all)
	if err != nil {
		return []byte("{}"), err
	}
	return line, failed
}

func lastLine(b []byte) []byte {
	b = bytes.TrimSpace(b)
	return b[bytes.LastIndexByte(b, '\n')+1:]
}

func tail(b []byte, n int) []byte { return b[max(0, len(b)-n):] }
