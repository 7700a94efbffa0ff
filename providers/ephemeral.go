package providers

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed1312cc15/weft/vclock"
)

// EphemeralOptions configure the presence and the channels of a document. nil and zero fields mean the defaults.
type EphemeralOptions struct {
	// Own is whose presence this side may set: its replica ID.
	Own vclock.Replica
	// OwnKeysOnly takes from a peer only the presence of the replica that it opened the document with, and its casts. For
	// servers: nobody can speak for others but with Options.Relays. Default: what others relay is taken too.
	OwnKeysOnly bool
	// ValueBytes bounds a presence value or a cast; default and most 4 KiB.
	ValueBytes int
	// PerSecond bounds how often a value is passed on, the latest wins, and how many casts of one replica are; default 10.
	PerSecond int
	// Entries bounds the replicas with presence; default 1024.
	Entries int
	// TTL is how long own presence outlives the last sign of this side; default 30 s. It is repeated at half of it.
	TTL time.Duration
	// Alarm is told when Tick is to be called next, whenever that changes, by whoever owns the document on a server: many sessions
	// need not wake for what one call does. It is called with locks held, must not block, and must not call the Ephemeral.
	// Default: sessions call Tick from theirs.
	Alarm func(at time.Time)
	// Now reads the clock; default time.Now.
	Now func() time.Time
}

const (
	maxEphemeral = 4 << 10
	maxStamp     = 1 << 10
	maxTopic     = 64
	maxTTL       = 5 * time.Minute
	// queuedCasts bounds the casts that wait for one peer; the oldest goes.
	queuedCasts = 64
)

// Presence is what a replica shows of itself: a cursor, a name.
type Presence struct {
	Replica vclock.Replica
	Value   []byte // nil: it has left
	Stamp   []byte // who it is, as a server says
}

// Cast is a message on a channel: to whoever is there now, kept nowhere.
type Cast struct {
	Replica vclock.Replica
	Topic   string
	Value   []byte
	Stamp   []byte
}

// Ephemeral holds the presence of a document's replicas and passes casts on. All sessions of the document share it; what
// one peer brings goes to the others. Nothing of it is ever saved.
//
//  1. Of each replica the value with the greatest counter stands. A value leaves when its replica says so, or its TTL ends
//     without a sign.
//  2. What goes out is the same for all peers, encoded once: at most every 50 ms, up to 64 values that have changed get the next
//     numbers. A peer gets those beyond the number that it has got to, but not what it brought itself; one that is behind gets the
//     latest values only.
//  3. What waits for a peer is this number and at most 64 casts.
//
// Safe for concurrent use. Handlers run after its lock is released, in the goroutine that caused them.
type Ephemeral struct {
	opt EphemeralOptions

	mu       sync.Mutex // a leaf
	entries  map[vclock.Replica]*presence
	boxes    map[*ephemeralBox]bool
	own      ownPresence
	casts    map[vclock.Replica]*castState
	counter  uint64
	dropped  uint64
	next     time.Time        // nothing is to be done before; zero: nothing at all
	alarmed  time.Time        // what Alarm was told
	queue    []vclock.Replica // whose values have changed since they had a number, in this order
	seq      atomic.Uint64    // the last number of a value
	numbered time.Time        // when numbers were given last
	runs     map[uint64]*presenceRun
	handlers struct {
		presence map[*func(Presence)]bool
		cast     map[*func(Cast)]bool
	}
}

type presence struct {
	counter uint64
	value   []byte
	stamp   []byte
	ttl     time.Duration
	expires time.Time
	gone    bool
	// held is newer and waits for its turn.
	held   *presence
	shown  time.Time
	origin *ephemeralBox
	seq    uint64 // 0: it has had none
	queued bool
}

type ownPresence struct {
	set     bool
	refresh time.Time
}

type castState struct {
	counter uint64
	tokens  float64
	at      time.Time
}

