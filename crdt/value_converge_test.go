package crdt_test

import (
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/internal/converge"
	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// opened makes the Open of a subject whose document has one root.
func opened[H any](root func(*runtime.Runtime, string) (H, error)) func(*runtime.Options) (*runtime.Runtime, H, error) {
	return func(o *runtime.Options) (*runtime.Runtime, H, error) {
		o.Kinds = crdt.Kinds()
		rt, err := runtime.New(o)
		if err != nil {
			var none H
			return nil, none, err
		}
		h, err := root(rt, "x")
		return rt, h, err
	}
}

// wrote is what an edit of a type whose entries are made by dots did: it removed what its writer saw under key, or under
// all keys, and put val there unless erase is set. It took one dot.
type wrote struct {
	key, val string
	erase    bool
	all      bool
}

type modelEntry struct {
	wrote
	dot     vclock.Dot
	lamport uint64
}

// modelEntries is the plain model of these types: the writes that no other replaced, in dot order.
func modelEntries(applied []converge.Transaction) []modelEntry {
	var live []modelEntry
	for _, tx := range applied {
		for i, did := range tx.Did {
			w := did.(wrote)
			dot := vclock.Dot{Replica: tx.Dot.Replica, Seq: tx.Dot.Seq + uint64(i)}
			live = slices.DeleteFunc(live, func(e modelEntry) bool {
				saw := tx.Before.Covers(e.dot) || e.dot.Replica == dot.Replica && e.dot.Seq < dot.Seq
				return saw && (w.all || w.key == e.key)
			})
			if !w.erase {
				live = append(live, modelEntry{w, dot, tx.Lamport + uint64(i)})
			}
		}
	}
	slices.SortFunc(live, func(a, b modelEntry) int { return a.dot.Compare(b.dot) })
	return live
}

// modelMap returns for each key its values, the winner first, then the others in dot order.
func modelMap(applied []converge.Transaction) map[string][]string {
	byKey := map[string][]modelEntry{}
	for _, e := range modelEntries(applied) {
		byKey[e.key] = append(byKey[e.key], e)
	}
	out := map[string][]string{}
	for key, entries := range byKey {
		best := 0
		for i, e := range entries {
			if b := entries[best]; e.lamport > b.lamport || e.lamport == b.lamport && e.dot.Compare(b.dot) > 0 {
				best = i
			}
		}
		out[key] = []string{entries[best].val}
		for i, e := range entries {
			if i != best {
				out[key] = append(out[key], e.val)
			}
		}
	}
	return out
}

var someWord = rapid.Custom(func(t *rapid.T) string {
	return rapid.SampledFrom([]string{"", "a", "b", "word", "🚀", "a text that is longer than twenty-four bytes"}).Draw(t, "word")
})

var someKey = rapid.Custom(func(t *rapid.T) string {
	if rapid.IntRange(0, 2).Draw(t, "hot") > 0 {
		return rapid.SampledFrom([]string{"", "k", "key"}).Draw(t, "key")
	}
	return fmt.Sprint("key number ", rapid.IntRange(0, 15).Draw(t, "number"))
})

// registerSubject tests a register through its write and clear; show gives all values, the winner first.
func registerSubject[H any](s *converge.Subject[H], set func(H, runtime.Tx, string) error, clear func(H, runtime.Tx) error) {
	s.Edits = map[string]converge.Edit[H]{
		"set": func(t *rapid.T, tx runtime.Tx, h H) (any, error) {
			v := someWord.Draw(t, "value")
			return wrote{val: v}, set(h, tx, v)
		},
		"clear": func(t *rapid.T, tx runtime.Tx, h H) (any, error) {
			if len(s.Value(tx, h).([]string)) == 0 {
				return nil, converge.ErrNothing
			}
			return wrote{erase: true, all: true}, clear(h, tx)
		},
	}
	s.Edits["set again"] = s.Edits["set"]
}

func registers() *converge.Subject[crdt.Register[string]] {
	type H = crdt.Register[string]
	s := &converge.Subject[H]{Open: opened(crdt.NewRegister[string])}
	s.Value = func(tx runtime.Tx, h H) any {
		v, ok, err := h.Get(tx)
		rest, err2 := h.Conflicts(tx)
		if err != nil || err2 != nil {
			panic(errors.Join(err, err2))
		}
		if !ok {
			return []string{}
		}
		return append([]string{v}, rest...)
	}
	registerSubject(s, H.Set, H.Clear)
	s.Model = func(applied []converge.Transaction) any {
		return append([]string{}, modelMap(applied)[""]...)
	}
	s.Watch = func(rt *runtime.Runtime, h H) func() any {
		view := []string{}
		h.OnChange(func(e crdt.RegisterEvent[string]) {
			if old := len(view) > 0; old != e.Had || old && view[0] != e.Old || e.Err != nil {
				panic(fmt.Sprintf("event %+v after %q", e, view))
			}
			if view = []string{}; e.Has {
				view = append([]string{e.Value}, e.Conflicts...)
			}
		})
		return func() any { return view }
	}
	return s
}

func mvRegisters() *converge.Subject[crdt.MVRegister[string]] {
	type H = crdt.MVRegister[string]
	s := &converge.Subject[H]{Open: opened(crdt.NewMVRegister[string])}
	s.Value = func(tx runtime.Tx, h H) any {
		v, err := h.Values(tx)
		if err != nil {
			panic(err)
		}
		return append([]string{}, v...)
	}
	registerSubject(s, H.Set, H.Clear)
	s.Model = func(applied []converge.Transaction) any {
		out := []string{}
		for _, e := range modelEntries(applied) {
			out = append(out, e.val)
		}
		return out
	}
	s.Watch = func(rt *runtime.Runtime, h H) func() any {
		view := []string{}
		h.OnChange(func(e crdt.MVRegisterEvent[string]) {
			if !slices.Equal(view, e.Old) || e.Err != nil {
				panic(fmt.Sprintf("event %+v after %q", e, view))
			}
			view = append([]string{}, e.Values...)
		})
		return func() any { return view }
	}
	return s
}

// flag is what both flags offer.
type flag interface {
	Value(runtime.Tx) bool
	Enable(runtime.Tx) error
	Disable(runtime.Tx) error
	OnChange(func(crdt.FlagEvent)) func()
}

func flags(root func(*runtime.Runtime, string) (flag, error), disableWins bool) *converge.Subject[flag] {
	return &converge.Subject[flag]{
		Open: opened(root),
		Edits: map[string]converge.Edit[flag]{
			"enable": func(t *rapid.T, tx runtime.Tx, h flag) (any, error) {
				return wrote{val: "on"}, h.Enable(tx)
			},
			"disable": func(t *rapid.T, tx runtime.Tx, h flag) (any, error) {
				if !disableWins && !h.Value(tx) {
					return nil, converge.ErrNothing
				}
				return wrote{val: "off", erase: !disableWins}, h.Disable(tx)
			},
		},
		Value: func(tx runtime.Tx, h flag) any { return h.Value(tx) },
		Model: func(applied []converge.Transaction) any {
			on, off := false, false
			for _, e := range modelEntries(applied) {
				on, off = on || e.val == "on", off || e.val == "off"
			}
			return on && !off
		},
		Watch: func(rt *runtime.Runtime, h flag) func() any {
			view := false
			h.OnChange(func(e crdt.FlagEvent) {
				if e.Value == view {
					panic("an event that changes nothing")
				}
				view = e.Value
			})
			return func() any { return view }
		},
	}
}

func enableWins() *converge.Subject[flag] {
	return flags(func(rt *runtime.Runtime, name string) (flag, error) { return crdt.NewFlag(rt, name) }, false)
}

func disableWins() *converge.Subject[flag] {
	return flags(func(rt *runtime.Runtime, name string) (flag, error) { return crdt.NewDisableWinsFlag(rt, name) }, true)
}

func sets() *converge.Subject[crdt.Set[string]] {
	type H = crdt.Set[string]
	s := &converge.Subject[H]{
		Open: opened(crdt.NewSet[string]),
		Edits: map[string]converge.Edit[H]{
			"add": func(t *rapid.T, tx runtime.Tx, h H) (any, error) {
				v := someKey.Draw(t, "element")
				return wrote{key: v}, h.Add(tx, v)
			},
			"remove": func(t *rapid.T, tx runtime.Tx, h H) (any, error) {
				v := someKey.Draw(t, "element")
				if !h.Has(tx, v) {
					return nil, errors.Join(converge.ErrNothing, h.Remove(tx, v))
				}
				return wrote{key: v, erase: true}, h.Remove(tx, v)
			},
			"clear": func(t *rapid.T, tx runtime.Tx, h H) (any, error) {
				if h.Len(tx) == 0 || rapid.IntRange(0, 3).Draw(t, "really") > 0 {
					return nil, converge.ErrNothing
				}
				return wrote{all: true, erase: true}, h.Clear(tx)
			},
		},
		Value: func(tx runtime.Tx, h H) any {
			out := map[string]bool{}
			for v := range h.All(tx) {
				out[v] = true
			}
			if len(out) != h.Len(tx) {
				panic("Len and All differ")
			}
			return out
		},
		Model: func(applied []converge.Transaction) any {
			out := map[string]bool{}
			for _, e := range modelEntries(applied) {
				out[e.key] = true
			}
			return out
		},
		Watch: func(rt *runtime.Runtime, h H) func() any {
			view := map[string]bool{}
			h.OnChange(func(e crdt.SetEvent[string]) {
				for _, v := range e.Removed {
					if !view[v] {
						panic("removed what was not there")
					}
					delete(view, v)
				}
				for _, v := range e.Added {
					if view[v] {
						panic("added what was there")
					}
					view[v] = true
				}
				if e.Err != nil {
					panic(e.Err)
				}
			})
			return func() any { return view }
		},
	}
	s.Edits["add more"], s.Edits["add still more"] = s.Edits["add"], s.Edits["add"]
	return s
}

func valueMaps() *converge.Subject[crdt.Map[string, string]] {
	type H = crdt.Map[string, string]
	s := &converge.Subject[H]{
		Open: opened(crdt.NewMap[string, string]),
		Edits: map[string]converge.Edit[H]{
			"set": func(t *rapid.T, tx runtime.Tx, h H) (any, error) {
				k, v := someKey.Draw(t, "key"), someWord.Draw(t, "value")
				return wrote{key: k, val: v}, h.Set(tx, k, v)
			},
			"delete": func(t *rapid.T, tx runtime.Tx, h H) (any, error) {
				k := someKey.Draw(t, "key")
				if !h.Has(tx, k) {
					return nil, errors.Join(converge.ErrNothing, h.Delete(tx, k))
				}
				return wrote{key: k, erase: true}, h.Delete(tx, k)
			},
			"clear": func(t *rapid.T, tx runtime.Tx, h H) (any, error) {
				if h.Len(tx) == 0 || rapid.IntRange(0, 3).Draw(t, "really") > 0 {
					return nil, converge.ErrNothing
				}
				return wrote{all: true, erase: true}, h.Clear(tx)
			},
		},
		Value: func(tx runtime.Tx, h H) any {
			out := map[string][]string{}
			for k, v := range h.All(tx) {
				rest, err := h.Conflicts(tx, k)
				if err != nil {
					panic(err)
				}
				out[k] = append([]string{v}, rest...)
			}
			if len(out) != h.Len(tx) {
				panic("Len and All differ")
			}
			return out
		},
		Model: func(applied []converge.Transaction) any { return modelMap(applied) },
		Watch: func(rt *runtime.Runtime, h H) func() any {
			view := map[string][]string{}
			h.OnChange(func(e crdt.MapEvent[string, string]) {
				for _, c := range e.Changes {
					if old, had := view[c.Key]; had != c.Had || had && old[0] != c.Old || c.Err != nil {
						panic(fmt.Sprintf("change %+v after %q", c, old))
					}
					if delete(view, c.Key); c.Has {
						view[c.Key] = append([]string{c.Value}, c.Conflicts...)
					}
				}
			})
			return func() any { return view }
		},
	}
	s.Edits["set more"], s.Edits["set still more"] = s.Edits["set"], s.Edits["set"]
	return s
}

// added and reset are what an edit of a counter did.
type added int64

type reset struct{}

// beyond stands for a value that is no int64.
const beyond = "out of range"

func counters(numbers *rapid.Generator[int64]) *converge.Subject[crdt.Counter] {
	type H = crdt.Counter
	show := func(v int64, err error) any {
		if errors.Is(err, crdt.ErrOverflow) {
			return beyond
		}
		return v
	}
	return &converge.Subject[H]{
		Open: opened(crdt.NewCounter),
		Edits: map[string]converge.Edit[H]{
			"add": func(t *rapid.T, tx runtime.Tx, h H) (any, error) {
				n := numbers.Draw(t, "n")
				err := h.Add(tx, n)
				if n == 0 || errors.Is(err, crdt.ErrOverflow) {
					return nil, converge.ErrNothing
				}
				return added(n), err
			},
			"reset": func(t *rapid.T, tx runtime.Tx, h H) (any, error) {
				clock := dots(tx)
				if err := h.Reset(tx); err != nil {
					return nil, err
				}
				if dots(tx) == clock {
					return nil, converge.ErrNothing
				}
				return reset{}, nil
			},
		},
		Value: func(tx runtime.Tx, h H) any { return show(h.Value(tx)) },
		Model: func(applied []converge.Transaction) any { return modelCounter(applied) },
		Watch: func(rt *runtime.Runtime, h H) func() any {
			var view any = int64(0)
			h.OnChange(func(e crdt.CounterEvent) {
				if old, ok := view.(int64); ok && e.Err == nil && old+e.Delta != e.Value {
					panic(fmt.Sprintf("event %+v after %d", e, old))
				}
				// Where only the difference is out of range the value is read anew.
				if view = show(e.Value, e.Err); e.Err != nil {
					view = runtime.Read(rt, func(tx runtime.Tx) any { return show(h.Value(tx)) })
				}
			})
			return func() any { return view }
		},
	}
}

// dots tells whether an operation took a dot: it is the next one that the transaction would take.
func dots(tx runtime.Tx) uint64 {
	n, err := tx.Runtime().Root("x", "counter")
	if err != nil {
		panic(err)
	}
	w, err := tx.Begin(n)
	if err != nil {
		panic(err)
	}
	return w.Dot().Seq
}

// modelCounter adds up what no reset saw.
func modelCounter(applied []converge.Transaction) any {
	type addition struct {
		dot vclock.Dot
		n   int64
	}
	live := map[addition]bool{}
	for _, tx := range applied {
		for i, did := range tx.Did {
			dot := vclock.Dot{Replica: tx.Dot.Replica, Seq: tx.Dot.Seq + uint64(i)}
			if n, ok := did.(added); ok {
				live[addition{dot, int64(n)}] = true
				continue
			}
			maps.DeleteFunc(live, func(a addition, _ bool) bool {
				return tx.Before.Covers(a.dot) || a.dot.Replica == dot.Replica && a.dot.Seq < dot.Seq
			})
		}
	}
	sum := new(big.Int)
	for a := range live {
		sum.Add(sum, big.NewInt(a.n))
	}
	if !sum.IsInt64() {
		return beyond
	}
	return sum.Int64()
}

var (
	smallNumbers = rapid.Int64Range(-9, 9)
	anyNumbers   = rapid.OneOf(rapid.Int64(), rapid.Int64Range(1<<62, 1<<62+3), rapid.Int64Range(-1<<63, -1<<63+1))
)

func TestCounterLaws(t *testing.T)          { counters(smallNumbers).Test(t) }
func TestCounterLawsAtTheEdge(t *testing.T) { counters(anyNumbers).Test(t) }
func TestRegisterLaws(t *testing.T)         { registers().Test(t) }
func TestMVRegisterLaws(t *testing.T)       { mvRegisters().Test(t) }
func TestFlagLaws(t *testing.T)             { enableWins().Test(t) }
func TestDisableWinsFlagLaws(t *testing.T)  { disableWins().Test(t) }
func TestSetLaws(t *testing.T)              { sets().Test(t) }
func TestMapLaws(t *testing.T)              { valueMaps().Test(t) }

func FuzzCounter(f *testing.F)  { counters(anyNumbers).Fuzz(f) }
func FuzzRegister(f *testing.F) { registers().Fuzz(f) }
func FuzzSet(f *testing.F)      { sets().Fuzz(f) }
func FuzzMap(f *testing.F)      { valueMaps().Fuzz(f) }
