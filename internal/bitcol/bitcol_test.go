package bitcol_test

import (
	"bytes"
	"math/bits"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/seed1312cc15/weft/internal/bitcol"
)

func TestBitsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type item struct {
			v uint64
			n uint
		}
		var items []item
		w := bitcol.NewWriter([]byte("before"))
		total := uint(0)
		for range rapid.IntRange(0, 40).Draw(t, "items") {
			n := rapid.UintRange(0, 56).Draw(t, "n")
			v := rapid.Uint64().Draw(t, "v") & (1<<n - 1)
			w.Write(v, n)
			items = append(items, item{v, n})
			total += n
		}
		out := w.Close()
		if string(out[:6]) != "before" || len(out) != 6+int(total+7)/8 {
			t.Fatalf("%d bits in %d bytes", total, len(out)-6)
		}
		r := bitcol.NewReader(append(out[6:], "after"...))
		var b bitcol.Bits
		for _, it := range items {
			var got uint64
			if got, b = r.Read(b, it.n); got != it.v {
				t.Fatalf("%d bits: %x, not %x", it.n, got, it.v)
			}
		}
		if rest, ok := r.Rest(b); !ok || string(rest) != "after" {
			t.Fatalf("rest %q, %v", rest, ok)
		}
	})
}

func TestReaderBeyondTheEnd(t *testing.T) {
	r := bitcol.NewReader([]byte{0xFF, 0x01})
	got, b := r.Read(bitcol.Bits{}, 9)
	if got != 0x1FF || r.Over(b) || r.Offset(b) != 2 {
		t.Errorf("%x, over %v, offset %d", got, r.Over(b), r.Offset(b))
	}
	if rest, ok := r.Rest(b); !ok || len(rest) != 0 {
		t.Errorf("rest %v, %v", rest, ok)
	}
	if got, b = r.Read(b, 8); got != 0 || !r.Over(b) || r.Offset(b) != 2 {
		t.Errorf("%x, over %v, offset %d", got, r.Over(b), r.Offset(b))
	}
	r = bitcol.NewReader([]byte{0xFF})
	_, b = r.Read(bitcol.Bits{}, 7)
	if _, ok := r.Rest(b); ok {
		t.Error("padding that is not zero")
	}
}

// TestCodes tests that lengths make a complete code within bounds, that the code decodes what it codes, and that it
// is no worse than a fixed length.
func TestCodes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		freq := rapid.SliceOfN(rapid.OneOf(rapid.Just(uint32(0)), rapid.Uint32Range(1, 9), rapid.Uint32()), 1, bitcol.MaxSymbols).Draw(t, "freq")
		if slices.Max(freq) == 0 {
			freq[0] = 1
		}
		lengths := bitcol.Lengths(freq)
		c, ok := bitcol.NewCode(lengths)
		if !ok || len(lengths) != len(freq) {
			t.Fatalf("%v is no code", lengths)
		}
		c.Prepare()
		var used []int
		total := uint64(0)
		for i, f := range freq {
			if (f > 0) != (lengths[i] > 0) {
				t.Fatalf("symbol %d of frequency %d has length %d", i, f, lengths[i])
			}
			if f > 0 {
				used = append(used, i)
				total += uint64(f)
			}
		}
		cost, ok := c.Cost(freq)
		if fixed := total * uint64(max(1, bits.Len(uint(len(used)-1)))); !ok || cost > fixed+fixed/4 {
			t.Fatalf("cost %d, a fixed length costs %d", cost, fixed)
		}
		message := rapid.SliceOf(rapid.SampledFrom(used)).Draw(t, "message")
		var w bitcol.Writer
		for _, s := range message {
			c.Put(&w, s)
		}
		r := bitcol.NewReader(w.Close())
		var b bitcol.Bits
		for _, s := range message {
			got, rest, ok := c.Get(r.Fill(b))
			if !ok || got != s {
				t.Fatalf("%d (%v), not %d", got, ok, s)
			}
			b = rest
		}
		if r.Over(b) {
			t.Fatal("read beyond the end")
		}
	})
}

