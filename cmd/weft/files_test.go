package main_test

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	goruntime "runtime"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/internal/trace"
	"github.com/seed1312cc15/weft/runtime"
)

// writer is a replica with one text whose messages are kept.
type writer struct {
	*box
	rt   *runtime.Runtime
	text crdt.Text
	sent [][]byte
}

func (b *box) writer(k int, root string) *writer {
	b.Helper()
	return b.writerOf(trace.AgentReplica(k), root, crdt.Kinds())
}

func (b *box) writerOf(id uuid.UUID, root string, kinds []runtime.Kind) *writer {
	b.Helper()
	rt, err := runtime.New(&runtime.Options{Replica: id, Kinds: kinds})
	if err != nil {
		b.Fatal(err)
	}
	text, err := crdt.NewText(rt, root)
	if err != nil {
		b.Fatal(err)
	}
	w := &writer{box: b, rt: rt, text: text}
	rt.OnUpdate(func(u runtime.Update) {
		if u.Local {
			w.sent = append(w.sent, bytes.Clone(u.Data))
		}
	})
	return w
}

func (w *writer) insert(i int, s string) {
	w.Helper()
	if err := w.rt.Transact(func(tx runtime.Tx) error { return w.text.Insert(tx, i, s) }); err != nil {
		w.Fatal(err)
	}
}

func (w *writer) delete(i, n int) {
	w.Helper()
	if err := w.rt.Transact(func(tx runtime.Tx) error { return w.text.Delete(tx, i, n) }); err != nil {
		w.Fatal(err)
	}
}

func (w *writer) receive(data []byte) {
	w.Helper()
	if _, err := w.rt.Receive(data); err != nil {
		w.Fatal(err)
	}
}

func (w *writer) save() []byte {
	w.Helper()
	data, err := w.rt.Save()
	if err != nil {
		w.Fatal(err)
	}
	return data
}

func TestMergeJoinsStatesDeltasAndMessages(t *testing.T) {
	b := newBox(t)
	a, c := b.writer(0, "text"), b.writer(1, "text")
	a.insert(0, "hello")
	b.write("a", a.save())
	c.receive(a.save())
	base := c.rt.Clock()
	c.insert(5, " world")
	delta, err := c.rt.SaveSince(base)
	if err != nil {
		t.Fatal(err)
	}
	b.write("delta", delta)
	a.insert(0, "oh, ")
	b.write("message", a.sent[1])

	b.run(0, "merge", "-o", "all", "delta", "message", "a")
	out, _ := b.run(0, "export", "--json", "all")
	if want := `{"text":"oh, hello world"}` + "\n"; out != want {
		t.Errorf("%s, want %s", out, want)
	}
	a.receive(c.save())
	if !bytes.Equal(b.read("all"), a.save()) {
		loaded := b.writer(2, "text")
		loaded.receive(b.read("all"))
		if !bytes.Equal(loaded.rt.Canonical(), a.rt.Canonical()) {
			t.Error("the merged state is not what the writers have")
		}
	}

	out, _ = b.run(0, "inspect", "delta")
	b.golden("inspect-delta", out)
	out, _ = b.run(0, "inspect", "message")
	b.golden("inspect-message", out)
	_, errs := b.run(1, "export", "delta")
	b.contains(errs, "the delta follows a state that is not among the files")
	_, errs = b.run(1, "export", "message")
	b.contains(errs, "1 message waits for transactions that are not here", "weft merge")
	_, errs = b.run(1, "merge", "-o", "none", "delta")
	b.contains(errs, "missing dependencies")
	if _, err := os.Stat(b.path("none")); err == nil {
		t.Error("a failed merge wrote its output")
	}
}

func TestMergeKeepsWhatWaits(t *testing.T) {
	b := newBox(t)
	a := b.writer(0, "text")
	a.insert(0, "one")
	a.insert(3, "two")
	a.insert(6, "three")
	b.write("0", a.sent[0])
	b.write("1", a.sent[1])
	b.write("2", a.sent[2])
	_, errs := b.run(0, "merge", "-o", "some", "0", "2")
	b.contains(errs, "1 message waits")
	out, errs := b.run(0, "export", "--json", "some")
	b.contains(out, `{"text":"one"}`)
	b.contains(errs, "1 message waits")
	out, _ = b.run(0, "inspect", "some")
	b.golden("inspect-waiting", out)
	b.run(0, "merge", "-o", "some", "some", "1")
	if out, _ = b.run(0, "export", "--json", "some"); out != `{"text":"onetwothree"}`+"\n" {
		t.Error(out)
	}
}

