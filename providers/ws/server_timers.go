//go:build !js

package ws

import (
	"container/heap"
	"sync"
	"time"
)

// timers ring at the deadlines of all connections: one goroutine and one timer for all of them. Its lock is a leaf.
type timers struct {
	mu   sync.Mutex
	heap timerHeap
	wake chan struct{}
	next time.Time // when the goroutine wakes by itself; zero: not at all
}

// alarm is a connection's place among the timers.
type alarm struct {
	at      time.Time
	ring    func()
	i       int  // in the heap, from 1; 0: not there
	retired bool // it rings no more
}

type timerHeap []*alarm

func (h timerHeap) Len() int           { return len(h) }
func (h timerHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].i, h[j].i = i+1, j+1
}
func (h *timerHeap) Push(x any) {
	a := x.(*alarm)
	*h = append(*h, a)
	a.i = len(*h)
}
func (h *timerHeap) Pop() any {
	old := *h
	a := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	a.i = 0
	return a
}

// set makes an alarm ring at a time, once; zero: not at all.
func (t *timers) set(a *alarm, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case at.IsZero() || a.retired:
		if a.i > 0 {
			heap.Remove(&t.heap, a.i-1)
		}
		return
	case a.i > 0:
		a.at = at
		heap.Fix(&t.heap, a.i-1)
	default:
		a.at = at
		heap.Push(&t.heap, a)
	}
	if t.heap[0] == a && (t.next.IsZero() || at.Before(t.next)) {
		t.next = at
		select {
		case t.wake <- struct{}{}:
		default:
		}
	}
}

// retire makes an alarm ring no more.
func (t *timers) retire(a *alarm) {
	t.mu.Lock()
	a.retired = true
	t.mu.Unlock()
	t.set(a, time.Time{})
}

// run rings until stop is closed. ring must not block; it may call set.
func (t *timers) run(stop <-chan struct{}) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var due []*alarm
	for {
		t.mu.Lock()
		now := time.Now()
		for len(t.heap) > 0 && !t.heap[0].at.After(now) {
			due = append(due, heap.Pop(&t.heap).(*alarm))
		}
		t.next = time.Time{}
		if len(t.heap) > 0 {
			t.next = t.heap[0].at
			timer.Reset(t.next.Sub(now))
		} else {
			timer.Stop()
		}
		t.mu.Unlock()
		if len(due) > 0 {
			for i, a := range due {
				a.ring()
				due[i] = nil
			}
			due = due[:0]
			continue
		}
		select {
		case <-t.wake:
		case <-timer.C:
		case <-stop:
			return
		}
	}
}
