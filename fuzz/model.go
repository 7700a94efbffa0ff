package fuzz

import (
	"fmt"
	"math/big"
	"slices"

	"github.com/seed1312cc15/weft/internal/plain"
	"github.com/seed1312cc15/weft/vclock"
)

// model is the slow, obviously right twin of one object. It is told every operation on it, in an order that extends
// causality.
type model interface {
	apply(op *applied) error
	// value returns what the object shows, in the form of the driver's value; child renders an object that it made, or
	// that exists implicitly under it.
	value(child func(made vclock.Dot) any) any
}

// applied is an operation as a model sees it.
type applied struct {
	dot     vclock.Dot
	lamport uint64
	saw     func(vclock.Dot) bool // what its writer had seen
	did     any
}

func (a *applied) stamp() plain.Stamp { return plain.Stamp{Dot: plain.Dot(a.dot), Lamport: a.lamport} }

func (a *applied) seen(d plain.Dot) bool { return a.saw(vclock.Dot(d)) }

// model renders the document as the models of its objects see it.
func (k *kit) model(root *shape, roots bool, transactions []Transaction) any {
	objects := make(map[string]model)
	for i := range transactions {
		tx := &transactions[i]
		for _, did := range tx.Did {
			o := did.(opDid)
			id := objectID(o.node)
			m := objects[id]
			if m == nil {
				m = k.modelOf(o.node.Kind())
				objects[id] = m
			}
			a := &applied{o.dot, tx.Lamport + o.dot.Seq - tx.Dot.Seq, func(d vclock.Dot) bool { return tx.Saw(o.dot, d) }, o.did}
			if err := m.apply(a); err != nil {
				return fmt.Errorf("%v: %w", o, err)
			}
		}
	}
	r := renderer{k, objects}
	if !roots {
		return r.render(root, rootName, 0)
	}
	out := make(map[string]any)
	for _, f := range root.fields {
		out[f.name] = r.render(f.shape, f.name, 0)
	}
	return out
}

func (k *kit) modelOf(kind string) model {
	if d, ok := k.types[kind]; ok {
		return d.model()
	}
	return models[kind]()
}

var models = map[string]func() model{
	"counter": newCounterModel, "register": newRegisterModel, "mvregister": newMVRegisterModel, "flag": newFlagModel,
	"flag-dw": newFlagModel, "set": newSetModel, "map": newMapModel, "text": newTextModel, "list": newListModel,
	"objectmap": newObjectMapModel, "objectset": newObjectSetModel, "objectlist": newObjectListModel,
	"record": newNoModel, "lazymap": newNoModel,
}

type renderer struct {
	k       *kit
	objects map[string]model
}

func (r renderer) render(s *shape, id string, depth int) any {
	if s.kind == "record" && s.driver.value == nil {
		out := make(map[string]any, len(s.fields))
		for _, f := range s.fields {
			out[f.name] = r.render(f.shape, implicitID(id, f.name), depth)
		}
		return out
	}
	if s.kind == "lazymap" {
		if depth >= deepest {
			return nil
		}
		out := make(map[string]any)
		for _, key := range lazyKeys(s.typ) {
			out[keyString(key.Interface())] = r.render(elemShape(r.k, s.typ), implicitID(id, keyBytes(key)), depth+1)
		}
		return out
	}
	m := r.objects[id]
	if m == nil {
		m = r.k.modelOf(s.kind)
	}
	return m.value(func(made vclock.Dot) any { return r.render(elemShape(r.k, s.typ), madeID(made), depth+1) })
}

type noModel struct{}

func newNoModel() model                        { return noModel{} }
func (noModel) apply(*applied) error           { return nil }
func (noModel) value(func(vclock.Dot) any) any { return nil }

// write is what an edit of an object of entries did: it removed what its writer saw under key, or all that it saw, and
// put an entry there unless erase is set.
type write struct {
	key   string
	value any
	add   int64 // of a counter
	all   bool
	erase bool
}

type entry struct {
	write
	dot     vclock.Dot
	lamport uint64
}

func (e entry) less(o entry) bool {
	return e.lamport < o.lamport || e.lamport == o.lamport && e.dot.Compare(o.dot) < 0
}

// entries are the writes that no other replaced, ascending by dot: the observed-remove rule, from its definition. A write
// replaces those under its key that its writer had seen, and no others.
type entries struct {
	live    []entry
	replace bool // an entry of a counter replaces none
}

func (m *entries) apply(op *applied) error {
	w := op.did.(write)
	if w.erase || m.replace {
		m.live = slices.DeleteFunc(m.live, func(e entry) bool { return op.saw(e.dot) && (w.all || w.key == e.key) })
	}
	if !w.erase {
		m.live = append(m.live, entry{w, op.dot, op.lamport})
		slices.SortFunc(m.live, func(a, b entry) int { return a.dot.Compare(b.dot) })
	}
	return nil
}

// byKey returns for each key its entries, the winner first, then the others in dot order.
func (m *entries) byKey() map[string][]entry {
	out := make(map[string][]entry)
	for _, e := range m.live {
		out[e.key] = append(out[e.key], e)
	}
	for _, list := range out {
		best := 0
		for i := range list {
			if list[best].less(list[i]) {
				best = i
			}
		}
		w := list[best]
		copy(list[1:best+1], list[:best])
		list[0] = w
	}
	return out
}

type registerModel struct{ entries }

func newRegisterModel() model { return &registerModel{entries{replace: true}} }

func (m *registerModel) value(func(vclock.Dot) any) any { return valuesOf(m.byKey()[""]) }

