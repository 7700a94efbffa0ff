//go:build !js

package ws_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/uuid"
	"github.com/klauspost/compress/zstd"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/providers/fs"
	"github.com/seed1312cc15/weft/providers/mem"
	"github.com/seed1312cc15/weft/providers/ws"
	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// The scenarios and threats that docs/threat-model.md numbers, as far as no other file has them.

// openFS opens a store on the disk, which the test closes.
func openFS(t testing.TB, dir string) *fs.Store {
	t.Helper()
	s, err := fs.Open(dir, &fs.StoreOptions{ScrubEvery: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// TestScenario05Damage flips a bit of one stored document: it is refused and not written to, the others go on.
func TestScenario05Damage(t *testing.T) {
	dir := t.TempDir()
	store := openFS(t, dir)
	s, url := serve(t, func(o *ws.ServerOptions) { o.Store = store })
	for _, name := range []string{"good", "bad"} {
		p := join(t, url, peerOptions{token: "a", document: name}).synced()
		p.insert("this is the " + name + " document")
		p.saved()
		p.leave()
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	store.Close()
	path := filepath.Join(dir, "store.db")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	what := []byte("this is the bad document")
	flipped := 0
	for at := bytes.Index(data, what); at >= 0; flipped++ {
		data[at+5] ^= 1
		at = bytes.Index(data, what)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil || flipped == 0 {
		t.Fatal(flipped, err)
	}

	store = openFS(t, dir)
	broken := &brokenStore{Store: store}
	_, url = serve(t, func(o *ws.ServerOptions) { o.Store = broken })
	bad := join(t, url, peerOptions{token: "a", document: "bad"})
	bad.insert("nothing of this may be written behind the damage")
	if code := bad.refused(); code != providers.CodeUnavailable {
		t.Error(code)
	}
	if n := broken.writes.Load(); n > 0 {
		t.Errorf("%d writes", n)
	}
	good := join(t, url, peerOptions{token: "a", document: "good"}).synced()
	if good.String() != "this is the good document" {
		t.Errorf("%q", good)
	}
	good.insert("and ")
	good.saved()
	var damage *providers.DamageError
	if _, err := store.Load(t.Context(), "bad"); !errors.As(err, &damage) || damage.Document != "bad" {
		t.Error(err)
	}
}

// bomb returns a saved state, docs/format.md, section 4, whose sections decompress to n zeros and are said to be declared long.
func bomb(t testing.TB, n int, declared uint64) []byte {
	t.Helper()
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	content := binary.AppendUvarint([]byte{0x13, 0, 1}, declared)
	content = z.EncodeAll(make([]byte, n), content)
	content = binary.LittleEndian.AppendUint32(content, crc(content))
	b, err := cbor.Marshal(content)
	if err != nil {
		t.Fatal(err)
	}
	return append([]byte{0xda, 'w', 'e', 'f', 't'}, b...)
}

// TestScenario10CompressedBombs is S2 too: by what is declared, by what comes out, and as chunks of a transfer.
func TestScenario10CompressedBombs(t *testing.T) {
	_, url := serve(t, nil)
	const size = 100 << 20
	for name, c := range map[string]struct {
		update []byte
		want   providers.Code
	}{
		"as long as it says":      {bomb(t, size, size), providers.CodeUpdateTooBig},
		"longer than it says":     {bomb(t, size, 100_000), providers.CodeCorrupt},
		"longer than anything is": {bomb(t, 1000, 1<<62), providers.CodeUpdateTooBig},
		"shorter than it says":    {bomb(t, 1000, 5000), providers.CodeCorrupt},
	} {
		if len(c.update) > size/1000 {
			t.Fatalf("%s: %d bytes", name, len(c.update))
		}
		r := dialRaw(t, url).hello("hostile")
		r.await(providers.FrameHello)
		r.open(1, "doc", uuid.New())
		var before, after goruntime.MemStats
		goruntime.ReadMemStats(&before)
		r.transfer(c.update)
		if f := r.await(providers.FrameRefuse); f[2] != uint64(c.want) {
			t.Errorf("%s: %v", name, f)
		}
		goruntime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 8<<20 {
			t.Errorf("%s: %d bytes allocated for %d", name, n, len(c.update))
		}
		r.Close()
	}
	honest(t, url)
}

// twins returns two replicas with one ID that wrote different things under the same dots; each is the text "text".
func twins(t testing.TB, first, second string) [2]*runtime.Runtime {
	t.Helper()
	var out [2]*runtime.Runtime
	id := uuid.New()
	for i, s := range []string{first, second} {
		rt, err := runtime.New(&runtime.Options{Kinds: crdt.Kinds(), Replica: id})
		if err != nil {
			t.Fatal(err)
		}
		text, err := crdt.NewText(rt, "text")
		if err != nil {
			t.Fatal(err)
		}
		if err := rt.Transact(func(tx runtime.Tx) error { return text.Insert(tx, 0, s) }); err != nil {
			t.Fatal(err)
		}
		out[i] = rt
	}
	return out
}

// heldLink keeps frames back in both directions while it is held.
type heldLink struct {
	providers.Link
	held atomic.Bool
	open chan struct{}
}

func (l *heldLink) wait(ctx context.Context) {
	if l.held.Load() {
		select {
		case <-l.open:
		case <-ctx.Done():
		}
	}
}

func (l *heldLink) Send(ctx context.Context, f []byte) error {
	l.wait(ctx)
	return l.Link.Send(ctx, f)
}

func (l *heldLink) Receive(ctx context.Context) ([]byte, error) {
	f, err := l.Link.Receive(ctx)
	l.wait(ctx)
	return f, err
}

// TestScenario12TwoServers has twins write to two servers that are linked, while what they say is under way: neither takes over
// what the other has under the same dots, it is said, and both go on.
func TestScenario12TwoServers(t *testing.T) {
	both := twins(t, "first", "second")
	var servers [2]*ws.Server
	var urls [2]string
	for i := range both {
		servers[i], urls[i] = serve(t, nil)
	}
	link := &heldLink{open: make(chan struct{})}
	refused := make(chan providers.Code, 100)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- servers[0].Peer(ctx, &ws.PeerOptions{
			Dial: func(ctx context.Context) (_ providers.Link, err error) {
				link.Link, err = ws.Dial(ctx, urls[1], nil)
				return link, err
			},
			Token: []byte("server"), Documents: []string{"doc"},
			OnRefused: func(_ string, e *providers.RefusedError) { refused <- e.Code },
		})
	}()
	defer func() { cancel(); <-done }()
	before := join(t, urls[0], peerOptions{token: "a"}).synced()
	before.insert("before ")
	equal(t, before, join(t, urls[1], peerOptions{token: "b"}).synced()) // the link stands
	link.held.Store(true)
	for i, rt := range both {
		p := join(t, urls[i], peerOptions{token: "twin", rt: rt}).synced()
		p.saved()
		p.leave()
	}
	link.held.Store(false)
	close(link.open)
	select {
	case code := <-refused:
		if code != providers.CodeEquivocation {
			t.Error(code)
		}
	case <-time.After(patience):
		t.Fatal("the servers do not notice")
	}
	for i, texts := range [][2]string{{"first", "second"}, {"second", "first"}} {
		p := join(t, urls[i], peerOptions{token: "c"}).synced()
		if got := p.String(); !strings.Contains(got, texts[0]) || strings.Contains(got, texts[1]) || !strings.Contains(got, "before") {
			t.Errorf("server %d holds %q", i, got)
		}
		p.insert("it goes on, ")
		p.saved()
	}
}

// TestScenario14MissingDependency is S10 too: a flood of messages that lack the first one of their author.
func TestScenario14MissingDependency(t *testing.T) {
	const floods = 10_000
	store := mem.NewStore()
	s, url := serve(t, func(o *ws.ServerOptions) {
		l := &o.Limits
		l.UpdatesPerSecond, l.DocumentUpdatesPerSecond, l.FramesPerSecond, l.BytesPerSecond = 1<<20, 1<<20, 1<<20, 1<<30
		o.Store = store
	})
	author, text := newDocument(t)
	for range floods {
		if err := author.Transact(func(tx runtime.Tx) error { return text.Insert(tx, text.Len(tx), "x") }); err != nil {
			t.Fatal(err)
		}
	}
	messages, err := author.MessagesSince(vclock.Clock{author.Replica(): 1})
	if err != nil || len(messages) != floods-1 {
		t.Fatal(len(messages), err)
	}
	honest := join(t, url, peerOptions{token: "honest"}).synced()
	r := dialRaw(t, url).hello("hostile")
	r.await(providers.FrameHello)
	r.open(1, "doc", uuid.New())
	heap := func() int64 {
		var m goruntime.MemStats
		goruntime.GC()
		goruntime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	go func() {
		for _, m := range messages {
			var packer runtime.Packer
			b, err := packer.Append(nil, m)
			if err != nil || r.frame(12, 1, b) != nil {
				return
			}
		}
		r.frame(3, 0, 77)
	}()
	asked := 0
	for f := r.await(providers.FrameClock, providers.FramePong); f[0] != uint64(providers.FramePong); f = r.await(providers.FrameClock, providers.FramePong) {
		asked++
	}
	if grown := heap() - before; grown > 8<<20 {
		t.Errorf("%d messages that wait take %d bytes", floods, grown)
	}
	if asked == 0 {
		t.Error("the server did not say what it lacks")
	}
	honest.insert("honest")
	honest.saved()
	if n := honest.rt.Clock().Get(author.Replica()); n != 0 || honest.rt.Waiting() != 0 {
		t.Error("what waits was relayed")
	}
	if n := s.Stats().StoredRecords; n != 1 {
		t.Errorf("%d records are stored", n)
	}
	r.Close()
	a := join(t, url, peerOptions{token: "author", rt: author}).synced()
	equal(t, a, honest)
	a.saved()
	t.Logf("asked %d times", asked)
}

// TestS09Laundering has a reader edit, and others save what they have: nothing of the reader's comes into the document by way of
// them, and what a writer brings of it himself counts as his.
func TestS09Laundering(t *testing.T) {
	g := &grants{}
	g.set("reader", ws.AccessRead)
	g.set("writer", ws.AccessWriteRelay)
	g.set("own", ws.AccessWriteOwn)
	store := mem.NewStore()
	change := func(o *ws.ServerOptions) { o.Authorize, o.Store = g.authorize, store }
	s, url := serve(t, change)
	w := join(t, url, peerOptions{token: "writer"}).synced()
	w.insert("allowed")
	w.saved()
	r := join(t, url, peerOptions{token: "reader"}).synced()
	equal(t, w, r)
	r.insert("laundered ")
	w.insert("still ")
	w.saved()
	if err := s.Shutdown(t.Context()); err != nil { // the server's save
		t.Fatal(err)
	}
	_, url = serve(t, change)
	again := join(t, url, peerOptions{token: "writer", rt: w.rt}).synced() // the writer's
	late := join(t, url, peerOptions{token: "reader"}).synced()
	equal(t, again, late)
	if got := late.String(); got != "still allowed" {
		t.Errorf("%q", got)
	}
	// Handed over behind the server's back, it is the reader's work still: who may only write his own cannot bring it.
	state, err := r.rt.Save()
	if err != nil {
		t.Fatal(err)
	}
	smuggler, _ := newDocument(t)
	if _, err := smuggler.Receive(state); err != nil {
		t.Fatal(err)
	}
	if code := join(t, url, peerOptions{token: "own", rt: smuggler}).refused(); code != providers.CodeForeignDots {
		t.Error(code)
	}
	if got := late.String(); got != "still allowed" {
		t.Errorf("%q", got)
	}
}

// TestServerLendsItsLog: a client that follows the document's log learns where it stands in it.
func TestServerLendsItsLog(t *testing.T) {
	_, url := serve(t, nil)
	f := &providers.Follower{}
	p := join(t, url, peerOptions{token: "a", options: providers.Options{Follow: f}, plain: true}).synced()
	p.insert("x")
	p.saved()
	p.leave()
	if n, _ := f.Number(); n == 0 {
		t.Error("no number")
	}
}

// TestScenario22Restart has a server vanish under many clients and come back: each resumes by its clock, and no state is encoded.
func TestScenario22Restart(t *testing.T) {
	const clients = 60
	store := mem.NewStore()
	start := func(l net.Listener) (*ws.Server, *httptest.Server) {
		s, err := ws.NewServer(&ws.ServerOptions{Authenticate: byToken, Authorize: ws.AllowAll, Store: store})
		if err != nil {
			t.Fatal(err)
		}
		h := httptest.NewUnstartedServer(s)
		if l != nil {
			h.Listener.Close()
			h.Listener = l
		}
		h.Start()
		return s, h
	}
	s, h := start(nil)
	addr := h.Listener.Addr().String()
	var users []*user
	for range clients {
		users = append(users, newUser(t, "ws://"+addr, nil))
	}
	users[0].add(t, strings.Repeat("a document ", 1000))
	same(t, users...)
	s.Close()
	h.Close()
	for i, u := range users[:5] {
		u.add(t, fmt.Sprint("offline ", i))
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	s, h = start(l)
	defer func() {
		for _, u := range users {
			u.client.Close()
		}
		s.Close()
		h.Close()
	}()
	same(t, users...)
	eventually(t, "all are back", func() bool { return s.Stats().Peers == 0 && s.Stats().Connections == clients })
	if st := s.Stats(); st.Encodes > 0 || st.BytesOut > clients*2000 {
		t.Errorf("%d states were encoded, %d bytes sent to %d clients", st.Encodes, st.BytesOut, clients)
	}
}

// TestScenario25PlainText is what is left of S23 without a page for administrators: what health and metrics serve is plain
// text that browsers do not take for anything else, and no name is in it.
func TestScenario25PlainText(t *testing.T) {
	const name = "<script>alert(1)</script>\r\n=1+1"
	store := &brokenStore{Store: mem.NewStore()}
	failed := fmt.Errorf("%w: <script>", providers.ErrStoreFailed)
	store.load.Store(&failed)
	s, url := serve(t, func(o *ws.ServerOptions) { o.Store = store })
	if code := join(t, url, peerOptions{token: name, document: name}).refused(); !code.Transient() {
		t.Error(code)
	}
	for what, h := range map[string]http.Handler{"health": s.HealthHandler(), "metrics": s.MetricsHandler()} {
		r := get(t, h)
		if ct := r.Header().Get("Content-Type"); !strings.HasPrefix(ct, "text/plain") {
			t.Errorf("%s: %v", what, r.Header())
		}
		if body := r.Body.String(); strings.Contains(body, "script") || strings.Contains(body, "1+1") {
			t.Errorf("%s: %s", what, body)
		}
	}
}
