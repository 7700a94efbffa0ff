// Package bag is a kind of object for tests of package runtime and of the convergence kit: values and child objects under
// dots, with every part of the Object contract, and switches that break each.
package bag

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/seed1312cc15/weft/runtime"
)

// Name is the kind's name.
const Name = "example.com/bag"

// Operation codes.
const (
	opAdd    = 1 // value
	opRemove = 2 // dots
	opMake   = 3 // name of the child's kind
	opMark   = 4 // version 2: a value that counts as added with an exclamation mark
)

// Options change how a bag works.
type Options struct {
	// Name replaces the kind's name.
	Name string
	// Version 1 does not know opMark; zero means 2.
	Version int
	// Break names a part of the contract that does not work; see Mutants.
	Break string
	// Fault is asked at "apply", "merge", "commit" and "rollback" and may return an error or panic.
	Fault func(where string) error
}

// Mutants are the values of Options.Break.
var Mutants = []string{
	"order",     // Save in order of arrival
	"rollback",  // nothing is undone
	"known",     // Merge takes in what was deleted here
	"deleted",   // Merge does not drop what was deleted there
	"removed",   // the deletion record is not told
	"live",      // the live dots are not listed
	"outside",   // a delta lists too little
	"merge",     // Merge tells no events
	"undone",    // an event for what was rolled back
	"alias",     // keeps a reference to the payload
	"nonsense",  // changes something, then refuses
	"forgotten", // does not write values of one byte
}

// Kind returns the kind.
func Kind(o Options) runtime.Kind {
	if o.Name == "" {
		o.Name = Name
	}
	if o.Version == 0 {
		o.Version = 2
	}
	return runtime.Kind{Name: o.Name, New: func(n *runtime.Node) runtime.Object {
		return &state{Options: o, node: n, entries: make(map[runtime.LocalDot]entry)}
	}}
}

// Change is an event: what came and what went, sorted.
type Change struct {
	runtime.Meta
	Added, Removed []string
}

type state struct {
	Options
	runtime.Journal
	node      *runtime.Node
	entries   map[runtime.LocalDot]entry
	observers runtime.Observers[Change]
	change    Change
	arrival   int
}

// entry is a value or a child object.
type entry struct {
	value   []byte
	child   *runtime.Node
	arrival int
}

func (e entry) String() string {
	if e.child != nil {
		return "<" + e.child.Kind() + ">"
	}
	return string(e.value)
}

func (s *state) broken(what string) bool { return s.Break == what }

func (s *state) fault(where string) error {
	if s.Fault == nil {
		return nil
	}
	return s.Fault(where)
}

func (s *state) Apply(op *runtime.Op) error {
	if err := s.fault("apply"); err != nil {
		return err
	}
	code := op.Byte("code")
	switch {
	case code == opAdd, code == opMark && s.Version >= 2:
		v := op.Rest()
		if err := op.Err(); err != nil {
			return err
		}
		if !s.broken("alias") {
			v = slices.Clone(v)
		}
		if code == opMark {
			v = append(slices.Clone(v), '!')
		}
		if string(v) == "nonsense" {
			if s.broken("nonsense") && !op.Local {
				s.put(op.Dot, entry{value: v})
			}
			return fmt.Errorf("%w: a value of nonsense", runtime.ErrInvalidOp)
		}
		for i := range op.Dots {
			s.put(runtime.LocalDot{Rep: op.Dot.Rep, Seq: op.Dot.Seq + uint64(i)}, entry{value: v})
		}
	case code == opRemove:
		return s.applyRemove(op)
	case code == opMake:
		kind := string(op.Bytes("kind"))
		if err := op.Done(); err != nil {
			return err
		}
		c, err := s.node.Create(op.Dot, kind)
		if err != nil {
			return err
		}
		s.put(op.Dot, entry{child: c})
	case code == 0:
		return fmt.Errorf("%w: code 0", runtime.ErrInvalidOp)
	default:
		return fmt.Errorf("%w: code %d", runtime.ErrNewerOp, code)
	}
	return nil
}

func (s *state) applyRemove(op *runtime.Op) error {
	var targets []runtime.LocalDot
	for op.Len() > 0 {
		targets = append(targets, op.Reader.Dot("target"))
	}
	if err := op.Err(); err != nil {
		return err
	}
	for _, d := range targets {
		if _, ok := s.entries[d]; ok {
			s.cut(d)
			if !s.broken("removed") {
				op.Removed(d, 1)
			}
		}
	}
	return nil
}

