package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"strings"
	"time"

	"github.com/seed1312cc15/weft/fuzz/simulation"
)

var simulateCommand = &command{
	name:  "simulate",
	args:  "",
	short: "run whole systems, clients, servers and stores, under faults",
	long: `
simulate -seed N makes one run of a system of clients, servers, stores and links in virtual time. What happens and what breaks
is a function of the seed, so the same command gives the same run, and the same digest, on every machine; -trace prints what
happens step by step, one line each: step, virtual time, what.

simulate -for 60s -jobs 2 makes runs with one seed after the other, from -seed on, for that time (or -count runs), and
reports how many, with how many faults of each kind. For a run that fails it prints the command that repeats it.

Faults: links cut at any frame, half-open or slow; stores that lose what was not synced, tear records, are full, slow, unreadable,
fail to sync, flip bits, are replaced by an older copy; clients and servers killed; clocks that jump; a hostile client. After the steps with faults all has to
come to rest: nothing acknowledged is lost, all replicas are equal. The exit code is 1 if something does not hold.

-plant makes a part of the system lie, which has to be noticed: ` + strings.Join(plants(), ", ") + `.`,
	setup: func(fs *flag.FlagSet) func(*console, []string) error {
		var o simulation.Options
		var m manyRuns
		fs.Uint64Var(&o.Seed, "seed", 1, "the (first) seed, `N`")
		fs.IntVar(&o.Steps, "steps", 1000, "steps with faults, `M`")
		fs.IntVar(&o.Clients, "clients", 0, "how many `clients`; 0: 3 to 5, by the seed")
		fs.IntVar(&o.Servers, "servers", 0, "how many `servers`; 0: 1 or 2, by the seed")
		trace := fs.Bool("trace", false, "print what happens; of one run")
		plant := fs.String("plant", "none", "a deliberate `fault`")
		fs.DurationVar(&m.time, "for", 0, "make runs for this `time`")
		fs.IntVar(&m.count, "count", 0, "make so `many` runs; 0: one, or as many as -for allows")
		fs.IntVar(&m.jobs, "jobs", 2, "runs at a time, `N`, with -for or -count")
		return func(c *console, args []string) (err error) {
			if o.Plant, err = simulation.ParsePlant(*plant); err != nil {
				return usageError{err.Error()}
			}
			many := m.time > 0 || m.count > 0
			switch {
			case len(args) > 0:
				return usage("it takes no arguments")
			case o.Clients == 1 || o.Clients < 0 || o.Clients > 100 || o.Servers < 0 || o.Servers > 2 || o.Steps < 1:
				return usage("-clients is 0 or 2 to 100, -servers 0 to 2, -steps at least 1")
			case m.time < 0 || m.count < 0 || m.jobs < 1:
				return usage("-for and -count are not negative, -jobs is at least 1")
			case *trace && (many || c.json):
				return usage("-trace is of one run, and for people")
			case many:
				return m.run(c, o)
			}
			if *trace {
				o.Trace = c.out
			}
			return simulateOne(c, o)
		}
	},
}

func plants() (names []string) {
	for p := simulation.AckBeforeDurable; p <= simulation.KeepID; p++ {
		names = append(names, p.String())
	}
	return names
}

func simulateOne(c *console, o simulation.Options) error {
	r, err := simulation.Run(o)
	if r == nil {
		return err
	}
	if c.json {
		json.NewEncoder(c.out).Encode(map[string]any{
			"seed": r.Seed, "digest": fmt.Sprintf("%x", r.Digest), "steps": r.Steps, "clients": r.Clients, "servers": r.Servers,
			"edits": r.Edits, "frames": r.Frames, "faults": faultCounts(&r.Faults), "virtual_seconds": r.Virtual.Seconds(), "ok": err == nil,
		})
	} else {
		fmt.Fprintf(c.out, "seed %d: digest %x, %d steps, %d clients, %d servers, %d edits, %d frames, %d faults, %v of virtual time\n",
			r.Seed, r.Digest, r.Steps, r.Clients, r.Servers, r.Edits, r.Frames, r.Faults.Sum(), r.Virtual.Round(time.Second))
	}
	if err != nil {
		return exitError{exitFailed, err.Error()}
	}
	return nil
}

func faultCounts(f *simulation.Faults) map[string]int {
	out := make(map[string]int)
	for i, n := range f {
		out[simulation.Fault(i).String()] = n
	}
	return out
}

// manyRuns makes runs with one seed after the other.
type manyRuns struct {
	time        time.Duration
	count, jobs int
}

func (m *manyRuns) run(c *console, o simulation.Options) error {
	ctx := context.Background()
	if m.time > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, m.time)
		defer cancel()
	}
	begin, told := time.Now(), 0
	t, err := simulation.Soak(ctx, o, m.jobs, m.count, func(t *simulation.Total) {
		for ; told < len(t.Failed); told++ {
			f := t.Failed[told]
			fmt.Fprintf(c.err, "%v\nweft simulate -seed %d -steps %d -clients %d -servers %d -plant %v -trace\n", f, f.Seed, o.Steps, o.Clients, o.Servers, o.Plant)
		}
		c.progress.set("%d seeds", t.Seeds)
	})
	if err != nil {
		return err
	}
	took := time.Since(begin)
	if c.json {
		json.NewEncoder(c.out).Encode(map[string]any{
			"seeds": t.Seeds, "failed": len(t.Failed), "steps": t.Steps, "edits": t.Edits, "frames": t.Frames, "faults": faultCounts(&t.Faults),
			"dropped": t.Dropped, "overtaken": t.Overtaken, "unsynced": t.Unsynced,
			"least_faults": t.Least.Faults, "least_clients": t.Least.Clients, "seconds": took.Seconds(), "virtual_seconds": t.Virtual.Seconds(),
		})
	} else {
		fmt.Fprintf(c.out, "%d seeds in %v, %.1f a second; %d failed\n", t.Seeds, took.Round(time.Second), float64(t.Seeds)/took.Seconds(), len(t.Failed))
		fmt.Fprintf(c.out, "%d steps, %d edits, %d frames, %v of virtual time; at least %d clients and %d faults in each run\n",
			t.Steps, t.Edits, t.Frames, t.Virtual.Round(time.Second), t.Least.Clients, t.Least.Faults)
		fmt.Fprintf(c.out, "%d frames dropped, %d overtaken by some of a later link, %d writes lost before they were synced\n",
			t.Dropped, t.Overtaken, t.Unsynced)
		for i, n := range t.Faults {
			fmt.Fprintf(c.out, "%9d %v\n", n, simulation.Fault(i))
		}
	}
	if n := len(t.Failed); n > 0 {
		return exitError{exitFailed, fmt.Sprintf("%d of %d runs failed", n, t.Seeds)}
	}
	return nil
}
