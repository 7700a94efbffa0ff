package main

import (
	"fmt"
	"strings"
)

// goal is how far ahead Weft means to be in a figure: the best peer's divided by ours.
type goal struct {
	title                  string
	wanted                 float64
	sequential, concurrent *column // on traces of one writer and of several; nil: not there
}

func goalList() (out []goal) {
	add := func(title string, wanted float64, sequential, concurrent *column) {
		out = append(out, goal{title, wanted, sequential, concurrent})
	}
	of := func(task, field string) *column { c := col("", task, field, "", ms); return &c }
	everywhere := func(title string, wanted float64, c *column) { add(title, wanted, c, c) }

	add("local edits, a message each", 4, of("t1", "cpu_ms"), nil)
	silent := of("t1n", "cpu_ms")
	silent.own = "t1"
	add("the same, peers making no messages", 1, silent, nil)
	add("remote, one by one", 3, of("t2", "cpu_ms"), nil)
	add("save after an edit, first in the process", 2, of("t1", "save_ms"), of("t2", "save_ms"))
	add("save after an edit, later ones", 2, of("t1", "save_again_ms"), of("t2", "save_again_ms"))
	everywhere("load and read, first in the process", 2, of("t4", "cpu_ms"))
	everywhere("load and read, later ones", 2, of("t4", "warm_ms"))
	everywhere("bytes to first edit, first in the process", 5, of("first", "cpu_ms"))
	everywhere("bytes to first edit, later ones", 5, of("first", "warm_ms"))
	for _, m := range [][2]string{{"t2", "one by one"}, {"t2b", "in one piece"}} {
		merge := of(m[0], "cpu_ms")
		merge.only = "diamond-types"
		add("merge, "+m[1]+", beside diamond-types", 1, nil, merge)
	}
	state, zipped, link := of("t4", "save_bytes"), of("t4", "save_gzip"), of("t2", "message_bytes")
	state.historyless, zipped.historyless = true, true
	link.by, link.ownField = "messages", "link_bytes"
	everywhere("saved state, peers without history", 1, state)
	everywhere("the same, gzip", 1, zipped)
	everywhere("message on a link, average", 1, link)
	local, localAlone, remote, remoteAlone := of("t1", "heap_bytes"), of("t1", "heap_bytes"), of("t2", "heap_bytes"), of("t2", "heap_bytes")
	localAlone.own, remoteAlone.own = "t1h", "t2h"
	loaded := of("t4", "heap_bytes")
	for _, c := range []*column{local, localAlone, remote, remoteAlone, loaded} {
		c.live = true
	}
	add("live memory after local edits", 2, local, nil)
	add("the same, our history off", 2, localAlone, nil)
	everywhere("live memory after remote edits", 2, remote)
	everywhere("the same, our history off", 2, remoteAlone)
	everywhere("live memory after loading", 2, loaded)
	return out
}

// goals writes, for each goal and trace, how far ahead of the best peer Weft is, and where it is not far enough.
func (r *results) goals(b *strings.Builder, names []string) {
	fmt.Fprint(b, "## In short\n\nThe best peer's figure divided by Weft's, and who that is: above 1, Weft is ahead. What misses the goal is bold. "+
		"Memory is that of the heap, for peers outside of a managed heap what is resident.\n\n| | goal |")
	for _, n := range names {
		fmt.Fprintf(b, " %s |", n)
	}
	fmt.Fprintf(b, "\n| :-- | --: |%s\n", strings.Repeat(" :-- |", len(names)))
	for _, g := range goalList() {
		line, any := fmt.Sprintf("| %s | %s |", g.title, times(g.wanted)), false
		for _, n := range names {
			c := g.concurrent
			if r.figure("weft", "t1", n, "cpu_ms").ok {
				c = g.sequential
			}
			cell := "–"
			if c != nil {
				if ratio, peer, ok := c.ahead(r, n); ok {
					cell, any = reached(ratio, g.wanted)+" "+peer, true
				}
			}
			line += " " + cell + " |"
		}
		if any {
			fmt.Fprintln(b, line)
		}
	}
	fmt.Fprintln(b)
	r.workloadGoals(b)
}

func reached(ratio, wanted float64) string {
	if ratio < wanted {
		return "**" + times(ratio) + "**"
	}
	return times(ratio)
}

// workloadGoals lists the workloads in which a peer is ahead.
func (r *results) workloadGoals(b *strings.Builder) {
	if !r.figure("weft", workloads[0], "", "cpu_ms").ok {
		return
	}
	fmt.Fprint(b, "Workloads B1 to B3 and M, in which Weft means to be ahead of every peer:\n\n| | ahead in | behind in |\n| :-- | --: | :-- |\n")
	for _, c := range workloadColumns {
		c.live = c.field == "heap_bytes"
		if c.field == "rss_bytes" {
			continue
		}
		ahead, all := 0, 0
		var behind []string
		for _, w := range workloads {
			c.task = w
			ratio, peer, ok := c.ahead(r, "")
			if !ok {
				continue
			}
			all++
			if ratio >= 1 {
				ahead++
			} else {
				behind = append(behind, fmt.Sprintf("%s %s %s", w, times(ratio), peer))
			}
		}
		title, _, _ := strings.Cut(c.title, " (")
		fmt.Fprintf(b, "| %s | %d of %d | %s |\n", title, ahead, all, strings.Join(behind, ", "))
	}
	fmt.Fprintln(b)
}
