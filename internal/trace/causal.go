package trace

import (
	"fmt"
	"iter"
	"slices"
)

// Deliveries yields, for each transaction in file order, its index and the transactions that its agent's replica must
// receive before it writes it: those among its ancestors that the replica neither wrote nor received. They ascend,
// which is a causal order. After them the replica's state is exactly the one in which the transaction was written.
// The slice is used again by the next step.
//
// A replica that reads all applies every transaction in file order. A sequential trace needs no deliveries. Deliveries
// panics if an agent's transactions are not a chain, which Read excludes.
//
// Cost: proportional to what is delivered and to the parents of that, plus a bit for each agent that writes and
// transaction.
func (t *Trace) Deliveries() iter.Seq2[int, []int] {
	return func(yield func(int, []int) bool) {
		w := newWalker(t)
		for i := range t.Txns {
			missing, chained := w.step(i)
			if !chained {
				panic(fmt.Sprintf("trace: transaction %d does not follow its agent's last; see Validate", i))
			}
			if !yield(i, missing) {
				return
			}
		}
	}
}

// Ancestors returns the transactions in the history of transaction i, without i, ascending. It costs O(i) time and
// memory at most: to replay a whole trace, use Deliveries.
func (t *Trace) Ancestors(i int) []int {
	if !t.Concurrent {
		all := make([]int, i)
		for j := range all {
			all[j] = j
		}
		return all
	}
	set := make(bitset, i/64+1)
	return t.collect(i, set, nil, func(int) {})
}

// walker follows the replica of each agent through a trace.
//
//  1. applied[k] is empty, or the last transaction of agent k and all its ancestors: it is closed under parents.
//  2. last[k] is that last transaction.
type walker struct {
	t       *Trace
	applied map[int]bitset
	last    map[int]int
	missing []int // reused
}

func newWalker(t *Trace) *walker {
	return &walker{t: t, applied: map[int]bitset{}, last: map[int]int{}}
}

// step returns what agent(i) lacks of the ancestors of i, and whether its own last transaction is one of them. The
// search stops at what is applied; by claim 1 it meets the last transaction itself if, and only if, that is an
// ancestor of i.
func (w *walker) step(i int) (missing []int, chained bool) {
	if !w.t.Concurrent {
		return nil, true
	}
	k := w.t.Txns[i].Agent
	set := w.applied[k]
	if set == nil {
		set = make(bitset, (len(w.t.Txns)+63)/64)
		w.applied[k] = set
	}
	last, wrote := w.last[k]
	chained = !wrote
	w.missing = w.t.collect(i, set, w.missing[:0], func(known int) {
		chained = chained || known == last
	})
	set.add(i)
	w.last[k] = i
	return w.missing, chained
}

// collect appends to out the ancestors of i that are not in set, ascending, and puts them in set. It reports each
// parent that it meets in set.
func (t *Trace) collect(i int, set bitset, out []int, met func(int)) []int {
	visit := func(j int) {
		for _, p := range t.Txns[j].Parents {
			if set.has(p) {
				met(p)
				continue
			}
			set.add(p)
			out = append(out, p)
		}
	}
	first := len(out)
	visit(i)
	for n := first; n < len(out); n++ {
		visit(out[n])
	}
	slices.Sort(out[first:])
	return out
}

type bitset []uint64

func (b bitset) has(i int) bool { return b[i/64]&(1<<(i%64)) != 0 }
func (b bitset) add(i int)      { b[i/64] |= 1 << (i % 64) }
