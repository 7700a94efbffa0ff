package trace

import (
	"encoding/binary"

	"github.com/google/uuid"
)

// Trace is one recorded history.
//
//  1. Start, End and every Inserted are valid UTF-8; every number is in [0, 1<<31).
//  2. In a sequential trace Agents is 1, every Agent 0 and every Parents nil: each transaction follows the one before
//     it. Every patch lies within the text as it is then, and the last text is as long as End.
//  3. In a concurrent trace Start is empty, every Agent is below Agents, and every parent is below the index of its
//     transaction and named once.
//  4. The transactions of one agent form a chain: each is an ancestor of the agent's next.
//
// Validate checks 1 to 4. The positions of a concurrent trace are known to be right only once it is replayed.
type Trace struct {
	Name       string // the file's name without its endings, "line N" in NDJSON, or what generated it
	Concurrent bool
	Agents     int // agents are 0 to Agents-1, in ascending replica order
	Start, End string
	Txns       []Txn
}

// Txn is one transaction: patches made by one agent, each in the text that the one before left.
type Txn struct {
	Agent   int
	Parents []int // indexes into Trace.Txns
	Patches []Patch
}

// Patch deletes Deleted code points at Pos, then inserts Inserted at Pos.
type Patch struct {
	Pos, Deleted int // code points
	Inserted     string
}

// Edits counts the patches of t.
func (t *Trace) Edits() int {
	n := 0
	for i := range t.Txns {
		n += len(t.Txns[i].Patches)
	}
	return n
}

// AgentReplica returns the replica ID of agent k: k big-endian in the first four bytes, then
// 00 00 40 00 80 00 00 00 00 00 00 00. Ascending agents have ascending replica IDs.
func AgentReplica(k int) uuid.UUID {
	var id uuid.UUID
	binary.BigEndian.PutUint32(id[:], uint32(k))
	id[6], id[8] = 0x40, 0x80
	return id
}
