package sequence

import (
	"cmp"
	"math/bits"
	"slices"
)

// run says that the elements from lid up to the next run's lid have the dots seq, seq+1, ... of replica rep.
type run struct {
	lid LID
	rep uint32
	seq uint64
}

// dotIndex finds runs by dot: for each replica its runs, ascending by seq.
type dotIndex struct {
	byRep map[uint32]*repRuns
	last  *repRuns // of the last write, with its replica
	rep   uint32
}

type repRuns struct {
	runs []uint32 // indexes into Sequence.runs
}

func (d *dotIndex) of(rep uint32) *repRuns {
	if d.last != nil && d.rep == rep {
		return d.last
	}
	return d.byRep[rep]
}

// runAt returns the index of the run that holds lid. Cost: O(1) near the last write, else O(log runs).
func (s *Sequence) runAt(lid LID) int {
	r := s.runs
	if h := s.hint; h < len(r) && r[h].lid <= lid && (h+1 == len(r) || lid < r[h+1].lid) {
		return h
	}
	if h := len(r) - 1; r[h].lid <= lid {
		return h
	}
	lo, hi := 0, len(r)-1
	for hi-lo > 1 {
		if mid := int(uint(lo+hi) >> 1); r[mid].lid <= lid {
			lo = mid
		} else {
			hi = mid
		}
	}
	return lo
}

// runEnd returns the LID after those of run i.
func (s *Sequence) runEnd(i int) LID {
	if i+1 < len(s.runs) {
		return s.runs[i+1].lid
	}
	return s.count
}

// IDOf returns the dot of element lid, which must be below Elements().
func (s *Sequence) IDOf(lid LID) ID {
	r := &s.runs[s.runAt(lid)]
	return ID{r.rep, r.seq + uint64(lid-r.lid)}
}

// idOf is IDOf for writers: it remembers the run.
func (s *Sequence) idOf(lid LID) ID {
	i := s.runAt(lid)
	s.hint = i
	r := &s.runs[i]
	return ID{r.rep, r.seq + uint64(lid-r.lid)}
}

// lastID returns the dot of the newest element; there must be one.
func (s *Sequence) lastID() ID {
	r := &s.runs[len(s.runs)-1]
	return ID{r.rep, r.seq + uint64(s.count-1-r.lid)}
}

// LIDOf returns the local number of the element with dot id, and whether there is one. Cost: O(log runs), the
// first time O(runs log runs).
func (s *Sequence) LIDOf(id ID) (LID, bool) {
	if k := len(s.runs); k > 0 {
		r := &s.runs[k-1]
		if d := id.Seq - r.seq; r.rep == id.Rep && d < uint64(s.count-r.lid) {
			return r.lid + uint32(d), true
		}
	}
	lid, n := s.lookup(id)
	return lid, n > 0
}

// lookup returns the element with dot id and the number of dots from id on that follow it in the same run, 0 if
// there is no such element.
func (s *Sequence) lookup(id ID) (LID, uint32) {
	lid, n, _ := s.lookupRun(id)
	return lid, n
}

// lookupRun is lookup that returns the run too.
func (s *Sequence) lookupRun(id ID) (LID, uint32, int) {
	rr := s.dotIndexNow().of(id.Rep)
	if rr == nil {
		return 0, 0, 0
	}
	i := s.floorRun(rr, id.Seq)
	if i < 0 {
		return 0, 0, 0
	}
	at := int(rr.runs[i])
	r := &s.runs[at]
	size := uint64(s.runEnd(at) - r.lid)
	d := id.Seq - r.seq
	if d >= size {
		return 0, 0, 0
	}
	return r.lid + uint32(d), uint32(size - d), at
}

