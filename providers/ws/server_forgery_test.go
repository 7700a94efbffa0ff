//go:build !js

package ws_test

import (
	"testing"

	"github.com/google/uuid"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/providers/ws"
	"github.com/seed1312cc15/weft/runtime"
)

// forge has a hostile writer, who may relay, bring messages, and returns with what code the server refuses it.
func forge(t *testing.T, url string, messages ...[]byte) uint64 {
	t.Helper()
	r := dialRaw(t, url).hello("hostile")
	defer r.Close()
	r.await(providers.FrameHello)
	r.open(1, "doc", uuid.New())
	r.frame(12, 1, pack(t, messages...))
	return r.await(providers.FrameRefuse)[2].(uint64)
}

// TestUnknownOperation has a writer send an operation code that nobody knows, as a message and in a state: whoever takes it has
// an object that is closed until there is a version that knows the code. The server refuses it, and the others go on.
func TestUnknownOperation(t *testing.T) {
	_, url := serve(t, func(o *ws.ServerOptions) { o.Runtime.Kinds = crdt.Kinds() })
	a := join(t, url, peerOptions{token: "a"}).synced()
	a.insert("first, ")
	a.saved()
	closed, text := newDocument(t)
	if err := closed.Transact(func(tx runtime.Tx) error {
		w, err := tx.Begin(text.Node())
		if err == nil {
			w.Byte(200)
			w.Commit(1)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	messages := since(t, closed)
	if code := forge(t, url, messages...); code != uint64(providers.CodeUpdateVersion) {
		t.Errorf("a message: code %d", code)
	}
	plain, _ := newDocument(t)
	if _, err := plain.Receive(messages[0]); err != nil || len(plain.Opaque()) != 1 {
		t.Fatal(err, plain.Opaque())
	}
	state, err := plain.Save()
	if err != nil {
		t.Fatal(err)
	}
	r := dialRaw(t, url).hello("hostile")
	defer r.Close()
	r.await(providers.FrameHello)
	r.open(1, "doc", uuid.New())
	r.transfer(state)
	if code := r.await(providers.FrameRefuse)[2].(uint64); code != uint64(providers.CodeUpdateVersion) {
		t.Errorf("a state: code %d", code)
	}
	a.insert("second, ")
	a.saved()
	equal(t, a, join(t, url, peerOptions{token: "b"}).synced())
}

func since(t *testing.T, rt *runtime.Runtime) [][]byte {
	t.Helper()
	ms, err := rt.MessagesSince(nil)
	if err != nil {
		t.Fatal(err)
	}
	return ms
}

// TestForgerDoesNotSilence has a hostile writer bring, in the name of somebody else, what contradicts what they wrote or are
// about to write: it is refused, they go on.
func TestForgerDoesNotSilence(t *testing.T) {
	t.Run("another transaction under their dot", func(t *testing.T) {
		_, url := serve(t, nil)
		both := twins(t, "honest", "forged")
		victim := join(t, url, peerOptions{token: "victim", rt: both[0]}).synced()
		victim.saved()
		if code := forge(t, url, since(t, both[1])...); code != uint64(providers.CodeEquivocation) {
			t.Error(code)
		}
		victim.insert("still here, ")
		victim.saved()
		equal(t, victim, join(t, url, peerOptions{token: "other"}).synced())
	})
	t.Run("a timestamp out of range", func(t *testing.T) {
		_, url := serve(t, nil)
		rt, text := newDocument(t)
		if err := rt.Transact(func(tx runtime.Tx) error { return text.Insert(tx, 0, "x") }); err != nil {
			t.Fatal(err)
		}
		r := dialRaw(t, url).hello("hostile")
		r.await(providers.FrameHello)
		r.open(1, "doc", uuid.New())
		r.transfer(leap(t, since(t, rt)[0]))
		if f := r.await(providers.FrameRefuse); f[2] != uint64(providers.CodeClockRange) {
			t.Error(f)
		}
		victim := join(t, url, peerOptions{token: "victim", rt: rt}).synced()
		victim.insert("still here, ")
		victim.saved()
	})
	t.Run("one that waits under their next dot", func(t *testing.T) {
		s, url := serve(t, nil)
		both := twins(t, "same", "same")
		victim := join(t, url, peerOptions{token: "victim", rt: both[0]}).synced()
		victim.saved()
		// The forged one depends on a transaction that nobody has.
		if _, err := both[1].Receive(messages(t, "nowhere")[0]); err != nil {
			t.Fatal(err)
		}
		before := both[1].Clock()
		text, err := crdt.NewText(both[1], "text")
		if err != nil {
			t.Fatal(err)
		}
		if err := both[1].Transact(func(tx runtime.Tx) error { return text.Insert(tx, 0, "forged") }); err != nil {
			t.Fatal(err)
		}
		forged, err := both[1].MessagesSince(before)
		if err != nil {
			t.Fatal(err)
		}
		r := dialRaw(t, url).hello("hostile")
		r.await(providers.FrameHello)
		r.open(1, "doc", uuid.New())
		r.frame(12, 1, pack(t, forged...))
		eventually(t, "the forged one waits", func() bool { return s.Waiting("doc") == 1 })
		victim.insert("still here, ")
		victim.saved()
		equal(t, victim, join(t, url, peerOptions{token: "other"}).synced())
	})
}

// TestRelayOwnsNothing: who relays what a replica wrote does not come to own it. Its author can still come and write; after
// that nobody else can as it, but by relaying.
func TestRelayOwnsNothing(t *testing.T) {
	g := &grants{}
	g.set("author", ws.AccessWriteOwn)
	g.set("thief", ws.AccessWriteOwn)
	g.set("relay", ws.AccessWriteRelay)
	_, url := serve(t, func(o *ws.ServerOptions) { o.Authorize = g.authorize })
	rt, text := newDocument(t)
	insert := func(s string) {
		if err := rt.Transact(func(tx runtime.Tx) error { return text.Insert(tx, 0, s) }); err != nil {
			t.Fatal(err)
		}
	}
	insert("relayed")
	neighbour, _ := newDocument(t)
	for _, m := range since(t, rt) {
		if _, err := neighbour.Receive(m); err != nil {
			t.Fatal(err)
		}
	}
	relay := join(t, url, peerOptions{token: "relay", rt: neighbour}).synced()
	relay.insert("by the relay, ")
	relay.saved()
	author := join(t, url, peerOptions{token: "author", rt: rt}).synced()
	author.insert("own, ")
	author.saved()
	author.leave()
	thief, err := runtime.New(&runtime.Options{Kinds: crdt.Kinds(), Replica: rt.Replica()})
	if err != nil {
		t.Fatal(err)
	}
	if code := join(t, url, peerOptions{token: "thief", rt: thief}).refused(); code != providers.CodeForeignDots {
		t.Error(code)
	}
}
