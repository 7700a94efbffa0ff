package sequence_test

import (
	"bytes"
	"errors"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/seed1312cc15/weft/internal/sequence"
)

// TestR17 is the scenario of that number: a delete that arrives in a state whose elements are all known.
func TestR17(t *testing.T) {
	order := reversed{2}
	a, b := newReplica(t, order, 1), newReplica(t, order, 0)
	b.apply(a.insert(0, "abc"))
	del := a.remove(1, 1)
	st, err := sequence.Decode(save(a.s), known, sequence.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.s.Merge(st, func(sequence.ID) bool { return true }, sequence.Events{}); err != nil {
		t.Fatal(err)
	}
	if got := textOf(t, b.s); got != "ac" {
		t.Errorf("after the state: %q", got)
	}
	b.apply(del)
	if got := textOf(t, b.s); got != "ac" {
		t.Errorf("after the delete: %q", got)
	}
	b.compare()
}

// TestR18 is the scenario of that number: consecutive dots that are not right children of each other.
func TestR18(t *testing.T) {
	order := reversed{2}
	a, b := newReplica(t, order, 1), newReplica(t, order, 0)
	a.apply(b.insert(0, "ab"))
	b.apply(a.insert(1, "x"))
	b.insert(2, "c")
	want := textOf(t, b.s)
	loaded := *b
	loaded.s = reload(t, order, save(b.s), true)
	loaded.compare()
	if got := textOf(t, loaded.s); got != want || want != "axcb" {
		t.Errorf("live %q, loaded %q", want, got)
	}
	// What is hidden and shown again joins its neighbours only where it may.
	for i := range want {
		mark := loaded.s.Mark()
		if _, err := loaded.s.DeleteRange(i, 1, nil); err != nil {
			t.Fatal(err)
		}
		loaded.s.Rollback(mark)
		loaded.s.Commit()
		loaded.compare()
	}
}

// TestUnits compares Convert and AppendText with the plain text, at every index of every unit.
func TestUnits(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := sequence.New(plainOrder{}, true)
		var runes []rune
		seq := uint64(0)
		for range rapid.IntRange(1, 30).Draw(rt, "edits") {
			at := rapid.IntRange(0, len(runes)).Draw(rt, "at")
			if rapid.IntRange(0, 2).Draw(rt, "kind") == 0 {
				n := rapid.IntRange(0, len(runes)-at).Draw(rt, "n")
				if _, err := s.DeleteRange(at, n, nil); err != nil {
					rt.Fatal(err)
				}
				runes = append(runes[:at:at], runes[at+n:]...)
				continue
			}
			text := []rune(rapid.StringOfN(rapid.RuneFrom([]rune("ab é漢🚀")), 1, 300, -1).Draw(rt, "text"))
			if _, _, err := s.Insert(at, sequence.ID{Seq: seq}, len(text), string(text)); err != nil {
				rt.Fatal(err)
			}
			seq += uint64(len(text))
			runes = append(runes[:at:at], append(text, runes[at:]...)...)
		}
		if err := s.Check(); err != nil {
			rt.Fatal(err)
		}
		checkUnits(rt, s, runes)
	})
}

func checkUnits(t *rapid.T, s *sequence.Sequence, runes []rune) {
	units := []sequence.Unit{sequence.CodePoints, sequence.UTF16, sequence.Bytes}
	var at [3]int
	valid := [3]map[int]int{{}, {}, {}} // index in a unit to code points
	for i := 0; ; i++ {
		for u := range units {
			valid[u][at[u]] = i
			for v := range units {
				if got, err := s.Convert(at[u], units[u], units[v]); err != nil || got != at[v] {
					t.Fatalf("%d %v is %d %v (%v), not %d", at[u], units[u], got, units[v], err, at[v])
				}
			}
		}
		if i == len(runes) {
			break
		}
		at[0]++
		at[1] += utf16.RuneLen(runes[i])
		at[2] += utf8.RuneLen(runes[i])
	}
	for u := range units {
		if got := s.Len(units[u]); got != at[u] {
			t.Fatalf("length %d %v, not %d", got, units[u], at[u])
		}
		for i := -1; i <= at[u]+1; i++ {
			_, err := s.Convert(i, units[u], sequence.CodePoints)
			var r *sequence.RangeError
			if _, ok := valid[u][i]; ok != (err == nil) || err != nil && (!errors.As(err, &r) || !errors.Is(err, sequence.ErrRange)) {
				t.Fatalf("index %d %v: %v", i, units[u], err)
			}
		}
	}
	from := rapid.IntRange(0, len(runes)).Draw(t, "from")
	to := rapid.IntRange(from, len(runes)).Draw(t, "to")
	if got, err := s.AppendText([]byte("-"), from, to); err != nil || string(got) != "-"+string(runes[from:to]) {
		t.Fatalf("[%d, %d) is %q (%v)", from, to, got, err)
	}
}

