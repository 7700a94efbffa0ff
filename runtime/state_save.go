package runtime

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"hash/crc32"
	"slices"
	"strings"
	"sync"

	"github.com/google/uuid"
	"github.com/klauspost/compress/zstd"

	"github.com/seed1312cc15/weft/vclock"
)

const (
	stateZstd     = 1 << 0 // canonical and local section are compressed together
	stateDocument = 1 << 1 // a document ID follows
	stateKnown    = stateZstd | stateDocument
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// SaveOption changes how a state is written.
type SaveOption func(*saveOptions)

type saveOptions struct {
	level zstd.EncoderLevel
	local bool
}

// Compressed compresses the state with Zstandard (RFC 8878); level 1 is fast, 4 small, and
// any other means the nearest of these.
func Compressed(level int) SaveOption {
	return func(o *saveOptions) { o.level = zstd.EncoderLevel(min(max(level, 1), 4)) }
}

// CanonicalOnly leaves waiting messages and the deletion record out. Objects of unknown kinds stay: they stand nowhere
// else.
func CanonicalOnly() SaveOption { return func(o *saveOptions) { o.local = false } }

// Save returns the whole document: its canonical bytes, then what only this replica has (waiting messages, the deletion
// record, parts of unknown kinds), each with a checksum. The caller owns the bytes. Cost: O(size).
func (r *Runtime) Save(opts ...SaveOption) ([]byte, error) {
	if err := r.tryRLock(); err != nil {
		return nil, err
	}
	defer r.mu.RUnlock()
	return r.save(nil, opts...)
}

// SaveSince returns a delta: what a replica whose clock is at least min(c, own clock) lacks. A receiver that does not
// cover that base gets *MissingDepsError. Its size follows the changes while the deletion record reaches back to c;
// beyond, a delta also lists the runs of live dots.
func (r *Runtime) SaveSince(c vclock.Clock, opts ...SaveOption) ([]byte, error) {
	if err := r.tryRLock(); err != nil {
		return nil, err
	}
	defer r.mu.RUnlock()
	base := make([]uint64, len(r.next))
	for i, n := range r.next {
		base[i] = min(n, c.Get(r.replicas[i]))
	}
	return r.save(base, opts...)
}

// Canonical returns the canonical bytes: equal for all replicas that have applied the same transactions (and know all
// kinds in use).
func (r *Runtime) Canonical() []byte {
	r.rlock()
	defer r.mu.RUnlock()
	r.saving.Lock()
	defer r.saving.Unlock()
	return r.newSaver(nil).canonical(nil)
}

// Digest returns the SHA-256 of the format version and the canonical bytes: the question "are we in sync?" in 32 bytes.
func (r *Runtime) Digest() [32]byte {
	return sha256.Sum256(append([]byte{formatState}, r.Canonical()...))
}

func (r *Runtime) save(base []uint64, opts ...SaveOption) ([]byte, error) {
	o := saveOptions{local: true}
	for _, f := range opts {
		f(&o)
	}
	r.saving.Lock()
	defer r.saving.Unlock()
	s := r.newSaver(base)
	out := s.canonical(make([]byte, stateHead, stateHead+1024))
	canonical := uint64(len(out) - stateHead)
	local := s.local(o.local)
	if o.level != 0 && int(canonical)+len(local) >= leastCompressed {
		raw := append(out, local...)
		raw = raw[prepend(raw, stateHead, appendUvarint(nil, canonical)):]
		packed, err := compress(stateHead, raw, o.level)
		if err != nil {
			return nil, err
		}
		// Where it shrinks so far that a reader would take it for an attack, it stays as it is.
		if uint64(len(raw)) <= mostInflated(len(packed)-stateHead) {
			at := prepend(packed, stateHead, s.head(stateZstd, uint64(len(raw))))
			packed = seal(appendChecksum(packed, packed[at:]), at)
			if cap(packed) > len(packed)+len(packed)/4 {
				packed = bytes.Clone(packed)
			}
			return packed, nil
		}
	}
	at := prepend(out, stateHead, s.head(0, canonical))
	out = appendChecksum(out, out[at:])
	second := len(out)
	out = appendUvarint(out, uint64(len(local)))
	out = append(out, local...)
	return seal(appendChecksum(out, out[second:]), at), nil
}

// stateHead is the most that stands before the first section: it is written when the rest is there.
const stateHead = 64

// prepend writes head before b[at:], and returns where it begins.
func prepend(b []byte, at int, head []byte) int {
	copy(b[at-len(head):], head)
	return at - len(head)
}

// head returns what stands before the first section, whose size is given.
func (s *saver) head(flags byte, size uint64) []byte {
	r := s.rt
	format := byte(formatState)
	if s.base != nil {
		format = formatDelta
	}
	if r.document != uuid.Nil {
		flags |= stateDocument
	}
	head := append(make([]byte, 0, stateHead), format, 0, flags)
	if r.document != uuid.Nil {
		head = append(head, r.document[:]...)
	}
	return appendUvarint(head, size)
}

// seal puts the magic tag and the byte-string head before the content b[at:], where there is room for them.
func seal(b []byte, at int) []byte {
	return b[prepend(b, at, bstrHeader(append(make([]byte, 0, stateHead), magic...), len(b)-at)):]
}

// leastCompressed is where compression begins to save something, in bytes.
const leastCompressed = 256

// encoders keeps Zstandard encoders: they are costly to make and to zero. Small inputs have their own, with a window to
// match.
var encoders [2][zstd.SpeedBestCompression + 1]sync.Pool

const smallWindow = 64 << 10

// compress returns the compressed raw behind room for head bytes.
func compress(head int, raw []byte, level zstd.EncoderLevel) ([]byte, error) {
	large := 0
	if len(raw) > smallWindow {
		large = 1
	}
	pool := &encoders[large][level]
	e, ok := pool.Get().(*zstd.Encoder)
	if !ok {
		opts := []zstd.EOption{zstd.WithEncoderLevel(level), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false)}
		if large == 0 {
			opts = append(opts, zstd.WithWindowSize(smallWindow))
		}
		var err error
		if e, err = zstd.NewWriter(nil, opts...); err != nil {
			return nil, err
		}
	}
	defer pool.Put(e)
	// One buffer for all that may come out: one that grows would take several times its size.
	return e.EncodeAll(raw, make([]byte, head, head+e.MaxEncodedSize(len(raw))+4)), nil
}

