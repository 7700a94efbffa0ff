package crdt

import (
	"fmt"
	"slices"

	"github.com/seed1312cc15/weft/internal/sequence"
	"github.com/seed1312cc15/weft/runtime"
)

// lid is the local number of an element or place; see sequence.LID.
type lid = sequence.LID

// noElement stands in places.of for a place that no element can be at any more.
const noElement lid = 1<<32 - 1

// places is the order of a list whose elements can be moved. An element is named by the dot of its insert, which is its
// first place; each move makes one more place, in the order of the sequence. An element stands at the place with the
// greatest stamp; its other places are hidden for ever, like those of deleted elements.
//
//  1. of has exactly the places that moves made: the element that stands there, or noElement.
//  2. moved has exactly the living elements that stand at such a place: of[moved[e].place] == e.
//  3. shelved has only living elements; their places are hidden if no restore is left, see shelf.
//  4. An element is alive if its place is visible or it is in shelved. The place of a living element is visible if it is
//     not archived.
//  5. Between transactions the journals are empty and no change waits to be told.
type places struct {
	runtime.Journal
	node    *runtime.Node
	seq     *sequence.Sequence
	of      map[lid]lid
	moved   map[lid]moveMark
	shelved map[lid]*shelf // ObjectList
	changes deltaBuilder[lid]
	active  bool // somebody listens to the open transaction
	elems   []lid
	dots    []sequence.IDSpan // scratch of one operation, as elems

	undoing   bool // a transaction is open
	start     lid  // places there were before it
	ofUndo    []ofUndo
	movedUndo []movedUndo
	shelfUndo []shelfUndo
}

// ofUndo is how places.of was at a place that was there before the open transaction.
type ofUndo struct {
	place, was lid
	had        bool
}

// movedUndo is how places.moved was of an element; the zero mark: not there.
type movedUndo struct {
	e   lid
	was moveMark
}

// moveMark is the place of an element that was moved.
type moveMark struct {
	place   lid
	lamport uint64 // of the place's dot
}

func newPlaces(n *runtime.Node) places {
	return places{node: n, seq: sequence.New(n.Runtime(), false)}
}

func (p *places) len() int { return p.seq.Len(sequence.CodePoints) }

// begin opens the journal; every change calls it first. listened says whether somebody listens.
func (p *places) begin(listened bool) {
	p.seq.Open()
	p.active = listened
	if !p.undoing {
		p.undoing, p.start = true, lid(p.seq.Elements())
	}
}

// undo takes back the open transaction.
func (p *places) undo() {
	p.Journal.Rollback()
	for _, u := range slices.Backward(p.ofUndo) {
		if u.had {
			p.of[u.place] = u.was
		} else {
			delete(p.of, u.place)
		}
	}
	for _, u := range slices.Backward(p.movedUndo) {
		p.putMoved(u.e, u.was)
	}
	if p.undoing && len(p.of) > 0 {
		for l := p.start; l < lid(p.seq.Elements()); l++ {
			delete(p.of, l)
		}
	}
	for _, u := range slices.Backward(p.shelfUndo) {
		p.putShelf(u.e, u.was)
	}
	p.undoing, p.ofUndo, p.movedUndo, p.shelfUndo = false, nil, nil, nil
	p.seq.Rollback(0)
	p.seq.Commit()
	p.changes.reset()
}

// keep ends the open transaction and returns what changed, as places.
func (p *places) keep() []deltaStep[lid] {
	p.Journal.Forget()
	if clear(p.shelfUndo); cap(p.ofUndo)+cap(p.movedUndo)+cap(p.shelfUndo) > 64 {
		p.ofUndo, p.movedUndo, p.shelfUndo = nil, nil, nil
	}
	p.undoing, p.ofUndo, p.movedUndo, p.shelfUndo = false, p.ofUndo[:0], p.movedUndo[:0], p.shelfUndo[:0]
	p.seq.Commit()
	if !p.changes.active {
		return nil
	}
	return p.changes.take()
}

// element returns the element that stands, or stood, at a place.
func (p *places) element(place lid) lid {
	if len(p.of) > 0 {
		if e, ok := p.of[place]; ok {
			return e
		}
	}
	return place
}

// at returns the element at a visible index.
func (p *places) at(i int) (lid, error) {
	_, place, err := p.seq.IDAt(i)
	return p.element(place), err
}

// place returns where a living element stands, or a dead one last stood as far as that is known.
func (p *places) place(e lid) lid {
	if m, ok := p.moved[e]; ok {
		return m.place
	}
	return e
}

func (p *places) alive(e lid) bool {
	return p.shelved[e] != nil || p.seq.Visible(p.place(e))
}

// dot returns the dot of an element or place.
func (p *places) dot(l lid) runtime.LocalDot { return runtime.LocalDot(p.seq.IDOf(l)) }

// find returns the element with a dot; false if there is none, or if the dot is that of a move.
func (p *places) find(d sequence.ID) (lid, bool) {
	l, ok := p.seq.LIDOf(d)
	if ok && len(p.of) > 0 {
		_, move := p.of[l]
		ok = !move
	}
	return l, ok
}

