package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

type workload struct {
	Shape, Start string
	A, B         []op
}

// workload measures what weft bench -workloads wrote; the shapes are explained there. All of it is done again in the same
// process, with fresh replicas: the first time and the median of the later ones are told apart.
func (j *job) workload(id string) {
	w := &workload{}
	check(json.Unmarshal(must(os.ReadFile(filepath.Join(os.Getenv("WORK"), id+".json"))), w) == nil, "no workload")
	begin := cpu()
	m := j.once(w, true)
	for k, v := range m {
		j.out[k] = ms(v)
	}
	one := cpu() - begin
	later := map[string][]time.Duration{}
	for n := 0; n < 6 && cpu()-begin+one < enough; n++ {
		for k, v := range j.once(w, false) {
			later[k] = append(later[k], v)
		}
	}
	for k, all := range later {
		j.out[againNames[k]] = ms(median(all))
	}
}

var againNames = map[string]string{"cpu_ms": "warm_ms", "save_ms": "save_again_ms", "load_ms": "load_again_ms"}

func (j *job) once(w *workload, first bool) map[string]time.Duration {
	times := map[string]time.Duration{}
	one, other := j.create(1, true), j.create(2, true)
	var messages [][]byte
	emit := func(d replica, ops []op) { messages = append(messages, d.edit(ops)) }
	switch w.Shape {
	case "alone":
		times["cpu_ms"] = timed(func() {
			for i := range w.A {
				emit(one, w.A[i:i+1])
			}
		})
		for _, m := range messages {
			other.apply(m)
		}
	case "pair":
		other.apply(one.edit([]op{{Text: &textEdit{Insert: w.Start}}}))
		times["cpu_ms"] = timed(func() {
			emit(one, w.A)
			emit(other, w.B)
			one.apply(messages[1])
			other.apply(messages[0])
		})
	default:
		for i := range w.A {
			emit(j.create(10+i, true), w.A[i:i+1])
		}
		one.applyBatch(messages)
		times["cpu_ms"] = timed(func() { other.applyBatch(messages) })
	}
	w.check(one, other)
	var state []byte
	times["save_ms"] = timed(func() { state = one.save() })
	if first {
		j.out["messages"], j.out["message_bytes"] = len(messages), total(messages)
		j.sized(state)
	}
	one, other, messages = nil, nil, nil
	var before footprint
	if first {
		before = j.memory()
	}
	var back replica
	times["load_ms"] = timed(func() { back = j.load(3, state) })
	if first {
		j.grown(before)
	}
	w.check(back, back)
	runtime.KeepAlive(back)
	runtime.KeepAlive(state)
	return times
}

// check sees that both have all that was written.
func (w *workload) check(one, other replica) {
	array, keys, counter := 0, map[string]bool{}, int64(0)
	for _, o := range append(w.A[:len(w.A):len(w.A)], w.B...) {
		switch {
		case o.Array != nil:
			array += len(o.Array.Values)
		case o.Map != nil:
			keys[o.Map.Key] = true
		}
		counter += o.Amount
	}
	for _, d := range []replica{one, other} {
		a, t, c := d.sizes()
		check(a == array && t == len(keys) && c == counter, "has %d values, %d keys and %d, not %d, %d and %d", a, t, c, array, len(keys), counter)
	}
	check(one.text() == other.text(), "the two clients differ")
}
