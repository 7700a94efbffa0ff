package providers_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

func TestPatternsConverge(t *testing.T) {
	for _, pa := range []providers.Pattern{providers.Clock, providers.Ongoing, providers.State} {
		for _, pb := range []providers.Pattern{providers.Clock, providers.Ongoing, providers.State} {
			t.Run(fmt.Sprint(pa, "-", pb), func(t *testing.T) {
				a, b, w := pair(t, &providers.Options{Pattern: pa}, &providers.Options{Pattern: pb})
				a.insert(t, 0, "from a ")
				b.insert(t, 0, "from b ")
				w.open(t, 0, "doc")
				w.run(t)
				equal(t, a, b)
				for i := range 2 {
					if _, n := has[providers.Synced](w, i); n != 1 {
						t.Errorf("end %d: %d Synced events in %+v", i, n, w.events[i])
					}
				}
				a.insert(t, 0, "later ")
				w.run(t)
				if pa == providers.State {
					if a.String() == b.String() {
						t.Error("the state pattern went on")
					}
				} else {
					equal(t, a, b)
				}
			})
		}
	}
}

// A steady typist costs at most 10 bytes of payload a frame.
func TestTypingIsCheap(t *testing.T) {
	a, b, w := pair(t, nil, &providers.Options{IgnoreAcks: true})
	s := w.open(t, 0, "doc")
	a.insert(t, 0, "x")
	w.run(t)
	w.resetCounts()
	const n = 2000
	longest := 0
	w.log = func(from int, f []byte) {
		if from == 0 {
			longest = max(longest, len(f))
		}
	}
	for i := range n {
		a.insert(t, -1, string(rune('a'+i%26)))
		w.run(t)
	}
	equal(t, a, b)
	if w.frames[0] != n {
		t.Fatalf("%d frames for %d keystrokes", w.frames[0], n)
	}
	t.Logf("payload: %.2f bytes a keystroke on average, %d at most; acknowledgements %.2f", float64(w.bytes[0])/n, longest, float64(w.bytes[1])/n)
	if avg := float64(w.bytes[0]) / n; avg > 10 || longest > 11 {
		t.Errorf("%.2f bytes a frame, at most %d", avg, longest)
	}
	if got := s.Unsaved(); len(got) != 0 {
		t.Errorf("unsaved: %v", got)
	}
}

// Whoever missed k messages pays in proportion to k, not to the document.
func TestResumeCostsWhatWasMissed(t *testing.T) {
	a, b, w := pair(t, nil, nil)
	w.open(t, 0, "doc")
	for range 300 {
		a.insert(t, rand.IntN(1000), strings.Repeat("lorem ipsum ", 10))
	}
	w.run(t)
	cost := map[int]int{}
	for _, k := range []int{0, 1, 10, 100, 1000} {
		w.cut(t)
		for range k {
			a.insert(t, -1, "y")
		}
		w = newWire(t, a, b, nil, nil)
		w.open(t, 1, "doc")
		w.run(t)
		equal(t, a, b)
		cost[k] = w.bytes[0] + w.bytes[1]
	}
	t.Log(cost)
	for k, n := range cost {
		if n > 450+8*k {
			t.Errorf("%d missed messages cost %d bytes", k, n)
		}
	}
}

func TestEvictedHistoryGivesDelta(t *testing.T) {
	a, b := newNode(t, 1, runtime.Options{History: runtime.History{Messages: 10}}), newNode(t, 2, runtime.Options{})
	w := newWire(t, a, b, nil, nil)
	w.open(t, 1, "doc")
	for range 100 {
		b.insert(t, 0, "some text ")
	}
	w.run(t)
	c := newNode(t, 3, runtime.Options{})
	x := newWire(t, c, a, nil, nil)
	x.open(t, 0, "doc")
	x.run(t)
	equal(t, a, b, c)
}

func TestAcknowledgements(t *testing.T) {
	durable := map[vclock.Replica]uint64{}
	ob := &providers.Options{Durable: func(r vclock.Replica) uint64 { return durable[r] }}
	a, b, w := pair(t, nil, ob)
	s := w.open(t, 0, "doc")
	a.insert(t, 0, "hello")
	if got := s.Unsaved(); len(got) != 1 || got[0].End != 5 {
		t.Fatal(got)
	}
	w.run(t)
	equal(t, a, b)
	if got := s.Unsaved(); len(got) != 1 {
		t.Fatalf("acknowledged before it was durable: %v", got)
	}
	if _, n := has[providers.Saved](w, 0); n != 0 {
		t.Fatal("Saved before it was durable")
	}
	durable[a.rt.Replica()] = 5
	w.run(t)
	if e, _ := has[providers.Saved](w, 0); !e.All || e.Level != providers.Durable {
		t.Fatalf("%+v", w.events[0])
	}
	if got := s.Unsaved(); len(got) != 0 {
		t.Fatal(got)
	}
	if _, ok := a.rt.Unacknowledged(); ok {
		t.Fatal("the runtime was not told")
	}
	// Received, not yet durable, link lost: the next link brings it again, and only then it is saved.
	a.insert(t, 0, "more")
	w.run(t)
	w.cut(t)
	w = newWire(t, a, b, nil, ob)
	s = w.open(t, 0, "doc")
	w.run(t)
	if got := s.Unsaved(); len(got) != 1 || got[0].Start != 5 || got[0].End != 9 {
		t.Fatal(got)
	}
	durable[a.rt.Replica()] = 9
	w.run(t)
	if got := s.Unsaved(); len(got) != 0 {
		t.Fatal(got)
	}
}

