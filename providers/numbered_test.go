package providers_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/providers/mem"
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

// A follower that was away for long gets a delta, which takes less than the messages that it missed, but only if it does.
func TestLongAwayGetsDelta(t *testing.T) {
	s, a, b := newServer(t, 9), newNode(t, 1, runtime.Options{}), newNode(t, 2, runtime.Options{})
	la, lb := s.join(t, a, new(providers.Follower)), s.join(t, b, new(providers.Follower))
	edits := 0
	missed := func(n int, edit func()) (cost int) {
		a.insert(t, -1, "before")
		la.run(t)
		s.flush(t, la, lb)
		la.cut(t)
		for range n {
			edit()
			if edits++; edits%100 == 0 {
				s.flush(t, lb)
			}
		}
		s.flush(t, lb)
		la = s.join(t, a, new(providers.Follower)) // who remembers no number
		s.flush(t, la, lb)
		equal(t, s.node, a, b)
		return la.bytes[1]
	}
	typing := func() { b.insert(t, -1, "x") }
	if cost := missed(500, typing); cost < 500*6 {
		t.Errorf("500 missed messages cost %d bytes: no messages?", cost)
	}
	// What the log's stream knows takes up to nine bytes an entry besides.
	if cost := missed(3000, typing); cost > 3500*9 {
		t.Errorf("3,000 missed messages cost %d bytes", cost)
	}
}

// crowd is a server with so many typists.
func crowd(t testing_, n int) (*server, []*node, []*wire) {
	s := newServer(t, 250)
	var typists []*node
	var links []*wire
	for i := range n {
		typists = append(typists, newNode(t, i+1, runtime.Options{}))
		links = append(links, s.join(t, typists[i], new(providers.Follower)))
	}
	return s, typists, links
}

// typing is one keystroke of everybody, at about the same time, and all that follows from it.
func (s *server) typing(t testing_, typists []*node, links []*wire) {
	for _, n := range typists {
		n.insert(t, -1, "x")
	}
	for _, l := range links {
		l.run(t)
	}
	s.flush(t, links...)
}

// BenchmarkNumberedTypists is BenchmarkManyTypists with a log that all follow.
func BenchmarkNumberedTypists(b *testing.B) {
	s, typists, links := crowd(b, 100)
	s.typing(b, typists, links)
	for _, l := range links {
		l.resetCounts()
	}
	for b.Loop() {
		s.typing(b, typists, links)
	}
	up, down := 0, 0
	for _, l := range links {
		up, down = up+l.bytes[0], down+l.bytes[1]
	}
	b.ReportMetric(float64(up)/float64(100*b.N), "B-up/keystroke")
	b.ReportMetric(float64(down)/float64(100*100*b.N), "B-down/keystroke")
}

// TestNumberedTypists: a keystroke of one of a hundred who type at once costs at most 40 bytes, up and down, frames included,
// and as many in the store.
func TestNumberedTypists(t *testing.T) {
	s, typists, links := crowd(t, 100)
	s.typing(t, typists, links)
	for _, l := range links {
		l.resetCounts()
	}
	const rounds = 3
	for range rounds {
		s.typing(t, typists, links)
	}
	up, down := 0, 0
	for _, l := range links {
		up, down = up+l.bytes[0], down+l.bytes[1]
	}
	t.Logf("%d bytes up, %d down", up/(100*rounds), down/(100*100*rounds))
	if up > 40*100*rounds || down > 40*100*100*rounds {
		t.Error("more than 40 bytes a keystroke")
	}
	equal(t, append(typists, s.node)...)
}

