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
	short: "people edit, part and meet again, by messages and over a server that is killed",
	long: `
demo shows in a few steps what the library does: three replicas of a document of text, map, set, counter, list and
nested objects are edited at once, go offline, and come back, by messages and then by saved states. It prints what each
holds, and its digest. Then it replays an editing trace as "weft replay" does: TRACE, or a recorded one from
../shared/traces, or one that it makes.

At last it starts "weft serve" in a process of its own, on a temporary directory. Two clients replay a concurrent trace
through it, over WebSocket, while a third counts. One is cut off and comes back; the server is killed and started again in
the middle; whoever was told that edits are saved must find them there. All end equal to a replay that knows no network.

The exit code is 1 if replicas end up different, or anything is lost.`,
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
	r := replayOne(c, replayOptions{runs: 1}, t)
	c.progress.stop()
	if err := printResults(c, []result{r}); err != nil {
		return err
	}
	if !r.OK {
		return exitError{exitFailed, ""}
	}
	fmt.Fprint(c.out, "\n\n== A server that is killed\n")
	return runConversation(c)
}

// demoTrace reads the trace that was asked for, or a recorded one beside the repository, or makes one.
func demoTrace(args []string) (*trace.Trace, error) {
	if len(args) == 1 {
		return trace.ReadFile(args[0])
	}
	path := filepath.Join("..", "shared", "traces", "automerge-paper.json.gz")
	if _, err := os.Stat(path); err == nil {
		return trace.ReadFile(path)
	}
	return trace.Generate(1, demoEdits), nil
}
