package providers_test

import (
	goruntime "runtime"
	"testing"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// BenchmarkFanOut measures one keystroke that 200 peers get: ns/op is for all of them.
func BenchmarkFanOut(b *testing.B) {
	n := newNode(b, 1, runtime.Options{})
	var sessions []*providers.Session
	for range 200 {
		s := joined(b, n)
		defer n.rt.OnUpdate(s.Update)()
		sessions = append(sessions, s)
	}
	b.ReportAllocs()
	total := 0
	for b.Loop() {
		n.insert(b, -1, "x")
		for _, s := range sessions {
			f, ok := s.Next()
			if !ok {
				b.Fatal("nothing to send")
			}
			total += len(f)
		}
	}
	b.ReportMetric(float64(total)/float64(200*b.N), "B/frame")
}

// joined returns a session that has accepted a peer and has nothing to send.
func joined(t testing_, n *node) *providers.Session {
	peer, err := providers.NewSession(newNode(t, 2, runtime.Options{}).rt, 1, "doc", nil)
	if err != nil {
		t.Fatal(err)
	}
	open, _ := peer.Next()
	s, err := providers.AcceptSession(n.rt, open, &providers.Options{IgnoreAcks: true, Durable: func(vclock.Replica) uint64 { return 1 << 50 }})
	if err != nil {
		t.Fatal(err)
	}
	for _, ok := s.Next(); ok; _, ok = s.Next() {
	}
	return s
}

// BenchmarkReceive measures a keystroke that arrives.
func BenchmarkReceive(b *testing.B) {
	x, y, w := newNode(b, 1, runtime.Options{}), newNode(b, 2, runtime.Options{}), (*wire)(nil)
	w = newWire(b, x, y, nil, &providers.Options{IgnoreAcks: true})
	w.open(b, 0, "doc")
	w.run(b)
	var frames [][]byte
	for range b.N {
		x.insert(b, -1, "x")
		f, _ := w.ends[0].Next()
		frames = append(frames, f)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for _, f := range frames {
		w.ends[1].Receive(f)
	}
}

// BenchmarkIdleSession measures the memory of a session at rest.
func BenchmarkIdleSession(b *testing.B) {
	n := newNode(b, 1, runtime.Options{})
	n.insert(b, 0, "text")
	var before, after goruntime.MemStats
	goruntime.GC()
	goruntime.ReadMemStats(&before)
	var sessions []*providers.Session
	for range b.N {
		peer := peerOpen
		if peer == nil {
			s, _ := providers.NewSession(newNode(b, 2, runtime.Options{}).rt, 1, "doc", nil)
			peer, _ = s.Next()
			peerOpen = peer
		}
		s, err := providers.AcceptSession(n.rt, peer, nil)
		if err != nil {
			b.Fatal(err)
		}
		for _, ok := s.Next(); ok; _, ok = s.Next() {
		}
		for _, ok := s.NextEvent(); ok; _, ok = s.NextEvent() {
		}
		sessions = append(sessions, s)
	}
	goruntime.GC()
	goruntime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(b.N), "B/session")
	goruntime.KeepAlive(sessions)
}

var peerOpen []byte

// BenchmarkManyTypists measures what a keystroke costs on the wire when 100 replicas type at once, each having seen what
// all others typed a moment ago: explicit dependencies make up nearly all of it.
func BenchmarkManyTypists(b *testing.B) {
	server := newNode(b, 250, runtime.Options{})
	var typists []*node
	var links []*wire
	for i := range 100 {
		n := newNode(b, i+1, runtime.Options{})
		l := newWire(b, n, server, nil, &providers.Options{IgnoreAcks: true})
		l.open(b, 0, "doc")
		l.run(b)
		typists, links = append(typists, n), append(links, l)
	}
	round := func() {
		for _, n := range typists {
			n.insert(b, -1, "x")
		}
		for range 2 {
			for _, l := range links {
				l.run(b)
			}
		}
	}
	round()
	for _, l := range links {
		l.resetCounts()
	}
	for b.Loop() {
		round()
	}
	up, down := 0, 0
	for _, l := range links {
		up, down = up+l.bytes[0], down+l.bytes[1]
	}
	b.ReportMetric(float64(up)/float64(100*b.N), "B-up/keystroke")
	b.ReportMetric(float64(down)/float64(100*99*b.N), "B-down/keystroke")
}
