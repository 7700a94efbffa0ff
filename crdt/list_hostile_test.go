package crdt_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/internal/sequence"
	"github.com/seed1312cc15/weft/runtime"
)

// movedPlaces lists n places, of which those from the second on were made by moves of the elements of these dots; what stands
// at no such place is hidden.
func movedPlaces(t *testing.T, n int, elems ...byte) []byte {
	t.Helper()
	seq := sequence.New(indexOrder{}, false)
	if _, _, err := seq.Insert(0, sequence.ID{}, n, ""); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if i == 0 || i > len(elems) {
			if _, err := seq.Hide(sequence.ID{Seq: uint64(i)}, 1, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	state := seq.AppendState(nil, func(uint32) int { return 0 })
	b := append(binary.AppendUvarint(nil, uint64(len(state))), state...)
	b = append(b, byte(len(elems)))
	for i, e := range elems {
		skipped := byte(0)
		if i == 0 {
			skipped = 1
		}
		b = append(b, skipped<<1|1, 0, e, 0) // an element stands there, its dot, its timestamp
	}
	return b
}

// TestMovedBeforeItWasInserted loads a state in which an element that is new here stands at a place that is known: whoever made that
// place had the element, so the state contradicts itself, and taking it would lose the element's value.
func TestMovedBeforeItWasInserted(t *testing.T) {
	for name, k := range map[string]struct {
		kind   byte
		behind []byte // the places: no sets and a value, or no shelves and an object
	}{"list": {codeList, []byte{0, 5}}, "objects": {codeObjectList, []byte{0, 1, codeText, 0}}} {
		t.Run(name, func(t *testing.T) {
			rt, err := runtime.New(&runtime.Options{Kinds: crdt.Kinds()})
			if err != nil {
				t.Fatal(err)
			}
			if err := rt.Load(craft(k.kind, 2, append(movedPlaces(t, 2, 0), k.behind...))); err != nil {
				t.Fatal(err)
			}
			before := rt.Canonical()
			if err := rt.Load(craft(k.kind, 3, append(movedPlaces(t, 3, 2), k.behind...))); !errors.Is(err, runtime.ErrCorrupt) {
				t.Errorf("loaded: %v", err)
			}
			if err := rt.Check(); err != nil || !bytes.Equal(before, rt.Canonical()) {
				t.Error("it changed something", err)
			}
		})
	}
}

// TestPlaceNamedAsElement loads a state in which what stands at a place is no element, but the place that another move made.
func TestPlaceNamedAsElement(t *testing.T) {
	for name, k := range map[string]struct {
		kind   byte
		behind []byte
	}{"list": {codeList, []byte{0, 5}}, "objects": {codeObjectList, []byte{0, 1, codeText, 0}}} {
		t.Run(name, func(t *testing.T) {
			rt, err := runtime.New(&runtime.Options{Kinds: crdt.Kinds()})
			if err != nil {
				t.Fatal(err)
			}
			before := rt.Canonical()
			if err := rt.Load(craft(k.kind, 3, append(movedPlaces(t, 3, 2, 0), k.behind...))); !errors.Is(err, runtime.ErrCorrupt) {
				t.Errorf("loaded: %v", err)
			}
			if err := rt.Check(); err != nil || !bytes.Equal(before, rt.Canonical()) {
				t.Error("it changed something", err)
			}
		})
	}
}

// TestRestoreKnowsNoLimits loads what a store holds, though limits were lowered or edits have gone beyond what a state may list.
func TestRestoreKnowsNoLimits(t *testing.T) {
	a, of := newSequences(t, 1)
	b, ofB := newSequences(t, 2)
	for _, x := range []struct {
		rt *runtime.Runtime
		l  crdt.List[int]
	}{{a, of.list}, {b, ofB.list}} {
		if err := x.rt.Transact(func(tx runtime.Tx) error { return x.l.Insert(tx, 0, make([]int, 2000)...) }); err != nil {
			t.Fatal(err)
		}
	}
	messages, err := a.MessagesSince(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Receive(messages[0]); err != nil {
		t.Fatal(err)
	}
	state, err := b.Save(runtime.Compressed(1))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		limits runtime.Limits
		update []byte
	}{
		"message bytes": {runtime.Limits{MessageBytes: 20}, messages[0]},
		"state bytes":   {runtime.Limits{StateBytes: 20}, state},
		"decoded bytes": {runtime.Limits{DecodedBytes: 20}, state},
		"places":        {runtime.Limits{Places: 60}, state},
		"replicas":      {runtime.Limits{Replicas: 1}, state},
	} {
		rt, err := runtime.New(&runtime.Options{Kinds: crdt.SequenceKinds(), Limits: c.limits})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := rt.Receive(c.update); !errors.Is(err, runtime.ErrLimit) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := rt.Receive(c.update, runtime.Restore()); err != nil {
			t.Errorf("%s, restored: %v", name, err)
		}
	}
}
