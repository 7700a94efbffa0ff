package main

import (
	"flag"
	"fmt"
	"strings"

	"github.com/seed1312cc15/weft/crdt"
)

var diffCommand = &command{
	name:  "diff",
	args:  "A B",
	short: "show where the values of two documents differ",
	long: `
diff compares what two files (saved states, messages, bundles) show as JSON, and prints a line for each difference: "-"
for what only A has, "+" for what only B has, "~" for what both have with other content. Places are JSON Pointers (RFC
6901). Of two texts it shows the part that differs and where that begins, in code points.

The exit code is 0 if there is no difference, 1 if there is one, 2 if the files cannot be compared.`,
	setup: func(*flag.FlagSet) func(*console, []string) error { return diff },
}

type difference struct {
	Path   string `json:"path"`
	Kind   string `json:"kind"` // "added", "removed" or "changed"
	Before any    `json:"before"`
	After  any    `json:"after"`
}

func diff(c *console, paths []string) error {
	if len(paths) != 2 {
		return usage("two files are compared, these are %d", len(paths))
	}
	var values [2]any
	for i, path := range paths {
		c.progress.set("reading %s", path)
		rt, err := join([]string{path})
		if err != nil {
			return exitError{exitUsage, err.Error()}
		}
		if note := waitingNote(rt); note != "" {
			fmt.Fprintf(c.err, "weft diff: %s: %s\n", path, note)
		}
		values[i] = rt.Export()
	}
	changes := crdt.DiffValues(values[0], values[1])
	c.progress.stop()
	for _, change := range changes {
		if err := printChange(c, change); err != nil {
			return err
		}
	}
	if len(changes) > 0 {
		return exitError{exitFailed, ""}
	}
	return nil
}

func printChange(c *console, d crdt.Change) error {
	path := d.Pointer()
	if c.json {
		return writeJSON(c.out, difference{path, d.Kind.String(), d.Before, d.After})
	}
	path = clip(path, 200)
	var line string
	switch d.Kind {
	case crdt.Added:
		line = fmt.Sprintf("+ %s: %s", path, show(d.After))
	case crdt.Removed:
		line = fmt.Sprintf("- %s: %s", path, show(d.Before))
	default:
		before, after, where := d.Before, d.After, ""
		if a, ok := before.(string); ok {
			if b, ok := after.(string); ok {
				before, after, where = differingPart(a, b)
			}
		}
		line = fmt.Sprintf("~ %s%s: %s -> %s", path, where, show(before), show(after))
	}
	_, err := fmt.Fprintln(c.out, line)
	return err
}

// differingPart cuts off what two strings begin and end with alike, and says where that leaves off.
func differingPart(a, b string) (before, after any, where string) {
	x, y := []rune(a), []rune(b)
	start, end := 0, 0
	for start < min(len(x), len(y)) && x[start] == y[start] {
		start++
	}
	for end < min(len(x), len(y))-start && x[len(x)-1-end] == y[len(y)-1-end] {
		end++
	}
	if start > 0 {
		where = fmt.Sprintf(" from %d", start)
	}
	return string(x[start : len(x)-end]), string(y[start : len(y)-end]), where
}

// show renders a value on one line, clipped.
func show(v any) string {
	var b strings.Builder
	if err := writeJSON(&b, v); err != nil {
		return fmt.Sprint(v)
	}
	return clip(strings.TrimSuffix(b.String(), "\n"), 100)
}
