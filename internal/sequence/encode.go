package sequence

import (
	"encoding/binary"
	"math/bits"

	"github.com/seed1312cc15/weft/internal/bitcol"
)

// AppendState appends the canonical state: sequences with equal elements, visibility and content give equal bytes
// whatever the order of arrival. rep maps a replica index to its number in the state's table; it is called once
// for each replica, in the order of first use in the list. Cost: O(spans).
func (s *Sequence) AppendState(dst []byte, rep func(uint32) int) []byte {
	content := uint64(0)
	if s.withText {
		content = 1
	}
	if s.count == 0 {
		return binary.AppendUvarint(dst, content)
	}
	begin := len(dst)
	t := s.tokenize()
	dst = binary.AppendUvarint(dst, uint64(len(t.tokens))<<1|content)
	dst = binary.AppendUvarint(dst, uint64(len(t.reps.reps)))
	for _, r := range t.reps.reps {
		dst = binary.AppendUvarint(dst, uint64(rep(r)))
	}
	dst = t.appendBits(dst)
	if s.withText {
		dst, _ = s.AppendText(dst, 0, s.Len(CodePoints))
	}
	if short := len(t.tokens) - (len(dst) - begin); short > 0 {
		dst = append(dst, make([]byte, short)...)
	}
	return dst
}

// frequencies counts the symbols of each column.
type frequencies [columns][bitcol.MaxSymbols]uint32

func (t *tokenizer) appendBits(dst []byte) []byte {
	var freq frequencies
	t.eachSymbol(func(column, symbol int, _ uint64, _ uint) { freq[column][symbol]++ })
	var codes [columns]*bitcol.Code
	w := bitcol.NewWriter(dst)
	for c := range columns {
		code, own := codeFor(c, freq[c][:alphabet[c]])
		codes[c] = code
		if !own {
			w.Write(0, 1)
			continue
		}
		last := lastUsed(code.Lengths())
		w.Write(1, 1)
		w.Write(uint64(last), 6)
		for _, l := range code.Lengths()[:last+1] {
			w.Write(uint64(l), 4)
		}
	}
	t.eachSymbol(func(column, symbol int, raw uint64, n uint) {
		codes[column].Put(&w, symbol)
		if n > 0 {
			w.Write(raw, n)
		}
	})
	return w.Close()
}

// eachSymbol calls f for each symbol of the bit stream in order, with the raw bits that follow it.
func (t *tokenizer) eachSymbol(f func(column, symbol int, raw uint64, n uint)) {
	number := func(column int, v uint64) {
		class := bits.Len64(v)
		if class < 2 {
			f(column, class, 0, 0)
			return
		}
		n := uint(class - 1)
		f(column, class, v&(1<<n-1), n)
	}
	context := 0
	for i := range t.tokens {
		tk := &t.tokens[i]
		f(colSymbol+context, tk.shape.symbol(tk.hidden), 0, 0)
		if tk.shape >= shapeCNext {
			number(colClimb, uint64(tk.climb))
			number(colBack, uint64(tk.back))
		}
		if !tk.shape.isNext() {
			if len(t.reps.reps) > 1 && i > 0 {
				v := uint64(0)
				if !tk.same {
					v = uint64(tk.rep) + 1
				}
				number(colReplica, v)
			}
			if tk.other {
				number(colSeqOther, tk.seq)
			} else {
				number(colSeqSame, tk.seq)
			}
		}
		number(colLength, uint64(tk.n-1))
		context = contextAfter(tk.shape, tk.hidden)
	}
}

func contextAfter(f shape, hidden bool) int {
	c := 0
	if hidden {
		c = 1
	}
	if f.isLeft() {
		c += 2
	}
	return c
}
