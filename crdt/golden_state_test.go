package crdt_test

import (
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/internal/bitcol"
	"github.com/seed1312cc15/weft/runtime"
)

// The states of docs/format-types.md, read a second time; see dumper.

func (d *dumper) state(kind string) {
	switch kind {
	case "counter":
		d.counterState()
	case "register", "mvregister", "flag", "flag-dw":
		for range d.uvarint("entries") {
			d.stamp("entry")
			d.value("  value")
		}
	case "set", "map":
		d.keyedState(kind == "map")
	case "objectmap", "objectset":
		d.childrenState(kind == "objectmap")
	case "text":
		d.sequence(len(d.data))
	case "list":
		d.places()
		for range d.uvarint("sets") {
			d.dot("element")
			d.stamp("  set by")
		}
		for d.left() > 0 {
			d.value("value")
		}
	case "objectlist":
		d.places()
		d.shelves()
		for d.left() > 0 {
			n := d.uvarint("objects")
			d.kind()
			for range n {
				d.arguments()
			}
		}
	default:
		d.t.Fatal(kind)
	}
}

func (d *dumper) counterState() {
	for d.left() > 0 {
		head, n := d.peek(d.at)
		d.row(n, "replica %d, additions %d, reset %d", head>>2, head&1, head>>1&1)
		if head&1 != 0 {
			d.uvarint("  last addition, seq")
			d.varint("  total")
		}
		if head&2 != 0 {
			d.varint("  additions since the reset: distance")
			d.varint("  their total")
			d.dot("  reset by")
		}
	}
}

func (d *dumper) keyedState(values bool) {
	var key []byte
	last := map[uint64]*[2]int64{}
	for range d.uvarint("keys") {
		key = d.key(key)
		for more := true; more; {
			head, n := d.peek(d.at)
			rep := head >> 2
			more = head&1 != 0
			d.row(n, "  entry of replica %d, another follows: %v, timestamp told: %v", rep, more, head&2 != 0)
			at := last[rep]
			if at == nil {
				at = new([2]int64)
				last[rep] = at
			}
			at[0] += d.varint("    seq after this replica's last")
			if head&2 != 0 {
				at[1] += d.varint("    Lamport timestamp - (seq + 1), less the last")
			}
			d.note("    so seq %d, Lamport timestamp %d", at[0], at[0]+1+at[1])
			if values {
				d.value("    value")
			}
		}
	}
}

// key prints a key that shares its start with the one before.
func (d *dumper) key(before []byte) []byte {
	n := 1
	shared, rest := int(d.byte()>>4), int(d.byte()&15)
	for _, v := range []*int{&shared, &rest} {
		if *v == 15 {
			more, k := d.peek(d.at + n)
			*v += int(more)
			n += k
		}
	}
	key := append(before[:shared:shared], d.data[d.at+n:d.at+n+rest]...)
	text, err := cbor.Diagnose(key)
	if err != nil {
		d.t.Fatal(err)
	}
	d.row(n, "key: %d bytes shared, %d follow", shared, rest)
	d.row(rest, "  so %s", text)
	return key
}

func (d *dumper) childrenState(keyed bool) {
	for d.left() > 0 {
		head, n := d.peek(d.at)
		d.row(n, "children %d, arguments %d", head>>1+1, head&1)
		d.uvarint("  replica")
		d.kind()
		d.varint("  Lamport timestamp - (seq + 1)")
		for i := range head>>1 + 1 {
			if i == 0 {
				d.uvarint("  seq")
			} else {
				d.uvarint("  seq - the one before - 1")
			}
			if keyed {
				d.counted("    key")
			}
			if head&1 != 0 {
				d.counted("    arguments")
			}
		}
	}
}

