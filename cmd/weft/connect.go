package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/providers/ws"
	"github.com/seed1312cc15/weft/runtime"
)

// exitRefused is the exit code of connect when the server refuses this client, its document or its edits.
const exitRefused = 3

var connectCommand = &command{
	name:  "connect",
	args:  "URL DOC [COMMAND]",
	short: "look at and edit a document of a server",
	long: `
connect opens the document DOC of the server at URL (ws://HOST:PORT, wss://HOST) and runs COMMAND, or commands from stdin, a
line each, split into words as a shell does. Flags stand before COMMAND.

  print [PATH]               the value as JSON
  set PATH VALUE             set a register, a flag, a key of a map, an element of a list, or a whole text
  insert PATH INDEX TEXT     insert into a text, or a VALUE into a list; INDEX counts code points or elements, or is "end"
  delete PATH INDEX COUNT    delete from a text or a list
  delete PATH [VALUE]        delete a key of a map, clear a register, or remove VALUE from a set
  add PATH NUMBER            add to a counter, which may be negative, or a VALUE to a set
  watch [N]                  the value, then each change as a line of JSON; ends after N changes
  status                     what is known of document and server, as JSON
  save                       (on stdin) wait, as --wait says, here and not only at the end

PATH is the name of a root, then keys, joined by "/": title, budget/fuel, trip/notes. The kind of something that does not
exist yet follows from the command (set: register, or map for one key; insert: text; add: counter), or stands behind it:
todo:list, going:set, trip:record/notes:text. A map has keys that are text; another key stands behind "=" as JSON, such as
rooms/=12. In names "~1" stands for "/", "~2" for ":", "~0" for "~". VALUE is JSON; what is none counts as text.

Each edit is one transaction. connect ends when the server has all edits on its disk or, with --wait synced, has them at
all, for servers that keep nothing.

Exit codes: 0 done; 1 failed, or --timeout is over: edits may have arrived, or not; 2 wrong usage; 3 refused by the server,
whose code is in the message, such as FORBIDDEN. On stdin the first command that fails ends it; edits before stay.`,
	plainAfter: 3,
	setup: func(fs *flag.FlagSet) func(*console, []string) error {
		var o connectOptions
		fs.StringVar(&o.tokenFile, "token-file", "", "send the token in `FILE` (its first line)")
		fs.StringVar(&o.wait, "wait", "saved", "`WHAT` ends the wait for edits: saved, durably, or synced, the server has them")
		fs.DurationVar(&o.timeout, "timeout", 30*time.Second, "give up after `TIME`, 0: never; watch has no limit once it shows the value")
		return func(c *console, args []string) error { return connect(c, &o, args) }
	},
}

type connectOptions struct {
	tokenFile, wait string
	timeout         time.Duration
}

// terminal is a document that is open, and who works on it.
type terminal struct {
	c        *console
	o        *connectOptions
	rt       *runtime.Runtime
	doc      *providers.Document
	opened   atomic.Pointer[providers.Opened]
	stopped  chan error // why the document has ended for good
	edited   bool
	deadline context.Context
	forever  context.Context // ends by a signal only
}

func connect(c *console, o *connectOptions, args []string) error {
	switch {
	case len(args) < 2:
		return usage("which document of which server?")
	case o.wait != "saved" && o.wait != "synced":
		return usage("--wait is saved or synced")
	case o.timeout < 0:
		return usage("--timeout is negative")
	}
	words := args[2:]
	if len(words) > 0 {
		if words[0] == "save" {
			return usage("save is for commands from stdin: without it connect waits too")
		}
		if err := checkCommand(words); err != nil {
			return err
		}
	}
	token, err := readToken(o.tokenFile)
	if err != nil {
		return err
	}
	if u, err := url.Parse(args[0]); err != nil || u.Scheme != "ws" && u.Scheme != "wss" || u.Host == "" {
		return usage("%q is no ws://HOST:PORT or wss://HOST", clip(args[0], 60))
	}
	signaled, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	t := &terminal{c: c, o: o, forever: signaled, deadline: signaled, stopped: make(chan error, 1)}
	if o.timeout > 0 {
		var cancel context.CancelFunc
		t.deadline, cancel = context.WithTimeout(signaled, o.timeout)
		defer cancel()
	}
	c.progress.set("connecting to %s", args[0])
	return t.work(args[0], args[1], token, words)
}

// readToken returns the first line of a file.
func readToken(path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, providers.MaxToken+2))
	if err != nil {
		return nil, named(path, err)
	}
	line, _, _ := strings.Cut(string(b), "\n")
	line = strings.TrimSpace(line)
	if line == "" || len(line) > providers.MaxToken {
		return nil, fmt.Errorf("%s: want a token of 1 to %d bytes in the first line", path, providers.MaxToken)
	}
	return []byte(line), nil
}

