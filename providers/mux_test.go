package providers_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/runtime"
)

func TestFrameNumbers(t *testing.T) {
	got := ""
	for i := range 27 {
		got += fmt.Sprintf("%d %v\n", i, providers.FrameType(i))
	}
	want := "0 type 0\n1 hello\n2 bye\n3 ping\n4 pong\n5 open\n6 accept\n7 refuse\n8 close\n9 clock\n10 ask\n11 messages\n12 fresh\n" +
		"13 begin\n14 chunk\n15 end\n16 credit\n17 synced\n18 ack\n19 held\n20 presence\n21 cast\n22 log\n23 follow\n24 naming\n25 digest\n26 type 26\n"
	if got != want {
		t.Error(got)
	}
}

func frame(t *testing.T, items ...any) []byte {
	t.Helper()
	b, err := cbor.Marshal(items)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestManyDocuments(t *testing.T) {
	w := newWire(t, newNode(t, 1, runtime.Options{}), newNode(t, 2, runtime.Options{}), nil, nil)
	theirs := map[string]*node{}
	w.accept = func(i int, e providers.Opening) {
		if e.Document == "secret" {
			w.ends[i].Refuse(e, &providers.RefusedError{Code: providers.CodeForbidden, Reason: "no access"})
			return
		}
		theirs[e.Document] = newNode(t, 100+len(theirs), runtime.Options{})
		if _, err := w.ends[i].Accept(e, theirs[e.Document].rt, nil); err != nil {
			t.Fatal(err)
		}
	}
	ours := map[string]*node{}
	for i := range 30 {
		name := fmt.Sprint("doc", i)
		ours[name] = newNode(t, i+10, runtime.Options{})
		ours[name].insert(t, 0, "text of "+name)
		if _, err := w.ends[0].Open(ours[name].rt, name, nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.ends[0].Open(ours["doc1"].rt, "doc1", nil); err == nil {
		t.Fatal("opened twice")
	}
	secret := newNode(t, 99, runtime.Options{})
	if _, err := w.ends[0].Open(secret.rt, "secret", nil); err != nil {
		t.Fatal(err)
	}
	w.run(t)
	for name, n := range ours {
		equal(t, n, theirs[name])
	}
	if e, n := has[providers.Refused](w, 0); n != 1 || e.Code != providers.CodeForbidden || e.Document != "secret" {
		t.Fatalf("%+v", e)
	}
	w.ends[0].Session("doc3").Close()
	w.run(t)
	if e, n := has[providers.Closed](w, 1); n != 1 || e.Document != "doc3" {
		t.Fatalf("%+v", e)
	}
	theirs["doc3"].insert(t, 0, "not seen ")
	theirs["doc4"].insert(t, 0, "seen ")
	w.run(t)
	if ours["doc3"].String() != "text of doc3" || ours["doc4"].String() != "seen text of doc4" {
		t.Fatal(ours["doc3"], ours["doc4"])
	}
	if _, err := w.ends[0].Open(ours["doc3"].rt, "doc3", nil); err != nil {
		t.Fatal(err)
	}
	w.run(t)
	if w.ends[0].Err() != nil || w.ends[1].Err() != nil {
		t.Fatal(w.ends[0].Err(), w.ends[1].Err())
	}
}

// Both sides open the same document at the same time: one channel remains.
func TestCrossingOpens(t *testing.T) {
	a, b, w := pair(t, nil, nil)
	a.insert(t, 0, "a")
	b.insert(t, 0, "b")
	w.run(t)
	w.open(t, 0, "doc")
	w.open(t, 1, "doc")
	w.run(t)
	equal(t, a, b)
	for i := range 2 {
		if s := w.ends[i].Session("doc"); s == nil || s.Channel() != 1 {
			t.Errorf("end %d: %v", i, s)
		}
		if err := w.ends[i].Err(); err != nil {
			t.Error(err)
		}
	}
}

func TestDocumentLimit(t *testing.T) {
	w := newWire(t, newNode(t, 1, runtime.Options{}), newNode(t, 2, runtime.Options{}), nil, nil)
	w.manual = true
	w.fetch(t, 0, 1)
	w.deliver(t, 0, 1)
	w.ends[1].Admit()
	w.run(t)
	for i := range 70 {
		w.open(t, 0, fmt.Sprint(i))
	}
	w.run(t)
	_, opened := has[providers.Opening](w, 1)
	e, refused := has[providers.Refused](w, 0)
	if opened != 64 || refused != 6 || e.Code != providers.CodeTooMany {
		t.Fatal(opened, refused, e)
	}
}

// What must end the connection, and with which code.
func TestBadFrames(t *testing.T) {
	hello := frame(t, 1, 0, 1, 1, map[int]int{})
	open := frame(t, 5, 1, []byte("doc"), map[int]int{})
	long := strings.Repeat("x", providers.MaxHello)
	for _, c := range []struct {
		name   string
		frames [][]byte
		code   providers.Code
	}{
		{"empty", [][]byte{{}}, providers.CodeMalformed},
		{"no array", [][]byte{{0x01}}, providers.CodeMalformed},
		{"open before hello", [][]byte{open}, providers.CodeMalformed},
		{"ping before hello", [][]byte{frame(t, 3, 0, 1)}, providers.CodeMalformed},
		{"two hellos", [][]byte{hello, hello}, providers.CodeMalformed},
		{"no version in common", [][]byte{frame(t, 1, 0, 2, 9, map[int]int{})}, providers.CodeVersion},
		{"newer versions too", [][]byte{frame(t, 1, 0, 1, 9, map[int]int{}), open}, 0},
		{"unknown options are skipped", [][]byte{frame(t, 1, 0, 1, 1, map[int]int{77: 1}), open}, 0},
		{"long hello", [][]byte{frame(t, 1, 0, 1, 1, map[int]string{2: long})}, providers.CodeTooBig},
		{"unknown critical type", [][]byte{hello, frame(t, 26, 1)}, providers.CodeUnknownFrame},
		{"type 0", [][]byte{hello, frame(t, 0, 0)}, providers.CodeUnknownFrame},
		{"unknown ignorable type", [][]byte{hello, frame(t, 128, 1, "what"), open}, 0},
		{"channel of nobody", [][]byte{hello, frame(t, 10, 1)}, providers.CodeMalformed},
		{"channel of the other side", [][]byte{hello, frame(t, 5, 2, []byte("doc"), map[int]int{})}, providers.CodeMalformed},
		{"channel twice", [][]byte{hello, open, frame(t, 8, 1), frame(t, 5, 1, []byte("doc"), map[int]int{})}, providers.CodeMalformed},
		{"late frame of a closed channel", [][]byte{hello, open, frame(t, 8, 1), frame(t, 10, 1)}, 0},
		{"messages without a dictionary", [][]byte{hello, open, frame(t, 11, 1, []byte{0})}, providers.CodeMalformed},
		{"packed nonsense", [][]byte{hello, open, frame(t, 12, 1, []byte{1, 2, 3})}, providers.CodeMalformed},
		{"chunk outside", [][]byte{hello, open, frame(t, 14, 1, []byte{1})}, providers.CodeMalformed},
		{"end too early", [][]byte{hello, open, frame(t, 13, 1, 1, 5), frame(t, 15, 1, 0)}, providers.CodeMalformed},
		{"wrong checksum", [][]byte{hello, open, frame(t, 13, 1, 1, 1), frame(t, 14, 1, []byte{1}), frame(t, 15, 1, 7)}, providers.CodeMalformed},
		{"two transfers", [][]byte{hello, open, frame(t, 13, 1, 1, 5), frame(t, 13, 1, 1, 5)}, providers.CodeMalformed},
		{"much credit", [][]byte{hello, open, frame(t, 16, 1, uint64(1)<<40)}, providers.CodeMalformed},
		{"clock of nonsense", [][]byte{hello, open, frame(t, 9, 1, []byte{9, 9})}, providers.CodeMalformed},
		{"ack of nonsense", [][]byte{hello, open, frame(t, 18, 1, []byte{3, 9})}, providers.CodeMalformed},
		{"accept of nothing", [][]byte{hello, open, frame(t, 6, 1, map[int]int{})}, providers.CodeMalformed},
		{"extra element", [][]byte{hello, open, frame(t, 10, 1, 5)}, providers.CodeMalformed},
		{"bye on a document", [][]byte{hello, open, frame(t, 2, 1, 0, "")}, providers.CodeMalformed},
		{"close of the connection's channel", [][]byte{hello, frame(t, 8, 0)}, providers.CodeMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWire(t, newNode(t, 1, runtime.Options{}), newNode(t, 2, runtime.Options{}), nil, nil)
			for _, f := range c.frames {
				w.ends[1].Receive(f)
				w.take(t, 1)
				w.ends[1].Next()
			}
			e, ended := has[providers.Ended](w, 1)
			switch {
			case c.code == 0 && ended > 0:
				t.Fatal(e.Err)
			case c.code != 0 && (ended != 1 || e.Err.Code != c.code):
				t.Fatalf("%+v", w.events[1])
			case ended > 0:
				if f, ok := w.ends[1].Next(); ok || !w.ends[1].Over() {
					if ft, _, _ := providers.PeekFrame(f); ft != providers.FrameBye {
						t.Fatal("no bye")
					}
				}
			}
		})
	}
}

// What refuses a document and leaves the connection.
func TestBadUpdates(t *testing.T) {
	hello := frame(t, 1, 0, 1, 1, map[int]int{})
	open := frame(t, 5, 1, []byte("doc"), map[int]int{})
	for _, c := range []struct {
		name   string
		frames [][]byte
		code   providers.Code
	}{
		{"transfer too big", [][]byte{frame(t, 13, 1, 1, uint64(1)<<50)}, providers.CodeTooBig},
		{"garbage as an update", [][]byte{frame(t, 13, 1, 1, 1), frame(t, 14, 1, []byte{1}), frame(t, 15, 1, uint32(0xA016D052))}, providers.CodeCorrupt},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWire(t, newNode(t, 1, runtime.Options{}), newNode(t, 2, runtime.Options{}), nil, nil)
			for _, f := range append([][]byte{hello, open}, c.frames...) {
				w.ends[1].Receive(f)
				w.take(t, 1)
			}
			if e, n := has[providers.Refused](w, 1); n != 1 || e.Code != c.code || w.ends[1].Err() != nil {
				t.Fatalf("%+v", w.events[1])
			}
		})
	}
	for _, name := range []string{"", strings.Repeat("x", 129)} {
		w := newWire(t, newNode(t, 1, runtime.Options{}), newNode(t, 2, runtime.Options{}), nil, nil)
		w.ends[1].Receive(hello)
		w.take(t, 1)
		w.ends[1].Next()
		w.ends[1].Receive(frame(t, 5, 1, []byte(name), map[int]int{}))
		f, _ := w.ends[1].Next()
		if !strings.Contains(describe(f), "7, 1, 438") {
			t.Error(describe(f))
		}
	}
}

