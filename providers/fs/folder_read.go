package fs

import (
	"bytes"
	"errors"
	iofs "io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/runtime"
)

// folderFile is how far a file of another session is read.
type folderFile struct {
	name    string
	header  logHeader
	size    int64
	read    int64 // the next record begins here; 0: no header yet
	holds   dots  // of the records up to there
	named   bool  // its name is durable
	suspect bool  // its writer failed or crashed here: what reads well may not be on the disk
	synced  bool  // what was read last counts as durable; if not, it is written to the own file as well
	stalled bool  // the document has no room for more that waits
	err     error // what stands at read, or what the document refused
	refused error // the first of these
	told    string
}

// oldFile is a file of another session of this device that may have ended.
type oldFile struct {
	name  string
	mark  uint32
	size  int64
	holds dots
}

// look reads what is new in the directory. turn is held, or nobody else has the Folder yet.
//
// Neither times of files nor the order in which they come decide anything: a file with the mark and the size of the last look
// is unchanged, one with another mark or less than was read is read anew, and an incomplete one is read on at every look.
func (f *Folder) look() error {
	names, err := f.fs.ReadDir(f.dir)
	if err != nil {
		return err
	}
	names = slices.DeleteFunc(names, func(n string) bool {
		return n == f.name || strings.HasPrefix(n, ".") || strings.HasPrefix(n, "~")
	})
	for again := true; again; {
		again = false
		for _, name := range names {
			x := f.files[name]
			if x == nil {
				x = &folderFile{name: name}
				f.files[name] = x
			}
			was := x.read
			if err := f.readOn(x); err != nil {
				return err
			}
			again = again || x.read != was
		}
		again = again && slices.ContainsFunc(names, func(n string) bool { return f.files[n] != nil && f.files[n].stalled })
	}
	f.conclude(names)
	return nil
}

// conclude publishes what the look found.
func (f *Folder) conclude(names []string) {
	others, old, status := make(dots), []oldFile(nil), []FileStatus(nil)
	maps.DeleteFunc(f.files, func(name string, _ *folderFile) bool { return !slices.Contains(names, name) }) // vanished
	for _, name := range names {
		x := f.files[name]
		if x.read == 0 && (errors.Is(x.err, errNoLog) || errors.Is(x.err, errTorn)) && !strings.Contains(name, folderEnd) {
			delete(f.files, name) // something else that lies here
			continue
		}
		others.addAll(x.holds)
		err := x.problem()
		status = append(status, FileStatus{name, x.size, x.read, err})
		if f.device != uuid.Nil && x.header.Device == f.device && x.read > 0 && (err == nil || errors.Is(err, ErrIncomplete)) {
			old = append(old, oldFile{name, x.header.Mark, x.size, x.holds.clone()})
		}
		if err != nil && !errors.Is(err, ErrIncomplete) && err.Error() != x.told {
			x.told = err.Error()
			f.opt.Logger.Warn("weft: a file of the folder is not read to its end", "path", filepath.Join(f.dir, name), "error", err)
		}
	}
	f.mu.Lock()
	f.others, f.old, f.status = others, old, status
	f.mu.Unlock()
}

func (x *folderFile) problem() error {
	switch {
	case errors.Is(x.err, errTorn), x.stalled:
		if x.refused == nil {
			return ErrIncomplete
		}
	case x.err != nil:
		return x.err
	}
	return x.refused
}

// readOn reads a file from where the last look ended. It returns only errors of the document; those of the file are noted.
func (f *Folder) readOn(x *folderFile) error {
	h, err := f.fs.Open(filepath.Join(f.dir, x.name))
	if err != nil {
		if x.err = err; errors.Is(err, iofs.ErrNotExist) {
			x.err, x.read, x.holds = errTorn, 0, nil // it vanished
		}
		return nil
	}
	defer h.Close()
	head, size, err := readFrom(h, 0, logHead)
	if x.size = size; err != nil {
		x.err = err
		return nil
	}
	if size > int64(f.opt.FileBytes) {
		x.err = &runtime.LimitError{Name: "FileBytes", Got: uint64(size), Max: uint64(f.opt.FileBytes)}
		return nil
	}
	header, err := parseLogHeader(head)
	if errors.Is(err, errNoLog) && len(bytes.Trim(head, "\x00")) == 0 {
		err = errTorn // its name came before its content
	}
	if x.err = err; err != nil {
		x.read, x.holds = 0, nil
		return nil
	}
	if x.read == 0 || header != x.header || size < x.read {
		x.header, x.read, x.holds, x.refused = header, logHead, make(dots), nil
		x.named, x.suspect = false, f.suspect(x.name, &header)
	}
	x.stalled = false
	if size == x.read {
		return nil
	}
	data, _, err := readFrom(h, x.read, size-x.read)
	if x.err = err; err != nil {
		return nil
	}
	x.named = x.named || f.fs.SyncDir(f.dir) == nil
	x.synced = x.named && !x.suspect && h.Sync() == nil
	return f.take(x, data)
}

// suspect reports whether a file was written on this device by a session that did not end well. Where a sync failed, pages
// that never reached the disk read well, and the next sync is told nothing (LWN 752063).
func (f *Folder) suspect(name string, h *logHeader) bool {
	if h.Session == f.id {
		return true
	}
	if f.device == uuid.Nil || h.Device != f.device || !f.hasLock(name) {
		return false
	}
	release, err := f.fs.Lock(f.lock(name))
	if err != nil {
		return false // it runs
	}
	release(false)
	return true
}

// hasLock reports whether a session has left its lock, or still holds it.
func (f *Folder) hasLock(name string) bool {
	h, err := f.fs.Open(f.lock(name))
	if err == nil {
		h.Close()
	}
	return err == nil
}

// take applies the records that data begins with.
func (f *Folder) take(x *folderFile, data []byte) error {
	for !x.stalled {
		payload, rest, err := nextRecord(data, x.header.Mark, x.read)
		var bad *badRecordError
		if errors.As(err, &bad) {
			err = &providers.DamageError{Document: filepath.Join(f.dir, x.name), Offset: bad.at, Reason: bad.Error()}
		}
		if x.err = err; err != nil || payload == nil {
			return nil
		}
		if err := f.receive(x, payload); err != nil {
			return err
		}
		if !x.stalled {
			x.read += int64(len(data) - len(rest))
			data = rest
		}
	}
	return nil
}

// receive applies one record: the messages of a bundle one by one, so that one which is refused does not hold up the rest.
func (f *Folder) receive(x *folderFile, payload []byte) error {
	updates := [][]byte{payload}
	if kind, _ := runtime.KindOf(payload); kind == runtime.BundleUpdate {
		ms, err := runtime.SplitBundle(payload)
		if err != nil {
			x.refuse(err)
			return nil
		}
		updates = ms
	}
	reach := make(dots)
	defer func() {
		x.holds.addAll(reach)
		if x.synced {
			f.w.credit(reach)
		}
	}()
	for _, u := range updates {
		_, err := f.rt.Receive(u, runtime.From(f))
		if err == nil {
			err = reach.addUpdate(u)
		}
		var limit *runtime.LimitError
		switch {
		case err == nil:
		case errors.Is(err, runtime.ErrInternal), errors.Is(err, runtime.ErrNested):
			return err
		case errors.As(err, &limit) && strings.HasPrefix(limit.Name, "Waiting"):
			x.stalled = true
			return nil
		default:
			x.refuse(err)
		}
	}
	return nil
}

func (x *folderFile) refuse(err error) {
	if x.refused == nil {
		x.refused = err
	}
}
