//go:build !js

package ws_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/providers/mem"
	"github.com/seed1312cc15/weft/providers/ws"
	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// mesh starts n servers, whose links are pairs of their indexes, the dialling one first. The token "server" is another
// server's.
func mesh(t *testing.T, n int, links ...[2]int) (servers []*ws.Server, urls []string) {
	t.Helper()
	for range n {
		s, url := serve(t, func(o *ws.ServerOptions) { o.Authorize, o.Runtime.Kinds = withServers, crdt.Kinds() })
		servers, urls = append(servers, s), append(urls, url)
	}
	for _, l := range links {
		link(t, servers[l[0]], urls[l[1]], &ws.PeerOptions{Name: fmt.Sprint("server ", l[1])})
	}
	return servers, urls
}

func withServers(_ context.Context, p ws.Principal, _ string) (ws.Access, error) {
	if p.ID == "server" {
		return ws.AccessServer, nil
	}
	return ws.AccessWriteRelay, nil
}

// link keeps the document "doc" of a server in sync with another server until the test ends, or stop.
func link(t *testing.T, s *ws.Server, url string, o *ws.PeerOptions) (stop func()) {
	t.Helper()
	o.Token, o.Documents = []byte("server"), []string{"doc"}
	if o.Dial == nil {
		o.Dial = func(ctx context.Context) (providers.Link, error) { return ws.Dial(ctx, url, nil) }
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.Peer(ctx, o); !errors.Is(err, context.Canceled) && !errors.Is(err, providers.ErrClosed) {
			t.Error(err)
		}
	}()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(stop)
	return stop
}

// shower is a client with presence.
type shower struct {
	*peer
	eph   *providers.Ephemeral
	mu    sync.Mutex
	casts []string
}

func joinShowing(t *testing.T, url, token string) *shower {
	t.Helper()
	rt, _ := newDocument(t)
	e, err := providers.NewEphemeral(&providers.EphemeralOptions{Own: rt.Replica()})
	if err != nil {
		t.Fatal(err)
	}
	s := &shower{eph: e}
	e.OnCast(func(c providers.Cast) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.casts = append(s.casts, fmt.Sprintf("%s from %s", c.Value, c.Stamp))
	})
	s.peer = join(t, url, peerOptions{token: token, rt: rt, options: providers.Options{Ephemeral: e}}).synced()
	return s
}

// sees returns what is shown by others, with who they are.
func (s *shower) sees() string {
	var all []string
	for _, p := range s.eph.Values() {
		if p.Replica != s.rt.Replica() {
			all = append(all, fmt.Sprintf("%s of %s", p.Value, p.Stamp))
		}
	}
	return strings.Join(all, ", ")
}

func (s *shower) heard() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.casts, ", ")
}

// TestPresenceBetweenServers has presence and casts flow through a third server, and around a ring: once, with the stamp of
// the server where they came in, also to who comes later, and away when their replica leaves.
func TestPresenceBetweenServers(t *testing.T) {
	t.Parallel() // it waits
	for name, links := range map[string][][2]int{
		"chain": {{0, 1}, {1, 2}},
		"in":    {{1, 0}, {1, 2}},
		"ring":  {{0, 1}, {1, 2}, {2, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			servers, urls := mesh(t, 3, links...)
			a, c := joinShowing(t, urls[0], "ann"), joinShowing(t, urls[2], "cleo")
			a.eph.Set([]byte("one"))
			eventually(t, "the first value arrives", func() bool { return c.sees() == "one of ann" })
			a.eph.Set([]byte("two"))
			eventually(t, "the next one", func() bool { return c.sees() == "two of ann" })
			late := joinShowing(t, urls[1], "late")
			eventually(t, "who comes later sees it", func() bool { return late.sees() == "two of ann" })
			if err := a.eph.Cast("topic", []byte("hello"), false); err != nil {
				t.Fatal(err)
			}
			eventually(t, "a cast arrives", func() bool { return c.heard() != "" && late.heard() != "" })
			time.Sleep(200 * time.Millisecond) // would it come a second time, or go around
			if c.heard() != "hello from ann" || late.heard() != "hello from ann" || a.heard() != "" {
				t.Errorf("heard %q, %q, %q", a.heard(), c.heard(), late.heard())
			}
			before := frames(servers)
			time.Sleep(300 * time.Millisecond)
			if n := frames(servers) - before; n > 6 {
				t.Errorf("%d frames while nothing happens", n)
			}
			for i, s := range servers {
				if n := s.Stats().PresenceDropped; n > 0 {
					t.Errorf("server %d dropped %d", i, n)
				}
			}
			a.leave()
			eventually(t, "it leaves everywhere", func() bool { return c.sees() == "" && late.sees() == "" })
		})
	}
}

func frames(servers []*ws.Server) (n int64) {
	for _, s := range servers {
		n += s.Stats().FramesIn
	}
	return n
}

// TestPresenceMovesBetweenServers: a client that comes back somewhere else is seen again at once.
func TestPresenceMovesBetweenServers(t *testing.T) {
	_, urls := mesh(t, 2, [2]int{0, 1})
	b := joinShowing(t, urls[1], "ben")
	a := joinShowing(t, urls[0], "ann")
	a.eph.Set([]byte("here"))
	eventually(t, "it is seen", func() bool { return b.sees() == "here of ann" })
	for i := range 3 {
		a.leave()
		eventually(t, "it is gone", func() bool { return b.sees() == "" })
		a.peer = join(t, urls[(i+1)%2], peerOptions{token: "ann", rt: a.rt, options: providers.Options{Ephemeral: a.eph}}).synced()
		eventually(t, "it is seen again", func() bool { return b.sees() == "here of ann" })
	}
}