// NewEphemeral returns an empty one. Errors: ErrInvalidOptions.
func NewEphemeral(o *EphemeralOptions) (*Ephemeral, error) {
	e := &Ephemeral{
		entries: make(map[vclock.Replica]*presence), boxes: make(map[*ephemeralBox]bool), casts: make(map[vclock.Replica]*castState),
	}
	if o != nil {
		e.opt = *o
	}
	for _, f := range []struct {
		v   *int
		def int
	}{{&e.opt.ValueBytes, maxEphemeral}, {&e.opt.PerSecond, 10}, {&e.opt.Entries, 1024}} {
		if *f.v == 0 {
			*f.v = f.def
		}
		if *f.v < 0 {
			return nil, fmt.Errorf("%w: a bound of EphemeralOptions is negative", ErrInvalidOptions)
		}
	}
	if e.opt.TTL == 0 {
		e.opt.TTL = 30 * time.Second
	}
	if e.opt.TTL < time.Second || e.opt.TTL > maxTTL || e.opt.ValueBytes > maxEphemeral {
		return nil, fmt.Errorf("%w: TTL is in [1 s, %v], ValueBytes at most %d", ErrInvalidOptions, maxTTL, maxEphemeral)
	}
	if e.opt.Now == nil {
		e.opt.Now = time.Now
	}
	// A counter that starts at the time goes on where the last one of this replica ended.
	e.counter = uint64(max(0, e.opt.Now().UnixMilli()))
	e.handlers.presence, e.handlers.cast = make(map[*func(Presence)]bool), make(map[*func(Cast)]bool)
	return e, nil
}

// Set shows a value of this side, nil to leave. At most PerSecond values go out in a second, the latest wins. The value is
// copied. Errors: ErrLimit.
func (e *Ephemeral) Set(value []byte) error {
	if len(value) > e.opt.ValueBytes {
		return fmt.Errorf("%w: a presence value of %d bytes; at most %d", ErrLimit, len(value), e.opt.ValueBytes)
	}
	now := e.opt.Now()
	e.mu.Lock()
	e.counter++
	p := &presence{counter: e.counter, ttl: e.opt.TTL, gone: value == nil}
	if value != nil {
		p.value = append([]byte{}, value...)
	}
	e.own = ownPresence{value != nil, now.Add(e.opt.TTL / 2)}
	e.next = earliest(e.next, e.own.refresh)
	told := e.put(e.opt.Own, p, nil, now)
	e.unlock()
	e.tell(told)
	return nil
}

// unlock ends what may have changed when there is something to do next.
func (e *Ephemeral) unlock() {
	if e.opt.Alarm != nil && e.next != e.alarmed {
		e.alarmed = e.next
		e.opt.Alarm(e.next)
	}
	e.mu.Unlock()
}

// Values returns what is shown now, own included, sorted by replica.
func (e *Ephemeral) Values() []Presence {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []Presence
	for r, p := range e.entries {
		if !p.gone {
			out = append(out, Presence{r, p.value, p.stamp})
		}
	}
	slices.SortFunc(out, func(a, b Presence) int { return vclock.CompareReplicas(a.Replica, b.Replica) })
	return out
}

// Dropped counts what came from peers and was beyond a limit or not theirs to say.
func (e *Ephemeral) Dropped() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.dropped
}

// OnPresence calls fn for every change of presence, own ones included, until stop.
func (e *Ephemeral) OnPresence(fn func(Presence)) (stop func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.handlers.presence[&fn] = true
	return func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.handlers.presence, &fn)
	}
}

// OnCast calls fn for every cast that arrives, until stop.
func (e *Ephemeral) OnCast(fn func(Cast)) (stop func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.handlers.cast[&fn] = true
	return func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.handlers.cast, &fn)
	}
}

