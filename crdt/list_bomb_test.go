package crdt_test

import (
	"encoding/binary"
	"errors"
	goruntime "runtime"
	"testing"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/internal/sequence"
	"github.com/seed1312cc15/weft/internal/trace"
	"github.com/seed1312cc15/weft/runtime"
)

const (
	codeList       = 11
	codeObjectList = 12
	codeText       = 13
)

type indexOrder struct{}

func (indexOrder) CompareReplicas(a, b uint32) int { return int(a) - int(b) }

// listOf returns the state of a sequence of n places, all dead or all alive.
func listOf(t testing.TB, n int, dead bool) []byte {
	t.Helper()
	seq := sequence.New(indexOrder{}, false)
	if _, _, err := seq.Insert(0, sequence.ID{}, n, ""); err != nil {
		t.Fatal(err)
	}
	if dead {
		if _, err := seq.Hide(sequence.ID{}, n, nil); err != nil {
			t.Fatal(err)
		}
	}
	state := seq.AppendState(nil, func(uint32) int { return 0 })
	return append(binary.AppendUvarint(nil, uint64(len(state))), state...)
}

// craft returns a state of objects of one kind, roots named "a", "b" and so on, with these sections, of which one replica
// wrote n dots.
func craft(kind byte, n int, sections ...[]byte) []byte {
	id := trace.AgentReplica(7)
	c := append([]byte{1}, id[:]...)
	c = binary.AppendUvarint(c, uint64(n))
	c = binary.AppendUvarint(append(c, 1, 0), uint64(n))
	c = append(c, 1, kind, byte(len(sections)))
	for i, s := range sections {
		c = append(c, 0, 1, 'a'+byte(i))
		c = binary.AppendUvarint(c, uint64(len(s)+2))
		c = append(append(c, 1, 0), s...)
	}
	content := binary.AppendUvarint([]byte{0x13, 0, 0}, uint64(len(c)))
	content = append(append(content, c...), 0, 0, 0, 0, 0, 0, 0, 0, 0)
	data := append([]byte{0xda, 'w', 'e', 'f', 't', 0x5a}, binary.BigEndian.AppendUint32(nil, uint32(len(content)))...)
	switch n := len(content); {
	case n < 24:
		data = []byte{0xda, 'w', 'e', 'f', 't', 0x40 + byte(n)}
	case n < 256:
		data = []byte{0xda, 'w', 'e', 'f', 't', 0x58, byte(n)}
	case n < 65536:
		data = []byte{0xda, 'w', 'e', 'f', 't', 0x59, byte(n >> 8), byte(n)}
	}
	data = append(data, content...)
	reseal(data)
	return data
}

// allocated returns the bytes that receiving an update allocates.
func allocated(rt *runtime.Runtime, data []byte) (uint64, error) {
	var before, after goruntime.MemStats
	goruntime.GC()
	goruntime.ReadMemStats(&before)
	_, err := rt.Receive(data)
	goruntime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc, err
}

