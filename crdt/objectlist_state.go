package crdt

import (
	"fmt"
	"slices"

	"github.com/seed1312cc15/weft/internal/sequence"
	"github.com/seed1312cc15/weft/runtime"
)

// objectListState is the state of an ObjectList: places, and an object for each element.
//
//  1. nodes has the object of each living element, made by the element's dot, with this list as its parent.
//  2. args has the creation arguments of those living elements that have some.
type objectListState struct {
	places
	nodes     slots[*runtime.Node]
	args      map[lid]string // CBOR
	open      bool
	observers runtime.Observers[rawObjectListEvent]
}

// rawObjectListEvent is an ObjectListEvent without types.
type rawObjectListEvent struct {
	meta  runtime.Meta
	steps []deltaStep[*runtime.Node]
}

func newObjectListState(n *runtime.Node) runtime.Object {
	return &objectListState{places: newPlaces(n)}
}

func (st *objectListState) begin() {
	st.open = true
	st.places.begin(st.observers.Active())
}

func (st *objectListState) beginMove(bool) { st.begin() }

// find returns the living element whose object is n; ErrNotHere or runtime.ErrDeleted if there is none.
func (st *objectListState) find(n *runtime.Node) (lid, error) {
	if n != nil && n.Runtime() == st.node.Runtime() {
		if d, made := n.Dot(); made {
			if e, ok := st.places.find(sequence.ID(d)); ok && st.nodes.at(e) == n {
				return e, nil
			}
		}
	}
	return 0, notHere(st.node, n)
}

// takeOne is take for one element.
func (st *objectListState) takeOne(e lid) {
	st.elems = append(st.elems[:0], e)
	st.dots = append(st.dots[:0], sequence.IDSpan{ID: st.seq.IDOf(e), N: 1})
}

// insertLocal applies and writes the insert of n objects with these arguments, each.
func (st *objectListState) insertLocal(w *runtime.OpWriter, i, n int, kind string, args []byte) ([]*runtime.Node, error) {
	made, err := st.create(w.Dot(), n, kind)
	if err != nil {
		return nil, err
	}
	st.begin()
	o, first, err := st.insert(w, "ObjectList.Insert", i, n)
	if err != nil {
		st.dropAll(made)
		return nil, err
	}
	writeOrigin(w, listInsert, o)
	w.Kind(kind)
	for k, c := range made {
		w.Bytes(args)
		st.hold(first+lid(k), c, args)
	}
	w.Commit(n)
	return made, nil
}

// hold notes the object of a new element and its arguments.
func (st *objectListState) hold(e lid, n *runtime.Node, args []byte) {
	st.nodes.set(e, n)
	if len(args) == 0 {
		return
	}
	if st.args == nil {
		st.args = make(map[lid]string)
	}
	st.args[e] = string(args)
	st.Undo(func() { delete(st.args, e) })
}

// create makes the objects of n elements whose dots begin with d: all, or on error none.
func (st *objectListState) create(d runtime.LocalDot, n int, kind string) ([]*runtime.Node, error) {
	made := make([]*runtime.Node, 0, n)
	for ; len(made) < n; d.Seq++ {
		c, err := st.node.Create(d, kind)
		if err != nil {
			st.dropAll(made)
			return nil, err
		}
		made = append(made, c)
	}
	return made, nil
}

func (st *objectListState) dropAll(made []*runtime.Node) {
	for _, c := range made {
		st.node.Drop(c)
	}
}

// deleteTaken applies and writes the delete of the elements that were taken.
func (st *objectListState) deleteTaken(w *runtime.OpWriter) {
	writeSpans(w, listDelete, st.dots)
	st.killAll(w.Removed)
	w.Commit(1)
}

func (st *objectListState) killAll(removed func(target runtime.LocalDot, n uint64)) {
	for _, e := range st.elems {
		if st.alive(e) {
			st.drop(e)
			removed(st.dot(e), 1)
		}
	}
}

