package main

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/internal/trace"
	"github.com/seed1312cc15/weft/runtime"
)

// replica is one copy of the document that traces are replayed in: a text.
type replica struct {
	rt   *runtime.Runtime
	text crdt.Text

	problem error   // the first that the runtime reported: none may
	script  *script // edit makes its transaction txn
	txn     int
	edit    func(runtime.Tx) error // made once, so that a transaction allocates no closure
}

func newReplica(id uuid.UUID, o runtime.Options) (*replica, error) {
	o.Replica, o.Kinds = id, crdt.Kinds()
	rt, err := runtime.New(&o)
	if err != nil {
		return nil, err
	}
	text, err := crdt.NewText(rt, "text")
	if err != nil {
		return nil, err
	}
	r := &replica{rt: rt, text: text}
	rt.OnProblem(func(p runtime.Problem) {
		if r.problem == nil {
			r.problem = fmt.Errorf("the operation at %v was ignored: %w", p.Dot, p.Err)
		}
	})
	r.edit = r.apply
	return r, nil
}

func (r *replica) apply(tx runtime.Tx) error {
	for _, p := range r.script.txn(r.txn) {
		if p.deleted > 0 {
			if err := r.text.Delete(tx, int(p.pos), int(p.deleted)); err != nil {
				return err
			}
		}
		if p.from < p.to {
			if err := r.text.Insert(tx, int(p.pos), r.script.text[p.from:p.to]); err != nil {
				return err
			}
		}
	}
	return nil
}

// replay makes transaction i of the script.
func (r *replica) replay(s *script, i int) error {
	if r.script != s {
		r.script = s
	}
	r.txn = i
	return r.rt.Transact(r.edit)
}

// write makes the patches, which insert parts of text, in one transaction.
func (r *replica) write(patches []patch, text string) error {
	return r.replay(&script{patches: patches, ends: []int32{int32(len(patches))}, text: text}, 0)
}

// insert inserts one text in one transaction.
func (r *replica) insert(pos int, text string) error {
	return r.write([]patch{{pos: int32(pos), to: uint32(len(text))}}, text)
}

func (r *replica) receive(messages [][]byte) error {
	for i, m := range messages {
		if _, err := r.rt.Receive(m); err != nil {
			return fmt.Errorf("message %d: %w", i, err)
		}
	}
	return r.problem
}

func (r *replica) value() string { return runtime.Read(r.rt, r.text.String) }

// writers replays a script: one replica an agent, one transaction a scripted transaction, each written in the state that
// holds exactly its ancestors.
//
//  1. messages[i] is the message of transaction i; nil if it changed nothing, or if messages are not kept.
//  2. start is the message that writes the start content, nil if there is none, or if messages are not kept.
type writers struct {
	*script
	options  runtime.Options
	keep     bool // keep the messages; without, they are only counted
	agents   []*replica
	start    []byte
	messages [][]byte
	emitted  []byte // by the transaction that runs, if messages are kept
	bytes    int    // of all messages
}

// newWriters prepares a replay: that belongs to no measurement. The messages of a concurrent script are always kept:
// others receive them.
func newWriters(s *script, keep bool, o runtime.Options) *writers {
	w := &writers{script: s, options: o, keep: keep || s.concurrent, agents: make([]*replica, s.writers)}
	if w.keep {
		w.messages = make([][]byte, len(s.ends))
	}
	return w
}

// agent returns the replica of agent k, made on first use.
func (w *writers) agent(k int32) (*replica, error) {
	if r := w.agents[k]; r != nil {
		return r, nil
	}
	r, err := newReplica(trace.AgentReplica(int(k)), w.options)
	if err != nil {
		return nil, err
	}
	r.rt.OnUpdate(func(u runtime.Update) {
		if u.Local {
			w.bytes += len(u.Data)
			if w.keep {
				w.emitted = u.Data
			}
		}
	})
	w.agents[k] = r
	return r, nil
}

// run replays the whole script and returns the time that writing took, without deliveries.
func (w *writers) run(now stopwatch) (time.Duration, error) {
	if err := w.writeStart(); err != nil {
		return 0, err
	}
	var delivering time.Duration
	begin := now()
	for i := range w.ends {
		r := w.agents[w.script.agents[i]]
		if r == nil || w.plan != nil && len(w.plan[i]) > 0 {
			pause := now()
			var err error
			if r, err = w.prepare(i); err != nil {
				return 0, fmt.Errorf("transaction %d: %w", i, err)
			}
			delivering += now() - pause
		}
		if err := r.replay(w.script, i); err != nil {
			return 0, fmt.Errorf("transaction %d: %w", i, err)
		}
		if w.keep {
			w.messages[i], w.emitted = w.emitted, nil
		}
	}
	return now() - begin - delivering, nil
}

func (w *writers) writeStart() error {
	if w.script.start == "" {
		return nil
	}
	r, err := w.agent(0)
	if err != nil {
		return err
	}
	if err := r.insert(0, w.script.start); err != nil {
		return fmt.Errorf("start content: %w", err)
	}
	w.start, w.emitted = w.emitted, nil
	return nil
}

// prepare gives the agent of transaction i what it lacks.
func (w *writers) prepare(i int) (*replica, error) {
	r, err := w.agent(w.script.agents[i])
	if err != nil || w.plan == nil {
		return r, err
	}
	for _, j := range w.plan[i] {
		if w.messages[j] == nil {
			continue
		}
		res, err := r.rt.Receive(w.messages[j])
		if err != nil {
			return nil, fmt.Errorf("receiving transaction %d: %w", j, err)
		}
		if r.problem != nil {
			return nil, r.problem
		}
		if res.Applied != 1 {
			return nil, fmt.Errorf("receiving transaction %d, an ancestor: %d transactions applied, want 1", j, res.Applied)
		}
	}
	return r, nil
}

// sent returns all messages in the order in which they were written.
func (w *writers) sent() [][]byte {
	out := make([][]byte, 0, len(w.messages)+1)
	if w.start != nil {
		out = append(out, w.start)
	}
	for _, m := range w.messages {
		if m != nil {
			out = append(out, m)
		}
	}
	return out
}

// last returns the replica that wrote the last transaction, brought up to date with all messages: a writer, not a reader.
func (w *writers) last() (*replica, error) {
	k := int32(0)
	if n := len(w.ends); n > 0 {
		k = w.script.agents[n-1]
	}
	r, err := w.agent(k)
	if err != nil {
		return nil, err
	}
	if w.plan == nil {
		return r, nil
	}
	return r, r.receive(w.sent())
}
