package crdt_test

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/runtime"
)

// roundTrip writes v to a register and to a map, and reads it back after a load.
func roundTrip[T any](t tester, v T) {
	t.Helper()
	write := func(rt *runtime.Runtime) (crdt.Register[T], crdt.Map[int, T]) {
		return must1(crdt.NewRegister[T](rt, "r")), must1(crdt.NewMap[int, T](rt, "m"))
	}
	a, b := must1(runtime.New(&runtime.Options{Kinds: crdt.Kinds()})), must1(runtime.New(&runtime.Options{Kinds: crdt.Kinds()}))
	r, m := write(a)
	if err := a.Transact(func(tx runtime.Tx) error { return errors.Join(r.Set(tx, v), m.Set(tx, -7, v)) }); err != nil {
		t.Fatalf("%T %v: %v", v, v, err)
	}
	if err := b.Load(must1(a.Save())); err != nil {
		t.Fatal(err)
	}
	r, m = write(b)
	err := b.View(func(tx runtime.Tx) error {
		x, ok1, err1 := r.Get(tx)
		y, ok2, err2 := m.Get(tx, -7)
		if !ok1 || !ok2 || !reflect.DeepEqual(x, v) || !reflect.DeepEqual(y, v) {
			t.Errorf("%T %v reads as %v and %v", v, v, x, y)
		}
		return errors.Join(err1, err2)
	})
	if err != nil {
		t.Fatalf("%T %v: %v", v, v, err)
	}
}

type (
	ownText string
	ownInt  int16
	ownUint uint8
	ownBool bool
	point   struct{ X, Y float64 }
	custom  int
)

// custom is coded as a text although it is an int.
func (c custom) MarshalCBOR() ([]byte, error) { return []byte{0x61, byte('a' + c)}, nil }

func (c *custom) UnmarshalCBOR(b []byte) error { *c = custom(b[1] - 'a'); return nil }

func TestValuesRoundTrip(t *testing.T) {
	for _, s := range []string{"", "a", strings.Repeat("é", 11), strings.Repeat("x", 24), strings.Repeat("x", 300), strings.Repeat("🚀", 20_000)} {
		roundTrip(t, s)
		roundTrip(t, ownText(s))
	}
	for _, n := range []int64{0, 1, 23, 24, 255, 256, 65535, 65536, 1 << 32, math.MaxInt64, -1, -24, -25, -256, -257, math.MinInt64} {
		roundTrip(t, n)
		roundTrip(t, int(n))
		roundTrip(t, uint64(n))
		roundTrip(t, int32(n))
		roundTrip(t, ownInt(n))
		roundTrip(t, ownUint(n))
		roundTrip(t, float64(n))
	}
	roundTrip(t, true)
	roundTrip(t, ownBool(false))
	roundTrip(t, math.Inf(-1))
	roundTrip(t, float32(1.5))
	roundTrip(t, []byte{0, 1, 2})
	roundTrip(t, []string{"a", "b"})
	roundTrip(t, map[string]int{"a": 1})
	roundTrip(t, point{1, -2.5})
	roundTrip(t, &point{1, 2})
	roundTrip(t, (*point)(nil))
	roundTrip(t, any("text"))
	roundTrip(t, custom(3))
	roundTrip(t, uuid.UUID{1, 2, 3})
	roundTrip(t, time.Duration(90))
	roundTrip(t, *big.NewInt(1).Lsh(big.NewInt(1), 80))
	rapid.Check(t, func(t *rapid.T) {
		roundTrip(t, rapid.String().Draw(t, "text"))
		roundTrip(t, rapid.Int64().Draw(t, "integer"))
	})
}

// TestPlainValuesAreDeterministic: what is coded without the encoder has the encoder's bytes.
func TestPlainValuesAreDeterministic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, n := rapid.String().Draw(t, "text"), rapid.Int64().Draw(t, "integer")
		for _, err := range []error{
			sameBytes(s), sameBytes(ownText(s)), sameBytes(n), sameBytes(int(n)), sameBytes(uint64(n)), sameBytes(ownInt(n)),
			sameBytes(ownUint(n)), sameBytes(n > 0), sameBytes(ownBool(n > 0)), sameBytes(custom(n & 7)),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
	})
}