func (d *dumper) places() {
	n := d.uvarint("sequence, bytes")
	d.sequence(d.at + int(n))
	for range d.uvarint("places that moves made") {
		head, n := d.peek(d.at)
		d.row(n, "  places between %d, an element stands there %d", head>>1, head&1)
		if head&1 != 0 {
			d.dot("    element")
			d.varint("    Lamport timestamp - (seq of the place + 1)")
		}
	}
}

func (d *dumper) shelves() {
	for range d.uvarint("shelves") {
		d.dot("  element")
		head, n := d.peek(d.at)
		d.row(n, "    restores %d, archived %d", head>>1, head&1)
		if head&1 != 0 {
			d.dot("    greatest archive")
		}
		for range head >> 1 {
			d.dot("    restore")
		}
	}
}

// Columns of the bit stream.
const (
	goldenLength = 4 + iota
	goldenSeqSame
	goldenSeqOther
	goldenReplica
	goldenClimb
	goldenBack
	goldenColumns
)

// bitStream reads the bit stream of a sequence.
type bitStream struct {
	d     *dumper
	r     bitcol.Reader
	bits  bitcol.Bits
	codes [goldenColumns]*bitcol.Code
}

var defaultRow = regexp.MustCompile(`(?m)^\| (?:symbol \d|[a-z]+[A-Z]?[a-z]*) \| ([0-9 ]+) \|$`)

// defaults reads the default codes from the page that defines them.
func (d *dumper) defaults() (out [][]uint8) {
	page, err := os.ReadFile("../docs/format-types.md")
	if err != nil {
		d.t.Fatal(err)
	}
	for _, m := range defaultRow.FindAllStringSubmatch(strings.ReplaceAll(string(page), "\r\n", "\n"), -1) {
		var lengths []uint8
		for _, f := range strings.Fields(m[1]) {
			v, err := strconv.ParseUint(f, 10, 8)
			if err != nil {
				d.t.Fatal(err)
			}
			lengths = append(lengths, uint8(v))
		}
		out = append(out, lengths)
	}
	if len(out) != goldenColumns {
		d.t.Fatalf("format-types.md has %d default codes", len(out))
	}
	return out
}

func (b *bitStream) code(lengths []uint8) *bitcol.Code {
	c, ok := bitcol.NewCode(lengths)
	if !ok {
		b.d.t.Fatalf("%v is no code", lengths)
	}
	c.Prepare()
	return c
}

func (b *bitStream) start() (own int) {
	for c, lengths := range b.d.defaults() {
		if b.read(1) == 1 {
			own++
			lengths = make([]uint8, b.read(6)+1)
			for i := range lengths {
				lengths[i] = uint8(b.read(4))
			}
		}
		b.codes[c] = b.code(lengths)
	}
	return own
}

func (b *bitStream) read(n uint) (v uint64) {
	v, b.bits = b.r.Read(b.bits, n)
	return v
}

func (b *bitStream) symbol(column int) (s int) {
	var ok bool
	if s, b.bits, ok = b.codes[column].Get(b.r.Fill(b.bits)); !ok {
		b.d.t.Fatal("bits that begin no code")
	}
	return s
}

// number reads a number: its length in bits as a symbol, then the bits below its highest.
func (b *bitStream) number(column int) uint64 {
	n := b.symbol(column)
	if n < 2 {
		return uint64(n)
	}
	return 1<<(n-1) | b.read(uint(n-1))
}

// goldenElement is an element of a sequence: its dot, and where it stands in its canonical span.
type goldenElement struct {
	rep, seq uint64
	span     int // -1: the start of the list
	offset   uint64
}

type goldenSpan struct {
	rep, seq, n uint64
	hidden      bool
}

var shapeNames = [...]string{"flip", "A right", "A left", "B next", "B right", "B left", "B left, share", "S left", "S left, share",
	"C next", "C right", "C left"}

