package providers_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// node is a replica with its text.
type node struct {
	name string
	rt   *runtime.Runtime
	text crdt.Text
	eph  *providers.Ephemeral
}

type testing_ interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

// replicaID is the ID of replica number i: it depends on nothing else, so that bytes repeat.
func replicaID(i int) (id vclock.Replica) {
	return vclock.Replica{byte(i), 0x11, 0x22, 0x33, 0x44, 0x55, 0x46, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, byte(i)}
}

func newNode(t testing_, i int, o runtime.Options) *node {
	t.Helper()
	o.Replica, o.Kinds = replicaID(i), crdt.Kinds()
	rt, err := runtime.New(&o)
	if err != nil {
		t.Fatal(err)
	}
	text, err := crdt.NewText(rt, "body")
	if err != nil {
		t.Fatal(err)
	}
	return &node{name: fmt.Sprint("n", i), rt: rt, text: text}
}

func (n *node) insert(t testing_, at int, s string) {
	t.Helper()
	err := n.rt.Transact(func(tx runtime.Tx) error {
		if at < 0 {
			at = n.text.Len(tx)
		}
		return n.text.Insert(tx, min(at, n.text.Len(tx)), s)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// fill inserts so many digits in one transaction; they do not compress well, and are the same each time.
func (n *node) fill(t testing_, size int) {
	t.Helper()
	var sb strings.Builder
	r := rand.New(rand.NewPCG(1, uint64(size)))
	for sb.Len() < size {
		fmt.Fprint(&sb, r.Uint64())
	}
	n.insert(t, 0, sb.String())
}

func (n *node) remove(t testing_, at, count int) {
	t.Helper()
	err := n.rt.Transact(func(tx runtime.Tx) error {
		l := n.text.Len(tx)
		if l == 0 {
			return nil
		}
		at = min(at, l-1)
		return n.text.Delete(tx, at, min(count, l-at))
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (n *node) String() (s string) {
	n.rt.View(func(tx runtime.Tx) error { s = n.text.String(tx); return nil })
	return s
}

// wire is a link between two Muxes that a test pumps by hand. Dialer first.
type wire struct {
	ends   [2]*providers.Mux
	nodes  [2]*node
	queue  [2][][]byte // frames under way from end i
	events [2][]providers.Event
	bytes  [2]int
	frames [2]int
	now    time.Time
	accept func(i int, e providers.Opening) // default: accept with opts
	opts   [2]*providers.Options
	log    func(from int, frame []byte)
	manual bool // openings are not answered by themselves
}

func newWire(t testing_, a, b *node, oa, ob *providers.Options) *wire {
	t.Helper()
	return newWireAt(t, time.Unix(1_000_000, 0), a, b, oa, ob)
}

func newWireAt(t testing_, now time.Time, a, b *node, oa, ob *providers.Options) *wire {
	t.Helper()
	w := &wire{nodes: [2]*node{a, b}, opts: [2]*providers.Options{oa, ob}, now: now}
	for i := range w.ends {
		m, err := providers.NewMux(&providers.MuxOptions{Acceptor: i == 1})
		if err != nil {
			t.Fatal(err)
		}
		m.Tick(w.now)
		w.ends[i] = m
	}
	return w
}

func (w *wire) open(t testing_, i int, doc string) *providers.Session {
	t.Helper()
	s, err := w.ends[i].Open(w.nodes[i].rt, doc, w.opts[i])
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// take handles the events of end i.
func (w *wire) take(t testing_, i int) {
	t.Helper()
	for e, ok := w.ends[i].NextEvent(); ok; e, ok = w.ends[i].NextEvent() {
		w.events[i] = append(w.events[i], e)
		switch e := e.(type) {
		case providers.Admission:
			if !w.manual {
				w.ends[i].Admit()
			}
		case providers.Opening:
			if w.accept != nil {
				w.accept(i, e)
			} else if !w.manual {
				if _, err := w.ends[i].Accept(e, w.nodes[i].rt, w.opts[i]); err != nil && w.ends[i].Err() == nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// fetch puts up to n frames of end i under way.
func (w *wire) fetch(t testing_, i, n int) (got int) {
	t.Helper()
	for ; got < n; got++ {
		f, ok := w.ends[i].Next()
		if !ok {
			break
		}
		if len(f) > providers.MaxFrame {
			t.Fatalf("a frame of %d bytes", len(f))
		}
		if w.log != nil {
			w.log(i, f)
		}
		w.bytes[i] += len(f)
		w.frames[i]++
		w.queue[i] = append(w.queue[i], f)
	}
	w.take(t, i)
	return got
}

// deliver hands up to n frames from end i to the other one.
func (w *wire) deliver(t testing_, i, n int) (got int) {
	t.Helper()
	for ; got < n && len(w.queue[i]) > 0; got++ {
		f := w.queue[i][0]
		w.queue[i] = w.queue[i][1:]
		kept := bytes.Clone(f)
		w.ends[1-i].Receive(f)
		if !bytes.Equal(f, kept) {
			t.Fatal("Receive changed a frame")
		}
		for j := range f {
			f[j] = 0xff // nobody keeps it
		}
		w.take(t, 1-i)
	}
	return got
}

// run pumps until nothing moves.
func (w *wire) run(t testing_) {
	t.Helper()
	for step := 0; ; step++ {
		moved := 0
		for i := range w.ends {
			moved += w.fetch(t, i, 4)
			moved += w.deliver(t, i, 1<<30)
		}
		if moved == 0 {
			return
		}
		if step > 100_000 {
			t.Fatal("the exchange does not end")
		}
	}
}

func (w *wire) tick(t testing_, d time.Duration) {
	t.Helper()
	w.now = w.now.Add(d)
	for i := range w.ends {
		w.ends[i].Tick(w.now)
		w.take(t, i)
	}
}

// cut loses the link: what is under way is lost.
func (w *wire) cut(t testing_) {
	t.Helper()
	for i := range w.ends {
		w.ends[i].Lost("cut")
		w.queue[i] = nil
		w.take(t, i)
	}
}

func (w *wire) resetCounts() { w.bytes, w.frames = [2]int{}, [2]int{} }

func has[E providers.Event](w *wire, i int) (last E, n int) {
	for _, e := range w.events[i] {
		if x, ok := e.(E); ok {
			last, n = x, n+1
		}
	}
	return last, n
}

func equal(t testing_, nodes ...*node) {
	t.Helper()
	for _, n := range nodes {
		if len(nodes[0].rt.Canonical()) < 50_000 {
			if err := n.rt.Check(); err != nil {
				t.Fatalf("%s: %v", n.name, err)
			}
		}
		if !bytes.Equal(n.rt.Canonical(), nodes[0].rt.Canonical()) {
			t.Fatalf("%s and %s differ:\n%.200q\n%.200q\n%v\n%v", nodes[0].name, n.name, nodes[0], n, nodes[0].rt.Clock(), n.rt.Clock())
		}
	}
}

// describe shows a frame in diagnostic notation, long byte strings cut.
func describe(frame []byte) string {
	t, ch, err := providers.PeekFrame(frame)
	if err != nil {
		return err.Error()
	}
	s, err := cbor.Diagnose(frame)
	if err != nil {
		return err.Error()
	}
	if len(s) > 140 {
		s = s[:140] + "..."
	}
	return fmt.Sprintf("%d %v %s", ch, t, s)
}

func pair(t *testing.T, oa, ob *providers.Options) (*node, *node, *wire) {
	t.Helper()
	a, b := newNode(t, 1, runtime.Options{}), newNode(t, 2, runtime.Options{})
	return a, b, newWire(t, a, b, oa, ob)
}