// TestPlaceBombs loads states of a few bytes that claim many places: dead ones cost next to nothing, beyond Limits.Places the
// state is refused, and living ones need bytes of their own.
func TestPlaceBombs(t *testing.T) {
	const most = 1 << 23 // the default of Limits.Places
	dead := func(n int) []byte { return append(listOf(t, n, true), 0, 0) }
	living := func(n int, rest ...byte) []byte { return append(append(listOf(t, n, false), 0, 0), rest...) }
	objects := func(n uint64) []byte { return append(binary.AppendUvarint(nil, n), codeText) }
	half := dead(most/2 + 1)
	for name, c := range map[string]struct {
		data []byte
		most uint64
		err  error
	}{
		"list, dead":                    {craft(codeList, most, dead(most)), 64 << 10, nil},
		"objects, dead":                 {craft(codeObjectList, most, dead(most)), 64 << 10, nil},
		"list, one too many":            {craft(codeList, most+1, dead(most+1)), 64 << 10, runtime.ErrLimit},
		"list, 2^30":                    {craft(codeList, 1<<30, dead(1<<30)), 64 << 10, runtime.ErrLimit},
		"objects, 2^30":                 {craft(codeObjectList, 1<<30, dead(1<<30)), 64 << 10, runtime.ErrLimit},
		"two lists, together too many":  {craft(codeList, most, half, half), 64 << 10, runtime.ErrLimit},
		"list, living without values":   {craft(codeList, most, living(most)), 64 << 10, runtime.ErrCorrupt},
		"objects, living, no arguments": {craft(codeObjectList, most, living(most, objects(most)...)), 64 << 10, runtime.ErrCorrupt},
		"objects, the last without":     {craft(codeObjectList, 100, living(100, append(objects(100), make([]byte, 99)...)...)), 256 << 10, runtime.ErrCorrupt},
	} {
		rt, s := newSequences(t, 1)
		do(t, rt, func(tx runtime.Tx) error { return s.list.Append(tx, 1) })
		before := string(rt.Canonical())
		got, err := allocated(rt, c.data)
		t.Logf("%s: %d bytes allocated for %d, %v", name, got, len(c.data), err)
		if got > c.most || !errors.Is(err, c.err) {
			t.Errorf("%s: %d bytes allocated for %d, %v", name, got, len(c.data), err)
		}
		var limit *runtime.LimitError
		if c.err == runtime.ErrLimit && (!errors.As(err, &limit) || limit.Name != "Places" || errors.Is(err, runtime.ErrCorrupt)) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && string(rt.Canonical()) != before {
			t.Errorf("%s: changed the document", name)
		}
	}
	rt, err := runtime.New(&runtime.Options{Kinds: crdt.Kinds(), Limits: runtime.Limits{Places: most + 2}})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // each state has the budget anew
		receive(t, rt, craft(codeList, most, half, half))
		receive(t, rt, craft(codeList, most+1, half, half))
	}
}

// TestObjectBombs applies messages and states that make many objects: each needs a byte at least, and costs a bounded amount.
func TestObjectBombs(t *testing.T) {
	const n, each = 20_000, 2500 // 800 without the race detector
	a, la := newTexts(t, 1)
	sent := collect(a)
	insert := func(payload string, dots int) []byte {
		do(t, a, func(tx runtime.Tx) error {
			w, err := tx.Begin(la.Node())
			if err == nil {
				w.RawString(payload)
				w.Commit(dots) // not applied here
			}
			return err
		})
		return sent()[0]
	}
	b, lb := newTexts(t, 2)
	for _, dots := range []int{200_000, 1_000_000} {
		bomb := insert("\x10\x0d", dots)
		got, err := allocated(b, bomb)
		if got > 64<<10 || err != nil || len(bomb) > 40 {
			t.Errorf("%d bytes allocated for a message of %d, %v", got, len(bomb), err)
		}
	}
	if size := runtime.Read(b, lb.Len); size != 0 {
		t.Fatalf("%d objects were made", size)
	}
	a, la = newTexts(t, 3)
	sent = collect(a)
	do(t, a, func(tx runtime.Tx) error { _, err := la.InsertN(tx, 0, n); return err })
	for name, data := range map[string][]byte{"message": sent()[0], "state": save(t, a)} {
		b, lb := newTexts(t, 4)
		got, err := allocated(b, data)
		t.Logf("%s: %d bytes, %d allocated for an object", name, len(data), got/n)
		if err != nil || len(data) < n || got > each*n || runtime.Read(b, lb.Len) != n {
			t.Errorf("%s of %d bytes: %d allocated for an object, %v", name, len(data), got/n, err)
		}
	}
}

// TestMillionPlaces loads an honest list of a million places, half of them dead.
func TestMillionPlaces(t *testing.T) {
	const n = 1_000_000
	a, list := newNumbers(t, 1)
	do(t, a, func(tx runtime.Tx) error { return list.Append(tx, make([]int, n)...) })
	do(t, a, func(tx runtime.Tx) error { return list.Delete(tx, n/4, n/2) })
	data := save(t, a)
	b, _ := newNumbers(t, 2)
	got, err := allocated(b, data)
	if err != nil || got > 64*uint64(len(data)) {
		t.Fatalf("%d bytes allocated for %d, %v", got, len(data), err)
	}
	same(t, a, b)
	if err := b.Check(); err != nil {
		t.Error(err)
	}
}