// drop ends a living element and its object.
func (st *objectListState) drop(e lid) {
	st.kill(e)
	n := st.nodes.at(e)
	st.nodes.set(e, nil)
	st.Undo(func() { st.nodes.set(e, n) })
	if args, ok := st.args[e]; ok {
		delete(st.args, e)
		st.Undo(func() { st.args[e] = args })
	}
	st.node.Drop(n)
}

// archiveLocal applies and writes the archive of n elements.
func (st *objectListState) archiveLocal(w *runtime.OpWriter, i, n int) {
	st.begin()
	st.take(i, n)
	var ended []runtime.LocalDot
	w.Byte(listArchive)
	w.Uvarint(uint64(len(st.dots)))
	for k := range st.dots {
		writeSpan(w, &st.dots[k])
	}
	for _, e := range st.elems {
		if s := st.shelved[e]; s != nil {
			for _, t := range s.restores(st.node.Runtime()) {
				w.Ref(t)
				ended = append(ended, t)
			}
		}
	}
	st.shelveAll(w.Dot(), ended, w.Removed)
	w.Commit(1)
}

// shelveAll archives those of st.elems that are alive by the operation d, which ends these restores.
func (st *objectListState) shelveAll(d runtime.LocalDot, ended []runtime.LocalDot, removed func(target runtime.LocalDot, n uint64)) {
	var named map[runtime.LocalDot]bool
	if len(ended) > 0 {
		named = make(map[runtime.LocalDot]bool, len(ended))
	}
	for _, t := range ended {
		named[t] = true
	}
	for _, e := range st.elems {
		if !st.alive(e) {
			continue
		}
		s := st.archive(e, d)
		gone := ended
		if len(s.tokens.list) < len(ended) {
			gone = slices.DeleteFunc(s.restores(st.node.Runtime()), func(t runtime.LocalDot) bool { return !named[t] })
		}
		for _, t := range gone {
			if st.end(s, t) {
				removed(t, 1)
			}
		}
		st.reshelve(e)
	}
}

// archived returns the archived elements in the order of the list.
func (st *objectListState) archived() []lid {
	var out []lid
	for e, s := range st.shelved {
		if s.hides() {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b lid) int {
		if a, b := st.place(a), st.place(b); a != b && !st.seq.Before(a, b) {
			return 1
		}
		return -1
	})
	return out
}

// Apply implements runtime.Object.
func (st *objectListState) Apply(op *runtime.Op) error {
	head, err := readHead(op, 1<<listInsert|1<<listDelete|1<<listMove|1<<listArchive|1<<listRestore)
	if err != nil {
		return err
	}
	switch head & opCode {
	case listInsert:
		return st.applyInsert(op, head)
	case listDelete:
		return st.applyDelete(op, head)
	case listArchive:
		return st.applyArchive(op)
	case listRestore:
		return st.applyRestore(op, head)
	}
	return st.applyMove(op, head, true, st.beginMove)
}

func (st *objectListState) applyInsert(op *runtime.Op, head byte) error {
	o := readOrigin(op, head)
	kind := op.Kind("kind")
	var given []givenArgs
	for k := 0; k < op.Dots && op.Err() == nil; k++ {
		if args := op.Bytes("arguments"); len(args) > 0 {
			given = append(given, givenArgs{k, args})
		}
	}
	if err := doneOp(op); err != nil {
		return err
	}
	for i := range given {
		if err := runtime.ValidValue(given[i].args); err != nil {
			return err
		}
	}
	made, err := st.create(op.Dot, op.Dots, kind)
	if err != nil {
		return err
	}
	st.begin()
	first, err := st.integrate(op, o)
	if err != nil {
		st.dropAll(made)
		return err
	}
	for k, c := range made {
		var args []byte
		if len(given) > 0 && given[0].k == k {
			args, given = given[0].args, given[1:]
		}
		st.hold(first+lid(k), c, args)
	}
	return nil
}

// givenArgs are the arguments of object k of an insert.
type givenArgs struct {
	k    int
	args []byte
}

