package runtime_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	goruntime "runtime"
	"strings"
	"testing"

	"github.com/seed1312cc15/weft/internal/converge/bag"
	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// typed reports whether an error is one that a caller can act on.
func typed(err error) bool {
	for _, e := range []error{
		runtime.ErrCorrupt, runtime.ErrChecksum, runtime.ErrVersion, runtime.ErrLimit, runtime.ErrWrongDocument, runtime.ErrMissingDeps,
		runtime.ErrEquivocation, runtime.ErrClockJump, runtime.ErrRefused,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// everyKind returns one update of each kind, and a function that opens a replica which takes each.
func everyKind(t testing.TB) (updates map[string][]byte, receiver func() *doc) {
	a, b, c := open(t, 1), open(t, 2), open(t, 3)
	a.add("one", "two", "three")
	b.take(a.sent[0])
	b.edit(func(tx runtime.Tx) error {
		made, err := b.bag.Make(tx, bag.Name)
		if err != nil {
			return err
		}
		below, err := made.Below("key")
		return errors.Join(err, made.AddTimes(tx, "in", 3), below.Add(tx, "deep"))
	})
	a.take(b.sent[0])
	a.remove(1)
	c.take(a.sent[1])
	c.take(open(t, 4).add("x"))
	d := open(t, 5, func(o *runtime.Options) { o.Deletions = -1 })
	d.take(a.sent[0], b.sent[0], a.sent[1])
	base := vclock.Clock{id(1): 3}
	return map[string][]byte{
			"message":          b.sent[0],
			"bundle":           mustBundle(t, [][]byte{a.sent[0], b.sent[0], a.sent[1]}),
			"state":            a.save(),
			"state, waiting":   c.save(),
			"compressed state": a.save(runtime.Compressed(2)),
			"delta, deletions": a.since(base),
			"delta, live":      d.since(base),
			"compressed delta": a.since(base, runtime.Compressed(2)),
		}, func() *doc {
			r := open(t, 9)
			r.take(a.sent[0])
			return r
		}
}

func TestTruncation(t *testing.T) {
	updates, receiver := everyKind(t)
	for name, u := range updates {
		r := receiver()
		for n := range u {
			if err := r.refuse(u[:n]); !typed(err) {
				t.Errorf("%s, %d bytes of %d: %v", name, n, len(u), err)
			}
		}
		if err := r.refuse(append(bytes.Clone(u), 0)); !typed(err) {
			t.Errorf("%s and a byte: %v", name, err)
		}
		if err := r.refuse(append(bytes.Clone(u), u...)); !typed(err) {
			t.Errorf("%s twice: %v", name, err)
		}
		r.take(u)
	}
}

// R5: a saved state with any one bit flipped fails, or is harmless; then the good one gives the right document.
func TestR5BitFlips(t *testing.T) {
	updates, receiver := everyKind(t)
	for name, u := range updates {
		if name == "message" {
			continue // small, without a checksum: links and stores have theirs
		}
		r, want := receiver(), receiver()
		want.take(u)
		for i := range u {
			for bit := range 8 {
				bad := bytes.Clone(u)
				bad[i] ^= 1 << bit
				if err := r.refuse(bad); !typed(err) {
					t.Fatalf("R5: %s, byte %d, bit %d: %v", name, i, bit, err)
				}
			}
		}
		r.take(u)
		same(t, r, want)
		if r.text() != want.text() {
			t.Errorf("R5: %s: %q and %q", name, r.text(), want.text())
		}
	}
}

// A message with any one bit flipped does not panic or break invariants, whatever it then means.
func TestBitFlipsOfMessages(t *testing.T) {
	updates, receiver := everyKind(t)
	u := updates["message"]
	for i := range u {
		for bit := range 8 {
			bad := bytes.Clone(u)
			bad[i] ^= 1 << bit
			r := receiver()
			was := r.save()
			if _, err := r.Receive(bad); err != nil && (!typed(err) || !bytes.Equal(was, r.save())) {
				t.Errorf("byte %d, bit %d: %v", i, bit, err)
			}
			r.check()
			again := open(t, 10)
			again.take(r.save())
			same(t, r, again)
		}
	}
}

func TestVersions(t *testing.T) {
	a := open(t, 1)
	m := a.add("x")
	set := func(u []byte, at int, b byte) []byte {
		u = bytes.Clone(u)
		u[at] = b
		return u
	}
	state := splitState(t, a.save())
	with := func(i int, b byte) []byte {
		p := state
		p.head = set(p.head, i, b)
		return p.encode()
	}
	bundle := mustBundle(t, [][]byte{m})
	body := bytes.Clone(bundle[7 : len(bundle)-4])
	body[1] = 1
	for name, u := range map[string][]byte{
		"message of version 2": set(m, 2, 0x21), "critical feature": set(m, 3, 0x80),
		"state of version 2": with(0, 0x23), "feature of a state": with(1, 1), "flag of a state": with(2, 4),
		"feature of a bundle": append([]byte{0xda, 'w', 'e', 'f', 't'}, bstrOf(append(body, crc(body)...))...),
	} {
		b := open(t, 2)
		if err := b.refuse(u); !errors.Is(err, runtime.ErrVersion) {
			t.Errorf("%s: %v", name, err)
		}
	}
	w := parse(t, m)
	w.objects = append(binary.AppendUvarint(nil, 500<<3), 0)
	if err := open(t, 2).refuse(w.encode()); !errors.Is(err, runtime.ErrVersion) {
		t.Errorf("a kind code of a later version: %v", err)
	}
	var d *runtime.DecodeError
	if err := open(t, 2).refuse(with(0, 0x23)); !errors.As(err, &d) || d.Field != "format" {
		t.Errorf("%v", err)
	}
	for _, junk := range []string{"", "x", "\x40", "\x41\x00", "\xda", "\xdaweft", "\xdaweft\x40", "\xdawefx\x41\x13", "{}", strings.Repeat("\xff", 100)} {
		if err := open(t, 2).refuse([]byte(junk)); !typed(err) {
			t.Errorf("%q: %v", junk, err)
		}
		if _, err := runtime.KindOf([]byte(junk)); !typed(err) {
			t.Errorf("%q: %v", junk, err)
		}
		if _, err := runtime.Inspect([]byte(junk)); !typed(err) {
			t.Errorf("%q: %v", junk, err)
		}
	}
	if err := open(t, 2).Load(m); !errors.Is(err, runtime.ErrCorrupt) {
		t.Errorf("Load of a message: %v", err)
	}
}

// Envelopes that no honest replica writes.
func TestBadEnvelopes(t *testing.T) {
	a := open(t, 1)
	m0 := a.add("x")
	b := open(t, 2)
	b.take(m0)
	m := b.add("y") // depends on a
	huge := binary.AppendUvarint(nil, 1<<63)
	for name, change := range map[string]func(*wire){
		"nil sender":              func(w *wire) { w.sender = vclock.Replica{} },
		"nil dependency":          func(w *wire) { w.table[0].id = vclock.Replica{} },
		"sender as dependency":    func(w *wire) { w.table[0].id = w.sender },
		"dependency twice":        func(w *wire) { w.table = append(w.table, w.table[0]); w.deps = 2 },
		"replica twice":           func(w *wire) { w.table = append(w.table, w.table[0]) },
		"unsorted":                func(w *wire) { w.table = append(w.table, wireDot{id(0), 1}); w.deps = 2 },
		"seq beyond 2^53":         func(w *wire) { w.table[0].seq = 1 << 53 },
		"seq that wraps":          func(w *wire) { w.table[0].seq = 1<<64 - 1 },
		"start beyond 2^53":       func(w *wire) { w.start, w.lamport = 1<<53, 1<<53+1 },
		"dots that wrap":          func(w *wire) { w.start, w.lamport, w.count = 5, 6, 1<<64-3 },
		"too many dots":           func(w *wire) { w.count = 1 << 40 },
		"lamport 0":               func(w *wire) { w.lamport = 0 },
		"lamport below 0":         func(w *wire) { w.lamport = 1<<64 - 5 },
		"lamport beyond 2^53":     func(w *wire) { w.lamport = 1<<53 + 1 },
		"no objects":              func(w *wire) { w.objects = nil; w.rest = nil },
		"class 3":                 func(w *wire) { w.objects = []byte{6, 1, 'k', 0} },
		"parent before all":       func(w *wire) { w.objects = []byte{4, 1, 'k', 0, 0} },
		"dot beyond all":          func(w *wire) { w.objects = append([]byte{2, 1, 'k', 0}, huge...) },
		"replica beyond table":    func(w *wire) { w.objects = append([]byte{2, 1, 'k'}, append(huge, 0)...) },
		"kind spelled out":        func(w *wire) { w.objects = append([]byte{0, 4}, "text\x00"...) },
		"kind without name":       func(w *wire) { w.objects = []byte{0, 0, 0} },
		"long kind":               func(w *wire) { w.objects = append([]byte{0, 0x80, 2}, strings.Repeat("k", 257)...) },
		"one framed operation":    func(w *wire) { w.flags |= 4; w.rest = []byte{1, 0, 1, 'x'} },
		"no framed operation":     func(w *wire) { w.flags |= 4; w.rest = []byte{0} },
		"dots that do not add up": func(w *wire) { w.flags |= 4; w.rest = []byte{2, 0, 1, 'x', 0, 1, 'x'} },
		"operation on nothing":    func(w *wire) { w.flags |= 4; w.count = 2; w.rest = []byte{2, 2, 1, 'x', 0, 1, 'x'} },
		"huge operation count":    func(w *wire) { w.flags |= 4; w.rest = huge },
		"huge operation":          func(w *wire) { w.flags |= 4; w.count = 2; w.rest = append([]byte{2, 0}, huge...) },
		"after the operations":    func(w *wire) { w.flags |= 4; w.count = 2; w.rest = []byte{2, 0, 1, 'x', 0, 1, 'x', 0} },
	} {
		w := parse(t, m)
		change(w)
		t.Run(name, func(t *testing.T) {
			r := open(t, 3)
			r.take(m0)
			if err := r.refuse(w.encode()); !typed(err) {
				t.Error(err)
			}
			if r.Waiting() != 0 {
				t.Error("it waits")
			}
		})
	}
	// Longer integers than needed.
	raw := parse(t, m0)
	long := bytes.Clone(m0[:20])
	long = append(long, 0x80, 0x00) // start 0 in two bytes
	long = append(append(long, raw.objects...), raw.rest...)
	if err := open(t, 3).refuse(bstrOf(long[2:])); !errors.Is(err, runtime.ErrCorrupt) {
		t.Errorf("start in two bytes: %v", err)
	}
	notShortest := append([]byte{0x59, 0, byte(len(m0) - 2)}, m0[2:]...)
	if err := open(t, 3).refuse(notShortest); !errors.Is(err, runtime.ErrCorrupt) {
		t.Errorf("a head that is not the shortest: %v", err)
	}
}

// States with right checksums that no honest replica writes.
func TestBadStates(t *testing.T) {
	a := open(t, 1)
	a.add("x")
	s := splitState(t, a.save())
	one := id(1)
	canonical := func(parts ...any) []byte {
		var b []byte
		for _, p := range parts {
			switch p := p.(type) {
			case int:
				b = binary.AppendUvarint(b, uint64(p))
			case uint64:
				b = binary.AppendUvarint(b, p)
			case []byte:
				b = append(b, p...)
			case string:
				b = append(binary.AppendUvarint(b, uint64(len(p))), p...)
			}
		}
		return b
	}
	head := []any{1, one[:], 1, 1, 0, 1} // one replica, one dot, one head, Lamport timestamp 1
	with := func(rest ...any) []byte { return canonical(append(append([]any{}, head...), rest...)...) }
	for name, c := range map[string][]byte{
		"nothing":            {},
		"huge replicas":      canonical(uint64(1 << 62)),
		"unsorted":           canonical(2, id9(2), id9(1), 1, 1, 1, 0, 1, 0, 0),
		"replica twice":      canonical(2, id9(2), id9(2), 1, 1, 1, 0, 1, 0, 0),
		"nil replica":        canonical(1, make([]byte, 16), 1, 1, 0, 1, 0, 0),
		"end 0":              canonical(1, one[:], 0, 1, 0, 0, 0, 0),
		"end beyond 2^53":    canonical(1, one[:], uint64(1<<53+1), 1, 0, 1, 0, 0),
		"no heads":           canonical(1, one[:], 1, 0, 1, 0, 0),
		"head beyond":        canonical(1, one[:], 1, 1, 1, 1, 0, 0),
		"two heads of one":   canonical(1, one[:], 1, 2, 0, 0, 1, 0, 0),
		"lamport over sum":   canonical(1, one[:], 1, 1, 0, 2, 0, 0),
		"lamport 0":          canonical(1, one[:], 1, 1, 0, 0, 0, 0),
		"lamport of nothing": canonical(0, 0, 1, 0, 0),
		"huge kinds":         with(uint64(1 << 62)),
		"kinds unsorted":     with(2, 0, "b/", 0, "a/", 0),
		"kind twice":         with(2, 0, "b/", 0, "b/", 0),
		"kind spelled out":   with(1, 0, "text", 0),
		"kind unknown code":  with(1, 999, 0),
		"huge objects":       with(0, uint64(1<<62)),
		"object of no kind":  with(0, 1, 0, "n", 0),
		"class 3":            with(1, 0, "k/", 1, 3, "n", 0),
		"parent of first":    with(1, 0, "k/", 1, 2, 1, 0, "key", 0),
		"parent itself":      with(1, 0, "k/", 1, 2, 0, 0, "key", 0),
		"key number":         with(1, 0, "k/", 2, 0, "n", 0, 2, 1, 7, 0),
		"root twice":         with(1, 0, bag.Name, 2, 4, "n", 4, "n"),
		"roots unsorted":     with(1, 0, bag.Name, 2, 4, "n", 4, "m"),
		"root kind unsorted": with(2, 0, "a/", 0, "b/", 2, 4|1<<3, "n", 4, "n"),
		"made object twice":  with(1, 0, bag.Name, 2, 4|1, 0, 0, 4|1, 0, 0),
		"root after made":    with(1, 0, bag.Name, 2, 4|1, 0, 0, 4, "n"),
		"implicit twice":     with(1, 0, bag.Name, 3, 4, "n", 4|2, 1, 0, "key", 4|2, 2, 1),
		"implicit unsorted":  with(1, 0, bag.Name, 3, 4, "n", 4|2, 1, 0, "key", 4|2, 2, 0, "kex"),
		"parents unsorted":   with(1, 0, bag.Name, 4, 4, "m", 4, "n", 4|2, 1, 0, "key", 4|2, 3, 1),
		"made beyond clock":  with(1, 0, bag.Name, 1, 1, 0, 9, 0),
		"made by nobody":     with(1, 0, bag.Name, 1, 1, 7, 0, 0),
		"section too long":   with(1, 0, bag.Name, 1, 0, "bag", 99, 0),
		"section replica":    with(1, 0, bag.Name, 1, 0, "bag", 2, 1, 9),
		"section of junk":    with(1, 0, bag.Name, 1, 0, "bag", 4, 1, 0, []byte{9, 9}),
		"dot beyond clock":   with(1, 0, bag.Name, 1, 0, "bag", 7, 1, 0, []byte{0, 5, 0, 1, 'x'}),
		"trailing":           append(bytes.Clone(s.canonical), 0),
	} {
		p := s
		p.canonical = c
		r := open(t, 3)
		if err := r.refuse(p.encode()); !typed(err) {
			t.Errorf("%s: %v", name, err)
		}
		if n := r.Replicas(); n > 1 {
			t.Errorf("%s: %d replicas stay in the tables", name, n)
		}
	}
	for name, local := range map[string][]byte{
		"half a record":      {1},
		"too long":           {1, 9, 0},
		"huge waiting":       append([]byte{1, 9}, binary.AppendUvarint(nil, 1<<62)...),
		"waiting, trailing":  {1, 2, 0, 0},
		"deletions, floor":   {2, 4, 1, 0, 99, 0},
		"deletions, replica": {2, 4, 1, 9, 1, 0},
		"huge deletions":     append([]byte{2, 10, 0}, binary.AppendUvarint(nil, 1<<62)...),
		"opaque, huge":       append([]byte{3, 9}, binary.AppendUvarint(nil, 1<<62)...),
		"opaque, no clock":   {3, 13, 0, 1, 0, 0, 2, 'k', '/', 1, 'n', 0, 1, 0, 0, 0},
	} {
		p := s
		p.local = local
		r := open(t, 3)
		if err := r.refuse(p.encode()); !typed(err) {
			t.Errorf("local section, %s: %v", name, err)
		}
	}
	// Junk in the place of waiting messages is dropped: it would not have been applied.
	p := s
	p.local = []byte{1, 3, 1, 1, 'x'}
	r := open(t, 3)
	r.take(p.encode())
	same(t, a, r)
	// Unknown records are kept.
	p.local = []byte{77, 2, 'a', 'b', 78, 0, 79, 1, 'c'}
	r = open(t, 3)
	r.take(p.encode())
	same(t, a, r)
	if got := splitState(t, r.save()).local; !bytes.HasSuffix(got, p.local) {
		t.Errorf("unknown records %x became %x", p.local, got)
	}
}

func id9(n byte) []byte { i := id(n); return i[:] }

// The decoder allocates no more than a small multiple of its input, whatever that declares.
func TestAllocationIsBounded(t *testing.T) {
	one := id(1)
	state := stateParts{head: []byte{0x13, 0, 0}}
	measure := func(u []byte) uint64 {
		r := open(t, 9)
		var before, after goruntime.MemStats
		goruntime.GC()
		goruntime.ReadMemStats(&before)
		_, _ = r.Receive(u)
		goruntime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	objects := func(n int) []byte { // the smallest objects there are, in a message
		b := append([]byte{0x11, 0}, one[:]...)
		b = append(b, 0)
		for i := range n {
			more := byte(1)
			if i == n-1 {
				more = 0
			}
			b = append(b, more|13<<3, 0) // a text without a name
		}
		return bstrOf(append(b, 'x'))
	}
	canonical := append([]byte{1}, one[:]...)
	canonical = append(canonical, 1, 1, 0, 1, 1, 13)
	names := func(n int) []byte { // distinct roots
		c := binary.AppendUvarint(bytes.Clone(canonical), uint64(n))
		for i := range n {
			c = append(append(c, 4), fmt.Sprintf("\x04%04x", i)...)
		}
		s := state
		s.canonical = c
		return s.encode()
	}
	for name, c := range map[string]struct {
		data []byte
		per  uint64
	}{
		"objects of a message": {objects(90_000), 12},
		"roots of a state":     {names(50_000), 38},
	} {
		got := measure(c.data)
		if raced {
			got /= 3
		}
		if got > c.per*uint64(len(c.data))+1<<16 {
			t.Errorf("%s: %d bytes allocated for %d, %.1f times", name, got, len(c.data), float64(got)/float64(len(c.data)))
		}
		t.Logf("%s: %.1f times its length", name, float64(got)/float64(len(c.data)))
	}
	// Declared counts alone, at every place of every kind.
	updates, receiver := everyKind(t)
	for name, u := range updates {
		for i, bad := range append(counted(t, name, u, []byte{0xff, 0xff, 0xff, 0xff, 0x7f}), counted(t, name, u, []byte{0xff, 0xff, 0xff, 0x1f})...) {
			r := receiver()
			var before, after goruntime.MemStats
			goruntime.ReadMemStats(&before)
			_, err := r.Receive(bad)
			goruntime.ReadMemStats(&after)
			if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
				t.Errorf("%s, form %d: %d bytes allocated, %v", name, i, n, err)
			}
		}
	}
	// A compression bomb.
	zeros := open(t, 1)
	zeros.add(strings.Repeat("\x00", 900_000))
	bomb := zeros.save(runtime.Compressed(4))
	if n := measure(bomb); n > 300*uint64(len(bomb))+8<<20 {
		t.Errorf("%d bytes allocated for a state of %d", n, len(bomb))
	}
	b := open(t, 2)
	b.take(bomb)
	same(t, zeros, b)
	small := open(t, 3, func(o *runtime.Options) { o.Limits.DecodedBytes = 1000 })
	mixed := open(t, 1)
	for i := range 400 {
		mixed.add(fmt.Sprint(i))
	}
	var limit *runtime.LimitError
	if err := small.refuse(mixed.save(runtime.Compressed(1))); !errors.As(err, &limit) || limit.Name != "DecodedBytes" {
		t.Errorf("a state beyond DecodedBytes: %v", err)
	}
	for limitName, change := range map[string]func(*runtime.Limits){
		"StateBytes": func(l *runtime.Limits) { l.StateBytes = 100 }, "BundleBytes": func(l *runtime.Limits) { l.BundleBytes = 100 },
	} {
		r := open(t, 4, func(o *runtime.Options) { change(&o.Limits) })
		u := mixed.save()
		if limitName == "BundleBytes" {
			u = mustBundle(t, mixed.sent)
		}
		if err := r.refuse(u); !errors.As(err, &limit) || limit.Name != limitName {
			t.Errorf("%s: %v", limitName, err)
		}
	}
}

// Deeply nested objects are refused, not followed down.
func TestDeepNesting(t *testing.T) {
	a := open(t, 1)
	m := a.add("x")
	w := parse(t, m)
	deep := func(n int) []byte {
		objects := []byte{1 | 13<<3, 0}
		for i := range n {
			more := byte(1)
			if i == n-1 {
				more = 0
			}
			objects = append(objects, more|2<<1|13<<3, 0, 0)
		}
		w.objects = objects
		return w.encode()
	}
	var limit *runtime.LimitError
	if err := open(t, 2).refuse(deep(100_000)); !errors.As(err, &limit) || limit.Name != "Depth" {
		t.Errorf("a message: %v", err)
	}
	open(t, 2).take(deep(512))
	s := splitState(t, a.save())
	one := id(1)
	c := append([]byte{1}, one[:]...)
	c = append(c, 1, 1, 0, 1, 1, 13)
	c = binary.AppendUvarint(c, 100_001)
	c = append(c, 4, 0)
	for range 100_000 {
		c = append(c, 4|2, 1, 0, 0)
	}
	s.canonical = c
	if err := open(t, 2).refuse(s.encode()); !errors.As(err, &limit) || limit.Name != "Depth" {
		t.Errorf("a state: %v", err)
	}
}

// counted returns forms of an update that have a count in place of each byte of its content, with lengths and checksums that are right.
func counted(t *testing.T, name string, u, count []byte) (all [][]byte) {
	put := func(b []byte, seal func(b []byte) []byte) {
		for i := range b {
			all = append(all, seal(append(append(bytes.Clone(b[:i]), count...), b[i+1:]...)))
		}
	}
	switch {
	case u[0] != 0xda:
		c := &cursor{b: u}
		c.head()
		put(u[c.off:], bstrOf)
	case name == "bundle" || strings.HasPrefix(name, "compressed"):
		put(u, reseal)
	default:
		p := splitState(t, u)
		put(p.canonical, func(b []byte) []byte { return stateParts{p.head, b, p.local}.encode() })
		put(p.local, func(b []byte) []byte { return stateParts{p.head, p.canonical, b}.encode() })
	}
	return all
}

// reseal makes checksums right where they are not: damage gets past them.
func reseal(u []byte) []byte {
	u = bytes.Clone(u)
	if len(u) < 12 || u[0] != 0xda {
		return u
	}
	content := u[5:]
	head := 1
	switch content[0] & 31 {
	case 24:
		head = 2
	case 25:
		head = 3
	case 26:
		head = 5
	}
	if len(content) < head+8 {
		return u
	}
	content = content[head:]
	u = append(append([]byte{}, u[:5]...), bstrOf(content)...)
	content = u[len(u)-len(content):]
	if content[0] == 0x12 || content[2]&1 != 0 {
		copy(content[len(content)-4:], crc(content[:len(content)-4]))
		return u
	}
	at := 3
	if content[2]&2 != 0 {
		at += 16
	}
	if at >= len(content) {
		return u
	}
	size, n := binary.Uvarint(content[at:])
	if n <= 0 || size > uint64(len(content)) || at+n+int(size)+4 > len(content)-4 {
		return u
	}
	at += n + int(size)
	copy(content[at:at+4], crc(content[:at]))
	copy(content[len(content)-4:], crc(content[at+4:len(content)-4]))
	return u
}
