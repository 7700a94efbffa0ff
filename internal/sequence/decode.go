package sequence

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/seed1312cc15/weft/internal/bitcol"
)

// Limits bounds what Decode accepts.
type Limits struct {
	// MaxElements bounds the elements, tombstones included. 0 means 2^31-1, which is also the greatest value.
	MaxElements int
	// Order is that of the sequence that the state is for: siblings stand in it. nil orders replicas by their index.
	Order Order
}

// loadFill is the number of spans that a load puts into a leaf: room is left for the first edits.
const loadFill = leafCap - leafCap/8

// State is a decoded state or delta: columns in list order. It refers to nothing of the input.
//
//  1. Span i, with LIDs that are places in list order and off into text, is entry i%loadFill of leaf i/loadFill, and has
//     the dots from runs[i] on. The leaves are nothing else: Load makes them its own.
type State struct {
	leaves  []leaf
	shown   []uint32 // of each leaf: the visible elements
	runs    []run
	text    []byte
	count   uint32
	visible uint32
	content bool
	delta   *deltaState
}

// Elements returns the number of elements, hidden ones included.
func (st *State) Elements() int { return int(st.count) }

// Len returns the number of visible elements.
func (st *State) Len() int { return int(st.visible) }

// at returns span i.
func (st *State) at(i int) *span { return &st.leaves[uint(i)/loadFill].spans[uint(i)%loadFill] }

// reserve makes room for n spans.
func (st *State) reserve(n int) {
	st.leaves = make([]leaf, (n+loadFill-1)/loadFill)
	st.shown = make([]uint32, len(st.leaves))
	st.runs = make([]run, n, n+8) // a few for edits after a load
}

var (
	errShort     = errors.New("ends too soon")
	errVarint    = errors.New("not a shortest uvarint")
	errCanonical = errors.New("not in canonical form")
)

// corrupt marks err, the reason, as ErrCorrupt.
func corrupt(reason error) error { return fmt.Errorf("%w: %w", ErrCorrupt, reason) }

// decoder reads a state: the machine of format.go, from the reader's side. Until it is done, the runs name replicas by
// their numbers in the state.
type decoder struct {
	st     *State
	data   []byte
	order  Order
	spans  int // to read
	pos    int // of the next byte, before and after the bit stream
	r      bitcol.Reader
	bits   bitcol.Bits // of r, before the span that is being read
	base   int         // where the bit stream begins
	codes  [columns]*bitcol.Code
	own    [columns]bool
	freq   [columns][bitcol.MaxSymbols]uint32 // of each column's symbols
	reps   []uint32                           // by number
	seen   int                                // numbers used so far
	ends   []uint64                           // by number: the end of the replica's last span
	most   []uint64                           // by number: the greatest end
	before uint32                             // number of the span before

	// The chain holds spans, -1 for the start of the list. The element of its top is open; that of an entry below is
	// the left origin of the entry above.
	chain   []int32
	open    LID
	right   LID   // the last right child of open so far, root if none
	holds   int32 // the span of right, or -1 if that is still to be found
	pending []promised
	maxSum  uint32
	err     error
}

// promised is a pending parent: its left children are linked by their parent fields until it comes.
type promised struct {
	child int32 // span of the last of them; the chain of fields ends with root
	depth int32 // of the chain below them
	right LID   // the last right child, before them, of their left origin
}

// Decode reads a state that AppendState wrote. data holds the state and nothing else. rep maps a number of the
// owner's table to a replica index, and says whether there is one. It validates fully and keeps no reference to
// data; every fault is a *DecodeError. Memory: at most 64 times the length of data and 64 KiB,
// whatever it claims, of which Load keeps up to 45 times.
func Decode(data []byte, rep func(int) (uint32, bool), lim Limits) (*State, error) {
	d := &decoder{st: &State{}, data: data, order: lim.Order}
	d.decode(rep, lim)
	if d.err != nil {
		return nil, d.err
	}
	return d.st, nil
}