func sameBytes[T any](v T) error {
	got, err1 := crdt.AppendValue(nil, &v)
	want, err2 := runtime.EncodeValue(v)
	if err := errors.Join(err1, err2); err != nil || string(got) != string(want) {
		return fmt.Errorf("%T %v: %x, want %x, %v", v, v, got, want, err)
	}
	return nil
}

func TestValuesThatCannotBeStored(t *testing.T) {
	rt := newDoc(t, 1)
	texts, floats := must1(crdt.NewRegister[string](rt, "r")), must1(crdt.NewSet[float64](rt, "s"))
	chans, keys := must1(crdt.NewRegister[any](rt, "r")), must1(crdt.NewMap[string, any](rt, "m"))
	for name, edit := range map[string]func(runtime.Tx) error{
		"invalid UTF-8":          func(tx runtime.Tx) error { return texts.Set(tx, "\xff") },
		"invalid UTF-8 in a key": func(tx runtime.Tx) error { return keys.Set(tx, "\xff", 1) },
		"delete of such a key":   func(tx runtime.Tx) error { return keys.Delete(tx, "\xff") },
		"a channel":              func(tx runtime.Tx) error { return chans.Set(tx, make(chan int)) },
		"a function":             func(tx runtime.Tx) error { return keys.Set(tx, "k", func() {}) },
		"NaN":                    func(tx runtime.Tx) error { return floats.Add(tx, math.NaN()) },
		"NaN removed":            func(tx runtime.Tx) error { return floats.Remove(tx, math.NaN()) },
	} {
		if err := rt.Transact(edit); !errors.Is(err, crdt.ErrValue) {
			t.Errorf("%s: %v", name, err)
		}
	}
	err := rt.View(func(tx runtime.Tx) error {
		if keys.Has(tx, "\xff") || floats.Has(tx, math.NaN()) {
			t.Error("there is what cannot be")
		}
		_, _, err1 := keys.Get(tx, "\xff")
		_, err2 := keys.Conflicts(tx, "\xff")
		if !errors.Is(err1, crdt.ErrValue) || !errors.Is(err2, crdt.ErrValue) {
			t.Errorf("Get: %v, Conflicts: %v", err1, err2)
		}
		return nil
	})
	if err != nil || len(rt.Clock()) != 0 {
		t.Errorf("%v, clock %v", err, rt.Clock())
	}
}

