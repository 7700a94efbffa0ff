package runtime_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed1312cc15/weft/internal/converge/bag"
	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

var update = flag.Bool("update", false, "write the golden files in testdata anew")

// scene makes the document of the golden files: all classes of object, two replicas, values and a removal.
func scene(t *testing.T) (a, b *doc) {
	doc := func(o *runtime.Options) {
		o.Document = id(0xd0)
		o.WallTime = true
		o.Now = func() time.Time { return time.UnixMilli(1_700_000_000_000) }
	}
	a, b = open(t, 0xaa, doc), open(t, 0xbb, doc)
	a.add("one", "two")
	b.take(a.sent[0])
	b.edit(func(tx runtime.Tx) error {
		made, err := b.bag.Make(tx, bag.Name)
		if err != nil {
			return err
		}
		below, err := made.Below("key")
		return errors.Join(err, made.AddTimes(tx, "in", 3), below.Add(tx, "deep"))
	})
	a.take(b.sent[0])
	a.remove(0)
	return a, b
}

func TestGoldenFiles(t *testing.T) {
	lone := open(t, 1)
	short := lone.edit(func(tx runtime.Tx) error { return lone.bag.Force(tx, "\x01x") })
	a, b := scene(t)
	b.take(a.since(b.Clock()))
	third := open(t, 0xcc)
	third.take(a.save())
	x := third.add("x")
	third.add("y")
	waits := open(t, 0xee)
	waits.take(third.sent[1])
	jumped := parse(t, x)
	jumped.lamport, jumped.ext = 2, []byte{0xa1, 0x61, 0x61, 0x01}
	noRecord := open(t, 0xff, func(o *runtime.Options) { o.Deletions = -1 })
	noRecord.take(a.sent[0], b.sent[0], a.sent[1], x)
	for name, c := range map[string]struct {
		what string
		data []byte
	}{
		"message_short":    {"One operation on a root by a lone writer.", short},
		"message_several":  {"Several operations on objects of every class, with document ID and wall time.", b.sent[0]},
		"message_remove":   {"An operation that names a dot of its own sender.", a.sent[1]},
		"message_lamport":  {"A Lamport timestamp that does not follow from the start, and extensions.", jumped.encode()},
		"bundle":           {"Four messages.", mustBundle(t, [][]byte{a.sent[0], b.sent[0], a.sent[1], x})},
		"state":            {"Objects of every class, and a deletion record.", a.save()},
		"state_empty":      {"Nothing at all.", open(t, 1).save()},
		"state_waiting":    {"Nothing but a message that waits.", waits.save()},
		"delta_deletions":  {"A delta that names what was deleted.", a.since(vclock.Clock{id(0xaa): 2, id(0xbb): 5})},
		"delta_live":       {"A delta that lists what is alive.", noRecord.since(vclock.Clock{id(0xaa): 2, id(0xbb): 5})},
		"delta_everything": {"A delta against nothing.", a.since(nil)},
	} {
		golden(t, name, c.what, c.data)
	}
}

func golden(t *testing.T, name, what string, data []byte) {
	t.Helper()
	path := filepath.Join("testdata", name+".txt")
	text := fmt.Sprintf("%s\n\n%s", what, dump(data))
	if *update {
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != text {
		t.Errorf("%s: the bytes of format version 1 changed. If that is meant (it cannot be once version 1 is frozen), run with -update:\n%s", path, firstDifference(string(want), text))
	}
	for _, d := range []*doc{open(t, 1), open(t, 2, noKinds)} {
		if _, err := d.Receive(bytesOf(t, string(want))); err != nil && !errors.Is(err, runtime.ErrMissingDeps) {
			t.Errorf("%s: the golden bytes are refused: %v", path, err)
		}
	}
}

func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range w {
		if i >= len(g) || w[i] != g[i] {
			return fmt.Sprintf("line %d\nwant %s\ngot  %s", i+1, w[i], strings.Join(g[min(i, len(g)):min(i+1, len(g))], ""))
		}
	}
	return "it is longer"
}

// bytesOf reads the bytes of a dump.
func bytesOf(t *testing.T, text string) (out []byte) {
	t.Helper()
	for line := range strings.Lines(text) {
		if len(line) < 54 || line[4:6] != "  " {
			continue
		}
		for _, h := range strings.Fields(line[6:54]) {
			var b byte
			if _, err := fmt.Sscanf(h, "%02x", &b); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			out = append(out, b)
		}
	}
	return out
}

// The second implementation in wire_test.go writes what it read.
func TestWireRoundTrip(t *testing.T) {
	a, b := scene(t)
	for _, m := range append(a.sent, b.sent...) {
		if got := parse(t, m).encode(); !bytes.Equal(got, m) {
			t.Errorf("%x\n%x", m, got)
		}
	}
	for _, s := range [][]byte{a.save(), a.since(nil), a.since(vclock.Clock{id(0xaa): 2})} {
		if got := splitState(t, s).encode(); !bytes.Equal(got, s) {
			t.Errorf("%x\n%x", s, got)
		}
	}
}