// TestFollowGap: an update that is no message goes round the log.
func TestFollowGap(t *testing.T) {
	s, a, b := newServer(t, 9), newNode(t, 1, runtime.Options{}), newNode(t, 2, runtime.Options{})
	var fa, fb providers.Follower
	la, lb := s.join(t, a, &fa), s.join(t, b, &fb)
	a.insert(t, 0, "a")
	la.run(t)
	s.flush(t, la, lb)
	c := newNode(t, 3, runtime.Options{})
	c.insert(t, 0, "by state ")
	state, err := c.rt.Save()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.rt.Receive(state); err != nil {
		t.Fatal(err)
	}
	s.flush(t, la, lb)
	b.insert(t, -1, "b")
	lb.run(t)
	s.flush(t, la, lb)
	equal(t, s.node, a, b)
	if n, _ := fa.Number(); n != 3 {
		t.Errorf("number %d, not 3", n)
	}
	for _, l := range []*wire{la, lb} {
		if got := l.ends[0].Session("doc").Unsaved(); len(got) > 0 {
			t.Error(got)
		}
	}
}

// TestFollowLate: who is so far behind that the log has forgotten is brought up to date by clock; the log stays bounded.
func TestFollowLate(t *testing.T) {
	s, a, b := newServer(t, 9), newNode(t, 1, runtime.Options{}), newNode(t, 2, runtime.Options{})
	var fa, fb providers.Follower
	la, lb := s.join(t, a, &fa), s.join(t, b, &fb)
	a.insert(t, 0, "a")
	b.insert(t, 0, "b")
	s.flush(t, la, lb)
	la.cut(t)
	for i := range 40 {
		b.fill(t, providers.LogBytes/16)
		lb.run(t)
		if i%3 == 0 {
			s.flush(t, lb)
		}
	}
	s.flush(t, lb)
	a.insert(t, 0, "late")
	la = s.join(t, a, &fa)
	s.flush(t, la, lb)
	equal(t, s.node, a, b)
	if n := s.log.Kept(); n > 3*providers.LogBytes {
		t.Errorf("the log keeps %d bytes", n)
	}
	// Large messages come by log too.
	b.fill(t, 300_000)
	lb.run(t)
	s.flush(t, la, lb)
	equal(t, s.node, a, b)
}

// TestFollowRestart: more replicas than a stream holds begin it anew, and nobody notices.
func TestFollowRestart(t *testing.T) {
	s, a := newServer(t, 9), newNode(t, 1, runtime.Options{})
	var fa providers.Follower
	la := s.join(t, a, &fa)
	for i := range 4200 {
		n := &node{}
		rt, err := runtime.New(&runtime.Options{Kinds: crdt.Kinds(), History: runtime.History{Messages: 1}})
		if err != nil {
			t.Fatal(err)
		}
		n.rt = rt
		if n.text, err = crdt.NewText(rt, "body"); err != nil {
			t.Fatal(err)
		}
		n.insert(t, 0, "x")
		ms, _ := rt.MessagesSince(nil)
		if _, err := s.rt.Receive(ms[0]); err != nil {
			t.Fatal(err)
		}
		if i%50 == 0 {
			a.insert(t, 0, "y")
			s.flush(t, la)
		}
	}
	s.flush(t, la)
	a.insert(t, 0, "end")
	la.run(t)
	s.flush(t, la)
	equal(t, s.node, a)
	if s.log.Begun() == 1 {
		t.Error("the stream did not begin anew")
	}
	la.cut(t)
	a.insert(t, 0, "again")
	la = s.join(t, a, &fa)
	s.flush(t, la)
	equal(t, s.node, a)
}

