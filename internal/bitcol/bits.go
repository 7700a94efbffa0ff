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

// Reader takes bits from a byte slice. Reading beyond the end gives zeros; Over tells.
type Reader struct {
	data []byte
	pos  int // of the next byte
	bits uint64
	n    uint // valid bits in bits
	over int  // zero bytes read beyond the end
}

// NewReader returns a Reader of data, which it does not change.
func NewReader(data []byte) Reader { return Reader{data: data} }

// Fill makes at least 56 bits available to Peek and Take.
func (r *Reader) Fill() {
	if r.pos+8 <= len(r.data) {
		r.bits |= binary.LittleEndian.Uint64(r.data[r.pos:]) << r.n
		k := (63 - r.n) >> 3
		r.pos += int(k)
		r.n += k << 3
		return
	}
	for r.n < 56 {
		if r.pos < len(r.data) {
			r.bits |= uint64(r.data[r.pos]) << r.n
			r.pos++
		} else {
			r.over++
		}
		r.n += 8
	}
}

// Take removes and returns n bits, of which there must be enough since the last Fill. n is at most 56.
func (r *Reader) Take(n uint) uint64 {
	v := r.bits & (1<<n - 1)
	r.bits >>= n
	r.n -= n
	return v
}

// Read is Fill and Take.
func (r *Reader) Read(n uint) uint64 {
	r.Fill()
	return r.Take(n)
}

// Over says whether bits beyond the end were taken.
func (r *Reader) Over() bool { return uint(r.over)*8 > r.n }

// Offset returns the number of bytes of which at least a bit was taken.
func (r *Reader) Offset() int { return min(len(r.data), r.pos+r.over-int(r.n>>3)) }

// Rest takes the padding of the last byte and returns what follows it; false if the padding is not zero, or bits
// beyond the end were taken.
func (r *Reader) Rest() ([]byte, bool) {
	if r.Over() {
		return nil, false
	}
	if r.Take(r.n&7) != 0 {
		return nil, false
	}
	return r.data[r.pos+r.over-int(r.n>>3):], true
}