// TestWithoutContent tests a sequence as lists use it: show, hide, LIDs, indexes.
func TestWithoutContent(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := sequence.New(plainOrder{}, false)
		var all []sequence.LID // in list order
		visible := map[sequence.LID]bool{}
		seq := uint64(0)
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			var live []int
			for i, lid := range all {
				if visible[lid] {
					live = append(live, i)
				}
			}
			mark := s.Mark()
			switch rapid.IntRange(0, 4).Draw(rt, "kind") {
			case 0, 1:
				at := rapid.IntRange(0, len(live)).Draw(rt, "at")
				n := rapid.IntRange(1, 4).Draw(rt, "n")
				_, lid, err := s.Insert(at, sequence.ID{Seq: seq}, n, "")
				if err != nil {
					rt.Fatal(err)
				}
				seq += uint64(n)
				i := 0
				if at > 0 {
					i = live[at-1] + 1
				}
				fresh := make([]sequence.LID, n)
				for k := range fresh {
					fresh[k] = lid + uint32(k)
					visible[fresh[k]] = true
				}
				all = append(all[:i:i], append(fresh, all[i:]...)...)
			case 2:
				if len(all) > 0 {
					lid := rapid.SampledFrom(all).Draw(rt, "lid")
					v := rapid.Bool().Draw(rt, "visible")
					if s.SetVisible(lid, v) != (visible[lid] != v) {
						rt.Fatal("SetVisible answers wrong")
					}
					visible[lid] = v
				}
			case 3:
				if seq > 0 {
					from := rapid.Uint64Range(0, seq-1).Draw(rt, "from")
					n := rapid.IntRange(1, int(seq-from)).Draw(rt, "n")
					f, v := s.Hide, false
					if rapid.Bool().Draw(rt, "show") {
						f, v = s.Show, true
					}
					if _, err := f(sequence.ID{Seq: from}, n, nil); err != nil {
						rt.Fatal(err)
					}
					for k := range n {
						lid, ok := s.LIDOf(sequence.ID{Seq: from + uint64(k)})
						if !ok {
							rt.Fatal("unknown element")
						}
						visible[lid] = v
					}
				}
			case 4:
				before := save(s)
				for range 3 {
					if _, _, err := s.Insert(rapid.IntRange(0, s.Len(0)).Draw(rt, "at"), sequence.ID{Seq: seq + 100}, 2, ""); err != nil {
						rt.Fatal(err)
					}
					seq += 2
					if s.Elements() > 0 {
						lid := sequence.LID(rapid.IntRange(0, s.Elements()-1).Draw(rt, "lid"))
						s.SetVisible(lid, !s.Visible(lid))
					}
				}
				s.Rollback(mark)
				seq -= 6
				if string(before) != string(save(s)) {
					rt.Fatal("rollback differs")
				}
			}
			s.Commit()
			checkList(rt, s, all, visible)
		}
		reload(rt, plainOrder{}, save(s), false)
	})
}

func checkList(t *rapid.T, s *sequence.Sequence, all []sequence.LID, visible map[sequence.LID]bool) {
	t.Helper()
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	i, index := 0, 0
	for lid, v := range s.All() {
		if lid != all[i] || v != visible[lid] || v != s.Visible(lid) {
			t.Fatalf("element %d is %d (%v)", i, lid, v)
		}
		if got := s.IndexOf(lid); got != index {
			t.Fatalf("element %d has index %d, not %d", lid, got, index)
		}
		if id := s.IDOf(lid); v {
			gotID, got, err := s.IDAt(index)
			if err != nil || got != lid || gotID != id {
				t.Fatalf("index %d is %d (%v), not %d", index, got, err, lid)
			}
			index++
		}
		if i > 0 && (!s.Before(all[i-1], lid) || s.Before(lid, all[i-1])) {
			t.Fatalf("order of %d and %d", all[i-1], lid)
		}
		i++
	}
	if index != s.Len(sequence.CodePoints) || i != s.Elements() {
		t.Fatalf("%d visible of %d, not %d", s.Len(sequence.CodePoints), s.Elements(), index)
	}
	k := 0
	for lid := range s.Live(0, index) {
		if s.IndexOf(lid) != k {
			t.Fatalf("Live yields %d as number %d", lid, k)
		}
		k++
	}
}

