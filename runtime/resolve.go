package runtime

import "fmt"

// resolveOne is resolve under the table's lock, which it gives back even if a kind's New panics.
func (r *Runtime) resolveOne(m *message, i int, nodes []*Node, reps []Rep) (*Node, error) {
	r.table.Lock()
	defer r.table.Unlock()
	return r.resolve(m, i, nodes, reps)
}

// resolve finds an object of a message, nil for one that was made by a dot and is not there: it was deleted, or never
// made; while there are opaque objects, one of them may have made it. The error says that an implicit object is nested too
// deeply: that has no effect. It is asked anew for each operation: an earlier one may make the object.
func (r *Runtime) resolve(m *message, i int, nodes []*Node, reps []Rep) (*Node, error) {
	if nodes[i] != nil {
		return nodes[i], nil
	}
	o := m.object(i)
	switch o.class {
	case classRoot:
		nodes[i] = r.root(string(o.key), r.kindOf(&o))
	case classDot:
		d := LocalDot{reps[o.rep], o.seq}
		n := r.made.get(d)
		if n == nil && r.opaques > 0 {
			n = r.adoptLater(d, r.kindOf(&o))
		}
		if n != nil && n.kind == r.kindOf(&o) {
			nodes[i] = n
		}
	case classImplicit:
		p, err := r.resolve(m, i-1-int(o.back), nodes, reps)
		if err != nil || p == nil || p.state != alive {
			return nil, err
		}
		n, err := p.implicit(string(o.key), r.kindOf(&o))
		if err != nil {
			return nil, fmt.Errorf("%w: below %s: %w", ErrInvalidOp, p, inner{err})
		}
		nodes[i] = n
	}
	return nodes[i], nil
}

func (r *Runtime) kindOf(o *objectRef) *kindInfo {
	if o.kind == 0 {
		return r.kind(string(o.name))
	}
	if k := &r.kindByCode[o.kind]; k.name != "" {
		return k
	}
	return r.kind(wellKnown[o.kind])
}
