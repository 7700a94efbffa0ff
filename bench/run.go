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
	everyTasks      = []string{"t2", "t2b", "t2h", "t4", "first", "delta-10", "delta-100", "delta-1000", "delta-10000", "delta-100000"}
	workloads       = []string{"B1.1", "B1.2", "B1.3", "B1.4", "B1.5", "B1.6", "B1.7", "B1.8", "B1.9", "B1.10", "B1.11",
		"B2.1", "B2.2", "B2.3", "B2.4", "B3.1", "B3.2", "B3.3", "B3.4", "M1", "M2", "M3"}
)

// slow is how much CPU time, in milliseconds, a process may report and be run again.
const slow = 3000

// session is one run under way.
type session struct {
	*options
	*record
	begin  time.Time
	done   map[key]int
	failed map[key]bool // or so long that once must do
	given  map[key]bool // prep: there are messages and a state
}

// run measures everything: first each task of each library once, then again as far as the time goes.
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
	r, err := openRecord(o)
	if err != nil {
		return err
	}
	defer r.f.Close()
	s := &session{options: o, record: r, begin: time.Now(), done: map[key]int{}, failed: map[key]bool{}, given: map[key]bool{}}
	for _, x := range r.rows {
		s.note(x)
	}
	for _, trace := range o.names {
		s.say("writing the messages of %s", trace)
		for _, p := range o.peers {
			if err := s.once(p, "prep", trace, 1); err != nil {
				return err
			}
		}
	}
	for i := range o.repeats {
		for _, trace := range append(o.names, "") {
			for _, task := range o.tasksOf(trace) {
				if i > 0 && time.Since(s.begin) > o.budget {
					continue
				}
				s.say("repeat %d of %d: %s %s", i+1, o.repeats, task, trace)
				for _, p := range o.peers {
					if err := s.once(p, task, trace, i+1); err != nil {
						return err
					}
				}
			}
		}
		if i == 0 {
			s.say("growth")
			if err := measureGrowth(o); err != nil {
				return err
			}
		}
	}
	s.say("done")
	return nil
}

func (s *session) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%6.0f s  %s\n", time.Since(s.begin).Seconds(), fmt.Sprintf(format, args...))
}

func (s *session) note(x row) {
	k := x.key()
	s.done[k]++
	if x.Skipped != "" || x.Figures["cpu_ms"] > slow {
		s.failed[k] = true
	}
	if x.Task == "prep" && x.Skipped == "" {
		s.given[k] = true
	}
}

// once measures the nth time, unless that was done or makes no sense.
func (s *session) once(p peer, task, trace string, n int) error {
	k := key{p.name, task, trace}
	needs := trace != "" && task != "prep" && !strings.HasPrefix(task, "t1")
	if s.done[k] >= n || s.failed[k] || needs && !s.given[key{p.name, "prep", trace}] || (task == "t1h" || task == "t2h") && p.name != "weft" {
		return nil
	}
	line := s.measure(p, task, trace)
	var x row
	if err := json.Unmarshal(line, &x); err != nil {
		return err
	}
	s.note(x)
	return s.add(line)
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

// measure runs one process and returns its line; one that failed says why.
func (o *options) measure(p peer, task, trace string) []byte {
	limit := o.timeout
	if task == "prep" {
		limit *= 3
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*limit)
	defer cancel()
	argv := append([]string{"-c", fmt.Sprintf(`ulimit -t %d; exec "$@"`, int(limit.Seconds())), "sh"}, p.command(o, task, trace)...)
	cmd := exec.CommandContext(ctx, "sh", argv...)
	cmd.Env = append(os.Environ(), "TRACES="+o.traces, "WORK="+o.work)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	failed := cmd.Run()
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
		panic(err) // what was decoded can be encoded
	}
	return line
}

func lastLine(b []byte) []byte {
	b = bytes.TrimSpace(b)
	return b[bytes.LastIndexByte(b, '\n')+1:]
}

func tail(b []byte, n int) []byte { return b[max(0, len(b)-n):] }
