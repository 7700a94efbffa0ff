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

// progress shows what goes on once that has taken a second: on a terminal one line that is written over, in a file or pipe
// a line then, and one each time that takes ten times as long. On other writers, those of tests, it does nothing. Its goroutine
// ends with stop.
type progress struct {
	w     io.Writer // nil: silent
	start time.Time
	plain bool          // no terminal
	next  time.Duration // when the next plain line is due
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
	p := &progress{start: time.Now(), next: progressAfter, done: make(chan struct{})}
	f, ok := w.(*os.File)
	if !ok {
		return p
	}
	info, err := f.Stat()
	if err != nil {
		return p
	}
	p.plain = info.Mode()&os.ModeCharDevice == 0
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
			if now.Sub(p.start) >= p.next {
				p.line(fmt.Sprintf("%.0f s  ", now.Sub(p.start).Seconds()))
			}
		}
	}
}

func (p *progress) line(head string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := clip(head+p.mu.what, 100)
	switch {
	case p.mu.what == "" || s == p.mu.shown:
		return
	case p.plain:
		fmt.Fprintln(p.w, s)
		p.next *= 10
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
