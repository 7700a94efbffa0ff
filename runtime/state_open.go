package runtime

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"sync"

	"github.com/google/uuid"
	"github.com/klauspost/compress/zstd"

	"github.com/seed1312cc15/weft/vclock"
)

// stateHeader is what stands in front of the objects of a state or delta.
type stateHeader struct {
	delta    bool
	document uuid.UUID
	ids      []uuid.UUID // ascending
	ends     []uint64    // exclusive
	bases    []uint64    // delta: per replica
	live     bool
	heads    []int
	lamport  uint64
	rd       Reader // at the kinds
	local    []byte
}

// openState checks the checksums, decompresses, and reads the header. It allocates no more than a small multiple of the
// input, decompressed states apart: those say their size, which Limits.DecodedBytes bounds and the data must reach.
func openState(data []byte, lim *Limits) (*stateHeader, error) {
	if len(data) > lim.StateBytes {
		return nil, &LimitError{"StateBytes", uint64(len(data)), uint64(lim.StateBytes)}
	}
	h := &stateHeader{}
	format := "state"
	if !bytes.HasPrefix(data, magic) {
		return nil, &DecodeError{Format: format, Field: "magic", Err: ErrCorrupt}
	}
	content, err := bstr(data[len(magic):], format)
	if err != nil {
		return nil, err
	}
	rd := Reader{buf: content, format: format}
	switch v := rd.Byte("format"); {
	case v == formatDelta:
		h.delta = true
	case v != formatState && rd.err == nil:
		rd.Fail("format", ErrVersion)
	}
	if rd.Uvarint("features") != 0 {
		rd.Fail("features", ErrVersion)
	}
	flags := rd.Byte("flags")
	if flags&^stateKnown != 0 {
		rd.Fail("flags", ErrVersion)
	}
	if flags&stateDocument != 0 {
		if copy(h.document[:], rd.Take("document", 16)); h.document == uuid.Nil {
			rd.Fail("document", ErrCorrupt)
		}
	}
	var canonical []byte
	if flags&stateZstd != 0 {
		canonical, h.local = inflate(&rd, lim)
	} else {
		canonical = rd.Bytes("canonical section")
		rd.checksum("canonical section", 0)
		at := rd.off
		h.local = rd.Bytes("local section")
		rd.checksum("local section", at)
	}
	if err := rd.Done(); err != nil {
		return nil, err
	}
	h.rd = Reader{buf: canonical, format: format}
	h.read(lim)
	return h, h.rd.err
}

// checksum reads a CRC32C and compares it with that of everything from offset from on.
func (r *Reader) checksum(field string, from int) {
	at := r.off
	sum := r.Take(field, 4)
	if r.err == nil && binary.LittleEndian.Uint32(sum) != crc32.Checksum(r.buf[from:at], castagnoli) {
		r.off = at
		r.Fail(field, ErrChecksum)
	}
}

// maxRatio bounds how far compressed sections may grow; mostInflated is the bound for n bytes of them.
const maxRatio = 200

func mostInflated(n int) uint64 { return maxRatio*uint64(n) + 1<<16 }

var decoders sync.Pool // of *zstd.Decoder

// inflate decompresses both sections: the checksum first, then no further than the stated size.
func inflate(rd *Reader, lim *Limits) (canonical, local []byte) {
	size := rd.Uvarint("decompressed size")
	packed := rd.Take("compressed sections", rd.Len()-4)
	rd.checksum("compressed sections", 0)
	if rd.err != nil {
		return nil, nil
	}
	if most := uint64(lim.DecodedBytes); size > most {
		rd.Fail("decompressed size", &LimitError{"DecodedBytes", size, most})
		return nil, nil
	}
	if size > mostInflated(len(packed)) {
		rd.Fail("decompressed size", &LimitError{"compression ratio", size / uint64(max(1, len(packed))), maxRatio})
		return nil, nil
	}
	d, ok := decoders.Get().(*zstd.Decoder)
	if !ok {
		// The window of a frame may be larger than its content; nothing is allocated for it here.
		var err error
		d, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(1<<31), zstd.WithDecodeAllCapLimit(true))
		if err != nil {
			rd.Fail("compressed sections", err)
			return nil, nil
		}
	}
	defer decoders.Put(d)
	raw, err := d.DecodeAll(packed, make([]byte, 0, size))
	if err != nil || uint64(len(raw)) != size {
		rd.Fail("compressed sections", ErrCorrupt)
		return nil, nil
	}
	in := Reader{buf: raw, format: rd.format}
	canonical = in.Bytes("canonical section")
	local = in.Rest()
	if in.err != nil {
		rd.Fail("compressed sections", in.err)
	}
	return canonical, local
}

func (h *stateHeader) read(lim *Limits) {
	rd := &h.rd
	n := rd.Count("replicas", 17)
	if n > lim.Replicas {
		rd.Fail("replicas", &LimitError{"Replicas", uint64(n), uint64(lim.Replicas)})
		return
	}
	h.ids = make([]uuid.UUID, n)
	for i := range h.ids {
		copy(h.ids[i][:], rd.Take("replica", 16))
		if i > 0 && bytes.Compare(h.ids[i-1][:], h.ids[i][:]) >= 0 || h.ids[i] == uuid.Nil {
			rd.Fail("replica", ErrCorrupt)
		}
	}
	h.ends = make([]uint64, n)
	var sum uint64
	for i := range h.ends {
		h.ends[i] = rd.Uvarint("clock")
		if h.ends[i] == 0 || h.ends[i] > maxEnd {
			rd.Fail("clock", ErrCorrupt)
		}
		if sum += h.ends[i]; sum < h.ends[i] {
			sum = ^uint64(0)
		}
	}
	if h.delta {
		h.readBase()
	}
	h.readHeads(n)
	h.lamport = rd.Uvarint("lamport")
	if rd.err == nil && (h.lamport > sum || h.lamport >= maxEnd || (h.lamport == 0) != (n == 0)) {
		rd.Fail("lamport", ErrClockJump)
	}
}

func (h *stateHeader) readBase() {
	h.bases = make([]uint64, len(h.ends))
	for i := range h.bases {
		past := h.rd.Uvarint("base")
		if past > h.ends[i] {
			h.rd.Fail("base", ErrCorrupt)
			return
		}
		h.bases[i] = h.ends[i] - past
	}
	switch h.rd.Byte("deletions") {
	case 0:
	case 1:
		h.live = true
	default:
		h.rd.Fail("deletions", ErrCorrupt)
	}
}

func (h *stateHeader) readHeads(n int) {
	k := h.rd.Count("heads", 1)
	if h.rd.err == nil && (k > n || (k == 0) != (n == 0)) {
		h.rd.Fail("heads", ErrCorrupt)
	}
	at := -1
	for i := range k {
		d := h.rd.Uvarint("head")
		if i == 0 {
			d++
		}
		if d == 0 || d > uint64(n-1-at) {
			h.rd.Fail("head", ErrCorrupt)
			return
		}
		at += int(d)
		h.heads = append(h.heads, at)
	}
}

// clock returns what the state holds.
func (h *stateHeader) clock() vclock.Clock {
	c := make(vclock.Clock, len(h.ids))
	for i, id := range h.ids {
		c[id] = h.ends[i]
	}
	return c
}
