package runtime

import (
	"hash/maphash"
	"math/bits"
)

// madeTable finds objects by the dots that made them: an open-addressed hash table of nodes, since a document may have
// millions and a map takes three times as much.
//
//  1. nodes has 2^k places, at most three quarters of them in use; each object stands at the first free place from that of
//     its hash on.
type madeTable struct {
	nodes []*Node
	count int
}

// madeSeed keeps those who choose dots from choosing places too. Nothing depends on it but the time that look-ups take.
var madeSeed = maphash.String(maphash.MakeSeed(), "")

// place returns where the search for a dot begins.
func (t *madeTable) place(d LocalDot) int {
	h := (d.Seq ^ uint64(d.Rep)<<40) + madeSeed
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9 // the finalizer of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014)
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return int(h >> (64 - bits.Len(uint(len(t.nodes)-1))))
}

// get returns the object that d made; nil if it is not here.
func (t *madeTable) get(d LocalDot) *Node {
	if t.count == 0 {
		return nil
	}
	for i := t.place(d); t.nodes[i] != nil; i = (i + 1) & (len(t.nodes) - 1) {
		if t.nodes[i].dot() == d {
			return t.nodes[i]
		}
	}
	return nil
}

// put adds an object, whose dot is not there.
func (t *madeTable) put(n *Node) {
	if t.count >= len(t.nodes)/4*3 {
		old := t.nodes
		t.nodes = make([]*Node, max(8, 2*len(old)))
		for _, n := range old {
			if n != nil {
				t.insert(n)
			}
		}
	}
	t.insert(n)
	t.count++
}

func (t *madeTable) insert(n *Node) {
	i := t.place(n.dot())
	for t.nodes[i] != nil {
		i = (i + 1) & (len(t.nodes) - 1)
	}
	t.nodes[i] = n
}

// remove takes the object that d made out, and moves back those whose search would end there (Knuth, The Art of Computer
// Programming, volume 3, section 6.4, algorithm R).
func (t *madeTable) remove(d LocalDot) {
	if t.get(d) == nil {
		return
	}
	mask := len(t.nodes) - 1
	i := t.place(d)
	for t.nodes[i].dot() != d {
		i = (i + 1) & mask
	}
	for j := (i + 1) & mask; t.nodes[j] != nil; j = (j + 1) & mask {
		if home := t.place(t.nodes[j].dot()); (j-home)&mask >= (j-i)&mask {
			t.nodes[i] = t.nodes[j]
			i = j
		}
	}
	t.nodes[i] = nil
	if t.count--; t.count == 0 {
		t.nodes = nil
	}
}

// all yields the objects, in no order.
func (t *madeTable) all(yield func(n *Node) bool) {
	for _, n := range t.nodes {
		if n != nil && !yield(n) {
			return
		}
	}
}