// A one-character insert by a lone writer takes at most 32 bytes without the optional parts.
func TestMessageBudget(t *testing.T) {
	d := open(t, 1, func(o *runtime.Options) { o.Kinds = []runtime.Kind{bag.Kind(bag.Options{Name: "text"})} })
	b, err := bag.NewNamed(d.Runtime, "body", "text")
	if err != nil {
		t.Fatal(err)
	}
	most := 0
	for range 5000 {
		// A code, a place (two bytes: replica and distance) and the character.
		m := d.edit(func(tx runtime.Tx) error { return b.Force(tx, "\x01\x00\x01x") })
		most = max(most, len(m))
	}
	if most > 32 {
		t.Errorf("a one-character insert takes %d bytes", most)
	}
	var ms [][]byte
	for i := range 100 {
		ms = append(ms, d.sent[i])
	}
	if bundle := mustBundle(t, ms); len(bundle) > 100*10+60 {
		t.Errorf("100 of them take %d bytes in a bundle", len(bundle))
	}
}

// Pinned numbers of format version 1.
func TestPinnedNumbers(t *testing.T) {
	a := open(t, 1)
	m := a.add("x")
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"message": {m[2:4], "1100"},
		"tag":     {a.save()[:5], "da77656674"},
		"bundle":  {mustBundle(t, [][]byte{m})[7:9], "1200"},
		"state":   {a.save()[7:10], "130000"},
		"delta":   {a.since(a.Clock())[7:10], "140000"},
	} {
		if got := fmt.Sprintf("%x", c.data); got != c.want {
			t.Errorf("%s begins with %s, want %s", name, got, c.want)
		}
	}
	if got := fmt.Sprint(runtime.WellKnown()); got != "[ counter register mvregister flag flag-dw set map lazymap objectmap objectset list objectlist text record richtext tree]" {
		t.Errorf("kind codes %s", got)
	}
	if got := runtime.GenesisReplica.String(); got != "00000000-0000-8000-8000-67656e657369" {
		t.Errorf("genesis replica %s", got)
	}
	for kind, want := range map[runtime.UpdateKind]string{
		runtime.MessageUpdate: "message", runtime.BundleUpdate: "bundle", runtime.StateUpdate: "state", runtime.DeltaUpdate: "delta", 0: "invalid",
	} {
		if kind.String() != want {
			t.Errorf("%d is %v", kind, kind)
		}
	}
	if got := runtime.DefaultLimits(); got != a.Limits() || got.MessageBytes != 1<<20 || got.Replicas != 100_000 || got.Waiting != 65_536 {
		t.Errorf("default limits %+v", got)
	}
}

func TestBundleKeepsBytes(t *testing.T) {
	a, b := scene(t)
	c := open(t, 3)
	c.take(a.save())
	c.add("x")
	ext := parse(t, c.sent[0])
	ext.ext = []byte{0xa0}
	ext.lamport = 1
	ms := append(append(append([][]byte{}, b.sent...), a.sent...), c.sent[0], ext.encode(), c.sent[0], c.add("y", "z"))
	split, err := runtime.SplitBundle(mustBundle(t, ms))
	if err != nil {
		t.Fatal(err)
	}
	for i := range ms {
		if !bytes.Equal(ms[i], split[i]) {
			t.Errorf("message %d:\n%x\n%x", i, ms[i], split[i])
		}
	}
	if empty, err := runtime.SplitBundle(mustBundle(t, nil)); err != nil || len(empty) != 0 {
		t.Errorf("an empty bundle: %v, %v", empty, err)
	}
	if _, err := runtime.Bundle([][]byte{{1, 2, 3}}); !errors.Is(err, runtime.ErrCorrupt) {
		t.Errorf("a bundle of what is no message: %v", err)
	}
}

func TestInspect(t *testing.T) {
	a, b := scene(t)
	all := vclock.Clock{id(0xaa): 3, id(0xbb): 5}
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"message": {b.sent[0], "message 1 messages 3 ops [0,5) {aa:2 bb:5} base {}"},
		"bundle":  {mustBundle(t, [][]byte{a.sent[0], b.sent[0]}), "bundle 2 messages 5 ops [0,0) {aa:2 bb:5} base {}"},
		"state":   {a.save(), "state 0 messages 0 ops [0,0) {aa:3 bb:5} base {}"},
		"delta":   {a.since(vclock.Clock{id(0xaa): 2}), "delta 0 messages 0 ops [0,0) {aa:3 bb:5} base {aa:2}"},
	} {
		i, err := runtime.Inspect(c.data)
		if err != nil {
			t.Fatal(err)
		}
		got := fmt.Sprintf("%v %d messages %d ops [%d,%d) %s base %s", i.Kind, i.Messages, i.Ops, i.Start, i.End, short(i.Clock), short(i.Base))
		if got != c.want || i.Bytes != len(c.data) || i.Document != id(0xd0) {
			t.Errorf("%s: %s, want %s; %+v", name, got, c.want, i)
		}
	}
	u := a.updates[len(a.updates)-1]
	if !u.Clock().Equal(all) || u.Redundant(vclock.Clock{id(0xaa): 2}) || !u.Redundant(all) {
		t.Errorf("clock of a message %v", u.Clock())
	}
}

// short renders a clock by the first bytes of its replicas.
func short(c vclock.Clock) string {
	var out []string
	for id, end := range c.Sorted() {
		out = append(out, fmt.Sprintf("%x:%d", id[0], end))
	}
	return "{" + strings.Join(out, " ") + "}"
}