// TestLengthsAreFixed pins the rule for equal weights and for the bound: the lengths are part of formats.
func TestLengthsAreFixed(t *testing.T) {
	fibonacci := []uint32{1, 1}
	for range 20 {
		k := len(fibonacci)
		fibonacci = append(fibonacci, fibonacci[k-1]+fibonacci[k-2])
	}
	for _, c := range []struct {
		freq []uint32
		want []uint8
	}{
		{[]uint32{0, 5, 0}, []uint8{0, 1, 0}},
		{[]uint32{1, 1, 1}, []uint8{2, 2, 1}},
		{[]uint32{1, 1, 2, 2}, []uint8{2, 2, 2, 2}},
		{[]uint32{1, 1, 2, 4, 8}, []uint8{4, 4, 3, 2, 1}},
		{fibonacci, nil},
	} {
		if got := bitcol.Lengths(c.freq); c.want != nil && !slices.Equal(got, c.want) {
			t.Errorf("%v: %v, not %v", c.freq, got, c.want)
		} else if slices.Max(got) > bitcol.MaxLen {
			t.Errorf("%v: %v", c.freq, got)
		}
	}
}

func TestNewCodeRefuses(t *testing.T) {
	for _, lengths := range [][]uint8{{}, {0, 0}, {2}, {1, 1, 1}, {1, 2}, {13, 1}, {3, 3, 3}} {
		if _, ok := bitcol.NewCode(lengths); ok {
			t.Errorf("%v is taken for a code", lengths)
		}
	}
}

// TestTape tests that a tape writes what putting its symbols one by one writes, whatever fits into its words.
func TestTape(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type item struct {
			column int
			v      uint64
		}
		const symbols, columns = 2, 5
		items := rapid.SliceOf(rapid.Custom(func(t *rapid.T) item {
			c := rapid.IntRange(0, columns-1).Draw(t, "column")
			if c < symbols {
				return item{c, rapid.Uint64Range(0, bitcol.MaxSymbols-1).Draw(t, "symbol")}
			}
			return item{c, rapid.Uint64Range(0, 1<<54-1).Draw(t, "v") >> rapid.IntRange(0, 54).Draw(t, "shift")}
		})).Draw(t, "items")
		var tape bitcol.Tape
		for range 2 {
			tape.Reset()
			for _, it := range items {
				tape.Room(bitcol.MaxPut)
				if it.column < symbols {
					tape.Symbol(it.column, int(it.v))
				} else {
					tape.Number(it.column, it.v)
				}
			}
		}
		codes := make([]*bitcol.Code, columns)
		for c := range codes {
			codes[c], _ = bitcol.NewCode(bitcol.Lengths(tape.Freq(c)[:]))
			if codes[c] == nil { // nothing was put
				codes[c], _ = bitcol.NewCode([]uint8{1})
			}
		}
		want, got := bitcol.NewWriter([]byte("before")), bitcol.NewWriter([]byte("before"))
		want.Write(5, 3)
		got.Write(5, 3)
		size := uint64(0)
		for _, it := range items {
			class := bits.Len64(it.v)
			if it.column < symbols {
				codes[it.column].Put(&want, int(it.v))
				size += uint64(codes[it.column].Lengths()[it.v])
				continue
			}
			codes[it.column].Put(&want, class)
			n := uint(max(class-1, 0))
			want.Write(it.v&(1<<n-1), n)
			size += uint64(codes[it.column].Lengths()[class]) + uint64(n)
		}
		if tape.Bits(codes, symbols) != size {
			t.Fatalf("%d bits, not %d", tape.Bits(codes, symbols), size)
		}
		got.Tape(&tape, codes, symbols)
		got.Write(3, 2)
		want.Write(3, 2)
		if !bytes.Equal(got.Close(), want.Close()) {
			t.Fatal("the bits differ")
		}
	})
}
