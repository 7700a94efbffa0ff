package crdt

import (
	"encoding"
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"

	"github.com/seed1312cc15/weft/runtime"
)

// Typed values are CBOR in core deterministic form. The usual ones, strings, integers and bool, also under a name of
// their own, are coded here without reflection on values; everything else goes through runtime.EncodeValue.

// valueClass says how values of one Go type are coded.
type valueClass uint8

const (
	classOther valueClass = iota // by runtime.EncodeValue
	classText
	classInt
	classUint
	classBool
)

// valueClasses caches the class of each type: reflect.Type -> valueClass.
var valueClasses sync.Map

var customTypes = []reflect.Type{
	reflect.TypeFor[cbor.Marshaler](), reflect.TypeFor[cbor.Unmarshaler](),
	reflect.TypeFor[encoding.BinaryMarshaler](), reflect.TypeFor[encoding.BinaryUnmarshaler](),
	reflect.TypeFor[encoding.TextMarshaler](), reflect.TypeFor[encoding.TextUnmarshaler](),
}

func classOf(t reflect.Type) valueClass {
	if c, ok := valueClasses.Load(t); ok {
		return c.(valueClass)
	}
	c := newClass(t)
	valueClasses.Store(t, c)
	return c
}

func newClass(t reflect.Type) valueClass {
	for _, custom := range customTypes {
		if t.Implements(custom) || reflect.PointerTo(t).Implements(custom) {
			return classOther
		}
	}
	switch k := t.Kind(); {
	case k == reflect.String:
		return classText
	case k == reflect.Bool:
		return classBool
	case k >= reflect.Int && k <= reflect.Int64:
		return classInt
	case k >= reflect.Uint && k <= reflect.Uint64:
		return classUint
	}
	return classOther
}

// appendValue appends the encoded form of *v. It keeps no reference to v. Errors: ErrValue. Cost: no allocation for
// strings, integers and bool of the types that Go declares.
func appendValue[T any](dst []byte, v *T) ([]byte, error) { return appendItem(dst, v, false) }

// appendKey is appendValue for what is to be a key or an element of a set.
func appendKey[K any](dst []byte, k *K) ([]byte, error) { return appendItem(dst, k, true) }

func appendItem[T any](dst []byte, v *T, key bool) ([]byte, error) {
	switch p := any(v).(type) {
	case *string:
		return appendText(dst, *p)
	case *int:
		return appendInt(dst, int64(*p)), nil
	case *int64:
		return appendInt(dst, *p), nil
	case *uint64:
		return appendHead(dst, 0, *p), nil
	case *bool:
		return appendBool(dst, *p), nil
	}
	return appendSlow(dst, *v, key)
}

func appendSlow[T any](dst []byte, v T, key bool) ([]byte, error) {
	switch r := reflect.ValueOf(&v).Elem(); classOf(r.Type()) {
	case classText:
		return appendText(dst, r.String())
	case classInt:
		return appendInt(dst, r.Int()), nil
	case classUint:
		return appendHead(dst, 0, r.Uint()), nil
	case classBool:
		return appendBool(dst, r.Bool()), nil
	}
	b, err := runtime.EncodeValue(v)
	if err == nil && key {
		err = runtime.CanonicalKey(b)
	}
	if err != nil {
		return nil, &valueError{err}
	}
	return append(dst, b...), nil
}

// valueError says why a value cannot be stored. It unwraps to ErrValue and to what the encoder says.
type valueError struct{ err error }

func (e *valueError) Error() string {
	why := strings.TrimPrefix(e.err.Error(), runtime.ErrInvalidOp.Error()+": ")
	return ErrValue.Error() + ": " + strings.TrimPrefix(why, "runtime: ")
}

func (e *valueError) Unwrap() []error { return []error{ErrValue, e.err} }

func appendText(dst []byte, s string) ([]byte, error) {
	if !utf8.ValidString(s) {
		return nil, fmt.Errorf("%w: the string is not valid UTF-8: keep bytes in a []byte", ErrValue)
	}
	return append(appendHead(dst, 3, uint64(len(s))), s...), nil
}

