//go:build !js && !wasip1 && !plan9

package fs_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/providers/fs"
)

var rewriteStore = flag.Bool("rewritestore", false, "write testdata/store-1.0.db.gz anew: only for a format that was never released")

const goldenStore = "testdata/store-1.0.db.gz"

// goldenContents is what the golden store holds: trimmed records, two generations, a snapshot in parts, hard names.
var goldenContents = map[string]string{
	"plain":         " 1:first 2:second",
	"a/../\x00\xff": " 3:hard name",
	"trimmed":       "second state@6 7:t4",
	"large":         strings.Repeat("large ", 12_000) + "@11",
}

func writeGolden(t *testing.T, s *fs.Store) {
	put(t, s, "plain", "first", "second")
	put(t, s, "a/../\x00\xff", "hard name")
	p := put(t, s, "trimmed", "t1", "t2", "t3", "t4") // 4 to 7
	for i, state := range []string{"first state", "second state"} {
		snap(t, s, "trimmed", uint64(i+1), p[i+1], []byte(state)) // 8, 9
		if err := s.Trim(t.Context(), "trimmed", p[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	q := put(t, s, "large", "l1", "l2") // 10, 11
	snap(t, s, "large", 1, q[1], []byte(strings.Repeat("large ", 12_000)))
	if err := s.Trim(t.Context(), "large", q[1]); err != nil {
		t.Fatal(err)
	}
	lend(t, s, "plain")
}

func checkGolden(t *testing.T, s *fs.Store) {
	t.Helper()
	n := 0
	for name, err := range s.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if got := held(t, s, name); got != goldenContents[name] {
			t.Errorf("%q: %.100q", name, got)
		}
		n++
	}
	if r, err := s.Verify(t.Context()); err != nil || n != len(goldenContents) || r.Documents != n || r.Records != 5 || r.Snapshots != 3 || len(r.Damaged) > 0 {
		t.Errorf("%d documents, %+v, %v", n, r, err)
	}
}

func readGolden(t testing.TB) []byte {
	f, err := os.Open(goldenStore)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func withData(t testing.TB, data []byte) string {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "store.db"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestStoreGolden opens a store of format 1.0, which every later version does.
func TestStoreGolden(t *testing.T) {
	if *rewriteStore {
		s := openStore(t, t.TempDir(), quiet)
		writeGolden(t, s)
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		if err := errors.Join(s.Compact(t.Context()), s.Backup(t.Context(), z), z.Close(), os.WriteFile(goldenStore, b.Bytes(), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	data := readGolden(t)
	for _, o := range []*fs.StoreOptions{{ReadOnly: true}, quiet} {
		s := openStore(t, withData(t, data), o)
		checkGolden(t, s)
		if !o.ReadOnly {
			put(t, s, "plain", "it goes on")
		}
		s.Close()
	}
	dir := t.TempDir()
	s := openStore(t, dir, quiet)
	writeGolden(t, s)
	checkGolden(t, s)
	s.Close()
	checkGolden(t, openStore(t, dir, quiet))
}

// TestStoreOtherFormats refuses what this version does not know, and says so.
func TestStoreOtherFormats(t *testing.T) {
	for name, c := range map[string]struct {
		major, minor uint16
		critical     uint64
		says         string
	}{
		"next major":    {2, 0, 0, "format 2.0, made by tomorrow"},
		"feature":       {1, 3, 1 << 40, "features 0x10000000000"},
		"other major":   {0, 9, 0, "format 0.9"},
		"minor is fine": {1, 7, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := withData(t, readGolden(t))
			if err := fs.SetFormat(filepath.Join(dir, "store.db"), c.major, c.minor, c.critical); err != nil {
				t.Fatal(err)
			}
			s, err := fs.Open(dir, quiet)
			if c.says == "" {
				if err != nil {
					t.Fatal(err)
				}
				checkGolden(t, s)
				s.Close()
			} else if !errors.Is(err, fs.ErrFormat) || !strings.Contains(err.Error(), c.says) {
				t.Error(err)
			}
		})
	}
	if err := fs.WriteForeign(filepath.Join(t.TempDir(), "store.db")); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := fs.WriteForeign(filepath.Join(dir, "store.db")); err != nil {
		t.Fatal(err)
	}
	if _, err := fs.Open(dir, nil); !errors.Is(err, fs.ErrFormat) {
		t.Error("another program's file: ", err)
	}
}

// TestStoreMissingDataFile: a store whose file was removed is not taken for a new one.
func TestStoreMissingDataFile(t *testing.T) {
	dir := t.TempDir()
	openStore(t, dir, quiet).Close()
	os.Remove(filepath.Join(dir, "store.db"))
	for range 2 {
		if _, err := fs.Open(dir, nil); !errors.Is(err, fs.ErrFormat) {
			t.Error(err)
		}
	}
	if _, err := fs.Open(filepath.Join(dir, "none"), &fs.StoreOptions{ReadOnly: true}); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// TestStoreEveryBit flips bits all over a store. Whatever it is, what is served is right, and what is missing is said to be.
func TestStoreEveryBit(t *testing.T) {
	whole := readGolden(t)
	dir := withData(t, whole)
	f, err := os.OpenFile(filepath.Join(dir, "store.db"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	refused, damaged, harmless := 0, 0, 0
	for at := range whole {
		bit := byte(1) << (at * 5 % 8)
		if at%101 != 0 && (isZero(whole, at) || inLarge(whole, at)) || testing.Short() && at%7 != 0 {
			continue // much of the same
		}
		if _, err := f.WriteAt([]byte{whole[at] ^ bit}, int64(at)); err != nil {
			t.Fatal(err)
		}
		switch n, err := checkFlipped(t, dir); {
		case err != nil:
			t.Fatalf("byte %d, bit %02x: %v", at, bit, err)
		case n < 0:
			refused++
		case n > 0:
			damaged++
		default:
			harmless++
		}
		if at%53 == 0 {
			writeFlipped(t, whole, at, bit)
		}
		if _, err := f.WriteAt(whole[at:at+1], int64(at)); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("of %d flipped bits %d are refused at opening, %d damage documents, %d do no harm", refused+damaged+harmless, refused, damaged, harmless)
	if damaged == 0 || refused == 0 {
		t.Error("the flips hit nothing")
	}
}

// isZero reports whether the bytes around at are zero.
func isZero(b []byte, at int) bool {
	around := b[max(0, at-64):min(len(b), at+64)]
	return len(bytes.Trim(around, "\x00")) == 0
}

// inLarge reports whether at is in the middle of the large snapshot.
func inLarge(b []byte, at int) bool {
	return bytes.Contains(b[max(0, at-20):min(len(b), at+20)], []byte("large large large large large"))
}

// writeFlipped opens a store with a flipped bit for writing: if it opens, it takes writes, and opens again.
func writeFlipped(t *testing.T, whole []byte, at int, bit byte) {
	t.Helper()
	flipped := bytes.Clone(whole)
	flipped[at] ^= bit
	dir := withData(t, flipped)
	for i := range 2 {
		s, err := fs.Open(dir, quiet)
		if err != nil && i == 0 {
			return // refused, see checkFlipped
		}
		if err != nil {
			t.Fatalf("byte %d, bit %02x: opened and written, and then %v", at, bit, err)
		}
		put(t, s, "plain", "more")
		if err := errors.Join(s.Remove(t.Context(), "trimmed"), s.Compact(t.Context()), s.Close()); err != nil {
			t.Fatalf("byte %d, bit %02x: %v", at, bit, err)
		}
	}
}

// checkFlipped returns how many documents of the golden store are reported damaged, -1: the store is. The error says what is
// wrong without a report.
func checkFlipped(t *testing.T, dir string) (damaged int, err error) {
	var damage *providers.DamageError
	s, err := fs.Open(dir, &fs.StoreOptions{ReadOnly: true, ScrubEvery: -1})
	if errors.As(err, &damage) || errors.Is(err, fs.ErrFormat) {
		return -1, nil
	}
	if err != nil {
		return 0, err
	}
	defer s.Close()
	for name, want := range goldenContents {
		x, err := s.Load(t.Context(), name)
		switch {
		case errors.As(err, &damage):
			damaged++
		case err != nil:
			return 0, err
		default:
			// The snapshot before, or a record that it holds again, is as good, if it is said.
			got := describe(x)
			good := name == "trimmed" && len(s.Damaged()) > 0 && (got == "first state@5 6:t3 7:t4" || got == "second state@6 6:t3 7:t4")
			if got != want && !good {
				return 0, fmt.Errorf("%q holds %.100q", name, got)
			}
		}
	}
	if _, err := s.Verify(t.Context()); err != nil {
		return 0, err
	}
	return damaged, nil
}

// TestStoreBackupWhileWriting restores a copy that was made among writes.
func TestStoreBackupWhileWriting(t *testing.T) {
	s := openStore(t, t.TempDir(), quiet)
	for i := range 300 {
		put(t, s, fmt.Sprint("doc", i%7), fmt.Sprint("record ", i))
	}
	written := make(chan struct{})
	go func() {
		defer close(written)
		for i := 300; i < 600; i++ {
			put(t, s, fmt.Sprint("doc", i%7), fmt.Sprint("record ", i))
		}
	}()
	var b bytes.Buffer
	if err := s.Backup(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	<-written
	first := s.Boot()
	restored := openStore(t, withData(t, b.Bytes()), quiet)
	for d := range 7 {
		before, now := held(t, restored, fmt.Sprint("doc", d)), held(t, s, fmt.Sprint("doc", d))
		if !strings.HasPrefix(now, before) || strings.Count(before, "record") < 300/7 {
			t.Errorf("doc%d: %q is no beginning of %q", d, before, now)
		}
	}
	second := restored.Boot()
	if second.Store != first.Store || second.ID == first.ID || second.Count != first.Count+1 || second.Moved == "" || !second.Unclean {
		t.Errorf("%+v, %+v", first, second)
	}
}

func TestStoreCompact(t *testing.T) {
	for _, how := range []string{"on call", "at open"} {
		t.Run(how, func(t *testing.T) {
			dir := t.TempDir()
			s := openStore(t, dir, quiet)
			var last uint64
			for i := range 40 {
				last = put(t, s, "doc", strings.Repeat(fmt.Sprint(i), 50_000))[0]
			}
			put(t, s, "other", "stays")
			for n := range uint64(2) {
				snap(t, s, "doc", n+1, last, []byte("state"))
			}
			if err := s.Trim(t.Context(), "doc", last); err != nil {
				t.Fatal(err)
			}
			want := held(t, s, "doc") + held(t, s, "other")
			before, err := os.Stat(filepath.Join(dir, "store.db"))
			if err != nil {
				t.Fatal(err)
			}
			if how == "on call" {
				if err := s.Compact(t.Context()); err != nil {
					t.Fatal(err)
				}
			} else {
				s.Close()
				s = openStore(t, dir, &fs.StoreOptions{CompactBytes: 1 << 20, ScrubEvery: -1})
			}
			after, err := os.Stat(filepath.Join(dir, "store.db"))
			if err != nil || after.Size() > before.Size()/2 {
				t.Errorf("%d bytes of %d", after.Size(), before.Size())
			}
			if got := held(t, s, "doc") + held(t, s, "other"); got != want {
				t.Error(got)
			}
			put(t, s, "doc", "it goes on")
			s.Close()
			s = openStore(t, dir, quiet)
			if got := held(t, s, "doc"); !strings.HasSuffix(got, ":it goes on") || s.Boot().Unclean {
				t.Error(got)
			}
		})
	}
}
