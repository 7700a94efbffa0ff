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
//  2. ops are in an order that extends causality, none is held by a part.
type opaque struct {
	parts []opaquePart
	ops   []opaqueOp
	was   *opaque // as it was before the open transaction
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

// orphanKey names a made object whose maker is not known here.
type orphanKey struct {
	dot  LocalDot
	kind *kindInfo
}

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
		o.was = &opaque{parts: slices.Clone(o.parts), ops: slices.Clone(o.ops)}
	}
}

func (o *opaque) rollback() {
	if o != nil && o.was != nil {
		o.parts, o.ops, o.was = o.was.parts, o.was.ops, nil
	}
}

func (o *opaque) commit() {
	if o != nil {
		o.was = nil
	}
}

// keep adds an operation; it copies what it keeps.
func (o *opaque) keep(op opaqueOp) {
	o.journal()
	op.payload, op.reps, op.ends = bytes.Clone(op.payload), slices.Clone(op.reps), slices.Clone(op.ends)
	o.ops = append(o.ops, op)
}

// add joins a part and operations from elsewhere.
func (o *opaque) add(r *Runtime, parts []opaquePart, ops []opaqueOp) {
	o.journal()
	for _, p := range parts {
		held := slices.ContainsFunc(o.parts, func(q opaquePart) bool { return within(q.base, p.base) && within(p.end, q.end) })
		if held {
			continue
		}
		o.parts = slices.DeleteFunc(o.parts, func(q opaquePart) bool { return within(p.base, q.base) && within(q.end, p.end) })
		o.parts = append(o.parts, p)
	}
	for _, op := range ops {
		if !slices.ContainsFunc(o.ops, func(q opaqueOp) bool { return q.dot == op.dot }) {
			o.ops = append(o.ops, op)
		}
	}
	o.ops = slices.DeleteFunc(o.ops, func(op opaqueOp) bool {
		return slices.ContainsFunc(o.parts, func(p opaquePart) bool { return covers(p.end, op.dot) && !covers(p.base, op.dot) })
	})
	slices.SortFunc(o.ops, func(a, b opaqueOp) int {
		return r.CompareStamps(Stamp{a.lamport, a.dot}, Stamp{b.lamport, b.dot})
	})
}

// makeOpaque turns a known object into an opaque one: its state so far becomes a part that holds everything before dot.
func (r *Runtime) makeOpaque(n *Node, dot LocalDot) {
	end := slices.Clone(r.next)
	end[dot.Rep] = dot.Seq
	o := &opaque{was: &opaque{}}
	if !n.obj.Empty() {
		w := r.newStateWriter(nil, end)
		sec := w.section(n, nil)
		o.parts = append(o.parts, opaquePart{end: end, reps: slices.Clone(w.reps), section: bytes.Clone(sec)})
	}
	n.opaque = o
	r.opaques++
	r.journal = append(r.journal, undoRecord{node: n, unOpaque: true})
}

// keepOrphan keeps an operation on a made object that is not there, if an opaque object may be what made it.
func (r *Runtime) keepOrphan(m *message, f *opFrame, dot LocalDot, reps []Rep, ends []uint64) {
	o := &m.objects[f.object]
	if r.opaques == 0 || o.class != classDot {
		return
	}
	key := orphanKey{LocalDot{reps[o.rep], o.seq}, r.kindOf(o)}
	if r.orphans[key] == nil {
		r.orphans[key] = &opaque{}
	}
	r.orphans[key].keep(opaqueOp{dot, f.dots, m.lamport + dot.Seq - m.start, f.payload, reps, ends})
	r.orphans[key].commit()
}

// reveal gives an object of a known kind what was kept of it while it was opaque. ours is what the object holds so far.
// Afterwards it holds what ours, the parts and the operations hold together.
func (r *Runtime) reveal(n *Node, ours []uint64, parts []opaquePart, ops []opaqueOp) error {
	r.touch(n)
	for pending := slices.Clone(parts); len(pending) > 0; {
		i := slices.IndexFunc(pending, func(p opaquePart) bool { return within(p.base, ours) })
		if i < 0 {
			break // a delta whose base never came: its dots are not in the clock either
		}
		p := pending[i]
		pending = slices.Delete(pending, i, i+1)
		if within(p.end, ours) {
			continue
		}
		if err := r.mergeSection(n, p, ours); err != nil {
			return err
		}
		ours = joinClocks(ours, p.end)
	}
	for _, op := range ops {
		if covers(ours, op.dot) {
			continue
		}
		o := &Op{Dot: op.dot, Dots: int(op.dots), Lamport: op.lamport, node: n}
		o.Reader = Reader{buf: op.payload, format: "operation", reps: op.reps, ends: op.ends, self: op.dot.Seq, own: true}
		if err := r.applyRevealed(n, o, op); err != nil {
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

// applyRevealed applies one operation that was kept while its object was opaque; a code that is still unknown makes it
// opaque again.
func (r *Runtime) applyRevealed(n *Node, o *Op, op opaqueOp) error {
	if n.opaque != nil {
		n.opaque.keep(op)
		return nil
	}
	switch err := n.obj.Apply(o); {
	case err == nil, errors.Is(err, ErrInvalidOp), errors.Is(err, ErrCorrupt):
	case errors.Is(err, ErrNewerOp):
		r.makeOpaque(n, op.dot)
		n.opaque.keep(op)
	default:
		return fmt.Errorf("%w: %w", ErrInternal, err)
	}
	return nil
}
