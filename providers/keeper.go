package providers

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

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
	// Manual starts no goroutine: whoever made the Keeper calls Step, as a simulation does that decides when a store answers.
	Manual bool
	Logger *slog.Logger // default: nothing is logged
	// Now is the clock whose time is stored with transactions; default time.Now. Rand gives the epoch of a new log, 8 bytes;
	// default crypto/rand.
	Now  func() time.Time
	Rand io.Reader
}

// Keeper ties a document to a store: what is stored is loaded, and every update from then on is appended. Its Durable is
// what Options.Durable of a session wants, its Log what Options.Log wants.
//
//  1. A dot counts as durable only after Store.Append returned for a record that holds it. Only then it has a number in Log.
//  2. Each record is a run of messages or a delta, stamped with time and with who brought what (Options.Principal). Loading
//     it twice changes nothing.
//  3. It never writes before everything stored was loaded: a document that cannot be loaded is not replaced.
//
// It starts one goroutine, which Close waits for, unless KeeperOptions.Manual is set. Safe for concurrent use.
type Keeper struct {
	rt    *runtime.Runtime
	store Store
	name  string
	opt   KeeperOptions
	stop  func()
	log   *RoomLog

	mu      sync.Mutex // a leaf
	queue   []runtime.Update
	durable vclock.Clock
	owners  map[vclock.Replica]string // of replicas that have written
	bound   map[vclock.Replica]string // those of owners that no record holds yet
	claims  claims
	err     error
	closed  bool
	wake    chan struct{}
	done    chan struct{}

	// Of the goroutine.
	records, bytes int    // since the snapshot
	last           uint64 // position
	restarted      bool   // the stream began anew after the last record
	stored         bool   // there is a record or a snapshot
}

