package fuzz

import (
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/runtime"
)

// builtin returns the driver of a type of package crdt.
func builtin(t reflect.Type, kind string) (driver, bool) {
	switch kind {
	case "counter":
		return counterDriver(), true
	case "register":
		return oneType(argument(t, "Set", 2), registerDriver[string], registerDriver[int], registerDriver[any]), true
	case "mvregister":
		return oneType(argument(t, "Set", 2), mvRegisterDriver[string], mvRegisterDriver[int], mvRegisterDriver[any]), true
	case "flag":
		return flagDriver[crdt.Flag](false), true
	case "flag-dw":
		return flagDriver[crdt.DisableWinsFlag](true), true
	case "set":
		return oneType(argument(t, "Add", 2), setDriver[string], setDriver[int], setDriver[any]), true
	case "map":
		return mapDriverOf(argument(t, "Set", 2), argument(t, "Set", 3)), true
	case "text":
		return textDriver(), true
	case "list":
		return oneType(argument(t, "Set", 3), listDriver[string], listDriver[int], listDriver[any]), true
	case "record":
		return driver{
			value: func(*kit, runtime.Tx, reflect.Value, int) any { return nil },
			watch: func(*kit, runtime.Tx, reflect.Value, int) (func() any, func()) {
				return func() any { return nil }, func() {}
			},
			model: newNoModel,
		}, true
	}
	return containerDriver(t, kind)
}

// argument returns the type of a method's argument; 0 is the receiver.
func argument(t reflect.Type, method string, i int) reflect.Type {
	m, _ := t.MethodByName(method)
	return m.Type.In(i)
}

// oneType chooses the instance for an element type: the two most common ones have their own, for these have code of
// their own in package crdt; the others go through any.
func oneType(elem reflect.Type, s, i, other func(reflect.Type) driver) driver {
	switch elem {
	case reflect.TypeFor[string]():
		return s(elem)
	case reflect.TypeFor[int]():
		return i(elem)
	}
	return other(elem)
}

// handle returns a handle of type H for the object that h is bound to: the same kind, maybe another type of elements.
func handle[H any, P interface {
	*H
	Bind(*runtime.Node)
}](h reflect.Value) H {
	if v, ok := h.Interface().(H); ok {
		return v
	}
	var out H
	P(&out).Bind(h.Addr().Interface().(interface{ Node() *runtime.Node }).Node())
	return out
}

func drawn[T any](d *Draw, label string, t reflect.Type) T {
	v, _ := d.Any(label, t).(T)
	return v
}

// must panics with what reads of a well-typed document never return.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// keyString names a key alike for all types that hold it.
func keyString(k any) string {
	if s, ok := k.(string); ok {
		return s
	}
	return fmt.Sprint(k)
}

func anys[T any](list []T) []any {
	out := make([]any, len(list))
	for i, v := range list {
		out[i] = plainValue(v)
	}
	return out
}

