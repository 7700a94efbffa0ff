package runtime_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/seed1312cc15/weft/internal/converge/bag"
	"github.com/seed1312cc15/weft/runtime"
)

// TestPackedStreams packs messages of replicas that hear of each other at random, some twice, and gets their very bytes
// back.
func TestPackedStreams(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 6).Draw(rt, "replicas")
		split := rapid.Bool().Draw(rt, "split")
		docs := make([]*doc, n)
		for i := range docs {
			docs[i] = open(t, byte(i+1))
		}
		p := runtime.Packer{Split: split}
		var stream []byte
		var sent, packed [][]byte
		got := make([]int, n) // how far each has read what all have sent
		pack := func(m []byte) {
			var err error
			if stream, err = p.Append(stream, m); err != nil {
				rt.Fatal(err)
			}
			packed = append(packed, m)
		}
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			i := rapid.IntRange(0, n-1).Draw(rt, "replica")
			if rapid.Bool().Draw(rt, "edit") {
				sent = append(sent, docs[i].add("x"))
				pack(sent[len(sent)-1])
				continue
			}
			for to := min(len(sent), got[i]+rapid.IntRange(1, 8).Draw(rt, "messages")); got[i] < to; got[i]++ {
				docs[i].take(sent[got[i]])
			}
			if len(sent) > 0 && rapid.IntRange(0, 9).Draw(rt, "again") == 0 {
				pack(sent[rapid.IntRange(0, len(sent)-1).Draw(rt, "which")])
			}
		}
		unpackAll(rt, &runtime.Unpacker{Split: split}, stream, packed)
	})
}

type fataler interface{ Fatalf(string, ...any) }

// unpackAll expects a packed stream to hold these messages.
func unpackAll(t fataler, u *runtime.Unpacker, stream []byte, want [][]byte) {
	for i := range want {
		m, rest, err := u.Next(stream)
		if err != nil || !bytes.Equal(m, want[i]) {
			t.Fatalf("message %d: %v\n got % x\nwant % x", i, err, m, want[i])
		}
		stream = rest
	}
	if len(stream) != 0 {
		t.Fatalf("%d bytes are left", len(stream))
	}
}

// room is a server that numbers what its clients send and sends all of it to each: a stream with Split, which what the
// clients send follows.
type room struct {
	packer  *runtime.Packer
	stream  []roomItem
	entries [][]byte // messages
	clients []*roomClient
	lost    int
}

// roomItem is a packed message or, after a restart, a state of the packer.
type roomItem struct {
	packed, state []byte
}

type roomClient struct {
	*doc
	down  runtime.Unpacker
	at    int // items of the stream that it has read
	up    runtime.Packer
	in    runtime.Unpacker // at the server
	queue [][]byte         // packed, on their way
	plain [][]byte         // the same messages
}

func newRoom(t testing.TB, n int) *room {
	r := &room{packer: &runtime.Packer{Split: true}}
	r.packer.StartAt(1000)
	for range n {
		r.join(t)
	}
	return r
}

// join adds a client that holds all that was numbered.
func (r *room) join(t testing.TB) {
	c := &roomClient{doc: open(t, byte(len(r.clients)+1)), down: runtime.Unpacker{Split: true}, at: len(r.stream)}
	for _, m := range r.entries {
		if _, err := c.Receive(m); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.down.Restore(r.packer.AppendState(nil)); err != nil {
		t.Fatal(err)
	}
	c.up.Follow(&c.down)
	r.clients = append(r.clients, c)
}

// restart forgets the tables; goOn makes another packer go on, as after a reload.
func (r *room) restart(t fataler, goOn bool) {
	if goOn {
		u := runtime.Unpacker{Split: true}
		if err := u.Restore(r.packer.AppendState(nil)); err != nil {
			t.Fatalf("%v", err)
		}
		r.packer = u.Packer()
		return
	}
	r.packer.Restart()
	r.stream = append(r.stream, roomItem{state: r.packer.AppendState(nil)})
}

func (c *roomClient) edit(t fataler) int {
	m := c.add("x")
	b, err := c.up.Append(nil, m)
	if err != nil {
		t.Fatalf("%v", err)
	}
	c.queue, c.plain = append(c.queue, b), append(c.plain, m)
	return len(b)
}

// deliver takes the next message of a client into the room.
func (r *room) deliver(t fataler, c *roomClient) (down int) {
	if len(c.queue) == 0 {
		return 0
	}
	c.in.Follow(r.packer)
	m, _, err := c.in.Next(c.queue[0])
	if errors.Is(err, runtime.ErrLostPlace) {
		r.lost++
		m = c.plain[0]
	} else if err != nil || !bytes.Equal(m, c.plain[0]) {
		t.Fatalf("sent up: %v\n got % x\nwant % x", err, m, c.plain[0])
	}
	c.queue, c.plain = c.queue[1:], c.plain[1:]
	b, err := r.packer.Append(nil, m)
	if err != nil {
		t.Fatalf("%v", err)
	}
	r.stream, r.entries = append(r.stream, roomItem{packed: b}), append(r.entries, m)
	return len(b)
}

// read lets a client read up to n items of the stream.
func (r *room) read(t fataler, c *roomClient, n int) {
	for ; n > 0 && c.at < len(r.stream); n-- {
		item := r.stream[c.at]
		c.at++
		if item.state != nil {
			if err := c.down.Restore(item.state); err != nil {
				t.Fatalf("%v", err)
			}
			continue
		}
		place := c.down.Place() - 1000
		m, _, err := c.down.Next(item.packed)
		if err != nil || !bytes.Equal(m, r.entries[place]) {
			t.Fatalf("sent down: %v\n got % x\nwant % x", err, m, r.entries[place])
		}
		if _, err := c.Receive(m); err != nil {
			t.Fatalf("%v", err)
		}
	}
}

func TestFollowedStreams(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := newRoom(t, rapid.IntRange(1, 5).Draw(rt, "clients"))
		for range rapid.IntRange(1, 80).Draw(rt, "steps") {
			c := r.clients[rapid.IntRange(0, len(r.clients)-1).Draw(rt, "client")]
			switch rapid.IntRange(0, 12).Draw(rt, "step") % 10 {
			case 9:
				switch rapid.IntRange(0, 2).Draw(rt, "event") {
				case 0:
					r.restart(rt, false)
				case 1:
					r.restart(rt, true)
				case 2:
					r.join(t)
				}
			case 0, 3, 6:
				c.edit(rt)
			case 1, 4, 7:
				r.deliver(rt, c)
			default:
				r.read(rt, c, rapid.IntRange(1, 10).Draw(rt, "messages"))
			}
		}
		if r.lost > 0 {
			rt.Fatalf("%d messages named a place that was lost", r.lost)
		}
	})
}

