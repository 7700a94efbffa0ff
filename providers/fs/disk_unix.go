//go:build linux || darwin || freebsd || dragonfly

package fs

import (
	"errors"

	"golang.org/x/sys/unix"
)

// stampOf returns what identifies a file and its last change.
func stampOf(path string) (fileStamp, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return fileStamp{}, err
	}
	return fileStamp{uint64(st.Ino), st.Ctim.Nano(), st.Size}, nil
}

// freeSpace returns the bytes of a directory's disk that may be written, and its size.
func freeSpace(dir string) (free, size int64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, 0, err
	}
	return int64(st.Bavail) * int64(st.Bsize), int64(st.Blocks) * int64(st.Bsize), nil
}

// isFull reports whether a write failed for lack of room.
func isFull(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EFBIG)
}

// fullTexts are the messages of isFull's errors: bbolt passes on the text alone where it cannot make the file longer.
var fullTexts = []string{unix.ENOSPC.Error(), unix.EDQUOT.Error(), unix.EFBIG.Error()}
