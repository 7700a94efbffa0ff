package providers_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/providers/mem"
)

func TestClientWorksOffline(t *testing.T) {
	withClient(t, providers.ClientOptions{}, func(t *testing.T, a *acceptor, c *providers.Client, h *history) {
		a.set(func() { a.fail = errors.New("no route") })
		r := newReplica(t)
		d := openDocument(t, c, r, "notes", nil)
		r.add(t, "written offline")
		time.Sleep(10 * time.Second)
		// Pauses of half of 1, 2, 4, 8 s: dials at 0, 0.5, 1.5, 3.5, 7.5 s.
		want := []string{"connecting", "offline 500ms", "connecting", "offline 1s", "connecting", "offline 2s", "connecting", "offline 4s",
			"connecting", "offline 8s"}
		if got := h.take(); !slices.Equal(got, want[1:]) && !slices.Equal(got, want) {
			t.Errorf("%q", got)
		}
		if s, err := d.Status(); s != providers.Offline || err == nil {
			t.Errorf("the document is %v: %v", s, err)
		}
		if u := d.Unsaved(); len(u) != 1 || u[0].End != 15 {
			t.Errorf("unsaved: %v", u)
		}
		a.set(func() { a.fail = nil })
		within(t, 10*time.Second, "saved", d.Saved)
		within(t, time.Second, "synced", d.Synced)
		if got := a.doc("notes").String(); got != "written offline" {
			t.Errorf("the server has %q", got)
		}
		if u := d.Unsaved(); len(u) != 0 {
			t.Errorf("unsaved: %v", u)
		}
		if w, err := d.LocalWork(); w != nil || err != nil {
			t.Errorf("local work: %x, %v", w, err)
		}
		if s, err := d.Status(); s != providers.Online || err != nil {
			t.Errorf("the document is %v: %v", s, err)
		}
		a.doc("notes").add(t, " and answered")
		synctest.Wait()
		if got := r.String(); got != "written offline and answered" {
			t.Errorf("the client has %q", got)
		}
		if u := d.Unsaved(); len(u) != 0 { // the server brought it
			t.Errorf("unsaved: %v", u)
		}
	})
}

func TestClientPausesStopGrowing(t *testing.T) {
	withClient(t, providers.ClientOptions{LongestPause: 3 * time.Second}, func(t *testing.T, a *acceptor, c *providers.Client, h *history) {
		a.set(func() { a.fail = errors.New("no route") })
		time.Sleep(5 * time.Second)
		h.take()
		time.Sleep(time.Minute)
		for _, e := range h.take() {
			if e != "connecting" && e != "offline 1.5s" {
				t.Error(e)
			}
		}
		a.set(func() { a.fail = nil })
		time.Sleep(10 * time.Second) // online for longer than the longest pause
		h.take()
		a.end(providers.CodeGoingAway)
		synctest.Wait()
		if got := h.take(); !slices.Equal(got, []string{"offline 500ms"}) {
			t.Errorf("pauses do not start anew: %q", got)
		}
	})
}

