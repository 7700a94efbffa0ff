package crdt_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/runtime"
)

// R23: operation 2 of a transaction edits the child that operation 1 creates. A payload of a known code that does not
// decode takes its dots and has no effect, on replicas that know the kind and on those that learn it later.
func TestR23ChildInItsTransaction(t *testing.T) {
	rt, top := mustFolder(t, nil)
	one := commitTx(t, rt, func(tx runtime.Tx) error {
		_, err := top.Subs.Set(tx, "a", func(f *folder) error {
			_, err := f.Subs.Set(tx, "b", withName(tx, "deep"))
			return errors.Join(err, f.Name.Insert(tx, 0, "a"))
		})
		return err
	})
	bad := commitTx(t, rt, func(tx runtime.Tx) error {
		w, err := tx.Begin(top.Subs.Node())
		if err != nil {
			return err
		}
		w.Byte(1)
		w.Kind("record")
		w.Bytes([]byte{0x61}) // a text of one byte that is not there
		w.Uvarint(0)
		w.Commit(1) // without Apply, which would refuse it
		return top.Name.Insert(tx, 0, "after")
	})
	live, _ := mustFolder(t, nil)
	var problems []error
	live.OnProblem(func(p runtime.Problem) { problems = append(problems, p.Err) })
	feed(t, live, one, bad)
	if len(problems) != 1 {
		t.Errorf("problems %v", problems)
	}
	old := openKinds(t, kindsWithout("objectmap"))
	feed(t, old, one, bad)
	later, _ := mustFolder(t, nil)
	feed(t, later, savedState(t, old))
	sameDocs(t, rt, live, later)
	const want = `{"top":{"name":"after","subs":{"a":{"name":"a","subs":{"b":{"name":"deep"}}}}}}`
	if got := docJSON(later); got != want {
		t.Errorf("JSON view %s, want %s", got, want)
	}
}

// TestInvalidOperations hands payloads that make no sense to each container: they change nothing.
func TestInvalidOperations(t *testing.T) {
	rt, top := mustFolder(t, nil)
	base := commitTx(t, rt, func(tx runtime.Tx) error {
		_, err := top.Notes.Add(tx, nil)
		if err != nil {
			return err
		}
		_, err = top.Subs.Set(tx, "a", nil)
		return err
	})
	payloads := map[string][]byte{
		"empty": {}, "code 0": {0}, "cut": {1}, "kind of no name": {1, 0, 0, 0x61, 'k', 0}, "kind spelled out": {1, 0, 4, 't', 'e', 'x', 't', 2, 0x61, 'k', 0},
		"key is not canonical": {1, 13, 3, 0x78, 1, 'k', 0}, "two keys": {1, 13, 2, 1, 2, 0}, "rest": {3, 2, 0x61, 'k', 0, 9},
		"run longer than its seq": {4, 1, 0, 1, 0x80, 0x80, 0x80, 0x80, 0x10}, "unknown replica": {4, 1, 9, 0, 0}, "own future": {4, 1, 0, 50, 0},
		"arguments no CBOR": {2, 13, 2, 0x61, 'k', 1, 0xff, 0},
	}
	for name, p := range payloads {
		for _, n := range []*runtime.Node{top.Subs.Node(), top.Notes.Node()} {
			fresh, freshTop := mustFolder(t, nil)
			feed(t, fresh, base)
			before := fmt.Sprint(runtime.Read(fresh, func(tx runtime.Tx) any { return folderView(tx, freshTop) }))
			writer, writerTop := mustFolder(t, nil)
			feed(t, writer, base)
			target := writerTop.Subs.Node()
			if n == top.Notes.Node() {
				target = writerTop.Notes.Node()
			}
			local := writer.Transact(func(tx runtime.Tx) error {
				w, err := tx.Begin(target)
				if err != nil {
					t.Fatal(err)
				}
				w.Raw(p)
				return w.Apply(1)
			})
			data := commitTx(t, writer, func(tx runtime.Tx) error {
				w, err := tx.Begin(target)
				if err != nil {
					return err
				}
				w.Raw(p)
				w.Commit(1)
				return nil
			})
			problems := 0
			fresh.OnProblem(func(runtime.Problem) { problems++ })
			feed(t, fresh, data)
			after := fmt.Sprint(runtime.Read(fresh, func(tx runtime.Tx) any { return folderView(tx, freshTop) }))
			if (problems == 0) != (local == nil || errors.Is(local, runtime.ErrNewerOp)) {
				t.Errorf("%s on %s: %d problems, locally %v", name, target, problems, local)
			}
			if local != nil && before != after {
				t.Errorf("%s on %s changed %s to %s", name, target, before, after)
			}
			if err := fresh.Check(); err != nil {
				t.Errorf("%s on %s: %v", name, target, err)
			}
		}
	}
	fresh, freshTop := mustFolder(t, nil)
	for _, n := range []*runtime.Node{freshTop.Subs.Node(), freshTop.Notes.Node(), crdt.NodeOf(&freshTop), freshTop.Lang.Node()} {
		err := fresh.Transact(func(tx runtime.Tx) error {
			w, err := tx.Begin(n)
			if err != nil {
				return err
			}
			w.Byte(77)
			return w.Apply(1)
		})
		mustErr(t, err, runtime.ErrNewerOp)
	}
}

