//go:build unix

package main_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/providers/fs"
	"github.com/seed1312cc15/weft/providers/ws"
	"github.com/seed1312cc15/weft/runtime"
)

// typist is a client that types and notes what the server has acknowledged.
type typist struct {
	doc    *providers.Document
	client *ws.Client
	text   crdt.Text

	mu    sync.Mutex
	acked []string
}

func textDocument(t testing.TB) (*runtime.Runtime, crdt.Text) {
	t.Helper()
	rt, err := runtime.New(&runtime.Options{Kinds: crdt.Kinds()})
	if err != nil {
		t.Fatal(err)
	}
	text, err := crdt.NewText(rt, "text")
	if err != nil {
		t.Fatal(err)
	}
	return rt, text
}

func newTypist(t testing.TB, url string) *typist {
	t.Helper()
	o := &ws.ClientOptions{}
	o.Pause, o.LongestPause = time.Millisecond, 20*time.Millisecond
	c, err := ws.NewClient(url, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	w := &typist{client: c}
	rt, text := textDocument(t)
	w.text = text
	if w.doc, err = c.Open(rt, "doc", nil); err != nil {
		t.Fatal(err)
	}
	return w
}

// write types one word after another until the context ends; a word is acknowledged before the next is typed.
func (w *typist) write(ctx context.Context, n int) error {
	for i := 0; ; i++ {
		word := fmt.Sprintf("<%d %d>", n, i)
		err := w.doc.Runtime().Transact(func(tx runtime.Tx) error { return w.text.Insert(tx, w.text.Len(tx), word) })
		if err != nil {
			return err
		}
		if err := w.doc.Saved(ctx); ctx.Err() != nil {
			return nil
		} else if err != nil {
			return err
		}
		w.mu.Lock()
		w.acked = append(w.acked, word)
		w.mu.Unlock()
	}
}

func (w *typist) acknowledged() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.acked[:len(w.acked):len(w.acked)]
}

// TestScenario01Killed kills the server again and again while clients write. What it had acknowledged is in its store each
// time, the clients go on by themselves without a whole state, and all end equal.
func TestScenario01Killed(t *testing.T) {
	t.Parallel()
	const clients, rounds = 4, 5
	b := newBox(t)
	args := []string{"--data", "d", "--metrics", "same", "--limit", "UpdatesPerSecond=10000"}
	s := b.serve(args...)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var writers []*typist
	var wg sync.WaitGroup
	for n := range clients {
		w := newTypist(t, s.url)
		writers = append(writers, w)
		wg.Go(func() {
			if err := w.write(ctx, n); err != nil {
				t.Error(err)
			}
		})
	}
	await := func(more int) (acked []string) {
		for _, w := range writers {
			want := len(w.acknowledged()) + more
			for end := time.Now().Add(30 * time.Second); len(w.acknowledged()) < want; time.Sleep(time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("a client is not served any more:\n%s", s.log)
				}
			}
		}
		for _, w := range writers {
			acked = append(acked, w.acknowledged()...)
		}
		return acked
	}
	for round := range rounds {
		acked := await(1 + 3*round)
		s.kill()
		if lost := missing(stored(t, b.path("d")), acked); lost != "" {
			t.Fatalf("round %d: %s was acknowledged and is not in the store", round, lost)
		}
		s = s.again(args...)
	}
	acked := await(1)
	stop()
	wg.Wait()
	late := newTypist(t, s.url)
	patient, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for _, w := range append(writers, late) {
		if err := w.doc.Saved(patient); err != nil {
			t.Fatal(err)
		}
	}
	for _, w := range append(writers, late) {
		for w.doc.Runtime().Digest() != writers[0].doc.Runtime().Digest() {
			if time.Sleep(time.Millisecond); patient.Err() != nil {
				t.Fatal("they do not become equal")
			}
		}
	}
	if lost := missing(runtime.Read(late.doc.Runtime(), late.text.String), acked); lost != "" {
		t.Errorf("%s is lost", lost)
	}
	_, metrics := get(t, http.DefaultClient, "http://"+s.addr()+"/metrics")
	if !strings.Contains(metrics, "\nweft_encodes_total 0\n") && !strings.Contains(metrics, "\nweft_encodes_total 1\n") { // the late one's
		t.Errorf("whole states were encoded for clients that resumed:\n%s", metrics)
	}
	t.Logf("%d words were acknowledged", len(acked))
}

// stored returns the text that a dead server's store holds.
func stored(t *testing.T, dir string) string {
	t.Helper()
	store, err := fs.Open(dir, &fs.StoreOptions{ReadOnly: true, ScrubEvery: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	rt, text := textDocument(t)
	k, err := providers.Keep(t.Context(), rt, store, "doc", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	return runtime.Read(rt, text.String)
}

func missing(text string, words []string) string {
	for _, w := range words {
		if !strings.Contains(text, w) {
			return w
		}
	}
	return ""
}