func (s *state) put(d runtime.LocalDot, e entry) {
	s.arrival++
	e.arrival = s.arrival
	s.entries[d] = e
	s.change.Added = append(s.change.Added, e.String())
	s.undo(func() {
		delete(s.entries, d)
		if !s.broken("undone") {
			s.change.Added = s.change.Added[:len(s.change.Added)-1]
		}
	})
}

func (s *state) cut(d runtime.LocalDot) {
	e := s.entries[d]
	delete(s.entries, d)
	if e.child != nil {
		s.node.Drop(e.child)
	}
	s.change.Removed = append(s.change.Removed, e.String())
	s.undo(func() {
		s.entries[d] = e
		s.change.Removed = s.change.Removed[:len(s.change.Removed)-1]
	})
}

func (s *state) undo(f func()) {
	if !s.broken("rollback") {
		s.Undo(f)
	}
}

func (s *state) Rollback() {
	if err := s.fault("rollback"); err != nil {
		panic(err)
	}
	s.Journal.Rollback()
}

func (s *state) Commit(c *runtime.Commit) {
	if err := s.fault("commit"); err != nil {
		panic(err)
	}
	s.Forget()
	if s.observers.Active() && len(s.change.Added)+len(s.change.Removed) > 0 && !(s.broken("merge") && c.Load) {
		e := Change{c.Meta(), slices.Clone(s.change.Added), slices.Clone(s.change.Removed)}
		slices.Sort(e.Added)
		slices.Sort(e.Removed)
		s.observers.Emit(c, e)
	}
	s.change = Change{Added: s.change.Added[:0], Removed: s.change.Removed[:0]}
}

func (s *state) Empty() bool { return len(s.entries) == 0 }

// dots returns the dots of all entries in the order of Runtime.CompareDots.
func (s *state) dots() []runtime.LocalDot {
	dots := slices.Collect(maps.Keys(s.entries))
	slices.SortFunc(dots, func(a, b runtime.LocalDot) int {
		if s.broken("order") {
			return s.entries[a].arrival - s.entries[b].arrival
		}
		return s.node.Runtime().CompareDots(a, b)
	})
	return dots
}

func (s *state) Save(w *runtime.StateWriter) {
	for _, d := range s.dots() {
		if !w.Outside(d) || s.broken("outside") && w.Delta() && d.Seq%3 == 2 {
			continue
		}
		e := s.entries[d]
		if s.broken("forgotten") && len(e.value) == 1 {
			continue
		}
		w.Dot(d)
		if e.child != nil {
			w.Byte(1)
			w.Bytes([]byte(e.child.Kind()))
		} else {
			w.Byte(0)
			w.Bytes(e.value)
		}
	}
}

func (s *state) Dots(yield func(runtime.LocalDot, uint64)) {
	if s.broken("live") {
		return
	}
	for d := range s.entries {
		yield(d, 1)
	}
}

func (s *state) Merge(r *runtime.StateReader) error {
	if err := s.fault("merge"); err != nil {
		return err
	}
	theirs := make(map[runtime.LocalDot]entry)
	var order []runtime.LocalDot
	for r.Len() > 0 {
		d := r.Dot("entry")
		made, v := r.Byte("class"), r.Bytes("value")
		if made > 1 {
			r.Fail("class", runtime.ErrCorrupt)
		}
		if r.Err() != nil {
			return r.Err()
		}
		order = append(order, d)
		if made == 1 {
			theirs[d] = entry{child: s.node} // only says that it is one; its kind is the value
		}
		if e := theirs[d]; true {
			e.value = slices.Clone(v)
			theirs[d] = e
		}
	}
	for _, d := range order {
		_, here := s.entries[d]
		if here || r.Known(d) && !s.broken("known") {
			continue
		}
		e := theirs[d]
		if e.child != nil {
			c, err := s.node.Create(d, string(e.value))
			if err != nil {
				return err
			}
			e = entry{child: c}
		}
		s.put(d, e)
	}
	for _, d := range s.dots() {
		if _, listed := theirs[d]; !listed && r.Deleted(d) && !s.broken("deleted") {
			s.cut(d)
		}
	}
	return nil
}

func (s *state) Children(yield func(*runtime.Node) bool) {
	for _, e := range s.entries {
		if e.child != nil && !yield(e.child) {
			return
		}
	}
}

