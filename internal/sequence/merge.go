package sequence

import (
	"cmp"
	"errors"
	"slices"
)

// Events tells the owner what a Merge does, in the order in which it does it. Nil functions are not called.
type Events struct {
	// Inserted is told of n new elements from lid on, with the dots from id on. elem is the place of the first in
	// the state, counted over all elements in its order. index is the number of visible elements before them;
	// hidden ones do not change the visible list.
	Inserted func(lid LID, n int, id ID, elem, index int, hidden bool)
	// Hidden is told of n elements, covered by the clock and visible so far, that were hidden at index. With nil
	// they are hidden all the same.
	Hidden func(index, n int)
	// KeepVisibility leaves covered elements as they are: for owners to whom visibility follows from other things.
	KeepVisibility bool
}

// Merge joins st, a decoded state or delta, into s: elements that covered, the test of the document's clock, does
// not hold are inserted, and of the covered ones those that st has hidden are hidden. covered must hold a prefix
// of each replica's dots. Load is faster for an empty s.
//
// It returns *UnknownElementError for a parent, or a covered element, that is not there, ErrDuplicate for one not
// covered that is, ErrOrigin or ErrFull, a *DecodeError as Load does; then nothing is changed, but what ev was
// told is void. Cost: O(spans of st), each as Integrate or Hide.
func (s *Sequence) Merge(st *State, covered func(ID) bool, ev Events) error {
	if err := s.accepts(st); err != nil {
		return err
	}
	open := s.journal.open
	mark := s.Mark()
	m := merger{s: s, st: st, ev: &ev}
	err := m.run(covered)
	if err != nil {
		s.Rollback(mark)
	}
	if !open {
		s.Commit()
	}
	return err
}

// merger is one Merge.
type merger struct {
	s     *Sequence
	st    *State
	ev    *Events
	begin []uint32 // for each span, the number of its elements that are covered
	lids  []LID    // for each span, the LID of its first element that is not
	state []uint8  // for each span: waiting, begun, done
	stack []int32
}

const (
	mergeWaiting = iota
	mergeBegun
	mergeDone
)

func (m *merger) run(covered func(ID) bool) error {
	n := len(m.st.runs)
	m.begin, m.lids, m.state = make([]uint32, n), make([]LID, n), make([]uint8, n)
	for i := range n {
		m.begin[i] = prefix(m.st.dot(i, 0), m.st.at(i).n, covered)
	}
	for _, i := range m.byDot() {
		if err := m.insert(i); err != nil {
			return err
		}
	}
	for i := range n {
		if err := m.join(i); err != nil {
			return err
		}
	}
	return nil
}

// byDot lists the spans that are not covered, by dot: so that the runs of each replica come in order, as they did
// when they were written, and continue each other. A delta has them in that order.
func (m *merger) byDot() []int32 {
	var order []int32
	for i := range m.st.runs {
		if m.begin[i] < m.st.at(i).n {
			order = append(order, int32(i))
		}
	}
	if m.st.delta == nil {
		slices.SortFunc(order, func(a, b int32) int { return compareRuns(&m.st.runs[a], &m.st.runs[b]) })
	}
	return order
}

func compareRuns(x, y *run) int {
	return cmp.Or(cmp.Compare(x.rep, y.rep), cmp.Compare(x.seq, y.seq))
}

