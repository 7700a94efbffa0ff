package runtime_test

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/seed1312cc15/weft/vclock"
)

// This file reads and writes updates by docs/format.md alone: a second implementation, for golden files and for messages
// that no honest replica would send.

// wire is a message taken apart.
type wire struct {
	flags         byte
	sender        vclock.Replica
	start, count  uint64
	lamport       uint64
	document      vclock.Replica
	wall          uint64
	deps          int
	table         []wireDot
	ext           []byte
	objects, rest []byte // as they stand
}

type wireDot struct {
	id  vclock.Replica
	seq uint64
}

// cursor reads bytes and notes what they mean. It panics where the input ends early.
type cursor struct {
	b   []byte
	off int
	out *strings.Builder
}

func (c *cursor) note(from int, format string, a ...any) {
	if c.out == nil {
		return
	}
	text := fmt.Sprintf(format, a...)
	for first := true; from < c.off || first; first = false {
		n := min(16, c.off-from)
		fmt.Fprintf(c.out, "%04x  %-48s  %s\n", from, fmt.Sprintf("% x", c.b[from:from+n]), text)
		from += n
		text = ""
	}
}

func (c *cursor) take(n int, what string) []byte {
	from := c.off
	c.off += n
	if what != "" {
		c.note(from, "%s", what)
	}
	return c.b[from:c.off]
}

func (c *cursor) uvarint(what string) uint64 {
	from := c.off
	v, n := binary.Uvarint(c.b[c.off:])
	c.off += n
	if what != "" {
		c.note(from, "%s %d", what, v)
	}
	return v
}

func (c *cursor) varint(what string) int64 {
	from := c.off
	u := c.uvarint("")
	v := int64(u>>1) ^ -int64(u&1)
	c.note(from, "%s %+d", what, v)
	return v
}

func (c *cursor) id(what string) (id vclock.Replica) {
	copy(id[:], c.take(16, what))
	return id
}

func (c *cursor) bytes(what string) []byte {
	from := c.off
	n := int(c.uvarint(""))
	b := c.take(n, "")
	c.note(from, "%s, %d bytes %q", what, n, b)
	return b
}

// head reads the head of a byte string.
func (c *cursor) head() {
	from, low := c.off, c.b[c.off]&31
	c.off++
	n := int(low)
	switch low {
	case 24:
		n = int(c.take(1, "")[0])
	case 25:
		n = int(binary.BigEndian.Uint16(c.take(2, "")))
	case 26:
		n = int(binary.BigEndian.Uint32(c.take(4, "")))
	}
	c.note(from, "byte string of %d", n)
}

func parse(t testing.TB, m []byte) *wire {
	t.Helper()
	return parseAt(&cursor{b: m})
}

func parseAt(c *cursor) *wire {
	w := &wire{count: 1}
	c.head()
	c.take(1, "message, version 1")
	w.flags = c.take(1, "")[0]
	c.off--
	c.take(1, "flags"+flagNames(w.flags))
	w.sender = c.id("sender")
	w.start = c.uvarint("start")
	if w.flags&0x08 != 0 {
		w.count = c.uvarint("dots")
	}
	w.lamport = w.start + 1
	if w.flags&0x02 != 0 {
		w.lamport += uint64(c.varint("lamport - (start + 1)"))
	}
	if w.flags&0x10 != 0 {
		w.document = c.id("document")
	}
	if w.flags&0x20 != 0 {
		w.wall = c.uvarint("wall time, ms")
	}
	if w.flags&0x01 != 0 {
		w.deps = int(c.uvarint("dependencies"))
		refs := int(c.uvarint("other replicas"))
		for range w.deps + refs {
			w.table = append(w.table, wireDot{c.id("table entry"), c.uvarint("  its greatest seq")})
		}
	}
	if w.flags&0x40 != 0 {
		w.ext = c.bytes("extensions")
	}
	from := c.off
	c.objects()
	w.objects = c.b[from:c.off]
	from = c.off
	if w.flags&0x04 == 0 {
		c.take(len(c.b)-c.off, fmt.Sprintf("payload %q", c.b[c.off:]))
	} else {
		for range c.uvarint("operations") {
			at := c.off
			head := c.uvarint("")
			dots := uint64(1)
			if head&1 != 0 {
				dots = c.uvarint("")
			}
			c.note(at, "operation on object %d, %d dots", head>>1, dots)
			c.bytes("  payload")
		}
	}
	w.rest = c.b[from:c.off]
	return w
}

func flagNames(f byte) string {
	out := ""
	for i, n := range []string{"table", "lamport", "several", "dots", "document", "wall", "extensions", "critical"} {
		if f>>i&1 != 0 {
			out += " " + n
		}
	}
	return out
}

