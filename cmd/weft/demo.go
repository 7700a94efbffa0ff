package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/seed1312cc15/weft/internal/trace"
)

// demoEdits is the length of the trace that the demo makes where no recorded one is at hand.
const demoEdits = 100_000

var demoCommand = &command{
	name:  "demo",
	args:  "[TRACE]",
	short: "three people edit, part and meet again; then an editing history is replayed",
	long: `
demo shows in a few steps what the library does: three replicas of a document of text, map, set, counter, list and
nested objects are edited at once, go offline, and come back, by messages and then by saved states. It prints what each
holds, and its digest. Then it replays an editing trace as "weft replay" does: TRACE, or a recorded one from
../shared/traces, or one that it makes. The exit code is 1 if replicas end up different.`,
	setup: func(*flag.FlagSet) func(*console, []string) error { return demo },
}

func demo(c *console, args []string) error {
	if len(args) > 1 {
		return usage("one trace is replayed, these are %d", len(args))
	}
	if c.json {
		return usage("the demo is for people; weft replay --json gives the figures")
	}
	if err := runTrip(c.out); err != nil {
		return err
	}
	t, err := demoTrace(args)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.out, "\n\n== A real editing history\n\nThe trace %q is replayed, one transaction and one message for each of its %s transactions. A\n"+
		"second replica gets the messages one by one, a third gets them shuffled, a fourth loads the saved state. \"ok\"\n"+
		"says that all four show the text that was recorded, and hold the same bytes (\"weft help replay\" explains the rest):\n\n",
		t.Name, count(len(t.Txns)))
	r := replayOne(c, replayOptions{runs: 3}, t)
	c.progress.stop()
	if err := printResults(c, []result{r}); err != nil {
		return err
	}
	if !r.OK {
		return exitError{exitFailed, ""}
	}
	return nil
}

// demoTrace reads the trace that was asked for, or a recorded one beside the repository, or makes one.
func demoTrace(args []string) (*trace.Trace, error) {
	if len(args) == 1 {
		return readTrace(args[0])
	}
	path := filepath.Join("..", "shared", "traces", "automerge-paper.json.gz")
	if _, err := os.Stat(path); err == nil {
		return readTrace(path)
	}
	return trace.Generate(1, demoEdits), nil
}
