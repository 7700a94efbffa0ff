package decoders

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
)

// mutator makes inputs.
type mutator struct {
	rng   *rand.Rand
	pool  [][]byte // seeds, and behind them what was accepted, at most keepMost of it
	seeds int
}

// keepMost bounds what was accepted and is kept, inputs; longest bounds an input, bytes.
const (
	keepMost = 64
	longest  = 1 << 16
)

func (m *mutator) keep(input []byte) {
	if len(m.pool) < m.seeds+keepMost {
		m.pool = append(m.pool, input)
	} else {
		m.pool[m.seeds+m.rng.IntN(keepMost)] = input
	}
}

// next returns a new input: one of the pool, changed.
func (m *mutator) next() []byte {
	from := m.pool[m.rng.IntN(len(m.pool))]
	parts, seal := unseal(from)
	if seal == nil || m.rng.IntN(8) == 0 {
		out := m.change(slices.Clone(from))
		if m.rng.IntN(4) > 0 {
			out = reseal(out)
		}
		return out
	}
	i := m.rng.IntN(len(parts))
	parts[i] = m.change(slices.Clone(parts[i]))
	return seal(parts)
}

// numbers are integers at which code may go wrong.
var numbers = []uint64{0, 1, 2, 3, 23, 24, 63, 64, 127, 128, 255, 256, 1<<14 - 1, 1 << 14, 65535, 65536, 1<<21 - 1, 1 << 24, 1<<31 - 1, 1 << 31,
	1<<32 - 1, 1 << 32, 1<<53 - 1, 1 << 53, 1<<53 + 1, 1<<63 - 1, 1 << 63, 1<<64 - 2, 1<<64 - 1}

// change makes one to four changes; b is its own.
func (m *mutator) change(b []byte) []byte {
	r := m.rng
	for n := 1 + min(r.IntN(4), r.IntN(4)); n > 0; n-- {
		at := r.IntN(len(b) + 1)
		some := at + min(1+r.IntN(8), 1+r.IntN(32))
		some = min(some, len(b))
		switch k := r.IntN(12); {
		case k < 3 && at < len(b):
			b[at] ^= 1 << r.IntN(8)
		case k == 3 && at < len(b):
			b[at] = byte(r.Uint32())
		case k == 4 && at < len(b):
			b[at] += byte(r.IntN(9) - 4)
		case k == 5:
			b = slices.Delete(b, at, some)
		case k == 6:
			b = slices.Insert(b, at, byte(r.Uint32()))
		case k == 7:
			b = slices.Insert(b, r.IntN(len(b)+1), slices.Clone(b[at:some])...)
		case k == 8: // another number where one stands, of any length
			_, size := binary.Uvarint(b[at:])
			b = slices.Replace(b, at, at+max(0, size), binary.AppendUvarint(nil, numbers[r.IntN(len(numbers))])...)
		case k == 9: // part of another input
			other := m.pool[r.IntN(len(m.pool))]
			from := r.IntN(len(other) + 1)
			to := min(len(other), from+1+r.IntN(64))
			b = slices.Replace(b, at, some, other[from:to]...)
		case k == 10: // the rest of another one
			other := m.pool[r.IntN(len(m.pool))]
			b = append(b[:at], other[r.IntN(len(other)+1):]...)
		case k == 11 && at < len(b): // two parts change places
			to := r.IntN(len(b))
			b[at], b[to] = b[to], b[at]
		default:
			b = b[:at]
		}
		b = b[:min(len(b), longest)]
	}
	return b
}
