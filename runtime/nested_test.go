package runtime_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/seed1312cc15/weft/runtime"
)

// within fails if f does not return soon: it hangs.
func within(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatalf("%s hangs", what)
	}
}

// nestedCalls are all that may not be called inside of a transaction of the same document. Those without an error panic.
func nestedCalls(d *doc) map[string]func() error {
	state := d.save()
	message := open(d.t, 9).add("other")
	quiet := func(f func()) func() error {
		return func() (err error) {
			defer func() {
				if v := recover(); v != nil {
					err = v.(error)
				}
			}()
			f()
			return nil
		}
	}
	return map[string]func() error{
		"Transact":         func() error { return d.Transact(func(runtime.Tx) error { return nil }) },
		"View":             func() error { return d.View(func(runtime.Tx) error { return nil }) },
		"Receive":          func() error { _, err := d.Receive(message); return err },
		"Load":             func() error { return d.Load(state) },
		"Save":             func() error { _, err := d.Save(); return err },
		"SaveSince":        func() error { _, err := d.SaveSince(nil); return err },
		"SaveAndSubscribe": func() error { _, _, err := d.SaveAndSubscribe(func(runtime.Update) {}); return err },
		"MessagesSince":    func() error { _, err := d.MessagesSince(nil); return err },
		"Clock":            quiet(func() { d.Clock() }),
		"Canonical":        quiet(func() { d.Canonical() }),
		"Export":           quiet(func() { d.Export() }),
		"Waiting":          quiet(func() { d.Waiting() }),
		"Missing":          quiet(func() { d.Missing() }),
		"Check":            d.Check,
		"MarshalJSON":      func() error { _, err := d.MarshalJSON(); return err },
		"OnUpdate":         quiet(func() { d.OnUpdate(func(runtime.Update) {}) }),
		"Acknowledge":      quiet(func() { d.Acknowledge(nil) }),
		"Unacknowledged":   quiet(func() { d.Unacknowledged() }),
		"Opaque":           quiet(func() { d.Opaque() }),
	}
}

func TestNestedInTransact(t *testing.T) {
	d := open(t, 1)
	for name, call := range nestedCalls(d) {
		within(t, name, func() {
			err := d.Transact(func(tx runtime.Tx) error {
				if err := call(); !errors.Is(err, runtime.ErrNested) {
					t.Errorf("%s inside Transact: %v", name, err)
				}
				return d.bag.Add(tx, "x")
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	d.check()
}

// Inside of View, calls that only read are refused only where they would block for good.
func TestNestedInView(t *testing.T) {
	d := open(t, 1)
	calls := nestedCalls(d)
	for _, name := range []string{"Transact", "Receive", "Load", "SaveAndSubscribe", "Acknowledge"} {
		within(t, name, func() {
			_ = d.View(func(runtime.Tx) error {
				if err := calls[name](); !errors.Is(err, runtime.ErrNested) {
					t.Errorf("%s inside View: %v", name, err)
				}
				return nil
			})
		})
	}
	within(t, "OnUpdate while a writer waits", func() {
		var writer sync.WaitGroup
		got := 0
		before := 0
		_ = d.View(func(tx runtime.Tx) error {
			writer.Go(func() { d.add("later") })
			time.Sleep(20 * time.Millisecond) // the writer waits for this View now
			before = len(d.bag.Values(tx))
			d.OnUpdate(func(runtime.Update) { got++ })
			return nil
		})
		writer.Wait()
		if after := len(runtime.Read(d.Runtime, d.bag.Values)); after != before+got {
			t.Errorf("%d values and then %d updates make %d", before, got, after)
		}
	})
	within(t, "View inside View while a writer waits", func() {
		_ = d.View(func(runtime.Tx) error {
			var started, ended sync.WaitGroup
			started.Add(1)
			ended.Add(1)
			go func() {
				started.Done()
				defer ended.Done()
				if err := d.Transact(func(tx runtime.Tx) error { return d.bag.Add(tx, "x") }); err != nil {
					t.Errorf("a writer of another goroutine is refused: %v", err)
				}
			}()
			started.Wait()
			time.Sleep(20 * time.Millisecond) // the writer waits for this View now
			if err := d.View(func(runtime.Tx) error { return nil }); !errors.Is(err, runtime.ErrNested) {
				t.Errorf("View inside View while a writer waits: %v", err)
			}
			t.Cleanup(ended.Wait)
			return nil
		})
	})
}

// Another goroutine is never refused, whatever it holds of other documents.
func TestOtherGoroutinesAreNotRefused(t *testing.T) {
	d, other := open(t, 1), open(t, 2)
	within(t, "a goroutine that waits", func() {
		held, release := make(chan struct{}), make(chan struct{})
		var wg sync.WaitGroup
		wg.Add(1)
		go func() {
			defer wg.Done()
			_ = d.Transact(func(tx runtime.Tx) error { close(held); <-release; return d.bag.Add(tx, "x") })
		}()
		<-held
		for range 4 {
			wg.Add(3)
			go func() {
				defer wg.Done()
				if err := d.Transact(func(tx runtime.Tx) error { return d.bag.Add(tx, "y") }); err != nil {
					t.Error(err)
				}
			}()
			go func() {
				defer wg.Done()
				if err := d.View(func(tx runtime.Tx) error { return nil }); err != nil {
					t.Error(err)
				}
			}()
			go func() { // inside of another document's transaction
				defer wg.Done()
				err := other.Transact(func(tx runtime.Tx) error {
					return errors.Join(other.bag.Add(tx, "z"), d.View(func(runtime.Tx) error { return nil }))
				})
				if err != nil {
					t.Error(err)
				}
			}()
		}
		time.Sleep(20 * time.Millisecond)
		close(release)
		wg.Wait()
	})
	d.want("x y y y y")
	other.want("z z z z")
}

func TestTwoDocumentsNested(t *testing.T) {
	a, b := open(t, 1), open(t, 2)
	within(t, "one document inside of another", func() {
		err := a.Transact(func(tx runtime.Tx) error {
			return b.Transact(func(in runtime.Tx) error {
				if err := a.View(func(runtime.Tx) error { return nil }); !errors.Is(err, runtime.ErrNested) {
					t.Errorf("back into the first: %v", err)
				}
				return errors.Join(a.bag.Add(tx, "x"), b.bag.Add(in, "y"))
			})
		})
		if err != nil {
			t.Error(err)
		}
	})
	a.want("x")
	b.want("y")
}

// A long way down the stack from the first call is no way out.
func TestNestedDeepDown(t *testing.T) {
	d, other := open(t, 1), open(t, 2)
	var down func(n int, f func() error) error
	down = func(n int, f func() error) error {
		if n == 0 {
			return f()
		}
		return down(n-1, f)
	}
	for _, depth := range []int{10, 60, 200, 5000} {
		within(t, "deep down", func() {
			_ = d.Transact(func(runtime.Tx) error {
				err := down(depth, func() error { return d.Transact(func(runtime.Tx) error { return nil }) })
				if !errors.Is(err, runtime.ErrNested) {
					t.Errorf("%d calls deep: %v", depth, err)
				}
				err = down(depth, func() error { return other.Transact(func(runtime.Tx) error { return nil }) })
				if err != nil {
					t.Errorf("%d calls deep, another document: %v", depth, err)
				}
				return nil
			})
		})
	}
}
