package runtime

// The implicit children of a node: most nodes have none, most others a few fields. Those are found by looking through them,
// which costs less memory and time than a map.
//
//  1. nodeMore.kids holds each child once, in the order in which they were first named. It only grows: who holds a part of
//     it may read that without a lock.
//  2. nodeRare.index is nil up to maxPlainKids children, and holds all of them beyond.

const maxPlainKids = 16

type kidKey struct {
	key  string
	kind *kindInfo
}

// kid returns the child with this key and kind, nil if it was never named.
func (n *Node) kid(key string, kind *kindInfo) *Node {
	m := n.more.Load()
	if m == nil {
		return nil
	}
	if len(m.kids) > maxPlainKids {
		return n.rare().index[kidKey{key, kind}]
	}
	for _, c := range m.kids {
		if c.kind == kind && c.key == key {
			return c
		}
	}
	return nil
}

// addKid makes c, which is new, a child of n.
func (n *Node) addKid(c *Node) {
	m := n.extra()
	if m.kids == nil {
		m.kids = make([]*Node, 0, 4)
	}
	m.kids = append(m.kids, c)
	if len(m.kids) <= maxPlainKids {
		return
	}
	x := n.rare()
	if x.index == nil {
		x.index = make(map[kidKey]*Node, 2*len(m.kids))
		for _, c := range m.kids {
			x.index[kidKey{c.key, c.kind}] = c
		}
	}
	x.index[kidKey{c.key, c.kind}] = c
}

// kids returns the children; the caller must not change the slice.
func (n *Node) kids() []*Node {
	if m := n.more.Load(); m != nil {
		return m.kids[:len(m.kids):len(m.kids)]
	}
	return nil
}