// TestArguments tests the errors of arguments, and that they change nothing.
func TestArguments(t *testing.T) {
	s := sequence.New(plainOrder{}, true)
	if _, _, err := s.Insert(0, sequence.ID{}, 3, "aéb"); err != nil {
		t.Fatal(err)
	}
	before := save(s)
	id := sequence.ID{Seq: 9}
	for name, c := range map[string]struct {
		want error
		do   func() error
	}{
		"insert beyond":   {sequence.ErrRange, func() error { _, _, err := s.Insert(4, id, 1, "x"); return err }},
		"insert before":   {sequence.ErrRange, func() error { _, _, err := s.Insert(-1, id, 1, "x"); return err }},
		"no elements":     {sequence.ErrCount, func() error { _, _, err := s.Insert(0, id, 0, ""); return err }},
		"wrong count":     {sequence.ErrCount, func() error { _, _, err := s.Insert(0, id, 2, "é"); return err }},
		"seq":             {sequence.ErrDot, func() error { _, _, err := s.Insert(0, sequence.ID{Seq: 1 << 53}, 1, "x"); return err }},
		"delete beyond":   {sequence.ErrRange, func() error { _, err := s.DeleteRange(2, 2, nil); return err }},
		"delete negative": {sequence.ErrRange, func() error { _, err := s.DeleteRange(2, -1, nil); return err }},
		"duplicate": {sequence.ErrDuplicate, func() error {
			_, err := s.Integrate(sequence.ID{Seq: 2}, 3, []byte("xyz"), sequence.Origin{Root: true})
			return err
		}},
		"left of the start": {sequence.ErrOrigin, func() error {
			_, err := s.Integrate(id, 1, []byte("x"), sequence.Origin{Root: true, Left: true})
			return err
		}},
		"show text": {sequence.ErrCount, func() error { _, err := s.Show(sequence.ID{}, 1, nil); return err }},
		"not empty": {sequence.ErrNotEmpty, func() error {
			st, err := sequence.Decode(before, known, sequence.Limits{})
			if err != nil {
				return err
			}
			return s.Load(st)
		}},
	} {
		if err := c.do(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, not %v", name, err, c.want)
		}
	}
	var unknown *sequence.UnknownElementError
	if _, err := s.Hide(sequence.ID{Seq: 1}, 3, nil); !errors.As(err, &unknown) || unknown.ID.Seq != 3 {
		t.Errorf("hide: %v", err)
	}
	if _, err := s.Integrate(id, 1, []byte("x"), sequence.Origin{Parent: sequence.ID{Rep: 5}}); !errors.As(err, &unknown) {
		t.Errorf("integrate: %v", err)
	}
	if string(save(s)) != string(before) {
		t.Error("an error changed something")
	}
}

// TestTypingDoesNotAllocate tests the hot paths.
func TestTypingDoesNotAllocate(t *testing.T) {
	s := sequence.New(plainOrder{}, true)
	seq := uint64(0)
	dots := make([]sequence.IDSpan, 0, 8)
	edit := func(f func()) float64 {
		return testing.AllocsPerRun(2000, func() {
			s.Mark()
			f()
			s.Commit()
		})
	}
	typing := func() {
		if _, _, err := s.Insert(s.Len(0), sequence.ID{Seq: seq}, 1, "x"); err != nil {
			t.Fatal(err)
		}
		seq++
	}
	if n := edit(typing); n != 0 {
		t.Errorf("typing allocates %v times", n)
	}
	if n := edit(func() {
		typing()
		var err error
		if dots, err = s.DeleteRange(s.Len(0)-1, 1, dots[:0]); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("typing and a backspace allocate %v times", n)
	}
	r := sequence.New(plainOrder{}, true)
	o := sequence.Origin{Root: true}
	text := []byte("x")
	seq = 0
	if n := testing.AllocsPerRun(2000, func() {
		r.Mark()
		if _, err := r.Integrate(sequence.ID{Seq: seq}, 1, text, o); err != nil {
			t.Fatal(err)
		}
		r.Commit()
		o = sequence.Origin{Parent: sequence.ID{Seq: seq}}
		seq++
	}); n != 0 {
		t.Errorf("remote typing allocates %v times", n)
	}
}

// What is typed or deleted in a row is one change of the journal each, so that a large transaction costs no memory for each
// character; both come undone, and what a mark was set behind stays.
func TestRunsAreOneChange(t *testing.T) {
	s := sequence.New(plainOrder{}, true)
	seq := uint64(0)
	typing := func(n int, text string) {
		for range n {
			if _, _, err := s.Insert(s.Len(sequence.CodePoints), sequence.ID{Seq: seq}, 1, text); err != nil {
				t.Fatal(err)
			}
			seq++
		}
	}
	s.Open()
	typing(1000, "a")
	for range 300 {
		if _, err := s.DeleteRange(s.Len(sequence.CodePoints)-1, 1, nil); err != nil {
			t.Fatal(err)
		}
	}
	if n := sequence.Changes(s); n > 4 {
		t.Errorf("1,000 characters typed and 300 deleted are %d changes", n)
	}
	before := save(s)
	mark := s.Mark()
	typing(10, "b")
	if _, err := s.DeleteRange(s.Len(sequence.CodePoints)-20, 20, nil); err != nil {
		t.Fatal(err)
	}
	s.Rollback(mark)
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	if got := save(s); !bytes.Equal(got, before) {
		t.Error("more was undone than what came after the mark, or less")
	}
	s.Rollback(0)
	if err := s.Check(); err != nil || s.Elements() != 0 {
		t.Errorf("%d elements are left, %v", s.Elements(), err)
	}
}