// findAll sets p.elems to the elements that an operation names.
func (p *places) findAll(runs []sequence.IDSpan) error {
	p.elems = p.elems[:0]
	if err := knownSpans(p.seq, runs); err != nil {
		return err
	}
	for i := range runs {
		for k := range runs[i].N {
			e, ok := p.find(sequence.ID{Rep: runs[i].ID.Rep, Seq: runs[i].ID.Seq + uint64(k)})
			if !ok {
				return invalidOp("it names a place as an element")
			}
			p.elems = append(p.elems, e)
		}
	}
	return nil
}

// take sets p.elems to the elements at [i, i+n), and p.dots to their dots, consecutive ones joined.
func (p *places) take(i, n int) {
	p.elems, p.dots = p.elems[:0], p.dots[:0]
	for l := range p.seq.Live(i, i+n) {
		e := p.element(l)
		p.elems = append(p.elems, e)
		d := p.seq.IDOf(e)
		if k := len(p.dots) - 1; k >= 0 && p.dots[k].ID.Rep == d.Rep && p.dots[k].ID.Seq+uint64(p.dots[k].N) == d.Seq {
			p.dots[k].N++
		} else {
			p.dots = append(p.dots, sequence.IDSpan{ID: d, N: 1})
		}
	}
}

// insertedAt notes for the event that n places from first on were inserted at index.
func (p *places) insertedAt(index int, first lid, n int) {
	items := make([]lid, n)
	for k := range items {
		items[k] = first + lid(k)
	}
	p.changes.insert(index, items...)
}

// hide hides a place.
func (p *places) hide(place lid) {
	if p.active && p.seq.Visible(place) {
		p.changes.delete(p.seq.IndexOf(place), 1)
	}
	p.seq.SetVisible(place, false)
}

// show shows a place.
func (p *places) show(place lid) {
	if p.seq.SetVisible(place, true) && p.active {
		p.insertedAt(p.seq.IndexOf(place), place, 1)
	}
}

// expect makes room for n more moves.
func (p *places) expect(n int) {
	if len(p.of) == 0 && len(p.moved) == 0 && n > 16 {
		p.of, p.moved = make(map[lid]lid, n), make(map[lid]moveMark, n)
	}
	p.movedUndo = slices.Grow(p.movedUndo, n)
}

// setOf notes that element e stands at a place made by a move.
func (p *places) setOf(place, e lid) {
	was, had := p.of[place]
	if p.of == nil {
		p.of = make(map[lid]lid)
	}
	p.of[place] = e
	if place < p.start {
		p.ofUndo = append(p.ofUndo, ofUndo{place, was, had})
	}
}

// setMoved notes the place of element e; the zero mark removes it.
func (p *places) setMoved(e lid, m moveMark) {
	p.movedUndo = append(p.movedUndo, movedUndo{e, p.moved[e]})
	p.putMoved(e, m)
}

func (p *places) putMoved(e lid, m moveMark) {
	if p.moved == nil {
		p.moved = make(map[lid]moveMark)
	}
	if m == (moveMark{}) {
		delete(p.moved, e)
	} else {
		p.moved[e] = m
	}
}

// arrive settles that a move made place, visible so far or hidden, for element e, which is alive or not.
func (p *places) arrive(place lid, lamport uint64, e lid, alive bool) {
	if !alive || p.loses(place, lamport, e) {
		p.setOf(place, noElement)
		p.hide(place)
		return
	}
	old := p.place(e)
	p.hide(old)
	if old != e {
		p.setOf(old, noElement)
	}
	p.setOf(place, e)
	p.setMoved(e, moveMark{place, lamport})
	if p.shelved[e].hides() {
		p.hide(place)
	} else {
		p.show(place)
	}
}

// loses reports whether element e stands at a place with a greater stamp. Its first place has the least.
func (p *places) loses(place lid, lamport uint64, e lid) bool {
	m, ok := p.moved[e]
	return ok && p.node.Runtime().CompareStamps(runtime.Stamp{Lamport: lamport, Dot: p.dot(place)},
		runtime.Stamp{Lamport: m.lamport, Dot: p.dot(m.place)}) < 0
}

// kill ends a living element. What it holds is the owner's business.
func (p *places) kill(e lid) {
	place := p.place(e)
	p.hide(place)
	if place != e {
		p.setOf(place, noElement)
		p.setMoved(e, moveMark{})
	}
	if p.shelved[e] != nil {
		p.setShelf(e, nil)
	}
}

// insert makes n places at index i, for new elements or for moved ones, and returns where they hang and the first.
func (p *places) insert(w *runtime.OpWriter, op string, i, n int) (sequence.Origin, lid, error) {
	o, first, err := p.seq.Insert(i, sequence.ID(w.Dot()), n, "")
	if err != nil {
		if r := checkRange(op, i, 0, p.len(), elementUnit); r != nil {
			return o, 0, r
		}
		return o, 0, fmt.Errorf("%s: %w", op, err)
	}
	if p.active {
		p.insertedAt(i, first, n)
	}
	return o, first, nil
}

