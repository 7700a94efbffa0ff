package main

import (
	"flag"
	"fmt"
	"time"

	"github.com/seed1312cc15/weft/internal/trace"
	"github.com/seed1312cc15/weft/runtime"
)

var replayCommand = &command{
	name:  "replay",
	args:  "TRACE...",
	short: "replay editing traces, check the result in four ways, and measure",
	long: `
replay runs recorded editing traces (the sequential and the concurrent JSON form of the public dataset
josephg/editing-traces, gzipped or not) through the library: one transaction for each of the trace, one replica for each
agent, which receives exactly the messages of its transaction's ancestors.

ok says that the text is the trace's endContent, and that the writer, a replica fed every message one by one, one fed
them shuffled, and one that loaded the saved state have equal canonical bytes. The exit code is 1 if anything differs.

  local_ms       writing all transactions, the message of each emitted
  remote_ms      a second replica receiving all messages, one by one
  save_ms        the first Save after the last edit
  load_ms        Load into a new replica, and reading its text
  messages       messages, one for each transaction that changed something
  message_bytes  their bytes in all
  save_bytes     bytes of the saved state, not compressed
  live_bytes     growth of the heap by one replica, after garbage collection, without history

With -runs N the times are medians. What checks is not part of what is timed.`,
	setup: func(fs *flag.FlagSet) func(*console, []string) error {
		var o replayOptions
		fs.StringVar(&o.state, "o", "", "write the saved state to `FILE` (one trace only)")
		fs.StringVar(&o.messages, "m", "", "write all messages as one bundle to `FILE` (one trace only)")
		fs.IntVar(&o.runs, "runs", 1, "measure `N` times and give the medians")
		fs.BoolVar(&o.cpu, "cpu", false, "measure CPU time of the whole process instead of real time (not on Windows)")
		return func(c *console, args []string) error { return replay(c, o, args) }
	},
}

type replayOptions struct {
	state, messages string
	runs            int
	cpu             bool
}

func (o *replayOptions) stopwatch() stopwatch {
	if o.cpu {
		return cpuTime
	}
	return wallTime
}

// result is what replay prints for one trace.
type result struct {
	Trace        string  `json:"trace"`
	Edits        int     `json:"edits"`
	Transactions int     `json:"transactions"`
	OK           bool    `json:"ok"`
	LocalMS      float64 `json:"local_ms"`
	RemoteMS     float64 `json:"remote_ms"`
	SaveMS       float64 `json:"save_ms"`
	LoadMS       float64 `json:"load_ms"`
	Messages     int     `json:"messages"`
	MessageBytes int     `json:"message_bytes"`
	SaveBytes    int     `json:"save_bytes"`
	LiveBytes    int64   `json:"live_bytes"`
	Error        string  `json:"error,omitempty"`
}

func replay(c *console, o replayOptions, paths []string) error {
	switch {
	case len(paths) == 0:
		return usage("which trace?")
	case len(paths) > 1 && (o.state != "" || o.messages != ""):
		return usage("-o and -m take one trace, these are %d", len(paths))
	case o.runs < 1:
		return usage("-runs must be at least 1")
	case o.cpu && !hasCPUTime:
		return usage("-cpu: this system does not tell the CPU time")
	}
	var results []result
	var unread error
	failed := 0
	for _, path := range paths {
		c.progress.set("reading %s", path)
		t, err := trace.ReadFile(path)
		if err != nil {
			unread = err // what was replayed so far is still told
			break
		}
		r := replayOne(c, o, t)
		if !r.OK {
			failed++
		}
		results = append(results, r)
	}
	c.progress.stop()
	if len(results) > 0 {
		if err := printResults(c, results); err != nil {
			return err
		}
	}
	if unread != nil {
		return unread
	}
	if failed > 0 {
		return exitError{exitFailed, fmt.Sprintf("%d of %s failed", failed, plural(len(results), "trace"))}
	}
	return nil
}

// replayOne replays a trace, which it consumes.
func replayOne(c *console, o replayOptions, t *trace.Trace) result {
	r := result{Trace: t.Name, Edits: t.Edits(), Transactions: len(t.Txns)}
	if err := r.fill(c, o, t); err != nil {
		r.Error = err.Error()
	}
	r.OK = r.Error == ""
	return r
}

func (r *result) fill(c *console, o replayOptions, t *trace.Trace) error {
	s := newScript(t)
	*t = trace.Trace{Name: t.Name} // let go of the rest: its size must not tell on what is measured
	var w *writers
	var local, remote, save, load []time.Duration
	for i := range o.runs {
		c.progress.set("%s: measuring, %d of %d", t.Name, i+1, o.runs)
		m, run, err := measure(s, o.stopwatch())
		if err != nil {
			return err
		}
		w = run
		local, remote = append(local, m.local), append(remote, m.remote)
		save, load = append(save, m.save), append(load, m.load)
	}
	r.LocalMS, r.RemoteMS = milliseconds(median(local)), milliseconds(median(remote))
	r.SaveMS, r.LoadMS = milliseconds(median(save)), milliseconds(median(load))
	messages := w.sent()
	r.Messages = len(messages)
	for _, m := range messages {
		r.MessageBytes += len(m)
	}
	var err error
	c.progress.set("%s: measuring memory", t.Name)
	if r.LiveBytes, err = liveBytes(s, messages); err != nil {
		return err
	}
	c.progress.set("%s: checking", t.Name)
	state, err := verify(w)
	if err != nil {
		return err
	}
	r.SaveBytes = len(state)
	return o.write(state, messages)
}

// write writes the files that were asked for.
func (o *replayOptions) write(state []byte, messages [][]byte) error {
	if o.state != "" {
		if err := writeFile(o.state, state); err != nil {
			return err
		}
	}
	if o.messages == "" {
		return nil
	}
	b, err := runtime.Bundle(messages)
	if err != nil {
		return err
	}
	return writeFile(o.messages, b)
}

func printResults(c *console, results []result) error {
	if c.json {
		for _, r := range results {
			if err := writeJSON(c.out, r); err != nil {
				return err
			}
		}
		return nil
	}
	t := newTable("trace", "edits", "transactions", "ok", "local_ms", "remote_ms", "save_ms", "load_ms", "messages",
		"message_bytes", "save_bytes", "live_bytes")
	for _, r := range results {
		ok := "ok"
		if !r.OK {
			ok = "FAILED"
		}
		ms := func(v float64) string { return fmt.Sprintf("%.2f", v) }
		t.row(clip(r.Trace, 40), count(r.Edits), count(r.Transactions), ok, ms(r.LocalMS), ms(r.RemoteMS), ms(r.SaveMS),
			ms(r.LoadMS), count(r.Messages), count(r.MessageBytes), count(r.SaveBytes), count(r.LiveBytes))
	}
	if err := t.write(c.out); err != nil {
		return err
	}
	for _, r := range results {
		if !r.OK {
			fmt.Fprintf(c.err, "%s: %s\n", r.Trace, r.Error)
		}
	}
	return nil
}
