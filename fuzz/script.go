package fuzz

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// ErrScript marks text that is not a script; the error names the line.
var ErrScript = errors.New("fuzz: not a script")

// ErrSchema marks a script of a schema that is not known; the error names it. The test that wrote the script can replay it, with
// -fuzz.replay.
var ErrSchema = errors.New("fuzz: unknown schema")

// Bounds of what a script may hold.
const (
	maxScriptLine = 1 << 20
	maxScriptSize = 1 << 20 // lines
)

// script is a history as text: a header, then a line for each step, and indented below it one for each operation.
//
//	schema text
//
//	join name=A id=17 deletions=512 history=all
//	edit writer=A is=m1
//	  insert at=0 text="hello"
//	deliver to=B message=m1
//
// Lines that begin with # and empty lines say nothing.
type script struct {
	schema string
	steps  []*line
}

// line is one step or operation with what was drawn for it.
type line struct {
	name string
	args []arg
	ops  []*line
}

// arg is something drawn; value is as it stands in the text, quoted if need be.
type arg struct{ label, value string }

func isWord(s string) bool {
	for _, r := range s {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.", r)) {
			return false
		}
	}
	return s != ""
}

// isBare reports whether a value stands without quotes.
func isBare(s string) bool {
	for _, r := range s {
		if r <= ' ' || r >= 0x7f || strings.ContainsRune(`"=#`, r) {
			return false
		}
	}
	return s != ""
}

func (l *line) append(b *strings.Builder, indent string) {
	b.WriteString(indent + l.name)
	for _, a := range l.args {
		v := a.value
		if !isBare(v) {
			v = strconv.Quote(v)
		}
		b.WriteString(" " + a.label + "=" + v)
	}
	b.WriteByte('\n')
	for _, op := range l.ops {
		op.append(b, indent+"  ")
	}
}

func (l *line) String() string {
	var b strings.Builder
	l.append(&b, "")
	return strings.TrimRight(b.String(), "\n")
}

// String returns the text; parseScript reads it.
func (s *script) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "schema %s\n\n", s.schema)
	for _, l := range s.steps {
		l.append(&b, "")
	}
	return b.String()
}

func parseScript(r io.Reader) (*script, error) {
	s := &script{}
	in := bufio.NewScanner(r)
	in.Buffer(make([]byte, 0, 4096), maxScriptLine)
	for n := 1; in.Scan(); n++ {
		text := in.Text()
		if n > maxScriptSize {
			return nil, fmt.Errorf("%w: more than %d lines", ErrScript, maxScriptSize)
		}
		if t := strings.TrimSpace(text); t == "" || t[0] == '#' {
			continue
		}
		if err := s.add(text); err != nil {
			return nil, fmt.Errorf("%w: line %d: %v", ErrScript, n, err)
		}
	}
	if err := in.Err(); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrScript, err)
	}
	if s.schema == "" {
		return nil, fmt.Errorf("%w: it has no line \"schema NAME\"", ErrScript)
	}
	return s, nil
}

func (s *script) add(text string) error {
	if name, ok := strings.CutPrefix(text, "schema "); ok && s.schema == "" {
		s.schema = strings.TrimSpace(name)
		if !isWord(s.schema) {
			return fmt.Errorf("the schema %q is no word", s.schema)
		}
		return nil
	}
	l, err := parseLine(strings.TrimSpace(text))
	switch {
	case err != nil:
		return err
	case s.schema == "":
		return errors.New("the first line has to be \"schema NAME\"")
	case text[0] != ' ' && text[0] != '\t':
		s.steps = append(s.steps, l)
	case len(s.steps) == 0:
		return errors.New("an operation before any step")
	default:
		last := s.steps[len(s.steps)-1]
		last.ops = append(last.ops, l)
	}
	return nil
}

func parseLine(text string) (*line, error) {
	name, rest, _ := strings.Cut(text, " ")
	if !isWord(name) {
		return nil, fmt.Errorf("%q is no word", name)
	}
	l := &line{name: name}
	for rest = strings.TrimSpace(rest); rest != ""; rest = strings.TrimSpace(rest) {
		label, after, ok := strings.Cut(rest, "=")
		if !ok || !isWord(label) {
			return nil, fmt.Errorf("%q is not label=value", rest)
		}
		value, tail, _ := strings.Cut(after, " ")
		if strings.HasPrefix(after, `"`) {
			quoted, err := strconv.QuotedPrefix(after)
			if err != nil {
				return nil, fmt.Errorf("%s: %q is not a quoted string", label, after)
			}
			if value, err = strconv.Unquote(quoted); err != nil {
				return nil, err
			}
			tail = after[len(quoted):]
		}
		l.args = append(l.args, arg{label, value})
		rest = tail
	}
	return l, nil
}
