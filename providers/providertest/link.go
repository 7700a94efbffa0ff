package providertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed1312cc15/weft/providers"
)

// Connect returns the two ends of a new link, the dialer's first.
type Connect func(t testing.TB) (dialer, acceptor providers.Link)

const patience = 10 * time.Second

// TestLink checks the contract of providers.Link.
func TestLink(t *testing.T, connect Connect) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, ctx context.Context, a, b providers.Link)
	}{
		{"1 in order, whole", linkOrder},
		{"2 bytes are not shared", linkBytes},
		{"3 send blocks", linkBlocks},
		{"4 contexts", linkContexts},
		{"5 close", linkClose},
		{"5 close ends what waits", linkCloseWaiting},
		{"6 the longest frame", linkLongest},
	} {
		for _, swap := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/%v", c.name, map[bool]string{false: "dialer", true: "acceptor"}[swap]), func(t *testing.T) {
				defer CheckLeaks(t)()
				a, b := connect(t)
				defer closeBoth(a, b)
				if swap {
					a, b = b, a
				}
				ctx, cancel := context.WithTimeout(context.Background(), patience)
				defer cancel()
				c.run(t, ctx, a, b)
			})
		}
	}
}

// closeBoth closes both ends at once: one alone may wait for the other.
func closeBoth(a, b providers.Link) {
	var wg sync.WaitGroup
	wg.Go(func() { a.Close() })
	wg.Go(func() { b.Close() })
	wg.Wait()
}

// background runs fn beside the test and returns a function that waits for it.
func background(fn func()) (wait func()) {
	var wg sync.WaitGroup
	wg.Go(fn)
	return wg.Wait
}

func testFrame(i int) []byte {
	return append([]byte{0x82, byte(i), byte(i >> 8)}, bytes.Repeat([]byte{byte(i)}, i*i%3000)...)
}

func linkOrder(t *testing.T, ctx context.Context, a, b providers.Link) {
	const n = 500
	wait := background(func() {
		for i := range n {
			if err := a.Send(ctx, testFrame(i)); err != nil {
				t.Errorf("frame %d: %v", i, err)
				return
			}
		}
	})
	defer wait()
	for i := range n {
		f, err := b.Receive(ctx)
		if err != nil {
			t.Fatalf("frame %d: %v", i, err)
		}
		if !bytes.Equal(f, testFrame(i)) {
			t.Fatalf("frame %d has changed, or is another one: %.20x", i, f)
		}
	}
}

func linkBytes(t *testing.T, ctx context.Context, a, b providers.Link) {
	f := testFrame(7)
	wait := background(func() {
		if err := a.Send(ctx, f); err != nil {
			t.Error(err)
		}
		clear(f)
		if err := a.Send(ctx, testFrame(8)); err != nil {
			t.Error(err)
		}
	})
	defer wait()
	got, err := b.Receive(ctx)
	if err != nil || !bytes.Equal(got, testFrame(7)) {
		t.Fatalf("%v %.20x", err, got)
	}
	clear(got)
	if next, err := b.Receive(ctx); err != nil || !bytes.Equal(next, testFrame(8)) || !bytes.Equal(got, make([]byte, len(got))) {
		t.Fatalf("%v %.20x", err, next)
	}
}

func linkBlocks(t *testing.T, ctx context.Context, a, b providers.Link) {
	var sent atomic.Int64
	wait := background(func() {
		f := make([]byte, 64<<10)
		f[0] = 0x82
		for a.Send(ctx, f) == nil {
			if sent.Add(1) > 10_000 {
				t.Error("640 MB went out to a peer that does not receive")
				return
			}
		}
	})
	for last := int64(-1); last != sent.Load(); time.Sleep(200 * time.Millisecond) {
		last = sent.Load()
	}
	a.Close()
	wait()
}

func linkContexts(t *testing.T, ctx context.Context, a, b providers.Link) {
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	if _, err := b.Receive(short); err == nil || ctx.Err() != nil {
		t.Errorf("Receive went on after its context: %v", err)
	}
	short, cancel = context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	f := make([]byte, 64<<10)
	f[0] = 0x82
	for a.Send(short, f) == nil {
	}
	if ctx.Err() != nil {
		t.Error("Send went on after its context")
	}
}

func linkClose(t *testing.T, ctx context.Context, a, b providers.Link) {
	wait := background(func() {
		for i := range 3 {
			if err := a.Send(ctx, testFrame(i)); err != nil {
				t.Error(err)
			}
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	for i := range 3 {
		if f, err := b.Receive(ctx); err != nil || !bytes.Equal(f, testFrame(i)) {
			t.Fatalf("frame %d, sent before Close: %v", i, err)
		}
	}
	wait()
	if _, err := b.Receive(ctx); !errors.Is(err, io.EOF) {
		t.Errorf("after the peer's Close Receive returns %v, not io.EOF", err)
	}
	if err := a.Send(ctx, testFrame(0)); err == nil {
		t.Error("Send works after Close")
	}
	if _, err := a.Receive(ctx); err == nil {
		t.Error("Receive works after Close")
	}
	for range 1000 { // the news may take its time
		if err := b.Send(ctx, testFrame(0)); err != nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if err := b.Send(ctx, testFrame(0)); err == nil {
		t.Error("Send works after the peer's Close")
	}
	a.Close()
}

func linkCloseWaiting(t *testing.T, ctx context.Context, a, b providers.Link) {
	wait := background(func() {
		if _, err := a.Receive(ctx); err == nil || ctx.Err() != nil {
			t.Errorf("Receive went on after Close: %v", err)
		}
	})
	time.Sleep(10 * time.Millisecond)
	a.Close()
	wait()
	if _, err := b.Receive(ctx); err == nil || ctx.Err() != nil {
		t.Errorf("the other side's Receive went on after Close: %v", err)
	}
}

func linkLongest(t *testing.T, ctx context.Context, a, b providers.Link) {
	f := bytes.Repeat([]byte{0x82}, providers.MaxFrame)
	wait := background(func() {
		if err := a.Send(ctx, f); err != nil {
			t.Error(err)
		}
	})
	defer wait()
	if got, err := b.Receive(ctx); err != nil || !bytes.Equal(got, f) {
		t.Errorf("%d bytes of %d: %v", len(got), len(f), err)
	}
}