func TestTypeErrors(t *testing.T) {
	rt := newDoc(t, 1)
	r, m, s := must1(crdt.NewRegister[any](rt, "r")), must1(crdt.NewMap[any, any](rt, "m")), must1(crdt.NewSet[any](rt, "s"))
	v := must1(crdt.NewMVRegister[any](rt, "v"))
	transact(t, rt, func(tx runtime.Tx) error {
		return errors.Join(r.Set(tx, "text"), v.Set(tx, "text"), m.Set(tx, "good", 1), m.Set(tx, "bad", "text"), m.Set(tx, 7, 7),
			s.Add(tx, 1), s.Add(tx, "text"))
	})
	ints, texts := must1(crdt.NewMap[string, int](rt, "m")), must1(crdt.NewSet[string](rt, "s"))
	err := rt.View(func(tx runtime.Tx) error {
		_, _, errR := must1(crdt.NewRegister[int](rt, "r")).Get(tx)
		_, _, errB := must1(crdt.NewRegister[bool](rt, "r")).Get(tx)
		_, errV := must1(crdt.NewMVRegister[int](rt, "v")).Values(tx)
		_, ok, errM := ints.Get(tx, "bad")
		errE := ints.Each(tx, func(string, int) error { return nil })
		errS := texts.Each(tx, func(string) error { return nil })
		for err, want := range map[error]string{
			errR: `crdt: "r" (register): the stored text string is not a Go int: `,
			errB: `crdt: "r" (register): the stored text string is not a Go bool: `,
			errV: `crdt: "v" (mvregister): the stored text string is not a Go int: `,
			errM: `crdt: "m" (map), key "bad": the stored text string is not a Go int: `,
			errE: `crdt: "m" (map), key "7": the stored integer is not a Go string: `,
			errS: `crdt: "s" (set), key "1": the stored integer is not a Go string: `,
		} {
			var te *crdt.TypeError
			if !errors.As(err, &te) || !errors.Is(err, crdt.ErrType) || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("got %v, want %s...", err, want)
			}
		}
		if ok {
			t.Error("Get says ok")
		}
		if got := maps.Collect(ints.All(tx)); !reflect.DeepEqual(got, map[string]int{"good": 1}) || ints.Len(tx) != 3 {
			t.Errorf("All gave %v, Len %d", got, ints.Len(tx))
		}
		if got := slices.Collect(texts.All(tx)); !slices.Equal(got, []string{"text"}) || texts.Len(tx) != 2 {
			t.Errorf("All gave %v", got)
		}
		if got := slices.Collect(ints.Keys(tx)); !slices.Equal(got, []string{"bad", "good"}) {
			t.Errorf("Keys gave %v", got)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestTypeErrorsInEvents(t *testing.T) {
	rt := newDoc(t, 1)
	r, v := must1(crdt.NewRegister[any](rt, "r")), must1(crdt.NewMVRegister[any](rt, "v"))
	m, s := must1(crdt.NewMap[any, any](rt, "m")), must1(crdt.NewSet[any](rt, "s"))
	var errs []error
	must1(crdt.NewRegister[int](rt, "r")).OnChange(func(e crdt.RegisterEvent[int]) { errs = append(errs, e.Err) })
	must1(crdt.NewMVRegister[int](rt, "v")).OnChange(func(e crdt.MVRegisterEvent[int]) { errs = append(errs, e.Err) })
	must1(crdt.NewMap[int, int](rt, "m")).OnChange(func(e crdt.MapEvent[int, int]) {
		for _, c := range e.Changes {
			errs = append(errs, c.Err)
		}
	})
	must1(crdt.NewSet[int](rt, "s")).OnChange(func(e crdt.SetEvent[int]) { errs = append(errs, e.Err) })
	transact(t, rt, func(tx runtime.Tx) error {
		return errors.Join(r.Set(tx, "text"), v.Set(tx, "text"), m.Set(tx, "text", 1), m.Set(tx, 1, "text"), s.Add(tx, "text"))
	})
	if len(errs) != 5 {
		t.Errorf("%d events", len(errs))
	}
	for _, err := range errs {
		if !errors.Is(err, crdt.ErrType) {
			t.Errorf("error %v", err)
		}
	}
}

func TestPolicies(t *testing.T) {
	a, b := newValueDoc(t, 1), newValueDoc(t, 2)
	join := func(all []string) string { return strings.Join(all, "+") }
	joinKey := func(k string, all []string) string { return k + ":" + strings.Join(all, "+") }
	r, m := a.r.WithPolicy(join), a.m.WithMerge(joinKey)
	var events []string
	r.OnChange(func(e crdt.RegisterEvent[string]) { events = append(events, e.Old+" to "+e.Value) })
	m.OnChange(func(e crdt.MapEvent[string, string]) {
		events = append(events, e.Changes[0].Old+" to "+e.Changes[0].Value)
	})
	first := a.edit(func(tx runtime.Tx) error { return errors.Join(a.r.Set(tx, "one"), a.m.Set(tx, "k", "one")) })
	second := b.edit(func(tx runtime.Tx) error { return errors.Join(b.r.Set(tx, "two"), b.m.Set(tx, "k", "two")) })
	a.receive(second)
	b.receive(first)
	agree(a, b)
	a.read(func(tx runtime.Tx) any {
		v, ok, err := r.Get(tx)
		w, ok2, err2 := m.Get(tx, "k")
		if v != "one+two" || w != "k:one+two" || !ok || !ok2 || err != nil || err2 != nil {
			t.Errorf("%q %v %v, %q %v %v", v, ok, err, w, ok2, err2)
		}
		for k, v := range m.All(tx) {
			if k != "k" || v != "k:one+two" {
				t.Errorf("All: %q %q", k, v)
			}
		}
		plain, _, _ := a.r.Get(tx)
		losers, _ := a.r.Conflicts(tx)
		if plain != "two" || !slices.Equal(losers, []string{"one"}) {
			t.Errorf("without a policy: %q, %q", plain, losers)
		}
		return nil
	})
	if want := []string{" to one", " to one", "one to one+two", "one to k:one+two"}; !slices.Equal(events, want) {
		t.Errorf("events %q", events)
	}
}

func TestKeyOrder(t *testing.T) {
	rt := newDoc(t, 1)
	m := must1(crdt.NewMap[any, int](rt, "m"))
	keys := []any{uint64(0), uint64(23), uint64(24), uint64(1000), int64(-1), int64(-25), "", "a", "b", "aa", strings.Repeat("x", 40), false, true}
	transact(t, rt, func(tx runtime.Tx) error {
		for i := range keys {
			if err := m.Set(tx, keys[len(keys)-1-i], i); err != nil {
				return err
			}
		}
		return nil
	})
	if got := runtime.Read(rt, func(tx runtime.Tx) []any { return slices.Collect(m.Keys(tx)) }); !reflect.DeepEqual(got, keys) {
		t.Errorf("keys %v", got)
	}
	want := `{"m":{"":6,"-1":8,"-25":7,"0":12,"1000":9,"23":11,"24":10,"a":5,"aa":3,"b":4,"false":1,"true":0,"` + strings.Repeat("x", 40) + `":2}}`
	if got := string(must1(rt.MarshalJSON())); got != want {
		t.Errorf("JSON %s", got)
	}
	transact(t, rt, func(tx runtime.Tx) error { return errors.Join(m.Clear(tx), m.Set(tx, 1, 1), m.Set(tx, "1", 2)) })
	if got := string(must1(rt.MarshalJSON())); got != `{"m":{"1":1,"1 (6131)":2}}` {
		t.Errorf("JSON %s", got)
	}
}

func TestSequencesStopEarly(t *testing.T) {
	d := newValueDoc(t, 1)
	stop := errors.New("stop")
	d.edit(func(tx runtime.Tx) error {
		for i := range 20 {
			if err := errors.Join(d.s.Add(tx, fmt.Sprint(i)), d.m.Set(tx, fmt.Sprint(i), "")); err != nil {
				return err
			}
		}
		n := 0
		for range d.s.All(tx) {
			n++
			break
		}
		for range d.m.All(tx) {
			n++
			break
		}
		for range d.m.Keys(tx) {
			n++
			break
		}
		err1 := d.s.Each(tx, func(string) error { n++; return stop })
		err2 := d.m.Each(tx, func(string, string) error { n++; return stop })
		if n != 5 || err1 != stop || err2 != stop {
			t.Errorf("%d, %v, %v", n, err1, err2)
		}
		return nil
	})
}

func TestHandlesThatCannotBeUsed(t *testing.T) {
	var zero valueDoc
	d, other := newValueDoc(t, 1), newValueDoc(t, 2)
	for _, k := range valueCases {
		for name, op := range map[string]func(*valueDoc, runtime.Tx) error{"write": k.write, "erase": k.erase} {
			if err := d.rt.Transact(func(tx runtime.Tx) error { return op(&zero, tx) }); !errors.Is(err, runtime.ErrUnbound) {
				t.Errorf("%s %s of a zero handle: %v", k.kind, name, err)
			}
			if err := d.rt.Transact(func(tx runtime.Tx) error { return op(other, tx) }); !errors.Is(err, runtime.ErrForeignObject) {
				t.Errorf("%s %s of another document: %v", k.kind, name, err)
			}
			if err := d.rt.View(func(tx runtime.Tx) error { return op(d, tx) }); !errors.Is(err, runtime.ErrReadOnlyTx) {
				t.Errorf("%s %s in a View: %v", k.kind, name, err)
			}
			var kept runtime.Tx
			d.edit(func(tx runtime.Tx) error { kept = tx; return nil })
			if err := op(d, kept); !errors.Is(err, runtime.ErrTxEnded) {
				t.Errorf("%s %s after the end: %v", k.kind, name, err)
			}
			func() {
				defer func() {
					if v := recover(); v != nil && !errors.Is(v.(error), runtime.ErrTxEnded) {
						t.Errorf("%s read after the end: %v", k.kind, v)
					}
				}()
				if v := fmt.Sprint(k.value(d, kept)); !strings.Contains(v, "has ended") {
					t.Errorf("%s read after the end: %v", k.kind, v)
				}
			}()
		}
	}
}

// TestR30TwoViewsAfterALoad is for the race detector: both want the sorted order.
func TestR30TwoViewsAfterALoad(t *testing.T) {
	a, b := newValueDoc(t, 1), newValueDoc(t, 2)
	a.edit(func(tx runtime.Tx) error {
		for i := range 500 {
			if err := errors.Join(a.s.Add(tx, fmt.Sprint(i)), a.m.Set(tx, fmt.Sprint(i), "")); err != nil {
				return err
			}
		}
		return nil
	})
	b.receive(a.state())
	for round := range 3 {
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				b.read(func(tx runtime.Tx) any {
					if n := len(slices.Collect(b.s.All(tx))); n != 500 || !slices.IsSorted(slices.Collect(func(yield func(string) bool) {
						for k := range b.m.Keys(tx) {
							if !yield(fmt.Sprintf("%3d%s", len(k), k)) {
								return
							}
						}
					})) {
						t.Errorf("%d elements", n)
					}
					return nil
				})
				b.rt.Canonical()
			})
		}
		wg.Wait()
		b.edit(func(tx runtime.Tx) error {
			return errors.Join(b.s.Remove(tx, fmt.Sprint(round)), b.s.Add(tx, fmt.Sprint(1000+round)), b.m.Set(tx, fmt.Sprint(2000+round), ""))
		})
	}
}