func (st *objectListState) applyDelete(op *runtime.Op, head byte) error {
	st.dots = readSpans(op, head, st.dots[:0])
	if err := op.Done(); err != nil {
		return err
	}
	if err := oneDot(op); err != nil {
		return err
	}
	if err := st.findAll(st.dots); err != nil {
		return err
	}
	st.begin()
	st.killAll(op.Removed)
	return nil
}

func (st *objectListState) applyArchive(op *runtime.Op) error {
	st.dots = st.dots[:0]
	n := op.Count("runs", 3)
	if n == 0 && op.Err() == nil {
		op.Fail("runs", runtime.ErrCorrupt)
	}
	for range n {
		st.dots = readSpan(op, st.dots)
	}
	var ended []runtime.LocalDot
	for op.Len() > 0 {
		ended = append(ended, op.Reader.Dot("restore"))
	}
	if err := op.Done(); err != nil {
		return err
	}
	if err := oneDot(op); err != nil {
		return err
	}
	if err := st.findAll(st.dots); err != nil {
		return err
	}
	st.begin()
	st.shelveAll(op.Dot, ended, op.Removed)
	return nil
}

func (st *objectListState) applyRestore(op *runtime.Op, head byte) error {
	d := readDot(op, head)
	if err := op.Done(); err != nil {
		return err
	}
	if err := oneDot(op); err != nil {
		return err
	}
	e, ok := st.places.find(d)
	if !ok {
		return invalidOp("it restores what was never inserted")
	}
	if st.alive(e) {
		st.begin()
		st.restore(st.shelf(e), op.Dot)
		st.reshelve(e)
	}
	return nil
}

func (st *objectListState) Empty() bool { return st.seq.Elements() == 0 }

func (st *objectListState) Rollback() {
	if !st.open {
		return
	}
	st.open = false
	st.undo()
	st.nodes.cut(lid(st.seq.Elements()))
}

func (st *objectListState) Commit(c *runtime.Commit) {
	if !st.open {
		return
	}
	st.open = false
	steps := st.keep()
	if len(steps) == 0 {
		return
	}
	out := make([]deltaStep[*runtime.Node], len(steps))
	for i, s := range steps {
		out[i] = deltaStep[*runtime.Node]{kind: s.kind, n: s.n}
		for _, place := range s.items {
			out[i].items = append(out[i].items, st.nodes.at(st.element(place)))
		}
	}
	st.observers.Emit(c, rawObjectListEvent{c.Meta(), out})
}

// Dots implements runtime.Object.
func (st *objectListState) Dots(yield func(d runtime.LocalDot, n uint64)) {
	st.livingDots(yield)
	for _, s := range st.shelved {
		for _, t := range s.tokens.list {
			yield(t.madeBy(), 1)
		}
	}
}

// Children implements runtime.Container.
func (st *objectListState) Children(yield func(child *runtime.Node) bool) {
	for _, n := range st.nodes.all {
		if n != nil && !yield(n) {
			return
		}
	}
}

// Export implements runtime.Object. Archived objects are not shown.
func (st *objectListState) Export(x *runtime.Exporter) any {
	out := make([]any, 0, st.len())
	for l := range st.seq.Live(0, st.len()) {
		e := st.element(l)
		out = append(out, exportChild(x, st.nodes.at(e), st.args[e]))
	}
	return out
}

// Check implements runtime.Object.
func (st *objectListState) Check() error {
	if err := st.check(); err != nil {
		return err
	}
	for l, n := range st.nodes.all {
		if n == nil {
			continue
		}
		d, made := n.Dot()
		if !made || int(l) >= st.seq.Elements() || d != st.dot(l) || n.Parent() != st.node || !st.alive(l) || n.Err() == runtime.ErrDeleted {
			return fmt.Errorf("object list invariant 1: object %s is not that of element %d", n, l)
		}
	}
	for e := range st.args {
		if st.nodes.at(e) == nil {
			return fmt.Errorf("object list invariant 2: element %d has arguments and no object", e)
		}
	}
	var err error
	st.living(func(e lid) {
		if st.nodes.at(e) == nil {
			err = fmt.Errorf("object list invariant 1: element %d has no object", e)
		}
	})
	return err
}
