package main

// #include <malloc.h>
// static long long given(void) { struct mallinfo2 m = mallinfo2(); malloc_trim(0); return m.uordblks + m.hblkhd; }
import "C"

import (
	"bytes"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	automerge "github.com/automerge/automerge-go"
)

// automergeGo is automerge's C interface, of 2023, through cgo. Every replica starts from one change that makes the objects;
// a message is the change of a commit.
var automergeGo = library{
	create: func(n int, emits bool) replica {
		d := loadAutomerge(n, startAutomerge())
		d.emits = emits
		return d
	},
	load: func(n int, state []byte) replica { return loadAutomerge(n, state) },
	heap: func() int64 { return int64(C.given()) },
}

type automergeDocument struct {
	doc     *automerge.Doc
	body    *automerge.Text
	array   *automerge.List
	table   *automerge.Map
	counter *automerge.Counter
	emits   bool
	marked  []automerge.ChangeHash
}

var startAutomerge = sync.OnceValue(func() []byte {
	d := automerge.New()
	done(d.SetActorID("00000000000000000000000000000000"))
	done(d.Path("text").Set(automerge.NewText("")))
	done(d.Path("array").Set(automerge.NewList()))
	done(d.Path("map").Set(automerge.NewMap()))
	done(d.Path("counter").Set(automerge.NewCounter(0)))
	epoch := time.Unix(0, 0)
	must(d.Commit("start", automerge.CommitOptions{Time: &epoch}))
	return d.Save()
})

func done(err error) {
	if err != nil {
		panic(err)
	}
}

func loadAutomerge(n int, state []byte) *automergeDocument {
	d := must(automerge.Load(state))
	done(d.SetActorID(fmt.Sprintf("%016x%016x", n+1, 1)))
	return &automergeDocument{doc: d, body: d.Path("text").Text(), array: d.Path("array").List(), table: d.Path("map").Map(),
		counter: d.Path("counter").Counter(), emits: true}
}

// scalar returns numbers and strings as they are; an object as its JSON, which makes it one value.
func scalar(v any) any {
	switch v := v.(type) {
	case float64:
		return int64(v)
	case string:
		return v
	}
	return string(must(json.Marshal(v)))
}

func (a *automergeDocument) edit(ops []op) []byte {
	for _, o := range ops {
		switch {
		case o.Text != nil:
			done(a.body.Splice(o.Text.At, o.Text.Delete, o.Text.Insert))
		case o.Array != nil:
			for i, v := range o.Array.Values {
				done(a.array.Insert(o.Array.At+i, scalar(v)))
			}
		case o.Map != nil:
			done(a.table.Set(o.Map.Key, scalar(o.Map.Value)))
		default:
			done(a.counter.Inc(o.Amount))
		}
	}
	h := must(a.doc.Commit(""))
	if !a.emits {
		return nil
	}
	return must(a.doc.Change(h)).Save()
}

func (a *automergeDocument) text() string { return must(a.body.Get()) }

func (a *automergeDocument) sizes() (array, table int, counter int64) {
	return a.array.Len(), a.table.Len(), must(a.counter.Get())
}

func (a *automergeDocument) apply(m []byte) { done(a.doc.LoadIncremental(m)) }

func (a *automergeDocument) applyBatch(ms [][]byte) { done(a.doc.LoadIncremental(bytes.Join(ms, nil))) }

func (a *automergeDocument) save() []byte { return a.doc.Save() }

func (a *automergeDocument) mark() { a.marked = a.doc.Heads() }

func (a *automergeDocument) since() []byte {
	return automerge.SaveChanges(must(a.doc.Changes(a.marked...)))
}
