package fs

import (
	"errors"
	iofs "io/fs"
	"path/filepath"
	"slices"

	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// temp is no file that a session reads, and none that common tools copy.
func (f *Folder) temp(name string) string { return filepath.Join(f.dir, "."+name+".new") }

// append adds one record to the own file.
func (f *Folder) append(messages [][]byte) error {
	payload, err := payloadOf(messages)
	if err != nil {
		return err
	}
	if f.own.header.Mark == 0 {
		err = f.own.create(f.opt.rand, f.temp(f.name), payload)
	} else {
		err = f.own.append(payload)
	}
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.holds.addUpdate(payload)
}

func (f *Folder) due() bool { return f.own.size > f.rewriteAt }
func (f *Folder) postpone() { f.rewriteAt = 2 * f.own.size }

// rewrite replaces the own file by a state of the whole document: it needs no other file then.
func (f *Folder) rewrite() (vclock.Clock, error) {
	clock := f.rt.Clock()
	state, err := f.rt.Save(runtime.CanonicalOnly(), runtime.Compressed(1))
	if err != nil {
		return nil, err
	}
	if most := min(f.rt.Limits().StateBytes, f.opt.FileBytes-logHead-recordHead); len(state) > most { // nobody could read it
		return nil, &runtime.LimitError{Name: "StateBytes", Got: uint64(len(state)), Max: uint64(most)}
	}
	if err := f.own.create(f.opt.rand, f.temp(f.name), state); err != nil {
		return nil, err
	}
	f.rewriteAt = max(int64(f.opt.LogBytes), 2*f.own.size)
	f.mu.Lock()
	f.holds = make(dots)
	f.holds.addClock(clock)
	f.mu.Unlock()
	return clock, nil
}

// tend looks after what this session answers for: its file is there as it was written, the folder holds all that the
// document does, and files of ended sessions of this device do not pile up.
func (f *Folder) tend(grace int) error {
	err := error(nil)
	if f.own.header.Mark != 0 {
		err = f.own.there()
	}
	if errors.Is(err, errLost) || err == nil && f.missing(grace) {
		err = f.w.rewrite()
	}
	if err == nil {
		err = f.foldOld()
	}
	if err != nil && !mayWait(err) {
		f.w.fail(err)
		return f.w.errOf()
	}
	return err
}

// missing reports whether something of the document has been in no file for `grace` looks.
func (f *Folder) missing(grace int) bool {
	clock := f.rt.Clock()
	f.mu.Lock()
	all := make(dots)
	all.addAll(f.holds)
	all.addAll(f.others)
	f.mu.Unlock()
	f.w.addQueued(all)
	if all.covers(clock) {
		f.missed = 0
		return false
	}
	f.missed++
	return f.missed >= grace
}

// foldOld removes files of ended sessions of this device that the own file makes superfluous. When there are too many, it
// makes them so.
//
// This is safe: a session holds a lock on its device while it runs, so a file whose lock is free grows no more; it is the
// one that was read, whole but for an end that never was durable; and all it holds is in the own file, which is synced.
// Other devices may see it vanish before they see the own file: they then hold the transactions, or get them with it.
func (f *Folder) foldOld() error {
	f.mu.Lock()
	old := f.old
	f.mu.Unlock()
	if !slices.ContainsFunc(old, func(x oldFile) bool { return len(old) > f.opt.Sessions || f.holdsAll(x.holds) }) {
		return nil
	}
	var ended []oldFile
	removed := make(map[string]bool)
	for _, x := range old {
		unclean := f.hasLock(x.name)
		release, err := f.fs.Lock(f.lock(x.name))
		if err != nil {
			continue // it runs
		}
		defer func() { release(removed[x.name] || !unclean) }()
		ended = append(ended, x)
	}
	if len(ended) > f.opt.Sessions {
		for _, x := range ended {
			if !f.holdsAll(x.holds) {
				if err := f.w.rewrite(); err != nil {
					return err
				}
				break
			}
		}
	}
	for _, x := range ended {
		if f.own.header.Mark == 0 || !f.holdsAll(x.holds) || !f.unchanged(x) {
			continue
		}
		if err := f.fs.Remove(filepath.Join(f.dir, x.name)); err != nil && !errors.Is(err, iofs.ErrNotExist) {
			f.opt.Logger.Warn("weft: a file that is folded in could not be removed", "path", filepath.Join(f.dir, x.name), "error", err)
			continue
		}
		f.fs.Remove(f.temp(x.name)) // of a crash
		removed[x.name] = true
	}
	if len(removed) > 0 {
		return f.fs.SyncDir(f.dir)
	}
	return nil
}

func (f *Folder) holdsAll(d dots) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.holds.coversAll(d)
}

// unchanged reports whether a file is still the one that was read.
func (f *Folder) unchanged(x oldFile) bool {
	h, err := f.fs.Open(filepath.Join(f.dir, x.name))
	if err != nil {
		return false
	}
	defer h.Close()
	head, size, err := readFrom(h, 0, logHead)
	if err != nil || size != x.size {
		return false
	}
	header, err := parseLogHeader(head)
	return err == nil && header.Mark == x.mark
}