func appendChecksum(b, of []byte) []byte {
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(of, castagnoli))
}

// sealed puts the magic tag and the byte-string head in front.
func sealed(content []byte) []byte {
	out := make([]byte, 0, len(magic)+5+len(content))
	out = append(out, magic...)
	out = bstrHeader(out, len(content))
	return append(out, content...)
}

// saver writes one state.
type saver struct {
	rt    *Runtime
	w     *StateWriter
	base  []uint64
	reps  []Rep    // replicas with dots, by ID
	canon []uint32 // per replica: its number in reps
	kinds []*kindInfo
	keys  map[string]int
	delta *deltaInfo

	out    []byte
	before []byte // memory for what stands before a section

	// Of a delta that lists deletions: the objects that were looked at, with what the delta says of them; nil: nothing.
	sections map[*Node]*deltaSection
	scratch  []byte
}

// deltaSection is what a delta says of an object: its section, unless only of objects below it.
type deltaSection struct {
	bytes []byte
	reps  []Rep
}

func (r *Runtime) newSaver(base []uint64) *saver {
	s := &saver{rt: r, base: base, canon: make([]uint32, len(r.next))}
	for i, n := range r.next {
		if n > 0 {
			s.reps = append(s.reps, Rep(i))
		}
	}
	slices.SortFunc(s.reps, r.CompareReplicas)
	for i, rep := range s.reps {
		s.canon[rep] = uint32(i)
	}
	s.w = r.newStateWriter(base, r.next)
	if base != nil {
		s.delta = r.deletions.since(base)
		s.sections = make(map[*Node]*deltaSection)
	}
	return s
}

