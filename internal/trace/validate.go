package trace

import (
	"fmt"
	"math"
	"unicode/utf8"
)

// Validate returns an *Error if one of the numbered claims of Trace does not hold. Read has done it already.
func (t *Trace) Validate() error {
	if err := t.validate(Limits{}.withDefaults()); err != nil {
		return err
	}
	return nil
}

func (t *Trace) validate(limits Limits) *Error {
	if err := t.validateNumbers(); err != nil {
		return err
	}
	if !t.Concurrent {
		return t.validateSequence()
	}
	if t.Start != "" {
		return invalid(-1, -1, "startContent", "a concurrent trace starts empty")
	}
	if err := t.validateGraph(); err != nil {
		return err
	}
	return t.validateChains(limits)
}

func invalid(txn, patch int, field, format string, args ...any) *Error {
	return &Error{Txn: txn, Patch: patch, Field: field, Offset: -1, Detail: fmt.Sprintf(format, args...), Err: ErrCorrupt}
}

func (t *Trace) validateNumbers() *Error {
	if t.Agents < 0 || t.Agents > math.MaxInt32 {
		return invalid(-1, -1, "numAgents", "%d is out of range", t.Agents)
	}
	if !utf8.ValidString(t.Start) {
		return invalid(-1, -1, "startContent", "invalid UTF-8")
	}
	if !utf8.ValidString(t.End) {
		return invalid(-1, -1, "endContent", "invalid UTF-8")
	}
	for i := range t.Txns {
		for j, p := range t.Txns[i].Patches {
			switch {
			case p.Pos < 0 || p.Deleted < 0 || p.Pos > math.MaxInt32 || p.Deleted > math.MaxInt32:
				return invalid(i, j, "patches", "position %d or count %d is out of range", p.Pos, p.Deleted)
			case !utf8.ValidString(p.Inserted):
				return invalid(i, j, "patches", "invalid UTF-8")
			}
		}
	}
	return nil
}

func (t *Trace) validateSequence() *Error {
	if t.Agents != 1 {
		return invalid(-1, -1, "numAgents", "a sequential trace has one agent, not %d", t.Agents)
	}
	length := utf8.RuneCountInString(t.Start)
	for i := range t.Txns {
		if t.Txns[i].Agent != 0 || t.Txns[i].Parents != nil {
			return invalid(i, -1, "", "parents or agent in a sequential trace")
		}
		for j, p := range t.Txns[i].Patches {
			if p.Pos > length || p.Deleted > length-p.Pos {
				return invalid(i, j, "patches", "%d code points at %d go beyond the length %d", p.Deleted, p.Pos, length)
			}
			length += utf8.RuneCountInString(p.Inserted) - p.Deleted
		}
	}
	if end := utf8.RuneCountInString(t.End); end != length {
		return invalid(-1, -1, "endContent", "%d code points where the patches leave %d", end, length)
	}
	return nil
}

func (t *Trace) validateGraph() *Error {
	named := make([]int, len(t.Txns)) // 1 + the last transaction that named this one as a parent
	for i := range t.Txns {
		txn := &t.Txns[i]
		if txn.Agent < 0 || txn.Agent >= t.Agents {
			return invalid(i, -1, "agent", "%d is not below %d", txn.Agent, t.Agents)
		}
		for _, p := range txn.Parents {
			if p < 0 || p >= i {
				return invalid(i, -1, "parents", "%d does not come before it", p)
			}
			if named[p] == i+1 {
				return invalid(i, -1, "parents", "%d is named twice", p)
			}
			named[p] = i + 1
		}
	}
	return nil
}

func (t *Trace) validateChains(limits Limits) *Error {
	writers := map[int]bool{}
	size := int64(len(t.Txns))
	for i := range t.Txns {
		writers[t.Txns[i].Agent] = true
		size += int64(len(t.Txns[i].Parents))
	}
	if work := int64(len(writers)) * size; work > limits.Work {
		e := invalid(-1, -1, "txns", "the graph takes %d steps to check, Limits.Work is %d", work, limits.Work)
		e.Err = ErrLimit
		return e
	}
	w := newWalker(t)
	for i := range t.Txns {
		if _, chained := w.step(i); !chained {
			return invalid(i, -1, "parents", "agent %d wrote it without its own transaction before", t.Txns[i].Agent)
		}
	}
	return nil
}