// Cast sends a value to all that are there, on a topic of at most 64 bytes; with echo also to this side's handlers. It
// may get lost. Errors: ErrLimit, also for more than PerSecond in a second.
func (e *Ephemeral) Cast(topic string, value []byte, echo bool) error {
	if len(topic) > maxTopic || validText(topic) != topic || len(value) > e.opt.ValueBytes {
		return fmt.Errorf("%w: a cast has a topic of at most %d bytes of text and a value of at most %d", ErrLimit, maxTopic, e.opt.ValueBytes)
	}
	now := e.opt.Now()
	e.mu.Lock()
	e.counter++
	own := e.opt.Own
	f := castFrame{From: own[:], Counter: e.counter, Topic: topic, Value: value}
	if !e.admit(own, e.counter, now) {
		e.mu.Unlock()
		return fmt.Errorf("%w: more than %d casts a second", ErrLimit, e.opt.PerSecond)
	}
	wake := e.broadcast(&f, nil)
	e.mu.Unlock()
	for _, w := range wake {
		w()
	}
	if echo {
		e.tellCast(Cast{own, topic, append([]byte{}, value...), nil})
	}
	return nil
}

// told is what happened under the lock, to be told after it.
type told struct {
	list []Presence
	wake []func()
}

func (e *Ephemeral) tell(t told) {
	for _, w := range t.wake {
		w()
	}
	if len(t.list) == 0 {
		return
	}
	e.mu.Lock()
	hs := make([]*func(Presence), 0, len(e.handlers.presence))
	for h := range e.handlers.presence {
		hs = append(hs, h)
	}
	e.mu.Unlock()
	for _, p := range t.list {
		for _, h := range hs {
			(*h)(p)
		}
	}
}

func (e *Ephemeral) tellCast(c Cast) {
	e.mu.Lock()
	hs := make([]*func(Cast), 0, len(e.handlers.cast))
	for h := range e.handlers.cast {
		hs = append(hs, h)
	}
	e.mu.Unlock()
	for _, h := range hs {
		(*h)(c)
	}
}

func (e *Ephemeral) pause() time.Duration { return time.Second / time.Duration(e.opt.PerSecond) }

// put takes a newer value of a replica: now, or when its turn comes.
func (e *Ephemeral) put(r vclock.Replica, p *presence, from *ephemeralBox, now time.Time) (t told) {
	old := e.entries[r]
	switch {
	case old == nil && (len(e.entries) >= e.opt.Entries || p.gone):
		if !p.gone {
			e.dropped++
		}
		return t
	case old != nil && (p.counter <= old.counter || old.held != nil && p.counter <= old.held.counter):
		return t
	}
	p.origin, p.expires = from, now.Add(p.ttl)
	if p.gone {
		p.expires = now.Add(e.opt.TTL) // so that no older value comes back
	}
	if old != nil && !p.gone && now.Before(old.shown.Add(e.pause())) {
		old.held = p
		e.next = earliest(e.next, e.turn(old))
		return t
	}
	t = e.show(r, p, now)
	t.wake = e.number(now)
	return t
}

// turn is when an entry's held value is shown: together with others.
func (e *Ephemeral) turn(p *presence) time.Time {
	return latest(p.shown.Add(e.pause()), e.numbered.Add(presencePause))
}

func (e *Ephemeral) show(r vclock.Replica, p *presence, now time.Time) (t told) {
	old := e.entries[r]
	p.shown, p.held = now, nil
	if old != nil {
		p.seq, p.queued = old.seq, old.queued
	}
	if !p.queued {
		p.queued = true
		e.queue = append(e.queue, r)
	}
	e.entries[r] = p
	e.next = earliest(e.next, e.deadline(r, p))
	if old == nil || old.gone != p.gone || string(old.value) != string(p.value) || string(old.stamp) != string(p.stamp) {
		t.list = append(t.list, Presence{r, p.value, p.stamp})
	}
	return t
}

// number gives the next numbers to values that have changed, if it is time, and returns whom to wake.
func (e *Ephemeral) number(now time.Time) (wake []func()) {
	at := e.numbered.Add(presencePause)
	if len(e.queue) > 0 && !now.Before(at) {
		wake = e.numberNow(now)
		at = e.numbered.Add(presencePause)
	}
	if len(e.queue) > 0 {
		e.next = earliest(e.next, at)
	}
	return wake
}

