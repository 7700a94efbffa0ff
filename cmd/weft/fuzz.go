package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"github.com/seed1312cc15/weft/fuzz"
	"github.com/seed1312cc15/weft/fuzz/decoders"
)

var fuzzCommand = &command{
	name:  "fuzz",
	args:  "",
	short: "replay the script of a history that failed; damaged bytes for all decoders",
	long: `
fuzz -replay FILE makes the steps of a script, as the convergence tests write them when they fail, with all checks after
each, and shows what came of each step and the state of every replica: name, digest, clock (the last message of each
writer), messages that wait, and value. The exit code is 1 if the script fails.

A script is text that can be edited: "schema NAME" first, then a line for each step, and indented below it the operations
of a transaction. What no longer makes sense is left out and said so. Schemas: ` + schemaNames() + `. Scripts of other
schemas are replayed by the test that wrote them: go test -run TEST -v PACKAGE -fuzz.replay=FILE.

fuzz -decoders N hands N damaged and forged inputs to the decoders of bytes from outside, in rounds that are functions of
their seeds, from -seed on, and reports executions by decoder. -only NAME takes one of them: ` + strings.Join(decoders.Decoders(), ", ") + `. What is refused must change nothing,
what is accepted must be sound. For a round that fails it prints the input and the command that repeats it; the exit code is 1.`,
	setup: func(fs *flag.FlagSet) func(*console, []string) error {
		var d decoding
		file := fs.String("replay", "", "the script `FILE`")
		fs.IntVar(&d.inputs, "decoders", 0, "how many inputs, `N`, decoders get in all")
		fs.IntVar(&d.jobs, "jobs", 2, "rounds at a time, `N`, with -decoders")
		fs.Uint64Var(&d.options.Seed, "seed", 0, "the seed of the first round, `N`, with -decoders")
		fs.StringVar(&d.options.Decoder, "only", "", "the `decoder` to test, with -decoders")
		return func(c *console, args []string) error {
			switch {
			case d.inputs == 0:
				return replayScript(c, *file, args)
			case *file != "" || len(args) > 0 || d.inputs < 0 || d.jobs < 1:
				return usage("-decoders is positive, -jobs at least 1, and there is nothing beside them")
			case d.options.Decoder != "" && !slices.Contains(decoders.Decoders(), d.options.Decoder):
				return usage("-only is none of the decoders; see weft help fuzz")
			}
			return d.run(c)
		}
	},
}

// decoding is what weft fuzz -decoders does.
type decoding struct {
	options      decoders.Options
	inputs, jobs int
}

func (d *decoding) run(c *console) error {
	begin, told := time.Now(), 0
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt) // what was done until then is reported
	defer stop()
	t, err := decoders.Soak(ctx, d.options, d.jobs, d.inputs, func(t *decoders.Total) {
		for ; told < len(t.Failed); told++ {
			f := t.Failed[told]
			fmt.Fprintf(c.err, "%v\nweft fuzz -decoders %d -jobs 1 -seed %d -only %q\n", f, f.Index+1, f.Seed, f.Decoder)
		}
		c.progress.set("%d executions", t.Executions)
	})
	if err != nil {
		return err
	}
	took := time.Since(begin)
	if c.json {
		json.NewEncoder(c.out).Encode(map[string]any{
			"executions": t.Executions, "accepted": t.Accepted, "rounds": t.Rounds, "failed": len(t.Failed), "of": t.Of, "seconds": took.Seconds(),
		})
	} else {
		fmt.Fprintf(c.out, "%d executions in %v, %.0f a second; %d accepted; %d rounds, %d failed\n",
			t.Executions, took.Round(time.Second), float64(t.Executions)/took.Seconds(), t.Accepted, t.Rounds, len(t.Failed))
		for _, name := range decoders.Decoders() {
			if n := t.Of[name]; n > 0 {
				fmt.Fprintf(c.out, "%10d %s, %v each\n", n, name, (t.Took[name] / time.Duration(n)).Round(100*time.Nanosecond))
			}
		}
	}
	if n := len(t.Failed); n > 0 {
		return exitError{exitFailed, fmt.Sprintf("%d of %d rounds failed", n, t.Rounds)}
	}
	return nil
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
		return usage("it takes -replay FILE or -decoders N")
	case c.json:
		return usage("the steps are for people; there is no JSON of them")
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	err = fuzz.Replay(bytes.NewReader(data), c.out, fuzz.Schemas()...)
	switch {
	case errors.Is(err, fuzz.ErrSchema):
		return fmt.Errorf("%w; the test that wrote the script replays it: go test -run TEST -v PACKAGE -fuzz.replay=%s", err, file)
	case errors.Is(err, fuzz.ErrScript):
		return err
	}
	if err != nil {
		return exitError{exitFailed, "the script fails"}
	}
	return nil
}
