package crdt

import (
	"fmt"
	"reflect"

	"github.com/seed1312cc15/weft/runtime"
)

const kindRecord = "record"

// Record is a handle of an object that only gives names to others: its fields are implicit objects, identified by field
// name and kind, that exist without being made. It is what a struct of handles is bound to: concurrent first uses of a
// field meet in one object, and a field that a program does not know is kept.
//
// A struct that embeds Record gets the handle of its own object along with its fields. Used as a handle by itself, Record
// gives access to fields by names that are known only at run time, see Field.
//
// A record has no state: it costs nothing in a saved document but a few bytes to name it while a field holds something.
type Record struct{ node *runtime.Node }

// NewRecord returns the record that is the root with this name. See runtime.Runtime.Root for its errors.
func NewRecord(rt *runtime.Runtime, name string) (Record, error) {
	n, err := rt.Root(name, kindRecord)
	return Record{n}, err
}

// Kind returns "record".
func (Record) Kind() string { return kindRecord }

// Bind makes the handle one of the object n, which must be of this kind.
func (r *Record) Bind(n *runtime.Node) { r.node = n }

// Node returns the object's place in the document.
func (r Record) Node() *runtime.Node { return r.node }

// Ref returns a value that points to the record.
func (r Record) Ref() runtime.Ref { return r.node.Ref() }

// Field makes h a handle of the field with this name and of h's kind. It changes nothing of the document. Errors:
// *ShapeError, runtime.ErrUnknownKind, *runtime.LimitError (NameBytes), runtime.ErrUnbound.
func (r Record) Field(name string, h Handle) error {
	if r.node == nil {
		return runtime.ErrUnbound
	}
	if t := reflect.TypeOf(h); t.Kind() == reflect.Pointer {
		if _, err := shapeOf(t.Elem()); err != nil {
			return err
		}
	}
	n, err := r.node.Implicit(name, h.Kind())
	if err != nil {
		return err
	}
	h.Bind(n)
	return nil
}

// nameSpace is the state of objects that only name others by key: there is none.
type nameSpace struct{ node *runtime.Node }

// Apply takes no operation: a newer version may have some.
func (s nameSpace) Apply(op *runtime.Op) error {
	if op.Len() == 0 {
		return fmt.Errorf("%w: empty", runtime.ErrInvalidOp)
	}
	return fmt.Errorf("%w: %s has no operations", runtime.ErrNewerOp, s.node.Kind())
}

func (nameSpace) Empty() bool                         { return true }
func (nameSpace) Save(*runtime.StateWriter)           {}
func (nameSpace) Dots(func(runtime.LocalDot, uint64)) {}
func (nameSpace) Rollback()                           {}
func (nameSpace) Commit(*runtime.Commit)              {}
func (nameSpace) Check() error                        { return nil }

// Merge takes the empty state only.
func (nameSpace) Merge(r *runtime.StateReader) error { return r.Done() }

type recordState struct{ nameSpace }

func newRecordState(n *runtime.Node) runtime.Object { return recordState{nameSpace{n}} }

// Export returns the fields that hold something, by name.
func (s recordState) Export(x *runtime.Exporter) any { return x.Implicit(s.node) }
