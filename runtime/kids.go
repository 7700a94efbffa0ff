package runtime

// The implicit children of a node: most nodes have none, most others a few fields. Those are found by looking through them,
// which costs less memory and time than a map.
//
//  1. Up to fewKids children are in nodeMore.few, those beyond and these in nodeRare.kids: each child once, in the order in
//     which they were first named. Both only grow: who holds a part of them may read that without a lock.
//  2. nodeRare.index is nil up to maxPlainKids children, and holds all of them beyond.

const (
	fewKids      = 4
	maxPlainKids = 16
)

type kidKey struct {
	key  string
	kind *kindInfo
}

// kid returns the child with this key and kind, nil if it was never named.
func (n *Node) kid(key string, kind *kindInfo) *Node {
	kids := n.kids()
	if len(kids) > maxPlainKids {
		return n.rare().index[kidKey{key, kind}]
	}
	for _, c := range kids {
		if c.kind == kind && c.key == key {
			return c
		}
	}
	return nil
}

// addKid makes c, which is new, a child of n.
func (n *Node) addKid(c *Node) {
	m, count := n.extra(), len(n.kids())
	switch {
	case count == 0:
		m.few = new([fewKids]*Node)
		fallthrough
	case count < fewKids:
		m.few[count] = c
		return
	}
	x := n.rare()
	if count == fewKids {
		x.kids = append(make([]*Node, 0, 2*fewKids), m.few[:]...)
	}
	x.kids = append(x.kids, c)
	if count < maxPlainKids {
		return
	}
	if x.index == nil {
		x.index = make(map[kidKey]*Node, 2*count)
		for _, c := range x.kids {
			x.index[kidKey{c.key, c.kind}] = c
		}
	}
	x.index[kidKey{c.key, c.kind}] = c
}

// kids returns the children; the caller must not change the slice.
func (n *Node) kids() []*Node {
	m := n.more.Load()
	if m == nil || m.few == nil {
		return nil
	}
	if m.few[fewKids-1] != nil {
		if x := m.rare.Load(); x != nil && x.kids != nil {
			return x.kids[:len(x.kids):len(x.kids)]
		}
		return m.few[:]
	}
	k := 1
	for m.few[k] != nil {
		k++
	}
	return m.few[:k:k]
}
