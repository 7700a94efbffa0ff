package fuzz

import (
	"bytes"
	"testing"

	"github.com/seed1312cc15/weft/runtime"
)

// CheckSchema is Check for a schema whose handles are not known.
func CheckSchema(t testing.TB, s Schema, o *Options) Count {
	t.Helper()
	return check(t, s, o)
}

// LawsOf is Laws for a schema whose handles are not known.
func LawsOf(t testing.TB, s Schema, o *Options) {
	t.Helper()
	laws(t, s, o)
}

// Outcome replays a script and returns the document of its first replica, which holds everything, and the messages.
func Outcome(t testing.TB, s Schema, text []byte) (*runtime.Runtime, [][]byte) {
	t.Helper()
	sc, err := parseScript(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	w, err := must(s.erase()).replay(sc, thorough, nil)
	if err != nil {
		t.Fatal(err)
	}
	var messages [][]byte
	for _, m := range w.log {
		messages = append(messages, m.data)
	}
	return w.replicas[0].rt, messages
}

// Ops returns what -fuzz.ops says, or n.
func Ops(n int) int {
	if *flagOps >= 0 {
		return *flagOps
	}
	return n
}

// RandomHistories makes long histories of ops operations.
func RandomHistories(t testing.TB, s Schema, ops int) Count {
	t.Helper()
	opts := (&Options{}).fill()
	opts.Ops = ops
	c := checker{t, must(s.erase()), opts}
	return c.random()
}

// Outcomes are the steps that long histories make, and what has to come of some: each is to occur in every schema.
func Outcomes() (all []string) {
	for _, s := range steps {
		if s.long > 0 {
			all = append(all, s.name)
		}
	}
	return append(all, "fail: panic", "deliver: waits", "repeat: known", "catch-up: evicted", "delta: applied", "delta: refused",
		"restart: crash", "reopen: snapshot")
}
