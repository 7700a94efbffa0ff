package fuzz

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/seed1312cc15/weft/vclock"
)

// Replay makes the steps of a script one by one, with all checks after each, and writes each step, what came of it, and
// the state of every replica to out. known are the schemas that the script may name. Errors: ErrScript, ErrSchema, or how
// the script fails.
func Replay(in io.Reader, out io.Writer, known ...Schema) error {
	sc, err := parseScript(in)
	if err != nil {
		return err
	}
	var names []string
	for _, k := range known {
		s, err := k.erase()
		if err != nil {
			return err
		}
		if s.name == sc.schema {
			return s.replayTo(sc, out)
		}
		names = append(names, s.name)
	}
	return fmt.Errorf("%w: %s; known are: %s", ErrSchema, sc.schema, strings.Join(names, ", "))
}

func (s *subject) replayTo(sc *script, out io.Writer) error {
	for _, l := range sc.steps {
		if stepNamed(l.name) == nil {
			return fmt.Errorf("%w: there is no step %q", ErrScript, l.name)
		}
		for _, op := range l.ops {
			if s.edits[op.name] == nil {
				return fmt.Errorf("%w: the schema %s has no operation %q; these are: %s", ErrScript, s.name, op.name, strings.Join(s.names, ", "))
			}
		}
	}
	n := 0
	var at *line
	w, err := s.replay(sc, mode{every: 1, full: true, trace: func(l *line, format string, args ...any) {
		if l != at && l.name != "" {
			n++
			fmt.Fprintf(out, "%d. %s\n", n, strings.ReplaceAll(l.String(), "\n", "\n   "))
		}
		if at = l; format != "" {
			fmt.Fprintf(out, "   "+format+"\n", args...)
		}
	}}, func(w *world, l *line, done bool) {
		if !done {
			fmt.Fprintf(out, "   nothing to do\n")
		}
		w.show(out)
	})
	if err != nil {
		_ = caught(func() { w.show(out) }) // what is broken may not be able to show itself
		fmt.Fprintf(out, "it fails: %v\n", err)
		return fmt.Errorf("step %d: %w", n, err)
	}
	fmt.Fprintf(out, "\nall is delivered to all:\n")
	w.show(out)
	return nil
}

// show writes the state of each replica.
func (w *world) show(out io.Writer) {
	for _, r := range w.replicas {
		digest := r.rt.Digest()
		value, err := json.Marshal(r.rt.Export())
		if err != nil {
			value = []byte(err.Error())
		}
		away := ""
		if r.offline {
			away = ", offline"
		}
		fmt.Fprintf(out, "   %-3s %s at %s, %d waiting%s\n       %s\n", r.name, hex.EncodeToString(digest[:4]), w.clock(r.rt.Clock()),
			r.rt.Waiting(), away, value)
	}
	fmt.Fprintln(out)
}

// clock names a clock by the last messages of each writer that it covers.
func (w *world) clock(c vclock.Clock) string {
	last := make(map[vclock.Replica]string)
	var order []vclock.Replica
	for _, m := range w.log {
		if c.Covers(m.Dot) {
			if last[m.Dot.Replica] == "" {
				order = append(order, m.Dot.Replica)
			}
			last[m.Dot.Replica] = m.name
		}
	}
	names := make([]string, len(order))
	for i, id := range order {
		names[i] = last[id]
	}
	return fmt.Sprint(names)
}
