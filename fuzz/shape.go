package fuzz

import (
	"fmt"
	"reflect"
	"slices"
	"sync"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// Of returns a Subject of documents that T describes: a handle of package crdt (crdt.Text, crdt.Map[string, int], ...), or
// a struct of handles as for weft.Open, nested to any depth. The operations, values, views and models of the types of
// package crdt come with it; those of own types are given by types, see Handled. Fields tagged weft:"-" are left out, as
// everywhere.
//
// Operations are named by the path of the field, nested structs included, and what is done: "title.set", "tasks.delete".
// "tasks.in" goes to one of the objects that a container holds and does there what stands under edit.
//
// It panics with *crdt.ShapeError if T cannot describe objects, and with an error that names it if there is a handle that
// neither the kit nor types know.
func Of[T any](name string, types ...HandleType) *Subject[T] {
	k := &kit{types: make(map[string]driver), shapes: make(map[reflect.Type]*shape), models: true}
	var kinds []runtime.Kind
	for _, t := range types {
		k.types[t.handleKind.Name] = t.driver
		kinds = append(kinds, t.handleKind)
		k.models = k.models && t.driver.model != nil
	}
	typ := reflect.TypeFor[T]()
	sh := k.shape(typ)
	roots := typ.Kind() == reflect.Struct && !isHandle(typ)
	s := &Subject[T]{Name: name, Edits: make(map[string]Edit[T]), weights: make(map[string]int)}
	s.Open = func(o *runtime.Options) (*runtime.Runtime, T, error) {
		o.Kinds = slices.Concat(o.Kinds, crdt.Kinds(), kinds)
		var h T
		rt, err := runtime.New(o)
		if err == nil && roots {
			err = crdt.BindRoots(rt, &h)
		} else if err == nil {
			h, err = crdt.Root[T](rt, rootName)
		}
		return rt, h, err
	}
	for name, e := range sh.editsAt(k) {
		s.weights[name] = e.weight
		s.Edits[name] = func(d *Draw, tx runtime.Tx, h T) (any, error) {
			d.kit = k
			return e.do(d, tx, reflect.ValueOf(&h).Elem(), 0)
		}
	}
	s.Value = func(tx runtime.Tx, h T) any { return sh.value(k, tx, reflect.ValueOf(&h).Elem(), 0) }
	s.Watch = func(rt *runtime.Runtime, h T) (view func() any) {
		err := rt.View(func(tx runtime.Tx) error {
			view, _ = sh.watch(k, tx, reflect.ValueOf(&h).Elem(), 0)
			return nil
		})
		if err != nil {
			panic(err)
		}
		return view
	}
	if k.models {
		s.Model = func(applied []Transaction) any { return k.model(sh, roots, applied) }
	}
	return s
}

// rootName is the root of a Subject of one handle.
const rootName = "x"

// deepest bounds how far the kit goes down along keys that exist implicitly: a type may hold itself.
const deepest = 5

// kit is what Of knows of types.
type kit struct {
	types  map[string]driver // of own kinds
	models bool              // all have a model

	mu     sync.Mutex
	shapes map[reflect.Type]*shape
}

// shape is a type that describes objects: a handle or a struct of them.
type shape struct {
	typ    reflect.Type
	driver driver  // of a handle
	fields []field // of a struct
	kind   string

	once  sync.Once
	edits map[string]boundEdit
	names []string // of edits, as often as they weigh
}

type field struct {
	name  string
	index []int
	shape *shape
}

// driver is what the kit does with the handles of one type. h is the handle, addressable; depth counts the containers
// above it.
type driver struct {
	edits map[string]boundEdit
	value func(k *kit, tx runtime.Tx, h reflect.Value, depth int) any
	watch func(k *kit, tx runtime.Tx, h reflect.Value, depth int) (view func() any, stop func())
	model func() model // nil: none
}

type boundEdit struct {
	weight int
	do     func(d *Draw, tx runtime.Tx, v reflect.Value, depth int) (any, error)
}

func isHandle(t reflect.Type) bool {
	if !reflect.PointerTo(t).Implements(reflect.TypeFor[crdt.Handle]()) {
		return false
	}
	return t.Kind() != reflect.Struct || t == recordType || !embedsRecord(t)
}

var recordType = reflect.TypeFor[crdt.Record]()

func embedsRecord(t reflect.Type) bool {
	for i := range t.NumField() {
		if f := t.Field(i); f.Anonymous && (f.Type == recordType || f.Type.Kind() == reflect.Struct && embedsRecord(f.Type)) {
			return true
		}
	}
	return false
}

// shape returns the shape of a type. What is wrong with the type crdt has found, or will find in Open.
func (k *kit) shape(t reflect.Type) *shape {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.shapeLocked(t)
}

func (k *kit) shapeLocked(t reflect.Type) *shape {
	if s := k.shapes[t]; s != nil {
		return s
	}
	s := &shape{typ: t, kind: "record"}
	k.shapes[t] = s
	if isHandle(t) {
		s.kind = reflect.New(t).Interface().(crdt.Handle).Kind()
		var ok bool
		if s.driver, ok = k.types[s.kind]; !ok {
			if s.driver, ok = builtin(t, s.kind); !ok {
				panic(fmt.Errorf("fuzz: there is no HandleType for %v of kind %q", t, s.kind))
			}
		}
		return s
	}
	if t.Kind() == reflect.Struct {
		k.addFields(s, t, nil)
	}
	return s
}

func (k *kit) addFields(s *shape, t reflect.Type, path []int) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, tagged := f.Tag.Lookup("weft")
		index := append(slices.Clone(path), i)
		switch {
		case name == "-" || !f.IsExported() || f.Anonymous && f.Type == recordType:
		case f.Anonymous && !tagged && f.Type.Kind() == reflect.Struct && !isHandle(f.Type):
			k.addFields(s, f.Type, index)
		default:
			s.fields = append(s.fields, field{name, index, k.shapeLocked(f.Type)})
		}
	}
}

