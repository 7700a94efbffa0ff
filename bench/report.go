package main

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
)

// column is one figure of a table: a field of a task, divided by another one if that is not empty.
type column struct {
	title, task, field, by string
	unit                   func(float64) string
	own                    string // the task whose figure is ours, if another
	ownField               string // and the field
	historyless            bool   // only peers whose saved state keeps no history are looked at
	only                   string // only this peer
	live                   bool   // resident memory of peers outside of a managed heap
}

var (
	timesSequential = []column{
		col("local", "t1", "cpu_ms", "", ms), col("local, no messages", "t1n", "cpu_ms", "", ms), col("in one transaction", "t1b", "cpu_ms", "", ms),
		col("remote", "t2", "cpu_ms", "", ms), col("remote, batch", "t2b", "cpu_ms", "", ms), col("save", "t1", "save_ms", "", ms),
		col("again", "t1", "save_again_ms", "", ms), col("load, read", "t4", "cpu_ms", "", ms), col("again", "t4", "warm_ms", "", ms), col("load, edit", "first", "cpu_ms", "", ms),
		col("again", "first", "warm_ms", "", ms),
	}
	timesConcurrent = []column{
		col("merge, one by one", "t2", "cpu_ms", "", ms), col("merge, batch", "t2b", "cpu_ms", "", ms), col("save", "t2", "save_ms", "", ms),
		col("again", "t2", "save_again_ms", "", ms), col("load, read", "t4", "cpu_ms", "", ms), col("again", "t4", "warm_ms", "", ms), col("load, edit", "first", "cpu_ms", "", ms),
		col("again", "first", "warm_ms", "", ms),
	}
	sizes = []column{
		col("message, average", "t2", "message_bytes", "messages", average), col("saved state", "t4", "save_bytes", "", whole),
		col("gzip", "t4", "save_gzip", "", whole), col("heap after local", "t1", "heap_bytes", "", kib), col("resident", "t1", "rss_bytes", "", kib),
		col("heap after remote", "t2", "heap_bytes", "", kib), col("resident", "t2", "rss_bytes", "", kib),
		col("heap after load", "t4", "heap_bytes", "", kib), col("resident", "t4", "rss_bytes", "", kib),
	}
	deltaTimes, deltaAgain, deltaBytes = deltas("cpu_ms", ms), deltas("warm_ms", ms), deltas("message_bytes", whole)
)

func col(title, task, field, by string, unit func(float64) string) column {
	return column{title: title, task: task, field: field, by: by, unit: unit}
}

func deltas(field string, unit func(float64) string) (out []column) {
	for _, n := range []string{"10", "100", "1000", "10000", "100000"} {
		out = append(out, col(n, "delta-"+n, field, "", unit))
	}
	return out
}