// TestNumbersSurvive: a Keeper's log goes on after a restart with the same numbers, and followers with it.
func TestNumbersSurvive(t *testing.T) {
	for _, snapshot := range []int{1000, 2} {
		t.Run(fmt.Sprint("snapshot after ", snapshot), func(t *testing.T) {
			store := mem.NewStore()
			s, a := newNode(t, 9, runtime.Options{}), newNode(t, 1, runtime.Options{})
			k := keep(t, s, store, &providers.KeeperOptions{SnapshotRecords: snapshot})
			var f providers.Follower
			open := func() *wire {
				w := newWire(t, a, s, &providers.Options{Follow: &f}, &providers.Options{Log: k.Log(), IgnoreAcks: true, Durable: k.Durable, Principal: "ann"})
				w.open(t, 0, "doc")
				w.run(t)
				return w
			}
			settle := func(w *wire) {
				eventually(t, func() bool {
					w.run(t)
					return len(w.ends[0].Session("doc").Unsaved()) == 0 && a.rt.Clock().Equal(s.rt.Clock())
				})
			}
			w := open()
			for range 5 {
				a.insert(t, 0, "x")
				settle(w)
			}
			for range 3 { // restarts
				w.cut(t)
				if err := k.Close(); err != nil {
					t.Fatal(err)
				}
				before, _ := k.Log().Next()
				a.insert(t, -1, "offline")
				s = newNode(t, 9, runtime.Options{})
				k = keep(t, s, store, &providers.KeeperOptions{SnapshotRecords: snapshot})
				if now, _ := k.Log().Next(); now != before {
					t.Fatalf("the next number was %d, is %d", before, now)
				}
				if who := k.Claim(a.rt.Replica(), "bob"); who != "ann" {
					t.Fatalf("the replica belongs to %q", who)
				}
				w = open()
				settle(w)
				if n, _ := f.Number(); n != before {
					t.Errorf("number %d, not %d", n, before)
				}
				if _, asked := has[providers.Synced](w, 0); asked == 0 || w.bytes[0] > 160 {
					t.Errorf("the reconnection cost %d bytes", w.bytes[0])
				}
				a.insert(t, 0, "y")
				settle(w)
			}
			equal(t, a, s)
			k.Close()
		})
	}
}

