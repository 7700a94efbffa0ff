package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/seed1312cc15/weft/internal/trace"
)

// workloadSize is N of the workloads, and crowdSize the number of clients in B3: 20 times the root of N.
const (
	workloadSize = 6000
	crowdSize    = 1540
)

// workload is a benchmark without a trace: B1 to B3 of github.com/dmonad/crdt-benchmarks (MIT), as its README defines them,
// and some of our own in the shape of B1. Its inputs are drawn here, the same for every library that is measured.
//
//	alone    one client makes each operation of A in a transaction of its own; the time is that of A
//	pair     both know Start; one client makes A in one transaction, the other B; the time is that of both and of exchanging
//	         what they made
//	crowd    operation i of A is made by client i, knowing nothing; the time is that of one client taking all in
type workload struct {
	ID    string       `json:"id"`
	Name  string       `json:"name"`
	Shape string       `json:"shape"`
	Start string       `json:"start,omitempty"`
	A     []workloadOp `json:"a"`
	B     []workloadOp `json:"b,omitempty"`
}

// workloadOp is one call. Exactly one of its four uses is set: a text edit, an array insert, a map write, an addition.
type workloadOp struct {
	Text   *textEdit    `json:"text,omitempty"`
	Array  *arrayInsert `json:"array,omitempty"`
	Map    *mapWrite    `json:"map,omitempty"`
	Amount int64        `json:"amount,omitempty"`
}

type textEdit struct {
	At     int    `json:"at"`
	Delete int    `json:"delete,omitempty"`
	Insert string `json:"insert,omitempty"`
}

type arrayInsert struct {
	At     int   `json:"at"`
	Values []any `json:"values"`
}

type mapWrite struct {
	Key   string `json:"key"`
	Value any    `json:"value"`
}

func insertText(at int, s string) workloadOp { return workloadOp{Text: &textEdit{At: at, Insert: s}} }
func deleteText(at, n int) workloadOp        { return workloadOp{Text: &textEdit{At: at, Delete: n}} }
func insertArray(at int, v ...any) workloadOp {
	return workloadOp{Array: &arrayInsert{at, v}}
}
func setMap(k string, v any) workloadOp { return workloadOp{Map: &mapWrite{k, v}} }

// workloadList lists all workloads; each is drawn from a seed of its own.
var workloadList = []struct {
	id, name, shape string
	draw            func(r *randomness, w *workload)
}{
	{"B1.1", "append N characters", "alone", func(r *randomness, w *workload) { w.each(func(i int) workloadOp { return insertText(i, r.word(1)) }) }},
	{"B1.2", "insert a string of length N", "alone", func(r *randomness, w *workload) { w.add(insertText(0, r.word(workloadSize))) }},
	{"B1.3", "prepend N characters", "alone", func(r *randomness, w *workload) { w.each(func(int) workloadOp { return insertText(0, r.word(1)) }) }},
	{"B1.4", "insert N characters at random places", "alone", func(r *randomness, w *workload) { w.A = scatter(r, 0, 1, 1) }},
	{"B1.5", "insert N words at random places", "alone", func(r *randomness, w *workload) { w.A = scatter(r, 0, 2, 10) }},
	{"B1.6", "insert a string, then delete it", "alone", func(r *randomness, w *workload) {
		w.add(insertText(0, r.word(workloadSize)))
		w.add(deleteText(0, workloadSize))
	}},
	{"B1.7", "insert and delete at random places", "alone", func(r *randomness, w *workload) { w.A = mixed(r, 0, false) }},
	{"B1.8", "append N numbers", "alone", func(r *randomness, w *workload) {
		w.each(func(i int) workloadOp { return insertArray(i, r.numbers(1)...) })
	}},
	{"B1.9", "insert an array of N numbers", "alone", func(r *randomness, w *workload) { w.add(insertArray(0, r.numbers(workloadSize)...)) }},
	{"B1.10", "prepend N numbers", "alone", func(r *randomness, w *workload) {
		w.each(func(int) workloadOp { return insertArray(0, r.numbers(1)...) })
	}},
	{"B1.11", "insert N numbers at random places", "alone", func(r *randomness, w *workload) {
		w.each(func(i int) workloadOp { return insertArray(r.below(i+1), r.numbers(1)...) })
	}},
	{"B2.1", "both insert a string of length N at index 0", "pair", func(r *randomness, w *workload) {
		w.Start = r.word(100)
		w.A = []workloadOp{insertText(0, r.word(workloadSize))}
		w.B = []workloadOp{insertText(0, r.word(workloadSize))}
	}},
	{"B2.2", "both insert N characters at random places", "pair", func(r *randomness, w *workload) {
		w.Start, w.A, w.B = r.word(100), scatter(r, 100, 1, 1), scatter(r, 100, 1, 1)
	}},
	{"B2.3", "both insert N words at random places", "pair", func(r *randomness, w *workload) {
		w.Start, w.A, w.B = r.word(100), scatter(r, 100, 3, 9), scatter(r, 100, 3, 9)
	}},
	{"B2.4", "both insert and delete", "pair", func(r *randomness, w *workload) {
		w.Start, w.A, w.B = r.word(100), mixed(r, 100, true), mixed(r, 100, true)
	}},
	{"B3.1", "20√N clients set a number in a map", "crowd", func(_ *randomness, w *workload) { w.all(func(i int) workloadOp { return setMap("v", i) }) }},
	{"B3.2", "20√N clients set an object in a map", "crowd", func(_ *randomness, w *workload) {
		w.all(func(i int) workloadOp {
			return setMap("v", map[string]any{"name": strconv.Itoa(i), "address": "here"})
		})
	}},
	{"B3.3", "20√N clients set a string in a map", "crowd", func(_ *randomness, w *workload) {
		w.all(func(i int) workloadOp { return setMap("v", strings.Repeat(strconv.Itoa(i), crowdSize)) })
	}},
	{"B3.4", "20√N clients insert a string in an array", "crowd", func(_ *randomness, w *workload) {
		w.all(func(i int) workloadOp { return insertArray(0, strconv.Itoa(i)) })
	}},
	{"M1", "set N keys of a map", "alone", func(r *randomness, w *workload) {
		w.each(func(i int) workloadOp { return setMap(fmt.Sprintf("key-%05d", i), r.below(1<<31-1)) })
	}},
	{"M2", "set one key of a map N times", "alone", func(r *randomness, w *workload) {
		w.each(func(int) workloadOp { return setMap("v", r.below(1<<31-1)) })
	}},
	{"M3", "add to a counter N times", "alone", func(r *randomness, w *workload) {
		w.each(func(int) workloadOp { return workloadOp{Amount: int64(r.between(1, 9))} })
	}},
}

