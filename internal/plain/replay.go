package plain

import (
	"fmt"

	"github.com/google/uuid"

	"github.com/seed1312cc15/weft/internal/trace"
)

// Edit applies one patch at l: the delete, then the insert. It returns their operations, none to two.
func (l *List) Edit(p trace.Patch) ([]Op, error) {
	var ops []Op
	op, err := l.Delete(p.Pos, p.Deleted)
	if err != nil {
		return nil, err
	}
	if p.Deleted > 0 {
		ops = append(ops, op)
	}
	op, err = l.Insert(p.Pos, []rune(p.Inserted)...)
	if err != nil {
		return ops, err
	}
	if p.Inserted != "" {
		ops = append(ops, op)
	}
	return ops, nil
}

// ReaderID is the replica ID of the list that Replay returns, which writes nothing. It is that of no agent.
var ReaderID = uuid.Max

// Replay replays t with a List for each agent that writes and returns one that received all transactions. The lists
// exchange operations as Trace.Deliveries says. A start text becomes the first operation of agent 0. Each transaction
// must make sense in its author's text; t.End is not looked at.
func Replay(t *trace.Trace) (*List, error) {
	reader := NewList(NewSite(ReaderID))
	lists := map[int]*List{}
	sent := make([][]Op, len(t.Txns))
	if t.Start != "" {
		lists[0] = NewList(NewSite(trace.AgentReplica(0)))
		ops, err := lists[0].Edit(trace.Patch{Inserted: t.Start})
		if err != nil {
			return nil, err
		}
		if err := reader.applyAll(ops); err != nil {
			return nil, err
		}
	}
	for i, missing := range t.Deliveries() {
		txn := &t.Txns[i]
		l := lists[txn.Agent]
		if l == nil {
			l = NewList(NewSite(trace.AgentReplica(txn.Agent)))
			lists[txn.Agent] = l
		}
		for _, j := range missing {
			if err := l.applyAll(sent[j]); err != nil {
				return nil, fmt.Errorf("transaction %d at agent %d: %w", j, txn.Agent, err)
			}
		}
		if err := l.editAll(txn.Patches, &sent[i]); err != nil {
			return nil, fmt.Errorf("transaction %d: %w", i, err)
		}
		if err := reader.applyAll(sent[i]); err != nil {
			return nil, fmt.Errorf("transaction %d at the reader: %w", i, err)
		}
	}
	return reader, nil
}

func (l *List) applyAll(ops []Op) error {
	for _, op := range ops {
		if err := l.Apply(op); err != nil {
			return err
		}
	}
	return nil
}

// editAll applies patches as one transaction and appends their operations to ops.
func (l *List) editAll(patches []trace.Patch, ops *[]Op) (err error) {
	l.site.Transact(func() {
		for _, p := range patches {
			var made []Op
			if made, err = l.Edit(p); err != nil {
				return
			}
			*ops = append(*ops, made...)
		}
	})
	return err
}