func ms(v float64) string {
	switch {
	case v >= 100:
		return whole(v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	case v >= 0.1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3f", v)
}

func whole(v float64) string {
	s := strconv.Itoa(int(math.Round(v)))
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func average(v float64) string { return fmt.Sprintf("%.1f", v) }
func kib(v float64) string     { return whole(v / 1024) }

// of returns the figure of one peer in a column.
func (c *column) of(r *results, peer, trace string) figure {
	task, field := c.task, c.field
	if peer == "weft" {
		task, field = cmp.Or(c.own, task), cmp.Or(c.ownField, field)
	} else if c.live && outside(peer) {
		field = "rss_bytes"
	}
	f := r.figure(peer, task, trace, field)
	f.ok = f.ok && f.median >= 0 // memory that shrank says nothing
	if c.by != "" && f.ok {
		d := r.figure(peer, task, trace, c.by)
		f.ok = d.ok && d.median > 0
		f.median /= max(d.median, 1)
	}
	return f
}

// ahead returns the best peer's figure divided by ours.
func (c *column) ahead(r *results, trace string) (ratio float64, peer string, ok bool) {
	own := c.of(r, "weft", trace)
	var least figure
	for _, n := range r.names {
		if c.historyless && !historyless(n) || c.only != "" && n != c.only {
			continue
		}
		if f := c.of(r, n, trace); n != "weft" && f.ok && f.median > 0 && (!least.ok || f.median < least.median) {
			peer, least = n, f
		}
	}
	if !own.ok || !least.ok || own.median <= 0 {
		return 0, peer, false
	}
	return least.median / own.median, peer, true
}

func historyless(name string) bool {
	return slices.ContainsFunc(peers, func(p peer) bool { return p.name == name && p.history == "none" })
}

func outside(name string) bool {
	return slices.ContainsFunc(peers, func(p peer) bool { return p.name == name && p.outside })
}

func times(ratio float64) string {
	switch {
	case ratio >= 10:
		return whole(ratio) + "×"
	case ratio >= 1:
		return fmt.Sprintf("%.1f×", ratio)
	}
	return fmt.Sprintf("%.2f×", ratio)
}

// table writes a table of peers by columns, with the ratio to the best peer as its last row.
func (r *results) table(b *strings.Builder, trace string, columns []column) {
	head, rule := "| |", "| :-- |"
	for _, c := range columns {
		head, rule = head+" "+c.title+" |", rule+" --: |"
	}
	fmt.Fprintf(b, "%s\n%s\n", head, rule)
	for _, n := range r.names {
		line, any := "| "+n+" |", false
		for _, c := range columns {
			s := r.written(&c, n, trace)
			any = any || s != "–"
			line += " " + s + " |"
		}
		if any {
			fmt.Fprintln(b, line)
		}
	}
	line := "| **best peer ÷ weft** |"
	for _, c := range columns {
		if ratio, _, ok := c.ahead(r, trace); ok {
			line += " **" + times(ratio) + "** |"
		} else {
			line += " – |"
		}
	}
	fmt.Fprintf(b, "%s\n\n", line)
}

func (r *results) written(c *column, peer, trace string) string {
	x := r.cells[key{peer, c.task, trace}]
	f := c.of(r, peer, trace)
	switch {
	case x == nil:
		return "–"
	case strings.HasPrefix(x.skipped, "no such"):
		return "–"
	case x.skipped != "":
		return x.skipped
	case !f.ok:
		return "–"
	case strings.HasSuffix(c.field, "_ms") && len(x.rows) > 1:
		return fmt.Sprintf("%s ±%.0f%%", c.unit(f.median), f.spread*50)
	}
	return c.unit(f.median)
}

func writeReport(o *options, path string) error {
	r, err := readResults(o.resultsFile())
	if err != nil {
		return err
	}
	if len(r.rows) == 0 {
		return errors.New("nothing was measured")
	}
	names := slices.DeleteFunc(slices.Clone(o.names), func(n string) bool { return !r.figure("weft", "t2", n, "cpu_ms").ok })
	var b strings.Builder
	r.introduce(&b, o.names)
	r.goals(&b, names)
	for _, trace := range names {
		r.trace(&b, trace)
	}
	r.workloads(&b)
	dir := strings.TrimSuffix(path, ".md")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if points, err := readGrowth(o); err == nil {
		if err := growthTable(&b, points, dir); err != nil {
			return err
		}
	}
	if err := os.WriteFile(path, []byte(strings.TrimSpace(b.String())+"\n"), 0o644); err != nil {
		return err
	}
	return r.plots(names, dir)
}

func (r *results) trace(b *strings.Builder, trace string) {
	columns := timesSequential
	if !r.figure("weft", "t1", trace, "cpu_ms").ok {
		columns = timesConcurrent
	}
	fmt.Fprintf(b, "## %s\n\nTime, ms:\n\n", trace)
	r.table(b, trace, columns)
	fmt.Fprint(b, "Bytes; memory in KiB:\n\n")
	r.table(b, trace, sizes)
	local, remote := r.figure("weft", "t1h", trace, "heap_bytes"), r.figure("weft", "t2h", trace, "heap_bytes")
	if remote.ok {
		fmt.Fprint(b, "Weft's heap after edits holds the messages that peers may ask for, local ones until somebody has acknowledged them; with history off it is ")
		if local.ok {
			fmt.Fprintf(b, "%s KiB after local, ", kib(local.median))
		}
		fmt.Fprintf(b, "%s KiB after remote edits.\n\n", kib(remote.median))
	}
	if r.figure("weft", "delta-10", trace, "cpu_ms").ok {
		fmt.Fprint(b, "Two replicas that made N edits each exchange what the other lacks. Time of both sides, ms:\n\n")
		r.table(b, trace, deltaTimes)
		fmt.Fprint(b, "The same again in one process, with fresh replicas, ms:\n\n")
		r.table(b, trace, deltaAgain)
		fmt.Fprint(b, "Bytes of both:\n\n")
		r.table(b, trace, deltaBytes)
	}
	if f := r.figure("weft", "t2", trace, "link_bytes"); f.ok {
		fmt.Fprintf(b, "On a link, which says what repeats only once, a message of Weft's takes %.1f bytes on average.\n\n",
			f.median/r.figure("weft", "t2", trace, "messages").median)
	}
	for _, n := range r.names {
		if x := r.cells[key{n, "t2", trace}]; x != nil && x.different {
			fmt.Fprintf(b, "%s has another order of concurrent inserts than the trace's.\n", n)
		}
	}
	fmt.Fprintln(b)
}

var workloadColumns = []column{
	col("Time, ms, the first in the process", "", "cpu_ms", "", ms), col("Time, ms, later ones", "", "warm_ms", "", ms),
	col("Bytes of a message, average", "", "message_bytes", "messages", average),
	col("Bytes of the saved state (Automerge and diamond-types compress theirs)", "", "save_bytes", "", whole),
	col("The same compressed by gzip", "", "save_gzip", "", whole),
	col("Saving, ms, the first in the process", "", "save_ms", "", ms), col("Saving, ms, later ones", "", "save_again_ms", "", ms),
	col("Loading, ms, the first in the process", "", "load_ms", "", ms), col("Loading, ms, later ones", "", "load_again_ms", "", ms),
	col("Heap of the loaded document, KiB (below 1,000 the JavaScript figures are noise)", "", "heap_bytes", "", kib),
	col("Resident memory of the loaded document, KiB (below 1,000 all is noise)", "", "rss_bytes", "", kib),
}

// workloads writes one table for each figure, with a row a workload.
func (r *results) workloads(b *strings.Builder) {
	if !r.figure("weft", workloads[0], "", "cpu_ms").ok {
		return
	}
	fmt.Fprint(b, "## Workloads B1 to B3 and M\n\n`weft help bench` says what each is. 6,000 operations, or 1,540 clients.\n\n")
	for _, c := range workloadColumns {
		fmt.Fprintf(b, "%s:\n\n| |", c.title)
		for _, n := range r.names {
			fmt.Fprintf(b, " %s |", n)
		}
		fmt.Fprintf(b, " best peer ÷ weft |\n| :-- |%s\n", strings.Repeat(" --: |", len(r.names)+1))
		for _, w := range workloads {
			c.task = w
			fmt.Fprintf(b, "| %s |", w)
			for _, n := range r.names {
				fmt.Fprintf(b, " %s |", r.written(&c, n, ""))
			}
			if ratio, _, ok := c.ahead(r, ""); ok {
				fmt.Fprintf(b, " **%s** |\n", times(ratio))
			} else {
				fmt.Fprint(b, " – |\n")
			}
		}
		fmt.Fprintln(b)
	}
}

func (r *results) introduce(b *strings.Builder, names []string) {
	fmt.Fprint(b, "# Benchmarks\n\n")
	var loads []float64
	repeats := map[int]int{}
	for _, x := range r.rows {
		if l, err := strconv.ParseFloat(x.Load, 64); err == nil {
			loads = append(loads, l)
		}
	}
	for k, c := range r.cells {
		if k.task != "prep" {
			repeats[len(c.rows)]++
		}
	}
	slices.Sort(loads)
	last := r.rows[len(r.rows)-1].At
	fmt.Fprintf(b, "Written by `make bench-peers` (see [bench/](../bench/README.md), which says what each task is). One run, of commit %s, from %s to %s.\n\n",
		r.Commit, r.Started.Format("2006-01-02 15:04"), last.Format("15:04 UTC"))
	fmt.Fprintf(b, "Machine: %s.\n", strings.Join(r.Machine, ", "))
	if len(loads) > 0 {
		fmt.Fprintf(b, "Load average of the machine meanwhile: %.1f to %.1f, median %.1f; one process at a time is 1.0 to 1.5, what is above is others'.\n\n",
			loads[0], loads[len(loads)-1], loads[len(loads)/2])
	}
	fmt.Fprintf(b, "Every figure is the median of the runs (3 of %d cells, 2 of %d, 1 of %d: what takes more than %d s, or for which no time was left), each in a "+
		"process of its own, the libraries in turn; ± is half the distance of the slowest and the fastest. Times are CPU time of the whole process: what "+
		"collects garbage or compiles beside the main thread counts, too. The first time in a process includes page faults and, in JavaScript, compiling; "+
		"*again* and *later ones* are medians of up to six more times in the same process. Heap is what is live after collection (for Rust what malloc has "+
		"given out; for wasm its memory, which never shrinks), resident what the process grew by. A dash is what a library does not offer or what was not "+
		"measured; *over* says that a process was ended, which may be for what is not timed.\n\n", repeats[3], repeats[2], repeats[1], slow/1000)
	fmt.Fprint(b, "| library | version | in | history in the saved state |\n| :-- | :-- | :-- | :-- |\n")
	for _, p := range peers {
		if slices.Contains(r.names, p.name) {
			fmt.Fprintf(b, "| %s | %s | %s | %s |\n", p.name, r.Versions[p.name], p.language, p.history)
		}
	}
	fmt.Fprintln(b)
	for _, p := range peers {
		if !slices.Contains(r.names, p.name) {
			fmt.Fprintf(b, "%s was not run. ", p.name)
		}
	}
	for _, trace := range names {
		var without []string
		for _, n := range r.names {
			if c := r.cells[key{n, "prep", trace}]; c != nil && c.skipped != "" {
				without = append(without, n+" ("+c.skipped+")")
			}
		}
		if len(without) > 0 {
			fmt.Fprintf(b, "Could not write the messages of %s, from which most other tasks start: %s. ", trace, strings.Join(without, ", "))
		}
	}
	fmt.Fprint(b, "\n\n![time](benchmarks/time.svg)\n![bytes](benchmarks/bytes.svg)\n![memory](benchmarks/memory.svg)\n\n")
}
