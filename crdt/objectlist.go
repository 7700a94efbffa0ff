package crdt

import (
	"iter"
	"reflect"

	"github.com/seed1312cc15/weft/runtime"
)

const kindObjectList = "objectlist"

// ObjectList is a handle of a list whose elements are objects that are made and deleted: O is a handle type (Text, Counter,
// another ObjectList[...], ...) or a struct of them, nested to any depth. Order and moves are those of List.
//
//   - Delete is final and beats everything that others do meanwhile to the object or to anything below it. A later edit
//     through a handle returns runtime.ErrDeleted.
//   - Archive hides an element, which stays alive: it can be read, edited and moved, asked where it would stand (Position),
//     and comes back there with Restore. A restore wins over an archive that is concurrent with it.
//   - An object may be made with arguments, a value that stays with it unchanged.
//
// Cost: as in List, and an object beside its own state takes 16 bytes in memory and one in a state and in its message; an
// archived element some 100 bytes and 10 in a state; arguments their bytes and in memory some 50 more.
type ObjectList[O any] struct{ node *runtime.Node }

// NewObjectList returns the list that is the root with this name. Errors: *ShapeError for an O that cannot describe
// objects, those of runtime.Runtime.Root.
func NewObjectList[O any](rt *runtime.Runtime, name string) (ObjectList[O], error) {
	return Root[ObjectList[O]](rt, name)
}

// Kind returns "objectlist".
func (ObjectList[O]) Kind() string { return kindObjectList }

// Bind makes the handle one of the object n, which must be of this kind.
func (l *ObjectList[O]) Bind(n *runtime.Node) { l.node = n }

// Node returns the object's place in the document.
func (l ObjectList[O]) Node() *runtime.Node { return l.node }

func (l ObjectList[O]) element() reflect.Type { return reflect.TypeFor[O]() }

func (l ObjectList[O]) state() *objectListState { return l.node.Object().(*objectListState) }

func (l ObjectList[O]) read(tx runtime.Tx) *objectListState {
	tx.Read(l.node)
	return l.state()
}

// Insert makes a new, empty object before the one at index i, which may be the length, calls init, which may be nil, to
// fill it, and returns it. Errors: *runtime.RangeError, those of a Tx, of init, *runtime.LimitError (Depth),
// runtime.ErrUnknownKind. After an error of init the object is there, as far as init came, unless the transaction returns
// the error too. Cost: O(1) near the last edit, else O(log n).
func (l ObjectList[O]) Insert(tx runtime.Tx, i int, init func(*O) error) (*O, error) {
	return l.Create(tx, i, nil, init)
}

// Create is Insert for an object that is made with arguments: a value that Args returns as long as the object is there, and
// that never changes.
func (l ObjectList[O]) Create(tx runtime.Tx, i int, args any, init func(*O) error) (*O, error) {
	list, err := l.insert(tx, i, 1, args)
	if err != nil {
		return nil, err
	}
	if init != nil {
		if err := init(list[0]); err != nil {
			return nil, err
		}
	}
	return list[0], nil
}

// Append is Insert at the end.
func (l ObjectList[O]) Append(tx runtime.Tx, init func(*O) error) (*O, error) {
	if err := tx.Err(l.node); err != nil {
		return nil, err
	}
	return l.Insert(tx, l.state().len(), init)
}

// InsertN makes n new, empty objects before the one at index i as one operation, and returns them. Errors as in Insert.
func (l ObjectList[O]) InsertN(tx runtime.Tx, i, n int) ([]*O, error) { return l.insert(tx, i, n, nil) }

