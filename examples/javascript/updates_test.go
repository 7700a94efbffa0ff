package javascript_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"github.com/seed1312cc15/weft"
	"github.com/seed1312cc15/weft/runtime"
)

// TestReadsUpdates has histories of several replicas read as bundles, messages, states and deltas, which all have to say the
// same: values, places of elements, dependencies, timestamps.
func TestReadsUpdates(t *testing.T) {
	args := append(node(t), "testdata/read.js")
	for name, o := range map[string]runtime.Options{"deletions": {}, "what is alive": {Deletions: -1}} {
		t.Run(name, func(t *testing.T) {
			var in, want bytes.Buffer
			for seed := range uint64(6) {
				line, shows := history(t, o, seed)
				in.WriteString(asJSON(t, line) + "\n")
				want.WriteString(shows + "\n")
			}
			cmd := exec.Command(args[0], args[1:]...)
			var complaints strings.Builder
			cmd.Stdin, cmd.Stderr = &in, &complaints
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v: %.2000s", err, complaints.String())
			}
			a, b := strings.Split(string(out), "\n"), strings.Split(want.String(), "\n")
			for i := range min(len(a), len(b)) {
				if a[i] != "" && normal(t, a[i]) != b[i] || len(a) != len(b) {
					t.Fatalf("history %d reads as %s, not %s", i, a[i], b[i])
				}
			}
		})
	}
}

func normal(t *testing.T, s string) string {
	var v map[string]any
	if err := json.Unmarshal([]byte(s), &v); err != nil {
		t.Fatal(err)
	}
	return asJSON(t, v)
}

// history lets replicas edit and exchange what they have written, and returns it in all forms, and what is shown at the end.
func history(t *testing.T, o runtime.Options, seed uint64) (line map[string]any, shows string) {
	replicas := make([]*writer, 5)
	for i := range replicas {
		replicas[i] = local(t, o, seed*100+uint64(i))
	}
	first := replicas[0]
	give := func(from, to *writer) {
		messages, err := from.doc.Runtime.MessagesSince(to.doc.Runtime.Clock())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range messages {
			if _, err := to.doc.Runtime.Receive(m); err != nil {
				t.Fatal(err)
			}
		}
	}
	early := local(t, o, 0)
	for step := range 200 {
		i := first.rnd.IntN(len(replicas))
		for range first.rnd.IntN(3) {
			replicas[i].edit(replicas[i].any)
		}
		if first.rnd.IntN(3) == 0 {
			other := replicas[first.rnd.IntN(len(replicas))]
			replicas[i].typeAtEnd()
			give(replicas[i], other)
			other.typeAtEnd()
			replicas[i].typeAtEnd() // what it goes on with and what the other has begun are siblings
		}
		give(replicas[first.rnd.IntN(len(replicas))], replicas[i])
		if step == int(seed)*39 {
			give(replicas[i], early)
		}
	}
	for _, r := range replicas {
		give(r, first)
	}
	messages := first.since(nil)
	bundle, err := runtime.Bundle(messages)
	if err != nil {
		t.Fatal(err)
	}
	state, err := first.doc.Runtime.Save()
	if err != nil {
		t.Fatal(err)
	}
	delta, err := first.doc.Runtime.SaveSince(early.doc.Runtime.Clock())
	if err != nil {
		t.Fatal(err)
	}
	text, fields := first.shows()
	return map[string]any{
		"bundle": hex.EncodeToString(bundle), "messages": inHex(messages), "early": inHex(early.since(nil)),
		"delta": hex.EncodeToString(delta), "state": hex.EncodeToString(state),
	}, asJSON(t, map[string]any{"text": text, "map": fields})
}

// typeAtEnd adds a word at the end of the text, or deletes something there, one after the other.
func (w *writer) typeAtEnd() {
	erase := w.rnd.IntN(2) == 0
	for range 3 {
		w.edit(func(tx weft.Tx, root *notes) error {
			if n := root.Body.Len(tx); erase && n > 0 {
				return root.Body.Delete(tx, n-1, 1)
			}
			return root.Body.Insert(tx, root.Body.Len(tx), "x")
		})
	}
}

func inHex(list [][]byte) []string {
	out := make([]string, len(list))
	for i, b := range list {
		out[i] = hex.EncodeToString(b)
	}
	return out
}
