package runtime_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/seed1312cc15/weft/internal/converge/bag"
	"github.com/seed1312cc15/weft/runtime"
)

func version(v int) func(*runtime.Options) { return bags(bag.Options{Version: v}) }

// relay is one way of a replica that knows nothing to pass on what it got.
var relays = map[string]func(t *testing.T, relay, to *doc){
	"state":            func(t *testing.T, r, to *doc) { to.take(r.save()) },
	"compressed state": func(t *testing.T, r, to *doc) { to.take(r.save(runtime.Compressed(3))) },
	"bare state":       func(t *testing.T, r, to *doc) { to.take(r.save(runtime.CanonicalOnly())) },
	"delta":            func(t *testing.T, r, to *doc) { to.take(r.since(to.Clock())) },
	"delta of all":     func(t *testing.T, r, to *doc) { to.take(r.since(nil)) },
	"another relay": func(t *testing.T, r, to *doc) {
		second := open(t, 99, noKinds)
		second.take(r.save())
		to.take(second.save())
	},
}

// nested makes edits of every class of object, removals among them.
func nested(d *doc) {
	d.add("1", "2", "3")
	var made, below bag.Bag
	d.edit(func(tx runtime.Tx) (err error) {
		if made, err = d.bag.Make(tx, bag.Name); err != nil {
			return err
		}
		below, err = made.Below("key")
		return errors.Join(err, made.Add(tx, "in"), below.Add(tx, "deep"))
	})
	d.edit(func(tx runtime.Tx) error {
		inner, err := below.Make(tx, bag.Name)
		return errors.Join(err, inner.Add(tx, "inner"), d.bag.Remove(tx, 1))
	})
	d.edit(func(tx runtime.Tx) error { return errors.Join(made.Add(tx, "later"), made.Remove(tx, 0)) })
}

func TestR9RelayThatKnowsNothing(t *testing.T) {
	for name, pass := range relays {
		for _, came := range []string{"messages", "state", "both"} {
			t.Run(name+" of "+came, func(t *testing.T) {
				a := open(t, 1)
				nested(a)
				r := open(t, 2, noKinds)
				switch came {
				case "messages":
					r.take(a.sent...)
				case "state":
					r.take(a.save())
				default:
					r.take(a.sent[0])
					half := open(t, 3)
					half.take(a.sent[:3]...)
					r.take(half.save())
					r.take(a.sent...)
				}
				if len(r.Opaque()) == 0 || !r.Clock().Equal(a.Clock()) {
					t.Errorf("%d opaque objects, clock %v", len(r.Opaque()), r.Clock())
				}
				b := open(t, 4)
				pass(t, r, b)
				same(t, a, b)
				// It also brings what a knower lacks, while that has edits of its own.
				c, own := open(t, 5), open(t, 6)
				c.take(a.sent[0])
				m := c.remove(2)
				c.add("own")
				own.take(a.sent...)
				own.take(c.sent...)
				pass(t, r, c)
				same(t, c, own)
				r.take(m)
				r.take(c.sent...)
				d := open(t, 7)
				pass(t, r, d)
				same(t, c, d)
			})
		}
	}
}

// R22: parts merge under their own clocks, never under the document's.
func TestR22PartsUnderTheirOwnClocks(t *testing.T) {
	a, b := open(t, 1), open(t, 2)
	a.add("of a")
	b.add("of b")
	r := open(t, 3, noKinds)
	r.take(a.save(), b.save())
	c := open(t, 4)
	c.take(r.save())
	c.want("of a of b")
	// What one part lacks because it was removed there goes.
	a.take(b.save())
	a.remove(0, 1)
	a.add("new")
	r.take(a.save())
	d := open(t, 5)
	d.take(r.save())
	same(t, a, d)
	// Deltas on top of parts.
	a.add("newer")
	delta := a.since(r.Clock())
	r.take(delta)
	e := open(t, 6)
	e.take(r.save())
	same(t, a, e)
	// A state in which the object is empty, so that it is not even listed.
	a.edit(func(tx runtime.Tx) error { return a.bag.Remove(tx, 0, 1) })
	r.take(a.save())
	f := open(t, 7)
	f.take(r.save())
	same(t, a, f)
	f.want("")
}

