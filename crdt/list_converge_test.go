package crdt_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/internal/converge"
	"github.com/seed1312cc15/weft/internal/plain"
	"github.com/seed1312cc15/weft/runtime"
)

// listDid is one operation on a list.
type listDid struct {
	op      byte
	i, n, j int
	values  []int
}

// dots returns how many the operation takes.
func (d listDid) dots() int {
	switch d.op {
	case 'i':
		return len(d.values)
	case 'm':
		return d.n
	}
	return 1
}

// moveRange draws a range of a list of n elements and a gap outside of it.
func moveRange(t *rapid.T, n int) (listDid, bool) {
	if n < 2 {
		return listDid{}, false
	}
	d := listDid{op: 'm'}
	d.i = rapid.IntRange(0, n-1).Draw(t, "from")
	d.n = rapid.IntRange(1, min(n-d.i, 3)).Draw(t, "count")
	d.j = rapid.IntRange(0, n).Draw(t, "to")
	return d, d.j < d.i || d.j > d.i+d.n
}

var listSubject = converge.Subject[crdt.List[int]]{
	Open: func(o *runtime.Options) (*runtime.Runtime, crdt.List[int], error) {
		o.Kinds = append(o.Kinds, crdt.SequenceKinds()...)
		rt, err := runtime.New(o)
		if err != nil {
			return nil, crdt.List[int]{}, err
		}
		h, err := crdt.NewList[int](rt, "list")
		return rt, h, err
	},
	Edits: map[string]converge.Edit[crdt.List[int]]{
		"insert": func(t *rapid.T, tx runtime.Tx, x crdt.List[int]) (any, error) {
			d := listDid{op: 'i', i: rapid.IntRange(0, x.Len(tx)).Draw(t, "at")}
			d.values = rapid.SliceOfN(rapid.IntRange(-300, 300), 1, 4).Draw(t, "values")
			return d, x.Insert(tx, d.i, d.values...)
		},
		"delete": func(t *rapid.T, tx runtime.Tx, x crdt.List[int]) (any, error) {
			if x.Len(tx) == 0 {
				return nil, converge.ErrNothing
			}
			d := listDid{op: 'd'}
			d.i, d.n = span(t, x.Len(tx))
			return d, x.Delete(tx, d.i, d.n)
		},
		"set": func(t *rapid.T, tx runtime.Tx, x crdt.List[int]) (any, error) {
			if x.Len(tx) == 0 {
				return nil, converge.ErrNothing
			}
			d := listDid{op: 's', i: rapid.IntRange(0, x.Len(tx)-1).Draw(t, "at"), values: []int{rapid.IntRange(1000, 9999).Draw(t, "value")}}
			return d, x.Set(tx, d.i, d.values[0])
		},
		"move":       moveEdit,
		"move again": moveEdit,
	},
	Value: func(tx runtime.Tx, x crdt.List[int]) any {
		v, err := x.Values(tx)
		if err != nil {
			return err
		}
		return v
	},
	Watch: func(rt *runtime.Runtime, x crdt.List[int]) func() any {
		seen := []int{}
		x.OnChange(func(e crdt.ListEvent[int]) { seen = e.Apply(seen) })
		return func() any { return append([]int{}, seen...) }
	},
	Model: listModel,
}

func moveEdit(t *rapid.T, tx runtime.Tx, x crdt.List[int]) (any, error) {
	d, ok := moveRange(t, x.Len(tx))
	if !ok {
		return nil, converge.ErrNothing
	}
	return d, x.MoveRange(tx, d.i, d.n, d.j)
}

// listModel replays transactions with the plain twin.
func listModel(applied []converge.Transaction) any {
	after := make([]*plain.MoveList[int], len(applied))
	all := plain.NewMoveList[int](nil)
	for i, x := range applied {
		site := plain.NewSite(x.Dot.Replica)
		l := plain.NewMoveList[int](site)
		for j := range i {
			if y := applied[j].Dot; x.Before.Get(y.Replica) > y.Seq {
				l.Merge(after[j])
			}
		}
		done := uint64(0)
		for _, did := range x.Did {
			d := did.(listDid)
			// The twin gives a transaction one timestamp; here each dot has its own.
			at := func() { site.Next, site.Lamport = x.Dot.Seq+done, x.Lamport+done-1 }
			at()
			var err error
			switch d.op {
			case 'i':
				err = l.Insert(d.i, d.values...)
			case 'd':
				err = l.Delete(d.i, d.n)
			case 's':
				err = l.Set(d.i, d.values[0])
			case 'm':
				for k := range d.n {
					from, to := d.i, d.j
					if to < from {
						from, to = from+k, to+k
					}
					if at(); err == nil {
						err = l.Move(from, 1, to)
					}
					done++
				}
				done -= uint64(d.n)
			}
			if err != nil {
				return err
			}
			done += uint64(d.dots())
		}
		after[i] = l
		all.Merge(l)
	}
	return append([]int{}, all.Values()...)
}

func TestListConverges(t *testing.T) { listSubject.Test(t) }

func FuzzListConverges(f *testing.F) { listSubject.Fuzz(f) }
