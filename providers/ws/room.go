//go:build !js

package ws

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// room is a document that is open on the server: its runtime, what keeps it in the store, and who is there.
//
//  1. It takes part in nothing before all that is stored was loaded; one that cannot be loaded is never there.
//  2. Once closing it takes nobody in, and the next one of this name is loaded after it has gone.
//  3. What it has acknowledged as durable is in the store.
type room struct {
	server *Server
	name   string
	ready  chan struct{} // closed when it is loaded, or err says why not
	gone   chan struct{} // closed when it is unloaded
	err    error

	rt        *runtime.Runtime
	keeper    *providers.Keeper
	ephemeral *providers.Ephemeral
	presence  alarm // when ephemeral has something to do
	rate      *rate.Limiter
	size      roomSize
	stop      func()

	// Guarded by the lock of rooms.
	uses      int       // members, and those who are about to become some
	idle      time.Time // since when uses is 0
	closing   bool
	unloading bool

	mu        sync.Mutex // a leaf
	members   map[*member]bool
	bySession map[*providers.Session]*member
	owing     map[*member]int // who may wait for an acknowledgement, and the round in which that began
	round     int             // times that more has become durable

	version, bytes atomic.Int64 // updates applied
	digest         roomDigest

	// cache is an encoded state, for all that join: its lock is held while one of them encodes it.
	cache struct {
		sync.Mutex
		state   []byte
		plain   []byte // the same without compression; nil: nobody has asked
		clock   vclock.Clock
		sum     uint32 // CRC32C of state
		version int64
		bytes   int64
		used    time.Time
		measure int           // its length when it was last encoded
		took    time.Duration // to encode it
		at      time.Time     // of measure
	}
}

// member is a connection that has the document open.
type member struct {
	c       *connection // nil: a peer server
	end     func()      // of a peer server: ends the link
	room    *room
	session *providers.Session
	replica vclock.Replica
	access  atomic.Uint32
	backlog bool         // the peer has not yet sent all that it had; guarded by the lock of the connection
	misses  atomic.Int32 // failed rechecks in a row
}

// staleAfter is how many updates a cached state may lack before it is encoded anew: those who get it get these too.
const staleAfter = 256

// load opens the document. It is called once, by whoever asked first.
func (r *room) load(ctx context.Context) (err error) {
	defer faulty(&err)
	s := r.server
	o := s.opt.Runtime
	o.Limits = s.opt.Limits.document(o.Limits)
	if r.rt, err = runtime.New(&o); err != nil {
		return err
	}
	l := &s.opt.Limits
	r.rate = bucket(l.DocumentUpdatesPerSecond)
	r.presence.ring = func() {
		s.spawn(func() { r.ephemeral.Tick(time.Now()) })
	}
	r.ephemeral, err = providers.NewEphemeral(&providers.EphemeralOptions{
		Own: r.rt.Replica(), OwnKeysOnly: true, ValueBytes: l.PresenceBytes, PerSecond: l.PresencePerSecond, Entries: l.PresenceEntries,
		Alarm: func(at time.Time) { s.timers.set(&r.presence, at) },
	})
	if err != nil {
		return err
	}
	r.members, r.bySession, r.owing = make(map[*member]bool), make(map[*providers.Session]*member), make(map[*member]int)
	// The room hears of an update before the keeper does: what becomes durable was noted.
	r.stop = r.rt.OnUpdate(r.update)
	r.keeper, err = providers.Keep(ctx, r.rt, &sizedStore{s.opt.Store, r}, r.name, &providers.KeeperOptions{
		OnDurable: r.durable, OnError: r.failed, Logger: s.log,
	})
	if err != nil {
		r.stop()
	}
	return err
}

// close makes what is left durable. Nobody is there any more who could show something.
func (r *room) close() error {
	r.server.timers.retire(&r.presence)
	r.stop()
	return r.keeper.Close()
}