// R22: a known kind meets an operation code of a newer version, then an older code on the same object.
func TestR22NewerOperation(t *testing.T) {
	a := open(t, 1) // version 2
	a.add("x")
	mark := a.edit(func(tx runtime.Tx) error { return a.bag.Mark(tx, "m") })
	after := a.add("y")
	gone := a.remove(0)
	old := open(t, 2, version(1))
	old.take(a.sent[0], mark, after, gone)
	if len(old.Opaque()) != 1 || !old.Clock().Equal(a.Clock()) {
		t.Fatalf("opaque %v", old.Opaque())
	}
	if err := old.Transact(func(tx runtime.Tx) error { return old.bag.Add(tx, "z") }); !errors.Is(err, runtime.ErrOpaque) {
		t.Errorf("an edit of an opaque object: %v", err)
	}
	// Other objects go on.
	other, err := bag.New(old.Runtime, "other")
	if err != nil {
		t.Fatal(err)
	}
	a.take(old.edit(func(tx runtime.Tx) error { return other.Add(tx, "o") }))
	for name, pass := range relays {
		t.Run(name, func(t *testing.T) {
			upgraded := open(t, 3)
			pass(t, old, upgraded)
			same(t, a, upgraded)
			// Another old one that was not opaque so far, and one that knew only the beginning.
			old2 := open(t, 4, version(1))
			old2.take(a.sent[0])
			pass(t, old, old2)
			if len(old2.Opaque()) != 1 {
				t.Fatalf("opaque %v", old2.Opaque())
			}
			old2.check()
			upgraded2 := open(t, 5)
			pass(t, old2, upgraded2)
			same(t, a, upgraded2)
			// From a knower's state.
			old3 := open(t, 6, version(1))
			old3.take(a.sent[0])
			old3.take(a.save())
			old3.check()
			if len(old3.Opaque()) != 0 {
				t.Errorf("a state needs no operation codes: %v", old3.Opaque())
			}
		})
	}
}

// An object that was made by one that is opaque here goes with it, whichever way.
func TestOrphansGoWithTheLastOpaque(t *testing.T) {
	a := open(t, 1) // version 2
	var made, inner bag.Bag
	a.edit(func(tx runtime.Tx) (err error) {
		made, err = a.bag.Make(tx, bag.Name)
		return err
	})
	a.edit(func(tx runtime.Tx) error { return made.Mark(tx, "m") })
	a.edit(func(tx runtime.Tx) (err error) {
		if inner, err = made.Make(tx, bag.Name); err != nil {
			return err
		}
		return inner.Add(tx, "in")
	})
	before := a.save()
	gone := a.remove(0)
	for name, pass := range map[string]func(old *doc){
		"by a message": func(old *doc) { old.take(a.sent...) },
		"by a state":   func(old *doc) { old.take(before); old.take(a.save()) },
		"by a delta":   func(old *doc) { old.take(before); old.take(a.since(old.Clock())) },
		"by itself":    func(old *doc) { old.take(before); old.remove(0) },
	} {
		t.Run(name, func(t *testing.T) {
			old := open(t, 2, version(1))
			if old.take(a.sent[:3]...); len(old.Opaque()) != 1 {
				t.Fatalf("opaque: %v", old.Opaque())
			}
			pass(old)
			old.take(gone)
			old.check()
			all := open(t, 3)
			all.take(a.save())
			all.take(old.sent...)
			same(t, all, old)
		})
	}
}

