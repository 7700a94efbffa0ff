package crdt

import (
	"slices"

	"github.com/seed1312cc15/weft/runtime"
)

// dotted is what a dot made.
type dotted interface{ madeBy() runtime.LocalDot }

// bag holds things that dots made: the concurrent writes of one register or key, the objects that one key hides, the
// restores of one element. There is mostly one or none; a thousand writers who were apart may leave a thousand, and each
// change then still costs O(1).
//
//  1. list has each dot once, in no order.
//  2. at is nil up to plainBag things, and has the place of each in list beyond.
type bag[E dotted] struct {
	list  []E
	at    map[runtime.LocalDot]int32
	steps int // things that changes looked at, for tests of cost
}

// plainBag is the number of things that are searched without an index.
const plainBag = 16

// find returns the place of what d made; -1 if it is not there.
func (b *bag[E]) find(d runtime.LocalDot) int {
	if b.at != nil {
		if i, ok := b.at[d]; ok {
			return int(i)
		}
		return -1
	}
	return slices.IndexFunc(b.list, func(e E) bool { return e.madeBy() == d })
}

// add puts e behind the others; false if its dot is there.
func (b *bag[E]) add(e E) bool {
	if b.steps++; b.find(e.madeBy()) >= 0 {
		return false
	}
	b.list = append(b.list, e)
	switch n := len(b.list); {
	case b.at != nil:
		b.at[e.madeBy()] = int32(n - 1)
	case n > plainBag:
		b.at = make(map[runtime.LocalDot]int32, 2*n)
		for i, e := range b.list {
			b.at[e.madeBy()] = int32(i)
		}
	}
	return true
}

// removeAt removes what is at place i; the last takes its place.
func (b *bag[E]) removeAt(i int) E {
	b.steps++
	e, last := b.list[i], len(b.list)-1
	b.swap(i, last)
	clear(b.list[last:])
	b.list = b.list[:last]
	if b.at != nil {
		delete(b.at, e.madeBy())
	}
	if last == 0 {
		b.list, b.at = nil, nil
	}
	return e
}

func (b *bag[E]) swap(i, j int) {
	if i == j {
		return
	}
	b.list[i], b.list[j] = b.list[j], b.list[i]
	if b.at != nil {
		b.at[b.list[i].madeBy()], b.at[b.list[j].madeBy()] = int32(i), int32(j)
	}
}

// named returns the dots that lie in runs, which are sorted and apart. Cost: O(things), or O(dots in runs) if that is less.
func (b *bag[E]) named(runs []dotRun, to []runtime.LocalDot) []runtime.LocalDot {
	if covered(runs) < uint64(len(b.list)) {
		for _, r := range runs {
			for seq := r.lo; seq <= r.hi; seq++ {
				b.steps++
				if d := (runtime.LocalDot{Rep: r.rep, Seq: seq}); b.find(d) >= 0 {
					to = append(to, d)
				}
			}
		}
		return to
	}
	for _, e := range b.list {
		b.steps++
		if inRuns(runs, e.madeBy()) {
			to = append(to, e.madeBy())
		}
	}
	return to
}

// ordered returns the things in the order of their dots: the list itself if there is at most one, else a new slice.
func (b *bag[E]) ordered(rt *runtime.Runtime) []E { return inDotOrder(rt, b.list) }

func inDotOrder[E dotted](rt *runtime.Runtime, list []E) []E {
	if len(list) < 2 {
		return list
	}
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b E) int { return rt.CompareDots(a.madeBy(), b.madeBy()) })
	return list
}

// check tests the claims.
func (b *bag[E]) check() bool {
	seen := make(map[runtime.LocalDot]bool, len(b.list))
	for i, e := range b.list {
		if d := e.madeBy(); seen[d] || b.find(d) != i {
			return false
		} else {
			seen[d] = true
		}
	}
	return (b.at == nil || len(b.at) == len(b.list)) && (b.at != nil || len(b.list) <= plainBag)
}
