package providers_test

import (
	"testing"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// server is a node whose log others follow.
type server struct {
	*node
	log *providers.TestLog
}

func newServer(t testing_, i int) *server {
	n := newNode(t, i, runtime.Options{})
	return &server{n, providers.NewTestLog(n.rt)}
}

func (s *server) options() *providers.Options {
	return &providers.Options{Log: s.log.RoomLog, IgnoreAcks: true, Durable: func(r vclock.Replica) uint64 { return s.log.Held[r] }}
}

// flush makes durable what the server has taken, and pumps all links.
func (s *server) flush(t testing_, links ...*wire) {
	for i := 0; i < 3; i++ {
		if err := s.log.Flush(); err != nil {
			t.Fatal(err)
		}
		for _, l := range links {
			l.run(t)
		}
	}
}

func (s *server) join(t testing_, n *node, f *providers.Follower) *wire {
	w := newWire(t, n, s.node, &providers.Options{Follow: f}, s.options())
	w.open(t, 0, "doc")
	w.run(t)
	return w
}

// TestFollow resumes by number: what a client missed costs in proportion to itself, and no clocks.
func TestFollow(t *testing.T) {
	s, a, b := newServer(t, 9), newNode(t, 1, runtime.Options{}), newNode(t, 2, runtime.Options{})
	// A document that many have written to, so that clocks are long.
	for i := range 50 {
		n := newNode(t, 100+i, runtime.Options{})
		n.insert(t, 0, "x")
		ms, _ := n.rt.MessagesSince(nil)
		if _, err := s.rt.Receive(ms[0]); err != nil {
			t.Fatal(err)
		}
	}
	s.flush(t)
	var fa, fb providers.Follower
	la, lb := s.join(t, a, &fa), s.join(t, b, &fb)
	a.insert(t, 0, "hello")
	la.run(t)
	s.flush(t, la, lb)
	equal(t, s.node, a, b)
	if n, ms := fa.Number(); n != 51 || ms < 1_700_000_000_000 {
		t.Fatalf("number %d, time %d", n, ms)
	}
	if got := la.ends[0].Session("doc").Unsaved(); len(got) > 0 {
		t.Fatal(got)
	}

	la.cut(t)
	a.insert(t, 0, "offline ")
	b.insert(t, -1, "missed")
	s.flush(t, lb)
	la = s.join(t, a, &fa)
	s.flush(t, la, lb)
	equal(t, s.node, a, b)
	if sum := la.bytes[0] + la.bytes[1]; sum > 350 {
		t.Errorf("a reconnection cost %d and %d bytes", la.bytes[0], la.bytes[1])
	}
	if got := la.ends[0].Session("doc").Unsaved(); len(got) > 0 {
		t.Fatal(got)
	}
}