// TestClientEnds lets the server end the connection with each code, before and after it admitted the client.
func TestClientEnds(t *testing.T) {
	for _, c := range []struct {
		code          providers.Code
		before, after providers.Status
	}{
		{providers.CodeNone, providers.Offline, providers.Offline},
		{providers.CodeMalformed, providers.Stopped, providers.Stopped},
		{providers.CodeUnauthenticated, providers.Stopped, providers.Offline},
		{providers.CodeForbidden, providers.Stopped, providers.Stopped},
		{providers.CodeNotFound, providers.Stopped, providers.Stopped},
		{providers.CodeUnknownFrame, providers.Stopped, providers.Stopped},
		{providers.CodeVersion, providers.Stopped, providers.Stopped},
		{providers.CodeTimeout, providers.Offline, providers.Offline},
		{providers.CodeTooMany, providers.Stopped, providers.Stopped},
		{471, providers.Stopped, providers.Stopped},
		{499, providers.Stopped, providers.Stopped},
		{providers.CodeInternal, providers.Offline, providers.Offline},
		{providers.CodeGoingAway, providers.Offline, providers.Offline},
		{providers.CodeRate, providers.Offline, providers.Offline},
		{599, providers.Offline, providers.Offline},
		{77, providers.Stopped, providers.Stopped},
	} {
		for _, admitted := range []bool{false, true} {
			t.Run(fmt.Sprint(c.code, admitted), func(t *testing.T) {
				withClient(t, providers.ClientOptions{}, func(t *testing.T, a *acceptor, cl *providers.Client, h *history) {
					r := newReplica(t)
					d := openDocument(t, cl, r, "notes", nil)
					want := c.before
					if admitted {
						want = c.after
						within(t, time.Second, "saved", d.Saved)
						synctest.Wait()
						a.end(c.code)
					} else {
						a.set(func() {
							a.admit = func(string) error { return &providers.EndedError{Code: c.code, Reason: "because"} }
						})
						time.Sleep(time.Millisecond)
					}
					synctest.Wait()
					a.set(func() { a.admit = nil })
					s, err := cl.Status()
					var end *providers.EndedError
					if s != want || !errors.As(err, &end) || end.Code != c.code {
						t.Fatalf("%v, %v; want %v", s, err, want)
					}
					r.add(t, "x")
					if want == providers.Stopped {
						if err := d.Saved(context.Background()); !errors.As(err, &end) {
							t.Errorf("Saved of a stopped client: %v", err)
						}
						time.Sleep(time.Hour)
						if s, _ := cl.Status(); s != providers.Stopped {
							t.Error("it goes on by itself")
						}
						if s, err := d.Status(); s != providers.Stopped || !errors.As(err, &end) || end.Code != c.code {
							t.Errorf("the document of a stopped client: %v, %v", s, err)
						}
						late, err := cl.Open(newReplica(t).rt, "late", nil)
						if err != nil {
							t.Fatal(err)
						}
						if s, err := late.Status(); s != providers.Stopped || !errors.As(err, &end) {
							t.Errorf("a document of a stopped client: %v, %v", s, err)
						}
						defer func() { within(t, time.Minute, "late is synced", late.Synced) }()
						cl.Reconnect()
						synctest.Wait()
					}
					within(t, time.Minute, "saved in the end", d.Saved)
				})
			})
		}
	}
}

func TestClientFetchesTokens(t *testing.T) {
	n := 0
	token := func(context.Context) ([]byte, error) {
		if n++; n == 2 {
			return nil, errors.New("the identity provider is away")
		}
		return fmt.Appendf(nil, "token %d", n), nil
	}
	withClient(t, providers.ClientOptions{Token: token}, func(t *testing.T, a *acceptor, c *providers.Client, h *history) {
		a.set(func() {
			a.admit = func(s string) error {
				if s == "token 5" {
					return &providers.EndedError{Code: providers.CodeUnauthenticated}
				}
				return nil
			}
		})
		for range 2 { // expires while it stands
			time.Sleep(5 * time.Second)
			synctest.Wait()
			a.end(providers.CodeUnauthenticated)
		}
		time.Sleep(10 * time.Second)
		a.end(providers.CodeGoingAway)
		time.Sleep(10 * time.Second)
		a.set(func() {
			if !slices.Equal(a.tokens, []string{"token 1", "token 3", "token 4", "token 5"}) {
				t.Errorf("%q", a.tokens)
			}
		})
		if s, err := c.Status(); s != providers.Stopped {
			t.Errorf("with a token that is refused: %v, %v", s, err)
		}
	})
	withClient(t, providers.ClientOptions{Token: func(context.Context) ([]byte, error) { return make([]byte, providers.MaxToken+1), nil }},
		func(t *testing.T, a *acceptor, c *providers.Client, h *history) {
			time.Sleep(time.Second)
			if s, err := c.Status(); s != providers.Stopped {
				t.Errorf("with a token that is too long: %v, %v", s, err)
			}
		})
}

// half is a link that swallows what is sent from a moment on.
type half struct {
	providers.Link
	mu   sync.Mutex
	dead bool
}

func (h *half) Send(ctx context.Context, frame []byte) error {
	h.mu.Lock()
	dead := h.dead
	h.mu.Unlock()
	if dead {
		return nil
	}
	return h.Link.Send(ctx, frame)
}