// As git runs a merge driver: the output is one of the inputs.
func TestMergeInPlace(t *testing.T) {
	b := newBox(t)
	a, c := b.writer(0, "text"), b.writer(1, "text")
	a.insert(0, "left")
	c.insert(0, "right")
	b.write("a", a.save())
	b.write("c", c.save())
	if err := os.Chmod(b.path("a"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, _ := b.run(0, "merge", "--json", "-o", "a", "a", "c")
	b.contains(out, `"files":2`, `"replicas":2`, `"waiting":0`)
	if out, _ := b.run(0, "export", "--json", "a"); out != `{"text":"leftright"}`+"\n" {
		t.Error(out)
	}
	if info, err := os.Stat(b.path("a")); err != nil || goruntime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("the mode became %v, %v", info.Mode(), err)
	}
	again, _ := b.run(0, "merge", "--json", "-o", "b", "c", "a", "a")
	if digest := regexp.MustCompile(`"digest":"\w{64}"`).FindString(out); digest == "" || !strings.Contains(again, digest) {
		t.Errorf("merging again what is there changed the document: %s, before %s", again, out)
	}
	b.run(0, "merge", "-z", "3", "-o", "z", "a")
	if out, _ := b.run(0, "diff", "a", "z"); out != "" {
		t.Error(out)
	}
	left, err := os.ReadDir(b.dir)
	if err != nil || len(left) != 4 { // a, b, c, z
		t.Errorf("files left behind: %v, %v", left, err)
	}
}

// The same files give the same bytes in any order, what is local to the merging program included.
func TestMergeIsDeterministic(t *testing.T) {
	b := newBox(t)
	a, c, d := b.writer(0, "text"), b.writer(1, "text"), b.writer(2, "text")
	a.insert(0, "a common text")
	b.write("base", a.save())
	c.receive(a.save())
	d.receive(a.save())
	for i, w := range []*writer{a, c, d} {
		w.delete(2*i, 2)
		w.insert(0, "own")
		w.delete(8, 1+i)
	}
	b.write("a", a.save())
	b.write("c", c.save())
	b.write("waits", d.sent[2])
	b.write("message", d.sent[0])
	delta, err := c.rt.SaveSince(nil)
	if err != nil {
		t.Fatal(err)
	}
	b.write("delta", delta)
	names := []string{"a", "c", "waits", "message", "base", "delta"}
	b.run(0, append([]string{"merge", "-o", "first"}, names...)...)
	r := rand.New(rand.NewPCG(1, 2))
	for range 10 {
		r.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		b.run(0, append([]string{"merge", "-o", "other"}, names...)...)
		if !bytes.Equal(b.read("first"), b.read("other")) {
			t.Fatalf("another result in the order %v", names)
		}
	}
}

// A kind that the program does not know is kept whole.
func TestMergeOfUnknownKinds(t *testing.T) {
	b := newBox(t)
	counted := runtime.Kind{Name: "example.com/tally", New: func(*runtime.Node) runtime.Object { return &tally{} }}
	kinds := append(crdt.Kinds(), counted)
	var want uint64
	var full *writer
	for k, n := range []int{3, 4} {
		w := b.writerOf(trace.AgentReplica(k), "text", kinds)
		node, err := w.rt.Root("tally", counted.Name)
		if err != nil {
			t.Fatal(err)
		}
		for range n {
			want++
			err := w.rt.Transact(func(tx runtime.Tx) error {
				op, err := tx.Begin(node)
				if err != nil {
					return err
				}
				op.Byte(1)
				return op.Apply(1)
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		m, err := runtime.Bundle(w.sent)
		if err != nil {
			t.Fatal(err)
		}
		b.write(string(rune('0'+k)), m)
		full = b.writerOf(trace.AgentReplica(9), "text", kinds)
	}
	b.run(0, "merge", "-o", "all", "0", "1")
	_, errs := b.run(0, "export", "all")
	b.contains(errs, "1 object of a kind or version that this program does not know")
	out, _ := b.run(0, "inspect", "all")
	b.contains(out, `"tally"  example.com/tally (not known here)`)
	full.receive(b.read("all"))
	node, err := full.rt.Root("tally", counted.Name)
	if err != nil {
		t.Fatal(err)
	}
	if got := node.Object().(*tally).n; got != want {
		t.Errorf("%d operations came through, want %d", got, want)
	}
}

// tally counts the operations that reached it.
type tally struct {
	runtime.Journal
	n uint64
}

func (c *tally) Apply(op *runtime.Op) error {
	op.Byte("code")
	if err := op.Done(); err != nil {
		return err
	}
	c.Undo(func() { c.n-- })
	c.n++
	return nil
}
func (c *tally) Empty() bool                         { return c.n == 0 }
func (c *tally) Save(w *runtime.StateWriter)         { w.Uvarint(c.n) }
func (c *tally) Dots(func(runtime.LocalDot, uint64)) {}
func (c *tally) Merge(r *runtime.StateReader) error  { c.n = r.Uvarint("count"); return r.Done() }
func (c *tally) Commit(*runtime.Commit)              { c.Forget() }
func (c *tally) Export(*runtime.Exporter) any        { return c.n }
func (c *tally) Check() error                        { return nil }

func TestDiff(t *testing.T) {
	b := newBox(t)
	a := b.writer(0, "text")
	a.insert(0, "hello world")
	b.write("a", a.save())
	other, err := crdt.NewText(a.rt, "notes & <more>")
	if err != nil {
		t.Fatal(err)
	}
	a.insert(5, " wide")
	if err := a.rt.Transact(func(tx runtime.Tx) error { return other.Insert(tx, 0, "n") }); err != nil {
		t.Fatal(err)
	}
	b.write("b", a.save())
	out, _ := b.run(1, "diff", "a", "b")
	b.golden("diff", out)
	out, _ = b.run(1, "diff", "b", "a")
	b.golden("diff-back", out)
	out, _ = b.run(1, "diff", "--json", "a", "b")
	if n := strings.Count(out, "\n"); n != 2 || !json.Valid([]byte(out[:strings.Index(out, "\n")])) {
		t.Errorf("%d lines:\n%s", n, out)
	}
	b.write("bad", []byte("nothing"))
	_, errs := b.run(2, "diff", "a", "bad")
	b.contains(errs, "bad: ", "not a message, bundle, state or delta")
	b.write("cut", a.save()[:100])
	_, errs = b.run(2, "diff", "a", "cut")
	b.contains(errs, "cut: ", "cut short", "bytes are missing")
	_, errs = b.run(1, "merge", "-o", "no/such", "a")
	b.contains(errs, "cannot write no/such: ")
}

func TestHugeNamesAreClipped(t *testing.T) {
	b := newBox(t)
	name := strings.Repeat("名", 3000)
	a := b.writer(0, name)
	a.insert(0, "x")
	b.write("a", a.save())
	out, _ := b.run(0, "inspect", "a")
	b.contains(out, "名名", "…")
	for line := range strings.Lines(out) {
		if len([]rune(line)) > 200 {
			t.Errorf("a line of %d characters", len([]rune(line)))
		}
	}
	out, _ = b.run(0, "inspect", "--json", "a")
	b.contains(out, name)
	out, _ = b.run(0, "export", "a")
	b.contains(out, name)
}

func TestBadUpdates(t *testing.T) {
	b := newBox(t)
	a := b.writer(0, "text")
	a.insert(0, strings.Repeat("some text ", 50))
	state := a.save()
	b.write("state", state)
	b.write("empty", nil)
	b.write("text", []byte("hello, world"))
	b.write("cut", state[:len(state)-9])
	b.write("long", append(bytes.Clone(state), 0))
	flipped := bytes.Clone(state)
	flipped[len(flipped)/2] ^= 4
	b.write("flipped", flipped)
	for _, name := range []string{"empty", "text", "cut", "long", "flipped", "missing", "."} {
		for _, args := range [][]string{{"inspect", name}, {"export", name}, {"merge", "-o", "out", "state", name}} {
			out, errs := b.run(1, args...)
			b.contains(errs, name)
			if out != "" {
				t.Errorf("weft %v wrote %s", args, out)
			}
		}
	}
	if _, err := os.Stat(b.path("out")); err == nil {
		t.Error("a failed merge wrote its output")
	}
	_, errs := b.run(1, "merge", "-o", filepath.Join("no", "dir"), "state")
	b.contains(errs, "no such file")
}
