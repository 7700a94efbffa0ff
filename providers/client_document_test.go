package providers_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/providers/mem"
	"github.com/seed1312cc15/weft/runtime"
)

func TestDocumentsAreMany(t *testing.T) {
	withClient(t, providers.ClientOptions{}, func(t *testing.T, a *acceptor, c *providers.Client, h *history) {
		var replicas []*replica
		var docs []*providers.Document
		for i := range 40 {
			r := newReplica(t)
			r.add(t, fmt.Sprint("document ", i))
			replicas = append(replicas, r)
			docs = append(docs, openDocument(t, c, r, fmt.Sprint("doc", i), nil))
			if i%10 == 9 {
				time.Sleep(time.Second)
				a.end(providers.CodeGoingAway)
			}
		}
		for i, d := range docs {
			within(t, time.Minute, d.Name(), d.Saved)
			if got := a.doc(d.Name()).String(); got != replicas[i].String() {
				t.Errorf("%s: %q", d.Name(), got)
			}
		}
		if _, err := c.Open(newReplica(t).rt, "doc7", nil); !errors.Is(err, providers.ErrRefused) {
			t.Errorf("open twice: %v", err)
		}
		for _, name := range []string{"", string(make([]byte, providers.MaxName+1))} {
			if _, err := c.Open(newReplica(t).rt, name, nil); !errors.Is(err, providers.ErrRefused) {
				t.Errorf("a name of %d bytes: %v", len(name), err)
			}
		}
		if _, err := c.Open(newReplica(t).rt, "x", &providers.DocumentOptions{Session: providers.Options{Window: 1}}); !errors.Is(err, providers.ErrInvalidOptions) {
			t.Error(err)
		}
		// Closed and opened again, on the same connection.
		time.Sleep(time.Minute)
		dials := len(a.dials)
		if err := docs[7].Close(); err != nil {
			t.Error(err)
		}
		replicas[7].add(t, ", alone")
		synctest.Wait()
		if got := a.doc("doc7").String(); got != "document 7" {
			t.Errorf("a closed document still travels: %q", got)
		}
		d := openDocument(t, c, replicas[7], "doc7", nil)
		within(t, time.Minute, "doc7 again", d.Saved)
		if got := a.doc("doc7").String(); got != "document 7, alone" {
			t.Errorf("%q", got)
		}
		if n := len(a.dials); n != dials {
			t.Errorf("%d connections, then %d", dials, n)
		}
	})
}

