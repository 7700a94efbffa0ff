package crdt

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/seed1312cc15/weft/runtime"
)

// Handle is what pointers to all types of this package implement, and pointers to a type of your own may: Bind makes the
// handle one of the object n. A handle that stands as a field of a struct, or as the element of an ObjectMap or another
// container, is filled through it.
type Handle interface {
	// Kind returns the name of the kind of object. It must not depend on the handle's being bound.
	Kind() string
	// Bind makes the handle one of the object n, which is of this kind.
	Bind(n *runtime.Node)
}

// ErrShape marks a Go type that cannot describe objects; see ShapeError.
var ErrShape = errors.New("crdt: the type cannot describe objects")

// ShapeError says which type, and which field of it, cannot describe objects, and why. It unwraps to ErrShape.
type ShapeError struct {
	Type   reflect.Type
	Field  string // empty: the type as a whole
	Reason string
}

// Error implements error.
func (e *ShapeError) Error() string {
	if e.Field == "" {
		return fmt.Sprintf("crdt: type %v: %s", e.Type, e.Reason)
	}
	return fmt.Sprintf("crdt: type %v, field %s: %s", e.Type, e.Field, e.Reason)
}

// Unwrap returns ErrShape.
func (e *ShapeError) Unwrap() error { return ErrShape }

// shape is how values of one Go type are bound to objects: a handle to an object of its kind, a struct to a record with
// one implicit child for each field.
//
//  1. Field names are distinct, valid and stand in the order of the struct, embedded structs in their place.
//  2. A shape never changes once it is made: it is shared by all goroutines.
type shape struct {
	typ    reflect.Type
	kind   string
	handle bool
	depth  int // levels of implicit objects below the first one
	fields []shapeField
	self   [][]int // embedded Records, bound to the struct's own object
}

type shapeField struct {
	name  string
	index []int // of reflect.Value.FieldByIndex
	shape *shape
}

// container is implemented by handles whose objects hold others: it returns the Go type that describes them.
type container interface{ element() reflect.Type }

var (
	handleType = reflect.TypeFor[Handle]()
	recordType = reflect.TypeFor[Record]()
	shapes     sync.Map // reflect.Type -> *shape or error
)

// shapeOf returns the shape of a type, computed once. The types of elements of containers are not looked at: they may be
// the type itself.
func shapeOf(t reflect.Type) (*shape, error) {
	v, ok := shapes.Load(t)
	if !ok {
		s, err := newShape(t)
		if err != nil {
			v = err
		} else {
			v = s
		}
		v, _ = shapes.LoadOrStore(t, v)
	}
	if err, bad := v.(error); bad {
		return nil, err
	}
	return v.(*shape), nil
}

func newShape(t reflect.Type) (*shape, error) {
	if reflect.PointerTo(t).Implements(handleType) && !promoted(t) {
		h := reflect.New(t).Interface().(Handle)
		if v, ok := h.(valued); ok {
			for _, value := range v.values() {
				if why := unstorable(value, make(map[reflect.Type]bool)); why != "" {
					return nil, &ShapeError{Type: t, Reason: why}
				}
			}
		}
		return &shape{typ: t, kind: h.Kind(), handle: true}, nil
	}
	if t.Kind() != reflect.Struct {
		return nil, &ShapeError{Type: t, Reason: "it is neither a handle such as Text or Register[string] nor a struct of them"}
	}
	s := &shape{typ: t, kind: kindRecord}
	if err := s.addFields(t, nil); err != nil {
		return nil, err
	}
	if len(s.fields) == 0 && s.self == nil {
		return nil, &ShapeError{Type: t, Reason: "it has no fields that hold objects"}
	}
	return s, nil
}

// promoted reports whether t is a struct that got the methods of Handle from an embedded Record.
func promoted(t reflect.Type) bool {
	if t.Kind() != reflect.Struct || t == recordType {
		return false
	}
	for i := range t.NumField() {
		if f := t.Field(i); f.Anonymous && (f.Type == recordType || promoted(f.Type)) {
			return true
		}
	}
	return false
}