// sequence prints the state of a sequence, up to a place, and what the machine makes of it.
func (d *dumper) sequence(to int) {
	head, n := d.peek(d.at)
	d.row(n, "spans %d, content %d", head>>1, head&1)
	if head>>1 == 0 {
		return
	}
	k := d.uvarint("replicas")
	for range k {
		d.uvarint("  replica")
	}
	b := &bitStream{d: d, r: bitcol.NewReader(d.data[d.at:to])}
	own := b.start()
	m := &machine{b: b, k: k, ends: make([]uint64, k), chain: []goldenElement{{span: -1}}, x: goldenElement{span: -1}}
	visible := uint64(0)
	var lines []string
	for i := range int(head >> 1) {
		lines = append(lines, m.span(i))
		if !m.spans[i].hidden {
			visible += m.spans[i].n
		}
	}
	if len(m.pending) > 0 {
		d.t.Fatal("parents are missing")
	}
	bytes := b.r.Offset(b.bits)
	d.row(bytes, "bit stream, %d own codes", own)
	for _, l := range lines {
		d.note("  %s", l)
	}
	if head&1 != 0 {
		text := d.data[d.at:to]
		if uint64(len([]rune(string(text)))) != visible {
			d.t.Fatalf("%d visible elements, text %q", visible, text)
		}
		d.row(len(text), "text %q", text)
	} else if d.at != to {
		d.t.Fatal("bytes behind the sequence")
	}
}

// sequenceDelta prints the delta of a sequence.
func (d *dumper) sequenceDelta() {
	head, n := d.peek(d.at)
	d.row(n, "runs %d, content %d", head>>1, head&1)
	k := d.uvarint("replicas")
	for range k {
		d.uvarint("  replica")
	}
	number := func(what string) uint64 {
		if k == 1 {
			return 0
		}
		return d.uvarint(what)
	}
	for left := head >> 1; left > 0; {
		rep := number("group of replica")
		runs := d.uvarint("  runs, 0: all that are left:")
		if runs == 0 {
			runs = left
		}
		left -= runs
		for range runs {
			run, n := d.peek(d.at)
			d.row(n, "  run of %d, gap stated %d, hidden %d, place %d", run>>4+1, run>>3&1, run>>2&1, run&3)
			if run&8 != 0 {
				d.uvarint("    gap")
			}
			if run&3 != 2 {
				continue
			}
			side := d.uvarint("    2 * replica of the parent + 1 if left child:")
			if side>>1 == rep {
				d.uvarint("    seq - the parent's - 1:")
			} else {
				d.varint("    parent's seq - the one of its replica stated before:")
			}
		}
	}
	d.row(d.left(), "text %q", d.data[d.at:])
}

// machine is the reader's side of the machine that codes a sequence.
type machine struct {
	b       *bitStream
	k       uint64
	spans   []goldenSpan
	ends    []uint64
	x       goldenElement
	chain   []goldenElement
	pending []int // lengths of the chain
	context int
}

func (m *machine) top() goldenElement { return m.chain[len(m.chain)-1] }

// span reads one span and says what it is.
func (m *machine) span(i int) string {
	b := m.b
	symbol := b.symbol(m.context)
	shape := (symbol + 1) / 2
	hidden := symbol%2 == 0
	if symbol == 0 {
		hidden = !m.spans[i-1].hidden
	}
	climb, back := uint64(0), uint64(0)
	if shape >= 9 {
		climb, back = b.number(goldenClimb), b.number(goldenBack)
	}
	last := len(m.pending) - 1
	var lorig goldenElement
	switch {
	case shape <= 2:
		lorig = m.x
	case shape <= 8:
		m.chain = m.chain[:m.pending[last]]
		lorig = m.top()
		if shape <= 6 {
			m.pending = m.pending[:last]
		}
	default:
		m.chain = m.chain[:len(m.chain)-int(climb)]
		if climb == 0 {
			back++
		}
		e := m.top()
		if back > e.offset {
			b.d.t.Fatalf("span %d: %d back of %+v", i, back, e)
		}
		e.seq, e.offset = e.seq-back, e.offset-back
		m.chain[len(m.chain)-1] = e
		lorig = e
	}
	left := shape == 2 || shape >= 5 && shape <= 8 || shape == 11
	if left && shape != 6 && shape != 8 {
		m.pending = append(m.pending, len(m.chain))
	}
	s := goldenSpan{hidden: hidden}
	m.dot(i, shape, lorig, &s)
	s.n = b.number(goldenLength) + 1
	m.spans = append(m.spans, s)
	m.ends[s.rep] = s.seq + s.n
	m.x = goldenElement{s.rep, s.seq + s.n - 1, i, s.n - 1}
	m.chain = append(m.chain, m.x)
	if m.context = 0; hidden {
		m.context = 1
	}
	if left {
		m.context += 2
	}
	return m.describe(shape, lorig, &s)
}

