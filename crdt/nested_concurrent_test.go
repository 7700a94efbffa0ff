package crdt_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/runtime"
)

// TestDeleteBeatsAll: A deletes an object while B and C edit it, its fields, its children, and make children below it. In
// whatever order and form the changes arrive, the delete wins everywhere.
func TestDeleteBeatsAll(t *testing.T) {
	a, aTop := mustFolder(t, nil)
	base := commitTx(t, a, func(tx runtime.Tx) error {
		_, err := aTop.Subs.Set(tx, "doomed", func(f *folder) error {
			_, err := f.Subs.Set(tx, "sub", func(f *folder) error {
				_, err := f.Notes.Add(tx, func(n *crdt.Text) error { return n.Insert(tx, 0, "note") })
				return err
			})
			return errors.Join(err, f.Name.Insert(tx, 0, "doomed"))
		})
		if err != nil {
			return err
		}
		_, err = aTop.Subs.Set(tx, "other", withName(tx, "other"))
		return err
	})
	b, bTop := mustFolder(t, nil)
	c, cTop := mustFolder(t, nil)
	feed(t, b, base)
	feed(t, c, base)
	deleted := commitTx(t, a, func(tx runtime.Tx) error { return aTop.Subs.Delete(tx, "doomed") })
	edit := func(rt *runtime.Runtime, top folder, s string) [][]byte {
		return [][]byte{
			commitTx(t, rt, func(tx runtime.Tx) error { return folderAt(t, tx, top, "doomed").Name.Insert(tx, 0, s) }),
			commitTx(t, rt, func(tx runtime.Tx) error {
				sub := folderAt(t, tx, top, "doomed", "sub")
				if _, err := sub.Subs.Set(tx, s, func(f *folder) error {
					_, err := f.Subs.Set(tx, "below", withName(tx, s))
					return err
				}); err != nil {
					return err
				}
				for n := range sub.Notes.All(tx) {
					if err := n.Insert(tx, 0, s); err != nil {
						return err
					}
				}
				_, err := sub.Notes.Add(tx, func(n *crdt.Text) error { return n.Insert(tx, 0, s) })
				return err
			}),
			commitTx(t, rt, func(tx runtime.Tx) error {
				f := folderAt(t, tx, top, "doomed", "sub", s, "below")
				_, err := f.Subs.Set(tx, "deeper", withName(tx, s))
				return err
			}),
			commitTx(t, rt, func(tx runtime.Tx) error {
				return folderAt(t, tx, top, "doomed", "sub", s, "below", "deeper").Meta.Author.Insert(tx, 0, s)
			}),
		}
	}
	fromB, fromC := edit(b, bTop, "b"), edit(c, cTop, "c")
	const want = `{"top":{"subs":{"other":{"name":"other"}}}}`

	states := [][]byte{savedState(t, a), savedState(t, b), savedState(t, c)}
	rng := rand.New(rand.NewPCG(1, 2))
	for round := range 200 {
		rt, _ := mustFolder(t, nil)
		problems := 0
		rt.OnProblem(func(p runtime.Problem) { problems++ })
		queues := [][][]byte{{base, deleted}, slices.Concat([][]byte{base}, fromB), slices.Concat([][]byte{base}, fromC)}
		for len(queues) > 0 {
			i := rng.IntN(len(queues))
			switch q := queues[i]; {
			case len(q) == 0:
				queues = slices.Delete(queues, i, i+1)
			case rng.IntN(4) == 0: // the rest of this replica comes as a state or delta
				feed(t, rt, states[i%len(states)])
				if d, err := [...]*runtime.Runtime{a, b, c}[rng.IntN(3)].SaveSince(rt.Clock()); err == nil {
					feed(t, rt, d)
				}
			default:
				feed(t, rt, q[0])
				queues[i] = q[1:]
			}
		}
		feed(t, rt, states...)
		if err := rt.Check(); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if got := docJSON(rt); got != want {
			t.Fatalf("round %d: %s, want %s", round, got, want)
		}
		if problems > 0 {
			t.Fatalf("round %d: %d problems for what is no fault", round, problems)
		}
	}
	feed(t, b, deltaTo(t, b, a))
	feed(t, c, deleted)
	feed(t, a, deltaTo(t, a, c))
	feed(t, c, deltaTo(t, c, b))
	feed(t, b, deltaTo(t, b, c))
	feed(t, a, savedState(t, b))
	sameDocs(t, a, b, c)
	if got := docJSON(a); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestConcurrentSets: of concurrent sets of a key one child wins, the other is hidden, can still be edited, and appears
// when a delete that did not know of it removes the winner.
func TestConcurrentSets(t *testing.T) {
	ids := []uuid.UUID{{15: 1}, {15: 2}}
	a, aTop := mustFolder(t, &runtime.Options{Replica: ids[0]})
	b, bTop := mustFolder(t, &runtime.Options{Replica: ids[1]})
	var mine *folder
	fromA := commitTx(t, a, func(tx runtime.Tx) (err error) {
		mine, err = aTop.Subs.Set(tx, "k", withName(tx, "A"))
		return err
	})
	fromB := commitTx(t, b, func(tx runtime.Tx) error {
		_, err := bTop.Subs.Create(tx, "k", "args", withName(tx, "B"))
		return err
	})
	onlyB := commitTx(t, b, func(tx runtime.Tx) error { return bTop.Subs.Delete(tx, "k") })
	c, cTop := mustFolder(t, nil)
	feed(t, c, fromA, fromB)
	feed(t, a, fromB)
	sameDocs(t, a, c)
	look := func(rt *runtime.Runtime, top folder) string {
		return runtime.Read(rt, func(tx runtime.Tx) string {
			out := folderAt(t, tx, top, "k").Name.String(tx)
			var args string
			if ok, err := top.Subs.Args(tx, "k", &args); ok && err == nil {
				out += "(" + args + ")"
			}
			for _, h := range top.Subs.Conflicts(tx, "k") {
				out += " " + h.Name.String(tx)
			}
			return out
		})
	}
	if got := look(a, aTop); got != "B(args) A" {
		t.Errorf("the key shows %q", got)
	}
	if got := docJSON(a); got != `{"top":{"subs":{"k":{"$args":"args","$value":{"name":"B"}}}}}` {
		t.Errorf("JSON view %s", got)
	}
	hidden := commitTx(t, a, func(tx runtime.Tx) error { return mine.Name.Insert(tx, 1, "2") })
	feed(t, c, hidden, onlyB)
	feed(t, a, onlyB)
	feed(t, b, savedState(t, c))
	sameDocs(t, a, b, c)
	if got := look(b, bTop); got != "A2" {
		t.Errorf("the key shows %q", got)
	}
	all := commitTx(t, c, func(tx runtime.Tx) error { return cTop.Subs.Delete(tx, "k") })
	feed(t, a, all)
	feed(t, b, all)
	sameDocs(t, a, b, c)
	if got := docJSON(a); got != "{}" {
		t.Errorf("JSON view %s", got)
	}
}

func TestObjectDepth(t *testing.T) {
	rt, top := mustFolder(t, nil)
	err := rt.Transact(func(tx runtime.Tx) error {
		f := top // "top" is at 0, subs at 1, its child at 2, ...
		for i := range runtime.MaxDepth {
			sub, err := f.Subs.Set(tx, "x", nil)
			if err != nil {
				var limit *runtime.LimitError
				if !errors.As(err, &limit) || limit.Name != "Depth" || i != 255 {
					t.Errorf("level %d: %v", i, err)
				}
				return nil
			}
			f = *sub
		}
		t.Error("no limit")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	other, _ := mustFolder(t, nil)
	feed(t, other, savedState(t, rt))
	sameDocs(t, rt, other)
	if err := rt.Check(); err != nil {
		t.Error(err)
	}
	if data, err := rt.MarshalJSON(); err != nil || strings.Count(string(data), `"x"`) != 255 {
		t.Errorf("%d levels in the JSON view, %v", strings.Count(string(data), `"x"`), err)
	}
}

func TestRefs(t *testing.T) {
	type links struct {
		Top  folder                        `weft:"top"`
		Best crdt.Register[runtime.Ref]    `weft:"best"`
		All  crdt.Map[string, runtime.Ref] `weft:"all"`
	}
	open := func() (*runtime.Runtime, *links) {
		rt := openKinds(t, crdt.Kinds())
		l := new(links)
		if err := crdt.BindRoots(rt, l); err != nil {
			t.Fatal(err)
		}
		return rt, l
	}
	rt, l := open()
	commitTx(t, rt, func(tx runtime.Tx) error {
		sub, err := l.Top.Subs.Set(tx, "a", withName(tx, "best"))
		if err != nil {
			return err
		}
		note, err := sub.Notes.Add(tx, func(n *crdt.Text) error { return n.Insert(tx, 0, "note") })
		if err != nil {
			return err
		}
		lang, err := sub.Lang.At(tx, 3)
		if err != nil {
			return err
		}
		return errors.Join(lang.Insert(tx, 0, "drei"), l.Best.Set(tx, crdt.RefTo(sub)),
			l.All.Set(tx, "note", crdt.RefTo(note)), l.All.Set(tx, "lang", crdt.RefTo(lang)),
			l.All.Set(tx, "author", crdt.RefTo(&sub.Meta.Author)), l.All.Set(tx, "none", runtime.Ref{}))
	})
	other, o := open()
	feed(t, other, savedState(t, rt))
	follow := func(tx runtime.Tx, key string) (*crdt.Text, error) {
		ref, ok, err := o.All.Get(tx, key)
		if !ok || err != nil {
			t.Fatalf("no link %q", key)
		}
		return crdt.Resolve[crdt.Text](tx, ref)
	}
	commitTx(t, other, func(tx runtime.Tx) error {
		ref, ok, err := o.Best.Get(tx)
		if !ok || err != nil {
			t.Fatal("no link")
		}
		best, err := crdt.Resolve[folder](tx, ref)
		if err != nil {
			return err
		}
		if got := best.Name.String(tx); got != "best" {
			t.Errorf("the link leads to %q", got)
		}
		_, err = crdt.Resolve[crdt.Text](tx, ref)
		mustErr(t, err, crdt.ErrShape)
		for key, want := range map[string]string{"note": "note", "lang": "drei", "author": ""} {
			x, err := follow(tx, key)
			if err != nil {
				return err
			}
			if got := x.String(tx); got != want {
				t.Errorf("link %s leads to %q", key, got)
			}
			if err := x.Insert(tx, 0, "+"); err != nil {
				return err
			}
		}
		_, err = follow(tx, "none")
		mustErr(t, err, runtime.ErrDeleted)
		return o.Top.Subs.Delete(tx, "a")
	})
	if err := other.View(func(tx runtime.Tx) error {
		for _, key := range []string{"note", "lang", "author"} {
			_, err := follow(tx, key)
			mustErr(t, err, runtime.ErrDeleted)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}
