package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"unicode/utf8"

	"github.com/seed1312cc15/weft/runtime"
)

// verify checks a script that was replayed with its messages kept: the text is the trace's endContent, and four replicas that got the same
// transactions in four ways (wrote them, received them in order, received them shuffled, loaded the saved state) have
// equal canonical bytes and keep their invariants. It returns the saved state.
func verify(w *writers) (state []byte, err error) {
	first, err := w.last()
	if err != nil {
		return nil, fmt.Errorf("the writer of the last transaction: %w", err)
	}
	if err := sameText(first.value(), w.end); err != nil {
		return nil, err
	}
	if state, err = first.rt.Save(); err != nil {
		return nil, err
	}
	messages, canonical := w.sent(), first.rt.Canonical()
	size := 0
	for _, m := range messages {
		size += len(m)
	}
	raised := runtime.Limits{Waiting: len(messages) + 1, WaitingOrigin: len(messages) + 1, WaitingBytes: size + 1}
	for i, way := range []struct {
		name   string
		limits runtime.Limits
		fill   func(r *replica) error
	}{
		{"every message in order", runtime.Limits{}, func(r *replica) error { return r.receive(messages) }},
		{"every message shuffled", raised, func(r *replica) error { return r.receive(shuffled(messages)) }},
		{"the saved state", runtime.Limits{}, func(r *replica) error { return r.rt.Load(state) }},
	} {
		r, err := newReplica(reader(byte(i+1)), runtime.Options{Limits: way.limits})
		if err != nil {
			return nil, err
		}
		if err := way.fill(r); err != nil {
			return nil, fmt.Errorf("the replica that got %s: %w", way.name, err)
		}
		if err := same(r, canonical, w.end); err != nil {
			return nil, fmt.Errorf("the replica that got %s: %w", way.name, err)
		}
	}
	if err := first.rt.Check(); err != nil {
		return nil, fmt.Errorf("the writer of the last transaction: %w", err)
	}
	return state, nil
}

func same(r *replica, canonical []byte, text string) error {
	if n := r.rt.Waiting(); n > 0 {
		return fmt.Errorf("%s still waiting", plural(n, "message"))
	}
	if err := sameText(r.value(), text); err != nil {
		return err
	}
	if got := r.rt.Canonical(); !bytes.Equal(got, canonical) {
		return fmt.Errorf("canonical bytes differ from the writer's at byte %d", commonPrefix(string(got), string(canonical)))
	}
	return r.rt.Check()
}

// sameText says where got differs from the trace's endContent.
func sameText(got, want string) error {
	if got == want {
		return nil
	}
	at := commonPrefix(got, want)
	for at > 0 && at < len(got) && !utf8.RuneStart(got[at]) {
		at--
	}
	return fmt.Errorf("the text differs from endContent at code point %d: %s, want %s",
		utf8.RuneCountInString(got[:at]), excerpt(got[at:]), excerpt(want[min(at, len(want)):]))
}

func excerpt(s string) string {
	if s == "" {
		return "the end"
	}
	return fmt.Sprintf("%q", clip(s, 20))
}

func commonPrefix(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// shuffled returns the messages in an order that is random and the same each time.
func shuffled(messages [][]byte) [][]byte {
	out := append([][]byte(nil), messages...)
	rnd := rand.New(rand.NewPCG(1, 2))
	rnd.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}