// dot reads the first dot of a span.
func (m *machine) dot(i, shape int, lorig goldenElement, s *goldenSpan) {
	b := m.b
	if shape == 0 || shape == 3 || shape == 9 {
		s.rep, s.seq = lorig.rep, lorig.seq+1
		return
	}
	switch {
	case i == 0:
	case lorig.span >= 0:
		s.rep = lorig.rep
	default:
		s.rep = m.spans[i-1].rep
	}
	if i > 0 && m.k > 1 {
		if v := b.number(goldenReplica); v > 0 {
			s.rep = v - 1
		}
	}
	if lorig.span >= 0 && lorig.rep == s.rep {
		s.seq = lorig.seq + 1 + b.number(goldenSeqSame)
	} else {
		s.seq = m.ends[s.rep] + uint64(unzigzag(b.number(goldenSeqOther)))
	}
}

func (m *machine) describe(shape int, lorig goldenElement, s *goldenSpan) string {
	name := func(rep, seq uint64) string { return strconv.FormatUint(rep, 10) + ":" + strconv.FormatUint(seq, 10) }
	text := shapeNames[shape] + ": " + name(s.rep, s.seq)
	if s.n > 1 {
		text += " to " + name(s.rep, s.seq+s.n-1)
	}
	if s.hidden {
		text += ", hidden"
	}
	origin := "the start"
	if lorig.span >= 0 {
		origin = name(lorig.rep, lorig.seq)
	}
	return text + ", left origin " + origin
}

// TestSecondReaderReadsTexts reads states of random texts as docs/format-types.md says, until all shapes have come up.
func TestSecondReaderReadsTexts(t *testing.T) {
	seen := make(map[string]bool)
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 0))
		p := newGoldenPair(t)
		a, b := goldenRoots(t, p, crdt.NewText)
		for range 40 {
			i := random.IntN(2)
			h := []crdt.Text{a, b}[i]
			p.edit(i, "edit", func(tx runtime.Tx) error {
				n := h.Len(tx)
				if n > 4 && random.IntN(3) == 0 {
					return h.Delete(tx, random.IntN(n-2), 1+random.IntN(2))
				}
				return h.Insert(tx, random.IntN(n+1), "xyz"[:1+random.IntN(3)])
			})
			if random.IntN(6) == 0 {
				p.meet()
			}
		}
		p.meet()
		_ = p.seen.Canonical()
		var out strings.Builder
		d := &dumper{t: t, data: p.tap.saved["text"], out: &out}
		d.state("text")
		d.end()
		if want := runtime.Read(p.docs[0], a.String); !strings.Contains(out.String(), "text \""+want[:1]) || !strings.HasSuffix(string(d.data), want) {
			t.Fatalf("seed %d: text %q is not in\n%s", seed, want, out.String())
		}
		for _, name := range shapeNames {
			seen[name] = seen[name] || strings.Contains(out.String(), "  "+name+": ")
		}
		if !slices.ContainsFunc(shapeNames[:], func(name string) bool { return !seen[name] }) {
			return
		}
	}
	t.Errorf("shapes that have come up: %v", seen)
}
