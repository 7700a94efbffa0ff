package main

import (
	"encoding/binary"
	"encoding/json"
	"sync"

	"google.golang.org/protobuf/proto"

	"github.com/yorkie-team/yorkie/api/converter"
	api "github.com/yorkie-team/yorkie/api/yorkie/v1"
	"github.com/yorkie-team/yorkie/pkg/document"
	"github.com/yorkie-team/yorkie/pkg/document/change"
	"github.com/yorkie-team/yorkie/pkg/document/crdt"
	yjson "github.com/yorkie-team/yorkie/pkg/document/json"
	"github.com/yorkie-team/yorkie/pkg/document/presence"
	"github.com/yorkie-team/yorkie/pkg/document/time"
)

// yorkie is Yorkie's document without its server. A message is the protobuf of the change of one update, a saved state a
// snapshot. Tombstones stay, because collecting them needs the server's version vector.
var yorkie = library{
	create: func(n int, emits bool) replica {
		y := emptyYorkie(n)
		y.emits = emits
		y.apply(startYorkie())
		return y
	},
	load: func(n int, state []byte) replica {
		y := emptyYorkie(n)
		y.emits = true
		done(y.doc.ApplyChangePack(change.NewPack("bench", change.InitialCheckpoint, nil, time.NewVersionVector(), state)))
		return y
	},
}

type yorkieDocument struct {
	doc    *document.Document
	emits  bool
	made   int
	marked bool // from here on nothing counts as acknowledged
}

func emptyYorkie(n int) *yorkieDocument {
	y := &yorkieDocument{doc: document.New("bench", document.WithDisableGC())}
	go func() {
		for range y.doc.Events() {
		}
	}()
	id := make([]byte, 12)
	binary.BigEndian.PutUint64(id[4:], uint64(n+1))
	y.doc.SetActor(must(time.ActorIDFromBytes(id)))
	return y
}

// startYorkie is the change that makes the objects, the same on every replica.
var startYorkie = sync.OnceValue(func() []byte {
	y := emptyYorkie(-1)
	y.emits = true
	return y.update(func(root *yjson.Object) {
		root.SetNewText("text")
		root.SetNewArray("array")
		root.SetNewObject("map")
		root.SetNewCounter("counter", int64(0))
	})
})

func (y *yorkieDocument) update(f func(root *yjson.Object)) []byte {
	done(y.doc.Update(func(root *yjson.Object, _ *presence.Presence) error { f(root); return nil }))
	changes := y.doc.CreateChangePack().Changes
	last := changes[len(changes)-1:]
	var message []byte
	if y.emits {
		message = must(proto.Marshal(must(converter.ToChanges(last))[0]))
	}
	if y.made++; y.made%64 == 0 && !y.marked { // as a server would acknowledge them, so that few are pending
		done(y.doc.ApplyChangePack(change.NewPack("bench", change.NewCheckpoint(0, last[0].ClientSeq()), nil, nil, nil)))
	}
	return message
}

func (y *yorkieDocument) edit(ops []op) []byte {
	return y.update(func(root *yjson.Object) {
		for _, o := range ops {
			switch {
			case o.Text != nil:
				root.GetText("text").Edit(o.Text.At, o.Text.At+o.Text.Delete, o.Text.Insert)
			case o.Array != nil:
				insertYorkie(root.GetArray("array"), o.Array.At, o.Array.Values)
			case o.Map != nil:
				setYorkie(root.GetObject("map"), o.Map.Key, o.Map.Value)
			default:
				root.GetCounter("counter").Increase(o.Amount)
			}
		}
	})
}

// insertYorkie inserts after the value before: there is no call for the first place, so that is adding and moving.
func insertYorkie(array *yjson.Array, at int, values []any) {
	for i, v := range values {
		n := array.Len()
		switch v := scalar(v).(type) {
		case int64:
			if at+i == n || at+i == 0 {
				array.AddInteger(int(v))
			} else {
				array.InsertIntegerAfter(at+i-1, int(v))
			}
		case string:
			if at+i == n || at+i == 0 {
				array.AddString(v)
			} else {
				array.InsertStringAfter(at+i-1, v)
			}
		}
		if at+i == 0 && n > 0 {
			array.MoveFront(array.Get(n).CreatedAt())
		}
	}
}

func setYorkie(table *yjson.Object, key string, value any) {
	switch v := scalar(value).(type) {
	case int64:
		table.SetInteger(key, int(v))
	case string:
		table.SetString(key, v)
	}
}

func (y *yorkieDocument) text() string { return y.doc.RootObject().Get("text").(*crdt.Text).String() }

func (y *yorkieDocument) sizes() (array, table int, counter int64) {
	root := y.doc.RootObject()
	array = root.Get("array").(*crdt.Array).Len()
	table = len(root.Get("map").(*crdt.Object).Members())
	done(json.Unmarshal([]byte(root.Get("counter").Marshal()), &counter))
	return array, table, counter
}

func (y *yorkieDocument) receive(changes []*api.Change) {
	done(y.doc.ClearHistory()) // what could be undone, which no other library keeps, would be walked for each change
	done(y.doc.ApplyChangePack(change.NewPack("bench", change.InitialCheckpoint, must(converter.FromChanges(changes)), nil, nil)))
}

func (y *yorkieDocument) apply(m []byte) {
	if m[0] == 0 { // of since
		pack := &api.ChangePack{}
		done(proto.Unmarshal(m[1:], pack))
		y.receive(pack.Changes)
		return
	}
	c := &api.Change{}
	done(proto.Unmarshal(m, c))
	y.receive([]*api.Change{c})
}

func (y *yorkieDocument) applyBatch(ms [][]byte) {
	changes := make([]*api.Change, len(ms))
	for i, m := range ms {
		changes[i] = &api.Change{}
		done(proto.Unmarshal(m, changes[i]))
	}
	y.receive(changes)
}

func (y *yorkieDocument) save() []byte {
	return must(converter.SnapshotToBytes(y.doc.RootObject(), nil))
}

func (y *yorkieDocument) mark() { y.marked = true }

func (y *yorkieDocument) since() []byte {
	pack := &api.ChangePack{Changes: must(converter.ToChanges(y.doc.CreateChangePack().Changes))}
	return append([]byte{0}, must(proto.Marshal(pack))...)
}
