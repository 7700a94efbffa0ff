package fs

import (
	"crypto/sha256"
	"errors"
	"fmt"
	iofs "io/fs"
	"syscall"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// append adds one record to the journal.
func (f *File) append(messages [][]byte) error {
	payload, err := payloadOf(messages)
	if err != nil {
		return err
	}
	if f.journal.header.Mark == 0 {
		if err := f.journal.create(f.opt.rand, f.path+".new", nil); err != nil {
			return err
		}
	}
	return f.journal.append(payload)
}

func (f *File) due() bool { return f.journal.size > f.foldAt }
func (f *File) postpone() { f.foldAt = 2 * f.journal.size }

// fold is rewrite unless the file holds everything already.
func (f *File) fold() error {
	data, changed, err := f.changed()
	if err != nil {
		return err
	}
	if f.journal.header.Mark == 0 && !changed && (data != nil || len(f.rt.Clock()) == 0) {
		return nil
	}
	err = f.w.rewrite()
	if err != nil && !errors.Is(err, errBusy) && !mayWait(err) {
		f.w.fail(err)
		return f.w.errOf()
	}
	if errors.Is(err, syscall.ENOSPC) {
		err = fmt.Errorf("%w: %w", providers.ErrStoreFull, err)
	}
	return err
}

// changed reads the file and reports whether it is another than was read or written here.
func (f *File) changed() (data []byte, changed bool, err error) {
	data, err = readFile(f.fs, f.path, int64(f.rt.Limits().StateBytes)+64)
	if errors.Is(err, iofs.ErrNotExist) {
		return nil, false, nil // removed by others: the document is here
	} else if err != nil {
		return nil, false, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return data, !f.exists || sha256.Sum256(data) != f.known, nil
}

// rewrite replaces the file by a state of the document; the journal goes.
func (f *File) rewrite() (vclock.Clock, error) {
	clock := f.rt.Clock()
	if !f.mayReplace(clock) {
		return nil, errBusy
	}
	var options []runtime.SaveOption
	if f.opt.Compress > 0 {
		options = append(options, runtime.Compressed(f.opt.Compress))
	}
	state, err := f.rt.Save(options...)
	if err != nil {
		return nil, err
	}
	if most := f.rt.Limits().StateBytes; len(state) > most { // it could not be opened again
		return nil, &runtime.LimitError{Name: "StateBytes", Got: uint64(len(state)), Max: uint64(most)}
	}
	err = replace(f.fs, f.path, f.path+".new", f.path, state, func() error {
		data, changed, err := f.changed()
		if err == nil && changed {
			err = f.startMerge(data)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	f.known, f.exists = sha256.Sum256(state), true
	f.mu.Unlock()
	f.size = int64(len(state))
	f.foldAt = max(int64(f.opt.FoldBytes), f.size)
	if f.journal.header.Mark == 0 {
		return clock, nil
	}
	if err := f.fs.Remove(f.journal.path); err != nil && !errors.Is(err, iofs.ErrNotExist) {
		f.opt.Logger.Warn("weft: a journal that is folded in could not be removed", "path", f.journal.path, "error", err)
		f.postpone()
		return clock, nil
	}
	f.journal.header.Mark, f.journal.size = 0, 0
	return clock, nil
}

// merge is a file that others put in place, on its way into the document.
type merge struct {
	sum   [32]byte
	clock vclock.Clock
	taken bool // the document holds it; only event handlers still run
	done  chan struct{}
}

func (f *File) merging() *merge {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.merge
}

// mayReplace reports whether a document with this clock holds what is being merged, if anything is.
func (f *File) mayReplace(clock vclock.Clock) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	m := f.merge
	if m == nil || m.taken {
		return true
	}
	if !clock.CoversClock(m.clock) {
		return false
	}
	f.known, f.exists, m.taken = m.sum, true, true
	return true
}

// startMerge brings a file that others put in place into the document. That runs in a goroutine of its own, since the
// document's event handlers may wait for the writer. It returns errBusy, or why the file cannot be merged.
func (f *File) startMerge(data []byte) error {
	cannot := func(err error) error {
		return fmt.Errorf("the file was replaced by others, and cannot be merged: %w", err)
	}
	info, err := runtime.Inspect(data)
	if err != nil {
		return cannot(fmt.Errorf("%w: %w", &providers.DamageError{Document: f.path, Reason: "this is no saved state"}, err))
	}
	m := &merge{sum: sha256.Sum256(data), clock: info.Clock, done: make(chan struct{})}
	f.mu.Lock()
	f.merge = m
	f.mu.Unlock()
	go func() {
		if err := f.take(data, nil); err != nil {
			f.w.fail(cannot(err))
		} else {
			f.mayReplace(m.clock)
		}
		f.mu.Lock()
		f.merge = nil
		f.mu.Unlock()
		close(m.done)
		f.w.poke()
	}()
	return errBusy
}
