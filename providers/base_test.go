package providers_test

import (
	"testing"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// What a session believes that its peer lacks may be more than that, since the peer can get things by another way; what it
// sends then must still be something that the peer can read.
func TestPeerThatGotItByAnotherWay(t *testing.T) {
	a, b, c := newNode(t, 1, runtime.Options{History: runtime.History{Messages: 1}}), newNode(t, 2, runtime.Options{}), newNode(t, 3, runtime.Options{})
	var rows [3]crdt.ObjectList[crdt.Text]
	for i, n := range []*node{a, b, c} {
		var err error
		if rows[i], err = crdt.NewObjectList[crdt.Text](n.rt, "rows"); err != nil {
			t.Fatal(err)
		}
	}
	w := newWire(t, a, b, &providers.Options{QueueMessages: 1}, nil)
	w.open(t, 0, "doc")
	w.run(t)
	var messages [][]byte
	c.rt.OnUpdate(func(u runtime.Update) { messages = append(messages, u.Data) })
	do := func(n *node, fn func(tx runtime.Tx) error) {
		t.Helper()
		if err := n.rt.Transact(fn); err != nil {
			t.Fatal(err)
		}
	}
	for range 4 {
		do(c, func(tx runtime.Tx) error { _, err := rows[2].Append(tx, nil); return err })
	}
	for i, m := range messages { // a cannot queue them all, and forgets them
		a.rt.Receive(m)
		if i < 3 {
			b.rt.Receive(m) // not by this session
		}
	}
	do(b, func(tx runtime.Tx) error { return rows[1].Move(tx, 2, 0) })
	w.fetch(t, 1, 10)
	w.deliver(t, 1, 10)
	w.run(t)
	if r, n := has[providers.Refused](w, 1); n > 0 {
		t.Fatalf("%+v", r)
	}
	equal(t, a, b)
}

// What the peer brought is not unsaved when it tells, after a transfer, what it has made durable so far: nobody would ever
// acknowledge that.
func TestHeldIsNoNewsOfWhatThePeerBrought(t *testing.T) {
	durable := vclock.Clock{}
	a, b, x := newNode(t, 1, runtime.Options{}), newNode(t, 2, runtime.Options{}), newNode(t, 3, runtime.Options{})
	w := newWire(t, a, b, nil, &providers.Options{Durable: func(r vclock.Replica) uint64 { return durable[r] }})
	s := w.open(t, 0, "doc")
	w.run(t)
	a.fill(t, 100_000)
	w.run(t)
	covered := b.rt.Clock()
	x.insert(t, 0, "x")
	ms, _ := x.rt.MessagesSince(nil)
	b.rt.Receive(ms[0])
	w.run(t)
	if got := s.Unsaved(); len(got) != 1 {
		t.Fatal(got)
	}
	durable.Merge(covered)
	w.run(t)
	if got := s.Unsaved(); len(got) != 0 {
		t.Fatal(got)
	}
	equal(t, a, b)
}
