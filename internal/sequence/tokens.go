package sequence

// token is one canonical span as the saved form codes it, but for the choice of codes.
type token struct {
	shape  shape
	hidden bool
	same   bool // the replica is the predicted one
	other  bool // seq is for column seqOther
	rep    uint32
	n      uint32
	climb  uint32 // of kind C
	back   uint32 // of kind C
	seq    uint64
}

// awaited is a parent that stands after its left children, which have been passed.
type awaited struct {
	parent LID
	lorig  LID
	id     ID // dot of lorig
	depth  int
}

// link is an entry of the chain. span numbers the canonical span that it belongs to; a canonical span may have
// several entries, one a piece, and base is the position in it of the piece's first element.
type link struct {
	first LID
	open  uint32 // offset of the element from first
	span  uint32
	base  uint32
}

// tokenizer turns the list into tokens: the machine of format.go, from the writer's side.
type tokenizer struct {
	s       *Sequence
	tokens  []token
	chain   []link
	pending []awaited
	last    ID   // dot of the element before; meaningless at the start
	lastLID LID  // root at the start
	hidden  bool // visibility of the element before
	reps    numbering
	ends    []uint64 // by number: the dot after the last span of that replica
}

// numbering numbers replicas in order of first use.
type numbering struct {
	numbers map[uint32]uint32
	reps    []uint32
	rep     uint32 // the last one asked for, with its number
	number  uint32
}

func (m *numbering) of(rep uint32) uint32 {
	if len(m.reps) > 0 && m.rep == rep {
		return m.number
	}
	n, ok := m.numbers[rep]
	if !ok {
		if m.numbers == nil {
			m.numbers = make(map[uint32]uint32)
		}
		n = uint32(len(m.reps))
		m.numbers[rep] = n
		m.reps = append(m.reps, rep)
	}
	m.rep, m.number = rep, n
	return n
}

// tokenize returns the tokens of s, which is not empty, and its replicas.
func (s *Sequence) tokenize() *tokenizer {
	t := &tokenizer{s: s, lastLID: root, chain: []link{{first: root, span: root}}}
	t.tokens = make([]token, 0, len(s.leaves)*leafCap*3/4)
	s.eachPiece(t.piece)
	return t
}

func (t *tokenizer) piece(p *piece) {
	next := t.lastLID != root && p.id.Rep == t.last.Rep && p.id.Seq == t.last.Seq+1
	if next && !p.left && p.lorig == t.lastLID && p.hidden == t.hidden {
		top := &t.tokens[len(t.tokens)-1]
		t.chain = append(t.chain, link{p.first, p.n - 1, uint32(len(t.tokens) - 1), top.n})
		top.n += p.n
		t.ends[top.rep] += uint64(p.n)
	} else {
		t.begin(p)
	}
	t.lastLID = p.first + p.n - 1
	t.last = ID{p.id.Rep, p.id.Seq + uint64(p.n) - 1}
	t.hidden = p.hidden
}

// begin makes the token of a new canonical span.
func (t *tokenizer) begin(p *piece) {
	i := len(t.tokens)
	t.tokens = append(t.tokens, token{})
	tk := &t.tokens[i]
	tk.n, tk.hidden = p.n, p.hidden
	lorig := t.place(tk, p)
	t.dot(tk, p, lorig)
	t.chain = append(t.chain, link{p.first, p.n - 1, uint32(i), 0})
}

// place codes the origin of a span and returns the dot of its left origin.
func (t *tokenizer) place(tk *token, p *piece) (lorig ID) {
	lorig = t.last
	switch k := len(t.pending) - 1; {
	case p.lorig == t.lastLID:
		tk.shape = side(p, shapeARight, shapeALeft)
	case k >= 0 && t.pending[k].parent == p.first:
		lorig = t.pending[k].id
		t.chain = t.chain[:t.pending[k].depth]
		t.pending = t.pending[:k]
		tk.shape = side(p, shapeBRight, t.share(p, shapeBLeft, shapeBShare))
	case k >= 0 && t.pending[k].lorig == p.lorig:
		lorig = t.pending[k].id
		t.chain = t.chain[:t.pending[k].depth]
		tk.shape = t.share(p, shapeSLeft, shapeSShare)
	default:
		tk.shape = side(p, shapeCRight, shapeCLeft)
		if p.lorig != root {
			lorig = t.s.IDOf(p.lorig)
		}
		t.climb(tk, p.lorig)
	}
	if p.left && !tk.shape.isShare() {
		t.pending = append(t.pending, awaited{p.parent, p.lorig, lorig, len(t.chain)})
	}
	return lorig
}

func side(p *piece, right, left shape) shape {
	if p.left {
		return left
	}
	return right
}

func (t *tokenizer) share(p *piece, alone, share shape) shape {
	if k := len(t.pending); k > 0 && t.pending[k-1].parent == p.parent {
		return share
	}
	return alone
}

// climb goes up the chain to lorig and codes how far that is.
func (t *tokenizer) climb(tk *token, lorig LID) {
	k := len(t.chain) - 1
	span, open := t.chain[k].span, t.chain[k].base+t.chain[k].open
	for lorig-t.chain[k].first > t.chain[k].open {
		k--
		if c := t.chain[k].span; c != span {
			span, open = c, t.chain[k].base+t.chain[k].open
			tk.climb++
		}
	}
	e := &t.chain[k]
	e.open = lorig - e.first
	tk.back = open - (e.base + e.open)
	if tk.climb == 0 {
		tk.back--
	}
	t.chain = t.chain[:k+1]
}

// dot codes the replica and seq of a span's first dot against its left origin's.
func (t *tokenizer) dot(tk *token, p *piece, lorig ID) {
	tk.rep = t.reps.of(p.id.Rep)
	if int(tk.rep) == len(t.ends) {
		t.ends = append(t.ends, 0)
	}
	predicted := t.last.Rep
	if p.lorig != root {
		predicted = lorig.Rep
	}
	tk.same = predicted == p.id.Rep
	if p.lorig != root && lorig.Rep == p.id.Rep {
		tk.seq = p.id.Seq - lorig.Seq - 1
		if tk.seq == 0 && !p.left {
			tk.shape = tk.shape.next()
		}
	} else {
		tk.other = true
		tk.seq = zigzag(int64(p.id.Seq - t.ends[tk.rep]))
	}
	t.ends[tk.rep] = p.id.Seq + uint64(p.n)
}

func zigzag(v int64) uint64   { return uint64(v<<1) ^ uint64(v>>63) }
func unzigzag(v uint64) int64 { return int64(v>>1) ^ -int64(v&1) }
