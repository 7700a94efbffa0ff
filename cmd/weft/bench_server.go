//go:build !js

package main

import (
	"flag"
	"fmt"
	"math"
	"os"
	goruntime "runtime"
	"slices"
	"strings"
	"time"
)

// benchServerCommand is the load generator. bench_server_child.go has the server that it starts, bench_server_peer.go a light
// client, bench_server_tape.go what arrives and when; the scenarios are in bench_server_rooms.go (L2, L3) and in files named
// after what they do: idle (L1), open (L4, L5), presence (L6), slow (L7), store (L8).
var benchServerCommand = &command{
	name:  "bench-server",
	args:  "",
	short: "put load on a server and report latencies, memory and processor time",
	long: `
bench-server starts a server with fs storage in a process of its own, puts the load of a scenario on it, and prints what
came out beside the goal: the median of the runs, the best and the worst. Server and generator have one core each where
there are two. Updates are sent at scheduled times, whether or not the server keeps up, and latencies count from these times.

Most clients are light: they speak the protocol, write real updates of a document of their own, and check what arrives byte
by byte against what others got; but only a sample of them keeps whole replicas. These must be equal in the end, and equal
to what a client gets that comes then.

scenarios:
` + scenarioList() + `
The exit code is 1 if anything was lost or replicas differ, and with --check also if a goal was missed.`,
	setup: func(fs *flag.FlagSet) func(*console, []string) error {
		var o loadOptions
		fs.StringVar(&o.scenario, "scenario", "L2", "which `name` to run: L1 to L8")
		fs.Float64Var(&o.scale, "scale", 1, "run it with that `share` of the connections and documents that it has by default")
		fs.IntVar(&o.clients, "clients", 0, "`number` of connections; default: the scenario's")
		fs.IntVar(&o.documents, "documents", 0, "`number` of documents; default: the scenario's")
		fs.Float64Var(&o.rate, "rate", 0, "updates of each client, or documents opened, `per second`; default: the scenario's")
		fs.DurationVar(&o.duration, "duration", 0, "`time` to measure for; default: the scenario's")
		fs.DurationVar(&o.warmup, "warmup", 2*time.Second, "`time` of load before that")
		fs.IntVar(&o.runs, "runs", 3, "`number` of runs, each with a new server")
		fs.BoolVar(&o.pin, "pin", goruntime.NumCPU() > 1, "give server and generator a core each")
		fs.StringVar(&o.data, "data", "", "`directory` for the server's files; default: the temporary one")
		fs.StringVar(&o.cpuProfile, "server-cpuprofile", "", "write a profile of the server's processor time, under load, to this `file`")
		fs.StringVar(&o.memProfile, "server-memprofile", "", "write a profile of the server's memory, under load, to this `file`")
		fs.BoolVar(&o.check, "check", false, "exit with 1 if a goal was missed")
		return func(c *console, args []string) error {
			if len(args) == 2 && args[0] == "server" {
				return serveLoad(args[1])
			}
			return benchServer(c, args, o)
		}
	},
}

// loadOptions are what the flags say. Zero means what the scenario says.
type loadOptions struct {
	scenario               string
	scale                  float64
	clients, documents     int
	rate                   float64
	duration, warmup       time.Duration
	runs                   int
	pin, check             bool
	data                   string
	cpuProfile, memProfile string
	serverCPU              int // -1: any
}

// scenario is one kind of load.
type scenario struct {
	name, short        string
	clients, documents int
	rate               float64
	duration           time.Duration
	run                func(l *load) error
}

