// Package javascript_test runs the client of this folder, a process of Node.js, against a server.
package javascript_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed1312cc15/weft"
	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/providers/mem"
	"github.com/seed1312cc15/weft/providers/ws"
	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

const patience = 30 * time.Second

// node returns the command line of Node.js with a WebSocket, which version 20 has behind a flag.
func node(t *testing.T) []string {
	t.Helper()
	sources, _ := filepath.Glob("*.js")
	tests, _ := filepath.Glob("testdata/*.js")
	if len(sources) == 0 || len(tests) == 0 {
		t.Fatal("no sources")
	}
	for _, name := range append(sources, tests...) {
		if _, err := os.ReadFile(name); err != nil { // so that results of tests are kept no longer than these stay the same
			t.Fatal(err)
		}
	}
	path, err := exec.LookPath("node")
	if err == nil {
		for _, args := range [][]string{{path}, {path, "--experimental-websocket", "--no-warnings"}} {
			probe := append(args[1:len(args):len(args)], "-e", "process.exit(typeof WebSocket === 'function' ? 0 : 1)")
			if exec.Command(path, probe...).Run() == nil {
				return args
			}
		}
	}
	if os.Getenv("CI") != "" {
		t.Fatal("no Node.js from 20.10 on in CI")
	}
	t.Skip("no Node.js from 20.10 on")
	return nil
}

type notes struct {
	Body   weft.Text             `weft:"body"`
	Fields weft.Map[string, any] `weft:"fields"`
}

// shown is what the client prints whenever something changes.
type shown struct {
	Text  string         `json:"text"`
	Map   map[string]any `json:"map"`
	Live  bool           `json:"live"`
	Saved bool           `json:"saved"`
}

// script is a running main.js.
type script struct {
	t     *testing.T
	stdin io.WriteCloser

	mu    sync.Mutex
	cond  *sync.Cond
	last  shown
	ended bool
}

func start(t *testing.T, url string) *script {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background()) // t.Context ends too soon
	args := append(node(t), "main.js", url, "notes", "body", "fields")
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	s := &script{t: t}
	s.cond = sync.NewCond(&s.mu)
	if s.stdin, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.read(stdout)
	}()
	t.Cleanup(func() {
		s.stdin.Close() // it ends when all is saved
		timer := time.AfterFunc(patience, cancel)
		<-done
		if err := cmd.Wait(); err != nil {
			t.Errorf("the client ended with %v", err)
		}
		timer.Stop()
		cancel()
	})
	return s
}

func (s *script) read(stdout io.Reader) {
	in := bufio.NewScanner(stdout)
	in.Buffer(nil, 16<<20)
	for in.Scan() {
		var v shown
		err := json.Unmarshal(in.Bytes(), &v)
		s.mu.Lock()
		if err != nil {
			s.t.Errorf("the client printed %q: %v", in.Text(), err)
		}
		s.last = v
		s.cond.Broadcast()
		s.mu.Unlock()
	}
	s.mu.Lock()
	s.ended = true
	s.cond.Broadcast()
	s.mu.Unlock()
}

// do sends commands, a line each.
func (s *script) do(format string, args ...any) {
	s.t.Helper()
	if _, err := fmt.Fprintf(s.stdin, format+"\n", args...); err != nil {
		s.t.Error(err)
	}
}

// await waits until what the client shows is as wanted.
func (s *script) await(what string, ok func(shown) bool) shown {
	s.t.Helper()
	timer := time.AfterFunc(patience, func() {
		s.mu.Lock()
		s.ended = true
		s.cond.Broadcast()
		s.mu.Unlock()
	})
	defer timer.Stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for !ok(s.last) {
		if s.ended {
			s.t.Fatalf("waited for %s; the client shows %+v", what, s.last)
		}
		s.cond.Wait()
	}
	return s.last
}

func serve(t *testing.T, o runtime.Options) (url string) {
	t.Helper()
	s, err := ws.NewServer(&ws.ServerOptions{Authenticate: ws.Anyone, Authorize: ws.AllowAll, Store: mem.NewStore(), Runtime: o})
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(s)
	t.Cleanup(func() {
		s.Close()
		h.Close()
	})
	return "ws" + strings.TrimPrefix(h.URL, "http")
}

