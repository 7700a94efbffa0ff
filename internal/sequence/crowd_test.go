package sequence_test

import (
	"bytes"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/seed1312cc15/weft/internal/sequence"
)

// crowd returns the operations of replicas that each wrote, without knowing of each other, at one place: a run of
// runs, forward or backward, and below each other's. All hang from one element or from the start.
func crowd(rnd *rand.Rand, replicas, steps int, left bool) [][]op {
	all := make([][]op, replicas)
	for k := range replicas {
		rep := uint32(k + 1)
		seq := uint64(0)
		var own []sequence.ID
		for i := range 1 + rnd.IntN(steps) {
			o := op{id: sequence.ID{Rep: rep, Seq: seq}, n: 1 + rnd.IntN(3)}
			o.text = "xyz"[:o.n]
			seq += uint64(o.n)
			switch {
			case i == 0:
				o.origin = sequence.Origin{Parent: sequence.ID{Seq: 1}, Left: left}
			default:
				o.origin = sequence.Origin{Parent: own[rnd.IntN(len(own))], Left: rnd.IntN(2) == 0}
			}
			for j := range o.n {
				own = append(own, sequence.ID{Rep: rep, Seq: o.id.Seq + uint64(j)})
			}
			all[k] = append(all[k], o)
		}
	}
	return all
}

// shuffle merges the replicas' operations in a random order that keeps each replica's own.
func shuffle(rnd *rand.Rand, all [][]op) (out []op) {
	next := make([]int, len(all))
	var turns []int
	for k, ops := range all {
		for range ops {
			turns = append(turns, k)
		}
	}
	rnd.Shuffle(len(turns), func(i, j int) { turns[i], turns[j] = turns[j], turns[i] })
	for _, k := range turns {
		out = append(out, all[k][next[k]])
		next[k]++
	}
	return out
}

func integrateAll(t testing.TB, ops []op) *sequence.Sequence {
	t.Helper()
	s := sequence.New(plainOrder{}, true)
	if _, _, err := s.Insert(0, sequence.ID{}, 3, "abc"); err != nil {
		t.Fatal(err)
	}
	for _, o := range ops {
		if _, err := s.Integrate(o.id, o.n, []byte(o.text), o.origin); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// TestCrowds has many replicas write at one place, in several orders of arrival.
func TestCrowds(t *testing.T) {
	for seed := range uint64(40) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		all := crowd(rnd, 2+rnd.IntN(60), 1+rnd.IntN(8), seed%2 == 0)
		var want []byte
		for range 4 {
			s := integrateAll(t, shuffle(rnd, all))
			if err := s.Check(); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			data := save(s)
			if want != nil && !bytes.Equal(data, want) {
				t.Fatalf("seed %d: two orders of arrival differ", seed)
			}
			want = data
		}
		reload(t, plainOrder{}, want, true)
	}
}

// TestCrowdRollback tests that the index of siblings survives rollbacks.
func TestCrowdRollback(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 7))
	for range 20 {
		ops := shuffle(rnd, crowd(rnd, 40, 4, true))
		half := len(ops) / 2
		s := integrateAll(t, ops[:half])
		before := save(s)
		mark := s.Mark()
		for _, o := range ops[half:] {
			if _, err := s.Integrate(o.id, o.n, []byte(o.text), o.origin); err != nil {
				t.Fatal(err)
			}
		}
		after := save(s)
		s.Rollback(mark)
		if err := s.Check(); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(before, save(s)) {
			t.Fatal("rollback differs")
		}
		for _, o := range ops[half:] {
			if _, err := s.Integrate(o.id, o.n, []byte(o.text), o.origin); err != nil {
				t.Fatal(err)
			}
		}
		s.Commit()
		if !bytes.Equal(after, save(s)) {
			t.Fatal("a second time differs")
		}
	}
}

// one returns n replicas' single elements at one place, in an order.
func one(n int, left bool, order func(i int) int) []op {
	ops := make([]op, n)
	for i := range ops {
		ops[i] = op{
			id: sequence.ID{Rep: uint32(1 + order(i))}, n: 1, text: "x",
			origin: sequence.Origin{Parent: sequence.ID{Seq: 1}, Left: left},
		}
	}
	return ops
}

// counting is an order that counts comparisons.
type counting struct{ calls *int }

func (c counting) CompareReplicas(a, b uint32) int {
	*c.calls++
	return int(a) - int(b)
}

// TestWorkGrowsInProportion tests that twice the elements take at most 2.3 times the work, counted in comparisons of
// siblings, spans that were passed, and bytes allocated: R15 and its like.
func TestWorkGrowsInProportion(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 3))
	backward := func(n int) []op {
		ops := one(n, true, func(int) int { return 0 })
		for i := range ops {
			ops[i].id.Seq = uint64(i)
			if i > 0 {
				ops[i].origin.Parent = ops[i-1].id
			}
		}
		return ops
	}
	for name, ops := range map[string]func(n int) []op{
		"backward":         backward,
		"ascending right":  func(n int) []op { return one(n, false, func(i int) int { return i }) },
		"descending right": func(n int) []op { return one(n, false, func(i int) int { return n - i }) },
		"ascending left":   func(n int) []op { return one(n, true, func(i int) int { return i }) },
		"descending left":  func(n int) []op { return one(n, true, func(i int) int { return n - i }) },
		"random right":     func(n int) []op { p := rnd.Perm(n); return one(n, false, func(i int) int { return p[i] }) },
		"random left":      func(n int) []op { p := rnd.Perm(n); return one(n, true, func(i int) int { return p[i] }) },
	} {
		t.Run(name, func(t *testing.T) {
			small, large := work(t, ops(10000)), work(t, ops(20000))
			for i, what := range []string{"comparisons", "spans passed", "bytes"} {
				t.Logf("%s: %d, twice as much %d", what, small[i], large[i])
				if large[i] > small[i]*23/10+1000 {
					t.Errorf("%s: %d, twice as much takes %d", what, small[i], large[i])
				}
			}
		})
	}
}

// work integrates ops and returns what that took.
func work(t *testing.T, ops []op) [3]int {
	t.Helper()
	calls := 0
	s := sequence.New(counting{&calls}, true)
	if _, _, err := s.Insert(0, sequence.ID{}, 3, "abc"); err != nil {
		t.Fatal(err)
	}
	text := []byte("x")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, o := range ops {
		if _, err := s.Integrate(o.id, o.n, text, o.origin); err != nil {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	return [3]int{calls, s.Steps(), int(after.TotalAlloc - before.TotalAlloc)}
}

// TestFrontInserts tests that inserts at the front pass no spans and allocate little: R15.
func TestFrontInserts(t *testing.T) {
	s := sequence.New(plainOrder{}, true)
	seq := uint64(0)
	n := testing.AllocsPerRun(10000, func() {
		if _, _, err := s.Insert(0, sequence.ID{Seq: seq}, 1, "x"); err != nil {
			t.Fatal(err)
		}
		seq++
	})
	if n != 0 || s.Steps() != 0 {
		t.Errorf("%v allocations an insert, %d spans passed", n, s.Steps())
	}
}
