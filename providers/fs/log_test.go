package fs_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/seed1312cc15/weft/providers/fs"
	"github.com/seed1312cc15/weft/vclock"
)

// golden is a log as version 1.0 wrote it: it can be read for ever. docs/files.md shows these very bytes.
const golden = `
	89 77656674 6c6f67           magic
	01 00                        version 1.0
	0000                         no critical features
	78563412                     mark 0x12345678
	0a000000 0000 0000 0000 00000000000a   session
	0b000000 0000 0000 0000 00000000000b   device
	d914bb45                     CRC32C of the 48 bytes before

	78563412                     mark
	05000000                     length of the payload
	b35e6c85                     CRC32C of offset, mark, length, payload
	68656c6c6f                   payload

	78563412
	01000000
	a4cb1a6f
	21
`

func goldenBytes(t testing.TB) []byte {
	var b strings.Builder
	for line := range strings.Lines(golden) {
		for _, word := range strings.Fields(line) {
			if _, err := hex.DecodeString(word); err != nil || len(word) == 0 {
				break
			}
			b.WriteString(word)
		}
	}
	out, err := hex.DecodeString(b.String())
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestLogFormatIsPinned(t *testing.T) {
	h := &fs.LogHeader{Mark: 0x12345678, Session: vclock.Replica{0: 10, 15: 10}, Device: uuid.UUID{0: 11, 15: 11}}
	got := fs.AppendLog(h, []byte("hello"), []byte("!"))
	if !bytes.Equal(got, goldenBytes(t)) {
		t.Errorf("%x", got)
	}
	payloads, _, err := fs.ReadLog(goldenBytes(t))
	if err != nil || len(payloads) != 2 || string(payloads[0]) != "hello" {
		t.Error(payloads, err)
	}
	doc, err := os.ReadFile("../../docs/files.md")
	if err != nil || !strings.Contains(strings.ReplaceAll(string(doc), "\t", ""), strings.TrimSpace(strings.ReplaceAll(golden, "\t", ""))) {
		t.Error("docs/files.md shows other bytes", err)
	}
}

// Every single bit that changes is found, at the place where it is.
func TestLogFindsEveryBit(t *testing.T) {
	good := goldenBytes(t)
	starts := []int64{0, 52, 69, 82}
	for bit := range 8 * len(good) {
		bad := bytes.Clone(good)
		bad[bit/8] ^= 1 << (bit % 8)
		payloads, at, err := fs.ReadLog(bad)
		n := 0
		for starts[n+1] <= int64(bit/8) {
			n++
		}
		if bit/8 == 9 && err == nil {
			t.Errorf("bit %d: the minor version is not covered", bit)
		}
		if err == nil || at != starts[n] || len(payloads) != max(0, n-1) {
			t.Fatalf("bit %d: %q, offset %d, %v", bit, payloads, at, err)
		}
		if last := n == 2; errors.Is(err, fs.ErrTorn) != last && n > 0 {
			t.Fatalf("bit %d: %v", bit, err)
		}
	}
}

// A record that stands in another log, or elsewhere in its own, is none.
func TestLogRecordsStayWhereTheyAre(t *testing.T) {
	good := goldenBytes(t)
	other := fs.AppendLog(&fs.LogHeader{Mark: 7})
	for _, b := range [][]byte{append(bytes.Clone(good), good[52:]...), append(other, good[52:]...), append(bytes.Clone(good[:52]), good[69:]...)} {
		if _, _, err := fs.ReadLog(b); !errors.Is(err, fs.ErrTorn) {
			t.Error(err)
		}
	}
}

func FuzzLog(f *testing.F) {
	f.Add(goldenBytes(f))
	f.Add(fs.AppendLog(&fs.LogHeader{Mark: 1}, bytes.Repeat([]byte{1, 0, 0, 0}, 100)))
	f.Fuzz(func(t *testing.T, b []byte) {
		payloads, at, err := fs.ReadLog(b)
		n := 0
		for _, p := range payloads {
			n += len(p) + 12
		}
		if at > int64(len(b)) || len(payloads) > 0 && int64(n+52) != at || err == nil && at != int64(len(b)) {
			t.Fatal(len(payloads), n, at, err)
		}
	})
}

func TestDotsAreASet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var have [40]bool
		var spans [][2]uint64
		for range rapid.IntRange(0, 12).Draw(t, "spans") {
			from := rapid.Uint64Range(0, 38).Draw(t, "from")
			to := rapid.Uint64Range(from, min(from+6, 39)).Draw(t, "to")
			spans = append(spans, [2]uint64{from, to})
			for i := from; i < to; i++ {
				have[i] = true
			}
		}
		prefix, runs := 0, 0
		for prefix < len(have) && have[prefix] {
			prefix++
		}
		for i, x := range have {
			if x && (i == 0 || !have[i-1]) {
				runs++
			}
		}
		if p, n := fs.Prefix(spans); p != uint64(prefix) || n != runs {
			t.Fatal(p, n, prefix, runs)
		}
	})
}
