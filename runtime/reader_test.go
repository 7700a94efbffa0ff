package runtime

import (
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// What is written is read back, in payloads and in states.
func TestWritersAndReaders(t *testing.T) {
	r, n := patient(t)
	rapid.Check(t, func(t *rapid.T) {
		type item struct {
			kind  int
			u     uint64
			s     int64
			bytes []byte
			dot   LocalDot
		}
		var items []item
		for range rapid.IntRange(0, 20).Draw(t, "items") {
			d := LocalDot{0, rapid.Uint64Range(0, 2).Draw(t, "seq")}
			items = append(items, item{rapid.IntRange(0, 5).Draw(t, "kind"), rapid.Uint64().Draw(t, "u"), rapid.Int64().Draw(t, "s"), rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "bytes"), d})
		}
		w := r.newStateWriter(nil, r.next)
		for _, i := range items {
			switch i.kind {
			case 0:
				w.Uvarint(i.u)
			case 1:
				w.Varint(i.s)
			case 2:
				w.Bytes(i.bytes)
			case 3:
				w.Byte(byte(i.u))
			case 4:
				w.Dot(i.dot)
			case 5:
				w.Stamp(Stamp{1 + i.u%maxEnd/2, i.dot})
			}
		}
		rd := Reader{buf: w.buf, format: "test", reps: w.reps, ends: []uint64{r.next[0]}}
		for k, i := range items {
			ok := true
			switch i.kind {
			case 0:
				ok = rd.Uvarint("x") == i.u
			case 1:
				ok = rd.Varint("x") == i.s
			case 2:
				ok = slices.Equal(rd.Bytes("x"), i.bytes)
			case 3:
				ok = rd.Byte("x") == byte(i.u)
			case 4:
				ok = rd.Dot("x") == i.dot
			case 5:
				ok = rd.Stamp("x") == Stamp{1 + i.u%maxEnd/2, i.dot}
			}
			if !ok {
				t.Fatalf("item %d, %+v: %v", k, i, rd.Err())
			}
		}
		if err := rd.Done(); err != nil {
			t.Fatal(err)
		}
		if len(w.buf) > 0 { // the first failure sticks
			short := Reader{buf: w.buf[:len(w.buf)-1], format: "test", reps: w.reps, ends: []uint64{r.next[0]}}
			for _, i := range items {
				switch i.kind {
				case 0, 1:
					short.Uvarint("x")
				case 2:
					short.Bytes("x")
				case 3:
					short.Byte("x")
				case 4:
					short.Dot("x")
				case 5:
					short.Stamp("x")
				}
			}
			var d *DecodeError
			if err := short.Done(); !errors.As(err, &d) || d.Field != "x" || short.Len() != 0 {
				t.Fatalf("a cut-off payload: %v", err)
			}
		}
	})
	_ = n
}

// DeletedRuns is Deleted for runs.
func TestDeletedRunsAgrees(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const base = 30
		r := &StateReader{base: []uint64{base, base}, end: []uint64{40, 40}, live: rapid.Bool().Draw(t, "live")}
		for range rapid.IntRange(0, 6).Draw(t, "runs") {
			at := rapid.Uint64Range(0, base-1).Draw(t, "at")
			r.list = append(r.list, dotRun{LocalDot{rapid.Uint32Range(0, 1).Draw(t, "rep"), at}, rapid.Uint64Range(1, base-at).Draw(t, "n")})
		}
		r.sortList()
		for rep := range Rep(2) {
			at := rapid.Uint64Range(0, base-1).Draw(t, "from")
			n := rapid.Uint64Range(1, base-at).Draw(t, "length")
			got := make(map[uint64]bool)
			r.DeletedRuns(LocalDot{rep, at}, n, func(d LocalDot, k uint64) {
				if d.Rep != rep || k == 0 || d.Seq < at || d.Seq+k > at+n {
					t.Fatalf("run %v of %d", d, k)
				}
				for i := range k {
					got[d.Seq+i] = true
				}
			})
			for i := range n {
				d := LocalDot{rep, at + i}
				if got[d.Seq] != r.Deleted(d) {
					t.Fatalf("%v: run says %v, Deleted %v", d, got[d.Seq], r.Deleted(d))
				}
			}
		}
		if r.Deleted(LocalDot{0, 40}) || !r.Deleted(LocalDot{0, 35}) {
			t.Fatal("outside of the base the clock tells")
		}
	})
}

// The deletion record forgets nothing that it does not own up to, and cuts runs at any clock.
func TestDeletionRunsAfter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type pair struct{ by, target uint64 }
		var all []pair
		var record deletionRecord
		record.init(1 << 20)
		r := &Runtime{}
		n := &Node{nodeName: &nodeName{rt: r}}
		r.deletions = record
		by := uint64(0)
		for range rapid.IntRange(1, 30).Draw(t, "operations") {
			target := rapid.Uint64Range(0, 20).Draw(t, "target")
			k := rapid.Uint64Range(1, 3).Draw(t, "n")
			if rapid.Bool().Draw(t, "follow") && len(all) > 0 {
				target, k = all[len(all)-1].target+1, 1
			} else if rapid.Bool().Draw(t, "back") && len(all) > 0 && all[len(all)-1].target > 0 {
				target, k = all[len(all)-1].target-1, 1
			}
			r.noteDeletion(n, LocalDot{0, by}, LocalDot{0, target}, k)
			for i := range k {
				all = append(all, pair{by, target + i})
			}
			if rapid.Bool().Draw(t, "next operation") {
				by++
			}
			if rapid.IntRange(0, 3).Draw(t, "commit") == 0 {
				r.deletions.keep(r)
			}
		}
		r.deletions.keep(r)
		from := rapid.Uint64Range(0, by+1).Draw(t, "from")
		got := make(map[uint64]bool)
		for _, d := range r.deletions.since([]uint64{from}).byNode[n] {
			run := d.targets()
			for i := range run.n {
				got[run.dot.Seq+i] = true
			}
		}
		want := make(map[uint64]bool)
		for _, p := range all {
			if p.by >= from {
				want[p.target] = true
			}
		}
		for target := range uint64(50) {
			if got[target] != want[target] {
				t.Fatalf("since %d: target %d deleted: %v, want %v; runs %+v", from, target, got[target], want[target], r.deletions.runs)
			}
		}
	})
}

// A transaction that deletes more than the record holds takes no more memory than the record; what it forgets raises the
// floor, but only if the transaction is kept.
func TestLargeTransactionsSpillDeletions(t *testing.T) {
	for _, most := range []int{-1, 100, 1000} {
		r := &Runtime{}
		n := &Node{}
		r.deletions.init(most)
		const ops = 50_000
		del := func() {
			for i := range uint64(ops) {
				r.noteDeletion(n, LocalDot{Rep(i % 2), i}, LocalDot{0, 3 * i}, 1)
			}
		}
		del()
		if c := cap(r.deletions.open); c > 4*max(most, leastSpill) {
			t.Errorf("record of %d: room for %d runs", most, c)
		}
		r.deletions.discard()
		r.deletions.keep(r)
		if len(r.deletions.floor) != 0 {
			t.Errorf("record of %d: what was undone is forgotten", most)
		}
		del()
		r.deletions.keep(r)
		floor := r.deletions.floor
		got := 0
		for _, d := range r.deletions.since(floor).byNode[n] {
			got += int(d.n)
		}
		want := 0
		for i := range uint64(ops) {
			if i >= floor[i%2] {
				want++
			}
		}
		if got != want || want < most/2 {
			t.Errorf("record of %d: %d deletions above the floor, want %d", most, got, want)
		}
	}
}
