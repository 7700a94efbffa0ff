//go:build linux

package fs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/providers/fs"
	"github.com/seed1312cc15/weft/vclock"
)

// writeToFault appends until that fails, and checks that nothing is written from then on.
func writeToFault(t *testing.T, dir string) {
	s := openStore(t, dir, &fs.StoreOptions{ScrubEvery: -1})
	ctx := context.Background()
	var err error
	for i := 0; err == nil && i < 1000; i++ {
		c := fmt.Sprintf("%d.", i)
		if _, err = s.Append(ctx, []providers.Record{{Document: "doc", Data: []byte(c)}}); err == nil {
			fmt.Println("ack doc", c)
		}
	}
	fmt.Println("failed:", err)
	_, err1 := s.Append(ctx, []providers.Record{{Document: "doc", Data: []byte("x")}})
	err2 := s.Snapshot(ctx, "doc", &providers.Snapshot{Clock: vclock.Clock{{1}: 1}, State: []byte("x")})
	_, _, err3 := s.Lend(ctx, "doc")
	for _, err := range []error{err, err1, err2, err3, s.Compact(ctx)} {
		if !errors.Is(err, providers.ErrStoreFailed) || !errors.Is(err, syscall.EIO) && !errors.Is(err, syscall.ENOSPC) {
			t.Error(err)
		}
	}
	if _, err := s.Load(ctx, "doc"); err != nil {
		t.Error("reading: ", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestStoreFailedCall has the system refuse one sync or write, as a bad disk does. A sync that lacks room after the last page was
// written is such a failure too: readers see what may not be on the disk.
func TestStoreFailedCall(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("CI is set, and strace is not there")
		}
		t.Skip("strace is not there")
	}
	for _, inject := range []string{"fdatasync:error=EIO:when=9", "fdatasync:error=ENOSPC:when=10", "pwrite64:error=EIO:when=15", "pwrite64:error=EIO:when=16"} {
		t.Run(inject[:strings.IndexByte(inject, ':')]+inject[len(inject)-2:], func(t *testing.T) {
			base := t.TempDir()
			dir, trace := filepath.Join(base, "store"), filepath.Join(base, "trace")
			cmd := storeChild(t, "fault "+dir, strace, "-f", "-o", trace, "-e", "trace=pwrite64,fdatasync,fsync,ftruncate", "-e", "inject="+inject)
			out, err := cmd.Output()
			if err != nil || !bytes.Contains(out, []byte("failed: ")) {
				t.Fatalf("%v\n%s", err, out)
			}
			calls, err := os.ReadFile(trace)
			if err != nil {
				t.Fatal(err)
			}
			_, after, found := strings.Cut(string(calls), "(INJECTED)")
			for _, call := range []string{"pwrite64(", "fdatasync(", "fsync(", "ftruncate("} {
				if !found || strings.Contains(after, call) {
					t.Errorf("after the failed call there is another %s", call)
				}
			}
			said := acks{}
			for line := range strings.Lines(string(out)) {
				said.add(line)
			}
			s := openStore(t, dir, quiet)
			if lost, err := said.missing(t.Context(), s); err != nil || lost != "" || len(said["doc"]) < 1 {
				t.Errorf("lost %q of %d, %v", lost, len(said["doc"]), err)
			}
			put(t, s, "doc", "it takes writes again")
		})
	}
}

// mount mounts a small file system, where this process may.
func mount(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("weft", dir, "tmpfs", 0, options); err != nil {
		t.Skip("this process may not mount: ", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

func TestStoreFullDisk(t *testing.T) {
	for _, reserve := range []int64{-1, 2 << 20} {
		t.Run(fmt.Sprint("reserve=", reserve), func(t *testing.T) {
			disk := mount(t, "size=8m")
			dir := filepath.Join(disk, "store")
			ballast := filepath.Join(disk, "ballast")
			if err := os.WriteFile(ballast, make([]byte, 3<<20), 0o600); err != nil {
				t.Fatal(err)
			}
			s := openStore(t, dir, &fs.StoreOptions{ScrubEvery: -1, Reserve: reserve})
			n, err := fill(t, s, 10_000)
			if !errors.Is(err, providers.ErrStoreFull) || errors.Is(err, providers.ErrStoreFailed) || n < 10 {
				t.Fatalf("after %d records: %v", n, err)
			}
			checkFilled(t, s, n)
			if reserve > 0 { // room for what makes room
				x, err := s.Load(t.Context(), "fill")
				if err != nil {
					t.Fatal(err)
				}
				last := x.Records[n-1].Position
				snap(t, s, "fill", 1, last, make([]byte, 200_000))
				if err := s.Trim(t.Context(), "fill", last); err != nil {
					t.Fatal(err)
				}
				if err := s.Compact(t.Context()); err != nil {
					t.Fatal(err)
				}
				put(t, s, "fill", "there is room again")
				return
			}
			if err := os.Remove(ballast); err != nil {
				t.Fatal(err)
			}
			put(t, s, "after", "there is room again")
			s.Close()
			s = openStore(t, dir, quiet)
			checkFilled(t, s, n)
		})
	}
}

func TestStoreReadOnlyDisk(t *testing.T) {
	disk := mount(t, "size=8m")
	dir := filepath.Join(disk, "store")
	s := openStore(t, dir, quiet)
	put(t, s, "doc", "x")
	id, _, err := s.Lend(t.Context(), "doc")
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	if err := syscall.Mount("", disk, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := fs.Open(dir, nil); !errors.Is(err, syscall.EROFS) {
		t.Error(err)
	}
	s = openStore(t, dir, &fs.StoreOptions{ReadOnly: true})
	checkReadOnly(t, s)
	s.Close()
	if err := syscall.Mount("", disk, "", syscall.MS_REMOUNT, ""); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, dir, quiet)
	if again, _, err := s.Lend(t.Context(), "doc"); err != nil || again != id {
		t.Error(again, err)
	}
}

func checkReadOnly(t *testing.T, s *fs.Store) {
	t.Helper()
	ctx := t.Context()
	if got := held(t, s, "doc"); !strings.HasSuffix(got, ":x") {
		t.Error(got)
	}
	_, err1 := s.Append(ctx, []providers.Record{{Document: "doc", Data: []byte("y")}})
	_, _, err2 := s.Lend(ctx, "doc")
	err3 := s.Snapshot(ctx, "doc", &providers.Snapshot{Clock: vclock.Clock{{1}: 1}, State: []byte("x")})
	for _, err := range []error{err1, err2, err3, s.Trim(ctx, "doc", 0), s.Compact(ctx), s.Remove(ctx, "doc"), s.Drop(ctx, "doc")} {
		if !errors.Is(err, fs.ErrReadOnly) {
			t.Error(err)
		}
	}
	if r, err := s.Verify(ctx); err != nil || r.Records != 1 {
		t.Error(r, err)
	}
	var copied bytes.Buffer
	if err := s.Backup(ctx, &copied); err != nil || copied.Len() == 0 {
		t.Error(err)
	}
}

// TestStoreTruncated cuts the file under an open store, and under one that is opened after: reading what is gone is a fault
// of the processor.
func TestStoreTruncated(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, quiet)
	var last []uint64
	for i := range 200 {
		last = put(t, s, fmt.Sprint("doc", i%10), strings.Repeat(fmt.Sprintf("%03d", i), 2000))
	}
	snap(t, s, "doc0", 1, last[0], make([]byte, 500_000))
	path := filepath.Join(dir, "store.db")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	damaged := 0
	for size := info.Size() / 4096 * 4096; size >= 4096; size -= 16 * 4096 {
		if err := os.Truncate(path, size); err != nil {
			t.Fatal(err)
		}
		for i := range 10 {
			var damage *providers.DamageError
			x, err := s.Load(t.Context(), fmt.Sprint("doc", i))
			switch {
			case errors.As(err, &damage):
				damaged++
			case err != nil:
				t.Fatalf("%d bytes: %v", size, err)
			case len(x.Records) != 20:
				t.Fatalf("%d bytes: %d records", size, len(x.Records))
			}
		}
	}
	if damaged == 0 {
		t.Error("nothing was found damaged")
	}
	if _, err := s.Append(t.Context(), []providers.Record{{Document: "doc", Data: []byte("x")}}); err == nil {
		t.Error("taken")
	}
	if _, err := s.Verify(t.Context()); err != nil {
		t.Error(err)
	}
	s.Close()
	for _, size := range []int64{0, 1, 4096, 8192, info.Size() / 2} {
		if err := os.Truncate(path, size); err != nil {
			t.Fatal(err)
		}
		var damage *providers.DamageError
		for _, readOnly := range []bool{false, true} {
			if _, err := fs.Open(dir, &fs.StoreOptions{ReadOnly: readOnly}); !errors.As(err, &damage) {
				t.Errorf("%d bytes: %v", size, err)
			}
		}
	}
}

func TestStoreQuota(t *testing.T) {
	s := openStore(t, t.TempDir(), &fs.StoreOptions{ScrubEvery: -1, Quota: 1 << 20})
	n, err := fill(t, s, 1000)
	if !errors.Is(err, providers.ErrStoreFull) || n < 50 || n > 105 {
		t.Fatalf("after %d records: %v", n, err)
	}
	if err := s.Remove(t.Context(), "fill"); err != nil {
		t.Fatal(err)
	}
	put(t, s, "a", "pages come free with the next transaction")
	if again, err := fill(t, s, 1000); !errors.Is(err, providers.ErrStoreFull) || again < n*9/10 {
		t.Errorf("after %d records of %d: %v", again, n, err)
	}
}

// TestStoreBackPressure fills the queue while nothing is written.
func TestStoreBackPressure(t *testing.T) {
	s := openStore(t, t.TempDir(), &fs.StoreOptions{ScrubEvery: -1, BatchBytes: 4096, QueueBytes: 4096})
	block, blocked := make(chan struct{}), make(chan struct{})
	go func() { // holds the committer up while it is read
		fs.HoldCommitter(s, blocked, block)
	}()
	<-blocked
	results := make(chan error, 2)
	write := func(ctx context.Context) {
		_, err := s.Append(ctx, []providers.Record{{Document: "doc", Data: make([]byte, 3000)}})
		results <- err
	}
	go write(t.Context())
	for fs.Queued(s) == 0 {
		time.Sleep(time.Millisecond)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go write(ctx)
	cancel()
	if err := <-results; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if n := fs.Queued(s); n > 4096 {
		t.Errorf("%d bytes are queued", n)
	}
	close(block)
	if err := <-results; err != nil {
		t.Error(err)
	}
	if x, err := s.Load(t.Context(), "doc"); err != nil || len(x.Records) != 1 {
		t.Errorf("%v, %v", x, err)
	}
}
