package crdt_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/internal/converge"
	"github.com/seed1312cc15/weft/runtime"
)

// folder is a recursive type: a record with text, objects of its own kind, and texts that exist implicitly.
type folder struct {
	Name  crdt.Text                      `weft:"name"`
	Subs  crdt.ObjectMap[string, folder] `weft:"subs"`
	Notes crdt.ObjectSet[crdt.Text]      `weft:"notes"`
	Lang  crdt.LazyMap[int, crdt.Text]   `weft:"lang"`
	Meta  struct {
		Author crdt.Text `weft:"author"`
	} `weft:"meta"`
}

func openFolder(o *runtime.Options) (*runtime.Runtime, folder, error) {
	o.Kinds = append(o.Kinds, crdt.Kinds()...)
	rt, err := runtime.New(o)
	if err != nil {
		return nil, folder{}, err
	}
	h, err := crdt.Root[folder](rt, "top")
	return rt, h, err
}

func mustFolder(t testing.TB, o *runtime.Options) (*runtime.Runtime, folder) {
	t.Helper()
	if o == nil {
		o = &runtime.Options{}
	}
	rt, f, err := openFolder(o)
	if err != nil {
		t.Fatal(err)
	}
	return rt, f
}

// commitTx runs one transaction and returns its message, nil if it was empty.
func commitTx(t testing.TB, rt *runtime.Runtime, fn func(tx runtime.Tx) error) []byte {
	t.Helper()
	var data []byte
	stop := rt.OnUpdate(func(u runtime.Update) { data = u.Data })
	defer stop()
	if err := rt.Transact(fn); err != nil {
		t.Fatal(err)
	}
	return data
}

func feed(t testing.TB, rt *runtime.Runtime, updates ...[]byte) {
	t.Helper()
	for _, u := range updates {
		if _, err := rt.Receive(u); err != nil {
			t.Fatal(err)
		}
	}
}

