package sequence

import (
	"encoding/binary"
	"errors"
	"slices"
	"unicode/utf8"
)

// finish tests what is known only after the last span: the codes, the text, that no dot occurs twice.
func (d *decoder) finish() {
	for c := range columns {
		if _, own := codeFor(c, d.freq[c][:alphabet[c]]); own != d.own[c] || own && !d.isBest(c) {
			d.failBits("code", errCanonical)
			return
		}
	}
	if d.seen != len(d.reps) {
		d.failBits("replica", errors.New("not used"))
		return
	}
	end := d.base + d.r.Offset()
	text, ok := d.r.Rest()
	d.pos = end
	if !ok {
		d.fail("padding", errCanonical)
		return
	}
	d.pos = len(d.data) - len(text)
	d.st.err.offset = d.base
	if d.readText(text); d.err != nil {
		return
	}
	if !d.unique() {
		d.pos = d.base
		d.fail("dots", errors.New("one occurs twice"))
	}
}

// isBest says whether the column's own code is the one for its frequencies.
func (d *decoder) isBest(c int) bool {
	code, _ := codeFor(c, d.freq[c][:alphabet[c]])
	return slices.Equal(code.Lengths(), d.codes[c].Lengths())
}

// readText tests the content and finds each span's place in it.
func (d *decoder) readText(text []byte) {
	st := d.st
	switch {
	case !st.content && len(text) > 0:
		d.fail("end", errors.New("bytes after it"))
	case !st.content:
	case len(text) == int(st.visible) && isASCII(text):
		st.text = slices.Clone(text)
	case len(text) < int(st.visible):
		d.fail("text", errShort)
	case !utf8.Valid(text) || utf8.RuneCount(text) != int(st.visible):
		d.fail("text", errors.New("not UTF-8 of as many code points as there are visible elements"))
	default:
		off := uint32(0)
		for i := range st.spans {
			if sp := &st.spans[i]; !sp.hidden() {
				sp.off = off
				w := measurePrefix(text[off:], sp.n)
				off += w.vis + w.byt
			}
		}
		st.text = slices.Clone(text)
	}
}

// isASCII says whether no byte is above 0x7F.
func isASCII(text []byte) bool {
	for ; len(text) >= 8; text = text[8:] {
		if binary.LittleEndian.Uint64(text)&0x8080808080808080 != 0 {
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

// unique says whether no dot occurs twice: with a bit for each dot where the clock is small, else by sorting.
func (d *decoder) unique() bool {
	runs := d.st.runs
	begin := make([]uint64, len(d.most)) // of each replica's bits, by number
	bits := uint64(0)
	for number, m := range d.most {
		begin[number] = bits
		bits += min(m, 1<<40)
	}
	if bits > uint64(len(d.data))*32+1<<13 {
		return d.uniqueSorted()
	}
	base := make(map[uint32]uint64, len(d.reps))
	for number, rep := range d.reps {
		base[rep] = begin[number]
	}
	set := make([]uint64, bits/64+1)
	from := base[runs[0].rep]
	for i := range runs {
		if i > 0 && runs[i].rep != runs[i-1].rep {
			from = base[runs[i].rep]
		}
		if !claim(set, from+runs[i].seq, uint64(d.st.spans[i].n)) {
			return false
		}
	}
	return true
}

// claim sets n bits from at on, and returns false if one is set already.
func claim(set []uint64, at, n uint64) bool {
	for n > 0 {
		w, b := at/64, at%64
		m := min(n, 64-b)
		mask := ^uint64(0) >> (64 - m) << b
		if set[w]&mask != 0 {
			return false
		}
		set[w] |= mask
		at += m
		n -= m
	}
	return true
}

func (d *decoder) uniqueSorted() bool {
	runs, spans := d.st.runs, d.st.spans
	order := make([]int32, len(runs))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int { return compareRuns(&runs[a], &runs[b]) })
	for i := 1; i < len(order); i++ {
		a, b := order[i-1], order[i]
		if runs[a].rep == runs[b].rep && runs[a].seq+uint64(spans[a].n) > runs[b].seq {
			return false
		}
	}
	return true
}
