package runtime_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// raw writes one operation of these bytes on n.
func raw(r *runtime.Runtime, n *runtime.Node, payload []byte, dots int) error {
	return r.Transact(func(tx runtime.Tx) error {
		w, err := tx.Begin(n)
		if err != nil {
			return err
		}
		w.Raw(payload)
		w.Commit(dots)
		return nil
	})
}

// TestFreshMessages writes all that ends a run of messages from one template, and asks for what history holds at once, later,
// or hardly ever. What comes back is what was sent, byte for byte.
func TestFreshMessages(t *testing.T) {
	for ask := range 4 {
		t.Run(fmt.Sprintf("ask=%d", ask), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, uint64(ask)))
			limit, names, long := 400, 3, 250
			if ask%2 == 0 { // what is refused was made from the template, too
				limit, names, long = 70, 2, 20
			}
			r, err := runtime.New(&runtime.Options{
				Replica: id(1), Limits: runtime.Limits{MessageBytes: limit},
				Kinds: []runtime.Kind{{Name: "text", New: func(*runtime.Node) runtime.Object { return new(floorObject) }}},
			})
			if err != nil {
				t.Fatal(err)
			}
			roots := make([]*runtime.Node, 3)
			for i, name := range []string{"a", "b", "a name that is longer than the template has room for"} {
				if roots[i], err = r.Root(name, "text"); err != nil {
					t.Fatal(err)
				}
			}
			other, on := openFloor(t, "a")
			var theirs []byte
			other.OnUpdate(func(u runtime.Update) { theirs = u.Data })
			var sent [][]byte
			own := vclock.Clock{}
			r.OnUpdate(func(u runtime.Update) {
				if u.Local {
					sent = append(sent, u.Data)
				}
			})
			root, check := roots[0], func() {
				t.Helper()
				base := r.Clock() // of others, nothing is asked
				base.Set(r.Replica(), own.Get(r.Replica()))
				got, err := r.MessagesSince(base)
				if err != nil || len(got) != len(sent) {
					t.Fatalf("%d messages, not %d: %v", len(got), len(sent), err)
				}
				for i := range got {
					if !bytes.Equal(got[i], sent[i]) {
						t.Fatalf("message %d of %d:\n got %x\nwant %x", i, len(got), got[i], sent[i])
					}
				}
				sent = sent[:0]
				own.Set(r.Replica(), r.Clock().Get(r.Replica()))
				if err := r.Check(); err != nil {
					t.Fatal(err)
				}
			}
			for i := range 10_000 {
				payload, dots := bytes.Repeat([]byte{byte(i)}, 1+rng.IntN(5)), 1
				switch rng.IntN(400) {
				case 0:
					root = roots[rng.IntN(names)]
				case 1:
					payload = make([]byte, rng.IntN(long))
				case 2:
					if err := raw(r, root, make([]byte, limit-10), 1); err == nil {
						t.Fatal("a message beyond the limit was committed")
					}
				case 3:
					if err := raw(other, on, payload, 1); err != nil {
						t.Fatal(err)
					}
					if _, err := r.Receive(theirs); err != nil {
						t.Fatal(err)
					}
				case 4, 5, 6:
					dots = 1 + rng.IntN(200)
				case 7:
					if _, err := r.Receive(sent0(sent)); err != nil && sent0(sent) != nil {
						t.Fatal(err)
					}
				}
				if err := raw(r, root, payload, dots); err != nil {
					t.Fatal(err)
				}
				if ask > 0 && rng.IntN(1<<(4*ask)) == 0 {
					check()
				}
			}
			check()
		})
	}
}

// sent0 returns the newest message, nil if there is none.
func sent0(sent [][]byte) []byte {
	if len(sent) == 0 {
		return nil
	}
	return sent[len(sent)-1]
}

// TestFreshMessagesForReaders types while several ask for history at once, under the read lock.
func TestFreshMessagesForReaders(t *testing.T) {
	r, n := openText(t)
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				c := r.Clock()
				msgs, err := r.MessagesSince(vclock.Clock{})
				if err != nil || uint64(len(msgs)) < c.Get(r.Replica()) {
					t.Errorf("%d messages at %v: %v", len(msgs), c, err)
					return
				}
			}
		})
	}
	for range 3_000 {
		if err := raw(r, n, []byte{1, 'a'}, 1); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	readers.Wait()
}

func openText(t testing.TB) (*runtime.Runtime, *runtime.Node) {
	r, err := runtime.New(&runtime.Options{
		Kinds: []runtime.Kind{{Name: "text", New: func(*runtime.Node) runtime.Object { return new(floorObject) }}},
	})
	if err != nil {
		t.Fatal(err)
	}
	n, err := r.Root("text", "text")
	if err != nil {
		t.Fatal(err)
	}
	return r, n
}
