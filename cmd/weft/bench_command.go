package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/seed1312cc15/weft/internal/trace"
)

var benchCommand = &command{
	name:  "bench",
	args:  "[TRACE...]",
	short: "measure the tasks that CRDT libraries are compared by",
	long: `
bench measures on recorded editing traces (see "weft help replay") and on workloads that it makes itself. Every figure is
the median of the runs; times are CPU time of the whole process, garbage collection included, where the system tells it.

Tasks of a sequential trace:
  t1         replay it, one transaction and one message for each patch, and read the text; then save
  t1n        the same with nobody who takes the messages
  t1h        the same with no history kept: what the document itself takes in memory
  t1b        the same in one transaction
Tasks of every trace:
  t2         a new replica takes the messages one by one, then reads the text
  t2b        the same with all messages in one bundle
  t2h        t2 with no history kept
  t4         load the saved state into a new replica and read the text: the first time in the process, then six more
  first      load the saved state, insert one character in the middle, and take its message
  delta-N    two replicas that load the saved state make N edits each and exchange what the other lacks, N from 10 to
             100,000; "delta" means all of them
  prep       no measurement: write messages and saved state into the directory of -artifacts, where the tasks above read them.
             A concurrent trace is written by one replica an agent, each transaction where exactly its ancestors are known
Tasks without a trace (B1 to B3 are those of the public dmonad/crdt-benchmarks, with 6,000 operations):
  B1.1-B1.11 one client edits a text or an array, one message an operation
  B2.1-B2.4  two clients edit one text at the same time, a transaction each, and exchange them
  B3.1-B3.4  1,540 clients write at once, and one takes it all
  M1-M3      6,000 keys of a map, 6,000 writes of one key, 6,000 additions to a counter
"B1", "B2", "B3" and "M" mean all of theirs. In these, message_bytes are of all messages, save_ms the encoding, load_ms the
loading of the saved state, heap_bytes what the loaded replica takes. They are done again in the same process with fresh
replicas: warm_ms, save_again_ms and load_again_ms are the medians of the later times, as in the tasks above.

-growth measures what happens at 1, 10 and 100 times the document length, tombstones, replicas, keys, objects, history and
offline edits; its last column is the steepest growth of the row's figures since the row above over that of n log n: above 1
(and beyond noise) something grows faster than that.

-against measures some tasks of this program and of another build of it in turn, so that the machine is the same for both,
and compares times and bytes.

Without -task the tasks of the traces given run, or those without a trace if none is given.`,
	setup: func(fs *flag.FlagSet) func(*console, []string) error {
		var o benchOptions
		tasks := fs.String("task", "", "`TASKS` to run, separated by commas")
		fs.IntVar(&o.runs, "runs", 3, "measure `N` times and give the medians")
		fs.BoolVar(&o.processes, "processes", false, "each task and run in a process of its own")
		fs.StringVar(&o.artifacts, "artifacts", "", "keep messages and saved states in `DIR`, and read them there")
		fs.StringVar(&o.workloads, "workloads", "", "only write what the tasks do as JSON into `DIR`, for programs that measure other libraries")
		fs.StringVar(&o.against, "against", "", "compare with another build of weft, `PROGRAM`, and fail on a loss of more than 10 %; -runs says how many rounds")
		fs.BoolVar(&o.growth, "growth", false, "measure how time, bytes and memory grow with the size of the work")
		return func(c *console, args []string) error {
			if *tasks != "" {
				o.tasks = strings.Split(*tasks, ",")
			}
			return bench(c, o, args)
		}
	},
}

type benchOptions struct {
	tasks                []string
	runs                 int
	processes            bool
	artifacts, workloads string
	against              string
	growth               bool
}

// benchJob is one task on one trace.
type benchJob struct {
	task, path string // path is empty for tasks without a trace
	name       string // of the trace
	s          *script
}

