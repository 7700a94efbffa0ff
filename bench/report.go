package main

import (
	"cmp"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
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
}

var (
	timesSequential = []column{
		col("local", "t1", "cpu_ms", "", ms), col("local, no messages", "t1n", "cpu_ms", "", ms), col("in one transaction", "t1b", "cpu_ms", "", ms),
		col("remote", "t2", "cpu_ms", "", ms), col("remote, batch", "t2b", "cpu_ms", "", ms), col("save", "t1", "save_ms", "", ms),
		col("load, read", "t4", "cpu_ms", "", ms), col("again", "t4", "warm_ms", "", ms), col("load, edit", "first", "cpu_ms", "", ms),
		col("again", "first", "warm_ms", "", ms),
	}
	timesConcurrent = []column{
		col("merge, one by one", "t2", "cpu_ms", "", ms), col("merge, batch", "t2b", "cpu_ms", "", ms), col("save", "t2", "save_ms", "", ms),
		col("load, read", "t4", "cpu_ms", "", ms), col("again", "t4", "warm_ms", "", ms), col("load, edit", "first", "cpu_ms", "", ms),
		col("again", "first", "warm_ms", "", ms),
	}
	sizes = []column{
		col("message, average", "t2", "message_bytes", "messages", average), col("saved state", "t4", "save_bytes", "", whole),
		col("gzip", "t4", "save_gzip", "", whole), col("heap after local", "t1", "heap_bytes", "", kib), col("heap after remote", "t2", "heap_bytes", "", kib),
		col("heap after load", "t4", "heap_bytes", "", kib), col("resident after load", "t4", "rss_bytes", "", kib),
	}
	deltaTimes, deltaBytes = deltas("cpu_ms", ms), deltas("message_bytes", whole)
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
		if c.historyless && !historyless(n) {
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
	r, err := readResults(filepath.Join(o.work, "results.jsonl"))
	if err != nil {
		return err
	}
	names := slices.DeleteFunc(slices.Clone(o.names), func(n string) bool { return !r.figure("weft", "t2", n, "cpu_ms").ok })
	var b strings.Builder
	r.introduce(&b)
	r.summary(&b, names)
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
	if f := r.figure("weft", "t1h", trace, "heap_bytes"); f.ok {
		fmt.Fprintf(b, "Weft's heap after local edits holds every message that nobody has acknowledged; without history it is %s KiB.\n\n", kib(f.median))
	}
	if r.figure("weft", "delta-10", trace, "cpu_ms").ok {
		fmt.Fprint(b, "Two replicas that made N edits each exchange what the other lacks. Time of both sides, ms:\n\n")
		r.table(b, trace, deltaTimes)
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

// workloads writes one table for each figure, with a row a workload.
func (r *results) workloads(b *strings.Builder) {
	if !r.figure("weft", workloads[0], "", "cpu_ms").ok {
		return
	}
	fmt.Fprint(b, "## Workloads B1 to B3 and M\n\n`weft help bench` says what each is. 6,000 operations, or 1,540 clients.\n\n")
	for _, c := range []column{
		col("Time, ms", "", "cpu_ms", "", ms), col("Bytes of a message, average", "", "message_bytes", "messages", average),
		col("Bytes of the saved state (Automerge and diamond-types compress theirs)", "", "save_bytes", "", whole),
		col("The same compressed by gzip", "", "save_gzip", "", whole), col("Saving, ms", "", "save_ms", "", ms), col("Loading, ms", "", "warm_ms", "", ms),
		col("Heap of the loaded document, KiB (below 1,000 the JavaScript figures are noise)", "", "heap_bytes", "", kib),
	} {
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

// summaryColumns are what the short table shows.
func summaryColumns() []column {
	all := append(slices.Clone(timesSequential), timesConcurrent[0], timesConcurrent[1])
	all = append(all, sizes[:6]...)
	for _, c := range sizes[1:3] {
		c.title, c.historyless = c.title+", of those without history", true
		all = append(all, c)
	}
	alone := sizes[3]
	alone.title, alone.own = "heap after local, ours without history", "t1h"
	link := sizes[0]
	link.title, link.ownField = "message, ours as links carry it", "link_bytes"
	all = append(all, alone, link)
	return append(all, col("delta, 1,000 edits", "delta-1000", "cpu_ms", "", ms), col("delta, 1,000 edits, bytes", "delta-1000", "message_bytes", "", whole))
}

// summary writes, for each figure and trace, how far ahead of the best peer Weft is.
func (r *results) summary(b *strings.Builder, names []string) {
	fmt.Fprint(b, "## In short\n\nThe best peer's figure divided by Weft's, and who that is: above 1, Weft is ahead.\n\n| |")
	for _, n := range names {
		fmt.Fprintf(b, " %s |", n)
	}
	fmt.Fprintf(b, "\n| :-- |%s\n", strings.Repeat(" :-- |", len(names)))
	last := ""
	for _, c := range summaryColumns() {
		title := c.title
		if title == "again" {
			title = last + ", again"
		}
		last = title
		line, any := "| "+title+" |", false
		for _, n := range names {
			merges := strings.HasPrefix(c.title, "merge")
			if merges == r.figure("weft", "t1", n, "cpu_ms").ok && (c.task == "t2" || c.task == "t2b") && c.field == "cpu_ms" {
				line += " – |"
				continue
			}
			if ratio, peer, ok := c.ahead(r, n); ok {
				line += fmt.Sprintf(" %s %s |", times(ratio), peer)
				any = true
			} else {
				line += " – |"
			}
		}
		if any {
			fmt.Fprintln(b, line)
		}
	}
	fmt.Fprintln(b)
}

func (r *results) introduce(b *strings.Builder) {
	fmt.Fprint(b, "# Benchmarks\n\n")
	var loads []float64
	repeats := 0
	for _, x := range r.rows {
		if l, err := strconv.ParseFloat(x.Load, 64); err == nil {
			loads = append(loads, l)
		}
	}
	for _, c := range r.cells {
		repeats = max(repeats, len(c.rows))
	}
	slices.Sort(loads)
	if len(r.rows) == 0 {
		return
	}
	fmt.Fprintf(b, "Written by `make bench-peers` (see [bench/](../bench/README.md), which says what each task is): measured from %s to %s.\n\n",
		r.rows[0].At.Format("2006-01-02 15:04"), r.rows[len(r.rows)-1].At.Format("15:04 UTC"))
	fmt.Fprintf(b, "Machine: %d cores, %s, %s, %s, %s, %s, %s.\n", runtime.NumCPU(), cpuModel(), system(), said("uname", "-sr"), said("go", "version"),
		"Node "+said("node", "--version"), said("rustc", "--version"))
	fmt.Fprintf(b, "Load average of the machine meanwhile: %.1f to %.1f, median %.1f; above the number of cores, others had it too.\n\n",
		loads[0], loads[len(loads)-1], loads[len(loads)/2])
	fmt.Fprintf(b, "Every figure is the median of up to %d runs, each in a process of its own, the libraries in turn; ± is half the distance of the slowest "+
		"and the fastest. Times are CPU time: of the whole process for Weft, its garbage collector included, and for Rust; of the main thread "+
		"for JavaScript, whose collector and compiler partly work in other threads. The first time in a process includes compiling in JavaScript, "+
		"*again* does not. Heap is what is live after collection (for Rust what malloc has given out; for wasm its memory, which never shrinks). "+
		"What took more than 4 s was measured once. A dash is what a library does not offer or what was not measured; *over* says that a process was ended, which may be for what is not timed.\n\n", repeats)
	fmt.Fprint(b, "| library | version | in | history in the saved state |\n| :-- | :-- | :-- | :-- |\n")
	for _, p := range peers {
		if slices.Contains(r.names, p.name) {
			fmt.Fprintf(b, "| %s | %s | %s | %s |\n", p.name, p.version(), p.language, p.history)
		}
	}
	fmt.Fprint(b, "\nLeft out: automerge-go (an older automerge through cgo) and Yorkie's document, which this harness does not have; the trace git-makefile, of 646 writers: diamond-types and loro had not written its messages after a minute, in yrs, which orders concurrent inserts otherwise, later edits are out of range, and the rest was not tried")
	for _, p := range peers {
		if !slices.Contains(r.names, p.name) {
			fmt.Fprintf(b, "; %s, which was not run", p.name)
		}
	}
	fmt.Fprint(b, ".\n\n![time](benchmarks/time.svg)\n![bytes](benchmarks/bytes.svg)\n![memory](benchmarks/memory.svg)\n\n")
}

func said(name string, args ...string) string {
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		return "?"
	}
	return strings.TrimPrefix(strings.TrimSpace(string(out)), "go version ")
}

// after returns what follows a name and a separator in a file of such lines.
func after(path, name, separator string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return "?"
	}
	for line := range strings.Lines(string(b)) {
		if k, v, ok := strings.Cut(line, separator); ok && strings.TrimSpace(k) == name {
			return strings.Trim(strings.TrimSpace(v), `"`)
		}
	}
	return "?"
}

func cpuModel() string { return after("/proc/cpuinfo", "model name", ":") }
func system() string   { return after("/etc/os-release", "PRETTY_NAME", "=") }
