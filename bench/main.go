// Command bench measures Weft and other CRDT libraries side by side: every task of every library in a process of its own,
// all in one run on one machine, one after the other, in turn. See README.md for the tasks and how to read the figures.
//
// peers.go says which libraries there are and how one is started; record.go is what a run writes down, run.go makes it;
// stats.go puts repeats together; report.go, goals.go and growth.go write the tables, plot.go and growthplot.go the drawings.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

func main() {
	o := options{}
	traces := flag.String("traces", "../../shared/traces", "`directory` of the recorded traces")
	names := flag.String("only", "automerge-paper,sveltecomponent,friendsforever,git-makefile", "`traces` to run")
	peers := flag.String("peers", "", "`libraries` to run beside weft; default: all that are installed")
	tasks := flag.String("tasks", "", "`tasks` to run; default: all")
	flag.StringVar(&o.weft, "weft", "../bin/weft", "the weft `program`")
	flag.StringVar(&o.work, "work", "work", "`directory` for messages, states and results")
	flag.IntVar(&o.repeats, "repeats", 3, "measure each up to `N` times")
	flag.DurationVar(&o.timeout, "timeout", 15*time.Second, "end a process after this much CPU `time`; three times as much to write a trace's messages")
	flag.DurationVar(&o.budget, "budget", 27*time.Minute, "begin no second or third measurement of anything after this `time`")
	flag.BoolVar(&o.resume, "resume", false, "go on with the run that was interrupted")
	report := flag.String("report", "", "only write the tables to `FILE`, and the drawings beside it, from what was measured before")
	flag.Parse()
	if err := start(&o, *traces, *names, *peers, *tasks, *report); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options say what is run.
type options struct {
	weft, work, traces string
	names, tasks       []string
	peers              []peer
	repeats            int
	timeout, budget    time.Duration
	resume             bool
}

func start(o *options, traces, names, peers, tasks, report string) (err error) {
	for _, p := range []*string{&o.weft, &o.work, &traces} {
		if *p, err = filepath.Abs(*p); err != nil {
			return err
		}
	}
	o.traces, o.names = traces, fields(names)
	if report != "" {
		return writeReport(o, report)
	}
	o.tasks = fields(tasks)
	if o.peers, err = choose(o, fields(peers)); err != nil {
		return err
	}
	return run(o)
}

func fields(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' })
}
