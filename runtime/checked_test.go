//go:build check

package runtime

import (
	"errors"
	"slices"
	"testing"
)

// A build that checks panics at the first transaction or update behind which an invariant is broken, and releases the lock.
func TestCheckedBuilds(t *testing.T) {
	for name, change := range map[string]func(r *Runtime, n *Node) error{
		"transaction": func(r *Runtime, n *Node) error { return r.Transact(func(Tx) error { return nil }) },
		"update": func(r *Runtime, n *Node) error {
			o, _ := patient(t)
			state, err := o.Save()
			if err == nil {
				_, err = r.Receive(state)
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, n := patient(t)
			if err := change(r, n); err != nil {
				t.Fatal(err)
			}
			n.obj.(*cell).err = errors.New("broken")
			func() {
				defer func() {
					if err, _ := recover().(error); !errors.Is(err, ErrInternal) {
						t.Errorf("panic %v", err)
					}
				}()
				t.Errorf("no panic, but %v", change(r, n))
			}()
			n.obj.(*cell).err = nil
			if err := r.Check(); err != nil {
				t.Error(err)
			}
		})
	}
}

// What the caller gave to Receive stays the caller's; only the copy that the runtime decoded is overwritten.
func TestCheckedBuildsLeaveTheInput(t *testing.T) {
	o, _ := patient(t)
	state, err := o.Save()
	if err != nil {
		t.Fatal(err)
	}
	was := slices.Clone(state)
	r, _ := patient(t)
	if _, err := r.Receive(state); err != nil || !slices.Equal(state, was) {
		t.Errorf("%v, changed %v", err, !slices.Equal(state, was))
	}
}