func (s *saver) uvarint(v uint64) { s.out = appendUvarint(s.out, v) }

// canonical appends the canonical section; for a delta, its counterpart.
func (s *saver) canonical(dst []byte) []byte {
	nodes := s.nodes()
	s.out = slices.Grow(dst, 256)
	s.clock()
	s.uvarint(uint64(len(s.kinds)))
	for _, k := range s.kinds {
		s.uvarint(k.code)
		if k.code == 0 {
			s.uvarint(uint64(len(k.name)))
			s.out = append(s.out, k.name...)
		}
	}
	s.uvarint(uint64(len(nodes)))
	out := s.out
	for i, n := range nodes {
		out = s.object(out, n, i)
	}
	for _, n := range nodes {
		n.inState = 0
	}
	return out
}

// clock writes replicas, clock, base, heads and the Lamport timestamp.
func (s *saver) clock() {
	r := s.rt
	s.uvarint(uint64(len(s.reps)))
	s.out = slices.Grow(s.out, len(s.reps)*(16+2)) // ID and clock of each
	for _, rep := range s.reps {
		s.out = append(s.out, r.replicas[rep][:]...)
	}
	for _, rep := range s.reps {
		s.uvarint(r.next[rep])
	}
	if s.base != nil {
		for _, rep := range s.reps {
			s.uvarint(r.next[rep] - s.base[rep])
		}
		if s.delta.live {
			s.out = append(s.out, 1)
		} else {
			s.out = append(s.out, 0)
		}
	}
	heads := make([]int, 0, len(r.heads.reps))
	for _, rep := range r.heads.reps {
		heads = append(heads, int(s.canon[rep]))
	}
	slices.Sort(heads)
	s.uvarint(uint64(len(heads)))
	last := 0
	for _, h := range heads {
		s.uvarint(uint64(h - last))
		last = h
	}
	s.uvarint(r.lamport)
}

// nodes returns the objects to write, in canonical order: roots by name and kind, made objects by dot, then implicit
// ones by (parent's place, key, kind), parents before children. It numbers them (inState) and collects their kinds.
func (s *saver) nodes() []*Node {
	r := s.rt
	r.table.Lock() // readers may be making handles
	defer r.table.Unlock()
	var roots, made []*Node
	for _, n := range r.roots {
		if s.wanted(n) {
			roots = append(roots, n)
		}
	}
	for n := range r.made.all {
		if s.wanted(n) {
			made = append(made, n)
		}
	}
	slices.SortFunc(roots, func(a, b *Node) int {
		return cmp.Or(strings.Compare(a.key, b.key), strings.Compare(a.kind.name, b.kind.name))
	})
	slices.SortFunc(made, func(a, b *Node) int { return r.CompareDots(a.dot(), b.dot()) })
	nodes := append(roots, made...)
	for i := 0; i < len(nodes); i++ {
		n := nodes[i]
		n.inState = uint32(i + 1)
		if len(n.kids()) == 0 {
			continue
		}
		at := len(nodes)
		for _, k := range n.kids() {
			if s.wanted(k) {
				nodes = append(nodes, k)
			}
		}
		slices.SortFunc(nodes[at:], func(a, b *Node) int {
			return cmp.Or(strings.Compare(a.key, b.key), strings.Compare(a.kind.name, b.kind.name))
		})
	}
	var seen map[*kindInfo]bool // made when there is a second kind
	for _, n := range nodes {
		if seen[n.kind] || len(s.kinds) > 0 && n.kind == s.kinds[0] {
			continue
		}
		if s.kinds = append(s.kinds, n.kind); len(s.kinds) > 1 {
			if seen == nil {
				seen = make(map[*kindInfo]bool)
			}
			seen[n.kind] = true
		}
	}
	slices.SortFunc(s.kinds, func(a, b *kindInfo) int { return strings.Compare(a.name, b.name) })
	return nodes
}