// TestPresenceOfAnUntrustedServer: a link that may only write brings nobody's presence.
func TestPresenceOfAnUntrustedServer(t *testing.T) {
	near, nearURL := serve(t, nil)
	far, farURL := serve(t, nil)
	link(t, near, farURL, &ws.PeerOptions{})
	a, b := joinShowing(t, nearURL, "ann"), joinShowing(t, farURL, "ben")
	a.insert("x")
	equal(t, a.peer, b.peer)
	a.eph.Set([]byte("one"))
	eventually(t, "it is dropped", func() bool { return far.Stats().PresenceDropped > 0 })
	if b.sees() != "" {
		t.Errorf("sees %q", b.sees())
	}
	b.eph.Set([]byte("two")) // the other way: who dials believes whom it dials
	eventually(t, "it arrives", func() bool { return a.sees() == "two of ben" })
}

// TestServersFindTwins has two servers take other transactions under the same dots while they are apart. When they are linked
// each says so and where it is; what others write goes on, both ways.
func TestServersFindTwins(t *testing.T) {
	t.Parallel() // it waits
	both := twins(t, "first", "other")
	servers, urls := mesh(t, 2)
	for i, rt := range both {
		p := join(t, urls[i], peerOptions{token: "twin", rt: rt}).synced()
		p.saved()
		p.leave()
	}
	found := make(chan providers.Diverged, 10)
	link(t, servers[0], urls[1], &ws.PeerOptions{OnDiverged: func(e providers.Diverged) { found <- e }})
	want := vclock.Dot{Replica: both[0].Replica()}
	for dot := (*vclock.Dot)(nil); dot == nil; {
		select {
		case e := <-found:
			if dot = e.Dot; dot != nil && (*dot != want || !errors.Is(e.Err(), runtime.ErrEquivocation)) {
				t.Errorf("%v, want %v", dot, want)
			}
		case <-time.After(patience):
			t.Fatal("the servers do not notice")
		}
	}
	for _, s := range servers {
		eventually(t, "it is counted", func() bool { return s.Stats().Diverged > 0 })
	}
	a, b := join(t, urls[0], peerOptions{token: "a"}).synced(), join(t, urls[1], peerOptions{token: "b"}).synced()
	a.insert("from a, ")
	b.insert("from b, ")
	eventually(t, "it goes on", func() bool { return a.rt.Clock().Equal(b.rt.Clock()) })
	for i, p := range []*peer{a, b} {
		if s := p.String(); !strings.Contains(s, "from a") || !strings.Contains(s, "from b") || !strings.Contains(s, []string{"first", "other"}[i]) {
			t.Errorf("server %d holds %q", i, s)
		}
	}
}

// TestClientFindsThatItsCopyIsAnother: so does a client whose server took its twin, and the server knows who it is.
func TestClientFindsThatItsCopyIsAnother(t *testing.T) {
	t.Parallel() // it waits
	s, url := serve(t, func(o *ws.ServerOptions) { o.Runtime.Kinds = crdt.Kinds() })
	both := twins(t, "first", "other")
	p := join(t, url, peerOptions{token: "a", rt: both[0]}).synced()
	p.saved()
	p.leave()
	p = join(t, url, peerOptions{token: "b", rt: both[1]}).synced()
	e := await[providers.Refused](p, nil)
	if e.Code != providers.CodeEquivocation || e.Dot == nil || e.Dot.Replica != both[0].Replica() {
		t.Errorf("%+v", e)
	}
	if n := s.Stats().Diverged; n != 1 {
		t.Errorf("%d", n)
	}
}

// TestPrincipalsThroughALink: a server's store names, beside what a link brought, the server at its other end; who wrote it
// over there only that one knows.
func TestPrincipalsThroughALink(t *testing.T) {
	var stores [2]*mem.Store
	var servers []*ws.Server
	var urls []string
	for i := range stores {
		stores[i] = mem.NewStore()
		s, url := serve(t, func(o *ws.ServerOptions) { o.Store, o.Authorize = stores[i], withServers })
		servers, urls = append(servers, s), append(urls, url)
	}
	link(t, servers[0], urls[1], &ws.PeerOptions{Name: "far server"})
	a, b := join(t, urls[0], peerOptions{token: "ann"}).synced(), join(t, urls[1], peerOptions{token: "ben"}).synced()
	a.insert("from ann, ")
	equal(t, a, b)
	b.insert("from ben, ")
	equal(t, a, b)
	for i, want := range [][]string{{"ann", "far server"}, {"ben", "server"}} {
		got := map[string]bool{}
		stored, err := stores[i].Load(t.Context(), "doc")
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range stored.Records {
			info, err := providers.ReadRecord(r.Data)
			if err != nil {
				t.Fatal(err)
			}
			for _, b := range info.Brought {
				got[b.Principal] = true
			}
		}
		if len(got) != 2 || !got[want[0]] || !got[want[1]] {
			t.Errorf("server %d names %v, want %v", i, got, want)
		}
	}
}