// A transaction that was undone leaves nothing opaque.
func TestRollbackOfOpaque(t *testing.T) {
	a := open(t, 1)
	m := a.edit(func(tx runtime.Tx) error {
		return errors.Join(a.bag.Add(tx, "x"), a.bag.Mark(tx, "m"), a.bag.Add(tx, "y"))
	})
	f := &faulty{}
	other := bag.Kind(bag.Options{Name: "example.com/other", Fault: f.strike})
	old := open(t, 2, version(1), func(o *runtime.Options) { o.Kinds = append(o.Kinds, other) })
	b := open(t, 3, func(o *runtime.Options) { o.Kinds = append(o.Kinds, other) })
	b.take(m)
	ob, err := bag.NewNamed(b.Runtime, "other", "example.com/other")
	if err != nil {
		t.Fatal(err)
	}
	bad := b.edit(func(tx runtime.Tx) error { return errors.Join(b.bag.Mark(tx, "n"), ob.Add(tx, "o")) })
	old.take(a.add("z")) // waits
	f.where = "apply"
	was := old.save()
	old.take(m)
	_ = was
	before := old.save()
	if _, err := old.Receive(bad); !errors.Is(err, runtime.ErrInternal) {
		t.Fatalf("no fault: %v", err)
	}
	f.where = ""
	if string(old.save()) != string(before) {
		t.Error("something is left")
	}
	old.check()
	old.take(bad)
	b.take(a.sent...)
	up := open(t, 4, func(o *runtime.Options) { o.Kinds = append(o.Kinds, other) })
	up.take(old.save())
	same(t, b, up)
}

// Random histories through replicas of version 1, of version 2 and without kinds: those that know agree in the end.
func TestMixedVersions(t *testing.T) {
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 22))
		docs := []*doc{open(t, 1), open(t, 2, version(1)), open(t, 3), open(t, 4, noKinds), open(t, 5, version(1), func(o *runtime.Options) { o.Deletions = -1 })}
		var all [][]byte
		for range 25 {
			i := rnd.IntN(len(docs))
			d := docs[i]
			if i != 3 && len(d.Opaque()) == 0 {
				n := runtime.Read(d.Runtime, d.bag.Len)
				switch k := rnd.IntN(6); {
				case k == 0 && (i == 0 || i == 2):
					all = append(all, d.edit(func(tx runtime.Tx) error { return d.bag.Mark(tx, fmt.Sprint(len(all))) }))
				case k == 1:
					all = append(all, d.edit(func(tx runtime.Tx) error {
						c, err := d.bag.Make(tx, bag.Name)
						return errors.Join(err, c.Add(tx, "in"))
					}))
				case k == 2 && n > 0:
					all = append(all, d.edit(func(tx runtime.Tx) error {
						if c, ok := d.bag.Child(tx, rnd.IntN(n)); ok {
							return c.Add(tx, "more")
						}
						return d.bag.Add(tx, "v")
					}))
				case k <= 4 && n > 0:
					all = append(all, d.remove(rnd.IntN(n)))
				default:
					all = append(all, d.add(fmt.Sprint(len(all))))
				}
			}
			from, to := docs[rnd.IntN(len(docs))], docs[rnd.IntN(len(docs))]
			switch rnd.IntN(4) {
			case 0:
				to.take(from.save())
			case 1:
				to.take(from.since(to.Clock()))
			case 2:
				if len(all) > 0 {
					to.take(all[rnd.IntN(len(all))])
				}
			}
		}
		oracle := open(t, 9)
		oracle.take(all...)
		for i, d := range docs {
			d.take(shuffled(rnd, all)...)
			if !d.Clock().Equal(oracle.Clock()) {
				t.Fatalf("seed %d: replica %d has %v of %v", seed, i, d.Clock(), oracle.Clock())
			}
			up := open(t, 10)
			up.take(d.save())
			if string(up.Canonical()) != string(oracle.Canonical()) {
				t.Fatalf("seed %d: replica %d upgraded shows\n%v, not\n%v", seed, i, up.Export(), oracle.Export())
			}
		}
		same(t, oracle, docs[0], docs[2])
	}
}
