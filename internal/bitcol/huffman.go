package bitcol

import (
	"cmp"
	"math/bits"
	"slices"
)

// MaxLen is the greatest length of a code, in bits.
const MaxLen = 12

// MaxSymbols is the greatest number of symbols of a code.
const MaxSymbols = 64

// Lengths returns the lengths of a Huffman code for symbols with the given frequencies, at most MaxSymbols of
// them; 0 for symbols of frequency 0. One used symbol alone has length 1.
//
// The result is fixed by the frequencies: in each step the two least weights are joined, a symbol before a joined
// pair of the same weight, otherwise the lower symbol and the older pair first. When a length comes out above
// MaxLen, all frequencies are halved, rounded up, and it begins anew.
func Lengths(freq []uint32) []uint8 {
	lengths := make([]uint8, len(freq))
	var f [MaxSymbols]uint32
	copy(f[:], freq)
	for !tryLengths(lengths, f[:len(freq)]) {
		for i := range f {
			f[i] = f[i]/2 + f[i]&1
		}
	}
	return lengths
}

type weight struct {
	sum  uint64
	node int
}

// tryLengths sets the lengths that Huffman's method gives, and returns false if one is above MaxLen.
func tryLengths(lengths []uint8, freq []uint32) bool {
	var buf [MaxSymbols]weight
	leaves := buf[:0]
	for i, f := range freq {
		if f > 0 {
			leaves = append(leaves, weight{uint64(f), i})
		}
	}
	if len(leaves) == 1 {
		lengths[leaves[0].node] = 1
	}
	if len(leaves) < 2 {
		return true
	}
	slices.SortFunc(leaves, func(a, b weight) int { return cmp.Or(cmp.Compare(a.sum, b.sum), a.node-b.node) })
	var pairs [MaxSymbols - 1][2]int
	return fillLengths(lengths, pairs[:join(pairs[:0], leaves, len(freq))], len(freq))
}

// join makes the pairs that Huffman's method joins, oldest first, and returns their number. A node below symbols is a
// symbol, symbols+i is pair i.
func join(pairs [][2]int, leaves []weight, symbols int) int {
	var buf [MaxSymbols - 1]weight
	made, taken := 0, 0
	take := func() (w weight) {
		if taken == made || len(leaves) > 0 && leaves[0].sum <= buf[taken].sum {
			w, leaves = leaves[0], leaves[1:]
		} else {
			w = buf[taken]
			taken++
		}
		return w
	}
	for len(leaves)+made-taken > 1 {
		a := take()
		b := take()
		buf[made] = weight{a.sum + b.sum, symbols + made}
		made++
		pairs = append(pairs, [2]int{a.node, b.node})
	}
	return made
}

// fillLengths sets the length of each symbol to its depth, and returns false if one is above MaxLen.
func fillLengths(lengths []uint8, pairs [][2]int, symbols int) bool {
	var depth [MaxSymbols]uint8
	for i, p := range slices.Backward(pairs) {
		d := depth[i] + 1
		if d > MaxLen {
			return false
		}
		for _, node := range p {
			if node < symbols {
				lengths[node] = d
			} else {
				depth[node-symbols] = d
			}
		}
	}
	return true
}

// Code is a canonical Huffman code: shorter codes first, those of one length in the order of their symbols.
type Code struct {
	lengths []uint8
	codes   []uint16           // as written: the first bit is the least significant
	table   *[1 << short]Entry // by the next bits; 0 where no code begins that is so short
}

// short is the greatest length of a code that a look at a table finds. The tables of ten columns then stay in the
// nearest cache.
const short = 10

// NewCode returns the code with these lengths, and false if they are none: one above MaxLen, or together more
// than the bits allow, or fewer (but a single code of length 1).
func NewCode(lengths []uint8) (*Code, bool) {
	var count [MaxLen + 2]int
	used := 0
	for _, l := range lengths {
		if l > MaxLen {
			return nil, false
		}
		if l > 0 {
			count[l]++
			used++
		}
	}
	var next [MaxLen + 2]int
	code := 0
	for l := 1; l <= MaxLen; l++ {
		code = (code + count[l-1]) << 1
		next[l] = code
		if code+count[l] > 1<<l {
			return nil, false
		}
	}
	full := next[MaxLen]+count[MaxLen] == 1<<MaxLen
	if !full && !(used == 1 && count[1] == 1) {
		return nil, false
	}
	c := &Code{lengths: lengths, codes: make([]uint16, len(lengths))}
	for i, l := range lengths {
		if l > 0 {
			c.codes[i] = bits.Reverse16(uint16(next[l])) >> (16 - l)
			next[l]++
		}
	}
	return c, true
}

