package crdt_test

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
)

// dumper is a second reader of what docs/format-types.md describes, written from that page: it prints bytes with their
// meaning beside them.
type dumper struct {
	t    *testing.T
	data []byte
	at   int
	out  *strings.Builder
	own  bool // replica 0 is coded as a distance: operations
	dots int  // of the operation
}

// row prints n bytes and what they mean.
func (d *dumper) row(n int, format string, args ...any) {
	d.t.Helper()
	if d.at+n > len(d.data) {
		d.t.Fatalf("%s: %x ends at byte %d", fmt.Sprintf(format, args...), d.data, d.at)
	}
	text := fmt.Sprintf(format, args...)
	for first := true; first || n > 0; first = false {
		k := min(n, 16)
		line := fmt.Sprintf("%04x  %-48s  %s", d.at, fmt.Sprintf("% x", d.data[d.at:d.at+k]), text)
		d.out.WriteString(strings.TrimRight(line, " ") + "\n")
		d.at += k
		n -= k
		text = ""
	}
}

// note prints a line about bytes that were printed.
func (d *dumper) note(format string, args ...any) {
	fmt.Fprintf(d.out, "%56s  %s\n", "", fmt.Sprintf(format, args...))
}

func (d *dumper) left() int { return len(d.data) - d.at }

func (d *dumper) end() {
	d.t.Helper()
	if d.left() != 0 {
		d.t.Fatalf("%x: not read: % x", d.data, d.data[d.at:])
	}
}

func (d *dumper) peek(at int) (v uint64, n int) {
	d.t.Helper()
	v, n = binary.Uvarint(d.data[at:])
	if n <= 0 {
		d.t.Fatalf("%x: no uvarint at %d", d.data, at)
	}
	return v, n
}

func unzigzag(v uint64) int64 { return int64(v>>1) ^ -int64(v&1) }

func (d *dumper) uvarint(what string) uint64 {
	d.t.Helper()
	v, n := d.peek(d.at)
	d.row(n, "%s %d", what, v)
	return v
}

func (d *dumper) varint(what string) int64 {
	d.t.Helper()
	v, n := d.peek(d.at)
	d.row(n, "%s %+d", what, unzigzag(v))
	return unzigzag(v)
}

func (d *dumper) byte() byte {
	if d.left() == 0 {
		d.t.Fatalf("%x: ends too soon", d.data)
	}
	return d.data[d.at]
}

// dot prints a dot: in an operation replica 0 is the sender.
func (d *dumper) dot(what string) (rep, seq uint64) {
	d.t.Helper()
	rep, n := d.peek(d.at)
	seq, k := d.peek(d.at + n)
	if d.own && rep == 0 {
		d.row(n+k, "%s: own, %d back", what, seq)
	} else {
		d.row(n+k, "%s: replica %d, seq %d", what, rep, seq)
	}
	return rep, seq
}

// stamp prints a dot and its Lamport timestamp.
func (d *dumper) stamp(what string) {
	d.dot(what)
	d.varint("  Lamport timestamp - (seq + 1)")
}

// value prints one CBOR item.
func (d *dumper) value(what string) {
	d.t.Helper()
	text, rest, err := cbor.DiagnoseFirst(d.data[d.at:])
	if err != nil {
		d.t.Fatal(err)
	}
	d.row(d.left()-len(rest), "%s %s", what, text)
}

// counted prints bytes behind their length, which hold a CBOR item.
func (d *dumper) counted(what string) {
	d.t.Helper()
	n, k := d.peek(d.at)
	text, err := cbor.Diagnose(d.data[d.at+k : d.at+k+int(n)])
	if err != nil {
		d.t.Fatal(err)
	}
	d.row(k+int(n), "%s, %d bytes: %s", what, n, text)
}

// arguments prints the arguments of an object, which may be none.
func (d *dumper) arguments() {
	if d.byte() == 0 {
		d.row(1, "  no arguments")
		return
	}
	d.counted("  arguments")
}

func (d *dumper) kind() { d.uvarint("kind code") }

func (d *dumper) operation(kind string) {
	switch kind {
	case "counter":
		d.counterOp()
	case "register", "mvregister", "flag", "flag-dw":
		d.entryOp(false, true)
	case "set":
		d.entryOp(true, false)
	case "map":
		d.entryOp(true, true)
	case "objectmap":
		d.objectMapOp()
	case "objectset":
		d.objectSetOp()
	case "text", "list", "objectlist":
		d.sequenceOp(kind)
	default:
		d.t.Fatal(kind)
	}
}

