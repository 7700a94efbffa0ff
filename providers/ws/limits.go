//go:build !js

package ws

import (
	"fmt"
	"math"
	"runtime/debug"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/runtime"
)

// Limits bound what a server gives to one connection, address, principal and document. Zero means the default; Table
// prints all of them with what happens beyond. What the protocol itself fixes (frames, names, tokens) is not among them.
type Limits struct {
	Connections             int // in all
	ConnectionsPerAddress   int // of one IPv4 address or IPv6 /64
	ConnectionsPerPrincipal int // of one Principal.ID that is not empty
	ConnectionsPerDocument  int
	Documents               int // open on one connection
	OpensPerMinute          int // of one connection
	FailuresPerMinute       int // failed authentications of one address

	HelloAfter   time.Duration // from the upgrade to the answer of Authenticate
	Heartbeat    time.Duration // silence before a ping; twice that ends the connection
	FrameAfter   time.Duration // from the first to the last byte of one frame
	WriteAfter   time.Duration // of one write to a peer
	StalledAfter time.Duration // without a byte taken by the peer

	UpdatesPerSecond         int // of one connection, after its backlog
	DocumentUpdatesPerSecond int // of one document, from all connections
	BytesPerSecond           int // received on one connection
	FramesPerSecond          int // received on one connection
	PingsPerSecond           int // WebSocket pings and pongs received on one connection
	Pause                    time.Duration

	UpdateBytes      int // one message
	TransferBytes    int // one update in chunks: a state, a delta, a bundle
	DocumentBytes    int // stored or encoded, whichever is less
	DocumentReplicas int
	Waiting          int // messages of a document that lack what they depend on
	WaitingOrigin    int // the same, from one connection
	WaitingBytes     int

	QueueBytes    int // waiting for one peer, of one document
	QueueMessages int
	SocketBytes   int // written to one peer and kept by the system until it takes them

	PresenceBytes     int // one value or cast
	PresencePerSecond int // of one replica
	PresenceEntries   int // of one document

	Loads       int // documents that are read from the store at the same time
	IdleAfter   time.Duration
	MemoryBytes int // of the process
}

// burst is how many seconds' worth a bucket holds.
const burst = 4

// limitRow is one row of the table.
type limitRow struct {
	name  string
	field any // *int or *time.Duration
	def   int // time.Duration for durations
	least int
	unit  string
	then  string
}

