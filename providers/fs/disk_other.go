//go:build !linux && !darwin && !freebsd && !dragonfly && !windows && !js && !wasip1 && !plan9

package fs

import (
	"errors"
	"math"
	"os"
	"syscall"
)

// stampOf returns what identifies a file and its last change: here only its size and time.
func stampOf(path string) (fileStamp, error) {
	info, err := os.Stat(path)
	if err != nil {
		return fileStamp{}, err
	}
	return fileStamp{0, info.ModTime().UnixNano(), info.Size()}, nil
}

// freeSpace does not know: a full disk shows when a write fails.
func freeSpace(string) (free, size int64, err error) { return math.MaxInt64, math.MaxInt64, nil }

// isFull reports whether a write failed for lack of room.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}

var fullTexts = []string{syscall.ENOSPC.Error(), syscall.EDQUOT.Error(), syscall.EFBIG.Error()}