func TestHeartbeat(t *testing.T) {
	_, _, w := pair(t, nil, nil)
	w.run(t)
	w.resetCounts()
	for range 300 {
		w.tick(t, time.Second)
		w.run(t)
	}
	if w.ends[0].Err() != nil || w.frames[0] > 40 || w.frames[0] < 15 {
		t.Fatal(w.ends[0].Err(), w.frames)
	}
	// Half open: what this side sends is lost, and nothing comes.
	for range 39 {
		w.now = w.now.Add(time.Second)
		w.ends[0].Tick(w.now)
		w.fetch(t, 0, 10)
		if w.ends[0].Err() != nil {
			t.Fatal("too early")
		}
	}
	w.tick(t, 2*time.Second)
	for i := range 2 {
		if e, n := has[providers.Ended](w, i); n != 1 || e.Err.Code != providers.CodeTimeout {
			t.Fatalf("%+v", w.events[i])
		}
	}
}

// A peer that is gone is missed as soon after the clock was set back as without that.
func TestHeartbeatOfAClockThatIsSetBack(t *testing.T) {
	_, _, w := pair(t, nil, nil)
	w.run(t)
	for i := range 41 {
		if w.now = w.now.Add(time.Second); i == 10 {
			w.now = w.now.Add(-time.Hour)
		}
		w.ends[0].Tick(w.now)
		w.fetch(t, 0, 10)
	}
	var e *providers.EndedError
	if err := w.ends[0].Err(); !errors.As(err, &e) || e.Code != providers.CodeTimeout {
		t.Fatal(err)
	}
}

