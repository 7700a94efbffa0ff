package crdt_test

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/runtime"
)

// bulk is a replica whose map grows and shrinks by hundreds of keys, with a plain Go map beside it.
type bulk struct {
	rt   *runtime.Runtime
	m    crdt.Map[int, int]
	want map[int]int
}

func newBulk(t tester, replica byte) *bulk {
	rt, err := runtime.New(&runtime.Options{Kinds: crdt.Kinds(), Replica: [16]byte{15: replica}, Deletions: 8})
	if err != nil {
		t.Fatal(err)
	}
	m, err := crdt.NewMap[int, int](rt, "m")
	if err != nil {
		t.Fatal(err)
	}
	return &bulk{rt, m, map[int]int{}}
}

// read returns what the map holds, through the iterators.
func (b *bulk) read(t *rapid.T) map[int]int {
	return runtime.Read(b.rt, func(tx runtime.Tx) map[int]int {
		out := map[int]int{}
		last := -1
		for k, v := range b.m.All(tx) {
			if k <= last {
				t.Fatalf("key %d after %d", k, last)
			}
			out[k], last = v, k
		}
		return out
	})
}

// TestMapInBulk drives the hash index, the arena, the sorted order and the index by dot through growth and shrinkage.
func TestMapInBulk(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := newBulk(t, 1), newBulk(t, 2)
		// edit runs fn on a, and reports whether it is kept.
		edit := func(fn func(tx runtime.Tx, want map[int]int) error) {
			fail := rapid.IntRange(0, 4).Draw(t, "fail") == 0
			want := maps.Clone(a.want)
			err := a.rt.Transact(func(tx runtime.Tx) error {
				if err := fn(tx, want); err != nil {
					return err
				}
				if fail {
					return errFault
				}
				return nil
			})
			if err == nil {
				a.want = want
			} else if err != errFault {
				t.Fatal(err)
			}
		}
		keys := func() (from, n, step int) {
			return rapid.IntRange(0, 600).Draw(t, "from"), rapid.IntRange(1, 300).Draw(t, "keys"), rapid.IntRange(1, 3).Draw(t, "step")
		}
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				if err := a.rt.Check(); err != nil {
					t.Fatal(err)
				}
				if got := a.read(t); !reflect.DeepEqual(got, a.want) {
					t.Fatalf("%d keys, want %d", len(got), len(a.want))
				}
			},
			"set": func(t *rapid.T) {
				from, n, step := keys()
				edit(func(tx runtime.Tx, want map[int]int) error {
					for i := range n {
						want[from+i*step] = i
						if err := a.m.Set(tx, from+i*step, i); err != nil {
							return err
						}
					}
					return nil
				})
			},
			"delete": func(t *rapid.T) {
				from, n, step := keys()
				edit(func(tx runtime.Tx, want map[int]int) error {
					for i := range n {
						delete(want, from+i*step)
						if err := a.m.Delete(tx, from+i*step); err != nil {
							return err
						}
					}
					return nil
				})
			},
			"clear": func(t *rapid.T) {
				edit(func(tx runtime.Tx, want map[int]int) error { clear(want); return a.m.Clear(tx) })
			},
			"clear what the other has": func(t *rapid.T) {
				// b's keys are cleared there and only there: all that a has put in since stays.
				seen := b.read(t)
				if len(seen) == 0 {
					t.Skip("nothing")
				}
				if err := b.rt.Transact(func(tx runtime.Tx) error { return b.m.Clear(tx) }); err != nil {
					t.Fatal(err)
				}
				messages, err := b.rt.MessagesSince(a.rt.Clock())
				if err != nil {
					t.Fatal(err)
				}
				before := a.read(t)
				for _, m := range messages {
					if _, err := a.rt.Receive(m); err != nil {
						t.Fatal(err)
					}
				}
				a.want = a.read(t)
				for k, v := range a.want {
					if before[k] != v {
						t.Fatalf("key %d is %d, was %d", k, v, before[k])
					}
				}
				for k := range before {
					if _, ok := seen[k]; !ok {
						if _, ok := a.want[k]; !ok {
							t.Fatalf("key %d is gone, which the other did not know", k)
						}
					}
				}
			},
			"tell the other": func(t *rapid.T) {
				delta, err := a.rt.SaveSince(b.rt.Clock())
				if err != nil {
					t.Fatal(err)
				}
				if err := b.rt.Load(delta); err != nil {
					t.Fatal(err)
				}
				if got := b.read(t); !reflect.DeepEqual(got, a.want) || b.rt.Digest() != a.rt.Digest() {
					t.Fatalf("%d keys, want %d", len(got), len(a.want))
				}
			},
		})
	})
}

