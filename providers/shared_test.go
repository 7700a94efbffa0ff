package providers_test

import (
	"bytes"
	"hash/crc32"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// guest is the server's side of a connection whose other side says what a test makes it say.
type guest struct {
	t       *testing.T
	mux     *providers.Mux
	session *providers.Session
	replica vclock.Replica
	now     time.Time
}

// guestOf opens a document of a server's runtime for a client that has nothing and gives that much credit.
func guestOf(t *testing.T, rt *runtime.Runtime, i int, now time.Time, credit int, o *providers.Options) *guest {
	t.Helper()
	m, err := providers.NewMux(&providers.MuxOptions{Acceptor: true})
	if err != nil {
		t.Fatal(err)
	}
	g := &guest{t: t, mux: m, replica: vclock.Replica{byte(i), byte(i >> 8), 9}, now: now}
	m.Tick(now)
	g.say(providers.FrameHello, 0, 1, 1, map[int]any{})
	m.Admit()
	open := map[int]any{1: g.replica[:], 2: []byte{0}, 6: credit}
	if o.Log != nil {
		open[16] = []any{[]byte{}, 0, []byte{}}
	}
	g.say(providers.FrameOpen, 1, []byte("doc"), open)
	for e, ok := m.NextEvent(); ok; e, ok = m.NextEvent() {
		if opening, ok := e.(providers.Opening); ok {
			if g.session, err = m.Accept(opening, rt, o); err != nil {
				t.Fatal(err)
			}
		}
	}
	return g
}

func (g *guest) say(frame ...any) {
	g.t.Helper()
	b, err := cbor.Marshal(frame)
	if err != nil {
		g.t.Fatal(err)
	}
	g.mux.Receive(b)
	if err := g.mux.Err(); err != nil {
		g.t.Fatal(err)
	}
}

// until hands out frames until one of a type has come, which it returns.
func (g *guest) until(want providers.FrameType) (head, body []byte) {
	g.t.Helper()
	for {
		head, body, ok := g.mux.NextParts()
		if !ok {
			g.t.Fatalf("no %v", want)
		}
		if typ, _, err := providers.PeekFrame(head); err != nil || typ == want {
			return head, body
		}
	}
}

// TestJoinersShareOneState: what all who join get is not copied for any of them, and its checksum is computed once.
func TestJoinersShareOneState(t *testing.T) {
	n := newNode(t, 1, runtime.Options{})
	state := make([]byte, 4<<20)
	rand.NewChaCha8([32]byte{1}).Read(state)
	sums := 0
	o := &providers.Options{
		Save: func(vclock.Clock) ([]byte, vclock.Clock, error) { return state, nil, nil }, Pattern: providers.State,
		Checksum: func(b []byte) uint32 {
			sums++
			return 77
		},
	}
	g := guestOf(t, n.rt, 2, time.Unix(1e6, 0), 1<<30, o)
	g.until(providers.FrameBegin)
	at := 0
	allocations := testing.AllocsPerRun(60, func() {
		head, body, ok := g.mux.NextParts()
		if !ok || len(body) != providers.MaxChunk || &body[0] != &state[at] {
			t.Fatalf("a chunk of %d bytes that is no part of the state; %x", len(body), head)
		}
		at += len(body)
	})
	if allocations != 0 {
		t.Errorf("%v allocations for a chunk", allocations)
	}
	end, _ := g.until(providers.FrameEnd)
	if want, _ := cbor.Marshal([]any{providers.FrameEnd, 1, 77}); sums != 1 || !bytes.Equal(end, want) {
		t.Errorf("%d checksums; %x", sums, end)
	}

	// Next returns the same bytes, in one piece that belongs to the caller.
	o.Checksum = nil
	g = guestOf(t, n.rt, 3, time.Unix(1e6, 0), 1<<30, o)
	g.until(providers.FrameBegin)
	got := make([]byte, 0, len(state))
	for {
		f, ok := g.mux.Next()
		if typ, _, _ := providers.PeekFrame(f); !ok || typ != providers.FrameChunk {
			if want, _ := cbor.Marshal([]any{providers.FrameEnd, 1, crc32.Checksum(state, crc32.MakeTable(crc32.Castagnoli))}); !bytes.Equal(f, want) {
				t.Errorf("%x", f)
			}
			break
		}
		var x struct {
			_       struct{} `cbor:",toarray"`
			T, C    int
			Content []byte
		}
		if err := cbor.Unmarshal(f, &x); err != nil {
			t.Fatal(err)
		}
		got = append(got, x.Content...)
		clear(f)
	}
	if !bytes.Equal(got, state) {
		t.Error("another state has come")
	}
}

// TestFollowersShareTheLog: all who follow get the very bytes that the log holds.
func TestFollowersShareTheLog(t *testing.T) {
	s := newServer(t, 9)
	s.insert(t, 0, "a")
	s.flush(t)
	var guests []*guest
	for i := range 3 {
		g := guestOf(t, s.rt, i+1, time.Unix(1e6, 0), 1<<20, s.options())
		g.until(providers.FrameSynced)
		for _, _, ok := g.mux.NextParts(); ok; _, _, ok = g.mux.NextParts() {
		}
		guests = append(guests, g)
	}
	s.insert(t, 0, "what is new")
	s.flush(t)
	var first []byte
	for i, g := range guests {
		_, body := g.until(providers.FrameLog)
		if i == 0 {
			first = body
		}
		if len(body) == 0 || &body[0] != &first[0] {
			t.Error("not the bytes of the log")
		}
	}
	i := 0
	allocations := testing.AllocsPerRun(1, func() {
		i++
		guests[i%3].mux.NextParts()
	})
	if allocations != 0 {
		t.Errorf("%v allocations by a connection that has nothing to say", allocations)
	}
}

// audience is many guests with presence, on a server that ticks it by itself.
type audience struct {
	t     *testing.T
	now   time.Time
	alarm time.Time
	eph   *providers.Ephemeral
	all   []*guest
	moves int

	frames map[*guest]int
	bodies map[*byte]int // frames by where their bodies begin
	bytes  int
	seen   map[*guest]map[vclock.Replica]string
}

func newAudience(t *testing.T, n int) *audience {
	c := &audience{t: t, now: time.Unix(1e6, 0), seen: make(map[*guest]map[vclock.Replica]string)}
	node := newNode(t, 1, runtime.Options{})
	c.eph, _ = providers.NewEphemeral(&providers.EphemeralOptions{
		Own: node.rt.Replica(), OwnKeysOnly: true, Now: func() time.Time { return c.now }, Alarm: func(at time.Time) { c.alarm = at },
	})
	for i := range n {
		g := guestOf(t, node.rt, i+1, c.now, 1<<20, &providers.Options{Ephemeral: c.eph, Stamp: []byte("who")})
		c.all, c.seen[g] = append(c.all, g), make(map[vclock.Replica]string)
	}
	c.reset()
	return c
}

func (c *audience) reset() {
	c.frames, c.bodies, c.bytes = make(map[*guest]int), make(map[*byte]int), 0
}

func (c *audience) show(g *guest, value string) {
	c.moves++
	g.say(providers.FramePresence, 1, []any{[]any{g.replica[:], c.moves, 30_000, []byte(value), nil}})
}

// step lets time pass, and gives all who read what there is for them.
func (c *audience) step(d time.Duration, readers ...*guest) {
	c.now = c.now.Add(d)
	if !c.alarm.IsZero() && !c.now.Before(c.alarm) {
		c.eph.Tick(c.now)
	}
	for _, g := range readers {
		g.mux.Tick(c.now)
		for head, body, ok := g.mux.NextParts(); ok; head, body, ok = g.mux.NextParts() {
			if typ, _, _ := providers.PeekFrame(head); typ == providers.FramePresence {
				c.take(g, head, body)
			}
		}
	}
}

func (c *audience) take(g *guest, head, body []byte) {
	c.frames[g]++
	c.bodies[&body[0]]++
	c.bytes += len(body)
	var f struct {
		_       struct{} `cbor:",toarray"`
		T, C    int
		Entries []struct {
			_            struct{} `cbor:",toarray"`
			Key          []byte
			Counter, TTL int
			Value, Stamp []byte
		}
	}
	if err := cbor.Unmarshal(append(bytes.Clone(head), body...), &f); err != nil {
		c.t.Fatal(err)
	}
	if len(f.Entries) > 64 {
		c.t.Fatalf("%d entries", len(f.Entries))
	}
	for _, e := range f.Entries {
		if e.TTL <= 29_000 || e.TTL > 30_000 || string(e.Stamp) != "who" {
			c.t.Fatalf("%+v", e)
		}
		if vclock.Replica(e.Key) == g.replica {
			c.t.Fatal("a peer gets what it has shown")
		}
		c.seen[g][vclock.Replica(e.Key)] = string(e.Value)
	}
}

// TestPresenceIsEncodedOnce: 200 who move ten times a second. Each gets at most 20 frames a second, in which the latest values of all
// come along; those who brought nothing of a frame share its bytes.
func TestPresenceIsEncodedOnce(t *testing.T) {
	c := newAudience(t, 200)
	readers := c.all
	slow := readers[0]
	const tick, seconds = 5 * time.Millisecond, 4
	for i := range int(seconds * time.Second / tick) {
		for k := range 10 { // each of 200 once in 100 ms
			g := c.all[(i*10+k)%200]
			c.show(g, string(rune('a'+i%26)))
		}
		if i%100 == 99 {
			c.step(tick, readers...)
		} else {
			c.step(tick, readers[1:]...)
		}
	}
	total, most := 0, 0
	for g, n := range c.frames {
		total += n
		if g != slow {
			most = max(most, n)
		}
	}
	if limit := 20*seconds + 1; most > limit || total < 199*15*seconds {
		t.Errorf("%d frames to one peer, at most %d are allowed; %d in all", most, limit, total)
	}
	alone := 0
	for _, n := range c.bodies {
		if n == 1 {
			alone++
		}
	}
	// A frame that holds something of its receiver is a copy without that: about 64 of 200 for each.
	if shared := total - alone; shared < total/2 || len(c.bodies)-alone > 25*seconds {
		t.Errorf("%d frames of %d share their bytes, %d encodings", shared, total, len(c.bodies)-alone)
	}
	for range 200 {
		c.step(tick, readers...)
	}
	for _, g := range readers {
		if len(c.seen[g]) != 199 {
			t.Fatalf("%d values of 199", len(c.seen[g]))
		}
		for r, v := range c.seen[g] {
			if now, _ := c.eph.Value(r); string(now.Value) != v {
				t.Fatalf("%q, but it is %q", v, now.Value)
			}
		}
	}
}

// TestPresenceOfNewcomers: a newcomer gets all that stand, at the rate of all; a peer that did not read gets the latest ones.
func TestPresenceOfNewcomers(t *testing.T) {
	c := newAudience(t, 101)
	late := c.all[100]
	for _, g := range c.all[:100] {
		c.show(g, "first")
	}
	for range 40 {
		c.step(10*time.Millisecond, c.all[:100]...)
	}
	for _, g := range c.all[:100] {
		c.show(g, "second")
	}
	for range 40 {
		c.step(10*time.Millisecond, c.all[:100]...)
	}
	c.reset()
	c.step(0, late)
	if c.frames[late] != 1 || len(c.seen[late]) != 64 {
		t.Errorf("%d frames, %d values at once", c.frames[late], len(c.seen[late]))
	}
	c.step(50*time.Millisecond, late)
	if c.frames[late] != 2 || len(c.seen[late]) != 100 {
		t.Errorf("%d frames, %d values", c.frames[late], len(c.seen[late]))
	}
	for _, v := range c.seen[late] {
		if v != "second" {
			t.Errorf("%q", v)
		}
	}
	c.step(time.Second, late)
	if c.frames[late] != 2 {
		t.Error("more than there is")
	}
}
