//go:build unix

package main

import (
	"syscall"
	"time"
)

// cpuTime is what all threads of this process have used, the garbage collector's included.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return wallTime()
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

const hasCPUTime = true