// addFields adds the fields of t, a struct that stands at index path of the shape's type.
func (s *shape) addFields(t reflect.Type, path []int) error {
	for i := range t.NumField() {
		f := t.Field(i)
		index := append(slices.Clone(path), i)
		name, tagged := f.Tag.Lookup("weft")
		switch {
		case name == "-":
			continue
		case tagged && !f.IsExported():
			return &ShapeError{s.typ, f.Name, "it has a weft tag but is not exported"}
		case f.Anonymous && !tagged && f.Type == recordType:
			s.self = append(s.self, index)
			continue
		case f.Anonymous && !tagged && f.Type.Kind() == reflect.Struct && f.IsExported() && !isHandle(f.Type):
			if err := s.addFields(f.Type, index); err != nil {
				return err
			}
			continue
		case !f.IsExported():
			continue
		}
		if err := s.addField(f, index, name); err != nil {
			return err
		}
	}
	return nil
}

func isHandle(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(handleType) && !promoted(t)
}

func (s *shape) addField(f reflect.StructField, index []int, name string) error {
	sub, err := shapeOf(f.Type)
	var inner *ShapeError
	switch {
	case errors.As(err, &inner) && inner.Field != "":
		return err // of a nested struct, named already
	case err != nil && isHandle(f.Type):
		return &ShapeError{s.typ, f.Name, inner.Reason}
	case err != nil:
		return &ShapeError{s.typ, f.Name, fmt.Sprintf("%v cannot hold an object: use a handle such as Text, Register[...] or "+
			"ObjectMap[...], or a struct of them, by value, or tag the field weft:\"-\" to leave it out", f.Type)}
	case name == "":
		return &ShapeError{s.typ, f.Name, fmt.Sprintf("it needs a name for the document, such as weft:%q; renaming it later "+
			"makes another object, or tag it weft:\"-\" to leave it out", strings.ToLower(f.Name[:1])+f.Name[1:])}
	}
	for _, other := range s.fields {
		if other.name == name {
			return &ShapeError{s.typ, f.Name, fmt.Sprintf("the name %q is taken by another field", name)}
		}
	}
	s.fields = append(s.fields, shapeField{name, index, sub})
	s.depth = max(s.depth, 1+sub.depth)
	return nil
}

// checkShape returns nil if t and all types below it, through containers too, can describe objects, and if the kinds of
// all of them are known to rt, where that is not nil.
func checkShape(t reflect.Type, rt *runtime.Runtime, seen map[reflect.Type]bool) error {
	if seen[t] {
		return nil
	}
	seen[t] = true
	s, err := shapeOf(t)
	if err != nil {
		return err
	}
	return s.check(rt, seen)
}

func (s *shape) check(rt *runtime.Runtime, seen map[reflect.Type]bool) error {
	if rt != nil {
		if err := rt.CheckKind(s.kind); err != nil {
			return fmt.Errorf("crdt: type %v: %w", s.typ, err)
		}
	}
	if !s.handle {
		for _, f := range s.fields {
			if err := checkShape(f.shape.typ, rt, seen); err != nil {
				return err
			}
		}
		return nil
	}
	if c, ok := reflect.New(s.typ).Interface().(container); ok {
		return checkShape(c.element(), rt, seen)
	}
	return nil
}

// bind fills v, an addressable value of the shape's type, with handles of n and of the implicit objects below it. The
// kinds of those were checked. Cost: one table look-up a field.
func (s *shape) bind(v reflect.Value, n *runtime.Node) error {
	if s.handle {
		v.Addr().Interface().(Handle).Bind(n)
		return nil
	}
	for _, index := range s.self {
		v.FieldByIndex(index).Addr().Interface().(*Record).Bind(n)
	}
	for i := range s.fields {
		f := &s.fields[i]
		c, err := n.Implicit(f.name, f.shape.kind)
		if err != nil {
			return &ShapeError{s.typ, f.name, err.Error()}
		}
		if err := f.shape.bind(v.FieldByIndex(f.index), c); err != nil {
			return err
		}
	}
	return nil
}

// node returns the object that v, of the shape's type, is bound to; nil if it is not bound.
func (s *shape) node(v reflect.Value) *runtime.Node {
	if s.handle {
		if h, ok := v.Addr().Interface().(interface{ Node() *runtime.Node }); ok {
			return h.Node()
		}
		return nil
	}
	if s.self != nil {
		return v.FieldByIndex(s.self[0]).Interface().(Record).node
	}
	n := s.fields[0].shape.node(v.FieldByIndex(s.fields[0].index))
	if n == nil {
		return nil
	}
	return n.Parent()
}

