package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/seed1312cc15/weft/internal/trace"
	"github.com/seed1312cc15/weft/runtime"
)

var errNoSuchTask = errors.New("the task does not suit this trace")

// traceTask measures tasks on one trace.
type traceTask struct {
	*script
	artifacts string // a directory, or empty
}

var (
	sequentialTasks = []string{"t1", "t1n", "t1h", "t1b"}
	everyTasks      = []string{"t2", "t2b", "t2h", "t4", "first", "delta-10", "delta-100", "delta-1000", "delta-10000", "delta-100000"}
)

func tasksOf(s *script) []string {
	if s.concurrent {
		return everyTasks
	}
	return append(slices.Clone(sequentialTasks), everyTasks...)
}

// splitTasks spells the tasks out and tells those apart that need no trace.
func splitTasks(names []string) (free, onTrace []string, err error) {
	known := append(append([]string{"prep"}, sequentialTasks...), everyTasks...)
	for _, n := range names {
		found := false
		for _, k := range known {
			if k == n || strings.HasPrefix(k, n+"-") {
				onTrace, found = append(onTrace, k), true
			}
		}
		for _, w := range workloadIDs() {
			if w == n || strings.HasPrefix(w, n+".") || n == "M" && w[0] == 'M' {
				free, found = append(free, w), true
			}
		}
		if !found {
			return nil, nil, usage("unknown task %q", clip(n, 40))
		}
	}
	return free, onTrace, nil
}

// patchwise makes every patch of a sequential script a transaction of its own.
func patchwise(s *script) *script {
	if s.concurrent {
		return s
	}
	s.agents = make([]int32, len(s.patches))
	s.ends = make([]int32, len(s.patches))
	for i := range s.ends {
		s.ends[i] = int32(i + 1)
	}
	return s
}

func (t *traceTask) measure(task string) (measurement, error) {
	if t.concurrent && slices.Contains(sequentialTasks, task) {
		return measurement{}, errNoSuchTask
	}
	switch task {
	case "prep":
		return measurement{}, t.prepare()
	case "t1", "t1n", "t1h":
		return t.local(task)
	case "t1b":
		return t.atOnce()
	case "t2", "t2b", "t2h":
		return t.remote(task)
	case "t4":
		return t.load()
	case "first":
		return t.first()
	}
	if n, ok := strings.CutPrefix(task, "delta-"); ok {
		edits, err := strconv.Atoi(n)
		if err != nil {
			return measurement{}, errNoSuchTask
		}
		return t.diverge(edits)
	}
	return measurement{}, errNoSuchTask
}

// local is t1: one transaction a patch. t1n has nobody who takes the messages, t1h keeps no history.
func (t *traceTask) local(task string) (m measurement, err error) {
	o := runtime.Options{History: runtime.History{Off: task == "t1h"}}
	before := memoryNow()
	r, err := newReplica(trace.AgentReplica(0), o)
	if err != nil {
		return m, err
	}
	stop := func() {}
	if task != "t1n" {
		stop = r.rt.OnUpdate(func(u runtime.Update) { m.Messages++; m.MessageBytes += len(u.Data) })
	}
	clock := start()
	if t.start != "" {
		err = r.insert(0, t.start)
	}
	for i := 0; i < len(t.ends) && err == nil; i++ {
		err = r.replay(t.script, i)
	}
	if err != nil {
		return m, err
	}
	text := r.value()
	clock.stop(&m)
	if text != t.end {
		return m, errors.New("the text is not the trace's")
	}
	text = ""
	before.grown(&m)
	goruntime.KeepAlive(t)
	stop()
	return m, saved(&m, r)
}

// saved measures the first save of r, and later ones after an edit each.
func saved(m *measurement, r *replica) error {
	var state []byte
	save := func() (err error) { state, err = r.rt.Save(); return err }
	var err error
	if m.SaveMS, err = cpuOf(save); err != nil {
		return err
	}
	if err := m.sized(state); err != nil {
		return err
	}
	var all []time.Duration
	for begin := cpuTime(); len(all) == 0 || len(all) < 6 && cpuTime()-begin < enough; {
		if err := r.insert(0, "x"); err != nil {
			return err
		}
		goruntime.GC()
		begin := cpuTime()
		if err := save(); err != nil {
			return err
		}
		all = append(all, cpuTime()-begin)
	}
	m.SaveAgainMS = milliseconds(median(all))
	return nil
}

