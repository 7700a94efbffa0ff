//go:build !js && !wasip1 && !plan9

package fs

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
	"github.com/google/uuid"
)

// ownerRecord is the file beside the data file that says who has the store open, and how the data file looked from outside
// when it was last seen: a copy or a restored backup looks different. It decides nothing but whether replica IDs go on.
type ownerRecord struct {
	Owner
	Mark   uuid.UUID `json:"mark"`   // of the boot record
	Closed bool      `json:"closed"` // after the last write
	Stamp  fileStamp `json:"stamp"`
}

// fileStamp is what the system says of a file. No program can set Changed (ctime), and writing to a file changes it.
type fileStamp struct {
	Inode   uint64 `json:"inode"`
	Changed int64  `json:"changed"` // ns
	Size    int64  `json:"size"`
}

// acquire locks the directory, making it if need be.
func (s *Store) acquire() error {
	path := filepath.Join(s.dir, lockFile)
	var ok bool
	var err error
	if s.opt.ReadOnly {
		s.lock = flock.New(path, flock.SetFlag(os.O_RDONLY))
		ok, err = s.lock.TryRLock()
		if errors.Is(err, os.ErrNotExist) { // never opened for writing here; bbolt locks the data file as well
			s.lock, ok, err = nil, true, nil
		}
	} else {
		if err := s.makeDirectory(); err != nil {
			return err
		}
		s.lock = flock.New(path, flock.SetFlag(os.O_CREATE|os.O_RDWR), flock.SetPermissions(0o600))
		ok, err = s.lock.TryLock()
	}
	if err != nil {
		s.lock = nil
		return err
	}
	if !ok {
		s.lock = nil
		o, _ := s.readOwner()
		return &OwnedError{s.dir, o.Owner}
	}
	return nil
}

func (s *Store) makeDirectory() error {
	if _, err := os.Stat(s.dir); err == nil {
		return nil
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	return syncDirectory(filepath.Dir(s.dir))
}

func (s *Store) readOwner() (o ownerRecord, err error) {
	b, err := os.ReadFile(filepath.Join(s.dir, ownerFile))
	if err != nil {
		return o, err
	}
	return o, json.Unmarshal(b, &o)
}

// writeOwner replaces the owner file.
func (s *Store) writeOwner(o *ownerRecord) error {
	b, err := json.Marshal(o)
	if err != nil {
		return err
	}
	path := filepath.Join(s.dir, ownerFile)
	temp := path + ".new"
	if err := os.WriteFile(temp, append(b, '\n'), 0o600); err != nil {
		return err
	}
	return replaceFile(temp, path)
}

// noteOpen writes who has the store open, and returns how the owner file looks from outside.
func (s *Store) noteOpen(mark uuid.UUID) (fileStamp, error) {
	host, _ := os.Hostname()
	program, _ := os.Executable()
	stamp, err := s.stamp(dataFile)
	if err != nil {
		return fileStamp{}, err
	}
	if err := s.writeOwner(&ownerRecord{
		Owner: Owner{os.Getpid(), host, filepath.Base(program), time.Now().UTC().Truncate(time.Second)},
		Mark:  mark, Stamp: stamp,
	}); err != nil {
		return fileStamp{}, err
	}
	return s.stamp(ownerFile)
}

// noteClosed writes how the data file was left. Without it the next opening takes the end for a crash.
func (s *Store) noteClosed() {
	if s.opt.ReadOnly || !s.mu.mark.clean {
		return
	}
	o, err := s.readOwner()
	if err == nil && o.Mark == s.mu.mark.mark {
		if o.Stamp, err = s.stamp(dataFile); err == nil {
			o.Closed = true
			err = s.writeOwner(&o)
		}
	}
	if err != nil {
		s.log.Warn("weft: the owner file was not written", "dir", s.dir, "error", err)
	}
}

func (s *Store) stamp(name string) (fileStamp, error) {
	return stampOf(filepath.Join(s.dir, name))
}

// moved says why the data file is not the one that was last open here, or an earlier state of it; "": it is.
func (s *Store) moved(b *bootRecord) string {
	o, err := s.readOwner()
	if errors.Is(err, os.ErrNotExist) && b.count == 0 {
		return "" // a new store
	}
	if err != nil {
		return fmt.Sprintf("nothing says who had it open last: %v", err)
	}
	now, err1 := s.stamp(dataFile)
	owner, err2 := s.stamp(ownerFile)
	owner.Size = 0
	switch {
	case errors.Join(err1, err2) != nil:
		return errors.Join(err1, err2).Error()
	case o.Mark != b.mark:
		return "it is of another time than the owner file"
	case o.Stamp.Inode != now.Inode:
		return "it is another file"
	case o.Closed && !b.clean:
		return "it was closed, and this state was not"
	case o.Closed && o.Stamp != now:
		return "it was changed since it was closed"
	case !o.Closed && owner != b.owner:
		return "the owner file is a copy, or an earlier one"
	}
	return ""
}
