package main

import "github.com/seed1312cc15/weft/internal/trace"

// script is a trace made flat, so that what is measured is not the garbage collector walking the trace: apart from the
// plan of a concurrent one it holds three allocations and no pointers in them.
//
//  1. Transaction i is written by agents[i] and has the patches from ends[i-1] (0 for the first) to ends[i].
//  2. plan is nil for a sequential trace; else plan[i] lists the transactions that the agent of i must receive first.
type script struct {
	name       string
	concurrent bool
	start, end string
	writers    int // agents are 0 to writers-1
	agents     []int32
	ends       []int32
	patches    []patch
	text       string // what all patches insert, one after the other
	plan       [][]int32
}

// patch deletes, then inserts text[from:to], at pos; positions count code points.
type patch struct {
	pos, deleted int32
	from, to     uint32
}

func newScript(t *trace.Trace) *script {
	s := &script{name: t.Name, concurrent: t.Concurrent, start: t.Start, end: t.End, writers: t.Agents}
	var text []byte
	for i := range t.Txns {
		txn := &t.Txns[i]
		for _, p := range txn.Patches {
			from := len(text)
			text = append(text, p.Inserted...)
			s.patches = append(s.patches, patch{int32(p.Pos), int32(p.Deleted), uint32(from), uint32(len(text))})
		}
		s.agents = append(s.agents, int32(txn.Agent))
		s.ends = append(s.ends, int32(len(s.patches)))
	}
	s.text = string(text)
	if !t.Concurrent {
		return s
	}
	s.plan = make([][]int32, len(t.Txns))
	for i, lacks := range t.Deliveries() {
		for _, j := range lacks {
			s.plan[i] = append(s.plan[i], int32(j))
		}
	}
	return s
}

// txn returns the patches of transaction i.
func (s *script) txn(i int) []patch {
	from := int32(0)
	if i > 0 {
		from = s.ends[i-1]
	}
	return s.patches[from:s.ends[i]]
}