// Keep loads a document from a store into a runtime and keeps it there from then on. Errors: those of Store.Load and
// Runtime.Receive, ErrMalformed, ErrStoredVersion; nothing was written then.
func Keep(ctx context.Context, rt *runtime.Runtime, store Store, document string, o *KeeperOptions) (*Keeper, error) {
	k := &Keeper{
		rt: rt, store: store, name: document, owners: make(map[vclock.Replica]string), durable: make(vclock.Clock),
		wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
	if o != nil {
		k.opt = *o
	}
	k.opt.fill()
	stored, err := store.Load(ctx, document)
	if err != nil {
		return nil, err
	}
	if err := k.load(stored); err != nil {
		return nil, fmt.Errorf("document %q: %w", document, err)
	}
	k.stop = rt.OnUpdate(k.add)
	// What the clock holds from here on is stored, or in the queue, or the document's own: then a delta stores all of it.
	if c := rt.Clock(); !k.durable.CoversClock(c) {
		k.mu.Lock()
		k.queue = append(k.queue, runtime.Update{Kind: runtime.StateUpdate})
		k.mu.Unlock()
		k.signal()
	}
	if !k.opt.Manual {
		go k.run()
	}
	return k, nil
}

func (o *KeeperOptions) fill() {
	if o.SnapshotRecords == 0 {
		o.SnapshotRecords = 4096
	}
	if o.SnapshotBytes == 0 {
		o.SnapshotBytes = 16 << 20
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
}

// load brings what is stored into the document and the log.
func (k *Keeper) load(stored *Stored) error {
	var epoch [8]byte
	if _, err := io.ReadFull(k.opt.Rand, epoch[:]); err != nil {
		return err
	}
	k.log = newRoomLog(epoch)
	if x := stored.Snapshot; x != nil {
		head, state, err := readSnapshot(x.State)
		if err != nil {
			return err
		}
		if err := k.receive(state); err != nil {
			return fmt.Errorf("snapshot: %w", err)
		}
		if err := k.log.load(&head); err != nil {
			return fmt.Errorf("snapshot: %w", err)
		}
		k.owners, k.last, k.stored = head.owners, x.Through, true
		k.durable.Merge(x.Clock)
	}
	for _, r := range stored.Records {
		if r.Position <= k.last && k.stored {
			continue // the snapshot holds it
		}
		if err := k.loadRecord(r.Data); err != nil {
			return fmt.Errorf("record %d: %w", r.Position, err)
		}
		k.stored = true
		k.records++
		k.bytes += len(r.Data)
		k.last = r.Position
	}
	return nil
}

func (k *Keeper) receive(update []byte) error {
	_, err := k.rt.Receive(update, runtime.From(k), runtime.Restore())
	return err
}

func (k *Keeper) loadRecord(data []byte) error {
	rec, err := readRecord(data)
	if err != nil {
		return err
	}
	if rec.flags&recordEpoch != 0 && !k.stored {
		k.log = newRoomLog(rec.epoch)
	}
	if next, _ := k.log.Next(); rec.number != next {
		return fmt.Errorf("%w: the record begins with number %d, not %d", ErrMalformed, rec.number, next)
	}
	for r, name := range rec.owners {
		k.owners[r] = name
	}
	if rec.flags&recordUpdate != 0 {
		if err := k.receive(rec.body); err != nil {
			return err
		}
		info, err := runtime.Inspect(rec.body)
		if err != nil {
			return err
		}
		k.durable.Merge(info.Clock)
		k.log.skip(rec.body, rec.ms)
		return nil
	}
	if rec.flags&recordRestarted != 0 {
		k.log.mu.Lock()
		k.log.restart()
		k.log.mu.Unlock()
	}
	return k.log.replay(rec.body, rec.ms, func(message []byte, sender vclock.Replica, end uint64) error {
		if err := k.receive(message); err != nil {
			return err
		}
		k.durable.Set(sender, max(k.durable[sender], end)) // in range: the message was taken
		return nil
	})
}

func (k *Keeper) add(u runtime.Update) {
	k.mu.Lock()
	if s, ok := u.Origin.(*Session); ok && u.Kind == runtime.MessageUpdate && u.Sender == s.peer.replica {
		k.claim(u.Sender, s.opt.Principal) // who relays others' work is not its owner
	}
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

// Log returns the numbered log of what became durable.
func (k *Keeper) Log() *RoomLog { return k.log }

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
	if k.opt.Manual {
		for k.Step() {
		}
		return k.Err()
	}
	k.signal()
	<-k.done
	return k.Err()
}

func (k *Keeper) run() {
	defer close(k.done)
	for range k.wake {
		for k.Step() {
		}
		k.mu.Lock()
		done := k.closed && (len(k.queue) == 0 || k.err != nil)
		k.mu.Unlock()
		if done {
			return
		}
	}
}

// Step appends all that waits, and reports whether there was anything. It is for a Keeper that is Manual, one call at a time;
// it returns when the store has answered.
func (k *Keeper) Step() bool {
	k.mu.Lock()
	batch, failed := k.queue, k.err != nil
	k.queue = nil
	k.mu.Unlock()
	if len(batch) == 0 || failed {
		return false
	}
	if err := k.append(batch); err != nil {
		k.mu.Lock()
		k.err = err
		k.mu.Unlock()
		k.opt.Logger.Error("weft: the store failed", "document", k.name, "error", err)
		if k.opt.OnError != nil {
			k.opt.OnError(err)
		}
		return true
	}
	k.compact()
	return true
}

// append makes updates durable, in one record. A state or delta that came from outside is not stored as it came, since it
// may hold messages that wait: a delta of this side's own stands in for it and all beside it.
func (k *Keeper) append(batch []runtime.Update) error {
	rec := record{ms: k.opt.Now().UnixMilli()}
	rec.number, _ = k.log.Next()
	if !k.stored {
		rec.flags, rec.epoch = recordEpoch, k.log.epoch
	}
	messages, reach := messagesOf(batch)
	rec.principals = principalsOf(batch)
	var err error
	if messages == nil {
		rec.flags |= recordUpdate
		if rec.body, reach, err = k.delta(); err != nil {
			return err
		}
	} else {
		if k.restarted {
			rec.flags |= recordRestarted
		}
		if rec.body, err = k.log.pack(messages); err != nil {
			return err
		}
	}
	if rec.owners = k.bindWriters(reach); rec.owners != nil {
		rec.flags |= recordOwners
	}
	data := rec.append(nil)
	positions, err := k.store.Append(context.Background(), []Record{{k.name, data}})
	if err != nil {
		return err
	}
	k.stored = true
	k.records++
	k.bytes += len(data)
	k.last = positions[0]
	k.mu.Lock()
	k.durable.Merge(reach)
	k.mu.Unlock()
	if k.restarted = false; messages == nil {
		k.log.skip(rec.body, rec.ms)
	} else if k.restarted, err = k.log.publish(rec.body, rec.ms); err != nil {
		return err
	}
	if k.opt.OnDurable != nil {
		k.opt.OnDurable()
	}
	return nil
}

// messagesOf returns the messages of a batch and how far they reach; nil if there is another kind of update in it.
func messagesOf(batch []runtime.Update) ([][]byte, vclock.Clock) {
	reach := make(vclock.Clock)
	messages := make([][]byte, 0, len(batch))
	for i := range batch {
		u := &batch[i]
		if u.Kind != runtime.MessageUpdate {
			return nil, nil
		}
		messages = append(messages, u.Data)
		reach.Set(u.Sender, max(reach.Get(u.Sender), u.End))
	}
	return messages, reach
}

// principalsOf returns who brought the updates of a batch; nil if nobody of whom a name is known.
func principalsOf(batch []runtime.Update) (runs []principalRun) {
	named := false
	for i := range batch {
		name := ""
		if s, ok := batch[i].Origin.(*Session); ok {
			name = s.opt.Principal
		}
		named = named || name != ""
		if n := len(runs); n > 0 && runs[n-1].name == name {
			runs[n-1].count++
		} else {
			runs = append(runs, principalRun{1, name})
		}
	}
	if !named {
		return nil
	}
	return runs
}

// delta returns all that is not durable yet, and how far it reaches.
func (k *Keeper) delta() ([]byte, vclock.Clock, error) {
	k.mu.Lock()
	base := k.durable.Clone()
	k.mu.Unlock()
	data, err := k.rt.SaveSince(base, runtime.CanonicalOnly(), runtime.Compressed(1))
	if err != nil {
		return nil, nil, err
	}
	info, err := runtime.Inspect(data)
	if err != nil {
		return nil, nil, err
	}
	return data, info.Clock, nil
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
			err = k.store.Snapshot(context.Background(), k.name, &Snapshot{Clock: info.Clock, Through: k.last, State: append(k.head(), state...)})
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

// head returns what goes before the state in a snapshot.
func (k *Keeper) head() []byte {
	var h snapshotHead
	h.place, h.stream, h.ms = k.log.now()
	k.mu.Lock()
	defer k.mu.Unlock()
	h.owners = k.owners
	return h.append(nil)
}
