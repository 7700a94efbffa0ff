package crdt

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/seed1312cc15/weft/internal/sequence"
	"github.com/seed1312cc15/weft/runtime"
)

// listing is the part of a state that save wrote, as runs: it takes memory for the bytes that it was read from, not for the
// places that these bytes claim.
//
//  1. runs are in order and without gaps; moves ascend by at.
//  2. Once seek has run, named ascends by dot, no dot occurs twice and none is that of a move, and byAt has those of named
//     that are listed, ascending by at.
type listing struct {
	seq   *sequence.State // nil: empty
	count int             // places
	known bool            // some were here before
	runs  []listedRun
	moves []listedMove
	named []listedElem // what else the state tells of elements
	byAt  []int32      // in named
}

// listedRun is n places that follow one another in the list and in their dots, all hidden or none, all known here or none.
type listedRun struct {
	seq           uint64
	rep, n        uint32
	at            uint32 // of the first, counted from the start of the listing
	hidden, known bool
}

// listedMove is a place that a move made.
type listedMove struct {
	at      uint32
	stands  bool // an element stands there:
	elem    sequence.ID
	lamport uint64
}

// listedElem is an element that stands at the place of a move, that was set, or that has a shelf.
type listedElem struct {
	id     sequence.ID
	at     int32 // its first place; -1: not listed
	stands bool  // at a place that a move made
	shelf  *shelf
	value  valueSpan // List
}

// piece is a part of a listing: n places that follow one another in the list and in their dots. It is one place if a move
// made it, or if it is that of an element that is named.
type piece struct {
	listedRun
	visible int // places before it that are not hidden, and of which neither holds
	move    *listedMove
	elem    *listedElem
}

// id returns the dot of place k.
func (p *piece) id(k int) sequence.ID { return sequence.ID{Rep: p.rep, Seq: p.seq + uint64(k)} }

// alive reports whether the elements whose first places these are are alive there.
func (p *piece) alive() bool {
	return p.move == nil && (!p.hidden || p.elem != nil && (p.elem.stands || p.elem.shelf != nil))
}

// standing returns the element that stands at a visible place that is alone in its piece; nil if it is not.
func (p *piece) standing(x *listing) *listedElem {
	if p.move != nil {
		return x.find(p.move.elem)
	}
	return p.elem
}

// readListing reads what save wrote.
func readListing(r *runtime.StateReader) (*listing, error) {
	x := &listing{}
	data := r.Bytes("sequence")
	if err := r.Err(); err != nil {
		return nil, err
	}
	if len(data) > 0 {
		if err := x.decode(r, data); err != nil {
			return nil, err
		}
	}
	return x, x.readMoves(r)
}

func (x *listing) decode(r *runtime.StateReader, data []byte) (err error) {
	if x.seq, err = decodeSequence(r, data); err != nil {
		return err
	}
	x.count = x.seq.Elements()
	if err := r.Spend(x.count); err != nil {
		return err
	}
	if x.seq.Len() > r.Len() { // each has a value, arguments or a move behind
		r.Fail("sequence", runtime.ErrCorrupt)
		return r.Err()
	}
	spans := 0
	for range x.seq.Spans() {
		spans++
	}
	x.runs = make([]listedRun, 0, spans)
	at := uint32(0)
	for span, hidden := range x.seq.Spans() {
		run := listedRun{seq: span.ID.Seq, rep: span.ID.Rep, n: uint32(span.N), at: at, hidden: hidden}
		at += run.n
		if known := r.KnownEnd(run.rep); known > run.seq {
			x.known = true
			first := run
			first.known, first.n = true, uint32(min(known-run.seq, uint64(run.n)))
			x.runs = append(x.runs, first)
			run.seq, run.n, run.at = run.seq+uint64(first.n), run.n-first.n, run.at+first.n
		}
		if run.n > 0 {
			x.runs = append(x.runs, run)
		}
	}
	return nil
}

