package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/seed1312cc15/weft/internal/trace"
	"github.com/seed1312cc15/weft/runtime"
)

// firstFailures is how many failures conformance tells about.
const firstFailures = 10

var conformanceCommand = &command{
	name:  "conformance",
	args:  "FILE...",
	short: "run recorded histories of concurrent editing and check their results",
	long: `
conformance runs recorded histories, one trace a line (NDJSON, gzipped or not), and checks each as "weft replay" does:
the text, and four replicas that got the transactions in four ways. It prints how many passed and failed, and the lines
of the first failures. The exit code is 1 if one failed.`,
	setup: func(*flag.FlagSet) func(*console, []string) error { return conformance },
}

type failure struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Reason string `json:"reason"`
}

type verdict struct {
	Passed   int       `json:"passed"`
	Failed   int       `json:"failed"`
	Failures []failure `json:"failures,omitempty"` // the first
}

func conformance(c *console, paths []string) error {
	if len(paths) == 0 {
		return usage("which file?")
	}
	var v verdict
	var unread error
	for _, path := range paths {
		if unread = v.file(c, path); unread != nil {
			break
		}
	}
	c.progress.stop()
	if err := v.print(c); err != nil {
		return err
	}
	if unread != nil {
		return unread
	}
	if v.Failed > 0 {
		return exitError{exitFailed, ""}
	}
	return nil
}

// file runs the histories of one file. It returns an error if the file is not one of histories.
func (v *verdict) file(c *console, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := 0
	for t, err := range trace.Lines(f, trace.Limits{}) {
		if err != nil {
			return named(path, err)
		}
		lines++
		c.progress.set("%s: %d passed, %d failed", path, v.Passed, v.Failed)
		if err := history(t); err != nil {
			v.Failed++
			if len(v.Failures) < firstFailures {
				v.Failures = append(v.Failures, failure{path, lineOf(t), err.Error()})
			}
			continue
		}
		v.Passed++
	}
	if lines == 0 {
		return fmt.Errorf("%s: holds no history", path)
	}
	return nil
}

// lineOf reads the line from the name that trace.Lines gives.
func lineOf(t *trace.Trace) int {
	n := 0
	fmt.Sscanf(t.Name, "line %d", &n)
	return n
}

// history replays one history and checks it.
func history(t *trace.Trace) error {
	w := newWriters(newScript(t), true, runtime.Options{})
	if _, err := w.run(wallTime); err != nil {
		return err
	}
	_, err := verify(w)
	return err
}

func (v *verdict) print(c *console) error {
	if c.json {
		return writeJSON(c.out, v)
	}
	for _, f := range v.Failures {
		fmt.Fprintf(c.out, "%s:%d: %s\n", f.File, f.Line, f.Reason)
	}
	if more := v.Failed - len(v.Failures); more > 0 {
		fmt.Fprintf(c.out, "and %d more\n", more)
	}
	_, err := fmt.Fprintf(c.out, "%d passed, %d failed\n", v.Passed, v.Failed)
	return err
}
