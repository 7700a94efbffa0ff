package bitcol

import (
	"encoding/binary"
	"math/bits"
	"slices"
)

// Columns is the greatest number of columns of a Tape.
const Columns = 15

// Tape holds the symbols of several columns in the order of a bit stream, and counts them: codes follow from the counts, so
// they are known when the last symbol has come. The zero value is ready.
type Tape struct {
	words []uint32 // the first n are used: column and symbol, then up to inWord raw bits
	n     int
	freq  [Columns + 1][MaxSymbols]uint32 // the last counts words of raw bits alone
}

const (
	symbolBits = 6
	wordBits   = symbolBits + 4
	inWord     = 32 - wordBits
)

// Slack is the room that a Writer wants beyond what it writes.
const Slack = 16

// MaxPut is the most room that one call of Symbol or Number takes.
const MaxPut = 3

// Reset empties the tape; it keeps its memory.
func (t *Tape) Reset() { *t = Tape{words: t.words} }

// Room makes room for n words.
func (t *Tape) Room(n int) {
	if len(t.words)-t.n < n {
		words := make([]uint32, 2*len(t.words)+max(n, 256))
		copy(words, t.words[:t.n])
		t.words = words
	}
}

// Symbol puts a symbol. There must be room.
func (t *Tape) Symbol(column, symbol int) {
	at := uint32(column<<symbolBits | symbol)
	t.freq[column][symbol]++
	t.words[t.n] = at
	t.n++
}

// Number puts a number below 2^54: the symbol bits.Len64(v), then as raw bits those of v below its highest. There must be
// room for MaxPut words.
func (t *Tape) Number(column int, v uint64) {
	class := bits.Len64(v)
	t.freq[column][class]++
	v &^= 1 << class >> 1
	t.words[t.n] = uint32(column<<symbolBits|class) | uint32(v<<wordBits)
	t.n++
	if class > inWord+1 {
		t.rest(v>>inWord, class-1-inWord)
	}
}

// rest puts the n raw bits v that a word has no place for.
func (t *Tape) rest(v uint64, n int) {
	for ; n > 0; n -= inWord {
		t.words[t.n] = uint32(Columns<<symbolBits|min(n, inWord)) | uint32(v<<wordBits)
		t.n++
		v >>= inWord
	}
}

// Freq returns how often each symbol of a column was put. The caller may change it.
func (t *Tape) Freq(column int) *[MaxSymbols]uint32 { return &t.freq[column] }

// Bits returns the bits that the tape takes with these codes, of which the first are for symbols, the others for numbers.
func (t *Tape) Bits(codes []*Code, symbols int) uint64 {
	sum := uint64(0)
	for c, code := range codes {
		for i, l := range code.lengths {
			n := uint64(l)
			if c >= symbols {
				n += uint64(max(i-1, 0))
			}
			sum += uint64(t.freq[c][i]) * n
		}
	}
	return sum
}

// Tape writes what is on t with these codes, of which the first are for symbols, the others for numbers. A symbol of frequency
// 0 that was put all the same is left out.
func (w *Writer) Tape(t *Tape, codes []*Code, symbols int) {
	var table [(Columns + 1) << symbolBits]uint32 // the code, its length from bit MaxLen on, that with the raw bits from 16 on
	for c, code := range codes {
		for i, l := range code.lengths {
			if t.freq[c][i] == 0 {
				continue
			}
			n := 0
			if c >= symbols {
				n = min(max(i-1, 0), inWord)
			}
			table[c<<symbolBits|i] = uint32(code.codes[i]) | uint32(l)<<MaxLen | (uint32(l)+uint32(n))<<16
		}
	}
	for n := range inWord + 1 {
		table[Columns<<symbolBits|n] = uint32(n) << 16
	}
	w.buf = slices.Grow(w.buf, int(t.Bits(codes, symbols)/8)+Slack)
	buf, at := w.buf[len(w.buf):cap(w.buf)], 0
	v, n := w.bits, w.n
	for words := t.words[:t.n]; len(words) > 0; {
		e := table[words[0]&(1<<wordBits-1)]
		x, m := joined(e, words[0]), e>>16
		if words = words[1:]; len(words) > 0 {
			if e = table[words[0]&(1<<wordBits-1)]; m+e>>16 <= 56 { // two at a time: writing waits for what was written before
				x |= joined(e, words[0]) << (m & 63)
				m += e >> 16
				words = words[1:]
			}
		}
		v |= x << (n & 63)
		n += uint(m)
		binary.LittleEndian.PutUint64(buf[at:], v)
		at += int(n >> 3)
		v >>= n & 56
		n &= 7
	}
	w.buf, w.bits, w.n = w.buf[:len(w.buf)+at], v, n
}

// joined returns the code of an entry of the table, with the raw bits of word behind it.
func joined(entry, word uint32) uint64 {
	return uint64(entry&(1<<MaxLen-1)) | uint64(word>>wordBits)<<(entry>>MaxLen&15)
}