func TestDocumentEvents(t *testing.T) {
	withClient(t, providers.ClientOptions{}, func(t *testing.T, a *acceptor, c *providers.Client, h *history) {
		a.doc("notes").add(t, "hello")
		synctest.Wait() // it is durable
		events, r := new(history), newReplica(t)
		d := openDocument(t, c, r, "notes", &providers.DocumentOptions{Handle: events.document})
		within(t, time.Second, "synced", d.Synced)
		if r.String() != "hello" {
			t.Errorf("synced, with %q", r)
		}
		synctest.Wait()
		got := events.take()
		// That nothing is unsaved is told once the clocks are compared, which may be before or after the server has sent all.
		at := slices.Index(got, "saved durable true")
		if at < 2 || !slices.Equal(slices.Delete(slices.Clone(got), at, at+1), []string{"providers.Opened", "online", "providers.Synced"}) {
			t.Errorf("%q", got)
		}
		r.add(t, " world")
		within(t, time.Second, "saved", d.Saved)
		synctest.Wait()
		if got := events.take(); !slices.Equal(got, []string{"saved durable true"}) {
			t.Errorf("%q", got)
		}
		a.end(providers.CodeGoingAway)
		synctest.Wait()
		if got := events.take(); !slices.Equal(got, []string{"offline"}) {
			t.Errorf("%q", got)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		defer cancel()
		if err := d.Synced(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Synced while offline: %v", err)
		}
	})
}

// TestDocumentIsRefused lets the server refuse the document for good, and take it later.
func TestDocumentIsRefused(t *testing.T) {
	withClient(t, providers.ClientOptions{}, func(t *testing.T, a *acceptor, c *providers.Client, h *history) {
		events, r := new(history), newReplica(t)
		d := openDocument(t, c, r, "notes", &providers.DocumentOptions{Handle: events.document})
		other := openDocument(t, c, newReplica(t), "other", nil)
		r.add(t, "saved, ")
		within(t, time.Second, "saved", d.Saved)
		synctest.Wait()
		a.set(func() {
			a.refuse = func(name string) *providers.RefusedError {
				if name == "notes" {
					return &providers.RefusedError{Code: providers.CodeForbidden, Reason: "not any more"}
				}
				return nil
			}
		})
		a.end(providers.CodeGoingAway)
		synctest.Wait()
		events.take()
		r.add(t, "written before the refusal, ")
		time.Sleep(time.Second)
		r.add(t, "and after it")
		var refused *providers.RefusedError
		if err := d.Saved(context.Background()); !errors.As(err, &refused) || refused.Code != providers.CodeForbidden {
			t.Errorf("Saved: %v", err)
		}
		if s, err := d.Status(); s != providers.Stopped || !errors.As(err, &refused) || refused.Reason != "not any more" {
			t.Errorf("%v, %v", s, err)
		}
		if got := events.take(); !slices.Equal(got, []string{"refused FORBIDDEN", "stopped"}) {
			t.Errorf("%q", got)
		}
		within(t, time.Second, "the other document", other.Synced)

		work, err := d.LocalWork()
		if err != nil {
			t.Fatal(err)
		}
		if info, err := runtime.Inspect(work); err != nil || info.Kind != runtime.BundleUpdate || info.Messages != 2 {
			t.Errorf("local work: %+v, %v", info, err)
		}
		saved := newReplica(t)
		state, err := a.doc("notes").rt.Save()
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range [][]byte{state, work} {
			if _, err := saved.rt.Receive(u); err != nil {
				t.Error(err)
			}
		}
		if saved.String() != r.String() {
			t.Errorf("local work: %q", saved)
		}

		time.Sleep(time.Hour)
		a.end(providers.CodeGoingAway)
		time.Sleep(time.Minute)
		if s, _ := d.Status(); s != providers.Stopped {
			t.Errorf("a document that was refused for good is %v on the next connection", s)
		}
		a.set(func() { a.refuse = nil })
		d.Reopen()
		within(t, time.Second, "saved", d.Saved)
		if got := a.doc("notes").String(); got != r.String() {
			t.Errorf("%q", got)
		}
	})
}

func TestDocumentIsUnavailableForAWhile(t *testing.T) {
	withClient(t, providers.ClientOptions{}, func(t *testing.T, a *acceptor, c *providers.Client, h *history) {
		n := 0
		a.set(func() {
			a.refuse = func(string) *providers.RefusedError {
				if n++; n > 4 {
					return nil
				}
				return &providers.RefusedError{Code: providers.CodeUnavailable}
			}
		})
		r := newReplica(t)
		r.add(t, "x")
		began := time.Now()
		d := openDocument(t, c, r, "notes", nil)
		within(t, time.Minute, "saved", d.Saved)
		if took := time.Since(began).Round(time.Millisecond); took != 7500*time.Millisecond { // 0.5 + 1 + 2 + 4 s
			t.Errorf("after %v", took)
		}
		if len(a.dials) != 1 {
			t.Errorf("%d connections", len(a.dials))
		}
		n = 0
		a.end(providers.CodeGoingAway)
		time.Sleep(600 * time.Millisecond)
		d.Close() // while it waits to come again
		time.Sleep(time.Minute)
		if n != 1 {
			t.Errorf("opened %d times", n)
		}
	})
}

func TestSavedNeedsTheServersPromise(t *testing.T) {
	withClient(t, providers.ClientOptions{}, func(t *testing.T, a *acceptor, c *providers.Client, h *history) {
		a.set(func() { a.store = nil })
		r := newReplica(t)
		r.add(t, "x")
		d := openDocument(t, c, r, "notes", nil)
		if err := d.Saved(context.Background()); !errors.Is(err, providers.ErrNotDurable) {
			t.Error(err)
		}
		trusting := openDocument(t, c, r, "also", &providers.DocumentOptions{Session: providers.Options{TrustReceived: true}})
		within(t, time.Second, "received", trusting.Saved)
		a.set(func() { a.readOnly = true })
		reader := openDocument(t, c, newReplica(t), "read", nil)
		var refused *providers.RefusedError
		if err := reader.Saved(context.Background()); !errors.As(err, &refused) || refused.Code != providers.CodeReadOnly {
			t.Error(err)
		}
	})
}

// TestSavedWaitsForCommitsWhoseEventsAreLate commits while another goroutine's handler holds up all events: the session
// has not heard of the commit when Saved is called.
func TestSavedWaitsForCommitsWhoseEventsAreLate(t *testing.T) {
	withClient(t, providers.ClientOptions{}, func(t *testing.T, a *acceptor, c *providers.Client, h *history) {
		r := newReplica(t)
		hold, held := make(chan struct{}), make(chan struct{})
		d := openDocument(t, c, r, "notes", nil)
		r.add(t, "a")
		within(t, time.Second, "saved", d.Saved)
		first := true
		defer r.rt.OnUpdate(func(runtime.Update) {
			if first {
				first = false
				close(held)
				<-hold
			}
		})()
		var wg sync.WaitGroup
		wg.Go(func() { r.add(t, "b") })
		<-held
		r.add(t, "c")
		var saved bool
		wg.Go(func() {
			if err := d.Saved(context.Background()); err != nil {
				t.Error(err)
			}
			saved = true
			if got := a.doc("notes").String(); got != "abc" {
				t.Errorf("saved, with %q at the server", got)
			}
		})
		synctest.Wait()
		if saved {
			t.Error("saved before the event was through")
		}
		if u := d.Unsaved(); len(u) != 1 || u[0].End != 3 {
			t.Errorf("unsaved: %v", u)
		}
		close(hold)
		wg.Wait()
	})
}

// slowStore is a store that can be held up.
type slowStore struct {
	*mem.Store
	gate chan struct{}
}

func (s *slowStore) Append(ctx context.Context, records []providers.Record) ([]uint64, error) {
	<-s.gate
	return s.Store.Append(ctx, records)
}

// TestSavedWaitsForTheServersStore lets the server acknowledge one edit after the other.
func TestSavedWaitsForTheServersStore(t *testing.T) {
	withClient(t, providers.ClientOptions{}, func(t *testing.T, a *acceptor, c *providers.Client, h *history) {
		s := &slowStore{mem.NewStore(), make(chan struct{})}
		a.set(func() { a.store = s })
		r := newReplica(t)
		d := openDocument(t, c, r, "notes", nil)
		for i := range 5 {
			r.add(t, "ab")
			saved := make(chan error, 1)
			go func() { saved <- d.Saved(context.Background()) }()
			if i == 3 {
				time.Sleep(time.Minute)
				a.end(providers.CodeGoingAway)
				time.Sleep(time.Minute) // the next connection begins with what is not durable
			}
			synctest.Wait()
			if u := d.Unsaved(); len(saved) > 0 || len(u) != 1 || u[0].Start != uint64(2*i) || u[0].End != uint64(2*i+2) {
				t.Errorf("edit %d: unsaved %v before the server's store had it", i, u)
			}
			s.gate <- struct{}{}
			if err := <-saved; err != nil {
				t.Error(err)
			}
			if u := d.Unsaved(); len(u) != 0 {
				t.Errorf("edit %d: unsaved %v", i, u)
			}
		}
		close(s.gate)
	})
}

func TestWaitersHearOfTheEnd(t *testing.T) {
	withClient(t, providers.ClientOptions{}, func(t *testing.T, a *acceptor, c *providers.Client, h *history) {
		s := &slowStore{mem.NewStore(), make(chan struct{})}
		a.set(func() { a.store = s })
		r := newReplica(t)
		d := openDocument(t, c, r, "notes", nil)
		r.add(t, "x")
		saved := make(chan error, 1)
		go func() { saved <- d.Saved(context.Background()) }()
		time.Sleep(time.Second)
		synctest.Wait()
		a.end(providers.CodeForbidden)
		synctest.Wait()
		var end *providers.EndedError
		if len(saved) == 0 {
			t.Error("it still waits")
		} else if err := <-saved; !errors.As(err, &end) || end.Code != providers.CodeForbidden {
			t.Error(err)
		}
		close(s.gate)
	})
}

// TestUpdatesFromElsewhere brings the same state to both sides, which neither can tell from messages.
func TestUpdatesFromElsewhere(t *testing.T) {
	withClient(t, providers.ClientOptions{}, func(t *testing.T, a *acceptor, c *providers.Client, h *history) {
		other, r := newReplica(t), newReplica(t)
		d := openDocument(t, c, r, "notes", nil)
		within(t, time.Second, "synced", d.Synced)
		for i := range 3 {
			other.add(t, "hello")
			state, err := other.rt.Save()
			if err != nil {
				t.Fatal(err)
			}
			for _, to := range []*replica{a.doc("notes"), r}[i%2:] {
				if _, err := to.rt.Receive(state); err != nil {
					t.Fatal(err)
				}
			}
			within(t, time.Minute, "saved", d.Saved)
			if a.doc("notes").String() != r.String() || len(d.Unsaved()) > 0 {
				t.Errorf("%q, unsaved %v", a.doc("notes"), d.Unsaved())
			}
		}
	})
}

// TestDocumentAcknowledgesWhatIsDurable looks from the server at a client with a slow store.
func TestDocumentAcknowledgesWhatIsDurable(t *testing.T) {
	withClient(t, providers.ClientOptions{}, func(t *testing.T, a *acceptor, c *providers.Client, h *history) {
		a.set(func() { a.plain = true })
		s := &slowStore{mem.NewStore(), make(chan struct{})}
		d := openDocument(t, c, newReplica(t), "notes", &providers.DocumentOptions{Store: s})
		within(t, time.Second, "synced", d.Synced)
		a.doc("notes").add(t, "hello")
		synctest.Wait()
		var session *providers.Session
		a.set(func() {
			for session = range a.poke {
			}
		})
		if u := session.Unsaved(); len(u) != 1 || u[0].End != 5 {
			t.Errorf("unsaved with a client whose store has nothing: %v", u)
		}
		s.gate <- struct{}{}
		synctest.Wait()
		if u := session.Unsaved(); len(u) != 0 {
			t.Errorf("unsaved with a client whose store has it: %v", u)
		}
		close(s.gate)
	})
}

// TestDocumentSendsWhatIsDurable: what a crash here would take stays here.
func TestDocumentSendsWhatIsDurable(t *testing.T) {
	withClient(t, providers.ClientOptions{}, func(t *testing.T, a *acceptor, c *providers.Client, h *history) {
		s := &slowStore{mem.NewStore(), make(chan struct{})}
		r := newReplica(t)
		d := openDocument(t, c, r, "notes", &providers.DocumentOptions{Store: s})
		within(t, time.Second, "synced", d.Synced)
		r.add(t, "hello")
		synctest.Wait()
		if got := a.doc("notes").String(); got != "" {
			t.Errorf("the server has %q", got)
		}
		close(s.gate)
		within(t, time.Second, "saved", d.Saved)
		if got := a.doc("notes").String(); got != "hello" {
			t.Errorf("the server has %q", got)
		}
	})
}

func TestDocumentIsKeptInAStore(t *testing.T) {
	withClient(t, providers.ClientOptions{}, func(t *testing.T, a *acceptor, c *providers.Client, h *history) {
		s := mem.NewStore()
		r := newReplica(t)
		d := openDocument(t, c, r, "notes", &providers.DocumentOptions{Store: s})
		within(t, time.Second, "synced", d.Synced)
		r.add(t, "hello")
		a.doc("notes").add(t, "!")
		synctest.Wait()
		within(t, time.Second, "saved", d.Saved)
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		again := newReplica(t)
		d = openDocument(t, c, again, "notes", &providers.DocumentOptions{Store: s})
		if again.String() != r.String() || len(r.String()) != 6 { // before anything came from the server
			t.Errorf("loaded %q", again)
		}
		within(t, time.Second, "saved", d.Saved)
		s.Fail(providers.ErrStoreFull)
		again.add(t, "x")
		synctest.Wait()
		if err := d.Close(); !errors.Is(err, providers.ErrStoreFull) {
			t.Errorf("Close of a document whose store failed: %v", err)
		}
		s.Fail(nil)
		s.Damage("notes", 1)
		if _, err := c.Open(newReplica(t).rt, "notes", &providers.DocumentOptions{Store: s}); !errors.Is(err, providers.ErrDamaged) {
			t.Errorf("a damaged document was opened: %v", err)
		}
	})
}
