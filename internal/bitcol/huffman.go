package bitcol

import (
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
	f := slices.Clone(freq)
	for {
		if l, ok := tryLengths(f); ok {
			return l
		}
		for i := range f {
			f[i] = f[i]/2 + f[i]&1
		}
	}
}

type weight struct {
	sum  uint64
	node int
}

func tryLengths(freq []uint32) ([]uint8, bool) {
	var leaves []weight
	for i, f := range freq {
		if f > 0 {
			leaves = append(leaves, weight{uint64(f), i})
		}
	}
	lengths := make([]uint8, len(freq))
	if len(leaves) == 1 {
		lengths[leaves[0].node] = 1
	}
	if len(leaves) < 2 {
		return lengths, true
	}
	slices.SortStableFunc(leaves, func(a, b weight) int {
		if a.sum < b.sum {
			return -1
		}
		return int(min(a.sum-b.sum, 1))
	})
	return lengths, fillLengths(lengths, join(leaves, len(freq)), len(freq))
}

// join returns the pairs that Huffman's method joins, oldest first. A node below symbols is a symbol, symbols+i
// is pair i.
func join(leaves []weight, symbols int) [][2]int {
	var pairs [][2]int
	var sums []weight
	take := func() weight {
		var w weight
		if len(sums) == 0 || len(leaves) > 0 && leaves[0].sum <= sums[0].sum {
			w, leaves = leaves[0], leaves[1:]
		} else {
			w, sums = sums[0], sums[1:]
		}
		return w
	}
	for len(leaves)+len(sums) > 1 {
		a := take()
		b := take()
		sums = append(sums, weight{a.sum + b.sum, symbols + len(pairs)})
		pairs = append(pairs, [2]int{a.node, b.node})
	}
	return pairs
}

// fillLengths sets the length of each symbol to its depth, and returns false if one is above MaxLen.
func fillLengths(lengths []uint8, pairs [][2]int, symbols int) bool {
	depth := make([]uint8, len(pairs))
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
	codes   []uint16 // as written: the first bit is the least significant
	table   []uint16 // by the next width bits: symbol<<4 | length; 0 where no code begins so
	width   uint8
}

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
			c.width = max(c.width, l)
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

// Prepare makes the table that Get needs.
func (c *Code) Prepare() {
	c.table = make([]uint16, 1<<c.width)
	for i, l := range c.lengths {
		if l == 0 {
			continue
		}
		for at := int(c.codes[i]); at < len(c.table); at += 1 << l {
			c.table[at] = uint16(i)<<4 | uint16(l)
		}
	}
}

// Get reads a symbol. At least MaxLen bits must be there since the last Fill. It returns false for bits that
// begin no code.
func (c *Code) Get(r *Reader) (symbol int, ok bool) {
	e := c.table[r.bits&uint64(len(c.table)-1)]
	r.bits >>= e & 15
	r.n -= uint(e & 15)
	return int(e >> 4), e != 0
}
