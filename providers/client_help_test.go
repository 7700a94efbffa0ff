package providers_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/providers/mem"
	"github.com/seed1312cc15/weft/runtime"
)

// replica is a document with one text.
type replica struct {
	rt   *runtime.Runtime
	text crdt.Text
}

func newReplica(t testing.TB) *replica {
	t.Helper()
	rt, err := runtime.New(&runtime.Options{Kinds: crdt.Kinds()})
	if err != nil {
		t.Fatal(err)
	}
	text, err := crdt.NewText(rt, "body")
	if err != nil {
		t.Fatal(err)
	}
	return &replica{rt, text}
}

func (r *replica) add(t testing.TB, s string) {
	t.Helper()
	if err := r.rt.Transact(func(tx runtime.Tx) error { return r.text.Insert(tx, r.text.Len(tx), s) }); err != nil {
		t.Fatal(err)
	}
}

func (r *replica) String() (s string) {
	r.rt.View(func(tx runtime.Tx) error { s = r.text.String(tx); return nil })
	return s
}

// acceptor is a server of documents in memory, as far as a client can tell, with a knob for each of its faults.
type acceptor struct {
	t testing.TB

	mu      sync.Mutex
	docs    map[string]*replica
	keepers map[string]*providers.Keeper
	plain   bool // it numbers nothing
	poke    map[*providers.Session]bool
	conns   map[*providers.Conn]bool
	tokens  []string
	dials   []time.Time
	wg      sync.WaitGroup

	store    providers.Store // nil: nothing is durable
	fail     error           // dials fail
	wrap     func(client, server providers.Link) (providers.Link, providers.Link)
	admit    func(token string) error                      // *EndedError: not admitted
	refuse   func(document string) *providers.RefusedError // of an open
	readOnly bool
	silent   bool // never answers a hello

	ephemeral *providers.Ephemeral // of all documents
}

func newAcceptor(t testing.TB) *acceptor {
	return &acceptor{
		t: t, docs: make(map[string]*replica), keepers: make(map[string]*providers.Keeper),
		poke: make(map[*providers.Session]bool), conns: make(map[*providers.Conn]bool), store: mem.NewStore(),
	}
}

func (a *acceptor) set(fn func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	fn()
}

// dial is what clients call.
func (a *acceptor) dial(ctx context.Context) (providers.Link, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.dials = append(a.dials, time.Now())
	if a.fail != nil {
		return nil, a.fail
	}
	client, server := mem.Pipe()
	if a.wrap != nil {
		client, server = a.wrap(client, server)
	}
	if a.silent {
		return client, nil
	}
	a.wg.Go(func() { a.serve(server) })
	return client, nil
}

func (a *acceptor) serve(link providers.Link) {
	c, err := providers.NewConn(link, &providers.ConnOptions{Mux: providers.MuxOptions{Acceptor: true}, Handle: a.handle})
	if err != nil {
		a.t.Error(err)
		return
	}
	a.set(func() { a.conns[c] = true })
	c.Run(context.Background())
	a.set(func() { delete(a.conns, c) })
}

func (a *acceptor) handle(c *providers.Conn, e providers.Event) {
	switch e := e.(type) {
	case providers.Admission:
		a.mu.Lock()
		a.tokens = append(a.tokens, string(e.Token))
		admit := a.admit
		a.mu.Unlock()
		var end *providers.EndedError
		if admit != nil && errors.As(admit(string(e.Token)), &end) {
			c.Do(func(m *providers.Mux) { m.End(end.Code, end.Reason) })
			return
		}
		c.Do(func(m *providers.Mux) { m.Admit() })
	case providers.Opening:
		a.mu.Lock()
		refuse, readOnly := a.refuse, a.readOnly
		a.mu.Unlock()
		if refuse != nil {
			if r := refuse(e.Document); r != nil {
				c.Do(func(m *providers.Mux) { m.Refuse(e, r) })
				return
			}
		}
		doc, keeper := a.document(e.Document)
		o := &providers.Options{ReadOnly: readOnly, FirstHop: true, Ephemeral: a.ephemeral}
		if keeper != nil {
			if o.Durable = keeper.Durable; !a.plain {
				o.Log = keeper.Log()
			}
		}
		c.Do(func(m *providers.Mux) {
			s, err := m.Accept(e, doc.rt, o)
			if err == nil {
				a.set(func() { a.poke[s] = true })
			}
		})
	}
}

func (a *acceptor) document(name string) (*replica, *providers.Keeper) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.docs[name] == nil {
		a.docs[name] = newReplica(a.t)
		if a.store != nil {
			k, err := providers.Keep(context.Background(), a.docs[name].rt, a.store, name, &providers.KeeperOptions{OnDurable: a.durable})
			if err != nil {
				a.t.Error(err)
			}
			a.keepers[name] = k
		}
	}
	return a.docs[name], a.keepers[name]
}

func (a *acceptor) durable() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for s := range a.poke {
		s.Poke()
	}
}

func (a *acceptor) doc(name string) *replica {
	r, _ := a.document(name)
	return r
}

// end ends all connections.
func (a *acceptor) end(code providers.Code) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for c := range a.conns {
		c.Do(func(m *providers.Mux) { m.End(code, "the test says so") })
	}
}

func (a *acceptor) close() {
	a.end(providers.CodeGoingAway)
	a.wg.Wait()
	for _, k := range a.keepers {
		k.Close()
	}
}

// history collects events as text.
type history struct {
	mu   sync.Mutex
	list []string
}

func (h *history) add(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.list = append(h.list, fmt.Sprintf(format, args...))
}

func (h *history) take() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	l := h.list
	h.list = nil
	return l
}

func (h *history) client(_ *providers.Client, e providers.Event) {
	if e, ok := e.(providers.StatusChanged); ok {
		if e.Status == providers.Offline {
			h.add("%v %v", e.Status, e.Retry)
		} else {
			h.add("%v", e.Status)
		}
	}
}

func (h *history) document(_ *providers.Document, e providers.Event) {
	switch e := e.(type) {
	case providers.StatusChanged:
		h.add("%v", e.Status)
	case providers.Refused:
		h.add("refused %v", e.Code)
	case providers.Saved:
		h.add("saved %v %v", e.Level, e.All)
	default:
		h.add("%T", e)
	}
}

// withClient calls fn in a bubble of time of its own, with a server and a client that are closed after it.
func withClient(t *testing.T, o providers.ClientOptions, fn func(t *testing.T, a *acceptor, c *providers.Client, h *history)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		a, h := newAcceptor(t), new(history)
		if o.Rand == nil {
			o.Rand = func() float64 { return 0.5 }
		}
		o.Handle = h.client
		start := make(chan struct{})
		c, err := providers.NewClient(func(ctx context.Context) (providers.Link, error) {
			<-start // fn can set faults before its first wait
			return a.dial(ctx)
		}, &o)
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Nanosecond, func() { close(start) })
		defer a.close()
		defer func() {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}()
		fn(t, a, c, h)
	})
}

func within(t testing.TB, d time.Duration, what string, fn func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	if err := fn(ctx); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func openDocument(t testing.TB, c *providers.Client, r *replica, name string, o *providers.DocumentOptions) *providers.Document {
	t.Helper()
	d, err := c.Open(r.rt, name, o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