// floorRun returns the position in rr of the last run that starts at or below seq, or -1.
func (s *Sequence) floorRun(rr *repRuns, seq uint64) int {
	lo, hi := 0, len(rr.runs)
	if hi > 0 && s.runs[rr.runs[hi-1]].seq <= seq {
		return hi - 1
	}
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if s.runs[rr.runs[mid]].seq <= seq {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo - 1
}

// anyOf says whether one of n dots from id on is present.
func (s *Sequence) anyOf(id ID, n int) bool {
	rr := s.dotIndexNow().of(id.Rep)
	if rr == nil {
		return false
	}
	i := s.floorRun(rr, id.Seq+uint64(n)-1)
	if i < 0 {
		return false
	}
	at := int(rr.runs[i])
	r := &s.runs[at]
	return r.seq+uint64(s.runEnd(at)-r.lid) > id.Seq
}

// record gives the next n LIDs to the dots from id on.
func (s *Sequence) record(id ID, n uint32) LID {
	lid := s.count
	s.count += n
	if k := len(s.runs); k > 0 {
		r := &s.runs[k-1]
		if r.rep == id.Rep && r.seq+uint64(lid-r.lid) == id.Seq {
			return lid
		}
	}
	s.recordRun(run{lid, id.Rep, id.Seq})
	return lid
}

// recordRun adds a run of dots.
func (s *Sequence) recordRun(r run) {
	s.runs = append(s.runs, r)
	if d := s.dots.Load(); d != nil {
		s.enter(d, len(s.runs)-1)
	}
}

// enter puts run i into the index of dots.
func (s *Sequence) enter(d *dotIndex, i int) {
	r := &s.runs[i]
	rr := d.of(r.rep)
	if rr == nil {
		rr = &repRuns{}
		d.byRep[r.rep] = rr
	}
	d.last, d.rep = rr, r.rep
	at := s.floorRun(rr, r.seq) + 1
	rr.runs = slices.Insert(rr.runs, at, uint32(i))
}

// forget takes back the last LIDs, down to lid.
func (s *Sequence) forget(lid LID) {
	s.count = lid
	s.hint = 0
	d := s.dots.Load()
	for k := len(s.runs) - 1; k >= 0 && s.runs[k].lid >= lid; k-- {
		if d != nil {
			rr := d.of(s.runs[k].rep)
			at := s.floorRun(rr, s.runs[k].seq)
			rr.runs = slices.Delete(rr.runs, at, at+1)
		}
		s.runs = s.runs[:k]
	}
}

// dotIndexNow returns the index of dots, building it on first need. Reads may call it concurrently.
func (s *Sequence) dotIndexNow() *dotIndex {
	if d := s.dots.Load(); d != nil {
		return d
	}
	s.build.Lock()
	defer s.build.Unlock()
	if d := s.dots.Load(); d != nil {
		return d
	}
	d := &dotIndex{byRep: make(map[uint32]*repRuns)}
	for i := range s.runs {
		rr := d.byRep[s.runs[i].rep]
		if rr == nil {
			rr = &repRuns{}
			d.byRep[s.runs[i].rep] = rr
		}
		rr.runs = append(rr.runs, uint32(i))
	}
	for _, rr := range d.byRep {
		s.sortBySeq(rr.runs)
	}
	s.dots.Store(d)
	return d
}

// sortBySeq sorts indexes of runs of one replica by seq. After a load they stand in the order of the list, and comparing many
// costs more than the load did: they are sorted by digits, where seq and index fit into a word.
func (s *Sequence) sortBySeq(index []uint32) {
	const few = 64
	compare := func(a, b uint32) int { return cmp.Compare(s.runs[a].seq, s.runs[b].seq) }
	if len(index) < few || slices.IsSortedFunc(index, compare) {
		slices.SortFunc(index, compare)
		return
	}
	all := uint64(0)
	for _, i := range index {
		all |= s.runs[i].seq
	}
	low := bits.Len(uint(len(s.runs)))
	high := low + bits.Len64(all)
	if high > 64 {
		slices.SortFunc(index, compare)
		return
	}
	keys, spare := make([]uint64, len(index)), make([]uint64, len(index))
	for k, i := range index {
		keys[k] = s.runs[i].seq<<low | uint64(i)
	}
	const digit = 11
	for ; low < high; low += digit {
		var at [1 << digit]int // where the next key with this digit goes
		for _, k := range keys {
			at[k>>low%(1<<digit)]++
		}
		sum := 0
		for d, n := range at {
			at[d], sum = sum, sum+n
		}
		for _, k := range keys {
			p := &at[k>>low%(1<<digit)]
			spare[*p] = k
			*p++
		}
		keys, spare = spare, keys
	}
	for k, key := range keys {
		index[k] = uint32(key & (1<<bits.Len(uint(len(s.runs))) - 1))
	}
}

// EachElement calls f for those of the n dots from id on that are elements, hidden or not, in runs of consecutive LIDs.
// Cost: O(log runs), and O(1) a run; the first time as LIDOf.
func (s *Sequence) EachElement(id ID, n uint64, f func(lid LID, n int)) {
	rr := s.dotIndexNow().of(id.Rep)
	if rr == nil || n == 0 {
		return
	}
	end := id.Seq + n
	for _, i := range rr.runs[max(0, s.floorRun(rr, id.Seq)):] {
		r := &s.runs[i]
		if r.seq >= end {
			break
		}
		from := max(r.seq, id.Seq)
		to := min(r.seq+uint64(s.runEnd(int(i))-r.lid), end)
		if from < to {
			f(r.lid+LID(from-r.seq), int(to-from))
		}
	}
}

// Has says whether all n elements with dots from id on are present, hidden or not. Cost: O(log runs) a run of dots.
func (s *Sequence) Has(id ID, n int) bool { return s.known(id, n) == nil }

// appendDots appends the dots of n elements from lid on, joining them to what was appended after dst[:base].
func (s *Sequence) appendDots(dst []IDSpan, base int, lid LID, n uint32) []IDSpan {
	for n > 0 {
		i := s.runAt(lid)
		s.hint = i
		r := &s.runs[i]
		m := min(n, s.runEnd(i)-lid)
		dst = joinDots(dst, base, IDSpan{ID{r.rep, r.seq + uint64(lid-r.lid)}, int(m)})
		lid += m
		n -= m
	}
	return dst
}

// joinDots appends d, joining it to the last of dst[base:] when it continues that.
func joinDots(dst []IDSpan, base int, d IDSpan) []IDSpan {
	if k := len(dst); k > base {
		last := &dst[k-1]
		if last.ID.Rep == d.ID.Rep && last.ID.Seq+uint64(last.N) == d.ID.Seq {
			last.N += d.N
			return dst
		}
	}
	return append(dst, d)
}
