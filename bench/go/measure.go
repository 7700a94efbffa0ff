package main

import (
	"bytes"
	"compress/gzip"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// line is what is printed.
type line map[string]any

// cpu is what all threads of this process have used, the garbage collector's included.
func cpu() time.Duration {
	var u syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &u) == nil, "getrusage")
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }

// timed returns the CPU time of f, the garbage before it collected.
func timed(f func()) time.Duration {
	runtime.GC()
	begin := cpu()
	f()
	return cpu() - begin
}

// enough is how much CPU time repeats of a task may take.
const enough = 2 * time.Second

// again returns the median CPU time of up to n times f.
func again(n int, f func()) float64 {
	var all []time.Duration
	for begin := cpu(); len(all) == 0 || len(all) < n && cpu()-begin < enough; {
		all = append(all, timed(f))
	}
	return ms(median(all))
}

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[(len(all)-1)/2]
}

// footprint is the memory of this process after collection.
type footprint struct{ heap, rss int64 }

func (l *library) memory() footprint {
	for range 3 { // finalizers give back what is outside of Go's heap
		runtime.GC()
		time.Sleep(10 * time.Millisecond)
	}
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	f := footprint{heap: int64(m.HeapAlloc)}
	if l.heap != nil {
		f.heap += l.heap()
	}
	pages := must(strconv.ParseInt(strings.Fields(string(must(os.ReadFile("/proc/self/statm"))))[1], 10, 64))
	f.rss = pages * int64(os.Getpagesize())
	return f
}

func (j *job) grown(before footprint) {
	now := j.memory()
	j.out["heap_bytes"], j.out["rss_bytes"] = now.heap-before.heap, now.rss-before.rss
}

// sized puts the size of a saved state in, as it is and compressed by gzip.
func (j *job) sized(state []byte) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	must(z.Write(state))
	check(z.Close() == nil, "gzip")
	j.out["save_bytes"], j.out["save_gzip"] = len(state), b.Len()
}
