package providers_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// network is a set of nodes that edit, and links between them that come and go.
type network struct {
	t       *rapid.T
	nodes   []*node
	durable []vclock.Clock // per node; nil: acknowledges what it has received
	logs    []*providers.TestLog
	places  map[[2]int]*providers.Follower
	wires   map[[2]int]*wire
	now     time.Time
}

// options are those of node i towards node j.
func (n *network) options(i, j int) *providers.Options {
	o := &providers.Options{
		Pattern:       providers.Pattern(rapid.IntRange(0, 2).Draw(n.t, "pattern")),
		QueueMessages: rapid.SampledFrom([]int{1, 3, 256}).Draw(n.t, "queue"),
	}
	if d := n.durable[i]; d != nil {
		o.Durable = func(r vclock.Replica) uint64 { return d[r] }
	}
	n.number(o, i, j)
	return o
}

// number makes node i lead and follow.
func (n *network) number(o *providers.Options, i, j int) {
	if l := n.logs[i]; l != nil {
		o.Log = l.RoomLog
		o.IgnoreAcks = rapid.Bool().Draw(n.t, "ignore")
		o.Principal = "who"
	}
	if rapid.IntRange(0, 2).Draw(n.t, "cache") == 0 { // a state that was encoded a while ago
		rt := n.nodes[i].rt
		clock := rt.Clock()
		state, err := rt.Save(runtime.CanonicalOnly())
		if err != nil {
			n.t.Fatal(err)
		}
		o.Save = func(since vclock.Clock) ([]byte, vclock.Clock, error) {
			if since == nil {
				return state, clock.Clone(), nil
			}
			b, err := rt.SaveSince(since, runtime.CanonicalOnly())
			return b, nil, err
		}
	}
	if rapid.IntRange(0, 3).Draw(n.t, "follow") > 0 {
		k := [2]int{i, j}
		if n.places[k] == nil {
			n.places[k] = new(providers.Follower)
		}
		o.Follow = n.places[k]
	}
}

func (n *network) store(i int) {
	if l := n.logs[i]; l != nil {
		if err := l.Flush(); err != nil {
			n.t.Fatal(err)
		}
		n.durable[i].Merge(l.Held)
		for k, w := range n.wires {
			for e := range 2 {
				if k[e] == i {
					if s := w.ends[e].Session("doc"); s != nil {
						s.Poke()
					}
				}
			}
		}
	} else if n.durable[i] != nil {
		n.durable[i].Merge(n.nodes[i].rt.Clock())
	}
}

func (n *network) connect(i, j int, oi, oj *providers.Options) *wire {
	w := newWireAt(n.t, n.now, n.nodes[i], n.nodes[j], oi, oj)
	n.wires[[2]int{i, j}] = w
	w.open(n.t, 0, "doc")
	if rapid.IntRange(0, 3).Draw(n.t, "both open") == 0 { // at the same time
		w.fetch(n.t, 0, 1)
		w.deliver(n.t, 0, 1)
		w.fetch(n.t, 1, 1)
		w.open(n.t, 1, "doc")
	}
	return w
}

// honest checks that nothing counts as saved that the peer does not hold as it promised.
func (n *network) honest(i, j int, w *wire) {
	s := w.ends[0].Session("doc")
	if s == nil {
		return
	}
	saved := n.nodes[i].rt.Clock()
	for _, u := range s.Unsaved() {
		saved.Set(u.Replica, min(saved.Get(u.Replica), u.Start))
	}
	if _, met := has[providers.Opened](w, 0); met == 0 {
		return
	}
	if _, any := has[providers.Saved](w, 0); any == 0 {
		return
	}
	own := n.nodes[i].rt.Replica()
	have := n.nodes[j].rt.Clock()
	if n.durable[j] != nil {
		have = n.durable[j]
	}
	if saved.Get(own) > have.Get(own) {
		n.t.Fatalf("node %d takes %d own dots for saved, node %d holds %d", i, saved.Get(own), j, have.Get(own))
	}
}

func TestSessionsConverge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { converge(t) })
}

func FuzzSessionsConverge(f *testing.F) { f.Fuzz(rapid.MakeFuzz(converge)) }