// prefix returns how many of n dots from id on hold, where those that do are a prefix.
func prefix(id ID, n uint32, hold func(ID) bool) uint32 {
	at := func(k uint32) ID { return ID{id.Rep, id.Seq + uint64(k)} }
	switch {
	case !hold(id):
		return 0
	case hold(at(n - 1)):
		return n
	}
	lo, hi := uint32(1), n-1
	for lo < hi {
		if mid := lo + (hi-lo)/2; hold(at(mid)) {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// dot returns the dot of element k of span i.
func (st *State) dot(i int, k uint32) ID {
	r := &st.runs[i]
	return ID{r.rep, r.seq + uint64(k)}
}

// spanOf returns the span that holds element elem, counted in list order. These are the runs of the spans.
func spanOf(runs []run, elem uint32) int32 {
	i, found := slices.BinarySearchFunc(runs, elem, func(r run, e uint32) int { return cmp.Compare(r.lid, e) })
	if !found {
		i--
	}
	return int32(i)
}

// parent returns the parent of span i's first element: its dot, and if it is in the state, where. A span of -1
// means that it is not, root that the parent is the start of the list.
func (st *State) parent(i int) (id ID, in int, k uint32, isRoot bool) {
	if st.delta != nil {
		return st.delta.parent(st, i)
	}
	p := st.at(i).parent
	if p == root {
		return ID{}, -1, 0, true
	}
	in = int(spanOf(st.runs, p))
	k = p - st.runs[in].lid
	return st.dot(in, k), in, k, false
}

// insert inserts what is not covered of span i, after what that hangs from.
func (m *merger) insert(i int32) error {
	m.stack = append(m.stack[:0], i)
	for len(m.stack) > 0 {
		i := m.stack[len(m.stack)-1]
		sp := m.st.at(int(i))
		if m.state[i] == mergeDone || m.begin[i] == sp.n {
			m.stack = m.stack[:len(m.stack)-1]
			continue
		}
		parent, left, first, err := m.origin(int(i))
		if err != nil {
			return err
		}
		if first >= 0 {
			if m.state[first] == mergeBegun || first == i {
				return &DecodeError{Field: "parent", Err: corrupt(errors.New("in a circle"))}
			}
			m.state[i] = mergeBegun
			m.stack = append(m.stack, first)
			continue
		}
		if err := m.insertSpan(int(i), parent, left); err != nil {
			return err
		}
		m.state[i] = mergeDone
		m.stack = m.stack[:len(m.stack)-1]
	}
	return nil
}

// origin returns the parent and side of the part of span i that is not covered. first is a span to insert before,
// or -1.
func (m *merger) origin(i int) (parent LID, left bool, first int32, err error) {
	id, isRoot := ID{}, false
	if k := m.begin[i]; k > 0 {
		id = m.st.dot(i, k-1)
	} else {
		var in int
		id, in, k, isRoot = m.st.parent(i)
		left = m.st.at(i).flags&flagLeft != 0
		if isRoot {
			return root, left, -1, nil
		}
		if in >= 0 && k >= m.begin[in] {
			if m.state[in] != mergeDone {
				return 0, left, int32(in), nil
			}
			return m.lids[in] + k - m.begin[in], left, -1, nil
		}
	}
	lid, ok := m.s.LIDOf(id)
	if !ok {
		return 0, left, -1, &UnknownElementError{id}
	}
	return lid, left, -1, nil
}

// insertSpan inserts what is not covered of span i.
func (m *merger) insertSpan(i int, parent LID, left bool) error {
	s, st := m.s, m.st
	sp := st.at(i)
	k := m.begin[i]
	id := st.dot(i, k)
	r := newRun{n: sp.n - k, parent: parent}
	if r.n > maxElements-s.count {
		return ErrFull
	}
	var text []byte
	if sp.hidden() {
		r.flags = flagHidden
	} else {
		r.w.vis = r.n
	}
	if st.content && !sp.hidden() {
		a := measurePrefix(st.text[sp.off:], k)
		r.w = measurePrefix(st.text[sp.off+a.vis+a.byt:], r.n)
		text = st.text[sp.off+a.vis+a.byt:][:r.w.vis+r.w.byt]
		if uint64(len(s.content))+uint64(len(text)) > 1<<32-1 {
			return ErrFull
		}
	}
	if !s.isBeyond(id) && s.anyOf(id, int(r.n)) {
		return ErrDuplicate
	}
	if err := s.integrate(id, &r, text, left); err != nil {
		return err
	}
	m.lids[i] = r.lid
	if f := m.ev.Inserted; f != nil {
		f(r.lid, int(r.n), id, int(sp.first+k), s.IndexOf(r.lid), sp.hidden())
	}
	return nil
}

// join tests that what is covered of span i is there, and hides it if it is hidden in the state.
func (m *merger) join(i int) error {
	k := m.begin[i]
	if k == 0 {
		return nil
	}
	if m.st.at(i).hidden() && !m.ev.KeepVisibility {
		_, err := m.s.Hide(m.st.dot(i, 0), int(k), m.ev.Hidden)
		return err
	}
	return m.s.known(m.st.dot(i, 0), int(k))
}
