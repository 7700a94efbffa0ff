//go:build !js

package ws

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// reserved begins the names under which the server keeps records of its own in the store. No client can open them.
const reserved = "\x00"

// bindings says which principal each replica ID of a document belongs to: the first that came with it. Each is durable
// before it counts. A record is a replica ID, then the principal's ID; the first record of a replica counts.
type bindings struct {
	store providers.Store
	name  string
	known func(vclock.Replica) bool // the document has dots of it

	mu     sync.Mutex
	loaded bool
	of     map[vclock.Replica]string
}

func newBindings(store providers.Store, document string, known func(vclock.Replica) bool) *bindings {
	sum := sha256.Sum256([]byte(document))
	return &bindings{store: store, known: known, name: reserved + "bind" + string(sum[:])}
}

// bind returns nil if the replica belongs to the principal, or does from now on. Errors: *providers.RefusedError.
func (b *bindings) bind(ctx context.Context, replica vclock.Replica, principal string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	unavailable := func(err error) error {
		return &providers.RefusedError{Code: providers.CodeUnavailable, Reason: "whose replica this is cannot be found out now"}
	}
	if !b.loaded {
		stored, err := b.store.Load(ctx, b.name)
		if err != nil {
			return unavailable(err)
		}
		b.of = make(map[vclock.Replica]string)
		for _, r := range stored.Records {
			if len(r.Data) < 16 {
				return unavailable(nil)
			}
			if id := vclock.Replica(r.Data[:16]); b.of[id] == "" {
				b.of[id] = string(r.Data[16:])
			}
		}
		b.loaded = true
	}
	switch owner, ok := b.of[replica]; {
	case principal == "":
		return &providers.RefusedError{Code: providers.CodeForbidden, Reason: "write-own needs a principal with an ID"}
	case !ok && b.known(replica): // from a time when others could bring its messages
		return &providers.RefusedError{Code: providers.CodeForeignDots, Reason: fmt.Sprintf("replica %v wrote before it belonged to anybody; write under a new one", replica)}
	case !ok:
		data := append(replica[:], principal...)
		if _, err := b.store.Append(ctx, []providers.Record{{Document: b.name, Data: data}}); err != nil {
			b.loaded = false // it may be there or not
			return unavailable(err)
		}
		b.of[replica] = principal
	case owner != principal:
		return &providers.RefusedError{Code: providers.CodeForeignDots, Reason: fmt.Sprintf("replica %v belongs to somebody else", replica)}
	}
	return nil
}

// allow checks an update of a principal that may bring its own messages only.
func (b *bindings) allow(ctx context.Context, update []byte, principal string) error {
	kind, err := runtime.KindOf(update)
	if err != nil {
		return err
	}
	messages := [][]byte{update}
	switch kind {
	case runtime.MessageUpdate:
	case runtime.BundleUpdate:
		if messages, err = runtime.SplitBundle(update); err != nil {
			return err
		}
	default:
		return &providers.RefusedError{Code: providers.CodeForeignDots, Reason: "only messages, no states or deltas"}
	}
	for _, m := range messages {
		info, err := runtime.Inspect(m)
		if err != nil {
			return err
		}
		if err := b.bind(ctx, info.Sender, principal); err != nil {
			return err
		}
	}
	return nil
}
