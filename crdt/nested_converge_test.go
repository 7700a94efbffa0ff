package crdt_test

import (
	"slices"
	"testing"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/fuzz"
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

var nestedSubject = fuzz.Of[folder]("folder")

func TestNestedConverges(t *testing.T) { fuzz.Check(t, nestedSubject, inShort) }

func FuzzNestedConverges(f *testing.F) { fuzz.Fuzz(f, nestedSubject) }
