package crdt_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/runtime"
)

// TestDepthOfContainers: each container that stands at runtime.MaxDepth refuses to hold an object, and an operation of a
// hostile writer that makes one there has no effect, on whoever gets it.
func TestDepthOfContainers(t *testing.T) {
	for kind, c := range map[string]struct {
		payload string
		add     func(tx runtime.Tx, n *runtime.Node) error
	}{
		"objectset": {"\x01\x0d", func(tx runtime.Tx, n *runtime.Node) error {
			_, err := crdt.BindTo[crdt.ObjectSet[crdt.Text]](n).Add(tx, nil)
			return err
		}},
		"objectmap": {"\x01\x0d\x02\x61k\x00", func(tx runtime.Tx, n *runtime.Node) error {
			_, err := crdt.BindTo[crdt.ObjectMap[string, crdt.Text]](n).Set(tx, "k", nil)
			return err
		}},
		"objectlist": {"\x10\x0d\x00", func(tx runtime.Tx, n *runtime.Node) error {
			_, err := crdt.BindTo[crdt.ObjectList[crdt.Text]](n).Insert(tx, 0, nil)
			return err
		}},
	} {
		t.Run(kind, func(t *testing.T) {
			a, b := openKinds(t, crdt.Kinds()), openKinds(t, crdt.Kinds())
			var problems []runtime.Problem
			b.OnProblem(func(p runtime.Problem) { problems = append(problems, p) })
			root := mustRoot[crdt.ObjectSet[crdt.Text]](t, a, "root")
			bottom := root.Node()
			feed(t, b, commitTx(t, a, func(tx runtime.Tx) error {
				for depth := 1; depth <= runtime.MaxDepth; depth++ {
					w, err := tx.Begin(bottom)
					if err != nil {
						return err
					}
					w.Byte(1) // add
					if depth < runtime.MaxDepth {
						w.Kind("objectset")
					} else {
						w.Kind(kind)
					}
					if err := w.Apply(1); err != nil {
						return err
					}
					bottom.Object().(runtime.Container).Children(func(c *runtime.Node) bool { bottom = c; return false })
				}
				return nil
			}))
			feed(t, b, commitTx(t, a, func(tx runtime.Tx) error {
				var limit *runtime.LimitError
				if err := c.add(tx, bottom); !errors.As(err, &limit) || limit.Name != "Depth" {
					t.Errorf("own edit: %v", err)
				}
				w, err := tx.Begin(bottom)
				if err == nil {
					w.RawString(c.payload)
					w.Commit(1) // not applied here
				}
				return err
			}))
			sameDocs(t, a, b)
			if len(problems) != 1 || !errors.Is(problems[0].Err, runtime.ErrLimit) {
				t.Errorf("problems: %v", problems)
			}
			late := openKinds(t, crdt.Kinds())
			feed(t, late, savedState(t, b))
			sameDocs(t, a, late)
			if data, err := late.MarshalJSON(); err != nil || bytes.Count(data, []byte("[")) < runtime.MaxDepth-1 {
				t.Errorf("JSON view of %d bytes, %v", len(data), err)
			}
		})
	}
}