func savedState(t testing.TB, rt *runtime.Runtime) []byte {
	t.Helper()
	b, err := rt.Save()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func deltaTo(t testing.TB, to, from *runtime.Runtime) []byte {
	t.Helper()
	b, err := from.SaveSince(to.Clock())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// sameDocs fails unless all documents are equal and sound.
func sameDocs(t testing.TB, all ...*runtime.Runtime) {
	t.Helper()
	for i, rt := range all {
		if err := rt.Check(); err != nil {
			t.Fatalf("replica %d: %v", i, err)
		}
		if !slices.Equal(rt.Canonical(), all[0].Canonical()) {
			t.Fatalf("replica %d differs:\n%s\n%s", i, docJSON(rt), docJSON(all[0]))
		}
	}
}

func docJSON(rt *runtime.Runtime) string {
	b, err := rt.MarshalJSON()
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// withName returns an init function that writes the name.
func withName(tx runtime.Tx, name string) func(*folder) error {
	return func(f *folder) error { return f.Name.Insert(tx, 0, name) }
}

// pickFolder draws a folder of the tree below f, f included.
func pickFolder(t *rapid.T, tx runtime.Tx, f folder) folder {
	for depth := 0; depth < 4; depth++ {
		keys := slices.Collect(f.Subs.Keys(tx))
		if len(keys) == 0 || rapid.IntRange(0, 2).Draw(t, "stop") == 0 {
			break
		}
		key := rapid.SampledFrom(keys).Draw(t, "into")
		sub, ok := f.Subs.Get(tx, key)
		if !ok {
			t.Fatalf("key %q is listed and not there", key)
		}
		f = *sub
		if hidden := f.Subs.Conflicts(tx, key); len(hidden) > 0 && rapid.Bool().Draw(t, "hidden") {
			f = *hidden[0]
		}
	}
	return f
}

func drawFolderKey(t *rapid.T) string {
	return rapid.SampledFrom([]string{"a", "b", "c", ""}).Draw(t, "key")
}

// folderView is what people see of a folder.
func folderView(tx runtime.Tx, f folder) any {
	m := map[string]any{"name": f.Name.String(tx), "author": f.Meta.Author.String(tx)}
	var subs []any
	for k, s := range f.Subs.All(tx) {
		subs = append(subs, []any{k, folderView(tx, *s), len(f.Subs.Conflicts(tx, k))})
	}
	var notes, lang []any
	for n := range f.Notes.All(tx) {
		notes = append(notes, n.String(tx))
	}
	for k, l := range f.Lang.All(tx) {
		lang = append(lang, []any{k, l.String(tx)})
	}
	m["subs"], m["notes"], m["lang"] = subs, notes, lang
	return m
}

var nestedSubject = converge.Subject[folder]{
	Open: openFolder,
	Edits: map[string]converge.Edit[folder]{
		"set": func(t *rapid.T, tx runtime.Tx, top folder) (any, error) {
			f, k := pickFolder(t, tx, top), drawFolderKey(t)
			var args any
			if rapid.IntRange(0, 3).Draw(t, "args") == 0 {
				args = k + "!"
			}
			_, err := f.Subs.Create(tx, k, args, nil)
			return k, err
		},
		"filled": func(t *rapid.T, tx runtime.Tx, top folder) (any, error) {
			f, k := pickFolder(t, tx, top), drawFolderKey(t)
			_, err := f.Subs.Set(tx, k, func(c *folder) error {
				_, err := c.Subs.Set(tx, k, withName(tx, "deep"))
				return err
			})
			return k, err
		},
		"delete": func(t *rapid.T, tx runtime.Tx, top folder) (any, error) {
			f := pickFolder(t, tx, top)
			keys := slices.Collect(f.Subs.Keys(tx))
			if len(keys) == 0 {
				return nil, converge.ErrNothing
			}
			k := rapid.SampledFrom(keys).Draw(t, "key")
			return k, f.Subs.Delete(tx, k)
		},
		"clear": func(t *rapid.T, tx runtime.Tx, top folder) (any, error) {
			f := pickFolder(t, tx, top)
			if f.Subs.Len(tx) == 0 || rapid.IntRange(0, 2).Draw(t, "rarely") > 0 {
				return nil, converge.ErrNothing
			}
			return f.Subs.Len(tx), f.Subs.Clear(tx)
		},
		"name": func(t *rapid.T, tx runtime.Tx, top folder) (any, error) {
			f := pickFolder(t, tx, top)
			return nil, f.Name.Insert(tx, f.Name.Len(tx), "n")
		},
		"author": func(t *rapid.T, tx runtime.Tx, top folder) (any, error) {
			f := pickFolder(t, tx, top)
			return nil, f.Meta.Author.Insert(tx, 0, "A")
		},
		"lang": func(t *rapid.T, tx runtime.Tx, top folder) (any, error) {
			l, err := pickFolder(t, tx, top).Lang.At(tx, rapid.IntRange(-1, 1).Draw(t, "lang"))
			if err != nil {
				return nil, err
			}
			if l.Len(tx) > 0 && rapid.Bool().Draw(t, "empty") {
				return "empty", l.Delete(tx, 0, l.Len(tx))
			}
			return "write", l.Insert(tx, 0, "x")
		},
		"note": func(t *rapid.T, tx runtime.Tx, top folder) (any, error) {
			_, err := pickFolder(t, tx, top).Notes.Add(tx, func(n *crdt.Text) error { return n.Insert(tx, 0, "note") })
			return nil, err
		},
		"unnote": func(t *rapid.T, tx runtime.Tx, top folder) (any, error) {
			f := pickFolder(t, tx, top)
			notes := slices.Collect(f.Notes.All(tx))
			switch {
			case len(notes) == 0:
				return nil, converge.ErrNothing
			case rapid.IntRange(0, 3).Draw(t, "all") == 0:
				return "all", f.Notes.Clear(tx)
			}
			return 1, f.Notes.Remove(tx, rapid.SampledFrom(notes).Draw(t, "note"))
		},
	},
	Value: func(tx runtime.Tx, top folder) any { return topView(tx, top) },
	Watch: watchFolder,
}

// topView is which objects the root's containers show.
func topView(tx runtime.Tx, top folder) any {
	subs, notes := map[string]string{}, map[string]bool{}
	for k, s := range top.Subs.All(tx) {
		subs[k] = nodeName(crdt.NodeOf(s))
	}
	for n := range top.Notes.All(tx) {
		notes[nodeName(n.Node())] = true
	}
	return fmt.Sprint(subs, notes)
}

func nodeName(n *runtime.Node) string {
	d, _ := n.Dot()
	return n.Runtime().Dot(d).String()
}

// watchFolder rebuilds topView from events alone.
func watchFolder(_ *runtime.Runtime, top folder) func() any {
	subs, notes := map[string]string{}, map[string]bool{}
	var bad error
	top.Subs.OnChange(func(e crdt.ObjectMapEvent[string, folder]) {
		for _, c := range e.Changes {
			was := ""
			if c.Before != nil {
				was = nodeName(crdt.NodeOf(c.Before))
			}
			if subs[c.Key] != was {
				bad = errors.Join(bad, fmt.Errorf("key %q was %q, not %q", c.Key, subs[c.Key], was))
			}
			if delete(subs, c.Key); c.After != nil {
				subs[c.Key] = nodeName(crdt.NodeOf(c.After))
			}
		}
	})
	top.Notes.OnChange(func(e crdt.ObjectSetEvent[crdt.Text]) {
		for _, n := range e.Removed {
			if !notes[nodeName(n.Node())] {
				bad = errors.Join(bad, fmt.Errorf("removed %v was not there", n.Node()))
			}
			delete(notes, nodeName(n.Node()))
		}
		for _, n := range e.Added {
			notes[nodeName(n.Node())] = true
		}
	})
	return func() any {
		if bad != nil {
			return bad
		}
		return fmt.Sprint(subs, notes)
	}
}

func TestNestedConverges(t *testing.T) { nestedSubject.Test(t) }

func FuzzNestedConverges(f *testing.F) { nestedSubject.Fuzz(f) }
