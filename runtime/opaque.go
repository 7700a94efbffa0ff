package runtime

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
)

// opaque is what is known of an object whose kind is not registered, or that met an operation of a newer version: parts
// of its state, each under the clock at which it was taken, and the operations after them. Nothing is interpreted,
// nothing is dropped but what a later part holds too. Once the kind is known, parts are merged, each under its own
// clock, and the operations follow.
//
//  1. No part is held by another: their bases and ends are not nested.
//  2. ops are in an order that extends causality.
//  3. In the order of parts, with each operation put in front of the first part whose base covers it, everything that a
//     part's base covers of this object stands in front of the part.
type opaque struct {
	parts []opaquePart
	ops   []opaqueOp
	was   *opaque // as it was before the open transaction: the same slices, of which nothing is changed in place
	// counted says that Runtime.opaques counts it: it holds something and its object is alive.
	counted bool
}

// opaquePart is an object's section of a state (base empty) or delta.
type opaquePart struct {
	base, end []uint64 // per replica
	reps      []Rep    // the section's table
	live      bool     // what the section's dots mean, see StateReader.Deleted
	section   []byte   // what follows the table
}

// opaqueOp is one operation with the tables that its payload refers to.
type opaqueOp struct {
	dot     LocalDot
	dots    uint64
	lamport uint64
	payload []byte
	reps    []Rep
	ends    []uint64
}

// nothingOpaque stands for what is known of an object of unknown kind before anything is. It is never written.
var nothingOpaque opaque

func covers(c []uint64, d LocalDot) bool { return int(d.Rep) < len(c) && d.Seq < c[d.Rep] }

// within reports whether a covers no more than b.
func within(a, b []uint64) bool {
	for i, n := range a {
		if n > 0 && (i >= len(b) || n > b[i]) {
			return false
		}
	}
	return true
}

func joinClocks(a, b []uint64) []uint64 {
	out := make([]uint64, max(len(a), len(b)))
	copy(out, a)
	for i, n := range b {
		out[i] = max(out[i], n)
	}
	return out
}

// journal notes the state before the open transaction.
func (o *opaque) journal() {
	if o.was == nil {
		o.was = &opaque{parts: o.parts, ops: o.ops}
	}
}

func (o *opaque) rollback(r *Runtime) {
	if o != nil && o.was != nil {
		o.parts, o.ops, o.was = o.was.parts, o.was.ops, nil
		o.count(r, true)
	}
}

// count keeps Runtime.opaques right.
func (o *opaque) count(r *Runtime, alive bool) {
	if o == nil || o.counted == (alive && o.holds()) {
		return
	}
	if o.counted = !o.counted; o.counted {
		r.opaques++
	} else {
		r.opaques--
	}
}

func (o *opaque) commit() {
	if o.was != nil {
		o.was = nil
	}
}

// keep adds an operation; it copies what it keeps.
func (o *opaque) keep(r *Runtime, op opaqueOp) {
	o.journal()
	o.start(r)
	op.payload = bytes.Clone(op.payload)
	if k := len(o.ops) - 1; k >= 0 && slices.Equal(o.ops[k].reps, op.reps) && slices.Equal(o.ops[k].ends, op.ends) {
		op.reps, op.ends = o.ops[k].reps, o.ops[k].ends // of the same message, mostly
	} else {
		op.reps, op.ends = slices.Clone(op.reps), slices.Clone(op.ends)
	}
	o.ops = append(doubled(o.ops), op)
	o.count(r, true)
}

// start notes, before the first part or operation, that the object was in its initial state in all that was loaded: others
// may still have what it held before.
func (o *opaque) start(r *Runtime) {
	if !o.holds() && r.loaded != nil {
		o.parts = append(o.parts, opaquePart{end: r.loaded})
	}
}

// add joins parts and operations from elsewhere.
func (o *opaque) add(r *Runtime, parts []opaquePart, ops []opaqueOp) {
	o.journal()
	o.parts, o.ops = slices.Clone(o.parts), slices.Clone(o.ops)
	o.start(r)
	for _, p := range parts {
		o.addPart(p)
	}
	here := make(map[LocalDot]bool, len(o.ops))
	for i := range o.ops {
		here[o.ops[i].dot] = true
	}
	for _, op := range ops {
		if !here[op.dot] {
			here[op.dot] = true
			o.ops = append(o.ops, op)
		}
	}
	o.ops = slices.DeleteFunc(o.ops, func(op opaqueOp) bool {
		for _, p := range o.parts {
			if covers(p.base, op.dot) {
				return false // the part needs it in front
			}
			if covers(p.end, op.dot) {
				return true
			}
		}
		return false
	})
	slices.SortFunc(o.ops, func(a, b opaqueOp) int {
		return r.CompareStamps(Stamp{a.lamport, a.dot}, Stamp{b.lamport, b.dot})
	})
	o.count(r, true)
}