func converge(t *rapid.T) {
	n := &network{t: t, wires: map[[2]int]*wire{}, places: map[[2]int]*providers.Follower{}, now: time.Unix(1_000_000, 0)}
	count := rapid.IntRange(2, 4).Draw(t, "nodes")
	for i := range count {
		o := runtime.Options{History: runtime.History{Messages: rapid.SampledFrom([]int{2, 10, 1000}).Draw(t, "history")}}
		o.Limits.Waiting = rapid.SampledFrom([]int{2, 1000}).Draw(t, "waiting")
		n.nodes = append(n.nodes, newNode(t, i+1, o))
		n.durable, n.logs = append(n.durable, nil), append(n.logs, nil)
		if rapid.IntRange(0, 3).Draw(t, "store") > 0 {
			n.durable[i] = vclock.Clock{}
			if rapid.IntRange(0, 3).Draw(t, "log") > 0 {
				n.logs[i] = providers.NewTestLog(n.nodes[i].rt)
			}
		}
	}
	pick := func(name string) int { return rapid.IntRange(0, count-1).Draw(t, name) }
	link := func() ([2]int, *wire) {
		i, j := pick("i"), pick("j")
		if i == j {
			j = (i + 1) % count
		}
		k := [2]int{min(i, j), max(i, j)}
		return k, n.wires[k]
	}
	edit := func(*rapid.T) {
		x := n.nodes[pick("writer")]
		for range rapid.SampledFrom([]int{1, 1, 2, 20}).Draw(t, "edits") {
			if rapid.IntRange(0, 3).Draw(t, "what") == 0 {
				x.remove(t, rapid.IntRange(0, 30).Draw(t, "at"), rapid.IntRange(1, 5).Draw(t, "count"))
			} else {
				x.insert(t, rapid.IntRange(0, 30).Draw(t, "at"), rapid.StringMatching("[a-z]{1,6}").Draw(t, "text"))
			}
		}
	}
	move := func(*rapid.T) {
		k, w := link()
		if w == nil {
			return
		}
		i := rapid.IntRange(0, 1).Draw(t, "end")
		w.fetch(t, i, rapid.IntRange(0, 3).Draw(t, "fetch"))
		w.deliver(t, i, rapid.IntRange(0, 4).Draw(t, "deliver"))
		n.honest(k[0], k[1], w)
	}
	t.Repeat(map[string]func(*rapid.T){
		"edit": edit, "move": move, "move more": move, "move still more": move,
		"connect": func(*rapid.T) {
			k, w := link()
			if w == nil || w.ends[0].Err() != nil {
				n.connect(k[0], k[1], n.options(k[0], k[1]), n.options(k[1], k[0]))
			}
		},
		"cut": func(*rapid.T) {
			k, w := link()
			if w != nil {
				w.cut(t)
				delete(n.wires, k)
			}
		},
		"again": func(*rapid.T) {
			k, w := link()
			if w == nil {
				return
			}
			w.cut(t)
			edit(t)
			w = n.connect(k[0], k[1], n.options(k[0], k[1]), n.options(k[1], k[0]))
			for range rapid.IntRange(0, 3).Draw(t, "rounds") {
				w.run(t)
				n.store(k[0])
				n.store(k[1])
			}
		},
		"fill": func(*rapid.T) {
			if rapid.IntRange(0, 20).Draw(t, "large") == 0 {
				n.nodes[pick("writer")].fill(t, 200_000)
			}
		},
		"store": func(*rapid.T) {
			n.store(pick("node"))
		},
		"tick": func(*rapid.T) {
			n.now = n.now.Add(time.Duration(rapid.IntRange(1, 3000).Draw(t, "ms")) * time.Millisecond)
			for _, w := range n.wires {
				w.now = n.now
				w.tick(t, 0)
			}
		},
		"": func(*rapid.T) {
			for k, w := range n.wires {
				for i := range 2 {
					if err := w.ends[i].Err(); err != nil && w.ends[1-i].Err() == nil && len(w.queue[i]) == 0 && len(w.queue[1-i]) == 0 {
						for j := range 2 {
							if e, n := has[providers.Ended](w, j); n > 0 && e.Err.Code != providers.CodeTimeout {
								t.Fatalf("link %v: %v", k, e.Err)
							}
						}
					}
					if e, ok := has[providers.Refused](w, i); ok > 0 && e.Code != providers.CodeTimeout && e.Code != providers.CodeStalled {
						t.Fatalf("link %v: %+v", k, e)
					}
				}
			}
		},
	})
	// At the end all are linked in a chain, and everything moves.
	for k, w := range n.wires {
		w.cut(t)
		delete(n.wires, k)
	}
	for i := 1; i < count; i++ {
		o := [2]*providers.Options{{}, {}}
		for e := range o {
			if d := n.durable[i-1+e]; d != nil {
				o[e].Durable = func(r vclock.Replica) uint64 { return d[r] }
			}
		}
		n.number(o[0], i-1, i)
		n.number(o[1], i, i-1)
		o[0].IgnoreAcks, o[1].IgnoreAcks = false, false
		w := newWireAt(t, n.now, n.nodes[i-1], n.nodes[i], o[0], o[1])
		n.wires[[2]int{i - 1, i}] = w
		w.open(t, 0, "doc")
	}
	for round := 0; ; round++ {
		sum := 0
		if round < 3 { // while they meet
			for range rapid.IntRange(0, 3).Draw(t, "moves") {
				edit(t)
				move(t)
				n.store(pick("node"))
			}
		}
		for i := range count {
			n.store(i)
		}
		for i := 1; i < count; i++ {
			w := n.wires[[2]int{i - 1, i}]
			w.resetCounts()
			w.run(t)
			sum += w.frames[0] + w.frames[1]
		}
		if sum == 0 && round > 3 {
			break
		}
		if round > 200 {
			t.Fatal("the network does not come to rest")
		}
		for i := 1; i < count; i++ {
			w := n.wires[[2]int{i - 1, i}]
			if round < 100 {
				w.tick(t, 3*time.Second)
			}
		}
	}
	equal(t, n.nodes...)
	for i := 1; i < count; i++ {
		w := n.wires[[2]int{i - 1, i}]
		for e := range 2 {
			if e == 1 && n.logs[i] != nil {
				continue // who leads does not count what its followers have
			}
			if got := w.ends[e].Session("doc").Unsaved(); len(got) != 0 {
				t.Fatalf("link %d end %d: unsaved %v", i, e, got)
			}
			if s := n.nodes[i-1+e].rt.Waiting(); s != 0 {
				t.Fatalf("%d messages wait", s)
			}
		}
	}
}
