package providers_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/runtime"
)

// TestWhatWaitsForLongIsDropped has a peer bring what depends on what nobody has: it is asked for that, and after DropAfter
// nothing of it is left, nor after the session.
func TestWhatWaitsForLongIsDropped(t *testing.T) {
	a, b, w := pair(t, nil, nil)
	author := newNode(t, 3, runtime.Options{})
	author.insert(t, 0, "lost")
	base := author.rt.Clock()
	for range 5 {
		author.insert(t, 0, "x")
	}
	ms, err := author.rt.MessagesSince(base)
	if err != nil {
		t.Fatal(err)
	}
	s := w.open(t, 0, "doc")
	w.run(t)
	bring := func() {
		var packer runtime.Packer
		var packed []byte
		for _, m := range ms {
			if packed, err = packer.Append(packed, m); err != nil {
				t.Fatal(err)
			}
		}
		w.ends[0].Receive(frame(t, 12, 1, packed))
		w.run(t)
	}
	bring()
	// What waits and came from elsewhere stays.
	if _, err := a.rt.Receive(byNobody(t), runtime.From("elsewhere")); err != nil {
		t.Fatal(err)
	}
	if n := a.rt.WaitingFrom(s); n != 5 || a.rt.Waiting() != 6 {
		t.Fatalf("%d wait, %d of them from the peer", a.rt.Waiting(), n)
	}
	w.quiet(t, 29*time.Second)
	if n := a.rt.WaitingFrom(s); n != 5 {
		t.Fatalf("%d wait after 29 s", n)
	}
	asked := 0
	w.log = func(from int, frame []byte) {
		if typ, _, _ := providers.PeekFrame(frame); typ == providers.FrameClock && from == 0 {
			asked++
		}
	}
	w.quiet(t, 2*time.Second)
	if n := a.rt.WaitingFrom(s); n != 0 || a.rt.Waiting() != 1 || asked == 0 {
		t.Fatalf("%d wait after 31 s, asked %d times", n, asked)
	}
	if w.ends[0].Err() != nil {
		t.Fatal(w.ends[0].Err())
	}
	bring()
	w.cut(t)
	if n := a.rt.Waiting(); n != 1 {
		t.Fatalf("%d wait after the link was lost", n)
	}
	b.insert(t, 0, "b")
	w = newWireAt(t, w.now, a, b, nil, nil)
	w.open(t, 0, "doc")
	w.run(t)
	equal(t, a, b)
}

// byNobody returns a message that waits for another one.
func byNobody(t *testing.T) []byte {
	n := newNode(t, 4, runtime.Options{})
	n.insert(t, 0, "a")
	base := n.rt.Clock()
	n.insert(t, 0, "b")
	ms, err := n.rt.MessagesSince(base)
	if err != nil {
		t.Fatal(err)
	}
	return ms[0]
}

func TestUncompressedStates(t *testing.T) {
	var sizes [2]int
	for i, plain := range []bool{false, true} {
		o := &providers.Options{Uncompressed: plain}
		a, b, w := pair(t, o, &providers.Options{Pattern: providers.Ongoing})
		words, text := strings.Fields("not all those who wander are lost the old that is strong does not wither"), ""
		for r := rand.New(rand.NewPCG(1, 2)); len(text) < 100_000; {
			text += words[r.IntN(len(words))] + " "
		}
		b.insert(t, 0, text)
		w.open(t, 0, "doc")
		w.run(t)
		equal(t, a, b)
		sizes[i] = w.bytes[1]
	}
	if sizes[0] > 60_000 || sizes[1] < 100_000 {
		t.Errorf("%d bytes compressed, %d as they are", sizes[0], sizes[1])
	}
}

// TestWaitingIsNotAcknowledged has two peers bring the same message that waits: neither is told that it is held, and when it goes
// with the one who brought it first, the other one is asked for it.
func TestWaitingIsNotAcknowledged(t *testing.T) {
	author := newNode(t, 3, runtime.Options{})
	author.insert(t, 0, "lost")
	base := author.rt.Clock()
	author.insert(t, 0, "x")
	late, err := author.rt.MessagesSince(base)
	if err != nil {
		t.Fatal(err)
	}
	packed, err := new(runtime.Packer).Append(nil, late[0])
	if err != nil {
		t.Fatal(err)
	}
	server := newNode(t, 1, runtime.Options{})
	var wires [2]*wire
	var acked, asked [2]int
	for i := range wires {
		w := newWire(t, newNode(t, 10+i, runtime.Options{}), server, nil, nil)
		w.open(t, 0, "doc")
		w.run(t)
		w.log = func(from int, frame []byte) {
			switch typ, _, _ := providers.PeekFrame(frame); {
			case from == 1 && (typ == providers.FrameAck || typ == providers.FrameHeld):
				acked[i]++
			case from == 1 && typ == providers.FrameClock:
				asked[i]++
			}
		}
		w.ends[1].Receive(frame(t, 12, 1, packed))
		w.run(t)
		wires[i] = w
	}
	if server.rt.Waiting() != 1 || acked != [2]int{} {
		t.Fatalf("%d wait, acknowledged %v", server.rt.Waiting(), acked)
	}
	wires[0].cut(t)
	if server.rt.Waiting() != 0 {
		t.Fatal("it stays without who brought it")
	}
	wires[1].quiet(t, 5*time.Second)
	if asked[1] == 0 {
		t.Error("the other one is not asked")
	}
	wires[1].quiet(t, 5*time.Minute)
	if asked[1] > 2 {
		t.Errorf("asked %d times for nothing", asked[1])
	}
}
