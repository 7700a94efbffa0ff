package providers_test

import (
	"hash/crc32"
	"testing"
	"time"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/runtime"
)

// unruly is a peer whose frames the test writes by hand: it keeps to no rule. It has opened a document with b.
func unruly(t *testing.T, b *node, o *providers.Options) *wire {
	t.Helper()
	w := newWire(t, newNode(t, 1, runtime.Options{}), b, nil, o)
	w.say(t, frame(t, 1, 0, 1, 1, map[int]int{}), frame(t, 5, 1, []byte("doc"), map[int]int{}))
	return w
}

// say hands frames to end 1 and has it answer.
func (w *wire) say(t *testing.T, frames ...[]byte) {
	t.Helper()
	for _, f := range frames {
		w.ends[1].Receive(f)
		w.take(t, 1)
	}
	w.fetch(t, 1, 100)
	if err := w.ends[1].Err(); err != nil {
		t.Fatal(err)
	}
}

// said returns how many frames of a type are under way from end 1.
func (w *wire) said(kind providers.FrameType) (n int) {
	for _, f := range w.queue[1] {
		if got, _, err := providers.PeekFrame(f); err == nil && got == kind {
			n++
		}
	}
	return n
}

// messageFrame packs messages with a fresh dictionary.
func messageFrame(t *testing.T, messages ...[]byte) []byte {
	t.Helper()
	var p runtime.Packer
	var b []byte
	for _, m := range messages {
		var err error
		if b, err = p.Append(b, m); err != nil {
			t.Fatal(err)
		}
	}
	return frame(t, providers.FrameFresh, 1, b)
}

// written returns the messages of a replica that inserted n characters.
func written(t *testing.T, replica, n int) [][]byte {
	t.Helper()
	c := newNode(t, replica, runtime.Options{})
	for range n {
		c.insert(t, 0, "c")
	}
	ms, err := c.rt.MessagesSince(nil)
	if err != nil {
		t.Fatal(err)
	}
	return ms
}

// TestReaderThatWrites: a side that takes no updates takes none from a peer that sends them all the same.
func TestReaderThatWrites(t *testing.T) {
	m := written(t, 3, 1)[0]
	sum := crc32.Checksum(m, crc32.MakeTable(crc32.Castagnoli))
	for name, frames := range map[string][][]byte{
		"in a frame":  {messageFrame(t, m)},
		"in a bundle": {frame(t, 13, 1, 1, len(m)), frame(t, 14, 1, m), frame(t, 15, 1, sum)},
	} {
		t.Run(name, func(t *testing.T) {
			b := newNode(t, 2, runtime.Options{})
			w := unruly(t, b, &providers.Options{ReadOnly: true})
			w.say(t, frames...)
			if e, n := has[providers.Refused](w, 1); n != 1 || e.Code != providers.CodeReadOnly || b.String() != "" {
				t.Fatalf("%q, %+v", b, w.events[1])
			}
		})
	}
}

// TestDroppedMessageIsAskedFor: what does not fit into a waiting room that others have filled is asked for at once, since
// nothing would bring it back later.
func TestDroppedMessageIsAskedFor(t *testing.T) {
	b := newNode(t, 2, runtime.Options{Limits: runtime.Limits{Waiting: 2}})
	w := unruly(t, b, nil)
	for _, m := range written(t, 3, 3)[1:] {
		if _, err := b.rt.Receive(m); err != nil {
			t.Fatal(err)
		}
	}
	w.say(t)
	before := w.said(providers.FrameClock)
	w.say(t, messageFrame(t, written(t, 4, 2)[1]))
	if b.rt.Waiting() != 2 || w.said(providers.FrameClock) != before+1 {
		t.Errorf("%d wait, and %d clocks were sent", b.rt.Waiting(), w.said(providers.FrameClock)-before)
	}
}

// TestOlderPresenceIsIgnored: of two values of a replica the one with the greater counter stands, whichever comes last.
func TestOlderPresenceIsIgnored(t *testing.T) {
	b := newNode(t, 2, runtime.Options{})
	now := time.Unix(1_000_000, 0)
	b.eph, _ = providers.NewEphemeral(&providers.EphemeralOptions{Own: b.rt.Replica(), Now: func() time.Time { return now }})
	w := unruly(t, b, &providers.Options{Ephemeral: b.eph})
	key := replicaID(3)
	show := func(counter int, value string) {
		now = now.Add(time.Second) // not held back for its rate
		w.say(t, frame(t, 20, 1, []any{[]any{key[:], counter, 30_000, []byte(value), []byte{}}}))
	}
	show(7, "old")
	show(9, "new")
	show(8, "late")
	show(9, "again")
	if v := b.eph.Values(); len(v) != 1 || string(v[0].Value) != "new" {
		t.Errorf("%+v", v)
	}
}
