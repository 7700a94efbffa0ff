package fs

import (
	"errors"

	"golang.org/x/sys/windows"
)

// stampOf returns what identifies a file and its last change.
func stampOf(path string) (fileStamp, error) {
	p, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return fileStamp{}, err
	}
	const share = windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE | windows.FILE_SHARE_DELETE
	h, err := windows.CreateFile(p, 0, share, nil, windows.OPEN_EXISTING, windows.FILE_ATTRIBUTE_NORMAL, 0)
	if err != nil {
		return fileStamp{}, err
	}
	defer windows.CloseHandle(h)
	var i windows.ByHandleFileInformation
	if err := windows.GetFileInformationByHandle(h, &i); err != nil {
		return fileStamp{}, err
	}
	return fileStamp{
		Inode:   uint64(i.FileIndexHigh)<<32 | uint64(i.FileIndexLow),
		Changed: i.LastWriteTime.Nanoseconds(), // the nearest that there is; a program can set it
		Size:    int64(i.FileSizeHigh)<<32 | int64(i.FileSizeLow),
	}, nil
}

// freeSpace returns the bytes of a directory's disk that may be written, and its size.
func freeSpace(dir string) (free, size int64, err error) {
	p, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, 0, err
	}
	var avail, total, all uint64
	if err := windows.GetDiskFreeSpaceEx(p, &avail, &total, &all); err != nil {
		return 0, 0, err
	}
	return int64(avail), int64(total), nil
}

// isFull reports whether a write failed for lack of room.
func isFull(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL)
}

var fullTexts = []string{windows.ERROR_DISK_FULL.Error()}
