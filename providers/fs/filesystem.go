package fs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"path/filepath"
	goruntime "runtime"
	"time"

	"github.com/gofrs/flock"
)

// fileSystem is what File and Folder need of a file system, with the guarantees of POSIX and no more: what a file holds
// is durable after its Sync, and that a name refers to it after SyncDir of its directory. Tests put one in its place that
// loses all else.
type fileSystem interface {
	// Open opens an existing file to read, Append one to read and to write at its end.
	Open(path string) (file, error)
	Append(path string) (file, error)
	// Create makes a new file, with the permissions of the file like where that exists. A file of that name is removed.
	Create(path, like string) (file, error)
	Rename(from, to string) error
	Remove(path string) error
	SyncDir(dir string) error
	// ReadDir returns the names of the regular files of a directory, ascending.
	ReadDir(dir string) ([]string, error)
	// Lock takes the lock file of that path for this process. A *LockedError says who has it. The release removes it, if
	// wanted; a process that ends without leaves it, free.
	Lock(path string) (release func(remove bool) error, err error)
}

type file interface {
	io.ReaderAt
	io.Writer
	Size() (int64, error)
	Truncate(size int64) error
	Sync() error
	Close() error
}

// ErrLocked marks a file that another process, or another part of this one, has open; see LockedError.
var ErrLocked = errors.New("fs: the file is open elsewhere")

// LockedError names who has a file open. It unwraps to ErrLocked.
type LockedError struct {
	Path  string // of the lock
	Owner Owner  // zero where unknown
}

func (e *LockedError) Error() string {
	o := &e.Owner
	if o.PID == 0 {
		return fmt.Sprintf("%v: the lock %s is taken", ErrLocked, e.Path)
	}
	return fmt.Sprintf("%v: process %d (%s) on %s has the lock %s since %s; close it there",
		ErrLocked, o.PID, o.Program, o.Host, e.Path, o.Since.Format(time.RFC3339))
}

func (e *LockedError) Unwrap() error { return ErrLocked }

// available refuses systems that have neither durable files nor locks.
func available() error {
	if goruntime.GOOS == "js" || goruntime.GOOS == "wasip1" {
		return fmt.Errorf("fs: files on %s: %w", goruntime.GOOS, errors.ErrUnsupported)
	}
	return nil
}

// replace puts data in the place of the file at path: a crash leaves the old file or the new one, and after replace has
// returned nil the new one. temp is a name in the same directory; permissions are those of like. The last
// word before the rename is with check, if there is one.
func replace(fsys fileSystem, path, temp, like string, data []byte, check func() error) error {
	f, err := fsys.Create(temp, like)
	if err != nil {
		return err
	}
	err = writeSync(f, data)
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil && check != nil {
		err = check()
	}
	if err == nil {
		err = fsys.Rename(temp, path)
	}
	if err != nil {
		fsys.Remove(temp) // the error that matters is the first; a leftover is overwritten the next time
		return err
	}
	return fsys.SyncDir(filepath.Dir(path))
}

// writeSync writes data at the end of a file and syncs that.
func writeSync(f file, data []byte) error {
	n, err := f.Write(data)
	switch {
	case err != nil:
		return err
	case n < len(data):
		return io.ErrShortWrite
	}
	return f.Sync()
}

// readFrom returns what a file holds from an offset on, at most `most` bytes of it, and its size.
func readFrom(f file, offset, most int64) (data []byte, size int64, err error) {
	if size, err = f.Size(); err != nil || size <= offset {
		return nil, size, err
	}
	data = make([]byte, min(size-offset, most))
	n, err := f.ReadAt(data, offset)
	if errors.Is(err, io.EOF) {
		err = nil // it has become shorter meanwhile
	}
	return data[:n], size, err
}

// osFS is the file system of the operating system.
type osFS struct{}

type osFile struct{ *os.File }

func (f osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// readOnly is a file that is open to read. Its Sync makes durable what others wrote; Windows syncs only what one may write.
type readOnly struct{ osFile }

func (f readOnly) Sync() error {
	if goruntime.GOOS == "windows" {
		return nil
	}
	return f.osFile.Sync()
}

func (osFS) Open(path string) (file, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return readOnly{osFile{f}}, nil
}

func (osFS) Append(path string) (file, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND, 0)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osFS) Create(path, like string) (file, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(like); err == nil {
		if err := f.Chmod(info.Mode().Perm()); err != nil && goruntime.GOOS != "windows" {
			f.Close()
			return nil, err
		}
	}
	return osFile{f}, nil
}

func (osFS) Rename(from, to string) error { return os.Rename(from, to) }
func (osFS) Remove(path string) error     { return os.Remove(path) }

// SyncDir makes the names in a directory durable. Windows has no such call.
func (osFS) SyncDir(dir string) error {
	if goruntime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if e := d.Close(); err == nil {
		err = e
	}
	return err
}

func (osFS) ReadDir(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() {
			names = append(names, e.Name())
		}
	}
	return names, err
}

// Lock uses flock(2) or LockFileEx, which end with the process. The owner stands behind the first byte, the only one that
// Windows keeps others from reading.
func (osFS) Lock(path string) (release func(remove bool) error, err error) {
	for {
		l := flock.New(path, flock.SetFlag(os.O_CREATE|os.O_RDWR), flock.SetPermissions(0o644))
		ok, err := l.TryLock()
		if err != nil {
			return nil, fmt.Errorf("fs: lock %s: %w", path, err)
		}
		if !ok {
			return nil, &LockedError{path, lockOwner(path)}
		}
		if !sameFile(l, path) { // its last owner removed it in between
			l.Unlock()
			continue
		}
		if err := writeOwner(path); err != nil {
			l.Unlock()
			return nil, fmt.Errorf("fs: lock %s: %w", path, err)
		}
		return func(remove bool) error {
			if !remove {
				return l.Unlock()
			}
			if goruntime.GOOS == "windows" { // an open file cannot be removed there, and a removed one not be locked
				err := l.Unlock()
				os.Remove(path)
				return err
			}
			os.Remove(path)
			return l.Unlock()
		}, nil
	}
}

func sameFile(l *flock.Flock, path string) bool {
	have, err := l.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(path)
	return err == nil && os.SameFile(have, named)
}

// writeOwner notes this process in a lock file, behind the byte that is locked.
func writeOwner(path string) error {
	host, _ := os.Hostname()
	program, _ := os.Executable()
	note, err := json.Marshal(Owner{os.Getpid(), host, filepath.Base(program), time.Now().UTC().Truncate(time.Second)})
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if err = f.Truncate(1); err == nil || goruntime.GOOS == "windows" {
		_, err = f.WriteAt(append(note, '\n'), 1)
	}
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}

// lockOwner reads what writeOwner wrote; zero if that cannot be read.
func lockOwner(path string) (o Owner) {
	f, err := os.Open(path)
	if err != nil {
		return o
	}
	defer f.Close()
	note := make([]byte, 4096)
	n, _ := f.ReadAt(note, 1)
	if json.NewDecoder(bytes.NewReader(note[:n])).Decode(&o) != nil {
		return Owner{}
	}
	return o
}
