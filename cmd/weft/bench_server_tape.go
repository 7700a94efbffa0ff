//go:build !js

package main

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/seed1312cc15/weft"
	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// tape is the log of one document as all light clients of it get it: the first to whom a number comes unpacks it, all others
// get the very same bytes, which is checked. So one clock serves both ends, and a client costs little.
//
//  1. entries has one for each number from first on; data holds their bytes.
//  2. stream is the state after the last.
type tape struct {
	mu      sync.Mutex
	first   uint64
	entries []entry
	data    []byte
	stream  runtime.Unpacker
	writers map[vclock.Replica]*writer
	delays  *delays
}

// entry is one message of a log.
type entry struct {
	end    int       // of its bytes
	sent   time.Time // when it was due; zero: before the writers began
	sender vclock.Replica
	dots   uint64 // end of the sender's
}

// delays are the latencies of a run, from when a message was due, in microseconds. Those due before from do not count.
type delays struct {
	mu               sync.Mutex
	from, to         time.Time
	deliveries, acks *hdrhistogram.Histogram
}

const longestDelay = int64(2 * time.Minute / time.Microsecond)

func newDelays() *delays {
	return &delays{deliveries: newHistogram(), acks: newHistogram()}
}

func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, longestDelay, 3) }

// percentile returns a percentile of a histogram of microseconds, in milliseconds.
func percentile(h *hdrhistogram.Histogram, p float64) float64 {
	return float64(h.ValueAtQuantile(p)) / 1000
}

func record(h *hdrhistogram.Histogram, d time.Duration) {
	h.RecordValue(min(max(1, d.Microseconds()), longestDelay))
}

func newTape(d *delays) *tape {
	t := &tape{writers: make(map[vclock.Replica]*writer), delays: d}
	t.stream.Split = true
	return t
}

func (t *tape) next() uint64 { return t.first + uint64(len(t.entries)) }

// restore begins the tape, or a new stream of it.
func (t *tape) restore(at uint64, state []byte) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.first == 0:
		t.first = at
	case at < t.next():
		return nil
	case at > t.next():
		return errors.New("nobody got a part of the log")
	}
	return t.stream.Restore(state)
}

// read takes packed messages that begin at a number, and returns the number after them.
func (t *tape) read(at uint64, packed []byte) (uint64, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if at < t.first || at > t.next() {
		return at, errors.New("the log begins in the wrong place")
	}
	for len(packed) > 0 {
		if at == t.next() {
			_, rest, err := t.stream.Next(packed)
			if err != nil {
				return at, err
			}
			t.add(packed[:len(packed)-len(rest)])
		}
		begin, end := t.span(at)
		if !bytes.HasPrefix(packed, t.data[begin:end]) {
			return at, fmt.Errorf("two clients got different messages %d", at)
		}
		packed = packed[end-begin:]
		at++
	}
	return at, nil
}

func (t *tape) span(at uint64) (begin, end int) {
	k := at - t.first
	if k > 0 {
		begin = t.entries[k-1].end
	}
	return begin, t.entries[k].end
}

func (t *tape) add(packed []byte) {
	t.data = append(t.data, packed...)
	e := entry{end: len(t.data)}
	e.sender, e.dots = t.stream.Last()
	if w := t.writers[e.sender]; w != nil {
		e.sent = w.due(e.dots)
	}
	t.entries = append(t.entries, e)
}

// arrived notes that one client has got the messages from a number up to another.
func (t *tape) arrived(from, to uint64, self *writer, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	d := t.delays
	d.mu.Lock()
	defer d.mu.Unlock()
	for k := from; k < to; k++ {
		e := &t.entries[k-t.first]
		switch {
		case e.sent.Before(d.from) || !e.sent.Before(d.to):
		case self != nil && e.sender == self.doc.Replica():
			record(d.acks, now.Sub(e.sent))
		default:
			record(d.deliveries, now.Sub(e.sent))
		}
	}
}

// clock returns that of the messages below a number, encoded.
func (t *tape) clock(at uint64) []byte {
	c := make(vclock.Clock)
	if t != nil {
		t.mu.Lock()
		for _, e := range t.entries[:at-t.first] {
			c.Set(e.sender, e.dots)
		}
		t.mu.Unlock()
	}
	b, err := c.AppendBinary(nil)
	if err != nil {
		panic(err) // the log's dots are valid
	}
	return b
}

// note is what writers edit.
type note struct {
	Body weft.Text `weft:"body"`
}

// writer is who types into a document.
type writer struct {
	doc    *weft.Document[note]
	typed  string // by an edit
	cursor int

	mu   sync.Mutex
	ends map[uint64]time.Time // when a message was due, by the end of its dots
	now  time.Time            // of the edit that is being made
	sent int
}

// newWriter returns a writer; send gets each message that it writes, nil: somebody else listens to the document.
func newWriter(send func(message []byte)) (*writer, error) {
	doc, err := weft.Open[note](nil)
	if err != nil {
		return nil, err
	}
	w := &writer{doc: doc, typed: "x", ends: make(map[uint64]time.Time)}
	doc.OnUpdate(func(u weft.Update) {
		if !u.Local {
			return
		}
		w.mu.Lock()
		w.ends[u.End] = w.now
		w.sent++
		w.mu.Unlock()
		if send != nil {
			send(u.Data)
		}
	})
	return w, nil
}

// due returns when a message was due.
func (w *writer) due(end uint64) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ends[end]
}

func (w *writer) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sent
}

// longestText is how many edits a document grows by; from then on as much is deleted as is typed.
const longestText = 500

// edit types where the writer typed last, or deletes there. It was due at a time.
func (w *writer) edit(due time.Time) error {
	w.mu.Lock()
	w.now = due
	w.mu.Unlock()
	return w.doc.Transact(func(tx weft.Tx) error {
		b := &w.doc.Root.Body
		n, size := b.Len(tx), len(w.typed)
		at := min(w.cursor, n)
		if n > longestText*size {
			w.cursor = max(0, at-size)
			return b.Delete(tx, w.cursor, size)
		}
		w.cursor = at + size
		return b.Insert(tx, at, w.typed)
	})
}
