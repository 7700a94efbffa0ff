package sequence

import (
	"encoding/binary"
	"slices"

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
	e := newEncoder(s)
	defer encoders.Put(e)
	dst = binary.AppendUvarint(dst, uint64(e.spans)<<1|content)
	dst = binary.AppendUvarint(dst, uint64(len(e.reps.reps)))
	for _, r := range e.reps.reps {
		dst = binary.AppendUvarint(dst, uint64(rep(r)))
	}
	dst = e.appendBits(dst, s.Len(Bytes)+copied)
	if s.withText {
		dst, _ = s.AppendText(dst, 0, s.Len(CodePoints))
	}
	if short := int(e.spans) - (len(dst) - begin); short > 0 {
		dst = append(dst, make([]byte, short)...)
	}
	return dst
}

// appendBits appends the bit stream, and makes room for so many bytes after it.
func (e *encoder) appendBits(dst []byte, after int) []byte {
	var own [columns]bool
	codes := make([]*bitcol.Code, columns)
	for c := range columns {
		codes[c], own[c] = codeFor(c, e.tape.Freq(c)[:alphabet[c]])
	}
	head := columns * (1 + 6 + 4*bitcol.MaxSymbols) / 8
	room := head + int(e.tape.Bits(codes, colLength)/8) + bitcol.Slack + after
	w := bitcol.NewWriter(slices.Grow(dst, room+room/16)) // with a little for what the owner appends
	for c, code := range codes {
		if !own[c] {
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
	w.Tape(&e.tape, codes, colLength)
	return w.Close()
}

// contextAfter returns the context after a span with these flags.
func contextAfter(flags uint32) int { return int(flags&flagHidden/flagHidden + flags&flagLeft*2) }
