package runtime

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// Exporter renders a document for people and other programs; see Object.Export.
type Exporter struct {
	rt *Runtime
	// Value renders a CBOR value; set by the runtime.
	Value func(cbor []byte) any
}

// Node renders a nested object.
func (x *Exporter) Node(n *Node) any {
	if n == nil {
		return nil
	}
	if n.opaque() != nil || n.obj == nil {
		return map[string]any{"$opaque": n.kind.name}
	}
	return n.obj.Export(x)
}

// Implicit renders the implicit children of n that hold something, by key.
func (x *Exporter) Implicit(n *Node) map[string]any {
	return x.named(slices.Clone(n.children()))
}

// named renders objects by key; where two kinds share a key, both appear with the kind added.
func (x *Exporter) named(nodes []*Node) map[string]any {
	slices.SortFunc(nodes, func(a, b *Node) int {
		if c := strings.Compare(a.key, b.key); c != 0 {
			return c
		}
		return strings.Compare(a.kind.name, b.kind.name)
	})
	nodes = slices.DeleteFunc(nodes, func(n *Node) bool { return !n.Holds() })
	out := make(map[string]any, len(nodes))
	for i, n := range nodes {
		key := n.key
		if i > 0 && nodes[i-1].key == key || i+1 < len(nodes) && nodes[i+1].key == key {
			key += " (" + n.kind.name + ")"
		}
		out[FreeName(out, strings.ToValidUTF8(key, "\uFFFD"), n.key)] = x.Node(n)
	}
	return out
}

// Export returns the value of the document: every root that holds something, by name. Inside of Transact it panics with
// ErrNested.
func (r *Runtime) Export() map[string]any {
	v, err := r.export()
	if err != nil {
		panic(err)
	}
	return v
}

func (r *Runtime) export() (map[string]any, error) {
	if err := r.tryRLock(); err != nil {
		return nil, err
	}
	defer r.mu.RUnlock()
	x := &Exporter{rt: r, Value: exportValue}
	r.table.Lock()
	nodes := slices.Collect(maps.Values(r.roots))
	r.table.Unlock()
	return x.named(nodes), nil
}

// MarshalJSON renders Export as JSON with sorted keys. Errors: ErrNested.
func (r *Runtime) MarshalJSON() ([]byte, error) {
	v, err := r.export()
	if err != nil {
		return nil, err
	}
	return json.Marshal(v)
}