const elementUnit = "elements"

// integrate makes the places of an insert or move from elsewhere.
func (p *places) integrate(op *runtime.Op, o sequence.Origin) (lid, error) {
	first, err := p.seq.Integrate(sequence.ID(op.Dot), op.Dots, nil, o)
	if err == nil && p.active {
		p.insertedAt(p.seq.IndexOf(first), first, op.Dots)
	}
	return first, opError(err)
}

// moveLocal applies and writes the move of n elements from index from to index to.
func (p *places) moveLocal(tx runtime.Tx, op string, from, n, to int, listened bool, begin func(bool)) error {
	w, err := tx.Begin(p.node)
	if err != nil {
		return err
	}
	if err := checkRange(op, from, n, p.len(), elementUnit); err != nil {
		return err
	}
	if err := checkRange(op, to, 0, p.len(), elementUnit); err != nil {
		return err
	}
	if n == 0 || to >= from && to <= from+n {
		return nil
	}
	begin(listened)
	p.take(from, n)
	return p.moveTaken(w, op, to)
}

// moveTaken applies and writes the move of the elements p.elems, of the dots p.dots, to index to.
func (p *places) moveTaken(w *runtime.OpWriter, op string, to int) error {
	n := len(p.elems)
	o, first, err := p.insert(w, op, to, n)
	if err != nil {
		return err
	}
	writeOrigin(w, listMove, o)
	for i := range p.dots {
		writeSpan(w, &p.dots[i])
	}
	lamport := w.Stamp().Lamport
	for k, e := range p.elems {
		p.arrive(first+lid(k), lamport+uint64(k), e, true)
	}
	w.Commit(n)
	return nil
}

// applyMove applies what moveLocal wrote.
func (p *places) applyMove(op *runtime.Op, head byte, listened bool, begin func(bool)) error {
	o := readOrigin(op, head)
	p.dots = p.dots[:0]
	n := 0
	for more := true; more; more = op.Len() > 0 {
		p.dots = readSpan(op, p.dots)
		if k := len(p.dots); k > 0 {
			n += p.dots[k-1].N
		}
	}
	if err := op.Done(); err != nil {
		return err
	}
	if n != op.Dots {
		return fmt.Errorf("%w: a move of %d elements takes %d dots", runtime.ErrInvalidOp, n, op.Dots)
	}
	if err := p.findAll(p.dots); err != nil {
		return err
	}
	begin(listened)
	first, err := p.integrate(op, o)
	if err != nil {
		return err
	}
	p.expect(op.Dots)
	for k, e := range p.elems {
		p.arrive(first+lid(k), op.Lamport+uint64(k), e, p.alive(e))
	}
	return nil
}

// living calls f for each living element, those in the list in its order first.
func (p *places) living(f func(e lid)) {
	for l := range p.seq.Live(0, p.len()) {
		f(p.element(l))
	}
	for e, s := range p.shelved {
		if s.hides() {
			f(e)
		}
	}
}

// livingDots yields the dots of the living elements.
func (p *places) livingDots(yield func(d runtime.LocalDot, n uint64)) {
	if len(p.moved) > 0 || len(p.shelved) > 0 {
		p.living(func(e lid) { yield(p.dot(e), 1) })
		return
	}
	for _, r := range p.seq.LiveRuns(allDots) {
		yield(runtime.LocalDot(r.ID), uint64(r.N))
	}
}

// sortByDot sorts elements by their dots.
func (p *places) sortByDot(elems []lid) {
	slices.SortFunc(elems, func(a, b lid) int { return p.node.Runtime().CompareDots(p.dot(a), p.dot(b)) })
}

// check tests the claims above.
func (p *places) check() error {
	if err := p.seq.Check(); err != nil {
		return err
	}
	for e, m := range p.moved {
		if p.of[m.place] != e {
			return fmt.Errorf("invariant 2: element %d does not stand at place %d", e, m.place)
		}
	}
	stand := 0
	for l, e := range p.of {
		if e == noElement {
			if p.seq.Visible(l) {
				return fmt.Errorf("invariant 1: place %d is visible", l)
			}
			continue
		}
		if stand++; p.moved[e].place != l || p.seq.Visible(e) {
			return fmt.Errorf("invariant 2: element %d at place %d", e, l)
		}
	}
	if stand != len(p.moved) {
		return fmt.Errorf("invariant 2: %d elements moved, %d places", len(p.moved), stand)
	}
	for e, s := range p.shelved {
		if p.seq.Visible(p.place(e)) == s.hides() {
			return fmt.Errorf("invariant 3: element %d", e)
		}
	}
	for e := range p.moved {
		if !p.alive(e) {
			return fmt.Errorf("invariant 2: element %d is dead", e)
		}
	}
	if p.changes.active {
		return fmt.Errorf("invariant 5: a change waits to be told")
	}
	return nil
}
