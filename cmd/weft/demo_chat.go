package main

import (
	"math/rand/v2"

	"github.com/seed1312cc15/weft/internal/trace"
	"github.com/seed1312cc15/weft/runtime"
)

// chat makes a concurrent trace of two who write one text: runs of letters, now and then a few deleted, and at the start of
// some runs the writer takes in what the other has written. Equal arguments give equal traces.
func chat(seed uint64, edits int) (*trace.Trace, error) {
	rnd := rand.New(rand.NewPCG(seed, 2))
	t := &trace.Trace{Name: "generated chat", Concurrent: true, Agents: 2}
	var agents [2]*replica
	var sent [2][][]byte
	last, taken := [2]int{-1, -1}, [2]int{}
	for k := range agents {
		r, err := newReplica(trace.AgentReplica(k), runtime.Options{})
		if err != nil {
			return nil, err
		}
		r.rt.OnUpdate(func(u runtime.Update) {
			if u.Local {
				sent[k] = append(sent[k], u.Data)
			}
		})
		agents[k] = r
	}
	for len(t.Txns) < edits {
		k := rnd.IntN(2)
		var parents []int
		if last[k] >= 0 {
			parents = append(parents, last[k])
		}
		if news := sent[1-k][taken[k]:]; len(news) > 0 && rnd.IntN(3) == 0 {
			if err := agents[k].receive(news); err != nil {
				return nil, err
			}
			taken[k] = len(sent[1-k])
			parents = append(parents, last[1-k])
		}
		size := runtime.Read(agents[k].rt, agents[k].text.Len)
		at := rnd.IntN(size + 1)
		for range 5 + rnd.IntN(20) {
			p := trace.Patch{Pos: at, Inserted: string(rune('a' + rnd.IntN(26)))}
			if at > 0 && rnd.IntN(8) == 0 {
				p = trace.Patch{Pos: at - 1, Deleted: 1}
			}
			if err := agents[k].write([]patch{{int32(p.Pos), int32(p.Deleted), 0, uint32(len(p.Inserted))}}, p.Inserted); err != nil {
				return nil, err
			}
			at = p.Pos + len(p.Inserted)
			t.Txns = append(t.Txns, trace.Txn{Agent: k, Parents: parents, Patches: []trace.Patch{p}})
			last[k] = len(t.Txns) - 1
			parents = []int{last[k]}
		}
	}
	return t, nil
}
