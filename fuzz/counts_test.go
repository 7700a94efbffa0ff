package fuzz_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"os"
	goruntime "runtime"
	"testing"

	"github.com/seed1312cc15/weft/fuzz"
	"github.com/seed1312cc15/weft/runtime"
)

// TestDeclaredCounts puts a count of 2^26 at each place of every golden state, delta and message, and makes the checksum right: what a decoder allocates is bounded by what there is, whatever that declares.
func TestDeclaredCounts(t *testing.T) {
	for _, s := range fuzz.Schemas() {
		text, err := os.ReadFile(goldenPath(s.String(), ".txt"))
		if err != nil {
			t.Fatal(err)
		}
		g := parseGolden(t, string(text))
		check := func(form string, before, forms [][]byte, least uint64) { // with less the decoders are not reached
			receivers := make([]*runtime.Runtime, len(forms))
			for i := range receivers {
				receivers[i] = empty(t)
				for _, u := range before {
					take(t, receivers[i], u)
				}
			}
			var m0, m1 goruntime.MemStats
			goruntime.ReadMemStats(&m0)
			for i, data := range forms {
				receivers[i].Receive(data)
			}
			goruntime.ReadMemStats(&m1)
			if mean := (m1.TotalAlloc - m0.TotalAlloc) / uint64(len(forms)); mean > 64<<10 || mean < least {
				t.Errorf("%s, %s: %d bytes allocated on average", s, form, mean)
			}
		}
		check("state", nil, withCounts(t, g.forms["canonical"][0]), 300)
		check("delta", g.forms["base"], withCounts(t, g.forms["delta"][0]), 300)
		for i, m := range g.forms["message"] {
			check("message", g.forms["message"][:i], countsAt(m, 20, len(m), func([]byte) {}), 0)
		}
	}
}

// withCounts returns the forms of an uncompressed state that have another count at a place of the canonical section:
// docs/format.md, section 4. What the count covers is gone, so that no length changes.
func withCounts(t *testing.T, data []byte) (all [][]byte) {
	t.Helper()
	from := 5 + map[byte]int{0x58: 2, 0x59: 3}[data[5]]
	flags := data[from+2]
	at := from + 3
	if flags&1 != 0 {
		t.Fatal("it is compressed")
	}
	if flags&2 != 0 {
		at += 16
	}
	size, n := binary.Uvarint(data[at:])
	at += n
	end := at + int(size)
	return countsAt(data, at, end, func(b []byte) {
		binary.LittleEndian.PutUint32(b[end:], crc32.Checksum(b[from:end], crc32.MakeTable(crc32.Castagnoli)))
	})
}

func countsAt(data []byte, from, to int, seal func(b []byte)) (all [][]byte) {
	for at := from; at+4 <= to; at++ {
		b := bytes.Clone(data)
		copy(b[at:], "\xff\xff\xff\x1f")
		seal(b)
		all = append(all, b)
	}
	return all
}