func scenarios() []*scenario {
	return []*scenario{
		{"L1", "idle authenticated connections, with small documents open", 15000, 1500, 0, 30 * time.Second, (*load).idle},
		{"L2", "connections in rooms of ten write and wait until it is durable", 1000, 100, 1, 20 * time.Second, (*load).rooms},
		{"L3", "writers in one document", 200, 1, 1, 20 * time.Second, (*load).rooms},
		{"L4", "all join one document of 4 MB at once", 500, 1, 0, 0, (*load).joiners},
		{"L5", "documents of 50 kB are opened cold", 50, 10000, 100, 0, (*load).cold},
		{"L6", "clients show presence in one document; against updates at the same number of frames", 200, 1, 10, 15 * time.Second, (*load).presence},
		{"L7", "a tenth of the connections of L2 stops reading", 1000, 100, 1, 20 * time.Second, (*load).slow},
		{"L8", "writers to the store alone, beside a bare log", 256, 10000, 0, 10 * time.Second, (*load).store},
	}
}

func scenarioList() string {
	var b strings.Builder
	for _, s := range scenarios() {
		fmt.Fprintf(&b, "  %s  %s\n", s.name, s.short)
	}
	return b.String()
}

// figure is one thing that a run has found.
type figure struct {
	Name  string  `json:"name"`
	Unit  string  `json:"unit,omitempty"`
	Value float64 `json:"value"`
	// Goal is the bound of the median, 0 if there is none; More says that it is a lower bound. Must: a run that misses it is wrong,
	// whatever the machine.
	Goal float64 `json:"goal,omitempty"`
	More bool    `json:"more,omitempty"`
	Must bool    `json:"must,omitempty"`
}

func (f *figure) met(v float64) bool {
	switch {
	case f.Goal == 0 && !f.Must:
		return true
	case f.More:
		return v >= f.Goal
	}
	return v <= f.Goal
}

// load is one run of a scenario.
type load struct {
	*loadOptions
	figures []figure
}

func (l *load) add(name, unit string, v float64) {
	l.figures = append(l.figures, figure{Name: name, Unit: unit, Value: v})
}

// most and least add a figure with a goal.
func (l *load) most(name, unit string, v, goal float64) {
	l.figures = append(l.figures, figure{Name: name, Unit: unit, Value: v, Goal: goal})
}

func (l *load) least(name, unit string, v, goal float64) {
	l.figures = append(l.figures, figure{Name: name, Unit: unit, Value: v, Goal: goal, More: true})
}

// none adds a count that must be zero.
func (l *load) none(name string, v int) {
	l.figures = append(l.figures, figure{Name: name, Value: float64(v), Must: true})
}

func benchServer(c *console, args []string, o loadOptions) error {
	i := slices.IndexFunc(scenarios(), func(s *scenario) bool { return strings.EqualFold(s.name, o.scenario) })
	switch {
	case len(args) > 0:
		return usage("there is nothing to name beside the flags")
	case i < 0:
		return usage("there is no scenario %q", clip(o.scenario, 20))
	case o.scale <= 0 || o.scale > 10 || o.runs < 1 || o.clients < 0 || o.documents < 0 || o.rate < 0 || o.duration < 0 || o.warmup < 0:
		return usage("a flag is out of range")
	}
	s := scenarios()[i]
	size := func(v *int, def int) {
		if *v == 0 {
			*v = max(1, int(math.Round(float64(def)*o.scale)))
		}
	}
	size(&o.clients, s.clients)
	size(&o.documents, s.documents)
	if o.rate == 0 {
		o.rate = s.rate
	}
	if o.duration == 0 {
		o.duration = s.duration
	}
	o.serverCPU = -1
	if list := cores(); o.pin && len(list) > 1 {
		release, err := pinTo(list[0])
		if err != nil {
			return err
		}
		defer release()
		o.serverCPU = list[1]
	}
	result := newLoadResult(s, &o)
	for k := range o.runs {
		c.progress.set("%s, run %d of %d", s.name, k+1, o.runs)
		l := &load{loadOptions: &o}
		if err := s.run(l); err != nil {
			return err
		}
		result.take(l.figures)
	}
	c.progress.set("")
	result.LoadAfter = loadAverage()
	if err := result.print(c); err != nil {
		return err
	}
	if !result.OK || o.check && result.Missed > 0 {
		return exitError{exitFailed, ""}
	}
	return nil
}

