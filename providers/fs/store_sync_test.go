//go:build !linux

package fs_test

import "os"

func syncData(f *os.File) error { return f.Sync() }