// TestClearIsOneOperation: its message names dots as runs, not one by one.
func TestClearIsOneOperation(t *testing.T) {
	d := newValueDoc(t, 1)
	d.edit(func(tx runtime.Tx) error {
		for i := range 10_000 {
			if err := d.s.Add(tx, fmt.Sprint("element ", i)); err != nil {
				return err
			}
		}
		return nil
	})
	clearAll := d.do(func(d *valueDoc, tx runtime.Tx) error { return d.s.Clear(tx) })
	if len(clearAll) > 50 {
		t.Errorf("%d bytes", len(clearAll))
	}
	if len(d.rt.Export()) != 0 {
		t.Error("not empty")
	}
	again := d.do(func(d *valueDoc, tx runtime.Tx) error { return d.s.Clear(tx) })
	if !slices.Equal(clearAll, again) {
		t.Error("an empty set was cleared by an operation")
	}
}

// TestR8LongAndForeignKeys: keys in any script, empty, 10 kB long, with long beginnings in common.
func TestR8LongAndForeignKeys(t *testing.T) {
	a, b := newValueDoc(t, 1), newValueDoc(t, 2)
	var keys []string
	for i := range 300 {
		keys = append(keys, fmt.Sprintf("%s %03d", strings.Repeat("the same long beginning ", i%3), i))
	}
	for _, s := range []string{"", "ключ", "鍵", "🔑", "\x00", "\u202e"} {
		keys = append(keys, s, strings.Repeat(s+"x", 5000), strings.Repeat(s+"x", 5000)+"y")
	}
	a.edit(func(tx runtime.Tx) error {
		for i, k := range keys {
			if err := errors.Join(a.m.Set(tx, k, fmt.Sprint(i)), a.s.Add(tx, k)); err != nil {
				return err
			}
		}
		return nil
	})
	b.receive(a.state())
	agree(a, b)
	b.read(func(tx runtime.Tx) any {
		for i, k := range keys {
			if v, ok, err := b.m.Get(tx, k); v != fmt.Sprint(i) || !ok || err != nil || !b.s.Has(tx, k) {
				t.Errorf("key %.20q: %q, %v, %v", k, v, ok, err)
			}
		}
		for i, seq := range [][]string{slices.Collect(b.s.All(tx)), slices.Collect(b.m.Keys(tx))} {
			if len(seq) != len(keys) {
				t.Errorf("%d: %d keys of %d", i, len(seq), len(keys))
			}
		}
		return nil
	})
	agree(a, b)
}

// TestManyConcurrentWriters: a few hundred writers set one key at once, and one write replaces them all; a clear that saw
// only some of them leaves the others.
func TestManyConcurrentWriters(t *testing.T) {
	const writers = 200
	a := newValueDoc(t, 255)
	a.edit(func(tx runtime.Tx) error {
		for i := range 2000 {
			if err := a.m.Set(tx, fmt.Sprint("other ", i), ""); err != nil {
				return err
			}
		}
		return nil
	})
	var clears, writes [][]byte
	for i := range byte(writers) {
		d := newValueDoc(t, i+1)
		w := d.edit(func(tx runtime.Tx) error {
			return errors.Join(d.r.Set(tx, fmt.Sprint(i)), d.mv.Set(tx, ""), d.m.Set(tx, "k", fmt.Sprint(i)), d.s.Add(tx, "e"), d.f.Enable(tx))
		})
		writes = append(writes, w)
		clears = append(clears, d.do(func(d *valueDoc, tx runtime.Tx) error { return d.m.Clear(tx) }))
	}
	a.receive(writes...)
	conflicts := func(d *valueDoc) any {
		return d.read(func(tx runtime.Tx) any {
			all, err := d.m.Conflicts(tx, "k")
			v, _, err2 := d.m.Get(tx, "k")
			return fmt.Sprintf("%s over %d %v %v", v, len(all), err, err2)
		})
	}
	a.want("winner and conflicts", conflicts(a), fmt.Sprintf("199 over %d <nil> <nil>", writers-1))
	b := newValueDoc(t, 254)
	b.receive(a.state())
	agree(a, b)
	for i := range 50 { // the clear of each names one dot: an index by dot finds it
		a.receive(clears[i])
	}
	a.want("winner and conflicts", conflicts(a), fmt.Sprintf("199 over %d <nil> <nil>", writers-51))
	b.receive(clears[:50]...)
	agree(a, b)
	last := b.edit(func(tx runtime.Tx) error {
		return errors.Join(b.r.Set(tx, "last"), b.mv.Clear(tx), b.m.Set(tx, "k", "last"), b.s.Remove(tx, "e"), b.f.Disable(tx))
	})
	a.receive(last)
	a.receive(clears[50:]...)
	b.receive(clears[50:]...)
	agree(a, b)
	a.want("winner and conflicts", conflicts(a), "last over 0 <nil> <nil>")
}
