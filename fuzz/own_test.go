package fuzz_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/fuzz"
	"github.com/seed1312cc15/weft/runtime"
)

// A type of one's own, proven with the kit: a peak is the greatest number that anyone has ever raised it to.

const (
	peakKind  = "example.com/peak"
	peakRaise = 1 // operation code; then the number
)

// peakState is the replicated state of a peak: the greatest number, and the write that gave it.
//
//  1. The value is the greatest of all numbers that were raised.
//  2. Of equal numbers the write with the greatest dot stands, so that equal states have equal bytes.
type peakState struct {
	runtime.Journal
	node      *runtime.Node
	by        runtime.LocalDot
	value     int64
	set       bool
	before    int64 // the value as of the last commit
	observers runtime.Observers[PeakEvent]
	careless  bool // breaks 2
}

// PeakEvent tells that the value changed.
type PeakEvent struct {
	runtime.Meta
	Value int64
}

func peaks(careless bool) runtime.Kind {
	return runtime.Kind{Name: peakKind, New: func(n *runtime.Node) runtime.Object { return &peakState{node: n, careless: careless} }}
}

func (s *peakState) raise(by runtime.LocalDot, v int64) {
	if s.set && v < s.value {
		return
	}
	if s.set && v == s.value && (s.careless || s.node.Runtime().CompareDots(by, s.by) <= 0) {
		return
	}
	dot, value, set := s.by, s.value, s.set
	s.by, s.value, s.set = by, v, true
	s.Undo(func() { s.by, s.value, s.set = dot, value, set })
}

func (s *peakState) Apply(op *runtime.Op) error {
	if op.Byte("code") != peakRaise {
		return runtime.ErrNewerOp
	}
	v := op.Varint("value")
	if err := op.Done(); err != nil {
		return err
	}
	s.raise(op.Dot, v)
	return nil
}

func (s *peakState) Empty() bool { return !s.set }

func (s *peakState) Save(w *runtime.StateWriter) {
	if s.set && w.Outside(s.by) {
		w.Dot(s.by)
		w.Varint(s.value)
	}
}

// Dots yields nothing: a number is never removed, so no delta has to tell which are left.
func (s *peakState) Dots(func(runtime.LocalDot, uint64)) {}

func (s *peakState) Merge(r *runtime.StateReader) error {
	if r.Len() == 0 {
		return nil
	}
	by, v := r.Dot("by"), r.Varint("value")
	if err := r.Done(); err != nil {
		return err
	}
	s.raise(by, v)
	return nil
}

func (s *peakState) Commit(c *runtime.Commit) {
	s.Forget()
	if s.value != s.before {
		s.observers.Emit(c, PeakEvent{c.Meta(), s.value})
	}
	s.before = s.value
}

func (s *peakState) Export(*runtime.Exporter) any { return s.value }
func (s *peakState) Check() error                 { return nil }

// Peak is the handle.
type Peak struct{ node *runtime.Node }

func (Peak) Kind() string            { return peakKind }
func (p *Peak) Bind(n *runtime.Node) { p.node = n }
func (p Peak) Node() *runtime.Node   { return p.node }
func (p Peak) state() *peakState     { return p.node.Object().(*peakState) }

func (p Peak) Value(tx runtime.Tx) int64 {
	tx.Read(p.node)
	return p.state().value
}

func (p Peak) Raise(tx runtime.Tx, v int64) error {
	w, err := tx.Begin(p.node)
	if err != nil {
		return err
	}
	w.Byte(peakRaise)
	w.Varint(v)
	return w.Apply(1)
}

func (p Peak) OnChange(fn func(PeakEvent)) (stop func()) { return p.state().observers.Add(p.node, fn) }

// peakType tells the kit how to work with peaks.
func peakType(careless bool) fuzz.HandleType {
	return fuzz.Handled(fuzz.Type[Peak]{
		Kind: peaks(careless),
		Edits: map[string]fuzz.Edit[Peak]{
			"raise": func(d *fuzz.Draw, tx runtime.Tx, p Peak) (any, error) {
				v := d.Int64("to", 0, 20)
				return v, p.Raise(tx, v)
			},
		},
		Value: func(tx runtime.Tx, p Peak) any { return p.Value(tx) },
		Watch: func(p Peak, value any) (view func() any, stop func()) {
			stop = p.OnChange(func(e PeakEvent) { value = e.Value })
			return func() any { return value }, stop
		},
		Model: func(applied []fuzz.Operation) any {
			most := int64(0)
			for _, op := range applied {
				most = max(most, op.Did.(int64))
			}
			return most
		},
	})
}

// Weather is a schema with peaks in it.
type Weather struct {
	Record Peak                          `weft:"record"`
	Places crdt.ObjectMap[string, Place] `weft:"places"`
}

type Place struct {
	Name    crdt.Register[string]   `weft:"name"`
	Hottest Peak                    `weft:"hottest"`
	ByMonth crdt.LazyMap[int, Peak] `weft:"byMonth"`
}

func TestPeaks(t *testing.T) {
	fuzz.Laws(t, fuzz.Of[Peak]("peak", peakType(false)), nil)
	fuzz.Check(t, fuzz.Of[Weather]("weather", peakType(false)), nil)
}

// Of equal numbers any may stand, one might think: the value is the same. The kit shows two documents with equal clocks
// and other bytes.
func TestCarelessPeaksAreFound(t *testing.T) {
	set(t, "rapid.nofailfile", "true")
	set(t, "rapid.shrinktime", "0s")
	q := failing(t, func(q *quiet) {
		fuzz.Check(q, fuzz.Of[Peak]("peak", peakType(true)), &fuzz.Options{Scripts: "-", Shrink: time.Second})
	})
	if !q.failed || !strings.Contains(q.log.String(), "canonical bytes differ") {
		t.Fatal(q.log.String())
	}
	_, script, _ := strings.Cut(q.log.String(), "script of the failure:")
	t.Log(script)
}

// ExampleReplay replays a script: two writers, each of whom hears of the other.
func ExampleReplay() {
	script := `
schema peak
join name=A id=1
join name=B id=2
edit writer=A is=m1
  raise to=7
edit writer=B is=m2
  raise to=9
deliver to=A message=m2
`
	var out strings.Builder
	if err := fuzz.Replay(strings.NewReader(script), &out, fuzz.Of[Peak]("peak", peakType(false))); err != nil {
		panic(err)
	}
	for _, line := range strings.Split(out.String(), "\n") {
		if strings.Contains(line, "receives") || strings.Contains(line, `{"x":9}`) {
			fmt.Println(strings.TrimSpace(line))
		}
	}
	// Output:
	// {"x":9}
	// A receives m2: 1 applied, 0 waiting, 0 redundant
	// {"x":9}
	// {"x":9}
	// {"x":9}
	// {"x":9}
}
