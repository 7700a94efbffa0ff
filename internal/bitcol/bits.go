package bitcol

import "encoding/binary"

// Writer appends bits to a byte slice. The zero value writes to a new slice.
type Writer struct {
	buf  []byte
	bits uint64
	n    uint // bits used in bits, below 8 between calls
}

// NewWriter returns a Writer that appends to dst.
func NewWriter(dst []byte) Writer { return Writer{buf: dst} }

// Write appends the n low bits of v, whose other bits are zero. n is at most 56.
func (w *Writer) Write(v uint64, n uint) {
	w.bits |= v << w.n
	w.n += n
	k := w.n >> 3
	w.buf = binary.LittleEndian.AppendUint64(w.buf, w.bits)
	w.buf = w.buf[:len(w.buf)-8+int(k)]
	w.bits >>= k << 3
	w.n &= 7
}

// Close pads the last byte with zeros and returns the slice.
func (w *Writer) Close() []byte {
	if w.n > 0 {
		w.buf = append(w.buf, byte(w.bits))
	}
	return w.buf
}

// Bits are the next bits of a Reader. It is a value that is handed on, so that a loop that reads keeps it in registers.
type Bits struct {
	v uint64
	n uint // of v that are valid
}

// Take returns the first n bits, of which there must be enough since the last Fill, and the rest. n is at most 56.
func (b Bits) Take(n uint) (uint64, Bits) {
	return b.v & (1<<n - 1), Bits{b.v >> n, b.n - n}
}

// Reader takes bits from a byte slice. Reading beyond the end gives zeros; Over tells.
type Reader struct {
	data []byte
	pos  int // of the next byte
	over int // zero bytes read beyond the end
}

// NewReader returns a Reader of data, which it does not change. Its first Fill is given the zero Bits.
func NewReader(data []byte) Reader { return Reader{data: data} }

// Fill returns b, which is what is left of what Fill returned before, with at least 56 bits.
func (r *Reader) Fill(b Bits) Bits {
	if r.pos+8 <= len(r.data) {
		k := (63 - b.n) >> 3
		b.v |= binary.LittleEndian.Uint64(r.data[r.pos:]) << b.n
		b.n += k << 3
		r.pos += int(k)
		return b
	}
	return r.fillLast(b)
}

// fillLast is Fill for the last bytes.
func (r *Reader) fillLast(b Bits) Bits {
	for b.n < 56 {
		if r.pos < len(r.data) {
			b.v |= uint64(r.data[r.pos]) << b.n
			r.pos++
		} else {
			r.over++
		}
		b.n += 8
	}
	return b
}

// Read is Fill and Take.
func (r *Reader) Read(b Bits, n uint) (uint64, Bits) { return r.Fill(b).Take(n) }

// Over says whether bits beyond the end were taken, when b is left.
func (r *Reader) Over(b Bits) bool { return uint(r.over)*8 > b.n }

// Offset returns the number of bytes of which at least a bit was taken, when b is left.
func (r *Reader) Offset(b Bits) int { return min(len(r.data), r.pos+r.over-int(b.n>>3)) }

// Rest takes the padding of the last byte and returns what follows it; false if the padding is not zero, or bits
// beyond the end were taken.
func (r *Reader) Rest(b Bits) ([]byte, bool) {
	if r.Over(b) {
		return nil, false
	}
	if padding, _ := b.Take(b.n & 7); padding != 0 {
		return nil, false
	}
	return r.data[r.pos+r.over-int(b.n>>3):], true
}