func (c *cursor) objects() {
	for more := true; more; {
		from := c.off
		tag := c.uvarint("")
		more = tag&1 != 0
		class := []string{"root", "made", "implicit", "?"}[tag>>1&3]
		c.note(from, "object: %s, kind code %d, more: %v", class, tag>>3, more)
		if tag>>3 == 0 {
			c.bytes("  kind")
		}
		switch class {
		case "root":
			c.bytes("  name")
		case "made":
			c.uvarint("  replica")
			c.uvarint("  seq")
		case "implicit":
			c.uvarint("  parent, entries back - 1:")
			c.bytes("  key")
		}
	}
}

func uv(b []byte, v uint64) []byte { return binary.AppendUvarint(b, v) }

func zz(v int64) uint64 { return uint64(v)<<1 ^ uint64(v>>63) }

// encode writes the message again; flags follow from the fields.
func (w *wire) encode() []byte {
	flags := w.flags &^ 0x7b
	for i, set := range []bool{len(w.table) > 0, w.lamport != w.start+1, false, w.count != 1, w.document != uuid.Nil, w.wall != 0, w.ext != nil} {
		if set {
			flags |= 1 << i
		}
	}
	b := append([]byte{0x11, flags}, w.sender[:]...)
	b = uv(b, w.start)
	if flags&0x08 != 0 {
		b = uv(b, w.count)
	}
	if flags&0x02 != 0 {
		b = uv(b, zz(int64(w.lamport)-int64(w.start)-1))
	}
	if flags&0x10 != 0 {
		b = append(b, w.document[:]...)
	}
	if flags&0x20 != 0 {
		b = uv(b, w.wall)
	}
	if flags&0x01 != 0 {
		b = uv(uv(b, uint64(w.deps)), uint64(len(w.table)-w.deps))
		for _, d := range w.table {
			b = uv(append(b, d.id[:]...), d.seq)
		}
	}
	if flags&0x40 != 0 {
		b = append(uv(b, uint64(len(w.ext))), w.ext...)
	}
	return bstrOf(append(append(b, w.objects...), w.rest...))
}

// bstrOf puts the shortest head of a byte string in front.
func bstrOf(b []byte) []byte {
	switch n := len(b); {
	case n < 24:
		return append([]byte{0x40 | byte(n)}, b...)
	case n < 1<<8:
		return append([]byte{0x58, byte(n)}, b...)
	case n < 1<<16:
		return append([]byte{0x59, byte(n >> 8), byte(n)}, b...)
	default:
		return append(binary.BigEndian.AppendUint32([]byte{0x5a}, uint32(n)), b...)
	}
}

var crcTable = crc32.MakeTable(crc32.Castagnoli)

func crc(b []byte) []byte {
	return binary.LittleEndian.AppendUint32(nil, crc32.Checksum(b, crcTable))
}

// parts of an uncompressed state or delta, or of a bundle.
type stateParts struct {
	head             []byte // format, features, flags, document
	canonical, local []byte
}

func splitState(t testing.TB, s []byte) stateParts {
	t.Helper()
	c := &cursor{b: s}
	c.take(5, "")
	c.head()
	from := c.off
	c.take(3, "")
	if c.b[c.off-1]&1 != 0 {
		t.Fatal("compressed")
	}
	if c.b[c.off-1]&2 != 0 {
		c.take(16, "")
	}
	p := stateParts{head: c.b[from:c.off]}
	p.canonical = c.bytes("")
	c.take(4, "")
	p.local = c.bytes("")
	return p
}

// encode seals the parts with right checksums and lengths.
func (p stateParts) encode() []byte {
	b := append([]byte{}, p.head...)
	b = append(uv(b, uint64(len(p.canonical))), p.canonical...)
	b = append(b, crc(b)...)
	local := append(uv(nil, uint64(len(p.local))), p.local...)
	b = append(append(b, local...), crc(local)...)
	return append([]byte{0xda, 'w', 'e', 'f', 't'}, bstrOf(b)...)
}

// dump returns the bytes of an update with their meaning.
func dump(u []byte) string {
	c := &cursor{b: u, out: &strings.Builder{}}
	if u[0] != 0xda {
		parseAt(c)
		return c.out.String()
	}
	c.take(5, "tag \"weft\"")
	c.head()
	switch format := c.take(1, "")[0]; format {
	case 0x12:
		c.off--
		c.take(1, "bundle, version 1")
		c.dumpBundle()
	default:
		c.off--
		c.take(1, map[byte]string{0x13: "state, version 1", 0x14: "delta, version 1"}[format])
		c.dumpState(format == 0x14)
	}
	if c.off != len(u) {
		c.take(len(u)-c.off, "?")
	}
	return c.out.String()
}