func (s *state) Export(x *runtime.Exporter) any {
	var list []any
	for _, d := range s.dots() {
		if e := s.entries[d]; e.child != nil {
			list = append(list, x.Node(e.child))
		} else {
			list = append(list, string(e.value))
		}
	}
	if kids := x.Implicit(s.node); len(kids) > 0 {
		return map[string]any{"entries": list, "below": kids}
	}
	return list
}

func (s *state) Check() error {
	for d, e := range s.entries {
		if !s.node.Runtime().Covers(d) {
			return fmt.Errorf("entry %v is not covered by the clock", d)
		}
		if e.child == nil {
			continue
		}
		if err := e.child.Err(); err != nil && !errors.Is(err, runtime.ErrOpaque) {
			return fmt.Errorf("child %v: %w", e.child, err)
		}
	}
	return nil
}

// Bag is the handle.
type Bag struct{ node *runtime.Node }

// New returns the bag with this root name.
func New(rt *runtime.Runtime, name string) (Bag, error) { return NewNamed(rt, name, Name) }

// NewNamed is New for a kind with another name.
func NewNamed(rt *runtime.Runtime, name, kind string) (Bag, error) {
	n, err := rt.Root(name, kind)
	return Bag{n}, err
}

// Of returns the handle of an object.
func Of(n *runtime.Node) Bag { return Bag{n} }

// Node returns the object.
func (b Bag) Node() *runtime.Node { return b.node }

func (b Bag) state() *state { return b.node.Object().(*state) }

// Add puts a value into the bag.
func (b Bag) Add(tx runtime.Tx, value string) error { return b.AddTimes(tx, value, 1) }

// AddTimes puts it in n times by one operation of n dots.
func (b Bag) AddTimes(tx runtime.Tx, value string, n int) error { return b.Do(tx, n, opAdd, value) }

// Mark is Add by an operation that version 1 does not know.
func (b Bag) Mark(tx runtime.Tx, value string) error { return b.Do(tx, 1, opMark, value) }

// Do makes an operation of any code and content.
func (b Bag) Do(tx runtime.Tx, dots int, code byte, content string) error {
	w, err := tx.Begin(b.node)
	if err != nil {
		return err
	}
	w.Byte(code)
	w.RawString(content)
	return w.Apply(dots)
}

// Force records an operation without applying it here: for payloads that make no sense.
func (b Bag) Force(tx runtime.Tx, payload string) error {
	w, err := tx.Begin(b.node)
	if err != nil {
		return err
	}
	w.RawString(payload)
	w.Commit(1)
	return nil
}

// Make adds a child object.
func (b Bag) Make(tx runtime.Tx, kind string) (Bag, error) {
	w, err := tx.Begin(b.node)
	if err != nil {
		return Bag{}, err
	}
	d := w.Dot()
	w.Byte(opMake)
	w.Bytes([]byte(kind))
	if err := w.Apply(1); err != nil {
		return Bag{}, err
	}
	return Bag{b.state().entries[d].child}, nil
}

// Remove takes out entries by their place in the order of dots.
func (b Bag) Remove(tx runtime.Tx, places ...int) error {
	w, err := tx.Begin(b.node)
	if err != nil {
		return err
	}
	dots := b.state().dots()
	w.Byte(opRemove)
	for _, i := range places {
		if i < 0 || i >= len(dots) {
			return &runtime.RangeError{Op: "Remove", Index: i, Len: 1, Max: len(dots), Unit: "entries"}
		}
		w.Ref(dots[i])
	}
	return w.Apply(1)
}

// Below returns the implicit child with this key.
func (b Bag) Below(key string) (Bag, error) {
	n, err := b.node.Implicit(key, b.node.Kind())
	return Bag{n}, err
}

// Len returns the number of entries.
func (b Bag) Len(tx runtime.Tx) int {
	tx.Read(b.node)
	return len(b.state().entries)
}

// Child returns the child at a place, false for a value.
func (b Bag) Child(tx runtime.Tx, place int) (Bag, bool) {
	tx.Read(b.node)
	s := b.state()
	e := s.entries[s.dots()[place]]
	return Bag{e.child}, e.child != nil
}

// Values returns all entries, sorted.
func (b Bag) Values(tx runtime.Tx) []string {
	tx.Read(b.node)
	out := []string{}
	for _, e := range b.state().entries {
		out = append(out, e.String())
	}
	slices.Sort(out)
	return out
}

// Text is Values in one string.
func (b Bag) Text(tx runtime.Tx) string { return strings.Join(b.Values(tx), " ") }

// OnChange calls fn for every change.
func (b Bag) OnChange(fn func(Change)) (stop func()) { return b.state().observers.Add(b.node, fn) }