func TestClientNoticesADeadServer(t *testing.T) {
	withClient(t, providers.ClientOptions{Heartbeat: 10 * time.Second}, func(t *testing.T, a *acceptor, c *providers.Client, h *history) {
		var links []*half
		a.set(func() {
			a.wrap = func(client, server providers.Link) (providers.Link, providers.Link) {
				l := &half{Link: client}
				links = append(links, l)
				x := &half{Link: server}
				links = append(links, x)
				return l, x
			}
		})
		r := newReplica(t)
		d := openDocument(t, c, r, "notes", nil)
		within(t, time.Second, "saved", d.Saved)
		a.set(func() {
			for _, l := range links {
				l.mu.Lock()
				l.dead = true
				l.mu.Unlock()
			}
		})
		r.add(t, "into the void")
		h.take()
		time.Sleep(15 * time.Second)
		if s, _ := c.Status(); s != providers.Online {
			t.Errorf("%v after 15 s", s)
		}
		time.Sleep(6 * time.Second)
		if got := h.take(); len(got) == 0 || got[0] != "offline 500ms" {
			t.Errorf("%q", got)
		}
		within(t, time.Second, "saved", d.Saved)
	})
}

func TestClientHelloIsNotAnswered(t *testing.T) {
	withClient(t, providers.ClientOptions{HelloAfter: 3 * time.Second}, func(t *testing.T, a *acceptor, c *providers.Client, h *history) {
		a.set(func() { a.silent = true })
		time.Sleep(4 * time.Second)
		a.set(func() {
			if len(a.dials) != 2 {
				t.Errorf("%d dials in 4 s", len(a.dials))
			}
			a.silent = false
		})
		if got := h.take(); !slices.Contains(got, "offline 500ms") {
			t.Errorf("%q", got)
		}
		time.Sleep(10 * time.Second)
		if s, err := c.Status(); s != providers.Online {
			t.Errorf("%v, %v", s, err)
		}
	})
}

func TestClientIsSentGarbage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int32
		var wg sync.WaitGroup
		c, err := providers.NewClient(func(ctx context.Context) (providers.Link, error) {
			n.Add(1)
			client, server := mem.Pipe()
			wg.Go(func() {
				server.Send(context.Background(), []byte{0xff, 0x00})
				for _, err := server.Receive(context.Background()); err == nil; _, err = server.Receive(context.Background()) {
				}
				server.Close()
			})
			return client, nil
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if s, err := c.Status(); s == providers.Stopped || n.Load() < 100 || n.Load() > 500 {
			t.Errorf("%v after %d connections in an hour: %v", s, n.Load(), err)
		}
		c.Close()
		wg.Wait()
	})
}

func TestClientCloses(t *testing.T) {
	t.Run("while it dials", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c, err := providers.NewClient(func(ctx context.Context) (providers.Link, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}, nil)
			if err != nil {
				t.Fatal(err)
			}
			d := openDocument(t, c, newReplica(t), "notes", nil)
			synctest.Wait()
			c.Close()
			if err := d.Synced(context.Background()); !errors.Is(err, providers.ErrClosed) {
				t.Error(err)
			}
			if _, err := c.Open(newReplica(t).rt, "other", nil); !errors.Is(err, providers.ErrClosed) {
				t.Error(err)
			}
			c.Close()
		})
	})
	t.Run("and the dial succeeds all the same", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var other providers.Link
			c, err := providers.NewClient(func(ctx context.Context) (providers.Link, error) {
				<-ctx.Done()
				a, b := mem.Pipe()
				other = b
				return a, nil
			}, nil)
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			c.Close()
			if _, err := other.Receive(context.Background()); err == nil {
				t.Error("the link is not closed")
			}
		})
	})
	t.Run("while others wait", func(t *testing.T) {
		withClient(t, providers.ClientOptions{}, func(t *testing.T, a *acceptor, c *providers.Client, h *history) {
			a.set(func() { a.store = nil; a.silent = true })
			d := openDocument(t, c, newReplica(t), "notes", nil)
			var wg sync.WaitGroup
			for _, wait := range []func(context.Context) error{d.Synced, d.Saved} {
				wg.Go(func() {
					if err := wait(context.Background()); !errors.Is(err, providers.ErrClosed) {
						t.Error(err)
					}
				})
			}
			synctest.Wait()
			c.Close()
			wg.Wait()
		})
	})
	t.Run("at any moment", func(t *testing.T) {
		for i := range 200 {
			synctest.Test(t, func(t *testing.T) {
				a := newAcceptor(t)
				c, err := providers.NewClient(a.dial, nil)
				if err != nil {
					t.Fatal(err)
				}
				r := newReplica(t)
				d := openDocument(t, c, r, "notes", nil)
				var wg sync.WaitGroup
				wg.Go(func() {
					for range i % 20 {
						r.add(t, "x")
					}
					d.Saved(context.Background())
				})
				for range i {
					d.Status() // passes some time
				}
				c.Close()
				wg.Wait()
				a.close()
			})
		}
	})
}