// editsAt returns the operations on objects of the shape, by name.
func (s *shape) editsAt(k *kit) map[string]boundEdit {
	s.once.Do(func() {
		s.edits = make(map[string]boundEdit)
		for name, e := range s.driver.edits {
			s.edits[name] = e
		}
		for _, f := range s.fields {
			for name, e := range f.shape.editsAt(k) {
				s.edits[editName(f.name, name)] = boundEdit{e.weight, func(d *Draw, tx runtime.Tx, v reflect.Value, depth int) (any, error) {
					return e.do(d, tx, v.FieldByIndex(f.index), depth)
				}}
			}
		}
		for name, e := range s.edits {
			for range e.weight {
				s.names = append(s.names, name)
			}
		}
		slices.Sort(s.names)
	})
	return s.edits
}

// editName joins words; what scripts do not take in a name becomes '_'.
func editName(field, op string) string {
	out := []byte(field)
	for i, c := range out {
		if !isWord(string(rune(c))) {
			out[i] = '_'
		}
	}
	return string(out) + "." + op
}

// in makes one of the operations on an object of the shape, which d draws.
func (s *shape) in(k *kit, d *Draw, tx runtime.Tx, v reflect.Value, depth int) (any, error) {
	edits := s.editsAt(k)
	if len(s.names) == 0 {
		return nil, ErrNothing
	}
	return edits[Pick(d, "edit", s.names)].do(d, tx, v, depth+1)
}

func (s *shape) value(k *kit, tx runtime.Tx, v reflect.Value, depth int) any {
	if s.driver.value != nil {
		return s.driver.value(k, tx, v, depth)
	}
	out := make(map[string]any, len(s.fields))
	for _, f := range s.fields {
		out[f.name] = f.shape.value(k, tx, v.FieldByIndex(f.index), depth)
	}
	return out
}

func (s *shape) watch(k *kit, tx runtime.Tx, v reflect.Value, depth int) (view func() any, stop func()) {
	if s.driver.watch != nil {
		return s.driver.watch(k, tx, v, depth)
	}
	views := make(map[string]func() any, len(s.fields))
	var stops []func()
	for _, f := range s.fields {
		view, stop := f.shape.watch(k, tx, v.FieldByIndex(f.index), depth)
		views[f.name] = view
		stops = append(stops, stop)
	}
	return func() any {
			out := make(map[string]any, len(views))
			for name, view := range views {
				out[name] = view()
			}
			return out
		}, func() {
			for _, stop := range stops {
				stop()
			}
		}
}

// node returns the object that v is bound to.
func (s *shape) node(v reflect.Value) *runtime.Node {
	if h, ok := v.Addr().Interface().(interface{ Node() *runtime.Node }); ok {
		return h.Node()
	}
	if len(s.fields) == 0 {
		return nil
	}
	n := s.fields[0].shape.node(v.FieldByIndex(s.fields[0].index))
	if n == nil {
		return nil
	}
	return n.Parent()
}

