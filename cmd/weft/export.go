package main

import (
	"encoding/json"
	"flag"
	"fmt"
)

var exportCommand = &command{
	name:  "export",
	args:  "FILE",
	short: "write the value of a saved state, a message or a bundle as JSON",
	long: `
export writes what a document holds as JSON on stdout, keys sorted; with --json on one line. FILE is a saved state, a
message or a bundle. A message that depends on others shows nothing by itself: merge it with what it depends on first.`,
	setup: func(*flag.FlagSet) func(*console, []string) error { return export },
}

func export(c *console, paths []string) error {
	if len(paths) != 1 {
		return usage("one file is exported, these are %d", len(paths))
	}
	c.progress.set("reading %s", paths[0])
	rt, err := join(paths)
	if err != nil {
		return err
	}
	note := waitingNote(rt)
	if note != "" && len(rt.Clock()) == 0 {
		return fmt.Errorf("%s: %s; \"weft merge\" it with a state that has them", paths[0], note)
	}
	value := rt.Export()
	c.progress.stop()
	if err := writeValue(c, value); err != nil {
		return err
	}
	if note != "" {
		fmt.Fprintln(c.err, "weft export:", note)
	}
	if n := len(rt.Opaque()); n > 0 {
		fmt.Fprintf(c.err, "weft export: %s of a kind or version that this program does not know\n", plural(n, "object"))
	}
	return nil
}

func writeValue(c *console, value any) error {
	if c.json {
		return writeJSON(c.out, value)
	}
	e := json.NewEncoder(c.out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(value)
}