// TestHundredTypists: a hundred replicas that type at once cost at most 40 bytes a message, up, down and in a bundle.
func TestHundredTypists(t *testing.T) {
	for _, c := range []struct {
		name string
		step func(t fataler, r *room, rnd *rand.Rand) (up, down int)
	}{
		{"rounds", func(t fataler, r *room, _ *rand.Rand) (up, down int) {
			for _, c := range r.clients {
				up += c.edit(t)
			}
			for _, c := range r.clients {
				down += r.deliver(t, c)
			}
			for _, c := range r.clients {
				r.read(t, c, 1000)
			}
			return up, down
		}},
		{"late", func(t fataler, r *room, rnd *rand.Rand) (up, down int) {
			for range r.clients {
				c := r.clients[rnd.IntN(len(r.clients))]
				up += c.edit(t)
				down += r.deliver(t, r.clients[rnd.IntN(len(r.clients))])
				down += r.deliver(t, r.clients[rnd.IntN(len(r.clients))])
				r.read(t, r.clients[rnd.IntN(len(r.clients))], 1000)
				r.read(t, r.clients[rnd.IntN(len(r.clients))], 1000)
			}
			return up, down
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, rnd := newRoom(t, 100), rand.New(rand.NewPCG(1, 2))
			c.step(t, r, rnd)
			messages, up, down := len(r.entries), 0, 0
			for range 4 {
				u, d := c.step(t, r, rnd)
				up, down = up+u, down+d
			}
			messages = len(r.entries) - messages
			explicit := 0
			for _, m := range r.entries[len(r.entries)-messages:] {
				explicit += len(m)
			}
			bundle, err := runtime.Bundle(r.entries)
			if err != nil {
				t.Fatal(err)
			}
			server := open(t, 255)
			for _, m := range r.entries {
				if _, err := server.Receive(m); err != nil {
					t.Fatal(err)
				}
			}
			kept, _ := server.HistoryBytes()
			again, err := server.MessagesSince(nil)
			if err != nil || len(again) != len(r.entries) {
				t.Fatalf("history gives %d messages, %v", len(again), err)
			}
			sent := make(map[string]bool, len(r.entries))
			for _, m := range r.entries {
				sent[string(m)] = true
			}
			for _, m := range again {
				if !sent[string(m)] {
					t.Fatalf("history gives a message that nobody sent: % x", m)
				}
			}
			t.Logf("bytes a message: %d alone, %d up, %d down, %d in a bundle, %d in history", explicit/messages, up/messages, down/messages,
				len(bundle)/len(r.entries), kept/len(r.entries))
			if kept > 40*len(r.entries) {
				t.Error("more than 40 bytes a message in history")
			}
			if r.lost > 0 {
				t.Errorf("%d messages named a place that was lost", r.lost)
			}
			if up > 40*messages || down > 40*messages || len(bundle) > 40*len(r.entries) {
				t.Error("more than 40 bytes a message")
			}
		})
	}
}

// A stream that tells a replica ID or an object table twice, as no Packer does, unpacks to what it says, and whoever goes on
// with it, or joins in its middle, does so too.
func TestTablesToldTwice(t *testing.T) {
	a := open(t, 1)
	var p runtime.Packer
	p.Split = true
	first, second := a.add("x"), a.add("y")
	packed, err := p.Append(nil, first)
	if err != nil {
		t.Fatal(err)
	}
	// The second message as the first one of a stream of its own, its ID and its table numbered as new.
	var again runtime.Packer
	again.Split = true
	twice, err := again.Append(nil, second)
	if err != nil {
		t.Fatal(err)
	}
	twice[0] += 2                                                   // 2 * the number of the ID
	twice[bytes.Index(twice, []byte{0, byte(len(bag.Name))})-2] = 1 // the number of the object table, before its length
	u := runtime.Unpacker{Split: true}
	for i, rest := range [][]byte{packed, twice} {
		m, rest, err := u.Next(rest)
		if err != nil || len(rest) > 0 || !bytes.Equal(m, [][]byte{first, second}[i]) {
			t.Fatalf("message %d: %x, %v", i, m, err)
		}
	}
	joined := runtime.Unpacker{Split: true}
	if err := joined.Restore(u.Packer().AppendState(nil)); err != nil {
		t.Fatal(err)
	}
	third := a.add("z")
	more, err := u.Packer().Append(nil, third)
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range []*runtime.Unpacker{&u, &joined} {
		if m, _, err := u.Next(more); err != nil || !bytes.Equal(m, third) {
			t.Fatalf("%x, %v", m, err)
		}
	}
}