func bench(c *console, o benchOptions, paths []string) error {
	if o.runs < 1 {
		return usage("-runs must be at least 1")
	}
	if o.growth {
		return benchGrowth(c)
	}
	if o.against != "" {
		return checkAgainst(c, o.against, o.runs)
	}
	if o.workloads != "" {
		return writeWorkloads(c, o.workloads, paths)
	}
	jobs, err := o.jobs(paths)
	if err != nil {
		return err
	}
	var all []measurement
	for _, j := range jobs {
		m, err := o.measure(c, j)
		if errors.Is(err, errNoSuchTask) && len(o.tasks) > 0 && len(jobs) > 1 {
			continue
		}
		if err != nil {
			return fmt.Errorf("%s %s: %w", j.task, j.name, err)
		}
		if c.json {
			if err := writeJSON(c.out, m); err != nil {
				return err
			}
		}
		all = append(all, m)
	}
	c.progress.stop()
	if c.json {
		return nil
	}
	return printMeasurements(c, all)
}

// jobs lists what is to be run, traces in the order given.
func (o *benchOptions) jobs(paths []string) ([]benchJob, error) {
	free, onTrace, err := splitTasks(o.tasks)
	if err != nil {
		return nil, err
	}
	if len(o.tasks) == 0 && len(paths) == 0 {
		free, _, _ = splitTasks([]string{"B1", "B2", "B3", "M"})
	}
	if len(onTrace) > 0 && len(paths) == 0 {
		return nil, usage("which trace? %s needs one", onTrace[0])
	}
	var jobs []benchJob
	for _, p := range paths {
		t, err := trace.ReadFile(p)
		if err != nil {
			return nil, err
		}
		s := patchwise(newScript(t))
		tasks := onTrace
		if len(o.tasks) == 0 {
			tasks = tasksOf(s)
		}
		for _, task := range tasks {
			jobs = append(jobs, benchJob{task: task, path: p, name: t.Name, s: s})
		}
	}
	for _, task := range free {
		jobs = append(jobs, benchJob{task: task})
	}
	return jobs, nil
}

// measure runs one job as often as asked.
func (o *benchOptions) measure(c *console, j benchJob) (measurement, error) {
	var runs []measurement
	for i := range o.runs {
		c.progress.set("%s %s: %d of %d", j.task, j.name, i+1, o.runs)
		m, err := o.once(j)
		if err != nil {
			return m, err
		}
		runs = append(runs, m)
		if j.task == "prep" {
			break
		}
	}
	return medians(runs), nil
}

func (o *benchOptions) once(j benchJob) (measurement, error) {
	if o.processes {
		return o.apart(j)
	}
	if j.s == nil {
		w, err := workloadOf(j.task)
		if err != nil {
			return measurement{}, err
		}
		return w.measure()
	}
	t := &traceTask{script: j.s, artifacts: o.artifacts}
	m, err := t.measure(j.task)
	m.Peer, m.Task, m.Trace = "weft", j.task, j.name
	return m, err
}

// apart runs one job once, in a process of its own.
func (o *benchOptions) apart(j benchJob) (measurement, error) {
	self, err := os.Executable()
	if err != nil {
		return measurement{}, err
	}
	args := []string{"bench", "-json", "-runs", "1", "-task", j.task}
	if o.artifacts != "" {
		args = append(args, "-artifacts", o.artifacts)
	}
	if j.path != "" {
		args = append(args, j.path)
	}
	cmd := exec.Command(self, args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return measurement{}, fmt.Errorf("%w: %s", err, strings.TrimSpace(stderr.String()))
	}
	return parseMeasurement(out)
}

func printMeasurements(c *console, all []measurement) error {
	t := newTable("trace", "task", "cpu_ms", "warm_ms", "messages", "message_bytes", "save_ms", "save_bytes", "save_zstd",
		"heap_bytes")
	t.left[1] = true
	ms := func(v float64) string {
		if v == 0 {
			return "-"
		}
		return fmt.Sprintf("%.3f", v)
	}
	n := func(v int64) string {
		if v == 0 {
			return "-"
		}
		return count(v)
	}
	for _, m := range all {
		t.row(clip(m.Trace, 40), m.Task, ms(m.CPUMS), ms(m.WarmMS), n(int64(m.Messages)), n(int64(m.MessageBytes)),
			ms(m.SaveMS), n(int64(m.SaveBytes)), n(int64(m.SaveZstd)), n(m.HeapBytes))
	}
	return t.write(c.out)
}