// BindRoots fills the struct that root points to: each field becomes a handle of the root object that its weft tag
// names. A field is a handle (Text, Register[T], ...) or a struct of such fields, which is a root of kind "record".
//
// An exported field needs a tag, because its name is kept in every document; weft:"-" leaves it out, and so does not
// exporting it. Embedded structs without a tag count as if their fields stood in their place. Elements of containers
// (ObjectMap[K, Task]) are described in the same way, to any depth, and may be of the type itself.
//
// Errors: *ShapeError for a type, here or below, that cannot describe objects; those of runtime.Runtime.Root. It changes
// nothing of the document, and may be called inside a transaction.
func BindRoots(rt *runtime.Runtime, root any) error {
	v := reflect.ValueOf(root)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Type().Elem().Kind() != reflect.Struct {
		return &ShapeError{Type: reflect.TypeOf(root), Reason: "a document is described by a struct of handles: BindRoots takes a pointer to one, Open the struct"}
	}
	v = v.Elem()
	s, err := shapeOf(v.Type())
	if err != nil {
		return err
	}
	if s.handle || len(s.self) > 0 {
		return &ShapeError{Type: s.typ, Reason: "a document's roots stand in a plain struct, not in a handle"}
	}
	if err := checkShape(s.typ, rt, make(map[reflect.Type]bool)); err != nil {
		return err
	}
	for i := range s.fields {
		f := &s.fields[i]
		n, err := rt.Root(f.name, f.shape.kind)
		if err != nil {
			return fmt.Errorf("crdt: type %v, root %q: %w", s.typ, f.name, err)
		}
		if err := f.shape.bind(v.FieldByIndex(f.index), n); err != nil {
			return err
		}
	}
	return nil
}

// Root returns the root object with this name as an H: a handle such as Text, or a struct of handles, which is a root of
// kind "record". It changes nothing of the document. Errors: *ShapeError, those of runtime.Runtime.Root.
func Root[H any](rt *runtime.Runtime, name string) (H, error) {
	var h H
	t := reflect.TypeFor[H]()
	if err := checkShape(t, rt, make(map[reflect.Type]bool)); err != nil {
		return h, err
	}
	s, err := shapeOf(t)
	if err != nil {
		return h, err
	}
	n, err := rt.Root(name, s.kind)
	if err != nil {
		return h, err
	}
	return h, s.bind(reflect.ValueOf(&h).Elem(), n)
}

// NodeOf returns the object that o is bound to: of a handle its object, of a struct the record that its fields are part
// of. It is nil if o is not bound.
func NodeOf[O any](o *O) *runtime.Node {
	if o == nil {
		return nil
	}
	if h, ok := any(o).(interface{ Node() *runtime.Node }); ok {
		return h.Node()
	}
	s, err := shapeOf(reflect.TypeFor[O]())
	if err != nil {
		return nil
	}
	return s.node(reflect.ValueOf(o).Elem())
}

// BindTo returns a new O that is bound to n; nil if n is nil or not of O's kind. It changes nothing of the document. Cost:
// one allocation, and one table look-up for each field of a struct.
func BindTo[O any](n *runtime.Node) *O {
	if n == nil {
		return nil
	}
	s, err := shapeOf(reflect.TypeFor[O]())
	if err != nil || s.kind != n.Kind() || n.Object() == nil {
		return nil
	}
	o := new(O)
	if s.handle {
		any(o).(Handle).Bind(n)
		return o
	}
	if s.bind(reflect.ValueOf(o).Elem(), n) != nil {
		return nil
	}
	return o
}

// RefTo returns a value that points to the object that o is bound to; the zero Ref if it is not bound. Keep it in any
// register, map or list, here or in a copy of the document; Resolve finds the object.
func RefTo[O any](o *O) runtime.Ref {
	if n := NodeOf(o); n != nil {
		return n.Ref()
	}
	return runtime.Ref{}
}

// Resolve returns the object that f points to. Errors: runtime.ErrDeleted if it is gone, runtime.ErrUnknownKind, ErrShape
// if it is not of O's kind.
func Resolve[O any](tx runtime.Tx, f runtime.Ref) (*O, error) {
	rt := tx.Runtime()
	if rt == nil {
		return nil, runtime.ErrTxEnded
	}
	n, err := rt.Resolve(f)
	if err != nil {
		return nil, err
	}
	if err := tx.Err(n); err != nil {
		return nil, err
	}
	if o := BindTo[O](n); o != nil {
		return o, nil
	}
	return nil, &ShapeError{Type: reflect.TypeFor[O](), Reason: "the reference points to a " + n.Kind()}
}
