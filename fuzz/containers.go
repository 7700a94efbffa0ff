package fuzz

import (
	"fmt"
	"reflect"

	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// The types that hold objects are driven through their methods by reflection, since their elements can be of any type.

// containerDriver returns the driver of a type of package crdt that holds objects.
func containerDriver(t reflect.Type, kind string) (driver, bool) {
	switch kind {
	case "lazymap":
		return lazyMapDriver(t), true
	case "objectmap":
		return objectMapDriver(t), true
	case "objectset":
		return objectSetDriver(t), true
	case "objectlist":
		return objectListDriver(t), true
	}
	return driver{}, false
}

// methods calls the methods of one type by name.
type methods struct {
	typ   reflect.Type
	index map[string]int
}

func methodsOf(t reflect.Type) methods {
	m := methods{t, make(map[string]int)}
	for i := range t.NumMethod() {
		m.index[t.Method(i).Name] = i
	}
	return m
}

// arg returns the type of an argument of a method, the receiver not counted.
func (m methods) arg(name string, i int) reflect.Type {
	return m.typ.Method(m.index[name]).Type.In(i + 1)
}

// call calls a method. A last result that is an error is returned as such.
func (m methods) call(h reflect.Value, name string, args ...any) ([]reflect.Value, error) {
	in := make([]reflect.Value, len(args))
	for i, a := range args {
		switch v := a.(type) {
		case nil:
			in[i] = reflect.Zero(m.arg(name, i))
		case reflect.Value:
			in[i] = v
		default:
			in[i] = reflect.ValueOf(a)
		}
	}
	out := h.Method(m.index[name]).Call(in)
	if n := len(out) - 1; n >= 0 && out[n].Type() == reflect.TypeFor[error]() {
		err, _ := out[n].Interface().(error)
		return out[:n], err
	}
	return out, nil
}

func (m methods) len(tx runtime.Tx, h reflect.Value) int {
	out, _ := m.call(h, "Len", tx)
	return int(out[0].Int())
}

// held is an object that a container holds: v is what its pointer points to.
type held struct {
	key any // of a map: the key; of a list: the index
	v   reflect.Value
}

// all lists what an iterator of a container yields.
func (m methods) all(tx runtime.Tx, h reflect.Value, name string) (out []held) {
	seq, _ := m.call(h, name, tx)
	if seq[0].Type().In(0).NumIn() == 1 {
		for v := range seq[0].Seq() {
			out = append(out, held{nil, v.Elem()})
		}
		return out
	}
	for k, v := range seq[0].Seq2() {
		out = append(out, held{k.Interface(), v.Elem()})
	}
	return out
}

// elemType returns the type of the objects that a container holds.
func elemType(t reflect.Type) reflect.Type {
	m, _ := t.MethodByName("All")
	yield := m.Type.Out(0).In(0)
	return yield.In(yield.NumIn() - 1).Elem()
}

func elemShape(k *kit, container reflect.Type) *shape { return k.shape(elemType(container)) }

// childID names an object by the dot that made it.
func childDot(k *kit, container reflect.Type, v reflect.Value) vclock.Dot {
	n := elemShape(k, container).node(v)
	d, _ := n.Dot()
	return n.Runtime().Dot(d)
}

// into is the operation that goes to one of the objects that objects lists.
func into(t reflect.Type, weight int, objects func(d *Draw, tx runtime.Tx, h reflect.Value) []held) boundEdit {
	return boundEdit{weight, func(d *Draw, tx runtime.Tx, h reflect.Value, depth int) (any, error) {
		all := objects(d, tx, h)
		if len(all) == 0 {
			return nil, ErrNothing
		}
		k := d.kit
		return elemShape(k, t).in(k, d, tx, all[d.Int("child", 0, len(all)-1)].v, depth)
	}}
}

// watched is an object of a container as events tell of it.
type watched struct {
	id   string
	view func() any
	stop func()
}

func (w *watched) show() any { return showChild(w.id, w.view()) }

func watchChild(k *kit, tx runtime.Tx, container reflect.Type, v reflect.Value, depth int) *watched {
	w := &watched{id: madeID(childDot(k, container, v))}
	w.view, w.stop = elemShape(k, container).watch(k, tx, v, depth+1)
	return w
}

// watchLater is watchChild outside of a transaction, in a handler.
func watchLater(k *kit, rt *runtime.Runtime, container reflect.Type, v reflect.Value, depth int) (w *watched) {
	err := rt.View(func(tx runtime.Tx) error {
		w = watchChild(k, tx, container, v, depth)
		return nil
	})
	if err != nil {
		panic(err)
	}
	return w
}

// onChange subscribes fn to the events of a container.
func (m methods) onChange(h reflect.Value, fn func(e reflect.Value)) (stop func()) {
	handler := reflect.MakeFunc(m.arg("OnChange", 0), func(args []reflect.Value) []reflect.Value {
		fn(args[0])
		return nil
	})
	out, _ := m.call(h, "OnChange", handler)
	return out[0].Interface().(func())
}

func objectMapDriver(t reflect.Type) driver {
	m := methodsOf(t)
	keyType := m.arg("Get", 1)
	key := func(d *Draw) any { return d.Any("key", keyType) }
	keys := func(d *Draw, tx runtime.Tx, h reflect.Value) (out []held) {
		out = m.all(tx, h, "All")
		for _, c := range out {
			hidden, _ := m.call(h, "Conflicts", tx, c.key)
			for i := range hidden[0].Len() {
				out = append(out, held{c.key, hidden[0].Index(i).Elem()})
			}
		}
		return out
	}
	return driver{
		edits: map[string]boundEdit{
			"set": noted(2, func(d *Draw, tx runtime.Tx, h reflect.Value) (any, error) {
				k := key(d)
				_, err := m.call(h, "Set", tx, k, nil)
				return write{key: keyString(k)}, err
			}),
			"create": noted(1, func(d *Draw, tx runtime.Tx, h reflect.Value) (any, error) {
				k := key(d)
				_, err := m.call(h, "Create", tx, k, Pick(d, "args", words), nil)
				return write{key: keyString(k)}, err
			}),
			"delete": noted(1, func(d *Draw, tx runtime.Tx, h reflect.Value) (any, error) {
				all := m.all(tx, h, "All")
				if len(all) == 0 {
					return nil, ErrNothing
				}
				k := all[d.Int("child", 0, len(all)-1)].key
				_, err := m.call(h, "Delete", tx, k)
				return write{key: keyString(k), erase: true}, err
			}),
			"clear": noted(1, func(d *Draw, tx runtime.Tx, h reflect.Value) (any, error) {
				if d.Int("really", 0, 2) != 2 {
					return nil, ErrNothing
				}
				_, err := m.call(h, "Clear", tx)
				return write{all: true, erase: true}, err
			}),
			"in": into(t, 4, keys),
		},
		value: func(k *kit, tx runtime.Tx, h reflect.Value, depth int) any {
			out := map[string]any{}
			for _, c := range m.all(tx, h, "All") {
				out[keyString(c.key)] = showChild(madeID(childDot(k, t, c.v)), elemShape(k, t).value(k, tx, c.v, depth+1))
			}
			if len(out) != m.len(tx, h) {
				panic("Len and All differ")
			}
			return out
		},
		watch: func(k *kit, tx runtime.Tx, h reflect.Value, depth int) (func() any, func()) {
			view, rt := map[string]*watched{}, tx.Runtime()
			for _, c := range m.all(tx, h, "All") {
				view[keyString(c.key)] = watchChild(k, tx, t, c.v, depth)
			}
			stop := m.onChange(h, func(e reflect.Value) {
				changes := e.FieldByName("Changes")
				for i := range changes.Len() {
					c := changes.Index(i)
					key, before, after := keyString(c.FieldByName("Key").Interface()), c.FieldByName("Before"), c.FieldByName("After")
					was := view[key]
					if before.IsNil() != (was == nil) || was != nil && was.id != madeID(childDot(k, t, before.Elem())) {
						panic(fmt.Sprintf("key %q changes from another object than it had", key))
					}
					if was != nil {
						was.stop()
						delete(view, key)
					}
					if !after.IsNil() {
						view[key] = watchLater(k, rt, t, after.Elem(), depth)
					}
				}
			})
			return func() any { return showAll(view) }, func() { stop(); stopAll(view) }
		},
		model: newObjectMapModel,
	}
}

func showAll(view map[string]*watched) map[string]any {
	out := make(map[string]any, len(view))
	for key, w := range view {
		out[key] = w.show()
	}
	return out
}

func stopAll(view map[string]*watched) {
	for _, w := range view {
		w.stop()
	}
}

func objectSetDriver(t reflect.Type) driver {
	m := methodsOf(t)
	all := func(_ *Draw, tx runtime.Tx, h reflect.Value) []held { return m.all(tx, h, "All") }
	return driver{
		edits: map[string]boundEdit{
			"add": noted(2, func(d *Draw, tx runtime.Tx, h reflect.Value) (any, error) {
				_, err := m.call(h, "Add", tx, nil)
				return write{}, err
			}),
			"remove": noted(1, func(d *Draw, tx runtime.Tx, h reflect.Value) (any, error) {
				list := m.all(tx, h, "All")
				if len(list) == 0 {
					return nil, ErrNothing
				}
				v := list[d.Int("child", 0, len(list)-1)].v
				did := removal{childDot(d.kit, t, v)}
				_, err := m.call(h, "Remove", tx, v.Addr())
				return did, err
			}),
			"clear": noted(1, func(d *Draw, tx runtime.Tx, h reflect.Value) (any, error) {
				if d.Int("really", 0, 2) != 2 {
					return nil, ErrNothing
				}
				_, err := m.call(h, "Clear", tx)
				return write{all: true, erase: true}, err
			}),
			"in": into(t, 4, all),
		},
		value: func(k *kit, tx runtime.Tx, h reflect.Value, depth int) any {
			out := map[string]any{}
			for _, c := range m.all(tx, h, "All") {
				out[madeID(childDot(k, t, c.v))] = elemShape(k, t).value(k, tx, c.v, depth+1)
			}
			if len(out) != m.len(tx, h) {
				panic("Len and All differ")
			}
			return out
		},
		watch: func(k *kit, tx runtime.Tx, h reflect.Value, depth int) (func() any, func()) {
			view, rt := map[string]*watched{}, tx.Runtime()
			for _, c := range m.all(tx, h, "All") {
				w := watchChild(k, tx, t, c.v, depth)
				view[w.id] = w
			}
			stop := m.onChange(h, func(e reflect.Value) {
				removed, added := e.FieldByName("Removed"), e.FieldByName("Added")
				for i := range removed.Len() {
					id := madeID(childDot(k, t, removed.Index(i).Elem()))
					if view[id] == nil {
						panic("removed what was not there")
					}
					view[id].stop()
					delete(view, id)
				}
				for i := range added.Len() {
					w := watchLater(k, rt, t, added.Index(i).Elem(), depth)
					if view[w.id] != nil {
						panic("added what was there")
					}
					view[w.id] = w
				}
			})
			return func() any {
				out := make(map[string]any, len(view))
				for id, w := range view {
					out[id] = w.view()
				}
				return out
			}, func() { stop(); stopAll(view) }
		},
		model: newObjectSetModel,
	}
}

func objectListDriver(t reflect.Type) driver {
	m := methodsOf(t)
	every := func(_ *Draw, tx runtime.Tx, h reflect.Value) []held {
		return append(m.all(tx, h, "All"), m.all(tx, h, "Archived")...)
	}
	// some makes an edit that takes one of the objects, archived ones too.
	some := func(weight int, edit func(d *Draw, tx runtime.Tx, h, child reflect.Value, made vclock.Dot) (any, error)) boundEdit {
		return noted(weight, func(d *Draw, tx runtime.Tx, h reflect.Value) (any, error) {
			list := every(d, tx, h)
			if len(list) == 0 {
				return nil, ErrNothing
			}
			v := list[d.Int("child", 0, len(list)-1)].v
			return edit(d, tx, h, v.Addr(), childDot(d.kit, t, v))
		})
	}
	ranged := func(weight int, edit func(d *Draw, tx runtime.Tx, h reflect.Value, at, n, all int) (any, error)) boundEdit {
		return noted(weight, func(d *Draw, tx runtime.Tx, h reflect.Value) (any, error) {
			all := m.len(tx, h)
			if all == 0 {
				return nil, ErrNothing
			}
			at, n := span(d, all)
			return edit(d, tx, h, at, n, all)
		})
	}
	position := func(tx runtime.Tx, h reflect.Value, c held, shown bool) {
		out, err := m.call(h, "Position", tx, c.v.Addr())
		if err != nil || int(out[0].Int()) != c.key || out[1].Bool() != shown {
			panic(fmt.Sprintf("the position of the object at %v, shown %v, is told as %v, %v, %v", c.key, shown, out[0], out[1], err))
		}
	}
	return driver{
		edits: map[string]boundEdit{
			"insert": noted(4, func(d *Draw, tx runtime.Tx, h reflect.Value) (any, error) {
				at, n := d.Int("at", 0, m.len(tx, h)), d.Int("count", 1, 3)
				_, err := m.call(h, "InsertN", tx, at, n)
				return splice{at: at, insert: make([]any, n)}, err
			}),
			"delete": ranged(1, func(d *Draw, tx runtime.Tx, h reflect.Value, at, n, _ int) (any, error) {
				_, err := m.call(h, "Delete", tx, at, n)
				return splice{at: at, del: n}, err
			}),
			"move": ranged(2, func(d *Draw, tx runtime.Tx, h reflect.Value, at, n, all int) (any, error) {
				to := d.Int("to", 0, all)
				_, err := m.call(h, "MoveRange", tx, at, n, to)
				return move{at, n, to}, err
			}),
			"archive": ranged(2, func(d *Draw, tx runtime.Tx, h reflect.Value, at, n, _ int) (any, error) {
				_, err := m.call(h, "Archive", tx, at, n)
				return shelve{at, n}, err
			}),
			"restore": some(2, func(d *Draw, tx runtime.Tx, h, child reflect.Value, made vclock.Dot) (any, error) {
				_, err := m.call(h, "Restore", tx, child)
				return restore{made}, err
			}),
			"remove": some(1, func(d *Draw, tx runtime.Tx, h, child reflect.Value, made vclock.Dot) (any, error) {
				_, err := m.call(h, "Remove", tx, child)
				return removal{made}, err
			}),
			"move-object": some(1, func(d *Draw, tx runtime.Tx, h, child reflect.Value, made vclock.Dot) (any, error) {
				to := d.Int("to", 0, m.len(tx, h))
				_, err := m.call(h, "MoveObject", tx, child, to)
				return moveOne{made, to}, err
			}),
			"in": into(t, 4, every),
		},
		value: func(k *kit, tx runtime.Tx, h reflect.Value, depth int) any {
			out := []any{}
			for i, c := range m.all(tx, h, "All") {
				if c.key != i {
					panic("All yields another index than that of the object")
				}
				out = append(out, showChild(madeID(childDot(k, t, c.v)), elemShape(k, t).value(k, tx, c.v, depth+1)))
				position(tx, h, c, true)
			}
			for _, c := range m.all(tx, h, "Archived") {
				position(tx, h, c, false)
			}
			if len(out) != m.len(tx, h) {
				panic("Len and All differ")
			}
			return out
		},
		watch: func(k *kit, tx runtime.Tx, h reflect.Value, depth int) (func() any, func()) {
			var view []*watched
			rt := tx.Runtime()
			for _, c := range m.all(tx, h, "All") {
				view = append(view, watchChild(k, tx, t, c.v, depth))
			}
			stop := m.onChange(h, func(e reflect.Value) {
				view = applyDelta(e.FieldByName("Delta"), view, func(v reflect.Value) *watched { return watchLater(k, rt, t, v, depth) })
			})
			return func() any {
					out := []any{}
					for _, w := range view {
						out = append(out, w.show())
					}
					return out
				}, func() {
					stop()
					for _, w := range view {
						w.stop()
					}
				}
		},
		model: newObjectListModel,
	}
}

// applyDelta returns what the steps of an ObjectListEvent make of a view.
func applyDelta(delta reflect.Value, before []*watched, watch func(reflect.Value) *watched) (after []*watched) {
	for i := range delta.Len() {
		step := delta.Index(i)
		retain, gone, insert := int(step.FieldByName("Retain").Int()), int(step.FieldByName("Delete").Int()), step.FieldByName("Insert")
		after = append(after, before[:retain]...)
		for _, w := range before[retain : retain+gone] {
			w.stop()
		}
		before = before[retain+gone:]
		for k := range insert.Len() {
			after = append(after, watch(insert.Index(k).Elem()))
		}
	}
	return append(after, before...)
}

// lazyKeys are the keys of a LazyMap that the kit uses, present or not.
func lazyKeys(t reflect.Type) (out []reflect.Value) {
	m, _ := t.MethodByName("At")
	for i := range 3 {
		key := reflect.New(m.Type.In(2)).Elem()
		switch {
		case key.Kind() == reflect.String:
			key.SetString(words[i])
		case key.CanInt():
			key.SetInt(int64(i) - 1)
		case key.CanUint():
			key.SetUint(uint64(i))
		case i > 0:
			continue // the zero value of another type
		}
		out = append(out, key)
	}
	return out
}

func keyBytes(key reflect.Value) string { return string(must(runtime.EncodeValue(key.Interface()))) }

func lazyMapDriver(t reflect.Type) driver {
	m, keys := methodsOf(t), lazyKeys(t)
	at := func(tx runtime.Tx, h, key reflect.Value) reflect.Value {
		out, err := m.call(h, "At", tx, key)
		if err != nil {
			panic(err)
		}
		return out[0].Elem()
	}
	names := make([]string, len(keys))
	for i, key := range keys {
		names[i] = keyString(key.Interface())
	}
	return driver{
		edits: map[string]boundEdit{"in": {4, func(d *Draw, tx runtime.Tx, h reflect.Value, depth int) (any, error) {
			if depth >= deepest {
				return nil, ErrNothing
			}
			i := d.Int("key", 0, len(keys)-1)
			return elemShape(d.kit, t).in(d.kit, d, tx, at(tx, h, keys[i]), depth)
		}}},
		value: func(k *kit, tx runtime.Tx, h reflect.Value, depth int) any {
			if depth >= deepest {
				return nil
			}
			out := map[string]any{}
			for i, key := range keys {
				out[names[i]] = elemShape(k, t).value(k, tx, at(tx, h, key), depth+1)
			}
			return out
		},
		watch: func(k *kit, tx runtime.Tx, h reflect.Value, depth int) (func() any, func()) {
			if depth >= deepest {
				return func() any { return nil }, func() {}
			}
			views, stops := map[string]func() any{}, []func(){}
			for i, key := range keys {
				view, stop := elemShape(k, t).watch(k, tx, at(tx, h, key), depth+1)
				views[names[i]] = view
				stops = append(stops, stop)
			}
			return func() any {
					out := map[string]any{}
					for name, view := range views {
						out[name] = view()
					}
					return out
				}, func() {
					for _, stop := range stops {
						stop()
					}
				}
		},
		model: newNoModel,
	}
}
