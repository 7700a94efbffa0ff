package runtime_test

import (
	"fmt"
	"slices"

	"github.com/seed1312cc15/weft/runtime"
)

// A log is a list of lines that anyone may add to; a line can be removed, by anyone who has seen it. Its kind name stands
// in messages and states for ever.
const logKind = "example.com/log"

// Operation codes: the first byte of a payload. A code that was published never changes its meaning.
const (
	logAdd    = 1 // the line
	logRemove = 2 // the dot of a line
)

// logState is the replicated state of one log.
//
//  1. Lines ascend by stamp, so every replica shows them in one order.
//  2. A line's identity is the dot that added it; a removed line leaves nothing behind.
type logState struct {
	runtime.Journal // gives Rollback
	rt              *runtime.Runtime
	lines           []logLine
}

type logLine struct {
	stamp runtime.Stamp
	text  string
}

func newLogState(n *runtime.Node) runtime.Object { return &logState{rt: n.Runtime()} }

// Apply is the one place where operations take effect, own and remote. It reads and checks all of the payload before it
// changes anything.
func (s *logState) Apply(op *runtime.Op) error {
	switch op.Byte("code") {
	case logAdd:
		line := logLine{op.Stamp(), string(op.Rest())} // string copies: the payload is not ours to keep
		if op.Err() != nil || op.Dots != 1 {
			return runtime.ErrInvalidOp
		}
		s.insert(line)
	case logRemove:
		target := op.Reader.Dot("line")
		if err := op.Done(); err != nil {
			return err
		}
		if i := s.find(target); i >= 0 { // else somebody else removed it too
			s.remove(i)
			op.Removed(target, 1)
		}
	default:
		return runtime.ErrNewerOp // of a later version: the object is kept, unread, until an upgrade
	}
	return nil
}

func (s *logState) insert(l logLine) {
	i, _ := slices.BinarySearchFunc(s.lines, l, func(a, b logLine) int { return s.rt.CompareStamps(a.stamp, b.stamp) })
	s.lines = slices.Insert(s.lines, i, l)
	s.Undo(func() { s.lines = slices.Delete(s.lines, i, i+1) })
}

func (s *logState) remove(i int) {
	l := s.lines[i]
	s.lines = slices.Delete(s.lines, i, i+1)
	s.Undo(func() { s.lines = slices.Insert(s.lines, i, l) })
}

func (s *logState) find(d runtime.LocalDot) int {
	return slices.IndexFunc(s.lines, func(l logLine) bool { return l.stamp.Dot == d })
}

func (s *logState) Empty() bool { return len(s.lines) == 0 }

// Save writes in an order that the state alone determines. Entries that the reader of a delta has are left out.
func (s *logState) Save(w *runtime.StateWriter) {
	for _, l := range s.lines {
		if w.Outside(l.stamp.Dot) {
			w.Stamp(l.stamp)
			w.Bytes([]byte(l.text))
		}
	}
}

func (s *logState) Dots(yield func(runtime.LocalDot, uint64)) {
	for _, l := range s.lines {
		yield(l.stamp.Dot, 1)
	}
}

// Merge joins what the other side lists, then drops what it has deleted.
func (s *logState) Merge(r *runtime.StateReader) error {
	listed := make(map[runtime.LocalDot]bool)
	for r.Len() > 0 {
		l := logLine{r.Stamp("line"), string(r.Bytes("text"))}
		if r.Err() != nil {
			return r.Err()
		}
		listed[l.stamp.Dot] = true
		if s.find(l.stamp.Dot) < 0 && !r.Known(l.stamp.Dot) { // known and gone: it was removed here
			s.insert(l)
		}
	}
	for i := len(s.lines) - 1; i >= 0; i-- {
		if d := s.lines[i].stamp.Dot; !listed[d] && r.Deleted(d) {
			s.remove(i)
		}
	}
	return r.Err()
}

func (s *logState) Commit(*runtime.Commit) { s.Forget() }

func (s *logState) Export(*runtime.Exporter) any {
	out := make([]any, len(s.lines))
	for i, l := range s.lines {
		out[i] = l.text
	}
	return out
}

func (s *logState) Check() error {
	if !slices.IsSortedFunc(s.lines, func(a, b logLine) int { return s.rt.CompareStamps(a.stamp, b.stamp) }) {
		return fmt.Errorf("invariant 1: lines are out of order")
	}
	return nil
}

// Log is the handle that users hold: a small value.
type Log struct{ node *runtime.Node }

// NewLog returns the log with this root name.
func NewLog(rt *runtime.Runtime, name string) (Log, error) {
	n, err := rt.Root(name, logKind)
	return Log{n}, err
}

// Add appends a line.
func (l Log) Add(tx runtime.Tx, text string) error {
	w, err := tx.Begin(l.node)
	if err != nil {
		return err
	}
	w.Byte(logAdd)
	w.RawString(text)
	return w.Apply(1)
}

// Remove removes line i.
func (l Log) Remove(tx runtime.Tx, i int) error {
	w, err := tx.Begin(l.node)
	if err != nil {
		return err
	}
	s := l.node.Object().(*logState)
	if i < 0 || i >= len(s.lines) {
		return &runtime.RangeError{Op: "Remove", Index: i, Len: 1, Max: len(s.lines), Unit: "lines"}
	}
	w.Byte(logRemove)
	w.Ref(s.lines[i].stamp.Dot)
	return w.Apply(1)
}

// Lines returns the lines. Like every plain read it panics on a Tx that has ended.
func (l Log) Lines(tx runtime.Tx) []string {
	tx.Read(l.node)
	out := []string{}
	for _, l := range l.node.Object().(*logState).lines {
		out = append(out, l.text)
	}
	return out
}

// A type of one's own: two replicas edit at once, swap updates, and show the same.
func ExampleObject() {
	open := func() (*runtime.Runtime, Log) {
		rt, err := runtime.New(&runtime.Options{Kinds: []runtime.Kind{{Name: logKind, New: newLogState}}})
		if err != nil {
			panic(err)
		}
		log, err := NewLog(rt, "log")
		if err != nil {
			panic(err)
		}
		return rt, log
	}
	ann, annLog := open()
	bob, bobLog := open()
	var sent [][]byte
	ann.OnUpdate(func(u runtime.Update) { sent = append(sent, u.Data) })

	_ = ann.Transact(func(tx runtime.Tx) error { return annLog.Add(tx, "milk") })
	_ = bob.Load(must(ann.Save()))
	_ = bob.Transact(func(tx runtime.Tx) error { return bobLog.Remove(tx, 0) })
	_ = ann.Transact(func(tx runtime.Tx) error { return annLog.Add(tx, "bread") }) // at the same time
	_, _ = bob.Receive(sent[1])
	_ = ann.Load(must(bob.Save()))

	fmt.Println(runtime.Read(ann, annLog.Lines), runtime.Read(bob, bobLog.Lines))
	fmt.Println(ann.Digest() == bob.Digest())
	// Output:
	// [bread] [bread]
	// true
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
