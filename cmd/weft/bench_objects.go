package main

import (
	"bytes"
	"errors"
	"fmt"
	goruntime "runtime"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/internal/trace"
	"github.com/seed1312cc15/weft/runtime"
)

// client is a replica of the document that workloads edit: a text, an array, a map and a counter.
type client struct {
	rt       *runtime.Runtime
	text     crdt.Text
	array    crdt.List[any]
	table    crdt.Map[string, any]
	counter  crdt.Counter
	messages [][]byte // that it wrote
}

func newClient(n int, history runtime.History) (*client, error) {
	rt, err := runtime.New(&runtime.Options{Replica: trace.AgentReplica(n), Kinds: crdt.Kinds(), History: history})
	if err != nil {
		return nil, err
	}
	c := &client{rt: rt}
	var errs [4]error
	c.text, errs[0] = crdt.NewText(rt, "text")
	c.array, errs[1] = crdt.NewList[any](rt, "array")
	c.table, errs[2] = crdt.NewMap[string, any](rt, "map")
	c.counter, errs[3] = crdt.NewCounter(rt, "counter")
	rt.OnUpdate(func(u runtime.Update) {
		if u.Local {
			c.messages = append(c.messages, u.Data)
		}
	})
	return c, errors.Join(errs[:]...)
}

func (c *client) do(tx runtime.Tx, op *workloadOp) error {
	switch {
	case op.Text != nil:
		return c.text.Splice(tx, op.Text.At, op.Text.Delete, op.Text.Insert)
	case op.Array != nil:
		return c.array.Insert(tx, op.Array.At, op.Array.Values...)
	case op.Map != nil:
		return c.table.Set(tx, op.Map.Key, op.Map.Value)
	}
	return c.counter.Add(tx, op.Amount)
}

// each makes each operation in a transaction of its own.
func (c *client) each(ops []workloadOp) error {
	for i := range ops {
		if err := c.rt.Transact(func(tx runtime.Tx) error { return c.do(tx, &ops[i]) }); err != nil {
			return err
		}
	}
	return nil
}

// once makes all operations in one transaction.
func (c *client) once(ops []workloadOp) error {
	return c.rt.Transact(func(tx runtime.Tx) error {
		for i := range ops {
			if err := c.do(tx, &ops[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

func (c *client) receive(messages [][]byte) error {
	for _, m := range messages {
		if _, err := c.rt.Receive(m); err != nil {
			return err
		}
	}
	return nil
}

func (w *workload) measure() (measurement, error) {
	m, err := repeated(w.once)
	m.Peer, m.Task = "weft", w.ID
	return m, err
}

// once does the whole workload with fresh replicas. Memory and compressed sizes are looked at the first time only.
func (w *workload) once(first bool) (m measurement, err error) {
	var one, other *client
	switch w.Shape {
	case "alone":
		one, other, err = w.alone(&m)
	case "pair":
		one, other, err = w.pair(&m)
	default:
		one, other, err = w.crowded(&m)
	}
	if err != nil {
		return m, err
	}
	if one.rt.Digest() != other.rt.Digest() {
		return m, errors.New("the two clients differ")
	}
	return m, w.encode(&m, one, first)
}

func (m *measurement) count(messages [][]byte) {
	for _, b := range messages {
		m.Messages++
		m.MessageBytes += len(b)
	}
}

func (w *workload) alone(m *measurement) (one, other *client, err error) {
	if one, err = newClient(0, runtime.History{}); err != nil {
		return nil, nil, err
	}
	if other, err = newClient(1, runtime.History{}); err != nil {
		return nil, nil, err
	}
	clock := start()
	if err := one.each(w.A); err != nil {
		return nil, nil, err
	}
	clock.stop(m)
	m.count(one.messages)
	return one, other, other.receive(one.messages)
}

func (w *workload) pair(m *measurement) (one, other *client, err error) {
	if one, err = newClient(0, runtime.History{}); err != nil {
		return nil, nil, err
	}
	if other, err = newClient(1, runtime.History{}); err != nil {
		return nil, nil, err
	}
	if err := one.once([]workloadOp{insertText(0, w.Start)}); err != nil {
		return nil, nil, err
	}
	if err := other.receive(one.messages); err != nil {
		return nil, nil, err
	}
	one.messages = nil
	clock := start()
	if err := errors.Join(one.once(w.A), other.once(w.B)); err != nil {
		return nil, nil, err
	}
	if err := errors.Join(one.receive(other.messages), other.receive(one.messages)); err != nil {
		return nil, nil, err
	}
	clock.stop(m)
	m.count(one.messages)
	m.count(other.messages)
	return one, other, nil
}

func (w *workload) crowded(m *measurement) (one, other *client, err error) {
	var clients []*client
	var messages [][]byte
	for i := range w.A {
		c, err := newClient(i, runtime.History{})
		if err == nil {
			err = c.each(w.A[i : i+1])
		}
		if err != nil {
			return nil, nil, err
		}
		if len(clients) < 2 {
			clients = append(clients, c)
		}
		messages = append(messages, c.messages...)
	}
	m.count(messages)
	if err := clients[0].receive(messages); err != nil {
		return nil, nil, err
	}
	clock := start()
	if err := clients[1].receive(messages); err != nil {
		return nil, nil, err
	}
	clock.stop(m)
	return clients[0], clients[1], nil
}

// encode measures the saved state: writing, size, reading, and what a replica that read it takes.
func (w *workload) encode(m *measurement, c *client, first bool) (err error) {
	var state []byte
	if m.SaveMS, err = cpuOf(func() error { state, err = c.rt.Save(); return err }); err != nil {
		return err
	}
	if first {
		if err := m.sized(state); err != nil {
			return err
		}
	}
	c = nil
	before := footprint{}
	if first {
		before = memoryNow()
	}
	own := bytes.Clone(state) // what the replica keeps of it counts
	var back *client
	m.LoadMS, err = cpuOf(func() error {
		if back, err = newClient(crowdSize+1, runtime.History{}); err != nil {
			return err
		}
		return back.rt.Load(own)
	})
	if err != nil {
		return fmt.Errorf("loading the saved state: %w", err)
	}
	own = nil
	if first {
		before.grown(m)
	}
	goruntime.KeepAlive(back)
	goruntime.KeepAlive(state)
	return nil
}