// wanted reports whether an object, or one below it, has something to write.
func (s *saver) wanted(n *Node) bool {
	if s.delta != nil && !s.delta.live {
		return s.changed(n) != nil
	}
	if n.obj != nil && n.opaque() == nil && !n.obj.Empty() || s.lost(n) {
		return true
	}
	for _, k := range n.kids() {
		if s.wanted(k) {
			return true
		}
	}
	return false
}

// changed is wanted for a delta that lists deletions: objects that nothing has happened to are not in it.
func (s *saver) changed(n *Node) *deltaSection {
	if c, ok := s.sections[n]; ok {
		return c
	}
	var c *deltaSection
	if n.obj != nil && n.opaque() == nil || s.lost(n) {
		s.scratch = s.w.section(s.scratch[:0], n, s.delta)
		if len(s.scratch) > 1 || s.lost(n) { // more than "no deletions"
			c = &deltaSection{slices.Clone(s.scratch), slices.Clone(s.w.reps)}
		}
	}
	for _, k := range n.kids() {
		if s.changed(k) != nil && c == nil {
			c = &deltaSection{}
		}
	}
	s.sections[n] = c
	return c
}

// lost reports whether a delta says by name what n has lost. Of opaque objects it does so if nothing else is known of
// them: parts and operations tell it themselves.
func (s *saver) lost(n *Node) bool {
	return s.delta != nil && len(s.delta.byNode[n]) > 0 && !n.opaque().holds()
}

// object appends one entry: a tag (bits 0-1 class, bit 2: no state follows, then the kind's number), what identifies it,
// and its section. The section comes first, in its place but for what is then put before it.
func (s *saver) object(out []byte, n *Node, i int) []byte {
	kind, _ := slices.BinarySearchFunc(s.kinds, n.kind, func(a, b *kindInfo) int { return strings.Compare(a.name, b.name) })
	at := len(out)
	stub := (n.obj == nil || n.opaque() != nil) && !s.lost(n)
	s.w.reset()
	reps := s.w.reps
	switch {
	case s.delta != nil && !s.delta.live:
		c := s.changed(n)
		stub, reps = c.bytes == nil, c.reps
		out = append(out, c.bytes...)
	case !stub && (s.delta != nil || !n.obj.Empty()):
		out = s.w.section(out, n, s.delta)
		reps = s.w.reps
	}
	s.out = s.before[:0]
	tag := uint64(n.class) | uint64(kind)<<3
	if stub {
		tag |= 4
	}
	s.uvarint(tag)
	switch n.class {
	case classRoot:
		s.uvarint(uint64(len(n.key)))
		s.out = append(s.out, n.key...)
	case classDot:
		s.uvarint(uint64(s.canon[n.dot().Rep]))
		s.uvarint(n.dot().Seq)
	case classImplicit:
		s.uvarint(uint64(i) - uint64(n.parent.inState-1))
		s.key(n.key)
	}
	if !stub {
		s.sizeAndTable(len(out)-at, reps)
	}
	s.before = s.out
	return slices.Insert(out, at, s.before...)
}

// key writes the key of an implicit object: field names recur, so each is spelled out once.
func (s *saver) key(key string) {
	if i, ok := s.keys[key]; ok {
		s.uvarint(uint64(i) + 1)
		return
	}
	if s.keys == nil {
		s.keys = make(map[string]int)
	}
	s.keys[key] = len(s.keys)
	s.uvarint(0)
	s.uvarint(uint64(len(key)))
	s.out = append(s.out, key...)
}

// sizeAndTable writes the length of a section of size bytes with its table in front, and the table: the object's replicas as
// numbers of the state's table.
func (s *saver) sizeAndTable(size int, reps []Rep) {
	if size == 0 {
		s.uvarint(0)
		return
	}
	size += uvarintLen(uint64(len(reps)))
	for _, rep := range reps {
		size += uvarintLen(uint64(s.canon[rep]))
	}
	s.uvarint(uint64(size))
	s.table(reps)
}
