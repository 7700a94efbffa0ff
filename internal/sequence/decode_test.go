package sequence_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/seed1312cc15/weft/internal/plain"
	"github.com/seed1312cc15/weft/internal/sequence"
)

// TestFlippedBits flips each bit of some states: it is refused, or is another state in its only form. R5.
func TestFlippedBits(t *testing.T) {
	accepted := 0
	for seed := range uint64(12) {
		data := save(replay(t, plain.GenerateConcurrent(seed, 3, 10+int(seed)*6), func(*replica) {}).s)
		for i := range len(data) * 8 {
			bad := bytes.Clone(data)
			bad[i/8] ^= 1 << (i % 8)
			st, err := sequence.Decode(bad, known, fuzzLimits)
			if err != nil {
				var d *sequence.DecodeError
				if !errors.As(err, &d) {
					t.Fatalf("%#v", err)
				}
				continue
			}
			accepted++
			s := sequence.New(plainOrder{}, bad[0]&1 != 0)
			if err := s.Load(st); err != nil {
				t.Fatal(err)
			}
			if err := s.Check(); err != nil {
				t.Fatal(err)
			}
			if got := save(s); !bytes.Equal(got, bad) {
				t.Fatalf("read %x, written %x", bad, got)
			}
		}
		for cut := range data {
			if _, err := sequence.Decode(data[:cut], known, fuzzLimits); err == nil && cut > 0 {
				t.Fatalf("accepted %d of %d bytes", cut, len(data))
			}
		}
	}
	t.Logf("%d accepted", accepted)
}

// TestGolden pins the form: bytes that every later version reads and writes.
func TestGolden(t *testing.T) {
	order := reversed{3}
	text := func(build func(a, b *replica)) func() *sequence.Sequence {
		return func() *sequence.Sequence {
			a, b := newReplica(t, order, 0), newReplica(t, order, 1)
			build(a, b)
			return a.s
		}
	}
	for name, c := range map[string]struct {
		want  string
		build func() *sequence.Sequence
	}{
		"empty text":  {"01", func() *sequence.Sequence { return sequence.New(order, true) }},
		"empty list":  {"00", func() *sequence.Sequence { return sequence.New(order, false) }},
		"hello":       {goldenHello, text(func(a, _ *replica) { a.insert(0, "hello") })},
		"a tombstone": {goldenTombstone, text(func(a, _ *replica) { a.insert(0, "hello"); a.remove(1, 2) })},
		"two replicas": {goldenTwo, text(func(a, b *replica) {
			b.apply(a.insert(0, "aé🚀"))
			x, y := a.insert(1, "x"), b.insert(1, "yz")
			b.apply(x)
			a.apply(y)
			a.apply(b.insert(0, "q"))
		})},
	} {
		if got := hex.EncodeToString(save(c.build())); got != c.want {
			t.Errorf("%s: %s, not %s", name, got, c.want)
		}
	}
}

const (
	goldenHello     = "03010000240068656c6c6f"
	goldenTombstone = "0701000084a308686c6f"
	goldenTwo       = "0b0201000018f013b891fe06147161797a78c3a9f09f9a80"
)

// TestDecodeRefuses tests faults that flipped bits seldom make.
func TestDecodeRefuses(t *testing.T) {
	s := sequence.New(plainOrder{}, true)
	if _, _, err := s.Insert(0, sequence.ID{}, 5, "hello"); err != nil {
		t.Fatal(err)
	}
	data := save(s)
	for name, c := range map[string]struct {
		data  []byte
		rep   func(int) (uint32, bool)
		lim   sequence.Limits
		field string
	}{
		"nothing":          {nil, known, sequence.Limits{}, "number of spans"},
		"long uvarint":     {append([]byte{data[0] | 0x80, 0}, data[1:]...), known, sequence.Limits{}, "number of spans"},
		"unknown replica":  {data, func(int) (uint32, bool) { return 0, false }, sequence.Limits{}, "replica"},
		"too many":         {data, known, sequence.Limits{MaxElements: 4}, "number of elements"},
		"text too long":    {append(bytes.Clone(data), '!'), known, sequence.Limits{}, "text"},
		"text not UTF-8":   {append(bytes.Clone(data[:len(data)-1]), 0xFF), known, sequence.Limits{}, "text"},
		"many spans":       {[]byte{0xFF, 0xFF, 0xFF, 0xFF, 0x0F, 1, 0, 0}, known, sequence.Limits{}, "number of spans"},
		"many replicas":    {[]byte{0x03, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F, 0, 0}, known, sequence.Limits{}, "number of replicas"},
		"unused replica":   {append([]byte{data[0], 2, 0, 1}, data[3:]...), known, sequence.Limits{}, "replica"},
		"bytes after none": {[]byte{1, 0}, known, sequence.Limits{}, "end"},
	} {
		_, err := sequence.Decode(c.data, c.rep, c.lim)
		var d *sequence.DecodeError
		if !errors.As(err, &d) || !strings.Contains(d.Field, c.field) {
			t.Errorf("%s: %v, not of %q", name, err, c.field)
		}
	}
}

// TestOrderOfSiblings tests that a state with siblings the wrong way round is refused.
func TestOrderOfSiblings(t *testing.T) {
	order := reversed{3}
	a, b := newReplica(t, order, 0), newReplica(t, order, 1)
	x := a.insert(0, "x")
	a.apply(b.insert(0, "y"))
	b.apply(x)
	data := save(a.s)
	reload(t, order, data, true)
	for _, wrong := range []sequence.Order{plainOrder{}, nil} {
		if _, err := sequence.Decode(data, known, sequence.Limits{Order: wrong}); !errors.Is(err, sequence.ErrCorrupt) {
			t.Errorf("%v", err)
		}
	}
}

