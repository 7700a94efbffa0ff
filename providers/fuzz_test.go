package providers_test

import (
	"encoding/binary"
	"errors"
	goruntime "runtime"
	"testing"
	"time"

	"github.com/seed1312cc15/weft/providers"
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
	f.Fuzz(func(t *testing.T, acceptor bool, data []byte) {
		x, peer := newNode(t, 1, runtime.Options{}), newNode(t, 2, runtime.Options{})
		i := 0
		w := newWire(t, x, peer, nil, nil)
		if acceptor {
			w = newWire(t, peer, x, nil, nil)
			i = 1
		}
		w.opts[i] = &providers.Options{}
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
	f.Fuzz(func(t *testing.T, data []byte) {
		x := newNode(t, 1, runtime.Options{})
		x.insert(t, 0, "here")
		s, err := providers.NewSession(x.rt, 1, "doc", nil)
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
