package providers

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// KeeperOptions configure a Keeper. nil and zero fields mean the defaults.
type KeeperOptions struct {
	// SnapshotRecords and SnapshotBytes say after how much log a snapshot is made and the log trimmed; defaults 4096 and 16
	// MiB.
	SnapshotRecords int
	SnapshotBytes   int
	// OnDurable is called, without a lock, when more has become durable: call Session.Poke there. OnError is called once,
	// when the store fails: nothing becomes durable any more.
	OnDurable func()
	OnError   func(error)
	Logger    *slog.Logger // default: nothing is logged
}

// Keeper ties a document to a store: what is stored is loaded, and every update from then on is appended. Its Durable is
// what Options.Durable of a session wants.
//
//  1. A dot counts as durable only after Store.Append returned for a record that holds it.
//  2. Each record is one update: a message, a bundle or a delta. Loading it twice changes nothing.
//  3. It never writes before everything stored was loaded: a document that cannot be loaded is not replaced.
//
// It starts one goroutine, which Close waits for. Safe for concurrent use.
type Keeper struct {
	rt    *runtime.Runtime
	store Store
	name  string
	opt   KeeperOptions
	stop  func()

	mu      sync.Mutex // a leaf
	queue   []runtime.Update
	durable vclock.Clock
	err     error
	closed  bool
	wake    chan struct{}
	done    chan struct{}

	records, bytes int    // since the snapshot; of the goroutine
	last           uint64 // position; of the goroutine
}

// Keep loads a document from a store into a runtime and keeps it there from then on. Errors: those of Store.Load and
// Runtime.Receive; nothing was written then.
func Keep(ctx context.Context, rt *runtime.Runtime, store Store, document string, o *KeeperOptions) (*Keeper, error) {
	k := &Keeper{rt: rt, store: store, name: document, wake: make(chan struct{}, 1), done: make(chan struct{})}
	if o != nil {
		k.opt = *o
	}
	if k.opt.SnapshotRecords == 0 {
		k.opt.SnapshotRecords = 4096
	}
	if k.opt.SnapshotBytes == 0 {
		k.opt.SnapshotBytes = 16 << 20
	}
	if k.opt.Logger == nil {
		k.opt.Logger = slog.New(slog.DiscardHandler)
	}
	stored, err := store.Load(ctx, document)
	if err != nil {
		return nil, err
	}
	before := rt.Clock()
	if x := stored.Snapshot; x != nil {
		if _, err := rt.Receive(x.State, runtime.From(k)); err != nil {
			return nil, fmt.Errorf("snapshot of document %q: %w", document, err)
		}
		k.last = x.Through
	}
	for _, r := range stored.Records {
		if _, err := rt.Receive(r.Data, runtime.From(k)); err != nil {
			return nil, fmt.Errorf("record %d of document %q: %w", r.Position, document, err)
		}
		k.records++
		k.bytes += len(r.Data)
		k.last = r.Position
	}
	k.durable = vclock.Clock{}
	state, stop, err := rt.SaveAndSubscribe(k.add)
	if err != nil {
		return nil, err
	}
	k.stop = stop
	if len(before) > 0 { // the document held something of its own: that is to be stored too
		k.queue = append(k.queue, runtime.Update{Data: state, Kind: runtime.StateUpdate})
		k.signal()
	} else if info, err := runtime.Inspect(state); err != nil {
		stop()
		return nil, err
	} else if info.Clock != nil {
		k.durable = info.Clock // exactly what was loaded: a later clock could hold what is not stored
	}
	go k.run()
	return k, nil
}

func (k *Keeper) add(u runtime.Update) {
	k.mu.Lock()
	k.queue = append(k.queue, u)
	k.mu.Unlock()
	k.signal()
}

func (k *Keeper) signal() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// Durable returns how many dots of a replica are durable.
func (k *Keeper) Durable(r vclock.Replica) uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.durable[r]
}

// Err returns why the store failed, nil if it did not.
func (k *Keeper) Err() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.err
}

// Close appends what is left and ends. It returns why the store failed, nil if all is durable. The store stays open.
func (k *Keeper) Close() error {
	k.stop()
	k.mu.Lock()
	k.closed = true
	k.mu.Unlock()
	k.signal()
	<-k.done
	return k.Err()
}

func (k *Keeper) run() {
	defer close(k.done)
	for range k.wake {
		for {
			k.mu.Lock()
			batch, closed, failed := k.queue, k.closed, k.err != nil
			k.queue = nil
			k.mu.Unlock()
			if len(batch) == 0 || failed {
				if closed {
					return
				}
				break
			}
			if err := k.append(batch); err != nil {
				k.mu.Lock()
				k.err = err
				k.mu.Unlock()
				k.opt.Logger.Error("weft: the store failed", "document", k.name, "error", err)
				if k.opt.OnError != nil {
					k.opt.OnError(err)
				}
				continue
			}
			k.compact()
		}
	}
}

// append makes updates durable, in one record. A state or delta that came from outside is not stored as it came, since it
// may hold messages that wait: a delta of this side's own stands in for it and all beside it.
func (k *Keeper) append(batch []runtime.Update) error {
	reach := make(vclock.Clock)
	messages := make([][]byte, 0, len(batch))
	for i := range batch {
		u := &batch[i]
		if u.Kind != runtime.MessageUpdate {
			messages = nil
			break
		}
		messages = append(messages, u.Data)
		reach.Set(u.Sender, max(reach.Get(u.Sender), u.End))
	}
	var data []byte
	var err error
	switch len(messages) {
	case 0:
		k.mu.Lock()
		base := k.durable.Clone()
		k.mu.Unlock()
		var info *runtime.Info
		if data, err = k.rt.SaveSince(base, runtime.CanonicalOnly(), runtime.Compressed(1)); err != nil {
			return err
		}
		if info, err = runtime.Inspect(data); err != nil {
			return err
		}
		reach = info.Clock
	case 1:
		data = messages[0]
	default:
		if data, err = runtime.Bundle(messages); err != nil {
			return err
		}
	}
	positions, err := k.store.Append(context.Background(), []Record{{k.name, data}})
	if err != nil {
		return err
	}
	k.records++
	k.bytes += len(data)
	k.last = positions[0]
	k.mu.Lock()
	k.durable.Merge(reach)
	k.mu.Unlock()
	if k.opt.OnDurable != nil {
		k.opt.OnDurable()
	}
	return nil
}

// compact replaces a long log by a snapshot. What fails here loses nothing.
func (k *Keeper) compact() {
	if k.records < k.opt.SnapshotRecords && k.bytes < k.opt.SnapshotBytes {
		return
	}
	// The state holds all records up to last, since these came from updates that were applied before.
	state, err := k.rt.Save(runtime.Compressed(1))
	if err == nil {
		var info *runtime.Info
		if info, err = runtime.Inspect(state); err == nil {
			err = k.store.Snapshot(context.Background(), k.name, &Snapshot{Clock: info.Clock, Through: k.last, State: state})
		}
	}
	if err == nil {
		err = k.store.Trim(context.Background(), k.name, k.last)
	}
	if err != nil {
		k.opt.Logger.Warn("weft: the log was not compacted", "document", k.name, "error", err)
	}
	k.records, k.bytes = 0, 0
}