// dense returns sequences whose canonical spans take a byte or less: as dense as a state can be.
func dense(t *testing.T, n int) map[string]*sequence.Sequence {
	t.Helper()
	all := map[string]*sequence.Sequence{}
	build := func(name string, f func(put func(at int, seq uint64), hide func(seq uint64))) {
		s := sequence.New(plainOrder{}, false)
		f(func(at int, seq uint64) {
			if _, _, err := s.Insert(at, sequence.ID{Seq: seq}, 1, ""); err != nil {
				t.Fatal(err)
			}
		}, func(seq uint64) {
			if _, err := s.Hide(sequence.ID{Seq: seq}, 1, nil); err != nil {
				t.Fatal(err)
			}
		})
		all[name] = s
	}
	for name, step := range map[string]uint64{"one in two deleted": 1, "dots between, one in two deleted": 2} {
		build(name, func(put func(int, uint64), hide func(uint64)) {
			for i := range n {
				put(i, uint64(i)*step)
			}
			for i := 0; i < n; i += 2 {
				hide(uint64(i) * step)
			}
		})
	}
	for name, step := range map[string]uint64{"parents that wait": 1, "parents that wait, dots far apart": 15, "dots to be sorted": 17} {
		build(name, func(put func(int, uint64), _ func(uint64)) {
			for i := range n / 2 {
				put(i, uint64(2*i)*step)
				put(i+1, uint64(2*i+1)*step)
			}
		})
	}
	build("backwards", func(put func(int, uint64), _ func(uint64)) {
		for i := range n {
			put(0, uint64(i))
		}
	})
	return all
}

// TestFill tests that a state has a byte for each span, in its only form.
func TestFill(t *testing.T) {
	for name, s := range dense(t, 3000) {
		data := save(s)
		if spans := int(data[0]>>1&63) | int(data[1])<<6; spans < 2999 || len(data) != spans {
			t.Errorf("%s: %d bytes for %d spans", name, len(data), spans)
		}
		reload(t, plainOrder{}, data, false)
		other := bytes.Clone(data)
		other[len(other)-1] = 1
		for _, bad := range [][]byte{data[:len(data)-1], append(bytes.Clone(data), 0), other} {
			if _, err := sequence.Decode(bad, known, sequence.Limits{}); !errors.Is(err, sequence.ErrCorrupt) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	text := sequence.New(plainOrder{}, true)
	if _, _, err := text.Insert(0, sequence.ID{}, 3000, strings.Repeat("a\x00é", 1000)); err != nil {
		t.Fatal(err)
	}
	for i := 0; i < 3000; i += 2 {
		if _, err := text.Hide(sequence.ID{Seq: uint64(i)}, 1, nil); err != nil {
			t.Fatal(err)
		}
	}
	if data := save(text); len(data) != 3000 || data[len(data)-1] != 0 {
		t.Errorf("%d bytes for 3000 spans", len(data))
	}
	reload(t, plainOrder{}, save(text), true)
}

// TestDecodeMemory tests that a decoder of hostile bytes takes memory in proportion to them, and a load next to none
// beyond that.
func TestDecodeMemory(t *testing.T) {
	allocated := func(f func()) int {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		return int(after.TotalAlloc - before.TotalAlloc)
	}
	for name, s := range dense(t, 40_000) {
		data := save(s)
		got := allocated(func() {
			st, err := sequence.Decode(data, known, sequence.Limits{Order: plainOrder{}})
			if err == nil {
				err = sequence.New(plainOrder{}, false).Load(st)
			}
			if err != nil {
				t.Fatal(err)
			}
		})
		t.Logf("%s: %.1f times", name, float64(got)/float64(len(data)))
		if got > len(data)*64+1<<16 {
			t.Errorf("%s: %d bytes for %d", name, got, len(data))
		}
	}
	rnd := rand.New(rand.NewPCG(1, 1))
	for range 100 {
		data := make([]byte, 1<<16)
		for i := range data {
			data[i] = byte(rnd.Uint32())
		}
		copy(data, []byte{0xFF, 0xFF, 0x07, 1, 0}) // 65,535 spans
		if rnd.IntN(2) == 0 {
			copy(data, []byte{0xFF, 0xFF, 0x07, 1, 0, 0}) // or runs, of one group
			for i := 6; i < len(data); i++ {
				data[i] = byte(i%2) * 4 // visible and hidden in turn
			}
		}
		if rnd.IntN(2) == 0 {
			data[5], data[6] = data[5]&^3, data[6]&^3
		}
		for name, decode := range map[string]func([]byte, func(int) (uint32, bool), sequence.Limits) (*sequence.State, error){
			"state": sequence.Decode,
			"delta": func(data []byte, rep func(int) (uint32, bool), lim sequence.Limits) (*sequence.State, error) {
				return sequence.DecodeDelta(data, rep, from(1), lim)
			},
		} {
			if got := allocated(func() { _, _ = decode(data, known, sequence.Limits{}) }); got > len(data)*64+1<<16 {
				t.Fatalf("%s: %d bytes for %d", name, got, len(data))
			}
		}
	}
}

// TestSpreadDots tests states whose clock is large beside their elements.
func TestSpreadDots(t *testing.T) {
	s := sequence.New(plainOrder{}, true)
	for i := range uint64(300) {
		if _, _, err := s.Insert(int(i)/2, sequence.ID{Rep: uint32(i % 3), Seq: i << 40}, 1, "x"); err != nil {
			t.Fatal(err)
		}
	}
	reload(t, plainOrder{}, save(s), true)
}
