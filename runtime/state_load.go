package runtime

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/seed1312cc15/weft/vclock"
)

// receiveState merges a state or delta: all of it, or on error nothing.
func (r *Runtime) receiveState(data []byte, origin any) (Result, error) {
	h, err := openState(data, r.bounds())
	if err != nil {
		return Result{}, err
	}
	if err := r.checkDocument(h.document); err != nil {
		return Result{}, err
	}
	if err := r.checkBase(h); err != nil {
		return Result{}, err
	}
	if n, most := r.writersWith(h), r.bounds().Replicas; n > most {
		return Result{}, &LimitError{"Replicas", uint64(n), uint64(most)}
	}
	l := r.newLoader(h)
	var res Result
	news := !within(l.end, r.next)
	if news || len(h.local) > 0 {
		if err := l.merge(news); err != nil {
			return Result{}, err
		}
	}
	if news {
		res.Applied++
		u := &Update{Kind: StateUpdate, Origin: origin}
		if h.delta {
			u.Kind = DeltaUpdate
		}
		if r.events.updates.any() {
			u.Data = bytes.Clone(data)
		}
		if err := r.finish(u); err != nil {
			return Result{}, err
		}
	} else {
		res.Redundant++
		if err := r.commitObjects(&Commit{rt: r, Origin: origin, Load: true}); err != nil {
			return Result{}, err
		}
	}
	for _, w := range l.waiting {
		// A message that is refused here was not applied there either.
		if err := r.receiveMessage(w, origin, &res); err != nil {
			r.log.Debug("weft: waiting message of a state refused", "error", err)
		}
	}
	if news {
		for _, id := range h.ids {
			r.wake(id, &res)
		}
	}
	return res, nil
}

// writersWith returns how many replicas have dots once the state is merged.
func (r *Runtime) writersWith(h *stateHeader) int {
	n := r.writers
	for _, id := range h.ids {
		if r.nextOf(id) == 0 {
			n++
		}
	}
	return n
}

func (r *Runtime) checkBase(h *stateHeader) error {
	var need []vclock.Span
	for i, b := range h.bases {
		if have := r.nextOf(h.ids[i]); have < b {
			need = append(need, vclock.Span{Replica: h.ids[i], Start: have, End: b})
		}
	}
	if need != nil {
		return &MissingDepsError{need}
	}
	return nil
}

// loader merges one state.
type loader struct {
	rt     *Runtime
	h      *stateHeader
	reps   []Rep    // the state's replicas here
	end    []uint64 // per replica: what the state holds
	base   []uint64 // per replica; nil for a full state
	kinds  []*kindInfo
	keys   []string
	nodes  []*Node // the state's objects, nil for those that are deleted here
	last   objectOrder
	listed map[*Node]bool
	fresh  []*Node // made objects that were not here
	gone   bool    // some object of the state is deleted here, and with it what the state has below

	floor     []uint64 // of the other side's deletion record, taken over
	hasRecord bool
	waiting   [][]byte
	ext       []byte // records of the local section that are not known
	known     int    // replicas in the tables before
}

func (r *Runtime) newLoader(h *stateHeader) *loader {
	l := &loader{rt: r, h: h, reps: make([]Rep, len(h.ids)), listed: make(map[*Node]bool), known: len(r.replicas)}
	r.places = 0
	for i, id := range h.ids {
		l.reps[i] = r.rep(id)
	}
	l.end = make([]uint64, len(r.replicas))
	if h.delta {
		l.base = make([]uint64, len(r.replicas))
	}
	for i, rep := range l.reps {
		l.end[rep] = h.ends[i]
		if h.delta {
			l.base[rep] = h.bases[i]
		}
	}
	return l
}

func (l *loader) merge(news bool) (err error) {
	r := l.rt
	r.answers = r.firstHop
	done := false
	defer func() {
		if done {
			return
		}
		v := recover()
		r.rollback()
		r.forgetReplicas(l.known)
		if v != nil {
			err = &PanicError{"merging a state", v}
			if checked {
				panic(err)
			}
		}
	}()
	if news {
		if l.end[r.self] > r.next[r.self] && !r.untouched() && !r.restoring {
			if err := r.changeReplica(); err != nil {
				return err
			}
		}
		if err := l.objects(); err != nil {
			return err
		}
	}
	if err := l.local(news); err != nil {
		return err
	}
	if news {
		if err := l.unlisted(); err != nil {
			return err
		}
		l.orphans()
		l.advance()
	}
	if len(r.ext) == 0 {
		r.ext = l.ext
	}
	done = true
	return nil
}