// writer is a client of this module.
type writer struct {
	t   *testing.T
	doc *weft.Document[notes]
	rnd *rand.Rand
}

func join(t *testing.T, url string, seed uint64) *writer {
	t.Helper()
	w := local(t, runtime.Options{}, seed)
	client, err := ws.NewClient(url, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	if _, err := client.Open(w.doc.Runtime, "notes", nil); err != nil {
		t.Fatal(err)
	}
	return w
}

// local is a writer without a client.
func local(t *testing.T, o runtime.Options, seed uint64) *writer {
	t.Helper()
	o.Rand = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), 'w'})
	doc, err := weft.Open[notes](&o)
	if err != nil {
		t.Fatal(err)
	}
	return &writer{t, doc, rand.New(rand.NewPCG(seed, 0))}
}

func (w *writer) since(c vclock.Clock) [][]byte {
	messages, err := w.doc.Runtime.MessagesSince(c)
	if err != nil {
		w.t.Fatal(err)
	}
	return messages
}

func (w *writer) edit(fn func(tx weft.Tx, root *notes) error) {
	w.t.Helper()
	if err := w.doc.Transact(func(tx weft.Tx) error { return fn(tx, w.doc.Root) }); err != nil {
		w.t.Fatal(err)
	}
}

func (w *writer) shows() (text string, fields map[string]any) {
	fields = make(map[string]any)
	err := w.doc.View(func(tx weft.Tx) error {
		text = w.doc.Root.Body.String(tx)
		return w.doc.Root.Fields.Each(tx, func(k string, v any) error {
			fields[k] = v
			return nil
		})
	})
	if err != nil {
		w.t.Error(err)
	}
	return text, fields
}

const letters = "abcdefghijklmnopqrstuvwxyz äöß漢字😀"

func (w *writer) word() string {
	out := make([]rune, 1+w.rnd.IntN(6))
	for i := range out {
		out[i] = []rune(letters)[w.rnd.IntN(len([]rune(letters)))]
	}
	return "<" + string(out) + ">" // commands are lines of words: no blanks at the ends
}

func (w *writer) key() string { return string('a' + rune(w.rnd.IntN(26))) }

// together lets both type, in words, while they hear of each other. Nothing is deleted, so the indexes stay good.
func (w *writer) together(s *script, length int) {
	mine := length
	for range 10 {
		s.do("insert %d %s", w.rnd.IntN(length+1), w.word())
		s.do("set %s %d", w.key(), w.rnd.IntN(1000)-500)
		w.edit(func(tx weft.Tx, root *notes) error {
			word, at := w.word(), w.rnd.IntN(mine+1)
			mine += len([]rune(word))
			if err := root.Fields.Set(tx, w.key(), word); err != nil {
				return err
			}
			return root.Body.Insert(tx, at, word)
		})
	}
}

// types inserts words somewhere.
func (w *writer) types(words int) {
	for range words {
		w.edit(func(tx weft.Tx, root *notes) error {
			return root.Body.Insert(tx, w.rnd.IntN(root.Body.Len(tx)+1), w.word())
		})
	}
}

// any deletes and inserts somewhere, and deletes or sets a field.
func (w *writer) any(tx weft.Tx, root *notes) error {
	all := root.Body.Len(tx)
	n := w.rnd.IntN(all/2 + 1)
	if w.rnd.IntN(2) == 0 {
		n = 0
	}
	if n > 0 {
		if err := root.Body.Delete(tx, w.rnd.IntN(all-n+1), n); err != nil {
			return err
		}
	}
	change := root.Fields.Delete(tx, w.key())
	if w.rnd.IntN(3) > 0 {
		change = root.Fields.Set(tx, w.key(), w.word())
	}
	if change != nil {
		return change
	}
	return root.Body.Insert(tx, w.rnd.IntN(all-n+1), w.word())
}