// plainValue gives numbers of every type one form, so that what was written compares with what is read.
func plainValue(v any) any {
	switch v := v.(type) {
	case string, bool, float64, int64:
		return v
	case int:
		return int64(v)
	case rune:
		return int64(v)
	case uint64:
		return int64(v)
	}
	switch r := reflect.ValueOf(v); {
	case r.CanInt():
		return r.Int()
	case r.CanUint():
		return int64(r.Uint())
	case r.CanFloat():
		return r.Float()
	case r.Kind() == reflect.String:
		return r.String()
	case r.Kind() == reflect.Bool:
		return r.Bool()
	}
	b, err := runtime.EncodeValue(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// beyond stands for a value that is no int64.
const beyond = "out of range"

func counterValue(v int64, err error) any {
	if errors.Is(err, crdt.ErrOverflow) {
		return beyond
	}
	return must(v, err)
}

func counterDriver() driver {
	h := handle[crdt.Counter]
	return driver{
		edits: map[string]boundEdit{
			"add": noted(4, func(d *Draw, tx runtime.Tx, v reflect.Value) (any, error) {
				n := d.Int64("n", -9, 9)
				if d.Int("big", 0, 15) == 15 {
					n = d.Int64("n", -1<<63, 1<<63-1)
				}
				err := h(v).Add(tx, n)
				if errors.Is(err, crdt.ErrOverflow) {
					return nil, ErrNothing
				}
				return write{add: n}, err
			}),
			"reset": noted(1, func(d *Draw, tx runtime.Tx, v reflect.Value) (any, error) {
				return write{all: true, erase: true}, h(v).Reset(tx)
			}),
		},
		value: func(_ *kit, tx runtime.Tx, v reflect.Value, _ int) any { return counterValue(h(v).Value(tx)) },
		watch: func(_ *kit, tx runtime.Tx, v reflect.Value, _ int) (func() any, func()) {
			c, rt := h(v), tx.Runtime()
			view, exact := counterValue(c.Value(tx)), true
			stop := c.OnChange(func(e crdt.CounterEvent) {
				if old, ok := view.(int64); ok && exact && e.Err == nil && old+e.Delta != e.Value {
					panic(fmt.Sprintf("event %+v after %d", e, old))
				}
				if view, exact = counterValue(e.Value, e.Err), e.Err == nil; !exact {
					// Where only the difference is out of range the value is read anew, which may be a later one.
					view = runtime.Read(rt, func(tx runtime.Tx) any { return counterValue(c.Value(tx)) })
				}
			})
			return func() any { return view }, stop
		},
		model: newCounterModel,
	}
}

func registerDriver[T any](elem reflect.Type) driver {
	h := handle[crdt.Register[T]]
	value := func(tx runtime.Tx, r crdt.Register[T]) []any {
		v, ok, err := r.Get(tx)
		rest := must(r.Conflicts(tx))
		if must(ok, err) {
			return anys(append([]T{v}, rest...))
		}
		return []any{}
	}
	return driver{
		edits: map[string]boundEdit{
			"set": noted(3, func(d *Draw, tx runtime.Tx, v reflect.Value) (any, error) {
				x := drawn[T](d, "value", elem)
				return write{all: true, value: plainValue(x)}, h(v).Set(tx, x)
			}),
			"clear": noted(1, func(d *Draw, tx runtime.Tx, v reflect.Value) (any, error) {
				return write{all: true, erase: true}, h(v).Clear(tx)
			}),
		},
		value: func(_ *kit, tx runtime.Tx, v reflect.Value, _ int) any { return value(tx, h(v)) },
		watch: func(_ *kit, tx runtime.Tx, v reflect.Value, _ int) (func() any, func()) {
			view := value(tx, h(v))
			stop := h(v).OnChange(func(e crdt.RegisterEvent[T]) {
				if e.Err != nil || len(view) > 0 != e.Had || e.Had && !equal(view[0], plainValue(e.Old)) {
					panic(fmt.Sprintf("event %+v after %v", e, view))
				}
				if view = []any{}; e.Has {
					view = anys(append([]T{e.Value}, e.Conflicts...))
				}
			})
			return func() any { return view }, stop
		},
		model: newRegisterModel,
	}
}

func mvRegisterDriver[T any](elem reflect.Type) driver {
	h := handle[crdt.MVRegister[T]]
	return driver{
		edits: map[string]boundEdit{
			"set": noted(3, func(d *Draw, tx runtime.Tx, v reflect.Value) (any, error) {
				x := drawn[T](d, "value", elem)
				return write{all: true, value: plainValue(x)}, h(v).Set(tx, x)
			}),
			"clear": noted(1, func(d *Draw, tx runtime.Tx, v reflect.Value) (any, error) {
				return write{all: true, erase: true}, h(v).Clear(tx)
			}),
		},
		value: func(_ *kit, tx runtime.Tx, v reflect.Value, _ int) any { return anys(must(h(v).Values(tx))) },
		watch: func(_ *kit, tx runtime.Tx, v reflect.Value, _ int) (func() any, func()) {
			view := anys(must(h(v).Values(tx)))
			stop := h(v).OnChange(func(e crdt.MVRegisterEvent[T]) {
				if e.Err != nil || !equal(view, anys(e.Old)) {
					panic(fmt.Sprintf("event %+v after %v", e, view))
				}
				view = anys(e.Values)
			})
			return func() any { return view }, stop
		},
		model: newMVRegisterModel,
	}
}

// flag is what both flags offer.
type flagHandle interface {
	Value(runtime.Tx) bool
	Enable(runtime.Tx) error
	Disable(runtime.Tx) error
	OnChange(func(crdt.FlagEvent)) func()
}

func flagDriver[H flagHandle](disableWins bool) driver {
	h := func(v reflect.Value) flagHandle { return v.Interface().(flagHandle) }
	return driver{
		edits: map[string]boundEdit{
			"enable": noted(1, func(d *Draw, tx runtime.Tx, v reflect.Value) (any, error) {
				return write{all: true, value: true}, h(v).Enable(tx)
			}),
			"disable": noted(1, func(d *Draw, tx runtime.Tx, v reflect.Value) (any, error) {
				return write{all: true, value: false, erase: !disableWins}, h(v).Disable(tx)
			}),
		},
		value: func(_ *kit, tx runtime.Tx, v reflect.Value, _ int) any { return h(v).Value(tx) },
		watch: func(_ *kit, tx runtime.Tx, v reflect.Value, _ int) (func() any, func()) {
			view := h(v).Value(tx)
			stop := h(v).OnChange(func(e crdt.FlagEvent) {
				if e.Value == view {
					panic("an event that changes nothing")
				}
				view = e.Value
			})
			return func() any { return view }, stop
		},
		model: newFlagModel,
	}
}

func setDriver[T comparable](elem reflect.Type) driver {
	h := handle[crdt.Set[T]]
	value := func(tx runtime.Tx, s crdt.Set[T]) map[string]bool {
		out := map[string]bool{}
		for v := range s.All(tx) {
			if out[keyString(v)] = true; !s.Has(tx, v) {
				panic(fmt.Sprintf("All yields %v, and Has says no", v))
			}
		}
		if len(out) != s.Len(tx) {
			panic("Len and All differ")
		}
		return out
	}
	return driver{
		edits: map[string]boundEdit{
			"add": noted(4, func(d *Draw, tx runtime.Tx, v reflect.Value) (any, error) {
				x := drawn[T](d, "element", elem)
				return write{key: keyString(x)}, h(v).Add(tx, x)
			}),
			"remove": noted(2, func(d *Draw, tx runtime.Tx, v reflect.Value) (any, error) {
				x := drawn[T](d, "element", elem)
				return write{key: keyString(x), erase: true}, h(v).Remove(tx, x)
			}),
			"clear": noted(1, func(d *Draw, tx runtime.Tx, v reflect.Value) (any, error) {
				return write{all: true, erase: true}, h(v).Clear(tx)
			}),
		},
		value: func(_ *kit, tx runtime.Tx, v reflect.Value, _ int) any { return value(tx, h(v)) },
		watch: func(_ *kit, tx runtime.Tx, v reflect.Value, _ int) (func() any, func()) {
			view := value(tx, h(v))
			stop := h(v).OnChange(func(e crdt.SetEvent[T]) {
				for _, x := range e.Removed {
					if !view[keyString(x)] {
						panic("removed what was not there")
					}
					delete(view, keyString(x))
				}
				for _, x := range e.Added {
					if view[keyString(x)] {
						panic("added what was there")
					}
					view[keyString(x)] = true
				}
				if e.Err != nil {
					panic(e.Err)
				}
			})
			return func() any { return view }, stop
		},
		model: newSetModel,
	}
}

func mapDriverOf(k, v reflect.Type) driver {
	switch s, i := reflect.TypeFor[string](), reflect.TypeFor[int](); {
	case k == s && v == s:
		return mapDriver[string, string](k, v)
	case k == s && v == i:
		return mapDriver[string, int](k, v)
	case k == i && v == s:
		return mapDriver[int, string](k, v)
	}
	return mapDriver[any, any](k, v)
}

func mapDriver[K comparable, V any](key, elem reflect.Type) driver {
	h := handle[crdt.Map[K, V]]
	value := func(tx runtime.Tx, m crdt.Map[K, V]) map[string][]any {
		out := map[string][]any{}
		for k, v := range m.All(tx) {
			out[keyString(k)] = anys(append([]V{v}, must(m.Conflicts(tx, k))...))
		}
		if len(out) != m.Len(tx) {
			panic("Len and All differ")
		}
		return out
	}
	return driver{
		edits: map[string]boundEdit{
			"set": noted(4, func(d *Draw, tx runtime.Tx, v reflect.Value) (any, error) {
				k, x := drawn[K](d, "key", key), drawn[V](d, "value", elem)
				return write{key: keyString(k), value: plainValue(x)}, h(v).Set(tx, k, x)
			}),
			"delete": noted(2, func(d *Draw, tx runtime.Tx, v reflect.Value) (any, error) {
				k := drawn[K](d, "key", key)
				return write{key: keyString(k), erase: true}, h(v).Delete(tx, k)
			}),
			"clear": noted(1, func(d *Draw, tx runtime.Tx, v reflect.Value) (any, error) {
				return write{all: true, erase: true}, h(v).Clear(tx)
			}),
		},
		value: func(_ *kit, tx runtime.Tx, v reflect.Value, _ int) any { return value(tx, h(v)) },
		watch: func(_ *kit, tx runtime.Tx, v reflect.Value, _ int) (func() any, func()) {
			view := value(tx, h(v))
			stop := h(v).OnChange(func(e crdt.MapEvent[K, V]) {
				for _, c := range e.Changes {
					k := keyString(c.Key)
					if old, had := view[k]; c.Err != nil || had != c.Had || had && !equal(old[0], plainValue(c.Old)) {
						panic(fmt.Sprintf("change %+v after %v", c, old))
					}
					if delete(view, k); c.Has {
						view[k] = anys(append([]V{c.Value}, c.Conflicts...))
					}
				}
			})
			return func() any { return view }, stop
		},
		model: newMapModel,
	}
}

// span draws a range of up to four of n > 0 things.
func span(d *Draw, n int) (at, count int) {
	at = d.Int("at", 0, n-1)
	return at, d.Int("count", 1, min(4, n-at))
}

func textDriver() driver {
	h := handle[crdt.Text]
	return driver{
		edits: map[string]boundEdit{
			"insert": noted(3, func(d *Draw, tx runtime.Tx, v reflect.Value) (any, error) {
				at := d.Int("at", 0, h(v).Len(tx))
				s := d.Text("text", 1, 6)
				return splice{at: at, insert: anyRunes(s)}, h(v).Insert(tx, at, s)
			}),
			"type": noted(3, func(d *Draw, tx runtime.Tx, v reflect.Value) (any, error) {
				at := h(v).Len(tx)
				s := d.Text("text", 1, 2)
				return splice{at: at, insert: anyRunes(s)}, h(v).Insert(tx, at, s)
			}),
			"delete": noted(4, func(d *Draw, tx runtime.Tx, v reflect.Value) (any, error) {
				if h(v).Len(tx) == 0 {
					return nil, ErrNothing
				}
				at, n := span(d, h(v).Len(tx))
				return splice{at: at, del: n}, h(v).Delete(tx, at, n)
			}),
			"splice": noted(1, func(d *Draw, tx runtime.Tx, v reflect.Value) (any, error) {
				if h(v).Len(tx) == 0 {
					return nil, ErrNothing
				}
				at, n := span(d, h(v).Len(tx))
				s := d.Text("text", 1, 4)
				return splice{at: at, del: n, insert: anyRunes(s)}, h(v).Splice(tx, at, n, s)
			}),
		},
		value: func(_ *kit, tx runtime.Tx, v reflect.Value, _ int) any { return h(v).String(tx) },
		watch: func(_ *kit, tx runtime.Tx, v reflect.Value, _ int) (func() any, func()) {
			view := h(v).String(tx)
			stop := h(v).OnChange(func(e crdt.TextEvent) { view = e.Apply(view) })
			return func() any { return view }, stop
		},
		model: newTextModel,
	}
}

func anyRunes(s string) []any { return anys([]rune(s)) }

func listDriver[T any](elem reflect.Type) driver {
	h := handle[crdt.List[T]]
	return driver{
		edits: map[string]boundEdit{
			"insert": noted(4, func(d *Draw, tx runtime.Tx, v reflect.Value) (any, error) {
				at := d.Int("at", 0, h(v).Len(tx))
				list := []T{drawn[T](d, "value", elem)}
				if d.Bool("two") {
					list = append(list, drawn[T](d, "value", elem))
				}
				return splice{at: at, insert: anys(list)}, h(v).Insert(tx, at, list...)
			}),
			"delete": noted(1, func(d *Draw, tx runtime.Tx, v reflect.Value) (any, error) {
				if h(v).Len(tx) == 0 {
					return nil, ErrNothing
				}
				at, n := span(d, h(v).Len(tx))
				return splice{at: at, del: n}, h(v).Delete(tx, at, n)
			}),
			"set": noted(3, func(d *Draw, tx runtime.Tx, v reflect.Value) (any, error) {
				if h(v).Len(tx) == 0 {
					return nil, ErrNothing
				}
				at := d.Int("at", 0, h(v).Len(tx)-1)
				x := drawn[T](d, "value", elem)
				return setAt{at, plainValue(x)}, h(v).Set(tx, at, x)
			}),
			"move": noted(2, func(d *Draw, tx runtime.Tx, v reflect.Value) (any, error) {
				if h(v).Len(tx) == 0 {
					return nil, ErrNothing
				}
				at, n := span(d, h(v).Len(tx))
				to := d.Int("to", 0, h(v).Len(tx))
				return move{at, n, to}, h(v).MoveRange(tx, at, n, to)
			}),
		},
		value: func(_ *kit, tx runtime.Tx, v reflect.Value, _ int) any { return anys(must(h(v).Values(tx))) },
		watch: func(_ *kit, tx runtime.Tx, v reflect.Value, _ int) (func() any, func()) {
			view := slices.Clone(must(h(v).Values(tx)))
			stop := h(v).OnChange(func(e crdt.ListEvent[T]) { view = e.Apply(view) })
			return func() any { return anys(view) }, stop
		},
		model: newListModel,
	}
}
