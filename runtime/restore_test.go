package runtime_test

import (
	"errors"
	"testing"

	"github.com/seed1312cc15/weft/runtime"
)

// lent opens a replica under the ID that a store lends and notes when it changes.
func lent(t *testing.T) (d *doc, changes *[]runtime.ReplicaChange) {
	t.Helper()
	d, changes = open(t, 1), new([]runtime.ReplicaChange)
	d.OnReplicaChange(func(c runtime.ReplicaChange) { *changes = append(*changes, c) })
	return d, changes
}

// A store restores a document under the ID that it lends from whatever it holds, in any order: the ID stays and the next
// local transaction continues. The same without Restore costs the ID.
func TestRestore(t *testing.T) {
	first, b := open(t, 1), open(t, 2)
	first.add("1")
	snapshot := first.save()
	first.add("2")
	between := first.Clock()
	first.take(b.add("of b"))
	first.add("3", "4")
	first.add("5")
	delta := first.since(between)
	log := [][]byte{first.sent[1], b.sent[0], first.sent[2], first.sent[3]}
	for name, updates := range map[string][][]byte{
		"log":                         log,
		"log in another order":        reversed(log),
		"bundle":                      {mustBundle(t, log)},
		"bundle in another order":     {mustBundle(t, reversed(log))},
		"message and delta":           {first.sent[1], delta},
		"a later snapshot":            {first.save()},
		"what is told twice":          append(append([][]byte{snapshot}, log...), log...),
		"a state where own ones wait": {waitingState(t, snapshot, log), log[1]},
	} {
		t.Run(name, func(t *testing.T) {
			d, changes := lent(t)
			for _, u := range append([][]byte{snapshot}, updates...) {
				if _, err := d.Receive(u, runtime.Restore()); err != nil {
					t.Fatal(err)
				}
			}
			d.check()
			same(t, first, d)
			m := d.add("next")
			if w := parse(t, m); w.sender != id(1) || w.start != 5 {
				t.Errorf("the next transaction is %v:%d", w.sender, w.start)
			}
			if len(*changes) != 0 || d.Replica() != id(1) || len(d.problems) != 0 {
				t.Errorf("replica %v, changes %v, problems %v", d.Replica(), *changes, d.problems)
			}
			c := open(t, 3)
			c.take(first.save())
			c.take(m)
			same(t, c, d)

			d, changes = lent(t)
			d.take(snapshot)
			d.take(updates...)
			if len(*changes) != 1 || d.Replica() == id(1) {
				t.Errorf("without Restore: replica %v, changes %v", d.Replica(), *changes)
			}
			same(t, first, d)
		})
	}
}

// waitingState returns a state in which the last two messages of a log wait.
func waitingState(t *testing.T, snapshot []byte, log [][]byte) []byte {
	t.Helper()
	d := open(t, 9)
	d.take(snapshot, log[0], log[3], log[2])
	if d.Waiting() != 2 {
		t.Fatalf("%d wait", d.Waiting())
	}
	return d.save()
}

// Where the store lost what own messages need, their dots are taken: the next local transaction gets another ID, and they
// are applied once the lost ones come from elsewhere.
func TestRestoreOfAnIncompleteStore(t *testing.T) {
	first, b := open(t, 1), open(t, 2)
	lost := b.add("lost")
	first.take(lost)
	first.add("1")
	first.add("2")
	d, changes := lent(t)
	for _, m := range first.sent {
		if _, err := d.Receive(m, runtime.Restore()); err != nil {
			t.Fatal(err)
		}
	}
	if d.Waiting() != 2 || len(*changes) != 0 {
		t.Errorf("%d wait, changes %v", d.Waiting(), *changes)
	}
	m := d.add("3")
	if len(*changes) != 1 || d.Replica() == id(1) {
		t.Errorf("replica %v, changes %v", d.Replica(), *changes)
	}
	d.take(lost)
	first.take(m)
	same(t, first, d)
}

// Restore does not hide that another copy wrote under the ID.
func TestRestoreOfEquivocation(t *testing.T) {
	a, twin := open(t, 1), open(t, 1)
	for _, other := range [][]byte{twin.add("y"), open(t, 1).add("1", "2")} {
		d, changes := lent(t)
		if _, err := d.Receive(a.add("x"), runtime.Restore()); err != nil {
			t.Fatal(err)
		}
		a = open(t, 1)
		if _, err := d.Receive(other, runtime.Restore()); !errors.Is(err, runtime.ErrEquivocation) || len(*changes) != 1 {
			t.Errorf("%v, changes %v", err, *changes)
		}
	}
	// A message under the own ID that comes from elsewhere after the restore shows a copy, as ever.
	d, changes := lent(t)
	first := open(t, 1)
	if _, err := d.Receive(first.add("1"), runtime.Restore()); err != nil {
		t.Fatal(err)
	}
	d.take(first.add("2"))
	if len(*changes) != 1 {
		t.Errorf("changes %v", *changes)
	}
}

// A message that waits in a stored state and contradicts what is stored behind it, or what comes later, is dropped: its sender
// is not refused for it. Anybody may have brought it.
func TestRestoreOfAForgedMessageThatWaits(t *testing.T) {
	victim, forger := open(t, 2), open(t, 2)
	forger.add("x")
	forged := forger.add("forged")
	first, second := victim.add("1", "2", "3"), victim.add("4")
	store := open(t, 9)
	store.take(forged)
	if store.Waiting() != 1 {
		t.Fatalf("%d wait", store.Waiting())
	}
	snapshot := store.save()
	for name, options := range map[string][]runtime.TxOption{
		"stored": {runtime.Restore()}, "at the first hop": {runtime.FirstHop()}, "from others": nil,
	} {
		d, _ := lent(t)
		if _, err := d.Receive(snapshot, runtime.Restore()); err != nil {
			t.Fatal(err)
		}
		for _, m := range [][]byte{first, second} {
			if _, err := d.Receive(m, options...); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if d.check(); d.Waiting() != 0 || len(d.problems) != 1 {
			t.Errorf("%s: %d wait, problems %v", name, d.Waiting(), d.problems)
		}
		same(t, victim, d)
	}
}
