package providers_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/providers/mem"
	"github.com/seed1312cc15/weft/providers/providertest"
	"github.com/seed1312cc15/weft/runtime"
)

func TestMain(m *testing.M) { providertest.Main(m) }

// A server and a client in one process: the server keeps the document in a store and acknowledges what is durable.
func Example() {
	store := mem.NewStore()
	open := func() (*runtime.Runtime, crdt.Text) {
		rt, _ := runtime.New(&runtime.Options{Kinds: crdt.Kinds()})
		text, _ := crdt.NewText(rt, "body")
		return rt, text
	}
	serverDoc, _ := open()
	poke := make(chan *providers.Session, 1)
	keeper, err := providers.Keep(context.Background(), serverDoc, store, "notes", &providers.KeeperOptions{
		OnDurable: func() { s := <-poke; s.Poke(); poke <- s },
	})
	if err != nil {
		panic(err)
	}
	a, b := mem.Pipe()
	server, _ := providers.NewConn(b, &providers.ConnOptions{
		Mux: providers.MuxOptions{Acceptor: true},
		Handle: func(c *providers.Conn, e providers.Event) {
			switch e := e.(type) {
			case providers.Admission: // look at e.Token here
				c.Do(func(m *providers.Mux) { m.Admit() })
			case providers.Opening:
				c.Do(func(m *providers.Mux) {
					s, _ := m.Accept(e, serverDoc, &providers.Options{Durable: keeper.Durable, FirstHop: true})
					poke <- s
				})
			}
		},
	})
	doc, text := open()
	var notes *providers.Session
	client, _ := providers.NewConn(a, &providers.ConnOptions{
		Handle: func(c *providers.Conn, e providers.Event) {
			switch e := e.(type) {
			case providers.Admitted:
				c.Do(func(m *providers.Mux) { notes, _ = m.Open(doc, "notes", nil) })
			case providers.Synced:
				doc.Transact(func(tx runtime.Tx) error { return text.Insert(tx, 0, "hello") })
			case providers.Saved: // of what there was then; the edit may have come since
				if len(doc.Clock()) > 0 && len(notes.Unsaved()) == 0 {
					fmt.Println(e.Document, "is", e.Level)
					c.Do(func(m *providers.Mux) { m.End(providers.CodeNone, "done") })
				}
			}
		},
	})
	var wg sync.WaitGroup
	wg.Go(func() { server.Run(context.Background()) })
	wg.Go(func() { client.Run(context.Background()) })
	wg.Wait()
	keeper.Close()

	again, text := open()
	if keeper, err = providers.Keep(context.Background(), again, store, "notes", nil); err != nil {
		panic(err)
	}
	defer keeper.Close()
	again.View(func(tx runtime.Tx) error { fmt.Println(text.String(tx)); return nil })
	// Output:
	// notes is durable
	// hello
}

// conns runs two ends over a pipe; handle may be nil.
type conns struct {
	link [2]providers.Link
	c    [2]*providers.Conn
	err  [2]error
	wg   sync.WaitGroup
}

func run(t *testing.T, ctx context.Context, handle [2]func(*providers.Conn, providers.Event)) *conns {
	x := &conns{}
	x.link[0], x.link[1] = mem.Pipe()
	for i := range 2 {
		var err error
		if x.c[i], err = providers.NewConn(x.link[i], &providers.ConnOptions{Mux: providers.MuxOptions{Acceptor: i == 1}, Handle: handle[i]}); err != nil {
			t.Fatal(err)
		}
		x.wg.Go(func() { x.err[i] = x.c[i].Run(ctx) })
	}
	return x
}

func TestIdleConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		x := run(t, ctx, [2]func(*providers.Conn, providers.Event){})
		time.Sleep(time.Hour)
		synctest.Wait()
		if x.err[0] != nil || x.err[1] != nil {
			t.Fatal(x.err)
		}
		cancel()
		x.wg.Wait()
		if !errors.Is(x.err[0], context.Canceled) && !errors.Is(x.err[1], context.Canceled) {
			t.Fatal(x.err)
		}
	})
}

func TestEndReachesTheOtherSide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := run(t, t.Context(), [2]func(*providers.Conn, providers.Event){})
		synctest.Wait()
		x.c[1].Do(func(m *providers.Mux) { m.End(providers.CodeGoingAway, "bye") })
		x.wg.Wait()
		for i := range 2 {
			var e *providers.EndedError
			if !errors.As(x.err[i], &e) || e.Code != providers.CodeGoingAway || e.Remote != (i == 0) {
				t.Errorf("end %d: %v", i, x.err[i])
			}
		}
		if err := x.c[0].Run(t.Context()); !errors.Is(err, providers.ErrClosed) {
			t.Error(err)
		}
	})
}

// A peer that does not read is dropped after WriteAfter, and others go on meanwhile.
func TestPeerThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 1, runtime.Options{})
		a, b := mem.Pipe()
		c, err := providers.NewConn(a, &providers.ConnOptions{Mux: providers.MuxOptions{Acceptor: true}, Handle: func(c *providers.Conn, e providers.Event) {
			switch e := e.(type) {
			case providers.Admission:
				c.Do(func(m *providers.Mux) { m.Admit() })
			case providers.Opening:
				c.Do(func(m *providers.Mux) { m.Accept(e, n.rt, nil) })
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
		var got error
		began := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() { got = c.Run(t.Context()) })
		b.Send(t.Context(), frame(t, 1, 0, 1, 1, map[int]int{}))
		b.Receive(t.Context())
		b.Send(t.Context(), frame(t, 5, 1, []byte("doc"), map[int]any{2: []byte{0}, 5: true, 6: 1 << 20}))
		for range 2000 {
			n.insert(t, 0, "text")
			synctest.Wait()
		}
		wg.Wait()
		var e *providers.EndedError
		if !errors.As(got, &e) || e.Code != providers.CodeStalled || time.Since(began) > time.Minute {
			t.Fatal(got, time.Since(began))
		}
	})
}

// Handlers of the document run inside the driver and may do what they like.
func TestHandlersMayEdit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newNode(t, 1, runtime.Options{}), newNode(t, 2, runtime.Options{})
		x := run(t, t.Context(), [2]func(*providers.Conn, providers.Event){
			func(c *providers.Conn, e providers.Event) {
				if _, ok := e.(providers.Admitted); ok {
					c.Do(func(m *providers.Mux) { m.Open(a.rt, "doc", nil) })
				}
			},
			func(c *providers.Conn, e providers.Event) {
				switch e := e.(type) {
				case providers.Admission:
					c.Do(func(m *providers.Mux) { m.Admit() })
				case providers.Opening:
					c.Do(func(m *providers.Mux) { m.Accept(e, b.rt, nil) })
				}
			},
		})
		b.rt.OnUpdate(func(u runtime.Update) {
			if !u.Local {
				b.insert(t, -1, "!")
				x.c[1].Do(func(m *providers.Mux) { m.Session("doc").Unsaved() })
			}
		})
		for range 5 {
			a.insert(t, 0, "x")
			synctest.Wait()
		}
		equal(t, a, b)
		if strings.Count(a.String(), "!") != 5 {
			t.Error(a)
		}
		x.c[0].Do(func(m *providers.Mux) { m.End(0, "") })
		x.wg.Wait()
	})
}