// rows is the table: every limit once, with its default and what happens beyond it.
func (l *Limits) rows() []limitRow {
	rl := runtime.DefaultLimits()
	s := int(time.Second)
	return []limitRow{
		{"Connections", &l.Connections, fileLimit() / 5 * 4, 1, "connections", "HTTP 503; default: 80 % of the file limit"},
		{"ConnectionsPerAddress", &l.ConnectionsPerAddress, 200, 1, "connections", "HTTP 429"},
		{"ConnectionsPerPrincipal", &l.ConnectionsPerPrincipal, 100, 1, "connections", "TOO_MANY"},
		{"ConnectionsPerDocument", &l.ConnectionsPerDocument, 5000, 1, "connections", "document refused, TOO_MANY"},
		{"Documents", &l.Documents, 64, 1, "documents", "document refused, TOO_MANY"},
		{"OpensPerMinute", &l.OpensPerMinute, 120, 1, "per minute", "document refused, RATE"},
		{"FailuresPerMinute", &l.FailuresPerMinute, 30, 1, "per minute", "HTTP 429"},

		{"HelloAfter", &l.HelloAfter, 5 * s, 1, "", "TIMEOUT"},
		{"Heartbeat", &l.Heartbeat, 20 * s, 1, "", "ping; TIMEOUT after twice that"},
		{"FrameAfter", &l.FrameAfter, 10 * s, 1, "", "connection dropped"},
		{"WriteAfter", &l.WriteAfter, 5 * s, 1, "", "tried again until StalledAfter"},
		{"StalledAfter", &l.StalledAfter, 10 * s, 1, "", "STALLED"},

		{"UpdatesPerSecond", &l.UpdatesPerSecond, 50, 1, "per second", "pause, then document refused, RATE; at the third time RATE"},
		{"DocumentUpdatesPerSecond", &l.DocumentUpdatesPerSecond, 2000, 1, "per second", "as above"},
		{"BytesPerSecond", &l.BytesPerSecond, 1 << 20, 1, "bytes per second", "read more slowly"},
		{"FramesPerSecond", &l.FramesPerSecond, 1000, 1, "per second", "read more slowly"},
		{"PingsPerSecond", &l.PingsPerSecond, 5, 1, "per second", "RATE"},
		{"Pause", &l.Pause, s / 4, 1, "", "the longest pause for updates that come too fast"},

		{"UpdateBytes", &l.UpdateBytes, rl.MessageBytes, 1, "bytes", "document refused, UPDATE_TOO_BIG"},
		{"TransferBytes", &l.TransferBytes, rl.StateBytes, 1, "bytes", "document refused, TOO_BIG"},
		{"DocumentBytes", &l.DocumentBytes, 64 << 20, 1, "bytes", "document refused, DOC_QUOTA; small updates go on up to a tenth more"},
		{"DocumentReplicas", &l.DocumentReplicas, rl.Replicas, 1, "replicas", "new ones refused, DOC_QUOTA"},
		{"Waiting", &l.Waiting, 4096, 1, "messages", "the newest dropped, the peer asked by clock"},
		{"WaitingOrigin", &l.WaitingOrigin, 1024, 1, "messages", "as above"},
		{"WaitingBytes", &l.WaitingBytes, 1 << 20, 1, "bytes", "as above"},

		{"QueueBytes", &l.QueueBytes, 256 << 10, 1, "bytes", "dropped, one delta later"},
		{"QueueMessages", &l.QueueMessages, 256, 1, "messages", "dropped, one delta later"},
		{"SocketBytes", &l.SocketBytes, 256 << 10, 1, "bytes", "writing waits; the system may round it, and by itself keeps up to 4 MiB"},

		{"PresenceBytes", &l.PresenceBytes, 4 << 10, 1, "bytes", "dropped and counted"},
		{"PresencePerSecond", &l.PresencePerSecond, 10, 1, "per second", "the latest wins; casts dropped and counted"},
		{"PresenceEntries", &l.PresenceEntries, 1024, 1, "replicas", "dropped and counted"},

		{"Loads", &l.Loads, 32, 1, "documents", "opens wait"},
		{"IdleAfter", &l.IdleAfter, 60 * s, 1, "", "a document without connections is unloaded"},
		{"MemoryBytes", &l.MemoryBytes, memoryLimit(), 0, "bytes", "HTTP 503, opens refused, UNAVAILABLE; default: 90 % of GOMEMLIMIT, 0: none"},
	}
}

// memoryLimit returns 90 % of the Go runtime's soft memory limit, 0 if there is none.
func memoryLimit() int {
	if m := debug.SetMemoryLimit(-1); m < math.MaxInt64 && m/10*9 < math.MaxInt {
		return int(m / 10 * 9)
	}
	return 0
}

func (l *Limits) fill() error {
	for _, r := range l.rows() {
		switch v := r.field.(type) {
		case *int:
			if *v == 0 {
				*v = r.def
			}
			if *v < r.least {
				return fmt.Errorf("%w: limit %s is %d; at least %d", providers.ErrInvalidOptions, r.name, *v, r.least)
			}
		case *time.Duration:
			if *v == 0 {
				*v = time.Duration(r.def)
			}
			if *v < 0 {
				return fmt.Errorf("%w: limit %s is negative", providers.ErrInvalidOptions, r.name)
			}
		}
	}
	if l.PresenceBytes > 4<<10 {
		return fmt.Errorf("%w: limit PresenceBytes is %d; at most 4096", providers.ErrInvalidOptions, l.PresenceBytes)
	}
	return nil
}

// Table returns the limits as text, a line each: name, value, unit, and what happens beyond. Zero fields show their
// defaults.
func (l Limits) Table() string {
	l.fill()
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, r := range l.rows() {
		value := ""
		switch v := r.field.(type) {
		case *int:
			value = fmt.Sprint(*v)
		case *time.Duration:
			value = v.String()
		}
		if r.unit != "" {
			value += " " + r.unit
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", r.name, value, r.then)
	}
	w.Flush()
	return b.String()
}

// document returns the limits of a document's runtime.
func (l *Limits) document(r runtime.Limits) runtime.Limits {
	set := func(v *int, to int) {
		if *v == 0 {
			*v = to
		}
	}
	set(&r.MessageBytes, l.UpdateBytes)
	set(&r.Replicas, max(l.DocumentReplicas, runtime.DefaultLimits().Replicas)) // room.quota sees to it: who has the document names all who wrote it
	set(&r.Waiting, l.Waiting)
	set(&r.WaitingOrigin, l.WaitingOrigin)
	set(&r.WaitingBytes, l.WaitingBytes)
	return r
}