func TestNoHello(t *testing.T) {
	_, _, w := pair(t, nil, nil)
	w.tick(t, 6*time.Second)
	for i := range 2 {
		if e, _ := has[providers.Ended](w, i); e.Err == nil || e.Err.Code != providers.CodeTimeout {
			t.Fatalf("%+v", w.events[i])
		}
	}
}

func TestBye(t *testing.T) {
	_, _, w := pair(t, nil, nil)
	w.open(t, 0, "doc")
	w.run(t)
	w.ends[1].End(providers.CodeGoingAway, "maintenance")
	w.run(t)
	e, _ := has[providers.Ended](w, 0)
	if e.Err == nil || !e.Err.Remote || e.Err.Code != providers.CodeGoingAway || !e.Err.Code.Transient() || e.Err.Reason != "maintenance" {
		t.Fatalf("%+v", w.events[0])
	}
	if !w.ends[0].Over() || !w.ends[1].Over() {
		t.Fatal("not over")
	}
}

func TestEphemeral(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	var nodes []*node
	var opts []*providers.Options
	for i := range 3 {
		n := newNode(t, i+1, runtime.Options{})
		n.eph, _ = providers.NewEphemeral(&providers.EphemeralOptions{Own: n.rt.Replica(), Now: func() time.Time { return now }})
		nodes, opts = append(nodes, n), append(opts, &providers.Options{Ephemeral: n.eph})
	}
	opts[1].Stamp = []byte("anna") // the middle is a server that knows who is at its first link
	w1 := newWire(t, nodes[0], nodes[1], opts[0], opts[1])
	plain := *opts[1]
	plain.Stamp = nil
	w2 := newWire(t, nodes[2], nodes[1], opts[2], &plain)
	w1.open(t, 0, "doc")
	w1.run(t)
	state := string(nodes[1].rt.Canonical())
	var casts []providers.Cast
	var changes []providers.Presence
	nodes[2].eph.OnCast(func(c providers.Cast) { casts = append(casts, c) })
	nodes[2].eph.OnPresence(func(p providers.Presence) { changes = append(changes, p) })
	step := func(d time.Duration) {
		now = now.Add(d)
		for _, w := range []*wire{w1, w2} {
			w.now = now
			w.tick(t, 0)
		}
		w1.run(t)
		w2.run(t)
		w1.run(t)
	}
	if err := nodes[0].eph.Set([]byte("cursor 1")); err != nil {
		t.Fatal(err)
	}
	step(0)
	if v := nodes[1].eph.Values(); len(v) != 1 || string(v[0].Value) != "cursor 1" || string(v[0].Stamp) != "anna" {
		t.Fatalf("%+v", v)
	}
	// A late joiner gets what stands.
	w2.open(t, 0, "doc")
	step(100 * time.Millisecond)
	if v := nodes[2].eph.Values(); len(v) != 1 || string(v[0].Value) != "cursor 1" || string(v[0].Stamp) != "anna" {
		t.Fatalf("%+v", v)
	}
	// Many values in a second: at most ten go out, and the last one arrives.
	w1.resetCounts()
	for i := range 1000 {
		nodes[0].eph.Set(fmt.Appendf(nil, "cursor %d", i))
		step(time.Millisecond)
	}
	step(200 * time.Millisecond)
	if v := nodes[2].eph.Values(); len(v) != 1 || string(v[0].Value) != "cursor 999" {
		t.Fatalf("%+v", v)
	}
	if w1.frames[0] > 13 {
		t.Errorf("%d presence frames in a second", w1.frames[0])
	}
	// It lives as long as signs come.
	for range 60 {
		step(time.Second)
	}
	if len(nodes[2].eph.Values()) != 1 {
		t.Fatal("it expired in spite of signs")
	}
	// Casts.
	if err := nodes[0].eph.Cast("ring", []byte("!"), false); err != nil {
		t.Fatal(err)
	}
	step(0)
	if len(casts) != 1 || casts[0].Topic != "ring" || casts[0].Replica != nodes[0].rt.Replica() || string(casts[0].Stamp) != "anna" {
		t.Fatalf("%+v", casts)
	}
	if err := nodes[2].eph.Cast("echo", nil, true); err != nil || len(casts) != 2 {
		t.Fatal(err, casts)
	}
	for i := range 20 {
		if err := nodes[0].eph.Cast("flood", nil, false); (err == nil) != (i < 9) {
			t.Fatal(i, err)
		}
	}
	// Leaving is seen at once.
	nodes[0].eph.Set(nil)
	step(100 * time.Millisecond)
	if len(nodes[2].eph.Values()) != 0 || changes[len(changes)-1].Value != nil {
		t.Fatal("it has not left")
	}
	// Without signs it goes after its TTL.
	nodes[0].eph.Set([]byte("back"))
	step(100 * time.Millisecond)
	if len(nodes[2].eph.Values()) != 1 {
		t.Fatal("it has not come back")
	}
	w1.cut(t)
	now = now.Add(31 * time.Second)
	nodes[1].eph.Tick(now)
	nodes[2].eph.Tick(now)
	if len(nodes[2].eph.Values()) != 0 || len(nodes[1].eph.Values()) != 0 {
		t.Fatal("it did not expire")
	}
	if string(nodes[1].rt.Canonical()) != state {
		t.Fatal("presence was saved")
	}
	if err := nodes[0].eph.Set(make([]byte, 5000)); err == nil {
		t.Fatal("too long")
	}
}