// untouched reports whether the document holds nothing but a genesis transaction: a load into it continues what is
// loaded, under its own replica ID too.
func (r *Runtime) untouched() bool {
	if r.writers == 1 {
		return r.nextOf(GenesisReplica) > 0
	}
	return r.writers == 0
}

// advance joins clock, heads, Lamport timestamp and document ID.
func (l *loader) advance() {
	r := l.rt
	theirs := make(map[Rep]bool, len(l.h.heads))
	for _, i := range l.h.heads {
		theirs[l.reps[i]] = true
	}
	for _, rep := range slices.Clone(r.heads.reps) {
		// Our head is not maximal if they have it and something after it.
		if r.next[rep] < l.end[rep] || r.next[rep] == l.end[rep] && !theirs[rep] {
			r.heads.remove(rep)
		}
	}
	for rep := range theirs {
		if r.next[rep] < l.end[rep] {
			r.heads.add(rep)
		}
	}
	r.writers = r.writersWith(l.h)
	for i, rep := range l.reps {
		r.next[rep] = max(r.next[rep], l.h.ends[i])
	}
	r.loaded = joinClocks(r.loaded, l.end)
	r.lamport = max(r.lamport, l.h.lamport)
	if r.document == uuid.Nil && l.h.document != uuid.Nil {
		r.setDocument(l.h.document)
	}
	if l.base == nil || l.h.live {
		// What they deleted is not told one by one, unless their record was taken over.
		floor := l.end
		if l.hasRecord {
			floor = l.floor
		}
		for _, rep := range l.reps {
			r.deletions.raise(rep, floor[rep])
		}
	}
}

func (l *loader) objects() error {
	rd := &l.h.rd
	r := l.rt
	if err := l.readKinds(); err != nil {
		return err
	}
	count := rd.Count("objects", 2)
	l.nodes = make([]*Node, 0, count)
	var sections []stateSection
	for i := 0; i < count && rd.err == nil; i++ {
		n, p, stub := l.entry(i)
		l.nodes = append(l.nodes, n)
		if !stub && n != nil {
			sections = append(doubled(sections), stateSection{n, p.reps, p.section})
		}
	}
	if err := rd.Done(); err != nil {
		return err
	}
	for _, s := range sections {
		n, p := s.node, opaquePart{base: l.base, end: l.end, live: l.h.live, reps: s.reps, section: s.bytes}
		l.listed[n] = true
		if n.state != alive {
			continue
		}
		r.touch(n)
		if n.opaque() != nil {
			n.ownOpaque().add(r, []opaquePart{p.clone()}, nil)
			continue
		}
		if err := r.mergeSection(n, p, r.next); err != nil {
			if err = l.doubt(n, true, err); err != nil {
				return err
			}
		}
	}
	for _, n := range l.nodes {
		if n == nil || n.state != alive {
			l.gone = true // deleted here, or dropped by its container, which was merged before
		}
	}
	return nil
}

// stateSection is an object's section of the state that is being read.
type stateSection struct {
	node  *Node
	reps  []Rep
	bytes []byte
}

func (l *loader) readKinds() error {
	rd := &l.h.rd
	n := rd.Count("kinds", 1)
	last := ""
	for i := 0; i < n && rd.err == nil; i++ {
		code := rd.Uvarint("kind code")
		name := ""
		switch {
		case code == 0:
			b := rd.Bytes("kind name")
			if name = string(b); name == "" || len(name) > maxKindName || kindCode(name) != 0 {
				rd.Fail("kind name", ErrCorrupt)
			}
		case code < uint64(len(wellKnown)):
			name = wellKnown[code]
		default:
			rd.Fail("kind code", ErrVersion)
		}
		if i > 0 && name <= last && rd.err == nil {
			rd.Fail("kinds", ErrCorrupt)
		}
		last = name
		if rd.err == nil {
			l.rt.table.Lock()
			l.kinds = append(l.kinds, l.rt.kind(name))
			l.rt.table.Unlock()
		}
	}
	return rd.err
}