func (l ObjectList[O]) insert(tx runtime.Tx, i, n int, args any) ([]*O, error) {
	w, s, enc, err := beginChild[O](tx, l.node, args)
	if err != nil {
		return nil, err
	}
	st := l.state()
	if err := checkRange("ObjectList.Insert", i, 0, st.len(), elementUnit); err != nil || n == 0 {
		return nil, err
	}
	if n < 0 {
		return nil, rangeError("ObjectList.Insert", i, n, st.len(), elementUnit)
	}
	nodes, err := st.insertLocal(w, i, n, s.kind, enc)
	if err != nil {
		return nil, err
	}
	out := make([]*O, n)
	for k, c := range nodes {
		if out[k], err = bindNew[O](s, c); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Delete deletes n objects from index i on, and everything below them, for good: one operation. It returns
// *runtime.RangeError, or why the list cannot be edited, and then nothing has changed. Cost: O(log n) and what is deleted.
func (l ObjectList[O]) Delete(tx runtime.Tx, i, n int) error {
	w, err := tx.Begin(l.node)
	if err != nil {
		return err
	}
	st := l.state()
	if err := checkRange("ObjectList.Delete", i, n, st.len(), elementUnit); err != nil || n == 0 {
		return err
	}
	st.begin()
	st.take(i, n)
	st.deleteTaken(w)
	return nil
}

// Remove deletes an object of this list, archived or not, and everything below it, for good. Errors: those of a Tx;
// runtime.ErrDeleted if o was deleted before, ErrNotHere if it never was an object of this list.
func (l ObjectList[O]) Remove(tx runtime.Tx, o *O) error {
	w, err := tx.Begin(l.node)
	if err != nil {
		return err
	}
	st := l.state()
	e, err := st.find(NodeOf(o))
	if err != nil {
		return err
	}
	st.begin()
	st.takeOne(e)
	st.deleteTaken(w)
	return nil
}

// Move moves the object at index from to the gap before the one that is at index to now, or to the end. See List.Move.
func (l ObjectList[O]) Move(tx runtime.Tx, from, to int) error { return l.MoveRange(tx, from, 1, to) }

// MoveRange moves n objects. See List.MoveRange.
func (l ObjectList[O]) MoveRange(tx runtime.Tx, from, n, to int) error {
	if err := tx.Writable(l.node); err != nil {
		return err
	}
	st := l.state()
	return st.moveLocal(tx, "ObjectList.Move", from, n, to, st.observers.Active(), st.beginMove)
}

// MoveObject moves an object of this list, archived or not, to the gap before the one that is at index to now, or to the
// end. Errors: those of a Tx, *runtime.RangeError, runtime.ErrDeleted, ErrNotHere. Cost: O(log n).
func (l ObjectList[O]) MoveObject(tx runtime.Tx, o *O, to int) error {
	w, err := tx.Begin(l.node)
	if err != nil {
		return err
	}
	st := l.state()
	e, err := st.find(NodeOf(o))
	if err != nil {
		return err
	}
	if err := checkRange("ObjectList.MoveObject", to, 0, st.len(), elementUnit); err != nil {
		return err
	}
	st.begin()
	st.takeOne(e)
	return st.moveTaken(w, "ObjectList.MoveObject", to)
}

// Archive hides n objects from index i on: one operation. They stay alive, see Archived and Restore. It returns
// *runtime.RangeError, or why the list cannot be edited, and then nothing has changed. Cost: O(log n) an object.
func (l ObjectList[O]) Archive(tx runtime.Tx, i, n int) error {
	w, err := tx.Begin(l.node)
	if err != nil {
		return err
	}
	st := l.state()
	if err := checkRange("ObjectList.Archive", i, n, st.len(), elementUnit); err != nil || n == 0 {
		return err
	}
	st.archiveLocal(w, i, n)
	return nil
}

// Restore brings an archived object back, to where it stands now; one that is not archived stays as it is. Errors: those
// of a Tx; runtime.ErrDeleted, ErrNotHere. Cost: O(log n).
func (l ObjectList[O]) Restore(tx runtime.Tx, o *O) error {
	w, err := tx.Begin(l.node)
	if err != nil {
		return err
	}
	st := l.state()
	e, err := st.find(NodeOf(o))
	if err != nil || !st.shelved[e].hides() {
		return err
	}
	st.begin()
	writeDot(w, listRestore, st.dot(e))
	st.restore(st.shelf(e), w.Dot())
	st.reshelve(e)
	w.Commit(1)
	return nil
}

// Position returns the index of an object of this list; for an archived one, which gives shown false, the index at which
// it would come back. Errors: those of a Tx; runtime.ErrDeleted, ErrNotHere. Cost: O(log n).
func (l ObjectList[O]) Position(tx runtime.Tx, o *O) (i int, shown bool, err error) {
	if err := tx.Err(l.node); err != nil {
		return 0, false, err
	}
	st := l.state()
	e, err := st.find(NodeOf(o))
	if err != nil {
		return 0, false, err
	}
	return st.seq.IndexOf(st.place(e)), !st.shelved[e].hides(), nil
}

// Args decodes the arguments with which an object of this list, archived or not, was made into v, a pointer. It returns false
// if it was made without. Errors: those of a Tx; runtime.ErrDeleted, ErrNotHere; an error if the arguments do not fit v.
func (l ObjectList[O]) Args(tx runtime.Tx, o *O, v any) (bool, error) {
	if err := tx.Err(l.node); err != nil {
		return false, err
	}
	st := l.state()
	e, err := st.find(NodeOf(o))
	if err != nil {
		return false, err
	}
	args, ok := st.args[e]
	if !ok {
		return false, nil
	}
	return true, runtime.DecodeValue([]byte(args), v)
}

// Archived yields the archived objects in the order of the list, each with the index at which it would come back; those
// of another kind than O's are left out. Cost: O(a log n) for a of them.
func (l ObjectList[O]) Archived(tx runtime.Tx) iter.Seq2[int, *O] {
	st := l.read(tx)
	return func(yield func(int, *O) bool) {
		tx.Read(l.node)
		for _, e := range st.archived() {
			if o := BindTo[O](st.nodes.at(e)); o != nil && !yield(st.seq.IndexOf(st.place(e)), o) {
				return
			}
		}
	}
}

// Len returns the number of objects that are not archived. Cost: O(1).
func (l ObjectList[O]) Len(tx runtime.Tx) int { return l.read(tx).len() }

// Get returns the object at index i, or *runtime.RangeError, or *ShapeError if it is of another kind than O's. Cost: O(log
// n), one allocation, and a look-up for each field.
func (l ObjectList[O]) Get(tx runtime.Tx, i int) (*O, error) {
	if err := tx.Err(l.node); err != nil {
		return nil, err
	}
	st := l.state()
	if err := checkIndex("ObjectList.Get", i, st.len()); err != nil {
		return nil, err
	}
	e, err := st.at(i)
	if err != nil {
		return nil, err
	}
	if o := BindTo[O](st.nodes.at(e)); o != nil {
		return o, nil
	}
	return nil, &ShapeError{Type: reflect.TypeFor[O](), Reason: "the element is a " + st.nodes.at(e).Kind()}
}

// All yields each object with its index, those of another kind than O's left out. The list must not be changed meanwhile.
func (l ObjectList[O]) All(tx runtime.Tx) iter.Seq2[int, *O] {
	st := l.read(tx)
	return func(yield func(int, *O) bool) {
		tx.Read(l.node)
		i := 0
		for place := range st.seq.Live(0, st.len()) {
			if o := BindTo[O](st.nodes.at(st.element(place))); o != nil && !yield(i, o) {
				return
			}
			i++
		}
	}
}

// CursorAt returns the cursor at index i, which may be the length. See List.CursorAt.
func (l ObjectList[O]) CursorAt(tx runtime.Tx, i int, b Bias) (Cursor, error) {
	if err := tx.Err(l.node); err != nil {
		return Cursor{}, err
	}
	return l.state().cursorAt("ObjectList.CursorAt", i, b)
}

// IndexOf returns where the cursor is now, from 0 to the length, or *CursorError. Cost: O(log n).
func (l ObjectList[O]) IndexOf(tx runtime.Tx, c Cursor) (int, error) {
	if err := tx.Err(l.node); err != nil {
		return 0, err
	}
	return c.indexOf(l.node.Runtime(), l.state().seq)
}

// ObjectListEvent tells how one transaction, state or delta changed which objects an ObjectList shows, and where. What
// happens inside of an object is told by the object's own events.
type ObjectListEvent[O any] struct {
	runtime.Meta
	// Delta turns the list before into the list after, as in a ListEvent. A moved object is told as a delete in one place
	// and an insert in the other, an archived one as a delete. An object of another kind than O's is nil.
	Delta []ListDelta[*O]
}

// Apply returns what the steps make of the list before, in a new slice. Cost: O(length).
func (e ObjectListEvent[O]) Apply(before []*O) []*O { return applyDelta(e.Delta, before) }

// OnChange calls fn after each transaction or update that changed the list, until stop is called.
// Inside a View it misses nothing after what that reads; inside Transact it panics with runtime.ErrNested.
func (l ObjectList[O]) OnChange(fn func(ObjectListEvent[O])) (stop func()) {
	if l.node == nil {
		panic(runtime.ErrUnbound)
	}
	return l.state().observers.Add(l.node, func(raw rawObjectListEvent) {
		e := ObjectListEvent[O]{Meta: raw.meta, Delta: make([]ListDelta[*O], len(raw.steps))}
		for i, s := range raw.steps {
			switch d := &e.Delta[i]; s.kind {
			case stepRetain:
				d.Retain = s.n
			case stepDelete:
				d.Delete = s.n
			case stepInsert:
				for _, n := range s.items {
					d.Insert = append(d.Insert, BindTo[O](n))
				}
			}
		}
		fn(e)
	})
}
