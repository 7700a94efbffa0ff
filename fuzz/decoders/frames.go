package decoders

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/providers/mem"
	"github.com/seed1312cc15/weft/runtime"
)

func frames() []*decoder {
	return []*decoder{
		{"frames to a client", func(r *rand.Rand) ([][]byte, func() reader) { return sides(r, 0) }},
		{"frames to a server", func(r *rand.Rand) ([][]byte, func() reader) { return sides(r, 1) }},
		{"stored", keepers},
	}
}

const document = "doc"

// epoch is when everything happens that is not told the time.
func epoch() time.Time { return time.Unix(1_700_000_000, 0) }

// side is one end of a link: a client, which dials and opens, or a server, which keeps what it gets, in a numbered log in half
// of the rounds.
type side struct {
	rt     *runtime.Runtime
	mux    *providers.Mux
	keeper *providers.Keeper
	opt    providers.Options
	edit   editor
	now    time.Time
	taken  int
}

// play is what a side is in a round.
type play struct {
	*history
	numbered bool
	seed     uint64
}

func (p *play) side(i int) *side {
	r := rand.New(rand.NewPCG(p.seed, uint64(i)))
	s := &side{now: epoch()}
	s.rt, s.edit = p.open(&runtime.Options{Replica: id(40 + i), Rand: random{r}, Limits: limits})
	var err error
	s.mux, err = providers.NewMux(&providers.MuxOptions{Acceptor: i == 1, Token: []byte("token"), IncomingBytes: 1 << 20})
	must(err)
	s.opt.Ephemeral, err = providers.NewEphemeral(&providers.EphemeralOptions{Own: s.rt.Replica(), Now: func() time.Time { return s.now }})
	must(err)
	if i == 1 {
		s.keeper, err = providers.Keep(context.Background(), s.rt, mem.NewStore(), document,
			&providers.KeeperOptions{Manual: true, Now: func() time.Time { return s.now }, Rand: random{r}})
		must(err)
		s.opt.Durable, s.opt.FirstHop, s.opt.IgnoreAcks = s.keeper.Durable, true, true
		if p.numbered {
			s.opt.Log = s.keeper.Log()
		}
	} else if p.numbered {
		s.opt.Follow = new(providers.Follower)
	}
	s.mux.Tick(s.now)
	return s
}

// events answers what a side asks its program. It reports what a program would not expect.
func (s *side) events() error {
	for ev, ok := s.mux.NextEvent(); ok; ev, ok = s.mux.NextEvent() {
		switch ev := ev.(type) {
		case providers.Admission:
			s.mux.Admit()
		case providers.Admitted:
			if s.keeper == nil {
				if _, err := s.mux.Open(s.rt, document, &s.opt); err != nil {
					return err
				}
			}
		case providers.Opening:
			if ev.Document != document || s.mux.Session(document) != nil {
				s.mux.Refuse(ev, &providers.RefusedError{Code: providers.CodeNotFound})
			} else if _, err := s.mux.Accept(ev, s.rt, &s.opt); err != nil && s.mux.Err() == nil {
				var refused *providers.RefusedError
				if !errors.As(err, &refused) && !errors.Is(err, providers.ErrInvalidOptions) {
					return fmt.Errorf("Accept: %w", err)
				}
			}
		}
	}
	return nil
}

// take hands a frame over and gives back what the side then sends.
func (s *side) take(frame []byte) (sent [][]byte, err error) {
	if frame != nil {
		s.mux.Receive(frame)
	}
	if err := s.events(); err != nil {
		return nil, err
	}
	for s.keeper != nil && s.keeper.Step() {
		if x := s.mux.Session(document); x != nil {
			x.Poke()
		}
	}
	for range 16 {
		f, ok := s.mux.Next()
		if !ok {
			break
		}
		sent = append(sent, f)
	}
	return sent, s.events()
}

func (s *side) write(r *rand.Rand) {
	must(s.rt.Transact(func(tx runtime.Tx) error { return s.edit(r, tx) }))
	must(s.opt.Ephemeral.Set([]byte{0x18, byte(r.Uint32())}))
}