// entry reads one object's entry and finds the object: nil if it was deleted here, or is below one that was.
func (l *loader) entry(i int) (n *Node, p opaquePart, stub bool) {
	rd := &l.h.rd
	r := l.rt
	r.table.Lock()
	defer r.table.Unlock() // a kind's New may panic
	tag := rd.Uvarint("object")
	class, stub := nodeClass(tag&3), tag&4 != 0
	if tag>>3 >= uint64(len(l.kinds)) {
		rd.Fail("object kind", ErrCorrupt)
		return nil, p, stub
	}
	k := l.kinds[tag>>3]
	switch class {
	case classRoot:
		if name := string(rd.Bytes("object name")); l.nameOK(name) && l.inOrder(objectOrder{class: class, key: name, kind: k.name}) {
			n = r.root(name, k)
		}
	case classDot:
		if d, at := l.dot(); rd.err == nil && l.inOrder(objectOrder{class: class, at: at, seq: d.Seq}) {
			n = l.made(d, k)
		}
	case classImplicit:
		back := rd.Uvarint("object parent")
		key := l.key()
		if back == 0 || back > uint64(i) {
			rd.Fail("object parent", ErrCorrupt)
			return nil, p, stub
		}
		at := i - int(back)
		if rd.err != nil || !l.inOrder(objectOrder{class: class, at: uint64(at), key: key, kind: k.name}) {
			return nil, p, stub
		}
		parent := l.nodes[at]
		if parent != nil && parent.state == alive && l.nameOK(key) {
			var err error
			if n, err = parent.implicit(key, k); err != nil {
				rd.Fail("object parent", err)
				return nil, p, stub
			}
		}
	default:
		rd.Fail("object class", ErrCorrupt)
	}
	if stub || rd.err != nil {
		return n, p, stub
	}
	p = opaquePart{base: l.base, end: l.end, live: l.h.live}
	section := Reader{buf: rd.Bytes("section"), base: rd.off, format: rd.format}
	if len(section.buf) == 0 {
		return n, p, stub
	}
	t := section.Count("section replicas", 1)
	p.reps = make([]Rep, t)
	for j := range p.reps {
		at := section.Uvarint("section replica")
		if at >= uint64(len(l.reps)) {
			section.Fail("section replica", ErrCorrupt)
			break
		}
		p.reps[j] = l.reps[at]
	}
	p.section = section.Rest()
	if section.err != nil && rd.err == nil {
		rd.err = section.err
	}
	return n, p, stub
}

func (l *loader) nameOK(name string) bool {
	if most := l.rt.bounds().NameBytes; len(name) > most {
		l.h.rd.Fail("object name", &LimitError{"NameBytes", uint64(len(name)), uint64(most)})
	}
	return l.h.rd.err == nil
}

// key reads the key of an implicit object; children of the same name share one string.
func (l *loader) key() string {
	rd := &l.h.rd
	if i := rd.Uvarint("object key"); i > 0 {
		if i > uint64(len(l.keys)) {
			rd.Fail("object key", ErrCorrupt)
			return ""
		}
		return l.keys[i-1]
	}
	k := string(rd.Bytes("object key"))
	l.keys = append(l.keys, k)
	return k
}

// dot reads the dot of a made object, and returns the number of its replica in the state too.
func (l *loader) dot() (d LocalDot, at uint64) {
	rd := &l.h.rd
	i, seq := rd.Uvarint("object dot"), rd.Uvarint("object dot")
	if i >= uint64(len(l.reps)) || seq >= l.h.ends[i] {
		rd.Fail("object dot", ErrCorrupt)
		return LocalDot{}, 0
	}
	return LocalDot{l.reps[i], seq}, i
}

// objectOrder is the place of an object among those of a state: roots by name and kind, made objects by replica and seq,
// implicit ones by the place of the parent, key and kind.
type objectOrder struct {
	class     nodeClass
	at, seq   uint64 // at: number of the replica, or of the parent
	key, kind string
}

// inOrder fails unless an object comes after all before it: none stands there twice.
func (l *loader) inOrder(o objectOrder) bool {
	w := &l.last
	if len(l.nodes) > 0 && cmp.Or(cmp.Compare(w.class, o.class), cmp.Compare(w.at, o.at), cmp.Compare(w.seq, o.seq),
		strings.Compare(w.key, o.key), strings.Compare(w.kind, o.kind)) >= 0 {
		l.h.rd.Fail("order of objects", ErrCorrupt)
		return false
	}
	*w = o
	return true
}

