package providers_test

import (
	"errors"
	"testing"
	"time"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// forked gives two replicas different transactions of a third one under the same dots, the second of each. What they know of
// each other by their clocks is the same.
func forked(t *testing.T, a, b *node, bring func(from, to *node)) vclock.Dot {
	t.Helper()
	for i, n := range []*node{a, b} {
		twin := newNode(t, 9, runtime.Options{})
		twin.insert(t, 0, "same ")
		twin.insert(t, 0, []string{"one", "two"}[i])
		twin.insert(t, 0, "x")
		bring(twin, n)
	}
	return vclock.Dot{Replica: replicaID(9), Seq: 5}
}

func byMessages(t *testing.T) func(from, to *node) {
	return func(from, to *node) {
		ms, err := from.rt.MessagesSince(nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range ms {
			if _, err := to.rt.Receive(m); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// quiet lets time pass in which nothing happens.
func (w *wire) quiet(t *testing.T, d time.Duration) {
	t.Helper()
	for end := w.now.Add(d); w.now.Before(end); {
		w.tick(t, 500*time.Millisecond)
		w.run(t)
	}
}

// digests counts the digest frames of each end from now on.
func (w *wire) digests(t *testing.T) *[2]int {
	n := new([2]int)
	w.log = func(from int, frame []byte) {
		if typ, _, _ := providers.PeekFrame(frame); typ == providers.FrameDigest {
			n[from]++
		}
	}
	return n
}

func TestTwinsThatWereTakenApart(t *testing.T) {
	t.Run("where they part is found", func(t *testing.T) {
		a, b, w := pair(t, nil, nil)
		dot := forked(t, a, b, byMessages(t))
		w.open(t, 0, "doc")
		w.run(t)
		if _, n := has[providers.Diverged](w, 0); n > 0 {
			t.Fatal("before it was quiet")
		}
		w.quiet(t, 10*time.Second)
		for i := range 2 {
			e, n := has[providers.Diverged](w, i)
			if n != 2 || e.Dot == nil || *e.Dot != dot || e.Remote != (i == 0) {
				t.Errorf("end %d: %d events, the last one %+v", i, n, e)
			}
			var twin *runtime.EquivocationError
			if err := e.Err(); !errors.Is(err, providers.ErrDiverged) || !errors.As(err, &twin) || twin.Dot != dot {
				t.Error(err)
			}
		}
		if p, n := has[providers.Problem](w, 1); n != 1 || !errors.Is(p.Err, runtime.ErrEquivocation) {
			t.Errorf("%d problems, %v", n, p.Err)
		}
		// The rest goes on.
		a.insert(t, 0, "a")
		b.insert(t, 0, "b")
		w.quiet(t, 5*time.Minute)
		if !a.rt.Clock().Equal(b.rt.Clock()) {
			t.Error("it does not go on")
		}
		if _, n := has[providers.Diverged](w, 0); n != 2 {
			t.Errorf("told %d times", n)
		}
	})
	t.Run("a first hop refuses who brings the other one", func(t *testing.T) {
		a, b, w := pair(t, nil, &providers.Options{FirstHop: true})
		dot := forked(t, a, b, byMessages(t))
		w.open(t, 0, "doc")
		w.run(t)
		w.quiet(t, 10*time.Second)
		if e, _ := has[providers.Refused](w, 0); e.Code != providers.CodeEquivocation || e.Dot == nil || *e.Dot != dot {
			t.Errorf("%+v", e)
		}
	})
	t.Run("what history no longer holds", func(t *testing.T) {
		a, b, w := pair(t, nil, nil)
		forked(t, a, b, func(from, to *node) {
			state, err := from.rt.Save()
			if err != nil {
				t.Fatal(err)
			}
			if err := to.rt.Load(state); err != nil {
				t.Fatal(err)
			}
		})
		w.open(t, 0, "doc")
		w.run(t)
		w.quiet(t, 10*time.Second)
		for i := range 2 {
			if e, n := has[providers.Diverged](w, i); n != 1 || e.Dot != nil || !errors.Is(e.Err(), providers.ErrDiverged) {
				t.Errorf("end %d: %d events, the last one %+v", i, n, e)
			}
		}
	})
	t.Run("while the link stands", func(t *testing.T) {
		// Both reach the same clock only after they have met; messages pass over what is known by its end alone.
		a, b, w := pair(t, nil, nil)
		w.open(t, 0, "doc")
		w.run(t)
		w.quiet(t, 2*time.Minute)
		state := func(text string) []byte {
			twin := newNode(t, 9, runtime.Options{})
			twin.insert(t, 0, text)
			b, err := twin.rt.Save()
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
		if err := errors.Join(a.rt.Load(state("one")), b.rt.Load(state("two"))); err != nil {
			t.Fatal(err)
		}
		w.run(t)
		w.quiet(t, 2*time.Minute)
		if _, n := has[providers.Diverged](w, 0); n != 1 {
			t.Errorf("%d events", n)
		}
	})
}

// TestEqualDocumentsAreComparedSeldom: one frame when both have met, one after changes but no more than one a minute, and
// nothing to be done in between.
func TestEqualDocumentsAreComparedSeldom(t *testing.T) {
	a, b, w := pair(t, nil, nil)
	n := w.digests(t)
	a.insert(t, 0, "a")
	s := w.open(t, 0, "doc")
	w.run(t)
	w.quiet(t, time.Second)
	if *n != [2]int{} {
		t.Fatalf("%v frames at once", *n)
	}
	w.quiet(t, 5*time.Minute)
	if *n != [2]int{1, 0} {
		t.Fatalf("%v frames after the start", *n)
	}
	if at := s.Deadline(); !at.IsZero() && at.Before(w.now.Add(time.Hour)) {
		t.Errorf("something is due at %v, now is %v", at, w.now)
	}
	for i := range 120 { // two minutes, with something every three seconds
		if i%3 == 0 {
			b.insert(t, 0, "b")
		}
		w.tick(t, time.Second)
		w.run(t)
	}
	if n[0] < 2 || n[0] > 4 || n[1] != 0 {
		t.Errorf("%v frames", *n)
	}
	for i := range 2 {
		if _, n := has[providers.Diverged](w, i); n > 0 {
			t.Error("equal documents are said to differ")
		}
	}
	equal(t, a, b)
}

func TestNoDigests(t *testing.T) {
	for i := range 2 {
		o := [2]*providers.Options{nil, nil}
		o[i] = &providers.Options{NoDigests: true}
		a, b, w := pair(t, o[0], o[1])
		forked(t, a, b, byMessages(t))
		n := w.digests(t)
		w.open(t, 0, "doc")
		w.run(t)
		w.quiet(t, time.Minute)
		if *n != [2]int{} {
			t.Errorf("without them at end %d: %v frames", i, *n)
		}
	}
}

// TestUnknownKindsAreNotCompared: the digest of a document does not tell of objects that are not understood.
func TestUnknownKindsAreNotCompared(t *testing.T) {
	a := newNode(t, 1, runtime.Options{})
	a.insert(t, 0, "x")
	if _, ok := providers.DigestOf(a.rt); !ok {
		t.Error("a document of known kinds cannot be compared")
	}
	rt, err := runtime.New(&runtime.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b := &node{rt: rt}
	byMessages(t)(a, b)
	if _, ok := providers.DigestOf(rt); ok || len(crdt.Kinds()) == 0 {
		t.Error("objects of unknown kinds can be compared")
	}
}

// TestHostileDigests: whoever sends digests all the time makes the other side take no more than two a minute, and tells it once.
func TestHostileDigests(t *testing.T) {
	taken := 0
	a, b, w := pair(t, nil, nil)
	w.opts[1] = &providers.Options{Digest: func() (*providers.Digest, bool) { taken++; return providers.DigestOf(b.rt) }}
	a.insert(t, 0, "x")
	w.open(t, 0, "doc")
	w.run(t)
	d, _ := providers.DigestOf(b.rt)
	at := providers.ClockSum(d.Clock)
	sum := d.Sum
	send := func(items ...any) {
		w.ends[1].Receive(frame(t, append([]any{25, 1}, items...)...))
		w.take(t, 1)
		w.run(t)
	}
	for range 600 {
		send(at, sum[:], nil)
		send(at[:8], make([]byte, 32), nil)
		w.tick(t, 100*time.Millisecond)
	}
	if taken > 4 {
		t.Errorf("%d digests in a minute", taken)
	}
	id := replicaID(3)
	for i := range 20 {
		send([]byte{}, []byte{}, []any{id[:], i})
	}
	if _, n := has[providers.Diverged](w, 1); n > 2 {
		t.Errorf("told %d times", n)
	}
	for name, bad := range map[string][]any{
		"short digest": {at, sum[:31], nil}, "short clock": {at[:7], sum[:], nil}, "short dot": {at, sum[:], []any{id[:15], 1}},
		"great dot": {at, sum[:], []any{id[:], uint64(1) << 60}}, "nothing": {},
	} {
		_, _, w := pair(t, nil, nil)
		w.open(t, 0, "doc")
		w.run(t)
		w.ends[1].Receive(frame(t, append([]any{25, 1}, bad...)...))
		w.take(t, 1)
		if e, _ := has[providers.Ended](w, 1); e.Err == nil || e.Err.Code != providers.CodeMalformed {
			t.Errorf("%s: %+v", name, e.Err)
		}
	}
}