// record plays an honest exchange, and returns what each side got.
func (p *play) record(r *rand.Rand) (got [2][][]byte) {
	sides := [2]*side{p.side(0), p.side(1)}
	if r.IntN(2) == 0 {
		give(p.half, sides[1].rt)
	}
	for range 8 + r.IntN(8) {
		for i, s := range sides {
			sent, err := s.take(nil)
			must(err)
			for len(sent) > 0 {
				f := sent[0]
				sent = sent[1:]
				got[1-i] = append(got[1-i], bytes.Clone(f))
				back, err := sides[1-i].take(f)
				must(err)
				for _, f := range back {
					got[i] = append(got[i], bytes.Clone(f))
					more, err := s.take(f)
					must(err)
					sent = append(sent, more...)
				}
			}
			if r.IntN(2) == 0 {
				s.write(r)
			}
		}
	}
	for _, s := range sides {
		must(s.mux.Err())
	}
	return got
}

// sides get honest frames up to some place of an exchange, and damaged ones from there on.
func sides(r *rand.Rand, i int) ([][]byte, func() reader) {
	p := &play{newHistory(r), r.IntN(2) == 0, r.Uint64()}
	got := p.record(r)[i]
	seeds := got
	if len(seeds) > 40 {
		seeds = seeds[:40]
	}
	return seeds, func() reader {
		s := p.side(i)
		_, err := s.take(nil)
		must(err)
		for _, f := range got[:r.IntN(min(len(got), 12)+1)] {
			if _, err := s.take(f); err != nil {
				must(err)
			}
			if r.IntN(8) == 0 {
				s.write(r)
			}
		}
		return s.read
	}
}

func (s *side) read(frame []byte) (outcome, error) {
	s.taken++
	if s.taken%8 == 0 {
		s.now = s.now.Add(time.Second)
		s.mux.Tick(s.now)
	}
	sent, err := s.take(frame)
	if err != nil {
		return 0, err
	}
	for _, f := range sent {
		if _, _, err := providers.PeekFrame(f); err != nil || len(f) > providers.MaxFrame {
			return 0, fmt.Errorf("it sends %d bytes, %w", len(f), err)
		}
	}
	if err := s.mux.Err(); err != nil {
		var ended *providers.EndedError
		if !errors.As(err, &ended) {
			return 0, err
		}
		return over, s.rt.Check()
	}
	if s.taken == 48 || s.mux.Over() {
		return spent, s.rt.Check()
	}
	return accepted, nil
}

// keepers load damaged records and snapshots.
func keepers(r *rand.Rand) (seeds [][]byte, _ func() reader) {
	p := &play{newHistory(r), true, r.Uint64()}
	store := mem.NewStore()
	rt, edit := p.open(&runtime.Options{Replica: id(50), Rand: random{r}})
	k, err := providers.Keep(context.Background(), rt, store, document, &providers.KeeperOptions{Manual: true, Now: epoch, Rand: random{r}, SnapshotRecords: 6})
	must(err)
	give(p.half, rt)
	for range 10 {
		for k.Step() {
		}
		must(rt.Transact(func(tx runtime.Tx) error { return edit(r, tx) }))
		if stored, err := store.Load(context.Background(), document); err == nil {
			for _, rec := range stored.Records {
				seeds = append(seeds, rec.Data)
			}
			if stored.Snapshot != nil {
				seeds = append(seeds, stored.Snapshot.State)
			}
		}
	}
	for k.Step() {
	}
	whole, err := store.Load(context.Background(), document)
	must(err)
	return seeds, func() reader {
		snapshot := r.IntN(3) == 0
		return func(input []byte) (outcome, error) {
			store := mem.NewStore()
			var err error
			if snapshot {
				err = store.Snapshot(context.Background(), document, &providers.Snapshot{State: input})
			} else {
				if whole.Snapshot != nil && r.IntN(2) == 0 {
					must(store.Snapshot(context.Background(), document, whole.Snapshot))
				}
				_, err = store.Append(context.Background(), []providers.Record{{Document: document, Data: input}})
			}
			if err != nil {
				return over, nil // the store does not take it
			}
			rt, _ := p.open(&runtime.Options{Replica: id(51), Limits: limits, Rand: random{r}})
			k, err := providers.Keep(context.Background(), rt, store, document, &providers.KeeperOptions{Manual: true, Now: epoch, Rand: random{r}})
			if err != nil {
				return over, rt.Check()
			}
			for k.Step() {
			}
			return spent, rt.Check()
		}
	}
}
