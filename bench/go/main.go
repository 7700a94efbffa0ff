// Command peers measures one task of one Go library on one trace: peers NAME TASK [TRACE], one JSON line on stdout. Tasks
// and fields are those of "weft bench". A library is added by one file that implements replica and one line in libraries.
// Environment: TRACES (directory of the traces), WORK (where "weft bench -workloads" wrote, and where messages and saved
// states are kept, in WORK/NAME).
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

// replica is a replica of a document with a text, an array, a map and a counter.
type replica interface {
	edit(ops []op) []byte // all in one transaction; the message, or nil where none is wanted
	text() string
	sizes() (array, table int, counter int64)
	apply(message []byte)
	applyBatch(messages [][]byte)
	save() []byte
	mark()         // remembers what is known now
	since() []byte // what became known since mark
}

type library struct {
	create func(n int, emits bool) replica
	load   func(n int, state []byte) replica
	heap   func() int64 // memory outside of Go's
}

var libraries = map[string]library{"automerge-go": automergeGo, "yorkie": yorkie}

// op is one edit, as weft bench -workloads writes it. Positions count code points; the traces are ASCII.
type op struct {
	Text   *textEdit    `json:"text"`
	Array  *arrayInsert `json:"array"`
	Map    *mapWrite    `json:"map"`
	Amount int64        `json:"amount"`
}

type textEdit struct {
	At     int    `json:"at"`
	Delete int    `json:"delete"`
	Insert string `json:"insert"`
}

type arrayInsert struct {
	At     int   `json:"at"`
	Values []any `json:"values"`
}

type mapWrite struct {
	Key   string `json:"key"`
	Value any    `json:"value"`
}

func main() {
	name, task, trace := os.Args[1], os.Args[2], ""
	if len(os.Args) > 3 {
		trace = os.Args[3]
	}
	l, ok := libraries[name]
	check(ok, "no such library")
	t := &job{library: l, name: name, trace: trace, out: line{"peer": name, "task": task, "trace": trace}}
	switch task {
	case "prep":
		t.prepare()
	case "t1":
		t.local(true)
	case "t1n":
		t.local(false)
	case "t1b":
		t.atOnce()
	case "t2", "t2b":
		t.remote(task == "t2b")
	case "t4":
		t.reload()
	case "first":
		t.first()
	default:
		if n, ok := strings.CutPrefix(task, "delta-"); ok {
			t.diverge(number(n))
		} else {
			t.workload(task)
		}
	}
	fmt.Println(string(must(json.Marshal(t.out))))
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func check(ok bool, format string, args ...any) {
	if !ok {
		panic(fmt.Sprintf(format, args...))
	}
}
