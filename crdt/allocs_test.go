package crdt_test

import (
	"strings"
	"testing"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/runtime"
)

// hotDocument has what the hot paths edit, warm: a text that has grown its buffers, a list, a map, a register, a counter.
type hotDocument struct {
	rt       *runtime.Runtime
	text     crdt.Text
	list     crdt.List[int]
	table    crdt.Map[string, int]
	register crdt.Register[int]
	counter  crdt.Counter
}

func newHotDocument(o runtime.Options) *hotDocument {
	o.Kinds = crdt.Kinds()
	d := &hotDocument{rt: must1(runtime.New(&o))}
	d.text, d.list = must1(crdt.NewText(d.rt, "text")), must1(crdt.NewList[int](d.rt, "list"))
	d.table, d.register = must1(crdt.NewMap[string, int](d.rt, "map")), must1(crdt.NewRegister[int](d.rt, "register"))
	d.counter = must1(crdt.NewCounter(d.rt, "counter"))
	return d
}

// TestHotPathAllocations pins how many allocations one transaction takes with everything on that is on by default, history
// and somebody who takes the messages included, and at the replica that receives it. Blocks that many messages or elements
// share come to less than one.
func TestHotPathAllocations(t *testing.T) {
	const edits = 4000
	at := 0
	for _, path := range []struct {
		name          string
		edit          func(d *hotDocument, tx runtime.Tx) error
		local, remote float64 // the most allowed
	}{
		{"typing", func(d *hotDocument, tx runtime.Tx) error { at++; return d.text.Insert(tx, 100+at, "x") }, 0, 1},
		{"deleting", func(d *hotDocument, tx runtime.Tx) error { return d.text.Delete(tx, 5000, 1) }, 0, 1},
		{"list insert", func(d *hotDocument, tx runtime.Tx) error { return d.list.Insert(tx, d.list.Len(tx), 7) }, 0, 2},
		{"map set", func(d *hotDocument, tx runtime.Tx) error { return d.table.Set(tx, "the key", 7) }, 0, 1},
		{"register set", func(d *hotDocument, tx runtime.Tx) error { return d.register.Set(tx, 7) }, 1, 2},
		{"counter add", func(d *hotDocument, tx runtime.Tx) error { return d.counter.Add(tx, 1) }, 0, 1},
	} {
		t.Run(path.name, func(t *testing.T) {
			at = 0
			own, other := newHotDocument(runtime.Options{}), newHotDocument(runtime.Options{})
			var messages [][]byte
			own.rt.OnUpdate(func(u runtime.Update) { messages = append(messages, u.Data) })
			do(t, own.rt, func(tx runtime.Tx) error { return own.text.Insert(tx, 0, strings.Repeat("grow the buffers ", 1000)) })
			edit := func(tx runtime.Tx) error { return path.edit(own, tx) }
			for range 1000 {
				do(t, own.rt, edit)
			}
			messages = append(make([][]byte, 0, 2*edits), messages...)
			local := testing.AllocsPerRun(edits, func() { do(t, own.rt, edit) })
			next := 0
			receive := func() {
				if _, err := other.rt.Receive(messages[next]); err != nil {
					t.Fatal(err)
				}
				next++
			}
			for range 1000 {
				receive()
			}
			remote := testing.AllocsPerRun(edits, receive)
			t.Logf("%v allocations here, %v there", local, remote)
			if local > path.local || remote > path.remote {
				t.Errorf("%v allocations here, %v there; at most %v and %v", local, remote, path.local, path.remote)
			}
			if own.rt.Digest() != other.rt.Digest() {
				for ; next < len(messages); receive() {
				}
			}
			if own.rt.Digest() != other.rt.Digest() {
				t.Error("the two differ")
			}
		})
	}
}
