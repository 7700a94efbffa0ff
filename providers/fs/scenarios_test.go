//go:build unix

package fs_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/providers/fs"
	"github.com/seed1312cc15/weft/runtime"
)

// TestScenario06NoGrowth compacts a hundred times: what is not needed any more does not pile up, in the file or beside it.
func TestScenario06NoGrowth(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, quiet)
	size := func() (n int64) {
		for _, e := range must(os.ReadDir(dir)) {
			n += must(e.Info()).Size()
		}
		return n
	}
	var first int64
	for round := range uint64(100) {
		p := put(t, s, "doc", strings.Repeat("record ", 2000), strings.Repeat("other ", 2000))
		snap(t, s, "doc", round+1, p[1], bytes.Repeat([]byte("state "), 5000))
		if err := s.Trim(t.Context(), "doc", p[1]); err != nil {
			t.Fatal(err)
		}
		if round%10 != 9 {
			continue
		}
		if err := s.Compact(t.Context()); err != nil {
			t.Fatal(err)
		}
		if first == 0 {
			first = size()
		}
	}
	if last := size(); last > first+first/4 {
		t.Errorf("%d bytes after ten rounds, %d after a hundred", first, last)
	}
	if len(must(os.ReadDir(dir))) > 3 {
		t.Errorf("%v", must(os.ReadDir(dir)))
	}
}

// TestS22NamesStayInside keeps documents under names that mean something to file systems, and under random ones: each is its own,
// comes back as it was, and no file appears anywhere.
func TestS22NamesStayInside(t *testing.T) {
	outer := t.TempDir()
	dir := filepath.Join(outer, "store")
	s := openStore(t, dir, quiet)
	before := must(os.ReadDir(dir))
	names := []string{"../x", "../../etc/passwd", "/abs", "..", ".", "a/b", "a", "b", "a:b", "c", "b:c", "a.b.*.>", "\x00", "a\x00b", "\xff\xfe",
		"store.db", "con", "C:\\x", "a\x00", "é", "e\u0301", strings.Repeat("n", 128)}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		b := make([]byte, 1+rng.IntN(128))
		for i := range b {
			b[i] = []byte("\x00/.a:\xff")[rng.IntN(6)]
		}
		names = append(names, string(b))
	}
	slices.Sort(names)
	names = slices.Compact(names)
	var records []providers.Record
	for _, n := range names {
		records = append(records, providers.Record{Document: n, Data: []byte("of " + n)})
	}
	if _, err := s.Append(t.Context(), records); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s = openStore(t, dir, quiet)
	var listed []string
	for n, err := range s.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		listed = append(listed, n)
	}
	slices.Sort(listed)
	if !slices.Equal(listed, names) {
		t.Errorf("%d names of %d", len(listed), len(names))
	}
	for _, n := range names {
		if got := contentsOf(must(s.Load(t.Context(), n))); got != "of "+n {
			t.Errorf("%q holds %q", n, got)
		}
	}
	if after := must(os.ReadDir(dir)); len(after) != len(before) || len(must(os.ReadDir(outer))) != 1 {
		t.Errorf("%v", after)
	}
	for _, n := range []string{"", strings.Repeat("n", 129), strings.Repeat("n", 10_000)} {
		if _, err := s.Append(t.Context(), []providers.Record{{Document: n, Data: []byte("x")}}); err == nil {
			t.Errorf("a name of %d bytes is taken", len(n))
		}
	}
}

// TestS29HostileFiles opens files that somebody sent: they are refused as updates from the network are, and stay as they are.
func TestS29HostileFiles(t *testing.T) {
	castagnoli := crc32.MakeTable(crc32.Castagnoli)
	sum := func(b, of []byte) []byte { return binary.LittleEndian.AppendUint32(b, crc32.Checksum(of, castagnoli)) }
	file := func(content []byte) []byte { // docs/format.md, section 4
		return append([]byte{0xda, 'w', 'e', 'f', 't', 0x59, byte(len(content) >> 8), byte(len(content))}, content...)
	}
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	const size = 100 << 20
	inflated := func(declared uint64) []byte {
		content := z.EncodeAll(make([]byte, size), binary.AppendUvarint([]byte{0x13, 0, 1}, declared))
		return file(sum(content, content))
	}
	section := func(canonical []byte) []byte {
		content := append(binary.AppendUvarint([]byte{0x13, 0, 0}, uint64(len(canonical))), canonical...)
		return file(sum(append(sum(content, content), 0), []byte{0}))
	}
	padded := func(b []byte) []byte { return append(b, make([]byte, 300)...) }
	huge := binary.AppendUvarint(nil, 1<<62)
	late := append(append([]byte{1}, bytes.Repeat([]byte{7}, 16)...), binary.AppendUvarint(nil, 1<<53-1)...)
	for name, data := range map[string][]byte{
		"a bomb":                     inflated(size),
		"a bomb that lies":           inflated(100_000),
		"2^62 replicas":              section(padded(slices.Clone(huge))),
		"a clock at its end":         section(padded(append(late, 1, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f))),
		"2^62 kinds":                 section(padded(append(append(append([]byte{1}, bytes.Repeat([]byte{7}, 16)...), 1, 1, 0, 1), huge...))),
		"something else":             []byte("%PDF-1.4 and so on, which is not a document of this kind at all"),
		"the beginning of something": {0xda, 'w', 'e', 'f', 't', 0x5b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x13, 0},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "sent.weft")
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			rt, err := runtime.New(&runtime.Options{Kinds: crdt.Kinds()})
			if err != nil {
				t.Fatal(err)
			}
			var m0, m1 goruntime.MemStats
			goruntime.ReadMemStats(&m0)
			f, err := fs.OpenFile(rt, path, nil)
			goruntime.ReadMemStats(&m1)
			if err == nil {
				f.Close()
				t.Fatal("opened")
			}
			if !errors.Is(err, providers.ErrDamaged) && !errors.Is(err, runtime.ErrLimit) && !errors.Is(err, runtime.ErrClockJump) {
				t.Error(err)
			}
			if n := m1.TotalAlloc - m0.TotalAlloc; n > 16*uint64(len(data))+4<<20 {
				t.Errorf("%d bytes allocated for %d", n, len(data))
			}
			if now := must(os.ReadFile(path)); !bytes.Equal(now, data) || len(rt.Clock()) > 0 {
				t.Error("something has changed")
			}
		})
	}
}
