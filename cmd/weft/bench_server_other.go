//go:build !linux && !js

package main

import (
	"errors"
	"os"
	goruntime "runtime"
	"syscall"
	"time"
)

func cores() []int { return nil }

func pinTo(int) (release func(), err error) { return nil, errors.ErrUnsupported }

// residentMemory returns what the Go runtime has of the system: more than what is resident.
func residentMemory() (now, peak, own int64) {
	var m goruntime.MemStats
	goruntime.ReadMemStats(&m)
	now = int64(m.Sys - m.HeapReleased)
	return now, int64(m.Sys), now
}

func forgetPeak() {}

func waited() time.Duration { return 0 }

func loadAverage() float64 { return 0 }

func dropCached(string) error { return nil }

func syncData(f *os.File) error { return f.Sync() }

func setReadBuffer(syscall.RawConn, int) error { return nil }
