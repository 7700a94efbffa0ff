package main

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"strings"

	"github.com/seed1312cc15/weft/fuzz"
)

var fuzzCommand = &command{
	name:  "fuzz",
	args:  "",
	short: "replay the script of a history that failed, step by step",
	long: `
fuzz -replay FILE makes the steps of a script, as the convergence tests write them when they fail, with all checks after
each, and shows what came of each step and the state of every replica: name, digest, clock (the last message of each
writer), messages that wait, and value. The exit code is 1 if the script fails.

A script is text that can be edited: "schema NAME" first, then a line for each step, and indented below it the operations
of a transaction. What no longer makes sense is left out and said so. Schemas: ` + schemaNames() + `. Scripts of other
schemas are replayed by the test that wrote them: go test -run TEST -v PACKAGE -fuzz.replay=FILE.`,
	setup: func(fs *flag.FlagSet) func(*console, []string) error {
		file := fs.String("replay", "", "the script `FILE`")
		return func(c *console, args []string) error { return replayScript(c, *file, args) }
	},
}

func schemaNames() string {
	var names []string
	for _, s := range fuzz.Schemas() {
		names = append(names, s.String())
	}
	return strings.Join(names, ", ")
}

func replayScript(c *console, file string, args []string) error {
	switch {
	case file == "" || len(args) > 0:
		return usage("it takes -replay FILE")
	case c.json:
		return usage("the steps are for people; there is no JSON of them")
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	err = fuzz.Replay(bytes.NewReader(data), c.out, fuzz.Schemas()...)
	if errors.Is(err, fuzz.ErrScript) {
		return err
	}
	if err != nil {
		return exitError{exitFailed, "the script fails"}
	}
	return nil
}