func valuesOf(list []entry) []any {
	out := make([]any, len(list))
	for i, e := range list {
		out[i] = e.value
	}
	return out
}

type mvRegisterModel struct{ entries }

func newMVRegisterModel() model { return &mvRegisterModel{entries{replace: true}} }

func (m *mvRegisterModel) value(func(vclock.Dot) any) any { return valuesOf(m.live) }

// flagModel serves both flags: where a disable leaves an entry it wins.
type flagModel struct{ entries }

func newFlagModel() model { return &flagModel{entries{replace: true}} }

func (m *flagModel) value(func(vclock.Dot) any) any {
	off := slices.ContainsFunc(m.live, func(e entry) bool { return e.value == false })
	return len(m.live) > 0 && !off
}

type setModel struct{ entries }

func newSetModel() model { return &setModel{entries{replace: true}} }

func (m *setModel) value(func(vclock.Dot) any) any {
	out := map[string]bool{}
	for _, e := range m.live {
		out[e.key] = true
	}
	return out
}

type mapModel struct{ entries }

func newMapModel() model { return &mapModel{entries{replace: true}} }

func (m *mapModel) value(func(vclock.Dot) any) any {
	out := map[string][]any{}
	for k, list := range m.byKey() {
		out[k] = valuesOf(list)
	}
	return out
}

// counterModel adds up what no reset saw.
type counterModel struct{ entries }

func newCounterModel() model { return &counterModel{} }

func (m *counterModel) value(func(vclock.Dot) any) any {
	sum := new(big.Int)
	for _, e := range m.live {
		sum.Add(sum, big.NewInt(e.add))
	}
	if !sum.IsInt64() {
		return beyond
	}
	return sum.Int64()
}

// childrenModel serves maps and sets of objects: an entry is an object, and removing it is final.
type childrenModel struct {
	entries
	keyed bool
}

func newObjectMapModel() model { return &childrenModel{entries{replace: true}, true} }

func newObjectSetModel() model { return &childrenModel{entries{}, false} }

// removal is what an edit did that removes one object.
type removal struct{ made vclock.Dot }

func (m *childrenModel) apply(op *applied) error {
	if r, ok := op.did.(removal); ok {
		m.live = slices.DeleteFunc(m.live, func(e entry) bool { return e.dot == r.made })
		return nil
	}
	return m.entries.apply(op)
}

func (m *childrenModel) value(child func(vclock.Dot) any) any {
	out := map[string]any{}
	if !m.keyed {
		for _, e := range m.live {
			out[madeID(e.dot)] = child(e.dot)
		}
		return out
	}
	for k, list := range m.byKey() {
		out[k] = showChild(madeID(list[0].dot), child(list[0].dot))
	}
	return out
}

func showChild(id string, value any) any { return map[string]any{"object": id, "value": value} }

// What edits of lists did.
type (
	splice struct {
		at, del int
		insert  []any
	}
	setAt struct {
		at    int
		value any
	}
	move    struct{ at, count, to int }
	moveOne struct {
		made vclock.Dot
		to   int
	}
	shelve  struct{ at, count int }
	restore struct{ made vclock.Dot }
)

// sequenceModel serves texts and lists of every kind.
type sequenceModel struct {
	list *plain.Shared[any]
	show func(list []plain.Entry[any], child func(vclock.Dot) any) any
}

func newListModel() model {
	return &sequenceModel{plain.NewShared[any](), func(list []plain.Entry[any], _ func(vclock.Dot) any) any {
		out := make([]any, len(list))
		for i, e := range list {
			out[i] = e.Value
		}
		return out
	}}
}

func newTextModel() model {
	return &sequenceModel{plain.NewShared[any](), func(list []plain.Entry[any], _ func(vclock.Dot) any) any {
		out := make([]rune, len(list))
		for i, e := range list {
			out[i] = rune(e.Value.(int64))
		}
		return string(out)
	}}
}

func newObjectListModel() model {
	return &sequenceModel{plain.NewShared[any](), func(list []plain.Entry[any], child func(vclock.Dot) any) any {
		out := make([]any, len(list))
		for i, e := range list {
			d := vclock.Dot(e.Dot)
			out[i] = showChild(madeID(d), child(d))
		}
		return out
	}}
}

func (m *sequenceModel) apply(op *applied) error {
	at := op.stamp()
	switch did := op.did.(type) {
	case splice:
		seen := op.seen
		if did.del > 0 {
			if err := m.list.Delete(seen, at, did.at, did.del); err != nil || len(did.insert) == 0 {
				return err
			}
			deleted := at.Dot // a delete takes one dot, and the insert comes after it
			seen = func(d plain.Dot) bool { return d == deleted || op.seen(d) }
			at.Seq++
			at.Lamport++
		}
		return m.list.Insert(seen, at, did.at, did.insert...)
	case setAt:
		return m.list.Set(op.seen, at, did.at, did.value)
	case move:
		return m.list.Move(op.seen, at, did.at, did.count, did.to)
	case moveOne:
		return m.list.MoveElement(op.seen, at, plain.Dot(did.made), did.to)
	case shelve:
		return m.list.Archive(op.seen, at, did.at, did.count)
	case restore:
		m.list.Restore(at, plain.Dot(did.made))
	case removal:
		m.list.DeleteElement(at, plain.Dot(did.made))
	}
	return nil
}

func (m *sequenceModel) value(child func(vclock.Dot) any) any { return m.show(m.list.Entries(), child) }
