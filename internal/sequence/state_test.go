package sequence_test

import (
	"bytes"
	"sync"
	"testing"
	"time"

	"github.com/seed1312cc15/weft/internal/plain"
	"github.com/seed1312cc15/weft/internal/sequence"
	"github.com/seed1312cc15/weft/internal/trace"
)

func same(rep uint32) int { return int(rep) }

func known(n int) (uint32, bool) { return uint32(n), n < 1<<20 }

// save returns the canonical bytes of s. Equal sequences of replicas that share a numbering give equal bytes.
func save(s *sequence.Sequence) []byte { return s.AppendState(nil, same) }

// reload loads the bytes into a new sequence and tests that they are saved again as they were.
func reload(t tester, order sequence.Order, data []byte, content bool) *sequence.Sequence {
	t.Helper()
	st, err := sequence.Decode(data, known, sequence.Limits{Order: order})
	if err != nil {
		t.Fatal(err)
	}
	s := sequence.New(order, content)
	if err := s.Load(st); err != nil {
		t.Fatal(err)
	}
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	if again := save(s); !bytes.Equal(again, data) {
		t.Fatalf("loaded from %x, saved as %x", data, again)
	}
	return s
}

func TestStateOfRealTraces(t *testing.T) {
	for _, name := range []string{"automerge-paper", "sveltecomponent", "friendsforever", "git-makefile"} {
		tr := readTrace(t, name)
		var s *sequence.Sequence
		if tr.Concurrent {
			s = sharedReplay(t, tr)
		} else {
			s = localReplay(t, tr, nil)
		}
		if err := s.Check(); err != nil {
			t.Fatal(err)
		}
		if textOf(t, s) != tr.End {
			t.Fatalf("%s: the text differs", name)
		}
		start := time.Now()
		data := save(s)
		saved := time.Since(start)
		start = time.Now()
		u := reload(t, plainOrder{}, data, true)
		t.Logf("%s: %d bytes of structure, saved in %v, loaded and checked in %v", name, len(data)-len(tr.End), saved, time.Since(start))
		if textOf(t, u) != tr.End {
			t.Fatalf("%s: the loaded text differs", name)
		}
	}
}