func (c *cursor) dumpBundle() {
	c.uvarint("features")
	n := c.uvarint("messages")
	ids, objects := 0, 0
	number := func(what string) bool {
		from := c.off
		v := c.uvarint("")
		c.note(from, "%s: replica %d, spelled out: %v", what, v>>1, v&1 != 0)
		if v>>1 == uint64(ids) {
			c.take(16, "  a new ID")
			ids++
		}
		return v&1 != 0
	}
	for range n {
		spelled := number("sender")
		flags := c.b[c.off]
		c.take(1, "flags"+flagNames(flags))
		if flags&0x01 != 0 {
			c.packedDeps(number)
			for range c.uvarint("other replicas") {
				if number("table entry") {
					c.uvarint("  its greatest seq")
				}
			}
		}
		if spelled {
			c.uvarint("start")
		}
		if flags&0x08 != 0 {
			c.uvarint("dots")
		}
		if flags&0x02 != 0 {
			c.varint("lamport - expected")
		}
		if flags&0x10 != 0 {
			c.id("document")
		}
		if flags&0x20 != 0 {
			c.uvarint("wall time, ms")
		}
		if flags&0x40 != 0 {
			c.bytes("extensions")
		}
		if c.uvarint("object table") == uint64(objects) {
			from := c.off
			size := c.uvarint("")
			c.note(from, "  a new one, %d bytes", size)
			c.objects()
			objects++
		}
		c.bytes("operations")
	}
	c.take(4, "CRC32C")
}

func (c *cursor) packedDeps(number func(what string) bool) {
	from := c.off
	list := func() {
		for range c.uvarint("how many") {
			if number("dependency") {
				c.uvarint("  its greatest seq")
			}
		}
	}
	switch head := c.uvarint(""); {
	case head == 0:
		c.note(from, "no dependencies")
	case head == 1:
		c.note(from, "dependencies one by one")
		list()
	default:
		c.note(from, "dependencies by place: %d back, with differences: %v", (head-3)>>1, head&1 == 0)
		if head&1 == 0 {
			for range c.uvarint("not among them") {
				c.uvarint("  gap")
			}
			list()
		}
	}
}

func (c *cursor) dumpState(delta bool) {
	c.uvarint("features")
	flags := c.b[c.off]
	c.take(1, "flags")
	if flags&2 != 0 {
		c.id("document")
	}
	c.uvarint("canonical section, bytes")
	n := int(c.uvarint("replicas"))
	for range n {
		c.id("replica")
	}
	for i := range n {
		c.uvarint(fmt.Sprintf("end of replica %d:", i))
	}
	live := false
	if delta {
		for i := range n {
			c.uvarint(fmt.Sprintf("dots of replica %d beyond the base:", i))
		}
		live = c.b[c.off] == 1
		c.take(1, map[bool]string{false: "mode: deletions", true: "mode: live dots"}[live])
	}
	for range c.uvarint("heads") {
		c.uvarint("head, or distance")
	}
	c.uvarint("lamport")
	for range c.uvarint("kinds") {
		if c.uvarint("kind code") == 0 {
			c.bytes("  kind")
		}
	}
	keys := uint64(0)
	for range c.uvarint("objects") {
		from := c.off
		tag := c.uvarint("")
		c.note(from, "object: class %d, section: %v, kind %d", tag&3, tag&4 == 0, tag>>3)
		switch tag & 3 {
		case 0:
			c.bytes("  name")
		case 1:
			c.uvarint("  replica")
			c.uvarint("  seq")
		case 2:
			c.uvarint("  parent, entries back:")
			if i := c.uvarint("  key number"); i == 0 {
				c.bytes("  key")
				keys++
			}
		}
		if tag&4 != 0 {
			continue
		}
		size := int(c.uvarint("  section, bytes"))
		end := c.off + size
		if size > 0 {
			for range c.uvarint("    replicas") {
				c.uvarint("      replica")
			}
			if delta {
				c.dumpDeletions(live)
			}
			c.take(end-c.off, "    state")
		}
	}
	c.take(4, "CRC32C")
	c.uvarint("local section, bytes")
	for len(c.b)-c.off > 4 {
		c.uvarint("record")
		c.bytes("  content")
	}
	c.take(4, "CRC32C")
}

func (c *cursor) dumpDeletions(live bool) {
	if live {
		for range c.uvarint("    live runs") {
			c.uvarint("      replica")
			c.uvarint("      gap")
			c.uvarint("      length - 1:")
		}
		return
	}
	for range c.uvarint("    deletion runs") {
		from := c.off
		switch head := c.uvarint(""); head & 3 {
		case 0:
			c.note(from, "      form 0: of the dot before; deleter - end of the run before: zigzag code %d", head>>2)
			continue
		case 1:
			c.note(from, "      form 1; deleter - end of the run before: zigzag code %d", head>>2)
		default:
			c.note(from, "      form %d, deleter's replica %d", head&3, head>>2)
			c.uvarint("      target replica")
			c.uvarint("      deleter seq")
		}
		c.varint("      deleter - target:")
		c.uvarint("      3 * (length - 1) + shape:")
	}
}
