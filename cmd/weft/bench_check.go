package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	goruntime "runtime"
	"slices"
	"time"

	"github.com/seed1312cc15/weft/internal/trace"
)

// allowed is by how much a figure may be worse than the baseline's, as a share of it.
const allowed = 0.10

// checkTasks are what the baseline holds, each over a trace or workload that is made here, so that no file is needed.
var checkTasks = []string{"t1", "t2", "t2b", "t4", "delta-1000", "B1.4", "B1.11", "B2.2", "M1", "M3"}

// baseline holds figures that do not depend on the speed of the machine: CPU time as a multiple of what the reference loop
// takes in the same run, and bytes.
type baseline struct {
	Times map[string]float64 `json:"times"`
	Bytes map[string]int     `json:"bytes"`
}

// checked measures the baseline's figures of this program for the tasks given. Task and reference loop take turns, and the
// least of n runs counts: other programs on the machine only ever add to it.
func checked(c *console, tasks []string, n int) (baseline, error) {
	b := baseline{Times: map[string]float64{}, Bytes: map[string]int{}}
	s := patchwise(newScript(trace.Generate(1, 50_000)))
	o := benchOptions{runs: 1}
	for _, task := range tasks {
		j := benchJob{task: task}
		if slices.Contains(sequentialTasks, task) || slices.Contains(everyTasks, task) {
			j.s, j.name = s, s.name
		}
		own, reference := math.Inf(1), math.Inf(1)
		for i := range n {
			c.progress.set("%s: %d of %d", task, i+1, n)
			reference = min(reference, referenceLoop())
			m, err := o.once(j)
			if err != nil {
				return b, fmt.Errorf("%s: %w", task, err)
			}
			own = min(own, m.CPUMS)
			b.Bytes[task+" messages"], b.Bytes[task+" state"] = m.MessageBytes, m.SaveBytes
		}
		b.Times[task] = own / reference
	}
	c.progress.stop()
	return b, nil
}

// referenceLoop does what takes a library most of its time, with none of its code: moving memory about, looking keys up,
// and following links. It returns the CPU time in milliseconds.
func referenceLoop() float64 {
	begin := cpuTime()
	r := randomness{seed: 5}
	table := map[uint32]uint32{}
	links := make([]uint32, 1<<16)
	for i := range links {
		links[i] = r.next() & (1<<16 - 1)
	}
	var text []byte
	at := uint32(0)
	for i := range 100_000 {
		at = links[at] ^ uint32(i&7)
		table[at]++
		p := min(len(text), int(at&1023))
		text = slices.Insert(text, p, byte(at))
		if len(text) > 2048 {
			text = text[:1024]
		}
	}
	goruntime.KeepAlive(table[at] + uint32(len(text))) // the loop is not optimised away
	return float64(cpuTime()-begin) / float64(time.Millisecond)
}

// checkBaseline compares this program with a baseline; a file that is not there is written. What seems slower is measured
// again, at greater length, before that is believed.
func checkBaseline(c *console, path string, n int) error {
	now, err := checked(c, checkTasks, n)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		out, err := json.MarshalIndent(now, "", "  ")
		if err != nil {
			return err
		}
		return writeFile(path, append(out, '\n'))
	}
	if err != nil {
		return err
	}
	var was baseline
	if err := json.Unmarshal(data, &was); err != nil {
		return named(path, err)
	}
	for range 3 {
		slow := was.slower(now)
		if len(slow) == 0 {
			break
		}
		again, err := checked(c, slow, 3*n)
		if err != nil {
			return err
		}
		for task, v := range again.Times {
			now.Times[task] = min(now.Times[task], v)
		}
	}
	return was.compare(c, now)
}

// slower lists the tasks that take longer than allowed.
func (was baseline) slower(now baseline) (tasks []string) {
	for _, task := range checkTasks {
		if a := was.Times[task]; a > 0 && now.Times[task] > a*(1+allowed) {
			tasks = append(tasks, task)
		}
	}
	return tasks
}

// compare prints every figure beside the baseline's, and fails if one is worse than allowed.
func (was baseline) compare(c *console, now baseline) error {
	t := newTable("figure", "baseline", "now", "change")
	worse := 0
	row := func(name, a, b string, ratio float64) {
		change := fmt.Sprintf("%+.1f %%", (ratio-1)*100)
		if ratio > 1+allowed {
			worse++
			change += " WORSE"
		}
		t.row(name, a, b, change)
	}
	for _, task := range checkTasks {
		a, b := was.Times[task], now.Times[task]
		if a > 0 {
			row(task+" time", fmt.Sprintf("%.3f", a), fmt.Sprintf("%.3f", b), b/a)
		}
		for _, of := range []string{" messages", " state"} {
			if a, b := was.Bytes[task+of], now.Bytes[task+of]; a > 0 {
				row(task+of, count(a), count(b), float64(b)/float64(a))
			}
		}
	}
	if err := t.write(c.out); err != nil {
		return err
	}
	if worse > 0 {
		return exitError{exitFailed, fmt.Sprintf("%s more than %.0f %% worse than the baseline", plural(worse, "figure"), allowed*100)}
	}
	return nil
}