// loadResult is what all runs have found.
type loadResult struct {
	Scenario   string        `json:"scenario"`
	Clients    int           `json:"clients"`
	Documents  int           `json:"documents"`
	Rate       float64       `json:"rate,omitempty"`
	Seconds    float64       `json:"seconds,omitempty"`
	Pinned     bool          `json:"pinned"`
	CPUs       int           `json:"cpus"`
	LoadBefore float64       `json:"load_before"` // the system's load average over a minute
	LoadAfter  float64       `json:"load_after"`
	Figures    []*loadFigure `json:"figures"`
	Missed     int           `json:"missed"`
	OK         bool          `json:"ok"`

	short string
}

type loadFigure struct {
	figure
	Runs []float64 `json:"runs"`
}

func newLoadResult(s *scenario, o *loadOptions) *loadResult {
	return &loadResult{
		Scenario: s.name, Clients: o.clients, Documents: o.documents, Rate: o.rate, Seconds: o.duration.Seconds(), Pinned: o.serverCPU >= 0,
		CPUs: goruntime.NumCPU(), LoadBefore: loadAverage(), OK: true, short: s.short,
	}
}

// take adds the figures of a run, and makes Value their medians.
func (r *loadResult) take(figures []figure) {
	for _, f := range figures {
		i := slices.IndexFunc(r.Figures, func(x *loadFigure) bool { return x.Name == f.Name })
		if i < 0 {
			i = len(r.Figures)
			r.Figures = append(r.Figures, &loadFigure{figure: f})
		}
		x := r.Figures[i]
		x.Runs = append(x.Runs, f.Value)
		sorted := slices.Sorted(slices.Values(x.Runs))
		x.Value = sorted[(len(sorted)-1)/2]
		r.OK = r.OK && (!f.Must || f.met(f.Value))
	}
	r.Missed = 0
	for _, x := range r.Figures {
		if !x.met(x.Value) {
			r.Missed++
		}
	}
}

func (r *loadResult) print(c *console) error {
	if c.json {
		return writeJSON(c.out, r)
	}
	fmt.Fprintf(c.out, "%s: %s\n%s, %s", r.Scenario, r.short, plural(r.Clients, "client"), plural(r.Documents, "document"))
	if r.Rate > 0 {
		fmt.Fprintf(c.out, ", %s/s", amount(r.Rate))
	}
	where := "not pinned"
	if r.Pinned {
		where = "a core each"
	}
	fmt.Fprintf(c.out, "; %s, %s; load average %.1f before, %.1f after\n\n", plural(r.CPUs, "core"), where, r.LoadBefore, r.LoadAfter)
	t := newTable("figure", "unit", "median", "best", "worst", "goal", "")
	t.left[1], t.left[6] = true, true
	for _, f := range r.Figures {
		best, worst := slices.Min(f.Runs), slices.Max(f.Runs)
		goal, mark := "", ""
		if f.More {
			best, worst = worst, best
		}
		if f.Goal != 0 || f.Must {
			goal, mark = "<= "+amount(f.Goal), "met"
			if f.More {
				goal = ">= " + amount(f.Goal)
			}
			if !f.met(f.Value) {
				mark = "missed"
			}
		}
		t.row(f.Name, f.Unit, amount(f.Value), amount(best), amount(worst), goal, mark)
	}
	return t.write(c.out)
}

// amount renders a number with three digits, or all that stand before the point.
func amount(v float64) string {
	switch {
	case math.Abs(v) >= 100:
		return count(int64(math.Round(v)))
	case v == math.Trunc(v):
		return fmt.Sprint(v)
	}
	return fmt.Sprintf("%.3g", v)
}

// scratch makes a directory for the files of a run.
func (l *load) scratch() (dir string, remove func(), err error) {
	if dir, err = os.MkdirTemp(l.data, "weft-bench"); err != nil {
		return "", nil, err
	}
	return dir, func() { os.RemoveAll(dir) }, nil
}
