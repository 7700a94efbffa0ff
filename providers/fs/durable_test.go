package fs_test

import (
	"errors"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/seed1312cc15/weft/providers/fs"
)

// place puts a file as a careless tool does: written and renamed, nothing synced, or only the one.
func (s *simulated) place(path string, data []byte, synced, named bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := &inode{now: slices.Clone(data), since: []change{{0, slices.Clone(data)}}}
	if synced {
		n.disk, n.since = slices.Clone(data), nil
	}
	s.names[path] = n
	if named {
		s.disk[path] = n
	} else {
		s.moves = append(s.moves, move{name: path, to: n})
	}
}

// What others wrote and did not sync counts as durable only once it is.
func TestWhatOthersWroteIsDurableBeforeItCounts(t *testing.T) {
	never := func() bool { return false }
	a := numbered(t, 1)
	a.write(t, "theirs")
	state, _ := a.rt.Save()
	s := newSimulated()
	f := openSimulated(t, s, a, 1)
	flush(t, f)
	log := s.read(f.Path())
	shut(t, f)
	for i := range 4 {
		synced, named := i&1 != 0, i&2 != 0
		s := newSimulated()
		s.place(crashPath, state, synced, named)
		b := numbered(t, 2)
		file, err := fs.OpenFile(b.rt, crashPath, fileOptions(s))
		if err != nil {
			t.Fatal(err)
		}
		flush(t, file)
		if r, err := reopened(t, s.image(never)); err != nil || r.String() != "theirs" || file.Durable(a.rt.Replica()) != 6 {
			t.Errorf("file, synced %v, named %v: %v %q", synced, named, err, r)
		}
		shut(t, file)

		s = newSimulated()
		c := numbered(t, 3)
		folder := openSimulated(t, s, c, 3)
		s.place("/dir/theirs.weftlog", log, synced, named)
		syncAll(t, folder)
		d := numbered(t, 4)
		openSimulated(t, s.image(never), d, 4)
		if d.String() != "theirs" || folder.Durable(a.rt.Replica()) != 6 {
			t.Errorf("folder, synced %v, named %v: %q", synced, named, d)
		}
	}
}

func openSimulated(t *testing.T, s *simulated, r *replica, seed byte) *fs.Folder {
	t.Helper()
	return openFolder(t, r, "/dir", folderOptions(s, seed))
}

// After a failed sync the next session of the device finds records that read well and may not be on the disk.
func TestFolderDoesNotTrustAFailedSession(t *testing.T) {
	s := newSimulated()
	a := numbered(t, 1)
	f := openSimulated(t, s, a, 1)
	a.write(t, "durable ")
	flush(t, f)
	s.failAt, s.fault = s.ops+1, syscall.EIO
	a.write(t, "lost? ")
	if err := f.Flush(t.Context()); !errors.Is(err, syscall.EIO) || s.kind != "sync" {
		t.Fatal(err, s.kind)
	}
	f.Close()
	b := numbered(t, 2)
	g := openSimulated(t, s, b, 2)
	flush(t, g)
	if n := g.Durable(a.rt.Replica()); n != 14 {
		t.Fatal(n)
	}
	c := numbered(t, 3)
	openSimulated(t, s.image(func() bool { return false }), c, 3)
	equal(t, a, b, c)
}

// A lock file that is removed by its owner while another takes it must not let in two.
func TestLockIsExclusive(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.lock")
	var inside atomic.Int32
	var got, missed atomic.Int32
	var wg sync.WaitGroup
	for range 4 {
		r := rand.New(rand.NewPCG(1, 1))
		wg.Go(func() {
			for range 400 {
				release, err := fs.OSFiles{}.Lock(path)
				if err != nil {
					if !errors.Is(err, fs.ErrLocked) {
						t.Error(err)
					}
					missed.Add(1)
					continue
				}
				if inside.Add(1) != 1 {
					t.Error("two have the lock")
				}
				got.Add(1)
				inside.Add(-1)
				if err := release(r.IntN(4) > 0); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got.Load() == 0 || missed.Load() == 0 {
		t.Error(got.Load(), "times taken,", missed.Load(), "times not")
	}
}
