package crdt

import (
	"unicode/utf8"

	"github.com/seed1312cc15/weft/runtime"
)

// TextEvent tells how one transaction, state or delta changed a text.
type TextEvent struct {
	runtime.Meta
	// Delta turns the text before into the text after: read from the start, keep Retain code points, put in Insert,
	// drop Delete code points; what follows the last step is kept. Each step has exactly one of the three.
	Delta []TextDelta
}

// TextDelta is one step of a TextEvent. Retain and Delete count code points.
type TextDelta struct {
	Retain int    `json:"retain,omitempty"`
	Insert string `json:"insert,omitempty"`
	Delete int    `json:"delete,omitempty"`
}

// Apply returns what the steps make of the text before. Cost: O(length).
func (e TextEvent) Apply(before string) string {
	out := make([]byte, 0, len(before))
	at := 0
	skip := func(n int) int {
		for ; n > 0 && at < len(before); n-- {
			_, size := utf8.DecodeRuneInString(before[at:])
			at += size
		}
		return at
	}
	for _, d := range e.Delta {
		from := at
		switch {
		case d.Retain > 0:
			out = append(out, before[from:skip(d.Retain)]...)
		case d.Delete > 0:
			skip(d.Delete)
		default:
			out = append(out, d.Insert...)
		}
	}
	return string(append(out, before[at:]...))
}

// textDelta turns steps into those of a TextEvent.
func textDelta(steps []deltaStep[rune]) []TextDelta {
	out := make([]TextDelta, len(steps))
	for i, s := range steps {
		switch s.kind {
		case stepRetain:
			out[i].Retain = s.n
		case stepInsert:
			out[i].Insert = string(s.items)
		case stepDelete:
			out[i].Delete = s.n
		}
	}
	return out
}
