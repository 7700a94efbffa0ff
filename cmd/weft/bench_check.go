package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/seed1312cc15/weft/internal/trace"
)

// allowed is by how much a figure may be worse than the other program's, as a share of it.
const allowed = 0.10

// checkTasks are what two programs are compared in, over a trace and workloads that are made here.
var checkTasks = []string{"t1", "t2", "t2b", "t4", "first", "delta-1000", "B1.4", "B1.7", "B1.11", "B2.2", "M1", "M2", "M3"}

// checkTimes are the figures of a task that are compared where it has them; repeats within a process count, too.
var checkTimes = []struct {
	name string
	of   func(m *measurement) []float64
}{
	{"time", func(m *measurement) []float64 { return []float64{m.CPUMS, m.WarmMS} }},
	{"save", func(m *measurement) []float64 { return []float64{m.SaveMS, m.SaveAgainMS} }},
}

// contender is one of the two programs, with all that was measured of each figure.
type contender struct {
	program, artifacts string
	times              map[string][]float64
	sizes              map[string]int
}

// low returns the least time of a figure, and the one that a quarter of all are below. Other programs on the machine only
// ever add to a time, which speaks for the least; a process that is lucky with its memory speaks against it. So what is
// worse must be worse in both.
func (p *contender) low(name string) (least, quarter float64) {
	all := p.times[name]
	if len(all) == 0 {
		return 0, 0
	}
	slices.Sort(all)
	return all[0], all[(len(all)-1)/4]
}

// slowdown returns how much longer the second takes; 1 is as long.
func slowdown(pair [2]*contender, name string) float64 {
	a, aq := pair[0].low(name)
	b, bq := pair[1].low(name)
	return min(b/a, bq/aq)
}

// checkAgainst compares this program with another build of it in one run: rounds take turns, a process each, so that the
// machine and what else it does are the same for both. What seems worse is measured again, at greater length, before that is
// believed.
func checkAgainst(c *console, other string, rounds int) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "weft-check")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var typing bytes.Buffer
	if err := trace.Generate(1, 20_000).Write(&typing); err != nil {
		return err
	}
	path := filepath.Join(dir, "typing.json")
	if err := writeFile(path, typing.Bytes()); err != nil {
		return err
	}
	pair := [2]*contender{newContender(other, filepath.Join(dir, "was")), newContender(self, filepath.Join(dir, "now"))}
	for _, p := range pair {
		if err := p.run(path, []string{"prep"}); err != nil {
			return err
		}
	}
	tasks := checkTasks
	for again := range 4 {
		for i := range rounds * (again + 1) {
			c.progress.set("%s: %d of %d", strings.Join(tasks, ", "), i+1, rounds*(again+1))
			for k := range pair {
				if err := pair[(i+k)%2].run(path, tasks); err != nil {
					return err
				}
			}
		}
		if tasks = worse(pair); len(tasks) == 0 {
			break
		}
	}
	c.progress.stop()
	return compareContenders(c, pair)
}

func newContender(program, artifacts string) *contender {
	return &contender{program, artifacts, map[string][]float64{}, map[string]int{}}
}

// run measures tasks in one process.
func (p *contender) run(path string, tasks []string) error {
	args := []string{"bench", "-json", "-runs", "1", "-artifacts", p.artifacts, "-task", strings.Join(tasks, ","), path}
	cmd := exec.Command(p.program, args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", p.program, err, strings.TrimSpace(stderr.String()))
	}
	for s := bufio.NewScanner(bytes.NewReader(out)); s.Scan(); {
		m, err := parseMeasurement(s.Bytes())
		if err != nil {
			return fmt.Errorf("%s: %w", p.program, err)
		}
		for _, f := range checkTimes {
			for _, ms := range f.of(&m) {
				if ms > 0 {
					p.times[m.Task+" "+f.name] = append(p.times[m.Task+" "+f.name], ms)
				}
			}
		}
		p.sizes[m.Task+" messages"], p.sizes[m.Task+" state"] = m.MessageBytes, m.SaveBytes
	}
	return nil
}

// tooSmall is a time, in milliseconds, below which the clock and the page faults of a process say more than the program.
const tooSmall = 0.2

// worse lists the tasks in which the second takes longer than allowed.
func worse(pair [2]*contender) (tasks []string) {
	for _, task := range checkTasks {
		for _, f := range checkTimes {
			name := task + " " + f.name
			if a, _ := pair[0].low(name); a > tooSmall && slowdown(pair, name) > 1+allowed {
				tasks = append(tasks, task)
				break
			}
		}
	}
	return tasks
}

// compareContenders prints every figure of both, and fails if one of the second is worse than allowed.
func compareContenders(c *console, pair [2]*contender) error {
	t := newTable("figure", "was", "now", "change")
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
		for _, f := range checkTimes {
			name := task + " " + f.name
			if a, _ := pair[0].low(name); a > tooSmall {
				b, _ := pair[1].low(name)
				row(name, fmt.Sprintf("%.3f ms", a), fmt.Sprintf("%.3f ms", b), slowdown(pair, name))
			}
		}
		for _, of := range []string{" messages", " state"} {
			if a, b := pair[0].sizes[task+of], pair[1].sizes[task+of]; a > 0 {
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
