package decoders

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/fuzz"
	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// editor makes one operation on a document.
type editor func(r *rand.Rand, tx runtime.Tx) error

// schema opens documents of one kind; ahead are its edits by name.
type schema func(o *runtime.Options) (*runtime.Runtime, editor)

func schemaOf[H any](s *fuzz.Subject[H]) schema {
	var names []string
	for name := range s.Edits {
		names = append(names, name)
	}
	slices.Sort(names)
	return func(o *runtime.Options) (*runtime.Runtime, editor) {
		rt, h, err := s.Open(o)
		must(err)
		return rt, func(r *rand.Rand, tx runtime.Tx) error {
			_, err := s.Edits[names[r.IntN(len(names))]](fuzz.FromRand(r), tx, h)
			if errors.Is(err, fuzz.ErrNothing) {
				return nil
			}
			return err
		}
	}
}

// schemas are documents of one type, which are small, and of all.
var schemas = sync.OnceValue(func() []schema {
	board := schemaOf(fuzz.Of[fuzz.Board]("board"))
	return []schema{
		board, board, board,
		schemaOf(fuzz.Of[crdt.Text]("text")),
		schemaOf(fuzz.Of[crdt.List[int]]("list")),
		schemaOf(fuzz.Of[crdt.ObjectList[crdt.Text]]("objectlist")),
		schemaOf(fuzz.Of[crdt.ObjectMap[string, fuzz.Task]]("objectmap")),
		schemaOf(fuzz.Of[crdt.LazyMap[string, crdt.Set[string]]]("lazymap")),
		schemaOf(fuzz.Of[crdt.Map[string, string]]("map")),
		schemaOf(fuzz.Of[crdt.Counter]("counter")),
	}
})

// must is for what cannot fail without any damage; Run tells of the panic.
func must(err error) {
	if err != nil {
		panic(fmt.Errorf("an honest history: %w", err))
	}
}

// id returns the replica ID of a number.
func id(n int) (r vclock.Replica) {
	binary.BigEndian.PutUint64(r[8:], uint64(n))
	r[0] = byte(n * 77)
	return r
}

// random is an io.Reader of random bytes.
type random struct{ *rand.Rand }

func (r random) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(r.Uint32())
	}
	return len(p), nil
}

// history is what some replicas wrote: first half, which one of them has, and all, which another one has.
type history struct {
	open     schema
	messages [][]byte
	half     *runtime.Runtime
	full     *runtime.Runtime
	sparse   *runtime.Runtime // as full, without a deletion record
}

// newHistory draws a history. Its replicas meet at times, so some of it is concurrent.
func newHistory(r *rand.Rand) *history {
	h := &history{open: schemas()[r.IntN(len(schemas()))]}
	var writers []*runtime.Runtime
	var edits []editor
	for i := range 2 + r.IntN(2) {
		rt, edit := h.open(&runtime.Options{Replica: id(1 + i), Rand: random{r}})
		writers, edits = append(writers, rt), append(edits, edit)
	}
	h.half, _ = h.open(&runtime.Options{Replica: id(20), Rand: random{r}})
	h.full, _ = h.open(&runtime.Options{Replica: id(21), Rand: random{r}})
	h.sparse, _ = h.open(&runtime.Options{Replica: id(22), Rand: random{r}, Deletions: -1})
	for range 8 + r.IntN(40) {
		i := r.IntN(len(writers))
		if other := r.IntN(len(writers)); other != i && r.IntN(2) == 0 {
			give(writers[other], writers[i])
		}
		must(writers[i].Transact(func(tx runtime.Tx) error {
			for range 1 + r.IntN(3) {
				if err := edits[i](r, tx); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	for _, w := range writers {
		give(w, h.full)
	}
	var err error
	h.messages, err = h.full.MessagesSince(nil)
	must(err)
	for _, m := range h.messages[:len(h.messages)/2] {
		_, err := h.half.Receive(m)
		must(err)
	}
	give(h.full, h.sparse)
	return h
}

func give(from, to *runtime.Runtime) {
	ms, err := from.MessagesSince(to.Clock())
	must(err)
	for _, m := range ms {
		_, err := to.Receive(m)
		must(err)
	}
}

// updates returns the history in all forms, for a reader that has the first half.
func (h *history) updates() (out [][]byte) {
	add := func(u []byte, err error) {
		must(err)
		out = append(out, u)
	}
	later := h.messages[len(h.messages)/2:]
	if len(later) > 12 {
		later = later[:12]
	}
	out = append(out, later...)
	add(runtime.Bundle(h.messages))
	add(runtime.Bundle(later))
	add(h.full.Save())
	add(h.full.Save(runtime.CanonicalOnly()))
	add(h.full.SaveSince(h.half.Clock()))
	add(h.sparse.SaveSince(h.half.Clock()))
	add(h.full.SaveSince(nil))
	add(h.half.Save())
	add(h.full.Save(runtime.Compressed(1)))
	add(h.full.SaveSince(h.half.Clock(), runtime.Compressed(1)))
	waiting, _ := h.open(&runtime.Options{Replica: id(23)})
	for _, m := range slices.Backward(later) {
		_, err := waiting.Receive(m)
		must(err)
	}
	add(waiting.Save())
	return out
}

// stream returns the messages packed one after the other, and the state of the packer before the second half.
func (h *history) stream(split bool) (state, first, second []byte) {
	p := runtime.Packer{Split: split}
	var err error
	for i, m := range h.messages {
		if i == len(h.messages)/2 {
			state, first = p.AppendState(nil), second
			second = nil
		}
		second, err = p.Append(second, m)
		must(err)
	}
	return state, first, second
}
