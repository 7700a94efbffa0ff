package runtime

import (
	"cmp"
	"slices"
	"strings"
)

// ObjectInfo describes one object of a document that holds something.
type ObjectInfo struct {
	// Path leads from a root to the object: quoted root name, /"key" for an implicit child, @replica:seq for a made one.
	Path string
	Kind string
	// Bytes is the size of its own state in a saved document, without its children and before compression.
	Bytes int
	// Opaque says that this runtime keeps the object without understanding it; see Runtime.Opaque.
	Opaque bool
}

// Objects lists every object that holds something of its own, by path and kind. Cost: that of Save.
func (r *Runtime) Objects() []ObjectInfo {
	r.rlock()
	defer r.mu.RUnlock()
	r.saving.Lock()
	defer r.saving.Unlock()
	s := r.newSaver(nil)
	var out []ObjectInfo
	var section []byte
	nodes := s.nodes()
	for _, n := range nodes {
		if n.obj != nil && n.opaque() == nil && !n.obj.Empty() {
			section = s.w.section(section[:0], n, nil)
			out = append(out, ObjectInfo{n.pathOnly(), n.kind.name, len(section), false})
		}
	}
	for _, n := range nodes {
		n.inState = 0
	}
	for _, n := range r.opaqueNodes() {
		out = append(out, ObjectInfo{n.pathOnly(), n.kind.name, n.opaque().size(), true})
	}
	slices.SortFunc(out, func(a, b ObjectInfo) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(a.Kind, b.Kind))
	})
	return out
}

// pathOnly is String without the kind.
func (n *Node) pathOnly() string {
	var b strings.Builder
	n.path(&b, 1)
	return b.String()
}

// size returns the bytes of all parts and operations.
func (o *opaque) size() int {
	size := 0
	for _, p := range o.parts {
		size += len(p.section)
	}
	for _, op := range o.ops {
		size += len(op.payload)
	}
	return size
}
