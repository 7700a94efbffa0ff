package crdt_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/seed1312cc15/weft/fuzz"
	"github.com/seed1312cc15/weft/runtime"
)

// TestOlderRelays runs random edits on replicas that see each other only through replicas of an older schema, which get
// messages, states and deltas in any mixture, restart from what they saved, and meet each other. After the upgrade nothing
// is lost and all agree (R9, R22).
func TestOlderRelays(t *testing.T) {
	all := []string{"record", "lazymap", "objectmap", "objectset", "text"}
	rapid.Check(t, func(rt *rapid.T) {
		unknown := rapid.SliceOfNDistinct(rapid.SampledFrom(all), 1, 3, rapid.ID).Draw(rt, "unknown")
		older := func() *runtime.Runtime { return openKinds(t, kindsWithout(unknown...)) }
		writers := make([]*runtime.Runtime, 2)
		tops := make([]folder, 2)
		var messages [][]byte
		for i := range writers {
			writers[i], tops[i] = mustFolder(t, nil)
			writers[i].OnUpdate(func(u runtime.Update) {
				if u.Local {
					messages = append(messages, u.Data)
				}
			})
		}
		relays := []*runtime.Runtime{older(), older()}
		edits := make([]string, 0, len(nestedSubject.Edits))
		for name := range nestedSubject.Edits {
			edits = append(edits, name)
		}
		slices.Sort(edits)
		pass := func(to, from *runtime.Runtime) {
			var data []byte
			switch rapid.SampledFrom([]string{"delta", "state", "zero"}).Draw(rt, "as") {
			case "delta":
				data = deltaTo(t, to, from)
			case "state":
				data = savedState(t, from)
			case "zero":
				d, err := from.SaveSince(nil)
				if err != nil {
					t.Fatal(err)
				}
				data = d
			}
			if _, err := to.Receive(data); err != nil {
				rt.Fatalf("receive: %v", err)
			}
		}
		check := func(d *runtime.Runtime) {
			if err := d.Check(); err != nil {
				rt.Fatal(err)
			}
		}
		for range rapid.IntRange(4, 25).Draw(rt, "steps") {
			i, k := rapid.IntRange(0, 1).Draw(rt, "writer"), rapid.IntRange(0, 1).Draw(rt, "relay")
			switch rapid.IntRange(0, 6).Draw(rt, "step") {
			case 0, 1, 2:
				err := writers[i].Transact(func(tx runtime.Tx) error {
					name := rapid.SampledFrom(edits).Draw(rt, "edit")
					if _, err := nestedSubject.Edits[name](fuzz.FromRapid(rt), tx, tops[i]); !errors.Is(err, fuzz.ErrNothing) {
						return err
					}
					return nil
				})
				if err != nil {
					rt.Fatal(err)
				}
			case 3:
				if len(messages) > 0 {
					if _, err := relays[k].Receive(rapid.SampledFrom(messages).Draw(rt, "message")); err != nil {
						rt.Fatal(err)
					}
					check(relays[k])
				}
			case 4:
				pass(relays[k], writers[i])
				check(relays[k])
			case 5:
				pass(writers[i], relays[k])
				check(writers[i])
			case 6:
				if rapid.Bool().Draw(rt, "restart") {
					again := older()
					feed(t, again, savedState(t, relays[k]))
					relays[k] = again
				} else {
					pass(relays[k], relays[1-k])
				}
				check(relays[k])
			}
		}
		for _, m := range messages {
			feed(t, relays[0], m)
		}
		pass(relays[1], relays[0])
		for _, w := range writers {
			for _, relay := range relays {
				pass(w, relay)
			}
		}
		upgraded := []*runtime.Runtime{writers[0], writers[1]}
		for _, relay := range relays {
			up, _ := mustFolder(t, nil)
			feed(t, up, savedState(t, relay))
			upgraded = append(upgraded, up)
		}
		for i, up := range upgraded {
			check(up)
			if !slices.Equal(up.Canonical(), upgraded[0].Canonical()) {
				rt.Fatalf("unknown %v: replica %d\n%s\n%s", unknown, i, docJSON(up), docJSON(upgraded[0]))
			}
		}
	})
}

// TestRelayOfDeletedObject: an older relay that holds edits of an object that was deleted does not bring it back.
func TestRelayOfDeletedObject(t *testing.T) {
	for _, late := range []bool{false, true} {
		t.Run(fmt.Sprint("late ", late), func(t *testing.T) {
			a, aTop := mustFolder(t, nil)
			old := openKinds(t, kindsWithout("objectmap"))
			feed(t, old, commitTx(t, a, func(tx runtime.Tx) error {
				_, err := aTop.Subs.Set(tx, "k", withName(tx, "x"))
				return err
			}))
			b, bTop := mustFolder(t, nil)
			feed(t, b, savedState(t, old))
			edit := commitTx(t, b, func(tx runtime.Tx) error { return folderAt(t, tx, bTop, "k").Name.Insert(tx, 0, "edited ") })
			gone := commitTx(t, a, func(tx runtime.Tx) error { return aTop.Subs.Delete(tx, "k") })
			if late {
				feed(t, old, edit, gone)
			} else {
				feed(t, old, gone, edit)
			}
			feed(t, a, savedState(t, old))
			feed(t, b, gone)
			up, _ := mustFolder(t, nil)
			feed(t, up, savedState(t, old))
			sameDocs(t, a, b, up)
			if got := docJSON(up); got != "{}" {
				t.Errorf("JSON view %s", got)
			}
		})
	}
}