func appendInt(dst []byte, v int64) []byte {
	if v < 0 {
		return appendHead(dst, 1, uint64(^v))
	}
	return appendHead(dst, 0, uint64(v))
}

func appendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, cborTrue)
	}
	return append(dst, cborFalse)
}

const (
	cborFalse = 0xf4
	cborTrue  = 0xf5
)

// appendHead appends the head of a CBOR item (RFC 8949 section 3) in its shortest form.
func appendHead(dst []byte, major byte, arg uint64) []byte {
	major <<= 5
	switch {
	case arg < 24:
		return append(dst, major|byte(arg))
	case arg <= math.MaxUint8:
		return append(dst, major|24, byte(arg))
	case arg <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, major|25), uint16(arg))
	case arg <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(dst, major|26), uint32(arg))
	}
	return binary.BigEndian.AppendUint64(append(dst, major|27), arg)
}

// decodeValue sets *v to what data, one CBOR item, holds. It keeps no reference to v, nor to bytes.
func decodeValue[T any, B []byte | string](data B, v *T) error {
	major, arg, rest := cutHead(data)
	switch p := any(v).(type) {
	case *string:
		if major == 3 && uint64(len(rest)) == arg {
			if s := string(rest); utf8.ValidString(s) {
				*p = s
				return nil
			}
		}
	case *int:
		if major <= 1 && arg <= math.MaxInt {
			*p = int(arg) ^ -int(major)
			return nil
		}
	case *int64:
		if major <= 1 && arg <= math.MaxInt64 {
			*p = int64(arg) ^ -int64(major)
			return nil
		}
	case *uint64:
		if major == 0 {
			*p = arg
			return nil
		}
	case *bool:
		if major == 7 && len(data) == 1 && data[0]|1 == cborTrue {
			*p = data[0] == cborTrue
			return nil
		}
	}
	return decodeSlow([]byte(data), v)
}

func decodeSlow[T any](data []byte, v *T) error {
	c := new(T)
	err := runtime.DecodeValue(data, c)
	if err == nil {
		*v = *c
	}
	return err
}

// cutHead reads the head of the item that data is; major is 255 where it is not one of the plain forms.
func cutHead[B []byte | string](data B) (major byte, arg uint64, rest B) {
	if len(data) == 0 {
		return 255, 0, rest
	}
	info := data[0] & 31
	if info < 24 {
		return data[0] >> 5, uint64(info), data[1:]
	}
	n := 1 + 1<<(info-24)
	if info > 27 || len(data) < n {
		return 255, 0, rest
	}
	for i := 1; i < n; i++ {
		arg = arg<<8 | uint64(data[i])
	}
	return data[0] >> 5, arg, data[n:]
}

// storedType names what data holds, for errors.
func storedType(data []byte) string {
	if len(data) == 0 {
		return "nothing"
	}
	switch data[0] {
	case cborFalse, cborTrue:
		return "bool"
	case 0xf6, 0xf7:
		return "null"
	}
	return [8]string{"integer", "integer", "byte string", "text string", "array", "map", "tagged value", "float"}[data[0]>>5]
}

// typeError tells that data, stored under key (nil: none) in the object, is not a T.
func typeError[T any](object string, key, data []byte, err error) error {
	e := &TypeError{Object: object, Stored: storedType(data), Want: reflect.TypeFor[T]().String(), Err: err}
	if key != nil {
		e.Key = keyText(key)
	}
	return e
}

// keyText renders an encoded key for people and as the key of a JSON object.
func keyText(key []byte) string {
	var s string
	if len(key) > 0 && key[0]>>5 == 3 && decodeValue(key, &s) == nil {
		return s
	}
	var v any
	if runtime.DecodeValue(key, &v) != nil {
		return fmt.Sprintf("%x", key)
	}
	return runtime.KeyString(v)
}