// R30: a handle of a rolled-back transaction answers ErrRolledBack, also after its dot was used by another object.
func TestR30RolledBackHandles(t *testing.T) {
	rt, top := mustFolder(t, nil)
	before, saved := rt.Canonical(), savedState(t, rt)
	var lost folder
	var note *crdt.Text
	boom := errors.New("boom")
	err := rt.Transact(func(tx runtime.Tx) error {
		f, err := top.Subs.Set(tx, "a", withName(tx, "x"))
		if err != nil {
			return err
		}
		lost = *f
		if note, err = f.Notes.Add(tx, nil); err != nil {
			return err
		}
		return boom
	})
	mustErr(t, err, boom)
	if !slices.Equal(before, rt.Canonical()) || !slices.Equal(saved, savedState(t, rt)) {
		t.Fatal("rollback left something")
	}
	for range 2 { // the second time the dots belong to other objects
		commitTx(t, rt, func(tx runtime.Tx) error {
			mustErr(t, lost.Name.Insert(tx, 0, "y"), runtime.ErrRolledBack)
			mustErr(t, lost.Meta.Author.Insert(tx, 0, "y"), runtime.ErrRolledBack)
			mustErr(t, note.Insert(tx, 0, "y"), runtime.ErrRolledBack)
			_, err := lost.Subs.Set(tx, "z", nil)
			mustErr(t, err, runtime.ErrRolledBack)
			if l, err := lost.Lang.At(tx, 1); err == nil { // a field that is named only now
				mustErr(t, l.Insert(tx, 0, "y"), runtime.ErrRolledBack)
			}
			if top.Notes.Has(tx, note) {
				t.Error("an object of a rolled-back transaction is there")
			}
			mustErr(t, top.Notes.Remove(tx, note), runtime.ErrRolledBack)
			_, err = top.Subs.Set(tx, "other", withName(tx, "other"))
			return err
		})
	}
}

// A delete that is rolled back leaves its object, and fields that were first named while it was deleted, editable.
func TestRolledBackDelete(t *testing.T) {
	rt, top := mustFolder(t, nil)
	commitTx(t, rt, func(tx runtime.Tx) error {
		_, err := top.Subs.Set(tx, "a", func(f *folder) error {
			_, err := f.Subs.Set(tx, "b", withName(tx, "deep"))
			return err
		})
		return err
	})
	before := rt.Canonical()
	boom := errors.New("boom")
	var field *crdt.Text
	mustErr(t, rt.Transact(func(tx runtime.Tx) error {
		b := folderAt(t, tx, top, "a", "b")
		if err := top.Subs.Delete(tx, "a"); err != nil {
			return err
		}
		mustErr(t, b.Name.Insert(tx, 0, "x"), runtime.ErrDeleted)
		var err error
		if field, err = b.Lang.At(tx, 5); err != nil {
			return err
		}
		mustErr(t, field.Insert(tx, 0, "x"), runtime.ErrDeleted)
		return boom
	}), boom)
	if !slices.Equal(before, rt.Canonical()) {
		t.Fatal("rollback left something")
	}
	commitTx(t, rt, func(tx runtime.Tx) error {
		return errors.Join(field.Insert(tx, 0, "cinq"), folderAt(t, tx, top, "a", "b").Name.Insert(tx, 0, "very "))
	})
	if got := docJSON(rt); got != `{"top":{"subs":{"a":{"subs":{"b":{"lang":{"5":"cinq"},"name":"very deep"}}}}}}` {
		t.Errorf("JSON view %s", got)
	}
	if err := rt.Check(); err != nil {
		t.Fatal(err)
	}
}

// R30, first half: two Views right after a Load, each of which is the first to name the fields of all objects.
func TestR30ConcurrentViews(t *testing.T) {
	rt, top := mustFolder(t, nil)
	commitTx(t, rt, func(tx runtime.Tx) error {
		for i := range 50 {
			if _, err := top.Subs.Set(tx, fmt.Sprint(i), withName(tx, "n")); err != nil {
				return err
			}
		}
		return nil
	})
	want := runtime.Read(rt, func(tx runtime.Tx) string { return fmt.Sprint(folderView(tx, top)) })
	fresh, freshTop := mustFolder(t, nil)
	feed(t, fresh, savedState(t, rt))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if got := runtime.Read(fresh, func(tx runtime.Tx) string { return fmt.Sprint(folderView(tx, freshTop)) }); got != want {
				t.Errorf("view %s, want %s", got, want)
			}
			fresh.Canonical()
			fresh.Export()
		})
	}
	wg.Wait()
}
