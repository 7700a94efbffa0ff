package main

import (
	"encoding/hex"
	"flag"
	"fmt"

	"github.com/seed1312cc15/weft/runtime"
)

var mergeCommand = &command{
	name:  "merge",
	args:  "-o OUT FILE...",
	short: "join saved states, deltas, messages and bundles into one saved state",
	long: `
merge joins what its files hold and writes the saved state of the result to OUT, which may be one of the files: it is
replaced in one step, and only when all went well. The same files give the same bytes in any order.
No schema is needed: objects of kinds that this program does not know are kept whole. Messages whose dependencies are
missing are kept waiting, and the note on stderr says what they lack.

As a merge driver of git, for files *.weft:

  git config merge.weft.driver "weft merge -o %A %A %B"
  echo "*.weft merge=weft" >> .gitattributes`,
	setup: func(fs *flag.FlagSet) func(*console, []string) error {
		out := fs.String("o", "", "write the saved state to `OUT`")
		level := fs.Int("z", 0, "compress the state: `LEVEL` 1 (fast) to 4 (small), 0 not at all")
		return func(c *console, args []string) error { return merge(c, *out, *level, args) }
	},
}

type merged struct {
	Files    int    `json:"files"`
	Replicas int    `json:"replicas"`
	Bytes    int    `json:"bytes"`
	Digest   string `json:"digest"`
	Waiting  int    `json:"waiting"`
	Missing  []span `json:"missing,omitempty"` // what these wait for
}

func merge(c *console, out string, level int, paths []string) error {
	switch {
	case out == "":
		return usage("-o OUT is missing")
	case len(paths) == 0:
		return usage("which files?")
	case level < 0 || level > 4:
		return usage("-z takes 0 to 4")
	}
	c.progress.set("joining %s", plural(len(paths), "file"))
	rt, err := join(paths)
	if err != nil {
		return err
	}
	var options []runtime.SaveOption
	if level > 0 {
		options = append(options, runtime.Compressed(level))
	}
	state, err := rt.Save(options...)
	if err != nil {
		return err
	}
	if err := writeFile(out, state); err != nil {
		return err
	}
	c.progress.stop()
	if note := waitingNote(rt); note != "" && !c.json {
		fmt.Fprintln(c.err, "weft merge:", note)
	}
	if c.json {
		digest := rt.Digest()
		return writeJSON(c.out, merged{len(paths), len(rt.Clock()), len(state), hex.EncodeToString(digest[:]), rt.Waiting(), missing(rt)})
	}
	return nil
}