// TestAnswersAreBounded: a peer asks and asks, and does not read the answers.
func TestAnswersAreBounded(t *testing.T) {
	m, err := providers.NewMux(&providers.MuxOptions{Acceptor: true})
	if err != nil {
		t.Fatal(err)
	}
	m.Tick(time.Unix(1e9, 0))
	m.Receive(frame(t, 1, 0, 1, 1, map[int]int{}))
	m.Admit()
	for i := range 1000 {
		m.Receive(frame(t, 5, 2*i+1, []byte{}, map[int]int{})) // a document without a name
	}
	var ended *providers.EndedError
	if !errors.As(m.Err(), &ended) || ended.Code != providers.CodeRate {
		t.Error(m.Err())
	}
}

// TestPresenceStandsForMinutes: a peer may say that a value stands for ever.
func TestPresenceStandsForMinutes(t *testing.T) {
	b, now := newNode(t, 2, runtime.Options{}), time.Unix(1e9, 0)
	e, err := providers.NewEphemeral(&providers.EphemeralOptions{Own: b.rt.Replica(), Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	w, id := unruly(t, b, &providers.Options{Ephemeral: e}), replicaID(3)
	w.say(t, frame(t, 20, 1, [][]any{{id[:], 1, uint64(1) << 40, []byte("for ever"), nil}}))
	if len(e.Values()) != 1 {
		t.Fatal(e.Values())
	}
	now = now.Add(5 * time.Minute)
	e.Tick(now)
	if len(e.Values()) != 0 {
		t.Error(e.Values())
	}
}

func TestPresenceOfOthersIsDropped(t *testing.T) {
	a, b, w := pair(t, &providers.Options{}, &providers.Options{})
	now := func() time.Time { return w.now }
	forged, _ := providers.NewEphemeral(&providers.EphemeralOptions{Own: replicaID(77), Now: now})
	w.opts[0].Ephemeral = forged
	w.opts[1].Ephemeral, _ = providers.NewEphemeral(&providers.EphemeralOptions{Own: b.rt.Replica(), OwnKeysOnly: true, Now: now})
	w.open(t, 0, "doc")
	w.run(t)
	forged.Set([]byte("not me"))
	forged.Cast("x", nil, false)
	w.run(t)
	if len(w.opts[1].Ephemeral.Values()) != 0 || w.opts[1].Ephemeral.Dropped() != 2 {
		t.Fatal(w.opts[1].Ephemeral.Values(), w.opts[1].Ephemeral.Dropped())
	}
	_ = a
}
