package runtime

// kids are the implicit children of a node. Most nodes have none, most others a few fields: those are found by looking
// through them, which costs less memory and time than a map.
//
//  1. list holds each child once, in the order in which they were first named. It only grows: who holds a part of it may
//     read that without a lock.
//  2. index is nil up to maxPlainKids children, and holds all of them beyond.
type kids struct {
	list  []*Node
	index map[kidKey]*Node
}

const maxPlainKids = 16

type kidKey struct {
	key  string
	kind *kindInfo
}

// get returns the child with this key and kind, nil if it was never named.
func (k *kids) get(key string, kind *kindInfo) *Node {
	switch {
	case k == nil:
		return nil
	case k.index != nil:
		return k.index[kidKey{key, kind}]
	}
	for _, c := range k.list {
		if c.kind == kind && c.key == key {
			return c
		}
	}
	return nil
}

// addKid makes c, which is new, a child of n.
func (n *Node) addKid(c *Node) {
	if n.kids == nil {
		n.kids = &kids{list: make([]*Node, 0, 4)}
	}
	k := n.kids
	k.list = append(k.list, c)
	switch {
	case k.index != nil:
		k.index[kidKey{c.key, c.kind}] = c
	case len(k.list) > maxPlainKids:
		k.index = make(map[kidKey]*Node, 2*len(k.list))
		for _, c := range k.list {
			k.index[kidKey{c.key, c.kind}] = c
		}
	}
}

// all returns the children; the caller must not change the slice.
func (k *kids) all() []*Node {
	if k == nil {
		return nil
	}
	return k.list[:len(k.list):len(k.list)]
}