// atOnce is t1b: one transaction, larger than what is allowed by default.
func (t *traceTask) atOnce() (m measurement, err error) {
	before := memoryNow()
	r, err := newReplica(trace.AgentReplica(0), runtime.Options{Limits: runtime.Limits{MessageOps: 1 << 20, MessageBytes: 64 << 20}})
	if err != nil {
		return m, err
	}
	stop := r.rt.OnUpdate(func(u runtime.Update) { m.Messages++; m.MessageBytes += len(u.Data) })
	clock := start()
	if t.start != "" {
		err = r.insert(0, t.start)
	}
	if err == nil {
		err = r.write(t.patches, t.text)
	}
	if err != nil {
		return m, err
	}
	text := r.value()
	clock.stop(&m)
	if text != t.end {
		return m, errors.New("the text is not the trace's")
	}
	before.grown(&m)
	stop()
	return m, saved(&m, r)
}

// remote is t2, in one bundle t2b, and with no history kept t2h. The messages are read after the first look at the memory and gone before the next:
// what the replica keeps of them counts.
func (t *traceTask) remote(task string) (m measurement, err error) {
	if m.LinkBytes, err = t.packed(); err != nil {
		return m, err
	}
	before := memoryNow()
	messages, err := t.messages()
	if err != nil {
		return m, err
	}
	m.count(messages)
	if task == "t2b" {
		b, err := runtime.Bundle(messages)
		if err != nil {
			return m, err
		}
		messages = [][]byte{b}
		m.MessageBytes = len(b)
	}
	clock := start()
	r, err := newReplica(reader(1), runtime.Options{History: runtime.History{Off: task == "t2h"}})
	if err != nil {
		return m, err
	}
	if err := r.receive(messages); err != nil {
		return m, err
	}
	text := r.value()
	clock.stop(&m)
	if text != t.end {
		return m, errors.New("the text is not the trace's")
	}
	text, messages = "", nil
	before.grown(&m)
	return m, saved(&m, r)
}

// packed returns how many bytes the messages take on a link.
func (t *traceTask) packed() (n int, err error) {
	messages, err := t.messages()
	if err != nil {
		return 0, err
	}
	packer := runtime.Packer{Split: true}
	for _, b := range messages {
		p, err := packer.Append(nil, b)
		if err != nil {
			return 0, err
		}
		n += len(p)
	}
	return n, nil
}

// load is t4. What the replica keeps of the state's bytes counts as its memory.
func (t *traceTask) load() (m measurement, err error) {
	before := memoryNow()
	state, err := t.state()
	if err != nil {
		return m, err
	}
	clock := start()
	r, err := loaded(2, state)
	if err != nil {
		return m, err
	}
	text := r.value()
	clock.stop(&m)
	if text != t.end {
		return m, errors.New("the text is not the trace's")
	}
	if err := m.sized(state); err != nil {
		return m, err
	}
	text, state = "", nil
	before.grown(&m)
	goruntime.KeepAlive(r)
	if state, err = t.state(); err != nil {
		return m, err
	}
	m.WarmMS, err = again(6, func() error {
		r, err := loaded(3, state)
		if err == nil {
			r.value()
		}
		return err
	})
	return m, err
}

// first is the time from bytes to the first edit.
func (t *traceTask) first() (m measurement, err error) {
	state, err := t.state()
	if err != nil {
		return m, err
	}
	middle := utf8.RuneCountInString(t.end) / 2
	edit := func() error {
		r, err := loaded(2, state)
		if err != nil {
			return err
		}
		m.Messages = 0
		r.rt.OnUpdate(func(u runtime.Update) { m.Messages++; m.MessageBytes = len(u.Data) })
		return r.insert(middle, "x")
	}
	clock := start()
	if err := edit(); err != nil {
		return m, err
	}
	clock.stop(&m)
	m.WarmMS, err = again(6, edit)
	return m, err
}

