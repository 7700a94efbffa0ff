// Command weft replays editing traces, checks recorded histories, and reads, merges and compares Weft documents.
//
// "weft help" lists the subcommands; "weft help COMMAND" explains one. main.go finds the command and parses its flags;
// each command has a file of its own. replay.go is the main job: writers.go replays a trace with one replica an agent,
// trial.go measures, verify.go checks that four replicas that got the same transactions in four ways are equal.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

// The exit codes.
const (
	exitOK     = 0
	exitFailed = 1 // the work was done and its answer is no, or a file could not be used
	exitUsage  = 2 // the command line makes no sense
)

// command is one subcommand.
type command struct {
	name  string
	args  string // what follows the flags
	short string // one line
	long  string
	// plainAfter is how many arguments may come before flags end; 0: flags may stand anywhere.
	plainAfter int
	// setup declares the flags and returns what runs once they are parsed.
	setup func(fs *flag.FlagSet) func(c *console, args []string) error
}

func commands() []*command {
	return append(serverCommands(), connectCommand, storeCommand,
		replayCommand, conformanceCommand, inspectCommand, exportCommand, mergeCommand, diffCommand, demoCommand,
		fuzzCommand, simulateCommand, benchCommand, versionCommand)
}

// console is where a command writes to.
type console struct {
	out, err io.Writer
	json     bool // for machines
	progress *progress
}

// usageError is a command line that makes no sense.
type usageError struct{ text string }

func (e usageError) Error() string { return e.text }

func usage(format string, args ...any) error { return usageError{fmt.Sprintf(format, args...)} }

// exitError ends the program with a code and, unless text is empty, a message.
type exitError struct {
	code int
	text string
}

func (e exitError) Error() string { return e.text }

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run runs one command line and returns the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		writeHelp(stderr)
		return exitUsage
	}
	name := args[0]
	switch name {
	case "help", "-h", "-help", "--help":
		return help(args[1:], stdout, stderr)
	case "-version", "--version":
		name = versionCommand.name
	}
	cmd := find(name)
	if cmd == nil {
		fmt.Fprintf(stderr, "weft: unknown command %q; \"weft help\" lists the commands\n", clip(name, 60))
		return exitUsage
	}
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	c := &console{out: stdout, err: stderr, progress: newProgress(stderr)}
	fs.BoolVar(&c.json, "json", false, "write JSON for machines")
	exec := cmd.setup(fs)
	rest, err := parse(fs, args[1:], cmd.plainAfter)
	switch {
	case errors.Is(err, flag.ErrHelp):
		cmd.writeHelp(stdout)
		return exitOK
	case err == nil:
		err = exec(c, rest)
	default:
		err = usageError{err.Error()}
	}
	c.progress.stop()
	return report(cmd, err, stderr)
}

// report prints an error and returns the exit code that goes with it.
func report(cmd *command, err error, stderr io.Writer) int {
	var wrong usageError
	var exit exitError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &wrong):
		fmt.Fprintf(stderr, "weft %s: %v\n%s; \"weft help %s\" tells more\n", cmd.name, err, cmd.line(), cmd.name)
		return exitUsage
	case errors.As(err, &exit):
		if exit.text != "" {
			fmt.Fprintf(stderr, "weft %s: %s\n", cmd.name, exit.text)
		}
		return exit.code
	}
	fmt.Fprintf(stderr, "weft %s: %v\n", cmd.name, err)
	return exitFailed
}

// parse is fs.Parse that also takes flags after the first argument, as long as there are fewer than plainAfter, if that
// is not 0. "--" ends the flags.
func parse(fs *flag.FlagSet, args []string, plainAfter int) (rest []string, err error) {
	for {
		if plainAfter > 0 && len(rest) >= plainAfter {
			return append(rest, args...), nil
		}
		before := len(args)
		if err := fs.Parse(args); err != nil {
			return nil, err
		}
		left := fs.Args()
		if used := before - len(left); used > 0 && args[used-1] == "--" {
			return append(rest, left...), nil
		}
		if len(left) == 0 {
			return rest, nil
		}
		rest, args = append(rest, left[0]), left[1:]
	}
}

func find(name string) *command {
	for _, c := range commands() {
		if c.name == name {
			return c
		}
	}
	return nil
}

func help(args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		writeHelp(stdout)
		return exitOK
	}
	cmd := find(args[0])
	if cmd == nil {
		fmt.Fprintf(stderr, "weft: unknown command %q; \"weft help\" lists the commands\n", clip(args[0], 60))
		return exitUsage
	}
	cmd.writeHelp(stdout)
	return exitOK
}

func writeHelp(w io.Writer) {
	fmt.Fprint(w, "weft works on documents that many people edit at once.\n\nusage: weft COMMAND [flags] ...\n\n")
	for _, c := range commands() {
		fmt.Fprintf(w, "  %-12s %s\n", c.name, c.short)
	}
	fmt.Fprint(w, "\n\"weft help COMMAND\" explains one. Exit codes: 0 done, 1 the answer is no or a file cannot be used, 2 wrong usage.\n")
}

func (c *command) line() string {
	return strings.TrimSpace("usage: weft " + c.name + " [flags] " + c.args)
}

func (c *command) writeHelp(w io.Writer) {
	fmt.Fprintf(w, "%s\n\n%s\n\nflags:\n", c.line(), strings.TrimSpace(c.long))
	fs := flag.NewFlagSet(c.name, flag.ContinueOnError)
	fs.SetOutput(w)
	fs.Bool("json", false, "write JSON for machines")
	c.setup(fs)
	fs.PrintDefaults()
}