func TestEditsAllocateNothing(t *testing.T) {
	rt := must1(runtime.New(&runtime.Options{Kinds: crdt.Kinds(), History: runtime.History{Off: true}, Deletions: -1}))
	m, s, c := must1(crdt.NewMap[string, int](rt, "m")), must1(crdt.NewSet[int](rt, "s")), must1(crdt.NewCounter(rt, "c"))
	r := must1(crdt.NewRegister[int](rt, "r"))
	for name, test := range map[string]struct {
		most float64
		fn   func(runtime.Tx) error
	}{
		"map":      {0, func(tx runtime.Tx) error { return m.Set(tx, "the key", 1) }},
		"set":      {0, func(tx runtime.Tx) error { return s.Add(tx, 1) }},
		"counter":  {0, func(tx runtime.Tx) error { return c.Add(tx, 1) }},
		"register": {1, func(tx runtime.Tx) error { return r.Set(tx, 1) }}, // the value
		"reads": {0, func(tx runtime.Tx) error {
			_, _, err1 := m.Get(tx, "the key")
			_, _, err2 := r.Get(tx)
			_, err3 := c.Value(tx)
			if !m.Has(tx, "the key") || !s.Has(tx, 1) || s.Len(tx) != 1 || err1 != nil || err2 != nil || err3 != nil {
				t.Error("reads")
			}
			return nil
		}},
	} {
		if test.fn != nil {
			for range 100 {
				transact(t, rt, m1(m, s, c, r))
			}
		}
		got := testing.AllocsPerRun(2000, func() {
			if err := rt.Transact(test.fn); err != nil {
				t.Fatal(err)
			}
		})
		if got > test.most {
			t.Errorf("%s: %v allocations", name, got)
		}
	}
}

func m1(m crdt.Map[string, int], s crdt.Set[int], c crdt.Counter, r crdt.Register[int]) func(runtime.Tx) error {
	return func(tx runtime.Tx) error {
		return errors.Join(m.Set(tx, "the key", 1), s.Add(tx, 1), c.Add(tx, 1), r.Set(tx, 1))
	}
}
