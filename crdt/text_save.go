package crdt

import (
	"errors"
	"fmt"
	"math"

	"github.com/seed1312cc15/weft/internal/sequence"
	"github.com/seed1312cc15/weft/runtime"
)

// Save writes the state of the sequence, or for a delta the elements outside of its base; their forms are in
// internal/sequence/format.go and delta.go.
func (st *textState) Save(w *runtime.StateWriter) {
	w.Append(func(dst []byte, number func(runtime.Rep) int) []byte { return appendSequence(dst, st.seq, w, number) })
}

// appendSequence appends a sequence's part of a state or delta: nothing to a delta that nothing lies outside of.
func appendSequence(dst []byte, seq *sequence.Sequence, w *runtime.StateWriter, number func(runtime.Rep) int) []byte {
	if !w.Delta() {
		return seq.AppendState(dst, number)
	}
	before := len(dst)
	dst = seq.AppendDelta(dst, number, w.BaseOf)
	if len(dst) == before+1 {
		return dst[:before] // the head alone
	}
	return dst
}

// decodeSequence reads what appendSequence wrote.
func decodeSequence(r *runtime.StateReader, data []byte) (*sequence.State, error) {
	lim := sequence.Limits{Order: r.Node().Runtime()}
	if r.Delta() {
		d, err := sequence.DecodeDelta(data, r.RepAt, r.Base, lim)
		return d, stateError(err)
	}
	d, err := sequence.Decode(data, r.RepAt, lim)
	return d, stateError(err)
}

// stateError turns an error of the sequence about a state from elsewhere into what Merge returns.
func stateError(err error) error {
	if err == nil || errors.Is(err, sequence.ErrFull) {
		return err
	}
	return fmt.Errorf("%w: %w", runtime.ErrCorrupt, err)
}

// allDots is the argument of LiveRuns that asks for all.
func allDots(runtime.Rep) uint64 { return math.MaxUint64 }

// Dots implements runtime.Object.
func (st *textState) Dots(yield func(d runtime.LocalDot, n uint64)) {
	for _, r := range st.seq.LiveRuns(allDots) {
		yield(runtime.LocalDot(r.ID), uint64(r.N))
	}
}

// Merge implements runtime.Object.
func (st *textState) Merge(r *runtime.StateReader) error {
	st.seq.Open()
	if r.Len() > 0 {
		if err := st.mergeElements(r); err != nil {
			return err
		}
	}
	if !r.Delta() {
		return nil // a full state lists the deleted elements too
	}
	if r.GoneRuns(func(d runtime.LocalDot, n uint64) { st.seq.HidePresent(sequence.ID(d), n, st.hidden()) }) {
		return nil
	}
	var err error
	for _, run := range st.seq.LiveRuns(r.Base) {
		r.DeletedRuns(runtime.LocalDot(run.ID), uint64(run.N), func(d runtime.LocalDot, n uint64) {
			if _, e := st.seq.Hide(sequence.ID(d), int(n), st.hidden()); e != nil {
				err = e
			}
		})
	}
	return err
}

func (st *textState) mergeElements(r *runtime.StateReader) error {
	d, err := decodeSequence(r, r.Rest())
	if err != nil {
		return err
	}
	active := st.observers.Active()
	if st.seq.Elements() == 0 && !r.Delta() {
		err = st.seq.Load(d)
		if n := st.seq.Len(sequence.CodePoints); err == nil && active && n > 0 {
			st.inserted(0, n)
		}
		return stateError(err)
	}
	ev := sequence.Events{Hidden: st.hidden()}
	if active {
		ev.Inserted = func(_ sequence.LID, n int, _ sequence.ID, _, index int, hidden bool) {
			if !hidden {
				st.inserted(index, n)
			}
		}
	}
	return stateError(st.seq.Merge(d, func(id sequence.ID) bool { return r.Known(runtime.LocalDot(id)) }, ev))
}

// inserted notes for the event that n code points were inserted at index.
func (st *textState) inserted(index, n int) {
	text, _ := st.slice(index, index+n)
	st.changes.insert(index, []rune(text)...)
}

// hidden returns what to tell the sequence to call when it hides elements.
func (st *textState) hidden() func(index, n int) {
	if st.observers.Active() {
		return st.changes.delete
	}
	return nil
}