// diverge is delta-N.
func (t *traceTask) diverge(edits int) (m measurement, err error) {
	state, err := t.state()
	if err != nil {
		return m, err
	}
	return repeated(func(bool) (measurement, error) { return t.divergeOnce(state, edits) })
}

func (t *traceTask) divergeOnce(state []byte, edits int) (m measurement, err error) {
	var pair [2]*replica
	for i := range pair {
		if pair[i], err = loaded(byte(4+i), state); err != nil {
			return m, err
		}
		s := divergence(t.end, uint32(i), edits)
		for k := range s.ends {
			if err := pair[i].replay(s, k); err != nil {
				return m, err
			}
		}
	}
	clock := start()
	var deltas [2][]byte
	for i, r := range pair {
		if deltas[i], err = r.rt.SaveSince(pair[1-i].rt.Clock()); err != nil {
			return m, err
		}
	}
	for i, r := range pair {
		if err := r.rt.Load(deltas[1-i]); err != nil {
			return m, err
		}
	}
	texts := [2]string{pair[0].value(), pair[1].value()}
	clock.stop(&m)
	if texts[0] != texts[1] {
		return m, errors.New("the two differ after the exchange")
	}
	m.Messages, m.MessageBytes = 2, len(deltas[0])+len(deltas[1])
	return m, nil
}

func loaded(n byte, state []byte) (*replica, error) {
	r, err := newReplica(reader(n), runtime.Options{})
	if err != nil {
		return nil, err
	}
	return r, r.rt.Load(state)
}

// made replays the script with its messages kept.
func (t *traceTask) made() (messages [][]byte, state []byte, err error) {
	w := newWriters(t.script, true, runtime.Options{})
	if _, err := w.run(wallTime); err != nil {
		return nil, nil, err
	}
	messages = w.sent()
	r, err := newReplica(reader(1), runtime.Options{})
	if err != nil {
		return nil, nil, err
	}
	if err := r.receive(messages); err != nil {
		return nil, nil, err
	}
	state, err = r.rt.Save()
	return messages, state, err
}

func (t *traceTask) file(suffix string) string {
	return filepath.Join(t.artifacts, t.name+suffix)
}

// prepare writes the artifacts: messages, each after its length in four bytes, and the saved state.
func (t *traceTask) prepare() error {
	if t.artifacts == "" {
		return usage("prep writes files: give -artifacts")
	}
	messages, state, err := t.made()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(t.artifacts, 0o755); err != nil {
		return err
	}
	var all []byte
	for _, m := range messages {
		all = binary.LittleEndian.AppendUint32(all, uint32(len(m)))
		all = append(all, m...)
	}
	if err := writeFile(t.file(".messages"), all); err != nil {
		return err
	}
	return writeFile(t.file(".state"), state)
}

// messages returns those of the artifacts; without artifacts it makes them.
func (t *traceTask) messages() ([][]byte, error) {
	if t.artifacts == "" {
		messages, _, err := t.made()
		return messages, err
	}
	all, err := os.ReadFile(t.file(".messages"))
	if err != nil {
		return nil, fmt.Errorf("%w; the task prep writes it", err)
	}
	var out [][]byte
	for len(all) > 0 {
		if len(all) < 4 || int64(len(all)-4) < int64(binary.LittleEndian.Uint32(all)) {
			return nil, fmt.Errorf("%s: cut off", t.file(".messages"))
		}
		n := int(binary.LittleEndian.Uint32(all))
		out = append(out, all[4:4+n:4+n])
		all = all[4+n:]
	}
	return out, nil
}

func (t *traceTask) state() ([]byte, error) {
	if t.artifacts == "" {
		_, state, err := t.made()
		return state, err
	}
	state, err := os.ReadFile(t.file(".state"))
	if err != nil {
		return nil, fmt.Errorf("%w; the task prep writes it", err)
	}
	return state, nil
}
