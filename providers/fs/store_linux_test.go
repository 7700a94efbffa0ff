package fs_test

import (
	"os"
	"syscall"
)

// syncData is what bbolt does on Linux.
func syncData(f *os.File) error { return syscall.Fdatasync(int(f.Fd())) }