// options are those of a member's session.
func (r *room) options(m *member, access Access) *providers.Options {
	l := &r.server.opt.Limits
	o := &providers.Options{
		IgnoreAcks: true, ReadOnly: access == AccessRead, FirstHop: access != AccessServer, Relays: access == AccessServer,
		Save: r.save, Uncompress: r.uncompress, Checksum: r.checksum, Digest: r.digestOf,
		Log: r.keeper.Log(), Principal: m.c.principal.ID, Ephemeral: r.ephemeral, Stamp: m.c.principal.Stamp,
		QueueBytes: l.QueueBytes, QueueMessages: l.QueueMessages, TransferBytes: l.TransferBytes,
		Check: func(update []byte) error { return m.c.check(m, update) },
	}
	if o.Stamp == nil { // nil would leave what the peer says
		o.Stamp = []byte{}
	}
	if !r.server.volatile {
		o.Durable = r.keeper.Durable
	}
	return o
}

// peerOptions are those of a session with another server, by its name. What is wrong with a writer there is no reason to
// part.
func (r *room) peerOptions(name string) *providers.Options {
	l := &r.server.opt.Limits
	o := &providers.Options{Principal: name, Relays: true, Ephemeral: r.ephemeral, Save: r.save, Uncompress: r.uncompress, Digest: r.digestOf, Log: r.keeper.Log(), QueueBytes: l.QueueBytes, QueueMessages: l.QueueMessages, TransferBytes: l.TransferBytes, Check: r.quota}
	if !r.server.volatile {
		o.Durable = r.keeper.Durable
	}
	return o
}

// update hears of every update of the document.
func (r *room) update(u runtime.Update) {
	r.version.Add(1)
	r.bytes.Add(int64(len(u.Data)))
	if _, stored := u.Origin.(*providers.Keeper); !stored {
		r.size.add(len(u.Data))
	}
	s, ok := u.Origin.(*providers.Session)
	if !ok {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if m := r.bySession[s]; m != nil {
		r.owing[m] = r.round
	}
}

// durable wakes the sessions that may have something to acknowledge. An update that was noted in one round is durable in
// the next but one at the latest, since the keeper takes all that waits at a time.
func (r *room) durable() {
	r.server.storeWorks()
	r.mu.Lock()
	r.round++
	var poke []*providers.Session
	for m, from := range r.owing {
		poke = append(poke, m.session)
		if r.round-from >= 2 {
			delete(r.owing, m)
		}
	}
	r.mu.Unlock()
	for _, s := range poke {
		s.Poke()
	}
}

// failed hears that nothing becomes durable any more. The room ends; the next one has what is in the store.
func (r *room) failed(err error) {
	r.server.storeFails(r.name, err)
	code := providers.CodeStoreFailed
	if errors.Is(err, providers.ErrStoreFull) {
		code = providers.CodeStoreFull
	}
	r.end(&providers.RefusedError{Code: code, Reason: "what you write cannot be kept now"})
}

// end refuses everybody and lets nobody in.
func (r *room) end(why *providers.RefusedError) {
	r.server.rooms.retire(r)
	r.mu.Lock()
	var all []*member
	for m := range r.members {
		all = append(all, m)
	}
	r.mu.Unlock()
	for _, m := range all {
		if m.c == nil {
			m.end()
		} else {
			m.refuse(why)
		}
	}
}

// claim binds a replica to a principal, if it is not bound yet: the first that came with it, and wrote, has it for ever. Errors:
// *providers.RefusedError.
func (r *room) claim(replica vclock.Replica, principal string) error {
	if principal == "" {
		return &providers.RefusedError{Code: providers.CodeForbidden, Reason: "write-own needs a principal with an ID"}
	}
	if r.keeper.Claim(replica, principal) != principal {
		return &providers.RefusedError{Code: providers.CodeForeignDots, Reason: fmt.Sprintf("replica %v belongs to somebody else", replica)}
	}
	return nil
}

// own checks an update of a principal that may bring its own messages only.
func (r *room) own(update []byte, principal string) error {
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
		if err := r.claim(info.Sender, principal); err != nil {
			return err
		}
	}
	return nil
}