// work opens the document and does what is to be done.
func (t *terminal) work(url, name string, token []byte, words []string) (err error) {
	if t.rt, err = runtime.New(&runtime.Options{Kinds: crdt.Kinds()}); err != nil {
		return err
	}
	client, err := ws.NewClient(url, &ws.ClientOptions{ClientOptions: providers.ClientOptions{
		Agent: "weft connect", Token: func(context.Context) ([]byte, error) { return token, nil },
		Handle: func(_ *providers.Client, e providers.Event) { t.ended(e) },
	}})
	if err != nil {
		return err
	}
	defer client.Close()
	t.doc, err = client.Open(t.rt, name, &providers.DocumentOptions{
		Session: providers.Options{TrustReceived: t.o.wait == "synced"},
		Handle: func(_ *providers.Document, e providers.Event) {
			if o, ok := e.(providers.Opened); ok {
				t.opened.Store(&o)
			}
			t.ended(e)
		},
	})
	if err != nil {
		return t.explain(err)
	}
	if err := t.doc.Synced(t.deadline); err != nil {
		return t.explain(err)
	}
	t.c.progress.stop()
	if len(words) > 0 {
		err = t.run(words)
	} else {
		err = t.script(os.Stdin)
	}
	return errors.Join(err, t.save())
}

// ended notes why the connection or the document has ended for good.
func (t *terminal) ended(e providers.Event) {
	if s, ok := e.(providers.StatusChanged); ok && s.Status == providers.Stopped {
		select {
		case t.stopped <- s.Err:
		default: // the first one counts
		}
	}
}

// script runs commands from stdin until one fails. Errors name the line.
func (t *terminal) script(r io.Reader) error {
	in := bufio.NewScanner(r)
	in.Buffer(nil, 1<<20)
	for n := 1; in.Scan(); n++ {
		words, err := splitWords(in.Text())
		if err == nil && len(words) > 0 {
			if err = checkCommand(words); err == nil {
				err = t.run(words)
			}
		}
		if wrong := (usageError{}); errors.As(err, &wrong) {
			return fmt.Errorf("line %d: %w", n, wrong)
		}
		if err != nil {
			return err
		}
	}
	return in.Err()
}

// checkCommand returns a usageError if a command is none.
func checkCommand(words []string) error {
	want := map[string]struct {
		least, most int
		args        string
	}{
		"print": {0, 1, "[PATH]"}, "set": {2, 2, "PATH VALUE"}, "insert": {3, 3, "PATH INDEX TEXT"},
		"delete": {1, 3, "PATH INDEX COUNT, PATH VALUE or PATH"}, "add": {2, 2, "PATH NUMBER"}, "watch": {0, 1, "[N]"}, "status": {}, "save": {},
	}
	w, ok := want[words[0]]
	if !ok {
		return usage("there is no command %q: print, set, insert, delete, add, watch, status", clip(words[0], 40))
	}
	if n := len(words) - 1; n < w.least || n > w.most {
		return usage("want: %s", strings.TrimSpace(words[0]+" "+w.args))
	}
	if words[0] == "print" || len(words) == 1 || words[0] == "watch" {
		return nil
	}
	_, err := parsePath(words[1])
	return err
}

// run runs one command.
func (t *terminal) run(words []string) error {
	switch words[0] {
	case "print":
		return t.print(words[1:])
	case "watch":
		return t.watch(words[1:])
	case "status":
		return t.status()
	case "save":
		return t.save()
	}
	if o := t.opened.Load(); o != nil && o.ReadOnly {
		return exitError{exitRefused, "refused with " + providers.CodeReadOnly.String() + ": this client may only read the document"}
	}
	if err := edit(t.rt, words); err != nil {
		return err
	}
	t.edited = true
	return nil
}

// save waits until the server has all edits.
func (t *terminal) save() error {
	if !t.edited {
		return nil
	}
	t.c.progress.set("saving")
	if err := t.doc.Saved(t.deadline); err != nil {
		return t.explain(err)
	}
	return nil
}

// explain turns what the client says into what the exit code says.
func (t *terminal) explain(err error) error {
	var refused *providers.RefusedError
	var ended *providers.EndedError
	switch {
	case errors.As(err, &refused):
		return exitError{exitRefused, refusal(refused.Code, refused.Reason)}
	case errors.As(err, &ended) && !ended.Code.Transient():
		return exitError{exitRefused, refusal(ended.Code, ended.Reason)}
	case errors.Is(err, providers.ErrNotDurable):
		return errors.New("the server keeps nothing on a disk; --wait synced is all that it can promise")
	case errors.Is(err, context.DeadlineExceeded):
		if status, why := t.doc.Status(); why != nil {
			return fmt.Errorf("nothing after %v: the document is %v: %w", t.o.timeout, status, why)
		}
		return fmt.Errorf("nothing after %v", t.o.timeout)
	case errors.Is(err, context.Canceled):
		return errors.New("interrupted")
	}
	return err
}

func refusal(code providers.Code, reason string) string {
	if reason == "" {
		return "refused with " + code.String()
	}
	return "refused with " + code.String() + ": " + reason
}
