package crdt_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	goruntime "runtime"
	"strings"
	"sync"
	"testing"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/internal/trace"
	"github.com/seed1312cc15/weft/runtime"
)

// sequences has one object of each kind of sequence.
type sequences struct {
	text  crdt.Text
	list  crdt.List[int]
	texts texts
}

func newSequences(t testing.TB, k int) (*runtime.Runtime, sequences) {
	t.Helper()
	rt, err := runtime.New(&runtime.Options{Replica: trace.AgentReplica(k), Kinds: crdt.SequenceKinds()})
	if err != nil {
		t.Fatal(err)
	}
	var s sequences
	for name, h := range map[string]crdt.Handle{"text": &s.text, "list": &s.list, "texts": &s.texts} {
		n, err := rt.Root(name, h.Kind())
		if err != nil {
			t.Fatal(err)
		}
		h.Bind(n)
	}
	return rt, s
}

// scribble makes random edits of all sorts.
func (s sequences) scribble(tx runtime.Tx, r *rand.Rand) error {
	n, m, k := s.text.Len(tx), s.list.Len(tx), s.texts.Len(tx)
	err := errors.Join(s.text.Insert(tx, r.IntN(n+1), "aé🚀"), s.list.Insert(tx, r.IntN(m+1), r.IntN(1000), 7))
	_, e := s.texts.Insert(tx, r.IntN(k+1), func(o *crdt.Text) error { return o.Insert(tx, 0, "x") })
	err = errors.Join(err, e)
	if n > 3 {
		err = errors.Join(err, s.text.Delete(tx, r.IntN(n-2), 2))
	}
	if m > 4 {
		err = errors.Join(err, s.list.Delete(tx, r.IntN(m), 1), s.list.Set(tx, r.IntN(m), -1), s.list.MoveRange(tx, r.IntN(m-2), 2, r.IntN(m)))
	}
	if k > 3 {
		err = errors.Join(err, s.texts.Archive(tx, r.IntN(k), 1), s.texts.Move(tx, r.IntN(k), r.IntN(k)))
		for _, o := range s.texts.Archived(tx) {
			if r.IntN(3) == 0 {
				err = errors.Join(err, s.texts.Restore(tx, o))
				break
			}
		}
		err = errors.Join(err, s.texts.Delete(tx, r.IntN(k-1), 1))
	}
	return err
}

// reseal makes the checksums of an uncompressed state or delta right again; see docs/format.md.
func reseal(data []byte) {
	content := data[5:]
	switch content[0] {
	case 0x58:
		content = content[2:]
	case 0x59:
		content = content[3:]
	case 0x5a:
		content = content[5:]
	}
	table := crc32.MakeTable(crc32.Castagnoli)
	at, from := 3, 0
	for range 2 {
		n, k := binary.Uvarint(content[at:])
		if k <= 0 || n > uint64(len(content)-at-k-4) || at+k+4 > len(content) {
			return // a changed length
		}
		at += k + int(n)
		binary.LittleEndian.PutUint32(content[at:], crc32.Checksum(content[from:at], table))
		at += 4
		from = at
	}
}

// TestMoveOfAPlace loads states in which a move names a place, also its own, as the element that it moves.
func TestMoveOfAPlace(t *testing.T) {
	rt, s := newSequences(t, 0)
	do(t, rt, func(tx runtime.Tx) error {
		return errors.Join(s.list.Insert(tx, 0, 10, 20, 30), s.list.MoveRange(tx, 0, 2, 3))
	})
	good, found := save(t, rt), 0
	for at := 6; at < len(good)-4; at++ {
		for seq := range byte(5) { // of the dots of the three elements and the two moves
			data := bytes.Clone(good)
			data[at] = seq
			reseal(data)
			rt, _ := newSequences(t, 1)
			_, err := rt.Receive(data)
			if err := rt.Check(); err != nil {
				t.Fatalf("byte %d is %d: %v", at, seq, err)
			}
			if err != nil && strings.Contains(err.Error(), "names a place as an element") {
				found++
			}
		}
	}
	if found == 0 {
		t.Error("no state had such a move")
	}
}

