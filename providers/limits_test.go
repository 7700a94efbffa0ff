package providers_test

import (
	"fmt"
	"testing"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// A dictionary is renewed before it has served too much.
func TestDictionariesAreRenewed(t *testing.T) {
	a, b, w := pair(t, nil, &providers.Options{IgnoreAcks: true})
	w.open(t, 0, "doc")
	w.run(t)
	fresh := 0
	w.log = func(from int, f []byte) {
		if ft, _, _ := providers.PeekFrame(f); from == 0 && ft == providers.FrameFresh {
			fresh++
		}
	}
	for range 30_000 {
		a.insert(t, -1, "x")
		if a.rt.Clock().Sum()%50 == 0 {
			w.run(t)
		}
	}
	w.run(t)
	equal(t, a, b)
	if fresh < 2 || fresh > 4 {
		t.Errorf("%d dictionaries", fresh)
	}
}

// One encoding serves many joiners, also when the document goes on meanwhile.
func TestCachedStates(t *testing.T) {
	a := newNode(t, 1, runtime.Options{})
	a.fill(t, 100_000)
	encodings := 0
	var cached []byte
	var reaches vclock.Clock
	o := &providers.Options{Pattern: providers.Ongoing, Save: func(vclock.Clock) ([]byte, vclock.Clock, error) {
		if cached == nil {
			encodings++
			var err error
			if cached, err = a.rt.Save(runtime.CanonicalOnly(), runtime.Compressed(1)); err != nil {
				return nil, nil, err
			}
			reaches = a.rt.Clock()
		}
		return cached, reaches, nil
	}}
	for i := range 10 {
		b := newNode(t, i+10, runtime.Options{})
		w := newWire(t, a, b, o, nil)
		w.open(t, 1, "doc")
		w.run(t)
		equal(t, a, b)
		a.insert(t, 5, "later")
		w.run(t)
		equal(t, a, b)
		if _, n := has[providers.Synced](w, 1); n < 1 {
			t.Error("not synced")
		}
	}
	if encodings != 1 {
		t.Errorf("%d encodings", encodings)
	}
}

// Unfinished transfers of a connection take turns when they are too much together.
func TestIncomingBytes(t *testing.T) {
	w := newWire(t, newNode(t, 1, runtime.Options{}), newNode(t, 2, runtime.Options{}), nil, nil)
	m, err := providers.NewMux(&providers.MuxOptions{Acceptor: true, IncomingBytes: 300_000})
	if err != nil {
		t.Fatal(err)
	}
	m.Tick(w.now)
	w.ends[1] = m
	theirs := map[string]*node{}
	w.accept = func(i int, e providers.Opening) {
		theirs[e.Document] = newNode(t, 100+len(theirs), runtime.Options{})
		if _, err := w.ends[i].Accept(e, theirs[e.Document].rt, nil); err != nil {
			t.Fatal(err)
		}
	}
	ours := map[string]*node{}
	for i := range 6 {
		n := newNode(t, i+10, runtime.Options{})
		n.fill(t, 700_000)
		name := fmt.Sprint("doc", i)
		ours[name] = n
		if _, err := w.ends[0].Open(n.rt, name, &providers.Options{Pattern: providers.Ongoing}); err != nil {
			t.Fatal(err)
		}
	}
	w.run(t)
	for name, n := range ours {
		equal(t, n, theirs[name])
	}
}

// A server refuses whoever brings what contradicts what it has.
func TestFirstHopRefusesThePeer(t *testing.T) {
	server := newNode(t, 2, runtime.Options{})
	first, second := newNode(t, 9, runtime.Options{}), newNode(t, 9, runtime.Options{})
	o := &providers.Options{FirstHop: true}
	w1, w2 := newWire(t, first, server, nil, o), newWire(t, second, server, nil, o)
	w1.open(t, 0, "doc")
	w2.open(t, 0, "doc")
	w1.run(t)
	w2.run(t)
	first.insert(t, 0, "one")
	second.insert(t, 0, "two")
	w1.run(t)
	w2.run(t)
	e, n := has[providers.Refused](w2, 0)
	if n != 1 || e.Code != providers.CodeEquivocation || !e.Remote || e.Dot == nil || *e.Dot != (vclock.Dot{Replica: replicaID(9)}) {
		t.Fatalf("%+v", w2.events[0])
	}
	if _, n := has[providers.Refused](w1, 0); n != 0 || server.String() != "one" {
		t.Fatal(server)
	}
}

// An update that came while a side was accepting counts as unsaved: the session is subscribed by then.
func TestUnsavedBetweenAcceptAndNext(t *testing.T) {
	a, b, w := pair(t, nil, nil)
	w.open(t, 0, "doc")
	w.accept = func(i int, e providers.Opening) {
		if _, err := w.ends[i].Accept(e, b.rt, nil); err != nil {
			t.Fatal(err)
		}
		b.insert(t, 0, "just now")
	}
	for w.ends[1].Session("doc") == nil {
		w.fetch(t, 0, 1)
		w.deliver(t, 0, 1)
		w.fetch(t, 1, 1)
		w.deliver(t, 1, 1)
	}
	if u := w.ends[1].Session("doc").Unsaved(); len(u) != 1 || u[0].End != 8 {
		t.Fatal(u)
	}
	w.run(t)
	equal(t, a, b)
	if u := w.ends[1].Session("doc").Unsaved(); len(u) != 0 {
		t.Fatal(u)
	}
}
