package crdt

import (
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/seed1312cc15/weft/runtime"
)

// What the containers of made objects (ObjectMap, ObjectSet) share.

// madeChild is a child as states list it.
type madeChild struct {
	node    *runtime.Node
	dot     runtime.LocalDot
	lamport uint64
	key     string // ObjectMap
	args    string // CBOR of the creation arguments, empty: none
	kind    string
}

// writeChildren writes children in ascending order of their dots, nothing if there are none:
//
//	children := run*
//	run      := uvarint((n-1)<<1 | hasArgs) replica kind varint(Lamport - seq - 1) uvarint(first seq) child*n
//	child    := uvarint(seq - previous seq - 1), not for the first  [bytes key]  [bytes args]
//
// A run is as long as replica, kind, Lamport minus seq, and hasArgs stay the same. This is part of format version 1.
func writeChildren(w *runtime.StateWriter, rt *runtime.Runtime, list []madeChild, keyed bool) {
	slices.SortFunc(list, func(a, b madeChild) int { return rt.CompareDots(a.dot, b.dot) })
	for i := 0; i < len(list); {
		first := &list[i]
		n := 1
		for i+n < len(list) && first.sameRun(&list[i+n]) {
			n++
		}
		hasArgs := uint64(0)
		if first.args != "" {
			hasArgs = 1
		}
		w.Uvarint(uint64(n-1)<<1 | hasArgs)
		w.Uvarint(uint64(w.Number(first.dot.Rep)))
		w.Kind(first.node.Kind())
		w.Varint(int64(first.lamport) - int64(first.dot.Seq) - 1)
		for j := i; j < i+n; j++ {
			c := &list[j]
			if j == i {
				w.Uvarint(c.dot.Seq)
			} else {
				w.Uvarint(c.dot.Seq - list[j-1].dot.Seq - 1)
			}
			if keyed {
				writeString(w, c.key)
			}
			if hasArgs != 0 {
				writeString(w, c.args)
			}
		}
		i += n
	}
}

func writeString(w *runtime.StateWriter, s string) {
	w.Uvarint(uint64(len(s)))
	w.RawString(s)
}

func (c *madeChild) sameRun(d *madeChild) bool {
	return c.dot.Rep == d.dot.Rep && c.lamport-c.dot.Seq == d.lamport-d.dot.Seq && (c.args == "") == (d.args == "") &&
		c.node.Kind() == d.node.Kind()
}

// readChildren calls add for each child that writeChildren wrote; its key and args alias the input.
func readChildren(r *runtime.StateReader, keyed bool, add func(c *madeChild, key, args []byte) error) error {
	rt := r.Node().Runtime()
	var last runtime.LocalDot
	some := false
	for r.Len() > 0 {
		head := r.Uvarint("children")
		n := head>>1 + 1
		c := madeChild{dot: runtime.LocalDot{Rep: r.Rep("replica")}, kind: r.Kind("kind")}
		offset := r.Varint("Lamport timestamp")
		for i := uint64(0); i < n && r.Err() == nil; i++ {
			step := r.Uvarint("seq")
			if i > 0 {
				step += c.dot.Seq + 1
			}
			c.dot.Seq = step
			var key, args []byte
			if keyed {
				key = r.Bytes("key")
			}
			if head&1 != 0 {
				if args = r.Bytes("arguments"); len(args) == 0 {
					r.Fail("arguments", runtime.ErrCorrupt)
				}
			}
			lamport := offset + int64(step) + 1
			if r.Err() == nil && (!r.Listed(c.dot) || lamport < 1 || lamport >= 1<<53 || some && rt.CompareDots(last, c.dot) >= 0) {
				r.Fail("child", runtime.ErrCorrupt)
			}
			if r.Err() != nil {
				break
			}
			c.lamport, last, some = uint64(lamport), c.dot, true
			if err := add(&c, key, args); err != nil {
				return err
			}
		}
	}
	return r.Done()
}

// createChild makes the object of an entry; it must not stand elsewhere or be of another kind.
func createChild(n *runtime.Node, d runtime.LocalDot, kind string) (*runtime.Node, error) {
	c, err := n.Create(d, kind)
	if err != nil {
		return nil, err
	}
	if c.Kind() != kind || c.Parent() != n {
		return nil, fmt.Errorf("%w: object %s stands in two places", runtime.ErrCorrupt, c)
	}
	return c, nil
}

// beginOp checks an operation's outline and returns its code.
func beginOp(op *runtime.Op, newest byte) (byte, error) {
	code := op.Byte("operation")
	switch {
	case op.Err() != nil:
		return 0, op.Err()
	case code == 0:
		return 0, fmt.Errorf("%w: operation code 0", runtime.ErrInvalidOp)
	case code > newest:
		return 0, fmt.Errorf("%w: operation code %d", runtime.ErrNewerOp, code)
	case op.Dots != 1:
		return 0, fmt.Errorf("%w: %d dots", runtime.ErrInvalidOp, op.Dots)
	}
	return code, nil
}

// shapeFor is shapeOf for a type parameter.
func shapeFor[O any]() (*shape, error) { return shapeOf(reflect.TypeFor[O]()) }

// bindNew returns a new O bound to n, which is of the shape's kind.
func bindNew[O any](s *shape, n *runtime.Node) (*O, error) {
	o := new(O)
	if s.handle {
		any(o).(Handle).Bind(n)
		return o, nil
	}
	if err := s.bind(reflect.ValueOf(o).Elem(), n); err != nil {
		return nil, err
	}
	return o, nil
}

// beginChild starts the operation on container n that makes a child of O's shape.
func beginChild[O any](tx runtime.Tx, n *runtime.Node, args any) (w *runtime.OpWriter, s *shape, enc []byte, err error) {
	if err := tx.Writable(n); err != nil {
		return nil, nil, nil, err
	}
	if s, err = shapeFor[O](); err != nil {
		return nil, nil, nil, err
	}
	if err := n.Runtime().CheckKind(s.kind); err != nil {
		return nil, nil, nil, err
	}
	if err := n.CheckDepth(1 + s.depth); err != nil {
		return nil, nil, nil, err
	}
	if args != nil {
		if enc, err = runtime.EncodeValue(args); err != nil {
			return nil, nil, nil, &valueError{err}
		}
	}
	w, err = tx.Begin(n)
	return w, s, enc, err
}

// finishChild binds a child that was just made and initialises it.
func finishChild[O any](s *shape, n *runtime.Node, init func(*O) error) (*O, error) {
	o, err := bindNew[O](s, n)
	if err == nil && init != nil {
		err = init(o)
	}
	if err != nil {
		return nil, err
	}
	return o, nil
}

// doneOp checks that a payload was read without failure to its end. A kind that only a newer version numbers makes the
// whole operation one of a newer version.
func doneOp(op *runtime.Op) error {
	err := op.Done()
	if errors.Is(err, runtime.ErrVersion) {
		return fmt.Errorf("%w: %w", runtime.ErrNewerOp, err)
	}
	return err
}

// ErrNotHere is what removing an object from a container that does not hold it gives.
var ErrNotHere = errors.New("crdt: the object is not in this container")

// notHere says why n is not a living child of container c.
func notHere(c, n *runtime.Node) error {
	switch {
	case n == nil:
		return runtime.ErrUnbound
	case n.Runtime() != c.Runtime():
		return runtime.ErrForeignObject
	case n.Err() == runtime.ErrRolledBack, n.Parent() == c && n.Err() != nil:
		return n.Err()
	}
	return fmt.Errorf("%w: %s in %s", ErrNotHere, n, c)
}
