package runtime

import (
	"fmt"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/uuid"
)

// Ref is a value that points to an object of the same document: a link from one place to another. It can be stored in
// any register, map or list; it does not keep its object alive. The zero Ref points to nothing.
//
// Encoded it is CBOR tag 27 ("generic object") of ["weft", step...]: the first step is [kind, root name] or [kind,
// replica, seq], each further one [kind, key].
type Ref struct{ steps []refStep }

type refStep struct {
	class nodeClass
	kind  string
	key   string
	rep   uuid.UUID
	seq   uint64
}

const refTag = 27

// Ref returns a value that points to n.
func (n *Node) Ref() Ref {
	var steps []refStep
	for ; n.class == classImplicit; n = n.parent {
		steps = append([]refStep{{class: classImplicit, kind: n.kind.name, key: n.key}}, steps...)
	}
	first := refStep{class: n.class, kind: n.kind.name, key: n.key}
	if n.class == classDot {
		first.rep, first.seq = n.rt.replicas[n.dot().Rep], n.dot().Seq
	}
	return Ref{append([]refStep{first}, steps...)}
}

// IsZero reports whether the Ref points to nothing.
func (f Ref) IsZero() bool { return len(f.steps) == 0 }

// Resolve returns the object that a Ref points to; ErrDeleted if it is gone or was never here, ErrUnknownKind if its kind
// is not registered, *LimitError if it can never be here, since it is nested too deeply.
func (r *Runtime) Resolve(f Ref) (*Node, error) {
	if f.IsZero() {
		return nil, fmt.Errorf("%w: the reference is empty", ErrDeleted)
	}
	r.table.Lock()
	defer r.table.Unlock()
	var n *Node
	for _, s := range f.steps {
		k := r.findKind(s.kind)
		if k == nil || k.new == nil {
			return nil, fmt.Errorf("%w: %q", ErrUnknownKind, s.kind)
		}
		switch s.class {
		case classRoot:
			n = r.root(s.key, k)
		case classDot:
			rep, ok := r.repOf[s.rep]
			if ok {
				n = r.made.get(LocalDot{rep, s.seq})
			}
			if n == nil || n.kind != k {
				return nil, ErrDeleted
			}
		default:
			var err error
			if n, err = n.implicit(s.key, k); err != nil {
				return nil, err
			}
		}
	}
	return n, nil
}

// MarshalCBOR encodes the Ref.
func (f Ref) MarshalCBOR() ([]byte, error) {
	if f.IsZero() {
		return valueEnc.Marshal(nil)
	}
	content := []any{"weft"}
	for _, s := range f.steps {
		switch s.class {
		case classDot:
			content = append(content, []any{s.kind, s.rep[:], s.seq})
		default:
			content = append(content, []any{s.kind, []byte(s.key)})
		}
	}
	return valueEnc.Marshal(cbor.Tag{Number: refTag, Content: content})
}

// UnmarshalCBOR decodes what MarshalCBOR wrote.
func (f *Ref) UnmarshalCBOR(data []byte) error {
	*f = Ref{}
	var v any
	if err := valueDec.Unmarshal(data, &v); err != nil || v == nil {
		return err
	}
	bad := fmt.Errorf("%w: not a reference", ErrCorrupt)
	tag, ok := v.(cbor.Tag)
	if !ok || tag.Number != refTag {
		return bad
	}
	list, ok := tag.Content.([]any)
	if !ok || len(list) < 2 || list[0] != "weft" {
		return bad
	}
	for i, e := range list[1:] {
		s, ok := refStepOf(e, i == 0)
		if !ok {
			return bad
		}
		f.steps = append(f.steps, s)
	}
	return nil
}

func refStepOf(e any, first bool) (refStep, bool) {
	parts, ok := e.([]any)
	if !ok || len(parts) < 2 || len(parts) > 3 || len(parts) == 3 && !first {
		return refStep{}, false
	}
	kind, ok1 := parts[0].(string)
	b, ok2 := parts[1].([]byte)
	if !ok1 || !ok2 {
		return refStep{}, false
	}
	if len(parts) == 2 {
		class := classImplicit
		if first {
			class = classRoot
		}
		return refStep{class: class, kind: kind, key: string(b)}, true
	}
	seq, ok := parts[2].(uint64)
	if !ok || len(b) != 16 || seq >= maxEnd {
		return refStep{}, false
	}
	return refStep{class: classDot, kind: kind, rep: uuid.UUID(b), seq: seq}, true
}
