package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// cores lists the cores that this process may use.
func cores() (list []int) {
	var may unix.CPUSet
	if unix.SchedGetaffinity(0, &may) != nil {
		return nil
	}
	for cpu := range 1024 {
		if may.IsSet(cpu) {
			list = append(list, cpu)
		}
	}
	return list
}

// pinTo keeps all threads of this process on a core. Threads that are made later inherit it from those that make them.
func pinTo(cpu int) (release func(), err error) {
	var may, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &may); err != nil {
		return nil, err
	}
	one.Set(cpu)
	if err := setThreads(&one); err != nil {
		return nil, err
	}
	before := goruntime.GOMAXPROCS(1)
	return func() {
		goruntime.GOMAXPROCS(before)
		setThreads(&may)
	}, nil
}

// setThreads goes over the threads twice: one that was made meanwhile may have come from one that was not yet pinned.
func setThreads(to *unix.CPUSet) error {
	for range 2 {
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		for _, t := range threads {
			id, err := strconv.Atoi(t.Name())
			if err != nil {
				return err
			}
			if err := unix.SchedSetaffinity(id, to); err != nil && !errors.Is(err, unix.ESRCH) {
				return err
			}
		}
	}
	return nil
}

// residentMemory returns the resident memory of this process, the most that it was, and how much of it is no part of a file,
// bytes.
func residentMemory() (now, peak, own int64) {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, 0, 0
	}
	for line := range strings.Lines(string(b)) {
		var kb int64
		if n, _ := fmt.Sscanf(line, "VmRSS: %d kB", &kb); n == 1 {
			now = kb << 10
		}
		if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kb); n == 1 {
			peak = kb << 10
		}
		if n, _ := fmt.Sscanf(line, "RssAnon: %d kB", &kb); n == 1 {
			own = kb << 10
		}
	}
	return now, peak, own
}

// forgetPeak makes the peak begin anew.
func forgetPeak() { os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) }

// waited is how long the threads of this process were ready to run and did not, because others did.
func waited() (sum time.Duration) {
	threads, err := filepath.Glob("/proc/self/task/*/schedstat")
	if err != nil {
		return 0
	}
	for _, path := range threads {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		var ran, ready time.Duration
		fmt.Sscan(string(b), &ran, &ready)
		sum += ready
	}
	return sum
}

// loadAverage is that of the system over a minute.
func loadAverage() float64 {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(b), " ")
	v, _ := strconv.ParseFloat(first, 64)
	return v
}

// dropCached tells the system to forget what it has of a file in memory, as far as it is on the disk.
func dropCached(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
}

// syncData makes the content of a file durable, and of its metadata what is needed to read that.
func syncData(f *os.File) error { return unix.Fdatasync(int(f.Fd())) }

// setReadBuffer bounds what the system keeps of a connection that was not read, bytes. It has to come before the connection: a buffer
// that shrinks makes the system drop what the peer may send, acknowledgements included.
func setReadBuffer(c syscall.RawConn, n int) (err error) {
	failed := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, n) })
	return errors.Join(failed, err)
}