func TestLostInsideAState(t *testing.T) {
	a, b, w := pair(t, &providers.Options{Pattern: providers.Ongoing}, nil)
	a.fill(t, 900_000)
	b.insert(t, 0, "what b has")
	before := string(b.rt.Canonical())
	for cut := 0; ; cut++ {
		w = newWire(t, a, b, w.opts[0], nil)
		w.open(t, 0, "doc")
		chunks, ended := 0, false
		for range 1000 {
			if chunks == cut && cut > 0 || ended {
				break
			}
			for i := range 2 {
				w.fetch(t, i, 1)
				for _, f := range w.queue[i] {
					ft, _, _ := providers.PeekFrame(f)
					if ft == providers.FrameChunk {
						chunks++
					}
					ended = ended || ft == providers.FrameEnd
				}
				if cut == 0 && chunks > 0 {
					break
				}
				w.deliver(t, i, 10)
			}
			if cut == 0 && chunks > 0 {
				break
			}
		}
		if ended {
			break
		}
		if string(b.rt.Canonical()) != before {
			t.Fatal("part of a state was applied")
		}
		w.cut(t)
		if string(b.rt.Canonical()) != before {
			t.Fatal("part of a state was applied")
		}
	}
	w.run(t)
	equal(t, a, b)
}

func TestFullQueueBecomesADelta(t *testing.T) {
	a, b, w := pair(t, nil, nil)
	w.open(t, 0, "doc")
	w.run(t)
	for range 3000 {
		a.insert(t, 0, "z")
	}
	w.resetCounts()
	w.run(t)
	equal(t, a, b)
	if w.frames[0] > 10 {
		t.Errorf("%d frames", w.frames[0])
	}

	a, b, w = pair(t, &providers.Options{QueueBytes: 10}, nil)
	w.open(t, 0, "doc")
	w.run(t)
	a.insert(t, 0, "more than the whole queue may hold")
	w.run(t)
	equal(t, a, b)
}

func TestLargeMessageTravelsInChunks(t *testing.T) {
	a, b, w := pair(t, nil, nil)
	w.open(t, 0, "doc")
	w.run(t)
	a.fill(t, 900_000)
	a.insert(t, 0, "after it")
	b.insert(t, 0, "beside it")
	w.run(t)
	equal(t, a, b)
	if got := w.ends[0].Session("doc").Unsaved(); len(got) != 0 {
		t.Fatal(got)
	}
}

func TestReadOnly(t *testing.T) {
	a, b, w := pair(t, nil, &providers.Options{ReadOnly: true})
	b.insert(t, 0, "to read")
	s := w.open(t, 0, "doc")
	w.run(t)
	if e, _ := has[providers.Opened](w, 0); !e.ReadOnly {
		t.Fatalf("%+v", e)
	}
	equal(t, a, b)
	a.insert(t, 0, "mine ")
	w.run(t)
	if b.String() != "to read" || len(s.Unsaved()) != 1 {
		t.Fatal(b.String(), s.Unsaved())
	}
	b.insert(t, 0, "more ")
	w.run(t)
	if !strings.Contains(a.String(), "more to read") {
		t.Fatal(a.String())
	}
}

func TestRefusalEndsTheDocument(t *testing.T) {
	check := func(u []byte) error {
		if info, err := runtime.Inspect(u); err == nil && info.Start >= 3 {
			return &providers.RefusedError{Code: providers.CodeQuota, Dot: &vclock.Dot{Replica: info.Sender, Seq: info.Start}, Reason: "full"}
		}
		return nil
	}
	a, b, w := pair(t, nil, &providers.Options{Check: check})
	s := w.open(t, 0, "doc")
	a.insert(t, 0, "abc")
	w.run(t)
	a.insert(t, 3, "def")
	w.run(t)
	e, n := has[providers.Refused](w, 0)
	if n != 1 || e.Code != providers.CodeQuota || !e.Remote || e.Dot == nil || e.Dot.Seq != 3 || e.Reason != "full" {
		t.Fatalf("%+v", e)
	}
	if b.String() != "abc" {
		t.Fatal(b.String())
	}
	work, err := s.LocalWork()
	if err != nil || work == nil {
		t.Fatal(err)
	}
	if _, err := b.rt.Receive(work); err != nil || b.String() != "abcdef" {
		t.Fatal(err, b.String())
	}
	a.insert(t, 0, "x")
	w.run(t)
	if b.String() != "abcdef" {
		t.Fatal("it went on")
	}
	if w.ends[0].Err() != nil {
		t.Fatal("the connection ended with the document")
	}
	// The document can be opened again on the same connection.
	w.opts[1] = nil
	w.open(t, 0, "doc")
	w.run(t)
	equal(t, a, b)
}

