//go:build linux

package crdt_test

import (
	"encoding/binary"
	"errors"
	"math"
	goruntime "runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/runtime"
)

// costly is a document in which legal edits are made as dear as can be.
type costly struct {
	t    testing.TB
	rt   *runtime.Runtime
	text crdt.Text
	list crdt.List[int]
	m    crdt.Map[string, int]
	sent [][]byte
}

func newCostly(t testing.TB, replica int) *costly {
	t.Helper()
	id := uuid.UUID{6: 0x40, 8: 0x80}
	binary.BigEndian.PutUint32(id[:], uint32(replica+1))
	rt, err := runtime.New(&runtime.Options{Kinds: crdt.Kinds(), Replica: id})
	if err != nil {
		t.Fatal(err)
	}
	d := &costly{t: t, rt: rt}
	var errs [3]error
	d.text, errs[0] = crdt.NewText(rt, "text")
	d.list, errs[1] = crdt.NewList[int](rt, "list")
	d.m, errs[2] = crdt.NewMap[string, int](rt, "map")
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	rt.OnUpdate(func(u runtime.Update) {
		if u.Local {
			d.sent = append(d.sent, u.Data)
		}
	})
	return d
}

func (d *costly) do(fn func(tx runtime.Tx) error) {
	d.t.Helper()
	if err := d.rt.Transact(fn); err != nil {
		d.t.Fatal(err)
	}
}

func (d *costly) take(messages ...[]byte) {
	d.t.Helper()
	for _, m := range messages {
		if _, err := d.rt.Receive(m); err != nil {
			d.t.Fatal(err)
		}
	}
}

// fresh returns what n replicas send who have taken messages and then do one thing.
func fresh(t testing.TB, n int, taken [][]byte, fn func(d *costly, i int, tx runtime.Tx) error) (out [][]byte) {
	for i := range n {
		d := newCostly(t, i+1)
		d.take(taken...)
		d.do(func(tx runtime.Tx) error { return fn(d, i, tx) })
		out = append(out, d.sent...)
	}
	return out
}

// one returns what one replica sends that does n things.
func one(t testing.TB, n int, fn func(d *costly, i int, tx runtime.Tx) error) [][]byte {
	d := newCostly(t, 0)
	for i := range n {
		d.do(func(tx runtime.Tx) error { return fn(d, i, tx) })
	}
	return d.sent
}

// TestS24CostOfLegalEdits has hostile writers send legal messages that make others work: who receives eight times as many does
// not work much more than eight times as long.
func TestS24CostOfLegalEdits(t *testing.T) {
	for name, c := range map[string]struct {
		n    int
		make func(t testing.TB, n int) [][]byte
	}{
		"inserts at the front": {2000, func(t testing.TB, n int) [][]byte {
			return one(t, n, func(d *costly, i int, tx runtime.Tx) error { return d.text.Insert(tx, 0, "x") })
		}},
		"inserts in the middle": {2000, func(t testing.TB, n int) [][]byte {
			return one(t, n, func(d *costly, i int, tx runtime.Tx) error { return d.text.Insert(tx, i/2, "x") })
		}},
		"inserts among tombstones": {2000, func(t testing.TB, n int) [][]byte {
			return one(t, n, func(d *costly, i int, tx runtime.Tx) error {
				if d.text.Len(tx) > 0 {
					return errors.Join(d.text.Delete(tx, 0, 1), d.text.Insert(tx, 0, "x"))
				}
				return d.text.Insert(tx, 0, "x")
			})
		}},
		"concurrent inserts at one place": {500, func(t testing.TB, n int) [][]byte {
			return fresh(t, n, nil, func(d *costly, i int, tx runtime.Tx) error { return d.text.Insert(tx, 0, "x") })
		}},
		"moves of one element": {2000, func(t testing.TB, n int) [][]byte {
			return one(t, n, func(d *costly, i int, tx runtime.Tx) error {
				if i == 0 {
					return d.list.Insert(tx, 0, 1, 2, 3)
				}
				return d.list.Move(tx, 0, 2)
			})
		}},
		"concurrent sets of a key": {500, func(t testing.TB, n int) [][]byte {
			return fresh(t, n, nil, func(d *costly, i int, tx runtime.Tx) error { return d.m.Set(tx, "k", i) })
		}},
		"sets of a key": {2000, func(t testing.TB, n int) [][]byte {
			return one(t, n, func(d *costly, i int, tx runtime.Tx) error { return d.m.Set(tx, "k", i) })
		}},
	} {
		t.Run(name, func(t *testing.T) {
			few, many := c.make(t, c.n), c.make(t, 8*c.n)
			a, b := cpuOf(t, few), cpuOf(t, many)
			t.Logf("%d: %v, %d: %v, %.1f times", len(few), a, len(many), b, float64(b)/float64(a))
			if b > 24*a { // linear is 8, quadratic 64
				t.Errorf("%d cost %v, %d cost %v: %.1f times", len(few), a, len(many), b, float64(b)/float64(a))
			}
		})
	}
}

// cpuOf returns how long this thread computes to receive messages; the least of a few times.
func cpuOf(t testing.TB, messages [][]byte) (least time.Duration) {
	goruntime.LockOSThread()
	defer goruntime.UnlockOSThread()
	goruntime.GC()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	now := func() time.Duration {
		var ts unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
			t.Fatal(err)
		}
		return time.Duration(ts.Nano())
	}
	least = math.MaxInt64
	for range 3 {
		d := newCostly(t, 1<<20)
		began := now()
		d.take(messages...)
		least = min(least, now()-began)
	}
	return least
}