func (d *dumper) counterOp() {
	if d.byte() == 1 {
		d.row(1, "add")
		d.varint("n")
		return
	}
	d.row(1, "reset")
	for range d.uvarint("replicas") {
		d.dot("last addition")
		d.varint("  total up to it")
	}
}

// entryOp prints an operation of a type whose entries are made by dots.
func (d *dumper) entryOp(keyed, values bool) {
	code := d.byte()
	d.row(1, "%s", [...]string{1: "write", "write over one", "write over several", "erase one", "erase several", "clear"}[code])
	switch code {
	case 2, 4:
		d.dot("replaced")
	case 3, 5, 6:
		d.runs()
	}
	if keyed && code != 6 {
		d.value("key")
	}
	if values && code <= 3 {
		d.value("value")
	}
}

// runs prints dots as runs, downwards by replica.
func (d *dumper) runs() {
	for range d.uvarint("replicas") {
		d.dot("  last dot")
		for more := true; more; {
			v, n := d.peek(d.at)
			more = v&1 != 0
			if d.row(n, "    dots of the run %d, another run: %v", v>>1+1, more); more {
				d.uvarint("    dots between - 1")
			}
		}
	}
}

func (d *dumper) objectMapOp() {
	code := d.byte()
	d.row(1, "%s", [...]string{1: "set", "set with arguments", "delete", "clear"}[code])
	if code <= 2 {
		d.kind()
	}
	if code <= 3 {
		d.counted("key")
	}
	if code == 2 {
		d.counted("arguments")
	}
	d.runs()
}

func (d *dumper) objectSetOp() {
	code := d.byte()
	d.row(1, "%s", [...]string{1: "add", "add with arguments", "remove"}[code])
	switch code {
	case 1:
		d.kind()
	case 2:
		d.kind()
		d.value("arguments")
	case 3:
		d.runs()
	}
}

func (d *dumper) sequenceOp(kind string) {
	head := d.byte()
	form := head >> 3 & 3
	switch head & 7 {
	case 0, 3:
		d.origin(head)
	case 1:
		d.row(1, "delete, %s", [...]string{"the previous dot", "an own dot", "an own run", "runs"}[form])
		d.deleted(form)
		return
	case 2, 5:
		name := map[byte]string{2: "set", 5: "restore"}[head&7]
		d.row(1, "%s, %s", name, [...]string{"the previous dot", "an own dot", "another's dot"}[form])
		switch form {
		case 1:
			d.uvarint("distance")
		case 2:
			d.dot("element")
		}
	case 4:
		d.row(1, "archive")
		for range d.uvarint("runs") {
			d.dot("  last dot")
			d.uvarint("  dots - 1")
		}
		for d.left() > 0 {
			d.dot("ends the restore")
		}
	}
	switch {
	case head&7 == 0 && kind == "text":
		d.row(d.left(), "text %q", d.data[d.at:])
	case head&7 == 0 && kind == "list":
		for range d.dots {
			d.value("value")
		}
	case head&7 == 0:
		d.kind()
		for range d.dots {
			d.arguments()
		}
	case head&7 == 2:
		d.value("value")
	case head&7 == 3:
		for d.left() > 0 {
			d.dot("elements, last dot")
			d.uvarint("  dots - 1")
		}
	}
}

func (d *dumper) origin(head byte) {
	name, side := "insert", "right"
	if head&7 == 3 {
		name = "move"
	}
	if head&8 != 0 {
		side = "left"
	}
	form := head >> 4 & 3
	d.row(1, "%s, %s child of %s", name, side, [...]string{"the previous dot", "the start", "an own dot", "another's dot"}[form])
	switch form {
	case 2:
		d.uvarint("distance")
	case 3:
		d.dot("parent")
	}
}

func (d *dumper) deleted(form byte) {
	switch form {
	case 1:
		d.uvarint("distance")
	case 2:
		d.uvarint("distance of the last dot")
		d.uvarint("dots - 2")
	case 3:
		for d.left() > 0 {
			d.dot("run, last dot")
			d.uvarint("  dots - 1")
		}
	}
}