func TestEquivocation(t *testing.T) {
	a, b := newNode(t, 1, runtime.Options{}), newNode(t, 2, runtime.Options{})
	liar1, liar2 := newNode(t, 9, runtime.Options{}), newNode(t, 9, runtime.Options{})
	liar1.insert(t, 0, "one")
	liar2.insert(t, 0, "two")
	m1, _ := liar1.rt.MessagesSince(nil)
	m2, _ := liar2.rt.MessagesSince(nil)
	a.rt.Receive(m1[0])
	b.rt.Receive(m2[0])
	w := newWire(t, a, b, nil, nil)
	w.open(t, 0, "doc")
	w.run(t)
	for i, m := range [][]byte{m2[0], m1[0]} { // told again, since both have it already by clock
		w.nodes[i].rt.Receive(m)
	}
	a.insert(t, 0, "honest a ")
	b.insert(t, 0, "honest b ")
	w.run(t)
	if !strings.Contains(a.String(), "honest b") || !strings.Contains(b.String(), "honest a") {
		t.Fatalf("%q %q", a, b)
	}
}

func TestWaitingMessagesMakeItAsk(t *testing.T) {
	a, b := newNode(t, 1, runtime.Options{}), newNode(t, 2, runtime.Options{Limits: runtime.Limits{Waiting: 5}})
	w := newWire(t, a, b, nil, nil)
	w.open(t, 0, "doc")
	w.run(t)
	c := newNode(t, 3, runtime.Options{})
	for range 30 {
		c.insert(t, 0, "c")
	}
	ms, _ := c.rt.MessagesSince(nil)
	// b gets the later ones from elsewhere, a gets all; nobody relays what waits.
	for _, m := range ms[25:] {
		b.rt.Receive(m)
	}
	w.run(t)
	if a.rt.Waiting() != 0 || a.rt.Clock().Sum() != 0 {
		t.Fatal("what waits was relayed")
	}
	for _, m := range ms {
		a.rt.Receive(m)
	}
	w.run(t)
	for range 10 {
		w.tick(t, time.Second)
		w.run(t)
	}
	equal(t, a, b)
	if b.rt.Waiting() != 0 {
		t.Fatal(b.rt.Waiting())
	}
}

func TestStalledTransferEnds(t *testing.T) {
	ongoing := &providers.Options{Pattern: providers.Ongoing}
	a, _, w := pair(t, ongoing, ongoing)
	a.fill(t, 900_000)
	w.open(t, 0, "doc")
	for range 3 {
		w.fetch(t, 0, 1)
		w.deliver(t, 0, 10)
		w.fetch(t, 1, 1)
		w.deliver(t, 1, 10)
	}
	for range 100 { // the peer acknowledges nothing any more, gives no credit, and yet lives
		w.fetch(t, 0, 1)
		w.tick(t, 500*time.Millisecond)
		w.ends[0].Receive([]byte{0x83, 0x04, 0x00, 0x01})
		w.ends[1].Receive([]byte{0x83, 0x04, 0x00, 0x01})
	}
	if e, n := has[providers.Refused](w, 0); n != 1 || e.Code != providers.CodeStalled {
		t.Fatalf("%+v", w.events[0])
	}
	if e, n := has[providers.Refused](w, 1); n != 1 || e.Code != providers.CodeStalled {
		t.Fatalf("%+v", w.events[1])
	}
}

// What this side's store has not made durable stays here, and what was written after it.
func TestDurableFirst(t *testing.T) {
	durable := uint64(0)
	own := &providers.Options{DurableFirst: true, Durable: func(r vclock.Replica) uint64 {
		if r == replicaID(1) {
			return durable
		}
		return 1 << 40
	}}
	a, b, w := pair(t, own, nil)
	a.insert(t, 0, "abc")
	s := w.open(t, 0, "doc")
	w.run(t)
	b.insert(t, 0, "b")
	w.run(t)
	if got := b.String(); got != "b" || len(a.String()) != 4 {
		t.Fatalf("%q, %q: what is not durable has left, or what is did not arrive", got, a)
	}
	durable = 3
	s.Poke()
	w.run(t)
	equal(t, a, b)
	a.insert(t, 0, "x")
	a.insert(t, 0, "y")
	durable = 4
	w.run(t)
	if got := b.String(); len(got) != 5 || got[0] != 'x' {
		t.Fatalf("%q", got)
	}
	durable = 5
	w.run(t)
	equal(t, a, b)
	if got := s.Unsaved(); len(got) > 0 {
		t.Fatal(got)
	}
	if _, err := providers.NewSession(a.rt, 1, "doc", &providers.Options{DurableFirst: true}); !errors.Is(err, providers.ErrInvalidOptions) {
		t.Fatal(err)
	}
}