func (d *decoder) decode(rep func(int) (uint32, bool), lim Limits) {
	head := d.uvarint("number of spans")
	d.st.content = head&1 != 0
	spans := head >> 1
	if d.err != nil {
		return
	}
	if spans == 0 {
		if d.pos != len(d.data) {
			d.fail("end", errCanonical)
		}
		return
	}
	if spans > uint64(len(d.data)) || spans > maxElements {
		d.fail("number of spans", errShort)
		return
	}
	d.spans = int(spans)
	d.table(rep)
	if d.err != nil {
		return
	}
	d.setLimits(lim)
	d.base = d.pos
	d.r = bitcol.NewReader(d.data[d.pos:])
	if d.readCodes(); d.err != nil {
		return
	}
	if d.readSpans(); d.err != nil {
		return
	}
	d.finish()
}

func (d *decoder) setLimits(lim Limits) {
	d.maxSum = maxElements
	if lim.MaxElements > 0 && lim.MaxElements < maxElements {
		d.maxSum = uint32(lim.MaxElements)
	}
}

// tooMany records that the elements go beyond the limit.
func (d *decoder) tooMany() {
	if d.err == nil {
		d.err = &DecodeError{Offset: d.pos, Field: "number of elements", Err: ErrLimit}
	}
}

// fail records the first error, at the present position.
func (d *decoder) fail(field string, reason error) {
	if d.err == nil {
		d.err = &DecodeError{Offset: d.pos, Field: field, Err: corrupt(reason)}
	}
}

// failBits is fail within the bit stream, at the span that is being read.
func (d *decoder) failBits(field string, reason error) {
	d.pos = d.base + d.r.Offset(d.bits)
	d.fail(field, reason)
}

func (d *decoder) uvarint(field string) uint64 {
	if d.err != nil {
		return 0
	}
	v, n := binary.Uvarint(d.data[d.pos:])
	switch {
	case n == 0:
		d.fail(field, errShort)
	case n < 0 || n > 1 && d.data[d.pos+n-1] == 0:
		d.fail(field, errVarint)
	default:
		d.pos += n
		return v
	}
	return 0
}

// table reads the replicas. Each takes a byte, and is used by a span.
func (d *decoder) table(rep func(int) (uint32, bool)) {
	k := d.uvarint("number of replicas")
	if k == 0 || k > uint64(len(d.data)-d.pos) {
		d.fail("number of replicas", errShort)
		return
	}
	d.reps = make([]uint32, 0, k)
	var known map[uint32]bool
	if k > 1 {
		known = make(map[uint32]bool)
	}
	for range k {
		v := d.uvarint("replica")
		if d.err != nil {
			return
		}
		r, ok := uint32(0), false
		if v < 1<<31 {
			r, ok = rep(int(v))
		}
		if !ok || known[r] {
			d.fail("replica", errors.New("unknown or twice"))
			return
		}
		if k > 1 {
			known[r] = true
		}
		d.reps = append(d.reps, r)
	}
	d.ends, d.most = make([]uint64, k), make([]uint64, k)
}

// readCodes reads the codes of the columns.
func (d *decoder) readCodes() {
	d.codes = defaultCodes
	b := d.bits
	var v uint64
	for c := range columns {
		if v, b = d.r.Read(b, 1); v == 0 {
			continue
		}
		lengths := make([]uint8, alphabet[c])
		v, b = d.r.Read(b, 6)
		last := int(v)
		if last >= len(lengths) {
			d.failBits("code", errors.New("symbol out of range"))
			return
		}
		for i := range last + 1 {
			v, b = d.r.Read(b, 4)
			lengths[i] = uint8(v)
		}
		code, ok := bitcol.NewCode(lengths)
		if !ok || d.r.Over(b) {
			d.failBits("code", errors.New("not a code"))
			return
		}
		prepare(code, c)
		d.codes[c], d.own[c] = code, true
	}
	d.bits = b
}

// number reads one number of a column. Its callers see to it that bitcol.ShortNumber bits are there; it fills for the long
// ones. 0 with an error.
func (d *decoder) number(column int, b bitcol.Bits) (uint64, bitcol.Bits) {
	e := d.codes[column].Look(b)
	if !e.IsShort() {
		return d.longNumber(column, b)
	}
	d.freq[column][e.Symbol()]++
	return b.Number(e)
}

func (d *decoder) longNumber(column int, b bitcol.Bits) (uint64, bitcol.Bits) {
	class, b, ok := d.codes[column].Get(b)
	if !ok {
		d.failBits("symbol", errors.New("not in the code"))
		return 0, b
	}
	d.freq[column][class]++
	v, b := d.r.Fill(b).Take(uint(max(class-1, 0)))
	return 1<<class>>1 | v, b
}
