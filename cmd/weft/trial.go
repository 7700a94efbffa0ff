package main

import (
	"fmt"
	goruntime "runtime"
	"time"

	"github.com/google/uuid"

	"github.com/seed1312cc15/weft/internal/trace"
	"github.com/seed1312cc15/weft/runtime"
)

// trial is one measured replay. Nothing is checked while it is timed.
type trial struct {
	local  time.Duration // writing every transaction, its message emitted
	remote time.Duration // a second replica receives every message, one by one
	save   time.Duration // the first Save after the last edit
	load   time.Duration // a new replica loads the state and reads the text
}

// reader is the replica ID of copies that only read: above those of all agents.
func reader(n byte) uuid.UUID {
	return uuid.UUID{0xff, 0xff, 0xff, 0xff, n, 0, 0x40, 0, 0x80}
}

// measure replays s once. The garbage of one step is collected before the next begins. It returns the writers, their
// messages kept.
func measure(s *script, now stopwatch) (trial, *writers, error) {
	var m trial
	var err error
	w := newWriters(s, false, runtime.Options{})
	goruntime.GC()
	if m.local, err = w.run(now); err != nil {
		return m, nil, err
	}
	if !w.keep { // again, not timed, for the messages
		w = newWriters(s, true, runtime.Options{})
		if _, err := w.run(now); err != nil {
			return m, nil, err
		}
	}
	messages := w.sent()

	full, err := newReplica(reader(1), runtime.Options{})
	if err != nil {
		return m, nil, err
	}
	goruntime.GC()
	begin := now()
	if err := full.receive(messages); err != nil {
		return m, nil, fmt.Errorf("second replica: %w", err)
	}
	m.remote = now() - begin

	if !s.concurrent && w.agents[0] != nil { // the writer holds everything
		full = w.agents[0]
	}
	goruntime.GC()
	begin = now()
	state, err := full.rt.Save()
	if err != nil {
		return m, nil, err
	}
	m.save = now() - begin

	goruntime.GC()
	begin = now()
	loaded, err := newReplica(reader(2), runtime.Options{})
	if err != nil {
		return m, nil, err
	}
	if err := loaded.rt.Load(state); err != nil {
		return m, nil, fmt.Errorf("loading the saved state: %w", err)
	}
	text := loaded.value()
	m.load = now() - begin
	goruntime.KeepAlive(text)
	return m, w, nil
}

// liveBytes returns by how much the heap has grown, after a collection, when one replica holds the document: history
// off, messages dropped. The replica of a sequential script writes it, that of a concurrent one receives it.
func liveBytes(s *script, messages [][]byte) (int64, error) {
	options := runtime.Options{History: runtime.History{Off: true}}
	before := heap()
	r, err := newReplica(trace.AgentReplica(0), options)
	if err != nil {
		return 0, err
	}
	switch {
	case s.concurrent:
		err = r.receive(messages)
	default:
		if s.start != "" {
			err = r.insert(0, s.start)
		}
		for i := 0; i < len(s.ends) && err == nil; i++ {
			err = r.replay(s, i)
		}
	}
	if err != nil {
		return 0, err
	}
	grown := heap() - before
	goruntime.KeepAlive(r)
	goruntime.KeepAlive(messages)
	goruntime.KeepAlive(s)
	return grown, nil
}

// heap returns the live bytes. Twice, because pools let go of what they hold only in the second collection.
func heap() int64 {
	goruntime.GC()
	goruntime.GC()
	var m goruntime.MemStats
	goruntime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