// TestStoredVersions: what a newer version wrote is refused by that name, what is nonsense as damage is.
func TestStoredVersions(t *testing.T) {
	for _, c := range []struct {
		name string
		data []byte
		want error
	}{
		{"newer", []byte{2, 0}, providers.ErrStoredVersion},
		{"empty flags", []byte{1}, providers.ErrMalformed},
		{"unknown flags", []byte{1, 0x80, 1, 1, 0}, providers.ErrMalformed},
		{"a gap", []byte{1, 0, 9, 1, 0}, providers.ErrMalformed},
		{"principals without end", []byte{1, 0, 1, 1, 0xff, 0xff, 0xff, 0xff, 0x0f}, providers.ErrMalformed},
		{"packed nonsense", []byte{1, 0, 1, 1, 0, 99, 99}, runtime.ErrCorrupt},
		{"dots beyond 2^53", []byte{1, 0, 1, 1, 0, // packed: a sender that is new; several dots, how many; a root; a payload
			0, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40, 0, 3, 104, 1, 'x', 1, 1},
			runtime.ErrCorrupt},
	} {
		store := mem.NewStore()
		if _, err := store.Append(t.Context(), []providers.Record{{Document: "doc", Data: c.data}}); err != nil {
			t.Fatal(err)
		}
		if _, err := providers.Keep(t.Context(), newNode(t, 1, runtime.Options{}).rt, store, "doc", nil); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestFollowAfterCachedState: what the server took between the clock that it told and the end of what it brought the peer up
// to date with is acknowledged too.
func TestFollowAfterCachedState(t *testing.T) {
	n := newNode(t, 9, runtime.Options{History: runtime.History{Off: true}})
	s, a := &server{n, providers.NewTestLog(n.rt)}, newNode(t, 1, runtime.Options{})
	s.insert(t, 0, "long ago")
	s.flush(t)
	state, err := s.rt.Save()
	if err != nil {
		t.Fatal(err)
	}
	clock := s.rt.Clock()
	o := s.options()
	o.Save = func(since vclock.Clock) ([]byte, vclock.Clock, error) {
		if !since.CoversClock(clock) {
			return state, clock.Clone(), nil
		}
		b, err := s.rt.SaveSince(since)
		return b, nil, err
	}
	s.insert(t, 0, "newer ")
	w := newWire(t, a, s.node, &providers.Options{Follow: new(providers.Follower)}, o)
	w.open(t, 0, "doc")
	for w.ends[1].Session("doc") == nil {
		w.fetch(t, 0, 4)
		w.deliver(t, 0, 9)
		w.fetch(t, 1, 1)
		w.deliver(t, 1, 1)
	}
	w.fetch(t, 1, 2) // accept and the beginning of the state
	w.deliver(t, 1, 2)
	a.insert(t, 0, "mine ")
	w.fetch(t, 0, 9)
	w.deliver(t, 0, 9)
	s.flush(t)
	s.flush(t, w)
	equal(t, s.node, a)
	if got := w.ends[0].Session("doc").Unsaved(); len(got) > 0 {
		t.Fatal(got)
	}
}

// TestLeaderBringsWhatIsDurable: who joins hears of nothing that a crash could still take back, by messages or by state.
func TestLeaderBringsWhatIsDurable(t *testing.T) {
	for _, off := range []bool{false, true} {
		n := newNode(t, 9, runtime.Options{History: runtime.History{Off: off}})
		s, a := &server{n, providers.NewTestLog(n.rt)}, newNode(t, 1, runtime.Options{})
		s.insert(t, 0, "kept ")
		s.flush(t)
		s.insert(t, -1, "not yet")
		w := s.join(t, a, new(providers.Follower))
		if got := a.String(); got != "kept " && (got != "" || !off) {
			t.Errorf("history off %v: the client has %q", off, got)
		}
		s.flush(t, w)
		equal(t, s.node, a)
	}
}

// TestFollowLostBeforeTheClock: a link that is lost between the place in the log and the server's clock leaves a place to go on
// from, but nothing that says what the server holds. What it held before it lost its document is no answer either.
func TestFollowLostBeforeTheClock(t *testing.T) {
	for _, lost := range []bool{false, true} {
		for _, logged := range []bool{false, true} {
			t.Run(fmt.Sprint("document lost ", lost, ", log in between ", logged), func(t *testing.T) {
				s, a, b := newServer(t, 9), newNode(t, 1, runtime.Options{}), newNode(t, 2, runtime.Options{})
				var f providers.Follower
				if lost {
					a.insert(t, 0, "long ago ")
					l := s.join(t, a, &f)
					s.flush(t, l)
					l.cut(t)
					if n, _ := f.Number(); n != 1 {
						t.Fatalf("number %d", n)
					}
					s = newServer(t, 9)
				}
				o := s.options()
				o.Pattern = providers.Ongoing // its accept has no clock
				l := newWire(t, a, s.node, &providers.Options{Follow: &f}, o)
				l.open(t, 0, "doc")
				isClock := func(frame []byte) bool { typ, _, _ := providers.PeekFrame(frame); return typ == providers.FrameClock }
				for range 20 {
					l.fetch(t, 0, 9)
					l.deliver(t, 0, 9)
					l.fetch(t, 1, 9)
					l.queue[1] = slices.DeleteFunc(l.queue[1], isClock) // still on its way
					l.deliver(t, 1, 9)
				}
				if logged {
					b.insert(t, 0, "b")
					ms, _ := b.rt.MessagesSince(nil)
					if _, err := s.rt.Receive(ms[0]); err != nil {
						t.Fatal(err)
					}
					s.flush(t, l)
				}
				l.cut(t)
				a.insert(t, 0, "offline ")

				l = newWire(t, a, s.node, &providers.Options{Follow: &f}, o)
				session := l.open(t, 0, "doc")
				l.run(t)
				s.flush(t, l)
				equal(t, s.node, a)
				if got := session.Unsaved(); len(got) > 0 {
					t.Errorf("unsaved: %v", got)
				}
				if own, ok := a.rt.Unacknowledged(); ok {
					t.Errorf("unacknowledged: %v", own)
				}
				if e, n := has[providers.Saved](l, 0); n == 0 || !e.All {
					t.Errorf("%d Saved events, the last %+v", n, e)
				}
			})
		}
	}
}