// addPart adds a part behind the others, or in place of the first of those that it holds.
func (o *opaque) addPart(p opaquePart) {
	place := len(o.parts)
	for i, q := range o.parts {
		if within(q.base, p.base) && within(p.end, q.end) {
			return // held
		}
		if place > i && p.holds(&q) {
			place = i
		}
	}
	o.parts = slices.Insert(o.parts, place, p)
	i := 0
	o.parts = slices.DeleteFunc(o.parts, func(q opaquePart) bool { i++; return i > place+1 && p.holds(&q) })
}

func (p *opaquePart) holds(q *opaquePart) bool { return within(p.base, q.base) && within(q.end, p.end) }

// makeOpaque turns a known object into an opaque one, at the operation dot: its state so far, which holds everything in
// ours, becomes a part.
func (r *Runtime) makeOpaque(n *Node, dot LocalDot, ours []uint64) {
	end := slices.Clone(ours)
	end[dot.Rep] = dot.Seq
	o := &opaque{was: &opaque{}}
	p := opaquePart{end: end}
	if !n.obj.Empty() {
		w := r.newStateWriter(nil, end)
		p.section = w.section(nil, n, nil)
		p.reps = slices.Clone(w.reps)
	}
	o.parts = append(o.parts, p)
	n.setOpaque(o)
	r.journal = append(doubled(r.journal), undoRecord{node: n, unOpaque: true})
}

// adoptLater makes the place of an object that its container, which is opaque here or comes later, has made.
func (r *Runtime) adoptLater(d LocalDot, k *kindInfo) *Node {
	n := r.newMade(d, k)
	r.made.put(n)
	r.orphan(n)
	r.journal = append(doubled(r.journal), undoRecord{node: n, create: true})
	return n
}

func (r *Runtime) orphan(n *Node) {
	if r.orphans == nil {
		r.orphans = make(map[*Node]struct{})
	}
	r.orphans[n] = struct{}{}
}

// dropOrphans ends the orphans once no opaque object is left that may hold them: whatever made them was deleted. Who has seen
// the delete first takes in nothing of them.
func (r *Runtime) dropOrphans() {
	if r.opaques > 0 || len(r.orphans) == 0 {
		return
	}
	r.table.Lock()
	defer r.table.Unlock()
	for n := range r.orphans {
		r.drop(n)
	}
}

// reveal gives an object of a known kind what was kept of it while it was opaque. ours is what the object holds so far.
// Afterwards it holds what ours, the parts and the operations hold together.
func (r *Runtime) reveal(n *Node, ours []uint64, parts []opaquePart, ops []opaqueOp) error {
	r.touch(n)
	ours = joinClocks(ours, make([]uint64, len(r.replicas))) // a copy with room for all
	ops = slices.Clone(ops)
	for i := range parts {
		p := &parts[i]
		rest := ops[:0]
		for _, op := range ops {
			if !covers(p.base, op.dot) {
				rest = append(rest, op)
			} else if err := r.applyRevealed(n, op, ours); err != nil {
				return err
			}
		}
		ops = rest
		// What the base covers and nothing brought did not change this object.
		ours = joinClocks(ours, p.base)
		if within(p.end, ours) {
			continue
		}
		if n.opaque() != nil {
			n.ownOpaque().add(r, parts[i:i+1], nil)
		} else if err := r.mergeSection(n, *p, ours); err != nil {
			return err
		}
		ours = joinClocks(ours, p.end)
	}
	for _, op := range ops {
		if err := r.applyRevealed(n, op, ours); err != nil {
			return err
		}
	}
	return nil
}

// Opaque lists the objects that this runtime keeps without understanding them.
func (r *Runtime) Opaque() []*Node {
	r.rlock()
	defer r.mu.RUnlock()
	return r.opaqueNodes()
}

// applyRevealed applies one operation that was kept while its object was opaque, unless ours holds it, and adds it to
// ours; a code that is still unknown makes the object opaque again.
func (r *Runtime) applyRevealed(n *Node, op opaqueOp, ours []uint64) error {
	if covers(ours, op.dot) {
		return nil
	}
	if n.opaque() != nil {
		n.ownOpaque().keep(r, op)
		return nil
	}
	o := &Op{Dot: op.dot, Dots: int(op.dots), Lamport: op.lamport, node: n}
	o.Reader = Reader{buf: op.payload, format: "operation", reps: op.reps, ends: op.ends, self: op.dot.Seq, own: true}
	switch err := n.obj.Apply(o); {
	case errors.Is(err, errBuried):
		return fmt.Errorf("%w: object %s: %w", ErrCorrupt, n, inner{err})
	case err == nil, errors.Is(err, ErrInvalidOp), errors.Is(err, ErrCorrupt):
	case errors.Is(err, ErrNewerOp):
		if r.answers {
			return fmt.Errorf("runtime: object %s: %w", n, inner{err})
		}
		r.makeOpaque(n, op.dot, ours)
		n.ownOpaque().keep(r, op)
	default:
		return internal(err)
	}
	ours[op.dot.Rep] = op.dot.Seq + op.dots
	return nil
}
