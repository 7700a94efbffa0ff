package fs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"math"
	"path/filepath"

	"github.com/seed1312cc15/weft/runtime"
)

// logFile is a log that this process writes. It keeps no file open: others may remove or replace what is shared.
type logFile struct {
	fs     fileSystem
	path   string
	like   string    // whose permissions it gets
	header logHeader // Mark 0: there is no log yet
	size   int64
}

// create puts a new log in the place of the file at path, if there is one, with one record if payload is not nil.
func (l *logFile) create(rand io.Reader, temp string, payload []byte) error {
	var mark [4]byte
	for binary.LittleEndian.Uint32(mark[:]) == 0 {
		if _, err := io.ReadFull(rand, mark[:]); err != nil {
			return fmt.Errorf("mark of a log: %w", err)
		}
	}
	h := l.header
	h.Mark = binary.LittleEndian.Uint32(mark[:])
	data := h.append(nil)
	if payload != nil {
		if len(payload) > mostPayload {
			return &runtime.LimitError{Name: "StateBytes", Got: uint64(len(payload)), Max: mostPayload}
		}
		data = appendRecord(data, h.Mark, logHead, payload)
	}
	l.header.Mark, l.size = 0, 0
	if err := replace(l.fs, l.path, temp, l.like, data, nil); err != nil {
		return err
	}
	l.header, l.size = h, int64(len(data))
	return nil
}

// append makes one more record durable. errLost: this is not the file that was written.
func (l *logFile) append(payload []byte) error {
	f, err := l.fs.Append(l.path)
	if errors.Is(err, iofs.ErrNotExist) {
		return errLost
	} else if err != nil {
		return err
	}
	record := appendRecord(make([]byte, 0, recordHead+len(payload)), l.header.Mark, l.size, payload)
	if err = l.same(f); err == nil {
		err = writeSync(f, record)
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		l.size += int64(len(record))
	}
	return err
}

// same returns nil if f is, by size and mark, the log as this process wrote it, and errLost if not.
func (l *logFile) same(f file) error {
	head, size, err := readFrom(f, 0, logHead)
	switch {
	case err != nil:
		return err
	case size != l.size:
		return errLost
	}
	if h, err := parseLogHeader(head); err != nil || h != l.header {
		return errLost
	}
	return nil
}

// there is same for whatever stands at path now.
func (l *logFile) there() error {
	f, err := l.fs.Open(l.path)
	if errors.Is(err, iofs.ErrNotExist) {
		return errLost
	} else if err != nil {
		return err
	}
	defer f.Close()
	return l.same(f)
}

// cut removes what follows an offset.
func (l *logFile) cut(offset int64) error {
	f, err := l.fs.Append(l.path)
	if err != nil {
		return err
	}
	if err = f.Truncate(offset); err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	l.size = offset
	return err
}

// mostFile bounds a file that is read whole.
const mostFile = math.MaxInt32

// readFile returns the content of a file of at most `most` bytes.
func readFile(fsys fileSystem, path string, most int64) ([]byte, error) {
	f, err := fsys.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, size, err := readFrom(f, 0, most)
	if err == nil && size > most {
		return nil, fmt.Errorf("%s has %d bytes; at most %d are read: %w", filepath.Base(path), size, most, runtime.ErrLimit)
	}
	return data, err
}

// readSync is readFile; synced says that the file and its name are durable, or that there is none.
func readSync(fsys fileSystem, path string, most int64) (data []byte, synced bool, err error) {
	if data, err = readFile(fsys, path, most); err != nil {
		return nil, errors.Is(err, iofs.ErrNotExist), err
	}
	f, err := fsys.Open(path)
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	return data, f.Sync() == nil && fsys.SyncDir(filepath.Dir(path)) == nil, nil
}
