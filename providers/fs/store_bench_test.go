//go:build !js && !wasip1 && !plan9

package fs_test

import (
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/providers/fs"
)

var benchDir = flag.String("storedir", "", "where the benchmarks of stores put their files; default: the temporary directory")

const (
	benchDocuments = 10_000
	benchRecord    = 100
)

// BenchmarkStoreAppend appends 100-byte records, each call waiting until its record is on the disk, and the same to a bare
// log: one file, one write and one sync for all that wait. It reports the median and the 99th percentile of a call.
func BenchmarkStoreAppend(b *testing.B) {
	for _, writers := range []int{1, 16, 256, 2048} {
		b.Run(fmt.Sprintf("store/writers=%d", writers), func(b *testing.B) {
			s, err := fs.Open(benchPath(b), nil)
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			data := make([]byte, benchRecord)
			benchWriters(b, writers, func(document string) error {
				_, err := s.Append(context.Background(), []providers.Record{{Document: document, Data: data}})
				return err
			})
		})
		b.Run(fmt.Sprintf("bare/writers=%d", writers), func(b *testing.B) {
			l := newBareLog(b, filepath.Join(benchPath(b), "log"))
			defer l.close()
			data := make([]byte, benchRecord)
			benchWriters(b, writers, func(document string) error { return l.append(document, data) })
		})
	}
}

// BenchmarkStoreShareOfBareLog has the store and a bare log take turns, five each of b.N records of 256 writers, and reports the
// best of each and what share of the bare log's the store's is: other programs' syncs then disturb both alike.
func BenchmarkStoreShareOfBareLog(b *testing.B) {
	const writers = 256
	s, err := fs.Open(benchPath(b), nil)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	l := newBareLog(b, filepath.Join(benchPath(b), "log"))
	defer l.close()
	data := make([]byte, benchRecord)
	var store, bare benchResult
	for range 5 {
		store.better(benchRun(b, writers, func(document string) error {
			_, err := s.Append(context.Background(), []providers.Record{{Document: document, Data: data}})
			return err
		}))
		bare.better(benchRun(b, writers, func(document string) error { return l.append(document, data) }))
	}
	b.ReportMetric(store.rate, "store/s")
	b.ReportMetric(bare.rate, "bare/s")
	b.ReportMetric(100*store.rate/bare.rate, "share-%")
	b.ReportMetric(store.p99, "p99-ms")
}

type benchResult struct{ rate, p50, p99 float64 } // per second, ms

func (r *benchResult) better(x benchResult) {
	if x.rate > r.rate {
		*r = x
	}
}

func benchPath(b *testing.B) string {
	if *benchDir == "" {
		return b.TempDir()
	}
	dir, err := os.MkdirTemp(*benchDir, "store")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func benchWriters(b *testing.B, writers int, write func(document string) error) {
	b.ResetTimer()
	r := benchRun(b, writers, write)
	b.StopTimer()
	b.ReportMetric(r.rate, "appends/s")
	b.ReportMetric(r.p50, "p50-ms")
	b.ReportMetric(r.p99, "p99-ms")
}

// benchRun has b.N records written.
func benchRun(b *testing.B, writers int, write func(document string) error) benchResult {
	names := make([]string, benchDocuments)
	for i := range names {
		names[i] = fmt.Sprintf("document-%08d", i)
	}
	took := make([][]time.Duration, writers)
	var wg sync.WaitGroup
	begin := time.Now()
	for w := range writers {
		n := b.N / writers
		if w < b.N%writers {
			n++
		}
		wg.Go(func() {
			for i := range n {
				at := time.Now()
				if err := write(names[(w*7919+i*31)%benchDocuments]); err != nil {
					b.Error(err)
					return
				}
				took[w] = append(took[w], time.Since(at))
			}
		})
	}
	wg.Wait()
	elapsed := time.Since(begin)
	all := slices.Concat(took...)
	slices.Sort(all)
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	return benchResult{float64(len(all)) / elapsed.Seconds(), ms(all[len(all)/2]), ms(all[len(all)*99/100])}
}

// bareLog is the least that makes records durable in groups: no index, no reading, no reuse of space.
type bareLog struct {
	f    *os.File
	mu   sync.Mutex
	next *bareBatch
	wake chan struct{}
	done chan struct{}
}

type bareBatch struct {
	buf   []byte
	calls int
	done  chan struct{}
	err   error
}

func newBareLog(b *testing.B, path string) *bareLog {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		b.Fatal(err)
	}
	l := &bareLog{f: f, next: &bareBatch{done: make(chan struct{})}, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go l.run()
	return l
}

func (l *bareLog) append(document string, data []byte) error {
	l.mu.Lock()
	batch := l.next
	batch.calls++
	at := len(batch.buf)
	batch.buf = append(batch.buf, 0, 0, 0, 0, 0, 0, 0, 0, byte(len(document)))
	batch.buf = append(append(batch.buf, document...), data...)
	binary.BigEndian.PutUint32(batch.buf[at:], uint32(len(batch.buf)-at))
	binary.BigEndian.PutUint32(batch.buf[at+4:], crc32.Checksum(batch.buf[at+8:], crc32.MakeTable(crc32.Castagnoli)))
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
	<-batch.done
	return batch.err
}

func (l *bareLog) calls() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.next.calls
}

func (l *bareLog) run() {
	defer close(l.done)
	for range l.wake {
		for n := l.calls(); ; {
			goruntime.Gosched()
			now := l.calls()
			if now == n {
				break
			}
			n = now
		}
		l.mu.Lock()
		batch := l.next
		l.next = &bareBatch{done: make(chan struct{})}
		l.mu.Unlock()
		if batch.calls == 0 {
			continue
		}
		if _, batch.err = l.f.Write(batch.buf); batch.err == nil {
			batch.err = syncData(l.f)
		}
		close(batch.done)
	}
}

func (l *bareLog) close() {
	close(l.wake)
	<-l.done
	l.f.Close()
}
