package bitcol_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/seed1312cc15/weft/internal/bitcol"
)

// plainBits reads bit by bit what a Reader reads by words: zeros beyond the end.
type plainBits struct {
	data []byte
	at   int // bits taken
}

func (p *plainBits) bit() (b uint64) {
	if p.at>>3 < len(p.data) {
		b = uint64(p.data[p.at>>3] >> (p.at & 7) & 1)
	}
	p.at++
	return b
}

func (p *plainBits) read(n uint) (v uint64) {
	for i := range n {
		v |= p.bit() << i
	}
	return v
}

// rest is what Reader.Rest returns.
func (p *plainBits) rest() ([]byte, bool) {
	if p.at > 8*len(p.data) {
		return nil, false
	}
	for p.at&7 != 0 {
		if p.bit() != 0 {
			return nil, false
		}
	}
	return p.data[p.at>>3:], true
}

func compareReader(t *testing.T, r *bitcol.Reader, b bitcol.Bits, p *plainBits) {
	t.Helper()
	over, offset := p.at > 8*len(p.data), min((p.at+7)>>3, len(p.data))
	if r.Over(b) != over || r.Offset(b) != offset {
		t.Fatalf("over %v, offset %d, not %v, %d", r.Over(b), r.Offset(b), over, offset)
	}
	got, ok := r.Rest(b)
	if want, valid := (&plainBits{p.data, p.at}).rest(); ok != valid || ok && !bytes.Equal(got, want) {
		t.Fatalf("rest %x, %v, not %x, %v", got, ok, want, valid)
	}
}

// FuzzBits reads any bytes in pieces of any lengths.
func FuzzBits(f *testing.F) {
	f.Add([]byte{3, 9, 56}, []byte("0123456789"))
	f.Add([]byte{0, 7, 1, 8}, []byte{0xff, 1})
	f.Add([]byte{56, 56, 56}, []byte{})
	f.Fuzz(func(t *testing.T, lengths, data []byte) {
		r, p := bitcol.NewReader(data), &plainBits{data: data}
		var b bitcol.Bits
		compareReader(t, &r, b, p)
		for _, n := range lengths {
			n := uint(n) % 57
			var got uint64
			got, b = r.Read(b, n)
			if want := p.read(n); got != want {
				t.Fatalf("%d bits: %x, not %x", n, got, want)
			}
			compareReader(t, &r, b, p)
		}
	})
}

// plainCode decodes by the definition: the bits so far, most significant first, name the symbols of their length in order.
type plainCode []uint8

func (lengths plainCode) valid() bool {
	room, used := 1<<bitcol.MaxLen, 0
	for _, l := range lengths {
		if l > bitcol.MaxLen {
			return false
		}
		if l > 0 {
			room -= 1 << (bitcol.MaxLen - l)
			used++
		}
	}
	return room == 0 || used == 1 && slices.Max(lengths) == 1
}

func (lengths plainCode) get(p *plainBits) (symbol int, ok bool) {
	bits, first := 0, 0
	for l := uint8(1); l <= bitcol.MaxLen; l++ {
		bits, first = bits<<1|int(p.bit()), first<<1
		for s, have := range lengths {
			if have == l {
				if bits == first {
					return s, true
				}
				first++
			}
		}
	}
	return 0, false
}

// FuzzCode takes any bytes for the lengths of a code, and reads symbols and numbers by it from any others.
func FuzzCode(f *testing.F) {
	f.Add([]byte{1}, []byte{0, 0})
	f.Add([]byte{1, 1}, []byte{0xa5})
	f.Add([]byte{2, 2, 2, 3, 3}, []byte("some bits"))
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 12}, []byte{0xff, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xfe})
	f.Add(bytes.Repeat([]byte{6}, bitcol.MaxSymbols), []byte("sixty-four symbols of six bits"))
	f.Fuzz(func(t *testing.T, lengths, data []byte) {
		lengths = lengths[:min(len(lengths), bitcol.MaxSymbols)]
		c, ok := bitcol.NewCode(lengths)
		if ok != plainCode(lengths).valid() {
			t.Fatalf("%v is a code: %v", lengths, ok)
		}
		if !ok {
			return
		}
		readSymbols(t, c, data)
		if len(lengths) <= 55 { // classes of numbers below 2^54
			readNumbers(t, c, data)
		}
	})
}

func readSymbols(t *testing.T, c *bitcol.Code, data []byte) {
	t.Helper()
	c.Prepare()
	r, p := bitcol.NewReader(data), &plainBits{data: data}
	var b bitcol.Bits
	var w bitcol.Writer
	for p.at <= 8*len(data) {
		got, rest, ok := c.Get(r.Fill(b))
		want, valid := plainCode(c.Lengths()).get(p)
		if ok != valid || ok && got != want {
			t.Fatalf("symbol %d, %v, not %d, %v", got, ok, want, valid)
		}
		if !ok {
			return
		}
		b = rest
		compareReader(t, &r, b, p)
		if p.at <= 8*len(data) {
			c.Put(&w, got)
		}
	}
	if back := w.Close(); len(back) > 0 && !bytes.Equal(back[:len(back)-1], data[:len(back)-1]) {
		t.Fatalf("read from %x, written %x", data, back)
	}
}

func readNumbers(t *testing.T, c *bitcol.Code, data []byte) {
	t.Helper()
	c.PrepareNumbers()
	r, p := bitcol.NewReader(data), &plainBits{data: data}
	var b bitcol.Bits
	for p.at <= 8*len(data) {
		b = r.Fill(b)
		e := c.Look(b)
		if e == 0 {
			e = c.Long(b)
		}
		class, valid := plainCode(c.Lengths()).get(p)
		if (e != 0) != valid || e != 0 && e.Symbol() != class {
			t.Fatalf("class %d, %v, not %d, %v", e.Symbol(), e != 0, class, valid)
		}
		if e == 0 {
			return
		}
		var got uint64
		if e.IsShort() {
			got, b = b.Number(e)
		} else {
			b = b.Skip(e)
			got, b = r.Read(b, uint(max(class-1, 0)))
			got |= 1 << class >> 1
		}
		if want := 1<<class>>1 | p.read(uint(max(class-1, 0))); got != want {
			t.Fatalf("number %d of class %d, not %d", got, class, want)
		}
		compareReader(t, &r, b, p)
	}
}
