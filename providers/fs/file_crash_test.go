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
	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

const crashPath = "/dir/notes.weft"

func fileOptions(s *simulated) *fs.FileOptions {
	return (&fs.FileOptions{FoldBytes: 900}).Inject(s, rand.NewChaCha8([32]byte{1}))
}

// session is one life of a document in a file: edits, each awaited, folds on the way and at the end, until the disk fails.
// It returns what was reported durable.
func session(t *testing.T, s *simulated, r *replica, edits int) (durable uint64, err error) {
	t.Helper()
	id := r.rt.Replica()
	f, err := fs.OpenFile(r.rt, crashPath, fileOptions(s))
	if err != nil {
		return 0, err
	}
	for i := range edits {
		r.write(t, fmt.Sprintf("%02d%s", i, strings.Repeat(string(rune('a'+i%26)), 100)))
		err = f.Flush(t.Context())
		if i == edits/2 && err == nil {
			err = f.Fold(t.Context())
		}
		durable = f.Durable(id)
		if err == nil && durable != r.rt.Clock()[id] {
			t.Fatal("Flush returned early")
		}
		if err != nil {
			break
		}
	}
	return max(durable, f.Durable(id)), errors.Join(err, f.Close())
}

// reopened opens what is left in a new document.
func reopened(t *testing.T, s *simulated) (*replica, error) {
	r := numbered(t, 9)
	f, err := fs.OpenFile(r.rt, crashPath, fileOptions(s))
	if err != nil {
		return r, err
	}
	return r, f.Close()
}

// survives checks what a document that was opened after a crash holds: all that was durable, whole transactions, a prefix of
// what was written.
func survives(r *replica, err error, id vclock.Replica, durable uint64, all string) error {
	if err == nil {
		err = r.rt.Check()
	}
	if err != nil {
		return err
	}
	got, n := r.String(), r.rt.Clock()[id]
	switch {
	case n < durable:
		return fmt.Errorf("%d dots were durable, %d are left", durable, n)
	case !strings.HasPrefix(all, got) || len(got)%102 != 0 || uint64(len(got)) != n:
		return fmt.Errorf("half a transaction: %d of %d", len(got), len(all))
	}
	return nil
}

const crashEdits = 14

// operations counts the operations of a session that goes well.
func operations(t *testing.T) int {
	s := newSimulated()
	if _, err := session(t, s, numbered(t, 1), crashEdits); err != nil {
		t.Fatal(err)
	}
	if len(s.names) != 1 || s.ops < 40 {
		t.Fatal(len(s.names), "files left after", s.ops, "operations")
	}
	return s.ops
}

// losses cuts the power at every operation, and counts what was lost of what was promised.
func losses(t *testing.T, lies bool) (lost, images int) {
	for cut := range operations(t) {
		s := newSimulated()
		s.failAt, s.fault, s.lies = cut, errCrash, lies
		a := numbered(t, 1)
		durable, _ := session(t, s, a, crashEdits)
		for i, choice := range choices(6) {
			images++
			r, err := reopened(t, s.image(choice))
			if err := survives(r, err, a.rt.Replica(), durable, a.String()); err != nil {
				if lost++; !lies {
					t.Errorf("power off at operation %d (%s), image %d: %v", cut, s.kind, i, err)
				}
			}
		}
	}
	return lost, images
}

func TestFileSurvivesPowerCuts(t *testing.T) {
	_, images := losses(t, false)
	t.Log(images, "images")
}

// The test above can see: a disk whose syncs do nothing loses documents.
func TestFilePowerCutsAreSeen(t *testing.T) {
	if lost, images := losses(t, true); lost < images/10 {
		t.Fatal("syncs that do nothing lost only", lost, "of", images)
	} else {
		t.Log(lost, "of", images, "images lost something")
	}
}

// A disk that fails once, at any operation and in any way: the document stays in memory, nothing durable is lost, and
// opening it anew goes on; and a power cut after that loses nothing either.
func TestFileSurvivesFaults(t *testing.T) {
	total := operations(t)
	for _, fault := range faults {
		for at := range total {
			s := newSimulated()
			s.failAt, s.fault = at, fault
			a := numbered(t, 1)
			durable, err := session(t, s, a, crashEdits)
			where := fmt.Sprintf("%v at operation %d (%s)", fault, at, s.kind)
			if err != nil && s.kind != "remove" {
				full := errors.Is(fault, syscall.ENOSPC)
				if errors.Is(err, providers.ErrStoreFull) != full || errors.Is(fault, syscall.EIO) && !errors.Is(err, syscall.EIO) {
					t.Errorf("%s: %v", where, err)
				}
			}
			for _, choice := range choices(2) {
				r, err := reopened(t, s.image(choice))
				if err := survives(r, err, a.rt.Replica(), durable, a.String()); err != nil {
					t.Errorf("%s, then a crash: %v", where, err)
				}
			}
			f, err := fs.OpenFile(a.rt, crashPath, fileOptions(s))
			if err != nil {
				t.Errorf("%s, opened anew: %v", where, err)
				continue
			}
			if err := f.Flush(t.Context()); err != nil {
				t.Errorf("%s, opened anew: %v", where, err)
			}
			for _, choice := range choices(2) {
				r, err := reopened(t, s.image(choice))
				if err := survives(r, err, a.rt.Replica(), a.rt.Clock()[a.rt.Replica()], a.String()); err != nil {
					t.Errorf("%s, opened anew, then a crash: %v", where, err)
				}
			}
			if err := f.Close(); err != nil {
				t.Errorf("%s, opened anew: %v", where, err)
			}
		}
	}
}

// After the first failure nothing is written any more, and the document says so until it is opened anew.
func TestFailedFileWritesNothing(t *testing.T) {
	s := newSimulated()
	a := numbered(t, 1)
	var told []error
	o := fileOptions(s)
	done := make(chan struct{})
	o.OnError = func(err error) { told = append(told, err); close(done) }
	f, err := fs.OpenFile(a.rt, crashPath, o)
	if err != nil {
		t.Fatal(err)
	}
	a.write(t, "durable")
	flush(t, f)
	s.failAt, s.fault = s.ops+1, syscall.EIO // the sync
	a.write(t, "lost?")
	if err := f.Flush(t.Context()); !errors.Is(err, providers.ErrStoreFailed) || !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	<-done
	ops := s.ops
	a.write(t, "more")
	if err := f.Fold(t.Context()); !errors.Is(err, providers.ErrStoreFailed) {
		t.Fatal(err)
	}
	if err := f.Close(); !errors.Is(err, providers.ErrStoreFailed) || s.ops != ops || len(told) != 1 || f.Durable(a.rt.Replica()) != 7 {
		t.Fatal(err, s.ops-ops, told, f.Durable(a.rt.Replica()))
	}
}

// A document that is too large to be read again is not folded: the journal goes on.
func TestFileIsNeverTooLargeToOpen(t *testing.T) {
	s := newSimulated()
	a := newReplica(t, runtime.Options{Limits: runtime.Limits{StateBytes: 1000}})
	f, err := fs.OpenFile(a.rt, crashPath, fileOptions(s))
	if err != nil {
		t.Fatal(err)
	}
	for range 30 {
		a.write(t, strings.Repeat("x", 100))
		flush(t, f)
	}
	if err := f.Close(); !errors.Is(err, runtime.ErrLimit) || f.Err() != nil {
		t.Fatal(err)
	}
	r, err := reopened(t, s.image(func() bool { return true }))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, a, r)
}
