package crdt

import (
	"encoding"
	"fmt"
	"math/big"
	"reflect"

	"github.com/fxamacker/cbor/v2"

	"github.com/seed1312cc15/weft/runtime"
)

// valued is implemented by handles whose objects hold values: it returns their Go types, keys included.
type valued interface{ values() []reflect.Type }

// newRoot returns the root object that a handle of type H is for. Errors: *ShapeError where CBOR cannot hold H's values,
// those of runtime.Runtime.Root.
func newRoot[H any](rt *runtime.Runtime, name, kind string) (*runtime.Node, error) {
	if _, err := shapeOf(reflect.TypeFor[H]()); err != nil {
		return nil, err
	}
	return rt.Root(name, kind)
}

var (
	marshalers = []reflect.Type{reflect.TypeFor[cbor.Marshaler](), reflect.TypeFor[encoding.BinaryMarshaler]()}
	// codedWhole are types whose fields are not what is encoded.
	codedWhole = []reflect.Type{reflect.TypeFor[big.Int](), reflect.TypeFor[cbor.Tag]()}
)

// unstorable says why values of type t cannot be stored and read again, "" if they can: some may be refused still, since
// what an interface holds is not known. seen are the types that are looked at already.
func unstorable(t reflect.Type, seen map[reflect.Type]bool) string {
	if seen[t] {
		return ""
	}
	seen[t] = true
	for _, m := range marshalers {
		if reflect.PointerTo(t).Implements(m) {
			return ""
		}
	}
	for _, whole := range codedWhole {
		if t == whole {
			return ""
		}
	}
	switch t.Kind() {
	case reflect.Func, reflect.Chan, reflect.Complex64, reflect.Complex128, reflect.Uintptr, reflect.UnsafePointer:
		return fmt.Sprintf("CBOR cannot hold a %v: use values of strings, numbers, bool, time.Time, slices, maps and structs, "+
			"or give the type MarshalCBOR and UnmarshalCBOR", t)
	case reflect.Interface:
		if t.NumMethod() > 0 {
			return fmt.Sprintf("a value cannot be read into the interface %v: use any, or a type that is no interface", t)
		}
	case reflect.Pointer, reflect.Slice, reflect.Array:
		return unstorable(t.Elem(), seen)
	case reflect.Map:
		if why := unstorable(t.Key(), seen); why != "" {
			return why
		}
		return unstorable(t.Elem(), seen)
	case reflect.Struct:
		why, kept := unstorableFields(t, seen)
		if why == "" && !kept {
			why = fmt.Sprintf("CBOR keeps nothing of a %v, which has no exported fields: give it MarshalCBOR and UnmarshalCBOR", t)
		}
		return why
	}
	return ""
}

// unstorableFields is unstorable for the fields of a struct; kept says that there are any that are stored, or left out on purpose.
func unstorableFields(t reflect.Type, seen map[reflect.Type]bool) (why string, kept bool) {
	kept = t.NumField() == 0
	for i := range t.NumField() {
		f := t.Field(i)
		tag, ok := f.Tag.Lookup("cbor")
		if !ok {
			tag = f.Tag.Get("json")
		}
		under := f.Type
		if under.Kind() == reflect.Pointer {
			under = under.Elem()
		}
		switch {
		case tag == "-":
			kept = true
		case f.Anonymous && tag == "" && under.Kind() == reflect.Struct && !seen[under]:
			seen[under] = true
			var some bool
			if why, some = unstorableFields(under, seen); why != "" {
				return why, true
			}
			kept = kept || some
		case f.IsExported():
			kept = true
			if why = unstorable(f.Type, seen); why != "" {
				return fmt.Sprintf("field %s of %v: %s", f.Name, t, why), true
			}
		}
	}
	return "", kept
}
