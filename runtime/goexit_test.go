package runtime_test

import (
	goruntime "runtime"
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
