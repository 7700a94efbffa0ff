package sequence

import (
	"encoding/binary"
	"errors"
	"math/bits"
	"slices"
	"unicode/utf8"
)

// finish tests what is known only after the last span: the codes, the text, that no dot occurs twice.
func (d *decoder) finish() {
	for c := range columns {
		code, own := codeFor(c, d.freq[c][:alphabet[c]])
		if own != d.own[c] || own && !slices.Equal(code.Lengths(), d.codes[c].Lengths()) {
			d.failBits("code", errCanonical)
			return
		}
	}
	if d.seen != len(d.reps) {
		d.failBits("replica", errors.New("not used"))
		return
	}
	end := d.base + d.r.Offset(d.bits)
	text, ok := d.r.Rest(d.bits)
	d.pos = end
	if !ok {
		d.fail("padding", errCanonical)
		return
	}
	d.pos = len(d.data) - len(text)
	if d.readText(text); d.err != nil {
		return
	}
	if !d.nameDots() {
		d.pos = d.base
		d.fail("dots", errors.New("one occurs twice"))
	}
}

// readText tests the content, and what fills the state up behind it, and finds each span's place in it.
func (d *decoder) readText(text []byte) {
	st := d.st
	visible := int(st.visible)
	if !st.content {
		visible = 0
	}
	if len(text) < visible {
		d.fail("text", errShort)
		return
	}
	ascii := isASCII(text[:visible])
	text, ok := d.unfilled(text, visible, ascii)
	switch {
	case !ok:
		d.fail("end", errCanonical)
		return
	case ascii && len(text) == visible:
	case !utf8.Valid(text) || utf8.RuneCount(text) != visible:
		d.fail("text", errors.New("not UTF-8 of as many code points as there are visible elements"))
		return
	default:
		off := uint32(0)
		for i := range st.runs {
			if sp := st.at(i); !sp.hidden() {
				sp.off = off
				w := measurePrefix(text[off:], sp.n)
				off += w.vis + w.byt
			}
		}
	}
	if st.content {
		st.text = slices.Clone(text)
	}
}

// unfilled returns the content of so many code points at the start of text, and whether nothing follows but the zero
// bytes that bring a state to its least length.
func (d *decoder) unfilled(text []byte, visible int, ascii bool) ([]byte, bool) {
	if len(d.data) != d.spans {
		return text, d.st.content || len(text) == 0
	}
	end := visible
	if !ascii {
		end = 0
		for range visible {
			_, size := utf8.DecodeRune(text[end:])
			end += size
		}
	}
	for _, c := range text[end:] {
		if c != 0 {
			return nil, false
		}
	}
	return text[:end], true
}

// isASCII says whether no byte is above 0x7F.
func isASCII(text []byte) bool {
	const high = 0x8080808080808080
	for ; len(text) >= 32; text = text[32:] {
		a, b := binary.LittleEndian.Uint64(text), binary.LittleEndian.Uint64(text[8:])
		c, d := binary.LittleEndian.Uint64(text[16:]), binary.LittleEndian.Uint64(text[24:])
		if (a|b|c|d)&high != 0 {
			return false
		}
	}
	for ; len(text) >= 8; text = text[8:] {
		if binary.LittleEndian.Uint64(text)&high != 0 {
			return false
		}
	}
	for _, c := range text {
		if c >= 0x80 {
			return false
		}
	}
	return true
}

// nameDots tests that no dot occurs twice: with a bit for each dot where the clock is small, else by sorting. Then it
// puts the replicas in the place of their numbers.
func (d *decoder) nameDots() bool {
	runs := d.st.runs
	begin := make([]uint64, len(d.most)) // of each replica's bits, by number
	dots := uint64(0)
	for number, m := range d.most {
		begin[number] = dots
		dots += min(m, 1<<40)
	}
	if dots > uint64(len(d.data))*bitsPerByte+1<<13 {
		for i := range runs {
			runs[i].rep = d.reps[runs[i].rep]
		}
		return d.st.distinct(d.st.byDot())
	}
	set := make([]uint64, dots/64+2)
	rep, seq, lid := runs[0].rep, runs[0].seq, runs[0].lid // of what is to be marked
	for i := range runs {
		r := &runs[i]
		if n := uint64(r.lid - lid); r.rep != rep || r.seq != seq+n {
			mark(set, begin[rep]+seq, n)
			rep, seq, lid = r.rep, r.seq, r.lid
		}
		r.rep = d.reps[r.rep]
	}
	mark(set, begin[rep]+seq, uint64(d.st.count-lid))
	marked := 0
	for _, w := range set {
		marked += bits.OnesCount64(w)
	}
	return marked == int(d.st.count)
}

// bitsPerByte bounds the bits that nameDots takes for each byte of input.
const bitsPerByte = 32

// mark sets n bits from at on. set has a word more than they need.
func mark(set []uint64, at, n uint64) {
	for ; n > 64; n -= 64 {
		word(set, at, ^uint64(0))
		at += 64
	}
	word(set, at, ^uint64(0)>>(-n&63))
}

// word sets the bits of mask from at on.
func word(set []uint64, at, mask uint64) {
	w := set[at/64:][:2]
	w[0] |= mask << (at & 63)
	w[1] |= mask >> 1 >> (^at & 63)
}

// byDot lists the spans by dot.
func (st *State) byDot() []int32 {
	order := make([]int32, len(st.runs))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int { return compareRuns(&st.runs[a], &st.runs[b]) })
	return order
}

// distinct says whether no dot occurs twice in spans that are listed by dot.
func (st *State) distinct(order []int32) bool {
	for i := 1; i < len(order); i++ {
		a, b := &st.runs[order[i-1]], &st.runs[order[i]]
		if a.rep == b.rep && a.seq+uint64(st.at(int(order[i-1])).n) > b.seq {
			return false
		}
	}
	return true
}