func (x *listing) readMoves(r *runtime.StateReader) error {
	next, runs := uint64(0), x.runs
	for range r.Count("moved", 1) {
		head := r.Uvarint("moved")
		m := listedMove{stands: head&1 != 0}
		if head >>= 1; head > uint64(x.count) || next+head >= uint64(x.count) {
			r.Fail("moved", runtime.ErrCorrupt)
			break
		}
		m.at = uint32(next + head)
		next += head + 1
		for m.at-runs[0].at >= runs[0].n {
			runs = runs[1:]
		}
		if m.stands {
			if m.elem = sequence.ID(r.Dot("element")); runs[0].known && !r.Known(runtime.LocalDot(m.elem)) {
				r.Fail("element", runtime.ErrCorrupt) // whoever moved it had it
			}
			seq := runs[0].seq + uint64(m.at-runs[0].at)
			m.lamport = uint64(r.Varint("Lamport timestamp") + int64(seq) + 1)
			if m.lamport == 0 || m.lamport >= 1<<53 {
				r.Fail("Lamport timestamp", runtime.ErrCorrupt)
			}
			x.named = append(x.named, listedElem{id: m.elem, stands: true})
		} else if !runs[0].hidden {
			r.Fail("moved", runtime.ErrCorrupt)
		}
		x.moves = append(x.moves, m)
	}
	return r.Err()
}

func compareIDs(a, b sequence.ID) int {
	return cmp.Or(cmp.Compare(a.Rep, b.Rep), cmp.Compare(a.Seq, b.Seq))
}

// seek finds the places of the elements that are named. Cost: O((runs + named) log named).
func (x *listing) seek() error {
	if err := x.join(); err != nil {
		return err
	}
	for i := range x.runs {
		run := &x.runs[i]
		first := sequence.ID{Rep: run.rep, Seq: run.seq}
		k, _ := x.search(first)
		for ; k < len(x.named) && x.named[k].id.Rep == run.rep && x.named[k].id.Seq-run.seq < uint64(run.n); k++ {
			at := run.at + uint32(x.named[k].id.Seq-run.seq)
			if x.isMove(at) {
				return fmt.Errorf("%w: it names a place as an element", runtime.ErrCorrupt)
			}
			x.named[k].at = int32(at)
			x.byAt = append(x.byAt, int32(k))
		}
	}
	return nil
}

// join sorts named and makes one of the entries of one element.
func (x *listing) join() error {
	slices.SortFunc(x.named, func(a, b listedElem) int { return compareIDs(a.id, b.id) })
	out := x.named[:0]
	for _, e := range x.named {
		e.at = -1
		k := len(out) - 1
		if k < 0 || out[k].id != e.id {
			out = append(out, e)
			continue
		}
		if e.stands && out[k].stands || e.shelf != nil && out[k].shelf != nil {
			return fmt.Errorf("%w: an element stands at two places, or has two shelves", runtime.ErrCorrupt)
		}
		out[k].stands = out[k].stands || e.stands
		if e.shelf != nil {
			out[k].shelf = e.shelf
		}
	}
	x.named = out
	return nil
}

func (x *listing) isMove(at uint32) bool {
	_, is := slices.BinarySearchFunc(x.moves, at, func(m listedMove, at uint32) int { return cmp.Compare(m.at, at) })
	return is
}

func (x *listing) search(id sequence.ID) (int, bool) {
	return slices.BinarySearchFunc(x.named, id, func(e listedElem, id sequence.ID) int { return compareIDs(e.id, id) })
}

// find returns what is told of an element, nil for nothing.
func (x *listing) find(id sequence.ID) *listedElem {
	if k, ok := x.search(id); ok {
		return &x.named[k]
	}
	return nil
}

// pieces yields the places in order. The piece is valid until the next.
func (x *listing) pieces(yield func(p *piece) bool) {
	var p piece
	visible := 0
	moves, named := x.moves, x.byAt
	for i := range x.runs {
		for rest := x.runs[i]; rest.n > 0; {
			p = piece{listedRun: rest, visible: visible}
			if len(moves) > 0 {
				if d := moves[0].at - rest.at; d > 0 {
					p.n = min(p.n, d)
				} else {
					p.n, p.move, moves = 1, &moves[0], moves[1:]
				}
			}
			if len(named) > 0 {
				e := &x.named[named[0]]
				if d := uint32(e.at) - rest.at; d > 0 {
					p.n = min(p.n, d)
				} else {
					p.n, p.elem, named = 1, e, named[1:]
				}
			}
			if !p.hidden && p.move == nil && p.elem == nil {
				visible += int(p.n)
			}
			rest.seq, rest.at, rest.n = rest.seq+uint64(p.n), rest.at+p.n, rest.n-p.n
			if !yield(&p) {
				return
			}
		}
	}
}