// TestHostileStates changes bytes of states and deltas, past the checksums: nothing may panic, and what is refused leaves
// no trace.
func TestHostileStates(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	a, sa := newSequences(t, 1)
	b, sb := newSequences(t, 2)
	for range 8 {
		do(t, a, func(tx runtime.Tx) error { return sa.scribble(tx, r) })
		receive(t, b, save(t, a))
		do(t, b, func(tx runtime.Tx) error { return sb.scribble(tx, r) })
		receive(t, a, save(t, b))
	}
	half, _ := newSequences(t, 3)
	receive(t, half, save(t, a))
	for range 3 {
		do(t, a, func(tx runtime.Tx) error { return sa.scribble(tx, r) })
	}
	delta, err := a.SaveSince(half.Clock())
	if err != nil {
		t.Fatal(err)
	}
	base := save(t, half)
	applied := 0
	for i, good := range [][]byte{save(t, a), delta, base} {
		reseal(good)
		for range 4000 {
			data := append([]byte(nil), good...)
			for range 1 + r.IntN(2) {
				data[len(data)/8+r.IntN(len(data)*7/8-8)] = byte(r.Uint32())
			}
			reseal(data)
			rt, _ := newSequences(t, 4)
			if i > 0 {
				receive(t, rt, base)
			}
			before := string(rt.Canonical())
			_, err := rt.Receive(data)
			if errors.Is(err, runtime.ErrInternal) {
				t.Fatalf("%v, update % x", err, data)
			}
			if err == nil {
				applied++
			} else if string(rt.Canonical()) != before {
				t.Fatalf("%v left a trace", err)
			}
			if err := rt.Check(); err != nil {
				t.Fatalf("%v, update % x", err, data)
			}
		}
	}
	if applied == 0 {
		t.Error("every change was refused: the checksums are not made right")
	}
}

// TestDenseStates loads states that say as much as a byte can: what is allocated stays a multiple of their length.
func TestDenseStates(t *testing.T) {
	const n = 60_000
	edits := map[string]func(s sequences, tx runtime.Tx) error{
		"text": func(s sequences, tx runtime.Tx) error {
			err := s.text.Insert(tx, 0, strings.Repeat("x", n))
			for i := range n / 2 {
				err = errors.Join(err, s.text.Delete(tx, i, 1))
			}
			return err
		},
		"list": func(s sequences, tx runtime.Tx) error {
			err := s.list.Insert(tx, 0, make([]int, n)...)
			for i := range n / 2 {
				err = errors.Join(err, s.list.Delete(tx, i, 1))
			}
			return err
		},
	}
	for name, edit := range edits {
		a, s := newSequences(t, 1)
		do(t, a, func(tx runtime.Tx) error { return edit(s, tx) })
		data := save(t, a)
		b, _ := newSequences(t, 2)
		var before, after goruntime.MemStats
		goruntime.ReadMemStats(&before)
		receive(t, b, data)
		goruntime.ReadMemStats(&after)
		got := after.TotalAlloc - before.TotalAlloc
		t.Logf("%s: %d bytes, %.1f times", name, len(data), float64(got)/float64(len(data)))
		if got > 64*uint64(len(data))+1<<20 {
			t.Errorf("%s: %d bytes allocated for %d", name, got, len(data))
		}
	}
}

// TestR30ViewsRightAfterALoad is for the race detector.
func TestR30ViewsRightAfterALoad(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 1))
	a, sa := newSequences(t, 1)
	for range 30 {
		do(t, a, func(tx runtime.Tx) error { return sa.scribble(tx, r) })
	}
	data := save(t, a)
	for range 20 {
		b, sb := newSequences(t, 2)
		receive(t, b, data)
		var group sync.WaitGroup
		for range 2 {
			group.Go(func() {
				err := b.View(func(tx runtime.Tx) error {
					c, err := sb.text.CursorAt(tx, 3, crdt.Before)
					if err != nil {
						return err
					}
					if i, err := sb.text.IndexOf(tx, c); err != nil || i != 3 {
						t.Errorf("cursor at %d, %v", i, err)
					}
					for i, o := range sb.texts.All(tx) {
						if at, _, err := sb.texts.Position(tx, o); at != i || err != nil {
							t.Errorf("object at %d, %v", at, err)
						}
					}
					_, err = sb.list.Values(tx)
					return errors.Join(err, ignore(sb.text.String(tx)), ignore(sb.text.In(crdt.UTF16).Len(tx)))
				})
				if err != nil {
					t.Error(err)
				}
				b.Canonical()
			})
		}
		group.Wait()
	}
}

func ignore(any) error { return nil }
