package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	goruntime "runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
)

// measurement is what one task on one trace took. The programs in bench/ that measure other libraries write the same
// lines. Times are milliseconds, sizes bytes; zero: not measured by this task.
type measurement struct {
	Peer  string `json:"peer"`
	Task  string `json:"task"`
	Trace string `json:"trace,omitempty"`

	MS     float64 `json:"ms,omitempty"`
	CPUMS  float64 `json:"cpu_ms,omitempty"`
	WarmMS float64 `json:"warm_ms,omitempty"` // CPU time of doing it again in the same process: the median

	Messages     int `json:"messages,omitempty"`
	MessageBytes int `json:"message_bytes,omitempty"`
	LinkBytes    int `json:"link_bytes,omitempty"` // the same messages, each by itself, as a link carries them

	SaveMS      float64 `json:"save_ms,omitempty"`       // CPU time of the first save
	SaveAgainMS float64 `json:"save_again_ms,omitempty"` // and of later ones after an edit each: the median
	SaveBytes   int     `json:"save_bytes,omitempty"`
	SaveGzip    int     `json:"save_gzip,omitempty"`
	SaveZstd    int     `json:"save_zstd,omitempty"`

	LoadMS      float64 `json:"load_ms,omitempty"` // workloads: of the first load of the saved state, and of later ones
	LoadAgainMS float64 `json:"load_again_ms,omitempty"`

	HeapBytes int64 `json:"heap_bytes,omitempty"` // growth of what is live, after collection
	RSSBytes  int64 `json:"rss_bytes,omitempty"`  // growth of the resident memory, after collection (Linux)

	Different bool   `json:"different,omitempty"` // the text is not the trace's, which other list orders may cause
	Skipped   string `json:"skipped,omitempty"`   // why there is nothing
}

func parseMeasurement(line []byte) (m measurement, err error) {
	err = json.Unmarshal(line, &m)
	return m, err
}

// medians puts runs of one task together, each figure by itself.
func medians(runs []measurement) measurement {
	out := runs[len(runs)-1]
	v := reflect.ValueOf(&out).Elem()
	for i := range v.NumField() {
		f := v.Field(i)
		if !f.CanInt() && !f.CanFloat() {
			continue
		}
		slices.SortFunc(runs, func(a, b measurement) int { return compareField(a, b, i) })
		f.Set(reflect.ValueOf(runs[(len(runs)-1)/2]).Field(i))
	}
	return out
}

func compareField(a, b measurement, i int) int {
	x, y := reflect.ValueOf(a).Field(i), reflect.ValueOf(b).Field(i)
	less := x.CanInt() && x.Int() < y.Int() || x.CanFloat() && x.Float() < y.Float()
	more := x.CanInt() && x.Int() > y.Int() || x.CanFloat() && x.Float() > y.Float()
	switch {
	case less:
		return -1
	case more:
		return 1
	}
	return 0
}

// interval is a span of time that is being measured.
type interval struct{ wall, cpu time.Duration }

// start collects the garbage of what was before and starts the clocks.
func start() interval {
	goruntime.GC()
	return interval{wallTime(), cpuTime()}
}

// stop puts the time since start into m.
func (i interval) stop(m *measurement) {
	cpu, wall := cpuTime()-i.cpu, wallTime()-i.wall
	m.MS, m.CPUMS = milliseconds(wall), milliseconds(cpu)
}

// cpuOf returns the CPU time that fn takes, in milliseconds, the garbage before it collected.
func cpuOf(fn func() error) (float64, error) {
	goruntime.GC()
	begin := cpuTime()
	err := fn()
	return milliseconds(cpuTime() - begin), err
}

// enough is how much CPU time repeats of a task in one process may take.
const enough = 2 * time.Second

// again returns the median CPU time of up to n times fn.
func again(n int, fn func() error) (float64, error) {
	var all []time.Duration
	for begin := cpuTime(); len(all) == 0 || len(all) < n && cpuTime()-begin < enough; {
		goruntime.GC()
		begin := cpuTime()
		if err := fn(); err != nil {
			return 0, err
		}
		all = append(all, cpuTime()-begin)
	}
	return milliseconds(median(all)), nil
}

// repeated does a whole task once, and up to six times more as long as all takes no more than enough: what the first time
// costs more is told apart. The later times are medians.
func repeated(task func(first bool) (measurement, error)) (m measurement, err error) {
	begin := cpuTime()
	if m, err = task(true); err != nil {
		return m, err
	}
	var later []measurement
	for one := cpuTime() - begin; len(later) < 6 && cpuTime()-begin+one < enough; {
		n, err := task(false)
		if err != nil {
			return m, err
		}
		later = append(later, n)
	}
	if len(later) > 0 {
		n := medians(later)
		m.WarmMS, m.SaveAgainMS, m.LoadAgainMS = n.CPUMS, n.SaveMS, n.LoadMS
	}
	return m, nil
}

// footprint is the memory of this process after collection.
type footprint struct{ heap, rss int64 }

func memoryNow() footprint {
	f := footprint{heap: heap()}
	debug.FreeOSMemory()
	statm, err := os.ReadFile("/proc/self/statm")
	if fields := strings.Fields(string(statm)); err == nil && len(fields) > 1 {
		pages, _ := strconv.ParseInt(fields[1], 10, 64)
		f.rss = pages * int64(os.Getpagesize())
	}
	return f
}

// grown puts the growth since before into m.
func (before footprint) grown(m *measurement) {
	f := memoryNow()
	m.HeapBytes, m.RSSBytes = f.heap-before.heap, f.rss-before.rss
}

// sized puts the size of a saved state into m, as it is and compressed by the usual settings.
func (m *measurement) sized(state []byte) error {
	m.SaveBytes = len(state)
	var gz bytes.Buffer
	w := gzip.NewWriter(&gz)
	if _, err := w.Write(state); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	m.SaveGzip = gz.Len()
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithAllLitEntropyCompression(true))
	if err != nil {
		return fmt.Errorf("zstd: %w", err)
	}
	m.SaveZstd = len(z.EncodeAll(state, nil))
	return z.Close()
}