// Lengths returns the lengths of the code, which must not be changed.
func (c *Code) Lengths() []uint8 { return c.lengths }

// Cost returns the bits that symbols of these frequencies take, and false if one of them has no code.
func (c *Code) Cost(freq []uint32) (uint64, bool) {
	var sum uint64
	for i, f := range freq {
		if f > 0 && (i >= len(c.lengths) || c.lengths[i] == 0) {
			return 0, false
		}
		if f > 0 {
			sum += uint64(f) * uint64(c.lengths[i])
		}
	}
	return sum, true
}

// Put writes symbol, which must have a code.
func (c *Code) Put(w *Writer, symbol int) {
	w.Write(uint64(c.codes[symbol]), uint(c.lengths[symbol]))
}

// Prepare makes the table that Get needs, and Look.
func (c *Code) Prepare() { c.prepare(func(int) int { return 0 }) }

// PrepareNumbers is Prepare for a code of Tape.Number, and Bits.Number.
func (c *Code) PrepareNumbers() { c.prepare(func(symbol int) int { return max(symbol-1, 0) }) }

func (c *Code) prepare(raw func(symbol int) int) {
	c.table = new([1 << short]Entry)
	for i, l := range c.lengths {
		if l == 0 || l > short {
			continue
		}
		size := int(l) + raw(i)
		if raw(i) > ShortNumber-MaxLen {
			size = entryLong
		}
		e := Entry(i)<<9 | Entry(size)<<4 | Entry(l)
		for at := int(c.codes[i]); at < len(c.table); at += 1 << l {
			c.table[at] = e
		}
	}
}

// ShortNumber is the most bits of a number that is not long. A symbol and two of them are at hand after a Fill.
const ShortNumber = (56 - MaxLen) / 2

// Entry is what a look at the first bits finds: the length of a code (4 bits), that of a number with its raw bits (5 bits,
// entryLong if they are many), and the symbol. 0 is for what Long finds.
type Entry uint16

const entryLong = 31

// Symbol returns the symbol.
func (e Entry) Symbol() int { return int(e >> 9) }

// IsShort says whether the entry is of a number that Bits.Number takes.
func (e Entry) IsShort() bool { return e>>4&31-1 < entryLong-1 }

// Number returns a number whose entry is short, and what follows it.
func (b Bits) Number(e Entry) (uint64, Bits) {
	l, size := e&15, e>>4&31
	return 1<<(e>>9)>>1 | b.v&(1<<size-1)>>l, Bits{b.v >> size, b.n - uint(size)}
}

// Look returns the first symbol of b, which Skip then takes. At least MaxLen bits must be there since the last Fill. 0
// is for what Long finds.
func (c *Code) Look(b Bits) Entry { return c.table[b.v&(1<<short-1)] }

// Long is Look for the codes that are too long for the table; 0 for bits that begin no code.
func (c *Code) Long(b Bits) Entry {
	for i, l := range c.lengths {
		if l > short && b.v&(1<<l-1) == uint64(c.codes[i]) {
			return Entry(i)<<9 | entryLong<<4 | Entry(l)
		}
	}
	return 0
}

// Skip returns what follows the symbol that Look or Long found.
func (b Bits) Skip(e Entry) Bits { return Bits{b.v >> (e & 15), b.n - uint(e&15)} }

// Get returns the first symbol of b, and the rest. At least MaxLen bits must be there since the last Fill. It returns
// false for bits that begin no code.
func (c *Code) Get(b Bits) (symbol int, rest Bits, ok bool) {
	e := c.Look(b)
	if e == 0 {
		e = c.Long(b)
	}
	return e.Symbol(), b.Skip(e), e != 0
}
