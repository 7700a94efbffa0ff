package ephemeral

import (
	"sync/atomic"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// ChannelOptions configure a Channel. nil and zero fields mean the defaults.
type ChannelOptions struct {
	// Echo hands own messages to own handlers too.
	Echo bool
}

// Channel carries messages of type T on one topic of a document to whoever is there: a reaction, a call to look here. They
// may get lost, and are kept nowhere. Those of one replica arrive in order, each at most once.
//
// Safe for concurrent use.
type Channel[T any] struct {
	e       *providers.Ephemeral
	topic   string
	opt     ChannelOptions
	invalid atomic.Uint64
}

// Message is what a replica sent.
type Message[T any] struct {
	Replica vclock.Replica
	Value   T
	Stamp   []byte // who it is, as a server says; nil: nobody does
}

// NewChannel returns the channel with a topic of at most 64 bytes; where e comes from see NewPresence.
func NewChannel[T any](e *providers.Ephemeral, topic string, o *ChannelOptions) *Channel[T] {
	c := &Channel[T]{e: e, topic: topic}
	if o != nil {
		c.opt = *o
	}
	return c
}

// Send sends a value. Errors: those of runtime.EncodeValue; providers.ErrLimit for a topic or value that is too long, and
// beyond the number of messages that one replica may send in a second, by default 10, over all topics.
func (c *Channel[T]) Send(v T) error {
	b, err := runtime.EncodeValue(v)
	if err != nil {
		return err
	}
	return c.e.Cast(c.topic, b, c.opt.Echo)
}

// OnMessage calls fn for every message that arrives, until stop, in the goroutine that brought it.
func (c *Channel[T]) OnMessage(fn func(Message[T])) (stop func()) {
	return c.e.OnCast(func(x providers.Cast) {
		if x.Topic != c.topic {
			return
		}
		m := Message[T]{Replica: x.Replica, Stamp: x.Stamp}
		if err := runtime.DecodeValue(x.Value, &m.Value); err != nil {
			c.invalid.Add(1)
			return
		}
		fn(m)
	})
}

// Invalid counts the messages that were no T, once for each handler.
func (c *Channel[T]) Invalid() uint64 { return c.invalid.Load() }