// objectID names an object alike in all replicas.
func objectID(n *runtime.Node) string {
	if d, ok := n.Dot(); ok {
		return madeID(n.Runtime().Dot(d))
	}
	if p := n.Parent(); p != nil {
		return implicitID(objectID(p), n.Name())
	}
	return n.Name()
}

func madeID(d vclock.Dot) string { return "@" + d.String() }

func implicitID(parent, key string) string { return fmt.Sprintf("%s/%x", parent, key) }

// opDid is what an edit of a Subject made by Of did: an operation on one object.
type opDid struct {
	node *runtime.Node // of the writer's replica
	dot  vclock.Dot    // the first
	did  any           // as the model of the kind wants it
}

func (o opDid) String() string { return fmt.Sprintf("%v: %v", o.node, o.did) }

// noted wraps an edit so that what it did says where, and under which dots. An edit that took none did nothing.
func noted(weight int, edit func(d *Draw, tx runtime.Tx, h reflect.Value) (any, error)) boundEdit {
	return boundEdit{weight, func(d *Draw, tx runtime.Tx, h reflect.Value, depth int) (any, error) {
		n := h.Addr().Interface().(interface{ Node() *runtime.Node }).Node()
		from, err := nextDot(tx, n)
		if err != nil {
			return nil, err
		}
		did, err := edit(d, tx, h)
		if err != nil {
			return did, err
		}
		to, err := nextDot(tx, n)
		if err != nil || to.Seq == from.Seq {
			return did, ErrNothing
		}
		return opDid{n, n.Runtime().Dot(from), did}, nil
	}}
}

// nextDot returns the dot that the next operation takes.
func nextDot(tx runtime.Tx, n *runtime.Node) (runtime.LocalDot, error) {
	w, err := tx.Begin(n)
	if err != nil {
		return runtime.LocalDot{}, err
	}
	return w.Dot(), nil
}

// HandleType is what the kit knows of a type of one's own; see Handled.
type HandleType struct {
	handleKind runtime.Kind
	driver     driver
}

// Type says how to work with handles of one's own type wherever they stand in a struct or container.
type Type[H any] struct {
	Kind  runtime.Kind
	Edits map[string]Edit[H]
	// Value returns what an object shows, in a form that reflect.DeepEqual compares.
	Value func(tx runtime.Tx, h H) any
	// Watch subscribes to the events of an object that shows value and returns the value as rebuilt from events alone, and
	// what ends the subscription. nil: events are not tested.
	Watch func(h H, value any) (view func() any, stop func())
	// Model computes the value from the operations on one object, which come in an order that extends causality. nil: a
	// Subject with such objects has no model.
	Model func(applied []Operation) any
}

// Operation is an operation on one object as Type.Model sees it.
type Operation struct {
	Dot     vclock.Dot            // the first
	Lamport uint64                // of the first dot
	Did     any                   // what the edit returned
	Saw     func(vclock.Dot) bool // whether its writer had seen what a dot names
}

// ownModel collects operations for Type.Model.
type ownModel struct {
	fn      func([]Operation) any
	applied []Operation
}

func (m *ownModel) apply(op *applied) error {
	m.applied = append(m.applied, Operation{op.dot, op.lamport, op.did, op.saw})
	return nil
}

func (m *ownModel) value(func(vclock.Dot) any) any { return m.fn(m.applied) }

// Handled returns the HandleType that makes Of know handles of type H, to which a pointer has to be a crdt.Handle with a
// method Node() *runtime.Node.
func Handled[H any](t Type[H]) HandleType {
	d := driver{edits: make(map[string]boundEdit)}
	for name, e := range t.Edits {
		d.edits[name] = noted(1, func(d *Draw, tx runtime.Tx, h reflect.Value) (any, error) { return e(d, tx, h.Interface().(H)) })
	}
	d.value = func(_ *kit, tx runtime.Tx, h reflect.Value, _ int) any { return t.Value(tx, h.Interface().(H)) }
	d.watch = func(_ *kit, tx runtime.Tx, h reflect.Value, _ int) (func() any, func()) {
		if t.Watch == nil {
			rt, h := tx.Runtime(), h.Interface().(H)
			return func() any { return runtime.Read(rt, func(tx runtime.Tx) any { return t.Value(tx, h) }) }, func() {}
		}
		return t.Watch(h.Interface().(H), t.Value(tx, h.Interface().(H)))
	}
	if t.Model != nil {
		d.model = func() model { return &ownModel{fn: t.Model} }
	}
	return HandleType{t.Kind, d}
}
