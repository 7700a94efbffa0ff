package runtime_test

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/seed1312cc15/weft/internal/converge/bag"
	"github.com/seed1312cc15/weft/runtime"
)

// chain makes bags, each in the one before, until the last is at this depth, and returns it.
func chain(t *testing.T, d *doc, depth int) (last bag.Bag) {
	t.Helper()
	last = d.bag
	d.edit(func(tx runtime.Tx) (err error) {
		for range depth {
			if last, err = last.Make(tx, bag.Name); err != nil {
				return err
			}
		}
		return nil
	})
	return last
}

func isDepth(err error) bool {
	var limit *runtime.LimitError
	return errors.As(err, &limit) && limit.Name == "Depth" && limit.Max == runtime.MaxDepth && limit.Got > limit.Max
}

// Own edits below MaxDepth are refused at the call, and the transaction can go on.
func TestDepthOfOwnEdits(t *testing.T) {
	d := open(t, 1)
	last := chain(t, d, runtime.MaxDepth)
	d.edit(func(tx runtime.Tx) error {
		if _, err := last.Make(tx, bag.Name); !isDepth(err) {
			t.Errorf("made: %v", err)
		}
		if _, err := last.Below("k"); !isDepth(err) {
			t.Errorf("implicit: %v", err)
		}
		return last.Add(tx, "at the bottom")
	})
	e := open(t, 2)
	e.take(d.save())
	same(t, d, e)
	deepest := 0
	for _, o := range e.Objects() {
		deepest = max(deepest, len(o.Path))
	}
	if v, err := e.MarshalJSON(); err != nil || !strings.Contains(string(v), "at the bottom") || deepest == 0 {
		t.Errorf("JSON: %v", err)
	}
	f := open(t, 3)
	f.take(d.sent...)
	f.take(d.remove(0))
	d.check()
	same(t, d, f)
	if _, err := d.Resolve(deepRef(t, d)); !isDepth(err) {
		t.Errorf("a reference: %v", err)
	}
}

// deepRef returns a reference to an implicit object that is too deep.
func deepRef(t *testing.T, d *doc) (f runtime.Ref) {
	t.Helper()
	step := "\x82\x6f" + bag.Name + "\x41k"
	data := "\xd8\x1b\x99" + string(binary.BigEndian.AppendUint16(nil, runtime.MaxDepth+3)) + "\x64weft"
	data += "\x82\x6f" + bag.Name + "\x43bag" + strings.Repeat(step, runtime.MaxDepth+1)
	if err := f.UnmarshalCBOR([]byte(data)); err != nil {
		t.Fatal(err)
	}
	return f
}

// A hostile writer's operations that would nest deeper have no effect, in whatever order and form they come, and
// whether or not the object that they would nest in is deleted meanwhile.
func TestDepthOfAHostileWriter(t *testing.T) {
	a := open(t, 1)
	last := chain(t, a, runtime.MaxDepth)
	make := string([]byte{3, byte(len(bag.Name))}) + bag.Name
	a.edit(func(tx runtime.Tx) error { // a.Force records without applying
		return errors.Join(last.Force(tx, make), last.Add(tx, "honest"), last.Force(tx, make))
	})
	shallow := a.edit(func(tx runtime.Tx) error {
		b, err := a.bag.Below("k")
		return errors.Join(err, b.Add(tx, "implicit"))
	})
	w := parse(t, shallow)
	bottom, _ := last.Node().Dot()
	w.start, w.lamport, w.objects = w.start+1, w.lamport+1, append(binary.AppendUvarint([]byte{1 | 1<<1, 15}, 0), w.objects[:0]...)
	w.objects = append([]byte{1 | 1<<1, byte(len(bag.Name))}, bag.Name...)
	w.objects = binary.AppendUvarint(append(w.objects, 0), bottom.Seq)
	w.objects = append(append(append(w.objects, 2<<1, byte(len(bag.Name))), bag.Name...), 0, 1, 'k')
	below := w.encode()
	other := open(t, 2)
	other.take(a.sent[0])
	cut := other.remove(0)

	all := append(append([][]byte{}, a.sent...), below, cut)
	r := rand.New(rand.NewPCG(1, 2))
	var docs []*doc
	for n := range 6 {
		d := open(t, byte(10+n))
		for _, m := range shuffled(r, all) {
			d.take(m)
		}
		docs = append(docs, d)
	}
	late, early := open(t, 20), open(t, 21)
	late.take(a.sent...)
	late.take(below)
	if n := len(late.problems); n != 3 || !isDepth(late.problems[0].Err) || !isDepth(late.problems[2].Err) {
		t.Errorf("problems: %v", late.problems)
	}
	if got := runtime.Read(late.Runtime, bag.Of(deepest(t, late)).Text); got != "honest" {
		t.Errorf("the last object holds %q", got)
	}
	docs = append(docs, early)
	early.take(late.save())
	same(t, late, early)
	early.take(cut)
	late.take(other.save())
	same(t, append(docs, late)...)
}

// deepest returns the object at the end of the chain.
func deepest(t *testing.T, d *doc) *runtime.Node {
	t.Helper()
	n := d.bag.Node()
	for found := true; found; {
		found = false
		n.Object().(runtime.Container).Children(func(c *runtime.Node) bool { n, found = c, true; return false })
	}
	return n
}

// Behind a container of unknown kind nobody can count: what hangs there begins anew, and nothing gets deeper than
// MaxDepth below where counting begins, so that who walks objects may recurse. Who knows the kind refuses a state with
// objects that are too deep.
func TestDepthBehindUnknownKinds(t *testing.T) {
	const unknown = "example.com/unknown"
	knows := func(o *runtime.Options) {
		o.Kinds = append(o.Kinds, bag.Kind(bag.Options{Name: unknown}))
	}
	a := open(t, 1, knows)
	var top, last bag.Bag
	a.edit(func(tx runtime.Tx) (err error) {
		if top, err = a.bag.Make(tx, unknown); err == nil {
			last, err = top.Make(tx, bag.Name)
		}
		for range runtime.MaxDepth - 3 {
			if err == nil {
				last, err = last.Make(tx, bag.Name)
			}
		}
		return err
	})
	make := string([]byte{3, byte(len(bag.Name))}) + bag.Name
	a.edit(func(tx runtime.Tx) error { return last.Add(tx, "x") })
	a.edit(func(tx runtime.Tx) (err error) {
		last, err = last.Make(tx, bag.Name)
		return errors.Join(err, last.Force(tx, make))
	})
	relay, knower := open(t, 2), open(t, 3, knows)
	relay.take(a.sent...)
	knower.take(a.sent...)
	same(t, a, knower)
	if err := open(t, 4, knows).refuse(relay.save()); !errors.Is(err, runtime.ErrCorrupt) && !isDepth(err) {
		t.Errorf("a state with an object that is too deep: %v", err)
	}
	older := open(t, 5)
	older.take(relay.save())
	older.take(knower.save())
}