// join takes a member in. Errors: *providers.RefusedError.
func (r *room) join(m *member, principal string, limit int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.members) >= limit {
		return &providers.RefusedError{Code: providers.CodeTooMany, Reason: fmt.Sprintf("at most %d connections to a document", limit)}
	}
	if m.replica == r.rt.Replica() {
		return &providers.RefusedError{Code: providers.CodeForeignDots, Reason: "this replica is the server's own"}
	}
	for other := range r.members {
		if m.replica != (vclock.Replica{}) && other.replica == m.replica && other.c != nil && other.c.principal.ID != principal {
			return &providers.RefusedError{Code: providers.CodeForeignDots, Reason: "this replica belongs to somebody else who is here"}
		}
	}
	r.members[m] = true
	return nil
}

// leave is the inverse of join; what the member showed goes, unless its replica has come back on another connection.
func (r *room) leave(m *member) {
	r.mu.Lock()
	delete(r.members, m)
	delete(r.bySession, m.session)
	delete(r.owing, m)
	again := false
	for other := range r.members {
		again = again || other.replica == m.replica
	}
	r.mu.Unlock()
	if !again && m.session != nil {
		r.ephemeral.Gone(m.session)
	}
}

// attach makes a member's session known.
func (r *room) attach(m *member) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bySession[m.session] = m
}

// save is providers.Options.Save: whoever has nothing gets the cached state, and then what came after it.
func (r *room) save(since vclock.Clock) (state []byte, reaches vclock.Clock, err error) {
	defer faulty(&err)
	if len(since) > 0 {
		b, err := r.rt.SaveSince(since, runtime.CanonicalOnly(), runtime.Compressed(1))
		return b, nil, err
	}
	c := &r.cache
	c.Lock()
	defer c.Unlock()
	if c.state == nil || r.version.Load()-c.version > staleAfter {
		if err := r.encode(); err != nil {
			return nil, nil, err
		}
	}
	c.used = time.Now()
	return c.state, c.clock, nil
}

// uncompress is providers.Options.Uncompress: the cached state is uncompressed once for all who ask.
func (r *room) uncompress(update []byte) ([]byte, error) {
	c := &r.cache
	c.Lock()
	defer c.Unlock()
	if len(c.state) == 0 || &update[0] != &c.state[0] {
		return runtime.Uncompressed(update)
	}
	var err error
	if c.plain == nil {
		c.plain, err = runtime.Uncompressed(update)
	}
	return c.plain, err
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum is providers.Options.Checksum.
func (r *room) checksum(update []byte) uint32 {
	c := &r.cache
	c.Lock()
	defer c.Unlock()
	if len(c.state) > 0 && len(update) == len(c.state) && &update[0] == &c.state[0] {
		return c.sum
	}
	return crc32.Checksum(update, castagnoli)
}

// faulty turns a panic in a document's code into an error.
func faulty(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%w: panic: %v", runtime.ErrInternal, p)
	}
}

// encode fills the cache, whose lock is held.
func (r *room) encode() (err error) {
	defer faulty(&err)
	c := &r.cache
	begin, version, bytes := time.Now(), r.version.Load(), r.bytes.Load()
	clock := r.rt.Clock()
	state, err := r.rt.Save(runtime.CanonicalOnly(), runtime.Compressed(1))
	if err != nil {
		return err
	}
	if !r.rt.Clock().Equal(clock) { // it is that of the state, or of what came meanwhile
		info, err := runtime.Inspect(state)
		if err != nil {
			return err
		}
		clock = info.Clock
	}
	c.state, c.plain, c.clock, c.version, c.bytes = state, nil, clock, version, bytes
	c.sum = crc32.Checksum(state, castagnoli)
	c.at = time.Now()
	c.measure, c.took = len(state), c.at.Sub(begin)
	r.server.count.encodes.Add(1)
	return nil
}

// forget drops a cached state that nobody has asked for in a while.
func (r *room) forget(before time.Time) {
	if r.cache.TryLock() {
		if r.cache.used.Before(before) {
			r.cache.state, r.cache.plain, r.cache.clock = nil, nil, nil
		}
		r.cache.Unlock()
	}
}
