package runtime

import (
	"sync"
	"sync/atomic"
)

// docLock lets one writer or many readers in. It is a sync.Mutex that a writer holds and a reader passes through: half
// the atomic operations of sync.RWMutex for a writer, which is what an edit pays for (BenchmarkLock), at the price that
// readers queue for a moment behind each other.
//
//  1. A writer holds turn from Lock to Unlock, and readers is 0 meanwhile.
//  2. A reader counts in readers from RLock to RUnlock; it held turn while it joined.
//  3. A writer that waits for readers to leave holds turn: later readers and writers come after it.
type docLock struct {
	turn    sync.Mutex
	readers atomic.Int32
	waiting atomic.Bool // a writer waits for readers to leave
	mu      sync.Mutex
	left    sync.Cond // the last reader has left; on mu
}

// Lock waits until nobody else is in.
func (l *docLock) Lock() {
	l.turn.Lock()
	if l.readers.Load() != 0 {
		l.awaitReaders()
	}
}

// TryLock takes the lock for writing if nobody is in.
func (l *docLock) TryLock() bool {
	return l.turn.TryLock() && (l.readers.Load() == 0 || l.yield())
}

// yield gives the turn back; it returns false.
func (l *docLock) yield() bool {
	l.turn.Unlock()
	return false
}

// Unlock ends a writer's turn.
func (l *docLock) Unlock() { l.turn.Unlock() }

// RLock waits until no writer is in or before it.
func (l *docLock) RLock() {
	l.turn.Lock()
	l.readers.Add(1)
	l.turn.Unlock()
}

// TryRLock joins the readers if no writer is in, none waits, and no other reader is just joining.
func (l *docLock) TryRLock() bool {
	if !l.turn.TryLock() {
		return false
	}
	l.readers.Add(1)
	l.turn.Unlock()
	return true
}

// RUnlock ends a reader's stay.
func (l *docLock) RUnlock() {
	if l.readers.Add(-1) == 0 && l.waiting.Load() {
		l.mu.Lock()
		l.left.Signal()
		l.mu.Unlock()
	}
}

// awaitReaders waits with turn held, so that only readers who are in can be waited for.
func (l *docLock) awaitReaders() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.left.L == nil {
		l.left.L = &l.mu
	}
	l.waiting.Store(true)
	for l.readers.Load() != 0 {
		l.left.Wait()
	}
	l.waiting.Store(false)
}
