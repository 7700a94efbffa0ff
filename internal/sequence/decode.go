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
	// Order, if not nil, lets Decode test the order of siblings; else Load and Merge do.
	Order Order
}

// State is a decoded state or delta: columns in list order. It refers to nothing of the input and is not changed
// by Load or Merge.
type State struct {
	spans   []span // LIDs are places in list order; off is into text
	runs    []run  // one a span
	text    []byte
	count   uint32
	visible uint32
	content bool
	pairs   [][2]LID // neighbouring siblings, the first to be the lesser
	ordered bool     // pairs are tested
	delta   *deltaState
	err     siblingError
}

// siblingError makes the error for siblings in the wrong order.
type siblingError struct{ offset int }

func (e siblingError) error() error {
	return &DecodeError{Offset: e.offset, Field: "order of siblings", Err: ErrCorrupt}
}

// Elements returns the number of elements, hidden ones included.
func (st *State) Elements() int { return int(st.count) }

// Len returns the number of visible elements.
func (st *State) Len() int { return int(st.visible) }

// check tests the order of siblings, once.
func (st *State) check(o Order) error {
	if st.ordered {
		return nil
	}
	c := Sequence{order: o, runs: st.runs, count: st.count}
	for _, p := range st.pairs {
		if c.compareIDs(c.IDOf(p[0]), c.IDOf(p[1])) >= 0 {
			return st.err.error()
		}
	}
	return nil
}

var (
	errShort     = errors.New("ends too soon")
	errVarint    = errors.New("not a shortest uvarint")
	errCanonical = errors.New("not in canonical form")
)

// corrupt marks err, the reason, as ErrCorrupt.
func corrupt(reason error) error { return fmt.Errorf("%w: %w", ErrCorrupt, reason) }

// decoder reads a state: the machine of format.go, from the reader's side.
type decoder struct {
	st      *State
	data    []byte
	pos     int // of the next byte, before and after the bit stream
	r       bitcol.Reader
	base    int // where the bit stream begins
	codes   [columns]*bitcol.Code
	own     [columns]bool
	freq    frequencies
	reps    []uint32 // by number
	seen    int      // numbers used so far
	ends    []uint64 // by number: the end of the replica's last span
	most    []uint64 // by number: the greatest end
	before  uint32   // number of the span before
	chain   []opened
	pending []promised
	maxSum  uint32
	err     error
}

// opened is an entry of the chain, with the number and seq of the first element's dot.
type opened struct {
	seq    uint64
	span   int32 // -1 for the start of the list
	number uint32
	first  LID
	open   LID
	right  LID // the last right child of open so far; root if none
}

// promised is a pending parent: its left children are linked by their parent fields until it comes.
type promised struct {
	child int32 // span of the last of them; the chain of fields ends with root
	depth int
}

// Decode reads a state that AppendState wrote. data holds the state and nothing else. rep maps a number of the
// owner's table to a replica index, and says whether there is one. It validates fully and keeps no reference to
// data; every fault is a *DecodeError. Memory: a bounded multiple of the length of data, whatever it claims.
func Decode(data []byte, rep func(int) (uint32, bool), lim Limits) (*State, error) {
	d := &decoder{st: &State{}, data: data}
	d.decode(rep, lim)
	if d.err != nil {
		return nil, d.err
	}
	if lim.Order != nil {
		if err := d.st.check(lim.Order); err != nil {
			return nil, err
		}
		d.st.ordered = true
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
	// A span takes at least two bits.
	if spans > uint64(len(d.data)-d.pos)*4 {
		d.fail("number of spans", errShort)
		return
	}
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
	if d.readSpans(int(spans)); d.err != nil {
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

// failBits is fail within the bit stream.
func (d *decoder) failBits(field string, reason error) {
	d.pos = d.base + d.r.Offset()
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

// table reads the replicas.
func (d *decoder) table(rep func(int) (uint32, bool)) {
	k := d.uvarint("number of replicas")
	if k == 0 || k > uint64(len(d.data)-d.pos) {
		d.fail("number of replicas", errShort)
		return
	}
	known := make(map[uint32]bool, k)
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
		known[r] = true
		d.reps = append(d.reps, r)
	}
	d.ends, d.most = make([]uint64, k), make([]uint64, k)
}

// readCodes reads the codes of the columns.
func (d *decoder) readCodes() {
	d.codes = defaultCodes
	for c := range columns {
		if d.r.Read(1) == 0 {
			continue
		}
		lengths := make([]uint8, alphabet[c])
		last := int(d.r.Read(6))
		if last >= len(lengths) {
			d.failBits("code", errors.New("symbol out of range"))
			return
		}
		for i := range last + 1 {
			lengths[i] = uint8(d.r.Read(4))
		}
		code, ok := bitcol.NewCode(lengths)
		if !ok || d.r.Over() {
			d.failBits("code", errors.New("not a code"))
			return
		}
		code.Prepare()
		d.codes[c], d.own[c] = code, true
	}
}

// symbol reads one symbol of a column; a Fill must leave it enough bits. 0 with an error.
func (d *decoder) symbol(column int) int {
	s, ok := d.codes[column].Get(&d.r)
	if !ok {
		d.failBits("symbol", errors.New("not in the code"))
	}
	d.freq[column][s]++
	return s
}

// number reads one number of a column. Its callers see to it that 25 bits are there; it fills for the long ones.
func (d *decoder) number(column int) uint64 {
	class := d.symbol(column)
	if class < 2 {
		return uint64(class)
	}
	n := uint(class - 1)
	if n > 13 {
		d.r.Fill()
	}
	return 1<<n | d.r.Take(n)
}
