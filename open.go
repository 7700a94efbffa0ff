package weft

import (
	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/runtime"
)

// Document is a replica whose roots are described by T, a struct of handles. Everything that a Runtime does, a Document
// does: Transact, View, Receive, Save, OnUpdate and the rest.
type Document[T any] struct {
	*Runtime
	// Root holds the handles of the root objects. It is made by Open and must not be changed.
	Root *T
}

// Open makes an empty document with the roots that T describes: a struct of handles (Text, Register[...],
// ObjectMap[...], ...), or of structs of them, each field with a tag such as `weft:"title"` that names it in the
// document. See crdt.BindRoots for the rules. Names are for ever; a document may hold roots that T does not mention, and
// keeps them.
//
// nil opts mean the defaults; all kinds of package crdt are known, opts.Kinds are added to them. The genesis functions
// write the initial content, the same for everyone who opens such a document, so that two who start offline do not make
// it twice: they must be deterministic and must not change once documents exist. They run in order, in one transaction,
// after opts.Genesis.
//
// To open what was saved, Load it into the new document. Errors: *ShapeError for a T that cannot describe objects,
// ErrInvalidOptions, ErrUnknownKind, those of genesis.
func Open[T any](opts *Options, genesis ...func(tx Tx, root *T) error) (*Document[T], error) {
	o := withKinds(opts)
	doc := &Document[T]{Root: new(T)}
	if len(genesis) > 0 {
		first := o.Genesis
		o.Genesis = func(tx Tx) error {
			if first != nil {
				if err := first(tx); err != nil {
					return err
				}
			}
			if err := crdt.BindRoots(tx.Runtime(), doc.Root); err != nil {
				return err
			}
			for _, f := range genesis {
				if err := f(tx, doc.Root); err != nil {
					return err
				}
			}
			return nil
		}
	}
	rt, err := runtime.New(o)
	if err != nil {
		return nil, err
	}
	doc.Runtime = rt
	if err := crdt.BindRoots(rt, doc.Root); err != nil {
		return nil, err
	}
	return doc, nil
}

// New makes an empty document without described roots, for programs that know the names of roots only at run time: see
// Root. All kinds of package crdt are known, opts.Kinds are added to them.
func New(opts *Options) (*Runtime, error) { return runtime.New(withKinds(opts)) }

func withKinds(opts *Options) *Options {
	var o Options
	if opts != nil {
		o = *opts
	}
	o.Kinds = append(crdt.Kinds(), o.Kinds...)
	return &o
}

// Root returns the root object with this name as an H: a handle such as Text, or a struct of handles. It changes nothing
// of the document. Errors: *ShapeError, ErrKindConflict where the name is in use here with another kind, ErrUnknownKind,
// *LimitError.
func Root[H any](rt *Runtime, name string) (H, error) { return crdt.Root[H](rt, name) }

// Viewer is a document to read: a *Document or a *Runtime.
type Viewer interface{ View(fn func(Tx) error) error }

// Read returns what fn reads under View: weft.Read(doc, doc.Root.Body.String). It panics with ErrNested inside of a
// transaction of the same document, where fn(tx) is the way to read.
func Read[V any](doc Viewer, fn func(Tx) V) V {
	var v V
	if err := doc.View(func(tx Tx) error { v = fn(tx); return nil }); err != nil {
		panic(err)
	}
	return v
}

// NodeOf returns the object that o, a pointer to a handle or a struct of handles, is bound to; nil if it is not bound.
func NodeOf[O any](o *O) *Node { return crdt.NodeOf(o) }

// RefTo returns a value that points to the object that o is bound to, to be kept in a Register[weft.Ref] or anywhere
// else; the zero Ref if it is not bound.
func RefTo[O any](o *O) Ref { return crdt.RefTo(o) }

// Resolve returns the object that f points to, here or in another copy of the document. Errors: ErrDeleted if it is gone
// or was never here, ErrUnknownKind, *ShapeError if it is not of O's kind.
func Resolve[O any](tx Tx, f Ref) (*O, error) { return crdt.Resolve[O](tx, f) }