// sharedReplay replays a concurrent trace without twins.
func sharedReplay(t testing.TB, tr *trace.Trace) *sequence.Sequence {
	t.Helper()
	next := map[int]uint64{}
	sent := make([][]op, len(tr.Txns))
	seqs := map[int]*sequence.Sequence{}
	reader := sequence.New(plainOrder{}, true)
	receive := func(s *sequence.Sequence, ops []op) {
		for _, o := range ops {
			if o.hide == nil {
				if _, err := s.Integrate(o.id, o.n, []byte(o.text), o.origin); err != nil {
					t.Fatal(err)
				}
			}
			for _, d := range o.hide {
				if _, err := s.Hide(d.ID, d.N, nil); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for i, missing := range tr.Deliveries() {
		txn := &tr.Txns[i]
		s := seqs[txn.Agent]
		if s == nil {
			s = sequence.New(plainOrder{}, true)
			seqs[txn.Agent] = s
		}
		for _, j := range missing {
			receive(s, sent[j])
		}
		sent[i] = editSequence(t, s, uint32(txn.Agent), next, txn)
		receive(reader, sent[i])
	}
	return reader
}

func editSequence(t testing.TB, s *sequence.Sequence, rep uint32, next map[int]uint64, txn *trace.Txn) (ops []op) {
	t.Helper()
	for _, p := range txn.Patches {
		if p.Deleted > 0 {
			h, err := s.DeleteRange(p.Pos, p.Deleted, nil)
			if err != nil {
				t.Fatal(err)
			}
			ops = append(ops, op{hide: h})
			next[txn.Agent]++
		}
		if p.Inserted != "" {
			o := op{id: sequence.ID{Rep: rep, Seq: next[txn.Agent]}, n: len([]rune(p.Inserted)), text: p.Inserted}
			var err error
			if o.origin, _, err = s.Insert(p.Pos, o.id, o.n, o.text); err != nil {
				t.Fatal(err)
			}
			next[txn.Agent] += uint64(o.n)
			ops = append(ops, o)
		}
	}
	return ops
}

func TestStateOfGeneratedHistories(t *testing.T) {
	for seed := range uint64(60) {
		tr := plain.GenerateConcurrent(seed, 2+int(seed%8), 120)
		reader := replay(t, tr, func(r *replica) {
			l := *r
			l.s = reload(t, r.order, save(r.s), true)
			l.compare()
		})
		reload(t, reader.order, save(reader.s), true)
	}
}

// TestReadsOfALoadedState runs reads that build indexes at the same time: R30 at this level, for the race detector.
func TestReadsOfALoadedState(t *testing.T) {
	for seed := range uint64(8) {
		r := replay(t, plain.GenerateConcurrent(seed, 4, 100), func(*replica) {})
		s := reload(t, r.order, save(r.s), true)
		st, err := sequence.Decode(save(s), known, sequence.Limits{Order: r.order})
		if err != nil {
			t.Fatal(err)
		}
		fresh := sequence.New(r.order, true)
		if err := fresh.Load(st); err != nil {
			t.Fatal(err)
		}
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() {
				i := 0
				for lid, visible := range fresh.All() {
					id := fresh.IDOf(lid)
					if got, ok := fresh.LIDOf(id); !ok || got != lid || fresh.Visible(lid) != visible {
						t.Errorf("element %v is %d, not %d", id, got, lid)
						return
					}
					if fresh.IndexOf(lid) != i {
						t.Errorf("element %d has index %d, not %d", lid, fresh.IndexOf(lid), i)
						return
					}
					if visible {
						i++
					}
				}
				save(fresh)
			})
		}
		group.Wait()
	}
}

// TestMergeOfALargeState merges a state of many spans into sequences that have some of it.
func TestMergeOfALargeState(t *testing.T) {
	tr := readTrace(t, "automerge-paper")
	whole := localReplay(t, tr, nil)
	data := save(whole)
	st, err := sequence.Decode(data, known, sequence.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	all := tr.Txns
	for _, n := range []int{0, 1000, 100000, len(all)} {
		tr.Txns = all[:n]
		s := localReplay(t, tr, nil)
		end := uint64(0)
		for lid := range s.All() {
			end = max(end, s.IDOf(lid).Seq+1)
		}
		delta, err := sequence.DecodeDelta(
			whole.AppendDelta(nil, same, from(end)), known, from(end), sequence.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		before := save(s)
		mark := s.Mark()
		covered := func(id sequence.ID) bool { return id.Seq < end }
		if err := s.Merge(delta, covered, sequence.Events{}); err != nil {
			t.Fatal(err)
		}
		s.Rollback(mark)
		if !bytes.Equal(save(s), before) {
			t.Fatal("rollback differs")
		}
		start := time.Now()
		if err := s.Merge(st, covered, sequence.Events{}); err != nil {
			t.Fatal(err)
		}
		t.Logf("%d transactions there, the rest merged in %v", n, time.Since(start))
		s.Commit()
		if err := s.Check(); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(save(s), data) {
			t.Fatal("the merged state differs")
		}
	}
}

// TestReadAsLoaded tests that the short way to read a loaded text ends with the first change, and when the load is
// undone: other elements may be as many then.
func TestReadAsLoaded(t *testing.T) {
	s := sequence.New(plainOrder{}, true)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	put := func(at int, seq uint64, text string) {
		t.Helper()
		_, _, err := s.Insert(at, sequence.ID{Seq: seq}, len(text), text)
		must(err)
	}
	read := func(want string) {
		t.Helper()
		if got := textOf(t, s); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
	put(0, 0, "ac")
	put(1, 2, "b")
	data := save(s)
	load := func() {
		t.Helper()
		st, err := sequence.Decode(data, known, sequence.Limits{})
		must(err)
		must(s.Load(st))
		read("abc")
	}
	s = sequence.New(plainOrder{}, true)
	mark := s.Mark()
	load()
	s.Rollback(mark)
	read("")
	put(0, 0, "ac")
	put(1, 2, "b")
	read("abc")
	s.Commit()

	s = sequence.New(plainOrder{}, true)
	load()
	mark = s.Mark()
	_, err := s.Hide(sequence.ID{Seq: 2}, 1, nil)
	must(err)
	read("ac")
	put(2, 3, "d")
	read("acd")
	s.Rollback(mark)
	read("abc")
	put(0, 3, "z")
	read("zabc")
	s.Commit()
}

// TestDotsAfterALoad tests that dots are found after a load, whose runs stand in the order of the list: few and many, with
// seqs of a few bits and of so many that they do not fit into a word with the number of a run.
func TestDotsAfterALoad(t *testing.T) {
	for _, n := range []int{10, 3000} {
		for _, step := range []uint64{1, 3, 1 << 41} {
			s := sequence.New(plainOrder{}, false)
			for i := range n {
				id := sequence.ID{Rep: uint32(i % 2), Seq: uint64(i) * step}
				if _, _, err := s.Insert(i*7919%(i+1), id, 1, ""); err != nil {
					t.Fatal(err)
				}
			}
			u := reload(t, plainOrder{}, save(s), false)
			for i := range n {
				id := sequence.ID{Rep: uint32(i % 2), Seq: uint64(i) * step}
				if lid, ok := u.LIDOf(id); !ok || u.IDOf(lid) != id {
					t.Fatalf("%d dots, step %d: %v is element %d, %v", n, step, id, lid, ok)
				}
				if _, ok := u.LIDOf(sequence.ID{Rep: id.Rep, Seq: id.Seq + 1}); ok && step > 2 {
					t.Fatalf("a dot after %v", id)
				}
			}
			if err := u.Check(); err != nil {
				t.Fatal(err)
			}
		}
	}
}
