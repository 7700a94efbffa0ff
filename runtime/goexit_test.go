package runtime_test

import (
	goruntime "runtime"
	"strings"
	"testing"

	"github.com/seed1312cc15/weft/runtime"
)

// A handler that ends its goroutine, as t.FailNow does, does not keep later events from anybody.
func TestHandlerThatEndsItsGoroutine(t *testing.T) {
	d := open(t, 1)
	heard := 0
	d.OnUpdate(func(runtime.Update) {
		if heard++; heard == 1 {
			goruntime.Goexit()
		}
	})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		d.add("x")
	}()
	<-ended
	d.add("y")
	if heard != 2 {
		t.Errorf("%d of 2 updates were heard of", heard)
	}
	stop := d.OnUpdate(func(u runtime.Update) {
		if heard == 4 {
			goruntime.Goexit() // in the middle of what is queued
		}
		if u.Local && heard < 6 {
			d.add("z")
		}
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		d.add("y")
	}()
	<-done
	stop()
	before := heard
	d.add("end")
	if heard <= before {
		t.Error("events have stopped")
	}
}

// A transaction that takes a new replica ID and then panics, or ends its goroutine, has something to tell all the same, and
// keeps nobody from telling more.
func TestPanicAfterReplicaChange(t *testing.T) {
	for name, end := range map[string]func(){"panic": func() { panic("as told") }, "Goexit": goruntime.Goexit} {
		t.Run(name, func(t *testing.T) {
			first, b := open(t, 1), open(t, 2)
			first.take(b.add("lost"))
			d, changes := lent(t)
			if _, err := d.Receive(first.add("1"), runtime.Restore()); err != nil {
				t.Fatal(err)
			}
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				defer func() { _ = recover() }()
				_ = d.Transact(func(runtime.Tx) error { end(); return nil })
			}()
			<-ended
			d.add("2")
			if len(*changes) != 1 || len(d.sent) != 1 {
				t.Errorf("told of %d changes and %d updates, want 1 and 1", len(*changes), len(d.sent))
			}
		})
	}
}

// What one handler does ends it alone: those behind it hear of the event, of what they write in turn, and of the next.
func TestHandlersBehindOneThatPanics(t *testing.T) {
	d := open(t, 1)
	var heard []string
	d.OnUpdate(func(runtime.Update) { heard = append(heard, "1"); panic("first") })
	d.OnUpdate(func(u runtime.Update) {
		heard = append(heard, "2")
		if len(heard) < 4 {
			d.add("of the handler")
		}
		panic("second")
	})
	d.OnUpdate(func(runtime.Update) { heard = append(heard, "3") })
	for range 2 {
		d.add("x")
	}
	if got := strings.Join(heard, ""); got != "123123123" {
		t.Errorf("heard %s", got)
	}
}