// apart lets both edit anything, while the script is offline. length is that of the text that both see.
func (w *writer) apart(s *script, length int, fields map[string]any) {
	theirs := length
	for range 10 {
		word := w.word()
		s.do("insert %d %s", w.rnd.IntN(theirs+1), word)
		theirs += len([]rune(word))
		n := 1 + w.rnd.IntN(theirs/2)
		s.do("delete %d %d", w.rnd.IntN(theirs-n+1), n)
		theirs -= n
		s.do("set %s [%q, 1.5, null, true]", w.key(), w.word())
		w.edit(w.any)
	}
	s.do("unset %s", slices.Sorted(maps.Keys(fields))[0])
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// meet waits until all show the same, and what the script has written is saved.
func (w *writer) meet(s *script, others ...*writer) (text string, fields map[string]any) {
	w.t.Helper()
	all := append(others, w)
	for _, o := range all {
		defer o.doc.Runtime.OnUpdate(func(runtime.Update) {
			s.mu.Lock()
			s.cond.Broadcast()
			s.mu.Unlock()
		})()
	}
	mark := fmt.Sprintf("met%d", w.rnd.Int32())
	s.do("set %s true", mark) // the last of its commands
	s.await("documents equal to those in Go", func(v shown) bool {
		for _, o := range all {
			text, fields = o.shows()
			if v.Text != text || asJSON(w.t, v.Map) != asJSON(w.t, fields) {
				return false
			}
		}
		return v.Map[mark] == true && v.Live && v.Saved
	})
	return text, fields
}

// TestSyncs has the client of this folder edit beside two of this module, at the same time and apart, and lets one join late.
// What the server sends depends on what it keeps, and on whether it knows the kinds of objects.
func TestSyncs(t *testing.T) {
	for name, o := range map[string]runtime.Options{
		"messages":                       {},
		"deltas that list deletions":     {History: runtime.History{Off: true}},
		"deltas that list what is alive": {History: runtime.History{Off: true}, Deletions: -1},
	} {
		for what, kinds := range map[string][]runtime.Kind{"known kinds": crdt.Kinds(), "opaque objects": nil} {
			o.Kinds = kinds
			t.Run(name+", "+what, func(t *testing.T) { syncs(t, serve(t, o)) })
		}
	}
}

func syncs(t *testing.T, url string) {
	w, other := join(t, url, 1), join(t, url, 2)
	w.edit(func(tx weft.Tx, root *notes) error { return root.Body.Insert(tx, 0, "Begun in Go, ") })
	s := start(t, url)
	s.do("insert 0 and in JavaScript.")
	text, _ := w.meet(s)
	for range 3 {
		var both sync.WaitGroup
		both.Go(func() { other.types(20) })
		w.together(s, len([]rune(text)))
		both.Wait()
		apart, fields := w.meet(s, other)
		s.do("offline")
		w.apart(s, len([]rune(apart)), fields)
		s.do("online")
		text, _ = w.meet(s, other)
	}
	late := start(t, url)
	if met, _ := w.meet(late); met != text {
		t.Errorf("one who joins late sees %q, not %q", met, text)
	}
}

// TestLoadsALargeState: it is longer than the credit that the client gives in advance.
func TestLoadsALargeState(t *testing.T) {
	url := serve(t, runtime.Options{Kinds: crdt.Kinds(), History: runtime.History{Off: true}})
	w := join(t, url, 1)
	for range 20 {
		part := make([]rune, 10_000)
		for i := range part {
			part[i] = 0x4e00 + w.rnd.Int32N(20_000) // Chinese characters at random do not compress well
		}
		w.edit(func(tx weft.Tx, root *notes) error { return root.Body.Insert(tx, 0, string(part)) })
	}
	state, err := w.doc.Runtime.Save()
	if err != nil {
		t.Fatal(err)
	}
	if len(state) < 300_000 {
		t.Fatalf("the state has only %d bytes", len(state))
	}
	s := start(t, url)
	s.await("the text", func(v shown) bool { text, _ := w.shows(); return v.Text == text })
}