func workloadIDs() (ids []string) {
	for _, w := range workloadList {
		ids = append(ids, w.id)
	}
	return ids
}

// workloadOf draws a workload.
func workloadOf(id string) (*workload, error) {
	for i, d := range workloadList {
		if d.id == id {
			w := &workload{ID: d.id, Name: d.name, Shape: d.shape}
			d.draw(&randomness{seed: uint32(1000 + i)}, w)
			return w, nil
		}
	}
	return nil, errNoSuchTask
}

func (w *workload) add(op workloadOp) { w.A = append(w.A, op) }

func (w *workload) each(op func(i int) workloadOp) {
	for i := range workloadSize {
		w.add(op(i))
	}
}

func (w *workload) all(op func(i int) workloadOp) {
	for i := range crowdSize {
		w.add(op(i))
	}
}

// scatter inserts N words of from to to letters into a text of the given length.
func scatter(r *randomness, length, from, to int) (ops []workloadOp) {
	for range workloadSize {
		s := r.word(r.between(from, to))
		ops = append(ops, insertText(r.below(length+1), s))
		length += len(s)
	}
	return ops
}

// mixed inserts and deletes N times; with both, every time a word is inserted first.
func mixed(r *randomness, length int, both bool) (ops []workloadOp) {
	insert := func(at, from, to int) {
		s := r.word(r.between(from, to))
		ops = append(ops, insertText(at, s))
		length += len(s)
	}
	for range workloadSize {
		at := r.below(length + 1)
		if both {
			insert(at, 3, 9)
		}
		if at == length || r.below(2) == 0 {
			insert(at, 2, 10)
			continue
		}
		n := r.between(1, min(9, length-at))
		ops = append(ops, deleteText(at, n))
		length -= n
	}
	return ops
}

// writeWorkloads writes every workload, and the edits of the delta tasks on each trace.
func writeWorkloads(c *console, dir string, paths []string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	put := func(name string, v any) error {
		b, err := json.Marshal(v)
		if err != nil {
			return err
		}
		return writeFile(filepath.Join(dir, name+".json"), b)
	}
	for _, id := range workloadIDs() {
		w, err := workloadOf(id)
		if err == nil {
			err = put(id, w)
		}
		if err != nil {
			return err
		}
	}
	for _, p := range paths {
		c.progress.set("reading %s", p)
		t, err := trace.ReadFile(p)
		if err != nil {
			return err
		}
		var both [2][]textEdit
		for i := range both {
			s := divergence(t.End, uint32(i), 100_000)
			for k := range s.ends {
				e := s.txn(k)[0]
				both[i] = append(both[i], textEdit{int(e.pos), int(e.deleted), s.text[e.from:e.to]})
			}
		}
		if err := put("delta-"+t.Name, map[string]any{"a": both[0], "b": both[1]}); err != nil {
			return err
		}
	}
	return nil
}
