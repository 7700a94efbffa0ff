package crdt_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/runtime"
)

// do runs f in a transaction that must succeed.
func do(t testing.TB, rt *runtime.Runtime, f func(tx runtime.Tx) error) {
	t.Helper()
	if err := rt.Transact(f); err != nil {
		t.Fatal(err)
	}
}

// collect returns a function that returns, and forgets, the messages that rt wrote or received since.
func collect(rt *runtime.Runtime) func() [][]byte {
	var out [][]byte
	rt.OnUpdate(func(u runtime.Update) { out = append(out, u.Data) })
	return func() [][]byte { m := out; out = nil; return m }
}

// receive applies updates that must be accepted.
func receive(t testing.TB, rt *runtime.Runtime, updates ...[]byte) {
	t.Helper()
	for _, u := range updates {
		if _, err := rt.Receive(u); err != nil {
			t.Fatal(err)
		}
	}
}

func save(t testing.TB, rt *runtime.Runtime) []byte {
	t.Helper()
	data, err := rt.Save()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// same fails unless all replicas have equal canonical bytes and sound states.
func same(t testing.TB, rts ...*runtime.Runtime) {
	t.Helper()
	for _, rt := range rts {
		if err := rt.Check(); err != nil {
			t.Fatal(err)
		}
		if string(rt.Canonical()) != string(rts[0].Canonical()) {
			t.Fatalf("replicas differ: %v and %v", rt.Export(), rts[0].Export())
		}
	}
}

func wantText(t testing.TB, rt *runtime.Runtime, text crdt.Text, want string) {
	t.Helper()
	if got := runtime.Read(rt, text.String); got != want {
		t.Fatalf("got %q, want %q", got, want)
	}
}

func TestTextEdits(t *testing.T) {
	rt, text := newText(t, 1)
	steps := []struct {
		name string
		edit func(tx runtime.Tx) error
		want string
	}{
		{"insert", func(tx runtime.Tx) error { return text.Insert(tx, 0, "hello") }, "hello"},
		{"append", func(tx runtime.Tx) error { return text.Insert(tx, 5, " wörld 🚀") }, "hello wörld 🚀"},
		{"in the middle", func(tx runtime.Tx) error { return text.Insert(tx, 5, ",") }, "hello, wörld 🚀"},
		{"nothing", func(tx runtime.Tx) error { return text.Insert(tx, 3, "") }, "hello, wörld 🚀"},
		{"delete", func(tx runtime.Tx) error { return text.Delete(tx, 1, 4) }, "h, wörld 🚀"},
		{"delete nothing", func(tx runtime.Tx) error { return text.Delete(tx, 10, 0) }, "h, wörld 🚀"},
		{"splice", func(tx runtime.Tx) error { return text.Splice(tx, 0, 1, "ä") }, "ä, wörld 🚀"},
		{"splice nothing", func(tx runtime.Tx) error { return text.Splice(tx, 10, 0, "") }, "ä, wörld 🚀"},
		{"replace", func(tx runtime.Tx) error { return text.Replace(tx, "ä, wörlds 🚀!") }, "ä, wörlds 🚀!"},
		{"all", func(tx runtime.Tx) error { return text.Delete(tx, 0, text.Len(tx)) }, ""},
	}
	for _, s := range steps {
		do(t, rt, s.edit)
		wantText(t, rt, text, s.want)
		if got := runtime.Read(rt, text.Len); got != len([]rune(s.want)) {
			t.Errorf("%s: length %d", s.name, got)
		}
		if err := rt.Check(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTextErrorsChangeNothing(t *testing.T) {
	rt, text := newText(t, 1)
	do(t, rt, func(tx runtime.Tx) error { return text.Insert(tx, 0, "a🚀c") })
	before := string(rt.Canonical())
	cases := map[string]struct {
		edit func(tx runtime.Tx) error
		want error
	}{
		"insert beyond the end":    {func(tx runtime.Tx) error { return text.Insert(tx, 4, "x") }, runtime.ErrRange},
		"insert nothing beyond":    {func(tx runtime.Tx) error { return text.Insert(tx, 4, "") }, runtime.ErrRange},
		"insert before the start":  {func(tx runtime.Tx) error { return text.Insert(tx, -1, "x") }, runtime.ErrRange},
		"delete beyond the end":    {func(tx runtime.Tx) error { return text.Delete(tx, 2, 2) }, runtime.ErrRange},
		"delete a negative number": {func(tx runtime.Tx) error { return text.Delete(tx, 2, -1) }, runtime.ErrRange},
		"delete nothing beyond":    {func(tx runtime.Tx) error { return text.Delete(tx, 5, 0) }, runtime.ErrRange},
		"splice beyond the end":    {func(tx runtime.Tx) error { return text.Splice(tx, 1, 3, "x") }, runtime.ErrRange},
		"a stray byte":             {func(tx runtime.Tx) error { return text.Insert(tx, 0, "a\x80") }, crdt.ErrText},
		"a lone surrogate":         {func(tx runtime.Tx) error { return text.Insert(tx, 0, "\xed\xa0\x80") }, crdt.ErrText},
		"half a character":         {func(tx runtime.Tx) error { return text.Splice(tx, 0, 1, "\xf0\x9f") }, crdt.ErrText},
		"replacement not UTF-8":    {func(tx runtime.Tx) error { return text.Replace(tx, "\xff") }, crdt.ErrText},
		"inside a pair":            {func(tx runtime.Tx) error { return text.In(crdt.UTF16).Insert(tx, 2, "x") }, crdt.ErrInside},
		"inside a character":       {func(tx runtime.Tx) error { return text.In(crdt.Bytes).Delete(tx, 1, 2) }, crdt.ErrInside},
		"ends inside":              {func(tx runtime.Tx) error { return text.In(crdt.UTF16).Delete(tx, 0, 2) }, crdt.ErrInside},
		"beyond in bytes":          {func(tx runtime.Tx) error { return text.In(crdt.Bytes).Delete(tx, 1, 6) }, runtime.ErrRange},
		"unbound":                  {func(tx runtime.Tx) error { return crdt.Text{}.Insert(tx, 0, "x") }, runtime.ErrUnbound},
	}
	for name, c := range cases {
		err := rt.Transact(func(tx runtime.Tx) error {
			if err := c.edit(tx); !errors.Is(err, c.want) {
				t.Errorf("%s: got %v, want %v", name, err, c.want)
			}
			return nil
		})
		if err != nil || string(rt.Canonical()) != before {
			t.Errorf("%s: changed the document, %v", name, err)
		}
	}
	err := rt.View(func(tx runtime.Tx) error { return text.Insert(tx, 0, "x") })
	if !errors.Is(err, runtime.ErrReadOnlyTx) {
		t.Errorf("insert in a View: %v", err)
	}
}

func TestTextReads(t *testing.T) {
	rt, text := newText(t, 1)
	const want = "aé字🚀b"
	do(t, rt, func(tx runtime.Tx) error { return text.Insert(tx, 0, want) })
	err := rt.View(func(tx runtime.Tx) error {
		if got := string(text.AppendTo(tx, []byte(">"))); got != ">"+want {
			t.Errorf("AppendTo: %q", got)
		}
		var runes []rune
		for i, r := range text.Runes(tx) {
			if i != len(runes) {
				t.Errorf("index %d", i)
			}
			runes = append(runes, r)
		}
		if string(runes) != want {
			t.Errorf("Runes: %q", string(runes))
		}
		for i := range len(runes) + 1 {
			for j := i; j <= len(runes); j++ {
				if got, err := text.Slice(tx, i, j); err != nil || got != string(runes[i:j]) {
					t.Errorf("Slice(%d, %d): %q, %v", i, j, got, err)
				}
			}
		}
		if _, err := text.Slice(tx, 3, 2); !errors.Is(err, runtime.ErrRange) {
			t.Errorf("Slice backwards: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestTextUnits checks that the methods of a view do what those of the text do at the converted index.
func TestTextUnits(t *testing.T) {
	const sample = "a字🚀é👩b"
	offsets := map[crdt.Unit]func(string) int{
		crdt.CodePoints: func(s string) int { return len([]rune(s)) },
		crdt.UTF16: func(s string) int {
			n := 0
			for _, r := range s {
				if n++; r > 0xFFFF {
					n++
				}
			}
			return n
		},
		crdt.Bytes: func(s string) int { return len(s) },
	}
	runes := []rune(sample)
	for unit, size := range offsets {
		for i := range len(runes) + 1 {
			for j := i; j <= len(runes); j++ {
				rt, text := newText(t, 1)
				do(t, rt, func(tx runtime.Tx) error { return text.Insert(tx, 0, sample) })
				v := text.In(unit)
				from, to := size(string(runes[:i])), size(string(runes[:j]))
				do(t, rt, func(tx runtime.Tx) error {
					if s, err := v.Slice(tx, from, to); err != nil || s != string(runes[i:j]) {
						t.Errorf("%v: Slice(%d, %d): %q, %v", unit, from, to, s, err)
					}
					c, err := v.CursorAt(tx, to, crdt.Before)
					if err != nil {
						return err
					}
					if at, err := v.IndexOf(tx, c); err != nil || at != to {
						t.Errorf("%v: cursor at %d: %d, %v", unit, to, at, err)
					}
					if v.Len(tx) != size(sample) {
						t.Errorf("%v: Len %d", unit, v.Len(tx))
					}
					return v.Splice(tx, from, to-from, "🏳")
				})
				wantText(t, rt, text, string(runes[:i])+"🏳"+string(runes[j:]))
				do(t, rt, func(tx runtime.Tx) error {
					if err := v.Delete(tx, from, size("🏳")); err != nil {
						return err
					}
					return v.Insert(tx, from, string(runes[i:j]))
				})
				wantText(t, rt, text, sample)
			}
		}
	}
}

func TestTextEventsOfOneTransaction(t *testing.T) {
	rt, text := newText(t, 1)
	do(t, rt, func(tx runtime.Tx) error { return text.Insert(tx, 0, "0123456789") })
	var got []crdt.TextDelta
	events := 0
	stop := text.OnChange(func(e crdt.TextEvent) {
		events++
		got = e.Delta
		if !e.Local || e.Load || e.Origin != "me" {
			t.Errorf("meta %+v", e.Meta)
		}
	})
	edit := func(f func(tx runtime.Tx) error) {
		t.Helper()
		if err := rt.Transact(f, runtime.From("me")); err != nil {
			t.Fatal(err)
		}
	}
	edit(func(tx runtime.Tx) error {
		return errors.Join(text.Insert(tx, 2, "ab"), text.Delete(tx, 3, 3), text.Insert(tx, 0, "x"), text.Delete(tx, 9, 1))
	})
	want := []crdt.TextDelta{{Insert: "x"}, {Retain: 2}, {Insert: "a"}, {Delete: 2}, {Retain: 5}, {Delete: 1}}
	wantText(t, rt, text, "x01a45678")
	if !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	edit(func(tx runtime.Tx) error {
		return errors.Join(text.Insert(tx, 0, "gone"), text.Delete(tx, 0, 4))
	})
	if events != 1 {
		t.Errorf("%d events: what cancels out is told", events)
	}
	if err := rt.Transact(func(tx runtime.Tx) error { text.Insert(tx, 0, "x"); return errors.New("no") }); err == nil || events != 1 {
		t.Error("a rollback was told")
	}
	stop()
	edit(func(tx runtime.Tx) error { return text.Insert(tx, 0, "y") })
	if events != 1 {
		t.Error("told after stop")
	}
}

// TestTextMessageBytes pins what operations cost: the numbers in the documentation.
func TestTextMessageBytes(t *testing.T) {
	a, text := newText(t, 1)
	messages := collect(a)
	payload := func(f func(tx runtime.Tx) error) []byte {
		t.Helper()
		do(t, a, f)
		m := messages()
		data := m[len(m)-1]
		return data[strings.LastIndex(string(data), "text")+4:]
	}
	type edit = func(tx runtime.Tx) error
	insert := func(i int, s string) edit { return func(tx runtime.Tx) error { return text.Insert(tx, i, s) } }
	remove := func(i, n int) edit { return func(tx runtime.Tx) error { return text.Delete(tx, i, n) } }
	for _, c := range []struct {
		name string
		edit edit
		want string
	}{
		{"first", insert(0, "ab"), "\x10ab"},
		{"next", insert(2, "é"), "\x00é"},
		{"backspace", remove(2, 1), "\x01"},
		{"second backspace", remove(1, 1), "\x09\x03"},
		{"at the front", insert(0, "xyz"), "\x28\x05xyz"},
		{"a run", remove(0, 3), "\x11\x01\x01"},
	} {
		if got := payload(c.edit); string(got) != c.want {
			t.Errorf("%s: got % x, want % x", c.name, got, c.want)
		}
	}
	b, other := newText(t, 2)
	receive(t, b, save(t, a))
	messages = collect(b)
	do(t, b, func(tx runtime.Tx) error { return other.Insert(tx, 1, "c") })
	if m := messages(); !strings.HasSuffix(string(m[0]), "text\x38\x01\x01c") {
		t.Errorf("left of another's: % x", m[0])
	}
}

func TestTextNonsense(t *testing.T) {
	cases := map[string]struct {
		payload string
		dots    int
		want    error // nil: newer
	}{
		"nothing":                     {"", 1, runtime.ErrCorrupt},
		"unknown code":                {"\x02", 1, nil},
		"unknown bits of an insert":   {"\x40a", 1, nil},
		"unknown bits of a delete":    {"\x81", 1, nil},
		"previous of the first dot":   {"\x00a", 1, runtime.ErrCorrupt},
		"left of the start":           {"\x18a", 1, runtime.ErrCorrupt},
		"own distance too short":      {"\x20\x01a", 1, runtime.ErrCorrupt},
		"own distance too far":        {"\x20\x05a", 1, runtime.ErrCorrupt},
		"own distance not minimal":    {"\x20\x82\x00a", 1, runtime.ErrCorrupt},
		"own dot as another's":        {"\x30\x00\x01a", 1, runtime.ErrCorrupt},
		"replica that is not listed":  {"\x30\x01\x00a", 1, runtime.ErrCorrupt},
		"fewer characters than dots":  {"\x10a", 2, runtime.ErrInvalidOp},
		"more characters than dots":   {"\x10ab", 1, runtime.ErrInvalidOp},
		"no characters":               {"\x10", 1, runtime.ErrInvalidOp},
		"not UTF-8":                   {"\x10\xff", 1, runtime.ErrInvalidOp},
		"delete of what is not there": {"\x09\x00", 1, runtime.ErrCorrupt},
		"delete of several dots":      {"\x19\x00\x00\x00", 1, runtime.ErrInvalidOp},
		"delete without runs":         {"\x19", 1, runtime.ErrCorrupt},
		"delete with a tail":          {"\x01\x00", 1, runtime.ErrCorrupt},
		"run below zero":              {"\x11\x01\x09", 1, runtime.ErrCorrupt},
	}
	for name, c := range cases {
		rt, text := newText(t, 1)
		err := rt.Transact(func(tx runtime.Tx) error {
			w, err := tx.Begin(text.Node())
			if err != nil {
				return err
			}
			for _, b := range []byte(c.payload) {
				w.Byte(b)
			}
			err = w.Apply(c.dots)
			want := c.want
			if want == nil {
				want = runtime.ErrNewerOp
			}
			if !errors.Is(err, want) {
				t.Errorf("%s: got %v, want %v", name, err, want)
			}
			return nil
		})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := fmt.Sprint(rt.Export()); got != "map[]" {
			t.Errorf("%s: changed the document: %s", name, got)
		}
	}
}

func TestTextUnitsAreThree(t *testing.T) {
	rt, text := newText(t, 1)
	do(t, rt, func(tx runtime.Tx) error { return text.Insert(tx, 0, "a🚀c") })
	err := rt.Transact(func(tx runtime.Tx) error { return text.In(crdt.UTF16).Delete(tx, 0, 2) })
	if want := "Text.Delete: crdt: the index is inside of a code point: take that before or behind it: index 2 in UTF-16 units"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	defer func() {
		if v := fmt.Sprint(recover()); !strings.Contains(v, "Unit(3) is no unit of a text") {
			t.Error(v)
		}
	}()
	text.In(crdt.Bytes + 1)
}
