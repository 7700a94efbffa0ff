package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// progress shows on a terminal what goes on once that has taken a second: one line that is written over. On anything
// but a terminal it does nothing. Its goroutine ends with stop.
type progress struct {
	w     io.Writer // nil: silent
	start time.Time
	done  chan struct{}
	ended sync.WaitGroup

	mu struct {
		sync.Mutex
		what  string
		shown string // the line on the terminal
	}
}

const progressAfter = time.Second

func newProgress(w io.Writer) *progress {
	p := &progress{start: time.Now(), done: make(chan struct{})}
	f, ok := w.(*os.File)
	if !ok {
		return p
	}
	if info, err := f.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return p
	}
	p.w = w
	p.ended.Add(1)
	go p.show()
	return p
}

// set says what goes on.
func (p *progress) set(format string, args ...any) {
	if p.w == nil {
		return
	}
	p.mu.Lock()
	p.mu.what = fmt.Sprintf(format, args...)
	p.mu.Unlock()
}

func (p *progress) show() {
	defer p.ended.Done()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-p.done:
			return
		case now := <-tick.C:
			if now.Sub(p.start) >= progressAfter {
				p.line(fmt.Sprintf("%.0f s  ", now.Sub(p.start).Seconds()))
			}
		}
	}
}

func (p *progress) line(head string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := clip(head+p.mu.what, 100)
	if s == p.mu.shown {
		return
	}
	blanks := max(0, utf8.RuneCountInString(p.mu.shown)-utf8.RuneCountInString(s))
	fmt.Fprint(p.w, "\r"+s+strings.Repeat(" ", blanks))
	p.mu.shown = s
}

// stop wipes the line; after it nothing more is shown. It may be called again.
func (p *progress) stop() {
	if p.w == nil {
		return
	}
	close(p.done)
	p.ended.Wait()
	if p.mu.shown != "" {
		fmt.Fprint(p.w, "\r"+strings.Repeat(" ", utf8.RuneCountInString(p.mu.shown))+"\r")
	}
	p.w = nil
}