func (e *Ephemeral) numberNow(now time.Time) (wake []func()) {
	seq, taken := e.seq.Load(), 0
	var only *ephemeralBox // who brought all of them
	for n := 0; taken < len(e.queue) && n < maxPresence; taken++ {
		p := e.entries[e.queue[taken]]
		if p == nil || !p.queued { // it has expired
			continue
		}
		if seq++; n == 0 {
			only = p.origin
		} else if p.origin != only {
			only = nil
		}
		p.seq, p.queued = seq, false
		n++
	}
	if e.queue = e.queue[taken:]; len(e.queue) == 0 {
		e.queue = nil
	}
	if seq == e.seq.Load() {
		return nil
	}
	e.seq.Store(seq)
	e.numbered = now
	clear(e.runs)
	wake = make([]func(), 0, len(e.boxes))
	for b := range e.boxes {
		if w := b.session.out.wake; w != nil && b != only {
			wake = append(wake, w)
		}
	}
	return wake
}

// Tick ends what has expired, repeats own presence and shows what has waited. Sessions call it from their Tick.
func (e *Ephemeral) Tick(now time.Time) {
	var all told
	e.mu.Lock()
	if e.next.IsZero() || now.Before(e.next) {
		e.alarmed = time.Time{} // whoever was early is told again
		e.unlock()
		return
	}
	var due []vclock.Replica // in an order that does not depend on the map's
	for r, p := range e.entries {
		if !now.Before(e.deadline(r, p)) {
			due = append(due, r)
		}
	}
	slices.SortFunc(due, vclock.CompareReplicas)
	for _, r := range due {
		p := e.entries[r]
		var t told
		switch {
		case p.held != nil && !now.Before(e.turn(p)):
			t = e.show(r, p.held, now)
		case r == e.opt.Own && e.own.set && !now.Before(e.own.refresh):
			e.counter++
			e.own.refresh = now.Add(e.opt.TTL / 2)
			t = e.show(r, &presence{counter: e.counter, ttl: e.opt.TTL, value: p.value, expires: now.Add(e.opt.TTL)}, now)
		case !now.Before(p.expires):
			delete(e.entries, r)
			if !p.gone {
				t.list = append(t.list, Presence{Replica: r, Stamp: p.stamp})
			}
		}
		all.list = append(all.list, t.list...)
	}
	all.wake = e.number(now)
	e.next = time.Time{}
	if len(e.queue) > 0 {
		e.next = e.numbered.Add(presencePause)
	}
	for r, p := range e.entries {
		e.next = earliest(e.next, e.deadline(r, p))
	}
	if len(e.casts) > 4*e.opt.Entries {
		clear(e.casts) // at worst a cast comes twice
	}
	e.unlock()
	e.tell(all)
}

// Deadline returns when Tick is to be called next; zero: no need. Cost: O(1).
func (e *Ephemeral) Deadline() time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.next
}

// deadline returns when there is something to do about an entry.
func (e *Ephemeral) deadline(r vclock.Replica, p *presence) time.Time {
	at := p.expires
	if p.held != nil {
		at = earliest(at, e.turn(p))
	}
	if r == e.opt.Own && e.own.set {
		at = earliest(at, e.own.refresh)
	}
	return at
}

// Gone makes what a session's peer shows of itself leave at once, unless it has been heard of by another way since: a
// server calls it when a connection has ended.
func (e *Ephemeral) Gone(s *Session) {
	now, r := e.opt.Now(), s.peer.replica
	e.mu.Lock()
	var t told
	if p := e.entries[r]; p != nil && !p.gone && p.origin != nil && p.origin.session == s {
		t = e.put(r, &presence{counter: p.counter + 1, gone: true, ttl: e.opt.TTL, stamp: p.stamp}, nil, now)
	}
	e.unlock()
	e.tell(t)
}

