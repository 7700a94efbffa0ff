package providers_test

import (
	"encoding/binary"
	"errors"
	goruntime "runtime"
	"testing"
	"time"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/providers/mem"
	"github.com/seed1312cc15/weft/runtime"
)

// recorded returns the frames of a whole exchange: what end i received.
func recorded(t testing_) (frames [2][][]byte) {
	a, b := newNode(t, 1, runtime.Options{}), newNode(t, 2, runtime.Options{})
	w := newWire(t, a, b, nil, &providers.Options{Pattern: providers.Ongoing})
	w.log = func(from int, f []byte) { frames[1-from] = append(frames[1-from], append([]byte{}, f...)) }
	a.insert(t, 0, "some text")
	b.insert(t, 0, "other text")
	w.open(t, 0, "doc")
	w.run(t)
	a.insert(t, 3, "more")
	w.run(t)
	b.remove(t, 1, 3)
	w.run(t)
	return frames
}

// recordedLog is recorded for a side that follows the log of the other.
func recordedLog(t testing_) (frames [2][][]byte) {
	s, a, b := newServer(t, 9), newNode(t, 1, runtime.Options{}), newNode(t, 2, runtime.Options{})
	other := s.join(t, b, new(providers.Follower))
	w := newWire(t, a, s.node, &providers.Options{Follow: new(providers.Follower)}, s.options())
	w.log = func(from int, f []byte) { frames[1-from] = append(frames[1-from], append([]byte{}, f...)) }
	w.open(t, 0, "doc")
	w.run(t)
	for range 3 {
		a.insert(t, 0, "a")
		b.insert(t, 0, "b")
		other.run(t)
		w.run(t)
		s.flush(t, other, w)
	}
	return frames
}

// split reads frames, each behind its length in two bytes.
func split(data []byte) (frames [][]byte) {
	for len(data) >= 2 {
		n := min(int(binary.BigEndian.Uint16(data)), len(data)-2)
		frames = append(frames, data[2:2+n])
		data = data[2+n:]
	}
	return frames
}

func join(frames [][]byte) (data []byte) {
	for _, f := range frames {
		data = append(binary.BigEndian.AppendUint16(data, uint16(len(f))), f...)
	}
	return data
}

// FuzzReceive feeds any frames to a side that has opened and accepts documents: no panic, no error but the typed ones, no
// change of the document by what is refused, and no more memory than a small multiple of the input.
func FuzzReceive(f *testing.F) {
	for _, frames := range recorded(f) {
		f.Add(false, join(frames))
		f.Add(true, join(frames))
		for i := range frames {
			f.Add(i%2 == 0, join(frames[:i]))
		}
	}
	for i, frames := range recordedLog(f) {
		f.Add(i == 1, join(frames))
	}
	f.Fuzz(func(t *testing.T, acceptor bool, data []byte) {
		x, peer := newNode(t, 1, runtime.Options{}), newNode(t, 2, runtime.Options{})
		i := 0
		w := newWire(t, x, peer, nil, nil)
		if acceptor {
			w = newWire(t, peer, x, nil, nil)
			i = 1
		}
		log := providers.NewTestLog(x.rt)
		w.opts[i] = &providers.Options{Log: log.RoomLog, Follow: new(providers.Follower)}
		w.opts[i].Ephemeral, _ = providers.NewEphemeral(&providers.EphemeralOptions{Own: x.rt.Replica(), Now: func() time.Time { return w.now }})
		if !acceptor {
			w.open(t, i, "doc")
		}
		w.fetch(t, i, 10)
		var before goruntime.MemStats
		goruntime.ReadMemStats(&before)
		for n, frame := range split(data) {
			w.ends[i].Receive(frame)
			w.take(t, i)
			for range 3 {
				w.ends[i].Next()
			}
			if err := log.Flush(); err != nil {
				t.Fatal(err)
			}
			if n%4 == 0 {
				w.now = w.now.Add(time.Second)
				w.ends[i].Tick(w.now)
			}
		}
		var after goruntime.MemStats
		goruntime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > 512*uint64(len(data))+4<<20 {
			t.Fatalf("%d bytes allocated for %d", got, len(data))
		}
		if err := x.rt.Check(); err != nil {
			t.Fatal(err)
		}
		var ended *providers.EndedError
		if err := w.ends[i].Err(); err != nil && !errors.As(err, &ended) {
			t.Fatal(err)
		}
	})
}

// FuzzSession feeds frames to a session alone, past the admission.
func FuzzSession(f *testing.F) {
	for _, frames := range recorded(f) {
		for i := range frames {
			f.Add(join(frames[min(2, i):]))
		}
	}
	f.Add(join(recordedLog(f)[0][1:]))
	f.Fuzz(func(t *testing.T, data []byte) {
		x := newNode(t, 1, runtime.Options{})
		x.insert(t, 0, "here")
		s, err := providers.NewSession(x.rt, 1, "doc", &providers.Options{Follow: new(providers.Follower)})
		if err != nil {
			t.Fatal(err)
		}
		defer x.rt.OnUpdate(s.Update)()
		s.Next()
		for _, frame := range split(data) {
			if err := s.Receive(frame); err != nil {
				if !errors.Is(err, providers.ErrMalformed) {
					t.Fatal(err)
				}
				return
			}
			s.Next()
		}
		if err := x.rt.Check(); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzStored loads any bytes as a record or a snapshot of a Keeper.
func FuzzStored(f *testing.F) {
	store := mem.NewStore()
	n := newNode(f, 1, runtime.Options{})
	k, err := providers.Keep(f.Context(), n.rt, store, "doc", &providers.KeeperOptions{SnapshotRecords: 1})
	if err != nil {
		f.Fatal(err)
	}
	n.insert(f, 0, "abc")
	n.insert(f, 1, "x")
	if err := k.Close(); err != nil {
		f.Fatal(err)
	}
	stored, err := store.Load(f.Context(), "doc")
	if err != nil || stored.Snapshot == nil {
		f.Fatal(stored, err)
	}
	f.Add(true, stored.Snapshot.State)
	f.Add(false, []byte{1, 4, 1, 2, 3, 4, 5, 6, 7, 8, 1, 9, 1, 1, 1, 'p', 0})
	for _, r := range stored.Records {
		f.Add(false, r.Data)
	}
	f.Fuzz(func(t *testing.T, snapshot bool, data []byte) {
		store := mem.NewStore()
		if snapshot {
			err := store.Snapshot(t.Context(), "doc", &providers.Snapshot{State: data})
			if err != nil {
				return // the store does not take it
			}
		} else if _, err := store.Append(t.Context(), []providers.Record{{Document: "doc", Data: data}}); err != nil {
			return // empty
		}
		x := newNode(t, 2, runtime.Options{})
		k, err := providers.Keep(t.Context(), x.rt, store, "doc", nil)
		if err == nil {
			err = k.Close()
		}
		if err != nil && x.rt.Check() != nil {
			t.Fatal(x.rt.Check())
		}
	})
}
