//go:build !js

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
	goruntime "runtime"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/providers/fs"
)

// recordSize is what a writer of L8 makes durable at a time, bytes.
const recordSize = 100

// turns is how often the store and the bare log take turns, so that what else uses the disk disturbs both alike.
const turns = 3

// store is L8: writers who each wait until their record is on the disk, and the same with a log that does nothing else. It runs in
// this process, on all cores.
func (l *load) store() (err error) {
	dir, remove, err := l.scratch()
	if err != nil {
		return err
	}
	defer remove()
	store, err := fs.Open(filepath.Join(dir, "store"), nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	bare, err := newBareLog(filepath.Join(dir, "log"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, bare.close()) }()
	names := make([]string, l.documents)
	for i := range names {
		names[i] = roomName(i)
	}
	data := make([]byte, recordSize)
	var ofStore, ofBare storeRate
	for range turns {
		if err := l.writeFor(&ofStore, names, func(document string) error {
			_, err := store.Append(context.Background(), []providers.Record{{Document: document, Data: data}})
			return err
		}); err != nil {
			return err
		}
		if err := l.writeFor(&ofBare, names, func(document string) error { return bare.append(document, data) }); err != nil {
			return err
		}
	}
	l.least("store", "/s", ofStore.best, 30_000)
	l.most("store p99", "ms", percentile(ofStore.h, 99), 40)
	l.add("store p50", "ms", percentile(ofStore.h, 50))
	l.add("bare log", "/s", ofBare.best)
	l.add("bare log p99", "ms", percentile(ofBare.h, 99))
	l.least("share of the bare log", "%", 100*ofStore.best/ofBare.best, 50)
	return nil
}

// storeRate is the fastest of several turns, and the times of that one.
type storeRate struct {
	best float64 // per second
	h    *hdrhistogram.Histogram
}

// writeFor has all writers write one after the other for the time of one turn.
func (l *load) writeFor(r *storeRate, names []string, write func(document string) error) error {
	hs := make([]*hdrhistogram.Histogram, l.clients)
	begin := time.Now()
	until := begin.Add(l.duration / (2 * turns))
	err := each(hs, l.clients, func(w int, _ *hdrhistogram.Histogram) error {
		h := newHistogram()
		hs[w] = h
		for k, at := 0, time.Now(); at.Before(until); k++ {
			if err := write(names[(w*7919+k*31)%len(names)]); err != nil {
				return err
			}
			now := time.Now()
			record(h, now.Sub(at))
			at = now
		}
		return nil
	})
	took := time.Since(begin)
	sum := newHistogram()
	for _, h := range hs {
		if h != nil {
			sum.Merge(h)
		}
	}
	if rate := float64(sum.TotalCount()) / took.Seconds(); rate > r.best {
		r.best, r.h = rate, sum
	}
	return err
}

// bareLog is the least that makes records durable in groups: one file, one write and one sync for all who wait.
type bareLog struct {
	f    *os.File
	mu   sync.Mutex
	next *bareBatch
	wake chan struct{}
	done chan struct{}
}

type bareBatch struct {
	data  []byte
	calls int
	done  chan struct{}
	err   error
}

func newBareLog(path string) (*bareLog, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	l := &bareLog{f: f, next: &bareBatch{done: make(chan struct{})}, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go l.run()
	return l, nil
}

func (l *bareLog) append(document string, data []byte) error {
	l.mu.Lock()
	b := l.next
	b.calls++
	at := len(b.data)
	b.data = append(b.data, 0, 0, 0, 0, 0, 0, 0, 0, byte(len(document)))
	b.data = append(append(b.data, document...), data...)
	binary.BigEndian.PutUint32(b.data[at:], uint32(len(b.data)-at))
	binary.BigEndian.PutUint32(b.data[at+4:], crc32.Checksum(b.data[at+8:], loadSum))
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
	<-b.done
	return b.err
}

// take ends the batch that grows, once nobody adds to it any more.
func (l *bareLog) take() *bareBatch {
	for before := -1; ; {
		l.mu.Lock()
		if l.next.calls == before {
			b := l.next
			l.next = &bareBatch{done: make(chan struct{})}
			l.mu.Unlock()
			return b
		}
		before = l.next.calls
		l.mu.Unlock()
		goruntime.Gosched()
	}
}

func (l *bareLog) run() {
	defer close(l.done)
	for range l.wake {
		b := l.take()
		if b.calls == 0 {
			continue
		}
		if _, b.err = l.f.Write(b.data); b.err == nil {
			b.err = syncData(l.f)
		}
		close(b.done)
	}
}

func (l *bareLog) close() error {
	close(l.wake)
	<-l.done
	return l.f.Close()
}