var errNotTheirs = errors.New("not theirs")

// check returns whose value it is, or why it is dropped.
func (e *Ephemeral) check(b *ephemeralBox, key, value, stamp []byte) (vclock.Replica, error) {
	if len(key) != 16 || len(value) > e.opt.ValueBytes || len(stamp) > maxStamp {
		return vclock.Replica{}, ErrLimit
	}
	r := vclock.Replica(key)
	if r == e.opt.Own || e.opt.OwnKeysOnly && r != b.session.peer.replica && !b.session.opt.Relays {
		return r, errNotTheirs
	}
	return r, nil
}

// stamp returns what goes with what a peer brings.
func (e *Ephemeral) stamp(b *ephemeralBox, said []byte) []byte {
	if o := &b.session.opt; !o.Relays && (e.opt.OwnKeysOnly || o.Stamp != nil) {
		return o.Stamp
	}
	return said
}

func (e *Ephemeral) receive(b *ephemeralBox, entries []presenceEntry) {
	now := e.opt.Now()
	var all told
	e.mu.Lock()
	for i := range entries {
		f := &entries[i]
		r, err := e.check(b, f.Key, f.Value, f.Stamp)
		if err != nil || f.Counter == 0 || f.Counter > vclock.MaxSeq {
			if r != e.opt.Own { // own values come back in rings
				e.dropped++
			}
			continue
		}
		p := &presence{counter: f.Counter, value: f.Value, stamp: f.Stamp, ttl: min(time.Duration(min(f.TTL, 1<<31))*time.Millisecond, maxTTL), gone: f.TTL == 0}
		if p.gone {
			p.value = nil
		} else if p.value == nil {
			p.value = []byte{}
		}
		p.stamp = e.stamp(b, p.stamp)
		t := e.put(r, p, b, now)
		all.list, all.wake = append(all.list, t.list...), append(all.wake, t.wake...)
	}
	e.unlock()
	e.tell(all)
}

// admit takes a cast of a replica if it is new and not too much.
func (e *Ephemeral) admit(r vclock.Replica, counter uint64, now time.Time) bool {
	c := e.casts[r]
	if c == nil {
		c = &castState{tokens: float64(e.opt.PerSecond), at: now}
		e.casts[r] = c
	}
	if counter <= c.counter {
		return false
	}
	c.tokens = min(float64(e.opt.PerSecond), c.tokens+now.Sub(c.at).Seconds()*float64(e.opt.PerSecond))
	c.at, c.counter = now, counter
	if c.tokens < 1 {
		e.dropped++
		return false
	}
	c.tokens--
	return true
}

func (e *Ephemeral) receiveCast(b *ephemeralBox, f *castFrame) {
	now := e.opt.Now()
	e.mu.Lock()
	r, err := e.check(b, f.From, f.Value, f.Stamp)
	if err != nil || f.Counter == 0 || f.Counter > vclock.MaxSeq || len(f.Topic) > maxTopic {
		if r != e.opt.Own {
			e.dropped++
		}
		e.mu.Unlock()
		return
	}
	f.Stamp = e.stamp(b, f.Stamp)
	if !e.admit(r, f.Counter, now) {
		e.mu.Unlock()
		return
	}
	wake := e.broadcast(f, b)
	e.mu.Unlock()
	for _, w := range wake {
		w()
	}
	e.tellCast(Cast{r, f.Topic, f.Value, f.Stamp})
}

func (e *Ephemeral) broadcast(f *castFrame, from *ephemeralBox) (wake []func()) {
	f.Type = FrameCast
	body := encode(f)[castHead:]
	for b := range e.boxes {
		if b == from {
			continue
		}
		if len(b.casts) == queuedCasts {
			b.casts = b.casts[1:]
		}
		b.casts = append(b.casts, body)
		b.waiting.Store(true)
		if w := b.session.out.wake; w != nil {
			wake = append(wake, w)
		}
	}
	return wake
}
