package fs_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/providers/fs"
)

func folderOptions(s *simulated, seed byte) *fs.FolderOptions {
	o := still("/local").Inject(s, rand.NewChaCha8([32]byte{seed}))
	o.Sessions, o.LogBytes = 1, 700
	return o
}

// visits are lives of a document in a folder, one after the other, until the disk fails: the later ones fold what the earlier
// ones left. They return the last replica and what was reported durable of each.
func visits(t *testing.T, s *simulated) (last *replica, durable map[byte]uint64, err error) {
	t.Helper()
	durable = make(map[byte]uint64)
	for n := byte(1); n <= 4; n++ {
		last = numbered(t, n)
		f, err := fs.OpenFolder(last.rt, "/dir", folderOptions(s, n))
		if err != nil {
			return last, durable, err
		}
		for i := range 4 {
			last.write(t, fmt.Sprintf("<%d.%d %s>", n, i, strings.Repeat(string(rune('a'+n)), 94)))
			err = f.Flush(t.Context())
			if err == nil && i == 2 {
				err = f.Sync(t.Context())
			}
			durable[n] = f.Durable(last.rt.Replica())
			if err != nil {
				break
			}
		}
		if err = errors.Join(err, f.Close()); err != nil {
			return last, durable, err
		}
	}
	return last, durable, nil
}

// remains opens what a crash left, twice: what the first session holds it must leave to the second.
func remains(t *testing.T, s *simulated, durable map[byte]uint64) error {
	for n := byte(10); n < 12; n++ {
		r := numbered(t, n)
		f, err := fs.OpenFolder(r.rt, "/dir", folderOptions(s, n))
		if err == nil {
			r.write(t, fmt.Sprintf("<%d>", n))
			if err = errors.Join(f.Sync(t.Context()), f.Close()); err == nil {
				err = r.rt.Check()
			}
		}
		if err != nil {
			return err
		}
		for from, want := range durable {
			if have := r.rt.Clock()[numbered(t, from).rt.Replica()]; have < want {
				return fmt.Errorf("%d dots of session %d were durable, session %d finds %d", want, from, n, have)
			}
		}
		if text := r.String(); strings.Count(text, "<") != strings.Count(text, ">") {
			return fmt.Errorf("half a transaction: %s", text)
		}
	}
	return nil
}

func folderLosses(t *testing.T, lies bool) (lost, images int) {
	s := newSimulated()
	if _, _, err := visits(t, s); err != nil {
		t.Fatal(err)
	}
	files, _ := s.ReadDir("/dir")
	if s.ops < 60 || len(files) > 3 {
		t.Fatal(s.ops, files)
	}
	for cut := range s.ops {
		s := newSimulated()
		s.failAt, s.fault, s.lies = cut, errCrash, lies
		_, durable, _ := visits(t, s)
		for i, choice := range choices(4) {
			images++
			if err := remains(t, s.image(choice), durable); err != nil {
				if lost++; !lies {
					t.Errorf("power off at operation %d (%s), image %d: %v", cut, s.kind, i, err)
				}
			}
		}
	}
	return lost, images
}

func TestFolderSurvivesPowerCuts(t *testing.T) {
	_, images := folderLosses(t, false)
	t.Log(images, "images")
}

// The test above can see: a disk whose syncs do nothing loses documents.
func TestFolderPowerCutsAreSeen(t *testing.T) {
	if lost, images := folderLosses(t, true); lost < images/10 {
		t.Fatal("syncs that do nothing lost only", lost, "of", images)
	} else {
		t.Log(lost, "of", images, "images lost something")
	}
}

func TestFolderSurvivesFaults(t *testing.T) {
	s := newSimulated()
	if _, _, err := visits(t, s); err != nil {
		t.Fatal(err)
	}
	for _, fault := range faults {
		for at := range s.ops {
			s := newSimulated()
			s.failAt, s.fault = at, fault
			last, durable, err := visits(t, s)
			where := fmt.Sprintf("%v at operation %d (%s)", fault, at, s.kind)
			if err != nil && errors.Is(err, providers.ErrStoreFailed) && errors.Is(err, providers.ErrStoreFull) != errors.Is(fault, syscall.ENOSPC) {
				t.Errorf("%s: %v", where, err)
			}
			if err := remains(t, s.image(func() bool { return false }), durable); err != nil {
				t.Errorf("%s, then a crash: %v", where, err)
			}
			f, err := fs.OpenFolder(last.rt, "/dir", folderOptions(s, 9))
			if err != nil {
				t.Errorf("%s, opened anew: %v", where, err)
				continue
			}
			if err := f.Sync(t.Context()); err != nil {
				t.Errorf("%s, opened anew: %v", where, err)
			}
			durable[last.rt.Replica()[0]] = last.rt.Clock()[last.rt.Replica()]
			for _, choice := range choices(1) {
				if err := remains(t, s.image(choice), durable); err != nil {
					t.Errorf("%s, opened anew, then a crash: %v", where, err)
				}
			}
			if err := f.Close(); err != nil {
				t.Errorf("%s, opened anew: %v", where, err)
			}
		}
	}
}
