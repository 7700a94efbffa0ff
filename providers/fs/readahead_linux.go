package fs

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// readAheadFrom is from what length on a value is read ahead: it spans pages, and lies in the memory map and nowhere else.
const readAheadFrom = 16 << 10

// readAhead brings a value that lies in the memory map into memory in one call. Touched page by page, each would be a read of its
// own, since bbolt asks for no read-ahead, and while the processor waits for one no other goroutine runs in its place. It is advice:
// where the system does not take it the pages come when they are touched.
func readAhead(value []byte) {
	if len(value) < readAheadFrom {
		return
	}
	at := unsafe.Pointer(unsafe.SliceData(value))
	before := int(uintptr(at) % uintptr(os.Getpagesize()))
	pages := unsafe.Slice((*byte)(unsafe.Add(at, -before)), before+len(value))
	if unix.Madvise(pages, unix.MADV_WILLNEED) == nil {
		_ = unix.Madvise(pages, unix.MADV_POPULATE_READ)
	}
}