// made finds a made object; one that is not here and not known to have been is made now and must find its container
// before the end.
func (l *loader) made(d LocalDot, k *kindInfo) *Node {
	r := l.rt
	if n := r.made.get(d); n != nil {
		if n.kind != k {
			return nil
		}
		return n
	}
	if r.Covers(d) && r.opaques == 0 {
		return nil
	}
	n := r.adoptLater(d, k)
	l.fresh = append(l.fresh, n)
	return n
}

// doubt looks at an error of merging n. An object that an opaque container has made may have been deleted by it too, and
// then what comes for it, or for what is below it, may presume what it no longer holds: it is dropped. known says that the
// object must have been known here before.
func (l *loader) doubt(n *Node, known bool, err error) error {
	r := l.rt
	if r.overspent() {
		return err
	}
	for top := n; top != nil; top = top.parent {
		if top.class == classDot && (top.parent == nil || top.parent.opaque() != nil) && (!known || r.Covers(top.dot())) {
			r.noteProblem(Problem{Dot: r.Dot(top.dot()), Object: n.String(), Err: err})
			r.table.Lock()
			r.drop(top)
			r.table.Unlock()
			return nil
		}
	}
	return err
}

func (p opaquePart) clone() opaquePart {
	p.section = bytes.Clone(p.section)
	return p
}

// mergeSection hands a section to its object.
func (r *Runtime) mergeSection(n *Node, p opaquePart, ours []uint64) error {
	rd := r.dec.state
	if rd == nil {
		rd = new(StateReader)
		r.dec.state = rd
	}
	ends, list := rd.ends[:0], rd.list[:0]
	if cap(list) > 1<<10 {
		list = nil
	}
	*rd = StateReader{node: n, base: p.base, end: p.end, ours: ours, live: p.live, list: list}
	rd.Reader = Reader{buf: p.section, format: n.kind.format, reps: p.reps}
	for _, rep := range p.reps {
		ends = append(ends, p.end[rep])
	}
	rd.ends = ends
	if p.base != nil && len(p.section) > 0 {
		if p.live {
			rd.readLive()
		} else {
			rd.readDeletions()
		}
	}
	if rd.err != nil {
		return rd.err
	}
	if err := n.obj.Merge(rd); err != nil {
		if r.overspent() {
			return fmt.Errorf("runtime: object %s: %w", n, inner{err})
		}
		if errors.Is(err, ErrCorrupt) || errors.Is(err, ErrInvalidOp) || errors.Is(err, ErrLimit) {
			return fmt.Errorf("%w: object %s: %w", ErrCorrupt, n, inner{err})
		}
		if errors.Is(err, ErrVersion) {
			return fmt.Errorf("runtime: object %s: %w", n, inner{err}) // it holds something of a newer version, such as a kind
		}
		return internal(fmt.Errorf("object %s: %w", n, inner{err}))
	}
	return nil
}

// overspent reports whether the state that is being merged lists too many places, which is the fault of all of it.
func (r *Runtime) overspent() bool { return r.places > uint64(r.bounds().Places) }

// unlisted merges the initial state into every object here that the state does not list: what it had is deleted there,
// unless they never knew it.
func (l *loader) unlisted() error {
	if l.base != nil && !l.h.live {
		return nil // a delta with deletions lists every object that lost something
	}
	r := l.rt
	for _, n := range r.allNodes() {
		if n.state != alive || l.listed[n] {
			continue
		}
		if n.opaque() != nil {
			if n.opaque().holds() {
				r.touch(n)
				n.ownOpaque().add(r, []opaquePart{{base: l.base, end: l.end, live: l.h.live}}, nil)
			}
			continue
		}
		if n.obj.Empty() {
			continue
		}
		r.touch(n)
		if err := r.mergeSection(n, opaquePart{base: l.base, end: l.end, live: l.h.live}, r.next); err != nil {
			return err
		}
	}
	return nil
}

// orphans drops made objects for which no container spoke up, unless an opaque one may be it. That is no fault of the
// state where containers that it has are deleted here.
func (l *loader) orphans() {
	if l.rt.opaques > 0 {
		return
	}
	for _, n := range l.fresh {
		if n.parent == nil && n.state == alive {
			l.rt.table.Lock()
			l.rt.drop(n)
			l.rt.table.Unlock()
			if !l.gone {
				l.rt.noteProblem(Problem{Dot: l.rt.Dot(n.dot()), Object: n.String(), Err: ErrCorrupt})
			}
		}
	}
}
