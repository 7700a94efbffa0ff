package runtime_test

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// TestHistoryGivesBackTheBytes asks replicas that hear of each other at random for what they kept.
func TestHistoryGivesBackTheBytes(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 5).Draw(rt, "replicas")
		change := func(o *runtime.Options) {
			o.History.Messages = 1 << rapid.IntRange(0, 8).Draw(rt, "kept")
			o.WallTime = rapid.Bool().Draw(rt, "wall time")
			if rapid.Bool().Draw(rt, "document") {
				o.Document = id(0xdd)
			}
		}
		docs := make([]*doc, n)
		for i := range docs {
			docs[i] = open(t, byte(i+1), change)
		}
		var sent [][]byte
		got := make([]int, n)
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			i := rapid.IntRange(0, n-1).Draw(rt, "replica")
			d := docs[i]
			switch rapid.IntRange(0, 2).Draw(rt, "step") {
			case 0:
				sent = append(sent, d.add("abc"[:rapid.IntRange(1, 3).Draw(rt, "length")]))
			case 1:
				sent = append(sent, d.add("x", "y"))
			case 2:
				for to := min(len(sent), got[i]+rapid.IntRange(1, 8).Draw(rt, "messages")); got[i] < to; got[i]++ {
					if _, err := d.Receive(sent[got[i]]); err != nil {
						rt.Fatal(err)
					}
				}
			}
		}
		for _, d := range docs {
			base := vclock.Clock{}
			for r, end := range d.Clock() {
				// A clock never ends inside a transaction: take one that a replica had.
				if from := docs[rapid.IntRange(0, n-1).Draw(rt, "base")].Clock().Get(r); from <= end {
					base.Set(r, from)
				}
			}
			got, err := d.MessagesSince(base)
			if err == runtime.ErrEvicted {
				continue
			}
			if err != nil {
				rt.Fatal(err)
			}
			want := 0
			for _, m := range sent {
				if info, err := runtime.Inspect(m); err != nil {
					rt.Fatal(err)
				} else if info.Start >= base.Get(info.Sender) && info.End <= d.Clock().Get(info.Sender) {
					want++
				}
			}
			if len(got) != want {
				rt.Fatalf("%d messages, not %d", len(got), want)
			}
			for _, m := range got {
				if !containsBytes(sent, m) {
					rt.Fatalf("nobody sent % x", m)
				}
			}
		}
	})
}

func containsBytes(list [][]byte, b []byte) bool {
	for _, x := range list {
		if bytes.Equal(x, b) {
			return true
		}
	}
	return false
}

// TestHistoryOfTwo types in turns, one side without any acknowledgement: what it wrote first stays, and the log beside the
// messages stays in proportion.
func TestHistoryOfTwo(t *testing.T) {
	a := open(t, 1, func(o *runtime.Options) { o.History.Messages = 100 })
	b := open(t, 2, func(o *runtime.Options) { o.History.Off = true })
	var own [][]byte
	for i := range 10_000 {
		if i < 5 || i > 9_990 {
			own = append(own, a.add("x"))
			if _, err := b.Receive(own[len(own)-1]); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := a.Receive(b.add("y")); err != nil {
			t.Fatal(err)
		}
		b.remove(0)
		if _, err := a.Receive(b.sent[len(b.sent)-1]); err != nil {
			t.Fatal(err)
		}
	}
	got, err := a.MessagesSince(b.Clock())
	if err != nil || len(got) != 0 {
		t.Fatalf("%d messages, %v", len(got), err)
	}
	since := b.Clock()
	since.Set(a.Replica(), 0)
	if got, err = a.MessagesSince(since); err != nil || len(got) != len(own) {
		t.Fatalf("%d messages, not %d; %v", len(got), len(own), err)
	}
	for i := range got {
		if !bytes.Equal(got[i], own[i]) {
			t.Errorf("message %d is\n     % x\nnot % x", i, got[i], own[i])
		}
	}
	if _, entries := a.HistoryBytes(); entries > 10_000 {
		t.Errorf("the log has %d entries", entries)
	}
	a.check()
}

// TestKept: from the clock that history reaches back to, and from no earlier one, it tells all.
func TestKept(t *testing.T) {
	b := open(t, 2)
	a := open(t, 1)
	a.add("1")
	b.take(a.save())
	b.take(a.add("2"), a.add("3"))
	b.add("4")
	b.add("5")
	kept := b.Kept()
	if want := (vclock.Clock{a.Replica(): 1}); !kept.Equal(want) {
		t.Errorf("%v, want %v", kept, want)
	}
	if ms, err := b.MessagesSince(kept); err != nil || len(ms) != 4 {
		t.Errorf("%d messages, %v", len(ms), err)
	}
	off := open(t, 3, func(o *runtime.Options) { o.History.Off = true })
	off.add("x")
	if kept := off.Kept(); !kept.Equal(off.Clock()) {
		t.Errorf("without history: %v", kept)
	}
}
